//! All contenders compute the same.

use flatmin_kernel_benches::functions::{self, Slices, Way};
use flatmin_kernel_benches::multipliers::{Multiplier, Number, Operands};
use flatmin_kernel_benches::products;

/// Largest difference of two slices.
fn difference<T: flatmin::Real>(x: &[T], y: &[T]) -> f64 {
    assert_eq!(x.len(), y.len());
    x.iter().zip(y).map(|(x, y)| (x.to_f64() - y.to_f64()).abs()).fold(0.0, f64::max)
}

fn multiply<T: Number>() {
    for product in products::all().into_iter().filter(|product| product.flops() < 1e8) {
        let mut operands = Operands::<T>::new(product);
        operands.run(Multiplier::Flatmin);
        let c = operands.c.clone();
        assert!(c.iter().any(|&c| c != T::ZERO));
        for multiplier in Multiplier::BUILT {
            operands.c.fill(T::NAN);
            operands.run(multiplier);
            let difference = difference(&operands.c, &c);
            let bound = 4.0 * product.k as f64 * T::EPSILON.to_f64();
            assert!(difference <= bound, "{} on {product}: {difference:e}", multiplier.name());
        }
    }
}

#[test]
fn products_agree() {
    multiply::<f32>();
    multiply::<f64>();
}

fn compute<T: functions::Number>() {
    for function in functions::all() {
        let mut slices = Slices::<T>::new(function);
        slices.run(function, Way::Flatmin);
        let ours = slices.results().to_vec();
        for way in [Way::Libm, Way::Wide] {
            let mut slices = Slices::<T>::new(function);
            if slices.run(function, way) {
                // Arguments go to 8, exponentials to 3000, and libm's derivatives lose bits by cancellation.
                let scale = if function == functions::Function::Exp { 3000.0 } else { 64.0 };
                let difference = difference(slices.results(), &ours);
                assert!(
                    difference <= 16.0 * scale * T::EPSILON.to_f64(),
                    "{function} by {}: {difference:e}",
                    way.name()
                );
            }
        }
    }
}

#[test]
fn functions_agree() {
    compute::<f32>();
    compute::<f64>();
}
