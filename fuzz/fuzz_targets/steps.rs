//! Training on numbers of any kind: every step either changes parameters and state to finite numbers or returns a reason and changes
//! nothing; a step of plain SGD is `θ − η(μv + ∇L + νθ)`, or Nesterov's; a training that was stored and resumed goes on to the last bit.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
mod input;

use std::fmt::Debug;
use std::num::{NonZeroU64, NonZeroUsize};

use arbitrary::{Result, Unstructured};
use common::call::nan;
use common::problem::Way;
use flatmin::{
    Activation, Adam, Averages, Base, Batch, Direction, Hsr, Network, Optimizer, Plan, Real, Sam, Sampling, Sgd, Shape,
    State, Targets, WeightDecay, loss_gradient,
};
use input::{in_either_type, instruction_set, number, numbers, same};
use libfuzzer_sys::fuzz_target;

/// All that a training is.
#[derive(Clone)]
struct Training<T> {
    theta: Vec<T>,
    moments: Vec<T>,
    steps: u64,
    averages: Averages,
}

impl<T: Real> Training<T> {
    /// One step, on a workspace that holds `filling`.
    fn step(
        &mut self,
        optimizer: &dyn Optimizer<T>,
        plan: &Plan,
        batch: &Batch<'_, T>,
        filling: T,
    ) -> flatmin::Result<()> {
        let mut state = State { moments: &mut self.moments, steps: self.steps, averages: self.averages };
        let workspace = &mut vec![filling; optimizer.workspace_len(plan)?];
        let done = optimizer.step(plan, &mut self.theta, batch, &mut state, workspace);
        (self.steps, self.averages) = (state.steps, state.averages);
        done.map(|step| assert!(step.loss.is_finite() && step.loss >= 0.0, "{step:?}"))
    }

    fn same(&self, other: &Self) -> bool {
        let bits = |Averages { trace, trace_of_square, limit, whole, limited, count }: Averages| {
            ([trace, trace_of_square, limit, whole, limited].map(f64::to_bits), count)
        };
        same(&self.theta, &other.theta)
            && same(&self.moments, &other.moments)
            && self.steps == other.steps
            && bits(self.averages) == bits(other.averages)
    }
}

/// A hyperparameter: mostly within its range.
fn hyperparameter(bytes: &mut Unstructured<'_>) -> Result<f64> {
    Ok(if bytes.arbitrary::<u8>()? < 200 { f64::from(bytes.arbitrary::<u8>()?) / 256.0 } else { number(bytes)? })
}

/// Averages of any kind: those of a training that was stored, or nonsense.
fn averages(bytes: &mut Unstructured<'_>) -> Result<Averages> {
    Ok(Averages {
        trace: number(bytes)?,
        trace_of_square: number(bytes)?,
        limit: number(bytes)?,
        whole: number(bytes)?,
        limited: number(bytes)?,
        count: bytes.arbitrary()?,
    })
}

/// An optimizer of any kind by the update of `base`, and its name.
fn method<T: Real, B: Optimizer<T> + Base + Copy + Debug + 'static>(
    bytes: &mut Unstructured<'_>,
    base: B,
) -> Result<(String, Box<dyn Optimizer<T>>)> {
    Ok(match bytes.arbitrary::<u8>()? % 4 {
        0 => (format!("{base:?}"), Box::new(base)),
        1 => {
            let sam = Sam::new(base, hyperparameter(bytes)?);
            (format!("{sam:?}"), Box::new(sam))
        }
        kind => {
            let sampling = Sampling {
                subset: NonZeroUsize::new(bytes.int_in_range(0..=5)?),
                sketch: bytes.arbitrary()?,
                beta: 0.5,
                own_share: hyperparameter(bytes)?,
                limited_share: if bytes.arbitrary()? { 0.2 } else { hyperparameter(bytes)? },
                ..Sampling::new(bytes.arbitrary()?)
            };
            let rho = hyperparameter(bytes)?;
            let hsr = if kind == 2 { Hsr::new(base, rho) } else { Hsr::sampled(base, rho, sampling) };
            let direction = if bytes.arbitrary()? { Direction::Unit } else { Direction::Gradient };
            let every = NonZeroU64::new(bytes.arbitrary::<u8>()?.into()).unwrap_or(NonZeroU64::MIN);
            let hsr = Hsr { direction, every, ..hsr };
            (format!("{hsr:?}"), Box::new(hsr))
        }
    })
}

