//! [`Training`] against the functions on slices: the same bits.

use std::num::NonZeroUsize;

use crate::common::call::nan;
use crate::common::problem::{Labels, Problem, Recipe};
use flatmin::{
    Activation, Adam, Averages, Batch, Direction, Error, Hsr, Optimizer, Order, PairWeights, Plan, Predictor, Real,
    Sam, Sampling, Sgd, State, Targets, Training,
};

/// 23 samples, for batches of at most `batch`.
pub fn problem(labels: Labels) -> Problem {
    let recipe =
        Recipe { inputs: 4, hidden: 5, classes: 3, samples: 23, activation: Activation::Silu, labels, seed: 9 };
    recipe.problem()
}

pub fn plan(problem: &Problem, batch: usize) -> Plan {
    Plan::new(problem.network, batch).expect("a small plan")
}

/// One optimizer of each kind, on both bases.
pub fn optimizers<T: Real>() -> Vec<Box<dyn Optimizer<T>>> {
    let (sgd, adam) = (Sgd::new(0.2).with_momentum(0.5), Adam::new(0.05));
    // Fewer samples than a batch has, so that they have a limit.
    let sampled = Hsr::sampled(sgd, 0.1, Sampling { subset: NonZeroUsize::new(3), ..Sampling::new(3) });
    vec![
        Box::new(Sgd::new(0.2)),
        Box::new(sgd),
        Box::new(adam),
        Box::new(Sam::new(sgd, 0.1)),
        Box::new(Hsr::new(adam, 0.1)),
        Box::new(sampled),
        Box::new(Hsr { direction: Direction::Unit, ..sampled }),
    ]
}

pub fn bits<T: Real>(values: &[T]) -> Vec<u64> {
    values.iter().map(|value| value.to_f64().to_bits()).collect()
}

/// Three epochs, in an order of the caller's, against a loop over the functions.
fn agrees_with_the_functions<T: Real>(labels: Labels, batch: usize) {
    let problem = problem(labels);
    let (data, plan) = (problem.instance::<T>(), plan(&problem, batch));
    let order: Vec<usize> = (0..23).map(|i| i * 7 % 23).collect();
    let mut theta = vec![T::ZERO; data.parameters()];
    problem.network.initialize(&mut theta, 4).expect("a length of P");
    for (which, optimizer) in optimizers::<T>().into_iter().enumerate() {
        let mut training = Training::new(plan, optimizers::<T>().swap_remove(which), 4).expect("a training");
        assert_eq!(bits(training.theta()), bits(&theta), "starts from the seed");
        let mut theta = theta.clone();
        let mut moments = vec![T::ZERO; optimizer.moments_len(plan.shape())];
        let mut state = State::new(&mut moments);
        let workspace = &mut nan(optimizer.workspace_len(&plan).expect("sizes"));
        for _ in 0..3 {
            let epoch = training.epoch(&data.batch(), Order::Of(&order)).expect("an epoch");
            let mut mean = 0.0;
            let pieces = 23usize.div_ceil(batch);
            let mut start = 0;
            for piece in 0..pieces {
                let end = start + 23 / pieces + usize::from(piece < 23 % pieces);
                let part = problem.rows(&order[start..end]).instance::<T>();
                let step = optimizer.step(&plan, &mut theta, &part.batch(), &mut state, workspace).expect("a step");
                mean += (end - start) as f64 / 23.0 * step.loss;
                start = end;
            }
            assert_eq!((epoch.loss, epoch.steps), (mean, pieces as u64), "{which}");
            assert_eq!(bits(training.theta()), bits(&theta), "{which}");
            assert_eq!(bits(training.moments()), bits(state.moments), "{which}");
            assert_eq!((training.steps(), training.averages()), (state.steps, state.averages), "{which}");
        }
        assert_eq!(training.epochs(), 3);
    }
}

#[test]
fn epochs_are_steps_of_the_functions_to_the_bit() {
    for labels in [Labels::Hard, Labels::Soft] {
        for batch in [5, 8, 23, 40] {
            agrees_with_the_functions::<f64>(labels, batch);
            agrees_with_the_functions::<f32>(labels, batch);
        }
    }
}

