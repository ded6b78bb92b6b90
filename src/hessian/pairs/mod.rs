//! tr H² by pairs of samples.
//!
//! ```text
//! tr H² = Σ_{n,n'} w_nn' κ                                          w_nn': w_self for n = n', else w_cross
//! κ = ⟨S,S'⟩ Gg²                                                    output block
//!   + 2 Ga ( ⟨B,B'⟩ Gg + χ + χᵀ + (r·r')(f·f') )                    cross blocks
//!   + Ga² ⟨A,A'⟩                                                    hidden block
//! Ga = x·x' + 1,  Gg = h·h' + 1,  χ = ⟨B∘h, (r⊗f)'⟩
//! ```
//!
//! in the basis of contrasts, with `R = K − 1` in place of K (see [`factors`](super::factors)).
//!
//! **Loop order.** Pairs are visited as tiles, rows × columns, each unordered pair of tiles once. For each tile, matrix products form the
//! Gram matrices of its features. These are turned into the coefficients of the derivatives. The coefficients are multiplied with the
//! features of the columns and added to the gradients of the rows; transposed, with the features of the rows and added to the gradients
//! of the columns. Then they are dropped: no array of N×N exists. As κ and w_nn' are symmetric, the derivative with respect to a sample's
//! features is twice that of its own side of each pair.
//!
//! **Workers.** The triangle of all pairs is cut into two triangles, one for each half of the samples, and the square of the pairs
//! between the halves. The triangles share no sample, so two workers can sum them at the same time. A square is cut into four; two and
//! two of these share no sample. A tile off the diagonal is visited by two workers: each forms half of its rows, then one adds to the
//! gradients of the rows, the other to those of the columns. The places of all cuts depend on the number of samples alone, and so does
//! the order in which sums are added.
//!
//! **Forms.** The plan's [`Form`] says how the terms in S, B and A are computed: [`flat`], with feature rows as long as the matrices, or
//! [`tangent`], through R×R matrices of each pair. The terms χ ([`x_term`]) and that in r ([`common`]) are the same in both.

mod common;
mod features;
mod flat;
mod form;
mod parts;
mod scratch;
mod sum;
mod tangent;
mod tile;
mod x_lengths;
mod x_term;

use core::ops::Range;

use crate::bounds::Squares;
use crate::count::{Work, largest, product, sum};
use crate::hessian::contrasts::triangle;
use crate::hessian::factors::chunk::ChunkFactors;
use crate::hessian::factors::{self, CHUNK, FactorGradients, Factors, chunks, middle};
use crate::hessian::forward::Forward;
use crate::kernels::context::Context;
use crate::kernels::vector::dot;
use crate::network::Shape;
use crate::plan::Form;
use crate::simd::Element;
use crate::workspace::Arena;
use features::{FeatureGradients, Features, SampleGradients, TileGradients};
use flat::Flat;
use form::PairForm;
use scratch::{Grams, TileWorkers, WorkerScratch};
use sum::PairSum;
use tangent::Tangent;
use tile::{SampleRows, Side, TILE, Tile};

/// The cheaper form.
pub(crate) const fn cheaper_form(shape: Shape, n: usize) -> Form {
    let (flat, tangent) = (work(shape, n, Form::Flat), work(shape, n, Form::Tangent));
    if tangent.cost < flat.cost { Form::Tangent } else { Form::Flat }
}

/// Work for value and derivatives of `n` samples.
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
    let (features, gradients) = (Features::elements(shape, n, form, n), FeatureGradients::elements(shape, n, form, n));
    sum(&[x_term::elements(shape, n), own, features, gradients])
}

/// Elements of a worker's scratch, besides packing space.
pub(crate) const fn worker_elements(shape: Shape, n: usize, form: Form) -> u64 {
    let chunk = product(&[if n < CHUNK { n } else { CHUNK }, shape.classes() - 1, shape.hidden()]);
    largest(&[sum(&[chunk, factors::chunk::chunk_elements(shape, n)]), scratch::elements(shape, n, form)])
}

/// Elements of packing space that the products need.
pub(crate) const fn packing_elements(shape: Shape, n: usize, form: Form) -> u64 {
    let own = match form {
        Form::Flat => flat::packing_elements(shape, n),
        Form::Tangent => tangent::packing_elements(shape, n),
    };
    largest(&[common::packing_elements(shape, n), own])
}

