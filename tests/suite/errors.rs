//! Every bad input is refused with an error that names it, before anything has been written.

use std::num::NonZeroU64;

use crate::common::arguments::{
    Arguments, Call,
    Call::{
        BoundGradient, DataSetCurvature, DataSetEstimate, DataSetProduct, Dense, HsrGradient, HsrStep, HsrUnitStep,
        Loss, Product, SamStep,
    },
};
use crate::common::problem::Way;
use flatmin::{Batch, Error, Hsr, Number, Optimizer, PairWeights, Plan, Real, Sgd, Shape, State, Targets};

/// Spoils the arguments of these calls, in every way and in both types; each has to refuse them, in these words, and write nothing.
macro_rules! refused {
    ($calls:expr, $spoil:expr, $error:pat $(if $guard:expr)?, $words:expr) => {{
        refused!(@type f64, $calls, $spoil, $error $(if $guard)?, $words);
        refused!(@type f32, $calls, $spoil, $error $(if $guard)?, $words);
    }};
    (@type $real:ty, $calls:expr, $spoil:expr, $error:pat $(if $guard:expr)?, $words:expr) => {
        for call in $calls {
            for way in Way::ALL {
                let what = format!("{call:?} by {way} in {}", stringify!($real));
                let mut arguments = Arguments::<$real>::new(call, way);
                #[allow(clippy::redundant_closure_call, reason = "the closure's type follows from the call")]
                ($spoil)(&mut arguments);
                let before = arguments.bits();
                let error = arguments.run(call).expect_err(&what);
                assert!(matches!(error, $error $(if $guard)?), "{what}: {error:?}");
                for word in $words {
                    assert!(error.to_string().contains(word), "{what}: {word:?} is not in {error}");
                }
                assert!(arguments.bits() == before, "{what}: wrote something in spite of {error}");
            }
        }
    };
}

#[test]
fn good_arguments_are_accepted() {
    for call in Call::ALL {
        for way in Way::ALL {
            let mut arguments = Arguments::<f64>::new(call, way);
            let before = arguments.bits();
            arguments.run(call).expect("good arguments");
            if !Call::VALUES.contains(&call) {
                assert_ne!(arguments.bits(), before, "{call:?}");
            }
        }
    }
}

#[test]
fn a_workspace_one_element_short() {
    refused!(
        Call::ALL,
        |arguments: &mut Arguments<_>| arguments.workspace.truncate(arguments.workspace.len() - 1),
        Error::Workspace { given, needed } if given + 1 == needed,
        ["workspace"]
    );
    refused!(
        Call::ALL,
        |arguments: &mut Arguments<_>| arguments.workspace.clear(),
        Error::Workspace { given: 0, .. },
        ["workspace", "length 0"]
    );
}

/// Exactly as long as promised, or longer, holding NaN or anything else: the same result to the last bit.
#[test]
fn the_contents_of_a_workspace_do_not_matter() {
    fn check<T: Real>() {
        for call in Call::ALL {
            for way in Way::ALL {
                let run = |filling: T, more: usize| {
                    let mut arguments = Arguments::<T>::new(call, way);
                    arguments.workspace = vec![filling; arguments.workspace.len() + more];
                    arguments.run(call).expect("good arguments");
                    arguments.bits()
                };
                let exact = run(T::NAN, 0);
                assert_eq!(exact, run(T::ZERO, 0), "{call:?} by {way}");
                assert_eq!(exact, run(T::INFINITY, 17), "{call:?} by {way}");
                // All bytes 0xFF: the NaN that freshly poisoned memory reads as.
                assert_eq!(
                    exact,
                    run(bytemuck::pod_read_unaligned(&[0xFF; 8][..size_of::<T>()]), 1),
                    "{call:?} by {way}"
                );
            }
        }
    }
    check::<f64>();
    check::<f32>();
}

/// The shorter workspaces are really shorter, so that the functions that promise them are tested on them.
#[test]
fn gradients_need_less_workspace() {
    for way in Way::ALL {
        let plan = Arguments::<f64>::new(Loss, way).plan;
        assert!(plan.gradient_workspace_len() < plan.workspace_len());
    }
}

#[test]
fn theta_of_another_length() {
    refused!(
        Call::ALL,
        |arguments: &mut Arguments<_>| arguments.theta.truncate(16),
        Error::Length { argument: "theta", given: 16, expected: 17 },
        ["theta", "16", "17"]
    );
    refused!(
        Call::ALL,
        |arguments: &mut Arguments<_>| arguments.theta.extend_from_within(..1),
        Error::Length { argument: "theta", given: 18, expected: 17 },
        ["theta", "18", "17"]
    );
}

