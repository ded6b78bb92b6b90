//! The public quantities: loss, gradients, traces, bounds, H·v, H, estimates of the traces, and predictions.
//!
//! Each cuts the caller's workspace, calls the function that is compiled for the number type, and copies results to the caller once they
//! are known to be finite.

mod data_set;
mod memory;
mod predict;

pub use data_set::{
    data_set_curvature, data_set_curvature_estimate, data_set_hessian_vector_product, data_set_loss,
    data_set_loss_gradient,
};
pub(crate) use memory::Memory;
pub use predict::{classes, logits, probabilities};

use crate::batch::Batch;
use crate::error::{Error, Result, check_length, check_not_negative};
use crate::hessian::exact::Objective;
use crate::hessian::{Curvature, Evaluation};
use crate::plan::Plan;
use crate::real::Real;
use crate::sampled::evaluate::SampledObjective;
use crate::sampled::{Estimate, Mixture, Sampling};
use memory::hand_over;

/// The HSR objective at a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HsrObjective {
    /// L, in nats.
    pub loss: f64,
    /// Traces and bounds; `None` for ρ = 0, where they are not computed.
    pub curvature: Option<Curvature>,
}

/// The mean cross-entropy and the accuracy of a batch.
///
/// Takes [`Plan::gradient_workspace_len`] elements of workspace.
///
/// # Errors
///
/// Those of [every quantity](crate#errors).
///
/// ```
/// use flatmin::{Activation, Batch, Network, Plan, Shape, Targets};
///
/// let shape = Shape::new(2, 3, 2)?;
/// let plan = Plan::new(Network::new(shape, Activation::Tanh), 4)?;
/// let batch = Batch::new(shape, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], Targets::Classes(&[0, 1, 1, 0]))?;
/// let theta: Vec<f64> = (0..shape.parameters()).map(|i| (i as f64).sin()).collect();
/// let mut workspace = vec![0.0; plan.gradient_workspace_len()];
/// let found = flatmin::loss(&plan, &theta, &batch, &mut workspace)?;
/// assert!(found.loss > 0.0 && (0.0..=1.0).contains(&found.accuracy));
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn loss<T: Real>(plan: &Plan, theta: &[T], batch: &Batch<'_, T>, workspace: &mut [T]) -> Result<Evaluation> {
    (const { T::FUNCTIONS.loss })(plan, theta, batch, Memory::first_order(plan, workspace)?.scratch)
}

/// ∇L, laid out like θ. Returns L.
///
/// ```text
/// ẑ = (p − y)/N      û = (Vᵀẑ)∘f      ∇L = [ Σ û xᵀ | Σ û | Σ ẑ hᵀ | Σ ẑ ]
/// ```
///
/// Takes [`Plan::gradient_workspace_len`] elements of workspace.
///
/// # Errors
///
/// Those of [every quantity](crate#errors).
///
/// ```
/// use flatmin::{Activation, Batch, Network, Plan, Shape, Targets};
///
/// let shape = Shape::new(2, 3, 2)?;
/// let plan = Plan::new(Network::new(shape, Activation::Tanh), 4)?;
/// let batch = Batch::new(shape, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], Targets::Classes(&[0, 1, 1, 0]))?;
/// let theta: Vec<f64> = (0..shape.parameters()).map(|i| (i as f64).sin()).collect();
/// let mut workspace = vec![0.0; plan.gradient_workspace_len()];
/// let mut gradient = vec![0.0; shape.parameters()];
/// flatmin::loss_gradient(&plan, &theta, &batch, &mut gradient, &mut workspace)?;
/// // Adding a constant to all logits changes nothing: the slopes along c sum to zero.
/// assert!(gradient[shape.output_bias()].iter().sum::<f64>().abs() < 1e-15);
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn loss_gradient<T: Real>(
    plan: &Plan,
    theta: &[T],
    batch: &Batch<'_, T>,
    gradient: &mut [T],
    workspace: &mut [T],
) -> Result<f64> {
    let memory = Memory::first_order(plan, workspace)?;
    Ok(memory.gradient_to(plan, theta, batch, Objective::Loss, gradient)?.loss)
}

