//! The number types `f32` and `f64`: arithmetic, constants, and the coefficients of their elementary functions.

mod coefficients;

pub use coefficients::Coefficients;

use core::fmt::{Debug, Display, LowerExp};
use core::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// Arithmetic and constants of a floating-point number, `f32` or `f64`. Sealed.
pub trait Number:
    sealed::Sealed
    + bytemuck::Pod
    + PartialOrd
    + Default
    + Debug
    + Display
    + LowerExp
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Coefficients
{
    /// 0
    const ZERO: Self;
    /// 1
    const ONE: Self;
    /// 1/2
    const HALF: Self;
    /// 2
    const TWO: Self;
    /// Distance from 1 to the next larger number.
    const EPSILON: Self;
    /// Largest finite number.
    const MAX: Self;
    /// Smallest positive normal number.
    const MIN_POSITIVE: Self;
    /// ∞
    const INFINITY: Self;
    /// A quiet NaN.
    const NAN: Self;
    /// −0, whose only bit is the sign.
    const SIGN_BIT: Self;
    /// Bits of the stored fraction: 23 or 52.
    const FRACTION_BITS: u32;
    /// 2 to the power of [`FRACTION_BITS`](Self::FRACTION_BITS): all larger numbers are integral.
    const INTEGRAL: Self;
    /// Offset of the stored exponent: 127 or 1023.
    const EXPONENT_BIAS: Self;
    /// The number whose bits are those of the fraction, all set.
    const FRACTION_MASK: Self;

    /// The nearest number of this type.
    fn from_f64(x: f64) -> Self;
    /// Exact.
    fn to_f64(self) -> f64;
    /// The nearest number of this type.
    fn from_usize(n: usize) -> Self;
    /// Magnitude.
    #[must_use]
    fn abs(self) -> Self;
    /// Square root, correctly rounded where the target has the instruction.
    #[must_use]
    fn sqrt(self) -> Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// Not a number.
    fn is_nan(self) -> bool;
}

macro_rules! number {
    ($real:ident, $bias:literal, $wide:ident) => {
        impl Number for $real {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const HALF: Self = 0.5;
            const TWO: Self = 2.0;
            const EPSILON: Self = $real::EPSILON;
            const MAX: Self = $real::MAX;
            const MIN_POSITIVE: Self = $real::MIN_POSITIVE;
            const INFINITY: Self = $real::INFINITY;
            const NAN: Self = $real::NAN;
            const SIGN_BIT: Self = -0.0;
            const FRACTION_BITS: u32 = $real::MANTISSA_DIGITS - 1;
            const INTEGRAL: Self = (1_u64 << Self::FRACTION_BITS) as $real;
            const EXPONENT_BIAS: Self = $bias;
            const FRACTION_MASK: Self = $real::from_bits((1 << Self::FRACTION_BITS) - 1);

            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as $real
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }

            #[inline(always)]
            fn from_usize(n: usize) -> Self {
                n as $real
            }

            #[inline(always)]
            fn abs(self) -> Self {
                $real::abs(self)
            }

            #[inline(always)]
            fn sqrt(self) -> Self {
                // `core` has no square root; a register of the portable set has.
                wide::$wide::splat(self).sqrt().to_array()[0]
            }

            #[inline(always)]
            fn is_finite(self) -> bool {
                $real::is_finite(self)
            }

            #[inline(always)]
            fn is_nan(self) -> bool {
                $real::is_nan(self)
            }
        }
    };
}

number!(f32, 127.0, f32x4);
number!(f64, 1023.0, f64x2);

/// √x of a number that is not negative.
pub(crate) fn sqrt(x: f64) -> f64 {
    Number::sqrt(x)
}

/// `base` to a whole power.
pub(crate) fn power(base: f64, exponent: u64) -> f64 {
    let (mut result, mut square, mut rest) = (1.0, base, exponent);
    while rest > 0 {
        if rest % 2 == 1 {
            result *= square;
        }
        square *= square;
        rest /= 2;
    }
    result
}

/// The power of two at most a factor two below `x`; 1 for zero, 0 for a subnormal number.
pub(crate) fn power_of_two_near(x: f64) -> f64 {
    const EXPONENT: u64 = 0x7FF << 52;
    if x > 0.0 { f64::from_bits(x.to_bits() & EXPONENT) } else { 1.0 }
}
