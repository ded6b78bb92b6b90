//! Eigenvalues of symmetric matrices.

use nalgebra::DMatrix;

/// All eigenvalues, ascending.
///
/// Entries below 10⁻³⁰ of the largest are taken as zero, which is far below the rounding errors of any method. With entries as small as
/// 10⁻¹¹⁶ beside others of order 1, as saturated networks have them, nalgebra 0.35 loses eigenvalues.
pub fn ascending(mut matrix: DMatrix<f64>) -> Vec<f64> {
    let least = 1e-30 * matrix.amax();
    matrix.apply(|entry| {
        if entry.abs() < least {
            *entry = 0.0;
        }
    });
    let mut eigenvalues = matrix.symmetric_eigenvalues().as_slice().to_vec();
    eigenvalues.sort_by(f64::total_cmp);
    eigenvalues
}
