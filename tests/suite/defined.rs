//! Points at which formulas degenerate, and what is defined there.

use crate::common::call::Quantity;
use crate::common::problem::{Instance, Labels, Recipe, Way};
use crate::common::reference::{Reference, roundings};
use flatmin::{Activation, Bounds, Direction, Hsr, Optimizer, Real, Sgd, State};

fn recipe(inputs: usize, hidden: usize, classes: usize, samples: usize) -> Recipe {
    Recipe { inputs, hidden, classes, samples, activation: Activation::Tanh, labels: Labels::Hard, seed: 5 }
}

/// A network that is certain, and right, on all samples: p is one-hot to the last bit, r = 0, S = 0, so H = 0.
fn certain<T: Real>() -> Instance<T> {
    let mut problem = recipe(3, 4, 3, 5).problem();
    problem.indices = Some(vec![1; problem.samples]);
    let bias = problem.shape().output_bias();
    problem.theta[bias].copy_from_slice(&[0.0, 1e5, 0.0]);
    problem.instance()
}

fn a_hessian_of_zeros<T: Real>() {
    for way in Way::ALL {
        let instance = certain::<T>().by(way);
        assert_eq!(instance.loss().loss, 0.0);
        assert_eq!(instance.loss().accuracy, 1.0);
        assert!(instance.hessian().iter().all(|&entry| entry == T::ZERO));
        let curvature = instance.curvature();
        assert!(!curvature.differentiable);
        assert_eq!(curvature.bounds, Bounds::default());
        assert_eq!((curvature.traces.trace(), curvature.traces.trace_of_square()), (0.0, 0.0));
        for quantity in Quantity::ALL {
            // Every derivative of p carries a factor that is zero.
            let (value, gradient) = instance.gradient(quantity);
            assert_eq!(value, 0.0, "{way} {quantity:?}");
            assert!(gradient.iter().all(|&entry| entry == T::ZERO), "{way} {quantity:?}: {gradient:?}");
        }
        for direction in [Direction::Gradient, Direction::Unit] {
            let mut theta = instance.theta.clone();
            let hsr = Hsr { direction, ..Hsr::new(Sgd::new(0.1), 0.5) };
            let (mut state, mut workspace) = (State::new(&mut []), instance.workspace());
            let step = hsr.step(&instance.plan, &mut theta, &instance.batch(), &mut state, &mut workspace);
            let curvature = step.expect("a step").curvature.expect("a penalty");
            assert!(!curvature.differentiable);
            assert_eq!(theta, instance.theta);
        }
    }
}

#[test]
fn a_hessian_of_zeros_in_f64() {
    a_hessian_of_zeros::<f64>();
}

#[test]
fn a_hessian_of_zeros_in_f32() {
    a_hessian_of_zeros::<f32>();
}

/// Certain, and wrong: the loss is the margin, and H is not zero, as r is not.
#[test]
fn certain_and_wrong() {
    let mut instance = certain::<f64>();
    instance.indices = Some(vec![0; 5]);
    for way in Way::ALL {
        let instance = instance.clone().by(way);
        let (evaluation, curvature) = (instance.loss(), instance.curvature());
        assert!((evaluation.loss - 1e5).abs() < 1e2, "the margin of the biases, give or take the weights");
        assert_eq!(evaluation.accuracy, 0.0);
        assert!(curvature.differentiable && curvature.traces.trace_of_square() > 0.0);
        assert_eq!(curvature.traces.output_square, 0.0, "S = 0");
        for quantity in Quantity::ALL {
            assert!(instance.gradient(quantity).1.iter().all(|entry| entry.is_finite()), "{way} {quantity:?}");
        }
    }
}

