//! AVX2 with fused multiply–add: registers of 256 bits.

use super::lanes::{Kernel, Lanes, Mask, Simd, sealed};
use super::register::{mask, register};
use core::arch::x86_64::*;

/// Token of AVX2 with FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// The token, if the CPU has the instruction set.
    #[inline(always)]
    pub fn new() -> Option<Self> {
        super::detect::InstructionSet::Avx2.is_supported().then_some(Self(()))
    }
}

impl sealed::Sealed for Avx2 {}

impl Simd for Avx2 {
    type F32 = F32x8;
    type F64 = F64x4;
    const REGISTERS: usize = 16;

    #[inline(never)] // Here and not below, where rustc 1.95 drops it.
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma")]
        fn trampoline<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: the token is the proof that the CPU has AVX2 and FMA.
        unsafe { trampoline(self, kernel) }
    }
}

mask! {
    /// Truth values of eight lanes.
    Mask32x8(__m256);
    and(a, b) => _mm256_and_ps(a, b);
    or(a, b) => _mm256_or_ps(a, b);
    not(a) => _mm256_xor_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(-1)));
    bits(a) => _mm256_movemask_ps(a) as u32;
}

mask! {
    /// Truth values of four lanes.
    Mask64x4(__m256d);
    and(a, b) => _mm256_and_pd(a, b);
    or(a, b) => _mm256_or_pd(a, b);
    not(a) => _mm256_xor_pd(a, _mm256_castsi256_pd(_mm256_set1_epi64x(-1)));
    bits(a) => _mm256_movemask_pd(a) as u32;
}

/// Integer mask of the first `len` lanes of 32 bits.
#[inline(always)]
unsafe fn first_32(len: usize) -> __m256i {
    // SAFETY: the caller has AVX2.
    unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(len as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
}

/// Integer mask of the first `len` lanes of 64 bits.
#[inline(always)]
unsafe fn first_64(len: usize) -> __m256i {
    // SAFETY: the caller has AVX2.
    unsafe { _mm256_cmpgt_epi64(_mm256_set1_epi64x(len as i64), _mm256_setr_epi64x(0, 1, 2, 3)) }
}

/// Stores the first `len` lanes in pieces of four, two and one: a masked store is microcoded on many CPUs.
#[inline(always)]
unsafe fn store_first_32(target: *mut f32, a: __m256, len: usize) {
    // SAFETY: the caller has AVX2 and vouches for `len` numbers at `target`; the pieces end there.
    unsafe {
        if len >= 8 {
            return _mm256_storeu_ps(target, a);
        }
        let (mut piece, mut target) = (_mm256_castps256_ps128(a), target);
        if len & 4 != 0 {
            _mm_storeu_ps(target, piece);
            (piece, target) = (_mm256_extractf128_ps::<1>(a), target.add(4));
        }
        if len & 2 != 0 {
            _mm_storel_pd(target.cast(), _mm_castps_pd(piece));
            (piece, target) = (_mm_movehl_ps(piece, piece), target.add(2));
        }
        if len & 1 != 0 {
            _mm_store_ss(target, piece);
        }
    }
}

/// Stores the first `len` lanes in pieces of two and one.
#[inline(always)]
unsafe fn store_first_64(target: *mut f64, a: __m256d, len: usize) {
    // SAFETY: the caller has AVX2 and vouches for `len` numbers at `target`; the pieces end there.
    unsafe {
        if len >= 4 {
            return _mm256_storeu_pd(target, a);
        }
        let (mut piece, mut target) = (_mm256_castpd256_pd128(a), target);
        if len & 2 != 0 {
            _mm_storeu_pd(target, piece);
            (piece, target) = (_mm256_extractf128_pd::<1>(a), target.add(2));
        }
        if len & 1 != 0 {
            _mm_store_sd(target, piece);
        }
    }
}

register! {
    /// Eight `f32`.
    F32x8 = 8 x f32 in __m256, Avx2, Mask32x8;
    fused: true;
    masked_loads: true;
    operators {
        Add::add(a, b) => _mm256_add_ps(a, b);
        Sub::sub(a, b) => _mm256_sub_ps(a, b);
        Mul::mul(a, b) => _mm256_mul_ps(a, b);
        Div::div(a, b) => _mm256_div_ps(a, b);
        Neg::neg(a) => _mm256_xor_ps(a, _mm256_set1_ps(-0.0));
    }
    vectors {
        mul_add(a, b, c) => _mm256_fmadd_ps(a, b, c);
        neg_mul_add(a, b, c) => _mm256_fnmadd_ps(a, b, c);
        min(a, b) => _mm256_min_ps(a, b);
        max(a, b) => _mm256_max_ps(a, b);
        sqrt(a) => _mm256_sqrt_ps(a);
        round(a) => _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
        bit_and(a, b) => _mm256_and_ps(a, b);
        bit_or(a, b) => _mm256_or_ps(a, b);
        bit_xor(a, b) => _mm256_xor_ps(a, b);
        fraction_to_exponent(a) => _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(a)));
        exponent_to_fraction(a) => _mm256_castsi256_ps(_mm256_srli_epi32::<23>(_mm256_castps_si256(a)));
    }
    masks {
        lt(a, b) => _mm256_cmp_ps::<_CMP_LT_OQ>(a, b);
        le(a, b) => _mm256_cmp_ps::<_CMP_LE_OQ>(a, b);
        eq(a, b) => _mm256_cmp_ps::<_CMP_EQ_OQ>(a, b);
    }
    splat(x) => _mm256_set1_ps(x);
    select(mask, a, b) => _mm256_blendv_ps(b, a, mask);
    load(source) => _mm256_loadu_ps(source);
    load_partial(source, len) => _mm256_maskload_ps(source, first_32(len));
    store(a, target) => _mm256_storeu_ps(target, a);
    store_partial(a, target, len) => store_first_32(target, a, len);
    first(a) => _mm256_cvtss_f32(a);
    folds(a) {
        _mm256_permute2f128_ps::<1>(a, a);
        _mm256_permute_ps::<0b01_00_11_10>(a);
        _mm256_permute_ps::<0b10_11_00_01>(a);
    }
    rest {
        const TRANSPOSE: usize = 4;

        #[inline(always)]
        unsafe fn transpose_ptr(_: Avx2, source: *const f32, stride: usize, rows: usize, target: *mut f32, target_stride: usize) {
            // SAFETY: the token is the proof of AVX2; the caller vouches for eight rows of four numbers at `source` and
            // four rows of eight at `target`.
            unsafe {
                // Rows i and i+4 side by side, then a 4×4 transposition in each half.
                let pair = |i: usize| {
                    let low = _mm_loadu_ps(source.add(i.min(rows - 1) * stride));
                    let high = _mm_loadu_ps(source.add((i + 4).min(rows - 1) * stride));
                    _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), high)
                };
                let (r0, r1, r2, r3) = (pair(0), pair(1), pair(2), pair(3));
                let (a, b) = (_mm256_unpacklo_ps(r0, r1), _mm256_unpackhi_ps(r0, r1));
                let (c, d) = (_mm256_unpacklo_ps(r2, r3), _mm256_unpackhi_ps(r2, r3));
                _mm256_storeu_ps(target, _mm256_shuffle_ps::<0b01_00_01_00>(a, c));
                _mm256_storeu_ps(target.add(target_stride), _mm256_shuffle_ps::<0b11_10_11_10>(a, c));
                _mm256_storeu_ps(target.add(2 * target_stride), _mm256_shuffle_ps::<0b01_00_01_00>(b, d));
                _mm256_storeu_ps(target.add(3 * target_stride), _mm256_shuffle_ps::<0b11_10_11_10>(b, d));
            }
        }
    }
}

