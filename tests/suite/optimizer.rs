//! Steps against the formulas of their documentation, recomputed from the public gradients.

use std::num::NonZeroU64;

use crate::common::call::{Quantity, nan};
use crate::common::problem::{Instance, Labels, Problem, Recipe, Way};
use crate::common::reference::{Reference, hessian, roundings};
use flatmin::{Activation, Averages, Base, Direction, Hsr, Optimizer, Plan, Real, Sam, Sgd, State, Step, WeightDecay};

const PLAIN: Sgd = Sgd::new(0.1);
const FULL: Sgd = Sgd::new(0.05).with_momentum(0.9).with_weight_decay(WeightDecay::all(0.01));

/// What a step descends.
#[derive(Clone, Copy, Debug)]
enum Descent {
    Loss,
    /// The loss at the point moved by this radius.
    Moved(f64),
    /// The loss, and the bound at this strength.
    Penalized(f64, Direction),
}

impl Descent {
    const ALL: [Self; 4] = [
        Self::Loss,
        Self::Moved(0.1),
        Self::Penalized(0.2, Direction::Gradient),
        Self::Penalized(0.2, Direction::Unit),
    ];

    /// The optimizer that descends it by the update of `base`.
    fn by<T: Real, B: Optimizer<T> + Base + 'static>(self, base: B) -> Box<dyn Optimizer<T>> {
        match self {
            Self::Loss => Box::new(base),
            Self::Moved(radius) => Box::new(Sam::new(base, radius)),
            Self::Penalized(rho, direction) => Box::new(Hsr { direction, ..Hsr::new(base, rho) }),
        }
    }
}

/// θ and what an optimizer remembers.
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

    /// One step, on a workspace full of NaN.
    fn step(&mut self, instance: &Instance<T>, optimizer: &dyn Optimizer<T>) -> Step {
        let (plan, batch) = (&instance.plan, &instance.batch());
        let mut state = State { moments: &mut self.velocity, steps: self.steps, averages: self.averages };
        let workspace = &mut nan(optimizer.workspace_len(plan).expect("sizes"));
        let step = optimizer.step(plan, &mut self.theta, batch, &mut state, workspace);
        (self.steps, self.averages) = (state.steps, state.averages);
        step.expect("a step")
    }

    fn bits(&self) -> Vec<u64> {
        self.theta.iter().chain(&self.velocity).map(|value| value.to_f64().to_bits()).collect()
    }
}

