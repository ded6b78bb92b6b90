//! The beginning of every evaluation: checks the arguments, cuts the scratch, runs the forward pass.

use crate::batch::Batch;
use crate::count::largest;
use crate::error::{Error, Result, check_finite, check_length};
use crate::hessian::forward::{self, Derivatives, Forward};
use crate::hessian::sweep;
use crate::kernels::context::Context;
use crate::kernels::vector::first_not_finite;
use crate::network::{Parameters, Shape};
use crate::plan::Plan;
use crate::simd::{Element, InstructionSet};
use crate::workers::{Threads, Workers};
use crate::workspace::Arena;

/// An evaluation in progress: checked arguments, the rest of the scratch, and the context of all its kernels.
pub(crate) struct Run<'a, T> {
    pub theta: Parameters<'a, T>,
    pub arena: Arena<'a, T>,
    pub context: Context<'a, T>,
}

/// Elements of packing space for the matrix products of loss and loss gradient.
pub(crate) const fn gradient_packing(plan: &Plan) -> u64 {
    let (shape, n) = (plan.shape(), plan.samples());
    largest(&[forward::packing_elements(shape, n), sweep::packing_elements(shape, n)])
}

impl<'a, T: Element> Run<'a, T> {
    /// Checks θ and the batch against the plan, and cuts `of_a_worker` elements of scratch for every worker.
    pub(crate) fn new(
        plan: &Plan,
        theta: &'a [T],
        batch: &Batch<'_, T>,
        scratch: &'a mut [T],
        of_a_worker: usize,
        threads: Threads<'a>,
    ) -> Result<Self> {
        if batch.samples() > plan.samples() {
            return Err(Error::Samples { given: batch.samples(), planned: plan.samples() });
        }
        Self::of_any_size(plan, theta, batch, scratch, of_a_worker, threads)
    }

    /// The same for a data set, which may have more samples than the plan.
    pub(crate) fn of_any_size(
        plan: &Plan,
        theta: &'a [T],
        batch: &Batch<'_, T>,
        scratch: &'a mut [T],
        of_a_worker: usize,
        threads: Threads<'a>,
    ) -> Result<Self> {
        let shape = plan.shape();
        let [inputs, classes] = batch.widths();
        if [inputs, classes] != [shape.inputs(), shape.classes()] {
            let planned = [shape.inputs(), shape.hidden(), shape.classes()];
            return Err(Error::Shape { planned, given: [inputs, classes] });
        }
        Self::of_theta(plan, theta, scratch, of_a_worker, threads)
    }

    /// Checks θ alone.
    pub(crate) fn of_theta(
        plan: &Plan,
        theta: &'a [T],
        scratch: &'a mut [T],
        of_a_worker: usize,
        threads: Threads<'a>,
    ) -> Result<Self> {
        let (shape, isa) = (plan.shape(), plan.instruction_set());
        let theta = finite_parameters(isa, shape, theta, "theta")?;
        let mut arena = Arena::new(scratch);
        let workers = Workers::new(threads, arena.take(of_a_worker * plan.threads()));
        Ok(Self { theta, arena, context: Context::new(isa, workers) })
    }

    /// The same, borrowed for a shorter time: what it cuts off the scratch is free again when it is dropped.
    pub(crate) fn scope(&mut self) -> Run<'_, T> {
        Run { theta: self.theta, arena: self.arena.scope(), context: self.context.reborrow() }
    }

    /// The forward pass; an error where the loss overflows.
    pub(crate) fn forward(
        &mut self,
        plan: &Plan,
        batch: &Batch<'a, T>,
        derivatives: Derivatives,
    ) -> Result<Forward<'a, T>> {
        let context = self.context.reborrow();
        let forward = Forward::new(plan.network(), self.theta, batch, derivatives, &mut self.arena, context);
        check_finite(forward.loss, "loss")?;
        Ok(forward)
    }
}

/// Splits θ, or a direction, into its blocks; an error unless it is finite and of the right length.
pub(crate) fn finite_parameters<'a, T: Element>(
    isa: InstructionSet,
    shape: Shape,
    values: &'a [T],
    argument: &'static str,
) -> Result<Parameters<'a, T>> {
    check_length(argument, values, shape.parameters())?;
    let parameters = Parameters::new(shape, values)?;
    match first_not_finite(isa, values) {
        Some(index) => Err(Error::NotFinite { argument, index }),
        None => Ok(parameters),
    }
}
