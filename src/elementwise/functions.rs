//! The functions: value and three derivatives in one pass, sharing one exponential.
//!
//! No derivative is formed by a cancelling difference such as `1 − tanh²`: in the tails all keep their relative accuracy,
//! down to where the exponential underflows (see [`Decay`]). Where a derivative has a zero of its own the error is relative
//! to the sum of the magnitudes of the terms in its formula.

use super::constant;
use super::exp::{Decay, exp};
use super::ln::{ln, ln_1p_unit};
use super::normal::Normal;
use super::splat;
use crate::elementwise::Coefficients;
use crate::real::Real;
use crate::simd::Lanes;

/// A function with three derivatives.
pub(super) trait Function {
    /// `[φ, φ', φ'', φ''']` at `u`.
    fn derivatives<V: Lanes>(u: V) -> [V; 4];
}

/// The logistic function `σ(w) = 1/(1 + e⁻ʷ)` and what its derivatives are made of, from `q = e^−|w|`.
#[derive(Clone, Copy)]
struct Logistic<V> {
    decay: Decay<V>,
    /// Whether `w < 0`.
    negative: V,
}

impl<V: Lanes> Logistic<V> {
    #[inline(always)]
    fn new(w: V) -> Self {
        let minus = splat(w, V::Scalar::SIGN_BIT);
        Self { decay: Decay::new(w.bit_or(minus)), negative: w }
    }

    /// `tanh(w/2) = (1 − q)/(1 + q)`, with the sign of w.
    #[inline(always)]
    fn half_tanh(self) -> V {
        (self.decay.one_minus() / self.decay.one_plus()).copysign(self.negative)
    }

    /// `σ(w) = 1/(1 + q)`, or `q/(1 + q)` for negative w.
    #[inline(always)]
    fn value(self) -> V {
        self.times(constant(self.negative, 1.0))
    }

    /// `x σ(w)`
    #[inline(always)]
    fn times(self, x: V) -> V {
        let Self { decay, negative: w } = self;
        let negative = w.lt(constant(w, 0.0));
        let numerator = V::select(negative, x * decay.scale, x);
        numerator / V::select(negative, decay.scaled_one_plus_inverse(), decay.one_plus())
    }

    /// `σ(−w) = 1 − σ(w)`
    #[inline(always)]
    fn complement(self) -> V {
        let Self { decay, negative: w } = self;
        Self { decay, negative: -w }.value()
    }

    /// `σ'(w) = q/(1 + q)²`
    #[inline(always)]
    fn slope(self) -> V {
        self.decay.scale / self.decay.scaled_slope_inverse()
    }

    /// `σ''(w) = −σ'(w) tanh(w/2) = −q (1 − q)/(1 + q)³`, with the sign of −w.
    #[inline(always)]
    fn curvature(self) -> V {
        let Self { decay, negative: w } = self;
        let magnitude = (decay.scale * decay.one_minus()) / (decay.scaled_slope_inverse() * decay.one_plus());
        magnitude.copysign(-w)
    }
}

/// `tanh u = 2 σ(2u) − 1`; tanh' = 4σ', tanh'' = 8σ'' = −2 tanh tanh', tanh''' = tanh' (4 − 6 tanh').
pub(super) struct Tanh;

impl Function for Tanh {
    #[inline(always)]
    fn derivatives<V: Lanes>(u: V) -> [V; 4] {
        let logistic = Logistic::new(u + u);
        let h = logistic.half_tanh();
        let f = logistic.slope() * constant(u, 4.0);
        let e = logistic.curvature() * constant(u, 8.0);
        let t = f * constant(u, -6.0).mul_add(f, constant(u, 4.0));
        [h, f, e, t]
    }
}

/// σ' = σ(u) σ(−u), σ'' = −σ' tanh(u/2), σ''' = σ' (1 − 6σ').
pub(super) struct Sigmoid;

