//! The sampled penalty: estimates without bias, gradients at fixed random numbers, training.

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
            assert!(whole.averages.limit > 0.0, "{recipe:?}: a limit, by default");
        }
    }
    for direction in [Direction::Gradient, Direction::Unit] {
        check::<f64>(direction);
        check::<f32>(direction);
    }
}

/// What the slopes of Λ are taken at: mixtures of averages and estimates.
fn slopes(before: &Averages, estimate: &Estimate, own_share: f64, shape: Shape) -> [f64; 2] {
    let size = shape.parameters() as f64;
    let own = [estimate.trace, estimate.trace_of_square];
    let [trace, square] = if before.count == 0 { own } else { [before.trace, before.trace_of_square] };
    let mix = |average: f64, own: f64| (1.0 - own_share) * average + own_share * own;
    let square = mix(square, own[1].max(0.0)).max(0.0);
    // H has M + 1 directions of zero curvature.
    let most = ((size - shape.hidden() as f64 - 1.0) * square).sqrt();
    method::slopes(mix(trace, own[0]).clamp(-most, most), square, size)
}

/// The step's gradient, by a step of rate 0 without velocity: that is then the gradient.
fn gradient_of_step<T: Real>(
    training: &mut Training<T>,
    instance: &Instance<T>,
    rho: f64,
    sampling: Sampling,
) -> (Vec<T>, Estimate) {
    training.velocity.fill(T::ZERO);
    let step = training.step(instance, &Hsr::sampled(Sgd::new(0.0).with_momentum(0.5), rho, sampling)).expect("a step");
    assert_eq!(step.curvature, None);
    (training.velocity.clone(), step.estimate.unwrap_or_default())
}

const OWN_SHARES: [f64; 4] = [0.0, 0.3, 0.5, 1.0];

/// A step is `∇L + ρ∇Λ` with Λ's slopes at mixtures of the averages before it and its own estimates; these alone where it is the first.
#[test]
fn steps_follow_their_formula() {
    for recipe in recipes(9) {
        let instance = recipe.problem().instance::<f64>();
        let shape = instance.plan.shape();
        for own_share in OWN_SHARES {
            let sampling = Sampling { subset: kept(4), own_share, limited_share: 0.0, beta: 0.5, ..Sampling::new(5) };
            let mut training = Training::new(&instance);
            for count in 0..5 {
                if count == 3 {
                    // More than the traces of any H with its directions of zero curvature: m is clamped.
                    training.averages.trace = 100.0 * training.averages.trace_of_square.abs().sqrt();
                }
                let before = training.averages;
                let (given, estimated) = gradient_of_step(&mut training, &instance, 0.3, sampling);
                let (_, expected, _) = estimate(&instance, &sampling, count, TRACE);
                assert_eq!(estimated, expected);
                let [trace, square] = slopes(&before, &expected, own_share, shape).map(|slope| 0.3 * slope);
                let mixture = Mixture { loss: 1.0, trace, trace_of_square: square };
                let (_, _, gradient) = estimate(&instance, &sampling, count, mixture);
                close(&format!("{recipe:?} {own_share} {count}"), &given, &gradient, 1e-11);
                let mixed = |old: f64, new: f64| if count == 0 { new } else { 0.5 * old + 0.5 * new };
                let expected = Averages {
                    trace: mixed(before.trace, expected.trace),
                    trace_of_square: mixed(before.trace_of_square, expected.trace_of_square),
                    count: count + 1,
                    ..Averages::default()
                };
                assert_eq!(training.averages, expected);
            }
        }
    }
}

/// All choices of so many of so many.
fn choices(count: usize, of: usize) -> Vec<Vec<usize>> {
    let chosen = |bits: u32| (0..of).filter(|&i| bits >> i & 1 == 1).collect::<Vec<_>>();
    (0..1 << of).map(chosen).filter(|chosen| chosen.len() == count).collect()
}

