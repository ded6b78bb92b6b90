//! Copies the lower triangle of a symmetric matrix to the upper one.

use super::MatrixMut;
use crate::Real;
use crate::simd::{Kernel, Lanes, Simd};

/// c(j, i) ← c(i, j) for j < i. Blocks of `LANES` rows are transposed in registers up to the block on the diagonal.
pub(super) struct Mirror<'a, 'b, T>(pub &'b mut MatrixMut<'a, T>);

impl<T: Real> Kernel for Mirror<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (n, stride) = (self.0.rows(), self.0.row_stride());
        debug_assert!(self.0.cols() == n, "a square matrix");
        let (lanes, step) = (T::Lanes::<S>::LANES, T::Lanes::<S>::TRANSPOSE);
        let c = self.0.as_mut_ptr();
        let whole = n - n % lanes;
        for first in (0..whole).step_by(lanes) {
            for j in (0..first).step_by(step) {
                // SAFETY: rows `first..first + LANES` and columns `j..j + TRANSPOSE` lie below the diagonal, their mirror
                // image above it; `TRANSPOSE` divides `LANES`.
                unsafe {
                    let (lower, upper) = (c.add(first * stride + j), c.add(j * stride + first));
                    T::Lanes::<S>::transpose_ptr(simd, lower, stride, lanes, upper, stride);
                }
            }
        }
        // The blocks on the diagonal, and the rows that fill no block.
        for i in 0..n {
            let first = if i < whole { i - i % lanes } else { 0 };
            for j in first..i {
                // SAFETY: both elements lie in the matrix.
                unsafe { *c.add(j * stride + i) = *c.add(i * stride + j) };
            }
        }
    }
}
