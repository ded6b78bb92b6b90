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
use crate::hessian::factors::{Factors, Hats, HiddenHat};
use crate::hessian::pairs::common::Common;
use crate::hessian::pairs::{Features, Sum, Tile, tile_len};
use crate::network::Shape;
use crate::plan::{Work, product, sum};
use crate::real::Real;
use crate::simd::InstructionSet;
use crate::vector::{LaneSums, add_scaled, dot};
use crate::workspace::{Arena, row, row_mut};

/// Feature rows of the samples, and the Gram matrices of a tile.
#[derive(Debug)]
pub(super) struct Flat<'w, T> {
    /// M₂, the length of a row of A.
    m2: usize,
    a: &'w mut [T],
    a_hat: &'w mut [T],
    b_hat: &'w mut [T],
    ss: &'w mut [T],
    bb: &'w mut [T],
}

/// Flops of Gram matrices and hats for `n` samples.
pub(super) const fn work(shape: Shape, n: usize) -> Work {
    let (m, r) = (shape.hidden(), shape.classes() - 1);
    let (r2, m2) = (triangle(r) as u64, triangle(m) as u64);
    let pair = sum(&[r2, product(&[r, m]), 2 * r2, product(&[2, r, m]), m2.saturating_mul(2)]);
    Work::new(product(&[n, n]).saturating_mul(pair), 2)
}

/// Lengths of the slices of [`Flat`], in their order.
const fn lengths(shape: Shape, n: usize) -> [u64; 5] {
    let (m, r, tile) = (shape.hidden(), shape.classes() - 1, tile_len(n));
    let (a, gram) = (product(&[n, triangle(m)]), product(&[tile, tile]));
    [a, a, product(&[n, r, m]), gram, gram]
}

/// Elements that [`Flat::new`] takes.
pub(super) const fn elements(shape: Shape, n: usize) -> u64 {
    sum(&lengths(shape, n))
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (m, r, t) = (shape.hidden(), shape.classes() - 1, tile_len(n));
    let (rm, r2, m2) = (r.saturating_mul(m), triangle(r), triangle(m));
    gemm::largest_workspace(&[[t, r2, t], [t, rm, t], [t, t, r2], [t, t, rm], [t, t, m2]])
}

impl<'w, T: Real> Flat<'w, T> {
    pub(super) fn new(shape: Shape, n: usize, arena: &mut Arena<'w, T>) -> Self {
        let [a, a_hat, b_hat, ss, bb] = arena.take_all(lengths(shape, n));
        a_hat.fill(T::ZERO);
        b_hat.fill(T::ZERO);
        Self { m2: triangle(shape.hidden()), a, a_hat, b_hat, ss, bb }
    }

    /// Computes the feature rows of the samples `chunk`.
    pub(super) fn fill(
        &mut self,
        sum: &Sum<'_, '_, T>,
        factors: &mut Factors<'_, T>,
        common: &Common<'_, T>,
        chunk: &Range<usize>,
    ) {
        let rm = common.rm();
        for n in chunk.clone() {
            let i = n - sum.range.start;
            factors.write_a(sum.isa, sum.samples, n, row(common.b, rm, i), row_mut(self.a, self.m2, i));
        }
    }

    /// Returns the tile's share of the terms in S and B, spreads all three over the hats, and leaves the coefficients of ĝ.
    pub(super) fn visit(
        &mut self,
        sum: &Sum<'_, '_, T>,
        factors: &Factors<'_, T>,
        common: &mut Common<'_, T>,
        tile: &Tile,
        hats: Option<&mut Hats<'_, T>>,
        packing: &mut [T],
    ) -> Squares {
        let (isa, range, shape) = (sum.isa, &sum.range, sum.samples.shape);
        let (m, r) = (shape.hidden(), shape.classes() - 1);
        let (s, b) = (Features::of_batch(factors.s, triangle(r), range), Features::new(common.b, r * m));
        s.gram(isa, tile, self.ss, packing);
        b.gram(isa, tile, self.bb, packing);

        let (ss, bb) = (&mut self.ss[..tile.len()], &mut self.bb[..tile.len()]);
        let (weights, ga, gg) = (&*common.weights, &*common.ga, &mut *common.gg);
        let (output, cross) = isa.vectorize(|| combine(tile.columns.len(), weights, ga, gg, ss, bb));
        Features::new(self.a, self.m2).spread(isa, common.aa, tile, self.a_hat, packing);
        if let Some(hats) = hats {
            let of_range = range.start * triangle(r)..range.end * triangle(r);
            s.spread(isa, self.ss, tile, &mut hats.s[of_range], packing);
            b.spread(isa, self.bb, tile, self.b_hat, packing);
        }
        Squares { output: tile.count() * output, cross: tile.count() * cross, hidden: 0.0 }
    }

    /// Σ' w Ga² ⟨A,A'⟩ of all samples.
    pub(super) fn value_of_a(&self, isa: InstructionSet) -> f64 {
        0.5 * dot(isa, self.a, self.a_hat)
    }

    /// The way back of the samples `chunk`, which `factors` has loaded, together with the part of B̂ in `common`.
    pub(super) fn back(
        &mut self,
        sum: &Sum<'_, '_, T>,
        factors: &mut Factors<'_, T>,
        common: &Common<'_, T>,
        chunk: &Range<usize>,
        hats: &mut Hats<'_, T>,
        packing: &mut [T],
    ) {
        let (rm, first) = (common.rm(), chunk.start - sum.range.start);
        let b_hat = &mut self.b_hat[first * rm..][..chunk.len() * rm];
        add_scaled(sum.isa, b_hat, T::ONE, &common.b_hat[..b_hat.len()]);
        let a_hat = HiddenHat::Flat(&self.a_hat[first * self.m2..]);
        factors.back(sum.isa, sum.samples, chunk, Some(b_hat), a_hat, hats, packing);
    }
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
