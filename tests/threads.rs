//! Steps from many threads at once: plans are shared, every thread has memory of its own, and each gets the bits that one alone gets. And
//! steps by several threads, which have the bits of one.

mod common;

use std::thread;

use common::problem::{Labels, Recipe, Way};
use flatmin::{
    Activation, Batch, Error, Hsr, Hyperparameters, Network, Optimizer, Plan, Real, Sam, Sampling, Sgd, State, Step,
    WeightDecay,
};

const fn shared<T: Send + Sync>() {}

#[test]
fn everything_can_be_shared_and_sent() {
    shared::<Plan>();
    shared::<Network>();
    shared::<Batch<'_, f32>>();
    shared::<State<'_, f64>>();
    shared::<(Sgd, Sam, Hsr, Step, Error)>();
    #[cfg(feature = "alloc")]
    shared::<(flatmin::Training<f32, Hsr>, flatmin::Predictor<f64>)>();
}

/// The parameters, as bits, after a few steps of all kinds.
fn train<T: Real>(recipe: &Recipe, way: Way, seed: u64) -> Vec<u64> {
    train_by::<T>(recipe, way, seed, |plan| plan)
}

/// The same, by a plan that was changed.
fn train_by<T: Real>(recipe: &Recipe, way: Way, seed: u64, change: impl FnOnce(Plan) -> Plan) -> Vec<u64> {
    let instance = recipe.problem().instance::<T>().by(way);
    let (plan, batch) = (&change(instance.plan), instance.batch());
    let sgd = Sgd::new(0.05).with_momentum(0.9).with_weight_decay(WeightDecay::all(0.01));
    let sampled = Hsr::sampled(sgd, 0.1, Sampling::new(seed));
    let space = sampled.workspace_len(plan).unwrap().max(plan.workspace_len());
    let mut workspace = vec![T::NAN; space];
    let (mut theta, mut velocity) = (instance.theta.clone(), vec![T::ZERO; instance.theta.len()]);
    let mut state = State::new(&mut velocity);
    for _ in 0..5 {
        Hsr::new(sgd, 0.1).step(plan, &mut theta, &batch, &mut state, &mut workspace).unwrap();
        sampled.step(plan, &mut theta, &batch, &mut state, &mut workspace).unwrap();
        Sam::new(sgd, 0.1).step(plan, &mut theta, &batch, &mut state, &mut workspace).unwrap();
        sgd.step(plan, &mut theta, &batch, &mut state, &mut workspace).unwrap();
    }
    theta.iter().map(|x| x.to_f64().to_bits()).collect()
}

#[test]
fn threads_do_not_disturb_each_other() {
    let labels = Labels::Soft;
    let recipe =
        Recipe { inputs: 9, hidden: 11, classes: 4, samples: 33, activation: Activation::Gelu, labels, seed: 5 };
    for way in Way::ALL {
        let alone = [train::<f32>(&recipe, way, 0), train::<f64>(&recipe, way, 0)];
        let other = train::<f64>(&recipe, way, 1);
        assert_ne!(alone[1], other, "the seed matters");
        thread::scope(|scope| {
            let start = |number: usize| {
                let recipe = &recipe;
                scope.spawn(move || match number % 3 {
                    0 => train::<f32>(recipe, way, 0),
                    1 => train::<f64>(recipe, way, 0),
                    _ => train::<f64>(recipe, way, 1),
                })
            };
            let threads: Vec<_> = (0..9).map(start).collect();
            for (number, thread) in threads.into_iter().enumerate() {
                let found = thread.join().unwrap();
                assert_eq!(&found, [&alone[0], &alone[1], &other][number % 3], "by {way}");
            }
        });
    }
}

/// What is predicted by so many threads, as bits.
#[cfg(feature = "threads")]
fn predicted<T: Real>(recipe: &Recipe, threads: usize) -> Vec<u64> {
    let instance = recipe.problem().instance::<T>();
    let plan = instance.plan.with_threads(threads).unwrap();
    let mut numbers = vec![T::NAN; recipe.samples * recipe.classes];
    let (mut classes, mut bits) = (vec![u32::MAX; recipe.samples], Vec::new());
    for predict in [flatmin::logits, flatmin::probabilities] {
        let mut workspace = vec![T::NAN; plan.gradient_workspace_len()];
        predict(&plan, &instance.theta, &instance.inputs, &mut numbers, &mut workspace).unwrap();
        bits.extend(numbers.iter().map(|x| x.to_f64().to_bits()));
    }
    let mut workspace = vec![T::NAN; plan.gradient_workspace_len()];
    flatmin::classes(&plan, &instance.theta, &instance.inputs, &mut classes, &mut workspace).unwrap();
    bits.extend(classes.into_iter().map(u64::from));
    bits
}

