//! A caller's workspace, cut: `[gradient, P | another vector, P | scratch]`.
//!
//! Results are computed in the workspace and copied to the caller once they are known to be finite, so an error changes nothing of the
//! caller's.

use crate::batch::Batch;
use crate::error::{Error, Result, check_length};
use crate::hessian::exact::{Differentiated, Objective};
use crate::kernels::vector::first_not_finite;
use crate::plan::Plan;
use crate::real::Real;
use crate::sampled::evaluate::SampledObjective;
use crate::sampled::{Estimate, Sampling};
use crate::simd::InstructionSet;

/// A workspace, cut: two vectors laid out like θ, and the scratch of an evaluation.
pub(crate) struct Memory<'w, T> {
    /// A gradient that is computed here, and checked before it is copied.
    pub gradient: &'w mut [T],
    /// A second vector: SAM's moved parameters, or HSR's direction.
    pub other: &'w mut [T],
    /// Scratch of the evaluation.
    pub scratch: &'w mut [T],
}

impl<'w, T: Real> Memory<'w, T> {
    /// The cut for loss and loss gradient; an error where the workspace is too short.
    pub(crate) fn first_order(plan: &Plan, workspace: &'w mut [T]) -> Result<Self> {
        Self::cut(plan, workspace, plan.gradient_workspace_len())
    }

    /// The cut for all exact quantities; an error where the workspace is too short.
    pub(crate) fn second_order(plan: &Plan, workspace: &'w mut [T]) -> Result<Self> {
        Self::cut(plan, workspace, plan.workspace_len())
    }

    /// The cut for a sampled evaluation; an error where the workspace is too short.
    pub(crate) fn sampled(plan: &Plan, sampling: &Sampling, workspace: &'w mut [T]) -> Result<Self> {
        Self::cut(plan, workspace, sampling.workspace_len(plan)?)
    }

    /// The cut for the exact curvature of a data set; an error where the workspace is too short.
    pub(crate) fn of_data_set(plan: &Plan, workspace: &'w mut [T]) -> Result<Self> {
        Self::cut(plan, workspace, plan.data_set_workspace_len()?)
    }

    fn cut(plan: &Plan, workspace: &'w mut [T], needed: usize) -> Result<Self> {
        if workspace.len() < needed {
            return Err(Error::Workspace { given: workspace.len(), needed });
        }
        let (gradient, rest) = workspace.split_at_mut(plan.shape().parameters());
        let (other, scratch) = rest.split_at_mut(plan.shape().parameters());
        Ok(Self { gradient, other, scratch })
    }

    /// Differentiates an objective, and copies the gradient to the caller if it is finite.
    pub(crate) fn gradient_to(
        self,
        plan: &Plan,
        theta: &[T],
        batch: &Batch<'_, T>,
        objective: Objective,
        output: &mut [T],
    ) -> Result<Differentiated> {
        check_length("gradient", output, plan.shape().parameters())?;
        let done = (const { T::FUNCTIONS.differentiate })(plan, theta, batch, objective, self.gradient, self.scratch)?;
        hand_over(plan.instruction_set(), self.gradient, output, "gradient")?;
        Ok(done)
    }

    /// The same for a sampled objective.
    #[allow(clippy::too_many_arguments, reason = "those of every gradient, and how it is drawn")]
    pub(crate) fn sampled_gradient_to(
        self,
        plan: &Plan,
        theta: &[T],
        batch: &Batch<'_, T>,
        sampling: &Sampling,
        draw: u64,
        objective: SampledObjective,
        output: &mut [T],
    ) -> Result<(f64, Estimate)> {
        check_length("gradient", output, plan.shape().parameters())?;
        let differentiate = const { T::FUNCTIONS.differentiate_sampled };
        let done = differentiate(plan, theta, batch, sampling, draw, objective, self.gradient, self.scratch)?;
        hand_over(plan.instruction_set(), self.gradient, output, "gradient")?;
        Ok((done.loss, done.estimate))
    }
}

/// Copies a result, unless it overflowed.
pub(super) fn hand_over<T: Real>(isa: InstructionSet, from: &[T], to: &mut [T], quantity: &'static str) -> Result<()> {
    if first_not_finite(isa, from).is_some() {
        return Err(Error::Overflow { quantity });
    }
    to.copy_from_slice(from);
    Ok(())
}
