//! Copies one triangle of a symmetric matrix to the other one.

use super::MatrixMut;
use crate::Real;
use crate::simd::{InstructionSet, Kernel, Lanes, Simd};

/// The triangle that is copied, without the diagonal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    Lower,
    Upper,
}

/// c(j, i) ← c(i, j) for j < i if the lower half is copied, for j > i if the upper one is.
pub(crate) fn mirror<T: Real>(isa: InstructionSet, mut c: MatrixMut<T>, half: Half) {
    isa.run(Mirror { c: &mut c, half });
}

/// Blocks of `LANES` rows are transposed in registers, up to the block on the diagonal or from there on.
struct Mirror<'a, 'b, T> {
    c: &'b mut MatrixMut<'a, T>,
    half: Half,
}

impl<T: Real> Kernel for Mirror<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (n, stride) = (self.c.rows(), self.c.row_stride());
        debug_assert!(self.c.cols() == n, "a square matrix");
        let (lanes, step) = (T::Lanes::<S>::LANES, T::Lanes::<S>::TRANSPOSE);
        let c = self.c.as_mut_ptr();
        for first in (0..n).step_by(lanes) {
            let last = n.min(first + lanes);
            // The columns beside the block on the diagonal, as many as are transposed in registers.
            let beside = match self.half {
                Half::Lower => 0..first,
                Half::Upper => last..n,
            };
            let whole = if last - first == lanes { beside.len() - beside.len() % step } else { 0 };
            for j in (beside.start..beside.start + whole).step_by(step) {
                // SAFETY: rows `first..first + LANES` and columns `j..j + TRANSPOSE` lie on one side of the diagonal, their mirror
                // image on the other.
                unsafe {
                    let (block, image) = (c.add(first * stride + j), c.add(j * stride + first));
                    T::Lanes::<S>::transpose_ptr(simd, block, stride, lanes, image, stride);
                }
            }
            for i in first..last {
                let within = match self.half {
                    Half::Lower => first..i,
                    Half::Upper => i + 1..last,
                };
                for j in within.chain(beside.start + whole..beside.end) {
                    // SAFETY: both elements lie in the matrix.
                    unsafe { *c.add(j * stride + i) = *c.add(i * stride + j) };
                }
            }
        }
    }
}
