//! Optimizer steps: SGD, SAM and HSR, each one call on slices.
//!
//! All three end in the same update, that of SGD with momentum μ and weight decay ω, along a gradient `d` of their own:
//!
//! ```text
//! v ← μ v + d + ω θ        θ ← θ − η v
//! ```
//!
//! | step | d | loss gradients a step |
//! |---|---|---|
//! | [`Sgd`] | ∇L(θ) | 1 |
//! | [`Sam`] | ∇L(θ + r ∇L(θ)/‖∇L(θ)‖) | 2 |
//! | [`Hsr`] | ∇L(θ) + ρ ∇Λ(θ), exact or [sampled](crate::sampled) | 1, and the penalty |
//!
//! Sources: SAM, Foret et al., arXiv 2010.01412; HSR, Omae et al., arXiv 2606.28662.
//!
//! A step is a transaction: θ and the state change only after everything has been computed and found finite.

mod hsr;
mod sam;
mod sgd;

pub use hsr::{Direction, Hsr, Penalty};
pub use sam::Sam;
pub use sgd::Sgd;

use crate::hessian::Curvature;
use crate::sampled::{Averages, Estimate};

/// What an optimizer remembers between steps: plain data, to be stored and restored at will.
#[derive(Debug)]
pub struct State<'a, T> {
    /// v, laid out like θ; zero before the first step. May be empty where momentum is zero.
    pub velocity: &'a mut [T],
    /// Steps taken, modulo 2⁶⁴; with the seed, all that random numbers depend on.
    pub steps: u64,
    /// Averages of a sampled penalty's traces.
    pub averages: Averages,
}

impl<'a, T> State<'a, T> {
    /// The state before the first step; `velocity` is expected to hold zeros.
    pub fn new(velocity: &'a mut [T]) -> Self {
        Self { velocity, steps: 0, averages: Averages::default() }
    }
}

/// What a step saw, at the parameters from which it set out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// L, in nats.
    pub loss: f64,
    /// Traces, bounds, and whether Λ was differentiable; `None` for steps that take no exact penalty.
    pub curvature: Option<Curvature>,
    /// Estimates of the traces; `None` for steps that take no sampled penalty.
    pub estimate: Option<Estimate>,
}

impl Step {
    /// Of a step without penalty.
    const fn plain(loss: f64) -> Self {
        Self { loss, curvature: None, estimate: None }
    }
}
