//! The normal distribution: density and upper tail.
//!
//! `Φ'(a)`, the density, is `e^(−a²/2)` times its value at 0; the square is kept in two parts, as its rounding error would be multiplied
//! by `a²/2`. The tail is `1 − Φ(a) = e^(−a²/2) G(t)/(a + c)` with a polynomial G in `t = (a − c)/(a + c)`, as in M. M. Shepherd and
//! J. G. Laframboise, *Chebyshev approximation of (1 + 2x) exp(x²) erfc x in 0 ≤ x < ∞*, Mathematics of Computation 36
//! (1981).

use super::constant::{constant, splat};
use super::exp::Decay;
use super::pair::{Pair, split};
use super::polynomial::long_polynomial_pair;
use crate::number::Coefficients;
use crate::simd::Lanes;

/// Density and upper tail at `a >= 0`.
#[derive(Clone, Copy)]
pub(super) struct Normal<V> {
    /// `Φ'(a)`
    pub(super) density: Pair<V>,
    /// `1 − Φ(a)`
    pub(super) tail: Pair<V>,
    /// `a²`: the first part has half the digits, and the sum of both is accurate to one and a half times the digits.
    pub(super) square: [V; 2],
}

impl<V: Lanes> Normal<V> {
    /// For `0 <= a <= DENSITY_ZERO`.
    #[inline(always)]
    pub(super) fn new(a: V) -> Self {
        // a = high + low, where the square of high is exact; a² = high² + low (a + high).
        let [high, low] = split(a);
        let square = [high * high, low * (a + high)];
        let minus_half = constant(a, -0.5);
        let decay = Decay::with_tail(square[0] * minus_half, Some(square[1] * minus_half));
        let exponential = decay.exponential();
        let scale =
            Pair { high: splat(a, V::Scalar::FRAC_1_SQRT_2PI_HIGH), low: splat(a, V::Scalar::FRAC_1_SQRT_2PI_LOW) };

        let center = splat(a, V::Scalar::MILLS_CENTER);
        let y = Pair::sum_of_any(a, center).reciprocal();
        let t = Pair::sum_of_any(a, -center).times(y).value();
        let g = long_polynomial_pair(t, V::Scalar::MILLS, V::Scalar::MILLS_LOW);
        let tail = exponential.times(y).times(g);
        Self { density: exponential.times(scale).shifted(decay.scale), tail: tail.shifted(decay.scale), square }
    }
}
