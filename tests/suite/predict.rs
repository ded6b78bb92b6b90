//! Predictions: against the loss of the same inputs, a forward pass as on a blackboard, and arguments that have to be refused.

use crate::common::call::nan;
use crate::common::number::{Number, Tracked};
use crate::common::problem::{Instance, Labels, Problem, Recipe};
use crate::common::reference::activation;
use flatmin::{Activation, Batch, Error, InstructionSet, Network, Plan, Real, Shape, Targets};

/// Logits, probabilities and classes, on a workspace as long as promised and filled with NaN.
struct Predicted<T> {
    logits: Vec<T>,
    probabilities: Vec<T>,
    classes: Vec<u32>,
}

impl<T: Real> Predicted<T> {
    fn new(plan: &Plan, theta: &[T], inputs: &[T]) -> Self {
        let samples = inputs.len() / plan.shape().inputs();
        let (mut logits, mut classes) = (nan::<T>(samples * plan.shape().classes()), vec![u32::MAX; samples]);
        let mut probabilities = logits.clone();
        let space = || nan::<T>(plan.gradient_workspace_len());
        flatmin::logits(plan, theta, inputs, &mut logits, &mut space()).expect("logits");
        flatmin::probabilities(plan, theta, inputs, &mut probabilities, &mut space()).expect("probabilities");
        flatmin::classes(plan, theta, inputs, &mut classes, &mut space()).expect("classes");
        Self { logits, probabilities, classes }
    }

    fn of(instance: &Instance<T>) -> Self {
        Self::new(&instance.plan, &instance.theta, &instance.inputs)
    }
}

fn recipe(classes: usize, samples: usize, activation: Activation) -> Recipe {
    Recipe { inputs: 6, hidden: 9, classes, samples, activation, labels: Labels::Soft, seed: samples as u64 }
}

/// The logits, and how large the terms were that they are sums of.
fn reference(problem: &Problem) -> Vec<Tracked> {
    let (shape, theta) = (problem.shape(), &problem.theta);
    let [w, b, v, c] = [shape.hidden_weight(), shape.hidden_bias(), shape.output_weight(), shape.output_bias()]
        .map(|block| theta[block].iter().map(|&x| Tracked::constant(x)).collect::<Vec<Tracked>>());
    let layer = |x: &[Tracked], weight: &[Tracked], bias: &[Tracked]| -> Vec<Tracked> {
        let rows = weight.chunks_exact(x.len()).zip(bias);
        rows.map(|(row, &bias)| row.iter().zip(x).fold(bias, |sum, (&w, &x)| sum + w * x)).collect()
    };
    let rows = problem.inputs.chunks_exact(shape.inputs()).flat_map(|x| {
        let x: Vec<Tracked> = x.iter().map(|&x| Tracked::constant(x)).collect();
        let h: Vec<Tracked> =
            layer(&x, &w, &b).into_iter().map(|u| activation(problem.network.activation, u)).collect();
        layer(&h, &v, &c)
    });
    rows.collect()
}

fn logits_are_those_of_the_formula<T: Real>() {
    for (classes, samples) in [(2, 1), (3, 17), (10, 40), (70, 9)] {
        for activation in Activation::ALL {
            let problem = recipe(classes, samples, activation).problem().rounded::<T>();
            for set in InstructionSet::all_supported() {
                let found = Predicted::of(&problem.instance::<T>().with_set(set)).logits;
                // The roundings of two sums and of φ.
                let shape = problem.shape();
                let roundings = (shape.inputs() + shape.hidden() + 10) as f64;
                for (found, want) in found.iter().zip(reference(&problem)) {
                    let (error, bound) = ((found.to_f64() - want.value).abs(), roundings * want.scale);
                    assert!(error <= bound * T::EPSILON.to_f64(), "{set}, {activation}: {found} {}", want.value);
                }
            }
        }
    }
}

#[test]
fn logits_are_those_of_the_formula_in_both_types() {
    logits_are_those_of_the_formula::<f32>();
    logits_are_those_of_the_formula::<f64>();
}

