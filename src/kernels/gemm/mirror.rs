//! Copies one triangle of a symmetric matrix to the other one.

use super::matrix::MatrixMut;
use crate::simd::Element;
use crate::simd::{InstructionSet, Kernel, Lanes, MAX_LANES, Simd};

/// The triangle that is copied, without the diagonal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    Lower,
    Upper,
}

/// c(j, i) ← c(i, j) for j < i if the lower half is copied, for j > i if the upper one is.
pub(crate) fn mirror<T: Element>(isa: InstructionSet, mut c: MatrixMut<T>, half: Half) {
    isa.run(Mirror { c: &mut c, half });
}

/// Blocks of `LANES` rows are transposed in registers, up to the block on the diagonal or from there on. The block on the diagonal is
/// transposed to the stack, and one half of it is copied back.
struct Mirror<'a, 'b, T> {
    c: &'b mut MatrixMut<'a, T>,
    half: Half,
}

impl<T: Element> Kernel for Mirror<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (n, stride) = (self.c.rows(), self.c.row_stride());
        assert!(self.c.cols() == n, "a square matrix");
        let (lanes, step) = (T::Lanes::<S>::LANES, T::Lanes::<S>::TRANSPOSE);
        let c = self.c.as_mut_ptr();
        for first in (0..n).step_by(lanes) {
            let last = n.min(first + lanes);
            // The columns beside the block on the diagonal, as far as they are transposed in registers.
            let beside = match self.half {
                Half::Lower => 0..first,
                Half::Upper => last..n,
            };
            let whole = if last - first == lanes { beside.len() - beside.len() % step } else { 0 };
            // SAFETY: rows `first..first + LANES` and the columns beside lie on one side of the diagonal, their mirror image on the other; if
            // there are any.
            unsafe {
                let (block, image) = (c.add(first * stride), c.add(first));
                let (block, image) = (block.wrapping_add(beside.start), image.wrapping_add(beside.start * stride));
                T::Lanes::<S>::transpose_columns_ptr(simd, block, stride, lanes, whole, image, stride);
            }
            let rest = beside.start + whole..beside.end;
            if last - first == lanes {
                let mut image = [T::ZERO; MAX_LANES * MAX_LANES];
                // SAFETY: the block lies in the matrix, its image of `LANES` rows and columns in the array.
                unsafe {
                    let block = c.add(first * stride + first);
                    T::Lanes::<S>::transpose_columns_ptr(simd, block, stride, lanes, lanes, image.as_mut_ptr(), lanes);
                }
                for (i, image) in image.chunks_exact(lanes).enumerate().take(lanes) {
                    let image = T::Lanes::<S>::load(simd, image);
                    // SAFETY: the row is one of the block's, `LANES` numbers.
                    unsafe {
                        let row = c.add((first + i) * stride + first);
                        match self.half {
                            Half::Upper => image.store_partial_ptr(row, i),
                            Half::Lower => {
                                let own = T::Lanes::<S>::load_ptr(simd, row);
                                image.store_ptr(row);
                                own.store_partial_ptr(row, i + 1);
                            }
                        }
                    }
                }
            }
            for i in first..last {
                let within = match self.half {
                    _ if last - first == lanes => 0..0,
                    Half::Lower => first..i,
                    Half::Upper => i + 1..last,
                };
                for j in within.chain(rest.clone()) {
                    // SAFETY: both elements lie in the matrix.
                    unsafe { *c.add(j * stride + i) = *c.add(i * stride + j) };
                }
            }
        }
    }
}
