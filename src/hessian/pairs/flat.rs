//! The terms in S, B and A by flat rows.
//!
//! ```text
//! w ( ⟨S,S'⟩ Gg² + 2 Ga Gg ⟨B,B'⟩ + Ga² ⟨A,A'⟩ )
//! ```
//!
//! The coefficient of ⟨A,A'⟩ holds no parameter, so A needs no Gram matrix: `Â = Σ' 2w Ga² A'` gives its value `⟨A, Â⟩/2` too.
//!
//! Multiply–adds a pair: `(R₂ + RM)/2` for the Gram matrices, `R₂ + RM + M₂` for the hats, with `R₂ = R(R+1)/2`, `M₂ = M(M+1)/2`.

use core::ops::Range;

use crate::gemm;
use crate::hessian::contrasts::triangle;
use crate::hessian::evaluation::Squares;
use crate::hessian::factors::Loaded;
use crate::hessian::pairs::desk::Grams;
use crate::hessian::pairs::rows::{End, Rows};
use crate::hessian::pairs::tile::{Features, Side, Tile};
use crate::hessian::pairs::{Sum, tile_len};
use crate::network::Shape;
use crate::plan::{Work, product, sum};
use crate::real::Real;
use crate::simd::InstructionSet;
use crate::vector::LaneSums;

/// Flops of Gram matrices and hats for `n` samples.
pub(super) const fn work(shape: Shape, n: usize) -> Work {
    let (m, r) = (shape.hidden(), shape.classes() - 1);
    let (r2, m2) = (triangle(r) as u64, triangle(m) as u64);
    let pair = sum(&[r2, product(&[r, m]), 2 * r2, product(&[2, r, m]), m2.saturating_mul(2)]);
    Work::new(product(&[n, n]).saturating_mul(pair), 2)
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (m, r, t) = (shape.hidden(), shape.classes() - 1, tile_len(n));
    let (rm, r2, m2) = (r.saturating_mul(m), triangle(r), triangle(m));
    gemm::largest_workspace(&[[t, r2, t], [t, rm, t], [t, t, r2], [t, t, rm], [t, t, m2]])
}

/// Computes B and A of the samples `chunk`, which are loaded.
pub(super) fn fill<T: Real, const TANGENT: bool>(
    sum: &Sum<'_, '_, T, TANGENT>,
    loaded: &mut Loaded<'_, T>,
    chunk: &Range<usize>,
    rows: &mut Rows<'_, T>,
) {
    loaded.write_b(sum.isa, sum.samples, chunk, rows.b.rows_mut(chunk));
    for n in chunk.clone() {
        loaded.write_a(sum.isa, sum.samples, sum.factors, n, rows.b.row(n), rows.a.row_mut(n));
    }
}

/// Turns the Gram matrices of a tile into coefficients, of ĝ too; returns its share of the terms in S and B.
pub(super) fn combine_tile<T: Real>(isa: InstructionSet, tile: &Tile, grams: &mut Grams<'_, T>) -> Squares {
    let Grams { weights, ga, gg, ss, bb, .. } = grams;
    let (ss, bb) = (&mut ss[..tile.len()], &mut bb[..tile.len()]);
    let (output, cross) = isa.vectorize(|| combine(tile.columns.len(), weights, ga, gg, ss, bb));
    Squares { output: tile.count() * output, cross: tile.count() * cross, hidden: 0.0 }
}

/// Spreads all three terms over the hats of one side.
pub(super) fn spread<T: Real, const TANGENT: bool>(
    sum: &Sum<'_, '_, T, TANGENT>,
    rows: &Rows<'_, T>,
    part: (&Tile, Side),
    grams: &Grams<'_, T>,
    end: &mut End<'_, T>,
    packing: &mut [T],
) {
    Features::new(&rows.a).spread(sum.isa, grams.aa, part, &mut end.own.a, packing);
    let Some(hats) = &mut end.hats else { return };
    let s = Features::of_batch(sum.factors.s, triangle(sum.samples.shape.classes() - 1));
    s.spread(sum.isa, grams.ss, part, &mut hats.s, packing);
    Features::new(&rows.b).spread(sum.isa, grams.bb, part, &mut end.own.b, packing);
}

/// Turns the Gram matrices of a tile into coefficients, row by row; returns the shares of the output and the cross term.
#[inline(always)]
fn combine<T: Real>(width: usize, weights: &[T], ga: &[T], gg: &mut [T], ss: &mut [T], bb: &mut [T]) -> (f64, f64) {
    let (mut output, mut cross) = (0.0, 0.0);
    let rows = ss.chunks_exact_mut(width).zip(bb.chunks_exact_mut(width));
    let shared = weights.chunks_exact(width).zip(ga.chunks_exact(width)).zip(gg.chunks_exact_mut(width));
    for ((ss, bb), ((weights, ga), gg)) in rows.zip(shared) {
        let (mut row_output, mut row_cross) = (LaneSums::new(), LaneSums::new());
        for i in 0..width {
            let twice = T::TWO * weights[i];
            let twice_gg = twice * gg[i];
            let (output, cross) = (ss[i] * gg[i], ga[i] * bb[i]);
            row_output.add(i, twice_gg * output);
            row_cross.add(i, twice_gg * cross);
            ss[i] = twice_gg * gg[i];
            bb[i] = T::TWO * (twice_gg * ga[i]);
            gg[i] = T::TWO * (twice * (output + cross));
        }
        output += 0.5 * row_output.total();
        cross += row_cross.total();
    }
    (output, cross)
}
