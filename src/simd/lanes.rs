//! The traits: tokens, kernels, registers.

use crate::number::Number;
use core::fmt::Debug;
use core::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

pub(super) mod sealed {
    pub trait Sealed {}
}

/// The most lanes that a register of any instruction set has.
pub const MAX_LANES: usize = 16;

/// A number that registers hold, `f32` or `f64`. Sealed.
pub trait Element: Number {
    /// The register of these numbers in the instruction set `S`.
    type Lanes<S: Simd>: Lanes<Scalar = Self, Simd = S>;
}

impl Element for f32 {
    type Lanes<S: Simd> = S::F32;
}

impl Element for f64 {
    type Lanes<S: Simd> = S::F64;
}

/// Token of an instruction set: it proves that the CPU has the set. Sealed.
pub trait Simd: sealed::Sealed + Copy + Debug + 'static {
    /// Register of `f32`.
    type F32: Lanes<Scalar = f32, Simd = Self>;
    /// Register of `f64`.
    type F64: Lanes<Scalar = f64, Simd = Self>;
    /// Number of vector registers.
    const REGISTERS: usize;

    /// Runs `kernel` inside a function compiled for this instruction set. That function is never inlined: within a large kernel the hot
    /// loop may be a kernel of its own, which has all registers to itself.
    fn run<K: Kernel>(self, kernel: K) -> K::Output;
}

/// Work that is generic over the instruction set: a closure with a generic parameter.
pub trait Kernel {
    /// What the kernel returns.
    type Output;

    /// The work. Implementations are `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// One truth value a lane.
pub trait Mask: Copy + Debug + BitAnd<Output = Self> + BitOr<Output = Self> + Not<Output = Self> {
    /// The truth value of lane i in bit i.
    fn bits(self) -> u32;
}

/// Panics where a slice does not fit a register. One short call for all checks: panics in place would double the code of a kernel.
#[inline(always)]
fn check(condition: bool) {
    #[cold]
    #[inline(never)]
    fn wrong_length() -> ! {
        panic!("a slice is too short or too long for a register")
    }

    if !condition {
        wrong_length();
    }
}

/// A register of [`LANES`](Self::LANES) numbers. Operators and functions act lane by lane.
pub trait Lanes:
    Copy + Debug + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// The number in a lane.
    type Scalar: Number;
    /// The instruction set.
    type Simd: Simd;
    /// The result of comparisons.
    type Mask: Mask;
    /// Numbers in a register, a power of two.
    const LANES: usize;
    /// Whether [`mul_add`](Self::mul_add) rounds once.
    const FUSED: bool;
    /// Whether partial loads cost about as much as full ones.
    const MASKED_LOADS: bool;
    /// Whether partial loads cost exactly as much, so that separate code for full ones would only be longer.
    const FREE_MASKS: bool = false;

    /// The token: a register exists only where its instruction set does.
    fn simd(self) -> Self::Simd;

    /// `x` in every lane.
    fn splat(simd: Self::Simd, x: Self::Scalar) -> Self;

    /// The first `LANES` numbers at `source`.
    ///
    /// # Safety
    /// `source` is valid for reads of `LANES` numbers; no alignment beyond that of the number is needed.
    unsafe fn load_ptr(simd: Self::Simd, source: *const Self::Scalar) -> Self;

    /// The first `len` numbers at `source`, 0 in the other lanes.
    ///
    /// # Safety
    /// `len <= LANES`, and `source` is valid for reads of `len` numbers.
    unsafe fn load_partial_ptr(simd: Self::Simd, source: *const Self::Scalar, len: usize) -> Self;

    /// Writes all lanes to `target`.
    ///
    /// # Safety
    /// `target` is valid for writes of `LANES` numbers.
    unsafe fn store_ptr(self, target: *mut Self::Scalar);

    /// Writes the first `len` lanes to `target`.
    ///
    /// # Safety
    /// `len <= LANES`, and `target` is valid for writes of `len` numbers.
    unsafe fn store_partial_ptr(self, target: *mut Self::Scalar, len: usize);

