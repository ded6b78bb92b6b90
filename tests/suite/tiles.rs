//! Batches about the edges of tiles, parts and chunks of samples, and layers about the widths of registers: in every way, in both types,
//! with every instruction set.
//!
//! What a batch has to give follows from batches of one and of two samples, which know of no tile. With `F = |batch|² tr H²`, the sum of κ
//! over its pairs, and its gradient,
//!
//! ```text
//! own_i = F({i})        cross_ij = F({i, j}) − F({i}) − F({j})        t(N) = s Σ_i own_i + c Σ_i<j cross_ij
//! ```
//!
//! with the weights s and c of self and cross pairs; tr H is the mean of the samples'. These batches are computed in f64 with the portable
//! instruction set, and one of three samples is compared with the reference, which knows only loss and back-propagation.
//!
//! Edges are at multiples of 16, 32 and 64 samples today. One small network takes every N beyond twice the largest, so that a change of
//! tiles does not leave the test behind unless they grow.

use std::num::NonZeroUsize;

use crate::common::call::{Quantity, nan};
use crate::common::problem::{Instance, Labels, Problem, Recipe, Way};
use crate::common::reference::{Reference, roundings};

use flatmin::{Activation, InstructionSet, PairWeights, Real};
use flatmin::{Mixture, Sampling, sampled_gradient};

/// About the multiples of 16, 32 and 64 samples.
const EDGES: [usize; 11] = [1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129];

/// Errors, in units of ε of the type, and of those of f64 in which the expected numbers were computed.
const ALLOWED: f64 = 32.0;
const EXPECTED: f64 = 256.0;

/// The most samples that the sampled penalty is tried on: its workspace is quadratic in them.
const KEPT: usize = 33;

/// Σ of numbers of one kind over samples or pairs: shares of a trace, then its gradient; and of what they would be without their signs.
#[derive(Clone)]
struct Sums {
    shares: usize,
    values: Vec<f64>,
    scales: Vec<f64>,
}

impl Sums {
    fn zero(shares: usize, parameters: usize) -> Self {
        let zeros = vec![0.0; shares + parameters];
        Self { shares, values: zeros.clone(), scales: zeros }
    }

    fn add(&mut self, weight: f64, terms: &[f64]) {
        for ((value, scale), term) in self.values.iter_mut().zip(&mut self.scales).zip(terms) {
            *value += weight * term;
            *scale += (weight * term).abs();
        }
    }

    fn plus(&self, weights: [f64; 2], other: &Self) -> Self {
        let mix = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| weights[0] * a + weights[1] * b).collect();
        Self { values: mix(&self.values, &other.values), scales: mix(&self.scales, &other.scales), ..*self }
    }

    /// All shares as one.
    fn in_one(&self) -> Self {
        let join = |all: &[f64]| {
            let (shares, gradient) = all.split_at(self.shares);
            std::iter::once(shares.iter().sum()).chain(gradient.iter().copied()).collect()
        };
        Self { shares: 1, values: join(&self.values), scales: join(&self.scales) }
    }

    /// Shares, then the gradient, relative to the largest sum of absolute terms of one.
    fn check<T: Real>(&self, what: &str, given: &[f64]) {
        let allowed = ALLOWED * T::EPSILON.to_f64() + EXPECTED * f64::EPSILON;
        for range in [0..self.shares, self.shares..self.values.len()] {
            let largest = self.scales[range.clone()].iter().copied().fold(0.0, f64::max);
            for at in range {
                let (given, expected) = (given[at], self.values[at]);
                let error = (given - expected).abs() / largest;
                // Written so that NaN fails.
                assert!(error <= allowed, "{what} [{at}]: {given:e} given, {expected:e} expected, error {error:e}");
            }
        }
    }
}

/// tr H, in two shares, and its gradient.
fn trace<T: Real>(instance: &Instance<T>) -> Vec<f64> {
    let traces = instance.curvature().traces;
    [traces.output, traces.hidden].into_iter().chain(gradient(instance, Quantity::Trace)).collect()
}

/// tr H², in three shares, and its gradient.
fn square<T: Real>(instance: &Instance<T>) -> Vec<f64> {
    let traces = instance.curvature().traces;
    let shares = [traces.output_square, traces.cross_square, traces.hidden_square];
    shares.into_iter().chain(gradient(instance, Quantity::TraceOfSquare)).collect()
}

