//! The functions: value and three derivatives in one pass, sharing one exponential.
//!
//! No derivative is formed by a difference that cancels, such as `1 − tanh²`: in the tails all keep their relative accuracy, until the
//! exponential underflows (see [`Decay`]). The factors of a result are kept as [`Pair`]s, so the result is rounded little more than once;
//! one division serves all. Where a derivative has a zero of its own, the error is relative to the sum of the magnitudes of the terms in
//! its formula.
//!
//! Who has φ and φ' already gets φ'' and φ''' of some activations from these, without an exponential (see [`Function::higher`]).

use super::constant::{constant, splat};
use super::exp::{Decay, exp};
use super::ln::{ln, ln_1p_unit};
use super::normal::Normal;
use super::pair::Pair;
use crate::number::Coefficients;
use crate::number::Number;
use crate::simd::Lanes;

/// A function with three derivatives.
pub(super) trait Function {
    /// Whether [`higher`](Self::higher) reads `u`. It does not where φ'' and φ''' follow from φ and φ' by a few products that keep the
    /// relative accuracy, as the derivatives of a function with φ' = P(φ) do.
    const HIGHER_READ_INPUT: bool = true;

    /// `[φ, φ', φ'', φ''']` at `u`.
    fn derivatives<V: Lanes>(u: V) -> [V; 4];

    /// `[φ'', φ''']` at `u`, where φ and φ' are `h` and `f`.
    #[inline(always)]
    fn higher<V: Lanes>(u: V, _h: V, _f: V) -> [V; 2] {
        let [_, _, e, t] = Self::derivatives(u);
        [e, t]
    }
}

/// The logistic function `σ(w) = 1/(1 + e⁻ʷ)` and the parts of its derivatives, from `q = e^−|w| = s eʳ`.
#[derive(Clone, Copy)]
struct Logistic<V> {
    w: V,
    decay: Decay<V>,
    /// `1/(1 + q) = σ(|w|)`
    upper: Pair<V>,
}

impl<V: Lanes> Logistic<V> {
    #[inline(always)]
    fn new(w: V) -> Self {
        let minus = splat(w, V::Scalar::SIGN_BIT);
        let decay = Decay::new(w.bit_or(minus));
        Self { w, decay, upper: decay.one_plus().reciprocal() }
    }

    /// `q/(1 + q) = σ(−|w|)`
    #[inline(always)]
    fn lower(self) -> Pair<V> {
        self.decay.exponential().times(self.upper).shifted(self.decay.scale)
    }

    /// `tanh(|w|/2) = (1 − q)/(1 + q)`
    #[inline(always)]
    fn half_tanh(self) -> Pair<V> {
        self.decay.one_minus().times(self.upper)
    }

    /// `σ(w)`
    #[inline(always)]
    fn value(self) -> V {
        let negative = self.w.lt(constant(self.w, 0.0));
        V::select(negative, self.lower().value(), self.upper.value())
    }

    /// `σ'(w) = q/(1 + q)²`
    #[inline(always)]
    fn slope(self) -> Pair<V> {
        self.lower().times(self.upper)
    }

    /// `σ''(w) = −σ'(w) tanh(w/2) = −q (1 − q)/(1 + q)³`, with the sign of −w.
    #[inline(always)]
    fn curvature(self) -> V {
        self.slope().times(self.half_tanh()).value().copysign(-self.w)
    }

    /// `c σ' (1 − 6σ')`, which is σ''' for c = 1.
    #[inline(always)]
    fn bend(self, c: f64) -> V {
        let slope = self.slope();
        let minus_six = constant(self.w, -6.0);
        let difference = minus_six.mul_add(slope.low, minus_six.mul_add(slope.high, constant(self.w, 1.0)));
        slope.scaled(difference).value() * constant(self.w, c)
    }
}

/// `tanh u = 2 σ(2u) − 1`; tanh' = 4σ', tanh'' = 8σ'', tanh''' = 16σ'''. By h and f: −2hf and f (4 − 6f).
pub(super) struct Tanh;

impl Function for Tanh {
    const HIGHER_READ_INPUT: bool = false;

    #[inline(always)]
    fn derivatives<V: Lanes>(u: V) -> [V; 4] {
        let logistic = Logistic::new(u + u);
        let h = logistic.half_tanh().value().copysign(u);
        let f = logistic.slope().value() * constant(u, 4.0);
        let e = logistic.curvature() * constant(u, 8.0);
        [h, f, e, logistic.bend(16.0)]
    }

    #[inline(always)]
    fn higher<V: Lanes>(_: V, h: V, f: V) -> [V; 2] {
        [constant(h, -2.0) * h * f, constant(f, -6.0).mul_add(f, constant(f, 4.0)) * f]
    }
}

