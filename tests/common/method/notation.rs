//! The notation of the formulas: sums, vectors and matrices by index; and the activations.
#![allow(non_snake_case, reason = "as in the formulas")]

use flatmin::Activation;

pub type Vector = Vec<f64>;
pub type Matrix = Vec<Vector>;

pub fn sum(count: usize, term: impl Fn(usize) -> f64) -> f64 {
    (0..count).map(term).sum()
}

pub fn vector(len: usize, entry: impl Fn(usize) -> f64) -> Vector {
    (0..len).map(entry).collect()
}

pub fn matrix(rows: usize, columns: usize, entry: impl Fn(usize, usize) -> f64) -> Matrix {
    (0..rows).map(|i| vector(columns, |j| entry(i, j))).collect()
}

pub fn dot(x: &Vector, y: &Vector) -> f64 {
    sum(x.len(), |i| x[i] * y[i])
}

pub fn inner(X: &Matrix, Y: &Matrix) -> f64 {
    sum(X.len(), |i| dot(&X[i], &Y[i]))
}

pub fn tr(X: &Matrix) -> f64 {
    sum(X.len(), |i| X[i][i])
}

pub fn delta(i: usize, j: usize) -> f64 {
    if i == j { 1.0 } else { 0.0 }
}

/// φ(u), φ'(u), φ''(u), φ'''(u).
pub fn activation(kind: Activation, u: f64) -> [f64; 4] {
    let sigmoid = |u: f64| 1.0 / (1.0 + (-u).exp());
    let (s, s1) = (sigmoid(u), sigmoid(u) * sigmoid(-u));
    let (s2, s3) = (s1 * (sigmoid(-u) - s), s1 * (1.0 - 6.0 * s1));
    let density = (-u * u / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let normal = libm::erfc(-u / std::f64::consts::SQRT_2) / 2.0;
    match kind {
        Activation::Tanh => {
            let (h, f) = (u.tanh(), 1.0 - u.tanh() * u.tanh());
            [h, f, -2.0 * h * f, -2.0 * f * (f - 2.0 * h * h)]
        }
        Activation::Sigmoid => [s, s1, s2, s3],
        Activation::Softplus => [u.max(0.0) + (-u.abs()).exp().ln_1p(), s, s1, s2],
        Activation::Gelu => [u * normal, normal + u * density, (2.0 - u * u) * density, u * (u * u - 4.0) * density],
        Activation::Silu => [u * s, s + u * s1, 2.0 * s1 + u * s2, 3.0 * s2 + u * s3],
        Activation::Identity => [u, 1.0, 0.0, 0.0],
        // One that the library has got since: its formulas are to be added here.
        other => unimplemented!("the derivatives of {other}"),
    }
}