fn gradient<T: Real>(instance: &Instance<T>, quantity: Quantity) -> impl Iterator<Item = f64> {
    instance.gradient(quantity).1.into_iter().map(|entry| entry.to_f64())
}

/// The same by the sampled penalty that keeps all samples, and all of S; a trace in one share.
fn both_sampled<T: Real>(instance: &Instance<T>) -> [Vec<f64>; 2] {
    let sampling =
        Sampling { subset: NonZeroUsize::new(instance.plan.samples().max(2)), sketch: false, ..Sampling::new(1) };
    let (plan, theta, batch) = (&instance.plan, &instance.theta, &instance.batch());
    [false, true].map(|square| {
        let mut workspace = nan(sampling.workspace_len(plan).expect("good parameters"));
        let mut gradient = nan(instance.parameters());
        let weight = |wanted| if wanted { 1.0 } else { 0.0 };
        let weights = Mixture { trace: weight(!square), trace_of_square: weight(square), ..Mixture::default() };
        let (_, estimate) = sampled_gradient(plan, theta, batch, &sampling, 0, weights, &mut gradient, &mut workspace)
            .expect("an estimate");
        let value = if square { estimate.trace_of_square } else { estimate.trace };
        std::iter::once(value).chain(gradient.into_iter().map(|entry| entry.to_f64())).collect()
    })
}

/// What the first samples of a problem have to give.
struct Expected {
    /// Σ of tr H of single samples.
    trace: Sums,
    own: Sums,
    cross: Sums,
}

impl Expected {
    /// Of the first sample, the first two, and so on: calls `with` after each of `sizes`.
    fn of_each(problem: &Problem, sizes: &[usize], mut with: impl FnMut(usize, &Self)) {
        let size = problem.shape().parameters();
        let mut sums = Self { trace: Sums::zero(2, size), own: Sums::zero(3, size), cross: Sums::zero(3, size) };
        let of =
            |rows: &[usize]| problem.rows(rows).instance::<f64>().by(Way::ALL[0]).with_set(InstructionSet::Portable);
        let mut owns: Vec<Vec<f64>> = Vec::new();
        for last in 0..sizes.iter().copied().max().unwrap_or_default() {
            let (trace, own) = (trace(&of(&[last])), square(&of(&[last])));
            for (first, other) in owns.iter().enumerate() {
                let mut pair = square(&of(&[first, last]));
                for ((pair, own), other) in pair.iter_mut().zip(&own).zip(other) {
                    *pair = 4.0 * *pair - own - other;
                }
                sums.cross.add(1.0, &pair);
            }
            sums.trace.add(1.0, &trace);
            sums.own.add(1.0, &own);
            owns.push(own);
            if sizes.contains(&(last + 1)) {
                with(last + 1, &sums);
            }
        }
    }

    fn square(&self, weights: (f64, f64)) -> Sums {
        self.own.plus([weights.0, weights.1], &self.cross)
    }
}

/// A batch by every way, with what an instruction set gives.
fn check<T: Real>(problem: &Problem, expected: &Expected, set: InstructionSet, pair_weights: PairWeights) {
    let n = problem.samples;
    let trace = expected.trace.plus([1.0 / n as f64, 0.0], &expected.trace);
    let square = expected.square(pair_weights.of(n).expect("a batch that goes with its data set"));
    for way in Way::ALL {
        let mut instance: Instance<T> = problem.instance().by(way).with_set(set);
        instance.plan = instance.plan.with_pair_weights(pair_weights);
        let (plan, bytes) = (instance.plan, size_of::<T>());
        let what = |of| format!("{of} by {plan}, {pair_weights:?}, numbers of {bytes} bytes, {set}");
        trace.check::<T>(&what("tr H"), &self::trace(&instance));
        square.check::<T>(&what("tr H²"), &self::square(&instance));
        if n <= KEPT && way == Way::ALL[0] {
            let [given_trace, given_square] = both_sampled(&instance);
            trace.in_one().check::<T>(&what("sampled tr H"), &given_trace);
            square.in_one().check::<T>(&what("sampled tr H²"), &given_square);
        }
    }
}

