//! Shapes, batches and plans: what they refuse, and sizes at the end of the range.

use flatmin::{Activation, Batch, Error, InstructionSet, Kernels, Network, PairWeights, Plan, Route, Shape, Targets};
use proptest::prelude::*;

fn shape(inputs: usize, hidden: usize, classes: usize) -> Shape {
    Shape::new(inputs, hidden, classes).expect("a shape")
}

#[test]
fn sizes_too_small() {
    for (sizes, argument, least) in [
        ([0, 1, 2], "inputs", 1),
        ([1, 0, 2], "hidden units", 1),
        ([1, 1, 0], "classes", 2),
        // One class leaves nothing to learn: its probability is one.
        ([1, 1, 1], "classes", 2),
    ] {
        let [d, m, k] = sizes;
        let given = *sizes.iter().zip([1, 1, 2]).find(|(size, least)| *size < least).expect("a size too small").0;
        let error = Shape::new(d, m, k).expect_err("a size too small");
        assert_eq!(error, Error::TooSmall { argument, given, least });
        assert!(error.to_string().contains(argument) && error.to_string().contains(&format!("at least {least}")));
    }
    assert_eq!(Shape::new(1, 1, 2).map(Shape::parameters), Ok(6));
}

#[test]
fn sizes_whose_product_overflows() {
    let (most, half) = (usize::MAX, 1usize << (usize::BITS / 2));
    for [d, m, k] in [
        [most, 1, 2],
        [1, most, 2],
        [1, 1, most],
        [most, most, most],
        [half, half, 2],
        [1, half, half],
        [most / 8, 8, 2],
        [most - 1, 2, 2],
        // One parameter more than fits into an allocation of eight-byte numbers.
        [isize::MAX as usize / 8, 1, 2],
    ] {
        let error = Shape::new(d, m, k).expect_err("sizes too large");
        assert_eq!(error, Error::TooLarge { quantity: "parameters" });
        assert!(error.to_string().contains("parameters"));
    }
}

#[test]
fn plans_too_large_or_empty() {
    let network = Network::new(shape(2, 3, 2), Activation::Tanh);
    let empty = Error::TooSmall { argument: "samples", given: 0, least: 1 };
    assert_eq!(Plan::new(network, 0), Err(empty));
    for samples in [usize::MAX, usize::MAX / 2, isize::MAX as usize, isize::MAX as usize / 8] {
        let error = Plan::new(network, samples).expect_err("too many samples");
        assert_eq!(error, Error::TooLarge { quantity: "workspace" });
        assert!(error.to_string().contains("workspace"));
    }
    // The largest shapes: P numbers can be addressed, a workspace cannot.
    for shape in [shape(1 << 59, 1, 2), shape(1, 1 << 57, 2), shape(1, 1, 1 << 58)] {
        let plan = Plan::new(Network::new(shape, Activation::Tanh), 1);
        assert_eq!(plan, Err(Error::TooLarge { quantity: "workspace" }));
    }
    // A route whose blocks do not fit, where pairs do.
    let wide = Network::new(shape(1 << 32, 2, 3), Activation::Tanh);
    let plan = Plan::new(wide, 2).expect("a plan by pairs");
    assert_eq!(plan.route(), Route::Pairs);
    assert_eq!(plan.with_route(Route::Blocks), Err(Error::TooLarge { quantity: "workspace" }));
}

#[test]
fn batches_of_another_length() {
    let shape = shape(3, 2, 4);
    let inputs = [0.0f64; 12];
    let error = Batch::new(shape, &inputs[..11], Targets::Classes(&[0, 1, 2, 3])).expect_err("too few inputs");
    assert_eq!(error, Error::Length { argument: "inputs", given: 11, expected: 12 });
    let error = Batch::new(shape, &inputs, Targets::Classes(&[0, 1, 2])).expect_err("too few targets");
    assert_eq!(error, Error::Length { argument: "inputs", given: 12, expected: 9 });
    for len in [5, 7] {
        let targets = [0.25; 7];
        let error = Batch::new(shape, &inputs[..3], Targets::Distributions(&targets[..len])).expect_err("half a row");
        assert_eq!(error, Error::Length { argument: "targets", given: len, expected: 4 });
    }
    for targets in [Targets::Classes(&[]), Targets::Distributions(&[])] {
        let error = Batch::new(shape, &inputs[..0], targets).expect_err("no samples");
        assert_eq!(error, Error::TooSmall { argument: "samples", given: 0, least: 1 });
        assert!(error.to_string().contains("samples"));
    }
}