/// By every way, in both types, by one to four threads; of sizes at which all that can be split is.
#[cfg(feature = "threads")]
#[test]
fn several_threads_have_the_bits_of_one() {
    let [small, large] = [[33, 9, 11, 4], [167, 100, 67, 10]].map(|[samples, inputs, hidden, classes]| Recipe {
        inputs,
        hidden,
        classes,
        samples,
        activation: Activation::Tanh,
        labels: Labels::Soft,
        seed: 5,
    });
    for recipe in [&small, &large] {
        let alone = (predicted::<f32>(recipe, 1), predicted::<f64>(recipe, 1));
        for threads in 2..=4 {
            let found = (predicted::<f32>(recipe, threads), predicted::<f64>(recipe, threads));
            assert!(found == alone, "{threads} threads");
        }
        for way in Way::ALL {
            // With blocks of this many inputs, M²D² numbers are too many for a test.
            let inputs = if way.route == flatmin::Route::Blocks { recipe.inputs.min(20) } else { recipe.inputs };
            let recipe = Recipe { inputs, ..*recipe };
            let alone = (train::<f32>(&recipe, way, 0), train::<f64>(&recipe, way, 0));
            for threads in 1..=4 {
                let by = |plan: Plan| plan.with_threads(threads).unwrap();
                let found = (train_by::<f32>(&recipe, way, 0, by), train_by::<f64>(&recipe, way, 0, by));
                assert!(found == alone, "{threads} threads, by {way}");
            }
        }
    }
}

/// All quantities of a data set, as bits: by chunks that tiles and halves do not divide, and by smaller ones than a tile.
#[cfg(feature = "threads")]
fn of_data_set<T: Real>(recipe: &Recipe, way: Way, chunk: usize, threads: usize) -> Vec<u64> {
    let data = recipe.problem().instance::<T>();
    let plan = &way.of(Plan::new(data.plan.network(), chunk).unwrap()).with_threads(threads).unwrap();
    let (theta, batch) = (&data.theta, &data.batch());
    let mut workspace = vec![T::NAN; plan.data_set_workspace_len().unwrap().max(plan.workspace_len())];
    let [mut gradient, mut product] = [(); 2].map(|()| vec![T::NAN; theta.len()]);
    let loss = flatmin::data_set_loss(plan, theta, batch, &mut workspace).unwrap();
    flatmin::data_set_loss_gradient(plan, theta, batch, &mut gradient, &mut workspace).unwrap();
    flatmin::data_set_hessian_vector_product(plan, theta, batch, theta, &mut product, &mut workspace).unwrap();
    let exact = flatmin::data_set_curvature(plan, theta, batch, &mut workspace).unwrap().traces;
    let estimate = flatmin::data_set_curvature_estimate(plan, theta, batch, &mut workspace).unwrap().traces;
    let traces = [exact, estimate]
        .map(|traces| [traces.output, traces.hidden, traces.output_square, traces.cross_square, traces.hidden_square]);
    let vectors = gradient.iter().chain(&product).map(|x| x.to_f64());
    vectors.chain(traces.concat()).chain([loss.loss]).map(f64::to_bits).collect()
}

#[cfg(feature = "threads")]
#[test]
fn several_threads_have_the_bits_of_one_on_a_data_set() {
    let recipe = Recipe {
        inputs: 20,
        hidden: 67,
        classes: 6,
        samples: 167,
        activation: Activation::Tanh,
        labels: Labels::Soft,
        seed: 5,
    };
    for way in Way::ALL {
        for chunk in [23, 40, 90] {
            let alone = of_data_set::<f32>(&recipe, way, chunk, 1);
            for threads in 2..=4 {
                assert!(of_data_set::<f32>(&recipe, way, chunk, threads) == alone, "{threads}, {chunk} by {way}");
            }
            let alone = of_data_set::<f64>(&recipe, way, chunk, 1);
            assert!(of_data_set::<f64>(&recipe, way, chunk, 2) == alone, "{chunk} by {way}");
        }
    }
}

#[cfg(feature = "threads")]
#[test]
fn every_thread_has_scratch_of_its_own() {
    let network = Network::new(flatmin::Shape::new(64, 32, 10).unwrap(), Activation::Tanh);
    let one = Plan::new(network, 64).unwrap();
    assert_eq!(one.threads(), 1);
    assert_eq!(one.with_threads(1), Ok(one));
    assert_eq!(one.with_threads(0), Err(Error::TooSmall { argument: "threads", given: 0, least: 1 }));
    assert_eq!(one.with_threads(usize::MAX), Err(Error::TooLarge { quantity: "workspace" }));
    let lengths = [1, 2, 3].map(|threads| {
        let plan = one.with_threads(threads).unwrap();
        assert_eq!(plan.threads(), threads);
        [plan.workspace_len(), plan.gradient_workspace_len(), Sampling::default().workspace_len(&plan).unwrap()]
    });
    for at in 0..3 {
        let [one, two, three] = lengths.map(|lengths| lengths[at]);
        assert!(two > one);
        assert_eq!(three - two, two - one);
    }
}