/// The samples of which these are the estimates. All have the same weight.
fn kept_samples(problem: &Problem, pair_weights: PairWeights, estimate: &Estimate) -> Kept {
    let count = problem.samples;
    let of = |rows: Vec<usize>| {
        let batch = Batch::new(&problem.rows(&rows), PairWeights::Batch);
        let pair_weights = pair_weights.of(count).expect("weights that go with the batch");
        Kept {
            kept: Batch { pair_weights, ..batch },
            w: vec![estimate.weight / estimate.kept as f64; estimate.kept],
            N: count,
        }
    };
    let near = |given: f64, expected: f64| (given - expected).abs() <= 1e-10 * expected.abs();
    let mut found: Vec<Kept> = choices(estimate.kept, count)
        .into_iter()
        .map(of)
        .filter(|kept| near(kept.estimates()[0], estimate.trace))
        .filter(|kept| near(kept.estimates()[1], estimate.trace_of_square))
        .collect();
    assert_eq!(found.len(), 1, "one choice of samples has these estimates: {estimate:?}");
    found.remove(0)
}

/// The same with a limit, against sums of the contributions of the kept samples, each by the formulas of the method.
#[test]
fn limited_steps_follow_their_formula() {
    let (mut limited, mut steps) = (0, 0);
    for (index, recipe) in recipes(7).enumerate() {
        let problem = recipe.problem();
        let mut instance = problem.instance::<f64>();
        let shape = instance.plan.shape();
        let pair_weights = [PairWeights::Batch, PairWeights::DataSet { samples: 30 }][index % 2];
        instance.plan = instance.plan.with_pair_weights(pair_weights);
        let loss_gradient = instance.gradient(Quantity::Loss).1;
        // Of two classes the sketch is exact, too.
        let sketch = recipe.classes == 2;
        let (own_share, limited_share) = (OWN_SHARES[index % 4], [0.2, 0.5, 0.05][index % 3]);
        let (alpha, beta) = (1.0, 0.5);
        let sampling = Sampling { subset: kept(4), sketch, alpha, beta, own_share, limited_share, ..Sampling::new(5) };
        let mut training = Training::new(&instance);
        for count in 0..6 {
            let before = training.averages;
            let (given, estimate) = gradient_of_step(&mut training, &instance, 0.3, sampling);
            let kept = kept_samples(&problem, pair_weights, &estimate);
            let contributions = kept.contributions(slopes(&before, &estimate, own_share, shape));
            let sizes: Vec<f64> = contributions.iter().map(|contribution| contribution.size).collect();
            let cut_to = |limit: f64| sizes.iter().map(|size| size.min(limit)).sum::<f64>();
            let (whole, after) = (cut_to(f64::INFINITY), training.averages);
            let near = |given: f64, expected: f64| {
                assert!((given - expected).abs() <= 1e-9 * expected, "{recipe:?} {count}: {given} for {expected}")
            };
            let mut expected = loss_gradient.clone();
            let mut add = |weight: f64, gradient: &[f64]| {
                expected.iter_mut().zip(gradient).for_each(|(sum, entry)| *sum += weight * entry)
            };
            if count == 0 {
                contributions.iter().for_each(|contribution| add(0.3, &contribution.gradient));
                near(cut_to(after.limit), (1.0 - limited_share) * whole);
                near(after.whole, whole);
                near(after.limited, whole);
            } else {
                let make_up = (before.whole / before.limited).clamp(1.0, 3.0);
                for Contribution { gradient, size } in &contributions {
                    add(0.3 * make_up * (before.limit / size).min(1.0), gradient);
                    limited += usize::from(*size > before.limit);
                    steps += 1;
                }
                let taken = 1.0 - cut_to(before.limit) / whole;
                near(after.limit, before.limit * (1.0 + 0.3 * (taken - limited_share)));
                near(after.whole, 0.5 * before.whole + 0.5 * whole);
                near(after.limited, 0.5 * before.limited + 0.5 * cut_to(before.limit));
            }
            close(&format!("{recipe:?} {sampling:?} {count}"), &given, &expected, 1e-9);
        }
    }
    assert!(limited * 10 >= steps && limited * 3 <= 2 * steps, "{limited} of {steps} contributions were limited");
}

