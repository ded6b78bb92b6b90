//! Views of matrices: a slice with dimensions and strides, checked once.

use crate::error::Error;
use crate::simd::Element;
use core::ops::Range;

/// A borrowed matrix: element (i, j) is `data[i·row_stride + j·col_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

/// A borrowed matrix to write to, its rows contiguous: element (i, j) is `data[i·row_stride + j]`. Rows do not overlap.
#[derive(Debug)]
pub struct MatrixMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
}

/// Elements from the first to the last of a matrix, or `None` if the number overflows.
fn extent(rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> Option<usize> {
    if rows == 0 || cols == 0 {
        return Some(0);
    }
    let last_row = (rows - 1).checked_mul(row_stride)?;
    let last_col = (cols - 1).checked_mul(col_stride)?;
    last_row.checked_add(last_col)?.checked_add(1)
}

/// One short call for all matrices of this crate.
#[cold]
#[inline(never)]
fn too_short() -> ! {
    panic!("a slice shorter than its matrix")
}

/// Elements of a matrix without gaps. A product that overflows is longer than any slice.
#[inline(always)]
fn area(rows: usize, cols: usize) -> usize {
    rows.saturating_mul(cols)
}

fn check_extent(given: usize, extent: Option<usize>) -> Result<(), Error> {
    match extent {
        Some(least) if least <= given => Ok(()),
        Some(least) => Err(Error::TooSmall { argument: "length of a matrix's data", given, least }),
        None => Err(Error::TooLarge { quantity: "matrix" }),
    }
}

impl<'a, T> Matrix<'a, T> {
    /// A row-major matrix without gaps.
    ///
    /// # Errors
    /// [`Error::TooSmall`] if `data` has fewer than `rows·cols` elements, [`Error::TooLarge`] where that overflows.
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Result<Self, Error> {
        Self::strided(data, rows, cols, cols, 1)
    }

    /// A matrix with any strides; a stride of 0 repeats a row or a column.
    ///
    /// # Errors
    /// [`Error::TooSmall`] if an element would lie outside of `data`, [`Error::TooLarge`] where its place overflows.
    pub fn strided(
        data: &'a [T],
        rows: usize,
        cols: usize,
        row_stride: usize,
        col_stride: usize,
    ) -> Result<Self, Error> {
        check_extent(data.len(), extent(rows, cols, row_stride, col_stride))?;
        Ok(Self { data, rows, cols, row_stride, col_stride })
    }

    /// A row-major matrix without gaps, of the beginning of a slice that is known to be long enough.
    #[inline]
    pub(crate) fn row_major(data: &'a [T], rows: usize, cols: usize) -> Self {
        let Some(data) = data.get(..area(rows, cols)) else { too_short() };
        Self { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// A matrix whose rows begin `row_stride` elements apart, of a slice that is known to be long enough.
    #[inline]
    pub(crate) fn row_major_strided(data: &'a [T], rows: usize, cols: usize, row_stride: usize) -> Self {
        let extent = extent(rows, cols, row_stride, 1).unwrap_or(usize::MAX);
        Self { data: &data[..extent], rows, cols, row_stride, col_stride: 1 }
    }

    /// The transpose: the same elements, seen with rows and columns exchanged.
    #[inline]
    #[must_use]
    pub fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            data: self.data,
        }
    }

    /// Number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[inline]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Elements from a row to the next.
    #[inline]
    pub fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// Elements from a column to the next.
    #[inline]
    pub fn col_stride(&self) -> usize {
        self.col_stride
    }

    /// The rows in `range`. Panics if it does not lie within the matrix.
    #[must_use]
    pub fn rows_range(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.rows, "rows {range:?} of {}", self.rows);
        let rows = range.len();
        // Without elements the offset may lie beyond the slice.
        let offset = if rows == 0 || self.cols == 0 { 0 } else { range.start * self.row_stride };
        Self { data: &self.data[offset..], rows, ..self }
    }

    /// The columns in `range`. Panics if it does not lie within the matrix.
    #[must_use]
    pub fn cols_range(self, range: Range<usize>) -> Self {
        self.t().rows_range(range).t()
    }

    #[inline]
    pub(super) fn as_ptr(&self) -> *const T {
        self.data.as_ptr()
    }
}

impl<'a, T> MatrixMut<'a, T> {
    /// A row-major matrix without gaps.
    ///
    /// # Errors
    /// [`Error::TooSmall`] if `data` has fewer than `rows·cols` elements, [`Error::TooLarge`] where that overflows.
    pub fn new(data: &'a mut [T], rows: usize, cols: usize) -> Result<Self, Error> {
        Self::strided(data, rows, cols, cols)
    }

