//! Updates against naive formulas in f64, on gradients of the caller's; and steps against their parts.

use crate::common::call::{Quantity, nan};
use crate::common::problem::{Instance, Labels, Recipe};
use flatmin::{Activation, Adam, Base, Direction, Error, Hsr, Optimizer, Real, Sam, Sgd, State, WeightDecay};

/// A problem with more than one register of parameters in every block but c.
fn instance<T: Real>() -> Instance<T> {
    let labels = Labels::Hard;
    let recipe =
        Recipe { inputs: 5, hidden: 17, classes: 3, samples: 8, activation: Activation::Tanh, labels, seed: 5 };
    recipe.problem().instance()
}

/// Numbers in ±size, reproducible.
fn numbers<T: Real>(len: usize, seed: f64, size: f64) -> Vec<T> {
    (0..len).map(|i| T::from_f64(size * (1.7 * i as f64 + seed).sin())).collect()
}

/// The updates as one writes them down: PyTorch's documentation of `SGD`, `Adam` and `AdamW`, and of `clip_grad_norm_` without its 10⁻⁶.
enum Naive {
    Sgd(Sgd),
    Adam(Adam),
}

impl Naive {
    fn update(&self, biases: &[bool], theta: &mut [f64], gradient: &[f64], moments: &mut [f64], step: i32) {
        let (clip, decay) = match self {
            Self::Sgd(sgd) => (sgd.clip, sgd.weight_decay),
            Self::Adam(adam) => (adam.clip, adam.weight_decay),
        };
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let shrink = clip.map_or(1.0, |most| if norm > most { most / norm } else { 1.0 });
        let size = theta.len();
        for i in 0..size {
            let mut g = shrink * gradient[i];
            let nu = if biases[i] && !decay.biases { 0.0 } else { decay.strength };
            match self {
                Self::Sgd(Sgd { learning_rate, momentum, nesterov, .. }) => {
                    g += nu * theta[i];
                    let velocity = if *momentum == 0.0 { g } else { momentum * moments[i] + g };
                    theta[i] -= learning_rate * if *nesterov { g + momentum * velocity } else { velocity };
                    if *momentum != 0.0 {
                        moments[i] = velocity;
                    }
                }
                Self::Adam(Adam { learning_rate, beta1, beta2, epsilon, decoupled, .. }) => {
                    if *decoupled {
                        theta[i] -= learning_rate * nu * theta[i];
                    } else {
                        g += nu * theta[i];
                    }
                    let (first, second) = moments.split_at_mut(size);
                    first[i] = beta1 * first[i] + (1.0 - beta1) * g;
                    second[i] = beta2 * second[i] + (1.0 - beta2) * g * g;
                    let (m, v) = (first[i] / (1.0 - beta1.powi(step)), second[i] / (1.0 - beta2.powi(step)));
                    theta[i] -= learning_rate * m / (v.sqrt() + epsilon);
                }
            }
        }
    }
}

const SGDS: [Sgd; 6] = [
    Sgd::new(0.1),
    Sgd::new(0.1).with_momentum(0.9),
    Sgd::new(0.1).with_nesterov(0.9).with_weight_decay(WeightDecay::all(0.01)),
    Sgd::new(0.1).with_nesterov(0.5).with_weight_decay(WeightDecay::weights(0.1)),
    Sgd::new(0.1).with_weight_decay(WeightDecay::weights(0.1)).with_clip(0.5),
    Sgd::new(0.1).with_momentum(0.9).with_clip(1e9),
];

fn adams() -> [Adam; 6] {
    [
        Adam::new(0.01),
        Adam::new(0.01).with_weight_decay(WeightDecay::all(0.1)),
        Adam::new(0.01).with_weight_decay(WeightDecay::weights(0.1)),
        Adam::new(0.01).with_decoupled_weight_decay(WeightDecay::all(0.1)),
        Adam::new(0.01).with_decoupled_weight_decay(WeightDecay::weights(0.1)).with_clip(0.5),
        Adam { beta1: 0.0, beta2: 0.5, epsilon: 1e-3, ..Adam::new(0.1) },
    ]
}

