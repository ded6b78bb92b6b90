//! Traces of the Hessian of the loss, their gradients, and products with it: exact, without forming H.
//!
//! Per sample (symbols as in the [crate's documentation](crate#symbols)) H is, with no Gauss–Newton approximation,
//!
//! ```text
//! output–output   S ⊗ g gᵀ                                   S = diag(p) − p pᵀ
//! output–hidden   B_kj g_j̃ a_i + r_k f_j δ_j̃j a_i            B = S V diag(f)
//! hidden–hidden   A ⊗ a aᵀ                                   A = diag(f) VᵀSV diag(f) + diag(e∘q)
//! ```
//!
//! and the whole is the mean over samples. The term with r is what makes eigenvalues negative.
//!
//! # How an evaluation flows
//!
//! | stage | from | to |
//! |---|---|---|
//! | `samples` | θ, batch | h, f, e, t, p, r of every sample |
//! | `trace` | these | tr H |
//! | `pairs` or `blocks` | these | tr H², and its derivatives with respect to them |
//! | [`bounds`](crate::bounds) | both traces | weights of the two gradients |
//! | `sweep` | derivatives, weights, loss | the gradient |
//!
//! Nothing flows back. `product` and `dense` hang off `samples` alone.
//!
//! Sources: the traces and bounds in closed form, Omae et al., arXiv 2604.10202; the gradient, Omae et al., arXiv 2606.28662; the pair and
//! block forms are derived in the modules.

pub(crate) mod blocks;
pub(crate) mod contrasts;
mod dense;
pub(crate) mod exact;
mod factors;
pub(crate) mod forward;
pub(crate) mod pairs;
mod product;
pub(crate) mod run;
pub(crate) mod sweep;
mod trace;

use crate::bounds::{Bounds, Traces};

/// Loss and accuracy of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// L = −(1/N) Σ Σ_k y_k log p_k, in nats.
    pub loss: f64,
    /// The share of samples whose most probable class is the target's most probable class (the first one, among equals).
    pub accuracy: f64,
}

/// What is known of the Hessian at a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curvature {
    /// tr H and tr H², by block.
    pub traces: Traces,
    /// The four Wolkowicz–Styan bounds.
    pub bounds: Bounds,
    /// Whether the upper bound Λ is differentiable here: see [`BoundSlopes`](crate::bounds::BoundSlopes).
    pub differentiable: bool,
}