register! {
    /// Four `f64`.
    F64x4 = 4 x f64 in __m256d, Avx2, Mask64x4;
    fused: true;
    masked_loads: true;
    operators {
        Add::add(a, b) => _mm256_add_pd(a, b);
        Sub::sub(a, b) => _mm256_sub_pd(a, b);
        Mul::mul(a, b) => _mm256_mul_pd(a, b);
        Div::div(a, b) => _mm256_div_pd(a, b);
        Neg::neg(a) => _mm256_xor_pd(a, _mm256_set1_pd(-0.0));
    }
    vectors {
        mul_add(a, b, c) => _mm256_fmadd_pd(a, b, c);
        neg_mul_add(a, b, c) => _mm256_fnmadd_pd(a, b, c);
        min(a, b) => _mm256_min_pd(a, b);
        max(a, b) => _mm256_max_pd(a, b);
        sqrt(a) => _mm256_sqrt_pd(a);
        round(a) => _mm256_round_pd::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
        bit_and(a, b) => _mm256_and_pd(a, b);
        bit_or(a, b) => _mm256_or_pd(a, b);
        bit_xor(a, b) => _mm256_xor_pd(a, b);
        fraction_to_exponent(a) => _mm256_castsi256_pd(_mm256_slli_epi64::<52>(_mm256_castpd_si256(a)));
        exponent_to_fraction(a) => _mm256_castsi256_pd(_mm256_srli_epi64::<52>(_mm256_castpd_si256(a)));
    }
    masks {
        lt(a, b) => _mm256_cmp_pd::<_CMP_LT_OQ>(a, b);
        le(a, b) => _mm256_cmp_pd::<_CMP_LE_OQ>(a, b);
        eq(a, b) => _mm256_cmp_pd::<_CMP_EQ_OQ>(a, b);
    }
    splat(x) => _mm256_set1_pd(x);
    select(mask, a, b) => _mm256_blendv_pd(b, a, mask);
    load(source) => _mm256_loadu_pd(source);
    load_partial(source, len) => _mm256_maskload_pd(source, first_64(len));
    store(a, target) => _mm256_storeu_pd(target, a);
    store_partial(a, target, len) => store_first_64(target, a, len);
    first(a) => _mm256_cvtsd_f64(a);
    folds(a) {
        _mm256_permute2f128_pd::<1>(a, a);
        _mm256_permute_pd::<0b0101>(a);
    }
    rest {
        const TRANSPOSE: usize = 2;

        #[inline(always)]
        unsafe fn transpose_ptr(_: Avx2, source: *const f64, stride: usize, rows: usize, target: *mut f64, target_stride: usize) {
            // SAFETY: the token is the proof of AVX2; the caller vouches for four rows of two numbers at `source` and two
            // rows of four at `target`.
            unsafe {
                // Rows i and i+2 side by side, then a 2×2 transposition in each half.
                let pair = |i: usize| {
                    let low = _mm_loadu_pd(source.add(i.min(rows - 1) * stride));
                    let high = _mm_loadu_pd(source.add((i + 2).min(rows - 1) * stride));
                    _mm256_insertf128_pd::<1>(_mm256_castpd128_pd256(low), high)
                };
                let (r0, r1) = (pair(0), pair(1));
                _mm256_storeu_pd(target, _mm256_unpacklo_pd(r0, r1));
                _mm256_storeu_pd(target.add(target_stride), _mm256_unpackhi_pd(r0, r1));
            }
        }
    }
}
