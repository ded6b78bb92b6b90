//! What the sum over pairs keeps of every sample: features, and the derivatives that are collected for them.
//!
//! Features are written once, before the first pair. Derivatives are added to by every tile that a sample takes part in: who has a
//! tile, has those of its rows and of its columns, and no one else has.

use core::ops::Range;

use crate::hessian::contrasts::triangle;
use crate::hessian::factors::Hats;
use crate::hessian::pairs::{TILE, x_term};
use crate::network::Shape;
use crate::plan::{Form, product, sum};
use crate::real::Real;
use crate::workspace::{Arena, PerSample};

/// Feature rows of the samples; those of the other form are empty.
#[derive(Debug)]
pub(super) struct Rows<'w, T> {
    /// B∘h, RM each, and what keeps rows off each other's cache sets.
    pub bh: PerSample<'w, T>,
    /// r⊗f, RM each: where x is linear.
    pub rf: PerSample<'w, T>,
    /// A flat and B, M₂ and RM each: of the flat form.
    pub a: PerSample<'w, T>,
    pub b: PerSample<'w, T>,
    /// o, d and o + d, M each: of the tangent form.
    pub o: PerSample<'w, T>,
    pub d: PerSample<'w, T>,
    pub od: PerSample<'w, T>,
}

/// Widths of [`Rows`] in their order.
const fn row_widths(shape: Shape, n: usize, form: Form) -> [usize; 7] {
    let (m, rm) = (shape.hidden(), shape.hidden().saturating_mul(shape.classes() - 1));
    let bh = x_term::row_len(shape, n);
    let rf = if x_term::is_linear(shape, n) { rm } else { 0 };
    match form {
        Form::Flat => [bh, rf, triangle(m), rm, 0, 0, 0],
        Form::Tangent => [bh, rf, 0, 0, m, m, m],
    }
}

/// Derivatives with respect to feature rows.
#[derive(Debug)]
pub(super) struct RowHats<'w, T> {
    /// Of B∘h and r⊗f, RM each; of the latter where x is linear.
    pub bh: PerSample<'w, T>,
    pub rf: PerSample<'w, T>,
    /// Of A and B, M₂ and RM each: of the flat form.
    pub a: PerSample<'w, T>,
    pub b: PerSample<'w, T>,
    /// Of o and d, M each: of the tangent form, as are the others.
    pub o: PerSample<'w, T>,
    pub d: PerSample<'w, T>,
    /// q̂ from tiles in whose columns the sample is, K each; those of a block of [`TILE`] samples lie together, a row a class.
    pub q: PerSample<'w, T>,
    /// Û, RM for every block of [`TILE`] samples, numbered by block: from the tiles of whose rows they are, to be added up.
    pub u: PerSample<'w, T>,
    /// The first sample of the first block.
    origin: usize,
}

/// Widths of [`RowHats`] in their order, but the last.
const fn hat_widths(shape: Shape, n: usize, form: Form) -> [usize; 7] {
    let [bh, rf, a, b, o, d, _] = row_widths(shape, n, form);
    let q = if matches!(form, Form::Tangent) { shape.classes() } else { 0 };
    [bh, rf, a, b, o, d, q]
}

/// Numbers of Û.
const fn u_len(shape: Shape, n: usize, form: Form) -> u64 {
    match form {
        Form::Flat => 0,
        Form::Tangent => product(&[n.div_ceil(TILE), shape.classes() - 1, shape.hidden()]),
    }
}

/// Elements that [`Rows::new`] and [`RowHats::new`] take for `n` samples.
pub(super) const fn elements(shape: Shape, n: usize, form: Form) -> u64 {
    let (rows, hats) = (row_widths(shape, n, form), hat_widths(shape, n, form));
    let (mut total, mut index) = (u_len(shape, n, form), 0);
    while index < rows.len() {
        total = sum(&[total, product(&[n, rows[index]]), product(&[n, hats[index]])]);
        index += 1;
    }
    total
}

impl<'w, T: Real> Rows<'w, T> {
    pub(super) fn new(shape: Shape, range: &Range<usize>, form: Form, arena: &mut Arena<'w, T>) -> Self {
        let [bh, rf, a, b, o, d, od] = row_widths(shape, range.len(), form)
            .map(|width| PerSample::new(arena.take(range.len() * width), width, range.start));
        Self { bh, rf, a, b, o, d, od }
    }