/// tr H and tr H², by block, and the Wolkowicz–Styan bounds that follow from them.
///
/// ```text
/// tr H  = (1/N)  Σ_n     [ tr(S) ‖g‖² + ‖a‖² tr(A) ]
/// tr H² = (1/N²) Σ_n,n'  [ ⟨S,S'⟩ Gg² + 2 Ga (⟨B,B'⟩ Gg + χ + χᵀ + (r·r')(f·f')) + Ga² ⟨A,A'⟩ ]
/// ```
///
/// The symbols are those of [this table](crate::method#symbols).
///
/// # Errors
///
/// Those of [every quantity](crate#errors).
///
/// ```
/// use flatmin::{Activation, Batch, Network, Plan, Shape, Targets};
///
/// let shape = Shape::new(2, 3, 2)?;
/// let plan = Plan::new(Network::new(shape, Activation::Tanh), 4)?;
/// let batch = Batch::new(shape, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], Targets::Classes(&[0, 1, 1, 0]))?;
/// let theta: Vec<f64> = (0..shape.parameters()).map(|i| (i as f64).sin()).collect();
/// let mut workspace = vec![0.0; plan.workspace_len()];
/// let found = flatmin::curvature(&plan, &theta, &batch, &mut workspace)?;
/// // The mean eigenvalue lies between the bounds on the two ends of the spectrum.
/// let mean = found.traces.trace() / shape.parameters() as f64;
/// assert!(found.bounds.lambda_min_upper <= mean && mean <= found.bounds.lambda_max_lower);
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn curvature<T: Real>(plan: &Plan, theta: &[T], batch: &Batch<'_, T>, workspace: &mut [T]) -> Result<Curvature> {
    (const { T::FUNCTIONS.curvature })(plan, theta, batch, Memory::second_order(plan, workspace)?.scratch)
}

/// ∇tr H, laid out like θ. Returns tr H. Its cost is linear in the batch, and smaller than that of tr H².
///
/// # Errors
///
/// Those of [every quantity](crate#errors).
pub fn trace_gradient<T: Real>(
    plan: &Plan,
    theta: &[T],
    batch: &Batch<'_, T>,
    gradient: &mut [T],
    workspace: &mut [T],
) -> Result<f64> {
    let memory = Memory::second_order(plan, workspace)?;
    Ok(memory.gradient_to(plan, theta, batch, Objective::Trace, gradient)?.traces.trace())
}

/// ∇tr H², laid out like θ. Returns the traces and bounds.
///
/// # Errors
///
/// Those of [every quantity](crate#errors).
pub fn trace_of_square_gradient<T: Real>(
    plan: &Plan,
    theta: &[T],
    batch: &Batch<'_, T>,
    gradient: &mut [T],
    workspace: &mut [T],
) -> Result<Curvature> {
    let memory = Memory::second_order(plan, workspace)?;
    Ok(memory.gradient_to(plan, theta, batch, Objective::TraceOfSquare, gradient)?.curvature(plan))
}

/// ∇Λ, the gradient of the Wolkowicz–Styan upper bound on λ_max, laid out like θ. Returns the traces and bounds.
///
/// ```text
/// ∇Λ = ∇tr H / P + √(P−1)/(2s) ( ∇tr H² / P − 2m ∇tr H / P )        m = tr H / P,  s² = tr H² / P − m²
/// ```
///
/// Where Λ is not differentiable (H = 0) the result is ∇tr H / P, and [`Curvature::differentiable`] is false.
///
/// # Errors
///
/// Those of [every quantity](crate#errors).
///
/// ```
/// use flatmin::{Activation, Batch, Network, Plan, Shape, Targets};
///
/// let shape = Shape::new(2, 3, 2)?;
/// let plan = Plan::new(Network::new(shape, Activation::Tanh), 4)?;
/// let batch = Batch::new(shape, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], Targets::Classes(&[0, 1, 1, 0]))?;
/// let theta: Vec<f64> = (0..shape.parameters()).map(|i| (i as f64).sin()).collect();
/// let mut workspace = vec![0.0; plan.workspace_len()];
/// let mut gradient = vec![0.0; shape.parameters()];
/// let here = flatmin::bound_gradient(&plan, &theta, &batch, &mut gradient, &mut workspace)?;
/// let flatter: Vec<f64> = theta.iter().zip(&gradient).map(|(t, g)| t - 1e-3 * g).collect();
/// let there = flatmin::curvature(&plan, &flatter, &batch, &mut workspace)?;
/// assert!(there.bounds.lambda_max_upper < here.bounds.lambda_max_upper);
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn bound_gradient<T: Real>(
    plan: &Plan,
    theta: &[T],
    batch: &Batch<'_, T>,
    gradient: &mut [T],
    workspace: &mut [T],
) -> Result<Curvature> {
    let memory = Memory::second_order(plan, workspace)?;
    Ok(memory.gradient_to(plan, theta, batch, Objective::Bound, gradient)?.curvature(plan))
}

