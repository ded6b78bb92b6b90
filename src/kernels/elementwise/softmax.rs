//! Softmax of rows, and products with its Jacobian.
//!
//! Of the exponentials `exp(z_k − max z)`, that of the largest logit is exactly 1. It is left out of the sum:
//! `rest = Σ exp(z_k − max z) − 1`. So `p_k = exp(z_k − max z)/(1 + rest)` and `log Σ exp z = max z + ln(1 + rest)`. Whatever is small
//! when p is near one-hot, such as `1 − p_top = rest/(1 + rest)`, keeps its relative accuracy.

use super::exp::Decay;
use super::ln::ln_1p;
use super::rows::{Row, Rows, RowsMut, TILE_COLUMNS, Tile};
use crate::number::Number;
use crate::simd::Element;
use crate::simd::{InstructionSet, Kernel, Lanes, Simd};

/// Overwrites each row of `classes` logits by their softmax, and writes `log Σ exp z` of each row to `log_sum_exp`.
///
/// A probability has a relative error of about `ε (1 + |z_k − max z|)`, and is 0 where `z_k − max z` is below −87.68 (`f64`: −708.74). A
/// logit of −∞ has probability 0; a row that contains NaN or +∞, or only −∞, becomes NaN.
pub(crate) fn softmax_rows<T: Element>(
    isa: InstructionSet,
    classes: usize,
    logits_to_probabilities: &mut [T],
    log_sum_exp: &mut [T],
) {
    debug_assert_eq!(logits_to_probabilities.len(), classes * log_sum_exp.len());
    isa.run(SoftmaxRows { classes, logits_to_probabilities, log_sum_exp });
}

/// Overwrites each row x by `S x = p ∘ (x − p·x)`, where p is the row of `probabilities`.
///
/// S maps constants to 0, so x may be shifted: it is shifted by its entry at the largest probability. The error is then relative to
/// `p_k (|x_k − x_top| + Σ p_j |x_j − x_top|)`, which is small where p is near one-hot.
pub(crate) fn softmax_jacobian_rows<T: Element>(isa: InstructionSet, classes: usize, probabilities: &[T], x: &mut [T]) {
    debug_assert_eq!(probabilities.len(), x.len());
    debug_assert!(x.len().is_multiple_of(classes));
    isa.run(JacobianRows { classes, probabilities, x });
}

/// The divisor of a row's exponentials, and its reciprocal.
#[derive(Clone, Copy)]
pub(super) struct Partition<V> {
    /// `Σ exp(z − max z)` without one largest term.
    pub(super) rest: V,
    /// `1/(1 + rest)`
    pub(super) inverse: V,
}

/// The largest logit of a row.
#[inline(always)]
pub(super) fn largest<V: Lanes>(simd: V::Simd, logits: &impl Rows<V>) -> V {
    let lowest = -V::Scalar::INFINITY;
    let mut max = V::splat(simd, lowest);
    for j in 0..logits.registers() {
        max = max.max(logits.get(j, lowest));
    }
    logits.max(max)
}

/// Overwrites logits by `exp(z − max)`.
#[inline(always)]
pub(super) fn exponentiate<V: Lanes>(simd: V::Simd, logits: &mut impl RowsMut<V>, max: V) -> Partition<V> {
    let one = V::splat(simd, V::Scalar::ONE);
    let zero = V::zero(simd);
    let (mut rest, mut ties) = (zero, zero);
    for j in 0..logits.registers() {
        let difference = logits.get(j, -V::Scalar::INFINITY) - max;
        let exponential = Decay::new(difference).value();
        logits.set(j, exponential);
        // The largest logits are counted, which keeps their sum exact. NaN, even from an infinite maximum, is not counted.
        let largest = zero.le(difference);
        rest = rest + V::select(largest, zero, exponential);
        ties = ties + V::select(largest, one, zero);
    }
    let rest = logits.sum(rest) + (logits.sum(ties) - one);
    Partition { rest, inverse: one / (one + rest) }
}