#[test]
fn the_given_order_is_that_of_indices() {
    let problem = problem(Labels::Soft);
    let data = problem.instance::<f32>();
    let train = |order: Order<'_>| {
        let mut training = Training::new(plan(&problem, 8), Adam::new(0.05), 1).expect("a training");
        let losses: Vec<f64> = (0..3).map(|_| training.epoch(&data.batch(), order).expect("an epoch").loss).collect();
        (losses, bits(training.theta()))
    };
    let straight: Vec<usize> = (0..23).collect();
    assert_eq!(train(Order::AsGiven), train(Order::Of(&straight)));
    assert_ne!(train(Order::AsGiven), train(Order::Shuffled));
    assert_eq!(train(Order::Shuffled), train(Order::Shuffled));
}

/// With a learning rate of zero the mean over the epoch is the mean over the data set, whatever the order: each sample is taken once.
#[test]
fn shuffled_epochs_take_each_sample_once() {
    let problem = problem(Labels::Hard);
    let data = problem.instance::<f64>();
    let mut training = Training::new(plan(&problem, 1), Sgd::new(0.0), 1).expect("a training");
    let expected = training.evaluate(&data.batch()).expect("a loss").loss;
    for _ in 0..5 {
        let epoch = training.epoch(&data.batch(), Order::Shuffled).expect("an epoch");
        assert!((epoch.loss - expected).abs() <= 30.0 * f64::EPSILON * expected, "{} for {expected}", epoch.loss);
        assert_eq!(epoch.steps, 23);
    }
}

/// The last batch is not a single sample, of which the data set's tr H² cannot be estimated.
#[test]
fn pair_weights_of_a_data_set_meet_no_single_sample() {
    let problem = problem(Labels::Hard);
    let data = problem.instance::<f64>();
    let plan = plan(&problem, 11).with_pair_weights(PairWeights::DataSet { samples: 23 });
    let mut training = Training::new(plan, Hsr::new(Sgd::new(0.1), 0.1), 1).expect("a training");
    assert_eq!(training.epoch(&data.batch(), Order::Shuffled).expect("an epoch").steps, 3);
}

#[test]
fn what_is_looked_at_is_that_of_the_functions() {
    let problem = problem(Labels::Soft);
    let data = problem.instance::<f64>();
    let plan = plan(&problem, 8);
    // SGD's workspace is shorter than that of the curvature.
    let mut training = Training::new(plan, Sgd::new(0.1), 1).expect("a training");
    training.epoch(&data.batch(), Order::Shuffled).expect("an epoch");
    let theta = training.theta().to_vec();
    let space = &mut nan::<f64>(plan.data_set_workspace_len().expect("sizes"));
    let expected = flatmin::data_set_curvature(&plan, &theta, &data.batch(), space).expect("a curvature");
    assert_eq!(training.curvature(&data.batch()).expect("a curvature"), expected);
    let expected = flatmin::data_set_curvature_estimate(&plan, &theta, &data.batch(), space).expect("an estimate");
    assert_eq!(training.curvature_estimate(&data.batch()).expect("an estimate"), expected);
    let expected = flatmin::data_set_loss(&plan, &theta, &data.batch(), space).expect("a loss");
    assert_eq!(training.evaluate(&data.batch()).expect("a loss"), expected);

    let (logits, p) =
        (training.logits(&data.inputs).expect("logits"), training.probabilities(&data.inputs).expect("p"));
    let classes = training.classes(&data.inputs).expect("classes");
    assert_eq!((logits.len(), p.len(), classes.len()), (69, 69, 23));
    for first in [0, 8, 16] {
        let end = (first + 8).min(23);
        let inputs = &data.inputs[4 * first..4 * end];
        let (mut z, mut of_class) = (nan::<f64>(3 * (end - first)), vec![9; end - first]);
        flatmin::logits(&plan, &theta, inputs, &mut z, space).expect("logits");
        assert_eq!(bits(&z), bits(&logits[3 * first..3 * end]));
        flatmin::probabilities(&plan, &theta, inputs, &mut z, space).expect("p");
        assert_eq!(bits(&z), bits(&p[3 * first..3 * end]));
        flatmin::classes(&plan, &theta, inputs, &mut of_class, space).expect("classes");
        assert_eq!(of_class, classes[first..end]);
    }
}

