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
//! **Forms.** The plan's [`Form`] says how the terms in S, B and A are computed: [`flat`], with feature rows as long as the matrices, or
//! [`tangent`], through R×R matrices of each pair. The terms in x and r ([`common`]) are the same in both.

mod common;
mod flat;
mod tangent;

use core::ops::Range;

use crate::gemm::{self, Matrix, MatrixMut, gemm};
use crate::hessian::evaluation::Squares;
use crate::hessian::factors::{self, Factors, Hats, chunks};
use crate::hessian::samples::Samples;
use crate::network::Shape;
use crate::plan::{Form, Work, largest, sum};
use crate::real::Real;
use crate::simd::InstructionSet;
use crate::workspace::Arena;
use common::Common;
use flat::Flat;
use tangent::Tangent;

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
        Form::Flat => flat::elements(shape, n),
        Form::Tangent => tangent::elements(shape, n),
    };
    sum(&[common::elements(shape, n), own])
}

/// Elements of packing space that the products need.
pub(crate) const fn packing_elements(shape: Shape, n: usize, form: Form) -> u64 {
    let own = match form {
        Form::Flat => flat::packing_elements(shape, n),
        Form::Tangent => tangent::packing_elements(shape, n),
    };
    largest(&[common::packing_elements(shape, n), own])
}

/// What all stages of a sum over pairs read.
struct Sum<'a, 'w, T> {
    isa: InstructionSet,
    samples: &'a Samples<'w, T>,
    /// The samples whose pairs are summed.
    range: Range<usize>,
    self_weight: T,
    cross_weight: T,
}

/// A tile of pairs; samples are numbered within [`Sum::range`].
#[derive(Clone, Debug)]
struct Tile {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Tile {
    /// Whether rows and columns are the same samples.
    fn is_diagonal(&self) -> bool {
        self.rows == self.columns
    }

    /// How often the tile's pairs count in the sum: two different tiles meet twice.
    fn count(&self) -> f64 {
        if self.is_diagonal() { 1.0 } else { 2.0 }
    }

    fn len(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    /// The tile cut into smaller ones, of at most `len` samples a side; of a tile on the diagonal those on or above the diagonal.
    fn parts(&self, len: usize) -> impl Iterator<Item = Self> {
        let cut = move |all: &Range<usize>| {
            let end = all.end;
            all.clone().step_by(len).map(move |start| start..(start + len).min(end))
        };
        let (columns, diagonal) = (self.columns.clone(), self.is_diagonal());
        cut(&self.rows).flat_map(move |rows| {
            let first = if diagonal { rows.start } else { 0 };
            cut(&columns)
                .filter(move |columns| columns.start >= first)
                .map(move |columns| Self { rows: rows.clone(), columns })
        })
    }
}

/// Feature rows of the samples in [`Sum::range`].
#[derive(Clone, Copy)]
struct Features<'a, T> {
    data: &'a [T],
    width: usize,
}

impl<'a, T: Real> Features<'a, T> {
    fn new(data: &'a [T], width: usize) -> Self {
        Self { data, width }
    }

    /// Those of `range`, out of the rows of all samples.
    fn of_batch(data: &'a [T], width: usize, range: &Range<usize>) -> Self {
        Self { data: &data[range.start * width..range.end * width], width }
    }

    fn rows(self, rows: &Range<usize>) -> Matrix<'a, T> {
        Matrix::row_major(&self.data[rows.start * self.width..rows.end * self.width], rows.len(), self.width)
    }

    /// `gram`, rows × columns, becomes the Gram matrix of the tile.
    fn gram(self, isa: InstructionSet, tile: &Tile, gram: &mut [T], packing: &mut [T]) {
        let (left, right) = (self.rows(&tile.rows), self.rows(&tile.columns));
        let out = MatrixMut::row_major(&mut gram[..tile.len()], tile.rows.len(), tile.columns.len());
        if tile.is_diagonal() {
            gemm::gram(isa, T::ONE, left, None, T::ZERO, out, gemm::Triangle::Both, packing);
        } else {
            gemm(isa, T::ONE, left, right.t(), T::ZERO, out, packing);
        }
    }