/// ∇(L + ρΛ), laid out like θ, by one forward pass and one backward sweep. Returns L, the traces and the bounds.
///
/// With ρ = 0 this is [`loss_gradient`], at its cost.
///
/// # Errors
///
/// Those of [every quantity](crate#errors); [`Error::Hyperparameter`](crate::Error::Hyperparameter) for a ρ that is negative or not finite.
///
/// ```
/// use flatmin::{Activation, Batch, Network, Plan, Shape, Targets};
///
/// let shape = Shape::new(2, 3, 2)?;
/// let plan = Plan::new(Network::new(shape, Activation::Tanh), 4)?;
/// let batch = Batch::new(shape, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], Targets::Classes(&[0, 1, 1, 0]))?;
/// let theta: Vec<f64> = (0..shape.parameters()).map(|i| (i as f64).sin()).collect();
/// let mut workspace = vec![0.0; plan.workspace_len()];
/// let mut gradient = vec![0.0; shape.parameters()];
/// let objective = flatmin::hsr_gradient(&plan, &theta, &batch, 0.05, &mut gradient, &mut workspace)?;
/// let curvature = objective.curvature.expect("ρ is not zero");
/// println!("L + ρΛ = {}", objective.loss + 0.05 * curvature.bounds.lambda_max_upper);
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn hsr_gradient<T: Real>(
    plan: &Plan,
    theta: &[T],
    batch: &Batch<'_, T>,
    rho: f64,
    gradient: &mut [T],
    workspace: &mut [T],
) -> Result<HsrObjective> {
    check_not_negative("rho", rho)?;
    let objective = if rho == 0.0 { Objective::Loss } else { Objective::Hsr { rho } };
    let memory = Memory::second_order(plan, workspace)?;
    let done = memory.gradient_to(plan, theta, batch, objective, gradient)?;
    Ok(HsrObjective { loss: done.loss, curvature: (rho != 0.0).then(|| done.curvature(plan)) })
}

/// H·v, exact, without forming H; `vector` and `product` are laid out like θ.
///
/// Costs about as much as two loss gradients. Lanczos and power iterations need only this.
///
/// # Errors
///
/// Those of [every quantity](crate#errors), for `vector` as for θ.
///
/// ```
/// use flatmin::{Activation, Batch, Network, Plan, Shape, Targets};
///
/// let shape = Shape::new(2, 3, 2)?;
/// let plan = Plan::new(Network::new(shape, Activation::Tanh), 4)?;
/// let batch = Batch::new(shape, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], Targets::Classes(&[0, 1, 1, 0]))?;
/// let theta: Vec<f64> = (0..shape.parameters()).map(|i| (i as f64).sin()).collect();
/// let mut workspace = vec![0.0; plan.workspace_len()];
/// let mut product = vec![0.0; shape.parameters()];
/// // Along the output biases together nothing curves.
/// let mut constant = vec![0.0; shape.parameters()];
/// constant[shape.output_bias()].fill(1.0);
/// flatmin::hessian_vector_product(&plan, &theta, &batch, &constant, &mut product, &mut workspace)?;
/// assert!(product.iter().all(|entry| entry.abs() < 1e-15));
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn hessian_vector_product<T: Real>(
    plan: &Plan,
    theta: &[T],
    batch: &Batch<'_, T>,
    vector: &[T],
    product: &mut [T],
    workspace: &mut [T],
) -> Result<()> {
    let memory = Memory::second_order(plan, workspace)?;
    check_length("product", product, plan.shape().parameters())?;
    (const { T::FUNCTIONS.hessian_vector_product })(plan, theta, batch, vector, memory.gradient, memory.scratch)?;
    hand_over(plan.instruction_set(), memory.gradient, product, "product")
}