/// A gradient in f64, and how far each entry of the crate's may be from it.
struct Gradient {
    values: Vec<f64>,
    errors: Vec<f64>,
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn wide<T: Real>(values: &[T]) -> Vec<f64> {
    values.iter().map(|x| x.to_f64()).collect()
}

/// The gradient of what is descended at θ, from gradients that are functions of their own.
fn direction<T: Real>(problem: &Problem, instance: &Instance<T>, descent: Descent) -> Gradient {
    let size = instance.parameters();
    let relative = roundings(problem) * T::EPSILON.to_f64();
    let at = |problem: &Problem, quantity: Quantity| -> Vec<f64> {
        let unit = |i: usize| (0..size).map(|j| f64::from(i == j)).collect::<Vec<_>>();
        (0..size).map(|i| relative * Reference::new(problem, &unit(i)).slope(quantity).scale).collect()
    };
    let loss = wide(&instance.gradient(Quantity::Loss).1);
    match descent {
        Descent::Loss => Gradient { values: loss, errors: at(problem, Quantity::Loss) },
        Descent::Moved(radius) => {
            let length = norm(&loss);
            let theta: Vec<f64> =
                instance.theta.iter().zip(&loss).map(|(x, g)| x.to_f64() + radius / length * g).collect();
            let moved = Problem { theta, ..problem.clone() };
            let there = moved.instance::<T>();
            // Rounding the point moves the gradient there by H times that.
            let hessian = hessian(&moved);
            let slack = |row: usize| -> f64 {
                let row = &hessian[row * size..][..size];
                row.iter().zip(&moved.theta).map(|(h, x)| relative * h.terms * (x.abs() + radius)).sum()
            };
            let errors = at(&moved, Quantity::Loss).iter().enumerate().map(|(i, error)| error + slack(i)).collect();
            Gradient { values: wide(&there.gradient(Quantity::Loss).1), errors }
        }
        Descent::Penalized(rho, direction) => {
            let bound = wide(&instance.gradient(Quantity::Bound).1);
            let weight = if direction == Direction::Unit { rho / norm(&bound) } else { rho };
            let values = loss.iter().zip(&bound).map(|(loss, bound)| loss + weight * bound).collect();
            let bound_errors = at(problem, Quantity::Bound);
            // The norm's own error is at most that of the vector.
            let shrink = if direction == Direction::Unit { norm(&bound_errors) / norm(&bound) } else { 0.0 };
            let errors = at(problem, Quantity::Loss)
                .iter()
                .zip(bound_errors.iter().zip(&bound))
                .map(|(loss, (bound, value))| loss + 2.0 * weight * (bound + shrink * value.abs()))
                .collect();
            Gradient { values, errors }
        }
    }
}

/// `v ← μv + d + ωθ`, `θ ← θ − ηv`, for some steps in a row, each from where the crate's last one ended.
fn follows_the_formula<T: Real>(recipe: Recipe, descent: Descent, sgd: Sgd, planned: usize) {
    let optimizer = descent.by::<T, _>(sgd);
    let mut problem = recipe.problem().rounded::<T>();
    let mut training = Training::<T>::new(&problem.instance());
    for count in 0..3 {
        problem.theta = wide(&training.theta);
        let mut instance = problem.instance::<T>();
        instance.plan = Plan::new(problem.network, planned).expect("a plan");
        let Gradient { values, errors } = direction(&problem, &instance, descent);
        let before = training.clone();
        let step = training.step(&instance, &*optimizer);
        assert_eq!(training.steps, count + 1);
        // The elementwise bounds of the loss would do, but the same function computes it.
        assert_eq!(step.loss, instance.gradient(Quantity::Loss).0, "{descent:?}");
        assert_eq!(step.curvature.is_some(), matches!(descent, Descent::Penalized(..)));
        let Sgd { learning_rate, momentum, weight_decay: WeightDecay { strength: weight_decay, .. }, .. } = sgd;
        for i in 0..values.len() {
            let (theta, velocity) = (before.theta[i].to_f64(), before.velocity[i].to_f64());
            let terms = [momentum * velocity, values[i], weight_decay * theta];
            let expected: f64 = terms.iter().sum();
            // Hyperparameters, three products and their sum are rounded to the type.
            let rounding = 8.0 * T::EPSILON.to_f64() * terms.iter().map(|term| term.abs()).sum::<f64>();
            let error = (training.velocity[i].to_f64() - expected).abs();
            assert!(error <= errors[i] + rounding, "{descent:?} v[{i}]: error {error:e}");
            let expected = theta - learning_rate * training.velocity[i].to_f64();
            let rounding = 4.0 * T::EPSILON.to_f64() * (theta.abs() + (theta - expected).abs());
            let error = (training.theta[i].to_f64() - expected).abs();
            assert!(error <= rounding, "{descent:?} θ[{i}]: error {error:e}");
        }
    }
}

fn recipes() -> impl Iterator<Item = Recipe> {
    Activation::ALL.into_iter().zip(0u64..).map(|(activation, seed)| {
        let size = |modulus: u64| 1 + (seed * 7 % modulus) as usize;
        Recipe {
            inputs: size(3),
            hidden: size(4),
            classes: 1 + size(3),
            samples: 2 + size(5),
            activation,
            labels: [Labels::Hard, Labels::Smoothed, Labels::Soft][seed as usize % 3],
            seed,
        }
    })
}

#[test]
fn steps_follow_their_formulas() {
    for recipe in recipes() {
        for sgd in [PLAIN, FULL] {
            for descent in Descent::ALL {
                follows_the_formula::<f64>(recipe, descent, sgd, recipe.samples);
                follows_the_formula::<f32>(recipe, descent, sgd, recipe.samples);
            }
        }
    }
}

/// The last batch of an epoch is smaller than the plan's.
#[test]
fn steps_on_smaller_batches_follow_their_formulas() {
    for recipe in recipes() {
        for descent in Descent::ALL {
            follows_the_formula::<f64>(recipe, descent, FULL, recipe.samples + 70);
        }
    }
}

#[test]
fn without_penalty_steps_are_those_of_sgd_to_the_last_bit() {
    for recipe in recipes() {
        let instance = recipe.problem().instance::<f32>();
        for sgd in [PLAIN, FULL] {
            let mut expected = Training::new(&instance);
            for _ in 0..3 {
                expected.step(&instance, &sgd);
            }
            let hsr = Hsr::new(sgd, 0.0);
            let unit = Hsr { direction: Direction::Unit, ..hsr };
            let others: [&dyn Optimizer<f32>; 3] = [&Sam::new(sgd, 0.0), &hsr, &unit];
            for (which, optimizer) in others.into_iter().enumerate() {
                let mut training = Training::new(&instance);
                for _ in 0..3 {
                    assert_eq!(training.step(&instance, optimizer).curvature, None);
                }
                assert_eq!(training.bits(), expected.bits(), "{which}");
            }
        }
    }
}

#[test]
fn every_kth_step_takes_the_penalty() {
    let instance = recipes().next().expect("a recipe").problem().instance::<f64>();
    for direction in [Direction::Gradient, Direction::Unit] {
        let always = Hsr { direction, ..Hsr::new(FULL, 0.2) };
        let hsr = Hsr { every: NonZeroU64::new(3).expect("three"), ..always };
        let mut training = Training::new(&instance);
        for count in 0..8 {
            let mut expected = training.clone();
            let due = count % 3 == 0;
            let alone: &dyn Optimizer<f64> = if due { &always } else { &FULL };
            let expected_step = expected.step(&instance, alone);
            assert_eq!(training.step(&instance, &hsr), expected_step, "step {count}");
            assert_eq!(training, expected, "step {count}");
            assert_eq!(expected_step.curvature.is_some(), due);
        }
    }
}

/// What a step reports is what the quantities' own functions say at the point it set out from.
#[test]
fn steps_report_the_point_they_set_out_from() {
    for recipe in recipes() {
        for way in Way::ALL {
            let instance = recipe.problem().instance::<f64>().by(way);
            for direction in [Direction::Gradient, Direction::Unit] {
                let hsr = Hsr { direction, ..Hsr::new(PLAIN, 0.2) };
                let step = Training::new(&instance).step(&instance, &hsr);
                let expected = instance.curvature();
                let given = step.curvature.expect("a penalty");
                assert_eq!(given.differentiable, expected.differentiable);
                // The same sums, with and without adjoints.
                let close = |a: f64, b: f64| (a - b).abs() <= roundings(&recipe.problem()) * f64::EPSILON * b.abs();
                assert!(close(given.traces.trace(), expected.traces.trace()), "{hsr:?}");
                assert!(close(given.traces.trace_of_square(), expected.traces.trace_of_square()), "{hsr:?}");
                assert_eq!(
                    given.bounds,
                    flatmin::Bounds::new(given.traces.trace(), given.traces.trace_of_square(), instance.parameters())
                );
            }
        }
    }
}

/// Theta, velocity and count are all there is to store; the contents of the workspace are none of it.
#[test]
fn training_resumes_to_the_last_bit() {
    fn check<T: Real>() {
        for recipe in recipes() {
            let instance = recipe.problem().instance::<T>();
            let hsr = Hsr { every: NonZeroU64::new(2).expect("two"), ..Hsr::new(FULL, 0.2) };
            let unit = Hsr { direction: Direction::Unit, ..hsr };
            let all: [&dyn Optimizer<T>; 4] = [&FULL, &Sam::new(FULL, 0.1), &hsr, &unit];
            for (which, optimizer) in all.into_iter().enumerate() {
                let mut whole = Training::new(&instance);
                let mut stored = None;
                let mut losses = Vec::new();
                for count in 0..6 {
                    if count == 3 {
                        stored = Some(whole.clone());
                    }
                    losses.push(whole.step(&instance, optimizer).loss);
                }
                let mut resumed = stored.expect("stored after three steps");
                let again: Vec<f64> = (3..6).map(|_| resumed.step(&instance.clone(), optimizer).loss).collect();
                assert_eq!(again, losses[3..], "{which}");
                assert_eq!(resumed.bits(), whole.bits(), "{which}");
                assert_eq!(resumed.steps, 6);
            }
        }
    }
    check::<f64>();
    check::<f32>();
}

/// A learning rate of zero moves nothing, and counts.
#[test]
fn a_learning_rate_of_zero() {
    let instance = recipes().next().expect("a recipe").problem().instance::<f64>();
    for descent in Descent::ALL {
        let mut training = Training::new(&instance);
        training.step(&instance, &*descent.by(Sgd::new(0.0)));
        assert_eq!((&training.theta, training.steps), (&instance.theta, 1));
    }
}

/// SAM's direction does not depend on the gradient's length, however short or long: in f32 its square may not be representable.
fn sam_matches_double_precision(problem: &Problem, radius: f64) {
    let problem = problem.clone().rounded::<f32>();
    // With momentum and no velocity yet, the new velocity is the direction itself.
    let sgd = Sgd::new(0.0).with_momentum(0.5);
    let sam = Sam::new(sgd, radius);
    let (single, double) = (problem.instance::<f32>(), problem.instance::<f64>());
    let (mut short, mut long) = (Training::new(&single), Training::new(&double));
    short.step(&single, &sam);
    long.step(&double, &sam);
    let mut plain = Training::new(&double);
    plain.step(&double, &sgd);
    let distance = |a: &[f64], b: &[f64]| norm(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>());
    let size = norm(&long.velocity);
    assert!(distance(&plain.velocity, &long.velocity) > 0.1 * size, "a radius at which SAM differs from SGD");
    // Logits of some tens carry an absolute error of some tens of ε, which is the relative error of the probabilities.
    let logit = problem.theta.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
    let allowed = roundings(&problem) * f64::from(f32::EPSILON) * logit * size;
    let error = distance(&wide(&short.velocity), &long.velocity);
    assert!(error <= allowed, "error {error:e}, {allowed:e} allowed, norm {size:e}");
}

fn small_problem() -> Problem {
    let labels = Labels::Hard;
    let recipe = Recipe { inputs: 2, hidden: 3, classes: 2, samples: 4, activation: Activation::Tanh, labels, seed: 3 };
    let mut problem = recipe.problem();
    problem.indices = Some(vec![0; 4]);
    problem.targets = [1.0, 0.0].repeat(4);
    problem
}

#[test]
fn sam_of_short_gradients() {
    for margin in [20.0, 40.0, 45.0, 50.0, 60.0, 70.0] {
        let mut problem = small_problem();
        let bias = problem.shape().output_bias();
        problem.theta[bias].copy_from_slice(&[margin, 0.0]);
        sam_matches_double_precision(&problem, 1.0);
    }
}

#[test]
fn sam_of_long_gradients() {
    for size in [1e10, 1e18, 1e20, 1e25] {
        let mut problem = small_problem();
        let weight = problem.shape().hidden_weight();
        problem.theta[weight].fill(0.0);
        problem.inputs.iter_mut().for_each(|input| *input *= size);
        // Far enough to saturate the hidden units at this size of inputs.
        sam_matches_double_precision(&problem, 1e3 / size);
    }
}

/// What it is for: at the same accuracy, HSR ends with a smaller largest eigenvalue than SGD, and the bound was above it all the way.
#[test]
fn hsr_ends_flatter_than_sgd() {
    let labels = Labels::Hard;
    let recipe =
        Recipe { inputs: 2, hidden: 8, classes: 2, samples: 40, activation: Activation::Tanh, labels, seed: 11 };
    let mut problem = recipe.problem();
    // A ring around a disc.
    let inputs = problem.inputs.clone();
    problem.indices = Some(inputs.chunks_exact(2).map(|x| u32::from(x[0].hypot(x[1]) > 1.0)).collect());
    let instance = problem.instance::<f64>();
    let train = |optimizer: &dyn Optimizer<f64>| {
        let mut training = Training::new(&instance);
        for _ in 0..1500 {
            training.step(&instance, optimizer);
        }
        let end = Instance { theta: training.theta, ..instance.clone() };
        let size = end.parameters();
        let hessian = nalgebra::DMatrix::from_vec(size, size, end.hessian());
        let largest = hessian.symmetric_eigenvalues().max();
        assert!(largest <= end.curvature().bounds.lambda_max_upper);
        (largest, end.loss().accuracy)
    };
    let sgd = Sgd::new(0.3);
    let (sharp, accuracy) = train(&sgd);
    let (flat, flat_accuracy) = train(&Hsr::new(sgd, 0.03));
    assert!(accuracy >= 0.95 && flat_accuracy >= accuracy - 0.05, "accuracies {accuracy} and {flat_accuracy}");
    assert!(flat < 0.7 * sharp, "largest eigenvalues: SGD {sharp}, HSR {flat}");
}
