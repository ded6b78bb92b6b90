//! Steps with a sampled penalty: their formula without a limit, resuming, what is refused, small batches.

use super::*;

/// θ, velocity, count and averages: all there is to store.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Training<T> {
    pub(super) theta: Vec<T>,
    pub(super) velocity: Vec<T>,
    pub(super) steps: u64,
    pub(super) averages: Averages,
}

impl<T: Real> Training<T> {
    pub(super) fn new(instance: &Instance<T>) -> Self {
        let velocity = vec![T::ZERO; instance.parameters()];
        Self { theta: instance.theta.clone(), velocity, steps: 0, averages: Averages::default() }
    }

    pub(super) fn step(&mut self, instance: &Instance<T>, hsr: &Hsr) -> flatmin::Result<flatmin::Step> {
        let mut state = State { moments: &mut self.velocity, steps: self.steps, averages: self.averages };
        let mut workspace = nan(hsr.workspace_len(&instance.plan).unwrap_or(0));
        let step = hsr.step(&instance.plan, &mut self.theta, &instance.batch(), &mut state, &mut workspace);
        (self.steps, self.averages) = (state.steps, state.averages);
        step
    }
}

pub(super) const SGD: Sgd = Sgd::new(0.05).with_momentum(0.9).with_weight_decay(WeightDecay::all(0.01));

pub(super) fn hsr(direction: Direction) -> Hsr {
    Hsr { direction, ..Hsr::sampled(SGD, 0.1, Sampling { subset: kept(4), ..Sampling::new(5) }) }
}

#[test]
fn training_resumes_to_the_last_bit() {
    fn check<T: Real>(direction: Direction) {
        let hsr = hsr(direction);
        for recipe in recipes(9) {
            let instance = recipe.problem().instance::<T>();
            let mut whole = Training::new(&instance);
            let mut stored = None;
            for step in 0..6 {
                if step == 3 {
                    stored = Some(whole.clone());
                }
                whole.step(&instance, &hsr).expect("a step");
            }
            let mut resumed = stored.expect("three steps in");
            for _ in 0..3 {
                resumed.step(&instance.clone(), &hsr).expect("a step");
            }
            assert_eq!(resumed, whole, "{recipe:?}");
            assert_eq!((whole.steps, whole.averages.count), (6, 6));
            assert!(whole.averages.limit > 0.0, "{recipe:?}: a limit, by default");
        }
    }
    for direction in [Direction::Gradient, Direction::Unit] {
        check::<f64>(direction);
        check::<f32>(direction);
    }
}

/// What the slopes of Λ are taken at: mixtures of averages and estimates.
pub(super) fn slopes(before: &Averages, estimate: &Estimate, own_share: f64, shape: Shape) -> [f64; 2] {
    let size = shape.parameters() as f64;
    let own = [estimate.trace, estimate.trace_of_square];
    let [trace, square] = if before.count == 0 { own } else { [before.trace, before.trace_of_square] };
    let mix = |average: f64, own: f64| (1.0 - own_share) * average + own_share * own;
    let square = mix(square, own[1].max(0.0)).max(0.0);
    // H has M + 1 directions of zero curvature.
    let most = ((size - shape.hidden() as f64 - 1.0) * square).sqrt();
    method::slopes(mix(trace, own[0]).clamp(-most, most), square, size)
}

/// The step's gradient, by a step of rate 0 without velocity: that is then the gradient.
pub(super) fn gradient_of_step<T: Real>(
    training: &mut Training<T>,
    instance: &Instance<T>,
    rho: f64,
    sampling: Sampling,
) -> (Vec<T>, Estimate) {
    training.velocity.fill(T::ZERO);
    let step = training.step(instance, &Hsr::sampled(Sgd::new(0.0).with_momentum(0.5), rho, sampling)).expect("a step");
    assert_eq!(step.curvature, None);
    (training.velocity.clone(), step.estimate.unwrap_or_default())
}

pub(super) const OWN_SHARES: [f64; 4] = [0.0, 0.3, 0.5, 1.0];

