//! A symmetric logarithmic axis: logarithmic to both sides, linear around zero.
//!
//! `x ↦ asinh(x/2c)`: for |x| ≫ c that is ±ln(|x|/c).

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

#[derive(Clone, Debug)]
pub struct SymLog {
    range: Range<f64>,
    /// c, a power of ten: where linear turns logarithmic.
    linear: f64,
}

impl SymLog {
    pub const fn new(range: Range<f64>, linear: f64) -> Self {
        Self { range, linear }
    }

    /// Divides the axis into bins of equal width on paper.
    pub fn bins(&self, count: usize) -> Vec<Range<f64>> {
        let (start, end) = (self.scale(self.range.start), self.scale(self.range.end));
        let edge = |index: usize| self.unscale(start + (end - start) * index as f64 / count as f64);
        (0..count).map(|index| edge(index)..edge(index + 1)).collect()
    }

    fn scale(&self, value: f64) -> f64 {
        (value / (2.0 * self.linear)).asinh()
    }

    fn unscale(&self, position: f64) -> f64 {
        2.0 * self.linear * position.sinh()
    }
}

impl Ranged for SymLog {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (low, high): (i32, i32)) -> i32 {
        let (start, end) = (self.scale(self.range.start), self.scale(self.range.end));
        let share = (self.scale(*value) - start) / (end - start);
        low + (share * f64::from(high - low)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        let mut points = vec![0.0];
        let mut power = 10.0 * self.linear;
        while power <= self.range.start.abs().max(self.range.end) {
            points.extend([power, -power].into_iter().filter(|point| self.range.contains(point)));
            power *= 10.0;
        }
        points
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for SymLog {
    fn format_ext(&self, value: &f64) -> String {
        if *value == 0.0 {
            return "0".into();
        }
        let sign = if *value < 0.0 { "−" } else { "" };
        let exponent = value.abs().log10().round() as i32;
        match exponent {
            -2..=2 => format!("{sign}{}", 10f64.powi(exponent)),
            _ => format!("{sign}10{}", superscript(exponent)),
        }
    }
}

fn superscript(number: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let digits = number.unsigned_abs().to_string();
    let digits = digits.bytes().map(|digit| DIGITS[usize::from(digit - b'0')]);
    (number < 0).then_some('⁻').into_iter().chain(digits).collect()
}

#[cfg(test)]
mod tests {
    use plotters::coord::ranged1d::BoldPoints;

    use super::*;

    #[test]
    fn ticks_are_powers_of_ten_on_both_sides() {
        let axis = SymLog::new(-0.02..1.5, 1e-4);
        let labels: Vec<String> = axis.key_points(BoldPoints(9)).iter().map(|point| axis.format_ext(point)).collect();
        assert_eq!(labels, ["0", "10⁻³", "−10⁻³", "0.01", "−0.01", "0.1", "1"]);
        assert_eq!((axis.map(&-0.02, (0, 700)), axis.map(&1.5, (0, 700))), (0, 700));
        let bins = axis.bins(7);
        assert!(bins.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!(axis.map(&bins[2].end, (0, 700)), 300);
    }
}
