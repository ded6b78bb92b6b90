//! AVX-512F: registers of 512 bits, and masks in registers of their own.

use super::lanes::{Kernel, Lanes, Mask, Simd, sealed};
use super::register::{mask, register};
use core::arch::x86_64::*;

/// Token of AVX-512F.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

impl Avx512 {
    /// The token, if the CPU has the instruction set.
    #[inline(always)]
    pub fn new() -> Option<Self> {
        super::detect::InstructionSet::Avx512.is_supported().then_some(Self(()))
    }
}

impl sealed::Sealed for Avx512 {}

impl Simd for Avx512 {
    type F32 = F32x16;
    type F64 = F64x8;
    const REGISTERS: usize = 32;

    #[inline(never)] // Here and not below, where rustc 1.95 drops it.
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx2,fma")]
        fn trampoline<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: the token is the proof that the CPU has AVX-512F, AVX2 and FMA.
        unsafe { trampoline(self, kernel) }
    }
}

mask! {
    /// Truth values of sixteen lanes.
    Mask16(__mmask16);
    and(a, b) => a & b;
    or(a, b) => a | b;
    not(a) => !a;
    bits(a) => u32::from(a);
}

mask! {
    /// Truth values of eight lanes.
    Mask8(__mmask8);
    and(a, b) => a & b;
    or(a, b) => a | b;
    not(a) => !a;
    bits(a) => u32::from(a);
}

/// AVX-512F has the bitwise operations on integers only.
macro_rules! bitwise {
    (ps, $operation:ident($a:expr, $b:expr)) => {
        _mm512_castsi512_ps($operation(_mm512_castps_si512($a), _mm512_castps_si512($b)))
    };
    (pd, $operation:ident($a:expr, $b:expr)) => {
        _mm512_castsi512_pd($operation(_mm512_castpd_si512($a), _mm512_castpd_si512($b)))
    };
}

