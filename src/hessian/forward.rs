//! The forward pass: what the loss, its gradient and its Hessian take from every sample.
//!
//! Two products and two elementwise passes, for N samples of D inputs, M hidden units and K classes:
//!
//! ```text
//! u = X Wᵀ + b                    2 N M D flops
//! h, f, e, t = φ, φ', φ'', φ''' at u    (elementwise)
//! z = h Vᵀ + c                    2 N K M flops
//! p = softmax(z), r = p − y, loss
//! ```

use crate::activation::Activation;
use crate::batch::Batch;
use crate::count::{product, sum};
use crate::kernels::context::Context;
use crate::kernels::elementwise;
use crate::kernels::gemm::{self, Addend, Matrix, MatrixMut};
use crate::network::{Network, Parameters, Shape};
use crate::simd::Element;
use crate::workspace::{Arena, split_rows};

/// How many derivatives of the activation the forward pass computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Derivatives {
    /// The value alone: for the loss.
    Value,
    /// f: for the gradient of the loss.
    First,
    /// f, and u: for the derivatives of some samples, computed later.
    FirstAndInput,
    /// f, e and t: for anything about the Hessian.
    Third,
}

/// The results of the forward pass, one row a sample. Symbols as in the [table](crate::method#symbols).
#[derive(Debug)]
pub(crate) struct Forward<'w, T> {
    /// Number of samples.
    pub n: usize,
    /// Sizes D, M, K.
    pub shape: Shape,
    /// Inputs, N×D.
    pub x: &'w [T],
    /// Their inner products, N×N, if the batch has them.
    pub input_gram: Option<&'w [T]>,
    /// V, K×M.
    pub v: &'w [T],
    /// u, N×M; empty unless asked for.
    pub u: &'w [T],
    /// φ(u), N×M.
    pub h: &'w [T],
    /// φ'(u), N×M; empty unless asked for, as are the next two.
    pub f: &'w [T],
    /// φ''(u), N×M.
    pub e: &'w [T],
    /// φ'''(u), N×M.
    pub t: &'w [T],
    /// Class probabilities, N×K.
    pub p: &'w [T],
    /// Residuals p − y, N×K.
    pub r: &'w [T],
    /// Mean loss.
    pub loss: f64,
}

/// Elements that [`Forward::new`] cuts off a workspace.
pub(crate) const fn elements(shape: Shape, n: usize, derivatives: Derivatives) -> u64 {
    let layers = match derivatives {
        Derivatives::Value => 1,
        Derivatives::First => 2,
        Derivatives::FirstAndInput => 3,
        Derivatives::Third => 4,
    };
    sum(&[product(&[layers, n, shape.hidden()]), product(&[2, n, shape.classes()])])
}

/// Elements of packing space that the products need.
pub(crate) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
    gemm::largest_workspace(&[[n, d, m], [n, m, k]])
}

impl<'w, T: Element> Forward<'w, T> {
    /// Runs the batch through the network. Cuts its buffers off `arena`.
    pub(crate) fn new(
        network: Network,
        theta: Parameters<'w, T>,
        batch: &Batch<'w, T>,
        derivatives: Derivatives,
        arena: &mut Arena<'w, T>,
        context: Context<'_, T>,
    ) -> Self {
        let (n, shape) = (batch.samples(), network.shape);
        let (m, k) = (shape.hidden(), shape.classes());
        let mut layer = |wanted: bool| arena.take(if wanted { n * m } else { 0 });
        let third = derivatives == Derivatives::Third;
        let (h, f) = (layer(true), layer(derivatives != Derivatives::Value));
        let (e, t, u) = (layer(third), layer(third), layer(derivatives == Derivatives::FirstAndInput));
        let (p, r) = (arena.take(n * k), arena.take(n * k));

        let isa = context.isa;
        let pass = Pass { shape, theta, derivatives, samples: n };
        let rows =
            PassRows { x: batch.inputs(), u: &mut *u, h: &mut *h, f: &mut *f, e: &mut *e, t: &mut *t, z: &mut *p };
        pass.run(network.activation, rows, context);
        let total = elementwise::cross_entropy_rows(isa, k, p, batch.targets(), r);

        Self {
            n,
            shape,
            x: batch.inputs(),
            input_gram: batch.input_gram(),
            v: theta.output_weight,
            u,
            h,
            f,
            e,
            t,
            p,
            r,
            loss: total / n as f64,
        }
    }
}

/// The pass up to the logits.
struct Pass<'a, T> {
    shape: Shape,
    theta: Parameters<'a, T>,
    derivatives: Derivatives,
    /// Of the whole batch.
    samples: usize,
}

/// The rows of some samples that the pass reads and writes.
struct PassRows<'a, T> {
    x: &'a [T],
    u: &'a mut [T],
    h: &'a mut [T],
    f: &'a mut [T],
    e: &'a mut [T],
    t: &'a mut [T],
    z: &'a mut [T],
}

impl<T: Element> Pass<'_, T> {
    /// Runs the pass. The workers split the samples, which do not depend on each other. The activation is an argument, so that a program
    /// whose plans have one activation contains the code of no other.
    fn run(&self, activation: Activation, rows: PassRows<'_, T>, mut context: Context<'_, T>) {
        let isa = context.isa;
        let Self { shape, theta, .. } = *self;
        let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
        let PassRows { x, u, h, f, e, t, z } = rows;
        let n = x.len() / d;
        if let Some(at) = context.cut(n, || product(&[2, n, m, d.saturating_add(k)])) {
            let (x, others) = x.split_at(at * d);
            let [(u, other_u), (h, other_h), (f, other_f), (e, other_e), (t, other_t)] =
                [u, h, f, e, t].map(|rows| split_rows(rows, m, at));
            let (z, other_z) = split_rows(z, k, at);
            let below = PassRows { x: others, u: other_u, h: other_h, f: other_f, e: other_e, t: other_t, z: other_z };
            let above = PassRows { x, u, h, f, e, t, z };
            context
                .join(|context| self.run(activation, above, context), |context| self.run(activation, below, context));
            return;
        }

        let weight = Matrix::row_major(theta.hidden_weight, m, d);
        let (x, bias, hidden) =
            (Matrix::row_major(x, n, d), Addend::Row(theta.hidden_bias), MatrixMut::row_major(h, n, m));
        context.reborrow().rows_of_product(hidden, T::ONE, x, weight.t(), bias, self.samples);
        match self.derivatives {
            Derivatives::Value => elementwise::activate(isa, activation, h),
            Derivatives::First => elementwise::activate_with_slope(isa, activation, h, f),
            Derivatives::FirstAndInput => {
                u.copy_from_slice(h);
                elementwise::activate_with_slope(isa, activation, h, f);
            }
            Derivatives::Third => elementwise::activate_with_derivatives(isa, activation, h, f, e, t),
        }
        let weight = Matrix::row_major(theta.output_weight, k, m);
        let (hidden, bias, logits) =
            (Matrix::row_major(h, n, m), Addend::Row(theta.output_bias), MatrixMut::row_major(z, n, k));
        context.reborrow().rows_of_product(logits, T::ONE, hidden, weight.t(), bias, self.samples);
    }
}
