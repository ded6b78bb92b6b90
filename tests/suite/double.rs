//! The reference arithmetic of the accuracy report against 256-bit arithmetic.

use crate::common::double::Double;
use crate::common::number::Number;
use crate::multiprecision::{Exact, Multiprecision};
use flatmin::Activation;

fn close(what: &str, x: f64, given: Double, want: Exact) {
    let error = ((given.high - want.high) + (given.low - want.low)).abs();
    assert!(error <= 1e-26 * want.high.abs(), "{what} at {x:e}: {given:?} given, {want:?} expected, error {error:e}");
}

#[test]
fn functions_have_26_digits() {
    let mut exact = Multiprecision::new();
    for i in 0..400 {
        let x = 0.05 * f64::from(i - 200) + 1.3e-3 * f64::from(i * i % 17);
        let number = Double::constant(x);
        close("exp", x, number.exp(), exact.exp(x));
        if x > 0.0 && x != 1.0 {
            close("ln", x, number.ln(), exact.ln(x));
        }
        let [(tanh, _), ..] = exact.evaluate(Activation::Tanh, x);
        close("tanh", x, number.tanh(), tanh);
        let [(softplus, _), ..] = exact.evaluate(Activation::Softplus, 4.0 * x);
        close("ln(1 + e⁴ˣ)", x, Double::constant(4.0 * x).exp().ln_1p(), softplus);
        // Where Φ is the complement of nearly ½, fewer.
        if x > -3.0 {
            let [(gelu, _), ..] = exact.evaluate(Activation::Gelu, x);
            close("u Φ(u)", x, number * number.normal(), gelu);
        }
        close("square of the root", x, (number * number).sqrt() * (number * number).sqrt(), {
            let square = number * number;
            Exact { high: square.high, low: square.low }
        });
    }
    let third = Double::constant(3.0).recip();
    close("3 · ⅓", 3.0, third * Double::constant(3.0), Exact::from(1.0));
}
