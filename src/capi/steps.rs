//! The steps, written once for both number types, and the schedules of their learning rate.

use super::batch::{CBatch, Call};
use super::memory::Memory;
use super::optimizer::COptimizer;
use super::plan::CPlan;
use super::results::CStep;
use super::state::{CState, StateMemory};
use super::status::{Status, guard};
use crate::optimizer::{Optimizer, schedule};

/// Declares the step and the update of one number type.
macro_rules! steps {
    ($real:ident: $step:ident, $update:ident) => {
        /// One step of an optimizer; θ and the state are changed. Takes as many elements of workspace as `flatmin_optimizer_workspace_len`
        /// says, and as many moments as `flatmin_optimizer_moments_len`.
        ///
        /// # Safety
        ///
        /// Every pointer is null or leads to as many elements as its length says, or to a size and as many bytes as it says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $step(
            plan: *const CPlan,
            optimizer: *const COptimizer,
            theta: *mut $real,
            theta_len: usize,
            batch: *const CBatch<$real>,
            state: *mut CState<$real>,
            workspace: *mut $real,
            workspace_len: usize,
            result: *mut CStep,
        ) -> Status {
            // SAFETY: the caller's promise.
            guard(|| unsafe {
                let mut call = Call::new(plan, batch, "batch", workspace, workspace_len)?;
                let optimizer = call.memory.read(optimizer, "optimizer")?;
                let theta = call.memory.output(theta, theta_len, "theta")?;
                let state = StateMemory::note(state, &mut call.memory)?;
                let result = call.memory.place(result, "result")?;
                let done = optimizer.with(|optimizer: &dyn Optimizer<$real>| {
                    call.run(|plan, batch, space| {
                        state.change(|state| optimizer.step(plan, theta.slice(), batch, state, space))
                    })
                })?;
                result.write(CStep::new(done));
                Ok(())
            })
        }

        /// The last part of a step, along a gradient of the caller's, laid out like θ: weight decay, the limit of the norm, moments, θ. The
        /// method does not matter. θ and the state are changed. What `gradient` holds afterwards, after an error too, is not specified.
        ///
        /// # Safety
        ///
        /// Every pointer is null or leads to as many elements as its length says, or to a size and as many bytes as it says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $update(
            plan: *const CPlan,
            optimizer: *const COptimizer,
            theta: *mut $real,
            theta_len: usize,
            gradient: *mut $real,
            gradient_len: usize,
            state: *mut CState<$real>,
        ) -> Status {
            // SAFETY: the caller's promise.
            guard(|| unsafe {
                let mut memory = Memory::new();
                let plan = memory.read(plan, "plan")?.plan()?;
                let optimizer = memory.read(optimizer, "optimizer")?;
                let theta = memory.output(theta, theta_len, "theta")?;
                let gradient = memory.output(gradient, gradient_len, "gradient")?;
                let state = StateMemory::note(state, &mut memory)?;
                memory.check_apart()?;
                optimizer.with(|optimizer: &dyn Optimizer<$real>| {
                    Ok(state.change(|state| optimizer.update(&plan, theta.slice(), gradient.slice(), state))?)
                })
            })
        }
    };
}

steps! { f32: flatmin_step_f32, flatmin_update_f32 }

steps! { f64: flatmin_step_f64, flatmin_update_f64 }

/// A factor of the learning rate: a line from 1/steps at step 0 to 1 at the last of so many steps, and 1 from there on.
#[unsafe(no_mangle)]
pub extern "C" fn flatmin_warm_up(step: u64, steps: u64) -> f64 {
    schedule::warm_up(step, steps)
}

/// A factor of the learning rate: half a wave of the cosine, (1 + cos(π step/steps))/2, from 1 at step 0 to 0 at `steps`, and 0 from there on.
#[unsafe(no_mangle)]
pub extern "C" fn flatmin_cosine(step: u64, steps: u64) -> f64 {
    schedule::cosine(step, steps)
}
