//! Packing: copies of panels of B and strips of A in the order in which the micro-kernel reads them.

use super::matrix::Matrix;
use super::vouched::Vouched;
use crate::simd::Element;
use crate::simd::{InstructionSet, Kernel, Lanes, MAX_LANES, Simd};
use core::ops::Range;

/// Elements of a matrix by pointer: (i, j) at `data + i·row + j·col`.
#[derive(Clone, Copy)]
pub(super) struct Source<T> {
    pub data: *const T,
    pub row: usize,
    pub col: usize,
}

impl<T> Source<T> {
    /// The element (i, j), as the first of a block.
    #[inline(always)]
    pub(super) fn at(self, i: usize, j: usize) -> Self {
        Self { data: self.data.wrapping_add(i * self.row + j * self.col), ..self }
    }
}

/// Writes Aᵀ as rows of `width` numbers, for products that share B. `width` is a multiple of the lanes of any register and at least the
/// number of A's rows; the rest of a row has no meaning.
///
/// Panics if `panel` has not `width` numbers for each column of A.
pub(crate) fn transpose<T: Element>(isa: InstructionSet, a: Matrix<T>, panel: &mut [T], width: usize) {
    let (b, k, cols) = (a.t(), a.cols(), a.rows());
    assert!(cols >= 1 && cols <= width && width.is_multiple_of(MAX_LANES), "{cols} columns in rows of {width}");
    assert!(k * width <= panel.len(), "a panel of {k} rows of {width}");
    let b = Source { data: b.as_ptr(), row: b.row_stride(), col: b.col_stride() };
    let panel = Panel { b, k, cols, weights: None, panel: panel.as_mut_ptr(), width };
    // SAFETY: A has these rows and columns, the panel these numbers, as asserted.
    isa.run(unsafe { Vouched::new(&panel) });
}

/// Packs `k`×`cols` elements of B as rows of `width` numbers, a multiple of `LANES` and at least `cols`, each times the
/// weight of its row if there are weights. What fills a row beyond `cols` never reaches C.
pub(super) struct Panel<'a, T> {
    pub b: Source<T>,
    pub k: usize,
    pub cols: usize,
    pub weights: Option<&'a [T]>,
    pub panel: *mut T,
    pub width: usize,
}

impl<T: Element> Panel<'_, T> {
    /// # Safety
    /// `b` is valid for reads of `k` rows and `cols` columns, `panel` for writes of `k·width` numbers, there are `k` weights,
    /// if any, and `1 <= cols <= width`.
    #[inline(always)]
    pub(super) unsafe fn pack<S: Simd>(&self, simd: S) {
        // SAFETY: by this function's contract.
        simd.run(unsafe { Vouched::new(self) });
    }
}

/// A function of its own: inlined into the loops, it would take their registers.
impl<T: Element> Kernel for Vouched<&Panel<'_, T>> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let &Panel { b, k, cols, weights, panel, width } = self.operands();
        // SAFETY: the contract of `Panel::pack`, which was vouched for.
        unsafe {
            match b.col {
                1 => copy_rows(simd, b, k, cols, panel, width),
                _ => gather_columns(simd, b, k, cols, panel, width),
            }
            if let Some(weights) = weights {
                weight_rows(simd, weights, panel, width);
            }
        }
    }
}

/// [`Panel::pack`] where rows are contiguous.
#[inline(always)]
unsafe fn copy_rows<S: Simd, T: Element>(simd: S, b: Source<T>, k: usize, cols: usize, panel: *mut T, width: usize) {
    let lanes = T::Lanes::<S>::LANES;
    for j in (0..width).step_by(lanes) {
        let left = cols.saturating_sub(j);
        // SAFETY: rows below `k`, columns below `cols`; in the panel, whole registers of its rows.
        unsafe {
            let (source, target) = (b.data.wrapping_add(j), panel.add(j));
            if left >= lanes {
                for p in 0..k {
                    T::Lanes::<S>::load_ptr(simd, source.add(p * b.row)).store_ptr(target.add(p * width));
                }
            } else {
                for p in 0..k {
                    let row = source.wrapping_add(p * b.row);
                    T::Lanes::<S>::load_partial_ptr(simd, row, left).store_ptr(target.add(p * width));
                }
            }
        }
    }
}

/// [`Panel::pack`] where columns are contiguous, or nothing is.
#[inline(always)]
unsafe fn gather_columns<S: Simd, T: Element>(
    simd: S,
    b: Source<T>,
    k: usize,
    cols: usize,
    panel: *mut T,
    width: usize,
) {
    let (lanes, step) = (T::Lanes::<S>::LANES, T::Lanes::<S>::TRANSPOSE);
    let whole = if b.row == 1 { k - k % step } else { 0 };
    for j in (0..width).step_by(lanes) {
        let columns = cols.saturating_sub(j).min(lanes);
        // SAFETY: rows below `k`, columns below `cols`; in the panel, whole registers of its rows.
        unsafe {
            let (source, target) = (b.at(0, j).data, panel.add(j));
            match columns {
                0 => {}
                _ if columns == lanes => {
                    T::Lanes::<S>::transpose_columns_ptr(simd, source, b.col, lanes, whole, target, width)
                }
                _ => T::Lanes::<S>::transpose_columns_ptr(simd, source, b.col, columns, whole, target, width),
            }
            for p in whole..k {
                for i in 0..columns {
                    *panel.add(p * width + j + i) = *b.at(p, j + i).data;
                }
            }
        }
    }
}

