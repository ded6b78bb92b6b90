//! The contest's table as a chart.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::contest::{Contest, target};
use crate::training::Contender;

/// Colors of the optimizers, told apart by the colour-blind too (Okabe and Ito); those of the examples' figures.
const COLORS: [RGBColor; 4] =
    [RGBColor(213, 94, 0), RGBColor(0, 114, 178), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];
const GRID: RGBColor = RGBColor(228, 228, 228);

/// Writes `target/step.svg`: microseconds of a step in f32, on a logarithmic scale, shape by shape.
pub fn write(contest: &Contest) -> Result<PathBuf> {
    let path = target("step.svg");
    let lines: Vec<_> = contest.lines.iter().filter(|line| line.number == "f32").collect();
    let names: Vec<_> = lines.iter().map(|line| line.shape.to_string()).collect();
    let most = lines.iter().flat_map(|line| line.micros).fold(10.0, f64::max);
    let area = SVGBackend::new(&path, (1000, 480)).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| anyhow!("chart: {error}");

    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut chart = ChartBuilder::on(&area)
        .caption("One step, f32, one core", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(-0.5..lines.len() as f64 - 0.5, (1.0..2.0 * most).log_scale())
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .x_labels(lines.len())
        .x_label_formatter(&|x| names.get(x.round() as usize).cloned().unwrap_or_default())
        .x_desc("samples × inputs × hidden units × classes")
        .y_desc("µs")
        .draw()
        .map_err(|error| failed(&error))?;
    // The last one, ρ = 0, looks like SGD.
    for (at, (contender, color)) in Contender::ALL.into_iter().zip(COLORS).enumerate() {
        let left = |index: usize| index as f64 - 0.36 + 0.18 * at as f64;
        let bars = lines.iter().enumerate().map(|(index, line)| {
            Rectangle::new([(left(index), 1.0), (left(index) + 0.16, line.micros[at])], color.filled())
        });
        chart
            .draw_series(bars)
            .map_err(|error| failed(&error))?
            .label(contender.to_string())
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], color.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(GRID)
        .background_style(WHITE)
        .draw()
        .map_err(|error| failed(&error))?;
    area.present().map_err(|error| failed(&error))?;
    drop(chart);
    drop(area);
    Ok(path)
}
