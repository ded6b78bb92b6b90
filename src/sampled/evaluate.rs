//! One sampled evaluation: SGD's forward pass over the batch, the penalty over the kept samples, one backward sweep.

use crate::batch::Batch;
use crate::count::{largest, product, sum};
use crate::error::{Error, Result, check_finite};
use crate::hessian::forward::{self, Derivatives};
use crate::hessian::run::{Run, gradient_packing};
use crate::hessian::sweep::{self, Adjoints, Scattered};
use crate::network::{ParametersMut, Shape};
use crate::plan::Plan;
use crate::random::{Random, Stream};
use crate::sampled::back::{self, KeptGradients};
use crate::sampled::features::{KeptFeatures, Sizes};
use crate::sampled::limit;
use crate::sampled::pairs::{self, KeptPairs, Weights};
use crate::sampled::subset::{self, Subset};
use crate::sampled::{Averages, Estimate, Mixture, Sampling};
use crate::simd::Element;
use crate::workers;

/// What to differentiate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SampledObjective {
    /// A sum with given weights.
    Mixture(Mixture),
    /// `loss · L + rho · Λ`, with Λ's slopes at running averages.
    Bound { loss: f64, rho: f64, averages: Averages },
}

impl SampledObjective {
    /// What is summed, but for the factor ρ.
    fn weights(self, estimate: &Estimate, own: f64, shape: Shape) -> Mixture {
        match self {
            Self::Mixture(mixture) => mixture,
            Self::Bound { loss, averages, .. } => {
                let slopes = averages.slopes(estimate, own, shape);
                Mixture { loss, trace: slopes.trace, trace_of_square: slopes.square }
            }
        }
    }
}

/// What a sampled evaluation finds, beside the gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SampledEvaluation {
    /// L
    pub loss: f64,
    pub estimate: Estimate,
    /// The averages with this estimate; of a mixture they are empty.
    pub averages: Averages,
}

/// The size of an automatic subset: as many samples as [`Sampling::SHARE`] allows, within [`Sampling::LEAST`] and [`Sampling::MOST`].
pub(crate) const fn automatic_subset(shape: Shape, samples: usize, sketch: bool) -> usize {
    let budget = Sampling::SHARE * sweep::flops(shape, samples) as f64;
    let mut size = Sampling::LEAST;
    while size < Sampling::MOST && flops(shape, size + 1, sketch) as f64 <= budget {
        size += 1;
    }
    size
}

/// Flops that a subset of `size` adds to the loss gradient.
const fn flops(shape: Shape, size: usize, sketch: bool) -> u64 {
    let sizes = Sizes::new(shape, size, sketch);
    sum(&[sizes.feature_flops(), pairs::flops(sizes)])
}

/// Elements of workspace for batches of up to `n` samples.
const fn workspace_elements(plan: &Plan, size: usize, sketch: bool) -> u64 {
    let (shape, n) = (plan.shape(), plan.samples());
    let sizes = Sizes::new(shape, size, sketch);
    sum(&[
        product(&[2, shape.parameters()]),
        packing(plan, size, sketch).saturating_mul(plan.threads() as u64),
        forward::elements(shape, n, Derivatives::sampled(plan.network().activation)),
        Adjoints::elements(shape, n),
        subset::elements(n, size),
        sizes.feature_elements(),
        pairs::elements(sizes),
        back::elements(sizes),
    ])
}

/// What a sampled step costs.
impl Sampling {
    /// How many samples of a full batch are kept: those asked for, or as many as cost at most [`SHARE`](Self::SHARE) of the loss
    /// gradient, but no fewer than [`LEAST`](Self::LEAST) and no more than [`MOST`](Self::MOST). Of a batch with fewer samples all are
    /// kept.
    pub const fn subset_len(&self, plan: &Plan) -> usize {
        let wanted = match self.subset {
            Some(size) => size.get(),
            None => plan.lengths.subsets[self.sketch as usize],
        };
        if wanted < plan.samples() { wanted } else { plan.samples() }
    }

    /// Flops that the penalty adds to a step on a full batch, counted like [`Plan::flops`].
    pub const fn flops(&self, plan: &Plan) -> u64 {
        flops(plan.shape(), self.subset_len(plan), self.sketch)
    }

