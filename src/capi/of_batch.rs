//! Functions of a batch that [`quantities`](super::quantities) and [`data_set`](super::data_set) have both, by their arguments and results.

/// Declares functions of one number type that hand over to functions of the crate's `quantities`. `$batch` is the name of the argument that is
/// a batch.
///
/// - `@value` declares functions whose result is a structure;
/// - `@gradient_of`, those that return a gradient and the number that it is the gradient of, whose name is `$value`;
/// - `@product`, those that return the product of H and a vector.
macro_rules! of_batch {
    (@value $real:ident $batch:ident: $($(#[$doc:meta])* $name:ident = $function:ident, $result:ident;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// Every pointer is null or leads to as many elements as its length says, or to a size and as many bytes as it says.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(
                plan: *const $crate::capi::plan::CPlan,
                theta: *const $real,
                theta_len: usize,
                $batch: *const $crate::capi::batch::CBatch<$real>,
                workspace: *mut $real,
                workspace_len: usize,
                result: *mut $result,
            ) -> $crate::capi::status::Status {
                // SAFETY: the caller's promise, here and in all functions below.
                $crate::capi::status::guard(|| unsafe {
                    let mut call = $crate::capi::batch::Call::new(plan, $batch, stringify!($batch), workspace, workspace_len)?;
                    let theta = call.memory.input(theta, theta_len, "theta")?;
                    let result = call.memory.place(result, "result")?;
                    let found = call.run(|plan, batch, space| $crate::quantities::$function(plan, theta.slice(), batch, space))?;
                    result.write($result::new(found));
                    Ok(())
                })
            }
        )*
    };
    (@gradient_of $real:ident $batch:ident: $($(#[$doc:meta])* $name:ident = $function:ident, $value:ident;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// Every pointer is null or leads to as many elements as its length says, or to a size and as many bytes as it says.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(
                plan: *const $crate::capi::plan::CPlan,
                theta: *const $real,
                theta_len: usize,
                $batch: *const $crate::capi::batch::CBatch<$real>,
                gradient: *mut $real,
                gradient_len: usize,
                workspace: *mut $real,
                workspace_len: usize,
                $value: *mut f64,
            ) -> $crate::capi::status::Status {
                // SAFETY: as above.
                $crate::capi::status::guard(|| unsafe {
                    let mut call = $crate::capi::batch::Call::new(plan, $batch, stringify!($batch), workspace, workspace_len)?;
                    let theta = call.memory.input(theta, theta_len, "theta")?;
                    let gradient = call.memory.output(gradient, gradient_len, "gradient")?;
                    let place = call.memory.output($value, 1, stringify!($value))?;
                    let found = call.run(|plan, batch, space| {
                        $crate::quantities::$function(plan, theta.slice(), batch, gradient.slice(), space)
                    })?;
                    place.write(found);
                    Ok(())
                })
            }
        )*
    };
    (@product $real:ident $batch:ident: $($(#[$doc:meta])* $name:ident = $function:ident;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// Every pointer is null or leads to as many elements as its length says, or to a size and as many bytes as it says.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(
                plan: *const $crate::capi::plan::CPlan,
                theta: *const $real,
                theta_len: usize,
                $batch: *const $crate::capi::batch::CBatch<$real>,
                vector: *const $real,
                vector_len: usize,
                product: *mut $real,
                product_len: usize,
                workspace: *mut $real,
                workspace_len: usize,
            ) -> $crate::capi::status::Status {
                // SAFETY: as above.
                $crate::capi::status::guard(|| unsafe {
                    let mut call = $crate::capi::batch::Call::new(plan, $batch, stringify!($batch), workspace, workspace_len)?;
                    let theta = call.memory.input(theta, theta_len, "theta")?;
                    let vector = call.memory.input(vector, vector_len, "vector")?;
                    let product = call.memory.output(product, product_len, "product")?;
                    call.run(|plan, batch, space| {
                        let (theta, vector) = (theta.slice(), vector.slice());
                        $crate::quantities::$function(plan, theta, batch, vector, product.slice(), space)
                    })
                })
            }
        )*
    };
}
pub(super) use of_batch;
