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

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::activation::Activation;
    use crate::batch::Batch;
    use crate::network::{Network, Shape};
    use crate::simd::InstructionSet;
    use crate::targets::Targets;

    /// What the loss and the gradients work with, and what is predicted, are the same bits.
    fn agree<T: Element>([inputs, hidden, classes]: [usize; 3], samples: usize, activation: Activation) {
        let shape = Shape::new(inputs, hidden, classes).expect("a shape");
        let numbers = |len: usize, phase: f64| -> Vec<T> {
            (0..len).map(|i| T::from_f64(1.5 * (1.7 * i as f64 + phase).sin())).collect()
        };
        let (theta, inputs) = (numbers(shape.parameters(), 0.3), numbers(samples * inputs, 0.9));
        let targets: Vec<u32> = (0..samples).map(|n| (n % classes) as u32).collect();
        let batch = Batch::new(shape, &inputs, Targets::Classes(&targets)).expect("a batch");
        for set in InstructionSet::all_supported() {
            let plan = Plan::new(Network::new(shape, activation), samples).expect("a plan");
            let plan = plan.with_instruction_set(set).expect("a supported set");
            let what = std::format!("{set}, {samples} samples of {shape:?}, {activation}");
            let scratch = || vec![T::NAN; plan.workspace_len()];
            let mut z = vec![T::NAN; samples * classes];
            let (mut p, mut top) = (z.clone(), vec![u32::MAX; samples]);
            for output in [Prediction::Logits(&mut z), Prediction::Probabilities(&mut p), Prediction::Classes(&mut top)]
            {
                predict(&plan, &theta, &inputs, output, &mut scratch()).expect("a prediction");
            }
            elementwise::softmax_rows(set, classes, &mut z, &mut vec![T::NAN; samples]);
            assert!(z == p, "{what}");
            for derivatives in [Derivatives::Value, Derivatives::First, Derivatives::Third] {
                let (mut scratch, worker) = (scratch(), plan.lengths.gradient_worker);
                workers::awake(1, 0, |threads| {
                    let mut run = Run::new(&plan, &theta, &batch, &mut scratch, worker, threads).expect("a run");
                    let forward = run.forward(&plan, &batch, derivatives).expect("a finite loss");
                    assert!(forward.p == p, "{what}, {derivatives:?}");
                });
            }
            assert!(p.chunks(classes).map(first_largest).eq(top.iter().map(|&class| class as usize)), "{what}");
        }
    }

    #[test]
    fn predictions_have_the_bits_of_the_loss() {
        for classes in [2, 3, 10, 70] {
            for samples in [1, 2, 3, 8, 15, 16, 17, 33, 64, 100, 257, 530] {
                agree::<f32>([5, 7, classes], samples, Activation::Tanh);
                agree::<f64>([5, 7, classes], samples, Activation::Gelu);
            }
            for samples in [1, 5, 70] {
                agree::<f32>([70, 40, classes], samples, Activation::Silu);
                agree::<f64>([70, 40, classes], samples, Activation::Softplus);
            }
        }
    }
}
