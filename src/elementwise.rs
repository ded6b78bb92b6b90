//! Exponential, logarithm, activations with their derivatives and softmax, on slices: the lengths are checked, the instruction set is
//! [`InstructionSet::current`](crate::InstructionSet::current).

use crate::activation::Activation;
use crate::error::{Error, Result, check_length};
use crate::facade::Kernels;
use crate::real::Real;

/// Overwrites every x by `eˣ`.
///
/// 0 at −∞ and where the result underflows beyond the subnormal numbers, ∞ where it overflows, NaN at NaN.
///
/// ```
/// let mut x = [0.0, f64::NEG_INFINITY, 1000.0];
/// flatmin::elementwise::exp(&mut x);
/// assert_eq!(x, [1.0, 0.0, f64::INFINITY]);
/// ```
pub fn exp<T: Real>(x: &mut [T]) {
    Kernels::default().exp(x);
}

/// Overwrites every x by its natural logarithm.
///
/// −∞ at ±0, NaN below, ∞ at ∞, NaN at NaN. Subnormal numbers have their logarithms.
///
/// ```
/// let mut x = [1.0, 0.0, f64::INFINITY];
/// flatmin::elementwise::ln(&mut x);
/// assert_eq!(x, [0.0, f64::NEG_INFINITY, f64::INFINITY]);
/// ```
pub fn ln<T: Real>(x: &mut [T]) {
    Kernels::default().ln(x);
}

/// Overwrites every u by `φ(u)`.
pub fn activation<T: Real>(activation: Activation, u_to_h: &mut [T]) {
    Kernels::default().activation(activation, u_to_h);
}

/// Overwrites every u by `φ(u)` and writes `f = φ'(u)`, in one pass.
///
/// # Errors
///
/// [`Error::Length`] unless both slices have the same length; nothing is written then.
pub fn activation_with_slope<T: Real>(activation: Activation, u_to_h: &mut [T], f: &mut [T]) -> Result<()> {
    Kernels::default().activation_with_slope(activation, u_to_h, f)
}

/// Overwrites every u by `φ(u)` and writes `f = φ'(u)`, `e = φ''(u)`, `t = φ'''(u)`, in one pass.
///
/// # Errors
///
/// [`Error::Length`] unless all slices have the same length; nothing is written then.
///
/// ```
/// use flatmin::{Activation, elementwise::activation_with_derivatives};
///
/// let (mut h, mut f, mut e, mut t) = ([0.0, 20.0], [0.0; 2], [0.0; 2], [0.0; 2]);
/// activation_with_derivatives(Activation::Tanh, &mut h, &mut f, &mut e, &mut t)?;
/// assert_eq!([h[0], f[0], e[0], t[0]], [0.0, 1.0, 0.0, -2.0]);
/// // tanh u is 1 to the last bit, but its slope is 4 e⁻²ᵘ, not 1 − 1.
/// assert!(h[1] == 1.0 && (f[1] / (4.0 * f64::exp(-40.0)) - 1.0).abs() < 1e-15);
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn activation_with_derivatives<T: Real>(
    activation: Activation,
    u_to_h: &mut [T],
    f: &mut [T],
    e: &mut [T],
    t: &mut [T],
) -> Result<()> {
    Kernels::default().activation_with_derivatives(activation, u_to_h, f, e, t)
}

/// Overwrites each row of `classes` logits z by `p = softmax(z)`, and writes `log Σ exp z` of each row.
///
/// A probability has a relative error of about `ε (1 + |z_k − max z|)`; no logit is too large. A logit of −∞ has probability 0; a row
/// that contains NaN or +∞, or only −∞, becomes NaN.
///
/// # Errors
///
/// [`Error::TooSmall`] for no classes; [`Error::Length`] unless there are `classes` logits for each entry of `log_sum_exp`. Nothing is
/// written then.
///
/// ```
/// let (mut z, mut log_sum_exp) = ([1000.0, 1000.0], [0.0]);
/// flatmin::elementwise::softmax(2, &mut z, &mut log_sum_exp)?;
/// assert_eq!((z, log_sum_exp[0]), ([0.5, 0.5], 1000.0 + core::f64::consts::LN_2));
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn softmax<T: Real>(classes: usize, logits_to_probabilities: &mut [T], log_sum_exp: &mut [T]) -> Result<()> {
    Kernels::default().softmax(classes, logits_to_probabilities, log_sum_exp)
}

