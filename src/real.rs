//! The two number types of the public functions, and the functions that are compiled for each of them here.
//!
//! A generic function is compiled anew in every crate that calls it, and the large ones contain all kernels of all instruction sets. So
//! each is compiled here, once for `f32` and once for `f64`. Public functions find theirs in the type's [`Functions`], whose fields are
//! private to this crate (in a `const` block, so that the call is direct). These functions check everything that memory safety depends on.

use crate::activation::Activation;
use crate::batch::Batch;
use crate::error::Result;
use crate::hessian::exact::{self, Differentiated, Objective};
use crate::hessian::predict::{self, Prediction};
use crate::hessian::{Curvature, Evaluation, data_set};
use crate::kernels::context::Context;
use crate::kernels::elementwise;
use crate::kernels::gemm::{Addend, Matrix, MatrixMut, Triangle};
use crate::kernels::update::{self, AdamNumbers, Momentum};
use crate::kernels::vector;
use crate::plan::Plan;
use crate::sampled::Sampling;
use crate::sampled::evaluate::{self, SampledEvaluation, SampledObjective};
use crate::simd::{Element, InstructionSet};

/// A floating-point number, `f32` or `f64`. Sealed.
pub trait Real: Element {
    /// The functions that this crate has compiled for the type: opaque.
    const FUNCTIONS: Functions<Self>;
}

/// Declares [`Functions`], with a field for each function listed, and defines it for both number types by calling the function after `=`.
macro_rules! functions {
    ($($name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? = $function:path;)*) => {
        /// Functions compiled for a number type, opaque.
        ///
        /// Other crates can hold them, but not call them:
        ///
        /// ```
        /// use flatmin::Real;
        /// let functions = <f32 as Real>::FUNCTIONS;
        /// ```
        ///
        /// ```compile_fail,E0616
        /// use flatmin::Real;
        /// let product = <f32 as Real>::FUNCTIONS.matrix_product;
        /// ```
        #[derive(Debug)]
        #[allow(private_interfaces, reason = "the fields are this crate's")]
        pub struct Functions<T> {
            $(pub(crate) $name: fn($($type),*) $(-> $result)?,)*
        }

        functions!(@define f32, of_f32; $($name($($argument: $type),*) $(-> $result)? = $function;)*);
        functions!(@define f64, of_f64; $($name($($argument: $type),*) $(-> $result)? = $function;)*);
    };
    (@define $real:ident, $module:ident; $($name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? = $function:path;)*) => {
        mod $module {
            use super::*;

            type T = $real;

            $(
                #[allow(clippy::too_many_arguments, reason = "those of the function that it stands for")]
                fn $name($($argument: $type),*) $(-> $result)? {
                    $function($($argument),*)
                }
            )*

            impl Real for $real {
                const FUNCTIONS: Functions<Self> = Functions { $($name),* };
            }
        }
    };
}

