//! The predictions: logits, probabilities, classes of inputs without targets.

use crate::error::Result;
use crate::hessian::predict::Prediction;
use crate::plan::Plan;
use crate::quantities::memory::Memory;
use crate::real::Real;

/// The logits z = V φ(W x + b) + c of N samples, N×K, row-major.
///
/// `inputs` is N×D, row-major, with at least one sample and at most as many as the plan has. The bits are those from which [`loss`](crate::loss)
/// of the same inputs is computed. Takes [`Plan::gradient_workspace_len`] elements of workspace.
///
/// # Errors
///
/// [`Error::TooSmall`](crate::Error::TooSmall) for no inputs, [`Error::Samples`](crate::Error::Samples) for more samples than the plan's,
/// [`Error::Length`](crate::Error::Length) unless `inputs` has whole rows and `logits` K numbers for each,
/// [`Error::NotFinite`](crate::Error::NotFinite) for an input or a parameter that is NaN or infinite,
/// [`Error::Overflow`](crate::Error::Overflow) for logits beyond the type's range, and those of [every quantity](crate#errors).
///
/// ```
/// use flatmin::{Activation, Network, Plan, Shape};
///
/// let network = Network::new(Shape::new(2, 3, 2)?, Activation::Tanh);
/// let plan = Plan::new(network, 4)?;
/// let mut theta = vec![0.0f64; network.shape.parameters()];
/// network.initialize(&mut theta, 1)?;
/// let mut workspace = vec![0.0; plan.gradient_workspace_len()];
/// let mut logits = [0.0; 2];
/// flatmin::logits(&plan, &theta, &[0.0, 0.0], &mut logits, &mut workspace)?;
/// // At x = 0 the hidden units are φ(b).
/// let at = |range| &theta[range];
/// let (b, v, c) = (at(network.shape.hidden_bias()), at(network.shape.output_weight()), at(network.shape.output_bias()));
/// let z: f64 = b.iter().zip(v).map(|(b, v)| v * b.tanh()).sum();
/// assert!((logits[0] - (z + c[0])).abs() < 1e-14);
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn logits<T: Real>(plan: &Plan, theta: &[T], inputs: &[T], logits: &mut [T], workspace: &mut [T]) -> Result<()> {
    predict(plan, theta, inputs, Prediction::Logits(logits), workspace)
}

/// The class probabilities p = softmax(z) of N samples, N×K, row-major.
///
/// Inputs, bits and workspace are as with [`logits`].
///
/// # Errors
///
/// Those of [`logits`], except that a logit of −∞ is no overflow: its probability is 0, as in the loss.
///
/// ```
/// use flatmin::{Activation, Network, Plan, Shape};
///
/// let network = Network::new(Shape::new(2, 3, 2)?, Activation::Tanh);
/// let plan = Plan::new(network, 4)?;
/// let mut theta = vec![0.0f64; network.shape.parameters()];
/// network.initialize(&mut theta, 1)?;
/// let mut workspace = vec![0.0; plan.gradient_workspace_len()];
/// let mut probabilities = [0.0; 4];
/// flatmin::probabilities(&plan, &theta, &[0.0, 1.0, 1.0, 0.0], &mut probabilities, &mut workspace)?;
/// assert!((probabilities[2] + probabilities[3] - 1.0).abs() < 1e-15);
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn probabilities<T: Real>(
    plan: &Plan,
    theta: &[T],
    inputs: &[T],
    probabilities: &mut [T],
    workspace: &mut [T],
) -> Result<()> {
    predict(plan, theta, inputs, Prediction::Probabilities(probabilities), workspace)
}

/// The most probable class of each of N samples; the first one, among equals, as the accuracy of [`loss`](crate::loss) counts.
///
/// Inputs and workspace are as with [`logits`]; `classes` has N entries. Of logits that round to equal probabilities the first counts.
///
/// # Errors
///
/// Those of [`probabilities`].
///
/// ```
/// use flatmin::{Activation, Network, Plan, Shape};
///
/// let network = Network::new(Shape::new(2, 3, 2)?, Activation::Tanh);
/// let plan = Plan::new(network, 4)?;
/// let mut theta = vec![0.0f64; network.shape.parameters()];
/// network.initialize(&mut theta, 1)?;
/// let mut workspace = vec![0.0; plan.gradient_workspace_len()];
/// let (inputs, mut classes) = ([0.0, 1.0, 1.0, 0.0], [0; 2]);
/// flatmin::classes(&plan, &theta, &inputs, &mut classes, &mut workspace)?;
/// assert!(classes.iter().all(|&class| class < 2));
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn classes<T: Real>(
    plan: &Plan,
    theta: &[T],
    inputs: &[T],
    classes: &mut [u32],
    workspace: &mut [T],
) -> Result<()> {
    predict(plan, theta, inputs, Prediction::Classes(classes), workspace)
}

fn predict<T: Real>(
    plan: &Plan,
    theta: &[T],
    inputs: &[T],
    output: Prediction<'_, T>,
    workspace: &mut [T],
) -> Result<()> {
    let scratch = Memory::first_order(plan, workspace)?.scratch;
    (const { T::FUNCTIONS.predict })(plan, theta, inputs, output, scratch)
}
