//! One seed after the other: split, train all methods, measure what they found.

use anyhow::Result;
use flatmin::{Activation, Bounds, Evaluation, Network, Real, Shape};
use indicatif::{ProgressBar, ProgressStyle};

use crate::common::data::{DataSet, Samples, Split};
use crate::common::method::Method;
use crate::common::parallel;
use crate::common::presets::Preset;
use crate::common::spectrum::{Landscape, Spectrum};
use crate::common::training::{Schedule, Trained, train};
use crate::options::Options;

/// λ_max is looked at so many times between the first step and the last.
const OBSERVATIONS: usize = 14;

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The spectrum, and λ_max over training.
    Full,
    /// λ_max and λ_min at the end.
    Ends,
}

/// What one method did on one seed.
#[derive(Clone, Debug)]
pub struct Run {
    pub seed: u64,
    pub train: Evaluation,
    pub test: Evaluation,
    pub spectrum: Spectrum,
    pub bounds: Bounds,
    /// In microseconds.
    pub step_time: f64,
    /// Steps taken, and λ_max there.
    pub trajectory: Vec<(usize, f64)>,
}

/// A method and its runs, one a seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub method: Method,
    pub runs: Vec<Run>,
}

/// A data set, options and methods to be run.
pub struct Experiment<'a> {
    pub data: &'a DataSet,
    pub options: &'a Options,
    pub methods: Vec<Method>,
    /// Epochs, unless the options say how many steps or epochs.
    pub epochs: usize,
    pub detail: Detail,
}

impl Experiment<'_> {
    /// What the options ask for.
    pub fn new<'a>(data: &'a DataSet, options: &'a Options) -> Experiment<'a> {
        let epochs = Preset::of(&options.data).epochs;
        Experiment { data, options, methods: options.methods(), epochs, detail: Detail::Full }
    }

    /// The split of a seed.
    pub fn split(&self, seed: u64) -> Split {
        let limits = &self.options.limits;
        let limit = |count: Option<std::num::NonZeroUsize>| count.map(|count| count.get());
        self.data.prepare(seed, limit(limits.train_samples), limit(limits.test_samples))
    }

    /// The schedule for so many training samples.
    pub fn schedule(&self, train: usize) -> Result<Schedule> {
        let options = self.options;
        let preset = Preset::of(&options.data);
        let hidden = options.network.hidden.map_or(preset.hidden, |hidden| hidden.get());
        let activation: Activation = options.network.activation;
        let network = Network::new(Shape::new(self.data.inputs, hidden, self.data.classes)?, activation);
        let batch = match options.training.batch.unwrap_or(preset.batch) {
            0 => train,
            size => size.min(train),
        };
        let epochs = options.training.epochs.map_or(self.epochs, |epochs| epochs.get());
        let steps = options.training.steps.map_or(epochs * (train / batch), |steps| steps.get());
        let observations = if self.detail == Detail::Full { OBSERVATIONS } else { 0 };
        let (methods, weights) = (self.methods.clone(), options.method.pair_weights);
        Ok(Schedule { network, methods, weights, batch, steps, observations })
    }

    /// What will be done, in words.
    pub fn describe(&self) -> Result<String> {
        let split = self.split(self.options.seed);
        let schedule = self.schedule(split.train.len())?;
        let precision = if self.options.network.f64 { "double" } else { "single" };
        let hessian = split.train.len().min(self.options.limits.hessian_samples.get());
        let mut text = format!(
            "{}: {} samples to train on, {} to test; {} steps in {precision} precision, seeds {} … {}\n",
            self.data.name,
            split.train.len(),
            split.test.len(),
            schedule.steps,
            self.options.seed,
            self.options.seed + self.options.seeds.get() as u64 - 1,
        );
        if let Some(method) = self.methods.first() {
            method.update.check()?;
            text += &format!("update: {}\n", method.update);
        }
        text += &format!("plan of a step: {}\n", schedule.plan(split.train.len())?);
        text +=
            &format!("Hessian: {} parameters, over {hessian} training samples", schedule.network.shape.parameters());
        Ok(text)
    }

    /// Runs all seeds from `first` on.
    pub fn run(&self, first: u64) -> Result<Vec<Outcome>> {
        let seeds = self.options.seeds.get() as u64;
        let progress = ProgressBar::new(seeds * (OBSERVATIONS as u64 + 3)).with_style(ProgressStyle::with_template(
            "{bar:40} {percent:>3} %  {msg}  {elapsed} elapsed, {eta} to go",
        )?);
        let mut outcomes: Vec<Outcome> =
            self.methods.iter().map(|&method| Outcome { method, runs: Vec::new() }).collect();
        for seed in first..first + seeds {
            progress.set_message(format!("seed {seed}"));
            let runs = if self.options.network.f64 {
                self.run_seed::<f64>(seed, &progress)?
            } else {
                self.run_seed::<f32>(seed, &progress)?
            };
            outcomes.iter_mut().zip(runs).for_each(|(outcome, run)| outcome.runs.push(run));
        }
        progress.finish_and_clear();
        Ok(outcomes)
    }

    fn run_seed<T: Real>(&self, seed: u64, progress: &ProgressBar) -> Result<Vec<Run>> {
        let split = self.split(seed);
        let schedule = self.schedule(split.train.len())?;
        // Each thread has a landscape of its own. None is at work while steps are timed.
        let landscape = || Landscape::new(schedule.network, &split.train, self.options.limits.hessian_samples.get());
        let mut trajectories = vec![Vec::new(); self.methods.len()];
        let trained = train::<T>(&schedule, &split.train, seed, |step, thetas| {
            if self.detail == Detail::Full {
                let largest = parallel::map(thetas, landscape, |landscape, theta| landscape.largest(theta))?;
                trajectories.iter_mut().zip(largest).for_each(|(trajectory, largest)| trajectory.push((step, largest)));
            }
            progress.inc(1);
            Ok(())
        })?;
        let runs =
            parallel::map(trained.into_iter().zip(trajectories), landscape, |landscape, (trained, trajectory)| {
                let Trained { theta, step_time } = trained;
                let spectrum = match self.detail {
                    Detail::Full => landscape.spectrum(&theta)?,
                    Detail::Ends => landscape.ends(&theta, 1)?,
                };
                Ok(Run {
                    seed,
                    train: evaluate(schedule.network, &split.train, &theta)?,
                    test: evaluate(schedule.network, &split.test, &theta)?,
                    bounds: landscape.bounds(&theta)?,
                    spectrum,
                    step_time,
                    trajectory,
                })
            })?;
        progress.inc(1);
        Ok(runs)
    }
}

fn evaluate(network: Network, samples: &Samples, theta: &[f64]) -> Result<Evaluation> {
    Landscape::new(network, samples, usize::MAX)?.evaluation(theta)
}
