//! Sharpness-Aware Minimization.

use crate::batch::Batch;
use crate::error::{Error, Result, check_not_negative};
use crate::hessian::exact::Objective;
use crate::network::Shape;
use crate::optimizer::interface::{Base, Hyperparameters, Optimizer};
use crate::optimizer::sgd::Sgd;
use crate::optimizer::state::{State, Step};
use crate::plan::Plan;
use crate::quantities::Memory;
use crate::real::Real;

/// Sharpness-Aware Minimization: takes the loss gradient at the point nearby where the loss is greatest, to first order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sam<B = Sgd> {
    /// The optimizer whose update is used: [`Sgd`] or [`Adam`](crate::Adam).
    pub base: B,
    /// The radius, finite and not negative: the Euclidean distance of that point.
    pub radius: f64,
}

impl<B> Sam<B> {
    /// SAM of this radius, with the update of `base`.
    pub const fn new(base: B, radius: f64) -> Self {
        Self { base, radius }
    }
}

impl<B: Base> Hyperparameters for Sam<B> {
    fn learning_rate(&self) -> f64 {
        self.base.learning_rate()
    }

    fn set_learning_rate(&mut self, rate: f64) {
        self.base.set_learning_rate(rate);
    }

    fn moments_len(&self, shape: Shape) -> usize {
        self.base.moments_len(shape)
    }

    /// [`Plan::gradient_workspace_len`].
    fn workspace_len(&self, plan: &Plan) -> Result<usize> {
        Ok(plan.gradient_workspace_len())
    }
}

impl<T: Real, B: Optimizer<T> + Base> Optimizer<T> for Sam<B> {
    fn check(&self, plan: &Plan, state: &State<'_, T>) -> Result<()> {
        self.base.check(plan, state)?;
        check_not_negative("radius", self.radius)
    }

    /// One step along −∇L(θ + radius ∇L(θ)/‖∇L(θ)‖). Where ∇L = 0, or the radius is 0, this is the step of the base. Reports L(θ).
    fn step(
        &self,
        plan: &Plan,
        theta: &mut [T],
        batch: &Batch<'_, T>,
        state: &mut State<'_, T>,
        workspace: &mut [T],
    ) -> Result<Step> {
        self.check(plan, state)?;
        let Memory { gradient, other: moved, scratch } = Memory::first_order(plan, workspace)?;
        let differentiate = const { T::FUNCTIONS.differentiate };
        let loss = differentiate(plan, theta, batch, Objective::Loss, gradient, scratch)?.loss;
        if self.radius > 0.0 {
            moved.copy_from_slice(theta);
            (const { T::FUNCTIONS.add_unit })(plan.instruction_set(), moved, self.radius, gradient);
            differentiate(plan, moved, batch, Objective::Loss, gradient, scratch).map_err(|error| match error {
                Error::NotFinite { .. } => Error::Overflow { quantity: "parameters moved by the radius" },
                other => other,
            })?;
        }
        self.base.update(plan, theta, gradient, state)?;
        Ok(Step::plain(loss))
    }

    fn update(&self, plan: &Plan, theta: &mut [T], gradient: &mut [T], state: &mut State<'_, T>) -> Result<()> {
        self.base.update(plan, theta, gradient, state)
    }
}
