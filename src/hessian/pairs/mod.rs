//! tr H² by pairs of samples.
//!
//! ```text
//! tr H² = Σ_{n,n'} w(n,n') κ(n,n')                                  w: one weight for self pairs, one for cross pairs
//! κ = ⟨S,S'⟩ Gg²                                                    output block
//!   + 2 Ga ( ⟨B,B'⟩ Gg + x + xᵀ + (r·r')(f·f') )                    cross blocks
//!   + Ga² ⟨A,A'⟩                                                    hidden block
//! Ga = x·x' + 1,  Gg = h·h' + 1,  x = ⟨B∘h, (r⊗f)'⟩
//! ```
//!
//! in the basis of contrasts, with `R = K − 1` in place of K (see [`factors`](super::factors)).
//!
//! **Loop order.** Pairs are visited as tiles, rows × columns, each unordered pair of tiles once. What the terms need of a tile are Gram
//! matrices; these are formed by matrix products, turned into the coefficients of the derivatives, multiplied with the columns' features
//! into the rows' hats (and, transposed, with the rows' into the columns'), and dropped. No array of N×N exists. As κ and w are
//! symmetric, the derivative with respect to a sample's features is twice that of its own side of each pair.
//!
//! **Workers.** The triangle of all pairs is cut into two triangles, one for either half of the samples, which share no sample and so can
//! be summed at the same time, and the square of the pairs between the halves; a square into four, two and two of which share none. A tile
//! off the diagonal is visited by two workers: each forms half of its rows, then one adds to the hats of the rows, the other to those of
//! the columns. All is cut at places that depend on the number of samples alone, and so is the order in which sums are added.
//!
//! **Forms.** The plan's [`Form`] says how the terms in S, B and A are computed: [`flat`], with feature rows as long as the matrices, or
//! [`tangent`], through R×R matrices of each pair. The terms in x ([`x_term`]) and r ([`common`]) are the same in both.

mod common;
mod desk;
mod flat;
mod rows;
mod tangent;
mod tile;
mod x_term;

use core::ops::Range;

use crate::hessian::contrasts::triangle;
use crate::hessian::evaluation::Squares;
use crate::hessian::factors::{self, CHUNK, Factors, Hats, HiddenHat, Loaded, chunks, middle};
use crate::hessian::samples::Samples;
use crate::network::Shape;
use crate::plan::{Form, Work, largest, product, sum};
use crate::real::Real;
use crate::simd::InstructionSet;
use crate::vector::{add_scaled, dot};
use crate::workers::Workers;
use crate::workspace::{Arena, PerSample};
use desk::{Grams, Local, Team};
use rows::{End, RowHats, Rows};
use tangent::Network;
use tile::{Features, Side, Tile};

/// Samples a tile.
const TILE: usize = 64;

const fn tile_len(n: usize) -> usize {
    if n < TILE { n } else { TILE }
}

/// The cheaper form.
pub(crate) const fn cheaper_form(shape: Shape, n: usize) -> Form {
    let (flat, tangent) = (work(shape, n, Form::Flat), work(shape, n, Form::Tangent));
    if tangent.cost < flat.cost { Form::Tangent } else { Form::Flat }
}

/// Value and derivatives for `n` samples.
pub(crate) const fn work(shape: Shape, n: usize, form: Form) -> Work {
    let own = match form {
        Form::Flat => Work::sum(&[flat::work(shape, n), factors::work_of_a(shape).times(n)]),
        Form::Tangent => tangent::work(shape, n),
    };
    Work::sum(&[common::work(shape, n), own, factors::work(shape).times(n)])
}

/// Elements that [`add`] cuts off a workspace for `n` samples.
pub(crate) const fn elements(shape: Shape, n: usize, form: Form) -> u64 {
    let own = match form {
        Form::Flat => 0,
        Form::Tangent => tangent::elements(shape, n),
    };
    sum(&[x_term::elements(shape, n), own, rows::elements(shape, n, form)])
}

/// Elements of a worker's scratch, besides packing space.
pub(crate) const fn worker_elements(shape: Shape, n: usize, form: Form) -> u64 {
    let chunk = product(&[if n < CHUNK { n } else { CHUNK }, shape.classes() - 1, shape.hidden()]);
    largest(&[sum(&[chunk, factors::loaded_elements(shape, n)]), desk::elements(shape, n, form)])
}

/// Elements of packing space that the products need.
pub(crate) const fn packing_elements(shape: Shape, n: usize, form: Form) -> u64 {
    let own = match form {
        Form::Flat => flat::packing_elements(shape, n),
        Form::Tangent => tangent::packing_elements(shape, n),
    };
    largest(&[common::packing_elements(shape, n), own])
}