    /// `self·b + c`, rounded once where the instruction set has fused multiply–add.
    #[must_use]
    fn mul_add(self, b: Self, c: Self) -> Self;
    /// `c − self·b`, rounded once where the instruction set has fused multiply–add.
    #[must_use]
    fn neg_mul_add(self, b: Self, c: Self) -> Self;
    /// `self < other ? self : other`: the second operand if either is NaN.
    #[must_use]
    fn min(self, other: Self) -> Self;
    /// `self > other ? self : other`: the second operand if either is NaN.
    #[must_use]
    fn max(self, other: Self) -> Self;
    /// Square root.
    #[must_use]
    fn sqrt(self) -> Self;
    /// `self < other`, false on NaN.
    fn lt(self, other: Self) -> Self::Mask;
    /// `self <= other`, false on NaN.
    fn le(self, other: Self) -> Self::Mask;
    /// `self == other`, false on NaN.
    fn eq(self, other: Self) -> Self::Mask;
    /// `if_true` where `mask` is true, `if_false` elsewhere.
    fn select(mask: Self::Mask, if_true: Self, if_false: Self) -> Self;
    /// Bitwise and.
    #[must_use]
    fn bit_and(self, other: Self) -> Self;
    /// Bitwise or.
    #[must_use]
    fn bit_or(self, other: Self) -> Self;
    /// Bitwise exclusive or.
    #[must_use]
    fn bit_xor(self, other: Self) -> Self;
    /// The bits, shifted left by `FRACTION_BITS`: a small integer in the fraction becomes the exponent.
    #[must_use]
    fn fraction_to_exponent(self) -> Self;
    /// The bits, shifted right by `FRACTION_BITS`: the stored exponent (and sign) becomes an integer in the fraction.
    #[must_use]
    fn exponent_to_fraction(self) -> Self;
    /// Sum of all lanes by halving: lane `i` takes lane `i + LANES/2`, and so on.
    fn reduce_sum(self) -> Self::Scalar;
    /// [`reduce_sum`](Self::reduce_sum) of four registers, to the bit.
    #[inline(always)]
    fn reduce_sums(registers: [Self; 4]) -> [Self::Scalar; 4] {
        // No `map`: it need not be inlined, and would then lose the instruction set.
        let [a, b, c, d] = registers;
        [a.reduce_sum(), b.reduce_sum(), c.reduce_sum(), d.reduce_sum()]
    }
    /// About how many operations [`reduce_sums`](Self::reduce_sums) takes for each of its sums.
    const SUM_OPERATIONS: usize = 8;
    /// Maximum of all lanes, in the order of [`reduce_sum`](Self::reduce_sum).
    fn reduce_max(self) -> Self::Scalar;

    /// Columns that [`transpose_ptr`](Self::transpose_ptr) moves at once.
    const TRANSPOSE: usize;

    /// Transposes a block of `rows` rows and `TRANSPOSE` columns: `target[j·target_stride + i] = source[i·stride + j]` for
    /// `i < rows`; for the other `i < LANES` the last row is repeated.
    ///
    /// # Safety
    /// `1 <= rows <= LANES`. Every one of the rows at `source` is valid for reads of `TRANSPOSE` numbers, every one of the
    /// `TRANSPOSE` rows at `target` for writes of `LANES` numbers.
    unsafe fn transpose_ptr(
        simd: Self::Simd,
        source: *const Self::Scalar,
        stride: usize,
        rows: usize,
        target: *mut Self::Scalar,
        target_stride: usize,
    );

    /// [`transpose_ptr`](Self::transpose_ptr) of `columns` columns, a multiple of `TRANSPOSE`.
    ///
    /// # Safety
    /// As there, with `columns` for `TRANSPOSE`.
    #[inline(always)]
    unsafe fn transpose_columns_ptr(
        simd: Self::Simd,
        source: *const Self::Scalar,
        stride: usize,
        rows: usize,
        columns: usize,
        target: *mut Self::Scalar,
        target_stride: usize,
    ) {
        for j in (0..columns).step_by(Self::TRANSPOSE) {
            // SAFETY: `TRANSPOSE` of the columns for which the caller vouches.
            unsafe {
                Self::transpose_ptr(simd, source.add(j), stride, rows, target.add(j * target_stride), target_stride)
            };
        }
    }

    /// 0 in every lane.
    #[inline(always)]
    fn zero(simd: Self::Simd) -> Self {
        Self::splat(simd, Self::Scalar::ZERO)
    }

    /// The first `LANES` numbers of `source`. Panics if it is shorter.
    #[inline(always)]
    fn load(simd: Self::Simd, source: &[Self::Scalar]) -> Self {
        check(source.len() >= Self::LANES);
        // SAFETY: the slice has `LANES` numbers.
        unsafe { Self::load_ptr(simd, source.as_ptr()) }
    }

    /// `source`, at most `LANES` numbers, and 0 in the other lanes. Panics if it is longer.
    #[inline(always)]
    fn load_partial(simd: Self::Simd, source: &[Self::Scalar]) -> Self {
        check(source.len() <= Self::LANES);
        // SAFETY: the length is that of the slice, and just checked.
        unsafe { Self::load_partial_ptr(simd, source.as_ptr(), source.len()) }
    }

