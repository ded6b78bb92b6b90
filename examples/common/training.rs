//! The training loop: one plan, one workspace, buffers made once; the methods take turns on the same batches.

use std::time::Instant;

use anyhow::{Context, Result};
use clap::ValueEnum;
use flatmin::{Batch, Network, PairWeights, Plan, Real, Shape, State, Targets};
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use crate::common::data::Samples;
use crate::common::method::{Kind, Method};
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
    /// Of the exact penalty; the sampled one estimates the training set's tr H² in any case.
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
    /// The plan of every step of a method.
    pub fn plan(&self, kind: Kind, train: usize) -> Result<Plan> {
        let plan = Plan::new(self.network, self.batch)?;
        let weights = if kind == Kind::HsrSampled { Weights::DataSet } else { self.weights };
        Ok(match weights {
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
    let plan = |method: &Method| schedule.plan(method.kind, samples.len());
    let plans = methods.iter().map(plan).collect::<Result<Vec<_>>>()?;
    let lengths = methods.iter().zip(&plans).map(|(method, plan)| method.workspace_len(plan));
    let length = lengths.collect::<flatmin::Result<Vec<_>>>()?.into_iter().max().unwrap_or(0);
    let start = initial_point::<T>(network.shape, seed);
    let mut workspace = vec![T::ZERO; length];
    let mut thetas = vec![start.clone(); methods.len()];
    let mut velocities = vec![vec![T::ZERO; start.len()]; methods.len()];
    let mut states: Vec<_> = velocities.iter_mut().map(|velocity| State::new(velocity)).collect();
    let mut batches = Batches::<T>::new(network.shape, samples, schedule.batch, seed);
    let mut times = vec![Vec::with_capacity(*steps); methods.len()];

    for step in 0..=*steps {
        if schedule.observed(step) {
            observe(step, &thetas.iter().map(|theta| in_double(theta)).collect::<Vec<_>>())?;
        }
        if step == *steps {
            break;
        }
        let batch = batches.next()?;
        // Whoever comes first finds the caches cold: take turns.
        for turn in 0..methods.len() {
            let index = (step + turn) % methods.len();
            let (method, theta) = (&methods[index], &mut thetas[index]);
            let begun = Instant::now();
            let done = method.step(&plans[index], theta, &batch, &mut states[index], &mut workspace);
            times[index].push(begun.elapsed().as_secs_f64() * 1e6);
            done.with_context(|| format!("{method}, seed {seed}, step {step}"))?;
        }
    }
    let trained = thetas.iter().zip(&mut times);
    Ok(trained
        .map(|(theta, times)| Trained { theta: in_double(theta), step_time: crate::common::statistics::median(times) })
        .collect())
}

/// Weights uniform in ±√(6/(fan-in + fan-out)), biases zero (Glorot and Bengio, 2010).
fn initial_point<T: Real>(shape: Shape, seed: u64) -> Vec<T> {
    let mut random = generator(seed, Purpose::InitialPoint);
    let mut theta = vec![T::ZERO; shape.parameters()];
    let (inputs, hidden, classes) = (shape.inputs(), shape.hidden(), shape.classes());
    for (block, fans) in [(shape.hidden_weight(), inputs + hidden), (shape.output_weight(), hidden + classes)] {
        let limit = (6.0 / fans as f64).sqrt();
        theta[block].fill_with(|| T::from_f64(random.random_range(-limit..limit)));
    }
    theta
}

fn in_double<T: Real>(values: &[T]) -> Vec<f64> {
    values.iter().map(|value| value.to_f64()).collect()
}

/// Batches of equal size, drawn without replacement; reshuffled when fewer than a batch are left.
struct Batches<'a, T> {
    shape: Shape,
    samples: &'a Samples,
    order: Vec<usize>,
    next: usize,
    random: ChaCha8Rng,
    inputs: Vec<T>,
    classes: Vec<u32>,
}

impl<'a, T: Real> Batches<'a, T> {
    fn new(shape: Shape, samples: &'a Samples, size: usize, seed: u64) -> Self {
        Self {
            shape,
            samples,
            order: (0..samples.len()).collect(),
            next: samples.len(),
            random: generator(seed, Purpose::Batches),
            inputs: vec![T::ZERO; size * shape.inputs()],
            classes: vec![0; size],
        }
    }

    fn next(&mut self) -> flatmin::Result<Batch<'_, T>> {
        let (size, width) = (self.classes.len(), self.shape.inputs());
        if self.order.len() - self.next < size {
            self.order.shuffle(&mut self.random);
            self.next = 0;
        }
        let chosen = &self.order[self.next..][..size];
        self.next += size;
        for ((row, class), &index) in self.inputs.chunks_exact_mut(width).zip(&mut self.classes).zip(chosen) {
            for (input, &value) in row.iter_mut().zip(&self.samples.inputs[index * width..]) {
                *input = T::from_f64(value);
            }
            *class = self.samples.classes[index];
        }
        Batch::new(self.shape, &self.inputs, Targets::Classes(&self.classes))
    }
}
