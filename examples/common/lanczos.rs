//! Eigenvalues at both ends of the spectrum of a symmetric matrix that is known by its products alone.
//!
//! Lanczos' iteration (Lanczos 1950; Golub and Van Loan, *Matrix Computations*, chapter 10) with full reorthogonalisation: from a vector
//! q₁ it builds an orthonormal basis of the span of q₁, Hq₁, H²q₁, …, in which H is tridiagonal:
//!
//! ```text
//! H q_k = β_{k−1} q_{k−1} + α_k q_k + β_k q_{k+1}
//! ```
//!
//! The eigenvalues of the tridiagonal matrix approach those of H from within, the outermost first. With s the last entry of an
//! eigenvector of it, |β_k s| is the residual ‖Hv − λv‖: an eigenvalue of H lies as near, and one that is isolated is nearer by far.
//!
//! Memory: a vector for each iteration. Of equal eigenvalues one is found, as there is one direction for all of them in such a span.

use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// When the iteration ends.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    /// All residuals are at most this share of the largest magnitude.
    pub residual: f64,
    /// Or so many iterations are done.
    pub iterations: usize,
}

/// Some eigenvalues of each end, ascending. They are the same ones where the matrix has few.
#[derive(Clone, Debug, PartialEq)]
pub struct Ends {
    pub least: Vec<f64>,
    pub greatest: Vec<f64>,
    /// The largest residual ‖Hv − λv‖ of any of them, as a share of the largest magnitude. More than was asked for, if the iterations
    /// came to their limit.
    pub residual: f64,
    pub iterations: usize,
}

/// `[least, greatest]` eigenvalues of the matrix of `size` rows whose products `apply` computes.
pub fn ends<E>(
    size: usize,
    counts: [usize; 2],
    until: Until,
    mut apply: impl FnMut(&[f64]) -> Result<Vec<f64>, E>,
) -> Result<Ends, E> {
    let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
    // Always the same, and orthogonal to no eigenvector that has a pattern.
    let start = DVector::from_fn(size, |i, _| (1.0 + (i as f64) * (i as f64)).sin());
    let mut basis = vec![start.normalize()];
    let mut best = Ends { least: Vec::new(), greatest: Vec::new(), residual: f64::INFINITY, iterations: 0 };
    let most = until.iterations.min(size);
    // The first look at the residuals. Those that follow are further and further apart, as they take longer and longer.
    let mut look = 4;
    for iteration in 1..=most {
        let last = &basis[iteration - 1];
        let mut next = DVector::from_vec(apply(last.as_slice())?);
        diagonal.push(next.dot(last));
        // Twice is enough: after the first time what is left may be as small as its rounding errors.
        for _ in 0..2 {
            for vector in &basis {
                let along = next.dot(vector);
                next.axpy(-along, vector, 1.0);
            }
        }
        let norm = next.norm();
        let largest = diagonal.iter().chain(&beside).fold(0.0, |most: f64, entry: &f64| most.max(entry.abs()));
        // The span is mapped into itself: its eigenvalues are those of the matrix.
        let closed = norm <= 1e-13 * largest || iteration == size;
        if closed || iteration == look || iteration == most {
            look = iteration + 4.max(iteration / 8);
            if let Some(found) = outermost(&diagonal, &beside, if closed { 0.0 } else { norm }, counts) {
                best = found;
            }
            let enough = best.least.len() >= counts[0] && best.greatest.len() >= counts[1];
            if closed || (enough && best.residual <= until.residual) {
                break;
            }
        }
        beside.push(norm);
        basis.push(next / norm);
    }
    Ok(best)
}

