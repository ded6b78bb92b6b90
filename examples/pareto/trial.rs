//! All methods at all strengths, over all seeds: first for equal epochs, then for equal time.

use anyhow::Result;
use flatmin::{Network, Shape};
use indicatif::{ProgressBar, ProgressStyle};

use crate::common::data::{DataSet, Split};
use crate::common::method::{Kind, Method};
use crate::common::spectrum::Landscape;
use crate::common::statistics::median;
use crate::common::training::{Schedule, Weights, train};
use crate::options::{Options, Terms};

/// Steps of one turn after another by which time is told, before equal time can be given.
const TIMED_STEPS: usize = 60;

/// Where a training arrived.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub seed: u64,
    pub steps: usize,
    /// Time spent in steps, in seconds: their number times their median.
    pub seconds: f64,
    pub train_loss: f64,
    pub test_accuracy: f64,
    pub lambda_max: f64,
}

/// A method at a strength, and its runs, one a seed.
#[derive(Clone, Debug)]
pub struct Entry {
    pub method: Method,
    pub runs: Vec<Run>,
}

/// All entries under the same terms.
#[derive(Clone, Debug)]
pub struct Contest {
    pub terms: Terms,
    pub name: String,
    pub entries: Vec<Entry>,
}

/// What is to be run.
pub struct Trial<'a> {
    data: &'a DataSet,
    options: &'a Options,
}

impl<'a> Trial<'a> {
    pub fn new(data: &'a DataSet, options: &'a Options) -> Self {
        Self { data, options }
    }

    fn schedule(&self, train: usize, methods: Vec<Method>, steps: usize) -> Result<Schedule> {
        let preset = self.options.preset();
        let hidden = self.options.hidden.map_or(preset.hidden, |hidden| hidden.get());
        let network = Network::new(Shape::new(self.data.inputs, hidden, self.data.classes)?, self.options.activation);
        let batch = self.batch(train);
        Ok(Schedule { network, methods, weights: Weights::Batch, batch, steps, observations: 0 })
    }

    fn batch(&self, train: usize) -> usize {
        match self.options.batch.map_or(self.options.preset().batch, |batch| batch.get()) {
            0 => train,
            size => size.min(train),
        }
    }

    /// What will be done, in words.
    pub fn describe(&self) -> Result<String> {
        let split = self.split(self.options.seed);
        let schedule = self.schedule(split.train.len(), Vec::new(), 1)?;
        let update = self.options.update();
        Ok(format!(
            "{}: {} samples to train on, {} to test; {} epochs, {} seeds from {}\nupdate: {}\nplan of a step: {}",
            self.data.name,
            split.train.len(),
            split.test.len(),
            self.options.epochs(),
            self.options.seeds(),
            self.options.seed,
            update,
            schedule.plan(split.train.len())?,
        ))
    }

    fn split(&self, seed: u64) -> Split {
        self.data.prepare(seed, None, None)
    }

    /// One contest for each of the terms.
    pub fn run(&self) -> Result<Vec<Contest>> {
        let (kinds, seeds) = (self.options.kinds(), self.options.seeds() as u64);
        let contest = |terms: Terms| {
            let methods = kinds.iter().flat_map(|&kind| self.options.grid(kind, 0));
            let entries = methods.map(|method| Entry { method, runs: Vec::new() }).collect();
            Contest { terms, name: format!("equal {}", terms.name()), entries }
        };
        let mut contests: Vec<Contest> = self.options.terms().into_iter().map(contest).collect();
        let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {elapsed} elapsed, {eta} to go")?;
        let progress =
            ProgressBar::new(seeds * contests.iter().map(|contest| contest.entries.len() as u64).sum::<u64>())
                .with_style(style);
        let mut budgets = Vec::new();
        for seed in self.options.seed..self.options.seed + seeds {
            let split = self.split(seed);
            let steps = self.options.epochs() * (split.train.len() / self.batch(split.train.len()));
            // SAM's time, whether it takes part or not.
            let times = self.step_times(&split, seed)?;
            let time_of = |kind: Kind| times.iter().find(|time| time.0 == kind).map_or(f64::NAN, |time| time.1);
            let budget = steps as f64 * time_of(Kind::Sam);
            budgets.push(budget * 1e-6);
            for kind in &kinds {
                let methods = self.options.grid(*kind, seed);
                for contest in &mut contests {
                    let steps = match contest.terms {
                        Terms::Epochs => steps,
                        Terms::Time => (budget / time_of(*kind)).round() as usize,
                    };
                    let runs = self.train(&split, methods.clone(), steps.max(1), seed, time_of(*kind), &progress)?;
                    let entries = contest.entries.iter_mut().filter(|entry| entry.method.kind == *kind);
                    entries.zip(runs).for_each(|(entry, run)| entry.runs.push(run));
                }
            }
        }
        progress.finish_and_clear();
        for contest in contests.iter_mut().filter(|contest| contest.terms == Terms::Time) {
            contest.name = format!("equal time: {:.3} s, that of SAM's epochs", median(&mut budgets));
        }
        Ok(contests)
    }