    /// The first `len` numbers of `source`, at most `LANES`, and 0 in the other lanes. Panics if it is shorter.
    #[inline(always)]
    fn load_first(simd: Self::Simd, source: &[Self::Scalar], len: usize) -> Self {
        check(len <= source.len() && len <= Self::LANES);
        // SAFETY: the slice has `len` numbers, the register as many lanes.
        unsafe {
            if len == Self::LANES && !Self::FREE_MASKS {
                Self::load_ptr(simd, source.as_ptr())
            } else {
                Self::load_partial_ptr(simd, source.as_ptr(), len)
            }
        }
    }

    /// `len` numbers of `source` from `start` on, at most `LANES`, and 0 in the other lanes. Panics if `source` has fewer.
    #[inline(always)]
    fn load_at(simd: Self::Simd, source: &[Self::Scalar], start: usize, len: usize) -> Self {
        check(start <= source.len());
        Self::load_first(simd, &source[start..], len)
    }

    /// Writes the first `len` lanes, at most `LANES`, to `target` from `start` on. Panics if `target` has fewer.
    #[inline(always)]
    fn store_at(self, target: &mut [Self::Scalar], start: usize, len: usize) {
        check(start <= target.len());
        self.store_first(&mut target[start..], len);
    }

    /// Writes all lanes to the beginning of `target`. Panics if it is shorter.
    #[inline(always)]
    fn store(self, target: &mut [Self::Scalar]) {
        check(target.len() >= Self::LANES);
        // SAFETY: the slice has `LANES` numbers.
        unsafe { self.store_ptr(target.as_mut_ptr()) }
    }

    /// Fills `target` with the first lanes. Panics if it is longer than `LANES`.
    #[inline(always)]
    fn store_partial(self, target: &mut [Self::Scalar]) {
        check(target.len() <= Self::LANES);
        // SAFETY: the length is that of the slice, and just checked.
        unsafe { self.store_partial_ptr(target.as_mut_ptr(), target.len()) }
    }

    /// Writes the first `len` lanes to the beginning of `target`, at most `LANES`. Panics if it is shorter. If these are all lanes it
    /// takes a full store: a load soon after a masked store would wait until that has reached the cache.
    #[inline(always)]
    fn store_first(self, target: &mut [Self::Scalar], len: usize) {
        check(len <= target.len() && len <= Self::LANES);
        // SAFETY: the slice has `len` numbers, the register as many lanes.
        unsafe {
            if len == Self::LANES {
                self.store_ptr(target.as_mut_ptr())
            } else {
                self.store_partial_ptr(target.as_mut_ptr(), len)
            }
        }
    }

    /// Magnitude.
    #[inline(always)]
    #[must_use]
    fn abs(self) -> Self {
        let sign = Self::splat(self.simd(), Self::Scalar::SIGN_BIT);
        self.bit_or(sign).bit_xor(sign)
    }

    /// The magnitude of `self` with the sign of `sign`.
    #[inline(always)]
    #[must_use]
    fn copysign(self, sign: Self) -> Self {
        let bit = Self::splat(self.simd(), Self::Scalar::SIGN_BIT);
        self.abs().bit_or(sign.bit_and(bit))
    }

    /// The nearest integer, ties to even.
    #[inline(always)]
    #[must_use]
    fn round(self) -> Self {
        let integral = Self::splat(self.simd(), Self::Scalar::INTEGRAL);
        let magnitude = self.abs();
        let rounded = (magnitude + integral) - integral;
        Self::select(magnitude.lt(integral), rounded, self).copysign(self)
    }

    /// `2ⁿ` for integral `n` within the exponents of normal numbers.
    #[inline(always)]
    fn pow2(n: Self) -> Self {
        let bias = Self::splat(n.simd(), Self::Scalar::INTEGRAL + Self::Scalar::EXPONENT_BIAS);
        (n + bias).fraction_to_exponent()
    }

    /// `self · 2ⁿ` for integral `n` of magnitude up to twice the largest exponent, less 4 (250 or 2042). Exact, and
    /// rounded once if the result is subnormal and `self` has an exponent near 0.
    #[inline(always)]
    #[must_use]
    fn scale_pow2(self, n: Self) -> Self {
        let half = (n * Self::splat(self.simd(), Self::Scalar::HALF)).round();
        self * Self::pow2(half) * Self::pow2(n - half)
    }

    /// `(m, e)` with `self = m · 2ᵉ` and `1 <= m < 2`, for positive normal numbers.
    #[inline(always)]
    fn split_exponent(self) -> (Self, Self) {
        let simd = self.simd();
        let integral = Self::Scalar::INTEGRAL;
        let bias = Self::splat(simd, integral + Self::Scalar::EXPONENT_BIAS);
        let exponent = self.exponent_to_fraction().bit_or(Self::splat(simd, integral)) - bias;
        let fraction = self.bit_and(Self::splat(simd, Self::Scalar::FRACTION_MASK));
        (fraction.bit_or(Self::splat(simd, Self::Scalar::ONE)), exponent)
    }
}
