//! The training loop: the methods take turns on the same batches.

use std::time::Instant;

use anyhow::{Context, Result};
use clap::ValueEnum;
use flatmin::{Batch, Initialization, Network, Optimizer, PairWeights, Plan, Real, Shape, Targets, Training};
use rand::Rng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use crate::common::data::Samples;
use crate::common::method::Method;
use crate::common::random::{Purpose, generator};

/// What a mini-batch's tr H² stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Weights {
    /// The training set's: an unbiased estimate.
    DataSet,
    /// The batch's own.
    Batch,
}

/// What to train.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub network: Network,
    pub methods: Vec<Method>,
    /// Of the penalty, exact or sampled.
    pub weights: Weights,
    /// Samples a batch.
    pub batch: usize,
    pub steps: usize,
    /// The observer is called before step 0, after the last step, and so many times in between, evenly.
    pub observations: usize,
}

/// Where a method arrived.
#[derive(Clone, Debug)]
pub struct Trained {
    pub theta: Vec<f64>,
    /// Median time of a step, in microseconds.
    pub step_time: f64,
}

impl Schedule {
    /// The plan of every step.
    pub fn plan(&self, train: usize) -> Result<Plan> {
        let plan = Plan::new(self.network, self.batch)?;
        Ok(match self.weights {
            Weights::DataSet if self.batch < train => plan.with_pair_weights(PairWeights::DataSet { samples: train }),
            Weights::DataSet | Weights::Batch => plan,
        })
    }

    fn observed(&self, step: usize) -> bool {
        // Step counts ⌊i steps/(n+1)⌋, i = 0 … n+1.
        let mark = |step: usize| step * (self.observations + 1) / self.steps;
        step == 0 || step == self.steps || mark(step) != mark(step - 1)
    }
}

/// Trains all methods side by side, step by step, from one initial point. `observe(step, θ of every method)` sees them on the way.
pub fn train<T: Real>(
    schedule: &Schedule,
    samples: &Samples,
    seed: u64,
    mut observe: impl FnMut(usize, &[Vec<f64>]) -> Result<()>,
) -> Result<Vec<Trained>> {
    let Schedule { network, methods, steps, .. } = schedule;
    let mut start = vec![T::ZERO; network.shape.parameters()];
    let mut random = generator(seed, Purpose::InitialPoint);
    network.initialize_from(Initialization::Glorot, &mut start, || random.next_u64())?;
    let mut trainings = methods
        .iter()
        .map(|method| Ok(Training::new(schedule.plan(samples.len())?, method.optimizer(), seed)?.with_theta(&start)?))
        .collect::<Result<Vec<Training<T, Box<dyn Optimizer<T>>>>>>()?;
    let mut batches = Batches::<T>::new(network.shape, samples, schedule.batch, seed);
    let mut times = vec![Vec::with_capacity(*steps); methods.len()];

    for step in 0..=*steps {
        if schedule.observed(step) {
            observe(step, &trainings.iter().map(|training| in_double(training.theta())).collect::<Vec<_>>())?;
        }
        if step == *steps {
            break;
        }
        let batch = batches.next()?;
        // Whoever comes first finds the caches cold: take turns.
        for turn in 0..methods.len() {
            let index = (step + turn) % methods.len();
            let begun = Instant::now();
            let done = trainings[index].step(&batch);
            times[index].push(begun.elapsed().as_secs_f64() * 1e6);
            done.with_context(|| format!("{}, seed {seed}, step {step}", methods[index]))?;
        }
    }
    let trained = trainings.iter().zip(&mut times);
    Ok(trained
        .map(|(training, times)| Trained {
            theta: in_double(training.theta()),
            step_time: crate::common::statistics::median(times),
        })
        .collect())
}

fn in_double<T: Real>(values: &[T]) -> Vec<f64> {
    values.iter().map(|value| value.to_f64()).collect()
}

/// Batches of equal size, drawn without replacement; reshuffled when fewer than a batch are left. All methods see the same ones.
struct Batches<'a, T> {
    shape: Shape,
    inputs: Vec<T>,
    classes: &'a [u32],
    order: Vec<usize>,
    next: usize,
    random: ChaCha8Rng,
    /// The samples of a batch.
    numbers: Vec<T>,
    labels: Vec<u32>,
}

impl<'a, T: Real> Batches<'a, T> {
    fn new(shape: Shape, samples: &'a Samples, size: usize, seed: u64) -> Self {
        Self {
            shape,
            inputs: samples.inputs.iter().map(|&input| T::from_f64(input)).collect(),
            classes: &samples.classes,
            order: (0..samples.len()).collect(),
            next: samples.len(),
            random: generator(seed, Purpose::Batches),
            numbers: vec![T::ZERO; size * shape.inputs()],
            labels: vec![0; size],
        }
    }

    fn next(&mut self) -> flatmin::Result<Batch<'_, T>> {
        let size = self.labels.len();
        if self.order.len() - self.next < size {
            self.order.shuffle(&mut self.random);
            self.next = 0;
        }
        let chosen = &self.order[self.next..][..size];
        self.next += size;
        let data = Batch::new(self.shape, &self.inputs, Targets::Classes(self.classes))?;
        data.gather(chosen, &mut self.numbers, &mut self.labels)
    }
}
