//! Arguments of any kind: no panic, nothing changed after an error, nothing but finite numbers after success.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
mod input;

use arbitrary::Unstructured;
use common::arguments::{Arguments, Call};
use common::problem::Way;
use flatmin::{Activation, Error, Network, PairWeights, Plan, Real, Sgd, Shape, WeightDecay};
use input::{in_either_type, len, number, numbers, size};
use libfuzzer_sys::fuzz_target;

/// Workspaces up to this are tried out.
const LARGEST: usize = 1 << 16;

fn plan(bytes: &mut Unstructured<'_>) -> arbitrary::Result<Option<Plan>> {
    let Ok(shape) = Shape::new(size(bytes)?, size(bytes)?, size(bytes)?) else { return Ok(None) };
    let network = Network::new(shape, *bytes.choose(&Activation::ALL)?);
    let Ok(plan) = Plan::new(network, size(bytes)?) else { return Ok(None) };
    let way = bytes.choose(&Way::ALL)?;
    let Ok(plan) = plan.with_route(way.route).and_then(|plan| plan.with_form(way.form)) else { return Ok(None) };
    assert!(plan.gradient_workspace_len() <= plan.workspace_len());
    assert!(plan.flops().penalty > 0 && !plan.to_string().is_empty());
    let weights = if bytes.arbitrary()? { PairWeights::Batch } else { PairWeights::DataSet { samples: size(bytes)? } };
    Ok(Some(plan.with_pair_weights(weights)))
}

/// A prediction: it says of how many samples the output is, so that is often wrong here.
fn predict<T: Real>(bytes: &mut Unstructured<'_>, plan: &Plan) -> arbitrary::Result<()> {
    let shape = plan.shape();
    let samples = len(bytes, plan.samples())?;
    let [theta, inputs, output] =
        [shape.parameters(), samples * shape.inputs(), samples.saturating_mul(shape.classes())];
    if output > LARGEST {
        return Ok(());
    }
    let [theta, inputs, output] = [len(bytes, theta)?, len(bytes, inputs)?, len(bytes, output)?];
    let (theta, inputs): (Vec<T>, Vec<T>) = (numbers(bytes, theta)?, numbers(bytes, inputs)?);
    let mut workspace = vec![T::NAN; len(bytes, plan.gradient_workspace_len())?];
    let (mut numbers, mut classes) = (vec![T::NAN; output], vec![u32::MAX; len(bytes, samples)?]);
    for function in [flatmin::logits, flatmin::probabilities] {
        numbers.fill(T::NAN);
        let done = function(plan, &theta, &inputs, &mut numbers, &mut workspace);
        assert!(numbers.iter().all(|entry| entry.is_finite() == done.is_ok()), "{done:?}: {numbers:?}");
    }
    let done = flatmin::classes(plan, &theta, &inputs, &mut classes, &mut workspace);
    let written = |class: u32| (class as usize) < shape.classes();
    assert!(classes.iter().all(|&class| written(class) == done.is_ok()), "{done:?}: {classes:?}");
    Ok(())
}

fn run<T: Real>(bytes: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let Some(plan) = plan(bytes)? else { return Ok(()) };
    if plan.workspace_len() > LARGEST || plan.samples() * plan.shape().inputs() > LARGEST {
        return Ok(());
    }
    if bytes.arbitrary::<u8>()? < 40 {
        return predict::<T>(bytes, &plan);
    }
    let call = *bytes.choose(&Call::ALL)?;
    let (shape, output) = (plan.shape(), call.output_len(plan.shape()));
    if output > LARGEST {
        return Ok(());
    }
    let samples = len(bytes, plan.samples())?;
    let width = len(bytes, shape.inputs())?;
    let classes = len(bytes, shape.classes())?;
    let Ok(batch_shape) = Shape::new(width, shape.hidden(), classes) else { return Ok(()) };
    let (momentum, no_velocity) = (number(bytes)?, bytes.arbitrary::<u8>()? < 32);
    let velocity = if no_velocity { 0 } else { len(bytes, shape.parameters())? };
    let mut arguments = Arguments::<T> {
        plan,
        theta: {
            let count = len(bytes, shape.parameters())?;
            numbers(bytes, count)?
        },
        batch_shape,
        inputs: {
            let count = len(bytes, samples * width)?;
            numbers(bytes, count)?
        },
        classes: {
            let list: [u8; 8] = bytes.arbitrary()?;
            (0..samples)
                .map(|i| if list[i % 8] > 250 { u32::MAX } else { u32::from(list[i % 8]) % classes as u32 })
                .collect()
        },
        distributions: None,
        vector: {
            let count = len(bytes, shape.parameters())?;
            numbers(bytes, count)?
        },
        output: vec![T::ONE; len(bytes, output)?],
        velocity: numbers(bytes, velocity)?,
        steps: if bytes.arbitrary()? { u64::MAX } else { 0 },
        workspace: vec![T::NAN; len(bytes, call.workspace_len(&plan))?],
        sgd: Sgd {
            learning_rate: number(bytes)?,
            momentum: if momentum == 1.0 { 0.5 } else { momentum },
            nesterov: bytes.arbitrary()?,
            weight_decay: WeightDecay { strength: number(bytes)?, biases: bytes.arbitrary()? },
            clip: if bytes.arbitrary()? { None } else { Some(number(bytes)?) },
        },
        rho: number(bytes)?,
        radius: number(bytes)?,
    };
    if bytes.arbitrary()? {
        arguments.distributions = Some(numbers(bytes, samples * classes)?);
    }
    let before = arguments.bits();
    match arguments.run(call) {
        Ok(()) => {
            let written = match call {
                call if Call::VALUES.contains(&call) => &[][..],
                call if Call::STEPS.contains(&call) => &arguments.theta,
                _ => &arguments.output,
            };
            assert!(written.iter().all(|entry| entry.is_finite()), "{call:?}: {written:?}");
            // A velocity that momentum does not look at is replaced, by one that is finite.
            if Call::STEPS.contains(&call) {
                assert!(arguments.velocity.iter().all(|entry| entry.is_finite()), "{call:?}: {:?}", arguments.velocity);
            }
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let exempt = call == Call::Dense && matches!(error, Error::Overflow { .. });
            assert!(exempt || arguments.bits() == before, "{call:?} wrote something in spite of {error}");
        }
    }
    Ok(())
}

fuzz_target!(|bytes: &[u8]| in_either_type(bytes, run::<f64>, run::<f32>));