/// Overwrites each row x of `classes` entries by `S x = p∘(x − p·x)`: the product with the softmax's Jacobian `S = diag(p) − p pᵀ`.
///
/// The error is relative to `p_k (|x_k − x_top| + Σ p_j |x_j − x_top|)`, top being the most probable class: small where p is nearly
/// one-hot.
///
/// # Errors
///
/// [`Error::TooSmall`] for no classes; [`Error::Length`] unless `probabilities` and `x` are equally many whole rows. Nothing is written
/// then.
///
/// ```
/// let (p, mut x) = ([0.5, 0.5], [3.0, 1.0]);
/// flatmin::elementwise::softmax_jacobian_product(2, &p, &mut x)?;
/// assert_eq!(x, [0.5, -0.5]);
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn softmax_jacobian_product<T: Real>(classes: usize, probabilities: &[T], x: &mut [T]) -> Result<()> {
    Kernels::default().softmax_jacobian_product(classes, probabilities, x)
}

/// With a chosen instruction set.
impl Kernels {
    /// See [`elementwise::exp`](crate::elementwise::exp).
    pub fn exp<T: Real>(self, x: &mut [T]) {
        (const { T::FUNCTIONS.exponentials })(self.set, x);
    }

    /// See [`elementwise::ln`](crate::elementwise::ln).
    pub fn ln<T: Real>(self, x: &mut [T]) {
        (const { T::FUNCTIONS.logarithms })(self.set, x);
    }

    /// See [`elementwise::activation`](crate::elementwise::activation).
    pub fn activation<T: Real>(self, activation: Activation, u_to_h: &mut [T]) {
        (const { T::FUNCTIONS.activate })(self.set, activation, u_to_h);
    }

    /// See [`elementwise::activation_with_slope`](crate::elementwise::activation_with_slope).
    ///
    /// # Errors
    ///
    /// Those of that function.
    pub fn activation_with_slope<T: Real>(self, activation: Activation, u_to_h: &mut [T], f: &mut [T]) -> Result<()> {
        check_length("f", f, u_to_h.len())?;
        (const { T::FUNCTIONS.activate_with_slope })(self.set, activation, u_to_h, f);
        Ok(())
    }

    /// See [`elementwise::activation_with_derivatives`](crate::elementwise::activation_with_derivatives).
    ///
    /// # Errors
    ///
    /// Those of that function.
    pub fn activation_with_derivatives<T: Real>(
        self,
        activation: Activation,
        u_to_h: &mut [T],
        f: &mut [T],
        e: &mut [T],
        t: &mut [T],
    ) -> Result<()> {
        for (argument, slice) in [("f", &*f), ("e", &*e), ("t", &*t)] {
            check_length(argument, slice, u_to_h.len())?;
        }
        (const { T::FUNCTIONS.activate_with_derivatives })(self.set, activation, u_to_h, f, e, t);
        Ok(())
    }

    /// See [`elementwise::softmax`](crate::elementwise::softmax).
    ///
    /// # Errors
    ///
    /// Those of that function.
    pub fn softmax<T: Real>(
        self,
        classes: usize,
        logits_to_probabilities: &mut [T],
        log_sum_exp: &mut [T],
    ) -> Result<()> {
        check_classes(classes)?;
        let expected = classes.checked_mul(log_sum_exp.len()).ok_or(Error::TooLarge { quantity: "logits" })?;
        check_length("logits", logits_to_probabilities, expected)?;
        (const { T::FUNCTIONS.softmax_rows })(self.set, classes, logits_to_probabilities, log_sum_exp);
        Ok(())
    }

    /// See [`elementwise::softmax_jacobian_product`](crate::elementwise::softmax_jacobian_product).
    ///
    /// # Errors
    ///
    /// Those of that function.
    pub fn softmax_jacobian_product<T: Real>(self, classes: usize, probabilities: &[T], x: &mut [T]) -> Result<()> {
        check_classes(classes)?;
        check_length("probabilities", probabilities, probabilities.len() / classes * classes)?;
        check_length("x", x, probabilities.len())?;
        (const { T::FUNCTIONS.softmax_jacobian_rows })(self.set, classes, probabilities, x);
        Ok(())
    }
}

fn check_classes(classes: usize) -> Result<()> {
    if classes > 0 { Ok(()) } else { Err(Error::TooSmall { argument: "classes", given: 0, least: 1 }) }
}

/// Single values.
impl Activation {
    /// `φ(u)`.
    ///
    /// ```
    /// use flatmin::Activation;
    ///
    /// assert_eq!(Activation::Softplus.value(0.0_f64), core::f64::consts::LN_2);
    /// ```
    pub fn value<T: Real>(self, u: T) -> T {
        self.evaluate(u)[0]
    }

    /// `[φ, φ', φ'', φ''']` at `u`.
    ///
    /// The vector kernels of the crate run the same formulas; where the CPU has fused multiply–add, their last bits differ.
    ///
    /// ```
    /// use flatmin::Activation;
    ///
    /// let [h, f, e, t] = Activation::Tanh.evaluate(0.0_f64);
    /// assert_eq!([h, f, e, t], [0.0, 1.0, 0.0, -2.0]);
    /// ```
    pub fn evaluate<T: Real>(self, u: T) -> [T; 4] {
        (const { T::FUNCTIONS.evaluate })(self, u)
    }
}