/// A step is `∇L + ρ∇Λ` with Λ's slopes at mixtures of the averages before it and its own estimates; these alone where it is the first.
#[test]
fn steps_follow_their_formula() {
    for recipe in recipes(9) {
        let instance = recipe.problem().instance::<f64>();
        let shape = instance.plan.shape();
        for own_share in OWN_SHARES {
            let sampling = Sampling { subset: kept(4), own_share, limited_share: 0.0, beta: 0.5, ..Sampling::new(5) };
            let mut training = Training::new(&instance);
            for count in 0..5 {
                if count == 3 {
                    // More than the traces of any H with its directions of zero curvature: m is clamped.
                    training.averages.trace = 100.0 * training.averages.trace_of_square.abs().sqrt();
                }
                let before = training.averages;
                let (given, estimated) = gradient_of_step(&mut training, &instance, 0.3, sampling);
                let (_, expected, _) = estimate(&instance, &sampling, count, TRACE);
                assert_eq!(estimated, expected);
                let [trace, square] = slopes(&before, &expected, own_share, shape).map(|slope| 0.3 * slope);
                let mixture = Mixture { loss: 1.0, trace, trace_of_square: square };
                let (_, _, gradient) = estimate(&instance, &sampling, count, mixture);
                close(&format!("{recipe:?} {own_share} {count}"), &given, &gradient, 1e-11);
                let mixed = |old: f64, new: f64| if count == 0 { new } else { 0.5 * old + 0.5 * new };
                let expected = Averages {
                    trace: mixed(before.trace, expected.trace),
                    trace_of_square: mixed(before.trace_of_square, expected.trace_of_square),
                    count: count + 1,
                    ..Averages::default()
                };
                assert_eq!(training.averages, expected);
            }
        }
    }
}

/// Some steps in, so that there are averages and a limit.
pub(super) fn trained<T: Real>(instance: &Instance<T>, sampling: Sampling) -> Training<T> {
    let mut training = Training::new(instance);
    for _ in 0..5 {
        gradient_of_step(&mut training, instance, 0.3, sampling);
    }
    training
}

/// A plan is for batches of up to so many samples. A smaller batch is estimated as by a plan of its own size, to the bit.
#[test]
fn batches_smaller_than_the_plans_are_their_own() {
    fn check<T: Real>() {
        for recipe in recipes(7) {
            for weights in [PairWeights::Batch, PairWeights::DataSet { samples: 40 }] {
                let mut exact = recipe.problem().instance::<T>();
                exact.plan = exact.plan.with_pair_weights(weights);
                let mut roomy = exact.clone();
                roomy.plan = Plan::new(exact.plan.network(), 12).expect("a plan").with_pair_weights(weights);
                // Fewer than the batch has, as many, more, and more than the plan's.
                for subset in [kept(4), kept(7), kept(9), kept(15), None] {
                    let sampling = Sampling { subset, ..Sampling::new(5) };
                    for mixture in [TRACE, SQUARE] {
                        let (given, expected) =
                            (estimate(&roomy, &sampling, 3, mixture), estimate(&exact, &sampling, 3, mixture));
                        assert_eq!(given, expected, "{recipe:?} {weights:?} {subset:?}");
                    }
                    let train = |instance: &Instance<T>| {
                        let mut training = Training::new(instance);
                        for _ in 0..3 {
                            training.step(instance, &Hsr::sampled(SGD, 0.1, sampling)).expect("a step");
                        }
                        training
                    };
                    assert_eq!(train(&roomy), train(&exact), "{recipe:?} {weights:?} {subset:?}");
                }
            }
        }
    }
    check::<f64>();
    check::<f32>();
}

/// Where the update fails, after the estimate, averages and counts are those before.
#[test]
fn a_step_whose_update_fails_changes_nothing() {
    fn check<T: Real>() {
        let instance = batch(Activation::Tanh).instance::<T>();
        let sampling = Sampling { subset: kept(4), ..Sampling::new(5) };
        for direction in [Direction::Gradient, Direction::Unit] {
            let hsr = |rate: f64| Hsr {
                direction,
                ..Hsr::sampled(Sgd { learning_rate: rate, weight_decay: WeightDecay::all(100.0), ..SGD }, 0.1, sampling)
            };
            for mut training in [Training::new(&instance), trained(&instance, sampling)] {
                let before = training.clone();
                let refused = training.step(&instance, &hsr(f64::MAX));
                assert_eq!(refused, Err(Error::Overflow { quantity: "new parameters" }));
                assert_eq!(training, before, "{direction:?}");
                training.step(&instance, &hsr(1e-3)).expect("a step");
                assert_eq!(training.averages.count, before.averages.count + 1);
                assert_ne!(training.averages, before.averages);
            }
        }
    }
    check::<f64>();
    check::<f32>();
}