register! {
    /// Sixteen `f32`.
    F32x16 = 16 x f32 in __m512, Avx512, Mask16;
    fused: true;
    masked_loads: true;
    operators {
        Add::add(a, b) => _mm512_add_ps(a, b);
        Sub::sub(a, b) => _mm512_sub_ps(a, b);
        Mul::mul(a, b) => _mm512_mul_ps(a, b);
        Div::div(a, b) => _mm512_div_ps(a, b);
        Neg::neg(a) => bitwise!(ps, _mm512_xor_si512(a, _mm512_set1_ps(-0.0)));
    }
    vectors {
        mul_add(a, b, c) => _mm512_fmadd_ps(a, b, c);
        neg_mul_add(a, b, c) => _mm512_fnmadd_ps(a, b, c);
        min(a, b) => _mm512_min_ps(a, b);
        max(a, b) => _mm512_max_ps(a, b);
        sqrt(a) => _mm512_sqrt_ps(a);
        round(a) => _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
        scale_pow2(a, n) => _mm512_scalef_ps(a, n);
        bit_and(a, b) => bitwise!(ps, _mm512_and_si512(a, b));
        bit_or(a, b) => bitwise!(ps, _mm512_or_si512(a, b));
        bit_xor(a, b) => bitwise!(ps, _mm512_xor_si512(a, b));
        fraction_to_exponent(a) => _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(a)));
        exponent_to_fraction(a) => _mm512_castsi512_ps(_mm512_srli_epi32::<23>(_mm512_castps_si512(a)));
    }
    masks {
        lt(a, b) => _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b);
        le(a, b) => _mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b);
        eq(a, b) => _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b);
    }
    splat(x) => _mm512_set1_ps(x);
    select(mask, a, b) => _mm512_mask_blend_ps(mask, b, a);
    load(source) => _mm512_loadu_ps(source);
    load_partial(source, len) => _mm512_maskz_loadu_ps(((1_u32 << len) - 1) as __mmask16, source);
    store(a, target) => _mm512_storeu_ps(target, a);
    store_partial(a, target, len) => _mm512_mask_storeu_ps(target, ((1_u32 << len) - 1) as __mmask16, a);
    first(a) => _mm512_cvtss_f32(a);
    folds(a) {
        _mm512_shuffle_f32x4::<0b01_00_11_10>(a, a);
        _mm512_shuffle_f32x4::<0b10_11_00_01>(a, a);
        _mm512_permute_ps::<0b01_00_11_10>(a);
        _mm512_permute_ps::<0b10_11_00_01>(a);
    }
    rest {
        const FREE_MASKS: bool = true;
        const TRANSPOSE: usize = 4;
        const SUM_OPERATIONS: usize = 5;

        #[inline(always)]
        fn reduce_sums([a, b, c, d]: [Self; 4]) -> [f32; 4] {
            // SAFETY: registers exist only where AVX-512F does; the array has four numbers.
            unsafe {
                let halves = |a, b| {
                    let low = _mm512_shuffle_f32x4::<0b01_00_01_00>(a, b);
                    _mm512_add_ps(low, _mm512_shuffle_f32x4::<0b11_10_11_10>(a, b))
                };
                let (ab, cd) = (halves(a.0, b.0), halves(c.0, d.0));
                // A quarter of the register for each sum.
                let low = _mm512_shuffle_f32x4::<0b10_00_10_00>(ab, cd);
                let sums = _mm512_add_ps(low, _mm512_shuffle_f32x4::<0b11_01_11_01>(ab, cd));
                let sums = _mm512_add_ps(sums, _mm512_permute_ps::<0b01_00_11_10>(sums));
                let sums = _mm512_add_ps(sums, _mm512_permute_ps::<0b10_11_00_01>(sums));
                let firsts = _mm512_permutexvar_ps(_mm512_set4_epi32(12, 8, 4, 0), sums);
                let mut four = [0.0; 4];
                _mm_storeu_ps(four.as_mut_ptr(), _mm512_castps512_ps128(firsts));
                four
            }
        }

        #[inline(always)]
        unsafe fn transpose_ptr(_: Avx512, source: *const f32, stride: usize, rows: usize, target: *mut f32, target_stride: usize) {
            // SAFETY: the token is the proof of AVX-512F; the caller vouches for sixteen rows of four numbers at `source`
            // and four rows of sixteen at `target`.
            unsafe {
                // Rows i, i+4, i+8 and i+12 side by side, then a 4×4 transposition in each quarter.
                let four = |i: usize| {
                    let row = |r: usize| _mm_loadu_ps(source.add(r.min(rows - 1) * stride));
                    let quarters = _mm512_castps128_ps512(row(i));
                    let quarters = _mm512_insertf32x4::<1>(quarters, row(i + 4));
                    let quarters = _mm512_insertf32x4::<2>(quarters, row(i + 8));
                    _mm512_insertf32x4::<3>(quarters, row(i + 12))
                };
                let (r0, r1, r2, r3) = (four(0), four(1), four(2), four(3));
                let (a, b) = (_mm512_unpacklo_ps(r0, r1), _mm512_unpackhi_ps(r0, r1));
                let (c, d) = (_mm512_unpacklo_ps(r2, r3), _mm512_unpackhi_ps(r2, r3));
                _mm512_storeu_ps(target, _mm512_shuffle_ps::<0b01_00_01_00>(a, c));
                _mm512_storeu_ps(target.add(target_stride), _mm512_shuffle_ps::<0b11_10_11_10>(a, c));
                _mm512_storeu_ps(target.add(2 * target_stride), _mm512_shuffle_ps::<0b01_00_01_00>(b, d));
                _mm512_storeu_ps(target.add(3 * target_stride), _mm512_shuffle_ps::<0b11_10_11_10>(b, d));
            }
        }

        #[inline(always)]
        unsafe fn transpose_columns_ptr(
            simd: Avx512,
            source: *const f32,
            stride: usize,
            rows: usize,
            columns: usize,
            target: *mut f32,
            target_stride: usize,
        ) {
            let whole = columns - columns % 8;
            for j in (0..whole).step_by(8) {
                // SAFETY: the token is the proof of AVX-512F; the caller vouches for sixteen rows of these eight columns at `source`
                // and eight rows of sixteen at `target`.
                unsafe {
                    let (source, target) = (source.add(j), target.add(j * target_stride));
                    // Rows i and i+4 side by side, 4×4 transpositions in their quarters, then the quarters of a column together.
                    let pair = |i: usize| {
                        let row = |r: usize| _mm256_castps_pd(_mm256_loadu_ps(source.add(r.min(rows - 1) * stride)));
                        _mm512_castpd_ps(_mm512_insertf64x4::<1>(_mm512_castpd256_pd512(row(i)), row(i + 4)))
                    };
                    let (r0, r1, r2, r3) = (pair(0), pair(1), pair(2), pair(3));
                    let (a, b) = (_mm512_unpacklo_ps(r0, r1), _mm512_unpackhi_ps(r0, r1));
                    let (c, d) = (_mm512_unpacklo_ps(r2, r3), _mm512_unpackhi_ps(r2, r3));
                    let (r8, r9, r10, r11) = (pair(8), pair(9), pair(10), pair(11));
                    let (e, f) = (_mm512_unpacklo_ps(r8, r9), _mm512_unpackhi_ps(r8, r9));
                    let (g, h) = (_mm512_unpacklo_ps(r10, r11), _mm512_unpackhi_ps(r10, r11));
                    let store = |column: usize, low, high| {
                        let target = target.add(column * target_stride);
                        _mm512_storeu_ps(target, _mm512_shuffle_f32x4::<0b10_00_10_00>(low, high));
                        _mm512_storeu_ps(target.add(4 * target_stride), _mm512_shuffle_f32x4::<0b11_01_11_01>(low, high));
                    };
                    store(0, _mm512_shuffle_ps::<0b01_00_01_00>(a, c), _mm512_shuffle_ps::<0b01_00_01_00>(e, g));
                    store(1, _mm512_shuffle_ps::<0b11_10_11_10>(a, c), _mm512_shuffle_ps::<0b11_10_11_10>(e, g));
                    store(2, _mm512_shuffle_ps::<0b01_00_01_00>(b, d), _mm512_shuffle_ps::<0b01_00_01_00>(f, h));
                    store(3, _mm512_shuffle_ps::<0b11_10_11_10>(b, d), _mm512_shuffle_ps::<0b11_10_11_10>(f, h));
                }
            }
            if whole < columns {
                // SAFETY: the four columns that are left.
                unsafe {
                    let (source, target) = (source.add(whole), target.add(whole * target_stride));
                    Self::transpose_ptr(simd, source, stride, rows, target, target_stride)
                };
            }
        }
    }
}