fn run<T: Real + 'static>(bytes: &mut Unstructured<'_>) -> Result<()> {
    let set = instruction_set(bytes)?;
    let (inputs, hidden) = (bytes.int_in_range(1..=4)?, bytes.int_in_range(1..=5)?);
    let (classes, samples) = (bytes.int_in_range(2..=4)?, bytes.int_in_range(1..=6usize)?);
    let shape = Shape::new(inputs, hidden, classes).expect("small sizes");
    let network = Network::new(shape, *bytes.choose(&Activation::ALL)?);
    let plan = Plan::new(network, samples).and_then(|plan| plan.with_instruction_set(set)).expect("small sizes");
    let plan = bytes.choose(&Way::ALL)?.of(plan);
    let learning_rate = hyperparameter(bytes)?;
    let weight_decay = WeightDecay {
        strength: if bytes.arbitrary()? { 0.0 } else { hyperparameter(bytes)? },
        biases: bytes.arbitrary()?,
    };
    let clip = if bytes.arbitrary()? { None } else { Some(hyperparameter(bytes)?) };
    let sgd = Sgd {
        learning_rate,
        momentum: if bytes.arbitrary()? { 0.0 } else { hyperparameter(bytes)? },
        nesterov: bytes.arbitrary()?,
        weight_decay,
        clip,
    };
    // Of plain SGD the new point is known.
    let plain = bytes.arbitrary::<u8>()? % 4 == 0;
    let (name, optimizer) = if plain {
        (format!("{sgd:?}"), Box::new(sgd) as Box<dyn Optimizer<T>>)
    } else if bytes.arbitrary()? {
        method(bytes, sgd)?
    } else {
        let adam = Adam {
            learning_rate,
            beta1: hyperparameter(bytes)?,
            beta2: hyperparameter(bytes)?,
            epsilon: hyperparameter(bytes)?,
            weight_decay,
            decoupled: bytes.arbitrary()?,
            clip,
        };
        method(bytes, adam)?
    };
    let targets: Vec<u32> = (0..samples).map(|_| bytes.int_in_range(0..=classes as u32 - 1)).collect::<Result<_>>()?;
    let mut training = Training::<T> {
        theta: numbers(bytes, shape.parameters())?,
        moments: if bytes.arbitrary()? {
            vec![T::ZERO; optimizer.moments_len(shape)]
        } else {
            numbers(bytes, optimizer.moments_len(shape))?
        },
        steps: if bytes.arbitrary()? { 0 } else { bytes.arbitrary()? },
        averages: if bytes.arbitrary()? { Averages::default() } else { averages(bytes)? },
    };
    let inputs: Vec<T> = numbers(bytes, samples * inputs)?;
    let Ok(batch) = Batch::new(shape, &inputs, Targets::Classes(&targets)) else {
        return Ok(assert!(inputs.iter().any(|input| !input.is_finite())));
    };
    for _ in 0..4 {
        let before = training.clone();
        let done = training.step(&*optimizer, &plan, &batch, T::NAN);
        // From a stored state, on another workspace: the same.
        let mut resumed = before.clone();
        let again = resumed.step(&*optimizer, &plan, &batch, T::from_f64(-3.25));
        assert!(format!("{done:?}") == format!("{again:?}") && training.same(&resumed), "{name} went another way");
        if let Err(error) = done {
            assert!(training.same(&before), "{name} wrote something in spite of {error}");
            return Ok(());
        }
        assert!(training.theta.iter().chain(&training.moments).all(|entry| entry.is_finite()), "{name}");
        assert_eq!(training.steps, before.steps.wrapping_add(1));
        if plain && clip.is_none() {
            let mut gradient = nan::<T>(shape.parameters());
            let mut workspace = nan(plan.gradient_workspace_len());
            loss_gradient(&plan, &before.theta, &batch, &mut gradient, &mut workspace).expect("as in the step");
            for (i, &slope) in gradient.iter().enumerate() {
                let (theta, slope) = (before.theta[i].to_f64(), slope.to_f64());
                let old = if sgd.momentum == 0.0 { 0.0 } else { before.moments[i].to_f64() };
                let is_bias = shape.hidden_bias().contains(&i) || shape.output_bias().contains(&i);
                let decay = if is_bias && !weight_decay.biases { 0.0 } else { weight_decay.strength };
                let [ahead, back] = if sgd.nesterov { [1.0 + sgd.momentum, sgd.momentum] } else { [1.0; 2] };
                let terms = [ahead * slope, ahead * (decay * theta), back * sgd.momentum * old];
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