/// A count of 0 means that nothing was averaged: it is not come back to.
#[test]
fn the_count_of_averages_skips_zero() {
    let estimate = Estimate { trace: 1.0, trace_of_square: 2.0, kept: 3, weight: 4.0 };
    let counted = |count: u64| Averages { count, ..Averages::default() }.with(&estimate, 0.5).count;
    assert_eq!([0, 1, u64::MAX - 1, u64::MAX].map(counted), [1, 2, u64::MAX, 1]);

    let instance = batch(Activation::Tanh).instance::<f64>();
    let mut training = trained(&instance, Sampling { subset: kept(4), ..Sampling::new(5) });
    let before = training.averages;
    training.averages.count = u64::MAX;
    training.step(&instance, &hsr(Direction::Gradient)).expect("a step");
    assert_eq!(training.averages.count, 1);
    // They were not begun anew.
    let limit = training.averages.limit / before.limit;
    assert!((0.9..1.3).contains(&limit) && limit != 1.0, "{limit}");
}

#[test]
fn bad_parameters_are_refused_and_nothing_changes() {
    let instance = batch(Activation::Tanh).instance::<f64>();
    let good = Sampling::new(1);
    let hyperparameter = |sampling: Sampling, name: &str| {
        let hsr = Hsr::sampled(SGD, 0.1, sampling);
        let mut training = Training::new(&instance);
        let before = training.clone();
        match training.step(&instance, &hsr) {
            Err(Error::Hyperparameter { argument, .. } | Error::TooSmall { argument, .. }) => {
                assert_eq!(argument, name)
            }
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(training, before);
        assert!(hsr.workspace_len(&instance.plan).is_err());
    };
    hyperparameter(Sampling { subset: kept(1), ..good }, "subset");
    for alpha in [0.0, -0.1, 5e-324, Sampling::LEAST_ALPHA / 2.0, 1.1, f64::NAN] {
        hyperparameter(Sampling { alpha, ..good }, "alpha");
    }
    for beta in [-0.1, 1.0, f64::NAN, f64::INFINITY] {
        hyperparameter(Sampling { beta, ..good }, "beta");
    }
    for own_share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        hyperparameter(Sampling { own_share, ..good }, "own share");
    }
    for limited_share in [-0.1, 1.0, f64::NAN, f64::INFINITY] {
        hyperparameter(Sampling { limited_share, ..good }, "limited share");
    }
    let edges = Sampling { alpha: Sampling::LEAST_ALPHA, beta: 0.0, own_share: 0.0, limited_share: 0.0, ..good };
    for sampling in [edges, Sampling { alpha: 1.0, own_share: 1.0, limited_share: 0.99, ..good }] {
        assert_eq!(sampling.check(), Ok(()));
    }

    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let (mut workspace, mut gradient) = (instance.workspace(), vec![0.25; instance.parameters()]);
        for (mixture, name) in [
            (Mixture { loss: bad, ..SQUARE }, "loss weight"),
            (Mixture { trace: bad, ..SQUARE }, "trace weight"),
            (Mixture { trace_of_square: bad, ..TRACE }, "square weight"),
        ] {
            let (plan, theta, batch) = (&instance.plan, &instance.theta, &instance.batch());
            let refused =
                sampled_gradient(plan, theta, batch, &good, 0, mixture, &mut gradient, &mut workspace).map(drop);
            assert!(
                matches!(refused, Err(Error::Hyperparameter { argument, .. }) if argument == name),
                "{name}: {refused:?}"
            );
            assert!(gradient.iter().all(|&entry| entry == 0.25));
        }
    }

    let mut small = instance.clone();
    small.plan = small.plan.with_pair_weights(PairWeights::DataSet { samples: 3 });
    let mut training = Training::new(&small);
    let before = training.clone();
    let refused = training.step(&small, &Hsr::sampled(SGD, 0.1, good));
    assert_eq!(refused, Err(Error::PairWeights { samples: 12, data_set: 3 }));
    assert_eq!(training, before);

    let hsr = Hsr::sampled(SGD, 0.1, good);
    let needed = hsr.workspace_len(&instance.plan).expect("good parameters");
    let mut state = State::new(&mut training.velocity);
    let mut short = vec![0.0; needed - 1];
    let refused = hsr.step(&instance.plan, &mut training.theta, &instance.batch(), &mut state, &mut short);
    assert_eq!(refused, Err(Error::Workspace { given: needed - 1, needed }));
    let huge = Sampling { subset: kept(usize::MAX), ..good };
    assert_eq!(huge.subset_len(&instance.plan), 12);
}

