//! Test accuracy against λ_max, one panel for each contest: a path through the strengths of each method.

use std::path::Path;

use anyhow::Result;
use plotters::prelude::*;

use crate::common::drawing::{GRID, INK, LINE_WIDTH, color, marker, number, text, ticks, titled};
use crate::common::method::Kind;
use crate::common::statistics::Spread;
use crate::report::{accuracy, lambda_max};
use crate::trial::{Contest, Entry};

pub fn draw(path: &Path, title: &str, contests: &[Contest]) -> Result<()> {
    // One panel needs half the room, with a title that fits.
    let root = SVGBackend::new(path, (750 * contests.len() as u32, 680)).into_drawing_area();
    let body = titled(&root, title)?;
    for (area, contest) in body.split_evenly((1, contests.len())).iter().zip(contests) {
        panel(area, contest)?;
    }
    root.present()?;
    Ok(())
}

/// The spread of test accuracy, in percent.
fn accuracies(entry: &Entry) -> Spread {
    Spread::of(entry.runs.iter().map(|run| 100.0 * run.test_accuracy))
}

fn panel(area: &crate::common::drawing::Area<'_>, contest: &Contest) -> Result<()> {
    // Strengths that destroy the network would leave no room for the others.
    let best = contest.entries.iter().map(|entry| 100.0 * accuracy(entry).0).fold(0.0, f64::max);
    let bottom = best - 5.0;
    let inside = |entry: &&Entry| accuracies(entry).median >= bottom && lambda_max(entry).median > 0.0;
    let spreads = || contest.entries.iter().filter(inside).map(|entry| (lambda_max(entry), accuracies(entry)));
    let top = spreads().map(|spread| spread.1.greatest).fold(best, f64::max) + 0.3;
    let left = spreads().map(|spread| spread.0.least).filter(|&x| x > 0.0).fold(f64::INFINITY, f64::min) / 1.2;
    let right = spreads().map(|spread| spread.0.greatest).fold(left, f64::max) * 1.2;
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .caption(&contest.name, text(22))
        .x_label_area_size(60)
        .y_label_area_size(84)
        .build_cartesian_2d((left..right).log_scale().with_key_points(ticks(left, right)), bottom..top)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(text(18))
        .axis_desc_style(text(20))
        .x_label_formatter(&|value| number(*value))
        .x_desc("λ_max of the loss Hessian")
        .y_desc("test accuracy (%)")
        .draw()?;
    for kind in Kind::ALL {
        let entries = || contest.entries.iter().filter(|entry| entry.method.kind == kind);
        let points: Vec<_> =
            entries().filter(inside).map(|entry| (lambda_max(entry).median, accuracies(entry).median)).collect();
        if points.is_empty() {
            continue;
        }
        for entry in entries().filter(inside) {
            let (lambda, accuracy) = (lambda_max(entry), accuracies(entry));
            let faint = color(kind).mix(0.35);
            let across = [(lambda.least.max(left), accuracy.median), (lambda.greatest, accuracy.median)];
            let up = [(lambda.median, accuracy.least.max(bottom)), (lambda.median, accuracy.greatest)];
            chart.draw_series([across, up].map(|line| PathElement::new(line.to_vec(), faint)))?;
        }
        let style = color(kind);
        chart.draw_series(LineSeries::new(points.clone(), style.stroke_width(LINE_WIDTH)))?.label(kind.name()).legend(
            move |place| {
                EmptyElement::at(place)
                    + PathElement::new(vec![(0, 0), (34, 0)], style.stroke_width(LINE_WIDTH))
                    + marker(kind, 17)
            },
        );
        chart.draw_series(points.into_iter().map(|place| EmptyElement::at(place) + marker(kind, 0)))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .margin(12)
        .legend_area_size(46)
        .background_style(WHITE.mix(0.85))
        .border_style(GRID)
        .label_font(text(18))
        .draw()?;
    Ok(())
}
