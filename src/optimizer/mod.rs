//! Optimizer steps: SGD, SAM and HSR, each one call on slices.
//!
//! All three end in the same update, that of SGD with momentum μ and weight decay ν, along a gradient of their own:
//!
//! ```text
//! velocity ← μ velocity + gradient + ν θ        θ ← θ − η velocity
//! ```
//!
//! | step | gradient | loss gradients a step |
//! |---|---|---|
//! | [`Sgd`] | ∇L(θ) | 1 |
//! | [`Sam`] | ∇L(θ + radius ∇L(θ)/‖∇L(θ)‖) | 2 |
//! | [`Hsr`] | ∇L(θ) + ρ ∇Λ(θ), exact or [sampled](crate::sampled) | 1, and the penalty |
//!
//! Sources: SAM, Foret et al., arXiv 2010.01412; HSR, Omae et al., arXiv 2606.28662.
//!
//! A step is a transaction: θ and the state change only after everything has been computed and found finite.

mod hsr;
mod sam;
mod sgd;
mod state;

pub use hsr::{Direction, Hsr, Penalty};
pub use sam::Sam;
pub use sgd::Sgd;
pub use state::{State, Step};
