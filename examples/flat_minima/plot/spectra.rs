//! Spectra of the Hessian where training ended. Left: the largest eigenvalues, by rank. Right: how all are distributed, or, where only
//! the ends of the spectrum are known, the smallest by rank.

use std::path::Path;

use anyhow::Result;
use plotters::prelude::*;

use crate::common::drawing::{Area, GRID, INK, LINE_WIDTH, color, number, text, titled};
use crate::common::statistics::{Spread, mean};
use crate::experiment::{Outcome, Run};

use super::curves::{self, Axis, Curve};
use super::symlog::SymLog;

/// Ranks shown.
const RANKS: usize = 24;
const BINS: usize = 72;
/// The linear part of the axis of eigenvalues reaches to this share of the largest.
const LINEAR_SHARE: f64 = 1e-4;
/// Bins with fewer eigenvalues, in the mean over the seeds, are drawn as empty.
const LEAST_COUNT: f64 = 0.1;

pub fn draw(path: &Path, title: &str, outcomes: &[Outcome]) -> Result<()> {
    let root = SVGBackend::new(path, (1500, 640)).into_drawing_area();
    let (left, right) = titled(&root, title)?.split_horizontally(740);
    let runs = || outcomes.iter().flat_map(|outcome| &outcome.runs);
    let known = runs().map(|run| run.spectrum.eigenvalues.len()).min().unwrap_or(0);
    if runs().all(|run| run.spectrum.complete) {
        by_rank(&left, "largest eigenvalues, by rank", known.min(RANKS), outcomes, from_above)?;
        distribution(&right, outcomes)?;
    } else {
        by_rank(&left, "largest eigenvalues, by rank", known / 2, outcomes, from_above)?;
        by_rank(&right, "smallest eigenvalues, by rank", known / 2, outcomes, from_below)?;
    }
    root.present()?;
    Ok(())
}

fn from_above(run: &Run, rank: usize) -> f64 {
    run.spectrum.eigenvalues[run.spectrum.eigenvalues.len() - rank]
}

fn from_below(run: &Run, rank: usize) -> f64 {
    run.spectrum.eigenvalues[rank - 1]
}

fn by_rank(
    area: &Area<'_>,
    description: &str,
    ranks: usize,
    outcomes: &[Outcome],
    eigenvalue: fn(&Run, usize) -> f64,
) -> Result<()> {
    let curve = |outcome: &Outcome| {
        let spread = |rank| Spread::of(outcome.runs.iter().map(|run| eigenvalue(run, rank)));
        Curve { method: outcome.method, points: (1..=ranks).map(|rank| (rank, spread(rank))).collect() }
    };
    let curves: Vec<Curve> = outcomes.iter().map(curve).collect();
    let (lowest, highest) = curves::extent(&curves);
    let (bottom, top) = (lowest.min(0.0), highest.max(0.0));
    let margin = 0.05 * (top - bottom);
    // Zero is on the axis, and without a margin if all lie on one side of it.
    let range = bottom - if lowest < 0.0 { margin } else { 0.0 }..top + if highest > 0.0 { margin } else { 0.0 };
    let x = Axis { description, range: 0..ranks + 1, ticks: 12 };
    let y = Axis { description: "eigenvalue of the loss Hessian", range, ticks: 8 };
    curves::draw(area, x, y, &curves)
}

/// How many eigenvalues lie where: mean over the seeds.
fn distribution(area: &Area<'_>, outcomes: &[Outcome]) -> Result<()> {
    let runs = || outcomes.iter().flat_map(|outcome| &outcome.runs);
    let greatest = runs().map(|run| run.spectrum.greatest()).fold(f64::MIN_POSITIVE, f64::max);
    let least = runs().map(|run| run.spectrum.least()).fold(0.0, f64::min);
    let linear = 10f64.powf((LINEAR_SHARE * greatest).log10().round());
    let axis = SymLog::new(1.6 * least.min(-10.0 * linear)..1.6 * greatest, linear);
    let bins = axis.bins(BINS);
    let counts = |outcome: &Outcome| -> Vec<f64> {
        let within = |eigenvalues: &[f64], bin| {
            eigenvalues.iter().filter(|&value| std::ops::Range::contains(bin, value)).count()
        };
        bins.iter()
            .map(|bin| mean(outcome.runs.iter().map(|run| within(&run.spectrum.eigenvalues, bin) as f64)))
            .collect()
    };
    let counts: Vec<Vec<f64>> = outcomes.iter().map(counts).collect();
    let most = counts.iter().flatten().copied().fold(1.0, f64::max);

    let mut chart = ChartBuilder::on(area)
        .margin(18)
        .margin_right(34)
        .x_label_area_size(64)
        .y_label_area_size(90)
        .build_cartesian_2d(axis, (LEAST_COUNT..2.0 * most).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(text(20))
        .axis_desc_style(text(22))
        .y_labels(6)
        .y_label_formatter(&|count| number(*count))
        .x_desc("eigenvalue (linear around 0, logarithmic beyond)")
        .y_desc("eigenvalues a bin, mean over seeds")
        .draw()?;
    for (outcome, counts) in outcomes.iter().zip(&counts) {
        let outline = bins.iter().zip(counts).flat_map(|(bin, &count)| {
            let height = count.max(LEAST_COUNT);
            [(bin.start, height), (bin.end, height)]
        });
        chart.draw_series(LineSeries::new(outline, color(outcome.method.kind).stroke_width(LINE_WIDTH - 1)))?;
    }
    Ok(())
}
