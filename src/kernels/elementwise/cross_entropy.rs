//! Cross-entropy of softmax: computes probabilities, residuals and loss from logits and targets in one visit of a tile.
//!
//! With `rest` of the [softmax](super::softmax) module and target distribution y, `r = p − y` is
//!
//! ```text
//! r_k = ((exp(z_k − max z) − y_k) − y_k rest) / (1 + rest)
//! ```
//!
//! For a one-hot target at the largest logit this is `−rest/(1 + rest)`, minus the sum of the other probabilities: it has full relative
//! accuracy where `p_k − 1` would cancel. The loss of a row is
//!
//! ```text
//! −Σ y_k ln p_k = Σ y_k (max z − z_k) + ln(1 + rest) Σ y_k
//! ```
//!
//! a sum of terms that are not negative.
//!
//! The uncertainty of a row, `1 − ‖p‖²`, costs K multiply–adds while p is in the tile, and a visit of its own afterwards.

use super::ln::ln_1p;
use super::rows::{Row, Rows, RowsMut, TILE_COLUMNS, Tile};
use super::softmax::{Partition, exponentiate, largest};
use crate::number::Number;
use crate::simd::Element;
use crate::simd::{InstructionSet, Kernel, Lanes, MAX_LANES, Simd};
use crate::targets::Targets;

/// Overwrites each row of `classes` logits by its softmax p, writes `p − y` to `residual`, and returns the sum over the rows
/// of `−Σ y_k ln p_k`, in the order of the rows. Writes `1 − ‖p‖²` of each row to `uncertainty`, unless that is empty.
///
/// Accuracy and special values are those of [`softmax_rows`](super::softmax_rows). Where a target is 0 its logit may be −∞.
pub(crate) fn cross_entropy_rows<T: Element>(
    isa: InstructionSet,
    classes: usize,
    logits_to_probabilities: &mut [T],
    targets: Targets<'_, T>,
    residual: &mut [T],
    uncertainty: &mut [T],
) -> f64 {
    debug_assert_eq!(logits_to_probabilities.len(), residual.len());
    debug_assert!(residual.len().is_multiple_of(classes));
    debug_assert!(uncertainty.is_empty() || uncertainty.len() * classes == residual.len());
    match targets {
        Targets::Classes(all) => debug_assert_eq!(classes * all.len(), residual.len()),
        Targets::Distributions(all) => debug_assert_eq!(all.len(), residual.len()),
    }
    isa.run(CrossEntropyRows { classes, logits_to_probabilities, targets, residual, uncertainty })
}

struct CrossEntropyRows<'a, T> {
    classes: usize,
    logits_to_probabilities: &'a mut [T],
    targets: Targets<'a, T>,
    residual: &'a mut [T],
    uncertainty: &'a mut [T],
}

impl<T: Element> Kernel for CrossEntropyRows<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let Self { classes, logits_to_probabilities, targets, residual, uncertainty } = self;
        let lanes = T::Lanes::<S>::LANES;
        let mut sum = 0.0;
        if classes > TILE_COLUMNS {
            let rows = logits_to_probabilities.chunks_exact_mut(classes).zip(residual.chunks_exact_mut(classes));
            for (n, (z, y)) in rows.enumerate() {
                match targets {
                    Targets::Classes(all) => {
                        y.fill(T::ZERO);
                        y[all[n] as usize] = T::ONE;
                    }
                    Targets::Distributions(all) => y.copy_from_slice(&all[n * classes..][..classes]),
                }
                let (mut z, mut y) = (Row { simd, numbers: z }, Row { simd, numbers: y });
                let mut loss = [T::ZERO];
                cross_entropy::<T::Lanes<S>>(simd, &mut z, &mut y).store_partial(&mut loss);
                sum += loss[0].to_f64();
                if let Some(out) = uncertainty.get_mut(n..n + 1) {
                    uncertainties(simd, &z).store_partial(out);
                }
            }
            return sum;
        }

        let (mut z_tile, mut y_tile) = (Tile::new(classes), Tile::new(classes));
        let rows = z_tile.rows();
        let blocks = logits_to_probabilities.chunks_mut(rows * classes).zip(residual.chunks_mut(rows * classes));
        for (block, (z, residual)) in blocks.enumerate() {
            let height = z.len() / classes;
            z_tile.read(z, classes);
            match targets {
                Targets::Classes(all) => y_tile.one_hot(&all[block * rows..][..height], classes),
                Targets::Distributions(all) => y_tile.read(&all[block * rows * classes..][..height * classes], classes),
            }
            for first in (0..height).step_by(lanes) {
                let part = lanes.min(height - first);
                let mut z = z_tile.columns::<T::Lanes<S>>(simd, classes, first);
                let mut losses = [T::ZERO; MAX_LANES];
                cross_entropy(simd, &mut z, &mut y_tile.columns(simd, classes, first)).store(&mut losses);
                for loss in &losses[..part] {
                    sum += loss.to_f64();
                }
                if !uncertainty.is_empty() {
                    uncertainties(simd, &z).store_at(uncertainty, block * rows + first, part);
                }
            }
            z_tile.write(z, classes);
            y_tile.write(residual, classes);
        }
        sum
    }
}

/// Overwrites logits by probabilities and targets by residuals; returns the losses of the rows.
#[inline(always)]
fn cross_entropy<V: Lanes>(simd: V::Simd, z: &mut impl RowsMut<V>, y: &mut impl RowsMut<V>) -> V {
    let zero = V::Scalar::ZERO;
    let max = largest(simd, z);
    let (mut mass, mut below) = (V::zero(simd), V::zero(simd));
    for j in 0..z.registers() {
        let target = y.get(j, zero);
        let none = target.eq(V::zero(simd));
        // A target of 0 adds nothing, even where the logit is −∞.
        let weighted = target * (max - z.get(j, zero));
        below = below + V::select(none, target, weighted);
        mass = mass + target;
    }
    let (mass, below) = (y.sum(mass), y.sum(below));

    let Partition { rest, inverse } = exponentiate(simd, z, max);
    for j in 0..z.registers() {
        let (exponential, target) = (z.get(j, zero), y.get(j, zero));
        z.set(j, exponential * inverse);
        y.set(j, target.neg_mul_add(rest, exponential - target) * inverse);
    }
    ln_1p(rest).mul_add(mass, below)
}

/// `1 − ‖p‖²` of each row, at least 0.
#[inline(always)]
fn uncertainties<V: Lanes>(simd: V::Simd, p: &impl Rows<V>) -> V {
    let mut squares = V::zero(simd);
    for j in 0..p.registers() {
        let p = p.get(j, V::Scalar::ZERO);
        squares = p.mul_add(p, squares);
    }
    (V::splat(simd, V::Scalar::ONE) - p.sum(squares)).max(V::zero(simd))
}
