//! What both forms of the sum over pairs share: Ga and Gg, the term in r, and ĝ. They share the term χ too; it has its own module
//! ([`x_term`]).
//!
//! ```text
//! cross block:  2 w_nn' Ga (r·r')(f·f')
//! ```
//!
//! Multiply–adds a pair: `(D + 2M + R)/2` for the Gram matrices (without D where the batch has x·x'), `2M + R` for the gradients.

use crate::bounds::Squares;
use crate::count::{Work, product, sum};
use crate::hessian::pairs::features::{Features, SampleGradients};
use crate::hessian::pairs::scratch::{Grams, WorkerScratch};
use crate::hessian::pairs::sum::PairSum;
use crate::hessian::pairs::tile::tile_len;
use crate::hessian::pairs::tile::{SampleRows, Side, Tile};
use crate::hessian::pairs::x_term;
use crate::kernels::context::Context;
use crate::kernels::gemm;
use crate::kernels::vector::LaneSums;
use crate::network::Shape;
use crate::simd::{Element, InstructionSet};
use crate::workspace::row;

/// Flops of Gram matrices and gradients of `n` samples.
pub(super) const fn work(shape: Shape, n: usize) -> Work {
    let (d, m, r) = (shape.inputs(), shape.hidden(), shape.classes() - 1);
    let (grams, gradients) =
        (sum(&[product(&[d]), product(&[2, m]), product(&[r])]), sum(&[product(&[2, m]), product(&[r])]));
    let own = product(&[n, n]).saturating_mul(sum(&[grams, gradients, gradients]));
    Work::new(own.saturating_add(x_term::flops(shape, n)), 2)
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (d, m, r, t) = (shape.inputs(), shape.hidden(), shape.classes() - 1, tile_len(n));
    let x = x_term::products(shape, n);
    gemm::largest_workspace(&[[t, d, t], [t, m, t], [t, r, t], [t, t, m], [t, t, r], x[0], x[1]])
}

/// Forms the weights and Gram matrices of a tile, or of some of its rows.
pub(super) fn form<T: Element>(
    sum: &PairSum<'_, '_, T>,
    tile: &Tile,
    grams: &mut Grams<'_, T>,
    context: &mut Context<'_, T>,
) {
    let (shape, samples) = (sum.forward.shape, sum.forward);
    let (d, m, r) = (shape.inputs(), shape.hidden(), shape.classes() - 1);
    match samples.input_gram {
        None => SampleRows::of_batch(samples.x, d).gram(tile, grams.ga, context),
        Some(all) => {
            for (ga, n) in grams.ga.chunks_exact_mut(tile.columns.len()).zip(tile.rows.clone()) {
                ga.copy_from_slice(&row(all, samples.n, n)[tile.columns.clone()]);
            }
        }
    }
    SampleRows::of_batch(samples.h, m).gram(tile, grams.gg, context);
    SampleRows::of_batch(samples.f, m).gram(tile, grams.ff, context);
    SampleRows::of_batch(sum.factors.r, r).gram(tile, grams.rr, context);
    grams.weights[..tile.len()].fill(sum.weights.1);
    if tile.is_diagonal() {
        for weight in grams.weights[..tile.len()].iter_mut().step_by(tile.columns.len() + 1) {
            *weight = sum.weights.0;
        }
    }
    let Grams { weights, ga, gg, aa, .. } = grams;
    let (weights, ga, gg, aa) = (&weights[..tile.len()], &mut **ga, &mut **gg, &mut **aa);
    context.isa.vectorize(|| {
        for (((&w, ga), gg), aa) in weights.iter().zip(ga).zip(gg).zip(aa) {
            *ga += T::ONE;
            *gg += T::ONE;
            *aa = T::TWO * w * (*ga * *ga);
        }
    });
}

/// Turns the Gram matrices of a tile into coefficients; returns its part of the term in r·r'. Call it after the form's `combine`.
pub(super) fn combine_tile<T: Element>(isa: InstructionSet, tile: &Tile, grams: &mut Grams<'_, T>) -> Squares {
    let Grams { weights, ga, rr, ff, .. } = grams;
    let (weights, ga) = (&weights[..tile.len()], &mut ga[..tile.len()]);
    let (rr, ff) = (&mut rr[..tile.len()], &mut ff[..tile.len()]);
    let cross = isa.vectorize(|| combine(tile.columns.len(), weights, ga, rr, ff));
    Squares { cross: tile.count() * cross, ..Squares::default() }
}

/// Adds the derivatives of χ and of the term in r, and ĝ, to the gradients of one side.
pub(super) fn spread<T: Element>(
    sum: &PairSum<'_, '_, T>,
    features: &Features<'_, T>,
    part: (&Tile, Side),
    grams: &Grams<'_, T>,
    to: &mut SampleGradients<'_, T>,
    scratch: &mut WorkerScratch<'_, T>,
) {
    let (forward, shape) = (sum.forward, sum.forward.shape);
    x_term::spread(sum, features, part, grams.ga, to, scratch);
    let Some(gradients) = &mut to.factors else { return };
    let ((m, r), context) = ((shape.hidden(), shape.classes() - 1), &mut scratch.context);
    SampleRows::of_batch(sum.factors.r, r).spread(grams.ff, part, &mut gradients.r, context);
    SampleRows::of_batch(forward.f, m).spread(grams.rr, part, &mut gradients.f, context);
    SampleRows::of_batch(forward.h, m).spread(grams.gg, part, &mut gradients.g, context);
}

/// Turns the Gram matrices of a tile into coefficients, row by row; returns the part of the term in r·r'.
#[inline(always)]
fn combine<T: Element>(width: usize, weights: &[T], ga: &mut [T], rr: &mut [T], ff: &mut [T]) -> f64 {
    let mut total = 0.0;
    let rows = weights.chunks_exact(width).zip(ga.chunks_exact_mut(width));
    for ((weights, ga), (rr, ff)) in rows.zip(rr.chunks_exact_mut(width).zip(ff.chunks_exact_mut(width))) {
        let mut row = LaneSums::new();
        for i in 0..width {
            let weighted = T::TWO * (weights[i] * ga[i]);
            let product = weighted * (rr[i] * ff[i]);
            row.add(i, product);
            let coefficient = T::TWO * weighted;
            ga[i] = coefficient;
            rr[i] *= coefficient;
            ff[i] *= coefficient;
        }
        total += row.total();
    }
    total
}
