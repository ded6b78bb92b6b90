//! NEON on aarch64, where every CPU has it: registers of 128 bits.

use super::lanes::{Kernel, Lanes, Mask, Simd, sealed};
use super::register::{mask, register};
use core::arch::aarch64::*;

/// Token of NEON.
#[derive(Clone, Copy, Debug)]
pub struct Neon(());

impl Neon {
    /// The token, if the build has the instruction set.
    #[inline(always)]
    pub fn new() -> Option<Self> {
        super::detect::InstructionSet::Neon.is_supported().then_some(Self(()))
    }
}

impl sealed::Sealed for Neon {}

impl Simd for Neon {
    type F32 = F32x4;
    type F64 = F64x2;
    const REGISTERS: usize = 32;

    #[inline(never)] // Here and not below, where rustc 1.95 drops it.
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "neon")]
        fn trampoline<K: Kernel>(simd: Neon, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: the token is the proof that the CPU has NEON.
        #[allow(unused_unsafe)]
        unsafe {
            trampoline(self, kernel)
        }
    }
}

mask! {
    /// Truth values of four lanes.
    Mask32x4(uint32x4_t);
    and(a, b) => vandq_u32(a, b);
    or(a, b) => vorrq_u32(a, b);
    not(a) => vmvnq_u32(a);
    bits(a) => vaddvq_u32(vandq_u32(a, vld1q_u32([1, 2, 4, 8].as_ptr())));
}

mask! {
    /// Truth values of two lanes.
    Mask64x2(uint64x2_t);
    and(a, b) => vandq_u64(a, b);
    or(a, b) => vorrq_u64(a, b);
    not(a) => vreinterpretq_u64_u32(vmvnq_u32(vreinterpretq_u32_u64(a)));
    bits(a) => vaddvq_u64(vandq_u64(a, vld1q_u64([1, 2].as_ptr()))) as u32;
}

/// The first `len` numbers at `source`, at most `N`, and zeros.
#[inline(always)]
unsafe fn first<T: crate::number::Number, const N: usize>(source: *const T, len: usize) -> [T; N] {
    let mut lanes = [T::ZERO; N];
    for (i, lane) in lanes.iter_mut().enumerate().take(len) {
        // SAFETY: the caller vouches for `len` numbers at `source`.
        *lane = unsafe { *source.add(i) };
    }
    lanes
}

register! {
    /// Four `f32`.
    F32x4 = 4 x f32 in float32x4_t, Neon, Mask32x4;
    fused: true;
    masked_loads: false;
    operators {
        Add::add(a, b) => vaddq_f32(a, b);
        Sub::sub(a, b) => vsubq_f32(a, b);
        Mul::mul(a, b) => vmulq_f32(a, b);
        Div::div(a, b) => vdivq_f32(a, b);
        Neg::neg(a) => vnegq_f32(a);
    }
    vectors {
        mul_add(a, b, c) => vfmaq_f32(c, a, b);
        neg_mul_add(a, b, c) => vfmsq_f32(c, a, b);
        min(a, b) => vbslq_f32(vcltq_f32(a, b), a, b);
        max(a, b) => vbslq_f32(vcgtq_f32(a, b), a, b);
        sqrt(a) => vsqrtq_f32(a);
        round(a) => vrndnq_f32(a);
        bit_and(a, b) => vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)));
        bit_or(a, b) => vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)));
        bit_xor(a, b) => vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)));
        fraction_to_exponent(a) => vreinterpretq_f32_u32(vshlq_n_u32::<23>(vreinterpretq_u32_f32(a)));
        exponent_to_fraction(a) => vreinterpretq_f32_u32(vshrq_n_u32::<23>(vreinterpretq_u32_f32(a)));
    }
    masks {
        lt(a, b) => vcltq_f32(a, b);
        le(a, b) => vcleq_f32(a, b);
        eq(a, b) => vceqq_f32(a, b);
    }
    splat(x) => vdupq_n_f32(x);
    select(mask, a, b) => vbslq_f32(mask, a, b);
    load(source) => vld1q_f32(source);
    load_partial(source, len) => vld1q_f32(first::<f32, 4>(source, len).as_ptr());
    store(a, target) => vst1q_f32(target, a);
    store_partial(a, target, len) => {
        let mut lanes = [0.0; 4];
        vst1q_f32(lanes.as_mut_ptr(), a);
        for (i, lane) in lanes.iter().enumerate().take(len) {
            *target.add(i) = *lane;
        }
    };
    first(a) => vgetq_lane_f32::<0>(a);
    folds(a) {
        vextq_f32::<2>(a, a);
        vrev64q_f32(a);
    }
    rest {
        const TRANSPOSE: usize = 4;

        #[inline(always)]
        unsafe fn transpose_ptr(_: Neon, source: *const f32, stride: usize, rows: usize, target: *mut f32, target_stride: usize) {
            // SAFETY: the token is the proof of NEON; the caller vouches for four rows of four numbers at both.
            unsafe {
                let row = |i: usize| vld1q_f32(source.add(i.min(rows - 1) * stride));
                let (r0, r1, r2, r3) = (row(0), row(1), row(2), row(3));
                let wide = |a: float32x4_t| vreinterpretq_f64_f32(a);
                let (a, b) = (wide(vtrn1q_f32(r0, r1)), wide(vtrn2q_f32(r0, r1)));
                let (c, d) = (wide(vtrn1q_f32(r2, r3)), wide(vtrn2q_f32(r2, r3)));
                vst1q_f64(target.cast(), vtrn1q_f64(a, c));
                vst1q_f64(target.add(target_stride).cast(), vtrn1q_f64(b, d));
                vst1q_f64(target.add(2 * target_stride).cast(), vtrn2q_f64(a, c));
                vst1q_f64(target.add(3 * target_stride).cast(), vtrn2q_f64(b, d));
            }
        }
    }
}

