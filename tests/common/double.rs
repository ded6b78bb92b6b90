//! Numbers of twice the digits of `f64`: sums of two, the second at most half a unit in the last place of the first.
//!
//! Sums and products as in Dekker, *A floating-point technique for extending the available precision*, Numer. Math. 18 (1971). Relative
//! errors are some 10⁻³¹, elementary functions' some 10⁻²⁹: thirteen digits more than `f64` has.

use super::number::Number;
use std::ops::{Add, Mul, Neg, Sub};

/// `high + low`
#[derive(Clone, Copy, Debug)]
pub struct Double {
    pub high: f64,
    pub low: f64,
}

/// x + y, for |x| ≥ |y|.
fn ordered_sum(x: f64, y: f64) -> Double {
    let high = x + y;
    Double { high, low: y - (high - x) }
}

fn sum(x: f64, y: f64) -> Double {
    let high = x + y;
    let part = high - x;
    Double { high, low: (x - (high - part)) + (y - part) }
}

/// The leading and the trailing 26 bits.
fn split(x: f64) -> (f64, f64) {
    let shifted = 134_217_729.0 * x;
    let high = shifted - (shifted - x);
    (high, x - high)
}

fn product(x: f64, y: f64) -> Double {
    let high = x * y;
    let ((x_high, x_low), (y_high, y_low)) = (split(x), split(y));
    Double { high, low: ((x_high * y_high - high) + x_high * y_low + x_low * y_high) + x_low * y_low }
}

const LN_2: Double = Double { high: std::f64::consts::LN_2, low: 2.319_046_813_846_299_6e-17 };
const PI: Double = Double { high: std::f64::consts::PI, low: 1.224_646_799_147_353_2e-16 };

impl Double {
    /// `|given − self|`
    pub fn distance(self, given: f64) -> f64 {
        (Self::constant(given) - self).value().abs()
    }

    fn scaled(self, power_of_two: f64) -> Self {
        Self { high: self.high * power_of_two, low: self.low * power_of_two }
    }

    fn over(self, other: Self) -> Self {
        let first = self.high / other.high;
        let rest = self - other * Self::constant(first);
        let second = rest.high / other.high;
        let rest = rest - other * Self::constant(second);
        ordered_sum(first, second) + Self::constant(rest.high / other.high)
    }
}

impl Add for Double {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let (high, low) = (sum(self.high, other.high), sum(self.low, other.low));
        let first = ordered_sum(high.high, high.low + low.high);
        ordered_sum(first.high, first.low + low.low)
    }
}

impl Sub for Double {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Double {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let leading = product(self.high, other.high);
        ordered_sum(leading.high, leading.low + (self.high * other.low + self.low * other.high))
    }
}

impl Neg for Double {
    type Output = Self;
    fn neg(self) -> Self {
        Self { high: -self.high, low: -self.low }
    }
}

impl Number for Double {
    fn constant(x: f64) -> Self {
        Self { high: x, low: 0.0 }
    }
    fn value(self) -> f64 {
        self.high
    }
    fn pi() -> Self {
        PI
    }
    fn recip(self) -> Self {
        Self::constant(1.0).over(self)
    }
    fn sqrt(self) -> Self {
        if self.high == 0.0 {
            return self;
        }
        let root = Self::constant(self.high.sqrt());
        // Newton's step, whose correction is small.
        root + (self - root * root).over(root + root)
    }
    fn exp(self) -> Self {
        const HALVINGS: i32 = 9;
        if self.high < -700.0 {
            return Self::constant(0.0);
        }
        let twos = (self.high / std::f64::consts::LN_2).round();
        let rest = (self - LN_2 * Self::constant(twos)).scaled(2f64.powi(-HALVINGS));
        // e^r − 1, |r| < 7e-4, doubled by (e^r − 1)(e^r + 1).
        let (mut term, mut series) = (rest, rest);
        for k in 2..=10 {
            term = term * rest * Self::constant(f64::from(k)).recip();
            series = series + term;
        }
        for _ in 0..HALVINGS {
            series = series * (series + Self::constant(2.0));
        }
        (series + Self::constant(1.0)).scaled(2f64.powi(twos as i32))
    }
    fn ln(self) -> Self {
        // Newton's step for e^y = x.
        let y = Self::constant(self.high.ln());
        let error = self * (-y).exp() - Self::constant(1.0);
        y + error - error * error * Self::constant(0.5)
    }
    fn ln_1p(self) -> Self {
        if self.high.abs() > 1e-6 {
            return (Self::constant(1.0) + self).ln();
        }
        let (mut power, mut series) = (self, self);
        for k in 2..=5 {
            power = -(power * self);
            series = series + power.over(Self::constant(f64::from(k)));
        }
        series
    }
    fn tanh(self) -> Self {
        let (one, square) = (Self::constant(1.0), self * self);
        if self.high.abs() < 1e-6 {
            let third = Self::constant(3.0).recip();
            return self * (one - square * third + square * square * Self::constant(2.0) * third * Self::constant(0.2));
        }
        let q = if self.high < 0.0 { self + self } else { -(self + self) }.exp();
        let tanh = (one - q).over(one + q);
        if self.high < 0.0 { -tanh } else { tanh }
    }
    fn normal(self) -> Self {
        let (one, half) = (Self::constant(1.0), Self::constant(0.5));
        let square = self * self;
        let density = (-(half * square)).exp() * (PI + PI).sqrt().recip();
        if self.high.abs() < 5.0 {
            // Φ(x) = ½ + φ(x) Σ x^(2k+1)/(2k+1)!!
            let (mut term, mut series) = (self, self);
            let mut odd = 3.0;
            while term.high.abs() > 1e-34 * series.high.abs() {
                term = term * square.over(Self::constant(odd));
                series = series + term;
                odd += 2.0;
            }
            return half + density * series;
        }
        // Laplace: 1 − Φ(a) = φ(a)/(a + 1/(a + 2/(a + …))).
        let a = if self.high < 0.0 { -self } else { self };
        let mut fraction = a;
        for k in (1..200).rev() {
            fraction = a + Self::constant(f64::from(k)).over(fraction);
        }
        let upper = density.over(fraction);
        if self.high < 0.0 { upper } else { one - upper }
    }
}
