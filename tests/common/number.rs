//! Numbers that know how large their terms were, and dual numbers over them.
//!
//! A computed sum of products differs from the exact one by at most `k ε Σ|terms|`, where k counts the roundings that a term goes
//! through. [`Tracked`] computes the second factor beside the value, in two parts: `terms`, the sum of the absolute values of all terms
//! once the products are multiplied out, and `scale`, to which every factor of a term contributes its own relative error:
//!
//! ```text
//!          leaf x    a + b                    a b                                            φ(x)
//! terms    |x|       terms(a) + terms(b)      terms(a) terms(b)                              |φ(x)|
//! scale    |x|       scale(a) + scale(b)      terms(a) scale(b) + scale(a) terms(b)          |φ(x)| + |φ'(x)| scale(x)
//! ```
//!
//! Always `scale ≥ terms ≥ |value|`. Products of errors are left out, as in every first-order analysis.

use std::ops::{Add, Mul, Neg, Sub};

/// Field operations and the elementary functions that the activations and the loss are made of.
pub trait Number: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Neg<Output = Self> {
    fn constant(x: f64) -> Self;
    /// The number itself, without derivatives.
    fn value(self) -> f64;
    fn pi() -> Self {
        Self::constant(std::f64::consts::PI)
    }
    fn recip(self) -> Self;
    fn sqrt(self) -> Self;
    fn exp(self) -> Self;
    fn ln(self) -> Self;
    /// ln(1 + x), to the last digit of a small x.
    fn ln_1p(self) -> Self;
    fn tanh(self) -> Self;
    /// Φ, the distribution function of the normal distribution.
    fn normal(self) -> Self;
    /// Gives each of some numbers the terms of the one that has most.
    fn level(_: &mut [Self]) {}
}

impl Number for f64 {
    fn constant(x: f64) -> Self {
        x
    }
    fn value(self) -> f64 {
        self
    }
    fn recip(self) -> Self {
        self.recip()
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    fn exp(self) -> Self {
        self.exp()
    }
    fn ln(self) -> Self {
        self.ln()
    }
    fn ln_1p(self) -> Self {
        self.ln_1p()
    }
    fn tanh(self) -> Self {
        self.tanh()
    }
    fn normal(self) -> Self {
        0.5 * libm::erfc(-self / std::f64::consts::SQRT_2)
    }
}

/// A number, the sum of the absolute values of its terms, and what a relative error of one in every factor of them would do.
#[derive(Clone, Copy, Debug)]
pub struct Tracked<V = f64> {
    pub value: V,
    pub terms: f64,
    pub scale: f64,
}

impl<V: Number> Tracked<V> {
    /// φ at this number, given φ and |φ'| there.
    fn apply(self, value: V, slope: f64) -> Self {
        let size = value.value().abs();
        Self { value, terms: size, scale: size + slope.abs() * self.scale }
    }
}

impl<V: Number> Add for Tracked<V> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { value: self.value + other.value, terms: self.terms + other.terms, scale: self.scale + other.scale }
    }
}

impl<V: Number> Sub for Tracked<V> {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl<V: Number> Mul for Tracked<V> {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self {
            value: self.value * other.value,
            terms: self.terms * other.terms,
            scale: self.terms * other.scale + self.scale * other.terms,
        }
    }
}

impl<V: Number> Neg for Tracked<V> {
    type Output = Self;
    fn neg(self) -> Self {
        Self { value: -self.value, ..self }
    }
}

impl<V: Number> std::iter::Sum for Tracked<V> {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::constant(0.0), Add::add)
    }
}

