//! Every operation of every instruction set against the scalar one.

use super::*;
use crate::number::Number;
use std::vec::Vec;

/// Numbers of all kinds, in pairs that meet in the same lane for some rotation.
fn numbers<T: Element>() -> Vec<T> {
    let mut numbers = std::vec![
        T::ZERO,
        T::SIGN_BIT,
        T::ONE,
        -T::ONE,
        T::HALF,
        T::from_f64(1.5),
        T::from_f64(-2.5),
        T::from_f64(3.5),
        T::MAX,
        -T::MAX,
        T::MIN_POSITIVE,
        T::INFINITY,
        -T::INFINITY,
        T::NAN,
        T::INTEGRAL,
        T::INTEGRAL - T::HALF,
    ];
    let mut state = 1_u64;
    while numbers.len() < 96 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let uniform = (state >> 11) as f64 / (1_u64 << 53) as f64;
        let exponent = ((state >> 3) % 40) as i32 - 20;
        numbers.push(T::from_f64((uniform - 0.5) * f64::powi(2.0, exponent)));
    }
    numbers
}

/// The same number, or both NaN; −0 differs from 0.
fn same<T: Element>(a: T, b: T) -> bool {
    (a.is_nan() && b.is_nan()) || bytemuck::bytes_of(&a) == bytemuck::bytes_of(&b)
}

/// Applies a function of three registers to all numbers (the second and third rotated by `shift`).
struct Map<'a, T, F> {
    numbers: &'a [T],
    shift: usize,
    function: F,
}

/// A function of three registers, generic over the instruction set.
trait Function<T: Element>: Copy {
    fn call<S: Simd>(self, a: T::Lanes<S>, b: T::Lanes<S>, c: T::Lanes<S>) -> T::Lanes<S>;
}

impl<T: Element, F: Function<T>> Kernel for Map<'_, T, F> {
    type Output = Vec<T>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<T> {
        let rotate = |by: usize| {
            let mut rotated = self.numbers.to_vec();
            rotated.rotate_left(by % self.numbers.len());
            rotated
        };
        let (b, c) = (rotate(self.shift), rotate(2 * self.shift + 1));
        let mut result = std::vec![T::NAN; self.numbers.len()];
        for i in (0..result.len()).step_by(T::Lanes::<S>::LANES) {
            let load = |x: &[T]| T::Lanes::<S>::load(simd, &x[i..]);
            self.function.call::<S>(load(self.numbers), load(&b), load(&c)).store(&mut result[i..]);
        }
        result
    }
}

/// One test a function: the instruction set against [`Scalar`], with the number of allowed roundings between them.
macro_rules! functions {
    ($set:ident, $real:ident: $($name:ident($a:ident, $b:ident, $c:ident) $roundings:literal => $expr:expr;)*) => {$(
        #[test]
        fn $name() {
            #[derive(Clone, Copy)]
            struct F;
            impl Function<$real> for F {
                #[inline(always)]
                fn call<S: Simd>(
                    self,
                    $a: <$real as Element>::Lanes<S>,
                    $b: <$real as Element>::Lanes<S>,
                    $c: <$real as Element>::Lanes<S>,
                ) -> <$real as Element>::Lanes<S> {
                    $expr
                }
            }
            let numbers = numbers::<$real>();
            for shift in 0..16 {
                let map = || Map { numbers: &numbers, shift, function: F };
                let expected = Scalar::new().run(map());
                let actual = InstructionSet::$set.run(map());
                for (i, (&x, &y)) in actual.iter().zip(&expected).enumerate() {
                    let a = numbers[i];
                    let b = numbers[(i + shift) % numbers.len()];
                    let c = numbers[(i + 2 * shift + 1) % numbers.len()];
                    // One rounding of the product is what fusion leaves out; an overflow of it tells nothing.
                    let bound = $roundings as $real * <$real>::EPSILON * ((a * b).abs() + c.abs());
                    let near = $roundings > 0 && ((x - y).abs() <= bound || !bound.is_finite());
                    assert!(same(x, y) || near, "{x} instead of {y} for {a}, {b}, {c}");
                }
            }
        }
    )*};
}

macro_rules! positive {
    ($a:expr) => {
        Lanes::max(
            Lanes::min($a.abs(), Lanes::splat($a.simd(), Number::MAX)),
            Lanes::splat($a.simd(), Number::MIN_POSITIVE),
        )
    };
}

