//! Eigenvalues of symmetric matrices.

use nalgebra::DMatrix;

/// All eigenvalues, ascending.
///
/// nalgebra 0.35 now and then makes NaN of them or loses some, with entries far below others' rounding errors or with many zeros, as
/// saturated networks have them. So the sum of squares is checked, and where it is wrong the rows and columns are taken in another
/// order, which has the same eigenvalues; entries below 10⁻³⁰ of the largest, far below the errors of any method, are taken as zero.
pub fn ascending(mut matrix: DMatrix<f64>) -> Vec<f64> {
    let (size, least) = (matrix.nrows(), 1e-30 * matrix.amax());
    matrix.apply(|entry| {
        if entry.abs() < least {
            *entry = 0.0;
        }
    });
    let squares = matrix.norm_squared();
    let in_order = |first: usize| {
        let at = |i: usize| (first + i) % size;
        let turned = DMatrix::from_fn(size, size, |i, j| matrix[(at(i), at(j))]);
        let mut eigenvalues = turned.symmetric_eigenvalues().as_slice().to_vec();
        eigenvalues.sort_by(f64::total_cmp);
        eigenvalues
    };
    let right = |eigenvalues: &Vec<f64>| {
        let found: f64 = eigenvalues.iter().map(|x| x * x).sum();
        (found - squares).abs() <= 1e-9 * squares
    };
    (0..size).map(in_order).find(right).unwrap_or_else(|| vec![f64::NAN; size])
}