#[test]
fn theta_with_a_number_that_is_not_finite() {
    for index in [0, 7, 16] {
        let word = index.to_string();
        refused!(
            Call::ALL,
            |arguments: &mut Arguments<_>| arguments.theta[index] = Number::NAN,
            Error::NotFinite { argument: "theta", index: given } if given == index,
            ["theta", &word]
        );
        refused!(
            Call::ALL,
            |arguments: &mut Arguments<_>| arguments.theta[index] = Number::INFINITY,
            Error::NotFinite { argument: "theta", index: given } if given == index,
            ["theta", &word]
        );
    }
}

#[test]
fn outputs_of_another_length() {
    for len in [0, 16, 18] {
        let word = len.to_string();
        refused!(
            Call::GRADIENTS,
            |arguments: &mut Arguments<_>| arguments.output.resize(len, Number::ONE),
            Error::Length { argument: "gradient", given, expected: 17 } if given == len,
            ["gradient", &word]
        );
        refused!(
            [Product, DataSetProduct],
            |arguments: &mut Arguments<_>| arguments.output.resize(len, Number::ONE),
            Error::Length { argument: "product", given, expected: 17 } if given == len,
            ["product", &word]
        );
    }
    for len in [0, 17, 288, 290] {
        refused!(
            [Dense],
            |arguments: &mut Arguments<_>| arguments.output.resize(len, Number::ONE),
            Error::Length { argument: "hessian", given, expected: 289 } if given == len,
            ["hessian", "289"]
        );
    }
}

#[test]
fn vectors_of_another_length_or_not_finite() {
    refused!(
        [Product, DataSetProduct],
        |arguments: &mut Arguments<_>| arguments.vector.truncate(3),
        Error::Length { argument: "vector", given: 3, expected: 17 },
        ["vector", "3"]
    );
    refused!(
        [Product, DataSetProduct],
        |arguments: &mut Arguments<_>| arguments.vector[5] = Number::NAN,
        Error::NotFinite { argument: "vector", index: 5 },
        ["vector", "5"]
    );
}

#[test]
fn a_batch_of_another_shape() {
    let wide = Shape::new(4, 3, 2).expect("a shape");
    refused!(
        Call::ALL,
        |arguments: &mut Arguments<_>| {
            arguments.batch_shape = wide;
            arguments.classes.truncate(2);
        },
        Error::Shape { planned: [2, 3, 2], given: [4, 2] },
        ["batch", "4 inputs", "2 classes", "2 inputs"]
    );
    let many = Shape::new(2, 3, 5).expect("a shape");
    refused!(
        Call::ALL,
        |arguments: &mut Arguments<_>| arguments.batch_shape = many,
        Error::Shape { planned: [2, 3, 2], given: [2, 5] },
        ["batch", "5 classes"]
    );
}

#[test]
fn more_samples_than_planned() {
    refused!(
        Call::ALL.into_iter().filter(|call| !Call::DATA_SETS.contains(call)),
        |arguments: &mut Arguments<_>| {
            arguments.inputs.extend_from_within(..2);
            arguments.classes.push(1);
        },
        Error::Samples { given: 5, planned: 4 },
        ["5 samples", "4"]
    );
}

#[test]
fn hyperparameters_out_of_range() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e-300, -1.0] {
        let same = move |given: f64| given.to_bits() == bad.to_bits();
        refused!(
            Call::STEPS,
            |arguments: &mut Arguments<_>| arguments.sgd.learning_rate = bad,
            Error::Hyperparameter { argument: "learning rate", given, .. } if same(given),
            ["learning rate", "not negative"]
        );
        refused!(
            Call::STEPS,
            |arguments: &mut Arguments<_>| arguments.sgd.weight_decay.strength = bad,
            Error::Hyperparameter { argument: "weight decay", given, .. } if same(given),
            ["weight decay", "not negative"]
        );
        refused!(
            [SamStep],
            |arguments: &mut Arguments<_>| arguments.radius = bad,
            Error::Hyperparameter { argument: "radius", given, .. } if same(given),
            ["radius", "not negative"]
        );
        refused!(
            [HsrGradient, HsrStep, HsrUnitStep],
            |arguments: &mut Arguments<_>| arguments.rho = bad,
            Error::Hyperparameter { argument: "rho", given, .. } if same(given),
            ["rho", "not negative"]
        );
    }
    for bad in [f64::NAN, f64::INFINITY, -0.1, 1.0, 1.5] {
        refused!(
            Call::STEPS,
            |arguments: &mut Arguments<_>| arguments.sgd.momentum = bad,
            Error::Hyperparameter { argument: "momentum", given, .. } if given.to_bits() == bad.to_bits(),
            ["momentum", "from 0"]
        );
    }
}

