//! What an optimizer remembers between steps, and what a step saw.

use crate::hessian::Curvature;
use crate::sampled::{Averages, Estimate};

/// What an optimizer keeps from step to step: plain data, which can be stored and restored.
#[derive(Debug)]
pub struct State<'a, T> {
    /// What the optimizer's update remembers, in vectors laid out like θ; zeros before the first step. Nothing, or SGD's velocity, or Adam's
    /// first and second moments, one after the other: as many numbers as [`Hyperparameters::moments_len`](crate::Hyperparameters::moments_len) says.
    pub moments: &'a mut [T],
    /// Steps taken, modulo 2⁶⁴. A sampled step's random numbers depend on this and the seed alone.
    pub steps: u64,
    /// Averages of a sampled penalty's traces and of its limit.
    pub averages: Averages,
}

impl<'a, T> State<'a, T> {
    /// The state before the first step; `moments` should hold zeros.
    pub fn new(moments: &'a mut [T]) -> Self {
        Self { moments, steps: 0, averages: Averages::default() }
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
    pub(super) const fn plain(loss: f64) -> Self {
        Self { loss, curvature: None, estimate: None }
    }
}
