//! Predictions of any number of inputs, by chunks of the plan's batch.

use alloc::vec::Vec;

use super::memory::{filled, zeros};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::plan::Plan;
use crate::quantities;
use crate::real::Real;
use crate::workspace::pieces;

/// A trained network with the memory that predictions take.
///
/// ```
/// use flatmin::{Activation, Network, Predictor, Shape};
///
/// let network = Network::new(Shape::new(2, 3, 2)?, Activation::Tanh);
/// let mut theta = vec![0.0f32; network.shape.parameters()];
/// network.initialize(&mut theta, 1)?;
/// let mut predictor = Predictor::new(network, theta)?;
/// assert_eq!(predictor.classes(&[0.5, -1.0, 2.0, 0.25])?.len(), 2);
/// # Ok::<(), flatmin::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Predictor<T> {
    plan: Plan,
    theta: Vec<T>,
    workspace: Vec<T>,
}

impl<T: Real> Predictor<T> {
    /// Samples of a chunk.
    const CHUNK: usize = 256;

    /// For this network with these parameters, such as `load_network` of [`stored`](crate::training) returns.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless there are P parameters, [`Error::OutOfMemory`].
    pub fn new(network: Network, theta: Vec<T>) -> Result<Self> {
        let plan = Plan::new(network, Self::CHUNK)?;
        crate::error::check_length("theta", &theta, plan.shape().parameters())?;
        let workspace = zeros(plan.gradient_workspace_len(), "workspace")?;
        Ok(Self { plan, theta, workspace })
    }

    /// The network.
    pub const fn network(&self) -> Network {
        self.plan.network()
    }

    /// The logits z, N×K: [`logits`](crate::logits).
    ///
    /// # Errors
    ///
    /// Those of [`logits`](crate::logits), but for the number of samples; [`Error::OutOfMemory`].
    pub fn logits(&mut self, inputs: &[T]) -> Result<Vec<T>> {
        logits(&self.plan, &self.theta, inputs, &mut self.workspace)
    }

    /// The class probabilities, N×K: [`probabilities`](crate::probabilities).
    ///
    /// # Errors
    ///
    /// As [`logits`](Self::logits).
    pub fn probabilities(&mut self, inputs: &[T]) -> Result<Vec<T>> {
        probabilities(&self.plan, &self.theta, inputs, &mut self.workspace)
    }

    /// The most probable class of each input: [`classes`](crate::classes).
    ///
    /// # Errors
    ///
    /// As [`logits`](Self::logits).
    pub fn classes(&mut self, inputs: &[T]) -> Result<Vec<u32>> {
        classes(&self.plan, &self.theta, inputs, &mut self.workspace)
    }
}

pub(super) fn logits<T: Real>(plan: &Plan, theta: &[T], inputs: &[T], workspace: &mut [T]) -> Result<Vec<T>> {
    by_chunks(plan, inputs, plan.shape().classes(), T::ZERO, |inputs, output| {
        quantities::logits(plan, theta, inputs, output, workspace)
    })
}

pub(super) fn probabilities<T: Real>(plan: &Plan, theta: &[T], inputs: &[T], workspace: &mut [T]) -> Result<Vec<T>> {
    by_chunks(plan, inputs, plan.shape().classes(), T::ZERO, |inputs, output| {
        quantities::probabilities(plan, theta, inputs, output, workspace)
    })
}

pub(super) fn classes<T: Real>(plan: &Plan, theta: &[T], inputs: &[T], workspace: &mut [T]) -> Result<Vec<u32>> {
    by_chunks(plan, inputs, 1, 0, |inputs, output| quantities::classes(plan, theta, inputs, output, workspace))
}

/// Predicts `width` numbers a sample, chunk by chunk.
fn by_chunks<T: Real, N: Copy>(
    plan: &Plan,
    inputs: &[T],
    width: usize,
    zero: N,
    mut predict: impl FnMut(&[T], &mut [N]) -> Result<()>,
) -> Result<Vec<N>> {
    let d = plan.shape().inputs();
    // A last row that is not whole is refused with its chunk.
    let samples = inputs.len().div_ceil(d).max(1);
    let len = samples.checked_mul(width).ok_or(Error::TooLarge { quantity: "predictions" })?;
    let mut output = filled(len, zero, "predictions")?;
    for rows in pieces(0..samples, plan.samples()) {
        let inputs = &inputs[rows.start * d..inputs.len().min(rows.end * d)];
        predict(inputs, &mut output[rows.start * width..rows.end * width])?;
    }
    Ok(output)
}
