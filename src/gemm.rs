//! Blocked matrix products: C ← α·A·B + β·C, and the symmetric C ← α·A·diag(w)·Aᵀ + β·C.
//!
//! Matrices are slices with strides, so every transposition is a view; C has contiguous rows. An m×k by k×n product costs 2mkn flops, the
//! symmetric one half of that. The loops are those of BLIS and GotoBLAS (Van Zee, van de Geijn, *BLIS: a framework for rapidly
//! instantiating BLAS functionality*, ACM TOMS 41, 2015), except that nothing is copied where reading in place is as fast.
//!
//! The order of summation depends on the dimensions, the strides and the instruction set alone, so a product gives the same bits whenever
//! it is repeated.

use crate::error::Error;
use crate::facade::Kernels;
use crate::real::Real;

pub use crate::kernels::gemm::{Matrix, MatrixMut, Triangle, workspace_len};

/// C ← α·A·B + β·C with A m×k, B k×n, C m×n. With β = 0 C is never read, and may hold anything.
///
/// # Errors
/// [`Error::Dimensions`] where B or C does not fit A; [`Error::Workspace`] if `workspace` has fewer than [`workspace_len`]`(m, k, n)`
/// elements. C is not changed then.
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
    Kernels::default().matrix_product(alpha, a, b, beta, c, workspace)
}

/// C ← α·A·diag(w)·Aᵀ + β·C with A n×k, w of k weights (1 if `None`), C n×n. C must be symmetric unless β = 0: only its lower triangle is
/// read. With β = 0 C is never read. The two triangles of the result are equal to the bit.
///
/// # Errors
/// [`Error::Dimensions`] where C does not fit A; [`Error::Length`] unless w has one weight for each column of A; [`Error::Workspace`] if
/// `workspace` has fewer than [`workspace_len`]`(n, k, n)` elements. C is not changed then.
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
    Kernels::default().symmetric_product(alpha, a, weights, beta, c, triangle, workspace)
}

/// With a chosen instruction set.
impl Kernels {
    /// See [`gemm::matrix_product`](crate::gemm::matrix_product).
    ///
    /// # Errors
    ///
    /// Those of that function.
    pub fn matrix_product<T: Real>(
        self,
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
        (const { T::FUNCTIONS.matrix_product })(self.set, alpha, a, b, beta, c, workspace);
        Ok(())
    }

    /// See [`gemm::symmetric_product`](crate::gemm::symmetric_product).
    ///
    /// # Errors
    ///
    /// Those of that function.
    #[allow(clippy::too_many_arguments, reason = "the operands of one formula")]
    pub fn symmetric_product<T: Real>(
        self,
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
        (const { T::FUNCTIONS.symmetric_product })(self.set, alpha, a, weights, beta, c, triangle, workspace);
        Ok(())
    }
}

fn check_dimensions(argument: &'static str, given: [usize; 2], expected: [usize; 2]) -> Result<(), Error> {
    if given == expected { Ok(()) } else { Err(Error::Dimensions { argument, given, expected }) }
}

fn check_workspace<T>(workspace: &[T], needed: usize) -> Result<(), Error> {
    let given = workspace.len();
    if given >= needed { Ok(()) } else { Err(Error::Workspace { given, needed }) }
}