impl<V: Number> Number for Tracked<V> {
    fn constant(x: f64) -> Self {
        Self { value: V::constant(x), terms: x.abs(), scale: x.abs() }
    }
    fn pi() -> Self {
        Self { value: V::pi(), ..Self::constant(std::f64::consts::PI) }
    }
    fn value(self) -> f64 {
        self.value.value()
    }
    fn recip(self) -> Self {
        let inverse = self.value.recip();
        self.apply(inverse, inverse.value() * inverse.value())
    }
    fn sqrt(self) -> Self {
        let root = self.value.sqrt();
        self.apply(root, 0.5 / root.value())
    }
    fn exp(self) -> Self {
        let exp = self.value.exp();
        self.apply(exp, exp.value())
    }
    fn ln(self) -> Self {
        self.apply(self.value.ln(), self.value().recip())
    }
    fn ln_1p(self) -> Self {
        self.apply(self.value.ln_1p(), (1.0 + self.value()).recip())
    }
    fn tanh(self) -> Self {
        let tanh = self.value.tanh();
        self.apply(tanh, 1.0 - tanh.value() * tanh.value())
    }
    fn normal(self) -> Self {
        let density = (-0.5 * self.value() * self.value()).exp() / std::f64::consts::TAU.sqrt();
        self.apply(self.value.normal(), density)
    }
    fn level(numbers: &mut [Self]) {
        let most = |of: fn(&Self) -> f64| numbers.iter().map(of).fold(0.0, f64::max);
        let (terms, scale) = (most(|x| x.terms), most(|x| x.scale));
        numbers.iter_mut().for_each(|x| (x.terms, x.scale) = (terms, scale));
    }
}

/// `re + du ε` with ε² = 0: a number and its derivative in one direction.
#[derive(Clone, Copy, Debug)]
pub struct Dual<R> {
    pub re: R,
    pub du: R,
}

impl<R: Number> Dual<R> {
    /// φ at this number, given φ and φ' there.
    fn chain(self, re: R, slope: R) -> Self {
        Self { re, du: self.du * slope }
    }
}

impl<R: Number> Add for Dual<R> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { re: self.re + other.re, du: self.du + other.du }
    }
}

impl<R: Number> Sub for Dual<R> {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { re: self.re - other.re, du: self.du - other.du }
    }
}

impl<R: Number> Mul for Dual<R> {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self { re: self.re * other.re, du: self.re * other.du + self.du * other.re }
    }
}

impl<R: Number> Neg for Dual<R> {
    type Output = Self;
    fn neg(self) -> Self {
        Self { re: -self.re, du: -self.du }
    }
}

impl<R: Number> Number for Dual<R> {
    fn constant(x: f64) -> Self {
        Self { re: R::constant(x), du: R::constant(0.0) }
    }
    fn pi() -> Self {
        Self { re: R::pi(), du: R::constant(0.0) }
    }
    fn value(self) -> f64 {
        self.re.value()
    }
    fn recip(self) -> Self {
        let inverse = self.re.recip();
        self.chain(inverse, -(inverse * inverse))
    }
    fn sqrt(self) -> Self {
        let root = self.re.sqrt();
        self.chain(root, (root + root).recip())
    }
    fn exp(self) -> Self {
        let exp = self.re.exp();
        self.chain(exp, exp)
    }
    fn ln(self) -> Self {
        self.chain(self.re.ln(), self.re.recip())
    }
    fn ln_1p(self) -> Self {
        self.chain(self.re.ln_1p(), (R::constant(1.0) + self.re).recip())
    }
    fn tanh(self) -> Self {
        let tanh = self.re.tanh();
        self.chain(tanh, R::constant(1.0) - tanh * tanh)
    }
    fn normal(self) -> Self {
        let exponent = R::constant(-0.5) * self.re * self.re;
        let density = exponent.exp() * (R::constant(2.0) * R::pi()).sqrt().recip();
        self.chain(self.re.normal(), density)
    }
    fn level(numbers: &mut [Self]) {
        let (mut re, mut du): (Vec<R>, Vec<R>) = numbers.iter().map(|x| (x.re, x.du)).unzip();
        R::level(&mut re);
        R::level(&mut du);
        numbers.iter_mut().zip(re.into_iter().zip(du)).for_each(|(x, (re, du))| *x = Self { re, du });
    }
}
