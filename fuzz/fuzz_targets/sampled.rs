//! The sampled estimator: with all samples and without sketch it is exact; a draw is a function of seed and counter; arguments of any
//! kind bring no panic, after an error nothing has changed, after success all is finite.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
mod input;
#[path = "input/problem.rs"]
mod problem;

use std::num::NonZeroUsize;

use arbitrary::{Arbitrary, Result, Unstructured};
use common::call::{Quantity, nan};
use common::number::Tracked;
use common::reference::{Reference, roundings};
use flatmin::{Mixture, Sampling, sampled_gradient};
use flatmin::{PairWeights, Real};
use input::{instruction_set, len, number, numbers, same};
use libfuzzer_sys::fuzz_target;
use problem::Input;

const SQUARE: Mixture = Mixture { loss: 0.0, trace: 0.0, trace_of_square: 1.0 };

/// Small numbers, all samples, no sketch: the traces and the slopes of their gradients.
fn exact(bytes: &mut Unstructured<'_>) -> Result<()> {
    let Input { problem, direction } = Input::arbitrary(bytes)?;
    if problem.samples < 2 {
        return Ok(());
    }
    let sampling =
        Sampling { subset: NonZeroUsize::new(problem.samples), sketch: false, ..Sampling::new(bytes.arbitrary()?) };
    let instance = problem.instance::<f64>();
    let (plan, theta, batch) = (&instance.plan, &instance.theta, &instance.batch());
    let mut workspace = nan(sampling.workspace_len(plan).expect("good parameters"));
    let reference = Reference::new(&problem, &direction);
    let close = |what: &str, given: f64, expected: Tracked| {
        let allowed = 4.0 * roundings(&problem) * f64::EPSILON * expected.scale + f64::MIN_POSITIVE.sqrt();
        assert!((given - expected.value).abs() <= allowed, "{what}: {given:e} given, {:e} expected", expected.value);
    };
    for (mixture, quantity) in
        [(Mixture { trace: 1.0, ..Mixture::default() }, Quantity::Trace), (SQUARE, Quantity::TraceOfSquare)]
    {
        let mut gradient = nan(direction.len());
        let draw = bytes.arbitrary()?;
        let (_, estimate) =
            sampled_gradient(plan, theta, batch, &sampling, draw, mixture, &mut gradient, &mut workspace)
                .expect("small numbers");
        let value = mixture.trace * estimate.trace + mixture.trace_of_square * estimate.trace_of_square;
        close("value", value, reference.value(quantity));
        let slope = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
        close("slope", slope, reference.slope(quantity));
    }
    Ok(())
}

fn hostile<T: Real>(bytes: &mut Unstructured<'_>) -> Result<()> {
    let set = instruction_set(bytes)?;
    let Input { problem, .. } = Input::arbitrary(bytes)?;
    let mut instance = problem.instance::<T>().with_set(set);
    if bytes.arbitrary()? {
        instance.plan =
            instance.plan.with_pair_weights(PairWeights::DataSet { samples: bytes.arbitrary::<u8>()?.into() });
    }
    if bytes.arbitrary()? {
        instance.theta = numbers(bytes, instance.theta.len())?;
    }
    let sampling = Sampling {
        subset: NonZeroUsize::new(usize::from(bytes.arbitrary::<u8>()? % 9)),
        sketch: bytes.arbitrary()?,
        alpha: if bytes.arbitrary()? { 0.1 } else { number(bytes)? },
        beta: if bytes.arbitrary()? { 0.9 } else { number(bytes)? },
        own_share: if bytes.arbitrary()? { 1.0 } else { number(bytes)? },
        limited_share: if bytes.arbitrary()? { 0.2 } else { number(bytes)? },
        seed: bytes.arbitrary()?,
    };
    let Ok(needed) = sampling.workspace_len(&instance.plan) else {
        assert!(sampling.check().is_err());
        return Ok(());
    };
    let space = len(bytes, needed)?;
    let draw = bytes.arbitrary()?;
    let mixture = Mixture { loss: number(bytes)?, trace: number(bytes)?, trace_of_square: number(bytes)? };
    let run = |filling: T| {
        let mut gradient = vec![T::ONE; instance.theta.len()];
        let (plan, theta, batch) = (&instance.plan, &instance.theta, &instance.batch());
        let done =
            sampled_gradient(plan, theta, batch, &sampling, draw, mixture, &mut gradient, &mut vec![filling; space]);
        (done, gradient)
    };
    let (done, gradient) = run(T::NAN);
    let (again, repeated) = run(T::MAX);
    assert!(same(&gradient, &repeated) && format!("{done:?}") == format!("{again:?}"), "{done:?} and {again:?}");
    match done {
        Err(error) => assert!(gradient.iter().all(|&entry| entry == T::ONE), "wrote in spite of {error}"),
        Ok((loss, estimate)) => {
            assert!(gradient.iter().all(|entry| entry.is_finite()) && loss.is_finite(), "{loss} {gradient:?}");
            assert!(estimate.trace.is_finite() && estimate.trace_of_square.is_finite(), "{estimate:?}");
            assert!(estimate.kept >= 1 && estimate.kept <= problem.samples, "{estimate:?}");
        }
    }
    Ok(())
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Unstructured::new(bytes);
    let _ = match bytes.int_in_range(0..=2) {
        Ok(0) => exact(&mut bytes),
        Ok(1) => hostile::<f32>(&mut bytes),
        _ => hostile::<f64>(&mut bytes),
    };
});
