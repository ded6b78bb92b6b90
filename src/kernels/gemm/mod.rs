//! Matrix products: C ← α·A·B + β·C, and the symmetric C ← α·A·diag(w)·Aᵀ + β·C.
//!
//! Matrices are slices with strides, so every transposition is a view; C has contiguous rows. An m×k by k×n product costs
//! 2mkn flops, the symmetric one half of that. The loops are those of BLIS and GotoBLAS (Van Zee, van de Geijn, *BLIS: a
//! framework for rapidly instantiating BLAS functionality*, ACM TOMS 41, 2015), from the outermost:
//!
//! | loop | over | in steps of | keeps |
//! |---|---|---|---|
//! | 5 | columns of B and C | `N_BLOCK` | packed B in the outer caches |
//! | 4 | k | `K_BLOCK` | sums short enough that a panel stays in L1 |
//! | 3 | rows of A and C | `M_BLOCK` | A in L2 |
//! | 2 | columns | a panel: 2 registers | a panel of B in L1 |
//! | 1 | rows | a tile: 6 or 12 | a tile of C in registers |
//!
//! and inside, the micro-kernel runs over k (`micro.rs`). Unlike BLIS, copies are made only where they pay (`blocks.rs`):
//!
//! - The micro-kernel broadcasts A, so row-major A is read in place. Row-major B is too: the L2 cache delivers its rows in time.
//! - Panels are packed just before their first use.
//! - Where B is small, loops 2 and 1 change places, so that C is written row by row. Where A has few rows, panels are twice as wide.
//! - Products that one or two tiles cover skip all other decisions (`loops.rs`).
//! - Small operands that are contiguous along k go by dot products instead (`dot.rs`), and products of few columns with column-major A as
//!   their transpose (`loops.rs`).
//!
//! The order of summation depends on the dimensions, the strides and the instruction set alone, so a product gives the
//! same bits whenever it is repeated.

mod blocks;
mod dot;
mod loops;
mod matrix;
mod micro;
mod mirror;
mod pack;
mod single;
#[cfg(test)]
mod tests;
mod vouched;

pub(crate) use blocks::largest_workspace;
pub use blocks::workspace_len;
pub(crate) use matrix::Addend;
pub use matrix::{Matrix, MatrixMut};
pub(crate) use mirror::{Half, mirror};
pub(crate) use pack::transpose;

use crate::count::product;
use crate::kernels::context::Context;
use crate::simd::{Element, InstructionSet};
use loops::Product;

/// Which triangles of a symmetric product are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Triangle {
    /// The lower triangle with the diagonal; what lies above the diagonal is left undefined.
    Lower,
    /// Both.
    Both,
}

/// Products of matrices. Each panics unless the dimensions of the operands fit together and the scratch of a worker has [`workspace_len`]
/// elements. The workers split the rows of C.
impl<T: Element> Context<'_, T> {
    /// C ← A·B.
    pub(crate) fn set(&mut self, c: MatrixMut<T>, a: Matrix<T>, b: Matrix<T>) {
        self.product(c, T::ONE, a, b, Addend::Zero);
    }

    /// C ← C + A·B.
    pub(crate) fn add(&mut self, c: MatrixMut<T>, a: Matrix<T>, b: Matrix<T>) {
        self.product(c, T::ONE, a, b, Addend::Output(T::ONE));
    }

    /// C ← α·A·B + addend.
    pub(crate) fn product(&mut self, c: MatrixMut<T>, alpha: T, a: Matrix<T>, b: Matrix<T>, addend: Addend<T>) {
        self.reborrow().rows_of_product(c, alpha, a, b, addend, a.rows());
    }

    /// C ← α·A·B + addend, for some rows of a product that has `rows` in all, cut as [`Context::cut`] does. The bits are those of the
    /// whole product: the method is chosen for the whole, and an element's sum does not depend on the other rows, as long as these rows
    /// are not few.
    pub(crate) fn rows_of_product(
        mut self,
        mut c: MatrixMut<T>,
        alpha: T,
        a: Matrix<T>,
        b: Matrix<T>,
        addend: Addend<T>,
        rows: usize,
    ) {
        if let Some(at) = self.cut(a.rows(), || product(&[2, a.rows(), a.cols(), b.cols()])) {
            let (above, below) = (a.rows_range(0..at), a.rows_range(at..a.rows()));
            let (c_above, c_below) = c.split_rows(at);
            self.join(
                |context| context.rows_of_product(c_above, alpha, above, b, addend, rows),
                |context| context.rows_of_product(c_below, alpha, below, b, addend, rows),
            );
            return;
        }
        let (isa, workspace) = (self.isa, self.scratch());
        let (a, b, addend, c) = (&a, &b, &addend, &mut c);
        run(isa, &mut Product { alpha, a, b, weights: None, addend, c, lower: false, rows, workspace });
    }

    /// C ← α·A·diag(w)·Aᵀ + β·C; w is 1 if absent. β·C reads the lower triangle of C only. By one worker.
    pub(crate) fn gram(
        &mut self,
        mut c: MatrixMut<T>,
        alpha: T,
        a: Matrix<T>,
        weights: Option<&[T]>,
        beta: T,
        triangle: Triangle,
    ) {
        let (isa, rows, workspace) = (self.isa, a.rows(), self.scratch());
        let (a, b, addend) = (&a, &a.t(), &Addend::scaled(beta));
        run(isa, &mut Product { alpha, a, b, weights, addend, c: &mut c, lower: true, rows, workspace });
        if triangle == Triangle::Both {
            mirror(isa, c, Half::Lower);
        }
    }
}

/// The only call of the product's kernel: its callers are compiled without another copy.
#[inline(never)]
fn run<T: Element>(isa: InstructionSet, product: &mut Product<'_, '_, T>) {
    isa.run(product);
}
