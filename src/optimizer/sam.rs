//! Sharpness-Aware Minimization.

use crate::batch::Batch;
use crate::error::{Error, Result, check_not_negative};
use crate::hessian::exact::Objective;
use crate::kernels::vector::add_unit;
use crate::optimizer::sgd::Sgd;
use crate::optimizer::state::{State, Step};
use crate::plan::Plan;
use crate::quantities::Memory;
use crate::real::Real;

/// Sharpness-Aware Minimization: takes the loss gradient at the point nearby where the loss is greatest, to first order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sam {
    /// The update.
    pub sgd: Sgd,
    /// The radius, finite and not negative: the Euclidean distance of that point.
    pub radius: f64,
}

impl Sam {
    /// SAM of this radius, with this update.
    pub const fn new(sgd: Sgd, radius: f64) -> Self {
        Self { sgd, radius }
    }

    /// One step along −∇L(θ + radius ∇L(θ)/‖∇L(θ)‖). Where ∇L = 0, or the radius is 0, this is SGD's step. Reports L(θ).
    ///
    /// Takes [`Plan::gradient_workspace_len`] elements of workspace.
    ///
    /// # Errors
    ///
    /// Those of [`Sgd::step`].
    pub fn step<T: Real>(
        &self,
        plan: &Plan,
        theta: &mut [T],
        batch: &Batch<'_, T>,
        state: &mut State<'_, T>,
        workspace: &mut [T],
    ) -> Result<Step> {
        self.sgd.check(plan, state)?;
        check_not_negative("radius", self.radius)?;
        let Memory { gradient, other: moved, scratch } = Memory::first_order(plan, workspace)?;
        let loss = (const { T::FUNCTIONS.differentiate })(plan, theta, batch, Objective::Loss, gradient, scratch)?.loss;
        if self.radius > 0.0 {
            moved.copy_from_slice(theta);
            add_unit(plan.instruction_set(), moved, self.radius, gradient);
            (const { T::FUNCTIONS.differentiate })(plan, moved, batch, Objective::Loss, gradient, scratch).map_err(
                |error| match error {
                    Error::NotFinite { .. } => Error::Overflow { quantity: "parameters moved by the radius" },
                    other => other,
                },
            )?;
        }
        self.sgd.update(plan, theta, gradient, state)?;
        Ok(Step::plain(loss))
    }
}