/// All tests of an instruction set and a type.
macro_rules! suite {
    ($module:ident, $set:ident, $real:ident) => {
        mod $module {
            use super::*;

            functions! { $set, $real:
                add(a, b, _c) 0 => a + b;
                sub(a, b, _c) 0 => a - b;
                mul(a, b, _c) 0 => a * b;
                div(a, b, _c) 0 => a / b;
                neg(a, _b, _c) 0 => -a;
                mul_add(a, b, c) 2 => a.mul_add(b, c);
                neg_mul_add(a, b, c) 2 => a.neg_mul_add(b, c);
                min(a, b, _c) 0 => Lanes::min(a, b);
                max(a, b, _c) 0 => Lanes::max(a, b);
                sqrt(a, _b, _c) 0 => a.sqrt();
                abs(a, _b, _c) 0 => a.abs();
                round(a, _b, _c) 0 => a.round();
                copysign(a, b, _c) 0 => a.copysign(b);
                lt(a, b, c) 0 => Lanes::select(Lanes::lt(a, b), a, c);
                le(a, b, c) 0 => Lanes::select(Lanes::le(a, b), a, c);
                eq(a, b, c) 0 => Lanes::select(Lanes::eq(a, b) | Lanes::eq(a, a), a, c);
                mask_and(a, b, c) 0 => Lanes::select(Lanes::lt(a, b) & Lanes::lt(b, c), a, c);
                mask_or(a, b, c) 0 => Lanes::select(Lanes::lt(a, b) | Lanes::lt(b, c), a, c);
                mask_not(a, b, c) 0 => Lanes::select(!Lanes::lt(a, b), a, c);
                bit_and(a, b, _c) 0 => a.bit_and(b);
                bit_or(a, b, _c) 0 => a.bit_or(b);
                bit_xor(a, b, _c) 0 => a.bit_xor(b);
                fraction_to_exponent(a, _b, _c) 0 => a.fraction_to_exponent();
                exponent_to_fraction(a, _b, _c) 0 => a.exponent_to_fraction();
                mantissa(a, _b, _c) 0 => positive!(a).split_exponent().0;
                exponent(a, _b, _c) 0 => positive!(a).split_exponent().1;
                join_exponent(a, _b, _c) 0 => {
                    let (mantissa, exponent) = positive!(a).split_exponent();
                    mantissa.scale_pow2(exponent)
                };
            }

            #[test]
            fn memory_and_reductions() {
                InstructionSet::$set.run(Memory::<$real>(core::marker::PhantomData));
            }

            #[test]
            fn powers_of_two() {
                InstructionSet::$set.run(Powers::<$real>(core::marker::PhantomData));
            }
        }
    };
}

/// Loads, stores, reductions and transposition, in exact integers.
struct Memory<T>(core::marker::PhantomData<T>);

impl<T: Element> Kernel for Memory<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let lanes = T::Lanes::<S>::LANES;
        let source: Vec<T> = (0..lanes).map(|i| T::from_usize((7 * i + 3) % 17)).collect();
        let register = T::Lanes::<S>::load(simd, &source);
        assert_eq!(register.reduce_sum(), source.iter().fold(T::ZERO, |a, &b| a + b));
        // Numbers whose sum depends on the order.
        let four: [Vec<T>; 4] = core::array::from_fn(|which| {
            (0..lanes).map(|lane| T::from_f64((1.7 * (lane + which * lanes) as f64 + 0.3).sin().powi(3))).collect()
        });
        let registers = four.each_ref().map(|numbers| T::Lanes::<S>::load(simd, numbers));
        assert_eq!(T::Lanes::<S>::reduce_sums(registers), registers.map(Lanes::reduce_sum));
        assert_eq!(register.reduce_max(), source.iter().fold(-T::MAX, |a, &b| if a < b { b } else { a }));
        assert_eq!((-register).reduce_max(), -source.iter().fold(T::MAX, |a, &b| if b < a { b } else { a }));
        let smaller = (0..lanes).filter(|&i| source[i] < source[0]).fold(0, |bits, i| bits | 1 << i);
        assert_eq!(register.lt(T::Lanes::<S>::splat(simd, source[0])).bits(), smaller);
        assert_eq!(register.eq(register).bits(), u32::MAX >> (32 - lanes));
        for len in 0..=lanes {
            let partial = T::Lanes::<S>::load_partial(simd, &source[..len]);
            let mut all = std::vec![T::NAN; lanes];
            partial.store(&mut all);
            assert_eq!(all[..len], source[..len]);
            assert!(all[len..].iter().all(|&x| x == T::ZERO));

            let mut target = std::vec![-T::ONE; lanes + 1];
            register.store_partial(&mut target[..len]);
            assert_eq!(target[..len], source[..len]);
            assert!(target[len..].iter().all(|&x| x == -T::ONE));
        }

        let (columns, stride, target_stride) = (T::Lanes::<S>::TRANSPOSE, 21, 19);
        let matrix: Vec<T> = (0..lanes * stride).map(T::from_usize).collect();
        for rows in 1..=lanes {
            let mut transposed = std::vec![-T::ONE; columns * target_stride];
            let (source, target) = (matrix.as_ptr(), transposed.as_mut_ptr());
            // SAFETY: the strides exceed `MAX_LANES`, and both vectors hold that many whole rows.
            unsafe { T::Lanes::<S>::transpose_ptr(simd, source, stride, rows, target, target_stride) };
            for (index, &x) in transposed.iter().enumerate() {
                let (j, i) = (index / target_stride, index % target_stride);
                let expected = if i < lanes { T::from_usize(i.min(rows - 1) * stride + j) } else { -T::ONE };
                assert_eq!(x, expected);
            }
        }
    }
}

