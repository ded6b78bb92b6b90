//! Functions applied element by element or row by row: exponential, logarithm, activations with their derivatives, softmax.
//!
//! Every function is written once, over [`Lanes`]; the slice kernels of this module run it with an instruction set. The last, partial
//! register of a slice goes through the same instructions as the others, so a value does not depend on its position.
//!
//! | file | subject |
//! |---|---|
//! | `exp` | exponential function, its range reduction |
//! | `ln` | logarithm and `ln(1 + x)` |
//! | `normal` | density and upper tail of the normal distribution |
//! | `pair` | numbers as sums of two, to round a result once |
//! | `constant`, `polynomial` | registers of one number; polynomials |
//! | `functions` | the activations and their derivatives |
//! | `softmax`, `cross_entropy` | rows of logits |
//! | `rows` | a tile of rows, transposed so that the lanes run along them |

mod constant;
mod cross_entropy;
mod exp;
mod functions;
mod ln;
mod normal;
mod pair;
mod polynomial;
mod rows;
mod softmax;

pub(crate) use cross_entropy::cross_entropy_rows;
pub(crate) use softmax::{softmax_jacobian_rows, softmax_rows};

use core::marker::PhantomData;

use crate::activation::Activation;
use crate::simd::Element;
use crate::simd::{InstructionSet, Kernel, Lanes, Simd};
use functions::{Exp, Function, Gelu, Identity, Ln, Sigmoid, Silu, Softplus, Tanh};

/// Overwrites every `u` by `φ(u)`.
pub(crate) fn activate<T: Element>(isa: InstructionSet, activation: Activation, u_to_h: &mut [T]) {
    isa.run(Activate { activation, columns: [u_to_h] });
}

/// Overwrites every `u` by `φ(u)` and writes `φ'(u)` to `f`. Slices of one length.
pub(crate) fn activate_with_slope<T: Element>(
    isa: InstructionSet,
    activation: Activation,
    u_to_h: &mut [T],
    f: &mut [T],
) {
    isa.run(Activate { activation, columns: [u_to_h, f] });
}

/// Overwrites every `u` by `φ(u)` and writes `φ'(u)`, `φ''(u)`, `φ'''(u)` to `f`, `e`, `t`. Slices of one length.
pub(crate) fn activate_with_derivatives<T: Element>(
    isa: InstructionSet,
    activation: Activation,
    u_to_h: &mut [T],
    f: &mut [T],
    e: &mut [T],
    t: &mut [T],
) {
    isa.run(Activate { activation, columns: [u_to_h, f, e, t] });
}

/// Overwrites every `u` by `φ''(u)` and writes `φ'''(u)` to `t`, where `h` and `f` hold `φ(u)` and `φ'(u)`. Unless the activation's
/// [`higher_read_input`], `u` may be anything. Slices of one length.
pub(crate) fn higher_derivatives<T: Element>(
    isa: InstructionSet,
    activation: Activation,
    h: &[T],
    f: &[T],
    u_to_e: &mut [T],
    t: &mut [T],
) {
    isa.run(Higher { activation, h, f, e: u_to_e, t });
}

/// Whether φ'' and φ''' need u, or follow from φ and φ'.
pub(crate) const fn higher_read_input(activation: Activation) -> bool {
    match activation {
        Activation::Tanh => Tanh::HIGHER_READ_INPUT,
        Activation::Sigmoid => Sigmoid::HIGHER_READ_INPUT,
        Activation::Softplus => Softplus::HIGHER_READ_INPUT,
        Activation::Gelu => Gelu::HIGHER_READ_INPUT,
        Activation::Silu => Silu::HIGHER_READ_INPUT,
        Activation::Identity => Identity::HIGHER_READ_INPUT,
    }
}

/// `[φ, φ', φ'', φ''']` at `u`, by the portable instance of the vector code.
pub(crate) fn evaluate<T: Element>(activation: Activation, u: T) -> [T; 4] {
    let mut columns = [u, T::ZERO, T::ZERO, T::ZERO];
    let mut rest = columns.each_mut().map(core::slice::from_mut);
    InstructionSet::Portable.run(Activate { activation, columns: rest.each_mut().map(|column| &mut **column) });
    columns
}