/// Sums over all pairs of two samples in `range`. Adds the derivatives to the gradients, if any are given.
#[allow(clippy::too_many_arguments, reason = "one stage of an evaluation: what it reads, what it adds to, and scratch")]
pub(crate) fn within<T: Element>(
    forward: &Forward<'_, T>,
    range: Range<usize>,
    (self_weight, cross_weight): (f64, f64),
    form: Form,
    factors: &Factors<'_, T>,
    gradients: Option<FactorGradients<'_, T>>,
    arena: Arena<'_, T>,
    context: Context<'_, T>,
) -> Squares {
    let weights = (T::from_f64(self_weight), T::from_f64(cross_weight));
    let sum = PairSum { forward, factors, range, across: None, weights };
    match form {
        Form::Flat => sum.add::<Flat>(|pairs, to, context| pairs.within(to, context), gradients, arena, context),
        Form::Tangent => {
            sum.add::<Tangent<'_, T>>(|pairs, to, context| pairs.within(to, context), gradients, arena, context)
        }
    }
}

/// Sums over the pairs of a sample before `at` with one from there on, in both orders: of two batches side by side, the pairs between them.
/// Their value alone.
pub(crate) fn across<T: Element>(
    forward: &Forward<'_, T>,
    at: usize,
    weight: f64,
    form: Form,
    factors: &Factors<'_, T>,
    arena: Arena<'_, T>,
    context: Context<'_, T>,
) -> Squares {
    let weight = T::from_f64(weight);
    let sum = PairSum { forward, factors, range: 0..forward.n, across: Some(at), weights: (weight, weight) };
    match form {
        Form::Flat => sum.add::<Flat>(|pairs, to, context| pairs.across(to, context), None, arena, context),
        Form::Tangent => {
            sum.add::<Tangent<'_, T>>(|pairs, to, context| pairs.across(to, context), None, arena, context)
        }
    }
}

impl<T: Element> PairSum<'_, '_, T> {
    /// Runs all stages of the sum; `visit` goes over its pairs.
    fn add<'w, F: PairForm<'w, T>>(
        &self,
        visit: impl FnOnce(&Pairs<'_, '_, T, F>, SampleGradients<'_, T>, Context<'_, T>) -> Squares,
        mut gradients: Option<FactorGradients<'_, T>>,
        mut arena: Arena<'w, T>,
        mut context: Context<'_, T>,
    ) -> Squares {
        let (shape, n, isa, range) = (self.forward.shape, self.range.len(), context.isa, &self.range);
        let inputs = arena.take(x_term::elements(shape, n) as usize);
        let form = F::new(self, &mut arena);
        let mut features = Features::cut(shape, n, F::FORM, range, &mut arena);
        let mut own = FeatureGradients::cut(shape, n, F::FORM, range, &mut arena);

        self.fill::<F>(range.clone(), features.reborrow(), own.reborrow(), context.reborrow());
        let mut pairs = Pairs { sum: self, form, features: &features };
        let to =
            SampleGradients { features: own.reborrow(), factors: gradients.as_mut().map(FactorGradients::reborrow) };
        let mut squares = visit(&pairs, to, context.reborrow());
        x_term::spread_by_inputs(self, &features, &mut own, inputs, context.reborrow());
        let [of_x, of_hidden] = pairs.values(range.clone(), &own, context.reborrow());
        squares.cross += of_x;
        squares.hidden += 0.5 * of_hidden;
        if let Some(mut gradients) = gradients {
            pairs.form.finish(isa, self, &mut own, &mut gradients);
            pairs.back(range.clone(), &own, gradients, context);
        }
        squares
    }

    /// What factors of `n` samples cost.
    fn cost_of_factors(&self, n: usize, form: Form) -> u64 {
        let (shape, own) = (self.forward.shape, factors::work(self.forward.shape));
        let all = if form == Form::Flat { Work::sum(&[own, factors::work_of_a(shape)]) } else { own };
        all.times(n).cost
    }

    /// Computes the feature rows of some samples, chunk by chunk, and sets their gradients to zero. The worker that fills them is likely
    /// to use them first, while they are in its cache.
    fn fill<'w, F: PairForm<'w, T>>(
        &self,
        range: Range<usize>,
        mut features: Features<'_, T>,
        mut gradients: FeatureGradients<'_, T>,
        mut context: Context<'_, T>,
    ) {
        if let Some(at) = context.cut(range.len(), || self.cost_of_factors(range.len(), F::FORM)) {
            let middle = range.start + at;
            let ((before, after), (first, second)) = (features.split_at(middle), gradients.split_at(middle));
            context.join(
                |context| self.fill::<F>(range.start..middle, before, first, context),
                |context| self.fill::<F>(middle..range.end, after, second, context),
            );
            return;
        }
        gradients.for_each(|all| all.fill(T::ZERO));
        let isa = context.isa;
        let mut factors = ChunkFactors::new(self.forward.shape, self.range.len(), &mut context);
        for chunk in chunks(range) {
            factors.load(self.factors, &chunk);
            x_term::fill(isa, self, &factors, &chunk, &mut features);
            F::fill(self, &mut factors, &chunk, &mut features);
        }
    }
}

