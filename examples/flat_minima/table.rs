//! The tables on the terminal.

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

use crate::common::method::Kind;
use crate::common::statistics::{Spread, mean};
use crate::experiment::{Outcome, Run};

/// A quantity: its name, its value in a run, its decimals.
type Row = (&'static str, fn(&Run) -> f64, usize);

const ROWS: [Row; 10] = [
    ("train loss (nats)", |run| run.train.loss, 4),
    ("train accuracy (%)", |run| 100.0 * run.train.accuracy, 2),
    ("test accuracy (%)", |run| 100.0 * run.test.accuracy, 2),
    ("λ_max", |run| run.spectrum.greatest(), 3),
    ("λ_min", |run| run.spectrum.least(), 4),
    ("λ_max ≤ (WS, = Λ)", |run| run.bounds.lambda_max_upper, 3),
    ("λ_max ≥ (WS)", |run| run.bounds.lambda_max_lower, 4),
    ("λ_min ≤ (WS)", |run| run.bounds.lambda_min_upper, 4),
    ("λ_min ≥ (WS)", |run| run.bounds.lambda_min_lower, 3),
    ("time a step (µs)", |run| run.step_time, 0),
];

/// Quantities down, methods across: median over the seeds, and in brackets the least and the greatest value.
pub fn comparison(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(
        std::iter::once("median (least … greatest)".to_owned())
            .chain(outcomes.iter().map(|outcome| outcome.method.to_string())),
    );
    for (name, value, decimals) in ROWS {
        let cells = outcomes.iter().map(|outcome| spread(outcome, value, decimals));
        table.add_row(std::iter::once(name.to_owned()).chain(cells));
    }
    let accuracies = outcomes.iter().map(|outcome| format!("{:.2}", 100.0 * mean_accuracy(outcome)));
    table.add_row(std::iter::once("mean test accuracy (%)".to_owned()).chain(accuracies));
    if let Some(sgd) = outcomes.iter().find(|outcome| outcome.method.kind == Kind::Sgd) {
        let against = |value: fn(&Run) -> f64| {
            let reference = median(sgd, value);
            outcomes.iter().map(move |outcome| format!("{:.2}", median(outcome, value) / reference))
        };
        table.add_row(
            std::iter::once(format!("λ_max / {}'s", sgd.method)).chain(against(|run| run.spectrum.greatest())),
        );
        table.add_row(std::iter::once(format!("time / {}'s", sgd.method)).chain(against(|run| run.step_time)));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Methods down, by these names, a few quantities across.
pub fn grid(names: &[String], outcomes: &[Outcome]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["method", "λ_max", "λ_min", "Λ", "train loss", "train accuracy", "test accuracy, mean"]);
    for (name, outcome) in names.iter().zip(outcomes) {
        table.add_row([
            name.clone(),
            spread(outcome, |run| run.spectrum.greatest(), 3),
            format!("{:.4}", median(outcome, |run| run.spectrum.least())),
            format!("{:.3}", median(outcome, |run| run.bounds.lambda_max_upper)),
            format!("{:.4}", median(outcome, |run| run.train.loss)),
            format!("{:.2} %", 100.0 * median(outcome, |run| run.train.accuracy)),
            format!("{:.2} %", 100.0 * mean_accuracy(outcome)),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

pub fn median(outcome: &Outcome, value: fn(&Run) -> f64) -> f64 {
    Spread::of(outcome.runs.iter().map(value)).median
}

pub fn mean_accuracy(outcome: &Outcome) -> f64 {
    mean(outcome.runs.iter().map(|run| run.test.accuracy))
}

fn spread(outcome: &Outcome, value: fn(&Run) -> f64, decimals: usize) -> String {
    let Spread { least, median, greatest } = Spread::of(outcome.runs.iter().map(value));
    format!("{median:.decimals$} ({least:.decimals$} … {greatest:.decimals$})")
}
