//! Softmax and its Jacobian under logits of any kind, against plain formulas in `f64` in which nothing cancels.
#![no_main]

mod input;

use arbitrary::{Result, Unstructured};
use flatmin::{Kernels, Real};
use input::{in_either_type, instruction_set, len, moderate, number, repeated, same};
use libfuzzer_sys::fuzz_target;

fn run<T: Real>(bytes: &mut Unstructured<'_>) -> Result<()> {
    let set = instruction_set(bytes)?;
    let kernels = Kernels::new(set).expect("a supported set");
    let classes = 1 + usize::from(bytes.arbitrary::<u8>()? % 40);
    let rows = usize::from(bytes.arbitrary::<u8>()? % 20);
    let count = len(bytes, rows * classes)?;
    let logits: Vec<T> =
        if bytes.arbitrary()? { repeated(bytes, count, number)? } else { repeated(bytes, count, moderate)? };
    let x: Vec<T> = repeated(bytes, count, moderate)?;
    let (mut p, mut log_sum_exp) = (logits.clone(), vec![T::ONE; rows]);
    if kernels.softmax(classes, &mut p, &mut log_sum_exp).is_err() {
        assert!(count != rows * classes && same(&p, &logits) && log_sum_exp.iter().all(|&sum| sum == T::ONE));
        return Ok(());
    }
    assert_eq!(count, rows * classes);
    let epsilon = T::EPSILON.to_f64();
    let tiny = 4.0 * T::MIN_POSITIVE.to_f64();
    for (row, (z, p)) in logits.chunks_exact(classes).zip(p.chunks_exact(classes)).enumerate() {
        let max = z.iter().fold(f64::NEG_INFINITY, |max, z| max.max(z.to_f64()));
        if z.iter().any(|z| z.is_nan()) || max.is_infinite() {
            assert!(p.iter().all(|p| p.is_nan()) && log_sum_exp[row].is_nan(), "{set} {z:?}: {p:?}");
            continue;
        }
        let exponentials: Vec<f64> = z.iter().map(|z| (z.to_f64() - max).exp()).collect();
        // Without one of the largest, which is 1: its logarithm has all digits.
        let largest = exponentials.iter().position(|&e| e == 1.0).expect("a largest logit");
        let rest: f64 = exponentials.iter().enumerate().filter(|&(k, _)| k != largest).map(|(_, e)| e).sum();
        let (sum, log) = (1.0 + rest, rest.ln_1p());
        for k in 0..classes {
            let (want, distance) = (exponentials[k] / sum, max - z[k].to_f64());
            let relative = (10.0 + 2.0 * (classes as f64).sqrt() + 2.0 * distance) * 2.0 * epsilon;
            // Where the exponential underflows the distance may be infinite.
            let allowed = if want > 0.0 { relative * want } else { 0.0 } + tiny;
            assert!((p[k].to_f64() - want).abs() <= allowed, "{set} {z:?}: {} given, {want} expected", p[k]);
        }
        let want = max + log;
        let allowed = 2.0 * (4.0 + classes as f64) * epsilon * (max.abs() + log);
        assert!((log_sum_exp[row].to_f64() - want).abs() <= allowed + tiny, "{set} {z:?}: {}", log_sum_exp[row]);
    }

    let mut product = x.clone();
    kernels.softmax_jacobian_product(classes, &p, &mut product).expect("whole rows");
    for ((p, x), product) in p.chunks_exact(classes).zip(x.chunks_exact(classes)).zip(product.chunks_exact(classes)) {
        if p[0].is_nan() {
            assert!(product.iter().all(|value| value.is_nan()), "{set} {p:?}: {product:?}");
            continue;
        }
        let most = (0..classes).fold(0, |best, k| if p[k] > p[best] { k } else { best });
        let shifted: Vec<f64> = x.iter().map(|y| y.to_f64() - x[most].to_f64()).collect();
        let mean: f64 = shifted.iter().zip(p).map(|(x, p)| x * p.to_f64()).sum();
        let magnitude: f64 = shifted.iter().zip(p).map(|(x, p)| x.abs() * p.to_f64()).sum();
        for k in 0..classes {
            let p = p[k].to_f64();
            // The differences are rounded too.
            let factor = 2.0 * (8.0 + 2.0 * classes as f64) * epsilon;
            let (want, allowed) = (p * (shifted[k] - mean), factor * p * (shifted[k].abs() + magnitude));
            let underflow = tiny * (2.0 + magnitude + shifted[k].abs());
            let error = (product[k].to_f64() - want).abs();
            assert!(error <= allowed + underflow, "{set}: {} given, {want} expected", product[k]);
        }
    }
    Ok(())
}

fuzz_target!(|bytes: &[u8]| in_either_type(bytes, run::<f64>, run::<f32>));
