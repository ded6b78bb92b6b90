//! The terms in S, B and A as inner products of flat rows.
//!
//! ```text
//! w_nn' ( ⟨S,S'⟩ Gg² + 2 Ga Gg ⟨B,B'⟩ + Ga² ⟨A,A'⟩ )
//! ```
//!
//! The coefficient of ⟨A,A'⟩ does not depend on the parameters. So A needs no Gram matrix: `Â = Σ' 2 w_nn' Ga² A'` also gives the value
//! of the term, `⟨A, Â⟩/2`.
//!
//! Multiply–adds a pair: `(R₂ + RM)/2` for the Gram matrices, `R₂ + RM + M₂` for the gradients.

use core::ops::Range;

use crate::bounds::Squares;
use crate::count::{Work, product, sum};
use crate::hessian::contrasts::triangle;
use crate::hessian::factors::chunk::ChunkFactors;
use crate::hessian::factors::{FactorGradients, HiddenGradient};
use crate::hessian::pairs::features::{FeatureGradients, Features, SampleGradients, TileGradients};
use crate::hessian::pairs::form::PairForm;
use crate::hessian::pairs::scratch::{Grams, TileScratch, TileWorkers, WorkerScratch};
use crate::hessian::pairs::sum::PairSum;
use crate::hessian::pairs::tile::tile_len;
use crate::hessian::pairs::tile::{SampleRows, Side, Tile};
use crate::kernels::context::Context;
use crate::kernels::gemm;
use crate::kernels::vector::{LaneSums, add_scaled, dot};
use crate::network::Shape;
use crate::plan::Form;
use crate::simd::{Element, InstructionSet};
use crate::workspace::Arena;

/// Flops of Gram matrices and gradients for `n` samples.
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

/// The flat form.
pub(super) struct Flat;

impl<T: Element> PairForm<'_, T> for Flat {
    const FORM: Form = Form::Flat;

    fn new(_: &PairSum<'_, '_, T>, _: &mut Arena<'_, T>) -> Self {
        Self
    }

    /// Writes B and A.
    fn fill(
        sum: &PairSum<'_, '_, T>,
        factors: &mut ChunkFactors<'_, T>,
        chunk: &Range<usize>,
        features: &mut Features<'_, T>,
    ) {
        factors.write_b(sum.forward, chunk, features.b.rows_mut(chunk));
        for n in chunk.clone() {
            factors.write_a(sum.forward, sum.factors, n, features.b.row(n), features.a.row_mut(n));
        }
    }

    fn form(features: &Features<'_, T>, tile: &Tile, grams: &mut Grams<'_, T>, context: &mut Context<'_, T>) {
        SampleRows::new(&features.b).gram(tile, grams.bb, context);
    }

    /// The terms in S and B.
    fn combine(
        &self,
        _: &PairSum<'_, '_, T>,
        tile: &Tile,
        scratch: &mut TileScratch<'_, T>,
        _: &mut TileGradients<'_, T>,
        workers: &mut TileWorkers<'_, T>,
    ) -> Squares {
        combine_tile(workers.first.context.isa, tile, &mut scratch.grams)
    }

    /// All three terms.
    fn spread(
        sum: &PairSum<'_, '_, T>,
        features: &Features<'_, T>,
        part: (&Tile, Side),
        grams: &Grams<'_, T>,
        to: &mut SampleGradients<'_, T>,
        scratch: &mut WorkerScratch<'_, T>,
    ) {
        let context = &mut scratch.context;
        SampleRows::new(&features.a).spread(grams.aa, part, &mut to.features.a, context);
        let Some(gradients) = &mut to.factors else { return };
        let s = SampleRows::of_batch(sum.factors.s, triangle(sum.forward.shape.classes() - 1));
        s.spread(grams.ss, part, &mut gradients.s, context);
        SampleRows::new(&features.b).spread(grams.bb, part, &mut to.features.b, context);
    }

    fn hidden_value(
        isa: InstructionSet,
        range: &Range<usize>,
        features: &Features<'_, T>,
        gradients: &FeatureGradients<'_, T>,
    ) -> f64 {
        dot(isa, features.a.rows(range), gradients.a.rows(range))
    }

    fn back<'g>(
        isa: InstructionSet,
        chunk: &Range<usize>,
        own: &'g FeatureGradients<'_, T>,
        b_hat: &mut [T],
        _: &mut FactorGradients<'_, T>,
    ) -> HiddenGradient<'g, T> {
        add_scaled(isa, b_hat, T::ONE, own.b.rows(chunk));
        HiddenGradient::Flat(own.a.rows(chunk))
    }
}

/// Turns the Gram matrices of a tile into coefficients, including that of ĝ; returns its part of the terms in S and B.
fn combine_tile<T: Element>(isa: InstructionSet, tile: &Tile, grams: &mut Grams<'_, T>) -> Squares {
    let Grams { weights, ga, gg, ss, bb, .. } = grams;
    let (ss, bb) = (&mut ss[..tile.len()], &mut bb[..tile.len()]);
    let (output, cross) = isa.vectorize(|| combine(tile.columns.len(), weights, ga, gg, ss, bb));
    Squares { output: tile.count() * output, cross: tile.count() * cross, hidden: 0.0 }
}

/// Turns the Gram matrices of a tile into coefficients, row by row; returns the parts of the output and the cross term.
#[inline(always)]
fn combine<T: Element>(width: usize, weights: &[T], ga: &[T], gg: &mut [T], ss: &mut [T], bb: &mut [T]) -> (f64, f64) {
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