/// What all stages of a sum over pairs read. The form is a constant, so that a program whose plans have one form has none of the other.
struct Sum<'a, 'w, T, const TANGENT: bool> {
    isa: InstructionSet,
    samples: &'a Samples<'w, T>,
    factors: &'a Factors<'w, T>,
    /// The samples whose pairs are summed.
    range: Range<usize>,
    /// Of a pair of a sample with itself, and of any other.
    weights: (T, T),
}

/// What the constant of a [`Sum`] stands for.
const fn form_of(tangent: bool) -> Form {
    if tangent { Form::Tangent } else { Form::Flat }
}

/// Sums over all pairs within `range`; adds the derivatives to the hats, if there are any.
#[allow(clippy::too_many_arguments, reason = "one stage of an evaluation: what it reads, what it adds to, and scratch")]
pub(crate) fn add<T: Real>(
    isa: InstructionSet,
    samples: &Samples<'_, T>,
    range: Range<usize>,
    (self_weight, cross_weight): (f64, f64),
    form: Form,
    factors: &Factors<'_, T>,
    hats: Option<Hats<'_, T>>,
    arena: Arena<'_, T>,
    workers: Workers<'_, T>,
) -> Squares {
    let weights = (T::from_f64(self_weight), T::from_f64(cross_weight));
    match form {
        Form::Flat => Sum::<_, false> { isa, samples, factors, range, weights }.add(hats, arena, workers),
        Form::Tangent => Sum::<_, true> { isa, samples, factors, range, weights }.add(hats, arena, workers),
    }
}

impl<T: Real, const TANGENT: bool> Sum<'_, '_, T, TANGENT> {
    /// All of it.
    fn add(&self, mut hats: Option<Hats<'_, T>>, mut arena: Arena<'_, T>, mut workers: Workers<'_, T>) -> Squares {
        let (shape, form, range) = (self.samples.shape, form_of(TANGENT), self.range.clone());
        let inputs = arena.take(x_term::elements(shape, range.len()) as usize);
        let network = Network::new(self, &mut arena);
        let mut features = Rows::new(shape, &range, form, &mut arena);
        let mut own = RowHats::new(shape, &range, form, &mut arena);

        self.fill(range.clone(), features.reborrow(), own.reborrow(), workers.reborrow());
        let mut pairs = Pairs { sum: self, network, features: &features };
        let end = End { own: own.reborrow(), hats: hats.as_mut().map(Hats::reborrow) };
        let mut squares = pairs.triangle(range.clone(), end, workers.reborrow());
        x_term::spread_by_inputs(self, &features, &mut own, inputs, workers.reborrow());
        let [of_x, of_hidden] = pairs.values(range.clone(), &own, workers.reborrow());
        squares.cross += of_x;
        squares.hidden += 0.5 * of_hidden;
        if let Some(mut hats) = hats {
            if TANGENT {
                pairs.network.finish(self, &mut own, &mut hats);
            }
            pairs.back(range, &own, hats, workers);
        }
        squares
    }

    /// What factors of `n` samples cost.
    fn cost_of_factors(&self, n: usize) -> u64 {
        let (shape, own) = (self.samples.shape, factors::work(self.samples.shape));
        let all = if form_of(TANGENT) == Form::Flat { Work::sum(&[own, factors::work_of_a(shape)]) } else { own };
        all.times(n).cost
    }

    /// Computes the feature rows of some samples, chunk by chunk, and sets their hats to zero: who will add to them has them in his cache.
    fn fill(
        &self,
        range: Range<usize>,
        mut features: Rows<'_, T>,
        mut hats: RowHats<'_, T>,
        mut workers: Workers<'_, T>,
    ) {
        if let Some(at) = workers.cut(range.len(), || self.cost_of_factors(range.len())) {
            let middle = range.start + at;
            let ((before, after), (first, second)) = (features.split_at(middle), hats.split_at(middle));
            workers.join(
                |workers| self.fill(range.start..middle, before, first, workers),
                |workers| self.fill(middle..range.end, after, second, workers),
            );
            return;
        }
        hats.clear();
        let mut loaded = Loaded::new(self.samples.shape, self.range.len(), Arena::new(workers.scratch()));
        for chunk in chunks(range) {
            loaded.load(self.isa, self.factors, &chunk);
            x_term::fill(self, &loaded, &chunk, &mut features);
            match form_of(TANGENT) {
                Form::Flat => flat::fill(self, &mut loaded, &chunk, &mut features),
                Form::Tangent => tangent::fill(self, &loaded, &chunk, &mut features),
            }
        }
    }
}