/// Some steps in, so that there are averages and a limit.
fn trained<T: Real>(instance: &Instance<T>, sampling: Sampling) -> Training<T> {
    let mut training = Training::new(instance);
    for _ in 0..5 {
        gradient_of_step(&mut training, instance, 0.3, sampling);
    }
    training
}

/// ρ scales the penalty's part of a step, and nothing else: no limit, and no average.
#[test]
fn the_limit_does_not_depend_on_rho() {
    fn check<T: Real>() {
        for recipe in recipes(9) {
            let instance = recipe.problem().instance::<T>();
            let sampling = Sampling { subset: kept(4), ..Sampling::new(5) };
            let training = trained(&instance, sampling);
            let step = |rho: f64| {
                let mut training = training.clone();
                let gradient = gradient_of_step(&mut training, &instance, rho, sampling).0;
                (gradient.iter().map(|entry| entry.to_f64()).collect::<Vec<f64>>(), training.averages)
            };
            let (loss, averages) = step(0.0);
            assert_eq!(averages, training.averages);
            let ((one, averages), (two, of_two)) = (step(64.0), step(128.0));
            assert_eq!(averages, of_two);
            assert_eq!(averages.count, 6);
            let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
            let relative = 8.0 * T::EPSILON.to_f64() * (1.0 + largest(&loss) / largest(&apart(&one, &loss)));
            close(&format!("{recipe:?}"), &apart(&two, &one), &apart(&one, &loss), relative);
        }
    }
    check::<f64>();
    check::<f32>();
}

fn largest(numbers: &[f64]) -> f64 {
    numbers.iter().fold(0.0, |largest, x| x.abs().max(largest))
}

