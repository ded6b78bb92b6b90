//! Tables, verdicts and the CSV file.

use std::path::Path;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

use crate::common::method::Kind;
use crate::common::statistics::{Spread, mean};
use crate::trial::{Contest, Entry, Run};

/// How much of the best mean accuracy may be given up for flatness, where the standard error is not larger.
const TOLERANCE: f64 = 0.005;
/// A run is far behind if its accuracy is so much below the best of the same seed.
const FAR: f64 = 0.05;

pub fn table(contest: &Contest) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "method",
        "λ_max (least … greatest)",
        "test accuracy, mean ± s.e.",
        "train loss",
        "steps",
        "seconds",
        "behind",
    ]);
    for entry in &contest.entries {
        let Spread { least, median, greatest } = lambda_max(entry);
        let (accuracy, error) = accuracy(entry);
        let of = |value: fn(&Run) -> f64| Spread::of(entry.runs.iter().map(value)).median;
        table.add_row([
            entry.method.to_string(),
            format!("{median:.3} ({least:.3} … {greatest:.3})"),
            format!("{:.2} ± {:.2} %", 100.0 * accuracy, 100.0 * error),
            format!("{:.4}", of(|run| run.train_loss)),
            format!("{:.0}", of(|run| run.steps as f64)),
            format!("{:.3}", of(|run| run.seconds)),
            match behind(contest, entry) {
                0 => String::new(),
                count => format!("{count} of {}", entry.runs.len()),
            },
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// How many runs of an entry are far behind: λ_max is no number, or the test accuracy is far below the best of the same seed.
///
/// A network that noise or too large a step has thrown out of its minimum can be very flat, where it is certain of everything.
pub fn behind(contest: &Contest, entry: &Entry) -> usize {
    let best = |seed: u64| {
        let same = contest.entries.iter().flat_map(|entry| &entry.runs).filter(|run| run.seed == seed);
        same.map(|run| run.test_accuracy).fold(0.0, f64::max)
    };
    // Not "is below": NaN is far behind too.
    let stands = |run: &&Run| run.lambda_max.is_finite() && run.test_accuracy >= best(run.seed) - FAR;
    entry.runs.len() - entry.runs.iter().filter(stands).count()
}

/// Of each kind, the flattest strength that is as accurate as the best of all, and of which no run is far behind.
pub fn verdict(contest: &Contest) -> String {
    let best = contest.entries.iter().max_by(|a, b| accuracy(a).0.total_cmp(&accuracy(b).0));
    let Some((best, error)) = best.map(accuracy) else { return String::new() };
    let floor = best - error.max(TOLERANCE);
    let mut text = format!("flattest with a mean test accuracy of at least {:.2} %:", 100.0 * floor);
    for kind in Kind::ALL {
        let good = |entry: &&Entry| accuracy(entry).0 >= floor && behind(contest, entry) == 0;
        let able = contest.entries.iter().filter(|entry| entry.method.kind == kind).filter(good);
        match able.min_by(|a, b| lambda_max(a).median.total_cmp(&lambda_max(b).median)) {
            Some(entry) => {
                let (lambda, accuracy) = (lambda_max(entry).median, accuracy(entry).0);
                text += &format!("\n  {}: λ_max {lambda:.3}, accuracy {:.2} %", entry.method, 100.0 * accuracy);
            }
            None if contest.entries.iter().any(|entry| entry.method.kind == kind) => {
                text += &format!("\n  {}: none", kind.name());
            }
            None => {}
        }
    }
    text
}

pub fn lambda_max(entry: &Entry) -> Spread {
    Spread::of(entry.runs.iter().map(|run| run.lambda_max))
}

/// Mean test accuracy and its standard error over the seeds.
pub fn accuracy(entry: &Entry) -> (f64, f64) {
    let average = mean(entry.runs.iter().map(|run| run.test_accuracy));
    let count = entry.runs.len() as f64;
    let squares: f64 = entry.runs.iter().map(|run| (run.test_accuracy - average).powi(2)).sum();
    (average, (squares / (count - 1.0).max(1.0) / count).sqrt())
}

/// Writes one line a run.
pub fn write_csv(path: &Path, contests: &[Contest]) -> Result<()> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record([
        "terms",
        "kind",
        "method",
        "strength",
        "seed",
        "steps",
        "seconds",
        "train_loss",
        "test_accuracy",
        "lambda_max",
    ])?;
    for contest in contests {
        for entry in &contest.entries {
            for run in &entry.runs {
                writer.write_record([
                    contest.terms.name().to_owned(),
                    entry.method.kind.name().to_owned(),
                    entry.method.to_string(),
                    entry.method.strength.to_string(),
                    run.seed.to_string(),
                    run.steps.to_string(),
                    run.seconds.to_string(),
                    run.train_loss.to_string(),
                    run.test_accuracy.to_string(),
                    run.lambda_max.to_string(),
                ])?;
            }
        }
    }
    writer.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::method::{Method, Rule, Update};
    use crate::options::Terms;
    use flatmin::WeightDecay;

    fn entry(kind: Kind, strength: f64, results: &[(f64, f64)]) -> Entry {
        let update = Update { rule: Rule::Sgd, learning_rate: 0.1, momentum: 0.0, weight_decay: WeightDecay::NONE };
        let run = |(seed, &(lambda_max, test_accuracy)): (usize, &(f64, f64))| Run {
            seed: seed as u64,
            steps: 1,
            seconds: 1.0,
            train_loss: 0.1,
            test_accuracy,
            lambda_max,
        };
        Entry { method: Method::new(kind, update, strength), runs: results.iter().enumerate().map(run).collect() }
    }

    fn contest(entries: Vec<Entry>) -> Contest {
        Contest { terms: Terms::Epochs, name: "equal epochs".into(), entries }
    }

    /// A flat network that has forgotten everything is no flattest minimum, however the other runs of its strength ended; nor is one
    /// without a number for λ_max.
    #[test]
    fn runs_far_behind_are_shown_and_win_nothing() {
        let good = entry(Kind::HsrSampled, 0.1, &[(0.5, 0.96), (0.6, 0.97), (0.7, 0.90)]);
        let thrown_out = entry(Kind::HsrSampled, 0.2, &[(0.1, 0.97), (1e-9, 0.91), (0.1, 0.98)]);
        for lambda_max in [f64::NAN, -f64::NAN, f64::INFINITY] {
            let no_number = entry(Kind::HsrSampled, 0.3, &[(0.1, 0.96), (lambda_max, 0.97), (0.1, 0.97)]);
            let sgd = entry(Kind::Sgd, 0.0, &[(0.9, 0.96), (0.9, 0.965), (0.9, 0.92)]);
            let contest = contest(vec![sgd, good.clone(), thrown_out.clone(), no_number]);
            let counts: Vec<usize> = contest.entries.iter().map(|entry| behind(&contest, entry)).collect();
            // The third seed's best is 0.98.
            assert_eq!(counts, [1, 1, 1, 1]);
            let only = Contest { entries: contest.entries[1..2].to_vec(), ..contest.clone() };
            assert_eq!(behind(&only, &only.entries[0]), 0);
            assert!(verdict(&only).contains("HSR sampled, ρ = 0.1: λ_max 0.600"));
            assert!(verdict(&contest).ends_with("SGD: none\n  HSR sampled: none"), "{}", verdict(&contest));
            assert!(table(&contest).to_string().contains("1 of 3"));
        }
    }
}