    /// The median time of a step of each kind, in microseconds: taken in turns.
    fn step_times(&self, split: &Split, seed: u64) -> Result<Vec<(Kind, f64)>> {
        let methods: Vec<Method> =
            Kind::ALL.iter().filter_map(|&kind| self.options.grid(kind, seed).into_iter().next()).collect();
        let schedule = self.schedule(split.train.len(), methods.clone(), TIMED_STEPS)?;
        let trained = train::<f32>(&schedule, &split.train, seed, |_, _| Ok(()))?;
        Ok(methods.iter().zip(trained).map(|(method, trained)| (method.kind, trained.step_time)).collect())
    }

    fn train(
        &self,
        split: &Split,
        methods: Vec<Method>,
        steps: usize,
        seed: u64,
        step_time: f64,
        progress: &ProgressBar,
    ) -> Result<Vec<Run>> {
        let schedule = self.schedule(split.train.len(), methods, steps)?;
        let landscape = Landscape::new(schedule.network, &split.train, self.options.hessian_samples.get())?;
        let train_set = Landscape::new(schedule.network, &split.train, usize::MAX)?;
        let test_set = Landscape::new(schedule.network, &split.test, usize::MAX)?;
        let trained = train::<f32>(&schedule, &split.train, seed, |_, _| Ok(()))?;
        let run = |theta: &[f64]| {
            let lambda_max = landscape.largest(theta)?;
            progress.inc(1);
            Ok(Run {
                seed,
                steps,
                seconds: 1e-6 * step_time * steps as f64,
                train_loss: train_set.evaluation(theta)?.loss,
                test_accuracy: test_set.evaluation(theta)?.accuracy,
                lambda_max,
            })
        };
        trained.iter().map(|trained| run(&trained.theta)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use flatmin::PairWeights;

    fn options(arguments: &str) -> Options {
        let fixed = ["pareto", "--data", "iris", "--batch", "32", "--epochs", "3", "--seeds", "2", "--rho", "0.1,0.2"];
        Options::parse_from(fixed.into_iter().chain(arguments.split_whitespace()))
    }

    /// Exact and sampled HSR have one plan, with the batch's own pairs.
    #[test]
    fn the_penalty_is_that_of_the_batch() {
        let options = options("--radius 0.1");
        let data = options.data.load().unwrap();
        let trial = Trial::new(&data, &options);
        let train = trial.split(0).train.len();
        let schedule = trial.schedule(train, options.grid(Kind::Hsr, 0), 1).unwrap();
        assert!(schedule.batch < train);
        assert_eq!(schedule.plan(train).unwrap().pair_weights(), PairWeights::Batch);
    }

    #[test]
    fn only_the_terms_asked_for_are_run() {
        for terms in Terms::ALL {
            let options = options(&format!("--radius 0.1 --terms {} --methods sgd,hsr-sampled", terms.name()));
            let data = options.data.load().unwrap();
            let contests = Trial::new(&data, &options).run().unwrap();
            let [contest] = &contests[..] else { panic!("{contests:?}") };
            assert_eq!((contest.terms, contest.name.starts_with("equal ")), (terms, true));
            let kinds: Vec<(Kind, f64)> =
                contest.entries.iter().map(|entry| (entry.method.kind, entry.method.strength)).collect();
            assert_eq!(kinds, [(Kind::Sgd, 0.0), (Kind::HsrSampled, 0.1), (Kind::HsrSampled, 0.2)]);
            for entry in &contest.entries {
                assert_eq!(entry.runs.iter().map(|run| run.seed).collect::<Vec<_>>(), [0, 1]);
                // Three epochs of three batches.
                assert!(terms == Terms::Time || entry.runs.iter().all(|run| run.steps == 9), "{entry:?}");
            }
        }
    }
}