register! {
    /// Two `f64`.
    F64x2 = 2 x f64 in float64x2_t, Neon, Mask64x2;
    fused: true;
    masked_loads: false;
    operators {
        Add::add(a, b) => vaddq_f64(a, b);
        Sub::sub(a, b) => vsubq_f64(a, b);
        Mul::mul(a, b) => vmulq_f64(a, b);
        Div::div(a, b) => vdivq_f64(a, b);
        Neg::neg(a) => vnegq_f64(a);
    }
    vectors {
        mul_add(a, b, c) => vfmaq_f64(c, a, b);
        neg_mul_add(a, b, c) => vfmsq_f64(c, a, b);
        min(a, b) => vbslq_f64(vcltq_f64(a, b), a, b);
        max(a, b) => vbslq_f64(vcgtq_f64(a, b), a, b);
        sqrt(a) => vsqrtq_f64(a);
        round(a) => vrndnq_f64(a);
        bit_and(a, b) => vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)));
        bit_or(a, b) => vreinterpretq_f64_u64(vorrq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)));
        bit_xor(a, b) => vreinterpretq_f64_u64(veorq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)));
        fraction_to_exponent(a) => vreinterpretq_f64_u64(vshlq_n_u64::<52>(vreinterpretq_u64_f64(a)));
        exponent_to_fraction(a) => vreinterpretq_f64_u64(vshrq_n_u64::<52>(vreinterpretq_u64_f64(a)));
    }
    masks {
        lt(a, b) => vcltq_f64(a, b);
        le(a, b) => vcleq_f64(a, b);
        eq(a, b) => vceqq_f64(a, b);
    }
    splat(x) => vdupq_n_f64(x);
    select(mask, a, b) => vbslq_f64(mask, a, b);
    load(source) => vld1q_f64(source);
    load_partial(source, len) => vld1q_f64(first::<f64, 2>(source, len).as_ptr());
    store(a, target) => vst1q_f64(target, a);
    store_partial(a, target, len) => {
        if len >= 1 {
            *target = vgetq_lane_f64::<0>(a);
        }
        if len >= 2 {
            *target.add(1) = vgetq_lane_f64::<1>(a);
        }
    };
    first(a) => vgetq_lane_f64::<0>(a);
    folds(a) {
        vextq_f64::<1>(a, a);
    }
    rest {
        const TRANSPOSE: usize = 2;

        #[inline(always)]
        unsafe fn transpose_ptr(_: Neon, source: *const f64, stride: usize, rows: usize, target: *mut f64, target_stride: usize) {
            // SAFETY: the token is the proof of NEON; the caller vouches for two rows of two numbers at both.
            unsafe {
                let (a, b) = (vld1q_f64(source), vld1q_f64(source.add((rows - 1) * stride)));
                vst1q_f64(target, vtrn1q_f64(a, b));
                vst1q_f64(target.add(target_stride), vtrn2q_f64(a, b));
            }
        }
    }
}
