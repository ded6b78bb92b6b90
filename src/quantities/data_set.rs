//! The quantities of a data set of any size, by chunks of the plan's size: memory is the plan's, whatever the size of the data set.
//!
//! Where the data set fits into one chunk, each function returns the bits of its namesake for a batch (of `curvature` with the batch's own
//! pair weights).

use crate::batch::Batch;
use crate::error::{Result, check_length};
use crate::hessian::{Curvature, Evaluation};
use crate::plan::Plan;
use crate::quantities::memory::{Memory, hand_over};
use crate::real::Real;

/// The mean cross-entropy and the accuracy of a data set of any size, by chunks of [`Plan::samples`].
///
/// ```text
/// L = Σ_chunks (N/T) L_chunk                N samples in the chunk, T in all
/// ```
///
/// Takes [`Plan::gradient_workspace_len`] elements of workspace.
///
/// # Errors
///
/// Those of [every quantity](crate#errors), except that the data set may have any number of samples.
///
/// ```
/// use flatmin::{Activation, Batch, Network, Plan, Shape, Targets};
///
/// let shape = Shape::new(2, 3, 2)?;
/// let data = Batch::new(shape, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], Targets::Classes(&[0, 1, 1, 0]))?;
/// let plan = Plan::new(Network::new(shape, Activation::Tanh), 3)?; // chunks of three samples
/// let theta: Vec<f64> = (0..shape.parameters()).map(|i| (i as f64).sin()).collect();
/// let mut workspace = vec![0.0; plan.gradient_workspace_len()];
/// let found = flatmin::data_set_loss(&plan, &theta, &data, &mut workspace)?;
/// assert!(found.loss > 0.0 && (0.0..=1.0).contains(&found.accuracy));
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn data_set_loss<T: Real>(
    plan: &Plan,
    theta: &[T],
    data: &Batch<'_, T>,
    workspace: &mut [T],
) -> Result<Evaluation> {
    (const { T::FUNCTIONS.data_set_loss })(plan, theta, data, Memory::first_order(plan, workspace)?.scratch)
}

/// ∇L of a data set of any size, laid out like θ, by chunks of [`Plan::samples`]. Returns L.
///
/// Takes [`Plan::gradient_workspace_len`] elements of workspace.
///
/// # Errors
///
/// Those of [every quantity](crate#errors), except that the data set may have any number of samples.
pub fn data_set_loss_gradient<T: Real>(
    plan: &Plan,
    theta: &[T],
    data: &Batch<'_, T>,
    gradient: &mut [T],
    workspace: &mut [T],
) -> Result<f64> {
    let memory = Memory::first_order(plan, workspace)?;
    check_length("gradient", gradient, plan.shape().parameters())?;
    let Memory { gradient: mean, other: part, scratch } = memory;
    let loss = (const { T::FUNCTIONS.data_set_loss_gradient })(plan, theta, data, mean, part, scratch)?;
    hand_over(plan.instruction_set(), mean, gradient, "gradient")?;
    Ok(loss)
}

/// tr H and tr H² of a data set of any size, by block, and the bounds that follow from them: exact, by chunks of [`Plan::samples`].
///
/// ```text
/// tr H  = Σ_chunks (N/T) tr H_chunk         N samples in the chunk, T in all
/// tr H² = (1/T²) Σ_n,n' κ                   over all pairs of the T samples
/// ```
///
/// tr H² is a sum over all pairs of samples, and does not average over chunks: the mean of the chunks' own tr H² is too large. All pairs
/// weigh 1/T²: the plan's [`PairWeights`](crate::PairWeights) are those of a batch, and not used. The plan's route says how:
///
/// - By [`Route::Pairs`](crate::Route::Pairs) every pair of chunks is visited. **Cost**: quadratic in T, that of
///   [`curvature`](crate::curvature) of all T samples at once, and for each two chunks a forward pass of both; larger chunks make the second
///   part smaller. **Memory**: about that of a plan of twice the samples.
/// - By [`Route::Blocks`](crate::Route::Blocks) the chunks are added to the blocks of H. **Cost**: linear in T, that of
///   [`curvature`](crate::curvature) of each chunk. **Memory**: all blocks at once,
///   `R₂M² + (D+1)RM² + D₂M₂` numbers; for two classes and up to four inputs `(D+2)²M²`.
///
/// A plan chooses the route for a chunk. For large T the blocks may be cheaper where they are not for a chunk:
/// [`Plan::with_route`] takes them. Where neither is cheap enough, [`data_set_curvature_estimate`] is linear in T.
///
/// Takes [`Plan::data_set_workspace_len`] elements of workspace, which depend on the plan, not on T. The inner products of the inputs, if
/// the batch has them, are used only where one chunk holds it all.
///
/// # Errors
///
/// Those of [every quantity](crate#errors), except that the data set may have any number of samples;
/// [`Error::TooLarge`](crate::Error::TooLarge) where the workspace cannot be addressed.
///
/// ```
/// use flatmin::{Activation, Batch, Network, Plan, Shape, Targets};
///
/// let shape = Shape::new(2, 3, 2)?;
/// let network = Network::new(shape, Activation::Tanh);
/// let data = Batch::new(shape, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], Targets::Classes(&[0, 1, 1, 0]))?;
/// let theta: Vec<f64> = (0..shape.parameters()).map(|i| (i as f64).sin()).collect();
///
/// let chunks = Plan::new(network, 3)?;
/// let mut workspace = vec![0.0; chunks.data_set_workspace_len()?];
/// let by_chunks = flatmin::data_set_curvature(&chunks, &theta, &data, &mut workspace)?;
///
/// let whole = Plan::new(network, 4)?;
/// let mut workspace = vec![0.0; whole.workspace_len()];
/// let at_once = flatmin::curvature(&whole, &theta, &data, &mut workspace)?;
/// let [found, expected] = [by_chunks, at_once].map(|curvature| curvature.traces.trace_of_square());
/// assert!((found - expected).abs() < 1e-13 * expected);
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn data_set_curvature<T: Real>(
    plan: &Plan,
    theta: &[T],
    data: &Batch<'_, T>,
    workspace: &mut [T],
) -> Result<Curvature> {
    (const { T::FUNCTIONS.data_set_curvature })(plan, theta, data, Memory::of_data_set(plan, workspace)?.scratch)
}

