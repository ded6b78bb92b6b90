//! Hessian Spectral Range regularization.

use core::num::NonZeroU64;

use crate::batch::Batch;
use crate::error::{Result, check_not_negative};
use crate::hessian::exact::Objective;
use crate::network::Shape;
use crate::optimizer::interface::{Base, Hyperparameters, Optimizer};
use crate::optimizer::sgd::Sgd;
use crate::optimizer::state::{State, Step};
use crate::plan::Plan;
use crate::quantities::Memory;
use crate::real::Real;
use crate::sampled::evaluate::{SampledEvaluation, SampledObjective};
use crate::sampled::{Averages, Sampling};

/// How HSR's penalty enters the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Direction {
    /// ρ ∇Λ: descends L + ρΛ. Loss and penalty share one backward sweep.
    #[default]
    Gradient,
    /// ρ ∇Λ/‖∇Λ‖: a step of constant length toward flatness. Takes a second backward sweep, as the norm must be known.
    Unit,
}

/// Where ∇Λ comes from.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
#[non_exhaustive]
pub enum Penalty {
    /// The batch's own traces, exactly.
    #[default]
    Exact,
    /// Estimates from a few samples, at about the price of SGD: see [`crate::sampled`].
    Sampled(Sampling),
}

/// Hessian Spectral Range regularization: descends L + ρΛ, where Λ is the Wolkowicz–Styan upper bound on λ_max.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hsr<B = Sgd> {
    /// The optimizer whose update is used: [`Sgd`] or [`Adam`](crate::Adam).
    pub base: B,
    /// ρ, finite and not negative. With ρ = 0 the step is that of the base, at its cost.
    pub rho: f64,
    /// The penalty is taken on steps 0, k, 2k, … of the state's count; the steps between are those of the base.
    pub every: NonZeroU64,
    /// How the penalty enters.
    pub direction: Direction,
    /// Where the penalty's gradient comes from.
    pub penalty: Penalty,
}

impl<B> Hsr<B> {
    /// HSR of this strength: the exact penalty on every step, along the gradient of L + ρΛ, with the update of `base`.
    pub const fn new(base: B, rho: f64) -> Self {
        Self { base, rho, every: NonZeroU64::MIN, direction: Direction::Gradient, penalty: Penalty::Exact }
    }

    /// The same with a sampled penalty.
    pub const fn sampled(base: B, rho: f64, sampling: Sampling) -> Self {
        let every = NonZeroU64::MIN;
        Self { base, rho, every, direction: Direction::Gradient, penalty: Penalty::Sampled(sampling) }
    }

    /// A [`step`](Optimizer::step) with random numbers from the caller's generator: the next `u64` is the seed of a sampled penalty.
    ///
    /// Every call takes one word, whatever the shapes and the penalty, and whether or not the step succeeds. So a training is resumed by
    /// restoring the state and the generator; and other uses of the generator do not depend on the shape or the subset.
    ///
    /// # Errors
    ///
    /// Those of a [`step`](Optimizer::step).
    ///
    /// ```
    /// use flatmin::{Activation, Batch, Hsr, Hyperparameters, Network, Optimizer, Plan, Sampling, Sgd, Shape, State, Targets};
    /// use rand::{SeedableRng, rngs::ChaCha8Rng};
    ///
    /// let shape = Shape::new(2, 3, 2)?;
    /// let plan = Plan::new(Network::new(shape, Activation::Tanh), 4)?;
    /// let batch = Batch::new(shape, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], Targets::Classes(&[0, 1, 1, 0]))?;
    /// let mut theta: Vec<f64> = (0..shape.parameters()).map(|i| (i as f64).sin()).collect();
    /// let hsr = Hsr::sampled(Sgd::new(0.1), 0.05, Sampling::default());
    /// let mut workspace = vec![0.0; hsr.workspace_len(&plan)?];
    /// let (mut source, mut state) = (ChaCha8Rng::seed_from_u64(1), State::new(&mut []));
    /// let step = hsr.step_with(&mut source, &plan, &mut theta, &batch, &mut state, &mut workspace)?;
    /// assert!(step.estimate.is_some());
    /// # Ok::<(), flatmin::Error>(())
    /// ```
    #[cfg(feature = "rand_core")]
    pub fn step_with<T: Real, R: rand_core::Rng + ?Sized>(
        &self,
        source: &mut R,
        plan: &Plan,
        theta: &mut [T],
        batch: &Batch<'_, T>,
        state: &mut State<'_, T>,
        workspace: &mut [T],
    ) -> Result<Step>
    where
        B: Optimizer<T> + Base + Copy,
    {
        let seed = source.next_u64();
        let penalty = match self.penalty {
            Penalty::Exact => Penalty::Exact,
            Penalty::Sampled(sampling) => Penalty::Sampled(Sampling { seed, ..sampling }),
        };
        Self { penalty, ..*self }.step(plan, theta, batch, state, workspace)
    }

