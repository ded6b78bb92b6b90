//! Products with few rows or columns whose operands are contiguous along k: every element of C is a dot product.
//!
//! The lanes run along k, so neither operand is copied and no lane is idle, however few columns C has. The cost is a sum over lanes for
//! each element of C, four at a time. Tiles of 4×4 (where registers suffice), 4×2, 4×1, 2×4, 2×1, 1×4 and 1×1 accumulators; each is a sum over
//! every `LANES`-th step.

use super::vouched::Vouched;
use crate::number::Number;
use crate::simd::Element;
use crate::simd::{Kernel, Lanes, Simd};

/// Whether dot products take fewer operations than tiles, which use `n.div_ceil(LANES)` registers a row and copy B.
#[inline(always)]
pub(super) const fn pays<S: Simd, T: Element>(m: usize, k: usize, n: usize) -> bool {
    let lanes = <T::Lanes<S> as Lanes>::LANES;
    let (narrow, few) = (n <= 2 * lanes, m <= 16);
    if !narrow && !few {
        return false;
    }
    // A transposed block of 16 elements takes about 5 operations. The tiles wait for the copy, and there are two more calls: together as
    // long as 900 operations.
    let copy = k * n / 3 + 900;
    m * n * (k.div_ceil(lanes) + <T::Lanes<S> as Lanes>::SUM_OPERATIONS) < m * k * n.div_ceil(lanes) + copy
}

/// Operands as in the micro-kernel, for all of C: `a_row` is the distance of rows of A, `b_col` of columns of B.
pub(super) struct Dots<T> {
    pub m: usize,
    pub k: usize,
    pub n: usize,
    pub a: *const T,
    pub a_row: usize,
    pub b: *const T,
    pub b_col: usize,
    pub c: *mut T,
    pub c_row: usize,
    pub d: *const T,
    pub d_row: usize,
    pub alpha: T,
    pub beta: T,
}

impl<T: Element> Dots<T> {
    /// # Safety
    /// A, B and C hold m×k, k×n and m×n elements, so does the addend unless β = 0; C overlaps neither A nor B, and is D or
    /// does not overlap it.
    #[inline(always)]
    pub(super) unsafe fn product<S: Simd>(&self, simd: S) {
        // SAFETY: by this function's contract.
        simd.run(unsafe { Vouched::new(self) });
    }
}

impl<T: Element> Kernel for Vouched<&Dots<T>> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let dots = self.operands();
        let &Dots { m, n, .. } = dots;
        let mut i = 0;
        // SAFETY: the contract of `Dots::product`, which was vouched for; rows below m, columns below n.
        unsafe {
            while i + 4 <= m {
                let mut j = 0;
                while S::REGISTERS >= 32 && j + 4 <= n {
                    tile::<S, T, 4, 4>(simd, dots, i, j);
                    j += 4;
                }
                while j + 2 <= n {
                    tile::<S, T, 4, 2>(simd, dots, i, j);
                    j += 2;
                }
                if j < n {
                    tile::<S, T, 4, 1>(simd, dots, i, j);
                }
                i += 4;
            }
            if i + 2 <= m {
                let mut j = 0;
                while j + 4 <= n {
                    tile::<S, T, 2, 4>(simd, dots, i, j);
                    j += 4;
                }
                while j < n {
                    tile::<S, T, 2, 1>(simd, dots, i, j);
                    j += 1;
                }
                i += 2;
            }
            if i < m {
                let mut j = 0;
                while j + 4 <= n {
                    tile::<S, T, 1, 4>(simd, dots, i, j);
                    j += 4;
                }
                while j < n {
                    tile::<S, T, 1, 1>(simd, dots, i, j);
                    j += 1;
                }
            }
        }
    }
}

/// The tile of C whose first element is (i, j).
///
/// # Safety
/// As [`Dots::product`]; the tile lies in C.
#[inline(always)]
unsafe fn tile<S: Simd, T: Element, const ROWS: usize, const COLS: usize>(simd: S, dots: &Dots<T>, i: usize, j: usize) {
    let lanes = T::Lanes::<S>::LANES;
    let &Dots { k, a, a_row, b, b_col, c, c_row, d, d_row, alpha, beta, .. } = dots;
    let mut sums = [[T::Lanes::<S>::zero(simd); COLS]; ROWS];
    let whole = k - k % lanes;
    // SAFETY: elements of the rows and columns of the tile, steps below k.
    unsafe {
        let (a, b) = (a.add(i * a_row), b.add(j * b_col));
        for p in (0..whole).step_by(lanes) {
            let columns: [_; COLS] = core::array::from_fn(|v| T::Lanes::<S>::load_ptr(simd, b.add(v * b_col + p)));
            for (u, sums) in sums.iter_mut().enumerate() {
                let row = T::Lanes::<S>::load_ptr(simd, a.add(u * a_row + p));
                for (sum, &column) in sums.iter_mut().zip(&columns) {
                    *sum = row.mul_add(column, *sum);
                }
            }
        }
        if whole < k {
            let rest = k - whole;
            let load = |x: *const T| T::Lanes::<S>::load_partial_ptr(simd, x, rest);
            let columns: [_; COLS] = core::array::from_fn(|v| load(b.add(v * b_col + whole)));
            for (u, sums) in sums.iter_mut().enumerate() {
                let row = load(a.add(u * a_row + whole));
                for (sum, &column) in sums.iter_mut().zip(&columns) {
                    *sum = row.mul_add(column, *sum);
                }
            }
        }
        let totals = totals::<T::Lanes<S>, ROWS, COLS>(sums);
        for (u, mut totals) in totals.into_iter().enumerate() {
            totals.iter_mut().for_each(|total| *total *= alpha);
            if beta != T::ZERO {
                let d = d.add((i + u) * d_row + j);
                for (v, total) in totals.iter_mut().enumerate() {
                    *total += beta * *d.add(v);
                }
            }
            *c.add((i + u) * c_row + j).cast::<[T; COLS]>() = totals;
        }
    }
}

/// The sum of each accumulator.
#[inline(always)]
fn totals<V: Lanes, const ROWS: usize, const COLS: usize>(sums: [[V; COLS]; ROWS]) -> [[V::Scalar; COLS]; ROWS] {
    let mut totals = [[V::Scalar::ZERO; COLS]; ROWS];
    let place = |index: usize| (index / COLS, index % COLS);
    for index in (0..ROWS * COLS).step_by(4) {
        if index + 4 <= ROWS * COLS {
            let four = core::array::from_fn(|offset| {
                let (row, col) = place(index + offset);
                sums[row][col]
            });
            // Whole, so that it stays in a register.
            totals.as_flattened_mut()[index..index + 4].copy_from_slice(&V::reduce_sums(four));
        } else {
            for (row, col) in (index..ROWS * COLS).map(place) {
                totals[row][col] = sums[row][col].reduce_sum();
            }
        }
    }
    totals
}
