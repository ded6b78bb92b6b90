//! What all figures share: colours, markers, text, ticks.

use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::common::method::Kind;

pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub const INK: RGBColor = RGBColor(60, 60, 60);
pub const GRID: RGBColor = RGBColor(228, 228, 228);
pub const LINE_WIDTH: u32 = 3;

/// Half a marker's width, in pixels.
const MARKER: i32 = 6;

/// Four colours of the palette of Okabe and Ito, which colour-blind readers can tell apart.
pub fn color(kind: Kind) -> RGBColor {
    match kind {
        Kind::Sgd => RGBColor(213, 94, 0),
        Kind::Sam => RGBColor(0, 114, 178),
        Kind::Hsr => RGBColor(0, 158, 115),
        Kind::HsrSampled => RGBColor(204, 121, 167),
    }
}

/// A marker of the kind's own shape, so that colour is not all that tells kinds apart; `x` pixels to the right of its place.
pub fn marker(kind: Kind, x: i32) -> Polygon<(i32, i32)> {
    let scaled = |points: &[(f64, f64)]| -> Vec<(i32, i32)> {
        let pixel = |value: f64| (f64::from(MARKER) * value).round() as i32;
        points.iter().map(|&(right, down)| (x + pixel(right), pixel(down))).collect()
    };
    let outline = match kind {
        Kind::Sgd => {
            let corner = |i: i32| (f64::from(i) * std::f64::consts::TAU / 16.0).sin_cos();
            scaled(&(0..16).map(corner).collect::<Vec<_>>())
        }
        Kind::Sam => scaled(&[(0.0, -1.2), (1.2, 0.9), (-1.2, 0.9)]),
        Kind::Hsr => scaled(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
        Kind::HsrSampled => scaled(&[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)]),
    };
    Polygon::new(outline, color(kind).filled())
}

/// 1, 2, 5 times the powers of ten, within limits.
pub fn ticks(bottom: f64, top: f64) -> Vec<f64> {
    let (first, last) = (bottom.log10().floor() as i32, top.log10().ceil() as i32);
    let all = (first..=last).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
    all.filter(|tick| (bottom..=top).contains(tick)).collect()
}

pub fn text(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

/// A number without trailing zeros.
pub fn number(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    rounded.to_string().replace('-', "−")
}

/// Writes the title on a white ground. Returns what is left below it.
pub fn titled<'a>(root: &Area<'a>, title: &str) -> Result<Area<'a>> {
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(48);
    let middle = (head.dim_in_pixel().0 / 2) as i32;
    head.draw(&Text::new(title, (middle, 30), text(24).pos(Pos::new(HPos::Center, VPos::Center))))?;
    Ok(body)
}
