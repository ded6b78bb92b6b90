//! Plans of any sizes: nothing overflows, the choice is the cheaper one that fits, and where a plan is small enough to run, everything
//! runs in the workspace that it promises and gives finite numbers.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
mod input;

use arbitrary::{Result, Unstructured};
use common::arguments::{Arguments, Call};
use common::problem::Way;
use flatmin::Sampling;
use flatmin::{Activation, Error, Form, Network, Plan, Route, Shape};
use input::size;
use libfuzzer_sys::fuzz_target;

/// Workspaces up to this are tried out.
const LARGEST: usize = 1 << 15;

fn run(bytes: &mut Unstructured<'_>) -> Result<()> {
    let (inputs, hidden, classes, samples) = (size(bytes)?, size(bytes)?, size(bytes)?, size(bytes)?);
    let shape = match Shape::new(inputs, hidden, classes) {
        Ok(shape) => shape,
        Err(Error::TooSmall { .. }) => return Ok(assert!(inputs == 0 || hidden == 0 || classes < 2)),
        Err(error) => {
            let wide = [inputs, hidden, classes].map(|size| size as u128);
            let parameters = wide[1].saturating_mul(wide[0] + wide[2] + 1).saturating_add(wide[2]);
            return Ok(assert!(parameters > isize::MAX as u128 / 16, "{error} for {parameters} parameters"));
        }
    };
    let (d, m, k) = (inputs as u128, hidden as u128, classes as u128);
    assert_eq!(shape.parameters() as u128, m * d + m + k * m + k);
    let network = Network::new(shape, *bytes.choose(&Activation::ALL)?);
    let plan = match Plan::new(network, samples) {
        Ok(plan) => plan,
        Err(Error::TooSmall { .. }) => return Ok(assert_eq!(samples, 0)),
        Err(error) => {
            assert!(matches!(error, Error::TooLarge { .. }), "{error}");
            // Refused only where a single copy of the batch's and θ's numbers is already enormous, or a product of two sizes is.
            let least = samples as u128 * (d + m + k) + shape.parameters() as u128;
            let pairs = (samples as u128).pow(2).saturating_add(least.saturating_mul(64 * m.max(k).max(d)));
            return Ok(assert!(pairs > 1 << 50, "refused {inputs}-{hidden}-{classes}, {samples} samples"));
        }
    };
    assert!(plan.gradient_workspace_len() <= plan.workspace_len());
    assert!(plan.gradient_workspace_len() as u128 >= 2 * shape.parameters() as u128);
    assert!(plan.workspace_len() <= isize::MAX as usize / 8);
    assert!(!plan.to_string().is_empty());
    for route in Route::ALL {
        for form in Form::ALL {
            if let Ok(other) = plan.with_form(form).and_then(|plan| plan.with_route(route)) {
                assert!(plan.cost() <= other.cost(), "{plan} chosen over {other}");
                assert!(other.workspace_len() <= isize::MAX as usize / 8);
            }
        }
    }
    let sampling = Sampling { sketch: bytes.arbitrary()?, ..Sampling::default() };
    assert!(sampling.subset_len(&plan) >= samples.min(2) && sampling.subset_len(&plan) <= samples);
    let sampled = sampling.workspace_len(&plan);
    assert!(!matches!(sampled, Ok(len) if len > isize::MAX as usize / 8));

    if plan.workspace_len() > LARGEST || samples * inputs > LARGEST || shape.parameters() > 200 {
        return Ok(());
    }
    let (call, way) = (*bytes.choose(&Call::ALL)?, bytes.choose(&Way::ALL)?);
    let Ok(plan) = plan.with_route(way.route).and_then(|plan| plan.with_form(way.form)) else { return Ok(()) };
    if plan.workspace_len() > 4 * LARGEST {
        return Ok(());
    }
    // A batch may be smaller than the plan's.
    let given = 1 + usize::from(bytes.arbitrary::<u8>()?) % samples;
    let numbers = |len: usize, phase: f64| (0..len).map(|i| (1.7 * i as f64 + phase).sin()).collect::<Vec<f64>>();
    let output = call.output_len(shape);
    let mut arguments = Arguments {
        plan,
        theta: numbers(shape.parameters(), 0.1),
        batch_shape: shape,
        inputs: numbers(given * inputs, 0.5),
        classes: (0..given).map(|i| (i * i % classes) as u32).collect(),
        vector: numbers(shape.parameters(), 0.9),
        output: vec![f64::NAN; output],
        velocity: numbers(shape.parameters(), 2.1),
        workspace: vec![f64::NAN; call.workspace_len(&plan)],
        ..Arguments::new(call, *way)
    };
    arguments.run(call).expect("a plan's promise");
    let steps_or_values = Call::VALUES.contains(&call) || Call::STEPS.contains(&call);
    let written = if steps_or_values { &arguments.theta } else { &arguments.output };
    assert!(written.iter().all(|entry| entry.is_finite()), "{plan} {call:?}");
    Ok(())
}

fuzz_target!(|bytes: &[u8]| {
    let _ = run(&mut Unstructured::new(bytes));
});
