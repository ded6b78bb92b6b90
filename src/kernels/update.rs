//! What an optimizer does with a gradient, entry by entry: momentum, Adam, and a limit for the gradient's norm.
//!
//! An update is two passes over θ, the gradient and the moments: the first computes the new numbers and looks whether they are finite, the
//! second writes them. So nothing is written unless all of it can be. Momentum takes 4 flops an entry and pass, Adam about 12 with a square
//! root and a division.

use crate::kernels::vector::{map_registers, sum_registers};
use crate::number::Number;
use crate::simd::{Element, InstructionSet, Kernel, Lanes, Simd};

/// θ ← θ − rate · direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Momentum {
    /// η
    pub rate: f64,
    /// μ
    pub momentum: f64,
    /// Whether the direction looks one step ahead: gradient + μ velocity, not the velocity.
    pub nesterov: bool,
}

/// velocity ← μ velocity + gradient, then a step along it. Without momentum the velocity may be empty. Returns whether the new numbers are
/// finite; if not, nothing is written.
pub(crate) fn step_with_momentum<T: Element>(
    isa: InstructionSet,
    rule: Momentum,
    theta: &mut [T],
    gradient: &[T],
    velocity: &mut [T],
) -> bool {
    let (rate, momentum) = (T::from_f64(rule.rate), T::from_f64(rule.momentum));
    if rule.momentum == 0.0 {
        let finite = isa.vectorize(|| {
            theta.iter().zip(gradient).fold(true, |finite, (&theta, &gradient)| {
                finite & (theta - rate * gradient).is_finite() & gradient.is_finite()
            })
        });
        if finite {
            isa.vectorize(|| theta.iter_mut().zip(gradient).for_each(|(theta, &gradient)| *theta += -rate * gradient));
            if !velocity.is_empty() {
                velocity.copy_from_slice(gradient);
            }
        }
        return finite;
    }
    if rule.nesterov {
        apply_momentum(isa, theta, gradient, velocity, rate, move |gradient, old| {
            let velocity = gradient + momentum * old;
            [velocity, gradient + momentum * velocity]
        })
    } else {
        apply_momentum(isa, theta, gradient, velocity, rate, move |gradient, old| [gradient + momentum * old; 2])
    }
}

/// `next` gives the new velocity and the direction.
#[inline(always)]
fn apply_momentum<T: Element>(
    isa: InstructionSet,
    theta: &mut [T],
    gradient: &[T],
    velocity: &mut [T],
    rate: T,
    next: impl Fn(T, T) -> [T; 2] + Copy,
) -> bool {
    // The truth value is a result: a captured variable would be stored at every entry.
    let finite = isa.vectorize(|| {
        theta.iter().zip(gradient).zip(&*velocity).fold(true, |finite, ((&theta, &gradient), &old)| {
            let [velocity, direction] = next(gradient, old);
            finite & (theta - rate * direction).is_finite() & velocity.is_finite()
        })
    });
    if finite {
        isa.vectorize(|| {
            for ((theta, &gradient), velocity) in theta.iter_mut().zip(gradient).zip(velocity) {
                let [new, direction] = next(gradient, *velocity);
                *theta += -rate * direction;
                *velocity = new;
            }
        });
    }
    finite
}

/// The numbers of Adam's formulas at one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamNumbers {
    /// What the first moment keeps.
    pub beta1: f64,
    /// What the second moment keeps.
    pub beta2: f64,
    /// η over the first moment's bias correction.
    pub rate: f64,
    /// One over the square root of the second moment's bias correction.
    pub inverse_root: f64,
    /// What is added to the root of the second moment; positive in the type.
    pub epsilon: f64,
}

/// Whether [`adam`] will make finite numbers of θ, the gradient, and both moments.
pub(crate) fn adam_is_finite<T: Element>(
    isa: InstructionSet,
    numbers: AdamNumbers,
    keep: f64,
    entries: [&[T]; 4],
) -> bool {
    isa.run(AdamCheck { numbers, keep, entries })
}

/// Changes θ and both moments; `keep` is what decoupled weight decay leaves of θ.
///
/// ```text
/// first ← β₁ first + (1 − β₁) gradient      second ← β₂ second + (1 − β₂) gradient²
/// θ ← keep θ − rate first / (√second inverse_root + epsilon)
/// ```
pub(crate) fn adam<T: Element>(
    isa: InstructionSet,
    numbers: AdamNumbers,
    keep: f64,
    gradient: &[T],
    entries: [&mut [T]; 3],
) {
    isa.run(AdamStep { numbers, keep, gradient, entries });
}

/// [`AdamNumbers`] in registers.
#[derive(Clone, Copy)]
struct AdamRegisters<V> {
    beta1: V,
    beta2: V,
    rest1: V,
    rest2: V,
    rate: V,
    inverse_root: V,
    epsilon: V,
    keep: V,
}

impl<V: Lanes> AdamRegisters<V> {
    #[inline(always)]
    fn new(simd: V::Simd, numbers: AdamNumbers, keep: f64) -> Self {
        let all = |x: f64| V::splat(simd, V::Scalar::from_f64(x));
        let AdamNumbers { beta1, beta2, rate, inverse_root, epsilon } = numbers;
        Self {
            beta1: all(beta1),
            beta2: all(beta2),
            rest1: all(1.0 - beta1),
            rest2: all(1.0 - beta2),
            rate: all(rate),
            inverse_root: all(inverse_root),
            epsilon: all(epsilon),
            keep: all(keep),
        }
    }

    /// The new θ and moments.
    #[inline(always)]
    fn next(self, theta: V, gradient: V, first: V, second: V) -> [V; 3] {
        let first = self.beta1.mul_add(first, self.rest1 * gradient);
        let second = self.beta2.mul_add(second, self.rest2 * gradient * gradient);
        let root = second.sqrt().mul_add(self.inverse_root, self.epsilon);
        [self.keep * theta - self.rate * first / root, first, second]
    }
}

struct AdamCheck<'a, T> {
    numbers: AdamNumbers,
    keep: f64,
    entries: [&'a [T]; 4],
}

impl<T: Element> Kernel for AdamCheck<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        let rule = AdamRegisters::<T::Lanes<S>>::new(simd, self.numbers, self.keep);
        let zero = T::Lanes::<S>::zero(simd);
        // 0·x is 0 for finite x, NaN for others.
        let sum = sum_registers!(T, S, simd, [theta, gradient, first, second] = self.entries => {
            let [theta, first, second] = rule.next(theta, gradient, first, second);
            zero * theta + zero * first + zero * second
        });
        sum.reduce_sum() == T::ZERO
    }
}

struct AdamStep<'a, T> {
    numbers: AdamNumbers,
    keep: f64,
    gradient: &'a [T],
    entries: [&'a mut [T]; 3],
}

impl<T: Element> Kernel for AdamStep<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let rule = AdamRegisters::<T::Lanes<S>>::new(simd, self.numbers, self.keep);
        map_registers!(T, S, simd, [gradient] = [self.gradient], [theta, first, second] = self.entries => {
            rule.next(theta, gradient, first, second)
        });
    }
}
