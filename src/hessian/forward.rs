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

/// The results of the forward pass, one row a sample. Symbols as in the crate's [documentation](crate#symbols).
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
        let n = batch.samples();
        let mut rows = Rows::cut(network.shape, n, derivatives, arena);
        let total = rows.reborrow().fill(network, theta, batch, derivatives, context);
        rows.into_forward(network.shape, theta, (batch.inputs(), batch.input_gram()), total / n as f64)
    }

    /// Runs two batches through the network, each as [`new`](Self::new) does, and lays them side by side: the samples of the second follow
    /// those of the first. With all derivatives.
    pub(crate) fn side_by_side(
        network: Network,
        theta: Parameters<'w, T>,
        [first, second]: [&Batch<'_, T>; 2],
        arena: &mut Arena<'w, T>,
        mut context: Context<'_, T>,
    ) -> Self {
        let (shape, derivatives) = (network.shape, Derivatives::Third);
        let n = first.samples() + second.samples();
        let x = arena.take(n * shape.inputs());
        let (above, below) = x.split_at_mut(first.inputs().len());
        above.copy_from_slice(first.inputs());
        below.copy_from_slice(second.inputs());
        let mut rows = Rows::cut(shape, n, derivatives, arena);
        let (above, below) = rows.reborrow().split_at(shape, first.samples());
        let mut total = above.fill(network, theta, first, derivatives, context.reborrow());
        total += below.fill(network, theta, second, derivatives, context);
        rows.into_forward(shape, theta, (x, None), total / n as f64)
    }
}

/// The rows of some samples that a forward pass writes.
struct Rows<'w, T> {
    u: &'w mut [T],
    h: &'w mut [T],
    f: &'w mut [T],
    e: &'w mut [T],
    t: &'w mut [T],
    p: &'w mut [T],
    r: &'w mut [T],
}

impl<'w, T: Element> Rows<'w, T> {
    fn cut(shape: Shape, n: usize, derivatives: Derivatives, arena: &mut Arena<'w, T>) -> Self {
        let (m, k) = (shape.hidden(), shape.classes());
        let mut layer = |wanted: bool| arena.take(if wanted { n * m } else { 0 });
        let third = derivatives == Derivatives::Third;
        let (h, f) = (layer(true), layer(derivatives != Derivatives::Value));
        let (e, t, u) = (layer(third), layer(third), layer(derivatives == Derivatives::FirstAndInput));
        Self { u, h, f, e, t, p: arena.take(n * k), r: arena.take(n * k) }
    }

    /// The same, borrowed for a shorter time.
    fn reborrow(&mut self) -> Rows<'_, T> {
        let Self { u, h, f, e, t, p, r } = self;
        Rows { u, h, f, e, t, p, r }
    }

    /// The rows of the first `at` samples, and those of the others.
    fn split_at(self, shape: Shape, at: usize) -> (Self, Self) {
        let Self { u, h, f, e, t, p, r } = self;
        let [(u, u2), (h, h2), (f, f2), (e, e2), (t, t2)] =
            [u, h, f, e, t].map(|rows| split_rows(rows, shape.hidden(), at));
        let [(p, p2), (r, r2)] = [p, r].map(|rows| split_rows(rows, shape.classes(), at));
        (Self { u, h, f, e, t, p, r }, Self { u: u2, h: h2, f: f2, e: e2, t: t2, p: p2, r: r2 })
    }

    /// Runs a batch through the network; returns the sum of its samples' losses.
    fn fill(
        self,
        network: Network,
        theta: Parameters<'_, T>,
        batch: &Batch<'_, T>,
        derivatives: Derivatives,
        context: Context<'_, T>,
    ) -> f64 {
        let (isa, shape) = (context.isa, network.shape);
        let Self { u, h, f, e, t, p, r } = self;
        let pass = Pass { shape, theta, derivatives, samples: batch.samples() };
        pass.run(network.activation, PassRows { x: batch.inputs(), u, h, f, e, t, z: &mut *p }, context);
        elementwise::cross_entropy_rows(isa, shape.classes(), p, batch.targets(), r)
    }

    /// The results, given the inputs and their inner products.
    fn into_forward(
        self,
        shape: Shape,
        theta: Parameters<'w, T>,
        (x, input_gram): (&'w [T], Option<&'w [T]>),
        loss: f64,
    ) -> Forward<'w, T> {
        let Self { u, h, f, e, t, p, r } = self;
        let n = x.len() / shape.inputs();
        Forward { n, shape, x, input_gram, v: theta.output_weight, u, h, f, e, t, p, r, loss }
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