/// The outermost eigenvalues of a tridiagonal matrix, given what follows beside its last row. `None` where the solver fails: see
/// `eigenvalues.rs`.
fn outermost(diagonal: &[f64], beside: &[f64], next: f64, counts: [usize; 2]) -> Option<Ends> {
    let size = diagonal.len();
    let mut matrix = DMatrix::from_diagonal(&DVector::from_column_slice(diagonal));
    for (i, &entry) in beside.iter().enumerate() {
        matrix[(i, i + 1)] = entry;
        matrix[(i + 1, i)] = entry;
    }
    let squares = matrix.norm_squared();
    let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(matrix);
    // False of NaN.
    let right = (eigenvalues.norm_squared() - squares).abs() <= 1e-9 * squares;
    if !right {
        return None;
    }
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|&a, &b| eigenvalues[a].total_cmp(&eigenvalues[b]));
    let (least, greatest) = (&order[..counts[0].min(size)], &order[size - counts[1].min(size)..]);
    let residuals = least.iter().chain(greatest).map(|&at| (next * eigenvectors[(size - 1, at)]).abs());
    let residual = residuals.fold(0.0, f64::max) / eigenvalues.amax().max(f64::MIN_POSITIVE);
    let of = |places: &[usize]| places.iter().map(|&at| eigenvalues[at]).collect();
    Some(Ends { least: of(least), greatest: of(greatest), residual, iterations: size })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// The most iterations.
    const MOST: usize = 60;

    /// The ends of a matrix Q diag(λ) Qᵀ, with Q a reflection.
    fn of(eigenvalues: &[f64], counts: [usize; 2], residual: f64) -> Ends {
        let size = eigenvalues.len();
        let normal = DVector::from_fn(size, |i, _| 1.0 + (i as f64).cos()).normalize();
        let reflect = |x: DVector<f64>| &x - &normal * (2.0 * normal.dot(&x));
        let apply = |vector: &[f64]| -> Result<Vec<f64>, Infallible> {
            let inner = reflect(DVector::from_column_slice(vector));
            Ok(reflect(DVector::from_fn(size, |i, _| eigenvalues[i] * inner[i])).as_slice().to_vec())
        };
        match ends(size, counts, Until { residual, iterations: MOST }, apply) {
            Ok(found) => found,
            Err(never) => match never {},
        }
    }

    fn near(found: &[f64], expected: &[f64], allowed: f64) {
        assert_eq!(found.len(), expected.len(), "{found:?} against {expected:?}");
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= allowed), "{found:?} against {expected:?}");
    }

    #[test]
    fn isolated_eigenvalues_come_first() {
        let mut eigenvalues: Vec<f64> = (0..400).map(|i| 1e-3 * f64::from(i)).collect();
        eigenvalues.extend([-2.0, -1.0, 3.0, 5.0, 10.0]);
        let found = of(&eigenvalues, [2, 3], 1e-6);
        near(&found.least, &[-2.0, -1.0], 1e-9);
        near(&found.greatest, &[3.0, 5.0, 10.0], 1e-9);
        assert!(found.iterations < MOST && found.residual <= 1e-6, "{found:?}");
    }

    #[test]
    fn all_of_a_small_matrix() {
        let eigenvalues = [-1.0, 0.5, 2.0, 4.0, 4.5];
        let found = of(&eigenvalues, [5, 5], 1e-6);
        near(&found.least, &eigenvalues, 1e-12);
        near(&found.greatest, &eigenvalues, 1e-12);
        near(&of(&[7.0], [1, 1], 1e-6).greatest, &[7.0], 1e-12);
    }

    /// Of equal ones there is one, and the iteration ends with the last distinct one.
    #[test]
    fn equal_eigenvalues() {
        let eigenvalues: Vec<f64> = (0..300).map(|i| f64::from(i % 3)).collect();
        let found = of(&eigenvalues, [8, 8], 1e-6);
        near(&found.least, &[0.0, 1.0, 2.0], 1e-9);
        near(&found.greatest, &[0.0, 1.0, 2.0], 1e-9);
        assert_eq!(found.iterations, 3);
        near(&of(&[0.0; 5], [1, 1], 1e-6).greatest, &[0.0], 0.0);
    }

    /// A tolerance out of reach: the limit holds, and the residual says so.
    #[test]
    fn the_limit_of_iterations() {
        let eigenvalues: Vec<f64> = (0..1000).map(f64::from).collect();
        let found = of(&eigenvalues, [8, 8], 1e-14);
        assert_eq!(found.iterations, MOST);
        assert!(found.residual > 1e-14, "{found:?}");
        assert!(found.greatest.len() == 8 && found.greatest[7] <= 999.0 + 1e-9);
    }
}
