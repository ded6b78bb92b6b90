//! The sampled penalty: estimates without bias, gradients at fixed random numbers, training.

use std::num::NonZeroUsize;

use crate::common::call::{Quantity, nan};
use crate::common::problem::{Instance, Labels, Problem, Recipe};
use crate::common::reference::roundings;
use flatmin::simd::InstructionSet;
use flatmin::{
    Activation, Averages, Direction, Error, Hsr, Hyperparameters, Optimizer, PairWeights, Real, Sgd, State, WeightDecay,
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

/// θ, velocity, count and averages: all there is to store.
#[derive(Clone, Debug, PartialEq)]
struct Training<T> {
    theta: Vec<T>,
    velocity: Vec<T>,
    steps: u64,
    averages: Averages,
}

impl<T: Real> Training<T> {
    fn new(instance: &Instance<T>) -> Self {
        let velocity = vec![T::ZERO; instance.parameters()];
        Self { theta: instance.theta.clone(), velocity, steps: 0, averages: Averages::default() }
    }

    fn step(&mut self, instance: &Instance<T>, hsr: &Hsr) -> flatmin::Result<flatmin::Step> {
        let mut state = State { moments: &mut self.velocity, steps: self.steps, averages: self.averages };
        let mut workspace = nan(hsr.workspace_len(&instance.plan).unwrap_or(0));
        let step = hsr.step(&instance.plan, &mut self.theta, &instance.batch(), &mut state, &mut workspace);
        (self.steps, self.averages) = (state.steps, state.averages);
        step
    }
}

const SGD: Sgd = Sgd::new(0.05).with_momentum(0.9).with_weight_decay(WeightDecay::all(0.01));

fn hsr(direction: Direction) -> Hsr {
    Hsr { direction, ..Hsr::sampled(SGD, 0.1, Sampling { subset: kept(4), ..Sampling::new(5) }) }
}

#[test]
fn training_resumes_to_the_last_bit() {
    fn check<T: Real>(direction: Direction) {
        let hsr = hsr(direction);
        for recipe in recipes(9) {
            let instance = recipe.problem().instance::<T>();
            let mut whole = Training::new(&instance);
            let mut stored = None;
            for step in 0..6 {
                if step == 3 {
                    stored = Some(whole.clone());
                }
                whole.step(&instance, &hsr).expect("a step");
            }
            let mut resumed = stored.expect("three steps in");
            for _ in 0..3 {
                resumed.step(&instance.clone(), &hsr).expect("a step");
            }
            assert_eq!(resumed, whole, "{recipe:?}");
            assert_eq!((whole.steps, whole.averages.count), (6, 6));
        }
    }
    check::<f64>(Direction::Gradient);
    check::<f32>(Direction::Gradient);
    check::<f64>(Direction::Unit);
}

/// A step is `∇L + ρ∇Λ` with Λ's slopes at the averages before it, or at its own estimates where it is the first.
#[test]
fn steps_follow_their_formula() {
    for recipe in recipes(9) {
        let instance = recipe.problem().instance::<f64>();
        let size = instance.parameters() as f64;
        for guard in [0.0, 0.25, 1.0] {
            let sampling = Sampling { subset: kept(4), guard, beta: 0.5, ..Sampling::new(5) };
            let sgd = Sgd::new(0.0).with_momentum(0.5);
            let hsr = Hsr::sampled(sgd, 0.3, sampling);
            let mut training = Training::new(&instance);
            for count in 0..3 {
                training.velocity.fill(0.0);
                let before = training.averages;
                let step = training.step(&instance, &hsr).expect("a step");
                let (_, expected, _) = estimate(&instance, &sampling, count, TRACE);
                assert_eq!(step.estimate, Some(expected));
                assert_eq!(step.curvature, None);
                let averages = if count == 0 {
                    [expected.trace, expected.trace_of_square]
                } else {
                    [before.trace, before.trace_of_square]
                };
                let square = averages[1].max(guard * expected.trace_of_square).max(0.0);
                let limit = ((size - instance.plan.shape().hidden() as f64 - 1.0) * square).sqrt();
                let mean = averages[0].clamp(-limit, limit) / size;
                let deviation = (square / size - mean * mean).max(0.0).sqrt();
                let slope = if deviation > 0.0 { (size - 1.0).sqrt() / (2.0 * deviation * size) } else { 0.0 };
                let mixture =
                    Mixture { loss: 1.0, trace: 0.3 * (1.0 / size - 2.0 * mean * slope), trace_of_square: 0.3 * slope };
                let (loss, _, gradient) = estimate(&instance, &sampling, count, mixture);
                assert_eq!(step.loss, loss);
                close(&format!("{recipe:?} {count}"), &training.velocity, &gradient, 1e-11);
                let mixed = |old: f64, new: f64| if count == 0 { new } else { 0.5 * old + 0.5 * new };
                assert_eq!(training.averages.trace, mixed(before.trace, expected.trace));
                assert_eq!(training.averages.trace_of_square, mixed(before.trace_of_square, expected.trace_of_square));
            }
        }
    }
}

#[test]
fn bad_parameters_are_refused_and_nothing_changes() {
    let instance = batch(Activation::Tanh).instance::<f64>();
    let good = Sampling::new(1);
    let hyperparameter = |sampling: Sampling, name: &str| {
        let hsr = Hsr::sampled(SGD, 0.1, sampling);
        let mut training = Training::new(&instance);
        let before = training.clone();
        match training.step(&instance, &hsr) {
            Err(Error::Hyperparameter { argument, .. } | Error::TooSmall { argument, .. }) => {
                assert_eq!(argument, name)
            }
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(training, before);
        assert!(hsr.workspace_len(&instance.plan).is_err());
    };
    hyperparameter(Sampling { subset: kept(1), ..good }, "subset");
    for alpha in [0.0, -0.1, 5e-324, Sampling::LEAST_ALPHA / 2.0, 1.1, f64::NAN] {
        hyperparameter(Sampling { alpha, ..good }, "alpha");
    }
    for beta in [-0.1, 1.0, f64::NAN, f64::INFINITY] {
        hyperparameter(Sampling { beta, ..good }, "beta");
    }
    for guard in [-0.1, 1.1, f64::NAN] {
        hyperparameter(Sampling { guard, ..good }, "guard");
    }

    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let (mut workspace, mut gradient) = (instance.workspace(), vec![0.25; instance.parameters()]);
        for (mixture, name) in [
            (Mixture { loss: bad, ..SQUARE }, "loss weight"),
            (Mixture { trace: bad, ..SQUARE }, "trace weight"),
            (Mixture { trace_of_square: bad, ..TRACE }, "square weight"),
        ] {
            let (plan, theta, batch) = (&instance.plan, &instance.theta, &instance.batch());
            let refused =
                sampled_gradient(plan, theta, batch, &good, 0, mixture, &mut gradient, &mut workspace).map(drop);
            assert!(
                matches!(refused, Err(Error::Hyperparameter { argument, .. }) if argument == name),
                "{name}: {refused:?}"
            );
            assert!(gradient.iter().all(|&entry| entry == 0.25));
        }
    }

    let mut small = instance.clone();
    small.plan = small.plan.with_pair_weights(PairWeights::DataSet { samples: 3 });
    let mut training = Training::new(&small);
    let before = training.clone();
    let refused = training.step(&small, &Hsr::sampled(SGD, 0.1, good));
    assert_eq!(refused, Err(Error::PairWeights { samples: 12, data_set: 3 }));
    assert_eq!(training, before);

    let hsr = Hsr::sampled(SGD, 0.1, good);
    let needed = hsr.workspace_len(&instance.plan).expect("good parameters");
    let mut state = State::new(&mut training.velocity);
    let mut short = vec![0.0; needed - 1];
    let refused = hsr.step(&instance.plan, &mut training.theta, &instance.batch(), &mut state, &mut short);
    assert_eq!(refused, Err(Error::Workspace { given: needed - 1, needed }));
    let huge = Sampling { subset: kept(usize::MAX), ..good };
    assert_eq!(huge.subset_len(&instance.plan), 12);
}

#[test]
fn automatic_subsets_follow_the_counted_cost() {
    for recipe in recipes(300).chain([Recipe { inputs: 400, hidden: 64, ..recipes(128).next().expect("one") }]) {
        let plan = recipe.problem().instance::<f32>().plan;
        let sampling = Sampling::default();
        let size = sampling.subset_len(&plan);
        assert!((Sampling::LEAST..=Sampling::MOST).contains(&size));
        let budget = Sampling::SHARE * plan.flops().gradient as f64;
        let cost = |size: usize| Sampling { subset: kept(size), ..sampling }.flops(&plan) as f64;
        assert!(size == Sampling::LEAST || cost(size) <= budget, "{recipe:?}");
        assert!(size == Sampling::MOST || cost(size + 1) > budget, "{recipe:?}");
        assert!(plan.to_string().contains(&format!("by {size} samples")));
    }
}

/// A network that is certain of everything, and right: no curvature, and no division by zero.
#[test]
fn certainty_is_no_trouble() {
    fn check<T: Real>() {
        let mut problem = batch(Activation::Tanh);
        for margin in [30.0, 100.0, 2000.0] {
            let bias = problem.shape().output_bias();
            problem.theta[bias].copy_from_slice(&[margin, 0.0, -margin]);
            problem.indices = Some(vec![0; 12]);
            problem.targets = [1.0, 0.0, 0.0].repeat(12);
            let instance = problem.instance::<T>();
            let mut training = Training::new(&instance);
            for _ in 0..3 {
                training.step(&instance, &hsr(Direction::Gradient)).expect("a step");
            }
            assert!(training.theta.iter().all(|x| x.is_finite()));
        }
    }
    check::<f64>();
    check::<f32>();
}

/// Averages that are not finite would take away the penalty without a word.
#[test]
fn averages_that_are_not_finite_are_refused() {
    let instance = recipes(9).next().expect("a recipe").problem().instance::<f64>();
    let hsr = hsr(Direction::Gradient);
    for (trace, trace_of_square, index) in [(f64::NAN, 1.0, 0), (1.0, f64::INFINITY, 1)] {
        let mut training = Training::new(&instance);
        training.averages = Averages { trace, trace_of_square, count: 3 };
        let before = training.theta.clone();
        let refused = training.step(&instance, &hsr);
        assert_eq!(refused, Err(Error::NotFinite { argument: "averages", index }));
        assert_eq!(training.theta, before);
        // Before the first estimate they are not read.
        training.averages.count = 0;
        assert!(training.step(&instance, &hsr).is_ok());
    }
}
