//! Scratch of those who visit a tile.

use crate::hessian::pairs::{tangent, tile_len, x_term};
use crate::network::Shape;
use crate::plan::{Form, largest, product, sum};
use crate::workers::{Helper, both};
use crate::workspace::Arena;

/// Gram matrices of a tile, or of some of its rows; later the coefficients that are made of them.
#[derive(Debug)]
pub(super) struct Grams<'w, T> {
    /// w of every pair.
    pub weights: &'w mut [T],
    /// Ga.
    pub ga: &'w mut [T],
    /// Gg; the form leaves the coefficients of ĝ in its place.
    pub gg: &'w mut [T],
    /// Coefficients of Â: 2w Ga².
    pub aa: &'w mut [T],
    pub rr: &'w mut [T],
    pub ff: &'w mut [T],
    /// ⟨S,S'⟩.
    pub ss: &'w mut [T],
    /// ⟨B,B'⟩, of the flat form.
    pub bb: &'w mut [T],
}

impl<T> Grams<'_, T> {
    /// Those of the first `len` pairs, and of the others, which are rows of the tile.
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

/// What is formed of a tile, by all who visit it.
#[derive(Debug)]
pub(super) struct Space<'w, T> {
    pub grams: Grams<'w, T>,
    /// Entries of W of a part of the tile: of the tangent form, as is the other.
    pub w: &'w mut [T],
    /// q̂ of the columns, from half of the rows.
    pub q_hat: &'w mut [T],
}

/// What each of those who visit a tile has of his own.
#[derive(Debug)]
pub(super) struct Local<'w, T> {
    /// Rows f of the columns of a part, transposed: of the tangent form.
    pub transposed: &'w mut [T],
    /// Rows f times something, for a group of entries of W or of classes.
    pub scaled: &'w mut [T],
    /// A row for each entry of a group: of the tangent form, as is the next.
    pub sums: &'w mut [T],
    /// Θ of a register of pairs, and what it is made of.
    pub registers: &'w mut [T],
    /// For the matrix products: all that is left.
    pub packing: &'w mut [T],
}

/// One or two who visit a tile.
pub(super) struct Team<'w, T> {
    pub one: Local<'w, T>,
    /// And the helper that runs its half.
    pub other: Option<(&'w mut Helper, Local<'w, T>)>,
}

impl<T: Send> Team<'_, T> {
    /// Does both, at the same time if there are two.
    pub(super) fn both<A: Send, B: Send>(
        &mut self,
        first: impl FnOnce(&mut Local<'_, T>) -> A + Send,
        second: impl FnOnce(&mut Local<'_, T>) -> B + Send,
    ) -> (A, B) {
        let one = &mut self.one;
        match &mut self.other {
            Some((helper, other)) => both(helper, || first(one), || second(other)),
            None => {
                let done = first(one);
                (done, second(one))
            }
        }
    }
}

/// Lengths of the slices, in their order.
const fn lengths(shape: Shape, n: usize, form: Form) -> [u64; 14] {
    let tile = tile_len(n);
    let gram = product(&[tile, tile]);
    let [w, q_hat, transposed, scaled, sums, registers] = match form {
        Form::Flat => [0; 6],
        Form::Tangent => tangent::lengths(shape, n),
    };
    let bb = if matches!(form, Form::Flat) { gram } else { 0 };
    let scaled = largest(&[scaled, x_term::scratch(shape, n)]);
    [gram, gram, gram, gram, gram, gram, gram, bb, w, q_hat, transposed, scaled, sums, registers]
}

/// Elements of a worker's scratch, besides packing space.
pub(super) const fn elements(shape: Shape, n: usize, form: Form) -> u64 {
    sum(&lengths(shape, n, form))
}

/// Cuts the scratch of a worker, for batches of up to `n` samples.
pub(super) fn cut<T>(shape: Shape, n: usize, form: Form, scratch: &mut [T]) -> (Space<'_, T>, Local<'_, T>) {
    let mut arena = Arena::new(scratch);
    let [weights, ga, gg, aa, rr, ff, ss, bb, w, q_hat, transposed, scaled, sums, registers] =
        lengths(shape, n, form).map(|len| arena.take(len as usize));
    let grams = Grams { weights, ga, gg, aa, rr, ff, ss, bb };
    (Space { grams, w, q_hat }, Local { transposed, scaled, sums, registers, packing: arena.rest() })
}