/// Near certainty nothing cancels: with V = 0 and two classes, p the probability of the wrong one, the output block's trace is
/// proportional to `p(1−p)`, its square to the square of that, and the square of the cross blocks to p², to full relative accuracy.
fn nearly_certain<T: Real>(margins: &[f64]) {
    let traces = |margin: f64, way: Way| {
        let mut problem = recipe(2, 3, 2, 3).problem();
        problem.indices = Some(vec![0; 3]);
        let (weight, bias) = (problem.shape().output_weight(), problem.shape().output_bias());
        problem.theta[weight].fill(0.0);
        problem.theta[bias].copy_from_slice(&[margin, 0.0]);
        let curvature = problem.instance::<T>().by(way).curvature();
        assert!(curvature.differentiable, "margin {margin}");
        (curvature.traces, 2.0 * roundings(&problem) * T::EPSILON.to_f64())
    };
    for way in Way::ALL {
        let (even, allowed) = traces(0.0, way);
        for &margin in margins {
            let (traces, p) = (traces(margin, way).0, 1.0 / (1.0 + margin.exp()));
            let variance = 4.0 * p * (1.0 - p);
            for (what, given, expected) in [
                ("tr H", traces.output, even.output * variance),
                ("output", traces.output_square, even.output_square * variance * variance),
                ("cross", traces.cross_square, even.cross_square * 4.0 * p * p),
            ] {
                let error = (given / expected - 1.0).abs();
                assert!(error <= allowed, "{way} {what}, margin {margin}: {given:e} given, {expected:e} expected");
            }
            assert_eq!(traces.hidden, 0.0);
            // By subtraction in one of the ways, so zero to within the rounding of the whole.
            assert!(traces.hidden_square.abs() <= allowed * traces.trace_of_square(), "{way}: {traces:?}");
        }
    }
}

#[test]
fn nearly_certain_in_f64() {
    nearly_certain::<f64>(&[1.0, 5.0, 20.0, 80.0, 150.0, 300.0]);
}

#[test]
fn nearly_certain_in_f32() {
    nearly_certain::<f32>(&[1.0, 5.0, 10.0, 20.0, 30.0]);
}

/// Far enough out, p² is zero in f32 and p is not. Bounds have to enclose the spectrum there too, and steps to be possible.
#[test]
fn almost_entirely_certain_in_f32() {
    for margin in [45.0, 50.0, 60.0, 70.0, 80.0] {
        let mut problem = recipe(2, 3, 2, 3).problem();
        problem.indices = Some(vec![0; 3]);
        let bias = problem.shape().output_bias();
        problem.theta[bias].copy_from_slice(&[margin, 0.0]);
        let problem = problem.rounded::<f32>();
        let exact = problem.instance::<f64>().curvature().bounds.lambda_max_lower;
        for way in Way::ALL {
            let given = problem.instance::<f32>().by(way).curvature().bounds.lambda_max_upper;
            assert!(given >= exact, "{way} margin {margin}: Λ = {given:e}, λ_max at least {exact:e}");
        }
    }
}

/// From small inputs and weights to large ones, f32 gives what f64 gives, or says that it overflows; never an infinity, nor a number that
/// lost its meaning on the way. Below f32's smallest normal number, terms are lost to it.
#[test]
fn the_range_of_f32() {
    for way in Way::ALL {
        let (mut computed, mut refused) = (0, 0);
        for exponent in -12..=38 {
            for (of_inputs, of_weights) in [(exponent, 0), (0, exponent), (exponent, exponent)] {
                let mut problem = recipe(2, 3, 3, 4).problem();
                let shape = problem.shape();
                problem.inputs.iter_mut().for_each(|x| *x *= 10f64.powi(of_inputs));
                // Hidden units that are not saturated, and logits that do not differ by much.
                let smaller = 10f64.powi(-of_weights.max(0));
                let weight_scale = smaller * 10f64.powi(-of_inputs.max(0));
                problem.theta[shape.hidden_weight()].iter_mut().for_each(|w| *w *= weight_scale);
                problem.theta[shape.hidden_bias()].iter_mut().for_each(|b| *b *= smaller);
                problem.theta[shape.output_weight()].iter_mut().for_each(|v| *v *= 10f64.powi(of_weights));
                let problem = problem.rounded::<f32>();
                let exact = problem.instance::<f64>().by(way).curvature().traces;
                let instance = problem.instance::<f32>().by(way);
                let (batch, mut workspace) = (instance.batch(), instance.workspace());
                match flatmin::curvature(&instance.plan, &instance.theta, &batch, &mut workspace) {
                    Ok(given) => {
                        computed += 1;
                        let given = given.traces;
                        for (given, exact) in
                            [(given.trace(), exact.trace()), (given.trace_of_square(), exact.trace_of_square())]
                        {
                            let error = (given - exact).abs();
                            assert!(
                                error <= 1e-3 * exact.abs() + 1e-36,
                                "{way}, 10^{exponent}: {given:e} for {exact:e}"
                            );
                        }
                    }
                    Err(error) => {
                        refused += 1;
                        assert!(matches!(error, flatmin::Error::Overflow { .. }), "{error}");
                        // Not before a term of tr H², a product of four inputs and four weights, leaves the range.
                        assert!(of_inputs.max(0) + of_weights.max(0) >= 9, "{way}, 10^{exponent}: {error}");
                    }
                }
            }
        }
        assert!(computed > 60 && refused > 20, "{way}: {computed} computed, {refused} refused");
    }
}

