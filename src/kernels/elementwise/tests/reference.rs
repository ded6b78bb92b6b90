//! Reference values of the activations and of exp and ln: in `f64` by the standard library and `libm` for checking `f32`, and
//! in 256-bit arithmetic for checking `f64`.
//!
//! With each value comes the magnitude that its error is relative to: the value's own, or the sum of the magnitudes of the
//! terms of its formula where it has a zero that is not one of a single factor. Shared with the fuzz target `activations`.

use astro_float::{BigFloat, Consts, RoundingMode, Sign};

use crate::{Activation, Real};

/// A real number as the sum of two `f64`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exact {
    pub(super) high: f64,
    pub(super) low: f64,
}

impl From<f64> for Exact {
    fn from(high: f64) -> Self {
        Self { high, low: 0.0 }
    }
}

impl Exact {
    /// `|got − self|`
    pub(super) fn distance<T: Real>(self, got: T) -> f64 {
        ((got.to_f64() - self.high) - self.low).abs()
    }
}

/// Distance of the numbers of type T at `x`.
pub(super) fn ulp<T: Real>(x: f64) -> f64 {
    let x = x.abs().max(T::MIN_POSITIVE.to_f64());
    f64::from_bits(x.to_bits() & !((1 << 52) - 1)) * T::EPSILON.to_f64()
}

/// A value, and the magnitude that its error is relative to.
pub(super) type Value = (Exact, f64);

/// Largest errors allowed of φ, φ', φ'', φ''' in units in the last place of the value, or of the sum of the magnitudes of
/// the terms.
pub(super) fn limits(activation: Activation) -> [f64; 4] {
    match activation {
        Activation::Tanh | Activation::Sigmoid => [1.25, 1.0, 1.25, 1.5],
        Activation::Softplus => [1.5, 1.0, 1.0, 1.25],
        Activation::Gelu => [2.0, 2.0, 1.75, 1.75],
        Activation::Silu => [1.75, 2.0, 1.75, 2.0],
        Activation::Identity => [0.0; 4],
        #[allow(unreachable_patterns, reason = "tests/double.rs and the fuzz targets see the enum from outside")]
        other => unimplemented!("a reference for {other}"),
    }
}

/// Where exponentials underflow to 0 there is this absolute error, times the powers of `u` by which they are multiplied.
fn underflow<T: Real>(u: f64) -> f64 {
    4.0 * T::MIN_POSITIVE.to_f64() * (1.0 + u.abs().powi(3))
}

/// The error of `got` in units in the last place of the magnitude; 0 where underflow explains it.
pub(super) fn error<T: Real>(u: f64, got: T, (want, magnitude): Value) -> f64 {
    let (distance, underflow) = (want.distance(got), underflow::<T>(u));
    if distance <= underflow && magnitude < 1e3 * underflow { 0.0 } else { distance / ulp::<T>(magnitude) }
}

/// `[φ, φ', φ'', φ''']` at `u`, to `f64` accuracy.
pub(super) fn double(activation: Activation, u: f64) -> [Value; 4] {
    let relative = |x: f64| (Exact::from(x), x.abs());
    let sum = |x: f64, y: f64| (Exact::from(x + y), x.abs() + y.abs());
    let slope = |w: f64| 0.25 / (w / 2.0).cosh().powi(2);
    let sigma = |w: f64| 1.0 / (1.0 + (-w).exp());
    match activation {
        Activation::Tanh => {
            let (h, f) = (u.tanh(), 1.0 / u.cosh().powi(2));
            [relative(h), relative(f), relative(-2.0 * h * f), sum(4.0 * f, -6.0 * f * f)]
        }
        Activation::Sigmoid => {
            let f = slope(u);
            [relative(sigma(u)), relative(f), relative(-f * (u / 2.0).tanh()), sum(f, -6.0 * f * f)]
        }
        Activation::Softplus => {
            let h = u.max(0.0) + (-u.abs()).exp().ln_1p();
            [relative(h), relative(sigma(u)), relative(slope(u)), relative(-slope(u) * (u / 2.0).tanh())]
        }
        Activation::Gelu => {
            let density = (-0.5 * u * u).exp() / std::f64::consts::TAU.sqrt();
            let phi = 0.5 * libm::erfc(-u * std::f64::consts::FRAC_1_SQRT_2);
            let cubic = sum(density * u * u * u, -4.0 * density * u);
            [relative(u * phi), sum(phi, u * density), sum(2.0 * density, -u * u * density), cubic]
        }
        Activation::Silu => {
            let (s, f, tanh) = (sigma(u), slope(u), (u / 2.0).tanh());
            let [a, b, c] = [u * f, -6.0 * u * f * f, -3.0 * f * tanh];
            let third = (Exact::from(f * (u * (1.0 - 6.0 * f) - 3.0 * tanh)), a.abs() + b.abs() + c.abs());
            [relative(u * s), sum(s, s * u * sigma(-u)), sum(2.0 * f, -f * u * tanh), third]
        }
        Activation::Identity => [relative(u), relative(1.0), relative(0.0), relative(0.0)],
        #[allow(unreachable_patterns, reason = "tests/double.rs and the fuzz targets see the enum from outside")]
        other => unimplemented!("a reference for {other}"),
    }
}