/// The first samples of a problem, as many as each of `sizes` says.
fn sweep(shape: [usize; 3], activation: Activation, labels: Labels, sizes: &[usize]) {
    let [inputs, hidden, classes] = shape;
    let samples = sizes.iter().copied().max().expect("some sizes");
    let seed = (inputs + 100 * hidden + 10_000 * classes) as u64;
    let mut problem = Recipe { inputs, hidden, classes, samples, activation, labels, seed }.problem().rounded::<f32>();
    problem.targets.chunks_exact_mut(classes).for_each(settle);
    anchored(&problem.rows(&[0, 1, 2]), seed);
    Expected::of_each(&problem, sizes, |n, expected| {
        let rows: Vec<usize> = (0..n).collect();
        let batch = problem.rows(&rows);
        for set in InstructionSet::all_supported() {
            check::<f64>(&batch, expected, set, PairWeights::Batch);
            check::<f32>(&batch, expected, set, PairWeights::Batch);
            if n > 1 {
                check::<f64>(&batch, expected, set, PairWeights::DataSet { samples: 3 * n });
            }
        }
    });
}

/// A distribution whose entries both types have, and which still sums to one.
fn settle(target: &mut [f64]) {
    let (first, others) = target.split_first_mut().expect("classes");
    others.iter_mut().for_each(|entry| *entry = (*entry * 1024.0).floor() / 1024.0);
    *first = 1.0 - others.iter().sum::<f64>();
}

/// What [`Expected`] makes of three samples is what the reference says.
fn anchored(problem: &Problem, seed: u64) {
    let direction = problem.direction(seed);
    let (reference, relative) = (Reference::new(problem, &direction), roundings(problem) * f64::EPSILON);
    Expected::of_each(problem, &[problem.samples], |n, expected| {
        let trace = expected.trace.plus([1.0 / n as f64, 0.0], &expected.trace).in_one();
        let square = expected.square(PairWeights::Batch.of(n).expect("weights")).in_one();
        for (sums, quantity) in [(trace, Quantity::Trace), (square, Quantity::TraceOfSquare)] {
            let slope = sums.values[1..].iter().zip(&direction).map(|(entry, d)| entry * d).sum();
            for (given, expected) in [(sums.values[0], reference.value(quantity)), (slope, reference.slope(quantity))] {
                // Every pair's numbers are differences of batches', six times as large altogether.
                let (error, allowed): (f64, f64) = ((given - expected.value).abs(), 6.0 * relative * expected.scale);
                assert!(error <= allowed, "{quantity:?}: {given:e}, {:e} of the reference", expected.value);
            }
        }
    });
}

#[test]
fn every_size() {
    let sizes: Vec<usize> = (1..=130).collect();
    sweep([2, 3, 3], Activation::Tanh, Labels::Soft, &sizes);
}

/// Two classes and few inputs have a hidden block of their own.
#[test]
fn two_classes() {
    sweep([4, 5, 2], Activation::Softplus, Labels::Hard, &EDGES);
    sweep([5, 5, 2], Activation::Silu, Labels::Smoothed, &EDGES);
}

/// The terms in x go by pairs where there are more than N/2 inputs, else by the inputs.
#[test]
fn many_inputs() {
    for inputs in [30, 31, 32, 63, 64, 80] {
        sweep([inputs, 4, 3], Activation::Gelu, Labels::Smoothed, &EDGES);
    }
}

/// Parts of tiles are smaller from 9 classes on in f64, from 12 in f32.
#[test]
fn many_classes() {
    for (classes, hidden) in [(8, 2), (9, 3), (11, 4), (12, 5), (16, 3), (17, 2), (33, 2)] {
        sweep([2, hidden, classes], Activation::Sigmoid, Labels::Soft, &EDGES);
    }
}

/// About the lanes of all registers, and where a tile of a product ends.
#[test]
fn hidden_units_about_the_widths_of_registers() {
    for (hidden, classes) in [
        (1, 3),
        (7, 4),
        (8, 5),
        (9, 3),
        (12, 4),
        (13, 2),
        (15, 3),
        (16, 10),
        (17, 5),
        (31, 3),
        (32, 4),
        (33, 9),
        (64, 2),
        (65, 3),
    ] {
        sweep([2, hidden, classes], Activation::Tanh, Labels::Hard, &[15, 16, 17, 64, 65]);
    }
}
