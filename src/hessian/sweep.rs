//! The backward sweep that loss and penalty share.
//!
//! Given the derivatives of an objective with respect to the quantities of each sample — p̂ (with r̂ added, as r = p − y), ĝ, f̂, ê, and
//! V̂, the part of V that does not act through z — the gradient follows as in back-propagation:
//!
//! ```text
//! ẑ = S p̂ + (loss_weight/N) r     S = diag(p) − p pᵀ
//! ∇V = V̂ + ẑᵀ h     ∇c = Σ ẑ      2 N K M flops
//! ĥ = ĝ + ẑ V                     2 N K M flops
//! û = ĥ∘f + f̂∘e + ê∘t
//! ∇W = ûᵀ X         ∇b = Σ û      2 N M D flops
//! ```
//!
//! Where only some samples have derivatives ([`Scattered`]), their part of ẑ and û is added to the rows of these samples.
//!
//! Without these derivatives, and with a loss weight of 1, this is the gradient of the loss: HSR's products of size N·M·D are those of
//! SGD.

use core::ops::Range;

use crate::count::{product, sum};
use crate::hessian::forward::Forward;
use crate::kernels::context::Context;
use crate::kernels::elementwise::softmax_jacobian_rows;
use crate::kernels::gemm::{self, Addend, Matrix, MatrixMut};
use crate::kernels::vector::{add_scaled, scale, sum_rows};
use crate::network::{ParametersMut, Shape};
use crate::simd::Element;
use crate::workspace::{Arena, row_mut, split_rows};

/// Derivatives of an objective with respect to the per-sample quantities, one row a sample.
#[derive(Debug)]
pub(crate) struct Adjoints<'w, T> {
    /// p̂ + r̂, N×K; the sweep turns it into ẑ.
    pub p: &'w mut [T],
    /// ĝ without its last entry, N×M; the sweep turns it into û.
    pub g: &'w mut [T],
    /// f̂, N×M.
    pub f: &'w mut [T],
    /// ê, N×M.
    pub e: &'w mut [T],
    /// V̂, K×M: the derivative with respect to V, except through z.
    pub v: &'w mut [T],
    /// The derivatives of a few samples.
    pub scattered: Option<Scattered<'w, T>>,
}

/// Derivatives of the objective for a few samples only. The derivative with respect to V, except through z, is already in the gradient.
#[derive(Debug)]
pub(crate) struct Scattered<'w, T> {
    /// The rows of these samples in the batch, ascending.
    pub rows: &'w [u32],
    /// What their derivatives are multiplied by.
    pub factors: &'w [T],
    /// ẑ, class-major: K rows with one column a sample.
    pub logits: &'w [T],
    /// û, one row a sample.
    pub units: &'w [T],
}

/// Elements of packing space that the products need.
pub(crate) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
    gemm::largest_workspace(&[[k, n, m], [n, k, m], [m, n, d]])
}

/// Flops of the loss gradient: the forward pass's two products and the sweep's three.
pub(crate) const fn flops(shape: Shape, n: usize) -> u64 {
    let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
    sum(&[product(&[4, n, m, d]), product(&[6, n, k, m])])
}

impl Adjoints<'_, ()> {
    /// Elements that [`of_loss`](Adjoints::of_loss) takes: p̂ and ĝ.
    pub(crate) const fn elements(shape: Shape, n: usize) -> u64 {
        product(&[n, shape.classes() + shape.hidden()])
    }
}

impl<'w, T: Element> Adjoints<'w, T> {
    /// The adjoints of the loss. All of its derivatives reach the sweep through r, so f̂, ê and V̂ stay empty.
    pub(crate) fn of_loss(shape: Shape, n: usize, arena: &mut Arena<'w, T>) -> Self {
        let (m, k) = (shape.hidden(), shape.classes());
        Self { p: arena.take(n * k), g: arena.take(n * m), f: &mut [], e: &mut [], v: &mut [], scattered: None }
    }
}

