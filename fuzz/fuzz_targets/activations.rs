//! Activations and their derivatives over raw bit patterns: `f32` against `f64`, `f64` against 256-bit arithmetic, within the limits of
//! the unit tests; all three kernels agree to the bit.
#![no_main]

mod input;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../src/kernels/elementwise/tests/reference.rs"]
mod reference;

use arbitrary::{Result, Unstructured};
use flatmin::Kernels;
use flatmin::{Activation, Real};
use input::{instruction_set, same};
use libfuzzer_sys::fuzz_target;
use reference::{Exact, Multiprecision, Value, double, error, limits, ulp};

/// Beyond this all functions are constant, linear or zero.
const FAR: f64 = 1e4;

fn values<T: Real>(kind: Activation, u: T, multiprecision: Option<&mut Multiprecision>) -> [Value; 4] {
    match multiprecision {
        None => double(kind, u.to_f64()),
        Some(multiprecision) => multiprecision.evaluate(kind, u.to_f64()),
    }
}

fn run<T: Real>(bytes: &mut Unstructured<'_>, mut multiprecision: Option<&mut Multiprecision>) -> Result<()> {
    let set = instruction_set(bytes)?;
    let kernels = Kernels::new(set).expect("a supported set");
    let kind = *bytes.choose(&Activation::ALL)?;
    let most = if multiprecision.is_some() { 3 } else { 37 };
    let mut u = Vec::new();
    while u.len() < most && !bytes.is_empty() {
        u.push(match (multiprecision.is_some(), bytes.arbitrary::<u8>()? % 4) {
            // Within ±16, where there is something to see; else any bits.
            (_, 0) => T::from_f64(f64::from(bytes.arbitrary::<i32>()?) / 2f64.powi(27)),
            (false, _) => T::from_f64(f64::from(f32::from_bits(bytes.arbitrary()?))),
            (true, _) => T::from_f64(f64::from_bits(bytes.arbitrary()?)),
        });
    }
    let nan = vec![T::NAN; u.len()];
    let (mut h, mut f, mut e, mut t) = (u.clone(), nan.clone(), nan.clone(), nan.clone());
    kernels.activation_with_derivatives(kind, &mut h, &mut f, &mut e, &mut t).expect("one length");
    let (mut h_1, mut f_1, mut h_0) = (u.clone(), nan, u.clone());
    kernels.activation_with_slope(kind, &mut h_1, &mut f_1).expect("one length");
    kernels.activation(kind, &mut h_0);
    let (mut exponentials, mut logarithms) = (u.clone(), u.clone());
    kernels.exp(&mut exponentials);
    kernels.ln(&mut logarithms);
    for i in 0..u.len() {
        let agree = |x: T, y: T| same(&[x], &[y]) || (x.is_nan() && y.is_nan());
        assert!(agree(h[i], h_0[i]) && agree(h[i], h_1[i]) && agree(f[i], f_1[i]), "{set} {kind} at {}", u[i]);
        let (x, got) = (u[i].to_f64(), [h[i], f[i], e[i], t[i]]);
        if x.is_nan() {
            assert!(h[i].is_nan() && exponentials[i].is_nan() && logarithms[i].is_nan());
            assert!(kind == Activation::Identity || got.iter().all(|value| value.is_nan()), "{set} {kind}: {got:?}");
            continue;
        }
        assert!(!got.iter().any(|value| value.is_nan()), "{set} {kind} at {x:e}: {got:?}");
        assert!(exponentials[i] >= T::ZERO && logarithms[i].is_nan() == (x < 0.0), "{set} at {x:e}");
        if x.abs() > FAR {
            let constant = if kind == Activation::Identity { [T::ONE, T::ZERO] } else { [T::ZERO; 2] };
            assert!(x > 0.0 || kind == Activation::Tanh || got[1..3] == constant, "{set} {kind} at {x:e}: {got:?}");
            assert!(got[2..] == [T::ZERO; 2], "{set} {kind} at {x:e}: {got:?}");
            continue;
        }
        let want = values(kind, u[i], multiprecision.as_deref_mut());
        for (order, ((got, want), limit)) in got.into_iter().zip(want).zip(limits(kind)).enumerate() {
            // The unit tests see a sample of all numbers; here anything may come.
            let (error, limit) = (error(x, got, want), limit + 0.25);
            assert!(error <= limit, "{set} {kind}, derivative {order} at {x:e}: {error} ulp, limit {limit}");
        }
        let [wide_exp, wide_ln] = match multiprecision.as_deref_mut() {
            None => [x.exp().into(), x.ln().into()],
            // The logarithm's domain, and exponentials that are normal numbers.
            Some(reference) if x > 0.0 && x < 700.0 => [reference.exp(x), reference.ln(x)],
            Some(_) => continue,
        };
        let close = |got: T, want: Exact| want.distance(got) <= 1.5 * ulp::<T>(want.high);
        assert!(wide_exp.high >= T::MAX.to_f64() || close(exponentials[i], wide_exp), "{set}: exp {x:e}");
        assert!(x <= 0.0 || close(logarithms[i], wide_ln), "{set}: ln {x:e}");
    }
    Ok(())
}

thread_local! {
    static MULTIPRECISION: std::cell::RefCell<Multiprecision> = std::cell::RefCell::new(Multiprecision::new());
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Unstructured::new(bytes);
    // 256-bit arithmetic takes its time.
    let _ = match bytes.arbitrary::<u8>() {
        Ok(0..16) => MULTIPRECISION.with_borrow_mut(|reference| run::<f64>(&mut bytes, Some(reference))),
        _ => run::<f32>(&mut bytes, None),
    };
});
