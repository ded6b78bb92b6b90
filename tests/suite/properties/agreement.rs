//! Every value and every gradient, in every way, against the reference; the dense Hessian and products with it too.

use super::{Tolerance, along, cases};
use crate::common::call::Quantity;
use crate::common::problem::{Instance, Labels, Problem, Recipe, Way};
use crate::common::reference::{self, Reference};
use crate::common::strategies::{any_problem, tile_edges, tiny};
use flatmin::{Activation, Network, Real, Shape};
use proptest::prelude::*;

/// Values, block splits and bounds.
fn values<T: Real>(problem: Problem) -> Result<(), TestCaseError> {
    let problem = problem.rounded::<T>();
    let (reference, tolerance) = (Reference::at(&problem), Tolerance::of::<T>(&problem));
    for way in Way::ALL {
        let instance: Instance<T> = problem.instance().by(way);
        tolerance.close("loss", instance.loss().loss, reference.value(Quantity::Loss))?;
        let (given, expected) = (instance.curvature(), reference.traces());
        tolerance.close("trace, output", given.traces.output, expected.output)?;
        tolerance.close("trace, hidden", given.traces.hidden, expected.hidden)?;
        tolerance.close("trace", given.traces.trace(), expected.trace())?;
        let squares = [given.traces.output_square, given.traces.cross_square, given.traces.hidden_square];
        tolerance.all_close("squares by block", &squares, &expected.squares_by(way))?;
        tolerance.close("square", given.traces.trace_of_square(), expected.trace_of_square())?;
        if reference.variance_error::<T>(tolerance.relative / T::EPSILON.to_f64()) < 0.25 {
            prop_assert!(given.differentiable);
            let bounds = given.bounds;
            let bounds =
                [bounds.lambda_max_upper, bounds.lambda_max_lower, bounds.lambda_min_upper, bounds.lambda_min_lower];
            tolerance.all_close("bounds", &bounds, &reference.bounds())?;
        }
    }
    Ok(())
}

/// Derivatives of all quantities in a random direction, and the values that come with them.
fn slopes<T: Real>(problem: Problem, seed: u64) -> Result<(), TestCaseError> {
    let problem = problem.rounded::<T>();
    let direction = problem.direction(seed);
    let (reference, tolerance) = (Reference::new(&problem, &direction), Tolerance::of::<T>(&problem));
    let variance_is_known = reference.variance_error::<T>(tolerance.relative / T::EPSILON.to_f64()) < 0.25;
    for way in Way::ALL {
        let instance: Instance<T> = problem.instance().by(way);
        for quantity in Quantity::ALL {
            if !variance_is_known && matches!(quantity, Quantity::Bound | Quantity::Hsr(_)) {
                continue;
            }
            let (value, gradient) = instance.gradient(quantity);
            tolerance.close(&format!("{way} {quantity:?}"), value, reference.value(quantity))?;
            let (slope, expected) = (along(&gradient, &direction), reference.slope(quantity));
            tolerance.close(&format!("{way} slope of {quantity:?}"), slope, expected)?;
        }
    }
    Ok(())
}

/// The same, coordinate by coordinate.
fn coordinates<T: Real>(problem: Problem) -> Result<(), TestCaseError> {
    let problem = problem.rounded::<T>();
    let tolerance = Tolerance::of::<T>(&problem);
    let size = problem.shape().parameters();
    let gradients: Vec<_> = Way::ALL
        .into_iter()
        .map(|way| {
            let instance: Instance<T> = problem.instance().by(way);
            Quantity::ALL.map(|quantity| instance.gradient(quantity).1)
        })
        .collect();
    for i in 0..size {
        let direction: Vec<f64> = (0..size).map(|j| f64::from(i == j)).collect();
        let reference = Reference::new(&problem, &direction);
        let variance_is_known = reference.variance_error::<T>(tolerance.relative / T::EPSILON.to_f64()) < 0.25;
        for (at, quantity) in Quantity::ALL.into_iter().enumerate() {
            if !variance_is_known && matches!(quantity, Quantity::Bound | Quantity::Hsr(_)) {
                continue;
            }
            for (way, gradients) in Way::ALL.into_iter().zip(&gradients) {
                let what = format!("{way} gradient of {quantity:?}[{i}]");
                tolerance.close(&what, gradients[at][i].to_f64(), reference.slope(quantity))?;
            }
        }
    }
    Ok(())
}

