//! Sampled steps that draw from a generator of the caller's (feature `rand_core`).

mod common;

use std::convert::Infallible;
use std::num::NonZeroUsize;

use common::call::{Quantity, nan};
use common::problem::{Instance, Labels, Recipe};
use flatmin::{Activation, Averages, Error, Hsr, Hyperparameters, Optimizer, Result, Sampling, Sgd, State, Step};
use rand::rngs::{ChaCha8Rng, ChaCha20Rng};
use rand::{Rng, SeedableRng, TryRng};

const SGD: Sgd = Sgd::new(0.05).with_momentum(0.9);

fn hsr() -> Hsr {
    Hsr::sampled(SGD, 0.1, sampling(0))
}

fn sampling(seed: u64) -> Sampling {
    Sampling { subset: NonZeroUsize::new(4), ..Sampling::new(seed) }
}

fn instance(samples: usize, hidden: usize, classes: usize) -> Instance<f64> {
    let (activation, labels) = (Activation::Tanh, Labels::Hard);
    Recipe { inputs: 3, hidden, classes, samples, activation, labels, seed: 4 }.problem().instance()
}

/// All there is to store of a training, but the source.
#[derive(Clone, Debug, PartialEq)]
struct Training {
    theta: Vec<f64>,
    velocity: Vec<f64>,
    steps: u64,
    averages: Averages,
}

impl Training {
    fn new(instance: &Instance<f64>) -> Self {
        let velocity = vec![0.0; instance.parameters()];
        Self { theta: instance.theta.clone(), velocity, steps: 0, averages: Averages::default() }
    }

    /// A step, by `step` on θ, the state and the workspace.
    fn by(
        &mut self,
        instance: &Instance<f64>,
        hsr: &Hsr,
        step: impl FnOnce(&mut [f64], &mut State<'_, f64>, &mut [f64]) -> Result<Step>,
    ) -> Result<Step> {
        let mut state = State { moments: &mut self.velocity, steps: self.steps, averages: self.averages };
        let mut workspace = nan(hsr.workspace_len(&instance.plan)?);
        let done = step(&mut self.theta, &mut state, &mut workspace);
        (self.steps, self.averages) = (state.steps, state.averages);
        done
    }

    fn drawn(&mut self, instance: &Instance<f64>, hsr: &Hsr, source: &mut (impl Rng + ?Sized)) -> Result<Step> {
        self.by(instance, hsr, |theta, state, workspace| {
            hsr.step_with(source, &instance.plan, theta, &instance.batch(), state, workspace)
        })
    }

    fn seeded(&mut self, instance: &Instance<f64>, hsr: &Hsr) -> Result<Step> {
        self.by(instance, hsr, |theta, state, workspace| {
            hsr.step(&instance.plan, theta, &instance.batch(), state, workspace)
        })
    }
}

#[test]
fn a_step_takes_one_word_for_its_seed() {
    fn check<R: Rng + SeedableRng>() {
        let [mut source, mut words] = [3, 3].map(R::seed_from_u64);
        for (samples, hidden, classes) in [(9, 5, 3), (40, 2, 2), (6, 17, 7)] {
            let instance = instance(samples, hidden, classes);
            let (mut drawn, mut seeded) = (Training::new(&instance), Training::new(&instance));
            for _ in 0..4 {
                let sampling = sampling(words.next_u64());
                // Behind a reference to a trait object, too.
                let step = drawn.drawn(&instance, &hsr(), &mut source as &mut dyn Rng).expect("a step");
                assert_eq!(step, seeded.seeded(&instance, &Hsr::sampled(SGD, 0.1, sampling)).expect("a step"));
                assert_eq!(drawn, seeded);
            }
            assert_eq!(source.next_u64(), words.next_u64(), "one word a step and no more");
        }
    }
    check::<ChaCha8Rng>();
    check::<ChaCha20Rng>();
}

#[test]
fn a_training_resumes_with_its_source() {
    let instance = instance(9, 5, 3);
    let (mut whole, mut source) = (Training::new(&instance), ChaCha8Rng::seed_from_u64(1));
    let steps = |training: &mut Training, source: &mut ChaCha8Rng| {
        for _ in 0..3 {
            training.drawn(&instance, &hsr(), source).expect("a step");
        }
    };
    steps(&mut whole, &mut source);
    // A word a step: the place in the stream is known from the number of steps.
    let (mut resumed, mut restored) = (whole.clone(), ChaCha8Rng::seed_from_u64(1));
    for _ in 0..whole.steps {
        restored.next_u64();
    }
    steps(&mut whole, &mut source);
    steps(&mut resumed, &mut restored);
    assert_eq!(whole, resumed);
    // From another place in the stream it would have gone elsewhere.
    let mut other = Training::new(&instance);
    steps(&mut other, &mut restored);
    steps(&mut other, &mut restored);
    assert_ne!(whole.theta, other.theta);
}

/// Estimates over the words of the source have the exact traces as their means.
#[test]
fn estimates_are_unbiased_over_the_source() {
    const DRAWS: usize = 20_000;
    let instance = instance(12, 3, 3);
    let exact = [Quantity::Trace, Quantity::TraceOfSquare].map(|quantity| instance.gradient(quantity).0);
    let still = Hsr { base: Sgd::new(0.0), ..hsr() };
    let (mut training, mut source) = (Training::new(&instance), ChaCha8Rng::seed_from_u64(8));
    let mut sums = [[0.0; 2]; 2];
    for _ in 0..DRAWS {
        let step = training.drawn(&instance, &still, &mut source).expect("a step");
        let estimate = step.estimate.expect("a sampled penalty");
        for ([sum, square], value) in sums.iter_mut().zip([estimate.trace, estimate.trace_of_square]) {
            (*sum, *square) = (*sum + value, *square + value * value);
        }
    }
    for ([sum, square], exact) in sums.into_iter().zip(exact) {
        let mean = sum / DRAWS as f64;
        let error = ((square / DRAWS as f64 - mean * mean) / DRAWS as f64).sqrt();
        assert!((mean - exact).abs() <= 5.0 * error && error < 0.02 * exact, "{mean} ± {error}, exact {exact}");
    }
}

/// A source that counts, of no quality at all.
struct Counter(u64);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> std::result::Result<u32, Infallible> {
        self.try_next_u64().map(|word| word as u32)
    }

    fn try_next_u64(&mut self) -> std::result::Result<u64, Infallible> {
        self.0 += 1;
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> std::result::Result<(), Infallible> {
        bytes.fill(0);
        Ok(())
    }
}

#[test]
fn a_word_is_taken_whatever_comes_of_the_step() {
    let instance = instance(9, 5, 3);
    let mut source = Counter(0);
    let mut training = Training::new(&instance);
    let refused = Hsr { rho: -1.0, ..hsr() };
    assert!(matches!(training.drawn(&instance, &refused, &mut source), Err(Error::Hyperparameter { .. })));
    let exact = Hsr::new(SGD, 0.1);
    let sgd = Hsr { rho: 0.0, ..hsr() };
    let mut workspace = nan(instance.plan.workspace_len());
    let mut state = State { moments: &mut training.velocity, steps: 0, averages: Averages::default() };
    let batch = instance.batch();
    exact
        .step_with(&mut source, &instance.plan, &mut training.theta, &batch, &mut state, &mut workspace)
        .expect("a step of the exact penalty");
    training.drawn(&instance, &sgd, &mut source).expect("a step of SGD");
    assert_eq!(source.0, 3);
}