/// 100 updates, each from where the crate's last one ended.
fn follows_the_formula<T: Real>(optimizer: &dyn Optimizer<T>, naive: &Naive, relative: f64) {
    let instance = instance::<T>();
    let (plan, shape) = (&instance.plan, instance.plan.shape());
    let size = shape.parameters();
    let biases: Vec<bool> =
        (0..size).map(|i| shape.hidden_bias().contains(&i) || shape.output_bias().contains(&i)).collect();
    let mut theta = numbers::<T>(size, 0.3, 1.0);
    let mut moments = vec![T::ZERO; optimizer.moments_len(shape)];
    let mut state = State::new(&mut moments);
    let wide = |values: &[T]| values.iter().map(|x| x.to_f64()).collect::<Vec<_>>();
    let (mut expected, mut expected_moments) = (wide(&theta), wide(state.moments));
    for step in 1..=100 {
        let gradient = numbers::<T>(size, f64::from(step), 0.3);
        optimizer.update(plan, &mut theta, &mut gradient.clone(), &mut state).expect("finite numbers");
        naive.update(&biases, &mut expected, &wide(&gradient), &mut expected_moments, step);
        assert_eq!(state.steps, step as u64);
        let (found, expected) = ([&theta[..], state.moments].concat(), [&expected[..], &expected_moments].concat());
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let error = (found.to_f64() - expected).abs();
            assert!(error <= relative * (1.0 + expected.abs()), "step {step}, entry {i}: {found} for {expected}");
        }
    }
}

#[test]
fn updates_follow_their_formulas() {
    for sgd in SGDS {
        follows_the_formula::<f64>(&sgd, &Naive::Sgd(sgd), 1e-12);
        follows_the_formula::<f32>(&sgd, &Naive::Sgd(sgd), 1e-4);
    }
    for adam in adams() {
        follows_the_formula::<f64>(&adam, &Naive::Adam(adam), 1e-12);
        follows_the_formula::<f32>(&adam, &Naive::Adam(adam), 1e-4);
    }
}

/// Every instruction set makes the same update, to rounding.
#[test]
fn updates_agree_on_all_instruction_sets() {
    let instance = instance::<f64>();
    let size = instance.parameters();
    let adam = adams()[4];
    let on = |set| {
        let plan = instance.plan.with_instruction_set(set).expect("a supported set");
        let (mut theta, mut moments) = (numbers::<f64>(size, 0.3, 1.0), vec![0.0; 2 * size]);
        let mut state = State::new(&mut moments);
        for step in 0..10 {
            adam.update(&plan, &mut theta, &mut numbers(size, f64::from(step), 0.3), &mut state).expect("an update");
        }
        theta
    };
    let expected = on(flatmin::InstructionSet::Portable);
    for set in flatmin::InstructionSet::all_supported() {
        for (a, b) in on(set).iter().zip(&expected) {
            assert!((a - b).abs() <= 100.0 * f64::EPSILON, "{set}: {a} for {b}");
        }
    }
}

/// θ, moments and count after one step.
fn stepped<T: Real>(instance: &Instance<T>, optimizer: &dyn Optimizer<T>) -> (Vec<T>, Vec<T>) {
    let (plan, mut theta) = (&instance.plan, instance.theta.clone());
    let mut moments = vec![T::ZERO; optimizer.moments_len(plan.shape())];
    let workspace = &mut nan(optimizer.workspace_len(plan).expect("sizes"));
    let mut state = State::new(&mut moments);
    optimizer.step(plan, &mut theta, &instance.batch(), &mut state, workspace).expect("a step");
    (theta, moments)
}