fn norm(numbers: &[f64]) -> f64 {
    numbers.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// One sample's inputs far out, in a direction that no hidden unit looks in: its outputs stay, and its own pair grows with the fourth
/// power. What it does to a step is bounded by the limit of the steps before.
#[test]
fn an_outlier_moves_a_step_by_no_more_than_the_limit() {
    let (activation, labels) = (Activation::Gelu, Labels::Soft);
    let problem = Recipe { inputs: 6, hidden: 3, classes: 3, samples: 7, activation, labels, seed: 5 }.problem();
    let shape = problem.shape();
    let plain = problem.instance::<f64>();
    // Orthogonal to all rows of W.
    let mut away = vec![1.0; 6];
    for row in problem.theta[shape.hidden_weight()].chunks_exact(6).cycle().take(600) {
        let part = row.iter().zip(&away).map(|(w, x)| w * x).sum::<f64>() / norm(row).powi(2);
        away.iter_mut().zip(row).for_each(|(x, w)| *x -= part * w);
    }
    let length = norm(&away);

    let sampling = Sampling { subset: kept(6), own_share: 0.0, ..Sampling::new(5) };
    let before = trained(&plain, sampling);
    let Averages { limit, whole, limited, .. } = before.averages;
    // That of six contributions. Their size does not count what goes from the logits by V to W and b, through φ' of at most 1.2.
    let through = 1.2 * norm(&problem.theta[shape.output_weight()]);
    let most = 6.0 * 0.3 * (whole / limited).clamp(1.0, 3.0) * limit * (1.0 + through);
    for far in [1e2, 1e3, 1e4] {
        let mut planted = problem.clone();
        planted.inputs.iter_mut().zip(&away).for_each(|(x, away)| *x += far / length * away);
        let planted = planted.instance::<f64>();
        let loss = planted.gradient(Quantity::Loss).1;
        let mut seen = 0;
        for steps in 5..15 {
            let step = |instance: &Instance<f64>, limited_share: f64| {
                let mut training = Training { steps, ..before.clone() };
                let sampling = Sampling { limited_share, ..sampling };
                let (gradient, estimate) = gradient_of_step(&mut training, instance, 0.3, sampling);
                let penalty: Vec<f64> = gradient.iter().zip(&loss).map(|(entry, loss)| entry - loss).collect();
                (penalty, estimate.trace, training.averages)
            };
            // The same samples are kept, with the planted one among them, or without.
            if step(&planted, 0.2).1 < 2.0 * step(&plain, 0.2).1 {
                continue;
            }
            seen += 1;
            let ((penalty, _, after), (unlimited, ..)) = (step(&planted, 0.2), step(&planted, 0.0));
            for block in [shape.hidden_weight(), shape.hidden_bias(), shape.output_weight(), shape.output_bias()] {
                let [given, unlimited] = [&penalty, &unlimited].map(|penalty| norm(&penalty[block.clone()]));
                assert!(given <= most, "{far} {block:?}: {given}, limited to {most}");
                assert!(unlimited >= 100.0 * most, "{far} {block:?}: {unlimited} without a limit, which is {most}");
            }
            assert!(after.limit <= 1.3 * limit, "{far}: {} after {limit}", after.limit);
        }
        assert!(seen >= 5, "the outlier was kept {seen} times of ten");
    }
}

/// With all samples kept there is no luck of the draw, and no limit.
#[test]
fn whole_batches_are_not_limited() {
    fn check<T: Real>() {
        for recipe in recipes(6) {
            let instance = recipe.problem().instance::<T>();
            let few = Sampling { subset: kept(4), ..Sampling::new(5) };
            for start in [Training::new(&instance), trained(&instance, few)] {
                for size in [kept(6), kept(20), None] {
                    let by = |limited_share: f64| {
                        let sampling = Sampling { subset: size, limited_share, ..few };
                        let mut training = start.clone();
                        for _ in 0..3 {
                            training.step(&instance, &Hsr::sampled(SGD, 0.1, sampling)).expect("a step");
                        }
                        training
                    };
                    let limited = by(0.2);
                    assert_eq!(limited, by(0.0), "{recipe:?} {size:?}");
                    let of = |Averages { limit, whole, limited, .. }: Averages| [limit, whole, limited];
                    assert_eq!(of(limited.averages), of(start.averages), "{recipe:?} {size:?}");
                }
            }
        }
    }
    check::<f64>();
    check::<f32>();
}

/// A plan is for batches of up to so many samples. A smaller batch is estimated as by a plan of its own size, to the bit.
#[test]
fn batches_smaller_than_the_plans_are_their_own() {
    fn check<T: Real>() {
        for recipe in recipes(7) {
            for weights in [PairWeights::Batch, PairWeights::DataSet { samples: 40 }] {
                let mut exact = recipe.problem().instance::<T>();
                exact.plan = exact.plan.with_pair_weights(weights);
                let mut roomy = exact.clone();
                roomy.plan = Plan::new(exact.plan.network(), 12).expect("a plan").with_pair_weights(weights);
                // Fewer than the batch has, as many, more, and more than the plan's.
                for subset in [kept(4), kept(7), kept(9), kept(15), None] {
                    let sampling = Sampling { subset, ..Sampling::new(5) };
                    for mixture in [TRACE, SQUARE] {
                        let (given, expected) =
                            (estimate(&roomy, &sampling, 3, mixture), estimate(&exact, &sampling, 3, mixture));
                        assert_eq!(given, expected, "{recipe:?} {weights:?} {subset:?}");
                    }
                    let train = |instance: &Instance<T>| {
                        let mut training = Training::new(instance);
                        for _ in 0..3 {
                            training.step(instance, &Hsr::sampled(SGD, 0.1, sampling)).expect("a step");
                        }
                        training
                    };
                    assert_eq!(train(&roomy), train(&exact), "{recipe:?} {weights:?} {subset:?}");
                }
            }
        }
    }
    check::<f64>();
    check::<f32>();
}

/// Where the update fails, after the estimate, averages and counts are those before.
#[test]
fn a_step_whose_update_fails_changes_nothing() {
    fn check<T: Real>() {
        let instance = batch(Activation::Tanh).instance::<T>();
        let sampling = Sampling { subset: kept(4), ..Sampling::new(5) };
        for direction in [Direction::Gradient, Direction::Unit] {
            let hsr = |rate: f64| Hsr {
                direction,
                ..Hsr::sampled(Sgd { learning_rate: rate, weight_decay: WeightDecay::all(100.0), ..SGD }, 0.1, sampling)
            };
            for mut training in [Training::new(&instance), trained(&instance, sampling)] {
                let before = training.clone();
                let refused = training.step(&instance, &hsr(f64::MAX));
                assert_eq!(refused, Err(Error::Overflow { quantity: "new parameters" }));
                assert_eq!(training, before, "{direction:?}");
                training.step(&instance, &hsr(1e-3)).expect("a step");
                assert_eq!(training.averages.count, before.averages.count + 1);
                assert_ne!(training.averages, before.averages);
            }
        }
    }
    check::<f64>();
    check::<f32>();
}

/// A count of 0 means that nothing was averaged: it is not come back to.
#[test]
fn the_count_of_averages_skips_zero() {
    let estimate = Estimate { trace: 1.0, trace_of_square: 2.0, kept: 3, weight: 4.0 };
    let counted = |count: u64| Averages { count, ..Averages::default() }.with(&estimate, 0.5).count;
    assert_eq!([0, 1, u64::MAX - 1, u64::MAX].map(counted), [1, 2, u64::MAX, 1]);

    let instance = batch(Activation::Tanh).instance::<f64>();
    let mut training = trained(&instance, Sampling { subset: kept(4), ..Sampling::new(5) });
    let before = training.averages;
    training.averages.count = u64::MAX;
    training.step(&instance, &hsr(Direction::Gradient)).expect("a step");
    assert_eq!(training.averages.count, 1);
    // They were not begun anew.
    let limit = training.averages.limit / before.limit;
    assert!((0.9..1.3).contains(&limit) && limit != 1.0, "{limit}");
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
    for own_share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        hyperparameter(Sampling { own_share, ..good }, "own share");
    }
    for limited_share in [-0.1, 1.0, f64::NAN, f64::INFINITY] {
        hyperparameter(Sampling { limited_share, ..good }, "limited share");
    }
    let edges = Sampling { alpha: Sampling::LEAST_ALPHA, beta: 0.0, own_share: 0.0, limited_share: 0.0, ..good };
    for sampling in [edges, Sampling { alpha: 1.0, own_share: 1.0, limited_share: 0.99, ..good }] {
        assert_eq!(sampling.check(), Ok(()));
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

/// Averages that are not finite would take away the penalty without a word, and so would a negative limit.
#[test]
fn averages_that_cannot_be_are_refused() {
    let instance = recipes(9).next().expect("a recipe").problem().instance::<f64>();
    let hsr = hsr(Direction::Gradient);
    let good = Averages { trace: 1.0, trace_of_square: 1.0, limit: 1.0, whole: 1.0, limited: 1.0, count: 3 };
    let check = |averages: Averages, error: Error| {
        let mut training = Training { averages, ..Training::new(&instance) };
        let before = training.theta.clone();
        assert_eq!(training.step(&instance, &hsr), Err(error));
        assert_eq!((&training.theta, training.steps), (&before, 0));
        // Before the first estimate they are not read.
        training.averages.count = 0;
        let mut fresh = Training::new(&instance);
        assert_eq!(training.step(&instance, &hsr), fresh.step(&instance, &hsr));
        assert_eq!(training, fresh);
    };
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for (index, averages) in [
            Averages { trace: bad, ..good },
            Averages { trace_of_square: bad, ..good },
            Averages { limit: bad, ..good },
            Averages { whole: bad, ..good },
            Averages { limited: bad, ..good },
        ]
        .into_iter()
        .enumerate()
        {
            check(averages, Error::NotFinite { argument: "averages", index });
        }
    }
    let given = -1.0;
    for (argument, averages) in [
        ("average limit", Averages { limit: given, ..good }),
        ("average whole", Averages { whole: given, ..good }),
        ("average limited", Averages { limited: given, ..good }),
    ] {
        check(averages, Error::Hyperparameter { argument, given, expected: "a number that is not negative" });
    }
    // Averages of traces may be negative, and sizes of nothing are 0.
    for averages in [
        Averages { trace: -1.0, trace_of_square: -1.0, ..good },
        Averages { limit: 0.0, whole: 0.0, limited: 0.0, ..good },
        Averages { whole: 0.0, limited: 0.0, ..good },
    ] {
        let mut training = Training { averages, ..Training::new(&instance) };
        training.step(&instance, &hsr).expect("a step");
    }
}
