//! Random parameters to set out from, written once for both number types.

use super::codes;
use super::memory::Memory;
use super::plan::CPlan;
use super::status::{Status, guard};

/// Declares the function of one number type.
macro_rules! functions {
    ($($real:ident: $initialize:ident;)*) => {
        $(
            /// Writes random parameters to θ, by `FLATMIN_FAN_IN` or `FLATMIN_GLOROT`: the same ones for the same seed, on every platform.
            ///
            /// # Safety
            ///
            /// Every pointer is null or leads to as many elements as its length says, or to a size and as many bytes as it says.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $initialize(
                plan: *const CPlan,
                initialization: u32,
                seed: u64,
                theta: *mut $real,
                theta_len: usize,
            ) -> Status {
                // SAFETY: the caller's promise.
                guard(|| unsafe {
                    let mut memory = Memory::new();
                    let plan = memory.read(plan, "plan")?.plan()?;
                    let rule = codes::initialization(initialization)?;
                    let theta = memory.output(theta, theta_len, "theta")?;
                    memory.check_apart()?;
                    Ok(plan.network().initialize_by(rule, theta.slice(), seed)?)
                })
            }
        )*
    };
}

functions! {
    f32: flatmin_initialize_f32;
    f64: flatmin_initialize_f64;
}