    /// Elements of workspace that a sampled step takes. Linear in the batch, quadratic in the subset.
    ///
    /// # Errors
    ///
    /// Those of the [parameters](Self::check), and [`Error::TooLarge`] for a workspace that cannot be addressed.
    pub fn workspace_len(&self, plan: &Plan) -> Result<usize> {
        self.check()?;
        let elements = workspace_elements(plan, self.subset_len(plan), self.sketch);
        if elements > isize::MAX as u64 / 8 {
            return Err(Error::TooLarge { quantity: "workspace" });
        }
        Ok(elements as usize)
    }
}

/// Elements of packing space for all matrix products.
const fn packing(plan: &Plan, size: usize, sketch: bool) -> u64 {
    let sizes = Sizes::new(plan.shape(), size, sketch);
    largest(&[gradient_packing(plan), sizes.feature_packing(), pairs::packing(sizes), back::packing(sizes)])
}

/// Writes the gradient of an objective, with the random numbers of the `draw`-th evaluation. Writes nothing unless the values are finite;
/// the gradient itself may not be finite. Returns L, the estimates, and the averages with them.
#[allow(clippy::too_many_arguments, reason = "those of every gradient, and how it is drawn")]
pub(crate) fn differentiate_sampled<T: Element>(
    plan: &Plan,
    theta: &[T],
    batch: &Batch<'_, T>,
    sampling: &Sampling,
    draw: u64,
    objective: SampledObjective,
    gradient: &mut [T],
    scratch: &mut [T],
) -> Result<SampledEvaluation> {
    // The penalty is cheap beside the loss.
    workers::awake(plan.threads(), sweep::flops(plan.shape(), plan.samples()), |threads| {
        let shape = plan.shape();
        let gradient = ParametersMut::new(shape, gradient)?;
        let size = sampling.subset_len(plan);
        let mut run = Run::new(plan, theta, batch, scratch, packing(plan, size, sampling.sketch) as usize, threads)?;
        let pair_weights = plan.pair_weights().of(batch.samples())?;
        let activation = plan.network().activation;
        let forward = run.forward(plan, batch, Derivatives::sampled(activation))?;
        let (isa, context, arena) = (run.context.isa, &mut run.context, &mut run.arena);

        let subset = Subset::draw(isa, &forward, size, sampling.alpha, [sampling.seed, draw], arena);
        let sizes = Sizes::new(shape, subset.len(), sampling.sketch);
        let random = Random::new(sampling.seed, draw, Stream::Signs);
        let mut features = KeptFeatures::new(sizes, activation, &forward, subset.rows, random, arena, context);
        let weights = Weights { samples: subset.weights, pairs: pair_weights, mean: 1.0 / forward.n as f64 };
        let mut pairs = KeptPairs::new(&features, arena, context);
        let [trace, trace_of_square] = pairs.values(isa, &features, weights);
        let estimate = Estimate {
            trace: check_finite(trace, "tr H")?,
            trace_of_square: check_finite(trace_of_square, "tr H²")?,
            kept: subset.len(),
            weight: subset.weights.iter().map(|weight| weight.to_f64()).sum(),
        };

        let wanted = objective.weights(&estimate, sampling.own_share, shape);
        pairs.differentiate(isa, weights, [wanted.trace, wanted.trace_of_square]);
        let kept = KeptGradients::new(&mut features, &pairs, forward.v, arena, context);
        let averages = match objective {
            SampledObjective::Mixture(_) => {
                kept.factors.fill(T::ONE);
                Averages::default()
            }
            SampledObjective::Bound { rho, averages, .. } => {
                let averages = if averages.count == 0 { Averages::default() } else { averages };
                let limited = sampling.limited_share > 0.0 && subset.len() < forward.n;
                if limited {
                    limit::limit(isa, sampling, rho, &averages, kept.factors)?
                } else {
                    kept.factors.fill(T::from_f64(rho));
                    averages
                }
                .with(&estimate, sampling.beta)
            }
        };
        kept.output_weight(&mut features, gradient.output_weight, context);
        let adjoints = Adjoints {
            scattered: Some(Scattered {
                rows: subset.rows,
                factors: kept.factors,
                logits: kept.logits,
                units: kept.units,
            }),
            ..Adjoints::of_loss(shape, forward.n, arena)
        };
        sweep::sweep(&forward, wanted.loss, adjoints, gradient, run.context);
        Ok(SampledEvaluation { loss: forward.loss, estimate, averages })
    })
}
