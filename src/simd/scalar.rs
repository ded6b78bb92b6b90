//! Registers of one number: the reference for the other instruction sets, and the code for loops over single numbers. Multiply–add rounds
//! twice.

use super::lanes::{Kernel, Lanes, Mask, Simd, sealed};
use super::register::{mask, register};
use crate::number::Number;
use core::ptr;

/// Token of scalar code, which is always there.
#[derive(Clone, Copy, Debug)]
pub struct Scalar(());

impl Scalar {
    /// The token.
    #[inline(always)]
    pub fn new() -> Self {
        Self(())
    }
}

impl Default for Scalar {
    fn default() -> Self {
        Self::new()
    }
}

impl sealed::Sealed for Scalar {}

impl Simd for Scalar {
    type F32 = F32x1;
    type F64 = F64x1;
    const REGISTERS: usize = 16;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
}

mask! {
    /// A truth value.
    Mask1(bool);
    and(a, b) => a & b;
    or(a, b) => a | b;
    not(a) => !a;
    bits(a) => u32::from(a);
}

/// Defines the register of one `$scalar`.
macro_rules! scalar {
    ($(#[$doc:meta])* $name:ident, $scalar:ident, $fraction:literal) => {
        register! {
            $(#[$doc])*
            $name = 1 x $scalar in $scalar, Scalar, Mask1;
            fused: false;
            masked_loads: false;
            operators {
                Add::add(a, b) => a + b;
                Sub::sub(a, b) => a - b;
                Mul::mul(a, b) => a * b;
                Div::div(a, b) => a / b;
                Neg::neg(a) => -a;
            }
            vectors {
                mul_add(a, b, c) => a * b + c;
                neg_mul_add(a, b, c) => c - a * b;
                min(a, b) => if a < b { a } else { b };
                max(a, b) => if a > b { a } else { b };
                sqrt(a) => Number::sqrt(a);
                bit_and(a, b) => $scalar::from_bits(a.to_bits() & b.to_bits());
                bit_or(a, b) => $scalar::from_bits(a.to_bits() | b.to_bits());
                bit_xor(a, b) => $scalar::from_bits(a.to_bits() ^ b.to_bits());
                fraction_to_exponent(a) => $scalar::from_bits(a.to_bits() << $fraction);
                exponent_to_fraction(a) => $scalar::from_bits(a.to_bits() >> $fraction);
            }
            masks {
                lt(a, b) => a < b;
                le(a, b) => a <= b;
                eq(a, b) => a == b;
            }
            splat(x) => x;
            select(mask, a, b) => if mask { a } else { b };
            load(source) => ptr::read(source);
            load_partial(source, len) => if len == 0 { 0.0 } else { ptr::read(source) };
            store(a, target) => ptr::write(target, a);
            store_partial(a, target, len) => if len != 0 { ptr::write(target, a) };
            first(a) => a;
            folds(a) {}
            rest {
                const TRANSPOSE: usize = 1;

                #[inline(always)]
                unsafe fn transpose_ptr(_: Scalar, source: *const $scalar, _: usize, _: usize, target: *mut $scalar, _: usize) {
                    // SAFETY: the caller vouches for one number at both.
                    unsafe { ptr::write(target, ptr::read(source)) }
                }
            }
        }
    };
}

scalar! {
    /// One `f32`.
    F32x1, f32, 23
}

scalar! {
    /// One `f64`.
    F64x1, f64, 52
}
