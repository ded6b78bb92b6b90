//! The exponential function.
//!
//! `x = n ln 2 + r` with integral `n` and `|r| <= ln 2 / 2`, by Cody and Waite (*Software Manual for the Elementary
//! Functions*, 1980): ln 2 is split in two, the first part with so few bits that its product with `n` is exact, so no
//! fused multiply–add is needed. The even and the odd part of `eʳ − 1` are polynomials in `r²`; their sum and difference
//! are `eʳ − 1` and `e⁻ʳ − 1`, and hyperbolic functions can be put together without cancellation.

use super::{constant, polynomial, splat};
use crate::elementwise::Coefficients;
use crate::real::Real;
use crate::simd::Lanes;

/// `x = n ln 2 + r`, and both `eʳ − 1` and `e⁻ʳ − 1` to full relative accuracy.
#[derive(Clone, Copy)]
pub(super) struct Reduced<V> {
    /// n, integral.
    pub(super) n: V,
    /// r
    pub(super) r: V,
    /// `eʳ − 1`
    pub(super) up: V,
    /// `e⁻ʳ − 1 + r`, which is small.
    pub(super) bend: V,
}

/// Reduces `x + tail`, where `|x|` is below 2048 ln 2 (f32: 256 ln 2) and `|tail|` below 0.1.
#[inline(always)]
pub(super) fn reduce<V: Lanes>(x: V, tail: Option<V>) -> Reduced<V> {
    // Adding 1.5 · 2^FRACTION_BITS rounds to the nearest integer.
    let shift = constant(x, 1.5 * V::Scalar::INTEGRAL.to_f64());
    let rounded = tail.map_or(x, |tail| x + tail);
    let n = rounded.mul_add(constant(x, core::f64::consts::LOG2_E), shift) - shift;
    let r = n.neg_mul_add(splat(x, V::Scalar::LN_2_HIGH), x);
    let r = tail.map_or(r, |tail| r + tail);
    let r = n.neg_mul_add(splat(x, V::Scalar::LN_2_LOW), r);

    let square = r * r;
    let half = square * constant(x, 0.5);
    let even = (square * square).mul_add(polynomial(square, V::Scalar::EXP_EVEN), half);
    let odd = (square * r) * polynomial(square, V::Scalar::EXP_ODD);
    Reduced { n, r, up: r + (even + odd), bend: even - odd }
}

/// `eˣ`: 0 at −∞, ∞ from overflow on, NaN at NaN; gradual underflow.
#[inline(always)]
pub(super) fn exp<V: Lanes>(x: V) -> V {
    let limit = 1.03 * V::Scalar::EXP_ZERO.to_f64();
    let x = constant(x, -limit).min(constant(x, 1.2 * limit).max(x));
    let Reduced { n, up, .. } = reduce(x, None);
    (up + constant(x, 1.0)).scale_pow2(n)
}

/// `q = e⁻ʷ` for `w >= 0`, in the parts from which sums with 1 keep their relative accuracy.
///
/// q underflows abruptly: it is 0 where w is above the logarithm of the smallest normal number plus ½ ln 2 (87.68 for
/// `f32`, 708.74 for `f64`), so that no subnormal number arises. NaN propagates.
#[derive(Clone, Copy)]
pub(super) struct Decay<V> {
    /// `s = 2ⁿ`, a power of two, 1 or less, or 0.
    pub(super) scale: V,
    /// `eʳ − 1`; `q = s eʳ`.
    up: V,
    /// r; `1/q = e⁻ʳ/s`.
    r: V,
    /// `e⁻ʳ − 1 + r`
    bend: V,
}

impl<V: Lanes> Decay<V> {
    /// Of `q = eˣ`, `x <= 0`.
    #[inline(always)]
    pub(super) fn new(x: V) -> Self {
        Self::with_tail(x, None)
    }

    /// Of `q = e^(x + tail)`.
    #[inline(always)]
    pub(super) fn with_tail(x: V, tail: Option<V>) -> Self {
        let x = splat(x, V::Scalar::EXP_ZERO).max(x);
        let Reduced { n, r, up, bend } = reduce(x, tail);
        Self { scale: V::pow2(n), up, r, bend }
    }

    /// `q`
    #[inline(always)]
    pub(super) fn value(self) -> V {
        self.scale.mul_add(self.up, self.scale)
    }

    /// `c q` for a constant c in two parts.
    #[inline(always)]
    pub(super) fn times(self, [high, low]: [V; 2]) -> V {
        (high.mul_add(self.up, low) + high) * self.scale
    }

    /// `1 − q`
    #[inline(always)]
    pub(super) fn one_minus(self) -> V {
        self.scale.neg_mul_add(self.up, constant(self.up, 1.0) - self.scale)
    }

    /// `1 + q`
    #[inline(always)]
    pub(super) fn one_plus(self) -> V {
        self.scale.mul_add(self.up, constant(self.up, 1.0) + self.scale)
    }

    /// `s + s/q = s + e⁻ʳ`, so that `q/(1 + q)` is `s` over it.
    #[inline(always)]
    pub(super) fn scaled_one_plus_inverse(self) -> V {
        constant(self.up, 1.0) + (self.scale + (self.bend - self.r))
    }

    /// `s (1 + q)²/q = 1 + s (s + 2) + s² (eʳ − 1) + (e⁻ʳ − 1)`, so that `q/(1 + q)²` is `s` over it.
    #[inline(always)]
    pub(super) fn scaled_slope_inverse(self) -> V {
        let Self { scale, up, r, bend } = self;
        let constants = scale.mul_add(scale, scale + scale);
        constant(up, 1.0) + (constants + ((scale * scale).mul_add(up, bend) - r))
    }
}
