//! The sampled penalty: estimates without bias, gradients at fixed random numbers, training.

mod limit;
mod steps;

use std::num::NonZeroUsize;

use crate::common::call::{Quantity, nan};
use crate::common::method::sampled::{Contribution, Kept};
use crate::common::method::{self, Batch};
use crate::common::problem::{Instance, Labels, Problem, Recipe};
use crate::common::reference::roundings;
use flatmin::simd::InstructionSet;
use flatmin::{
    Activation, Averages, Direction, Error, Hsr, Hyperparameters, Optimizer, PairWeights, Plan, Real, Sgd, Shape,
    State, WeightDecay,
};
use flatmin::{Estimate, Mixture, Sampling, sampled_gradient};

const TRACE: Mixture = Mixture { loss: 0.0, trace: 1.0, trace_of_square: 0.0 };
const SQUARE: Mixture = Mixture { loss: 0.0, trace: 0.0, trace_of_square: 1.0 };

/// The estimates and a gradient, on a workspace of exactly the promised length, full of NaN.
fn estimate<T: Real>(
    instance: &Instance<T>,
    sampling: &Sampling,
    draw: u64,
    weights: Mixture,
) -> (f64, Estimate, Vec<T>) {
    let mut workspace = nan(sampling.workspace_len(&instance.plan).expect("good parameters"));
    let mut gradient = nan(instance.parameters());
    let (plan, theta, batch) = (&instance.plan, &instance.theta, &instance.batch());
    let (loss, estimate) = sampled_gradient(plan, theta, batch, sampling, draw, weights, &mut gradient, &mut workspace)
        .expect("an estimate");
    (loss, estimate, gradient)
}

fn value(estimate: &Estimate, weights: Mixture) -> f64 {
    weights.trace * estimate.trace + weights.trace_of_square * estimate.trace_of_square
}

fn kept(count: usize) -> Option<NonZeroUsize> {
    NonZeroUsize::new(count)
}

/// Every activation with every kind of targets, and several numbers of classes.
fn recipes(samples: usize) -> impl Iterator<Item = Recipe> {
    Activation::ALL.into_iter().zip(0u64..).flat_map(move |(activation, seed)| {
        [Labels::Hard, Labels::Smoothed, Labels::Soft].into_iter().zip(0u64..).map(move |(labels, kind)| {
            let (hidden, classes) = (3 + (seed + kind) as usize % 5, 2 + (seed + 2 * kind) as usize % 4);
            Recipe { inputs: 3, hidden, classes, samples, activation, labels, seed: 10 * seed + kind }
        })
    })
}

fn close<T: Real>(what: &str, given: &[T], expected: &[T], relative: f64) {
    let largest = expected.iter().fold(0.0f64, |largest, x| largest.max(x.to_f64().abs()));
    for (at, (given, expected)) in given.iter().zip(expected).enumerate() {
        let error = (given.to_f64() - expected.to_f64()).abs();
        assert!(error <= relative * largest, "{what}[{at}]: {given} given, {expected} expected, largest {largest}");
    }
}

/// With all samples kept and S exact there is nothing random: these are the exact traces.
#[test]
fn all_samples_without_sketch_are_exact() {
    fn check<T: Real>() {
        for recipe in recipes(9) {
            let problem = recipe.problem().rounded::<T>();
            for weights in [PairWeights::Batch, PairWeights::DataSet { samples: 100 }] {
                let mut instance = problem.instance::<T>();
                instance.plan = instance.plan.with_pair_weights(weights);
                let sampling = Sampling { subset: kept(9), sketch: false, ..Sampling::new(1) };
                // Sums of terms of both signs: a few times the roundings of a term.
                let relative = 4.0 * roundings(&problem) * T::EPSILON.to_f64();
                for (mixture, quantity) in [(TRACE, Quantity::Trace), (SQUARE, Quantity::TraceOfSquare)] {
                    let (expected, gradient) = instance.gradient(quantity);
                    let (_, estimate, given) = estimate(&instance, &sampling, 0, mixture);
                    let error = (value(&estimate, mixture) - expected).abs();
                    assert!(error <= relative * expected.abs(), "{recipe:?} {quantity:?}: {error:e}");
                    close(&format!("{recipe:?} {quantity:?}"), &given, &gradient, relative);
                }
            }
        }
    }
    check::<f64>();
    check::<f32>();
}

