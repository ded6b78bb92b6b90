//! Numbers as unevaluated sums of two, with enough digits that a result is rounded once.
//!
//! `high + low`, where `|low|` is a few units in the last place of high. Sums by T. J. Dekker, products by fused multiply–add or by
//! splitting (*A floating-point technique for extending the available precision*, Numerische Mathematik 18 (1971)). A product of pairs
//! leaves out `low · low`, so its relative error is about ε².

use super::constant::splat;
use crate::number::Coefficients;
use crate::number::Number;
use crate::simd::Lanes;

/// `high + low`
#[derive(Clone, Copy)]
pub(super) struct Pair<V> {
    pub(super) high: V,
    pub(super) low: V,
}

impl<V: Lanes> Pair<V> {
    /// `large + small`, exact where `|large| >= |small|` or large is 0; plus `rest`, which is smaller still.
    #[inline(always)]
    pub(super) fn sum(large: V, small: V, rest: V) -> Self {
        let high = large + small;
        Self { high, low: ((large - high) + small) + rest }
    }

    /// `a + b`, exact whichever is larger (D. E. Knuth).
    #[inline(always)]
    pub(super) fn sum_of_any(a: V, b: V) -> Self {
        let high = a + b;
        let of_b = high - a;
        Self { high, low: (a - (high - of_b)) + (b - of_b) }
    }

    #[inline(always)]
    pub(super) fn times(self, other: Self) -> Self {
        let high = self.high * other.high;
        let cross = self.high.mul_add(other.low, self.low * other.high);
        Self { high, low: error_of_product(self.high, other.high, high) + cross }
    }

    /// Times a number.
    #[inline(always)]
    pub(super) fn scaled(self, factor: V) -> Self {
        let high = self.high * factor;
        Self { high, low: self.low.mul_add(factor, error_of_product(self.high, factor, high)) }
    }

    /// Times a power of two.
    #[inline(always)]
    pub(super) fn shifted(self, power: V) -> Self {
        Self { high: self.high * power, low: self.low * power }
    }

    /// `1/self`, by one division and a step of Newton's method.
    #[inline(always)]
    pub(super) fn reciprocal(self) -> Self {
        let one = splat(self.high, V::Scalar::ONE);
        let high = one / self.high;
        let product = high * self.high;
        let residual = (one - product) - error_of_product(high, self.high, product);
        Self { high, low: high * high.neg_mul_add(self.low, residual) }
    }

    /// The sum, rounded.
    #[inline(always)]
    pub(super) fn value(self) -> V {
        self.high + self.low
    }
}

/// `a b − product`, exact, where product is a b rounded.
#[inline(always)]
fn error_of_product<V: Lanes>(a: V, b: V, product: V) -> V {
    if V::FUSED {
        return a.mul_add(b, -product);
    }
    let [a_high, a_low] = split(a);
    let [b_high, b_low] = split(b);
    (((a_high * b_high - product) + a_high * b_low) + a_low * b_high) + a_low * b_low
}

/// Two halves, each of at most half the digits (G. W. Veltkamp).
#[inline(always)]
pub(super) fn split<V: Lanes>(x: V) -> [V; 2] {
    let shifted = x * splat(x, V::Scalar::SPLIT);
    let high = shifted - (shifted - x);
    [high, x - high]
}