#[test]
fn a_schedule_sets_the_rate_of_every_step() {
    let problem = problem(Labels::Hard);
    let data = problem.instance::<f64>();
    let sgd = Sgd::new(99.0);
    let rate = |step: u64| 0.5 / (step as f64 + 1.0);
    let mut training = Training::new(plan(&problem, 8), sgd, 1).expect("a training").with_schedule(rate);
    training.epoch(&data.batch(), Order::AsGiven).expect("an epoch");
    assert_eq!(training.optimizer().learning_rate, rate(2));

    let mut by_hand = Training::new(plan(&problem, 8), sgd, 1).expect("a training");
    for (step, rows) in [0..8, 8..16, 16..23].into_iter().enumerate() {
        by_hand.set_learning_rate(rate(step as u64));
        by_hand.step(&data.batch().rows(rows).expect("rows")).expect("a step");
    }
    assert_eq!(bits(by_hand.theta()), bits(training.theta()));
}

#[test]
fn the_best_parameters_are_kept() {
    let problem = problem(Labels::Hard);
    let data = problem.instance::<f64>();
    let mut training = Training::new(plan(&problem, 23), Sgd::new(0.1), 1).expect("a training");
    assert!(!training.restore_best() && training.best().is_none());
    let mut seen = Vec::new();
    for (score, since) in [(f64::NAN, 0), (0.5, 0), (0.25, 1), (f64::NAN, 2), (0.5, 3), (0.75, 0), (0.7, 1)] {
        training.step(&data.batch()).expect("a step");
        seen.push(training.theta().to_vec());
        assert_eq!(training.record(score).expect("memory"), since, "{score}");
    }
    let best = training.best().expect("scores");
    assert_eq!((best.score, best.since, best.steps, &best.theta), (0.75, 1, 6, &seen[5]));
    assert!(training.restore_best());
    assert_eq!((training.theta(), training.steps()), (&seen[5][..], 7));
}

#[test]
fn what_is_wrong_changes_nothing() {
    let problem = problem(Labels::Hard);
    let data = problem.instance::<f64>();
    let plan = plan(&problem, 8);
    let mut training = Training::new(plan, Adam::new(0.1), 1).expect("a training");
    training.epoch(&data.batch(), Order::Shuffled).expect("an epoch");
    let before = (bits(training.theta()), bits(training.moments()), training.steps(), training.epochs());

    let samples = Error::Samples { given: 23, planned: 8 };
    assert_eq!(training.step(&data.batch()), Err(samples));
    let index = Error::Index { argument: "order", given: 23, limit: 23 };
    assert_eq!(training.epoch(&data.batch(), Order::Of(&[0, 23])), Err(index));
    let empty = Error::TooSmall { argument: "order", given: 0, least: 1 };
    assert_eq!(training.epoch(&data.batch(), Order::Of(&[])), Err(empty));
    let other = flatmin::Shape::new(2, 5, 3).expect("sizes");
    let batch = Batch::new(other, &[0.5, 0.5], Targets::Classes(&[1])).expect("a batch");
    assert!(matches!(training.step(&batch), Err(Error::Shape { .. })));
    assert!(matches!(training.epoch(&batch, Order::Shuffled), Err(Error::Shape { .. })));
    assert!(matches!(training.evaluate(&batch), Err(Error::Shape { .. })));
    assert!(matches!(training.classes(&[0.5; 5]), Err(Error::Length { argument: "inputs", .. })));
    assert!(matches!(training.classes(&[]), Err(Error::TooSmall { .. })));
    let not_a_number = training.logits(&[[0.5; 4], [f64::NAN; 4]].concat());
    assert!(matches!(not_a_number, Err(Error::NotFinite { argument: "inputs", .. })));
    assert_eq!(before, (bits(training.theta()), bits(training.moments()), training.steps(), training.epochs()));

    training.set_learning_rate(f64::MAX);
    assert_eq!(training.epoch(&data.batch(), Order::Shuffled), Err(Error::Overflow { quantity: "new parameters" }));
    assert_eq!(before, (bits(training.theta()), bits(training.moments()), training.steps(), training.epochs()));

    let theta = data.theta;
    assert!(matches!(training.with_theta(&theta[1..]), Err(Error::Length { argument: "theta", .. })));
    let bad = Training::<f32, _>::new(plan, Sgd::new(-1.0), 1).map(drop);
    assert!(matches!(bad, Err(Error::Hyperparameter { argument: "learning rate", .. })));
}

