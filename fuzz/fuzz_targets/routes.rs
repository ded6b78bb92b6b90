//! Small networks and batches, in every way that a plan can compute them, against the reference of the tests.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use arbitrary::{Arbitrary, Unstructured};
use common::call::Quantity;
use common::number::Tracked;
use common::problem::{Problem, Way};
use common::reference::{Reference, roundings};
use flatmin::{Activation, Network, Shape};
use libfuzzer_sys::fuzz_target;

/// A problem whose numbers are single bytes: enough to reach every case, and few enough for mutations to mean something.
#[derive(Debug)]
struct Input {
    problem: Problem,
    direction: Vec<f64>,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let [inputs, hidden] = [bytes.int_in_range(1..=5)?, bytes.int_in_range(1..=5)?];
        let [classes, samples] = [bytes.int_in_range(2..=4)?, bytes.int_in_range(1..=6)?];
        let shape = Shape::new(inputs, hidden, classes).expect("small sizes");
        let activation = *bytes.choose(&Activation::ALL)?;
        // Within ±4, in steps of 1/32, zero included.
        let mut numbers = |count: usize| -> arbitrary::Result<Vec<f64>> {
            (0..count).map(|_| Ok(f64::from(bytes.arbitrary::<i8>()?) / 32.0)).collect()
        };
        let (theta, direction) = (numbers(shape.parameters())?, numbers(shape.parameters())?);
        let inputs = numbers(samples * inputs)?;
        let (mut indices, mut targets) = (None, Vec::new());
        if bytes.arbitrary()? {
            let all: Vec<u32> =
                (0..samples).map(|_| bytes.int_in_range(0..=classes as u32 - 1)).collect::<arbitrary::Result<_>>()?;
            targets.extend(all.iter().flat_map(|&class| (0..classes).map(move |k| f64::from(k == class as usize))));
            indices = Some(all);
        } else {
            for _ in 0..samples {
                let weights: Vec<f64> =
                    (0..classes).map(|_| Ok(f64::from(bytes.arbitrary::<u8>()?))).collect::<arbitrary::Result<_>>()?;
                let sum: f64 = weights.iter().sum();
                let share = |weight: f64| if sum > 0.0 { weight / sum } else { 1.0 / classes as f64 };
                targets.extend(weights.iter().map(|&weight| share(weight)));
            }
        }
        let network = Network::new(shape, activation);
        Ok(Self { problem: Problem { network, samples, theta, inputs, targets, indices }, direction })
    }
}

fuzz_target!(|input: Input| {
    let Input { problem, direction } = input;
    let reference = Reference::new(&problem, &direction);
    let relative = roundings(&problem) * f64::EPSILON;
    // Underflow adds absolute errors, of the order of the smallest normal number for each of the terms.
    let close = |what: String, given: f64, expected: Tracked| {
        let (error, allowed) = ((given - expected.value).abs(), relative * expected.scale + f64::MIN_POSITIVE.sqrt());
        assert!(error <= allowed, "{what}: {given:e} given, {:e} expected, {allowed:e} allowed", expected.value);
    };
    let variance_is_known = reference.variance_error::<f64>(roundings(&problem)) < 0.25;
    for way in Way::ALL {
        let instance = problem.instance::<f64>().by(way);
        let (found, expected) = (instance.curvature(), reference.traces());
        close(format!("{way} trace, output"), found.traces.output, expected.output);
        close(format!("{way} trace, hidden"), found.traces.hidden, expected.hidden);
        let shares = [found.traces.output_square, found.traces.cross_square, found.traces.hidden_square];
        for (share, expected) in shares.into_iter().zip(expected.squares_by(way)) {
            close(format!("{way} square"), share, expected);
        }
        for quantity in Quantity::ALL {
            let (value, gradient) = instance.gradient(quantity);
            assert!(gradient.iter().all(|entry| entry.is_finite()), "{way} gradient of {quantity:?}: {gradient:?}");
            if !variance_is_known && matches!(quantity, Quantity::Bound | Quantity::Hsr(_)) {
                continue;
            }
            let slope = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
            close(format!("{way} {quantity:?}"), value, reference.value(quantity));
            close(format!("{way} slope of {quantity:?}"), slope, reference.slope(quantity));
        }
    }
    let hessian = problem.instance::<f64>().hessian();
    for (index, (&given, expected)) in hessian.iter().zip(reference.hessian()).enumerate() {
        close(format!("hessian[{index}]"), given, expected);
    }
});
