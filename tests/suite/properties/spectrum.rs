//! Traces and bounds against the dense Hessian's own entries and eigenvalues.

use super::cases;
use crate::common::problem::{Instance, Problem, Recipe, Way};
use crate::common::reference::{Reference, hessian, roundings};
use crate::common::strategies::any_problem;
use crate::eigenvalues::ascending;
use flatmin::{Activation, Network, Real, Shape};
use nalgebra::DMatrix;
use proptest::prelude::*;

/// The spectrum of the Hessian that the crate computes in f64, ascending.
fn eigenvalues(problem: &Problem) -> Vec<f64> {
    let size = problem.shape().parameters();
    ascending(DMatrix::from_vec(size, size, problem.instance::<f64>().hessian()))
}

/// The four bounds enclose the extreme eigenvalues, and traces are sums of eigenvalues.
fn enclosure<T: Real>(recipe: Recipe) -> Result<(), TestCaseError> {
    let problem = recipe.problem().rounded::<T>();
    let (reference, size) = (Reference::at(&problem), problem.shape().parameters());
    let eigenvalues = eigenvalues(&problem);
    let (least, most) = (eigenvalues[0], eigenvalues[size - 1]);
    let relative = roundings(&problem) * T::EPSILON.to_f64();
    // The eigenvalues of a symmetric matrix are known to P ε ‖H‖_F, and move by no more than the matrix does.
    let hessian_error = relative * hessian(&problem).iter().map(|entry| entry.scale.powi(2)).sum::<f64>().sqrt();
    let norm = eigenvalues.iter().map(|x| x * x).sum::<f64>().sqrt();
    let spectrum_error = hessian_error + size as f64 * f64::EPSILON * norm;

    for way in Way::ALL {
        let curvature = problem.instance::<T>().by(way).curvature();
        let (traces, bounds) = (curvature.traces, curvature.bounds);
        let sum: f64 = eigenvalues.iter().sum();
        let squares: f64 = eigenvalues.iter().map(|x| x * x).sum();
        let (trace, square) = (reference.traces().trace(), reference.traces().trace_of_square());
        let sum_error = size as f64 * spectrum_error + relative * trace.scale;
        let squares_error = 2.0 * (size as f64).sqrt() * norm * spectrum_error + relative * square.scale;
        prop_assert!((traces.trace() - sum).abs() <= sum_error, "{way}: tr H {}, sum {sum}", traces.trace());
        prop_assert!(
            (traces.trace_of_square() - squares).abs() <= squares_error,
            "{way}: tr H² {}, sum of squares {squares}",
            traces.trace_of_square()
        );

        if reference.variance_error::<T>(roundings(&problem)) < 0.25 {
            let [upper, max_lower, min_upper, lower] =
                reference.bounds().map(|bound| relative * bound.scale + spectrum_error);
            prop_assert!(most <= bounds.lambda_max_upper + upper, "{way}: {most} above {bounds:?}");
            prop_assert!(most >= bounds.lambda_max_lower - max_lower, "{way}: {most} below {bounds:?}");
            prop_assert!(least <= bounds.lambda_min_upper + min_upper, "{way}: {least} above {bounds:?}");
            prop_assert!(least >= bounds.lambda_min_lower - lower, "{way}: {least} below {bounds:?}");
        }
    }
    Ok(())
}

/// Trace and squared Frobenius norm, also by block, of the dense Hessian of the same type.
fn dense_traces<T: Real>(recipe: Recipe) -> Result<(), TestCaseError> {
    let problem = recipe.problem().rounded::<T>();
    let (size, output) = (problem.shape().parameters(), problem.shape().output_weight().start);
    let (expected, relative) = (Reference::at(&problem).traces(), roundings(&problem) * T::EPSILON.to_f64());
    let instance: Instance<T> = problem.instance();
    let (mut trace, mut square) = ([0.0; 2], [0.0; 3]);
    for (index, entry) in instance.hessian().iter().enumerate() {
        let (i, j, entry) = (index / size, index % size, entry.to_f64());
        let blocks = usize::from(i < output) + usize::from(j < output);
        square[blocks] += entry * entry;
        if i == j {
            trace[blocks / 2] += entry;
        }
    }
    for way in Way::ALL {
        let traces = instance.clone().by(way).curvature().traces;
        let [output_square, cross_square, hidden_square] = expected.squares_by(way).map(|share| share.scale);
        let pairs = [
            ("tr H, output", traces.output, trace[0], expected.output.scale),
            ("tr H, hidden", traces.hidden, trace[1], expected.hidden.scale),
            ("tr H², output", traces.output_square, square[0], output_square),
            ("tr H², cross", traces.cross_square, square[1], cross_square),
            ("tr H², hidden", traces.hidden_square, square[2], hidden_square),
        ];
        for (what, given, dense, scale) in pairs {
            // Both sides are rounded.
            let allowed = 2.0 * relative * scale;
            prop_assert!((given - dense).abs() <= allowed, "{way} {what}: {given} given, {dense} of the dense matrix");
        }
    }
    Ok(())
}

/// Residuals of order 1 beside probabilities of 10⁻¹¹⁶: H is [0 B; Bᵀ 0] but for entries as small, of which a solver made nothing but zeros.
#[test]
fn eigenvalues_of_a_saturated_network() {
    let mut theta = vec![125.0 / 32.0; 11];
    theta[..4].copy_from_slice(&[-125.0 / 32.0, -126.0 / 32.0, -126.0 / 32.0, -127.0 / 32.0]);
    let problem = Problem {
        network: Network::new(Shape::new(2, 1, 4).expect("small sizes"), Activation::Identity),
        samples: 6,
        theta,
        inputs: vec![125.0 / 32.0; 12],
        targets: [0.0, 1.0, 0.0, 0.0].repeat(6),
        indices: Some(vec![1; 6]),
    };
    let squares: f64 = eigenvalues(&problem).iter().map(|x| x * x).sum();
    let expected = problem.instance::<f64>().curvature().traces.trace_of_square();
    assert!((squares - expected).abs() <= 1e-12 * expected, "{squares} of the eigenvalues, tr H² {expected}");
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn bounds_enclose_the_spectrum_in_f64(recipe in any_problem()) {
        enclosure::<f64>(recipe)?;
    }

    #[test]
    fn bounds_enclose_the_spectrum_in_f32(recipe in any_problem()) {
        enclosure::<f32>(recipe)?;
    }

    #[test]
    fn traces_are_those_of_the_dense_matrix_in_f64(recipe in any_problem()) {
        dense_traces::<f64>(recipe)?;
    }

    #[test]
    fn traces_are_those_of_the_dense_matrix_in_f32(recipe in any_problem()) {
        dense_traces::<f32>(recipe)?;
    }
}