/// σ' = σ(u) σ(−u), σ'' = −σ' tanh(u/2), σ''' = σ' (1 − 6σ'). By h and f: f (1 − 2h), whose error is relative to f + 2hf, and f (1 − 6f).
pub(super) struct Sigmoid;

impl Function for Sigmoid {
    const HIGHER_READ_INPUT: bool = false;

    #[inline(always)]
    fn derivatives<V: Lanes>(u: V) -> [V; 4] {
        let logistic = Logistic::new(u);
        [logistic.value(), logistic.slope().value(), logistic.curvature(), logistic.bend(1.0)]
    }

    #[inline(always)]
    fn higher<V: Lanes>(_: V, h: V, f: V) -> [V; 2] {
        let one = constant(f, 1.0);
        [constant(h, -2.0).mul_add(h, one) * f, constant(f, -6.0).mul_add(f, one) * f]
    }
}

/// `ln(1 + eᵘ) = max(u, 0) + ln(1 + e^−|u|)`; its slope is σ, whose derivatives are the others. By h and f they would be f (1 − f), which
/// cancels for large u, or f e⁻ʰ, which has the error of h times h.
pub(super) struct Softplus;

impl Function for Softplus {
    #[inline(always)]
    fn derivatives<V: Lanes>(u: V) -> [V; 4] {
        let logistic = Logistic::new(u);
        let h = constant(u, 0.0).max(u) + ln_1p_unit(logistic.decay.exponential().shifted(logistic.decay.scale));
        [h, logistic.value(), logistic.slope().value(), logistic.curvature()]
    }
}

/// u Φ(u); its derivatives are Φ + uΦ', Φ' (2 − u²), Φ' u (u² − 4), with the density Φ'. For negative u, Φ(u) is the upper tail at −u.
pub(super) struct Gelu;

impl Function for Gelu {
    #[inline(always)]
    fn derivatives<V: Lanes>(u: V) -> [V; 4] {
        let zero = constant(u, 0.0);
        let one = constant(u, 1.0);
        // From this limit on Φ' is 0, and there is no ∞ · 0. The order of the operands lets NaN through.
        let limit = splat(u, V::Scalar::DENSITY_ZERO);
        let above = (-limit).max(u);
        let inside = limit.min(above);
        let a = inside.abs();
        let Normal { density, tail, square: [high, low] } = Normal::new(a);
        let negative = u.lt(zero);

        // Beyond the limit h is u, which may be infinite.
        let upper = Pair::sum(one, -tail.high, -tail.low);
        let distribution =
            Pair { high: V::select(negative, tail.high, upper.high), low: V::select(negative, tail.low, upper.low) };
        let h = V::select(inside.lt(above), above, distribution.scaled(inside).value().copysign(u));
        let product = density.scaled(a);
        let lower = (tail.high - product.high) + (tail.low - product.low);
        let f = V::select(negative, lower, one - lower);
        let e = density.scaled((constant(u, 2.0) - high) - low).value();
        let t = density.scaled(inside).scaled((high - constant(u, 4.0)) + low).value();
        [h, f, e, t]
    }
}

/// u σ(u); its derivatives are σ(u) + u σ', σ' (2 − u tanh(u/2)), σ' (u − 3 tanh(u/2) − 6uσ'), with σ' = σ(u) σ(−u).
pub(super) struct Silu;

impl Function for Silu {
    #[inline(always)]
    fn derivatives<V: Lanes>(u: V) -> [V; 4] {
        // From twice the u where e^−|u| becomes 0, the derivatives are constant; u is not multiplied there, so there is no ∞ · 0.
        let limit = constant(u, -2.0 * V::Scalar::EXP_ZERO.to_f64());
        let above = (-limit).max(u);
        let inside = limit.min(above);
        let logistic = Logistic::new(inside);
        let slope = logistic.slope();
        let h = above * logistic.value();
        let f = inside.mul_add(slope.value(), logistic.value());
        let tanh = logistic.half_tanh().value().copysign(inside);
        let e = slope.scaled(inside.neg_mul_add(tanh, constant(u, 2.0))).value();
        let bent = constant(u, -3.0).mul_add(tanh, inside);
        let t = slope.scaled((constant(u, -6.0) * inside).mul_add(slope.value(), bent)).value();
        [h, f, e, t]
    }
}

/// A linear network.
pub(super) struct Identity;

impl Function for Identity {
    const HIGHER_READ_INPUT: bool = false;

    #[inline(always)]
    fn derivatives<V: Lanes>(u: V) -> [V; 4] {
        let zero = constant(u, 0.0);
        [u, constant(u, 1.0), zero, zero]
    }

    #[inline(always)]
    fn higher<V: Lanes>(_: V, h: V, _: V) -> [V; 2] {
        [constant(h, 0.0); 2]
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
