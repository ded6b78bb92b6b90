//! The batch, and what every function of a batch takes.

use super::memory::{Input, Memory, Output};
use super::plan::CPlan;
use super::status::Failure;
use super::structure::structure;
use crate::batch::Batch;
use crate::error::Error;
use crate::network::Shape;
use crate::plan::Plan;
use crate::real::Real;
use crate::targets::Targets;

structure! {
    /// A batch, or a data set: N samples, with inputs and either kind of targets. The other kind is null, of length 0.
    ///
    /// Inputs and targets are checked by every call, at the cost of reading them once.
    CBatch<T> = "flatmin_batch" {
        /// N×D, row-major.
        inputs: *const T,
        /// N·D.
        inputs_len: usize,
        /// One class index a sample, or null.
        classes: *const u32,
        /// N, or 0.
        classes_len: usize,
        /// One probability distribution over the classes a sample, N×K, row-major, or null.
        distributions: *const T,
        /// N·K, or 0.
        distributions_len: usize,
    }
}

/// A batch's arrays, noted.
pub(super) struct BatchMemory<T> {
    inputs: Input<T>,
    targets: TargetMemory<T>,
}

enum TargetMemory<T> {
    Classes(Input<u32>),
    Distributions(Input<T>),
}

impl<T: Real> CBatch<T> {
    /// `name` is what the function calls the argument that this is.
    pub(super) fn note(&self, memory: &mut Memory, name: &'static str) -> Result<BatchMemory<T>, Failure> {
        let inputs = memory.input(self.inputs, self.inputs_len, "inputs")?;
        let targets = match (self.classes_len, self.distributions_len) {
            (1.., 0) => TargetMemory::Classes(memory.input(self.classes, self.classes_len, "classes")?),
            (0, 1..) => TargetMemory::Distributions(memory.input(
                self.distributions,
                self.distributions_len,
                "distributions",
            )?),
            _ => return Err(Failure::Targets(name)),
        };
        Ok(BatchMemory { inputs, targets })
    }
}

impl<T: Real> BatchMemory<T> {
    /// The batch, checked.
    ///
    /// # Safety
    ///
    /// As for [`Input::slice`].
    pub(super) unsafe fn batch<'a>(&self, shape: Shape) -> Result<Batch<'a, T>, Error> {
        // SAFETY: as promised.
        let (inputs, targets) = unsafe {
            let targets = match &self.targets {
                TargetMemory::Classes(classes) => Targets::Classes(classes.slice()),
                TargetMemory::Distributions(distributions) => Targets::Distributions(distributions.slice()),
            };
            (self.inputs.slice(), targets)
        };
        Batch::new(shape, inputs, targets)
    }
}

/// What every function of a batch takes.
pub(super) struct Call<T> {
    plan: Plan,
    pub(super) memory: Memory,
    batch: BatchMemory<T>,
    workspace: Output<T>,
}

impl<T: Real> Call<T> {
    /// `batch_name` is what the function calls the argument `batch`.
    ///
    /// # Safety
    ///
    /// As for [`Memory::read`].
    pub(super) unsafe fn new(
        plan: *const CPlan,
        batch: *const CBatch<T>,
        batch_name: &'static str,
        workspace: *mut T,
        workspace_len: usize,
    ) -> Result<Self, Failure> {
        let mut memory = Memory::new();
        // SAFETY: as promised.
        let (plan, batch) = unsafe { (memory.read(plan, "plan")?, memory.read(batch, batch_name)?) };
        let (plan, batch) = (plan.plan()?, batch.note(&mut memory, batch_name)?);
        let workspace = memory.output(workspace, workspace_len, "workspace")?;
        Ok(Self { plan, memory, batch, workspace })
    }

    /// Runs the call's work, once all of its memory is noted.
    ///
    /// # Safety
    ///
    /// All noted pointers lead to as many elements as was said, which nobody else writes to, or, for outputs, touches.
    pub(super) unsafe fn run<'a, R>(
        self,
        work: impl FnOnce(&Plan, &Batch<'a, T>, &'a mut [T]) -> Result<R, Error>,
    ) -> Result<R, Failure> {
        self.memory.check_apart()?;
        // SAFETY: as promised.
        let (batch, workspace) = unsafe { (self.batch.batch(self.plan.shape())?, self.workspace.slice()) };
        work(&self.plan, &batch, workspace).map_err(Failure::from)
    }
}