/// Every way of drawing with which the random numbers do not depend on θ.
fn fixed_draws() -> [Sampling; 4] {
    let sampling = Sampling { alpha: 1.0, ..Sampling::new(7) };
    [
        Sampling { subset: kept(100), ..sampling },
        Sampling { subset: kept(4), ..sampling },
        Sampling { subset: kept(100), sketch: false, ..sampling },
        Sampling { subset: kept(5), sketch: false, ..sampling },
    ]
}

#[test]
fn gradients_are_differences_at_fixed_random_numbers() {
    // As in the differences of the exact quantities: (4 D(h/2) − D(h)) / 3.
    const STEP: f64 = 7.4e-4;
    for recipe in recipes(8) {
        let problem = recipe.problem();
        let direction = problem.direction(recipe.seed);
        let length = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
        let direction: Vec<f64> = direction.iter().map(|x| x / length).collect();
        for sampling in fixed_draws() {
            for mixture in [TRACE, SQUARE, Mixture { loss: 1.0, trace: -0.3, trace_of_square: 0.2 }] {
                let instance = problem.instance::<f64>();
                let at = |step: f64| {
                    let theta = instance.theta.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
                    let moved = Instance { theta, ..instance.clone() };
                    let (loss, estimate, _) = estimate(&moved, &sampling, 3, mixture);
                    mixture.loss * loss + value(&estimate, mixture)
                };
                let slope = |step: f64| (at(step) - at(-step)) / (2.0 * step);
                let (wide, narrow) = (slope(STEP), slope(STEP / 2.0));
                let expected = (4.0 * narrow - wide) / 3.0;
                let (_, _, gradient) = estimate(&instance, &sampling, 3, mixture);
                let given: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
                let rounding = 3.0 / STEP * roundings(&problem) * f64::EPSILON * (1.0 + at(0.0).abs());
                let error = (given - expected).abs();
                assert!(
                    error <= (wide - narrow).abs() + rounding,
                    "{recipe:?} {sampling:?} {mixture:?}: {given:e} given, {expected:e} by differences, error {error:e}"
                );
            }
        }
    }
}

/// The same draws in both types and in every instruction set.
#[test]
fn types_and_instruction_sets_agree() {
    for recipe in recipes(8).chain([Recipe { hidden: 33, inputs: 17, ..recipes(40).nth(4).expect("one") }]) {
        let problem = recipe.problem().rounded::<f32>();
        let (single, double) = (problem.instance::<f32>(), problem.instance::<f64>());
        for sampling in fixed_draws() {
            for mixture in [TRACE, SQUARE] {
                let (_, _, expected) = estimate(&double, &sampling, 2, mixture);
                let narrow: Vec<f64> = expected.iter().map(|x| f64::from(*x as f32)).collect();
                for set in InstructionSet::all_supported() {
                    let (single, double) = (single.clone().with_set(set), double.clone().with_set(set));
                    let relative = 4.0 * roundings(&problem);
                    let (_, _, given) = estimate(&double, &sampling, 2, mixture);
                    close(&format!("{recipe:?} {set:?}"), &given, &expected, relative * f64::EPSILON);
                    let (_, _, given) = estimate(&single, &sampling, 2, mixture);
                    let given: Vec<f64> = given.iter().map(|x| f64::from(*x)).collect();
                    close(&format!("{recipe:?} {set:?} f32"), &given, &narrow, relative * f64::from(f32::EPSILON));
                }
            }
        }
    }
}

