//! Polynomials.

use super::constant::splat;
use super::pair::Pair;
use crate::simd::Lanes;

/// `Σ coefficients[i] xⁱ` for up to about 26 coefficients: three polynomials of `x`, which run at the same time, put together in `x⁸`.
/// (The compiler unrolls pieces of a known length.)
#[inline(always)]
fn long_polynomial<V: Lanes>(x: V, coefficients: &[V::Scalar]) -> V {
    const PIECE: usize = 8;
    let (low, rest) = coefficients.split_at(PIECE);
    let x_2 = x * x;
    let x_4 = x_2 * x_2;
    let x_8 = x_4 * x_4;
    let high = if rest.len() > PIECE + 1 {
        let (middle, high) = rest.split_at(PIECE);
        polynomial(x, high).mul_add(x_8, polynomial(x, middle))
    } else {
        polynomial(x, rest)
    };
    high.mul_add(x_8, polynomial(x, low))
}

/// The same plus `low`, for a constant term that is larger than the others: it is rounded little more than once.
#[inline(always)]
pub(super) fn long_polynomial_pair<V: Lanes>(x: V, coefficients: &[V::Scalar], low: V::Scalar) -> Pair<V> {
    let (constant_term, rest) = coefficients.split_at(1);
    Pair::sum(splat(x, constant_term[0]), x * long_polynomial(x, rest), splat(x, low))
}

/// `Σ coefficients[i] xⁱ` by Horner's rule.
#[inline(always)]
pub(super) fn polynomial<V: Lanes>(x: V, coefficients: &[V::Scalar]) -> V {
    let mut sum = splat(x, coefficients[coefficients.len() - 1]);
    for &coefficient in coefficients[..coefficients.len() - 1].iter().rev() {
        sum = sum.mul_add(x, splat(x, coefficient));
    }
    sum
}