/// ρ is checked on the steps between penalties too.
#[test]
fn rho_out_of_range_on_a_step_without_penalty() {
    let mut arguments = Arguments::<f64>::new(HsrStep, Way::ALL[0]);
    let batch = Batch::new(arguments.batch_shape, &arguments.inputs, Targets::Classes(&arguments.classes));
    let hsr = Hsr { every: NonZeroU64::new(5).expect("five"), ..Hsr::new(arguments.sgd, f64::NAN) };
    let mut state = State { steps: 6, ..State::new(&mut arguments.velocity) };
    let batch = batch.expect("a batch");
    let error = hsr.step(&arguments.plan, &mut arguments.theta, &batch, &mut state, &mut arguments.workspace);
    assert!(matches!(error, Err(Error::Hyperparameter { argument: "rho", .. })), "{error:?}");
}

#[test]
fn velocities_of_another_length() {
    for len in [0, 1, 16, 18] {
        refused!(
            Call::STEPS,
            |arguments: &mut Arguments<_>| arguments.velocity.resize(len, Number::ZERO),
            Error::Length { argument: "moments", given, expected: 17 } if given == len,
            ["moments"]
        );
    }
    // Without momentum there is nothing to remember, but what is given still has to fit.
    refused!(
        Call::STEPS,
        |arguments: &mut Arguments<_>| {
            arguments.sgd.momentum = 0.0;
            arguments.velocity.truncate(1);
        },
        Error::Length { argument: "moments", given: 1, expected: 17 },
        ["moments"]
    );
    for call in Call::STEPS {
        let mut arguments = Arguments::<f64>::new(call, Way::ALL[0]);
        arguments.sgd.momentum = 0.0;
        arguments.velocity.clear();
        arguments.run(call).expect("no velocity without momentum");
        assert_eq!(arguments.steps, 7);
    }
}

#[test]
fn velocities_that_are_not_finite() {
    refused!(
        Call::STEPS,
        |arguments: &mut Arguments<_>| arguments.velocity[3] = Number::NAN,
        Error::Overflow { quantity: "new parameters" },
        ["new parameters"]
    );
}

#[test]
fn pair_weights_that_do_not_go_with_the_batch() {
    for samples in [0, 1, 3] {
        refused!(
            Call::SQUARES,
            |arguments: &mut Arguments<_>| {
                arguments.plan = arguments.plan.with_pair_weights(PairWeights::DataSet { samples });
            },
            Error::PairWeights { samples: 4, data_set } if data_set == samples,
            ["pair weights", "4 samples"]
        );
    }
    refused!(
        Call::SQUARES,
        |arguments: &mut Arguments<_>| {
            arguments.plan = arguments.plan.with_pair_weights(PairWeights::DataSet { samples: 10 });
            arguments.inputs.truncate(2);
            arguments.classes.truncate(1);
        },
        Error::PairWeights { samples: 1, data_set: 10 },
        ["pair weights", "1 samples", "10"]
    );
    // A chunk of one sample of a larger data set.
    refused!(
        [DataSetEstimate],
        |arguments: &mut Arguments<_>| {
            arguments.plan = Plan::new(arguments.plan.network(), 2).expect("a plan");
            arguments.inputs.truncate(6);
            arguments.classes.truncate(3);
        },
        Error::PairWeights { samples: 1, data_set: 3 },
        ["pair weights", "1 samples", "3"]
    );
    // A data set of one sample is that sample.
    let mut arguments = Arguments::<f64>::new(BoundGradient, Way::ALL[0]);
    arguments.inputs.truncate(2);
    arguments.classes.truncate(1);
    let mut whole = arguments.clone();
    whole.plan = whole.plan.with_pair_weights(PairWeights::DataSet { samples: 1 });
    arguments.run(BoundGradient).expect("a batch");
    whole.run(BoundGradient).expect("a data set of one");
    assert_eq!(arguments.bits(), whole.bits());
}

/// Logits beyond the type's range.
#[test]
fn losses_that_overflow() {
    fn largest<T: Real>(arguments: &mut Arguments<T>) {
        let shape = arguments.plan.shape();
        for (j, entry) in arguments.theta[shape.output_weight()].iter_mut().enumerate() {
            *entry = if j < shape.hidden() { T::MAX } else { -T::MAX };
        }
    }
    refused!(Call::ALL, largest, Error::Overflow { quantity: "loss" }, ["loss"]);
}

