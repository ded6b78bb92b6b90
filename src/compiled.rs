//! The heavy generic functions, compiled here once for `f32` and once for `f64`.
//!
//! A generic function is compiled anew in every crate that calls it, and these reach all kernels of all instruction sets. As functions
//! of a trait that only the two number types implement, they are compiled with this crate, and callers link to them.

use crate::activation::Activation;
use crate::batch::Batch;
use crate::elementwise;
use crate::error::Result;
use crate::gemm::{self, Matrix, MatrixMut, Triangle};
use crate::hessian::evaluation::{self, Differentiated, Memory, Objective};
use crate::hessian::sampled::{Aim, Draw, Estimate};
use crate::hessian::{Curvature, Evaluation, sampled};
use crate::plan::Plan;
use crate::simd::InstructionSet;

/// Declares [`Compiled`] with the functions listed, each of which calls the generic function of the same name in a module, and implements
/// it for both number types.
macro_rules! compiled {
    ($($module:ident::$name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)?;)*) => {
        /// See the [module](self). Sealed, and not part of the public interface.
        pub trait Compiled: Sized {
            $(
                #[doc(hidden)]
                #[allow(clippy::too_many_arguments, private_interfaces, reason = "those of the function that it stands for")]
                fn $name($($argument: $type),*) $(-> $result)?;
            )*
        }

        compiled!(@implement f32 $($module::$name($($argument: $type),*) $(-> $result)?;)*);
        compiled!(@implement f64 $($module::$name($($argument: $type),*) $(-> $result)?;)*);
    };
    (@implement $real:ident $($module:ident::$name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        impl Compiled for $real {
            $(
                #[allow(private_interfaces, reason = "as in the trait")]
                fn $name($($argument: $type),*) $(-> $result)? {
                    $module::$name($($argument),*)
                }
            )*
        }
    };
}

compiled! {
    evaluation::loss(plan: &Plan, theta: &[Self], batch: &Batch<'_, Self>, scratch: &mut [Self]) -> Result<Evaluation>;
    evaluation::curvature(plan: &Plan, theta: &[Self], batch: &Batch<'_, Self>, scratch: &mut [Self]) -> Result<Curvature>;
    evaluation::differentiate(
        plan: &Plan,
        theta: &[Self],
        batch: &Batch<'_, Self>,
        objective: Objective,
        gradient: &mut [Self],
        scratch: &mut [Self],
    ) -> Result<Differentiated>;
    sampled::differentiate_sampled(
        plan: &Plan,
        theta: &[Self],
        batch: &Batch<'_, Self>,
        draw: Draw,
        aim: Aim,
        gradient: &mut [Self],
        scratch: &mut [Self],
    ) -> Result<(f64, Estimate)>;
    evaluation::hessian_vector_product(
        plan: &Plan,
        theta: &[Self],
        batch: &Batch<'_, Self>,
        vector: &[Self],
        product: &mut [Self],
        memory: Memory<'_, Self>,
    ) -> Result<()>;
    evaluation::dense_hessian(
        plan: &Plan,
        theta: &[Self],
        batch: &Batch<'_, Self>,
        hessian: &mut [Self],
        scratch: &mut [Self],
    ) -> Result<()>;
    gemm::gemm(
        isa: InstructionSet,
        alpha: Self,
        a: Matrix<'_, Self>,
        b: Matrix<'_, Self>,
        beta: Self,
        c: MatrixMut<'_, Self>,
        workspace: &mut [Self],
    );
    gemm::gram(
        isa: InstructionSet,
        alpha: Self,
        a: Matrix<'_, Self>,
        weights: Option<&[Self]>,
        beta: Self,
        c: MatrixMut<'_, Self>,
        triangle: Triangle,
        workspace: &mut [Self],
    );
    elementwise::evaluate(activation: Activation, u: Self) -> [Self; 4];
    elementwise::exponentials(isa: InstructionSet, x: &mut [Self]);
    elementwise::logarithms(isa: InstructionSet, x: &mut [Self]);
    elementwise::activate(isa: InstructionSet, activation: Activation, u_to_h: &mut [Self]);
    elementwise::activate_with_slope(isa: InstructionSet, activation: Activation, u_to_h: &mut [Self], f: &mut [Self]);
    elementwise::activate_with_derivatives(
        isa: InstructionSet,
        activation: Activation,
        u_to_h: &mut [Self],
        f: &mut [Self],
        e: &mut [Self],
        t: &mut [Self],
    );
    elementwise::softmax_rows(
        isa: InstructionSet,
        classes: usize,
        logits_to_probabilities: &mut [Self],
        log_sum_exp: &mut [Self],
    );
    elementwise::softmax_jacobian_rows(isa: InstructionSet, classes: usize, probabilities: &[Self], x: &mut [Self]);
}
