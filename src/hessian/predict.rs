//! Predictions: what the network says of inputs, without targets.
//!
//! The [forward pass](super::forward) up to the logits z, with the activation alone and none of its derivatives; then softmax of the rows, and
//! the most probable class of each. Logits and probabilities have the bits that the loss of a batch of these inputs works with.

use crate::batch::{check_finite_inputs, samples_of};
use crate::error::{Error, Result, check_length};
use crate::hessian::forward::{self, Derivatives, PassRows};
use crate::hessian::run::Run;
use crate::kernels::elementwise;
use crate::kernels::vector::{first_largest, first_not_finite};
use crate::plan::Plan;
use crate::simd::Element;
use crate::workers;

/// What to predict, and where to write it.
#[derive(Debug)]
pub(crate) enum Prediction<'a, T> {
    /// z, N×K.
    Logits(&'a mut [T]),
    /// p, N×K.
    Probabilities(&'a mut [T]),
    /// The first most probable class, N.
    Classes(&'a mut [u32]),
}

impl<T> Prediction<'_, T> {
    /// Checks the length of the output.
    fn check(&self, samples: usize, classes: usize) -> Result<()> {
        match self {
            Self::Logits(output) => check_length("logits", output, samples.saturating_mul(classes)),
            Self::Probabilities(output) => check_length("probabilities", output, samples.saturating_mul(classes)),
            Self::Classes(output) => check_length("classes", output, samples),
        }
    }
}

/// Writes a prediction, once all of it is known to be finite.
pub(crate) fn predict<T: Element>(
    plan: &Plan,
    theta: &[T],
    inputs: &[T],
    output: Prediction<'_, T>,
    scratch: &mut [T],
) -> Result<()> {
    let (shape, isa) = (plan.shape(), plan.instruction_set());
    let (samples, classes) = (samples_of(shape, inputs)?, shape.classes());
    output.check(samples, classes)?;
    workers::awake(plan.threads(), forward::flops(shape, samples), |threads| {
        if samples > plan.samples() {
            return Err(Error::Samples { given: samples, planned: plan.samples() });
        }
        let mut run = Run::of_theta(plan, theta, scratch, plan.lengths.gradient_worker, threads)?;
        check_finite_inputs(isa, inputs)?;
        let mut rows = PassRows::cut(shape, inputs, Derivatives::Value, &mut run.arena);
        rows.reborrow().run(plan.network(), run.theta, Derivatives::Value, run.context.reborrow());
        let z = rows.z;
        if !matches!(output, Prediction::Logits(_)) {
            elementwise::softmax_rows(isa, classes, z, run.arena.take(samples));
        }
        // Probabilities are finite unless the logits overflow.
        if first_not_finite(isa, z).is_some() {
            return Err(Error::Overflow { quantity: "logits" });
        }
        match output {
            Prediction::Logits(output) | Prediction::Probabilities(output) => output.copy_from_slice(z),
            Prediction::Classes(output) => {
                for (class, p) in output.iter_mut().zip(z.chunks_exact(classes)) {
                    *class = first_largest(p) as u32;
                }
            }
        }
        Ok(())
    })
}