/// Mean and standard error of every coordinate over many draws.
fn means(instance: &Instance<f64>, sampling: &Sampling, bias: fn(&Estimate, usize) -> f64) -> Vec<(f64, f64)> {
    const DRAWS: u64 = 20_000;
    let mut sums = vec![(0.0, 0.0); instance.parameters()];
    let samples = instance.batch().samples();
    for draw in 0..DRAWS {
        let (_, estimate, gradient) = estimate(instance, sampling, draw, SQUARE);
        for ((sum, square), gradient) in sums.iter_mut().zip(gradient) {
            let entry = gradient * bias(&estimate, samples);
            *sum += entry;
            *square += entry * entry;
        }
    }
    let count = DRAWS as f64;
    let statistics = |(sum, square): (f64, f64)| {
        let mean = sum / count;
        (mean, ((square / count - mean * mean).max(0.0) / (count - 1.0)).sqrt())
    };
    sums.into_iter().map(statistics).collect()
}

/// How many standard errors the mean gradient is off, at most.
fn worst(instance: &Instance<f64>, sampling: &Sampling, bias: fn(&Estimate, usize) -> f64, exact: &[f64]) -> f64 {
    let means = means(instance, sampling, bias);
    let deviations = means.iter().zip(exact).map(|(&(mean, error), exact)| (mean - exact).abs() / error.max(1e-12));
    deviations.fold(0.0, f64::max)
}

fn unbiased(_: &Estimate, _: usize) -> f64 {
    1.0
}

/// A batch of the hard kind: some samples certain, some not, some wrong.
fn batch(activation: Activation) -> Problem {
    Recipe { inputs: 2, hidden: 3, classes: 3, samples: 12, activation, labels: Labels::Hard, seed: 11 }.problem()
}

/// Two coordinates in a hundred thousand are off by more than five standard errors; here they are some hundred.
const ALLOWED: f64 = 5.0;

#[test]
fn the_mean_gradient_is_exact() {
    for (activation, sketch, weights) in [
        (Activation::Tanh, true, PairWeights::Batch),
        (Activation::Gelu, true, PairWeights::DataSet { samples: 500 }),
        (Activation::Sigmoid, false, PairWeights::DataSet { samples: 40 }),
    ] {
        let mut instance = batch(activation).instance::<f64>();
        instance.plan = instance.plan.with_pair_weights(weights);
        let exact = instance.gradient(Quantity::TraceOfSquare).1;
        let sampling = Sampling { subset: kept(5), sketch, ..Sampling::new(2) };
        let worst = worst(&instance, &sampling, unbiased, &exact);
        assert!(worst <= ALLOWED, "{activation}: {worst} standard errors");
    }
}

/// The test above sees what it is meant to see.
#[test]
fn biases_are_seen() {
    let problem = batch(Activation::Tanh);
    let instance = problem.instance::<f64>();
    let exact = instance.gradient(Quantity::TraceOfSquare).1;
    let sampling = Sampling { subset: kept(5), ..Sampling::new(2) };
    // Weights divided by their sum.
    let normalised = |estimate: &Estimate, samples: usize| (samples as f64 / estimate.weight).powi(2);
    let off = worst(&instance, &sampling, normalised, &exact);
    assert!(off >= 2.0 * ALLOWED, "normalised weights: {off} standard errors");

    // No residuals: targets that are the network's own probabilities, which are found by their definition. The factors that are
    // left are those of the Gauss–Newton part.
    let own = Problem { targets: probabilities(&problem), indices: None, ..problem };
    let off = worst(&own.instance(), &sampling, unbiased, &exact);
    assert!(off >= 2.0 * ALLOWED, "no residuals: {off} standard errors");
}

fn probabilities(problem: &Problem) -> Vec<f64> {
    let shape = problem.shape();
    let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
    let theta = &problem.theta;
    let (w, b) = (&theta[shape.hidden_weight()], &theta[shape.hidden_bias()]);
    let (v, c) = (&theta[shape.output_weight()], &theta[shape.output_bias()]);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let row = |x: &[f64]| -> Vec<f64> {
        let unit = |j: usize| problem.network.activation.value(b[j] + dot(&w[j * d..][..d], x));
        let h: Vec<f64> = (0..m).map(unit).collect();
        let e: Vec<f64> = (0..k).map(|class| (c[class] + dot(&v[class * m..][..m], &h)).exp()).collect();
        let sum: f64 = e.iter().sum();
        e.iter().map(|e| e / sum).collect()
    };
    problem.inputs.chunks_exact(d).flat_map(row).collect()
}
