//! The search behind the defaults in [`presets`](crate::common::presets).
//!
//! 1. SGD alone, over learning rates and numbers of epochs: the pair with the best mean test accuracy, and of several such the one with
//!    the fewest epochs, then the smallest rate.
//! 2. At this pair, SAM over radii and HSR over ρ. Of each, the value with the smallest median λ_max among those whose mean test accuracy
//!    is as good as the best of the grid: less than it by half a point or one standard error at most, whichever is more.
//!
//! It runs on seeds of its own, so that the table of the defaults is not made of the runs that chose them.

use anyhow::Result;

use crate::common::data::DataSet;
use crate::common::method::{Kind, Method, Update};
use crate::common::presets::Preset;
use crate::experiment::{Detail, Experiment, Outcome};
use crate::options::Options;
use crate::table::{grid, mean_accuracy, median};

/// What is added to the first seed.
const SEED_OFFSET: u64 = 1000;
const LEARNING_RATES: [f64; 6] = [0.1, 0.2, 0.3, 0.5, 1.0, 2.0];
const RADII: [f64; 8] = [0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0];
const RHOS: [f64; 8] = [0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0];
/// How much of the best mean test accuracy may be given up for flatness, where the standard error is not larger.
const TOLERANCE: f64 = 0.005;

pub fn run(data: &DataSet, options: &Options) -> Result<()> {
    let first = options.seed + SEED_OFFSET;
    let mut options = options.clone();
    if options.training.learning_rate.is_none() {
        let mut best: Option<(f64, usize, f64)> = None;
        for epochs in Preset::of(&options.data).epoch_grid {
            let methods = LEARNING_RATES.map(|rate| with_rate(options.method(Kind::Sgd, None), rate)).to_vec();
            let experiment = Experiment { data, options: &options, methods, epochs, detail: Detail::Ends };
            let outcomes = experiment.run(first)?;
            let names = LEARNING_RATES.map(|rate| format!("SGD, {epochs} epochs, η = {rate}"));
            println!("{}\n", grid(&names, &outcomes));
            for (outcome, rate) in outcomes.iter().zip(LEARNING_RATES) {
                let accuracy = mean_accuracy(outcome);
                if best.is_none_or(|(most, ..)| accuracy > most) {
                    best = Some((accuracy, epochs, rate));
                }
            }
        }
        if let Some((_, epochs, rate)) = best {
            println!("chosen: {epochs} epochs, η = {rate}\n");
            options.training.learning_rate = Some(rate);
            options.training.epochs = std::num::NonZeroUsize::new(epochs);
        }
    }

    let mut methods = vec![options.method(Kind::Sgd, None)];
    methods.extend(RADII.map(|radius| options.method(Kind::Sam, Some(radius))));
    methods.extend(RHOS.map(|rho| options.method(Kind::Hsr, Some(rho))));
    let epochs = Preset::of(&options.data).epochs;
    let experiment = Experiment { data, options: &options, methods, epochs, detail: Detail::Ends };
    let outcomes = experiment.run(first)?;
    let names: Vec<_> = outcomes.iter().map(|outcome| outcome.method.to_string()).collect();
    println!("{}", grid(&names, &outcomes));
    let best = outcomes.iter().map(mean_accuracy).fold(0.0, f64::max);
    let tested = experiment.split(first).test.len() * options.seeds.get();
    let standard_error = (best * (1.0 - best) / tested as f64).sqrt();
    let floor = best - standard_error.max(TOLERANCE);
    println!("as accurate as the best: {:.2} % and above", 100.0 * floor);
    for kind in [Kind::Sam, Kind::Hsr] {
        let able = outcomes.iter().filter(|outcome| outcome.method.kind == kind && mean_accuracy(outcome) >= floor);
        let flattest = able.min_by(|a, b| lambda_max(a).total_cmp(&lambda_max(b)));
        match flattest {
            Some(outcome) => println!("chosen: {}", outcome.method),
            None => println!("chosen: no {}: none is accurate enough", kind.name()),
        }
    }
    Ok(())
}

fn lambda_max(outcome: &Outcome) -> f64 {
    median(outcome, |run| run.spectrum.greatest())
}

fn with_rate(method: Method, learning_rate: f64) -> Method {
    Method { update: Update { learning_rate, ..method.update }, ..method }
}
