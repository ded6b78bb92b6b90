//! Values of options that are refused before anything runs.

use std::num::NonZeroUsize;

pub fn count(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a whole number, at least 1".into())
}

pub fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err("expected a finite number that is not negative".into()),
    }
}

pub fn below_one(text: &str) -> Result<f64, String> {
    not_negative(text)
        .ok()
        .filter(|&value| value < 1.0)
        .ok_or_else(|| "expected a number from 0 up to, but not including, 1".into())
}

pub fn share(text: &str) -> Result<f64, String> {
    not_negative(text).ok().filter(|&value| value <= 1.0).ok_or_else(|| "expected a number from 0 to 1".into())
}
