//! Registers with one number in every lane.

use crate::number::Number;
use crate::simd::Lanes;

/// `x` in every lane, in the instruction set of `like`.
#[inline(always)]
pub(super) fn constant<V: Lanes>(like: V, x: f64) -> V {
    V::splat(like.simd(), V::Scalar::from_f64(x))
}

/// `x` in every lane, in the instruction set of `like`.
#[inline(always)]
pub(super) fn splat<V: Lanes>(like: V, x: V::Scalar) -> V {
    V::splat(like.simd(), x)
}
