//! Accuracy, special values and symmetries of the activations, exp and ln.
//!
//! `f32` is swept over the bit patterns, every 4001st; `f64` is compared with 256-bit arithmetic at random points. With
//! `FLATMIN_SWEEP=1` in the environment the sweep takes every `f32` of magnitude 2⁻²⁴ to 128 (beyond, all functions are
//! linear or constant to rounding), and there are a hundred times the random points. `--nocapture` shows the errors.

use std::vec::Vec;
use std::{format, println, vec};

use super::reference::{Exact, Multiprecision, Value, double, error, limits, ulp};
use super::{Random, for_both_types, instruction_sets};
use crate::activation::Activation;
use crate::kernels::elementwise::{
    activate, activate_with_derivatives, activate_with_slope, exponentials, higher_derivatives, higher_read_input,
    logarithms,
};
use crate::real::Real;
use crate::simd::InstructionSet;

/// `[h, f, e, t]` by the kernel with all derivatives.
fn derivatives<T: Real>(isa: InstructionSet, activation: Activation, u: &[T]) -> [Vec<T>; 4] {
    let mut columns = [u.to_vec(), vec![T::NAN; u.len()], vec![T::NAN; u.len()], vec![T::NAN; u.len()]];
    let [h, f, e, t] = &mut columns;
    activate_with_derivatives(isa, activation, h, f, e, t);
    columns
}

/// The same by two kernels, the second of which takes h and f from the first, and u only if it asks for it.
fn derivatives_in_two_steps<T: Real>(isa: InstructionSet, activation: Activation, u: &[T]) -> [Vec<T>; 4] {
    let nan = || vec![T::NAN; u.len()];
    let (mut h, mut f, mut t) = (u.to_vec(), nan(), nan());
    activate_with_slope(isa, activation, &mut h, &mut f);
    let mut e = if higher_read_input(activation) { u.to_vec() } else { nan() };
    higher_derivatives(isa, activation, &h, &f, &mut e, &mut t);
    [h, f, e, t]
}

/// The ways to all derivatives, each with its limits and the magnitudes that its errors are relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    AtOnce,
    InTwoSteps,
}

impl Way {
    const ALL: [Self; 2] = [Self::AtOnce, Self::InTwoSteps];

    fn derivatives<T: Real>(self, isa: InstructionSet, activation: Activation, u: &[T]) -> [Vec<T>; 4] {
        match self {
            Self::AtOnce => derivatives(isa, activation, u),
            Self::InTwoSteps => derivatives_in_two_steps(isa, activation, u),
        }
    }

    /// From h and f, their errors count as well.
    fn limits(self, activation: Activation) -> [f64; 4] {
        match (self, activation) {
            (Self::InTwoSteps, Activation::Tanh | Activation::Sigmoid) => {
                let [h, f, ..] = limits(activation);
                [h, f, 2.5, 2.0]
            }
            _ => limits(activation),
        }
    }

    /// From h and f, σ'' is f − 2hf: its error is relative to the sum of both.
    fn value(self, activation: Activation, mut value: [Value; 4]) -> [Value; 4] {
        if (self, activation) == (Self::InTwoSteps, Activation::Sigmoid) {
            let [(h, _), (f, _), ..] = value;
            value[2].1 = f.high + 2.0 * h.high * f.high;
        }
        value
    }
}

/// The largest error of each column, and where; in units in the last place.
struct Worst([(f64, f64); 4]);

impl Worst {
    fn update<T: Real>(&mut self, u: f64, got: [T; 4], want: [Value; 4]) {
        for ((worst, got), want) in self.0.iter_mut().zip(got).zip(want) {
            let error = error(u, got, want);
            // NaN counts as worst.
            if error.is_nan() || error > worst.0 {
                *worst = (error, u);
            }
        }
    }

    fn check(&self, limits: [f64; 4], what: &str) {
        println!("{what}: {}", self.0.map(|(error, u)| format!("{error:.2} at {u:e}")).join(", "));
        for ((error, u), limit) in self.0.iter().zip(limits) {
            assert!(*error <= limit, "{what}: {error} ulp at {u:e}, limit {limit}");
        }
    }
}

