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

pub use hsr::{Direction, Hsr, Penalty};
pub use sam::Sam;
pub use sgd::Sgd;

use crate::hessian::Curvature;
use crate::sampled::{Averages, Estimate};

/// What an optimizer keeps from step to step: plain data, which can be stored and restored.
#[derive(Debug)]
pub struct State<'a, T> {
    /// The velocity, laid out like θ; zero before the first step. May be empty where momentum is zero.
    pub velocity: &'a mut [T],
    /// Steps taken, modulo 2⁶⁴. A sampled step's random numbers depend on this and the seed alone.
    pub steps: u64,
    /// Averages of a sampled penalty's traces.
    pub averages: Averages,
}

impl<'a, T> State<'a, T> {
    /// The state before the first step; `velocity` should hold zeros.
    pub fn new(velocity: &'a mut [T]) -> Self {
        Self { velocity, steps: 0, averages: Averages::default() }
    }
}

/// What a step reports, at the parameters before the step.
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
    /// The report of a step without penalty.
    const fn plain(loss: f64) -> Self {
        Self { loss, curvature: None, estimate: None }
    }
}