functions! {
    loss(plan: &Plan, theta: &[T], batch: &Batch<'_, T>, scratch: &mut [T]) -> Result<Evaluation> = exact::loss;
    curvature(plan: &Plan, theta: &[T], batch: &Batch<'_, T>, scratch: &mut [T]) -> Result<Curvature> = exact::curvature;
    data_set_loss(plan: &Plan, theta: &[T], data: &Batch<'_, T>, scratch: &mut [T]) -> Result<Evaluation> = data_set::loss;
    data_set_loss_gradient(
        plan: &Plan,
        theta: &[T],
        data: &Batch<'_, T>,
        gradient: &mut [T],
        part: &mut [T],
        scratch: &mut [T],
    ) -> Result<f64> = data_set::loss_gradient;
    data_set_curvature(
        plan: &Plan,
        theta: &[T],
        data: &Batch<'_, T>,
        scratch: &mut [T],
    ) -> Result<Curvature> = data_set::curvature;
    data_set_curvature_estimate(
        plan: &Plan,
        theta: &[T],
        data: &Batch<'_, T>,
        scratch: &mut [T],
    ) -> Result<Curvature> = data_set::curvature_estimate;
    data_set_hessian_vector_product(
        plan: &Plan,
        theta: &[T],
        data: &Batch<'_, T>,
        vector: &[T],
        result: &mut [T],
        part: &mut [T],
        scratch: &mut [T],
    ) -> Result<()> = data_set::hessian_vector_product;
    differentiate(
        plan: &Plan,
        theta: &[T],
        batch: &Batch<'_, T>,
        objective: Objective,
        gradient: &mut [T],
        scratch: &mut [T],
    ) -> Result<Differentiated> = exact::differentiate;
    differentiate_sampled(
        plan: &Plan,
        theta: &[T],
        batch: &Batch<'_, T>,
        sampling: &Sampling,
        draw: u64,
        objective: SampledObjective,
        gradient: &mut [T],
        scratch: &mut [T],
    ) -> Result<SampledEvaluation> = evaluate::differentiate_sampled;
    hessian_vector_product(
        plan: &Plan,
        theta: &[T],
        batch: &Batch<'_, T>,
        vector: &[T],
        result: &mut [T],
        scratch: &mut [T],
    ) -> Result<()> = exact::hessian_vector_product;
    dense_hessian(
        plan: &Plan,
        theta: &[T],
        batch: &Batch<'_, T>,
        hessian: &mut [T],
        scratch: &mut [T],
    ) -> Result<()> = exact::dense_hessian;
    predict(
        plan: &Plan,
        theta: &[T],
        inputs: &[T],
        output: Prediction<'_, T>,
        scratch: &mut [T],
    ) -> Result<()> = predict::predict;
    matrix_product(
        isa: InstructionSet,
        alpha: T,
        a: Matrix<'_, T>,
        b: Matrix<'_, T>,
        beta: T,
        c: MatrixMut<'_, T>,
        workspace: &mut [T],
    ) = product;
    symmetric_product(
        isa: InstructionSet,
        alpha: T,
        a: Matrix<'_, T>,
        weights: Option<&[T]>,
        beta: T,
        c: MatrixMut<'_, T>,
        triangle: Triangle,
        workspace: &mut [T],
    ) = gram;
    step_with_momentum(
        isa: InstructionSet,
        rule: Momentum,
        theta: &mut [T],
        gradient: &[T],
        velocity: &mut [T],
    ) -> bool = update::step_with_momentum;
    adam_is_finite(
        isa: InstructionSet,
        numbers: AdamNumbers,
        keep: f64,
        entries: [&[T]; 4],
    ) -> bool = update::adam_is_finite;
    adam(
        isa: InstructionSet,
        numbers: AdamNumbers,
        keep: f64,
        gradient: &[T],
        entries: [&mut [T]; 3],
    ) = update::adam;
    add_scaled(isa: InstructionSet, y: &mut [T], alpha: T, x: &[T]) = vector::add_scaled;
    add_unit(isa: InstructionSet, y: &mut [T], alpha: f64, x: &[T]) = vector::add_unit;
    limit_norm(isa: InstructionSet, x: &mut [T], most: f64) = vector::limit_norm;
    evaluate(activation: Activation, u: T) -> [T; 4] = elementwise::evaluate;
    exponentials(isa: InstructionSet, x: &mut [T]) = elementwise::exponentials;
    logarithms(isa: InstructionSet, x: &mut [T]) = elementwise::logarithms;
    activate(isa: InstructionSet, activation: Activation, u_to_h: &mut [T]) = elementwise::activate;
    activate_with_slope(
        isa: InstructionSet,
        activation: Activation,
        u_to_h: &mut [T],
        f: &mut [T],
    ) = elementwise::activate_with_slope;
    activate_with_derivatives(
        isa: InstructionSet,
        activation: Activation,
        u_to_h: &mut [T],
        f: &mut [T],
        e: &mut [T],
        t: &mut [T],
    ) = elementwise::activate_with_derivatives;
    softmax_rows(
        isa: InstructionSet,
        classes: usize,
        logits_to_probabilities: &mut [T],
        log_sum_exp: &mut [T],
    ) = elementwise::softmax_rows;
    softmax_jacobian_rows(
        isa: InstructionSet,
        classes: usize,
        probabilities: &[T],
        x: &mut [T],
    ) = elementwise::softmax_jacobian_rows;
}

/// C ← α·A·B + β·C, by one thread.
fn product<T: Element>(
    isa: InstructionSet,
    alpha: T,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    beta: T,
    c: MatrixMut<'_, T>,
    workspace: &mut [T],
) {
    Context::alone(isa, workspace).product(c, alpha, a, b, Addend::scaled(beta));
}

/// C ← α·A·diag(w)·Aᵀ + β·C.
#[allow(clippy::too_many_arguments, reason = "the operands of one formula")]
fn gram<T: Element>(
    isa: InstructionSet,
    alpha: T,
    a: Matrix<'_, T>,
    weights: Option<&[T]>,
    beta: T,
    c: MatrixMut<'_, T>,
    triangle: Triangle,
    workspace: &mut [T],
) {
    Context::alone(isa, workspace).gram(c, alpha, a, weights, beta, triangle);
}
