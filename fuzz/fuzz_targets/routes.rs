//! Small networks and batches, in every way that a plan can compute them, against the reference of the tests.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "input/problem.rs"]
mod problem;

use common::call::Quantity;
use common::number::Tracked;
use common::problem::Way;
use common::reference::{Reference, hessian, roundings};
use libfuzzer_sys::fuzz_target;
use problem::Input;

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
    let given = problem.instance::<f64>().hessian();
    for (index, (&given, expected)) in given.iter().zip(hessian(&problem)).enumerate() {
        close(format!("hessian[{index}]"), given, expected);
    }
});