#[test]
fn automatic_subsets_follow_the_counted_cost() {
    for recipe in recipes(300).chain([Recipe { inputs: 400, hidden: 64, ..recipes(128).next().expect("one") }]) {
        let plan = recipe.problem().instance::<f32>().plan;
        let sampling = Sampling::default();
        let size = sampling.subset_len(&plan);
        assert!((Sampling::LEAST..=Sampling::MOST).contains(&size));
        let budget = Sampling::SHARE * plan.flops().gradient as f64;
        let cost = |size: usize| Sampling { subset: kept(size), ..sampling }.flops(&plan) as f64;
        assert!(size == Sampling::LEAST || cost(size) <= budget, "{recipe:?}");
        assert!(size == Sampling::MOST || cost(size + 1) > budget, "{recipe:?}");
        assert!(plan.to_string().contains(&format!("by {size} samples")));
    }
}

/// A network that is certain of everything, and right: no curvature, and no division by zero.
#[test]
fn certainty_is_no_trouble() {
    fn check<T: Real>() {
        let mut problem = batch(Activation::Tanh);
        for margin in [30.0, 100.0, 2000.0] {
            let bias = problem.shape().output_bias();
            problem.theta[bias].copy_from_slice(&[margin, 0.0, -margin]);
            problem.indices = Some(vec![0; 12]);
            problem.targets = [1.0, 0.0, 0.0].repeat(12);
            let instance = problem.instance::<T>();
            let mut training = Training::new(&instance);
            for _ in 0..3 {
                training.step(&instance, &hsr(Direction::Gradient)).expect("a step");
            }
            assert!(training.theta.iter().all(|x| x.is_finite()));
        }
    }
    check::<f64>();
    check::<f32>();
}

/// Averages that are not finite would take away the penalty without a word, and so would a negative limit.
#[test]
fn averages_that_cannot_be_are_refused() {
    let instance = recipes(9).next().expect("a recipe").problem().instance::<f64>();
    let hsr = hsr(Direction::Gradient);
    let good = Averages { trace: 1.0, trace_of_square: 1.0, limit: 1.0, whole: 1.0, limited: 1.0, count: 3 };
    let check = |averages: Averages, error: Error| {
        let mut training = Training { averages, ..Training::new(&instance) };
        let before = training.theta.clone();
        assert_eq!(training.step(&instance, &hsr), Err(error));
        assert_eq!((&training.theta, training.steps), (&before, 0));
        // Before the first estimate they are not read.
        training.averages.count = 0;
        let mut fresh = Training::new(&instance);
        assert_eq!(training.step(&instance, &hsr), fresh.step(&instance, &hsr));
        assert_eq!(training, fresh);
    };
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for (index, averages) in [
            Averages { trace: bad, ..good },
            Averages { trace_of_square: bad, ..good },
            Averages { limit: bad, ..good },
            Averages { whole: bad, ..good },
            Averages { limited: bad, ..good },
        ]
        .into_iter()
        .enumerate()
        {
            check(averages, Error::NotFinite { argument: "averages", index });
        }
    }
    let given = -1.0;
    for (argument, averages) in [
        ("average limit", Averages { limit: given, ..good }),
        ("average whole", Averages { whole: given, ..good }),
        ("average limited", Averages { limited: given, ..good }),
    ] {
        check(averages, Error::Hyperparameter { argument, given, expected: "a number that is not negative" });
    }
    // Averages of traces may be negative, and sizes of nothing are 0.
    for averages in [
        Averages { trace: -1.0, trace_of_square: -1.0, ..good },
        Averages { limit: 0.0, whole: 0.0, limited: 0.0, ..good },
        Averages { whole: 0.0, limited: 0.0, ..good },
    ] {
        let mut training = Training { averages, ..Training::new(&instance) };
        training.step(&instance, &hsr).expect("a step");
    }
}