/// Multiplies row p of a packed panel by `weights[p]`.
#[inline(always)]
unsafe fn weight_rows<S: Simd, T: Element>(simd: S, weights: &[T], panel: *mut T, width: usize) {
    for (p, &weight) in weights.iter().enumerate() {
        let weight = T::Lanes::<S>::splat(simd, weight);
        for j in (0..width).step_by(T::Lanes::<S>::LANES) {
            // SAFETY: within row p of the panel.
            unsafe {
                let target = panel.add(p * width + j);
                (T::Lanes::<S>::load_ptr(simd, target) * weight).store_ptr(target);
            }
        }
    }
}

/// Packs `tiles` tiles of `rows` rows and `k` columns of A, each column by column without gaps.
pub(super) struct Strip<T> {
    pub a: Source<T>,
    pub rows: usize,
    pub tiles: usize,
    pub k: usize,
    pub strip: *mut T,
}

impl<T: Element> Strip<T> {
    /// # Safety
    /// `a` is valid for reads of `tiles·rows` rows and `k` columns, `strip` for writes of as many numbers and `MAX_LANES`
    /// more.
    #[inline(always)]
    pub(super) unsafe fn pack<S: Simd>(&self, simd: S) {
        // SAFETY: by this function's contract.
        simd.run(unsafe { Vouched::new(self) });
    }
}

/// A function of its own, as above.
impl<T: Element> Kernel for Vouched<&Strip<T>> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let &Strip { a, rows, tiles, k, strip } = self.operands();
        for tile in 0..tiles {
            let (a, target) = (a.at(tile * rows, 0), strip.wrapping_add(tile * rows * k));
            // SAFETY: the contract of `Strip::pack`, which was vouched for, for one tile.
            unsafe {
                match (a.row, a.col) {
                    (1, _) => copy_columns(simd, a, rows, k, target),
                    (_, 1) => transpose_rows(simd, a, rows, k, target),
                    _ => gather(a, rows, 0..k, target),
                }
            }
        }
    }
}

/// One tile of [`Strip::pack`] where columns are contiguous. Whole registers are stored: what one writes beyond the end of its column is
/// overwritten by the next column, or by the registers above it, which follow.
#[inline(always)]
unsafe fn copy_columns<S: Simd, T: Element>(simd: S, a: Source<T>, rows: usize, k: usize, target: *mut T) {
    let lanes = T::Lanes::<S>::LANES;
    for p in 0..k {
        for i in (0..rows).step_by(lanes).rev() {
            // SAFETY: rows below `rows` of column p are read; at most `LANES` numbers beyond the tile are written.
            unsafe {
                let source = a.at(i, p).data;
                let register = match rows - i {
                    left if left < lanes => T::Lanes::<S>::load_partial_ptr(simd, source, left),
                    _ => T::Lanes::<S>::load_ptr(simd, source),
                };
                register.store_ptr(target.add(p * rows + i));
            }
        }
    }
}

/// One tile of [`Strip::pack`] where rows are contiguous; whole registers are stored, as in [`copy_columns`].
#[inline(always)]
unsafe fn transpose_rows<S: Simd, T: Element>(simd: S, a: Source<T>, rows: usize, k: usize, target: *mut T) {
    let (lanes, step) = (T::Lanes::<S>::LANES, T::Lanes::<S>::TRANSPOSE);
    let whole = k - k % step;
    for p in (0..whole).step_by(step) {
        for i in (0..rows).step_by(lanes).rev() {
            // SAFETY: rows below `rows`, columns below `k`; at most `LANES` numbers beyond the tile are written.
            unsafe {
                let target = target.add(p * rows + i);
                T::Lanes::<S>::transpose_ptr(simd, a.at(i, p).data, a.row, lanes.min(rows - i), target, rows);
            }
        }
    }
    // SAFETY: as above.
    unsafe { gather(a, rows, whole..k, target) };
}

/// The columns `steps` of one tile, number by number.
#[inline(always)]
unsafe fn gather<T: Element>(a: Source<T>, rows: usize, steps: Range<usize>, target: *mut T) {
    for p in steps {
        for i in 0..rows {
            // SAFETY: the tile has the element (i, p).
            unsafe { *target.add(p * rows + i) = *a.at(i, p).data };
        }
    }
}