/// Memory follows the optimizer: no step that `set_optimizer` allowed finds some of a wrong length.
#[test]
fn optimizers_can_be_changed() {
    let problem = problem(Labels::Hard);
    let data = problem.instance::<f64>();
    let plan = plan(&problem, 8);
    let first: Box<dyn Optimizer<f64>> = Box::new(Sgd::new(0.1));
    let mut training = Training::new(plan, first, 1).expect("a training");
    for optimizer in optimizers().into_iter().chain(optimizers().into_iter().rev()) {
        let kept = training.moments().len() == optimizer.moments_len(plan.shape());
        let before = training.moments().to_vec();
        training.set_optimizer(optimizer).expect("good hyperparameters");
        assert!(if kept { training.moments() == before } else { training.moments().iter().all(|&m| m == 0.0) });
        training.epoch(&data.batch(), Order::Shuffled).expect("an epoch");
    }
    let (steps, moments) = (training.steps(), training.moments().to_vec());
    let refused = training.set_optimizer(Box::new(Sgd::new(0.1).with_momentum(1.0)));
    assert!(matches!(refused, Err(Error::Hyperparameter { argument: "momentum", .. })));
    assert_eq!((training.steps(), training.moments()), (steps, &moments[..]));
    training.epoch(&data.batch(), Order::Shuffled).expect("an epoch of the optimizer before");
}

#[test]
fn a_predictor_predicts_as_its_training() {
    let problem = problem(Labels::Hard);
    let data = problem.instance::<f32>();
    let mut training = Training::new(plan(&problem, 256), Sgd::new(0.1), 1).expect("a training");
    training.epoch(&data.batch(), Order::Shuffled).expect("an epoch");
    let mut predictor = Predictor::new(training.network(), training.theta().to_vec()).expect("a length of P");
    assert_eq!(predictor.network(), problem.network);
    assert_eq!(predictor.classes(&data.inputs), training.classes(&data.inputs));
    assert_eq!(predictor.logits(&data.inputs), training.logits(&data.inputs));
    assert_eq!(predictor.probabilities(&data.inputs), training.probabilities(&data.inputs));
    // More than a chunk.
    let many = data.inputs.repeat(30);
    assert_eq!(predictor.classes(&many).expect("classes"), training.classes(&data.inputs).expect("classes").repeat(30));
    let short = Predictor::new(problem.network, vec![0.0f32; 3]);
    assert!(matches!(short, Err(Error::Length { argument: "theta", given: 3, .. })));
}

/// A plan for a batch goes by pairs; over many samples of a small network the blocks take a thousandth of the time.
#[test]
fn the_curvature_of_many_samples_goes_by_blocks() {
    let recipe = Recipe {
        inputs: 4,
        hidden: 8,
        classes: 3,
        samples: 3000,
        activation: Activation::Tanh,
        labels: Labels::Hard,
        seed: 2,
    };
    let problem = recipe.problem();
    let data = problem.instance::<f64>();
    let plan = plan(&problem, 16);
    assert_eq!(plan.route(), flatmin::Route::Pairs);
    assert_eq!(plan.for_data_set(3000).expect("a plan").route(), flatmin::Route::Blocks);
    assert_eq!(plan.for_data_set(16).expect("a plan"), plan);
    let mut training = Training::new(plan, Sgd::new(0.1), 1).expect("a training");
    let found = training.curvature(&data.batch()).expect("a curvature").traces.trace_of_square();
    let space = &mut nan::<f64>(plan.data_set_workspace_len().expect("sizes"));
    let by_pairs = flatmin::data_set_curvature(&plan, training.theta(), &data.batch(), space).expect("a curvature");
    let expected = by_pairs.traces.trace_of_square();
    assert!((found - expected).abs() <= 1e4 * f64::EPSILON * expected, "{found} for {expected}");
}

/// Half of a training by hand, on slices.
#[test]
fn a_training_goes_on_from_any_parameters() {
    let problem = problem(Labels::Hard);
    let data = problem.instance::<f32>();
    let training = Training::new(plan(&problem, 23), Sgd::new(0.1), 1).expect("a training");
    let mut training = training.with_theta(&data.theta).expect("finite numbers");
    assert_eq!(training.theta(), data.theta);
    let mut theta = data.theta.clone();
    let workspace = &mut nan(training.plan().gradient_workspace_len());
    let state = &mut State::new(&mut []);
    let step = Sgd::new(0.1).step(training.plan(), &mut theta, &data.batch(), state, workspace).expect("a step");
    assert_eq!(training.step(&data.batch()).expect("a step"), step);
    assert_eq!((training.theta(), training.averages()), (&theta[..], Averages::default()));
}