/// A sum over pairs whose features are known.
struct Pairs<'a, 'w, T, const TANGENT: bool> {
    sum: &'a Sum<'a, 'w, T, TANGENT>,
    network: Network<'a, T>,
    features: &'a Rows<'a, T>,
}

impl<T: Real, const TANGENT: bool> Pairs<'_, '_, T, TANGENT> {
    /// Workers for some pairs: as many as pay.
    fn workers<'b>(&self, pairs: usize, workers: Workers<'b, T>) -> Workers<'b, T> {
        let of_a_tile = || work(self.sum.samples.shape, TILE, form_of(TANGENT)).cost;
        workers.for_cost(|| product(&[pairs]).saturating_mul(of_a_tile() / product(&[TILE, TILE])))
    }

    /// All pairs within some samples.
    fn triangle(&self, range: Range<usize>, mut end: End<'_, T>, workers: Workers<'_, T>) -> Squares {
        let mut workers = self.workers(range.len() * range.len(), workers);
        let Some(middle) = middle(&range, TILE) else {
            return self.tile(&Tile { rows: range.clone(), columns: range }, end, None, workers);
        };
        let (first, second) = (range.start..middle, middle..range.end);
        let (before, after) = end.reborrow().split_at(middle);
        let (mut squares, other) = workers.reborrow().join(
            |workers| self.triangle(first.clone(), before, workers),
            |workers| self.triangle(second.clone(), after, workers),
        );
        squares += other;
        let (before, after) = end.split_at(middle);
        squares += self.square(first, second, before, after, workers);
        squares
    }

    /// All pairs of a sample of the rows and another of the columns, once.
    fn square(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        mut row_end: End<'_, T>,
        mut column_end: End<'_, T>,
        workers: Workers<'_, T>,
    ) -> Squares {
        let mut workers = self.workers(2 * rows.len() * columns.len(), workers);
        match (middle(&rows, TILE), middle(&columns, TILE)) {
            (None, None) => self.tile(&Tile { rows, columns }, row_end, Some(column_end), workers),
            (Some(at), None) => {
                let (before, after) = row_end.split_at(at);
                let mut squares =
                    self.square(rows.start..at, columns.clone(), before, column_end.reborrow(), workers.reborrow());
                squares += self.square(at..rows.end, columns, after, column_end, workers);
                squares
            }
            (None, Some(at)) => {
                let (before, after) = column_end.split_at(at);
                let mut squares =
                    self.square(rows.clone(), columns.start..at, row_end.reborrow(), before, workers.reborrow());
                squares += self.square(rows, at..columns.end, row_end, after, workers);
                squares
            }
            (Some(row), Some(column)) => {
                let (rows, columns) = ([rows.start..row, row..rows.end], [columns.start..column, column..columns.end]);
                let mut squares = Squares::default();
                // First those on the diagonal of the square, then the others.
                for [left, right] in [[0, 1], [1, 0]] {
                    let (above, below) = row_end.reborrow().split_at(row);
                    let (before, after) = column_end.reborrow().split_at(column);
                    let (upper, lower) = if left == 0 { (before, after) } else { (after, before) };
                    let (square, other) = workers.reborrow().join(
                        |workers| self.square(rows[0].clone(), columns[left].clone(), above, upper, workers),
                        |workers| self.square(rows[1].clone(), columns[right].clone(), below, lower, workers),
                    );
                    squares += square;
                    squares += other;
                }
                squares
            }
        }
    }

    /// One tile; columns have an end of their own, unless they are the rows.
    fn tile(&self, tile: &Tile, rows: End<'_, T>, columns: Option<End<'_, T>>, workers: Workers<'_, T>) -> Squares {
        let (shape, n, form) = (self.sum.samples.shape, self.sum.range.len(), form_of(TANGENT));
        let (mut one, mut other) = workers.two();
        let (mut space, one) = desk::cut(shape, n, form, one.scratch());
        let other = other.as_mut().map(|(helper, other)| (&mut **helper, desk::cut(shape, n, form, other.scratch()).1));
        let mut team = Team { one, other };
        let mut ends = Ends { rows, columns };

        if tile.is_diagonal() || team.other.is_none() {
            self.form(tile, &mut space.grams, team.one.packing);
        } else {
            let [above, below] = tile.halves();
            let (mut grams, mut others) = space.grams.split_at(above.len());
            team.both(
                |local| self.form(&above, &mut grams, local.packing),
                |local| self.form(&below, &mut others, local.packing),
            );
        }
        let mut squares = match form {
            Form::Flat => flat::combine_tile(self.sum.isa, tile, &mut space.grams),
            Form::Tangent => self.network.visit(self.sum, tile, &mut space, &mut ends, &mut team),
        };
        squares += common::combine_tile(self.sum.isa, tile, &mut space.grams);
        let grams = &space.grams;
        let (rows, columns) = (&mut ends.rows, ends.columns.as_mut());
        match columns {
            Some(columns) => {
                team.both(
                    |local| self.spread(tile, Side::Rows, grams, rows, local),
                    |local| self.spread(tile, Side::Columns, grams, columns, local),
                );
            }
            None => self.spread(tile, Side::Rows, grams, rows, &mut team.one),
        }
        squares
    }

    /// Weights and Gram matrices of a tile, or of some of its rows.
    fn form(&self, tile: &Tile, grams: &mut Grams<'_, T>, packing: &mut [T]) {
        common::form(self.sum, tile, grams, packing);
        let r2 = triangle(self.sum.samples.shape.classes() - 1);
        Features::of_batch(self.sum.factors.s, r2).gram(self.sum.isa, tile, grams.ss, packing);
        if form_of(TANGENT) == Form::Flat {
            Features::new(&self.features.b).gram(self.sum.isa, tile, grams.bb, packing);
        }
    }

    /// Spreads the coefficients of a tile over the hats of one side.
    fn spread(&self, tile: &Tile, side: Side, grams: &Grams<'_, T>, end: &mut End<'_, T>, local: &mut Local<'_, T>) {
        match form_of(TANGENT) {
            Form::Flat => flat::spread(self.sum, self.features, (tile, side), grams, end, local.packing),
            Form::Tangent => tangent::spread(self.sum, self.features, (tile, side), grams, end, local.packing),
        }
        common::spread(self.sum, self.features, (tile, side), grams, end, local);
    }

    /// Two values that the hats hold: 4 Σ' w Ga x, and twice the term in A, or what is left of it.
    fn values(&self, range: Range<usize>, own: &RowHats<'_, T>, workers: Workers<'_, T>) -> [f64; 2] {
        let workers = workers.for_cost(|| product(&[8, range.len(), self.features.bh.width()]));
        if let Some(middle) = middle(&range, CHUNK) {
            let ([of_x, of_hidden], [other_x, other_hidden]) = workers.join(
                |workers| self.values(range.start..middle, own, workers),
                |workers| self.values(middle..range.end, own, workers),
            );
            return [of_x + other_x, of_hidden + other_hidden];
        }
        let value = |features: &PerSample<'_, T>, hats: &PerSample<'_, T>| {
            dot(self.sum.isa, features.rows(&range), hats.rows(&range))
        };
        let Rows { bh, a, o, d, .. } = self.features;
        let of_hidden = match form_of(TANGENT) {
            Form::Flat => value(a, &own.a),
            Form::Tangent => value(o, &own.o) + value(d, &own.d),
        };
        [value(bh, &own.bh), of_hidden]
    }

    /// The way back from the features of some samples, chunk by chunk.
    fn back(&self, range: Range<usize>, own: &RowHats<'_, T>, mut hats: Hats<'_, T>, mut workers: Workers<'_, T>) {
        let Sum { isa, samples, factors, .. } = *self.sum;
        if let Some(at) = workers.cut(range.len(), || self.sum.cost_of_factors(range.len())) {
            let middle = range.start + at;
            let (before, after) = hats.split_at(middle);
            workers.join(
                |workers| self.back(range.start..middle, own, before, workers),
                |workers| self.back(middle..range.end, own, after, workers),
            );
            return;
        }
        let (n, rm) = (self.sum.range.len(), samples.shape.hidden() * (samples.shape.classes() - 1));
        let mut arena = Arena::new(workers.scratch());
        let b_hat = arena.take(n.min(CHUNK) * rm);
        let mut loaded = Loaded::new(samples.shape, n, arena);
        for chunk in chunks(range) {
            loaded.load(isa, factors, &chunk);
            let b_hat = &mut b_hat[..chunk.len() * rm];
            x_term::back(self.sum, &loaded, own, &chunk, b_hat, &mut hats);
            let a_hat = match form_of(TANGENT) {
                Form::Flat => {
                    add_scaled(isa, b_hat, T::ONE, own.b.rows(&chunk));
                    HiddenHat::Flat(own.a.rows(&chunk))
                }
                Form::Tangent => {
                    add_scaled(isa, hats.d.rows_mut(&chunk), T::ONE, own.d.rows(&chunk));
                    HiddenHat::Omega(own.o.rows(&chunk))
                }
            };
            loaded.back(isa, samples, factors, &chunk, Some(b_hat), a_hat, &mut hats);
        }
    }
}

/// What a tile's rows and columns are added to.
struct Ends<'w, T> {
    rows: End<'w, T>,
    /// Absent where the columns are among the rows' samples.
    columns: Option<End<'w, T>>,
}
