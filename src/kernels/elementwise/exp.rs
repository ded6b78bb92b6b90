//! The exponential function.
//!
//! `x = n ln 2 + r` with integral `n` and `|r| <= ln 2 / 2`, by Cody and Waite (*Software Manual for the Elementary
//! Functions*, 1980): ln 2 is split in two, the first part with so few bits that its product with `n` is exact, so no
//! fused multiply–add is needed. The even and the odd part of `eʳ − 1 − r` are polynomials in `r²`, two short chains instead
//! of a long one.

use super::constant::{constant, splat};
use super::pair::Pair;
use super::polynomial::polynomial;
use crate::number::Coefficients;
use crate::number::Number;
use crate::simd::Lanes;

/// `x = n ln 2 + r`, and `eʳ − 1` in two parts.
#[derive(Clone, Copy)]
struct Reduced<V> {
    /// n, integral.
    n: V,
    /// r
    r: V,
    /// `eʳ − 1 − r`
    bend: V,
}

/// Reduces `x + tail`, where `|x|` is below 2048 ln 2 (f32: 256 ln 2) and `|tail|` below 0.1.
#[inline(always)]
fn reduce<V: Lanes>(x: V, tail: Option<V>) -> Reduced<V> {
    // Adding 1.5 · 2^FRACTION_BITS rounds to the nearest integer.
    let shift = constant(x, 1.5 * V::Scalar::INTEGRAL.to_f64());
    let rounded = tail.map_or(x, |tail| x + tail);
    let n = rounded.mul_add(constant(x, core::f64::consts::LOG2_E), shift) - shift;
    let r = n.neg_mul_add(splat(x, V::Scalar::LN_2_HIGH), x);
    let ln_2_low = splat(x, V::Scalar::LN_2_LOW);
    // With a tail, the last digits matter: what rounding takes from r is then added to the second part.
    let (r, rest) = match tail {
        None => (n.neg_mul_add(ln_2_low, r), None),
        Some(tail) => {
            let Pair { high, low } = Pair::sum_of_any(r, n.neg_mul_add(ln_2_low, tail));
            (high, Some(low))
        }
    };

    let square = r * r;
    let half = square * constant(x, 0.5);
    let even = (square * square).mul_add(polynomial(square, V::Scalar::EXP_EVEN), half);
    let odd = (square * r) * polynomial(square, V::Scalar::EXP_ODD);
    let bend = even + odd;
    Reduced { n, r, bend: rest.map_or(bend, |rest| bend + rest) }
}

/// `eˣ`: 0 at −∞, ∞ where it overflows, NaN at NaN; gradual underflow.
#[inline(always)]
pub(super) fn exp<V: Lanes>(x: V) -> V {
    let limit = 1.03 * V::Scalar::EXP_ZERO.to_f64();
    let x = constant(x, -limit).min(constant(x, 1.2 * limit).max(x));
    let Reduced { n, r, bend } = reduce(x, None);
    ((r + bend) + constant(x, 1.0)).scale_pow2(n)
}

/// `q = e⁻ʷ` for `w >= 0`, in parts that keep their relative accuracy in sums with 1.
///
/// q underflows abruptly: it is 0 where w is above the logarithm of the smallest normal number plus ½ ln 2 (87.68 for
/// `f32`, 708.74 for `f64`), so that no subnormal number arises. NaN propagates.
#[derive(Clone, Copy)]
pub(super) struct Decay<V> {
    /// `s = 2ⁿ`, a power of two, 1 or less, or 0.
    pub(super) scale: V,
    /// `eʳ − 1`; `q = s eʳ`.
    rise: Pair<V>,
}

impl<V: Lanes> Decay<V> {
    /// The parts of `q = eˣ`, `x <= 0`.
    #[inline(always)]
    pub(super) fn new(x: V) -> Self {
        Self::with_tail(x, None)
    }

    /// The parts of `q = e^(x + tail)`.
    #[inline(always)]
    pub(super) fn with_tail(x: V, tail: Option<V>) -> Self {
        let x = splat(x, V::Scalar::EXP_ZERO).max(x);
        let Reduced { n, r, bend } = reduce(x, tail);
        Self { scale: V::pow2(n), rise: Pair::sum(r, bend, V::zero(x.simd())) }
    }

    /// `q`
    #[inline(always)]
    pub(super) fn value(self) -> V {
        self.scale.mul_add(self.rise.high, self.scale)
    }

    /// `eʳ = q/s`
    #[inline(always)]
    pub(super) fn exponential(self) -> Pair<V> {
        Pair::sum(constant(self.scale, 1.0), self.rise.high, self.rise.low)
    }

    /// `1 − q = (1 − s) − s (eʳ − 1)`, where `1 − s` is 0 or larger than the rest.
    #[inline(always)]
    pub(super) fn one_minus(self) -> Pair<V> {
        let Self { scale, rise } = self;
        Pair::sum(constant(scale, 1.0) - scale, -(scale * rise.high), -(scale * rise.low))
    }

    /// `1 + q = (1 + s) + s (eʳ − 1)`
    #[inline(always)]
    pub(super) fn one_plus(self) -> Pair<V> {
        let Self { scale, rise } = self;
        let one = constant(scale, 1.0);
        let base = one + scale;
        let rest = scale - (base - one);
        Pair::sum(base, scale * rise.high, scale.mul_add(rise.low, rest))
    }
}