    /// Multiplies coefficients, rows × columns, with the columns' features into the rows' hats, and the other way round.
    fn spread(self, isa: InstructionSet, coefficients: &[T], tile: &Tile, hats: &mut [T], packing: &mut [T]) {
        let coefficients = Matrix::row_major(&coefficients[..tile.len()], tile.rows.len(), tile.columns.len());
        let mut multiply = |coefficients, from: &Range<usize>, to: &Range<usize>| {
            let hats = &mut hats[to.start * self.width..to.end * self.width];
            let hats = MatrixMut::row_major(hats, to.len(), self.width);
            gemm(isa, T::ONE, coefficients, self.rows(from), T::ONE, hats, packing);
        };
        multiply(coefficients, &tile.columns, &tile.rows);
        if !tile.is_diagonal() {
            multiply(coefficients.t(), &tile.rows, &tile.columns);
        }
    }
}

/// The terms of one form.
enum Own<'w, T> {
    Flat(Flat<'w, T>),
    Tangent(Tangent<'w, T>),
}

/// Sums over all pairs within `range`; adds the derivatives to the hats, if there are any.
#[allow(clippy::too_many_arguments, reason = "one stage of an evaluation: what it reads, what it adds to, and scratch")]
pub(crate) fn add<T: Real>(
    isa: InstructionSet,
    samples: &Samples<'_, T>,
    range: Range<usize>,
    (self_weight, cross_weight): (f64, f64),
    form: Form,
    factors: &mut Factors<'_, T>,
    mut hats: Option<&mut Hats<'_, T>>,
    mut arena: Arena<'_, T>,
    packing: &mut [T],
) -> Squares {
    let (shape, n) = (samples.shape, range.len());
    let (self_weight, cross_weight) = (T::from_f64(self_weight), T::from_f64(cross_weight));
    let sum = Sum { isa, samples, range, self_weight, cross_weight };

    let mut common = Common::new(shape, n, &mut arena);
    let mut own = match form {
        Form::Flat => Own::Flat(Flat::new(shape, n, &mut arena)),
        Form::Tangent => Own::Tangent(Tangent::new(&sum, factors, &mut arena)),
    };
    for chunk in chunks(sum.range.clone()) {
        factors.load(isa, &chunk, packing);
        common.fill(&sum, factors, &chunk);
        match &mut own {
            Own::Flat(flat) => flat.fill(&sum, factors, &common, &chunk),
            Own::Tangent(tangent) => tangent.fill(&sum, factors, &common, &chunk),
        }
    }

    let mut squares = Squares::default();
    for start in (0..n).step_by(TILE) {
        for other in (start..n).step_by(TILE) {
            let tile = Tile { rows: start..(start + TILE).min(n), columns: other..(other + TILE).min(n) };
            common.form(&sum, factors, &tile, packing);
            squares += match &mut own {
                Own::Flat(flat) => flat.visit(&sum, factors, &mut common, &tile, hats.as_deref_mut(), packing),
                Own::Tangent(tangent) => tangent.visit(&sum, factors, &mut common, &tile, hats.as_deref_mut(), packing),
            };
            squares += common.visit(&sum, factors, &tile, hats.as_deref_mut(), packing);
        }
    }

    common.spread_by_inputs(&sum, packing);
    squares.cross += common.value_of_x(isa);
    squares.hidden += match &own {
        Own::Flat(flat) => flat.value_of_a(isa),
        Own::Tangent(tangent) => tangent.value_of_diagonals(isa),
    };
    let Some(hats) = hats else { return squares };
    if let Own::Tangent(tangent) = &mut own {
        tangent.finish(&sum, factors, hats);
    }
    for chunk in chunks(sum.range.clone()) {
        factors.load(isa, &chunk, packing);
        common.back(&sum, factors, &chunk, hats);
        match &mut own {
            Own::Flat(flat) => flat.back(&sum, factors, &common, &chunk, hats, packing),
            Own::Tangent(tangent) => tangent.back(&sum, factors, &common, &chunk, hats, packing),
        }
    }
    squares
}