impl Function for Sigmoid {
    #[inline(always)]
    fn derivatives<V: Lanes>(u: V) -> [V; 4] {
        let logistic = Logistic::new(u);
        let f = logistic.slope();
        let e = logistic.curvature();
        let t = f * constant(u, -6.0).mul_add(f, constant(u, 1.0));
        [logistic.value(), f, e, t]
    }
}

/// `ln(1 + eᵘ) = max(u, 0) + ln(1 + e^−|u|)`, and the derivatives are those of its slope σ.
pub(super) struct Softplus;

impl Function for Softplus {
    #[inline(always)]
    fn derivatives<V: Lanes>(u: V) -> [V; 4] {
        let logistic = Logistic::new(u);
        let h = constant(u, 0.0).max(u) + ln_1p_unit(logistic.decay.value());
        let e = logistic.slope();
        [h, logistic.value(), e, logistic.curvature()]
    }
}

/// u Φ(u); with the density φ its derivatives are Φ + uφ, φ (2 − u²), φ u (u² − 4). Φ(u) is the tail at −u for negative u.
pub(super) struct Gelu;

impl Function for Gelu {
    #[inline(always)]
    fn derivatives<V: Lanes>(u: V) -> [V; 4] {
        let zero = constant(u, 0.0);
        let one = constant(u, 1.0);
        // From there on φ is 0; so there is no ∞ · 0. Operands in an order that lets NaN through.
        let limit = splat(u, V::Scalar::DENSITY_ZERO);
        let above = (-limit).max(u);
        let inside = limit.min(above);
        let a = inside.abs();
        let Normal { density, tail, square: [high, low] } = Normal::new(a);
        let negative = u.lt(zero);

        let h = above * V::select(negative, tail, one - tail);
        let lower = a.neg_mul_add(density, tail);
        let f = V::select(negative, lower, one - lower);
        let e = density * ((constant(u, 2.0) - high) - low);
        let t = (density * inside) * ((high - constant(u, 4.0)) + low);
        [h, f, e, t]
    }
}

/// u σ; with σ̄ = σ(−u) and T = tanh(u/2): σ (1 + u σ̄), σ' (2 − u T), σ' (u (1 − 6σ') − 3T).
pub(super) struct Silu;

impl Function for Silu {
    #[inline(always)]
    fn derivatives<V: Lanes>(u: V) -> [V; 4] {
        let one = constant(u, 1.0);
        // From twice the point on where e^−|u| is 0, derivatives are constant, and u stands in no product ∞ · 0.
        let limit = constant(u, -2.0 * V::Scalar::EXP_ZERO.to_f64());
        let above = (-limit).max(u);
        let inside = limit.min(above);
        let logistic = Logistic::new(inside);
        let h = logistic.times(above);
        let f = logistic.value() * inside.mul_add(logistic.complement(), one);
        let slope = logistic.slope();
        let tanh = logistic.half_tanh();
        let e = slope * inside.neg_mul_add(tanh, constant(u, 2.0));
        let t = slope * constant(u, -3.0).mul_add(tanh, inside * constant(u, -6.0).mul_add(slope, one));
        [h, f, e, t]
    }
}

/// A linear network.
pub(super) struct Identity;

impl Function for Identity {
    #[inline(always)]
    fn derivatives<V: Lanes>(u: V) -> [V; 4] {
        let zero = constant(u, 0.0);
        [u, constant(u, 1.0), zero, zero]
    }
}

/// `eᵘ`
pub(super) struct Exp;

impl Function for Exp {
    #[inline(always)]
    fn derivatives<V: Lanes>(u: V) -> [V; 4] {
        [exp(u); 4]
    }
}

/// `ln u`
pub(super) struct Ln;

impl Function for Ln {
    #[inline(always)]
    fn derivatives<V: Lanes>(u: V) -> [V; 4] {
        let inverse = constant(u, 1.0) / u;
        let square = inverse * inverse;
        [ln(u), inverse, -square, constant(u, 2.0) * square * inverse]
    }
}
