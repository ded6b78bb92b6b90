//! The four bounds, both traces and H·v against the dense Hessian's own eigenvalues and entries, in both types and every way; and the
//! bounds of any symmetric matrix against its eigenvalues.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../examples/common/eigenvalues.rs"]
mod eigenvalues;
mod input;
#[path = "input/problem.rs"]
mod problem;

use arbitrary::{Arbitrary, Unstructured};
use common::problem::{Problem, Way};
use common::reference::roundings;
use flatmin::{Bounds, Real};
use libfuzzer_sys::fuzz_target;
use nalgebra::DMatrix;
use problem::Input;

/// λ_min and λ_max.
fn extremes(size: usize, matrix: Vec<f64>) -> (f64, f64) {
    let eigenvalues = eigenvalues::ascending(DMatrix::from_vec(size, size, matrix));
    (eigenvalues[0], eigenvalues[size - 1])
}

/// The bounds hold, but for an error of both traces of `relative` times the squared norm: it moves s² by as much over P.
fn enclosed(what: &str, bounds: Bounds, (least, most): (f64, f64), size: usize, norm: f64, relative: f64) {
    let allowed = norm * ((2.0 * relative).sqrt() * 2.0 + relative * size as f64) + f64::MIN_POSITIVE.sqrt();
    assert!(most <= bounds.lambda_max_upper + allowed, "{what}: {most} above {bounds:?}");
    assert!(most >= bounds.lambda_max_lower - allowed, "{what}: {most} below {bounds:?}");
    assert!(least <= bounds.lambda_min_upper + allowed, "{what}: {least} above {bounds:?}");
    assert!(least >= bounds.lambda_min_lower - allowed, "{what}: {least} below {bounds:?}");
}

fn hessian<T: Real>(problem: &Problem, direction: &[f64]) {
    let problem = &problem.clone().rounded::<T>();
    let size = problem.shape().parameters();
    let instance = problem.instance::<T>();
    let dense = instance.hessian();
    let wide: Vec<f64> = problem.instance::<f64>().hessian();
    let relative = roundings(problem) * T::EPSILON.to_f64();
    let norm = wide.iter().map(|entry| entry * entry).sum::<f64>().sqrt();
    // The Hessian's entries have terms larger than themselves: by no more than this, for numbers up to 4 and up to 6 samples.
    let scale = instance.theta.iter().chain(&instance.inputs).fold(1.0f64, |most, x| most.max(x.to_f64().abs()));
    let terms = norm + size as f64 * scale.powi(6);
    for i in 0..size {
        for j in 0..i {
            assert!(dense[i * size + j].to_f64() == dense[j * size + i].to_f64(), "entry ({i}, {j}) is not symmetric");
        }
    }
    let product = instance.product(&direction.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>());
    for (i, (row, product)) in wide.chunks_exact(size).zip(product).enumerate() {
        let want: f64 = row.iter().zip(direction).map(|(h, v)| h * v).sum();
        let allowed = relative * terms * direction.iter().fold(1.0f64, |most, x| most.max(x.abs())) * size as f64;
        assert!((product.to_f64() - want).abs() <= allowed, "(H·v)[{i}]: {product} given, {want} expected");
    }
    let extremes = extremes(size, wide.clone());
    for way in Way::ALL {
        let found = problem.instance::<T>().by(way).curvature();
        let trace: f64 = (0..size).map(|i| wide[i * size + i]).sum();
        let allowed = relative * terms * size as f64;
        assert!((found.traces.trace() - trace).abs() <= allowed, "{way}: tr H {}, {trace}", found.traces.trace());
        let square = found.traces.trace_of_square();
        assert!((square - norm * norm).abs() <= relative * terms * terms, "{way}: tr H² {square}, {}", norm * norm);
        enclosed(&way.to_string(), found.bounds, extremes, size, terms, relative);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Unstructured::new(bytes);
    if let Ok(true) = bytes.arbitrary::<bool>() {
        let Ok(Input { problem, direction }) = Input::arbitrary(&mut bytes) else { return };
        hessian::<f64>(&problem, &direction);
        hessian::<f32>(&problem, &direction);
        return;
    }
    // Any symmetric matrix.
    let Ok(size) = bytes.int_in_range(2..=9usize) else { return };
    let mut matrix = vec![0.0; size * size];
    for i in 0..size {
        for j in 0..=i {
            let Ok(entry) = input::moderate(&mut bytes) else { return };
            (matrix[i * size + j], matrix[j * size + i]) = (entry, entry);
        }
    }
    let trace: f64 = (0..size).map(|i| matrix[i * size + i]).sum();
    let square: f64 = matrix.iter().map(|entry| entry * entry).sum();
    let bounds = Bounds::new(trace, square, size);
    let relative = 8.0 * (size * size) as f64 * f64::EPSILON;
    enclosed("a matrix", bounds, extremes(size, matrix), size, square.sqrt(), relative);
});
