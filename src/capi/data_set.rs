//! The quantities of a data set by chunks, written once for both number types.

use super::memory::Memory;
use super::of_batch::of_batch;
use super::plan::CPlan;
use super::results::{CCurvature, CEvaluation};
use super::status::{Status, guard};

/// Declares the functions of one number type.
macro_rules! functions {
    (
        $real:ident:
        $loss:ident, $curvature:ident, $curvature_estimate:ident, $loss_gradient:ident, $hessian_vector_product:ident
    ) => {
        of_batch!(@value $real data:
            /// Mean cross-entropy and accuracy of a data set of any number of samples, by chunks of the plan's `samples`. Takes the plan's
            /// `gradient_workspace_len` elements of workspace.
            $loss = data_set_loss, CEvaluation;
            /// tr H and tr H², by block, and the four bounds, of a data set of any number of samples T, by chunks of the plan's `samples`: exact,
            /// over all pairs of samples, of weight 1/T² whatever the plan's `data_set`. With `FLATMIN_PAIRS` the cost is quadratic in T, with
            /// `FLATMIN_BLOCKS` linear, for more memory. Takes as many elements of workspace as `flatmin_data_set_workspace_len` says.
            $curvature = data_set_curvature, CCurvature;
            /// tr H, exact, and an unbiased estimate of tr H², of a data set of any number of samples T, by chunks of at most the plan's
            /// `samples`; the bounds are functions of both. The pairs within a chunk stand for all, so the samples have to be in random order.
            /// The estimate can be negative. The cost is linear in T. `FLATMIN_STATUS_PAIR_WEIGHTS` where a chunk would be one sample of a
            /// larger data set. Takes the plan's `workspace_len` elements of workspace.
            $curvature_estimate = data_set_curvature_estimate, CCurvature;
        );
        of_batch!(@gradient_of $real data:
            /// ∇L, laid out like θ, and L, of a data set of any number of samples, by chunks of the plan's `samples`. Takes the plan's
            /// `gradient_workspace_len` elements of workspace.
            $loss_gradient = data_set_loss_gradient, loss;
        );
        of_batch!(@product $real data:
            /// H·v, exact, for the H of a data set of any number of samples, by chunks of the plan's `samples`; `vector` and `product` are laid
            /// out like θ. Takes the plan's `workspace_len` elements of workspace.
            $hessian_vector_product = data_set_hessian_vector_product;
        );
    };
}

functions! {
    f32:
    flatmin_data_set_loss_f32, flatmin_data_set_curvature_f32, flatmin_data_set_curvature_estimate_f32,
    flatmin_data_set_loss_gradient_f32, flatmin_data_set_hessian_vector_product_f32
}

functions! {
    f64:
    flatmin_data_set_loss_f64, flatmin_data_set_curvature_f64, flatmin_data_set_curvature_estimate_f64,
    flatmin_data_set_loss_gradient_f64, flatmin_data_set_hessian_vector_product_f64
}

/// Elements of workspace that `flatmin_data_set_curvature_f32` and `_f64` take, by chunks of the plan's `samples`, whatever the number of
/// samples in the data set.
///
/// # Safety
///
/// Every pointer is null, or leads to a number, or to a size and as many bytes as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flatmin_data_set_workspace_len(plan: *const CPlan, length: *mut usize) -> Status {
    // SAFETY: the caller's promise.
    guard(|| unsafe {
        let mut memory = Memory::new();
        let plan = memory.read(plan, "plan")?.plan()?;
        let place = memory.output(length, 1, "length")?;
        memory.check_apart()?;
        place.write(plan.data_set_workspace_len()?);
        Ok(())
    })
}