#[test]
fn f32_sweep() {
    let every = std::env::var_os("FLATMIN_SWEEP").is_some();
    let swept = |bits: &u32| {
        let u = f32::from_bits(*bits);
        u.is_finite() && (bits.is_multiple_of(4001) || every && (2_f32.powi(-24)..128.0).contains(&u.abs()))
    };
    for activation in Activation::ALL {
        let ways = || instruction_sets().flat_map(|isa| Way::ALL.map(|way| (isa, way)));
        let mut worst: Vec<_> = ways().map(|way| (way, Worst([(0.0, 0.0); 4]))).collect();
        let step = if every { 1 } else { 4001 };
        let mut patterns = (0..=u32::MAX).step_by(step).filter(swept).map(f32::from_bits).peekable();
        while patterns.peek().is_some() {
            let u: Vec<f32> = patterns.by_ref().take(4096).collect();
            let want: Vec<_> = u.iter().map(|&u| double(activation, f64::from(u))).collect();
            for ((isa, way), worst) in &mut worst {
                let got = way.derivatives(*isa, activation, &u);
                for (i, (&u, &want)) in u.iter().zip(&want).enumerate() {
                    let want = way.value(activation, want);
                    worst.update(f64::from(u), got.each_ref().map(|column| column[i]), want);
                }
            }
        }
        for ((isa, way), worst) in worst {
            worst.check(way.limits(activation), &format!("f32 {isa:?} {activation} {way:?}"));
        }
    }
}

#[test]
fn f64_against_multiprecision() {
    let mut random = Random(1);
    let points = if std::env::var_os("FLATMIN_SWEEP").is_some() { 200_000 } else { 2000 };
    let mut u: Vec<f64> = vec![0.0, -0.0, 1e-300, -5e-324, 40.0, -40.0, 700.0, -700.0, 2.0, -2.0];
    for _ in 0..points {
        u.push(random.within(-1.0, 1.0) * 2_f64.powf(random.within(-40.0, 9.5)));
        u.push(random.within(-10.0, 10.0));
        // Where the range reduction changes its integer, also for twice and for half the square of u.
        let edge =
            (random.within(0.0, 50.0).floor() + 0.5) * core::f64::consts::LN_2 * (1.0 + random.within(-1e-9, 1e-9));
        u.extend([edge, -edge, 0.5 * edge, -0.5 * edge, (2.0 * edge).sqrt(), -(2.0 * edge).sqrt()]);
    }
    let mut multiprecision = Multiprecision::new();
    for activation in Activation::ALL {
        let want: Vec<_> = u.iter().map(|&u| multiprecision.evaluate(activation, u)).collect();
        for (isa, way) in instruction_sets().flat_map(|isa| Way::ALL.map(|way| (isa, way))) {
            let mut worst = Worst([(0.0, 0.0); 4]);
            let got = way.derivatives(isa, activation, &u);
            for (i, (&u, &want)) in u.iter().zip(&want).enumerate() {
                let want = way.value(activation, want);
                worst.update(u, got.each_ref().map(|column| column[i]), want);
            }
            worst.check(way.limits(activation), &format!("f64 {isa:?} {activation} {way:?}"));
        }
    }
}

/// `eˣ`
fn exp<T: Real>(isa: InstructionSet, x: T) -> T {
    let mut x = [x];
    exponentials(isa, &mut x);
    x[0]
}

/// `ln x`
fn ln<T: Real>(isa: InstructionSet, x: T) -> T {
    let mut x = [x];
    logarithms(isa, &mut x);
    x[0]
}

/// exp and ln of `f32` against `f64`, and of `f64` against 256-bit arithmetic.
#[test]
fn exp_and_ln() {
    for isa in instruction_sets() {
        let mut worst = [(0.0_f64, 0.0_f64); 4];
        let mut update = |function: usize, x: f64, error: f64| {
            if error.is_nan() || error > worst[function].0 {
                worst[function] = (error, x);
            }
        };
        for bits in (0..=u32::MAX).step_by(20_011) {
            let x = f32::from_bits(bits);
            let wide = f64::from(x);
            let (want_exp, want_ln) = (Exact::from(wide.exp()), Exact::from(wide.ln()));
            if want_exp.high < f64::from(f32::MAX) {
                update(0, wide, want_exp.distance(exp(isa, x)) / ulp::<f32>(want_exp.high));
            } else if !x.is_nan() {
                assert_eq!(exp(isa, x), f32::INFINITY);
            }
            if x > 0.0 && x.is_finite() {
                update(1, wide, want_ln.distance(ln(isa, x)) / ulp::<f32>(want_ln.high));
            }
        }
        let mut random = Random(2);
        let mut multiprecision = Multiprecision::new();
        for _ in 0..2000 {
            let x = random.within(-745.0, 709.7);
            let y = 2_f64.powf(random.within(-1074.0, 1023.9));
            let near_one = 1.0 + random.within(-0.5, 0.5) * 2_f64.powf(random.within(-30.0, 0.0));
            let want = multiprecision.exp(x);
            update(2, x, want.distance(exp(isa, x)) / ulp::<f64>(want.high));
            for y in [y, near_one] {
                let want = multiprecision.ln(y);
                update(3, y, want.distance(ln(isa, y)) / ulp::<f64>(want.high));
            }
        }
        for ((error, x), function) in worst.into_iter().zip(["exp f32", "ln f32", "exp f64", "ln f64"]) {
            println!("{isa:?} {function}: {error:.2} at {x:e}");
            assert!(error <= 1.5, "{isa:?} {function}: {error} ulp at {x:e}");
        }
    }
}

