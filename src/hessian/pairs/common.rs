//! What both forms of the sum over pairs share: Ga and Gg, the term in r, and ĝ. The term in x, which they share too, has its own module ([`x_term`]).
//!
//! ```text
//! cross block:  2 w Ga (r·r')(f·f')
//! ```
//!
//! Multiply–adds a pair: `(D + 2M + R)/2` for the Gram matrices (D of them only where the caller does not keep x·x'), `2M + R` for the hats.

use crate::gemm;
use crate::hessian::evaluation::Squares;
use crate::hessian::pairs::desk::{Grams, Local};
use crate::hessian::pairs::rows::{End, Rows};
use crate::hessian::pairs::tile::{Features, Side, Tile};
use crate::hessian::pairs::{Sum, tile_len, x_term};
use crate::network::Shape;
use crate::plan::{Work, product, sum};
use crate::real::Real;
use crate::simd::InstructionSet;
use crate::vector::LaneSums;
use crate::workspace::row;

/// Gram matrices and hats of `n` samples.
pub(super) const fn work(shape: Shape, n: usize) -> Work {
    let (d, m, r) = (shape.inputs(), shape.hidden(), shape.classes() - 1);
    let (grams, hats) =
        (sum(&[product(&[d]), product(&[2, m]), product(&[r])]), sum(&[product(&[2, m]), product(&[r])]));
    let own = product(&[n, n]).saturating_mul(sum(&[grams, hats, hats]));
    Work::new(own.saturating_add(x_term::flops(shape, n)), 2)
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (d, m, r, t) = (shape.inputs(), shape.hidden(), shape.classes() - 1, tile_len(n));
    let x = x_term::products(shape, n);
    gemm::largest_workspace(&[[t, d, t], [t, m, t], [t, r, t], [t, t, m], [t, t, r], x[0], x[1]])
}

/// Forms weights and Gram matrices of a tile, or of some of its rows.
pub(super) fn form<T: Real, const TANGENT: bool>(
    sum: &Sum<'_, '_, T, TANGENT>,
    tile: &Tile,
    grams: &mut Grams<'_, T>,
    packing: &mut [T],
) {
    let (shape, samples) = (sum.samples.shape, sum.samples);
    let (d, m, r) = (shape.inputs(), shape.hidden(), shape.classes() - 1);
    match samples.input_gram {
        None => Features::of_batch(samples.x, d).gram(sum.isa, tile, grams.ga, packing),
        Some(all) => {
            for (ga, n) in grams.ga.chunks_exact_mut(tile.columns.len()).zip(tile.rows.clone()) {
                ga.copy_from_slice(&row(all, samples.n, n)[tile.columns.clone()]);
            }
        }
    }
    Features::of_batch(samples.h, m).gram(sum.isa, tile, grams.gg, packing);
    Features::of_batch(samples.f, m).gram(sum.isa, tile, grams.ff, packing);
    Features::of_batch(sum.factors.r, r).gram(sum.isa, tile, grams.rr, packing);
    grams.weights[..tile.len()].fill(sum.weights.1);
    if tile.is_diagonal() {
        for weight in grams.weights[..tile.len()].iter_mut().step_by(tile.columns.len() + 1) {
            *weight = sum.weights.0;
        }
    }
    let Grams { weights, ga, gg, aa, .. } = grams;
    let (weights, ga, gg, aa) = (&weights[..tile.len()], &mut **ga, &mut **gg, &mut **aa);
    sum.isa.vectorize(|| {
        for (((&w, ga), gg), aa) in weights.iter().zip(ga).zip(gg).zip(aa) {
            *ga += T::ONE;
            *gg += T::ONE;
            *aa = T::TWO * w * (*ga * *ga);
        }
    });
}

/// Turns the Gram matrices of a tile into coefficients; returns its share of the term in r·r'. To be called after the form's.
pub(super) fn combine_tile<T: Real>(isa: InstructionSet, tile: &Tile, grams: &mut Grams<'_, T>) -> Squares {
    let Grams { weights, ga, rr, ff, .. } = grams;
    let (weights, ga) = (&weights[..tile.len()], &mut ga[..tile.len()]);
    let (rr, ff) = (&mut rr[..tile.len()], &mut ff[..tile.len()]);
    let cross = isa.vectorize(|| combine(tile.columns.len(), weights, ga, rr, ff));
    Squares { cross: tile.count() * cross, ..Squares::default() }
}

/// Spreads the terms in x and r, and ĝ, over the hats of one side.
pub(super) fn spread<T: Real, const TANGENT: bool>(
    sum: &Sum<'_, '_, T, TANGENT>,
    rows: &Rows<'_, T>,
    part: (&Tile, Side),
    grams: &Grams<'_, T>,
    end: &mut End<'_, T>,
    local: &mut Local<'_, T>,
) {
    let (isa, samples, shape) = (sum.isa, sum.samples, sum.samples.shape);
    x_term::spread(sum, rows, part, grams.ga, end, local);
    let Some(hats) = &mut end.hats else { return };
    let ((m, r), packing) = ((shape.hidden(), shape.classes() - 1), &mut *local.packing);
    Features::of_batch(sum.factors.r, r).spread(isa, grams.ff, part, &mut hats.r, packing);
    Features::of_batch(samples.f, m).spread(isa, grams.rr, part, &mut hats.f, packing);
    Features::of_batch(samples.h, m).spread(isa, grams.gg, part, &mut hats.g, packing);
}

/// Turns the Gram matrices of a tile into coefficients, row by row; returns the share of the term in r·r'.
#[inline(always)]
fn combine<T: Real>(width: usize, weights: &[T], ga: &mut [T], rr: &mut [T], ff: &mut [T]) -> f64 {
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