const BITS: usize = 256;
const MODE: RoundingMode = RoundingMode::ToEven;

/// 256-bit arithmetic, with the constants that its functions cache.
pub(super) struct Multiprecision {
    constants: Consts,
}

fn big(x: f64) -> BigFloat {
    if x.is_subnormal() {
        // The conversion takes subnormal numbers for normal ones.
        return mul(&big(x * 2_f64.powi(200)), &big(2_f64.powi(-200)));
    }
    BigFloat::from_f64(x, BITS)
}

fn add(x: &BigFloat, y: &BigFloat) -> BigFloat {
    x.add(y, BITS, MODE)
}

fn sub(x: &BigFloat, y: &BigFloat) -> BigFloat {
    x.sub(y, BITS, MODE)
}

fn mul(x: &BigFloat, y: &BigFloat) -> BigFloat {
    x.mul(y, BITS, MODE)
}

fn div(x: &BigFloat, y: &BigFloat) -> BigFloat {
    x.div(y, BITS, MODE)
}

/// The leading 53 or so bits.
fn leading(x: &BigFloat) -> f64 {
    let Some((words, _, sign, exponent, _)) = x.as_raw_parts() else { return f64::NAN };
    let Some(&word) = words.last() else { return 0.0 };
    // In two steps, as the power of two alone may be out of range.
    let half = exponent / 2;
    let magnitude = word as f64 / 2_f64.powi(64) * 2_f64.powi(half) * 2_f64.powi(exponent - half);
    if sign == Sign::Neg { -magnitude } else { magnitude }
}

fn exact(x: &BigFloat) -> Exact {
    let high = leading(x);
    Exact { high, low: leading(&sub(x, &big(high))) }
}

fn relative(x: &BigFloat) -> Value {
    (exact(x), leading(x).abs())
}

/// The sum of `terms`, its error relative to the sum of their magnitudes.
fn sum(terms: &[BigFloat]) -> Value {
    let total = terms.iter().fold(big(0.0), |total, term| add(&total, term));
    (exact(&total), terms.iter().map(|term| leading(term).abs()).sum())
}

impl Multiprecision {
    pub(super) fn new() -> Self {
        Self { constants: Consts::new().expect("memory for constants") }
    }

    fn exponential(&mut self, x: &BigFloat) -> BigFloat {
        x.exp(BITS, MODE, &mut self.constants)
    }

    pub(super) fn exp(&mut self, x: f64) -> Exact {
        exact(&self.exponential(&big(x)))
    }

    pub(super) fn ln(&mut self, x: f64) -> Exact {
        exact(&big(x).ln(BITS, MODE, &mut self.constants))
    }

