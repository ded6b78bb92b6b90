//! Curves over whole numbers, one a method: the median over the seeds as a line, least to greatest value as a band.

use std::ops::Range;

use anyhow::Result;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use crate::common::drawing::{Area, GRID, INK, LINE_WIDTH, color, marker, number, text};
use crate::common::method::Method;
use crate::common::statistics::Spread;

const BAND_OPACITY: f64 = 0.16;

/// What is drawn for one method.
pub struct Curve {
    pub method: Method,
    pub points: Vec<(usize, Spread)>,
}

/// An axis, its description, and about how many ticks it should have.
pub struct Axis<'a, C> {
    pub description: &'a str,
    pub range: C,
    pub ticks: usize,
}

/// The least and the greatest value on any curve.
pub fn extent(curves: &[Curve]) -> (f64, f64) {
    let spreads = || curves.iter().flat_map(|curve| &curve.points).map(|(_, spread)| spread);
    let lowest = spreads().map(|spread| spread.least).fold(f64::INFINITY, f64::min);
    let highest = spreads().map(|spread| spread.greatest).fold(f64::NEG_INFINITY, f64::max);
    (lowest, highest)
}

/// Draws the curves in an area of their own.
pub fn draw<Y>(area: &Area<'_>, x: Axis<'_, Range<usize>>, y: Axis<'_, Y>, curves: &[Curve]) -> Result<()>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .margin(18)
        .margin_right(34)
        .x_label_area_size(64)
        .y_label_area_size(90)
        .build_cartesian_2d(x.range, y.range)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(text(20))
        .axis_desc_style(text(22))
        .x_labels(x.ticks)
        .y_labels(y.ticks)
        .y_label_formatter(&|value| number(*value))
        .x_desc(x.description)
        .y_desc(y.description)
        .draw()?;
    for Curve { method, points } in curves {
        let upper = points.iter().map(|&(x, spread)| (x, spread.greatest));
        let lower = points.iter().rev().map(|&(x, spread)| (x, spread.least));
        let outline: Vec<_> = upper.chain(lower).collect();
        chart.draw_series([Polygon::new(outline, color(method.kind).mix(BAND_OPACITY))])?;
    }
    for Curve { method, points } in curves {
        let kind = method.kind;
        let medians = || points.iter().map(|&(x, spread)| (x, spread.median));
        let style = color(kind);
        let line =
            chart.draw_series(LineSeries::new(medians(), style.stroke_width(LINE_WIDTH)))?.label(method.to_string());
        // A piece of the line, for the legend.
        let piece = move |place| {
            EmptyElement::at(place) + PathElement::new(vec![(0, 0), (34, 0)], style.stroke_width(LINE_WIDTH))
        };
        line.legend(move |place| piece(place) + marker(kind, 17));
        chart.draw_series(medians().map(|place| EmptyElement::at(place) + marker(kind, 0)))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .margin(14)
        .legend_area_size(46)
        .background_style(WHITE.mix(0.85))
        .border_style(GRID)
        .label_font(text(20))
        .draw()?;
    Ok(())
}
