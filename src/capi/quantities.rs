//! The functions of a batch that change no parameters, written once for both number types.

use super::batch::{CBatch, Call};
use super::of_batch::of_batch;
use super::plan::CPlan;
use super::results::{CCurvature, CEvaluation, CStep};
use super::status::{Status, guard};
use crate::hessian::Curvature;
use crate::optimizer::Step;
use crate::quantities;

/// Declares the functions of one number type.
macro_rules! functions {
    (
        $real:ident:
        $loss:ident, $loss_gradient:ident, $curvature:ident, $trace_gradient:ident, $trace_of_square_gradient:ident,
        $bound_gradient:ident, $hsr_gradient:ident, $hessian_vector_product:ident, $dense_hessian:ident
    ) => {
        of_batch!(@value $real batch:
            /// Mean cross-entropy and accuracy. Takes the plan's `gradient_workspace_len` elements of workspace.
            $loss = loss, CEvaluation;
            /// tr H and tr H², by block, and the four bounds. Takes the plan's `workspace_len` elements of workspace.
            $curvature = curvature, CCurvature;
        );
        of_batch!(@gradient_of $real batch:
            /// ∇L, laid out like θ, and L. Takes the plan's `gradient_workspace_len` elements of workspace.
            $loss_gradient = loss_gradient, loss;
            /// ∇tr H, laid out like θ, and tr H. Takes the plan's `workspace_len` elements of workspace.
            $trace_gradient = trace_gradient, trace;
        );
        functions!(@gradient $real:
            /// ∇tr H², laid out like θ; traces and bounds. Takes the plan's `workspace_len` elements of workspace.
            $trace_of_square_gradient = trace_of_square_gradient;
            /// ∇Λ, the gradient of the upper bound on λ_max, laid out like θ; traces and bounds. Takes the plan's `workspace_len` elements of
            /// workspace.
            $bound_gradient = bound_gradient;
        );

        /// ∇(L + ρΛ), laid out like θ; loss, traces and bounds. With ρ = 0 this is the loss gradient, at its cost, without traces and bounds.
        /// Takes the plan's `workspace_len` elements of workspace, for any ρ.
        ///
        /// # Safety
        ///
        /// Every pointer is null or leads to as many elements as its length says, or to a size and as many bytes as it says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $hsr_gradient(
            plan: *const CPlan,
            theta: *const $real,
            theta_len: usize,
            batch: *const CBatch<$real>,
            rho: f64,
            gradient: *mut $real,
            gradient_len: usize,
            workspace: *mut $real,
            workspace_len: usize,
            result: *mut CStep,
        ) -> Status {
            // SAFETY: the caller's promise, here and in all functions below.
            guard(|| unsafe {
                let mut call = Call::new(plan, batch, "batch", workspace, workspace_len)?;
                let theta = call.memory.input(theta, theta_len, "theta")?;
                let gradient = call.memory.output(gradient, gradient_len, "gradient")?;
                let result = call.memory.place(result, "result")?;
                let found = call.run(|plan, batch, space| {
                    quantities::hsr_gradient(plan, theta.slice(), batch, rho, gradient.slice(), space)
                })?;
                let seen = Step { loss: found.loss, curvature: found.curvature, estimate: None };
                result.write(CStep::new(seen));
                Ok(())
            })
        }

        of_batch!(@product $real batch:
            /// H·v, exact, without forming H; `vector` and `product` are laid out like θ. Takes the plan's `workspace_len` elements of
            /// workspace.
            $hessian_vector_product = hessian_vector_product;
        );

        /// H itself, P×P, row-major and symmetric; written to also where it overflows. `hessian_len` is P². Takes the plan's `workspace_len`
        /// elements of workspace.
        ///
        /// # Safety
        ///
        /// Every pointer is null or leads to as many elements as its length says, or to a size and as many bytes as it says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $dense_hessian(
            plan: *const CPlan,
            theta: *const $real,
            theta_len: usize,
            batch: *const CBatch<$real>,
            hessian: *mut $real,
            hessian_len: usize,
            workspace: *mut $real,
            workspace_len: usize,
        ) -> Status {
            // SAFETY: as above.
            guard(|| unsafe {
                let mut call = Call::new(plan, batch, "batch", workspace, workspace_len)?;
                let theta = call.memory.input(theta, theta_len, "theta")?;
                let hessian = call.memory.output(hessian, hessian_len, "hessian")?;
                call.run(|plan, batch, space| {
                    quantities::dense_hessian(plan, theta.slice(), batch, hessian.slice(), space)
                })
            })
        }
    };
    (@gradient $real:ident: $($(#[$doc:meta])* $name:ident = $function:ident;)*) => {
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
                batch: *const CBatch<$real>,
                gradient: *mut $real,
                gradient_len: usize,
                workspace: *mut $real,
                workspace_len: usize,
                result: *mut CCurvature,
            ) -> Status {
                // SAFETY: as above.
                guard(|| unsafe {
                    let mut call = Call::new(plan, batch, "batch", workspace, workspace_len)?;
                    let theta = call.memory.input(theta, theta_len, "theta")?;
                    let gradient = call.memory.output(gradient, gradient_len, "gradient")?;
                    let result = call.memory.place(result, "result")?;
                    let found: Curvature = call.run(|plan, batch, space| {
                        quantities::$function(plan, theta.slice(), batch, gradient.slice(), space)
                    })?;
                    result.write(CCurvature::new(found));
                    Ok(())
                })
            }
        )*
    };
}

functions! {
    f32:
    flatmin_loss_f32, flatmin_loss_gradient_f32, flatmin_curvature_f32, flatmin_trace_gradient_f32,
    flatmin_trace_of_square_gradient_f32, flatmin_bound_gradient_f32, flatmin_hsr_gradient_f32,
    flatmin_hessian_vector_product_f32, flatmin_dense_hessian_f32
}

functions! {
    f64:
    flatmin_loss_f64, flatmin_loss_gradient_f64, flatmin_curvature_f64, flatmin_trace_gradient_f64,
    flatmin_trace_of_square_gradient_f64, flatmin_bound_gradient_f64, flatmin_hsr_gradient_f64,
    flatmin_hessian_vector_product_f64, flatmin_dense_hessian_f64
}