    /// A matrix whose rows begin `row_stride` elements apart.
    ///
    /// # Errors
    /// [`Error::TooSmall`] if an element would lie outside of `data`, or if rows overlap, that is, if `row_stride < cols` and
    /// there are several; [`Error::TooLarge`] where an element's place overflows.
    pub fn strided(data: &'a mut [T], rows: usize, cols: usize, row_stride: usize) -> Result<Self, Error> {
        if row_stride < cols && rows > 1 {
            return Err(Error::TooSmall { argument: "row stride", given: row_stride, least: cols });
        }
        check_extent(data.len(), extent(rows, cols, row_stride, 1))?;
        Ok(Self { data, rows, cols, row_stride })
    }

    /// A row-major matrix without gaps, of the beginning of a slice that is known to be long enough.
    #[inline]
    pub(crate) fn row_major(data: &'a mut [T], rows: usize, cols: usize) -> Self {
        let Some(data) = data.get_mut(..area(rows, cols)) else { too_short() };
        Self { data, rows, cols, row_stride: cols }
    }

    /// A matrix whose rows begin `row_stride` elements apart and do not overlap, of a slice that is known to be long enough.
    #[inline]
    pub(crate) fn row_major_strided(data: &'a mut [T], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(row_stride >= cols || rows <= 1, "rows of {cols} at distances of {row_stride}");
        let extent = extent(rows, cols, row_stride, 1).unwrap_or(usize::MAX);
        Self { data: &mut data[..extent], rows, cols, row_stride }
    }

    /// Number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[inline]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Elements from a row to the next.
    #[inline]
    pub fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// Row `i`. Panics if there is no such row.
    #[inline]
    pub fn row(&mut self, i: usize) -> &mut [T] {
        assert!(i < self.rows, "row {i} of {}", self.rows);
        let offset = if self.cols == 0 { 0 } else { i * self.row_stride };
        &mut self.data[offset..][..self.cols]
    }

    /// The same matrix, borrowed for a shorter time.
    #[inline]
    pub fn reborrow(&mut self) -> MatrixMut<'_, T> {
        MatrixMut { data: self.data, rows: self.rows, cols: self.cols, row_stride: self.row_stride }
    }

    /// The elements for reading.
    #[inline]
    pub fn as_matrix(&self) -> Matrix<'_, T> {
        Matrix { data: self.data, rows: self.rows, cols: self.cols, row_stride: self.row_stride, col_stride: 1 }
    }

    /// The block of `rows` and `cols`. Panics if it does not lie within the matrix.
    #[must_use]
    pub fn block(self, rows: Range<usize>, cols: Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "rows {rows:?} of {}", self.rows);
        assert!(cols.start <= cols.end && cols.end <= self.cols, "columns {cols:?} of {}", self.cols);
        // Without elements the offset may lie beyond the slice.
        let empty = rows.is_empty() || cols.is_empty();
        let offset = if empty { 0 } else { rows.start * self.row_stride + cols.start };
        Self { data: &mut self.data[offset..], rows: rows.len(), cols: cols.len(), row_stride: self.row_stride }
    }

    /// The rows in `range`. Panics if it does not lie within the matrix.
    #[must_use]
    pub fn rows_range(self, range: Range<usize>) -> Self {
        let cols = self.cols;
        self.block(range, 0..cols)
    }

    /// The rows above `at`, and the others. Both have at least one row.
    pub(crate) fn split_rows(self, at: usize) -> (Self, Self) {
        assert!(0 < at && at < self.rows, "row {at} of {}", self.rows);
        let Self { data, rows, cols, row_stride } = self;
        // A matrix without columns may have no elements.
        let (above, below) = data.split_at_mut(if cols == 0 { 0 } else { at * row_stride });
        (Self { data: above, rows: at, cols, row_stride }, Self { data: below, rows: rows - at, cols, row_stride })
    }

    #[inline]
    pub(super) fn as_mut_ptr(&mut self) -> *mut T {
        self.data.as_mut_ptr()
    }
}

/// What is added to a product.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Addend<'a, T> {
    /// Nothing; C is not read.
    Zero,
    /// β·C.
    Output(T),
    /// The same row to every row of C: a bias.
    Row(&'a [T]),
}

impl<'a, T: Element> Addend<'a, T> {
    /// β·C, where β = 0 means that C is not read.
    #[inline(always)]
    pub(crate) fn scaled(beta: T) -> Self {
        if beta == T::ZERO { Self::Zero } else { Self::Output(beta) }
    }
}