for_both_types! {
    special_values,
    exp_and_ln_special_values,
    symmetries_and_ranges,
    kernels_agree_at_every_length,
    one_lane_is_the_portable_code,
}

fn special_values<T: Real>() {
    let [zero, one, infinity] = [T::ZERO, T::ONE, T::INFINITY];
    let tiny = T::from_f64(T::MIN_POSITIVE.to_f64() / 4.0);
    for isa in instruction_sets() {
        let all = |activation, u| derivatives(isa, activation, &[u]).map(|column| column[0]);
        for (activation, way) in
            Activation::ALL.into_iter().flat_map(|activation| Way::ALL.map(|way| (activation, way)))
        {
            let all = |activation, u| way.derivatives(isa, activation, &[u]).map(|column| column[0]);
            let [h, f, e, t] = all(activation, T::NAN);
            assert!(h.is_nan());
            assert!(
                activation == Activation::Identity || (f.is_nan() && e.is_nan() && t.is_nan()),
                "{isa:?} {activation}"
            );
            // In the limit all are constant or linear.
            for u in [infinity, T::MAX, T::from_f64(1e4), -T::from_f64(1e4), -T::MAX, -infinity] {
                let [h, f, e, t] = all(activation, u);
                let (low, high) = match activation {
                    Activation::Tanh => (-one, one),
                    Activation::Sigmoid => (zero, one),
                    Activation::Identity => (u, u),
                    _ => (zero, u),
                };
                let slope = match activation {
                    Activation::Tanh | Activation::Sigmoid => zero,
                    Activation::Identity => one,
                    _ => {
                        if u > zero {
                            one
                        } else {
                            zero
                        }
                    }
                };
                assert_eq!(
                    [h, f, e, t],
                    [if u > zero { high } else { low }, slope, zero, zero],
                    "{isa:?} {activation} {way:?} {u}"
                );
            }
        }
        // Odd functions keep the sign of zero and the digits of subnormal numbers.
        for activation in [Activation::Tanh, Activation::Identity] {
            for u in [zero, -zero, tiny, -tiny] {
                let h = all(activation, u)[0];
                assert_eq!(h, u);
                assert_eq!(one / h, one / u);
            }
        }
        for activation in [Activation::Gelu, Activation::Silu] {
            for u in [zero, -zero] {
                assert_eq!(one / all(activation, u)[0], one / u);
            }
        }
        for way in Way::ALL {
            let all = |activation, u| way.derivatives(isa, activation, &[u]).map(|column| column[0]);
            assert_eq!(all(Activation::Tanh, zero)[1..], [one, zero, -T::TWO]);
            assert_eq!(all(Activation::Sigmoid, zero)[..3], [T::HALF, T::from_f64(0.25), zero]);
        }
        assert_eq!(all(Activation::Silu, zero)[1..3], [T::HALF, T::HALF]);
    }
}

fn exp_and_ln_special_values<T: Real>() {
    let [zero, one, infinity] = [T::ZERO, T::ONE, T::INFINITY];
    for isa in instruction_sets() {
        let (exp, ln) = (|x| exp(isa, x), |x| ln(isa, x));
        assert_eq!([exp(zero), exp(-zero), exp(infinity), exp(-infinity)], [one, one, infinity, zero]);
        assert_eq!([exp(T::MAX), exp(-T::MAX)], [infinity, zero]);
        assert_eq!([ln(one), ln(infinity), ln(zero), ln(-zero)], [zero, infinity, -infinity, -infinity]);
        assert!(exp(T::NAN).is_nan() && ln(T::NAN).is_nan() && ln(-one).is_nan() && ln(-infinity).is_nan());
    }
}