#[test]
fn batches_with_bad_numbers() {
    let shape = shape(2, 2, 3);
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for index in 0..6 {
            let mut inputs = [0.5; 6];
            inputs[index] = bad;
            let error =
                Batch::new(shape, &inputs, Targets::Classes(&[0, 1, 2])).expect_err("an input that is not finite");
            assert_eq!(error, Error::NotFinite { argument: "inputs", index });
            assert!(error.to_string().contains("inputs") && error.to_string().contains(&index.to_string()));
        }
    }
    // Beyond the first block of the search.
    let mut inputs = vec![0.5f32; 2000];
    inputs[1737] = f32::NAN;
    let error = Batch::new(shape, &inputs, Targets::Classes(&[1; 1000])).expect_err("an input that is not finite");
    assert_eq!(error, Error::NotFinite { argument: "inputs", index: 1737 });
}

#[test]
fn batches_with_bad_targets() {
    let (shape, inputs) = (shape(1, 2, 3), [0.5, 0.6]);
    for given in [3, 4, u32::MAX] {
        let error = Batch::new(shape, &inputs, Targets::Classes(&[2, given])).expect_err("no such class");
        assert_eq!(error, Error::ClassIndex { sample: 1, given, classes: 3 });
        assert!(error.to_string().contains(&format!("class {given}")) && error.to_string().contains("sample 1"));
    }
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.5, -1e-300] {
        let targets = [1.0, 0.0, 0.0, 0.5, 0.5, bad];
        let error = Batch::new(shape, &inputs, Targets::Distributions(&targets)).expect_err("a bad entry");
        let Error::TargetEntry { sample: 1, class: 2, given } = error else { panic!("{error:?}") };
        assert_eq!(given.to_bits(), bad.to_bits());
        assert!(error.to_string().contains("sample 1") && error.to_string().contains("class 2"));
    }
    for (row, sum) in [([0.5, 0.25, 0.0], 0.75), ([0.5, 0.5, 0.25], 1.25), ([0.0, 0.0, 0.0], 0.0)] {
        let targets = [row, [0.0, 1.0, 0.0]].concat();
        let error = Batch::new(shape, &inputs, Targets::Distributions(&targets)).expect_err("a bad sum");
        assert_eq!(error, Error::TargetSum { sample: 0, given: sum });
        assert!(error.to_string().contains("sample 0") && error.to_string().contains(&sum.to_string()));
    }
    // Sums whose terms are finite and which are not.
    let targets = [f64::MAX, f64::MAX, 0.0, 1.0, 0.0, 0.0];
    let error = Batch::new(shape, &inputs, Targets::Distributions(&targets)).expect_err("an infinite sum");
    assert_eq!(error, Error::TargetSum { sample: 0, given: f64::INFINITY });
    // −0 is not negative, and single precision rounds sums.
    assert!(Batch::new(shape, &inputs, Targets::Distributions(&[1.0, -0.0, 0.0, 0.0, 1.0, 0.0])).is_ok());
    let third = [1.0f32 / 3.0; 6];
    assert!(Batch::new(shape, &[0.5, 0.6], Targets::Distributions(&third)).is_ok());
}

/// A sum may be 10⁻⁶ K away from 1.
#[test]
fn targets_that_nearly_sum_to_one() {
    for classes in [2, 3, 10] {
        let (shape, limit) = (shape(1, 2, classes), 1e-6 * classes as f64);
        let batch = |off: f64| {
            let mut targets = vec![1.0 / classes as f64; classes];
            targets[0] += off;
            Batch::new(shape, &[0.5], Targets::Distributions(&targets)).map(drop)
        };
        for sign in [1.0, -1.0] {
            assert_eq!(batch(0.999 * sign * limit), Ok(()));
            assert!(matches!(batch(1.001 * sign * limit), Err(Error::TargetSum { sample: 0, .. })), "{classes} {sign}");
        }
    }
}