/// A sum over pairs whose features are known.
struct Pairs<'a, 'w, T, F> {
    sum: &'a PairSum<'a, 'w, T>,
    form: F,
    features: &'a Features<'a, T>,
}

impl<'w, T: Element, F: PairForm<'w, T>> Pairs<'_, '_, T, F> {
    /// The context with as many workers as pay for this number of pairs.
    fn for_pairs<'b>(&self, pairs: usize, context: Context<'b, T>) -> Context<'b, T> {
        let of_a_tile = || work(self.sum.forward.shape, TILE, F::FORM).cost;
        context.for_cost(|| product(&[pairs]).saturating_mul(of_a_tile() / product(&[TILE, TILE])))
    }

    /// All pairs of the sum's samples.
    fn within(&self, to: SampleGradients<'_, T>, context: Context<'_, T>) -> Squares {
        self.triangle(self.sum.range.clone(), to, context)
    }

    /// The pairs of a sample of one of the sum's sides with one of the other.
    fn across(&self, to: SampleGradients<'_, T>, context: Context<'_, T>) -> Squares {
        let [rows, columns] = self.sum.sides();
        let (before, after) = to.split_at(columns.start);
        self.square(rows, columns, before, after, context)
    }

    /// All pairs within some samples.
    fn triangle(&self, range: Range<usize>, mut to: SampleGradients<'_, T>, context: Context<'_, T>) -> Squares {
        let mut context = self.for_pairs(range.len() * range.len(), context);
        let Some(middle) = middle(&range, TILE) else {
            let tile = Tile { rows: range.clone(), columns: range };
            return self.tile(&tile, TileGradients { rows: to, columns: None }, context);
        };
        let (first, second) = (range.start..middle, middle..range.end);
        let (before, after) = to.reborrow().split_at(middle);
        let (mut squares, other) = context.reborrow().join(
            |context| self.triangle(first.clone(), before, context),
            |context| self.triangle(second.clone(), after, context),
        );
        squares += other;
        let (before, after) = to.split_at(middle);
        squares += self.square(first, second, before, after, context);
        squares
    }

    /// All pairs of a sample of the rows with one of the columns, each once.
    fn square(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        mut to_rows: SampleGradients<'_, T>,
        mut to_columns: SampleGradients<'_, T>,
        context: Context<'_, T>,
    ) -> Squares {
        let mut context = self.for_pairs(2 * rows.len() * columns.len(), context);
        match (middle(&rows, TILE), middle(&columns, TILE)) {
            (None, None) => {
                let gradients = TileGradients { rows: to_rows, columns: Some(to_columns) };
                self.tile(&Tile { rows, columns }, gradients, context)
            }
            (Some(at), None) => {
                let (before, after) = to_rows.split_at(at);
                let mut squares =
                    self.square(rows.start..at, columns.clone(), before, to_columns.reborrow(), context.reborrow());
                squares += self.square(at..rows.end, columns, after, to_columns, context);
                squares
            }
            (None, Some(at)) => {
                let (before, after) = to_columns.split_at(at);
                let mut squares =
                    self.square(rows.clone(), columns.start..at, to_rows.reborrow(), before, context.reborrow());
                squares += self.square(rows, at..columns.end, to_rows, after, context);
                squares
            }
            (Some(row), Some(column)) => {
                let (rows, columns) = ([rows.start..row, row..rows.end], [columns.start..column, column..columns.end]);
                let mut squares = Squares::default();
                // First the two squares on the diagonal, then the two others.
                for [left, right] in [[0, 1], [1, 0]] {
                    let (above, below) = to_rows.reborrow().split_at(row);
                    let (before, after) = to_columns.reborrow().split_at(column);
                    let (upper, lower) = if left == 0 { (before, after) } else { (after, before) };
                    let (square, other) = context.reborrow().join(
                        |context| self.square(rows[0].clone(), columns[left].clone(), above, upper, context),
                        |context| self.square(rows[1].clone(), columns[right].clone(), below, lower, context),
                    );
                    squares += square;
                    squares += other;
                }
                squares
            }
        }
    }

    /// One tile.
    fn tile(&self, tile: &Tile, mut gradients: TileGradients<'_, T>, context: Context<'_, T>) -> Squares {
        let (shape, n) = (self.sum.forward.shape, self.sum.range.len());
        let (mut one, mut other) = context.two();
        let (mut scratch, first) = scratch::cut(shape, n, F::FORM, &mut one);
        let second = other.as_mut().map(|(helper, other)| (&mut **helper, scratch::cut(shape, n, F::FORM, other).1));
        let mut workers = TileWorkers { first, second };

        // A tile of fewer rows has none to spare: half of them may be so few that products sum in another order.
        if tile.is_diagonal() || tile.rows.len() < TILE || workers.second.is_none() {
            self.form(tile, &mut scratch.grams, &mut workers.first.context);
        } else {
            let [above, below] = tile.halves();
            let (mut grams, mut others) = scratch.grams.split_at(above.len());
            workers.both(
                |own| self.form(&above, &mut grams, &mut own.context),
                |own| self.form(&below, &mut others, &mut own.context),
            );
        }
        let mut squares = self.form.combine(self.sum, tile, &mut scratch, &mut gradients, &mut workers);
        squares += common::combine_tile(workers.first.context.isa, tile, &mut scratch.grams);
        let grams = &scratch.grams;
        let TileGradients { rows, columns } = &mut gradients;
        match columns {
            Some(columns) => {
                workers.both(
                    |own| self.spread(tile, Side::Rows, grams, rows, own),
                    |own| self.spread(tile, Side::Columns, grams, columns, own),
                );
            }
            None => self.spread(tile, Side::Rows, grams, rows, &mut workers.first),
        }
        squares
    }

    /// Forms the weights and Gram matrices of a tile, or of some of its rows.
    fn form(&self, tile: &Tile, grams: &mut Grams<'_, T>, context: &mut Context<'_, T>) {
        common::form(self.sum, tile, grams, context);
        let r2 = triangle(self.sum.forward.shape.classes() - 1);
        SampleRows::of_batch(self.sum.factors.s, r2).gram(tile, grams.ss, context);
        F::form(self.features, tile, grams, context);
    }

    /// Adds the derivatives of a tile to the gradients of one side.
    fn spread(
        &self,
        tile: &Tile,
        side: Side,
        grams: &Grams<'_, T>,
        to: &mut SampleGradients<'_, T>,
        scratch: &mut WorkerScratch<'_, T>,
    ) {
        F::spread(self.sum, self.features, (tile, side), grams, to, scratch);
        common::spread(self.sum, self.features, (tile, side), grams, to, scratch);
    }

    /// Two values that follow from the gradients: the sum of 4 w_nn' Ga χ over all pairs, and twice the term in A, or what the form
    /// leaves of it.
    fn values(&self, range: Range<usize>, own: &FeatureGradients<'_, T>, context: Context<'_, T>) -> [f64; 2] {
        let context = context.for_cost(|| product(&[8, range.len(), self.features.bh.width()]));
        if let Some(middle) = middle(&range, CHUNK) {
            let ([of_x, of_hidden], [other_x, other_hidden]) = context.join(
                |context| self.values(range.start..middle, own, context),
                |context| self.values(middle..range.end, own, context),
            );
            return [of_x + other_x, of_hidden + other_hidden];
        }
        let isa = context.isa;
        let of_x = dot(isa, self.features.bh.rows(&range), own.bh.rows(&range));
        [of_x, F::hidden_value(isa, &range, self.features, own)]
    }

    /// Turns the derivatives with respect to the features of some samples into those with respect to the factors, chunk by chunk.
    fn back(
        &self,
        range: Range<usize>,
        own: &FeatureGradients<'_, T>,
        mut gradients: FactorGradients<'_, T>,
        mut context: Context<'_, T>,
    ) {
        let PairSum { forward, factors, .. } = *self.sum;
        if let Some(at) = context.cut(range.len(), || self.sum.cost_of_factors(range.len(), F::FORM)) {
            let middle = range.start + at;
            let (before, after) = gradients.split_at(middle);
            context.join(
                |context| self.back(range.start..middle, own, before, context),
                |context| self.back(middle..range.end, own, after, context),
            );
            return;
        }
        let (n, isa) = (self.sum.range.len(), context.isa);
        let rm = forward.shape.hidden() * (forward.shape.classes() - 1);
        let (b_hat, mut context) = context.carve(|arena| arena.take(n.min(CHUNK) * rm));
        let mut chunk_factors = ChunkFactors::new(forward.shape, n, &mut context);
        for chunk in chunks(range) {
            chunk_factors.load(factors, &chunk);
            let b_hat = &mut b_hat[..chunk.len() * rm];
            x_term::back(isa, self.sum, &chunk_factors, own, &chunk, b_hat, &mut gradients);
            let hidden = F::back(isa, &chunk, own, b_hat, &mut gradients);
            chunk_factors.back(forward, factors, &chunk, Some(b_hat), hidden, &mut gradients);
        }
    }
}
