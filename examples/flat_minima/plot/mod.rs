//! The figures, as SVG.

mod curves;
mod spectra;
mod symlog;
mod trajectories;

pub use spectra::draw as spectra;
pub use trajectories::draw as trajectories;

use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::method::Kind;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const INK: RGBColor = RGBColor(60, 60, 60);
const GRID: RGBColor = RGBColor(228, 228, 228);
const LINE_WIDTH: u32 = 3;

/// Three colours of the palette of Okabe and Ito, which colour-blind readers can tell apart.
fn color(kind: Kind) -> RGBColor {
    match kind {
        Kind::Sgd => RGBColor(213, 94, 0),
        Kind::Sam => RGBColor(0, 114, 178),
        Kind::Hsr => RGBColor(0, 158, 115),
    }
}

fn text(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

/// A number without trailing zeros.
fn number(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    rounded.to_string().replace('-', "−")
}

/// Writes the title on a white ground. Returns what is left below it.
fn titled<'a>(root: &Area<'a>, title: &str) -> Result<Area<'a>> {
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(48);
    let middle = (head.dim_in_pixel().0 / 2) as i32;
    head.draw(&Text::new(title, (middle, 30), text(24).pos(Pos::new(HPos::Center, VPos::Center))))?;
    Ok(body)
}