#[test]
#[allow(clippy::reversed_empty_ranges, reason = "that is what is tested")]
fn parts_of_a_batch() {
    let shape = shape(2, 2, 3);
    let inputs: Vec<f64> = (0..8).map(f64::from).collect();
    let batch = Batch::new(shape, &inputs, Targets::Classes(&[0, 1, 2, 0])).expect("a batch");
    let part = batch.rows(1..3).expect("two rows");
    assert_eq!((part.samples(), part.inputs()), (2, &inputs[2..6]));
    assert!(matches!(part.targets(), Targets::Classes([1, 2])));
    let none = Error::TooSmall { argument: "samples", given: 0, least: 1 };
    assert_eq!(batch.rows(2..2).map(|part| part.samples()), Err(none));
    assert_eq!(batch.rows(3..1).map(|part| part.samples()), Err(none));
    for range in [2..5, 0..usize::MAX, 7..9] {
        let end = range.end;
        let error = batch.rows(range).expect_err("rows beyond the end");
        assert_eq!(error, Error::Samples { given: end, planned: 4 });
    }
}

#[test]
fn names() {
    for activation in Activation::ALL {
        assert_eq!(activation.to_string().parse(), Ok(activation));
        assert_eq!(format!("{activation:>9}").trim(), activation.name());
    }
    for route in Route::ALL {
        assert_eq!(route.to_string().parse(), Ok(route));
    }
    for bad in ["", "Tanh", "relu", "tanh "] {
        let error = bad.parse::<Activation>().expect_err("no activation");
        assert!(
            matches!(error, Error::Name { argument: "activation", .. }) && error.to_string().contains("activation")
        );
    }
    let error = "dense".parse::<Route>().expect_err("no route");
    assert!(matches!(error, Error::Name { argument: "route", .. }));
    assert!(error.to_string().contains("pairs") && error.to_string().contains("blocks"));
}

#[test]
fn instruction_sets() {
    let shape = Shape::new(2, 3, 2).expect("a shape");
    let plan = Plan::new(Network::new(shape, Activation::Tanh), 4).expect("a plan");
    assert_eq!(plan.instruction_set(), InstructionSet::current());
    for set in InstructionSet::ALL {
        assert_eq!(set.to_string().parse(), Ok(set));
        let (by_plan, kernels) = (plan.with_instruction_set(set), Kernels::new(set));
        if set.is_supported() {
            assert_eq!(by_plan.map(|plan| plan.instruction_set()), Ok(set));
            assert!(kernels.is_ok());
        } else {
            let error = Error::InstructionSet { given: set.name() };
            assert_eq!((by_plan, kernels), (Err(error), Err(error)));
            assert!(error.to_string().contains(set.name()));
        }
    }
    // No machine has both NEON and AVX2.
    assert!(InstructionSet::all_supported().count() < InstructionSet::ALL.len());
    let error = "sse".parse::<InstructionSet>().expect_err("no instruction set of ours");
    assert!(matches!(error, Error::Name { argument: "instruction set", .. }));
}

#[test]
fn errors_are_errors() {
    fn check(error: impl std::error::Error + Send + Sync + Copy + 'static) -> Box<dyn std::error::Error> {
        Box::new(error)
    }
    assert!(!check(Error::Workspace { given: 1, needed: 2 }).to_string().is_empty());
}

/// Sizes of every magnitude.
fn size() -> impl Strategy<Value = usize> {
    (0..usize::BITS, any::<usize>()).prop_map(|(shift, bits)| bits >> shift)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4096) })]

    /// No size makes a constructor panic or overflow, and what they accept can be addressed, counted and printed.
    #[test]
    fn sizes_of_every_magnitude(d in size(), m in size(), k in size(), n in size(), total in size()) {
        let Ok(shape) = Shape::new(d, m, k) else { return Ok(()) };
        prop_assert!(shape.parameters() <= isize::MAX as usize / 8);
        prop_assert_eq!(shape.output_bias().end, shape.parameters());
        let network = Network::new(shape, Activation::Gelu);
        for plan in [Plan::new(network, n)].into_iter().flatten() {
            for weights in [PairWeights::Batch, PairWeights::DataSet { samples: total }] {
                for plan in Route::ALL.into_iter().filter_map(|route| plan.with_route(route).ok()) {
                    let plan = plan.with_pair_weights(weights);
                    prop_assert!(plan.workspace_len() <= isize::MAX as usize / 8);
                    prop_assert!(plan.gradient_workspace_len() <= plan.workspace_len());
                    prop_assert!(plan.flops().gradient > 0 && plan.flops().penalty > 0);
                    prop_assert!(plan.to_string().contains(plan.route().name()));
                }
            }
        }
    }
}
