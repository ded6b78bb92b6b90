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
    /// f and 1 − ‖p‖², and u if `input`: for the choice of some samples, whose higher derivatives are computed later.
    Sampled { input: bool },
    /// f, e and t: for anything about the Hessian.
    Third,
}

impl Derivatives {
    /// What the choice of some samples, and their higher derivatives, are computed from later.
    pub(crate) const fn sampled(activation: Activation) -> Self {
        Self::Sampled { input: elementwise::higher_read_input(activation) }
    }
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
    /// 1 − ‖p‖² of every sample, N; empty unless asked for.
    pub uncertainty: &'w [T],
    /// Mean loss.
    pub loss: f64,
}

/// Elements that [`Forward::new`] cuts off a workspace.
pub(crate) const fn elements(shape: Shape, n: usize, derivatives: Derivatives) -> u64 {
    let layers = match derivatives {
        Derivatives::Value => 1,
        Derivatives::First | Derivatives::Sampled { input: false } => 2,
        Derivatives::Sampled { input: true } => 3,
        Derivatives::Third => 4,
    };
    let rows = [product(&[layers, n, shape.hidden()]), product(&[2, n, shape.classes()])];
    sum(&[rows[0], rows[1], uncertainties(derivatives, n) as u64])
}

/// Numbers of samples whose uncertainty is computed, of `n`.
const fn uncertainties(derivatives: Derivatives, n: usize) -> usize {
    if matches!(derivatives, Derivatives::Sampled { .. }) { n } else { 0 }
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
        let mut rows = PassRows::cut(shape, batch.inputs(), derivatives, arena);
        let r = arena.take(n * shape.classes());
        let uncertainty = arena.take(uncertainties(derivatives, n));
        let total = rows.reborrow().run_with_targets(network, theta, batch, derivatives, r, uncertainty, context);
        Forward { uncertainty, ..rows.into_forward(shape, theta, batch.input_gram(), r, total) }
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
        let mut rows = PassRows::cut(shape, x, derivatives, arena);
        let r = arena.take(n * shape.classes());
        let (above, below) = rows.reborrow().split_at(shape, first.samples());
        let (r_above, r_below) = r.split_at_mut(first.samples() * shape.classes());
        let mut total =
            above.run_with_targets(network, theta, first, derivatives, r_above, &mut [], context.reborrow());
        total += below.run_with_targets(network, theta, second, derivatives, r_below, &mut [], context);
        rows.into_forward(shape, theta, None, r, total)
    }
}

/// Flops of the two products.
pub(crate) const fn flops(shape: Shape, n: usize) -> u64 {
    product(&[2, n, shape.hidden(), shape.inputs().saturating_add(shape.classes())])
}

/// The pass up to the logits.
struct Pass<'a, T> {
    shape: Shape,
    theta: Parameters<'a, T>,
    derivatives: Derivatives,
    /// Of the whole batch.
    samples: usize,
}

/// The rows of some samples that the pass reads and writes: the loss and predictions share them, and so their bits.
#[derive(Debug)]
pub(crate) struct PassRows<'a, T> {
    x: &'a [T],
    u: &'a mut [T],
    h: &'a mut [T],
    f: &'a mut [T],
    e: &'a mut [T],
    t: &'a mut [T],
    /// Logits, N×K.
    pub z: &'a mut [T],
}

impl<'w, T: Element> PassRows<'w, T> {
    /// Cuts the rows for these inputs off `arena`.
    pub(crate) fn cut(shape: Shape, x: &'w [T], derivatives: Derivatives, arena: &mut Arena<'w, T>) -> Self {
        let n = x.len() / shape.inputs();
        let mut layer = |wanted: bool| arena.take(if wanted { n * shape.hidden() } else { 0 });
        let third = derivatives == Derivatives::Third;
        let (h, f) = (layer(true), layer(derivatives != Derivatives::Value));
        let (e, t, u) = (layer(third), layer(third), layer(derivatives == Derivatives::Sampled { input: true }));
        Self { x, u, h, f, e, t, z: arena.take(n * shape.classes()) }
    }