register! {
    /// Eight `f64`.
    F64x8 = 8 x f64 in __m512d, Avx512, Mask8;
    fused: true;
    masked_loads: true;
    operators {
        Add::add(a, b) => _mm512_add_pd(a, b);
        Sub::sub(a, b) => _mm512_sub_pd(a, b);
        Mul::mul(a, b) => _mm512_mul_pd(a, b);
        Div::div(a, b) => _mm512_div_pd(a, b);
        Neg::neg(a) => bitwise!(pd, _mm512_xor_si512(a, _mm512_set1_pd(-0.0)));
    }
    vectors {
        mul_add(a, b, c) => _mm512_fmadd_pd(a, b, c);
        neg_mul_add(a, b, c) => _mm512_fnmadd_pd(a, b, c);
        min(a, b) => _mm512_min_pd(a, b);
        max(a, b) => _mm512_max_pd(a, b);
        sqrt(a) => _mm512_sqrt_pd(a);
        round(a) => _mm512_roundscale_pd::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
        scale_pow2(a, n) => _mm512_scalef_pd(a, n);
        bit_and(a, b) => bitwise!(pd, _mm512_and_si512(a, b));
        bit_or(a, b) => bitwise!(pd, _mm512_or_si512(a, b));
        bit_xor(a, b) => bitwise!(pd, _mm512_xor_si512(a, b));
        fraction_to_exponent(a) => _mm512_castsi512_pd(_mm512_slli_epi64::<52>(_mm512_castpd_si512(a)));
        exponent_to_fraction(a) => _mm512_castsi512_pd(_mm512_srli_epi64::<52>(_mm512_castpd_si512(a)));
    }
    masks {
        lt(a, b) => _mm512_cmp_pd_mask::<_CMP_LT_OQ>(a, b);
        le(a, b) => _mm512_cmp_pd_mask::<_CMP_LE_OQ>(a, b);
        eq(a, b) => _mm512_cmp_pd_mask::<_CMP_EQ_OQ>(a, b);
    }
    splat(x) => _mm512_set1_pd(x);
    select(mask, a, b) => _mm512_mask_blend_pd(mask, b, a);
    load(source) => _mm512_loadu_pd(source);
    load_partial(source, len) => _mm512_maskz_loadu_pd(((1_u32 << len) - 1) as __mmask8, source);
    store(a, target) => _mm512_storeu_pd(target, a);
    store_partial(a, target, len) => _mm512_mask_storeu_pd(target, ((1_u32 << len) - 1) as __mmask8, a);
    first(a) => _mm512_cvtsd_f64(a);
    folds(a) {
        _mm512_shuffle_f64x2::<0b01_00_11_10>(a, a);
        _mm512_shuffle_f64x2::<0b10_11_00_01>(a, a);
        _mm512_permute_pd::<0b01010101>(a);
    }
    rest {
        const FREE_MASKS: bool = true;
        const TRANSPOSE: usize = 2;
        const SUM_OPERATIONS: usize = 5;

        #[inline(always)]
        fn reduce_sums([a, b, c, d]: [Self; 4]) -> [f64; 4] {
            // SAFETY: registers exist only where AVX-512F does; the array has four numbers.
            unsafe {
                let halves = |a, b| {
                    let low = _mm512_shuffle_f64x2::<0b01_00_01_00>(a, b);
                    _mm512_add_pd(low, _mm512_shuffle_f64x2::<0b11_10_11_10>(a, b))
                };
                let (ab, cd) = (halves(a.0, b.0), halves(c.0, d.0));
                // A quarter of the register for each sum.
                let low = _mm512_shuffle_f64x2::<0b10_00_10_00>(ab, cd);
                let sums = _mm512_add_pd(low, _mm512_shuffle_f64x2::<0b11_01_11_01>(ab, cd));
                let sums = _mm512_add_pd(sums, _mm512_permute_pd::<0b01010101>(sums));
                let firsts = _mm512_permutexvar_pd(_mm512_set4_epi64(6, 4, 2, 0), sums);
                let mut four = [0.0; 4];
                _mm256_storeu_pd(four.as_mut_ptr(), _mm512_castpd512_pd256(firsts));
                four
            }
        }

        #[inline(always)]
        unsafe fn transpose_ptr(_: Avx512, source: *const f64, stride: usize, rows: usize, target: *mut f64, target_stride: usize) {
            // SAFETY: the token is the proof of AVX-512F; the caller vouches for eight rows of two numbers at `source` and
            // two rows of eight at `target`.
            unsafe {
                // Rows i, i+2, i+4 and i+6 side by side, then a 2×2 transposition in each quarter.
                let four = |i: usize| {
                    let row = |r: usize| _mm_castpd_ps(_mm_loadu_pd(source.add(r.min(rows - 1) * stride)));
                    let quarters = _mm512_castps128_ps512(row(i));
                    let quarters = _mm512_insertf32x4::<1>(quarters, row(i + 2));
                    let quarters = _mm512_insertf32x4::<2>(quarters, row(i + 4));
                    _mm512_castps_pd(_mm512_insertf32x4::<3>(quarters, row(i + 6)))
                };
                let (r0, r1) = (four(0), four(1));
                _mm512_storeu_pd(target, _mm512_unpacklo_pd(r0, r1));
                _mm512_storeu_pd(target.add(target_stride), _mm512_unpackhi_pd(r0, r1));
            }
        }

        #[inline(always)]
        unsafe fn transpose_columns_ptr(
            simd: Avx512,
            source: *const f64,
            stride: usize,
            rows: usize,
            columns: usize,
            target: *mut f64,
            target_stride: usize,
        ) {
            let whole = columns - columns % 4;
            for j in (0..whole).step_by(4) {
                // SAFETY: the token is the proof of AVX-512F; the caller vouches for eight rows of these four columns at `source` and
                // four rows of eight at `target`.
                unsafe {
                    let (source, target) = (source.add(j), target.add(j * target_stride));
                    // Rows i and i+2 side by side, 2×2 transpositions in their quarters, then the quarters of a column together.
                    let pair = |i: usize| {
                        let row = |r: usize| _mm256_loadu_pd(source.add(r.min(rows - 1) * stride));
                        _mm512_insertf64x4::<1>(_mm512_castpd256_pd512(row(i)), row(i + 2))
                    };
                    let (r0, r1, r4, r5) = (pair(0), pair(1), pair(4), pair(5));
                    let store = |column: usize, low, high| {
                        let target = target.add(column * target_stride);
                        _mm512_storeu_pd(target, _mm512_shuffle_f64x2::<0b10_00_10_00>(low, high));
                        _mm512_storeu_pd(target.add(2 * target_stride), _mm512_shuffle_f64x2::<0b11_01_11_01>(low, high));
                    };
                    store(0, _mm512_unpacklo_pd(r0, r1), _mm512_unpacklo_pd(r4, r5));
                    store(1, _mm512_unpackhi_pd(r0, r1), _mm512_unpackhi_pd(r4, r5));
                }
            }
            if whole < columns {
                // SAFETY: the two columns that are left.
                unsafe {
                    let (source, target) = (source.add(whole), target.add(whole * target_stride));
                    Self::transpose_ptr(simd, source, stride, rows, target, target_stride)
                };
            }
        }
    }
}
