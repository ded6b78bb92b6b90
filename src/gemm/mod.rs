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
//! and inside, the micro-kernel runs over k (`micro.rs`). What differs from BLIS is that copies are made only where they
//! pay (`blocks.rs`): the micro-kernel broadcasts A, which needs no order, so row-major A is read in place, and so are panels of
//! row-major B, whose rows the L2 cache delivers in time. Panels that are packed are packed just before their first use. Where B
//! is small, loops 2 and 1 change places, so that C is written row by row; where A has few rows, panels are twice as wide.
//! Products that a tile or two cover decide nothing else, and go to the micro-kernel at once (`loops.rs`).
//! Small and skinny operands that lie contiguously along k go by dot products instead (`dot.rs`), and products of few columns
//! with column-major A as their transpose (`loops.rs`).
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
#[cfg(test)]
mod tests;

pub(crate) use blocks::largest_workspace;
pub use blocks::workspace_len;
pub use matrix::{Matrix, MatrixMut};
pub(crate) use mirror::{Half, mirror};
pub(crate) use pack::transpose;

use crate::plan::product;
use crate::simd::InstructionSet;
use crate::workers::Workers;
use crate::{Error, Real};
use loops::Product;

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

impl<'a, T: Real> Addend<'a, T> {
    /// β·C, where β = 0 means that C is not read.
    #[inline(always)]
    pub(crate) fn scaled(beta: T) -> Self {
        if beta == T::ZERO { Self::Zero } else { Self::Output(beta) }
    }
}

/// Which triangles of a symmetric product are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Triangle {
    /// The lower triangle with the diagonal; what lies above the diagonal is left undefined.
    Lower,
    /// Both.
    Both,
}

/// C ← α·A·B + β·C, for checked operands. β = 0 never reads C. `workspace` has [`workspace_len`] elements.
pub(crate) fn gemm<T: Real>(
    isa: InstructionSet,
    alpha: T,
    a: Matrix<T>,
    b: Matrix<T>,
    beta: T,
    c: MatrixMut<T>,
    workspace: &mut [T],
) {
    gemm_with(isa, alpha, a, b, Addend::scaled(beta), c, workspace);
}

/// C ← α·A·B + addend, for checked operands.
pub(crate) fn gemm_with<T: Real>(
    isa: InstructionSet,
    alpha: T,
    a: Matrix<T>,
    b: Matrix<T>,
    addend: Addend<T>,
    mut c: MatrixMut<T>,
    workspace: &mut [T],
) {
    let rows = a.rows();
    run(
        isa,
        &mut Product { alpha, a: &a, b: &b, weights: None, addend: &addend, c: &mut c, lower: false, rows, workspace },
    );
}

/// The one call of the product's kernel: what calls it is compiled without another copy.
#[inline(never)]
fn run<T: Real>(isa: InstructionSet, product: &mut Product<'_, '_, T>) {
    isa.run(product);
}

/// C ← α·A·B + addend, for checked operands, by several workers, who split the rows of C. The bits are those of [`gemm_with`]: an
/// element's sum depends on the way that is chosen for the whole product, not on the rows beside it, if these are not few.
pub(crate) fn gemm_shared<T: Real>(
    isa: InstructionSet,
    alpha: T,
    a: Matrix<T>,
    b: Matrix<T>,
    addend: Addend<T>,
    c: MatrixMut<T>,
    workers: Workers<'_, T>,
) {
    gemm_rows(isa, alpha, a, b, addend, c, a.rows(), workers);
}

/// [`gemm_shared`] of some rows, as [`Workers::cut`] cuts them, of a product that has `rows` in all.
#[allow(clippy::too_many_arguments)]
pub(crate) fn gemm_rows<T: Real>(
    isa: InstructionSet,
    alpha: T,
    a: Matrix<T>,
    b: Matrix<T>,
    addend: Addend<T>,
    mut c: MatrixMut<T>,
    rows: usize,
    mut workers: Workers<'_, T>,
) {
    if let Some(at) = workers.cut(a.rows(), || product(&[2, a.rows(), a.cols(), b.cols()])) {
        let (above, below) = (a.rows_range(0..at), a.rows_range(at..a.rows()));
        let (c_above, c_below) = c.split_rows(at);
        workers.join(
            |workers| gemm_rows(isa, alpha, above, b, addend, c_above, rows, workers),
            |workers| gemm_rows(isa, alpha, below, b, addend, c_below, rows, workers),
        );
        return;
    }
    let workspace = workers.scratch();
    run(
        isa,
        &mut Product { alpha, a: &a, b: &b, weights: None, addend: &addend, c: &mut c, lower: false, rows, workspace },
    );
}