/// What the loss says follows from the probabilities, and its accuracy exactly from the classes.
fn predictions_explain_the_loss<T: Real>() {
    for classes in [2, 3, 10, 70] {
        for samples in [1, 2, 7, 16, 33, 130, 300] {
            for labels in [Labels::Hard, Labels::Soft] {
                let recipe = Recipe { labels, ..recipe(classes, samples, Activation::Gelu) };
                let problem = recipe.problem().rounded::<T>();
                for set in InstructionSet::all_supported() {
                    let instance = problem.instance::<T>().with_set(set);
                    let (found, expected) = (Predicted::of(&instance), instance.loss());
                    let (mut loss, mut size, mut right) = (0.0, 0.0, 0usize);
                    let rows = found.probabilities.chunks(classes).zip(problem.targets.chunks(classes));
                    for ((p, y), &class) in rows.zip(&found.classes) {
                        let first =
                            |row: &[f64]| (0..row.len()).fold(0, |best, k| if row[k] > row[best] { k } else { best });
                        let p: Vec<f64> = p.iter().map(|p| p.to_f64()).collect();
                        assert_eq!(class as usize, first(&p));
                        right += usize::from(first(&p) == first(y));
                        assert!((p.iter().sum::<f64>() - 1.0).abs() <= (classes + 30) as f64 * T::EPSILON.to_f64());
                        for (p, y) in p.iter().zip(y).filter(|(_, y)| **y != 0.0) {
                            loss -= y * p.ln() / samples as f64;
                            // ln p has the relative error of p, which grows with −ln p.
                            size += y * (1.0 - p.ln()) / samples as f64;
                        }
                    }
                    assert_eq!(right as f64 / samples as f64, expected.accuracy, "{set}, {recipe:?}");
                    let bound = (2 * classes + 20) as f64 * T::EPSILON.to_f64() * size;
                    assert!((loss - expected.loss).abs() <= bound, "{set}, {recipe:?}: {loss} {}", expected.loss);
                }
            }
        }
    }
}

#[test]
fn predictions_explain_the_loss_in_both_types() {
    predictions_explain_the_loss::<f32>();
    predictions_explain_the_loss::<f64>();
}

/// A plan for many samples predicts few with the bits of a plan for few.
#[test]
fn fewer_samples_than_planned() {
    for samples in [1, 5, 32] {
        let instance = recipe(4, samples, Activation::Tanh).problem().instance::<f32>();
        let large = Plan::new(instance.plan.network(), 100).expect("a plan");
        let (own, found) = (Predicted::of(&instance), Predicted::new(&large, &instance.theta, &instance.inputs));
        assert!(own.logits == found.logits && own.probabilities == found.probabilities && own.classes == found.classes);
    }
}

/// Only output biases: the logits of every sample are these.
fn biased<T: Real>(biases: &[f64]) -> Instance<T> {
    let recipe = Recipe { labels: Labels::Hard, ..recipe(biases.len(), 5, Activation::Tanh) };
    let mut instance = recipe.problem().instance::<T>();
    instance.theta.fill(T::ZERO);
    let biases = biases.iter().map(|&bias| T::from_f64(bias));
    let place = instance.plan.shape().output_bias();
    instance.theta[place].iter_mut().zip(biases).for_each(|(entry, bias)| *entry = bias);
    instance
}

/// Among equals the first counts, also where logits differ and their probabilities do not.
#[test]
fn the_first_of_equals() {
    fn check<T: Real>(biases: &[f64], class: u32) {
        let mut instance = biased::<T>(biases);
        assert_eq!(Predicted::of(&instance).classes, [class; 5]);
        instance.indices = Some(vec![class; 5]);
        assert_eq!(instance.loss().accuracy, 1.0);
    }
    check::<f32>(&[0.0, 0.0, 0.0], 0);
    check::<f64>(&[-1.0, 2.0, 2.0], 1);
    check::<f32>(&[0.0, 1e-12], 0);
    check::<f64>(&[0.0, 1e-30, 1e-25], 0);
    check::<f64>(&[0.0, 1e-3], 1);
}

#[test]
fn large_logits() {
    fn check<T: Real>() {
        let most = T::MAX.to_f64();
        for biases in [[1e30, -1e30, 0.0], [most, 0.0, -1.0], [700.0, -700.0, 90.0]] {
            let found = Predicted::of(&biased::<T>(&biases));
            assert!(found.logits.chunks(3).all(|z| z[0] == T::from_f64(biases[0]) && z[1] == T::from_f64(biases[1])));
            assert!(found.probabilities.chunks(3).all(|p| p[0] == T::ONE && p[1].to_f64() < 1e-200));
            assert_eq!(found.classes, [0; 5]);
        }
    }
    check::<f32>();
    check::<f64>();
}

/// All arguments of a prediction, to be spoilt, and outputs that show what is written to them.
#[derive(Clone)]
struct Arguments<T> {
    plan: Plan,
    theta: Vec<T>,
    inputs: Vec<T>,
    numbers: Vec<T>,
    classes: Vec<u32>,
    workspace: Vec<T>,
}

impl<T: Real> Arguments<T> {
    fn new() -> Self {
        let network = Network::new(Shape::new(2, 3, 2).expect("a shape"), Activation::Tanh);
        let plan = Plan::new(network, 4).expect("a plan");
        let mut theta = vec![T::ZERO; 17];
        network.initialize(&mut theta, 1).expect("a θ of its length");
        Self {
            plan,
            theta,
            inputs: (0..8).map(|i| T::from_f64((i as f64).sin())).collect(),
            numbers: vec![T::HALF; 8],
            classes: vec![7; 4],
            workspace: nan(plan.gradient_workspace_len()),
        }
    }

