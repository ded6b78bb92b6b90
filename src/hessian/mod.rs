//! The loss, its gradient, the traces of its Hessian H and their gradients, and products with H: exact.
//!
//! For one sample H is (the page [`method`](crate::method) derives it, and explains all symbols; no Gauss–Newton approximation)
//!
//! ```text
//! output–output   S ⊗ g gᵀ                                   S = diag(p) − p pᵀ
//! output–hidden   B_kj g_j̃ a_i + r_k f_j δ_j̃j a_i            B = S V diag(f)
//! hidden–hidden   A ⊗ a aᵀ                                   A = diag(f) VᵀSV diag(f) + diag(e∘q)
//! ```
//!
//! and for a batch it is the mean over the samples. The term with r makes eigenvalues negative.
//!
//! **How much of H is formed.** H·v and the route by pairs form nothing of it. The route by blocks forms one block of H after the other,
//! in a basis of contrasts of the classes; for two classes and up to four inputs it forms all of H at once. `dense_hessian` writes all of H.
//!
//! **How an evaluation flows.** The same page [draws](crate::method#the-stages) the stages. None depends on a later one. `product` and
//! `dense` use the forward pass alone, `predict` its part up to the logits. `data_set` runs the
//! stages for one chunk of a data set after the other, and for two chunks side by side.
//!
//! Sources: the traces and bounds in closed form, Omae et al., arXiv 2604.10202; the gradient, Omae et al., arXiv 2606.28662; the pair and
//! block forms are derived in the modules.

pub(crate) mod blocks;
pub(crate) mod contrasts;
pub(crate) mod data_set;
mod dense;
pub(crate) mod exact;
mod factors;
pub(crate) mod forward;
pub(crate) mod pairs;
pub(crate) mod predict;
mod product;
pub(crate) mod run;
pub(crate) mod sweep;
mod trace;

use crate::bounds::{BoundSlopes, Bounds, Traces};
use crate::network::Shape;

/// Loss and accuracy of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// L = −(1/N) Σ Σ_k y_k log p_k, in nats.
    pub loss: f64,
    /// The share of samples whose most probable class is the target's most probable class (the first one, among equals).
    pub accuracy: f64,
}

/// The traces of the Hessian, and the bounds on its eigenvalues.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curvature {
    /// tr H and tr H², by block.
    pub traces: Traces,
    /// The four Wolkowicz–Styan bounds.
    pub bounds: Bounds,
    /// Whether the upper bound Λ is differentiable here: see [`BoundSlopes`].
    pub differentiable: bool,
}

impl Curvature {
    /// The bounds that follow from the traces.
    pub(crate) fn new(traces: Traces, shape: Shape) -> Self {
        let (trace, square, size) = (traces.trace(), traces.trace_of_square(), shape.parameters());
        Self {
            traces,
            bounds: Bounds::new(trace, square, size),
            differentiable: BoundSlopes::new(trace, square, size).differentiable,
        }
    }
}
