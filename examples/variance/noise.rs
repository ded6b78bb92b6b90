//! The noise of the crate's own estimates.

use std::num::NonZeroUsize;

use anyhow::Result;
use flatmin::{Batch, Network, PairWeights, Plan, Targets, curvature, trace_gradient, trace_of_square_gradient};
use flatmin::{Mixture, Sampling, sampled_gradient};
use rand::seq::index;

use crate::common::data::Samples;
use crate::common::random::{Purpose, generator};

/// What is measured with.
pub struct Noise<'a> {
    pub network: Network,
    pub samples: &'a Samples,
    /// Samples a batch.
    pub batch: usize,
    pub draws: usize,
    pub seed: u64,
}

/// Inputs and classes of some samples.
pub fn chosen(samples: &Samples, width: usize, rows: impl IntoIterator<Item = usize>) -> (Vec<f64>, Vec<u32>) {
    let (mut inputs, mut classes) = (Vec::new(), Vec::new());
    for row in rows {
        inputs.extend_from_slice(&samples.inputs[row * width..][..width]);
        classes.push(samples.classes[row]);
    }
    (inputs, classes)
}

/// Weights of tr H and tr H² in ∇Λ, Λ's slopes.
fn slopes(trace: f64, trace_of_square: f64, parameters: f64) -> Mixture {
    let mean = trace / parameters;
    let square = (parameters - 1.0).sqrt() / (2.0 * (trace_of_square / parameters - mean * mean).sqrt() * parameters);
    Mixture { loss: 0.0, trace: 1.0 / parameters - 2.0 * mean * square, trace_of_square: square }
}

impl Noise<'_> {
    /// Of every way of drawing.
    pub fn measure(&self, theta: &[f64]) -> Result<Vec<(String, f64)>> {
        let (shape, total) = (self.network.shape, self.samples.len());
        let whole = Plan::new(self.network, total)?;
        let mut workspace = vec![0.0; whole.workspace_len()];
        let batch = Batch::new(shape, &self.samples.inputs, Targets::Classes(&self.samples.classes))?;
        let traces = curvature(&whole, theta, &batch, &mut workspace)?.traces;
        let weights = slopes(traces.trace(), traces.trace_of_square(), shape.parameters() as f64);
        let exact = exact_gradient(&whole, theta, &batch, weights, &mut workspace)?;

        let plan = Plan::new(self.network, self.batch)?;
        let plan = match self.batch < total {
            true => plan.with_pair_weights(PairWeights::DataSet { samples: total }),
            false => plan,
        };
        let subset = |size: usize| NonZeroUsize::new(size.min(self.batch));
        let new = Sampling::new(self.seed);
        let mut ways = vec![("exact pairs of the batch".to_owned(), None)];
        ways.push(("sketch, all samples".into(), Some(Sampling { subset: subset(self.batch), ..new })));
        for size in [8, 16, 32] {
            ways.push((format!("sketch, r = {size}"), Some(Sampling { subset: subset(size), ..new })));
            ways.push((format!("exact S, r = {size}"), Some(Sampling { subset: subset(size), sketch: false, ..new })));
            ways.push((
                format!("sketch, r = {size}, uniform"),
                Some(Sampling { subset: subset(size), alpha: 1.0, ..new }),
            ));
        }
        for alpha in [0.05, 0.2, 0.5] {
            ways.push((format!("sketch, r = 16, α = {alpha}"), Some(Sampling { subset: subset(16), alpha, ..new })));
        }

        let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
        let mut gradient = vec![0.0; theta.len()];
        let mut results = Vec::new();
        for (name, sampling) in ways {
            // The same batches for all.
            let mut random = generator(self.seed, Purpose::Batches);
            let length = sampling.map_or(Ok(0), |sampling| sampling.workspace_len(&plan))?.max(plan.workspace_len());
            let mut workspace = vec![0.0; length];
            let mut sum = 0.0;
            for draw in 0..self.draws {
                let rows = index::sample(&mut random, total, self.batch);
                let (inputs, classes) = chosen(self.samples, shape.inputs(), rows);
                let batch = Batch::new(shape, &inputs, Targets::Classes(&classes))?;
                match &sampling {
                    None => gradient = exact_gradient(&plan, theta, &batch, weights, &mut workspace)?,
                    Some(sampling) => {
                        let (out, space) = (&mut gradient, &mut workspace);
                        sampled_gradient(&plan, theta, &batch, sampling, draw as u64, weights, out, space)?;
                    }
                }
                gradient.iter_mut().zip(&exact).for_each(|(entry, exact)| *entry -= exact);
                sum += square(&gradient);
            }
            results.push((name, sum / self.draws as f64 / square(&exact)));
        }
        Ok(results)
    }
}

fn exact_gradient(
    plan: &Plan,
    theta: &[f64],
    batch: &Batch<'_, f64>,
    weights: Mixture,
    workspace: &mut [f64],
) -> Result<Vec<f64>> {
    let (mut gradient, mut other) = (vec![0.0; theta.len()], vec![0.0; theta.len()]);
    trace_gradient(plan, theta, batch, &mut gradient, workspace)?;
    trace_of_square_gradient(plan, theta, batch, &mut other, workspace)?;
    for (entry, square) in gradient.iter_mut().zip(&other) {
        *entry = weights.trace * *entry + weights.trace_of_square * square;
    }
    Ok(gradient)
}
