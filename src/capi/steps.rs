//! The steps, written once for both number types.

use super::batch::{CBatch, Call};
use super::optimizer::{CHsr, CSam, CSgd};
use super::plan::CPlan;
use super::results::CStep;
use super::state::{CState, StateMemory};
use super::status::{Status, guard};

/// Declares the step of every optimizer, for one number type.
macro_rules! steps {
    ($real:ident: $sgd_step:ident, $sam_step:ident, $hsr_step:ident) => {
        steps! { @each $real:
            /// One step of gradient descent; θ and the state are changed. Takes the plan's `gradient_workspace_len` elements of workspace.
            $sgd_step(sgd: CSgd);
            /// One step of Sharpness-Aware Minimization; θ and the state are changed. Takes the plan's `gradient_workspace_len` elements of
            /// workspace.
            $sam_step(sam: CSam);
            /// One step of Hessian Spectral Range regularization; θ and the state are changed. Takes as many elements of workspace as
            /// `flatmin_hsr_workspace_len` says: the plan's `workspace_len` for an exact penalty, another number for a sampled one.
            $hsr_step(hsr: CHsr);
        }
    };
    (@each $real:ident: $($(#[$doc:meta])* $name:ident($method:ident: $type:ty);)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// Every pointer is null or leads to as many elements as its length says, or to a size and as many bytes as it says.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(
                plan: *const CPlan,
                $method: *const $type,
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
                    let mut call = Call::new(plan, batch, workspace, workspace_len)?;
                    let method = <$type>::method(call.memory.read($method, stringify!($method))?)?;
                    let theta = call.memory.output(theta, theta_len, "theta")?;
                    let state = StateMemory::note(state, &mut call.memory)?;
                    let result = call.memory.place(result, "result")?;
                    let done = call.run(|plan, batch, space| {
                        state.step(|state| method.step(plan, theta.slice(), batch, state, space))
                    })?;
                    result.write(CStep::new(done));
                    Ok(())
                })
            }
        )*
    };
}

steps! { f32: flatmin_sgd_step_f32, flatmin_sam_step_f32, flatmin_hsr_step_f32 }

steps! { f64: flatmin_sgd_step_f64, flatmin_sam_step_f64, flatmin_hsr_step_f64 }