/// A step is its gradient, by its function, handed to the update of its base: to the bit, for every base.
#[test]
fn steps_are_gradients_and_updates_to_the_bit() {
    fn check<T: Real, B: Optimizer<T> + Base + Copy>(base: B) {
        let instance = instance::<T>();
        let updated = |mut gradient: Vec<T>| {
            let mut theta = instance.theta.clone();
            let mut moments = vec![T::ZERO; base.moments_len(instance.plan.shape())];
            base.update(&instance.plan, &mut theta, &mut gradient, &mut State::new(&mut moments)).expect("an update");
            (theta, moments)
        };
        assert_eq!(stepped(&instance, &base), updated(instance.gradient(Quantity::Loss).1));
        assert_eq!(stepped(&instance, &Hsr::new(base, 0.2)), updated(instance.gradient(Quantity::Hsr(0.2)).1));
        // The gradients of the others have no function: SGD's velocity after one step is the gradient.
        let see = Sgd::new(0.0).with_momentum(0.5);
        let (_, gradient) = stepped(&instance, &Sam::new(see, 0.1));
        assert_eq!(stepped(&instance, &Sam::new(base, 0.1)), updated(gradient));
        let (_, gradient) = stepped(&instance, &Hsr { direction: Direction::Unit, ..Hsr::new(see, 0.2) });
        assert_eq!(stepped(&instance, &Hsr { direction: Direction::Unit, ..Hsr::new(base, 0.2) }), updated(gradient));
    }
    for sgd in SGDS {
        check::<f64, _>(sgd);
        check::<f32, _>(sgd);
    }
    for adam in adams() {
        check::<f64, _>(adam);
        check::<f32, _>(adam);
    }
}

/// A gradient is shortened to the limit, whatever its magnitude, and one below the limit keeps its bits.
#[test]
fn clipping_by_norm() {
    fn check<T: Real>(sizes: &[f64]) {
        let instance = instance::<T>();
        let size = instance.parameters();
        for &magnitude in sizes {
            let gradient = numbers::<T>(size, 0.1, magnitude);
            let most = 0.25;
            // From 0, at a rate of 1, θ becomes minus the gradient.
            let sgd = Sgd::new(1.0).with_clip(most);
            let mut theta = vec![T::ZERO; size];
            let state = &mut State::new(&mut []);
            sgd.update(&instance.plan, &mut theta, &mut gradient.clone(), state).expect("finite numbers");
            let norm = theta.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>().sqrt();
            let before = gradient.iter().map(|x| (x.to_f64() / magnitude).powi(2)).sum::<f64>().sqrt() * magnitude;
            if before > most {
                assert!((norm - most).abs() <= 8.0 * T::EPSILON.to_f64(), "{magnitude:e}: {norm}");
                let cosine: f64 =
                    theta.iter().zip(&gradient).map(|(t, g)| -t.to_f64() / norm * (g.to_f64() / before)).sum();
                assert!((cosine - 1.0).abs() <= 8.0 * T::EPSILON.to_f64(), "{magnitude:e}: {cosine}");
            } else {
                assert!(theta.iter().zip(&gradient).all(|(&t, &g)| t == -g), "{magnitude:e}");
            }
        }
    }
    check::<f32>(&[1e-30, 1e-3, 1.0, 1e20, 1e37]);
    check::<f64>(&[1e-300, 1e-3, 1.0, 1e160, 1e306]);
}