fn symmetries_and_ranges<T: Real>() {
    let mut random = Random(3);
    let u: Vec<T> =
        (0..10_000).map(|_| T::from_f64(random.within(0.0, 1.0) * 2_f64.powf(random.within(-30.0, 7.0)))).collect();
    let minus: Vec<T> = u.iter().map(|&u| -u).collect();
    for isa in instruction_sets() {
        let even_or_odd = |activation, signs: [Option<T>; 4]| {
            let (plus, minus) = (derivatives(isa, activation, &u), derivatives(isa, activation, &minus));
            for ((plus, minus), sign) in plus.iter().zip(&minus).zip(signs) {
                let Some(sign) = sign else { continue };
                assert!(plus.iter().zip(minus).all(|(&plus, &minus)| plus == sign * minus), "{isa:?} {activation}");
            }
            plus
        };
        let (even, odd) = (Some(T::ONE), Some(-T::ONE));
        let [h, f, ..] = even_or_odd(Activation::Tanh, [odd, even, odd, even]);
        assert!(h.iter().chain(&f).all(|&x| T::ZERO <= x && x <= T::ONE));
        let [h, f, ..] = even_or_odd(Activation::Sigmoid, [None, even, odd, even]);
        assert!(h.iter().all(|&h| T::HALF <= h && h <= T::ONE));
        assert!(f.iter().all(|&f| T::ZERO <= f && f <= T::from_f64(0.25)));
        even_or_odd(Activation::Softplus, [None, None, even, odd]);
        even_or_odd(Activation::Gelu, [None, None, even, odd]);
        even_or_odd(Activation::Silu, [None, None, even, odd]);
    }
}

/// A value does not depend on its place, on the length of the slice, or on how many derivatives are asked for, nor on when, if the higher
/// ones are computed from u; nothing is written beyond the end.
fn kernels_agree_at_every_length<T: Real>() {
    let u: Vec<T> = Random(4).vec(70, -6.0, 6.0);
    for isa in instruction_sets() {
        for activation in Activation::ALL {
            let want = derivatives(isa, activation, &u);
            let later = derivatives_in_two_steps(isa, activation, &u);
            assert!(later == want || !higher_read_input(activation), "{isa:?} {activation}");
            for start in 0..3 {
                for len in 0..=(u.len() - start) {
                    let range = start..start + len;
                    let [mut h1, mut h2, mut h3] = [u.clone(), u.clone(), u.clone()];
                    let nan = || vec![T::NAN; u.len()];
                    let [mut f2, mut f3, mut e, mut t] = [nan(), nan(), nan(), nan()];
                    activate(isa, activation, &mut h1[range.clone()]);
                    activate_with_slope(isa, activation, &mut h2[range.clone()], &mut f2[range.clone()]);
                    let [h, f] = [&mut h3[range.clone()], &mut f3[range.clone()]];
                    activate_with_derivatives(isa, activation, h, f, &mut e[range.clone()], &mut t[range.clone()]);
                    let (mut u_to_e, mut t4) = (u.clone(), nan());
                    let [h, f] = [&h2[range.clone()], &f2[range.clone()]];
                    let [e4, t4_inside] = [&mut u_to_e[range.clone()], &mut t4[range.clone()]];
                    higher_derivatives(isa, activation, h, f, e4, t4_inside);
                    for i in 0..u.len() {
                        let inside = range.contains(&i);
                        for h in [&h1, &h2, &h3] {
                            assert_eq!(h[i], if inside { want[0][i] } else { u[i] }, "{isa:?} {activation} {range:?}");
                        }
                        assert_eq!(
                            u_to_e[i],
                            if inside { later[2][i] } else { u[i] },
                            "{isa:?} {activation} {range:?}"
                        );
                        let columns =
                            [(&f2, &want[1]), (&f3, &want[1]), (&e, &want[2]), (&t, &want[3]), (&t4, &later[3])];
                        for (got, want) in columns {
                            assert!(
                                if inside { got[i] == want[i] } else { got[i].is_nan() },
                                "{isa:?} {activation} {range:?}"
                            );
                        }
                    }
                }
            }
        }
    }
}

/// The scalar functions are the one-lane instance of the portable code: the same bits, where neither has fused multiply–add.
fn one_lane_is_the_portable_code<T: Real>() {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
        return;
    }
    let u: Vec<T> = Random(5).vec(1000, -20.0, 20.0);
    for activation in Activation::ALL {
        let got = derivatives(InstructionSet::Portable, activation, &u);
        for (i, &u) in u.iter().enumerate() {
            assert_eq!(activation.evaluate(u), got.each_ref().map(|column| column[i]));
            assert_eq!(activation.value(u), got[0][i]);
        }
    }
}

#[test]
fn names() {
    for activation in Activation::ALL {
        assert_eq!(format!("{activation}").parse(), Ok(activation));
    }
    assert!("relu".parse::<Activation>().is_err());
}