    /// Logits, probabilities, classes.
    fn run(&mut self) -> [Result<(), Error>; 3] {
        let Self { plan, theta, inputs, numbers, classes, workspace } = self;
        [
            flatmin::logits(plan, theta, inputs, numbers, workspace),
            flatmin::probabilities(plan, theta, inputs, numbers, workspace),
            flatmin::classes(plan, theta, inputs, classes, workspace),
        ]
    }
}

/// Each prediction has to refuse the arguments with its error, and write nothing.
#[track_caller]
fn refused<T: Real>(spoil: impl Fn(&mut Arguments<T>), expected: [Error; 3]) {
    let mut arguments = Arguments::<T>::new();
    spoil(&mut arguments);
    let before = arguments.clone();
    assert_eq!(arguments.run(), expected.map(Err));
    assert!(arguments.numbers == before.numbers && arguments.classes == before.classes);
}

fn bad_arguments<T: Real>() {
    let mut good = Arguments::<T>::new();
    assert_eq!(good.run(), [Ok(()); 3]);
    assert!(good.numbers.iter().all(|&x| x != T::HALF) && good.classes.iter().all(|&class| class < 2));

    let needed = good.workspace.len();
    let short = Error::Workspace { given: needed - 1, needed };
    refused::<T>(|a| a.workspace.truncate(needed - 1), [short; 3]);
    let length = |argument, given, expected| Error::Length { argument, given, expected };
    for given in [0, 16, 18] {
        refused::<T>(|a| a.theta.resize(given, T::ONE), [length("theta", given, 17); 3]);
    }
    refused::<T>(|a| a.theta[16] = T::NAN, [Error::NotFinite { argument: "theta", index: 16 }; 3]);
    refused::<T>(|a| a.inputs[5] = T::NAN, [Error::NotFinite { argument: "inputs", index: 5 }; 3]);
    refused::<T>(|a| a.inputs[7] = -T::INFINITY, [Error::NotFinite { argument: "inputs", index: 7 }; 3]);
    refused::<T>(|a| a.inputs.clear(), [Error::TooSmall { argument: "samples", given: 0, least: 1 }; 3]);
    refused::<T>(|a| a.inputs.truncate(7), [length("inputs", 7, 6); 3]);
    refused::<T>(|a| a.inputs.truncate(1), [length("inputs", 1, 2); 3]);
    let more = |a: &mut Arguments<T>| {
        a.inputs.extend([T::ONE; 2]);
        a.numbers.extend([T::HALF; 2]);
        a.classes.push(7);
    };
    refused::<T>(more, [Error::Samples { given: 5, planned: 4 }; 3]);
    for samples in [0, 3, 5] {
        let spoil = |a: &mut Arguments<T>| {
            a.numbers.resize(2 * samples, T::HALF);
            a.classes.resize(samples, 7);
        };
        let [numbers, classes] = [2 * samples, samples];
        let expected =
            [length("logits", numbers, 8), length("probabilities", numbers, 8), length("classes", classes, 4)];
        refused::<T>(spoil, expected);
    }
    // V and φ(b) of one sign: the sum is beyond the type's range, up or down.
    for sign in [T::ONE, -T::ONE] {
        let overflow = |a: &mut Arguments<T>| {
            let shape = a.plan.shape();
            a.theta[shape.hidden_weight()].fill(T::ZERO);
            a.theta[shape.hidden_bias()].fill(T::ONE);
            a.theta[shape.output_weight()].fill(sign * T::MAX);
        };
        refused::<T>(overflow, [Error::Overflow { quantity: "logits" }; 3]);
    }
}

#[test]
fn bad_arguments_are_refused_and_nothing_is_written() {
    bad_arguments::<f32>();
    bad_arguments::<f64>();
}

/// A single logit of −∞ is no number to hand over; its class is improbable, which is what the loss makes of it.
#[test]
fn a_logit_below_the_range() {
    let mut arguments = Arguments::<f32>::new();
    let shape = arguments.plan.shape();
    arguments.theta[shape.hidden_weight()].fill(0.0);
    arguments.theta[shape.hidden_bias()].fill(1.0);
    arguments.theta[shape.output_weight()][..3].fill(-f32::MAX);
    assert_eq!(arguments.run(), [Err(Error::Overflow { quantity: "logits" }), Ok(()), Ok(())]);
    assert_eq!((&arguments.numbers[..2], &arguments.classes[..]), (&[0.0, 1.0][..], &[1; 4][..]));
    let Arguments { plan, theta, inputs, classes, mut workspace, .. } = arguments;
    let batch = Batch::new(shape, &inputs, Targets::Classes(&classes)).expect("a batch");
    assert_eq!(flatmin::loss(&plan, &theta, &batch, &mut workspace).map(|found| found.accuracy), Ok(1.0));
}