/// Inputs whose fourth powers are beyond the type's range, where the loss is not.
#[test]
fn traces_that_overflow() {
    fn large<T: Real>(arguments: &mut Arguments<T>) {
        let size = if T::FRACTION_BITS == f32::MANTISSA_DIGITS - 1 { 1e12 } else { 1e100 };
        for (i, input) in arguments.inputs.iter_mut().enumerate() {
            *input = T::from_f64(size * (1.0 + i as f64));
        }
        // Hidden units that are not saturated in spite of them.
        let shape = arguments.plan.shape();
        arguments.theta[shape.hidden_weight()].fill(T::ZERO);
    }
    let calls = Call::SQUARES.into_iter().chain([DataSetCurvature, DataSetEstimate]);
    refused!(calls.clone(), large, Error::Overflow { .. }, ["tr H"]);
}

/// Parameters that a step would send to infinity.
#[test]
fn parameters_that_overflow() {
    fn fast<T: Real>(arguments: &mut Arguments<T>) {
        arguments.sgd = Sgd::new(T::MAX.to_f64()).with_momentum(0.9);
        arguments.velocity.fill(T::from_f64(1e3));
    }
    refused!(Call::STEPS, fast, Error::Overflow { quantity: "new parameters" }, ["new parameters"]);
    // Finite in f64, which hyperparameters are given in; not in f32.
    refused!(
        @type f32,
        Call::STEPS,
        |arguments: &mut Arguments<f32>| arguments.sgd.learning_rate = 1e300,
        Error::Overflow { quantity: "new parameters" },
        ["new parameters"]
    );
    refused!(
        @type f32,
        Call::STEPS,
        |arguments: &mut Arguments<f32>| arguments.sgd.weight_decay.strength = 1e300,
        Error::Overflow { quantity: "new parameters" },
        ["new parameters"]
    );
}

/// θ is finite, and the point that SAM moves to is not: an overflow, not a fault of θ.
#[test]
fn a_radius_that_overflows() {
    fn far<T: Real>(arguments: &mut Arguments<T>) {
        arguments.radius = f64::MAX;
        arguments.classes = vec![0, 0, 0, 1];
        let shape = arguments.plan.shape();
        // Equal rows of output weights, so that the loss stays finite.
        arguments.theta[shape.output_weight()].fill(T::from_f64(0.9 * T::MAX.to_f64()));
        arguments.theta[shape.hidden_weight()].fill(T::ZERO);
        arguments.theta[shape.hidden_bias()].copy_from_slice(&[T::from_f64(0.1), T::from_f64(0.2), T::from_f64(-0.3)]);
    }
    refused!([SamStep], far, Error::Overflow { .. }, ["overflows"]);
}

/// A finite loss with a gradient beyond the type's range: an error, or a gradient that is finite; no infinity without a word.
#[test]
fn gradients_that_overflow() {
    fn check<T: Real>(input: f64, weight: f64) {
        for call in Call::GRADIENTS.into_iter().chain([Product, DataSetProduct, Dense]) {
            for way in Way::ALL {
                let mut arguments = Arguments::<T>::new(call, way);
                let shape = arguments.plan.shape();
                arguments.theta[shape.hidden_weight()].fill(T::ZERO);
                arguments.theta[shape.hidden_bias()].fill(T::ZERO);
                let weights = &mut arguments.theta[shape.output_weight()];
                weights.fill(T::from_f64(weight));
                weights[0] = T::from_f64(-weight);
                arguments.inputs.fill(T::from_f64(input));
                let before = arguments.bits();
                match arguments.run(call) {
                    Err(error) => {
                        assert!(matches!(error, Error::Overflow { .. }), "{call:?} by {way}: {error}");
                        // A dense Hessian has no second place to be summed in: its documentation makes an exception.
                        let untouched = call == Dense || arguments.bits() == before;
                        assert!(untouched, "{call:?} by {way}: wrote something in spite of {error}");
                    }
                    Ok(()) => assert!(
                        arguments.output.iter().all(|entry| entry.is_finite()),
                        "{call:?} by {way}: Ok, and {:?}",
                        arguments.output
                    ),
                }
            }
        }
    }
    // û xᵀ, about weight · input, is the first to leave the range.
    check::<f32>(1e30, 1e20);
    check::<f64>(1e200, 1e150);
}

/// The count of steps has no last value.
#[test]
fn the_count_of_steps_at_its_end() {
    for call in Call::STEPS {
        let mut arguments = Arguments::<f64>::new(call, Way::ALL[0]);
        arguments.steps = u64::MAX;
        let before = arguments.bits();
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| arguments.run(call))) {
            Ok(Ok(())) => assert_ne!(arguments.bits(), before, "{call:?}"),
            Ok(Err(_)) => assert_eq!(arguments.bits(), before, "{call:?}"),
            Err(_) => panic!("{call:?} panics at step 2⁶⁴ − 1"),
        }
    }
}
