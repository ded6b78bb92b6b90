//! Training on numbers of any kind: every step either changes parameters and state to finite numbers or returns a reason and changes
//! nothing; a step along the loss is `θ − η(μv + ∇L + ωθ)`; a training that was stored and resumed goes on to the last bit.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
mod input;

use std::num::NonZeroU64;

use arbitrary::{Result, Unstructured};
use common::call::nan;
use common::problem::Way;
use flatmin::Sampling;
use flatmin::{Activation, Averages, Batch, Direction, Hsr, Network, Plan, Real, Sam, Sgd, Shape, State, Targets, loss_gradient, Optimizer};
use input::{in_either_type, instruction_set, number, numbers, same};
use libfuzzer_sys::fuzz_target;

/// All that a training is.
#[derive(Clone)]
struct Training<T> {
    theta: Vec<T>,
    velocity: Vec<T>,
    steps: u64,
    averages: Averages,
}

#[derive(Clone, Copy, Debug)]
enum Method {
    Sgd(Sgd),
    Sam(Sam),
    Hsr(Hsr),
}

impl<T: Real> Training<T> {
    /// One step, on a workspace that holds `filling`.
    fn step(&mut self, method: Method, plan: &Plan, batch: &Batch<'_, T>, filling: T) -> flatmin::Result<()> {
        let mut state = State { velocity: &mut self.velocity, steps: self.steps, averages: self.averages };
        let theta = &mut self.theta[..];
        let done = match method {
            Method::Sgd(sgd) => {
                sgd.step(plan, theta, batch, &mut state, &mut vec![filling; plan.gradient_workspace_len()])
            }
            Method::Sam(sam) => {
                sam.step(plan, theta, batch, &mut state, &mut vec![filling; plan.gradient_workspace_len()])
            }
            Method::Hsr(hsr) => {
                let len = hsr.workspace_len(plan)?;
                hsr.step(plan, theta, batch, &mut state, &mut vec![filling; len])
            }
        };
        (self.steps, self.averages) = (state.steps, state.averages);
        done.map(|step| assert!(step.loss.is_finite() && step.loss >= 0.0, "{step:?}"))
    }

    fn same(&self, other: &Self) -> bool {
        let bits = |averages: Averages| [averages.trace.to_bits(), averages.trace_of_square.to_bits(), averages.count];
        same(&self.theta, &other.theta)
            && same(&self.velocity, &other.velocity)
            && self.steps == other.steps
            && bits(self.averages) == bits(other.averages)
    }
}

/// A hyperparameter: mostly within its range.
fn hyperparameter(bytes: &mut Unstructured<'_>) -> Result<f64> {
    Ok(if bytes.arbitrary::<u8>()? < 200 { f64::from(bytes.arbitrary::<u8>()?) / 256.0 } else { number(bytes)? })
}

fn run<T: Real>(bytes: &mut Unstructured<'_>) -> Result<()> {
    let set = instruction_set(bytes)?;
    let (inputs, hidden) = (bytes.int_in_range(1..=4)?, bytes.int_in_range(1..=5)?);
    let (classes, samples) = (bytes.int_in_range(2..=4)?, bytes.int_in_range(1..=6usize)?);
    let shape = Shape::new(inputs, hidden, classes).expect("small sizes");
    let network = Network::new(shape, *bytes.choose(&Activation::ALL)?);
    let plan = Plan::new(network, samples).and_then(|plan| plan.with_instruction_set(set)).expect("small sizes");
    let plan = bytes.choose(&Way::ALL)?.of(plan);
    let sgd = Sgd {
        learning_rate: hyperparameter(bytes)?,
        momentum: if bytes.arbitrary()? { 0.0 } else { hyperparameter(bytes)? },
        weight_decay: if bytes.arbitrary()? { 0.0 } else { hyperparameter(bytes)? },
    };
    let method = match bytes.arbitrary::<u8>()? % 4 {
        0 => Method::Sgd(sgd),
        1 => Method::Sam(Sam::new(sgd, hyperparameter(bytes)?)),
        kind => {
            let sampling = Sampling { beta: 0.5, sketch: bytes.arbitrary()?, ..Sampling::new(bytes.arbitrary()?) };
            let rho = hyperparameter(bytes)?;
            let hsr = if kind == 2 { Hsr::new(sgd, rho) } else { Hsr::sampled(sgd, rho, sampling) };
            let direction = if bytes.arbitrary()? { Direction::Unit } else { Direction::Gradient };
            let every = NonZeroU64::new(bytes.arbitrary::<u8>()?.into()).unwrap_or(NonZeroU64::MIN);
            Method::Hsr(Hsr { direction, every, ..hsr })
        }
    };
    let targets: Vec<u32> = (0..samples).map(|_| bytes.int_in_range(0..=classes as u32 - 1)).collect::<Result<_>>()?;
    let mut training = Training::<T> {
        theta: numbers(bytes, shape.parameters())?,
        velocity: if bytes.arbitrary()? {
            vec![T::ZERO; shape.parameters()]
        } else {
            numbers(bytes, shape.parameters())?
        },
        steps: if bytes.arbitrary()? { 0 } else { bytes.arbitrary()? },
        averages: Averages::default(),
    };
    let inputs: Vec<T> = numbers(bytes, samples * inputs)?;
    let Ok(batch) = Batch::new(shape, &inputs, Targets::Classes(&targets)) else {
        return Ok(assert!(inputs.iter().any(|input| !input.is_finite())));
    };
    for _ in 0..4 {
        let before = training.clone();
        let done = training.step(method, &plan, &batch, T::NAN);
        // From a stored state, on another workspace: the same.
        let mut resumed = before.clone();
        let again = resumed.step(method, &plan, &batch, T::from_f64(-3.25));
        assert!(format!("{done:?}") == format!("{again:?}") && training.same(&resumed), "{method:?} went another way");
        if let Err(error) = done {
            assert!(training.same(&before), "{method:?} wrote something in spite of {error}");
            return Ok(());
        }
        assert!(training.theta.iter().chain(&training.velocity).all(|entry| entry.is_finite()), "{method:?}");
        assert_eq!(training.steps, before.steps.wrapping_add(1));
        if let Method::Sgd(sgd) = method {
            let mut gradient = nan::<T>(shape.parameters());
            let mut workspace = nan(plan.gradient_workspace_len());
            loss_gradient(&plan, &before.theta, &batch, &mut gradient, &mut workspace).expect("as in the step");
            for (i, &slope) in gradient.iter().enumerate() {
                let (theta, slope) = (before.theta[i].to_f64(), slope.to_f64());
                let old = if sgd.momentum == 0.0 { 0.0 } else { before.velocity[i].to_f64() };
                let terms = [slope, sgd.weight_decay * theta, sgd.momentum * old];
                let (sum, magnitude) = (terms.iter().sum::<f64>(), terms.iter().map(|term| term.abs()).sum::<f64>());
                let (want, scale) = (theta - sgd.learning_rate * sum, theta.abs() + sgd.learning_rate * magnitude);
                // Underflow: of a hyperparameter, times a number, or of a product.
                let tiny = 4.0 * T::MIN_POSITIVE.to_f64();
                let tiny = tiny * (1.0 + sgd.learning_rate) * (1.0 + theta.abs() + old.abs() + magnitude);
                let error = (training.theta[i].to_f64() - want).abs();
                assert!(error <= 8.0 * T::EPSILON.to_f64() * scale + tiny, "{sgd:?}: {error:e} at {want:e}");
            }
        }
    }
    Ok(())
}

fuzz_target!(|bytes: &[u8]| in_either_type(bytes, run::<f64>, run::<f32>));
