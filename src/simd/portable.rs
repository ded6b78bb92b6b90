//! Registers of 128 bits by the crate `wide`, with the instructions of the build: SSE2, NEON, SIMD128, or arrays. Multiply–add rounds
//! twice unless the build has fused multiply–add.

use super::lanes::{Kernel, Lanes, Mask, Simd, sealed};
use super::register::{mask, register};
use crate::number::Number;
use bytemuck::cast;
use core::ptr;
use wide::{f32x4, f64x2, u32x4, u64x2};

/// Token of the portable instruction set, which is always there.
#[derive(Clone, Copy, Debug)]
pub struct Portable(());

impl Portable {
    /// The token.
    #[inline(always)]
    pub fn new() -> Self {
        Self(())
    }
}

impl Default for Portable {
    fn default() -> Self {
        Self::new()
    }
}

impl sealed::Sealed for Portable {}

impl Simd for Portable {
    type F32 = F32x4;
    type F64 = F64x2;
    const REGISTERS: usize = 16;

    #[inline(never)] // As in every set: else each caller has a copy of the kernel.
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
}

mask! {
    /// Truth values of four lanes.
    Mask32x4(u32x4);
    and(a, b) => a & b;
    or(a, b) => a | b;
    not(a) => !a;
    bits(a) => a.to_bitmask();
}

mask! {
    /// Truth values of two lanes.
    Mask64x2(u64x2);
    and(a, b) => a & b;
    or(a, b) => a | b;
    not(a) => !a;
    bits(a) => a.to_bitmask();
}

/// The first `len` numbers at `source`, and zeros. Not inlined: many loops have such an end, and few spend time there.
///
/// # Safety
/// `source` is valid for reads of `len` numbers.
#[inline(never)]
unsafe fn load_first<T: Number, const N: usize>(source: *const T, len: usize) -> [T; N] {
    let mut lanes = [T::ZERO; N];
    for (i, lane) in lanes.iter_mut().enumerate().take(len) {
        // SAFETY: the caller vouches for these numbers.
        *lane = unsafe { *source.add(i) };
    }
    lanes
}

/// Writes the first `len` lanes to `target`.
///
/// # Safety
/// `target` is valid for writes of `len` numbers.
#[inline(never)]
unsafe fn store_first<T: Number, const N: usize>(lanes: &[T; N], target: *mut T, len: usize) {
    for (i, lane) in lanes.iter().enumerate().take(len) {
        // SAFETY: the caller vouches for these numbers.
        unsafe { *target.add(i) = *lane };
    }
}

/// Defines the register of `$lanes` numbers in the `wide` type `$register`, with the integers `$bits` of the same width.
macro_rules! portable {
    ($(#[$doc:meta])* $name:ident = $lanes:literal x $scalar:ident in $register:ident, $mask:ident, $bits:ident, $fraction:literal, $($half:literal)*) => {
        register! {
            $(#[$doc])*
            $name = $lanes x $scalar in $register, Portable, $mask;
            fused: false;
            masked_loads: false;
            operators {
                Add::add(a, b) => a + b;
                Sub::sub(a, b) => a - b;
                Mul::mul(a, b) => a * b;
                Div::div(a, b) => a / b;
                Neg::neg(a) => a ^ $register::splat(-0.0);
            }
            vectors {
                mul_add(a, b, c) => a.mul_add(b, c);
                neg_mul_add(a, b, c) => a.mul_neg_add(b, c);
                min(a, b) => wide::Select::select(a.simd_lt(b), a, b);
                max(a, b) => wide::Select::select(b.simd_lt(a), a, b);
                sqrt(a) => a.sqrt();
                bit_and(a, b) => a & b;
                bit_or(a, b) => a | b;
                bit_xor(a, b) => a ^ b;
                fraction_to_exponent(a) => cast(cast::<$register, $bits>(a) << $fraction);
                exponent_to_fraction(a) => cast(cast::<$register, $bits>(a) >> $fraction);
            }
            masks {
                lt(a, b) => cast(a.simd_lt(b));
                le(a, b) => cast(a.simd_le(b));
                eq(a, b) => cast(a.simd_eq(b));
            }
            splat(x) => $register::splat(x);
            select(mask, a, b) => wide::Select::select(cast::<$bits, $register>(mask), a, b);
            load(source) => $register::new(ptr::read_unaligned(source.cast()));
            load_partial(source, len) => $register::new(load_first(source, len));
            store(a, target) => ptr::write_unaligned(target.cast(), a.to_array());
            store_partial(a, target, len) => store_first(&a.to_array(), target, len);
            first(a) => a.to_array()[0];
            folds(a) {
                $($register::new(core::array::from_fn(|i| a.to_array()[(i + $half) % $lanes]));)*
            }
            rest {
                const TRANSPOSE: usize = $lanes;

                #[inline(always)]
                unsafe fn transpose_ptr(
                    simd: Portable,
                    source: *const $scalar,
                    stride: usize,
                    rows: usize,
                    target: *mut $scalar,
                    target_stride: usize,
                ) {
                    // SAFETY: the caller vouches for `LANES` rows of `LANES` numbers at both.
                    unsafe {
                        let rows = core::array::from_fn(|i| Self::load_ptr(simd, source.add(i.min(rows - 1) * stride)).0);
                        for (j, column) in $register::transpose(rows).into_iter().enumerate() {
                            Self(column).store_ptr(target.add(j * target_stride));
                        }
                    }
                }
            }
        }
    };
}

portable! {
    /// Four `f32`.
    F32x4 = 4 x f32 in f32x4, Mask32x4, u32x4, 23, 2 1
}

portable! {
    /// Two `f64`.
    F64x2 = 2 x f64 in f64x2, Mask64x2, u64x2, 52, 1
}