/// A minimum of everything: one input, one hidden unit, two classes, one sample.
#[test]
fn the_smallest_problem() {
    for activation in Activation::ALL {
        for labels in [Labels::Hard, Labels::Smoothed, Labels::Soft] {
            let problem = Recipe { activation, labels, ..recipe(1, 1, 2, 1) }.problem();
            let direction = problem.direction(1);
            let reference = Reference::new(&problem, &direction);
            for way in Way::ALL {
                let instance = problem.instance::<f64>().by(way);
                for quantity in Quantity::ALL {
                    let (value, gradient) = instance.gradient(quantity);
                    let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
                    for (given, expected) in [(value, reference.value(quantity)), (slope, reference.slope(quantity))] {
                        let allowed = roundings(&problem) * f64::EPSILON * expected.scale;
                        assert!((given - expected.value).abs() <= allowed, "{activation} {way} {quantity:?}");
                    }
                }
            }
        }
    }
}

/// Copies of one sample are that sample, for a data set's estimate too: all pairs are alike.
#[test]
fn identical_samples() {
    let one = recipe(3, 2, 3, 1).problem();
    let many = one.rows(&[0; 9]);
    for way in Way::ALL {
        let single = one.instance::<f64>().by(way).curvature();
        let mut instance = many.instance::<f64>().by(way);
        for weights in [flatmin::PairWeights::Batch, flatmin::PairWeights::DataSet { samples: 1000 }] {
            instance.plan = instance.plan.with_pair_weights(weights);
            let traces = instance.curvature().traces;
            let scale = Reference::at(&one).traces();
            // Blocks first take self pairs at the weight of cross pairs, 1/n(n−1) in place of 1/nT.
            let allowed = 2.0 * roundings(&many) * f64::EPSILON;
            let error = (traces.trace() - single.traces.trace()).abs();
            assert!(error <= allowed * scale.trace().scale, "{way}");
            let error = (traces.trace_of_square() - single.traces.trace_of_square()).abs();
            assert!(error <= 2.0 * allowed * scale.trace_of_square().scale, "{way}");
        }
    }
}

/// Accuracy: the first of equal entries counts, in predictions and in targets.
#[test]
fn accuracy_among_equals() {
    let mut problem = Recipe { labels: Labels::Soft, ..recipe(1, 1, 3, 4) }.problem();
    problem.theta.fill(0.0);
    let uniform = [1.0 / 3.0; 3];
    problem.targets = [uniform, [0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.2, 0.2, 0.6]].concat();
    let evaluation = problem.instance::<f64>().loss();
    assert_eq!(evaluation.accuracy, 0.5);
    // All logits are equal: the loss is ln 3, whatever the targets. Three terms a sample, each rounded a few times.
    assert!((evaluation.loss - 3f64.ln()).abs() <= 16.0 * f64::EPSILON);
}
