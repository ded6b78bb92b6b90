//! The product H·v, exact and without H: the derivative of the gradient in the direction v, by forward-mode differentiation
//! (Pearlmutter).
//!
//! With `v = [Wᵥ | bᵥ | Vᵥ | cᵥ]` laid out like θ, and a dot for the derivative along v:
//!
//! ```text
//! u̇ = X Wᵥᵀ + bᵥ          ḣ = f∘u̇          ż = ḣ Vᵀ + h Vᵥᵀ + cᵥ          ẑ = r/N,  ẑ̇ = S ż / N
//! (H v)_V = ẑ̇ᵀ h + ẑᵀ ḣ     (H v)_c = Σ ẑ̇
//! û̇ = (ẑ̇ V + ẑ Vᵥ)∘f + (ẑ V)∘e∘u̇
//! (H v)_W = û̇ᵀ X            (H v)_b = Σ û̇
//! ```
//!
//! Cost: two products of size N·M·D and seven of N·K·M beyond the forward pass.

use crate::count::product;
use crate::hessian::forward::Forward;
use crate::kernels::context::Context;
use crate::kernels::elementwise::softmax_jacobian_rows;
use crate::kernels::gemm::{self, Addend, Matrix, MatrixMut};
use crate::kernels::vector::{scale, sum_rows};
use crate::network::{Parameters, ParametersMut, Shape};
use crate::simd::Element;
use crate::workspace::Arena;

/// Elements that [`multiply`] cuts off a workspace.
pub(crate) const fn elements(shape: Shape, n: usize) -> u64 {
    product(&[n, shape.classes()]).saturating_add(product(&[3, n, shape.hidden()]))
}

/// Elements of packing space that the products need.
pub(crate) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
    gemm::largest_workspace(&[[n, d, m], [n, m, k], [n, k, m], [k, n, m], [m, n, d]])
}

/// Writes H·v to `out`.
pub(crate) fn multiply<T: Element>(
    forward: &Forward<'_, T>,
    vector: Parameters<'_, T>,
    out: ParametersMut<'_, T>,
    mut arena: Arena<'_, T>,
    mut context: Context<'_, T>,
) {
    let isa = context.isa;
    let (n, shape) = (forward.n, forward.shape);
    let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
    let mean = T::from_f64(1.0 / n as f64);
    let (x, h, r) =
        (Matrix::row_major(forward.x, n, d), Matrix::row_major(forward.h, n, m), Matrix::row_major(forward.r, n, k));
    let v = Matrix::row_major(forward.v, k, m);
    let (w_dot, v_dot) = (Matrix::row_major(vector.hidden_weight, m, d), Matrix::row_major(vector.output_weight, k, m));

    let u_dot = arena.take(n * m);
    let bias = Addend::Row(vector.hidden_bias);
    context.product(MatrixMut::row_major(u_dot, n, m), T::ONE, x, w_dot.t(), bias);
    let h_dot = arena.take(n * m);
    for ((h_dot, &u_dot), &f) in h_dot.iter_mut().zip(&*u_dot).zip(forward.f) {
        *h_dot = f * u_dot;
    }
    let h_dot = Matrix::row_major(h_dot, n, m);

    // ż, then ẑ̇
    let z_dot = arena.take(n * k);
    let bias = Addend::Row(vector.output_bias);
    context.product(MatrixMut::row_major(z_dot, n, k), T::ONE, h_dot, v.t(), bias);
    context.add(MatrixMut::row_major(z_dot, n, k), h, v_dot.t());
    softmax_jacobian_rows(isa, k, forward.p, z_dot);
    scale(isa, z_dot, mean);
    sum_rows(isa, z_dot, out.output_bias);
    let z_dot = Matrix::row_major(z_dot, n, k);

    context.set(MatrixMut::row_major(out.output_weight, k, m), z_dot.t(), h);
    context.product(MatrixMut::row_major(out.output_weight, k, m), mean, r.t(), h_dot, Addend::Output(T::ONE));

    // First ẑ V∘e∘u̇, in place of u̇; then the rest of û̇ is added to it.
    let pulled = arena.take(n * m);
    context.product(MatrixMut::row_major(pulled, n, m), mean, r, v, Addend::Zero);
    for ((u_dot, &pulled), &e) in u_dot.iter_mut().zip(&*pulled).zip(forward.e) {
        *u_dot = pulled * e * *u_dot;
    }
    context.set(MatrixMut::row_major(pulled, n, m), z_dot, v);
    context.product(MatrixMut::row_major(pulled, n, m), mean, r, v_dot, Addend::Output(T::ONE));
    for ((u_dot, &pulled), &f) in u_dot.iter_mut().zip(&*pulled).zip(forward.f) {
        *u_dot += pulled * f;
    }
    sum_rows(isa, u_dot, out.hidden_bias);
    let u_dot = Matrix::row_major(u_dot, n, m);
    context.set(MatrixMut::row_major(out.hidden_weight, m, d), u_dot.t(), x);
}