/// Whatever is wrong, nothing of the caller's has changed.
#[test]
fn wrong_updates_change_nothing() {
    let instance = instance::<f64>();
    let size = instance.parameters();
    let refused = |optimizer: &dyn Optimizer<f64>, theta: usize, gradient: &[f64], moments: usize, expected: Error| {
        let (mut theta, mut moments) = (vec![0.5; theta], vec![0.25; moments]);
        let (before, moments_before) = (theta.clone(), moments.clone());
        let mut state = State { steps: 3, ..State::new(&mut moments) };
        let error = optimizer.update(&instance.plan, &mut theta, &mut gradient.to_vec(), &mut state);
        assert_eq!((error, state.steps), (Err(expected), 3));
        assert_eq!((theta, moments), (before, moments_before));
    };
    let (adam, sgd) = (Adam::new(0.1), Sgd::new(0.1).with_momentum(0.5));
    let fine = vec![0.1; size];
    let length = |argument, given, expected| Error::Length { argument, given, expected };
    refused(&adam, size - 1, &fine, 2 * size, length("theta", size - 1, size));
    refused(&adam, size, &fine[1..], 2 * size, length("gradient", size - 1, size));
    refused(&adam, size, &fine, size, length("moments", size, 2 * size));
    refused(&adam, size, &fine, 0, length("moments", 0, 2 * size));
    refused(&sgd, size, &fine, 2 * size, length("moments", 2 * size, size));
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX] {
        for place in [0, size / 2, size - 1] {
            let mut gradient = fine.clone();
            gradient[place] = bad;
            let overflow = Error::Overflow { quantity: "new parameters" };
            refused(&adam, size, &gradient, 2 * size, overflow);
            if bad != f64::MAX {
                refused(&adam.with_clip(1.0), size, &gradient, 2 * size, overflow);
                refused(&sgd, size, &gradient, size, overflow);
                refused(&sgd.with_clip(1.0), size, &gradient, size, overflow);
            }
        }
    }
    let hyperparameter = |argument, given: f64, expected| Error::Hyperparameter { argument, given, expected };
    let share = "a number from 0 up to, but not including, 1";
    let positive = "a finite number above 0";
    refused(&Adam { beta1: 1.0, ..adam }, size, &fine, 2 * size, hyperparameter("beta1", 1.0, share));
    refused(&Adam { beta2: -0.1, ..adam }, size, &fine, 2 * size, hyperparameter("beta2", -0.1, share));
    let epsilon = "a finite number above 0 in the number type";
    refused(&Adam { epsilon: 0.0, ..adam }, size, &fine, 2 * size, hyperparameter("epsilon", 0.0, epsilon));
    refused(&adam.with_clip(0.0), size, &fine, 2 * size, hyperparameter("clip", 0.0, positive));
    refused(&sgd.with_clip(-1.0), size, &fine, size, hyperparameter("clip", -1.0, positive));
    let nonnegative = "a finite number that is not negative";
    let decay = adam.with_decoupled_weight_decay(WeightDecay::all(-1.0));
    refused(&decay, size, &fine, 2 * size, hyperparameter("weight decay", -1.0, nonnegative));
    // What is positive in f64 may be zero in f32.
    let mut theta = vec![0.5f32; size];
    let tiny = Adam { epsilon: 1e-60, ..adam };
    let mut moments = vec![0.0; 2 * size];
    let error = tiny.update(&instance.plan, &mut theta, &mut vec![0.0; size], &mut State::new(&mut moments));
    assert_eq!(error, Err(hyperparameter("epsilon", 1e-60, epsilon)));
}

/// The count of steps may be anything that is stored.
#[test]
fn adam_after_very_many_steps() {
    let instance = instance::<f64>();
    let size = instance.parameters();
    for steps in [u64::MAX - 1, u64::MAX] {
        let (mut theta, mut moments) = (vec![0.5; size], vec![0.01; 2 * size]);
        let mut state = State { steps, ..State::new(&mut moments) };
        Adam::new(0.1).update(&instance.plan, &mut theta, &mut vec![0.1; size], &mut state).expect("an update");
        // Without bias correction.
        let (first, second) = (0.9 * 0.01 + 0.1 * 0.1, 0.999 * 0.01 + 0.001 * 0.01f64);
        let expected = 0.5 - 0.1 * first / (second.sqrt() + 1e-8);
        assert!(theta.iter().all(|x| (x - expected).abs() < 1e-12), "{} for {expected}", theta[0]);
    }
}

/// A schedule sets the rate of every optimizer, also through a trait object.
#[test]
fn the_learning_rate_is_that_of_the_base() {
    let mut optimizers: [Box<dyn Optimizer<f32>>; 4] = [
        Box::new(Sgd::new(0.5)),
        Box::new(Adam::new(0.5)),
        Box::new(Sam::new(Adam::new(0.5), 0.1)),
        Box::new(Hsr::new(Sgd::new(0.5), 0.1)),
    ];
    for optimizer in &mut optimizers {
        assert_eq!(optimizer.learning_rate(), 0.5);
        optimizer.set_learning_rate(0.25);
        assert_eq!(optimizer.learning_rate(), 0.25);
    }
}