/// H entry by entry, its symmetry, and H·v.
fn matrix<T: Real>(problem: Problem, seed: u64) -> Result<(), TestCaseError> {
    let problem = problem.rounded::<T>();
    let tolerance = Tolerance::of::<T>(&problem);
    let (instance, size): (Instance<T>, _) = (problem.instance(), problem.shape().parameters());
    let hessian = instance.hessian();
    tolerance.all_close("hessian", &hessian, &reference::hessian(&problem))?;
    for i in 0..size {
        for j in 0..i {
            prop_assert_eq!(hessian[i * size + j], hessian[j * size + i], "symmetry at {}, {}", i, j);
        }
    }
    let direction = problem.direction(seed);
    let vector: Vec<T> = direction.iter().map(|&x| T::from_f64(x)).collect();
    tolerance.all_close("product", &instance.product(&vector), &reference::product(&problem, &direction))
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn values_match_in_f64(recipe in any_problem()) {
        values::<f64>(recipe.problem())?;
    }

    #[test]
    fn values_match_in_f32(recipe in any_problem()) {
        values::<f32>(recipe.problem())?;
    }

    #[test]
    fn slopes_match_in_f64(recipe in any_problem()) {
        slopes::<f64>(recipe.problem(), recipe.seed)?;
    }

    #[test]
    fn slopes_match_in_f32(recipe in any_problem()) {
        slopes::<f32>(recipe.problem(), recipe.seed)?;
    }

    #[test]
    fn matrix_and_products_match_in_f64(recipe in any_problem()) {
        matrix::<f64>(recipe.problem(), recipe.seed)?;
    }

    #[test]
    fn matrix_and_products_match_in_f32(recipe in any_problem()) {
        matrix::<f32>(recipe.problem(), recipe.seed)?;
    }

    #[test]
    fn gradients_match_by_coordinate_in_f64(recipe in tiny()) {
        coordinates::<f64>(recipe.problem())?;
    }

    #[test]
    fn gradients_match_by_coordinate_in_f32(recipe in tiny()) {
        coordinates::<f32>(recipe.problem())?;
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn tile_edges_match(recipe in tile_edges()) {
        slopes::<f64>(recipe.problem(), recipe.seed)?;
        slopes::<f32>(recipe.problem(), recipe.seed)?;
        matrix::<f64>(recipe.problem(), recipe.seed)?;
    }
}

/// Everything of a problem that once failed.
fn all(problem: Problem) {
    let check = |result: Result<(), TestCaseError>| result.expect("agreement");
    check(values::<f64>(problem.clone()));
    check(values::<f32>(problem.clone()));
    check(slopes::<f64>(problem.clone(), 1));
    check(slopes::<f32>(problem.clone(), 1));
    check(coordinates::<f64>(problem.clone()));
    check(coordinates::<f32>(problem.clone()));
    check(matrix::<f64>(problem.clone(), 1));
    check(matrix::<f32>(problem, 1));
}

/// A network without inputs, and uniform targets, as the fuzz target `routes` makes of few bytes; θ ends in zeros.
fn of_few_bytes(shape: [usize; 3], samples: usize, activation: Activation, theta: &[f64]) -> Problem {
    let shape = Shape::new(shape[0], shape[1], shape[2]).expect("small sizes");
    let mut theta = theta.to_vec();
    theta.resize(shape.parameters(), 0.0);
    Problem {
        network: Network::new(shape, activation),
        samples,
        theta,
        inputs: vec![0.0; samples * shape.inputs()],
        targets: vec![1.0 / shape.classes() as f64; samples * shape.classes()],
        indices: None,
    }
}

/// Two probable classes without weights, and an improbable one with large ones: the hidden share of tr H is p V², a product of three small
/// numbers class by class, and the difference of large ones in contrasts.
#[test]
fn an_improbable_class_has_all_the_weight() {
    let (w, b) = (-83.0 / 32.0, 75.0 / 32.0);
    all(of_few_bytes([1, 4, 3], 5, Activation::Identity, &[w, w, w, w, b, b, b, b, w, w]));
}

/// No output weights, no residuals: the cross and hidden share of tr H² are zero, and differences in the tangent form.
#[test]
fn shares_by_difference_are_zero() {
    all(of_few_bytes([1, 1, 2], 4, Activation::Gelu, &[-9.0 / 32.0, -121.0 / 32.0]));
}

/// Softplus at −47 is e⁻⁴⁷, a number whose square the Hessian holds; of 1 + e⁻⁴⁷ nothing of it would be left.
#[test]
fn a_unit_far_below_zero_keeps_its_digits() {
    all(of_few_bytes([1, 1, 2], 3, Activation::Softplus, &[0.0, -47.0, 1.0, -1.0]));
}

/// One class has a probability of 10⁻⁵, and its entry of ∇tr H is as small, beside others of order 1.
#[test]
fn an_improbable_class_has_a_small_gradient() {
    let seed = 18430892392075456180;
    let activation = Activation::Softplus;
    let recipe = Recipe { inputs: 3, hidden: 1, classes: 4, samples: 1, activation, labels: Labels::Hard, seed };
    all(recipe.problem());
}
