//! What functions return in structures: evaluations, bounds, curvatures, steps.

use super::memory::Memory;
use super::status::{Status, guard};
use super::structure::structure;
use crate::bounds::Bounds;
use crate::error::Error;
use crate::hessian::{Curvature, Evaluation};
use crate::optimizer::Step;

structure! {
    /// Loss and accuracy of a batch.
    CEvaluation = "flatmin_evaluation" {
        /// L = −(1/N) Σ Σ y log p, in nats.
        loss: f64,
        /// The share of samples whose most probable class is the target's.
        accuracy: f64,
    }
}

impl CEvaluation {
    pub(super) fn new(Evaluation { loss, accuracy }: Evaluation) -> Self {
        Self { loss, accuracy, ..Self::default() }
    }
}

structure! {
    /// The four Wolkowicz–Styan bounds on the extreme eigenvalues.
    CBounds = "flatmin_bounds" {
        /// Λ ≥ λ_max
        lambda_max_upper: f64,
        /// ≤ λ_max
        lambda_max_lower: f64,
        /// ≥ λ_min
        lambda_min_upper: f64,
        /// ≤ λ_min
        lambda_min_lower: f64,
    }
}

impl CBounds {
    fn new(from: Bounds) -> Self {
        let Bounds { lambda_max_upper, lambda_max_lower, lambda_min_upper, lambda_min_lower } = from;
        Self { lambda_max_upper, lambda_max_lower, lambda_min_upper, lambda_min_lower, ..Self::default() }
    }
}

structure! {
    /// What is known of the Hessian at a point: both traces, whole and by block of H, and the bounds.
    CCurvature = "flatmin_curvature" {
        /// tr H
        trace: f64,
        /// tr H²
        trace_of_square: f64,
        /// The share of V and c in tr H.
        output: f64,
        /// The share of W and b in tr H.
        hidden: f64,
        /// The share of V and c in tr H².
        output_square: f64,
        /// The share of the two blocks that couple both in tr H².
        cross_square: f64,
        /// The share of W and b in tr H².
        hidden_square: f64,
        /// Λ ≥ λ_max
        lambda_max_upper: f64,
        /// ≤ λ_max
        lambda_max_lower: f64,
        /// ≥ λ_min
        lambda_min_upper: f64,
        /// ≤ λ_min
        lambda_min_lower: f64,
        /// 1 where Λ is differentiable. 0 where it is not: its gradient is taken to be ∇tr H / P.
        differentiable: u64,
    }
}

impl CCurvature {
    pub(super) fn new(Curvature { traces, bounds, differentiable }: Curvature) -> Self {
        Self {
            trace: traces.trace(),
            trace_of_square: traces.trace_of_square(),
            output: traces.output,
            hidden: traces.hidden,
            output_square: traces.output_square,
            cross_square: traces.cross_square,
            hidden_square: traces.hidden_square,
            lambda_max_upper: bounds.lambda_max_upper,
            lambda_max_lower: bounds.lambda_max_lower,
            lambda_min_upper: bounds.lambda_min_upper,
            lambda_min_lower: bounds.lambda_min_lower,
            differentiable: differentiable.into(),
            ..Self::default()
        }
    }
}

structure! {
    /// What a step or an HSR gradient saw, at the parameters from which it set out.
    CStep = "flatmin_step" {
        /// L, in nats.
        loss: f64,
        /// 1 where an exact penalty was taken. 0 where it was not: then the fields from `trace` to `differentiable` are zero.
        has_curvature: u64,
        /// 1 where a sampled penalty was taken. 0 where it was not: then the fields from `estimated_trace` to `weight` are zero.
        has_estimate: u64,
        /// tr H
        trace: f64,
        /// tr H²
        trace_of_square: f64,
        /// The share of V and c in tr H.
        output: f64,
        /// The share of W and b in tr H.
        hidden: f64,
        /// The share of V and c in tr H².
        output_square: f64,
        /// The share of the two blocks that couple both in tr H².
        cross_square: f64,
        /// The share of W and b in tr H².
        hidden_square: f64,
        /// Λ ≥ λ_max
        lambda_max_upper: f64,
        /// ≤ λ_max
        lambda_max_lower: f64,
        /// ≥ λ_min
        lambda_min_upper: f64,
        /// ≤ λ_min
        lambda_min_lower: f64,
        /// 1 where Λ is differentiable. 0 where it is not: its gradient is taken to be ∇tr H / P.
        differentiable: u64,
        /// The estimate of tr H.
        estimated_trace: f64,
        /// The estimate of tr H²; can be negative.
        estimated_trace_of_square: f64,
        /// How many samples were kept.
        kept: u64,
        /// The sum of their weights, whose mean is the number of samples in the batch.
        weight: f64,
    }
}

impl CStep {
    pub(super) fn new(Step { loss, curvature, estimate }: Step) -> Self {
        let seen = curvature.map_or_else(CCurvature::default, CCurvature::new);
        let estimated = estimate.unwrap_or_default();
        Self {
            loss,
            has_curvature: curvature.is_some().into(),
            has_estimate: estimate.is_some().into(),
            trace: seen.trace,
            trace_of_square: seen.trace_of_square,
            output: seen.output,
            hidden: seen.hidden,
            output_square: seen.output_square,
            cross_square: seen.cross_square,
            hidden_square: seen.hidden_square,
            lambda_max_upper: seen.lambda_max_upper,
            lambda_max_lower: seen.lambda_max_lower,
            lambda_min_upper: seen.lambda_min_upper,
            lambda_min_lower: seen.lambda_min_lower,
            differentiable: seen.differentiable,
            estimated_trace: estimated.trace,
            estimated_trace_of_square: estimated.trace_of_square,
            kept: estimated.kept as u64,
            weight: estimated.weight,
            ..Self::default()
        }
    }
}

/// The Wolkowicz–Styan bounds of any symmetric matrix of `rows ≥ 2` rows with these traces.
///
/// # Safety
///
/// `bounds` is null, or leads to a size and as many bytes as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flatmin_bounds_new(
    trace: f64,
    trace_of_square: f64,
    rows: usize,
    bounds: *mut CBounds,
) -> Status {
    guard(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { Memory::new().place(bounds, "bounds")? };
        if rows < 2 {
            return Err(Error::TooSmall { argument: "rows", given: rows, least: 2 }.into());
        }
        // SAFETY: the caller's promise; a single piece.
        unsafe { place.write(CBounds::new(Bounds::new(trace, trace_of_square, rows))) };
        Ok(())
    })
}