    /// Those of the samples before `at`, and of the others.
    pub(super) fn split_at(self, at: usize) -> (Self, Self) {
        let Self { bh, rf, a, b, o, d, od } = self;
        let [(bh, bh2), (rf, rf2), (a, a2), (b, b2), (o, o2), (d, d2), (od, od2)] =
            [bh, rf, a, b, o, d, od].map(|rows| rows.split_at(at));
        (Self { bh, rf, a, b, o, d, od }, Self { bh: bh2, rf: rf2, a: a2, b: b2, o: o2, d: d2, od: od2 })
    }

    /// The same, borrowed for a shorter time.
    pub(super) fn reborrow(&mut self) -> Rows<'_, T> {
        let Self { bh, rf, a, b, o, d, od } = self;
        let [bh, rf, a, b, o, d, od] = [bh, rf, a, b, o, d, od].map(PerSample::reborrow);
        Rows { bh, rf, a, b, o, d, od }
    }
}

impl<'w, T: Real> RowHats<'w, T> {
    /// Not set to zero yet.
    pub(super) fn new(shape: Shape, range: &Range<usize>, form: Form, arena: &mut Arena<'w, T>) -> Self {
        let [bh, rf, a, b, o, d, q] = hat_widths(shape, range.len(), form)
            .map(|width| PerSample::new(arena.take(range.len() * width), width, range.start));
        let width = if matches!(form, Form::Tangent) { (shape.classes() - 1) * shape.hidden() } else { 0 };
        let u = PerSample::new(arena.take(u_len(shape, range.len(), form) as usize), width, 0);
        Self { bh, rf, a, b, o, d, q, u, origin: range.start }
    }

    /// Sets all to zero.
    pub(super) fn clear(&mut self) {
        let Self { bh, rf, a, b, o, d, q, u, .. } = self;
        for hats in [bh, rf, a, b, o, d, q, u] {
            hats.all_mut().fill(T::ZERO);
        }
    }

    /// Those of the samples before `at`, and of the others, who have Û of its block.
    pub(super) fn split_at(self, at: usize) -> (Self, Self) {
        let Self { bh, rf, a, b, o, d, q, u, origin } = self;
        let [(bh, bh2), (rf, rf2), (a, a2), (b, b2), (o, o2), (d, d2), (q, q2)] =
            [bh, rf, a, b, o, d, q].map(|rows| rows.split_at(at));
        let (u, u2) = u.split_at((at - origin) / TILE);
        let others = Self { bh: bh2, rf: rf2, a: a2, b: b2, o: o2, d: d2, q: q2, u: u2, origin };
        (Self { bh, rf, a, b, o, d, q, u, origin }, others)
    }

    /// The same, borrowed for a shorter time.
    pub(super) fn reborrow(&mut self) -> RowHats<'_, T> {
        let Self { bh, rf, a, b, o, d, q, u, origin } = self;
        let [bh, rf, a, b, o, d, q, u] = [bh, rf, a, b, o, d, q, u].map(PerSample::reborrow);
        RowHats { bh, rf, a, b, o, d, q, u, origin: *origin }
    }

    /// Û of the block that begins with a sample.
    pub(super) fn u_of(&mut self, sample: usize) -> &mut [T] {
        self.u.row_mut((sample - self.origin) / TILE)
    }
}

/// All derivatives of some samples: what rows or columns of a tile are added to.
#[derive(Debug)]
pub(super) struct End<'w, T> {
    pub own: RowHats<'w, T>,
    /// If only the value is wanted, nothing.
    pub hats: Option<Hats<'w, T>>,
}

impl<T: Real> End<'_, T> {
    /// Those of the samples before `at`, the first of a block, and of the others.
    pub(super) fn split_at(self, at: usize) -> (Self, Self) {
        let (own, other) = self.own.split_at(at);
        let (hats, others) = self.hats.map(|hats| hats.split_at(at)).unzip();
        (Self { own, hats }, Self { own: other, hats: others })
    }

    /// The same, borrowed for a shorter time.
    pub(super) fn reborrow(&mut self) -> End<'_, T> {
        End { own: self.own.reborrow(), hats: self.hats.as_mut().map(Hats::reborrow) }
    }
}
