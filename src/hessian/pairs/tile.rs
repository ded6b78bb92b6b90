//! Tiles of pairs, and the products on them: Gram matrices, and coefficients times features.

use core::ops::Range;

use crate::kernels::context::Context;
use crate::kernels::gemm::{Addend, Matrix, MatrixMut, Triangle};
use crate::simd::Element;
use crate::workspace::{PerSample, pieces};

/// Samples on a side of a tile.
pub(super) const TILE: usize = 64;

pub(super) const fn tile_len(n: usize) -> usize {
    if n < TILE { n } else { TILE }
}

/// A tile of pairs.
#[derive(Clone, Debug)]
pub(super) struct Tile {
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
}

impl Tile {
    /// Whether rows and columns are the same samples.
    pub(super) fn is_diagonal(&self) -> bool {
        self.rows == self.columns
    }

    /// How often the tile's pairs count in the sum: off the diagonal a tile stands for its mirror image too.
    pub(super) fn count(&self) -> f64 {
        if self.is_diagonal() { 1.0 } else { 2.0 }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    /// The first half of its rows, and the others; the second half is empty if there is one row.
    pub(super) fn halves(&self) -> [Self; 2] {
        let middle = self.rows.start + self.rows.len().div_ceil(2);
        [self.rows.start..middle, middle..self.rows.end].map(|rows| Self { rows, columns: self.columns.clone() })
    }

    /// The tile cut into parts of at most `len` samples a side; of a tile on the diagonal only the parts on or above the diagonal.
    pub(super) fn parts(&self, len: usize) -> impl Iterator<Item = Self> {
        let (columns, diagonal) = (self.columns.clone(), self.is_diagonal());
        pieces(self.rows.clone(), len).flat_map(move |rows| {
            let first = if diagonal { rows.start } else { 0 };
            pieces(columns.clone(), len)
                .filter(move |columns| columns.start >= first)
                .map(move |columns| Self { rows: rows.clone(), columns })
        })
    }
}

/// The side of a tile whose gradients are added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Rows,
    Columns,
}

impl Side {
    /// The samples whose gradients are added to, and those whose features are multiplied.
    pub(super) fn of(self, tile: &Tile) -> [&Range<usize>; 2] {
        match self {
            Self::Rows => [&tile.rows, &tile.columns],
            Self::Columns => [&tile.columns, &tile.rows],
        }
    }

    /// The coefficients of the tile, rows × columns, as a matrix that has one row for each sample that is added to.
    pub(super) fn coefficients<'a, T: Element>(self, coefficients: &'a [T], tile: &Tile) -> Matrix<'a, T> {
        let coefficients = Matrix::row_major(&coefficients[..tile.len()], tile.rows.len(), tile.columns.len());
        if self == Self::Rows { coefficients } else { coefficients.t() }
    }
}

/// Rows of features of one kind, of the samples from `first` on.
#[derive(Clone, Copy)]
pub(super) struct SampleRows<'a, T> {
    data: &'a [T],
    width: usize,
    first: usize,
}

impl<'a, T: Element> SampleRows<'a, T> {
    /// The rows of all samples of the batch.
    pub(super) fn of_batch(data: &'a [T], width: usize) -> Self {
        Self { data, width, first: 0 }
    }

    pub(super) fn new(rows: &'a PerSample<'_, T>) -> Self {
        Self { data: rows.all(), width: rows.width(), first: rows.first() }
    }

    pub(super) fn of(self, rows: &Range<usize>) -> &'a [T] {
        &self.data[(rows.start - self.first) * self.width..(rows.end - self.first) * self.width]
    }

    pub(super) fn rows(self, rows: &Range<usize>) -> Matrix<'a, T> {
        Matrix::row_major(self.of(rows), rows.len(), self.width)
    }

    /// Writes the Gram matrix of the tile, or of some of its rows, to `gram`. Off the diagonal, tiles are [`TILE`] rows high.
    pub(super) fn gram(self, tile: &Tile, gram: &mut [T], context: &mut Context<'_, T>) {
        let (left, right) = (self.rows(&tile.rows), self.rows(&tile.columns));
        let out = MatrixMut::row_major(&mut gram[..tile.len()], tile.rows.len(), tile.columns.len());
        if tile.is_diagonal() {
            context.gram(out, T::ONE, left, None, T::ZERO, Triangle::Both);
        } else {
            context.reborrow().rows_of_product(out, T::ONE, left, right.t(), Addend::Zero, TILE);
        }
    }

    /// Multiplies coefficients, rows × columns, with the features of one side, and adds the result to the gradients of the other side.
    pub(super) fn spread(
        self,
        coefficients: &[T],
        (tile, side): (&Tile, Side),
        gradients: &mut PerSample<'_, T>,
        context: &mut Context<'_, T>,
    ) {
        let [to, from] = side.of(tile);
        let coefficients = side.coefficients(coefficients, tile);
        let gradients = MatrixMut::row_major(gradients.rows_mut(to), to.len(), self.width);
        context.add(gradients, coefficients, self.rows(from));
    }
}
