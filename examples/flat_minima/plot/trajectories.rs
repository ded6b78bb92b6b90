//! λ_max over training.

use std::path::Path;

use anyhow::Result;
use plotters::prelude::*;

use crate::common::drawing::{ticks, titled};
use crate::common::statistics::Spread;
use crate::experiment::Outcome;

use super::curves::{self, Axis, Curve};

pub fn draw(path: &Path, title: &str, outcomes: &[Outcome]) -> Result<()> {
    let root = SVGBackend::new(path, (1100, 640)).into_drawing_area();
    let body = titled(&root, title)?;
    let curves: Vec<Curve> = outcomes.iter().map(curve).collect();
    let last = curves.iter().flat_map(|curve| &curve.points).map(|&(step, _)| step).max().unwrap_or(1);
    let (lowest, highest) = curves::extent(&curves);
    let x = Axis { description: "training step", range: 0..last, ticks: 8 };
    // λ_max falls by orders of magnitude; where it is not positive it drops out below.
    let (bottom, top) = (lowest.max(1e-6 * highest) / 1.3, highest * 1.3);
    let range = (bottom..top).log_scale().with_key_points(ticks(bottom, top));
    let y = Axis { description: "λ_max of the loss Hessian", range, ticks: 20 };
    curves::draw(&body, x, y, &curves)?;
    root.present()?;
    Ok(())
}

/// All seeds are looked at after the same numbers of steps.
fn curve(outcome: &Outcome) -> Curve {
    let looks = outcome.runs.iter().map(|run| run.trajectory.len()).min().unwrap_or(0);
    let points = (0..looks).map(|look| {
        let (step, _) = outcome.runs[0].trajectory[look];
        (step, Spread::of(outcome.runs.iter().map(|run| run.trajectory[look].1)))
    });
    Curve { method: outcome.method, points: points.collect() }
}
