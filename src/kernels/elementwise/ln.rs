//! Logarithms.
//!
//! `y = 2ᵏ (1 + f)` with `√½ <= 1 + f < √2`; then, as in FreeBSD's `e_log.c` (Sun Microsystems, 1993), with
//! `s = f/(2 + f)`, `ln(1 + f) = 2 artanh s = f − (f²/2 − s (f²/2 + R))` and R a polynomial in `s²`.

use super::constant::{constant, splat};
use super::pair::Pair;
use super::polynomial::{long_polynomial_pair, polynomial};
use crate::number::Coefficients;
use crate::number::Number;
use crate::simd::Lanes;

/// `ln(1 + x)` for `0 <= x <= 2^FRACTION_BITS`. NaN propagates.
#[inline(always)]
pub(super) fn ln_1p<V: Lanes>(x: V) -> V {
    let one = constant(x, 1.0);
    // The exponent of √2 (1 + x). A rounding error here is harmless: f may lie a little outside its interval.
    let (_, k) = ((one + x) * constant(x, core::f64::consts::SQRT_2)).split_exponent();
    // f = (1 + x) 2⁻ᵏ − 1, without rounding 1 + x.
    let scale = V::pow2(-k);
    let f = x.mul_add(scale, scale - one);
    near_one(f, k)
}

/// `ln(1 + q)` for `0 <= q <= 1`, without a division.
#[inline(always)]
pub(super) fn ln_1p_unit<V: Lanes>(q: Pair<V>) -> V {
    let t = (q.high + q.high) - constant(q.high, 1.0);
    q.times(long_polynomial_pair(t, V::Scalar::LN_1P, V::Scalar::LN_1P_LOW)).value()
}

/// Natural logarithm: −∞ at ±0, NaN below, ∞ at ∞, NaN at NaN. Subnormal numbers are exact.
#[inline(always)]
pub(super) fn ln<V: Lanes>(x: V) -> V {
    let one = constant(x, 1.0);
    let digits = constant(x, f64::from(V::Scalar::FRACTION_BITS + 1));
    let subnormal = x.lt(splat(x, V::Scalar::MIN_POSITIVE));
    let normal = V::select(subnormal, x * constant(x, 2.0 * V::Scalar::INTEGRAL.to_f64()), x);
    let (m, k) = normal.split_exponent();
    let high = constant(x, core::f64::consts::SQRT_2).lt(m);
    let m = V::select(high, m * constant(x, 0.5), m);
    let k = V::select(high, k + one, k);
    let k = V::select(subnormal, k - digits, k);
    let result = near_one(m - one, k);

    // x + x is ∞ at ∞ and NaN at NaN; splitting their exponent would give a number.
    let infinity = splat(x, V::Scalar::INFINITY);
    let result = V::select(x.lt(infinity), result, x + x);
    let zero = constant(x, 0.0);
    let result = V::select(x.eq(zero), -infinity, result);
    V::select(x.lt(zero), splat(x, V::Scalar::NAN), result)
}

/// `k ln 2 + ln(1 + f)`
#[inline(always)]
fn near_one<V: Lanes>(f: V, k: V) -> V {
    let s = f / (f + constant(f, 2.0));
    let z = s * s;
    let half = f * (f * constant(f, 0.5));
    let r = z.mul_add(polynomial(z, V::Scalar::LN), half);
    let low = s.mul_add(r, k * splat(f, V::Scalar::LN_2_LOW));
    k.mul_add(splat(f, V::Scalar::LN_2_HIGH), f - (half - low))
}