    /// Writes the gradient of `loss_weight · L + rho · Λ`. Returns the loss and what is known of the curvature, and the averages after
    /// the step.
    #[allow(clippy::too_many_arguments, reason = "those of a step, and where the gradient goes")]
    fn differentiate<T: Real>(
        &self,
        plan: &Plan,
        theta: &[T],
        batch: &Batch<'_, T>,
        [loss_weight, rho]: [f64; 2],
        state: &State<'_, T>,
        gradient: &mut [T],
        scratch: &mut [T],
    ) -> Result<(Step, Averages)> {
        match self.penalty {
            Penalty::Exact => {
                let objective = if loss_weight == 0.0 { Objective::Bound } else { Objective::Hsr { rho } };
                let done = (const { T::FUNCTIONS.differentiate })(plan, theta, batch, objective, gradient, scratch)?;
                Ok((Step { curvature: Some(done.curvature(plan)), ..Step::plain(done.loss) }, state.averages))
            }
            Penalty::Sampled(sampling) => {
                let objective = SampledObjective::Bound { loss: loss_weight, rho, averages: state.averages };
                let (sampling, draw) = (&sampling, state.steps);
                let differentiate = const { T::FUNCTIONS.differentiate_sampled };
                let SampledEvaluation { loss, estimate, averages } =
                    differentiate(plan, theta, batch, sampling, draw, objective, gradient, scratch)?;
                Ok((Step { estimate: Some(estimate), ..Step::plain(loss) }, averages))
            }
        }
    }
}

impl<B: Base> Hyperparameters for Hsr<B> {
    fn learning_rate(&self) -> f64 {
        self.base.learning_rate()
    }

    fn set_learning_rate(&mut self, rate: f64) {
        self.base.set_learning_rate(rate);
    }

    fn moments_len(&self, shape: Shape) -> usize {
        self.base.moments_len(shape)
    }

    /// [`Plan::workspace_len`] for the exact penalty, [`Sampling::workspace_len`] for a sampled one.
    fn workspace_len(&self, plan: &Plan) -> Result<usize> {
        match &self.penalty {
            Penalty::Exact => Ok(plan.workspace_len()),
            Penalty::Sampled(sampling) => sampling.workspace_len(plan),
        }
    }
}

impl<T: Real, B: Optimizer<T> + Base> Optimizer<T> for Hsr<B> {
    fn check(&self, plan: &Plan, state: &State<'_, T>) -> Result<()> {
        self.base.check(plan, state)?;
        check_not_negative("rho", self.rho)?;
        match self.penalty {
            Penalty::Exact => Ok(()),
            Penalty::Sampled(_) => state.averages.check(),
        }
    }

    /// One step along −(∇L + ρ∇Λ). Reports L, and at θ both traces, all four bounds, and whether Λ was differentiable. With a sampled
    /// penalty it reports the estimates of the traces instead, and adds them to the state's averages.
    ///
    /// Where Λ is not differentiable (H = 0), ∇Λ is taken as ∇tr H / P.
    ///
    /// ```
    /// use flatmin::{Activation, Batch, Hsr, Network, Optimizer, Plan, Sgd, Shape, State, Targets};
    ///
    /// let shape = Shape::new(2, 3, 2)?;
    /// let plan = Plan::new(Network::new(shape, Activation::Tanh), 4)?;
    /// let batch = Batch::new(shape, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], Targets::Classes(&[0, 1, 1, 0]))?;
    /// let mut theta: Vec<f64> = (0..shape.parameters()).map(|i| (i as f64).sin()).collect();
    /// let mut workspace = vec![0.0; plan.workspace_len()];
    /// let mut state = State::new(&mut []);
    /// let hsr = Hsr::new(Sgd::new(0.1), 0.05);
    /// let step = hsr.step(&plan, &mut theta, &batch, &mut state, &mut workspace)?;
    /// let curvature = step.curvature.expect("every step takes the penalty");
    /// assert!(curvature.bounds.lambda_max_lower <= curvature.bounds.lambda_max_upper);
    /// # Ok::<(), flatmin::Error>(())
    /// ```
    fn step(
        &self,
        plan: &Plan,
        theta: &mut [T],
        batch: &Batch<'_, T>,
        state: &mut State<'_, T>,
        workspace: &mut [T],
    ) -> Result<Step> {
        self.check(plan, state)?;
        let Memory { gradient, other: bound_gradient, scratch } = match &self.penalty {
            Penalty::Exact => Memory::second_order(plan, workspace)?,
            Penalty::Sampled(sampling) => Memory::sampled(plan, sampling, workspace)?,
        };

        let due = self.rho != 0.0 && state.steps.is_multiple_of(self.every.get());
        let (step, averages) = if !due {
            let loss =
                (const { T::FUNCTIONS.differentiate })(plan, theta, batch, Objective::Loss, gradient, scratch)?.loss;
            (Step::plain(loss), state.averages)
        } else if self.direction == Direction::Gradient {
            self.differentiate(plan, theta, batch, [1.0, self.rho], state, gradient, scratch)?
        } else {
            let (bound, averages) =
                self.differentiate(plan, theta, batch, [0.0, 1.0], state, bound_gradient, scratch)?;
            let loss =
                (const { T::FUNCTIONS.differentiate })(plan, theta, batch, Objective::Loss, gradient, scratch)?.loss;
            (const { T::FUNCTIONS.add_unit })(plan.instruction_set(), gradient, self.rho, bound_gradient);
            (Step { loss, ..bound }, averages)
        };
        self.base.update(plan, theta, gradient, state)?;
        state.averages = averages;
        Ok(step)
    }

    fn update(&self, plan: &Plan, theta: &mut [T], gradient: &mut [T], state: &mut State<'_, T>) -> Result<()> {
        self.base.update(plan, theta, gradient, state)
    }
}