    /// `[φ, φ', φ'', φ''']` at `u`.
    pub(super) fn evaluate(&mut self, activation: Activation, u: f64) -> [Value; 4] {
        match activation {
            Activation::Tanh => {
                let [_, f, e, h] = self.logistic(2.0 * u);
                let f = mul(&big(4.0), &f);
                let third = [mul(&big(4.0), &f), mul(&big(-6.0), &mul(&f, &f))];
                [relative(&h), relative(&f), relative(&mul(&big(8.0), &e)), sum(&third)]
            }
            Activation::Sigmoid => {
                let [s, f, e, _] = self.logistic(u);
                let third = [f.clone(), mul(&big(-6.0), &mul(&f, &f))];
                [relative(&s), relative(&f), relative(&e), sum(&third)]
            }
            Activation::Softplus => {
                let q = self.exponential(&big(-u.abs()));
                let h = add(&big(u.max(0.0)), &add(&big(1.0), &q).ln(BITS, MODE, &mut self.constants));
                // Below 2⁻²⁵⁶ the sum loses q, but ln(1 + q) = q (1 − q/2 + ...).
                let h = if u < -50.0 { sub(&q, &mul(&big(0.5), &mul(&q, &q))) } else { h };
                let [s, f, e, _] = self.logistic(u);
                [relative(&h), relative(&s), relative(&f), relative(&e)]
            }
            Activation::Silu => {
                let [s, f, e, _] = self.logistic(u);
                let u = big(u);
                let first = [s.clone(), mul(&u, &f)];
                let second = [mul(&big(2.0), &f), mul(&u, &e)];
                let u_f = mul(&u, &f);
                let third = [u_f.clone(), mul(&big(-6.0), &mul(&u_f, &f)), mul(&big(3.0), &e)];
                [relative(&mul(&u, &s)), sum(&first), sum(&second), sum(&third)]
            }
            Activation::Gelu => {
                let (density, phi) = self.normal(u);
                let u = big(u);
                let first = [phi.clone(), mul(&u, &density)];
                let u_2 = mul(&u, &u);
                let second = [mul(&big(2.0), &density), mul(&big(-1.0), &mul(&u_2, &density))];
                let u_density = mul(&u, &density);
                let third = [mul(&u_2, &u_density), mul(&big(-4.0), &u_density)];
                [relative(&mul(&u, &phi)), sum(&first), sum(&second), sum(&third)]
            }
            Activation::Identity => [relative(&big(u)), relative(&big(1.0)), relative(&big(0.0)), relative(&big(0.0))],
            #[allow(unreachable_patterns, reason = "tests/double.rs and the fuzz targets see the enum from outside")]
            other => unimplemented!("a reference for {other}"),
        }
    }

    /// `[σ, σ', σ'', tanh(w/2)]` at `w`, from `q = e^−|w|`.
    fn logistic(&mut self, w: f64) -> [BigFloat; 4] {
        let q = self.exponential(&big(-w.abs()));
        let d = add(&big(1.0), &q);
        let s = if w < 0.0 { div(&q, &d) } else { div(&big(1.0), &d) };
        let f = div(&q, &mul(&d, &d));
        // Next to 0, where even 256 bits would cancel, tanh x = x up to a relative error of x².
        let tanh =
            if w.abs() < 2_f64.powi(-60) { big(0.5 * w) } else { mul(&big(w.signum()), &div(&sub(&big(1.0), &q), &d)) };
        let e = mul(&big(-1.0), &mul(&f, &tanh));
        [s, f, e, tanh]
    }

    /// φ(u) and Φ(u).
    fn normal(&mut self, u: f64) -> (BigFloat, BigFloat) {
        let a = big(u.abs());
        let tau = mul(&big(2.0), &self.constants.pi(BITS, MODE));
        let square = mul(&a, &a);
        let density = div(&self.exponential(&mul(&big(-0.5), &square)), &tau.sqrt(BITS, MODE));
        let upper = if u.abs() < 4.0 {
            // Φ(a) − ½ = φ(a) Σ a^(2k+1)/(2k+1)!!, a series of positive terms.
            let (mut term, mut series) = (a.clone(), a.clone());
            for k in 1..200 {
                term = div(&mul(&term, &square), &big(f64::from(2 * k + 1)));
                series = add(&series, &term);
            }
            sub(&big(0.5), &mul(&density, &series))
        } else {
            // Laplace: 1 − Φ(a) = φ(a)/(a + 1/(a + 2/(a + ...))).
            let mut fraction = a.clone();
            for k in (1..400).rev() {
                fraction = add(&a, &div(&big(f64::from(k)), &fraction));
            }
            div(&density, &fraction)
        };
        let phi = if u < 0.0 { upper } else { sub(&big(1.0), &upper) };
        (density, phi)
    }
}
