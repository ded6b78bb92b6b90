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
mod contrasts;
mod dense;
pub(crate) mod evaluation;
mod factors;
pub(crate) mod pairs;
mod product;
pub mod sampled;
mod samples;
pub(crate) mod sweep;
mod trace;

use crate::batch::Batch;
use crate::bounds::{Bounds, Traces};
use crate::error::Result;
use crate::plan::Plan;
use crate::real::Real;
use evaluation::{Memory, Objective};

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

/// The HSR objective at a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HsrObjective {
    /// L, in nats.
    pub loss: f64,
    /// Traces and bounds; `None` for ρ = 0, which leaves them out.
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
    T::loss(plan, theta, batch, Memory::first_order(plan, workspace)?.scratch)
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

/// tr H and tr H², by block, and what the Wolkowicz–Styan bounds make of them.
///
/// ```text
/// tr H  = (1/N)  Σ_n     [ tr(S) ‖g‖² + ‖a‖² tr(A) ]
/// tr H² = (1/N²) Σ_n,n'  [ ⟨S,S'⟩ Gg² + 2 Ga (⟨B,B'⟩ Gg + x + xᵀ + (r·r')(f·f')) + Ga² ⟨A,A'⟩ ]
/// ```
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
    T::curvature(plan, theta, batch, Memory::second_order(plan, workspace)?.scratch)
}

/// ∇tr H, laid out like θ. Returns tr H. Linear in the batch: no pairs, no blocks.
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
    let objective = evaluation::hsr_objective(rho)?;
    let memory = Memory::second_order(plan, workspace)?;
    let done = memory.gradient_to(plan, theta, batch, objective, gradient)?;
    Ok(HsrObjective { loss: done.loss, curvature: (rho != 0.0).then(|| done.curvature(plan)) })
}

/// H·v, exact, without forming H; `vector` and `product` are laid out like θ.
///
/// About the cost of two loss gradients. This is what Lanczos and power iterations ask for.
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
    T::hessian_vector_product(plan, theta, batch, vector, product, Memory::second_order(plan, workspace)?)
}

/// H itself, P×P, row-major and symmetric. For small networks: P² numbers.
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
    T::dense_hessian(plan, theta, batch, hessian, Memory::second_order(plan, workspace)?.scratch)
}
