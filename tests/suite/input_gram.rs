//! Inner products of the inputs that the caller keeps: they are used in place of the inputs, by pairs alone, and checked.

use crate::common::problem::{Instance, Labels, Recipe, Way};
use flatmin::gemm::{Matrix, MatrixMut, Triangle, symmetric_product, workspace_len};
use flatmin::{Activation, Batch, Error, Hsr, Optimizer, Route, Sgd, State};

/// More samples than a tile.
fn instance() -> Instance<f64> {
    let (activation, labels) = (Activation::Tanh, Labels::Hard);
    Recipe { inputs: 5, hidden: 4, classes: 3, samples: 130, activation, labels, seed: 7 }.problem().instance()
}

fn gram(instance: &Instance<f64>) -> Vec<f64> {
    let (n, d) = (instance.plan.samples(), instance.plan.shape().inputs());
    let (mut gram, mut workspace) = (vec![f64::NAN; n * n], vec![f64::NAN; workspace_len(n, d, n)]);
    let x = Matrix::new(&instance.inputs, n, d).expect("N×D numbers");
    let out = MatrixMut::new(&mut gram, n, n).expect("N×N numbers");
    symmetric_product(1.0, x, None, 0.0, out, Triangle::Both, &mut workspace).expect("dimensions that go together");
    gram
}

/// θ after a step.
fn stepped(instance: &Instance<f64>, batch: &Batch<'_, f64>) -> Vec<f64> {
    let (mut theta, mut workspace) = (instance.theta.clone(), vec![f64::NAN; instance.plan.workspace_len()]);
    let hsr = Hsr::new(Sgd::new(0.5), 0.1);
    hsr.step(&instance.plan, &mut theta, batch, &mut State::new(&mut []), &mut workspace).expect("a step");
    theta
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn the_step_is_the_same() {
    for way in Way::ALL {
        let instance = instance().by(way);
        let gram = gram(&instance);
        let batch = instance.batch();
        let own = stepped(&instance, &batch);
        let kept = stepped(&instance, &batch.with_input_gram(&gram).expect("N×N numbers"));
        assert!(largest_difference(&own, &kept) <= 1e-13, "{way}");
    }
}

/// Others than those of the inputs give another step: by pairs, which read them.
#[test]
fn only_pairs_read_them() {
    for way in Way::ALL {
        let instance = instance().by(way);
        let wrong: Vec<f64> = gram(&instance).iter().map(|product| 2.0 * product).collect();
        let batch = instance.batch();
        let (own, other) =
            (stepped(&instance, &batch), stepped(&instance, &batch.with_input_gram(&wrong).expect("N×N")));
        assert_eq!(largest_difference(&own, &other) > 1e-6, way.route == Route::Pairs, "{way}");
    }
}

#[test]
fn a_part_of_a_batch_forgets_them() {
    let instance = instance().by(Way::ALL[0]);
    let wrong = vec![1.0; 130 * 130];
    let batch = instance.batch();
    let part = batch.rows(3..100).expect("a range");
    let of_kept = batch.with_input_gram(&wrong).and_then(|batch| batch.rows(3..100)).expect("a range");
    assert_eq!(stepped(&instance, &part), stepped(&instance, &of_kept));
}

#[test]
fn what_is_none_is_refused() {
    let instance = instance();
    let mut gram = gram(&instance);
    let error = instance.batch().with_input_gram(&gram[1..]).expect_err("one too few");
    assert_eq!(error, Error::Length { argument: "input gram", given: 130 * 130 - 1, expected: 130 * 130 });
    gram[17] = f64::NAN;
    let error = instance.batch().with_input_gram(&gram).expect_err("NaN");
    assert_eq!(error, Error::NotFinite { argument: "input gram", index: 17 });
}