/// tr H of a data set of any size, exact, and an unbiased estimate of its tr H², by chunks of at most [`Plan::samples`]; with the bounds
/// that follow from them.
///
/// ```text
/// tr H² ≈ Σ_chunks (N/T) Σ_n,n' w_nn' κ     over the pairs within the chunk, of N samples; T in all
/// w_self = 1/(TN)      w_cross = (1 − 1/T)/(N(N−1))
/// ```
///
/// The chunks' sizes differ by one at most. With these weights, those of [`PairWeights::DataSet`](crate::PairWeights::DataSet), whatever the
/// plan's, each chunk's value has the mean tr H² of the data set **if the samples are in random order**: shuffle them before, as they are
/// summed in the order given. Data sorted by class give a wrong value. The estimate can be negative, unlike tr H² itself. The bounds are
/// functions of the estimate, and not unbiased. With one chunk the value is exact.
///
/// **Cost**: linear in T, that of [`curvature`](crate::curvature) for every chunk. Takes [`Plan::workspace_len`] elements of workspace.
///
/// # Errors
///
/// Those of [every quantity](crate#errors), except that the data set may have any number of samples;
/// [`Error::PairWeights`](crate::Error::PairWeights) where a chunk would be a single sample of a larger data set. That is so for a plan of
/// one sample, and for one of two where T is odd.
///
/// ```
/// use flatmin::{Activation, Batch, Network, Plan, Shape, Targets};
///
/// let shape = Shape::new(2, 3, 2)?;
/// let data = Batch::new(shape, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], Targets::Classes(&[0, 1, 1, 0]))?;
/// let plan = Plan::new(Network::new(shape, Activation::Tanh), 2)?;
/// let theta: Vec<f64> = (0..shape.parameters()).map(|i| (i as f64).sin()).collect();
/// let mut workspace = vec![0.0; plan.workspace_len().max(plan.data_set_workspace_len()?)];
/// let estimate = flatmin::data_set_curvature_estimate(&plan, &theta, &data, &mut workspace)?;
/// let exact = flatmin::data_set_curvature(&plan, &theta, &data, &mut workspace)?;
/// assert!((estimate.traces.trace() - exact.traces.trace()).abs() < 1e-14);
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn data_set_curvature_estimate<T: Real>(
    plan: &Plan,
    theta: &[T],
    data: &Batch<'_, T>,
    workspace: &mut [T],
) -> Result<Curvature> {
    let memory = Memory::second_order(plan, workspace)?;
    (const { T::FUNCTIONS.data_set_curvature_estimate })(plan, theta, data, memory.scratch)
}

/// H·v for the H of a data set of any size, by chunks of [`Plan::samples`]; `vector` and `product` are laid out like θ.
///
/// ```text
/// H·v = Σ_chunks (N/T) H_chunk·v            N samples in the chunk, T in all
/// ```
///
/// Costs about as much as two loss gradients of the data set. Takes [`Plan::workspace_len`] elements of workspace.
///
/// # Errors
///
/// Those of [every quantity](crate#errors), for `vector` as for θ, except that the data set may have any number of samples.
///
/// ```
/// use flatmin::{Activation, Batch, Network, Plan, Shape, Targets};
///
/// let shape = Shape::new(2, 3, 2)?;
/// let data = Batch::new(shape, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], Targets::Classes(&[0, 1, 1, 0]))?;
/// let plan = Plan::new(Network::new(shape, Activation::Tanh), 3)?;
/// let theta: Vec<f64> = (0..shape.parameters()).map(|i| (i as f64).sin()).collect();
/// let mut workspace = vec![0.0; plan.workspace_len()];
/// let mut product = vec![0.0; shape.parameters()];
/// // Along the output biases together nothing curves.
/// let mut constant = vec![0.0; shape.parameters()];
/// constant[shape.output_bias()].fill(1.0);
/// flatmin::data_set_hessian_vector_product(&plan, &theta, &data, &constant, &mut product, &mut workspace)?;
/// assert!(product.iter().all(|entry| entry.abs() < 1e-15));
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn data_set_hessian_vector_product<T: Real>(
    plan: &Plan,
    theta: &[T],
    data: &Batch<'_, T>,
    vector: &[T],
    product: &mut [T],
    workspace: &mut [T],
) -> Result<()> {
    let memory = Memory::second_order(plan, workspace)?;
    check_length("product", product, plan.shape().parameters())?;
    let Memory { gradient: mean, other: part, scratch } = memory;
    let multiply = const { T::FUNCTIONS.data_set_hessian_vector_product };
    multiply(plan, theta, data, vector, mean, part, scratch)?;
    hand_over(plan.instruction_set(), mean, product, "product")
}
