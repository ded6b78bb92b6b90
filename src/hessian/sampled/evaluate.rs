//! One sampled evaluation: plain SGD's forward pass over the batch, all else over the kept samples, one backward sweep.

use crate::batch::Batch;
use crate::error::Result;
use crate::hessian::evaluation::{Run, finite, first_order_packing};
use crate::hessian::sampled::back::{self, Hats};
use crate::hessian::sampled::features::{Features, Sizes};
use crate::hessian::sampled::pairs::{self, Pairs, Weights};
use crate::hessian::sampled::subset::{self, Subset};
use crate::hessian::sampled::{Averages, Estimate, Mixture, Sampling};
use crate::hessian::samples::{self, Derivatives};
use crate::hessian::sweep::{self, Adjoints, Scattered};
use crate::network::{ParametersMut, Shape};
use crate::plan::{Plan, largest, sum};
use crate::random::{Random, Stream};
use crate::real::Real;
use crate::workers;

/// Which random numbers an evaluation draws.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    pub sampling: Sampling,
    pub counter: u64,
}

/// What to differentiate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aim {
    /// A sum with given weights.
    Mixture(Mixture),
    /// `loss · L + rho · Λ`, with Λ's slopes at running averages.
    Bound { loss: f64, rho: f64, averages: Averages },
}

impl Aim {
    fn weights(self, estimate: &Estimate, guard: f64, shape: Shape) -> Mixture {
        match self {
            Self::Mixture(mixture) => mixture,
            Self::Bound { loss, rho, averages } => {
                let slopes = averages.slopes(estimate, guard, shape);
                Mixture { loss, trace: rho * slopes.trace, trace_of_square: rho * slopes.square }
            }
        }
    }
}

/// Flops that a subset of `size` adds to the loss gradient.
pub(super) const fn flops(shape: Shape, size: usize, sketch: bool) -> u64 {
    let sizes = Sizes::new(shape, size, sketch);
    sum(&[sizes.feature_flops(), pairs::flops(sizes)])
}

/// Elements of workspace for batches of up to `n` samples.
pub(super) const fn workspace_elements(plan: &Plan, size: usize, sketch: bool) -> u64 {
    let (shape, n) = (plan.shape(), plan.samples());
    let sizes = Sizes::new(shape, size, sketch);
    sum(&[
        2 * shape.parameters() as u64,
        packing(shape, n, size, sketch).saturating_mul(plan.threads() as u64),
        samples::elements(shape, n, Derivatives::FirstAndInput),
        sweep::loss_elements(shape, n),
        subset::elements(n, size),
        sizes.feature_elements(),
        pairs::elements(sizes),
        back::elements(sizes),
    ])
}

/// Elements of packing space for all matrix products.
const fn packing(shape: Shape, n: usize, size: usize, sketch: bool) -> u64 {
    let sizes = Sizes::new(shape, size, sketch);
    largest(&[first_order_packing(shape, n), sizes.feature_packing(), pairs::packing(sizes), back::packing(sizes)])
}

/// Writes the gradient of what is aimed at. Nothing is written unless the values are finite; the gradient may not be.
pub(crate) fn differentiate_sampled<'a, T: Real>(
    plan: &Plan,
    theta: &'a [T],
    batch: &Batch<'a, T>,
    draw: Draw,
    aim: Aim,
    gradient: &mut [T],
    scratch: &'a mut [T],
) -> Result<(f64, Estimate)> {
    // The penalty is little beside the loss.
    workers::awake(plan.threads(), sweep::flops(plan.shape(), plan.samples()), |threads| {
        let Draw { sampling, counter } = draw;
        let shape = plan.shape();
        let gradient = ParametersMut::new(shape, gradient)?;
        let size = sampling.subset_len(plan);
        let packing = packing(shape, plan.samples(), size, sampling.sketch);
        let mut run = Run::new(plan, theta, batch, scratch, packing, threads)?;
        let pair_weights = plan.pair_weights().of(batch.samples())?;
        let samples = run.forward(plan, batch, Derivatives::FirstAndInput)?;
        let (isa, packing, arena) = (run.isa, run.workers.scratch(), &mut run.arena);

        let subset = Subset::draw(isa, &samples, size, sampling.alpha, [sampling.seed, counter], arena);
        let sizes = Sizes::new(shape, subset.len(), sampling.sketch);
        let random = Random::new(sampling.seed, counter, Stream::Signs);
        let activation = plan.network().activation;
        let features = Features::new(isa, sizes, activation, &samples, subset.rows, random, arena, packing);
        let weights = Weights { samples: subset.weights, pairs: pair_weights, mean: 1.0 / samples.n as f64 };
        let mut pairs = Pairs::new(isa, &features, arena, packing);
        let [trace, trace_of_square] = pairs.values(isa, &features, weights);
        let estimate = Estimate {
            trace: finite(trace, "tr H")?,
            trace_of_square: finite(trace_of_square, "tr H²")?,
            kept: subset.len(),
            weight: subset.weights.iter().map(|weight| weight.to_f64()).sum(),
        };

        let wanted = aim.weights(&estimate, sampling.guard, shape);
        pairs.differentiate(isa, weights, [wanted.trace, wanted.trace_of_square]);
        let hats = Hats::new(isa, features, &pairs, samples.v, gradient.output_weight, arena, packing);
        let adjoints = Adjoints {
            scattered: Some(Scattered { subset, logits: hats.logits, units: hats.units }),
            ..Adjoints::of_loss(shape, samples.n, arena)
        };
        sweep::sweep(isa, &samples, wanted.loss, adjoints, gradient, run.workers);
        Ok((samples.loss, estimate))
    })
}