/// Writes the gradient of `loss_weight · L` plus the objective whose adjoints are given, and overwrites the adjoints.
pub(crate) fn sweep<T: Element>(
    forward: &Forward<'_, T>,
    loss_weight: f64,
    adjoints: Adjoints<'_, T>,
    gradient: ParametersMut<'_, T>,
    mut context: Context<'_, T>,
) {
    let isa = context.isa;
    let (n, shape) = (forward.n, forward.shape);
    let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
    let Adjoints { p: z, g: u, f, e, v, scattered } = adjoints;
    let loss_only = v.is_empty();

    let residual_weight = T::from_f64(loss_weight / n as f64);
    if loss_only {
        z.copy_from_slice(forward.r);
        scale(isa, z, residual_weight);
    } else {
        softmax_jacobian_rows(isa, k, forward.p, z);
        add_scaled(isa, z, residual_weight, forward.r);
    }
    if let Some(Scattered { rows, factors, logits, .. }) = &scattered {
        let kept = logits.len() / k;
        for (i, &sample) in rows.iter().enumerate() {
            for (z, logits) in row_mut(z, k, sample as usize).iter_mut().zip(logits.chunks_exact(kept)) {
                *z += factors[i] * logits[i];
            }
        }
    }

    let direct = if loss_only && scattered.is_none() { T::ZERO } else { T::ONE };
    if !loss_only {
        gradient.output_weight.copy_from_slice(v);
    }
    let z_rows = Matrix::row_major(z, n, k);
    let h = Matrix::row_major(forward.h, n, m);
    context.product(MatrixMut::row_major(gradient.output_weight, k, m), T::ONE, z_rows.t(), h, Addend::scaled(direct));
    sum_rows(isa, z, gradient.output_bias);

    back_through_units(forward, 0..n, z, &mut *u, [&*f, &*e], context.reborrow());

    if let Some(Scattered { rows, factors, units, .. }) = &scattered {
        isa.vectorize(|| {
            for ((&sample, &factor), units) in rows.iter().zip(*factors).zip(units.chunks_exact(m)) {
                for (u, &units) in row_mut(u, m, sample as usize).iter_mut().zip(units) {
                    *u += factor * units;
                }
            }
        });
    }

    let x = Matrix::row_major(forward.x, n, d);
    let u_rows = Matrix::row_major(u, n, m);
    let hidden_weight = MatrixMut::row_major(gradient.hidden_weight, m, d);
    context.set(hidden_weight, u_rows.t(), x);
    sum_rows(isa, u, gradient.hidden_bias);
}

/// Turns ẑ and ĝ into û, for the samples `range`. Without f̂ and ê (the loss alone) ĝ is not read. The workers split the samples.
fn back_through_units<T: Element>(
    forward: &Forward<'_, T>,
    range: Range<usize>,
    z: &[T],
    u: &mut [T],
    derivatives: [&[T]; 2],
    context: Context<'_, T>,
) {
    let isa = context.isa;
    let (n, m, k) = (range.len(), forward.shape.hidden(), forward.shape.classes());
    // Reading the derivatives takes as long as a few operations.
    if let Some(at) = context.cut(n, || product(&[2, n, k.saturating_add(16), m])) {
        let (above, below) = split_rows(u, m, at);
        let middle = range.start + at;
        context.join(
            |context| back_through_units(forward, range.start..middle, z, above, derivatives, context),
            |context| back_through_units(forward, middle..range.end, z, below, derivatives, context),
        );
        return;
    }
    let own = range.start * m..range.end * m;
    let loss_only = derivatives[0].is_empty();
    let addend = if loss_only { Addend::Zero } else { Addend::Output(T::ONE) };
    let z = Matrix::row_major(&z[range.start * k..], n, k);
    let weight = Matrix::row_major(forward.v, k, m);
    context.rows_of_product(MatrixMut::row_major(u, n, m), T::ONE, z, weight, addend, forward.n);
    isa.vectorize(|| {
        let f = &forward.f[own.clone()];
        if loss_only {
            for (u, &f) in u.iter_mut().zip(f) {
                *u *= f;
            }
        } else {
            let [f_hat, e_hat] = derivatives.map(|hat| &hat[own.clone()]);
            let derivatives = f_hat.iter().zip(&forward.e[own.clone()]).zip(e_hat.iter().zip(&forward.t[own.clone()]));
            for ((u, &f), ((&f_hat, &e), (&e_hat, &t))) in u.iter_mut().zip(f).zip(derivatives) {
                *u = *u * f + f_hat * e + e_hat * t;
            }
        }
    });
}
