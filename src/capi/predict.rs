//! Predictions, which have inputs and no targets, written once for both number types.

use super::memory::Memory;
use super::plan::CPlan;
use super::status::{Status, guard};
use crate::quantities;

/// Declares functions from inputs to an output: for each its number type, its name, the crate's function, and the output's name and type.
macro_rules! functions {
    ($($(#[$doc:meta])* $real:ident: $name:ident = $function:ident, $output:ident, $output_len:ident: $type:ident;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// Every pointer is null or leads to as many elements as its length says, or to a size and as many bytes as it says.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(
                plan: *const CPlan,
                theta: *const $real,
                theta_len: usize,
                inputs: *const $real,
                inputs_len: usize,
                $output: *mut $type,
                $output_len: usize,
                workspace: *mut $real,
                workspace_len: usize,
            ) -> Status {
                // SAFETY: the caller's promise.
                guard(|| unsafe {
                    let mut memory = Memory::new();
                    let plan = memory.read(plan, "plan")?.plan()?;
                    let theta = memory.input(theta, theta_len, "theta")?;
                    let inputs = memory.input(inputs, inputs_len, "inputs")?;
                    let output = memory.output($output, $output_len, stringify!($output))?;
                    let workspace = memory.output(workspace, workspace_len, "workspace")?;
                    memory.check_apart()?;
                    Ok(quantities::$function(&plan, theta.slice(), inputs.slice(), output.slice(), workspace.slice())?)
                })
            }
        )*
    };
}

functions! {
    /// The logits z of the samples of `inputs`, N×D, row-major: N×K, row-major. N is at least 1 and at most the plan's `samples`. Takes the
    /// plan's `gradient_workspace_len` elements of workspace.
    f32: flatmin_logits_f32 = logits, logits, logits_len: f32;
    /// The class probabilities p = softmax(z), N×K, row-major. Takes what the logits take.
    f32: flatmin_probabilities_f32 = probabilities, probabilities, probabilities_len: f32;
    /// The most probable class of each sample, N; the first one, among equals. Takes what the logits take.
    f32: flatmin_classes_f32 = classes, classes, classes_len: u32;
    /// The logits z of the samples of `inputs`, N×D, row-major: N×K, row-major. N is at least 1 and at most the plan's `samples`. Takes the
    /// plan's `gradient_workspace_len` elements of workspace.
    f64: flatmin_logits_f64 = logits, logits, logits_len: f64;
    /// The class probabilities p = softmax(z), N×K, row-major. Takes what the logits take.
    f64: flatmin_probabilities_f64 = probabilities, probabilities, probabilities_len: f64;
    /// The most probable class of each sample, N; the first one, among equals. Takes what the logits take.
    f64: flatmin_classes_f64 = classes, classes, classes_len: u32;
}