/// `scale_pow2` over all exponents, against `powi` in the standard library.
struct Powers<T>(core::marker::PhantomData<T>);

impl<T: Element> Kernel for Powers<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let splat = |x: f64| T::Lanes::<S>::splat(simd, T::from_f64(x));
        let bias = T::EXPONENT_BIAS.to_f64() as i32;
        let smallest = 1 - bias - T::FRACTION_BITS as i32;
        for n in smallest..=bias {
            // Division is exact where `powi` of a negative exponent would overflow on its way.
            let expected = if n < -1000 { f64::powi(2.0, n + 200) * f64::powi(2.0, -200) } else { f64::powi(2.0, n) };
            let actual = splat(1.0).scale_pow2(splat(n.into())).reduce_max();
            assert!(same(actual, T::from_f64(expected)), "2^{n} is {actual}");
        }
        assert_eq!(splat(1.5).scale_pow2(splat((bias + 1).into())).reduce_max(), T::INFINITY);
        assert_eq!(splat(1.5).scale_pow2(splat((smallest - 2).into())).reduce_max(), T::ZERO);
        assert!(splat(f64::NAN).scale_pow2(splat(3.0)).reduce_max().is_nan());
    }
}

/// The suite of every instruction set; [`promised_sets_are_there`] fails when one ran as `Portable` because the CPU lacks it.
macro_rules! suites {
    ($($(#[$cfg:meta])? $f32:ident, $f64:ident: $set:ident;)*) => {$(
        $(#[$cfg])?
        suite!($f32, $set, f32);
        $(#[$cfg])?
        suite!($f64, $set, f64);
    )*};
}

suites! {
    portable_f32, portable_f64: Portable;
    #[cfg(target_arch = "aarch64")]
    neon_f32, neon_f64: Neon;
    #[cfg(target_arch = "x86_64")]
    avx2_f32, avx2_f64: Avx2;
    #[cfg(target_arch = "x86_64")]
    avx512_f32, avx512_f64: Avx512;
}

/// Fails, rather than skips, where `FLATMIN_EXPECT_INSTRUCTION_SETS` (a comma-separated list) names a missing set.
#[test]
fn promised_sets_are_there() {
    for name in std::env::var("FLATMIN_EXPECT_INSTRUCTION_SETS").unwrap_or_default().split(',') {
        if !name.is_empty() {
            let set: InstructionSet = name.parse().expect("a known instruction set");
            assert!(set.is_supported(), "{name} was promised and is not there");
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn detection_agrees_with_the_standard_library() {
    let avx2 = std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
    assert_eq!(InstructionSet::Avx2.is_supported(), avx2);
    assert_eq!(InstructionSet::Avx512.is_supported(), avx2 && std::is_x86_feature_detected!("avx512f"));
}

#[test]
fn names_and_order() {
    for set in InstructionSet::ALL {
        assert_eq!(set.name().parse(), Ok(set));
    }
    assert!("mmx".parse::<InstructionSet>().is_err());
    assert!(InstructionSet::ALL.is_sorted());
    assert!(InstructionSet::Portable.is_supported());
    assert!(InstructionSet::current().is_supported());
}
