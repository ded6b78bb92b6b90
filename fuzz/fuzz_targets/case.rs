//! The reader of case files: never panics, and accepts only what is consistent.
#![no_main]

#[path = "../../examples/common/case.rs"]
mod case;

use case::{Case, convert};
use flatmin::{Batch, Plan, Targets};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let case = match Case::parse(text) {
        Ok(case) => case,
        Err(message) => {
            assert!(!message.is_empty());
            return;
        }
    };
    let shape = case.network.shape;
    assert_eq!(case.theta.len(), shape.parameters());
    assert_eq!(case.inputs.len() % shape.inputs(), 0);
    assert_eq!(case.inputs.len() / shape.inputs(), case.targets.len() / shape.classes());
    // JSON has no NaN and no infinity.
    assert!(case.theta.iter().chain(&case.inputs).chain(&case.targets).all(|entry| entry.is_finite()));
    let targets = convert::<f32>(&case.targets);
    let inputs = convert::<f32>(&case.inputs);
    if let Ok(batch) = Batch::new(shape, &inputs, Targets::Distributions(&targets)) {
        assert!(Plan::new(case.network, batch.samples()).is_ok());
    }
});
