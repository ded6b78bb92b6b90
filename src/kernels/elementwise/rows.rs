//! Rows of an N×K matrix, in registers.
//!
//! Functions of rows (softmax, its Jacobian, cross-entropy) are written once over [`Rows`], a sequence of registers, in
//! two layouts:
//!
//! - [`Columns`], for few classes: a block of rows is transposed into a [`Tile`] on the stack; register j holds column j of as many rows
//!   as there are lanes. No sum crosses the lanes, and no lane is idle whatever K is.
//! - [`Row`], for many classes: the registers are the pieces of one row, the last one partial; totals cross the lanes.

use core::ops::{Deref, DerefMut};

use crate::number::Number;
use crate::simd::Element;
use crate::simd::{Lanes, MAX_LANES};

/// Numbers in a tile.
const TILE: usize = 512;

/// The most columns for which a tile has room for a register of rows in every instruction set.
pub(super) const TILE_COLUMNS: usize = TILE / MAX_LANES;

/// One row, or one row a lane, as a sequence of registers.
pub(super) trait Rows<V: Lanes> {
    /// Number of registers.
    fn registers(&self) -> usize;
    /// Register `j`; `fill` in lanes beyond the end of the row.
    fn get(&self, j: usize, fill: V::Scalar) -> V;
    /// Sums of the rows from sums of the lanes.
    fn sum(&self, x: V) -> V;
    /// Maxima of the rows from maxima of the lanes.
    fn max(&self, x: V) -> V;
}

/// Rows that can be written to.
pub(super) trait RowsMut<V: Lanes>: Rows<V> {
    /// Writes register `j`, without lanes beyond the end of the row.
    fn set(&mut self, j: usize, value: V);
}

/// A block of rows, transposed: column j begins at `j · stride`.
pub(super) struct Tile<T> {
    numbers: [T; TILE],
    stride: usize,
}

impl<T: Element> Tile<T> {
    /// Room for [`rows`](Self::rows) rows of `classes` numbers, at most [`TILE_COLUMNS`].
    #[inline(always)]
    pub(super) fn new(classes: usize) -> Self {
        debug_assert!((1..=TILE_COLUMNS).contains(&classes));
        Self { numbers: [T::ZERO; TILE], stride: TILE / classes / MAX_LANES * MAX_LANES }
    }

    /// How many rows fit: a multiple of the lanes of every instruction set.
    #[inline(always)]
    pub(super) fn rows(&self) -> usize {
        self.stride
    }

    /// Transposes `rows`, row-major, into the tile. Further rows of the tile keep what they hold.
    #[inline(always)]
    pub(super) fn read(&mut self, rows: &[T], classes: usize) {
        for (j, column) in self.numbers.chunks_exact_mut(self.stride).take(classes).enumerate() {
            for (entry, row) in column.iter_mut().zip(rows.chunks_exact(classes)) {
                *entry = row[j];
            }
        }
    }

    /// Fills the tile with rows that are 1 at the given class and 0 elsewhere.
    #[inline(always)]
    pub(super) fn one_hot(&mut self, targets: &[u32], classes: usize) {
        self.numbers[..classes * self.stride].fill(T::ZERO);
        for (row, &class) in targets.iter().enumerate() {
            self.numbers[class as usize * self.stride + row] = T::ONE;
        }
    }

    /// Transposes the tile into `rows`.
    #[inline(always)]
    pub(super) fn write(&self, rows: &mut [T], classes: usize) {
        for (j, column) in self.numbers.chunks_exact(self.stride).take(classes).enumerate() {
            for (&entry, row) in column.iter().zip(rows.chunks_exact_mut(classes)) {
                row[j] = entry;
            }
        }
    }

    /// A register of rows, from row `first` on.
    #[inline(always)]
    pub(super) fn columns<V: Lanes<Scalar = T>>(
        &mut self,
        simd: V::Simd,
        classes: usize,
        first: usize,
    ) -> Columns<'_, V> {
        Columns { simd, numbers: &mut self.numbers[first..], stride: self.stride, classes }
    }
}

/// One row in each lane: register j begins at `j · stride`.
pub(super) struct Columns<'a, V: Lanes> {
    simd: V::Simd,
    numbers: &'a mut [V::Scalar],
    stride: usize,
    classes: usize,
}

impl<V: Lanes> Rows<V> for Columns<'_, V> {
    #[inline(always)]
    fn registers(&self) -> usize {
        self.classes
    }

    #[inline(always)]
    fn get(&self, j: usize, _: V::Scalar) -> V {
        V::load(self.simd, &self.numbers[j * self.stride..])
    }

    #[inline(always)]
    fn sum(&self, x: V) -> V {
        x
    }

    #[inline(always)]
    fn max(&self, x: V) -> V {
        x
    }
}

impl<V: Lanes> RowsMut<V> for Columns<'_, V> {
    #[inline(always)]
    fn set(&mut self, j: usize, value: V) {
        value.store(&mut self.numbers[j * self.stride..]);
    }
}

/// The pieces of one row. `R` is `&[T]`, or `&mut [T]` to write to.
pub(super) struct Row<V: Lanes, R> {
    pub(super) simd: V::Simd,
    pub(super) numbers: R,
}

impl<V: Lanes, R: Deref<Target = [V::Scalar]>> Rows<V> for Row<V, R> {
    #[inline(always)]
    fn registers(&self) -> usize {
        self.numbers.len().div_ceil(V::LANES)
    }

    #[inline(always)]
    fn get(&self, j: usize, fill: V::Scalar) -> V {
        let rest = &self.numbers[j * V::LANES..];
        if rest.len() >= V::LANES {
            V::load(self.simd, rest)
        } else {
            let lanes: [V::Scalar; MAX_LANES] = core::array::from_fn(V::Scalar::from_usize);
            let inside = V::load(self.simd, &lanes).lt(V::splat(self.simd, V::Scalar::from_usize(rest.len())));
            V::select(inside, V::load_partial(self.simd, rest), V::splat(self.simd, fill))
        }
    }

    #[inline(always)]
    fn sum(&self, x: V) -> V {
        V::splat(self.simd, x.reduce_sum())
    }

    #[inline(always)]
    fn max(&self, x: V) -> V {
        V::splat(self.simd, x.reduce_max())
    }
}

impl<V: Lanes, R: DerefMut<Target = [V::Scalar]>> RowsMut<V> for Row<V, R> {
    #[inline(always)]
    fn set(&mut self, j: usize, value: V) {
        let rest = &mut self.numbers[j * V::LANES..];
        if rest.len() >= V::LANES { value.store(rest) } else { value.store_partial(rest) }
    }
}