    /// The same, borrowed for a shorter time.
    pub(crate) fn reborrow(&mut self) -> PassRows<'_, T> {
        let Self { x, u, h, f, e, t, z } = self;
        PassRows { x, u, h, f, e, t, z }
    }

    /// The rows of the first `at` samples, and those of the others.
    fn split_at(self, shape: Shape, at: usize) -> (Self, Self) {
        let Self { x, u, h, f, e, t, z } = self;
        let (x, x2) = x.split_at(at * shape.inputs());
        let [(u, u2), (h, h2), (f, f2), (e, e2), (t, t2)] =
            [u, h, f, e, t].map(|rows| split_rows(rows, shape.hidden(), at));
        let (z, z2) = split_rows(z, shape.classes(), at);
        (Self { x, u, h, f, e, t, z }, Self { x: x2, u: u2, h: h2, f: f2, e: e2, t: t2, z: z2 })
    }

    /// Runs the inputs through the network up to the logits.
    pub(crate) fn run(
        self,
        network: Network,
        theta: Parameters<'_, T>,
        derivatives: Derivatives,
        context: Context<'_, T>,
    ) {
        let shape = network.shape;
        let samples = self.x.len() / shape.inputs();
        Pass { shape, theta, derivatives, samples }.run(network.activation, self, context);
    }

    /// Runs a batch through the network, whose inputs these rows are for: probabilities take the place of logits, residuals are written to
    /// `r`, uncertainties to their slice unless it is empty. Returns the sum of the samples' losses.
    #[allow(clippy::too_many_arguments, reason = "those of every pass, and what a loss adds")]
    fn run_with_targets(
        mut self,
        network: Network,
        theta: Parameters<'_, T>,
        batch: &Batch<'_, T>,
        derivatives: Derivatives,
        r: &mut [T],
        uncertainty: &mut [T],
        context: Context<'_, T>,
    ) -> f64 {
        let isa = context.isa;
        self.reborrow().run(network, theta, derivatives, context);
        elementwise::cross_entropy_rows(isa, network.shape.classes(), self.z, batch.targets(), r, uncertainty)
    }

    /// The results, where `z` holds probabilities.
    fn into_forward(
        self,
        shape: Shape,
        theta: Parameters<'w, T>,
        input_gram: Option<&'w [T]>,
        r: &'w [T],
        total_loss: f64,
    ) -> Forward<'w, T> {
        let Self { x, u, h, f, e, t, z: p } = self;
        let n = x.len() / shape.inputs();
        let (v, loss) = (theta.output_weight, total_loss / n as f64);
        Forward { n, shape, x, input_gram, v, u, h, f, e, t, p, r, uncertainty: &[], loss }
    }
}

impl<T: Element> Pass<'_, T> {
    /// Runs the pass. The workers split the samples, which do not depend on each other. The activation is an argument, so that a program
    /// whose plans have one activation contains the code of no other.
    fn run(&self, activation: Activation, rows: PassRows<'_, T>, mut context: Context<'_, T>) {
        let isa = context.isa;
        let Self { shape, theta, .. } = *self;
        let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
        let n = rows.x.len() / d;
        if let Some(at) = context.cut(n, || flops(shape, n)) {
            let (above, below) = rows.split_at(shape, at);
            context
                .join(|context| self.run(activation, above, context), |context| self.run(activation, below, context));
            return;
        }

        let PassRows { x, u, h, f, e, t, z } = rows;
        let weight = Matrix::row_major(theta.hidden_weight, m, d);
        let (x, bias, hidden) =
            (Matrix::row_major(x, n, d), Addend::Row(theta.hidden_bias), MatrixMut::row_major(h, n, m));
        context.reborrow().rows_of_product(hidden, T::ONE, x, weight.t(), bias, self.samples);
        match self.derivatives {
            Derivatives::Value => elementwise::activate(isa, activation, h),
            Derivatives::First | Derivatives::Sampled { .. } => {
                u.copy_from_slice(&h[..u.len()]);
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