/// Overwrites every x by `eˣ`.
pub(crate) fn exponentials<T: Element>(isa: InstructionSet, x: &mut [T]) {
    isa.run(Map::<T, Exp> { x, function: PhantomData });
}

/// Overwrites every x by `ln x`.
pub(crate) fn logarithms<T: Element>(isa: InstructionSet, x: &mut [T]) {
    isa.run(Map::<T, Ln> { x, function: PhantomData });
}

/// One function of every element.
struct Map<'a, T, F> {
    x: &'a mut [T],
    function: PhantomData<F>,
}

impl<T: Element, F: Function> Kernel for Map<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        apply::<T, S, F, 1>(simd, [self.x]);
    }
}

/// φ and its first `N − 1` derivatives. The first column holds `u` on entry.
struct Activate<'a, T, const N: usize> {
    activation: Activation,
    columns: [&'a mut [T]; N],
}

impl<T: Element, const N: usize> Kernel for Activate<'_, T, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.activation {
            Activation::Tanh => apply::<T, S, Tanh, N>(simd, self.columns),
            Activation::Sigmoid => apply::<T, S, Sigmoid, N>(simd, self.columns),
            Activation::Softplus => apply::<T, S, Softplus, N>(simd, self.columns),
            Activation::Gelu => apply::<T, S, Gelu, N>(simd, self.columns),
            Activation::Silu => apply::<T, S, Silu, N>(simd, self.columns),
            Activation::Identity if N == 1 => {}
            Activation::Identity => apply::<T, S, Identity, N>(simd, self.columns),
        }
    }
}

/// φ'' and φ''' from φ and φ'. The column `e` holds `u` on entry.
struct Higher<'a, T> {
    activation: Activation,
    h: &'a [T],
    f: &'a [T],
    e: &'a mut [T],
    t: &'a mut [T],
}

impl<T: Element> Kernel for Higher<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.activation {
            Activation::Tanh => self.apply::<S, Tanh>(simd),
            Activation::Sigmoid => self.apply::<S, Sigmoid>(simd),
            Activation::Softplus => self.apply::<S, Softplus>(simd),
            Activation::Gelu => self.apply::<S, Gelu>(simd),
            Activation::Silu => self.apply::<S, Silu>(simd),
            Activation::Identity => self.apply::<S, Identity>(simd),
        }
    }
}

impl<T: Element> Higher<'_, T> {
    #[inline(always)]
    fn apply<S: Simd, F: Function>(self, simd: S) {
        let Self { h, f, e, t, .. } = self;
        let (lanes, len) = (T::Lanes::<S>::LANES, e.len());
        debug_assert!([h.len(), f.len(), t.len()] == [len; 3]);
        for start in (0..len).step_by(lanes) {
            let part = lanes.min(len - start);
            // Not by `map` of an array: it is not inlined here, and its loads would be calls.
            let u = T::Lanes::<S>::load_at(simd, e, start, part);
            let h = T::Lanes::<S>::load_at(simd, h, start, part);
            let f = T::Lanes::<S>::load_at(simd, f, start, part);
            let [second, third] = F::higher(u, h, f);
            second.store_at(e, start, part);
            third.store_at(t, start, part);
        }
    }
}

/// Runs one function over the columns. The compiler drops the derivatives that `N` does not ask for.
#[inline(always)]
fn apply<T: Element, S: Simd, F: Function, const N: usize>(simd: S, mut columns: [&mut [T]; N]) {
    let lanes = T::Lanes::<S>::LANES;
    let len = columns[0].len();
    debug_assert!(columns.iter().all(|column| column.len() == len));
    // The last register takes the same path as the others: a second copy of the function would cost more code than the branch costs time.
    for start in (0..len).step_by(lanes) {
        let part = lanes.min(len - start);
        let values = F::derivatives(T::Lanes::<S>::load_at(simd, columns[0], start, part));
        for (column, value) in columns.iter_mut().zip(values) {
            value.store_at(column, start, part);
        }
    }
}

#[cfg(test)]
mod tests;
