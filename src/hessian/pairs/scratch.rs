//! Scratch of the workers that visit a tile: what they form of the tile, and what each worker has for itself.

use crate::hessian::contrasts::triangle;
use crate::hessian::pairs::parts::{self, largest_part};
use crate::hessian::pairs::tile::tile_len;
use crate::hessian::pairs::x_lengths;
use crate::kernels::context::Context;
use crate::network::Shape;
use crate::plan::Form;
use crate::simd::{Element, MAX_LANES};
use crate::workers::{Helper, both};
use crate::workspace::buffers;

buffers! {
    /// Scratch of one worker, besides packing space. What is formed of a tile lies in the scratch of the first worker.
    struct Buffers(shape: Shape, n: usize, form: Form) where {
        let (m, k, tile, part) = (shape.hidden(), shape.classes(), tile_len(n), largest_part(shape, n));
        // Buffers of the other form have no elements.
        let (flat, tangent) = match form {
            Form::Flat => (1, 0),
            Form::Tangent => (0, 1),
        };
    } {
        weights: [tile, tile],
        ga: [tile, tile],
        gg: [tile, tile],
        aa: [tile, tile],
        rr: [tile, tile],
        ff: [tile, tile],
        ss: [tile, tile],
        bb: [flat, tile, tile],
        psi: [tangent, part, triangle(k - 1).saturating_add(1), part],
        column_p: [tangent, k, part],
        transposed: [tangent, parts::panels_len(part), m],
        scaled: [scaled_len(shape, n, form)],
        sums: [tangent, parts::GROUP, m],
        registers: [tangent, k.saturating_add(7), k, MAX_LANES],
    }
}

/// Length of [`WorkerScratch::scaled`]: the largest of its uses.
const fn scaled_len(shape: Shape, n: usize, form: Form) -> usize {
    let (of_x, of_entries) = (x_lengths::scaled_len(shape, n), parts::scaled_len(shape, largest_part(shape, n)));
    if matches!(form, Form::Tangent) && of_entries > of_x { of_entries } else { of_x }
}

/// Elements of a worker's scratch, besides packing space.
pub(super) const fn elements(shape: Shape, n: usize, form: Form) -> u64 {
    Buffers::elements(shape, n, form)
}

/// Gram matrices of a tile, or of some of its rows; later the coefficients that are made of them.
#[derive(Debug)]
pub(super) struct Grams<'w, T> {
    /// w_nn' of every pair.
    pub weights: &'w mut [T],
    /// Ga.
    pub ga: &'w mut [T],
    /// Gg; the form leaves the coefficients of ĝ in its place.
    pub gg: &'w mut [T],
    /// Coefficients of Â: 2 w_nn' Ga².
    pub aa: &'w mut [T],
    pub rr: &'w mut [T],
    pub ff: &'w mut [T],
    /// ⟨S,S'⟩.
    pub ss: &'w mut [T],
    /// ⟨B,B'⟩, of the flat form.
    pub bb: &'w mut [T],
}

impl<T> Grams<'_, T> {
    /// The first `len` pairs, and the others; both are whole rows of the tile.
    pub(super) fn split_at(&mut self, len: usize) -> (Grams<'_, T>, Grams<'_, T>) {
        let Self { weights, ga, gg, aa, rr, ff, ss, bb } = self;
        let [(weights, weights2), (ga, ga2), (gg, gg2), (aa, aa2), (rr, rr2), (ff, ff2), (ss, ss2), (bb, bb2)] =
            [weights, ga, gg, aa, rr, ff, ss, bb].map(|gram| {
                let all = gram.len();
                gram.split_at_mut(len.min(all))
            });
        let others = Grams { weights: weights2, ga: ga2, gg: gg2, aa: aa2, rr: rr2, ff: ff2, ss: ss2, bb: bb2 };
        (Grams { weights, ga, gg, aa, rr, ff, ss, bb }, others)
    }
}

/// What is formed of a tile.
#[derive(Debug)]
pub(super) struct TileScratch<'w, T> {
    pub grams: Grams<'w, T>,
    /// Entries of Ψ of a part of the tile: of the tangent form, as is the next.
    pub psi: &'w mut [T],
    /// The derivative with respect to p̄ of the columns, from half of the rows.
    pub column_p: &'w mut [T],
}

/// What each worker has for itself.
#[derive(Debug)]
pub(super) struct WorkerScratch<'w, T> {
    /// Rows f of the columns of a part, transposed: of the tangent form.
    pub transposed: &'w mut [T],
    /// Rows f times something, for a group of entries of Ψ or of classes.
    pub scaled: &'w mut [T],
    /// A row for each entry of a group: of the tangent form, as is the next.
    pub sums: &'w mut [T],
    /// Θ of a register of pairs, and its intermediate results.
    pub registers: &'w mut [T],
    /// The context of this worker; the rest of its scratch is packing space.
    pub context: Context<'w, T>,
}

/// Cuts the scratch of a worker, for sums over `n` samples.
pub(super) fn cut<'w, T: Element>(
    shape: Shape,
    n: usize,
    form: Form,
    context: &'w mut Context<'_, T>,
) -> (TileScratch<'w, T>, WorkerScratch<'w, T>) {
    let (buffers, context) = context.carve(|arena| Buffers::cut(shape, n, form, arena));
    let Buffers { weights, ga, gg, aa, rr, ff, ss, bb, psi, column_p, transposed, scaled, sums, registers } = buffers;
    let grams = Grams { weights, ga, gg, aa, rr, ff, ss, bb };
    (TileScratch { grams, psi, column_p }, WorkerScratch { transposed, scaled, sums, registers, context })
}

/// The workers that visit a tile: one, or two.
pub(super) struct TileWorkers<'w, T> {
    pub first: WorkerScratch<'w, T>,
    /// With the helper that runs its half.
    pub second: Option<(&'w mut Helper, WorkerScratch<'w, T>)>,
}

impl<T: Send> TileWorkers<'_, T> {
    /// Runs both, at the same time if there are two workers.
    pub(super) fn both<A: Send, B: Send>(
        &mut self,
        one: impl FnOnce(&mut WorkerScratch<'_, T>) -> A + Send,
        other: impl FnOnce(&mut WorkerScratch<'_, T>) -> B + Send,
    ) -> (A, B) {
        let first = &mut self.first;
        match &mut self.second {
            Some((helper, second)) => both(helper, || one(first), || other(second)),
            None => {
                let done = one(first);
                (done, other(first))
            }
        }
    }
}
