//! Tables, verdicts and the CSV file.

use std::path::Path;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

use crate::common::method::Kind;
use crate::common::statistics::{Spread, mean};
use crate::trial::{Contest, Entry, Run};

/// How much of the best mean accuracy may be given up for flatness, where the standard error is not larger.
const TOLERANCE: f64 = 0.005;

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
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Of each kind, the flattest strength that is as accurate as the best of all.
pub fn verdict(contest: &Contest) -> String {
    let best = contest.entries.iter().max_by(|a, b| accuracy(a).0.total_cmp(&accuracy(b).0));
    let Some((best, error)) = best.map(accuracy) else { return String::new() };
    let floor = best - error.max(TOLERANCE);
    let mut text = format!("flattest with a mean test accuracy of at least {:.2} %:", 100.0 * floor);
    for kind in Kind::ALL {
        let able = contest.entries.iter().filter(|entry| entry.method.kind == kind && accuracy(entry).0 >= floor);
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