/// C ← α·A·diag(w)·Aᵀ + β·C, for checked operands; w is 1 if absent. β·C reads the lower triangle of C only.
#[allow(clippy::too_many_arguments)]
pub(crate) fn gram<T: Real>(
    isa: InstructionSet,
    alpha: T,
    a: Matrix<T>,
    weights: Option<&[T]>,
    beta: T,
    mut c: MatrixMut<T>,
    triangle: Triangle,
    workspace: &mut [T],
) {
    let (b, addend) = (a.t(), Addend::scaled(beta));
    let rows = a.rows();
    run(isa, &mut Product { alpha, a: &a, b: &b, weights, addend: &addend, c: &mut c, lower: true, rows, workspace });
    if triangle == Triangle::Both {
        mirror(isa, c, Half::Lower);
    }
}

/// C ← α·A·B + β·C with A m×k, B k×n, C m×n. β = 0 never reads C, which may then hold anything.
///
/// # Errors
/// [`Error::Dimensions`] where B or C does not go with A; [`Error::Workspace`] if `workspace` has fewer than
/// [`workspace_len`]`(m, k, n)` elements. C is not touched then.
///
/// # Example
/// The scores X·Vᵀ of two samples with three features, for two classes:
/// ```
/// use flatmin::gemm::{Matrix, MatrixMut, matrix_product, workspace_len};
///
/// let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
/// let v = [1.0, 0.0, -1.0, 0.5, 0.5, 0.5];
/// let mut scores = [0.0; 4];
/// let mut workspace = [0.0; workspace_len(2, 3, 2)];
/// let (x, v) = (Matrix::new(&x, 2, 3)?, Matrix::new(&v, 2, 3)?);
/// let z = MatrixMut::new(&mut scores, 2, 2)?;
/// matrix_product(1.0, x, v.t(), 0.0, z, &mut workspace)?;
/// assert_eq!(scores, [-2.0, 3.0, -2.0, 7.5]);
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn matrix_product<T: Real>(
    alpha: T,
    a: Matrix<T>,
    b: Matrix<T>,
    beta: T,
    c: MatrixMut<T>,
    workspace: &mut [T],
) -> Result<(), Error> {
    let (m, k, n) = (a.rows(), a.cols(), b.cols());
    check_dimensions("B", [b.rows(), n], [k, n])?;
    check_dimensions("C", [c.rows(), c.cols()], [m, n])?;
    check_workspace(workspace, workspace_len(m, k, n))?;
    T::gemm(InstructionSet::current(), alpha, a, b, beta, c, workspace);
    Ok(())
}

/// C ← α·A·diag(w)·Aᵀ + β·C with A n×k, w of k weights (1 if `None`), C n×n. β·C takes C to be symmetric and reads its
/// lower triangle only; β = 0 never reads C. The result is symmetric to the bit.
///
/// # Errors
/// [`Error::Dimensions`] where C does not go with A; [`Error::Length`] where w has not one weight a column of A;
/// [`Error::Workspace`] if `workspace` has fewer than [`workspace_len`]`(n, k, n)` elements. C is not touched then.
///
/// # Example
/// The weighted inner products of two samples:
/// ```
/// use flatmin::gemm::{Matrix, MatrixMut, Triangle, symmetric_product, workspace_len};
///
/// let x = [1.0, 2.0, 3.0, 4.0];
/// let mut gram = [0.0; 4];
/// let mut workspace = [0.0; workspace_len(2, 2, 2)];
/// let (x, g) = (Matrix::new(&x, 2, 2)?, MatrixMut::new(&mut gram, 2, 2)?);
/// symmetric_product(1.0, x, Some(&[1.0, 0.5]), 0.0, g, Triangle::Both, &mut workspace)?;
/// assert_eq!(gram, [3.0, 7.0, 7.0, 17.0]);
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn symmetric_product<T: Real>(
    alpha: T,
    a: Matrix<T>,
    weights: Option<&[T]>,
    beta: T,
    c: MatrixMut<T>,
    triangle: Triangle,
    workspace: &mut [T],
) -> Result<(), Error> {
    let (n, k) = (a.rows(), a.cols());
    check_dimensions("C", [c.rows(), c.cols()], [n, n])?;
    if let Some(weights) = weights
        && weights.len() != k
    {
        return Err(Error::Length { argument: "weights", given: weights.len(), expected: k });
    }
    check_workspace(workspace, workspace_len(n, k, n))?;
    T::gram(InstructionSet::current(), alpha, a, weights, beta, c, triangle, workspace);
    Ok(())
}

fn check_dimensions(argument: &'static str, given: [usize; 2], expected: [usize; 2]) -> Result<(), Error> {
    if given == expected { Ok(()) } else { Err(Error::Dimensions { argument, given, expected }) }
}

fn check_workspace<T>(workspace: &[T], needed: usize) -> Result<(), Error> {
    let given = workspace.len();
    if given >= needed { Ok(()) } else { Err(Error::Workspace { given, needed }) }
}