/// H itself, P×P, row-major and symmetric: for small networks, as it takes P² numbers.
///
/// # Errors
///
/// Those of [every quantity](crate#errors); [`Error::Length`](crate::Error::Length) unless `hessian` has P² entries.
/// On [`Error::Overflow`](crate::Error::Overflow), and only then, `hessian` has been written to.
///
/// ```
/// use flatmin::{Activation, Batch, Network, Plan, Shape, Targets};
///
/// let shape = Shape::new(2, 3, 2)?;
/// let plan = Plan::new(Network::new(shape, Activation::Tanh), 4)?;
/// let batch = Batch::new(shape, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], Targets::Classes(&[0, 1, 1, 0]))?;
/// let theta: Vec<f64> = (0..shape.parameters()).map(|i| (i as f64).sin()).collect();
/// let mut workspace = vec![0.0; plan.workspace_len()];
/// let size = shape.parameters();
/// let mut hessian = vec![0.0; size * size];
/// flatmin::dense_hessian(&plan, &theta, &batch, &mut hessian, &mut workspace)?;
/// let trace: f64 = (0..size).map(|i| hessian[i * size + i]).sum();
/// let found = flatmin::curvature(&plan, &theta, &batch, &mut workspace)?;
/// assert!((trace - found.traces.trace()).abs() < 1e-14 * size as f64);
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn dense_hessian<T: Real>(
    plan: &Plan,
    theta: &[T],
    batch: &Batch<'_, T>,
    hessian: &mut [T],
    workspace: &mut [T],
) -> Result<()> {
    (const { T::FUNCTIONS.dense_hessian })(plan, theta, batch, hessian, Memory::second_order(plan, workspace)?.scratch)
}

/// The gradient of a weighted sum of L and the estimates of tr H and tr H², laid out like θ. Returns L and the estimates.
///
/// The random numbers are a function of `draw` and the seed: count `draw` up for new ones. Takes [`Sampling::workspace_len`] elements of
/// workspace.
///
/// # Errors
///
/// Those of [every quantity](crate#errors) and of [`Sampling::check`]; [`Error::Hyperparameter`] for a weight that is not finite.
///
/// ```
/// use flatmin::{Activation, Batch, Mixture, Network, Plan, Sampling, Shape, Targets, sampled_gradient};
///
/// let shape = Shape::new(2, 3, 3)?;
/// let plan = Plan::new(Network::new(shape, Activation::Tanh), 4)?;
/// let batch = Batch::new(shape, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], Targets::Classes(&[0, 1, 2, 0]))?;
/// let theta: Vec<f64> = (0..shape.parameters()).map(|i| (i as f64).sin()).collect();
/// let sampling = Sampling::new(1);
/// let mut workspace = vec![0.0; sampling.workspace_len(&plan)?.max(plan.workspace_len())];
/// let mut gradient = theta.clone();
///
/// let weights = Mixture { trace_of_square: 1.0, ..Mixture::default() };
/// let mut mean = 0.0;
/// for draw in 0..4000 {
///     let (_, estimate) = sampled_gradient(&plan, &theta, &batch, &sampling, draw, weights, &mut gradient, &mut workspace)?;
///     mean += estimate.trace_of_square / 4000.0;
/// }
/// let exact = flatmin::curvature(&plan, &theta, &batch, &mut workspace)?.traces.trace_of_square();
/// assert!((mean - exact).abs() < 0.05 * exact);
/// # Ok::<(), flatmin::Error>(())
/// ```
#[allow(clippy::too_many_arguments, reason = "those of every gradient, and how it is drawn")]
pub fn sampled_gradient<T: Real>(
    plan: &Plan,
    theta: &[T],
    batch: &Batch<'_, T>,
    sampling: &Sampling,
    draw: u64,
    weights: Mixture,
    gradient: &mut [T],
    workspace: &mut [T],
) -> Result<(f64, Estimate)> {
    for (argument, given) in
        [("loss weight", weights.loss), ("trace weight", weights.trace), ("square weight", weights.trace_of_square)]
    {
        if !given.is_finite() {
            return Err(Error::Hyperparameter { argument, given, expected: "a finite number" });
        }
    }
    let memory = Memory::sampled(plan, sampling, workspace)?;
    let objective = SampledObjective::Mixture(weights);
    memory.sampled_gradient_to(plan, theta, batch, sampling, draw, objective, gradient)
}
