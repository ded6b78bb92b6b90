//! The forward pass: what the loss, its gradient and its Hessian need to know of every sample.
//!
//! Two products and two elementwise passes, for N samples of D inputs, M hidden units and K classes:
//!
//! ```text
//! u = X Wᵀ + b                    2 N M D flops
//! h, f, e, t = φ, φ', φ'', φ''' at u
//! z = h Vᵀ + c                    2 N K M flops
//! p = softmax(z), r = p − y, loss
//! ```

use crate::batch::Batch;
use crate::elementwise;
use crate::gemm::{self, Addend, Matrix, MatrixMut, gemm_with};
use crate::network::{Network, Parameters, Shape};
use crate::plan::{product, sum};
use crate::real::Real;
use crate::simd::InstructionSet;
use crate::workspace::Arena;

/// How many derivatives of the activation the forward pass computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Derivatives {
    /// The value alone: for the loss.
    Value,
    /// f: for the gradient of the loss.
    First,
    /// f, and u as it was: for the derivatives of some samples.
    FirstAndInput,
    /// f, e and t: for anything about the Hessian.
    Third,
}

/// Per-sample quantities of a batch, one row a sample. Symbols as in the crate's [documentation](crate#symbols).
#[derive(Debug)]
pub(crate) struct Samples<'w, T> {
    /// Number of samples.
    pub n: usize,
    /// Sizes D, M, K.
    pub shape: Shape,
    /// Inputs, N×D.
    pub x: &'w [T],
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

/// Elements that [`Samples::forward`] cuts off a workspace.
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

impl<'w, T: Real> Samples<'w, T> {
    /// Runs the batch through the network. Cuts its buffers off `arena`; `packing` is scratch for the matrix products.
    pub(crate) fn forward(
        isa: InstructionSet,
        network: Network,
        theta: Parameters<'w, T>,
        batch: &Batch<'w, T>,
        derivatives: Derivatives,
        arena: &mut Arena<'w, T>,
        packing: &mut [T],
    ) -> Self {
        let (n, shape) = (batch.samples(), network.shape);
        let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());

        let h = arena.take(n * m);
        let weight = Matrix::row_major(theta.hidden_weight, m, d);
        let x = Matrix::row_major(batch.inputs(), n, d);
        let bias = Addend::Row(theta.hidden_bias);
        gemm_with(isa, T::ONE, x, weight.t(), bias, MatrixMut::row_major(h, n, m), packing);

        let activation = network.activation;
        let mut layer = || arena.take(n * m);
        let (f, e, t): (&mut [T], &mut [T], &mut [T]) = match derivatives {
            Derivatives::Value => (&mut [], &mut [], &mut []),
            Derivatives::First | Derivatives::FirstAndInput => (layer(), &mut [], &mut []),
            Derivatives::Third => (layer(), layer(), layer()),
        };
        let mut u: &mut [T] = &mut [];
        if derivatives == Derivatives::FirstAndInput {
            u = layer();
            u.copy_from_slice(h);
        }
        match derivatives {
            Derivatives::Value => elementwise::activate(isa, activation, h),
            Derivatives::First | Derivatives::FirstAndInput => elementwise::activate_with_slope(isa, activation, h, f),
            Derivatives::Third => elementwise::activate_with_derivatives(isa, activation, h, f, e, t),
        }

        let (p, r) = (arena.take(n * k), arena.take(n * k));
        let hidden = Matrix::row_major(h, n, m);
        let weight = Matrix::row_major(theta.output_weight, k, m);
        let bias = Addend::Row(theta.output_bias);
        gemm_with(isa, T::ONE, hidden, weight.t(), bias, MatrixMut::row_major(p, n, k), packing);
        let total = elementwise::cross_entropy_rows(isa, k, p, batch.targets(), r);

        Self { n, shape, x: batch.inputs(), v: theta.output_weight, u, h, f, e, t, p, r, loss: total / n as f64 }
    }
}
