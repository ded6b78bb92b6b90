//! The mean over all sign patterns, one by one. What needs no look at the signs is tested from outside, in `tests/suite/sampled.rs`.

use std::vec;
use std::vec::Vec;

use super::{Mixture, Sampling};
use crate::quantities::sampled_gradient;
use crate::random::{Random, Stream};
use crate::{Activation, Batch, Network, PairWeights, Plan, Shape, Targets, trace_gradient, trace_of_square_gradient};

const SAMPLES: usize = 3;
const CLASSES: usize = 3;
/// Two signs for each of two sketches of each sample.
const PATTERNS: usize = 1 << (2 * 2 * SAMPLES);

struct Case {
    plan: Plan,
    theta: Vec<f64>,
    inputs: Vec<f64>,
    targets: Vec<f64>,
}

impl Case {
    fn new(activation: Activation, pair_weights: PairWeights) -> Self {
        let shape = Shape::new(2, 4, CLASSES).unwrap();
        let plan = Plan::new(Network::new(shape, activation), SAMPLES).unwrap().with_pair_weights(pair_weights);
        Self {
            plan,
            theta: (0..shape.parameters()).map(|i| 0.8 * (1.7 * i as f64 + 0.3).sin()).collect(),
            inputs: (0..2 * SAMPLES).map(|i| (2.3 * i as f64).cos()).collect(),
            targets: vec![0.7, 0.2, 0.1, 0.0, 1.0, 0.0, 0.05, 0.05, 0.9],
        }
    }

    fn batch(&self) -> Batch<'_, f64> {
        Batch::new(self.plan.shape(), &self.inputs, Targets::Distributions(&self.targets)).unwrap()
    }

    /// E1, E2 and their gradients, in a row.
    fn estimates(&self, sampling: &Sampling, counter: u64) -> Vec<f64> {
        let mut gradient = vec![0.0; self.theta.len()];
        let mut workspace = vec![f64::NAN; sampling.workspace_len(&self.plan).unwrap()];
        let mut all = Vec::new();
        for square in [false, true] {
            let [trace, trace_of_square] = [f64::from(!square), f64::from(square)];
            let weights = Mixture { loss: 0.0, trace, trace_of_square };
            let (theta, batch) = (&self.theta, &self.batch());
            let done =
                sampled_gradient(&self.plan, theta, batch, sampling, counter, weights, &mut gradient, &mut workspace);
            let (_, estimate) = done.unwrap();
            all.push(if square { estimate.trace_of_square } else { estimate.trace });
            all.extend_from_slice(&gradient);
        }
        all
    }

    fn exact(&self) -> Vec<f64> {
        let mut gradient = vec![0.0; self.theta.len()];
        let mut workspace = vec![0.0; self.plan.workspace_len()];
        let (plan, theta, batch) = (&self.plan, &self.theta, &self.batch());
        let trace = trace_gradient(plan, theta, batch, &mut gradient, &mut workspace).unwrap();
        let mut all = [&[trace], &gradient[..]].concat();
        let done = trace_of_square_gradient(plan, theta, batch, &mut gradient, &mut workspace).unwrap();
        all.push(done.traces.trace_of_square());
        all.extend_from_slice(&gradient);
        all
    }

    /// The most probable class of each sample.
    fn pivots(&self) -> Vec<usize> {
        let shape = self.plan.shape();
        let mut theta = self.theta.iter();
        let mut take = |count: usize| theta.by_ref().take(count).copied().collect::<Vec<f64>>();
        let (w, b) = (take(shape.hidden() * shape.inputs()), take(shape.hidden()));
        let (v, c) = (take(CLASSES * shape.hidden()), take(CLASSES));
        let logits = |x: &[f64]| -> Vec<f64> {
            let unit = |j: usize| {
                let u: f64 = b[j] + w[j * x.len()..].iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
                self.plan.network().activation.evaluate(u)[0]
            };
            let h: Vec<f64> = (0..shape.hidden()).map(unit).collect();
            (0..CLASSES).map(|k| c[k] + v[k * h.len()..].iter().zip(&h).map(|(v, h)| v * h).sum::<f64>()).collect()
        };
        let largest = |z: Vec<f64>| (0..CLASSES).max_by(|&a, &b| z[a].total_cmp(&z[b])).unwrap();
        self.inputs.chunks_exact(shape.inputs()).map(|x| largest(logits(x))).collect()
    }

    /// The signs that a counter draws, as bits.
    fn pattern(&self, pivots: &[usize], counter: u64) -> usize {
        let random = Random::new(SEED, counter, Stream::Signs);
        let mut pattern = 0;
        for (sample, &pivot) in pivots.iter().enumerate() {
            for second in 0..2 {
                for class in (0..CLASSES).filter(|&class| class != pivot) {
                    let bit = second * SAMPLES + sample;
                    pattern = pattern << 1 | (random.word(class as u64) >> bit & 1) as usize;
                }
            }
        }
        pattern
    }
}

const SEED: u64 = 5;

#[test]
fn the_mean_over_all_signs_is_exact() {
    let data_set = PairWeights::DataSet { samples: 50 };
    for (activation, weights) in [(Activation::Tanh, PairWeights::Batch), (Activation::Silu, data_set)] {
        let case = Case::new(activation, weights);
        let pivots = case.pivots();
        let sampling = Sampling::new(SEED);
        let mut mean = vec![0.0; 2 * (case.theta.len() + 1)];
        let (mut seen, mut count) = (vec![false; PATTERNS], 0);
        for counter in 0.. {
            if !core::mem::replace(&mut seen[case.pattern(&pivots, counter)], true) {
                for (mean, value) in mean.iter_mut().zip(case.estimates(&sampling, counter)) {
                    *mean += value / PATTERNS as f64;
                }
                count += 1;
                if count == PATTERNS {
                    break;
                }
            }
        }
        let exact = case.exact();
        let largest = exact.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
        for (at, (mean, exact)) in mean.iter().zip(exact).enumerate() {
            // 4096 terms of the size of the largest, a few hundred roundings each.
            assert!((mean - exact).abs() <= 300.0 * f64::EPSILON * largest, "{activation} {at}: {mean} {exact}");
        }
    }
}