struct SoftmaxRows<'a, T> {
    classes: usize,
    logits_to_probabilities: &'a mut [T],
    log_sum_exp: &'a mut [T],
}

impl<T: Element> Kernel for SoftmaxRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { classes, logits_to_probabilities, log_sum_exp } = self;
        if classes > TILE_COLUMNS {
            for (row, log_sum) in logits_to_probabilities.chunks_exact_mut(classes).zip(log_sum_exp) {
                let result = softmax(simd, &mut Row::<T::Lanes<S>, _> { simd, numbers: row });
                result.store_partial(core::slice::from_mut(log_sum));
            }
            return;
        }
        let mut tile = Tile::new(classes);
        let rows = tile.rows();
        for (block, log_sums) in logits_to_probabilities.chunks_mut(rows * classes).zip(log_sum_exp.chunks_mut(rows)) {
            tile.read(block, classes);
            for (i, log_sums) in log_sums.chunks_mut(T::Lanes::<S>::LANES).enumerate() {
                let first = i * T::Lanes::<S>::LANES;
                let result = softmax(simd, &mut tile.columns::<T::Lanes<S>>(simd, classes, first));
                result.store_partial(log_sums);
            }
            tile.write(block, classes);
        }
    }
}

/// Overwrites logits by probabilities; returns `log Σ exp z`.
#[inline(always)]
fn softmax<V: Lanes>(simd: V::Simd, logits: &mut impl RowsMut<V>) -> V {
    let max = largest(simd, logits);
    let Partition { rest, inverse } = exponentiate(simd, logits, max);
    for j in 0..logits.registers() {
        logits.set(j, logits.get(j, V::Scalar::ZERO) * inverse);
    }
    max + ln_1p(rest)
}

struct JacobianRows<'a, T> {
    classes: usize,
    probabilities: &'a [T],
    x: &'a mut [T],
}

impl<T: Element> Kernel for JacobianRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { classes, probabilities, x } = self;
        if classes > TILE_COLUMNS {
            for (p, x) in probabilities.chunks_exact(classes).zip(x.chunks_exact_mut(classes)) {
                jacobian(simd, &Row::<T::Lanes<S>, _> { simd, numbers: p }, &mut Row { simd, numbers: x });
            }
            return;
        }
        let (mut p_tile, mut x_tile) = (Tile::new(classes), Tile::new(classes));
        let rows = p_tile.rows();
        for (p, x) in probabilities.chunks(rows * classes).zip(x.chunks_mut(rows * classes)) {
            p_tile.read(p, classes);
            x_tile.read(x, classes);
            for first in (0..x.len() / classes).step_by(T::Lanes::<S>::LANES) {
                let p = p_tile.columns::<T::Lanes<S>>(simd, classes, first);
                jacobian(simd, &p, &mut x_tile.columns(simd, classes, first));
            }
            x_tile.write(x, classes);
        }
    }
}

/// Overwrites x by `S x`.
#[inline(always)]
fn jacobian<V: Lanes>(simd: V::Simd, p: &impl Rows<V>, x: &mut impl RowsMut<V>) {
    let zero = V::Scalar::ZERO;
    let lowest = V::splat(simd, -V::Scalar::INFINITY);
    let (mut largest, mut shift) = (lowest, lowest);
    for j in 0..x.registers() {
        let (p, x) = (p.get(j, zero), x.get(j, zero));
        let larger = largest.lt(p);
        largest = V::select(larger, p, largest);
        shift = V::select(larger, x, shift);
    }
    let shift = x.max(V::select(largest.eq(x.max(largest)), shift, lowest));

    let mut mean = V::zero(simd);
    for j in 0..x.registers() {
        mean = p.get(j, zero).mul_add(x.get(j, zero) - shift, mean);
    }
    let mean = x.sum(mean);
    for j in 0..x.registers() {
        x.set(j, p.get(j, zero) * ((x.get(j, zero) - shift) - mean));
    }
}
