//! The method of docs/method.md, written as its formulas are: the bound Λ on the eigenvalues of the Hessian, and the gradient of L + ρΛ.
//!
//! To be read, and to be compared with. Every name is a symbol of the page, in plain `f64`; `sum(K, |k| …)` is Σ_k. Nothing is saved:
//! neither time, nor memory, nor digits. The page quotes it, and `tests/suite/method.rs` compares the quotations, and the crate.
#![allow(non_snake_case, reason = "the names are the page's symbols")]
#![allow(clippy::needless_range_loop, reason = "the indices are the page's too")]

mod notation;
pub mod sampled;

use flatmin::Activation;
pub use notation::{Matrix, Vector, activation};
use notation::{delta, dot, inner, matrix, sum, tr, vector};

/// θ = [W | b | V | c], or the derivative with respect to it.
pub struct Theta {
    pub W: Matrix,
    pub b: Vector,
    pub V: Matrix,
    pub c: Vector,
}

pub fn cut(theta: &[f64], [D, M, K]: [usize; 3]) -> Theta {
    let (b, V, c) = (M * D, M * D + M, M * D + M + K * M);
    Theta {
        W: matrix(M, D, |j, i| theta[j * D + i]),
        b: theta[b..V].to_vec(),
        V: matrix(K, M, |k, j| theta[V + k * M + j]),
        c: theta[c..].to_vec(),
    }
}

pub fn flat(theta: &Theta) -> Vector {
    [theta.W.concat(), theta.b.clone(), theta.V.concat(), theta.c.clone()].concat()
}

/// What the forward pass knows of one sample.
pub struct Forward {
    pub a: Vector,
    pub h: Vector,
    pub f: Vector,
    pub e: Vector,
    pub t: Vector,
    pub g: Vector,
    pub p: Vector,
    pub r: Vector,
    pub loss: f64,
}

pub fn forward(kind: Activation, theta: &Theta, x: &[f64], y: &[f64]) -> Forward {
    let Theta { W, b, V, c } = theta;
    let (D, M, K) = (x.len(), b.len(), c.len());
    let u = vector(M, |j| sum(D, |i| W[j][i] * x[i]) + b[j]);
    let [h, f, e, t] = [0, 1, 2, 3].map(|order| vector(M, |j| activation(kind, u[j])[order]));
    let z = vector(K, |k| sum(M, |j| V[k][j] * h[j]) + c[k]);
    let most = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_sum = most + sum(K, |k| (z[k] - most).exp()).ln();
    let p = vector(K, |k| (z[k] - log_sum).exp());
    let r = vector(K, |k| p[k] - y[k]);
    let loss = sum(K, |k| y[k] * (log_sum - z[k]));
    let (a, g) = ([x, &[1.0]].concat(), [&h[..], &[1.0]].concat());
    Forward { a, h, f, e, t, g, p, r, loss }
}

/// What the Hessian of one sample is made of; or the derivatives with respect to that, which the page writes with hats.
pub struct Factors {
    pub a: Vector,
    pub g: Vector,
    pub f: Vector,
    pub r: Vector,
    pub S: Matrix,
    pub B: Matrix,
    pub A: Matrix,
}

pub fn factors(V: &Matrix, sample: &Forward) -> Factors {
    let Forward { a, f, e, g, p, r, .. } = sample;
    let (M, K) = (f.len(), p.len());
    let q = vector(M, |j| sum(K, |k| V[k][j] * r[k]));
    let C = matrix(K, M, |k, j| V[k][j] * f[j]);
    let S = matrix(K, K, |k, l| p[k] * (delta(k, l) - p[l]));
    let B = matrix(K, M, |k, j| sum(K, |l| S[k][l] * C[l][j]));
    let A = matrix(M, M, |i, j| sum(K, |k| C[k][i] * B[k][j]) + delta(i, j) * e[j] * q[j]);
    Factors { a: a.clone(), g: g.clone(), f: f.clone(), r: r.clone(), S, B, A }
}

/// tr H: the parts of the output and of the hidden block.
pub fn trace(batch: &[Factors]) -> [f64; 2] {
    let N = batch.len();
    let output = sum(N, |n| tr(&batch[n].S) * dot(&batch[n].g, &batch[n].g));
    let hidden = sum(N, |n| tr(&batch[n].A) * dot(&batch[n].a, &batch[n].a));
    [output / N as f64, hidden / N as f64]
}

fn chi(one: &Factors, two: &Factors) -> f64 {
    sum(one.r.len(), |k| sum(one.f.len(), |j| one.B[k][j] * one.g[j] * two.r[k] * two.f[j]))
}

/// κ, the inner product of the Hessians of two samples: the parts of the output, the cross and the hidden blocks.
pub fn kappa(one: &Factors, two: &Factors) -> [f64; 3] {
    let (Ga, Gg) = (dot(&one.a, &two.a), dot(&one.g, &two.g));
    let residuals = dot(&one.r, &two.r) * dot(&one.f, &two.f);
    [
        inner(&one.S, &two.S) * Gg * Gg,
        2.0 * Ga * (inner(&one.B, &two.B) * Gg + chi(one, two) + chi(two, one) + residuals),
        inner(&one.A, &two.A) * Ga * Ga,
    ]
}

/// The weight of a pair: of a sample with itself, or of two different ones.
fn w((own, cross): (f64, f64), n: usize, other: usize) -> f64 {
    if n == other { own } else { cross }
}

/// tr H², by block as κ.
pub fn trace_of_square(batch: &[Factors], weights: (f64, f64)) -> [f64; 3] {
    let N = batch.len();
    let term = |n, other| kappa(&batch[n], &batch[other]).map(|part| w(weights, n, other) * part);
    [0, 1, 2].map(|block| sum(N, |n| sum(N, |other| term(n, other)[block])))
}

/// Λ, which is above λ_max, and the other three: below λ_max, above λ_min, below λ_min.
pub fn bounds(trace: f64, square: f64, P: f64) -> [f64; 4] {
    let m = trace / P;
    let s = (square / P - m * m).max(0.0).sqrt();
    let root = (P - 1.0).sqrt();
    [m + s * root, m + s / root, m - s / root, m - s * root]
}

/// The derivatives of Λ with respect to tr H and tr H².
pub fn slopes(trace: f64, square: f64, P: f64) -> [f64; 2] {
    let m = trace / P;
    let s = (square / P - m * m).max(0.0).sqrt();
    if s == 0.0 {
        return [1.0 / P, 0.0];
    }
    let by_square = (P - 1.0).sqrt() / (2.0 * s * P);
    [1.0 / P - 2.0 * m * by_square, by_square]
}

fn zero(like: &Factors) -> Factors {
    let (M, K) = (like.f.len(), like.r.len());
    let (a, g, f, r) = (vec![], vec![0.0; M + 1], vec![0.0; M], vec![0.0; K]);
    Factors { a, g, f, r, S: vec![vec![0.0; K]; K], B: vec![vec![0.0; M]; K], A: vec![vec![0.0; M]; M] }
}

/// Adds the derivatives of `weight` times one sample's term of tr H.
fn trace_hats(one: &Factors, weight: f64, hat: &mut Factors) {
    let (aa, gg, tr_S) = (dot(&one.a, &one.a), dot(&one.g, &one.g), tr(&one.S));
    for k in 0..one.r.len() {
        hat.S[k][k] += weight * gg;
    }
    for j in 0..one.f.len() {
        hat.A[j][j] += weight * aa;
    }
    for j in 0..one.g.len() {
        hat.g[j] += weight * 2.0 * tr_S * one.g[j];
    }
}

/// Adds the derivatives of `weight` times κ with respect to the factors of its first sample.
fn kappa_hats(one: &Factors, two: &Factors, weight: f64, hat: &mut Factors) {
    let (M, K) = (one.f.len(), one.r.len());
    let (Ga, Gg) = (dot(&one.a, &two.a), dot(&one.g, &two.g));
    let (rr, ff) = (dot(&one.r, &two.r), dot(&one.f, &two.f));
    let (SS, BB) = (inner(&one.S, &two.S), inner(&one.B, &two.B));
    let cross = weight * 2.0 * Ga;
    for k in 0..K {
        for l in 0..K {
            hat.S[k][l] += weight * Gg * Gg * two.S[k][l];
        }
        for j in 0..M {
            hat.B[k][j] += cross * (Gg * two.B[k][j] + one.g[j] * two.r[k] * two.f[j]);
            hat.g[j] += cross * one.B[k][j] * two.r[k] * two.f[j];
            hat.r[k] += cross * two.B[k][j] * two.g[j] * one.f[j];
            hat.f[j] += cross * two.B[k][j] * two.g[j] * one.r[k];
        }
        hat.r[k] += cross * ff * two.r[k];
    }
    for j in 0..M {
        hat.f[j] += cross * rr * two.f[j];
        for i in 0..M {
            hat.A[i][j] += weight * Ga * Ga * two.A[i][j];
        }
    }
    for j in 0..=M {
        hat.g[j] += (weight * 2.0 * Gg * SS + cross * BB) * two.g[j];
    }
}

/// The derivatives with respect to what the forward pass knows of one sample, and V as far as it does not act through z.
struct Adjoints {
    p: Vector,
    g: Vector,
    f: Vector,
    e: Vector,
    V: Matrix,
}

fn adjoints(V: &Matrix, sample: &Forward, Factors { S, B, .. }: &Factors, hat: &Factors) -> Adjoints {
    let Forward { f, e, p, r, .. } = sample;
    let (M, K) = (f.len(), p.len());
    let q = vector(M, |j| sum(K, |k| V[k][j] * r[k]));
    let C = matrix(K, M, |k, j| V[k][j] * f[j]);
    // A = CᵀB + diag(e∘q)
    let B_hat = matrix(K, M, |k, j| hat.B[k][j] + sum(M, |i| C[k][i] * hat.A[i][j]));
    let e_hat = vector(M, |j| hat.A[j][j] * q[j]);
    let q_hat = vector(M, |j| hat.A[j][j] * e[j]);
    // B = SC
    let S_hat = matrix(K, K, |k, l| hat.S[k][l] + sum(M, |j| B_hat[k][j] * C[l][j]));
    let C_hat = matrix(K, M, |k, j| sum(K, |l| S[k][l] * B_hat[l][j]) + sum(M, |i| B[k][i] * hat.A[i][j]));
    // C = V diag(f), q = Vᵀr
    let f_hat = vector(M, |j| hat.f[j] + sum(K, |k| V[k][j] * C_hat[k][j]));
    let r_hat = vector(K, |k| hat.r[k] + sum(M, |j| V[k][j] * q_hat[j]));
    let V_hat = matrix(K, M, |k, j| C_hat[k][j] * f[j] + r[k] * q_hat[j]);
    // S = diag(p) − ppᵀ, r = p − y
    let p_hat = vector(K, |k| r_hat[k] + S_hat[k][k] - sum(K, |l| (S_hat[k][l] + S_hat[l][k]) * p[l]));
    Adjoints { p: p_hat, g: hat.g.clone(), f: f_hat, e: e_hat, V: V_hat }
}

/// Back-propagation of one sample: adds to the gradient what the adjoints and `loss_weight` times its loss give.
fn sweep(V: &Matrix, sample: &Forward, S: &Matrix, hat: &Adjoints, loss_weight: f64, gradient: &mut Theta) {
    let Forward { a, h, f, e, t, r, .. } = sample;
    let (D, M, K) = (a.len() - 1, f.len(), r.len());
    let z_hat = vector(K, |k| sum(K, |l| S[k][l] * hat.p[l]) + loss_weight * r[k]);
    let h_hat = vector(M, |j| sum(K, |k| V[k][j] * z_hat[k]) + hat.g[j]);
    let u_hat = vector(M, |j| h_hat[j] * f[j] + hat.f[j] * e[j] + hat.e[j] * t[j]);
    for j in 0..M {
        for k in 0..K {
            gradient.V[k][j] += z_hat[k] * h[j] + hat.V[k][j];
        }
        for i in 0..D {
            gradient.W[j][i] += u_hat[j] * a[i];
        }
        gradient.b[j] += u_hat[j];
    }
    for k in 0..K {
        gradient.c[k] += z_hat[k];
    }
}

/// A batch that has been through the forward pass.
pub struct Batch {
    pub theta: Theta,
    pub forward: Vec<Forward>,
    pub factors: Vec<Factors>,
    pub pair_weights: (f64, f64),
}

/// The gradient of `loss` times L plus `trace` times tr H plus `square` times tr H².
pub fn gradient(batch: &Batch, [loss, trace, square]: [f64; 3]) -> Theta {
    let Batch { theta, forward, factors, pair_weights } = batch;
    let Theta { W, b, V, c } = theta;
    let (D, M, K, N) = (W[0].len(), b.len(), c.len(), forward.len());
    let P = flat(theta).len();
    let mut gradient = cut(&vec![0.0; P], [D, M, K]);
    for n in 0..N {
        let mut hat = zero(&factors[n]);
        trace_hats(&factors[n], trace / N as f64, &mut hat);
        for other in 0..N {
            // Twice, as the sample is the first of one pair and the second of another.
            kappa_hats(&factors[n], &factors[other], 2.0 * square * w(*pair_weights, n, other), &mut hat);
        }
        let hat = adjoints(V, &forward[n], &factors[n], &hat);
        sweep(V, &forward[n], &factors[n].S, &hat, loss / N as f64, &mut gradient);
    }
    gradient
}

/// ∇(L + ρΛ).
pub fn hsr_gradient(batch: &Batch, rho: f64) -> Theta {
    let trace = trace(&batch.factors).iter().sum();
    let square = trace_of_square(&batch.factors, batch.pair_weights).iter().sum();
    let [by_trace, by_square] = slopes(trace, square, flat(&batch.theta).len() as f64);
    gradient(batch, [1.0, rho * by_trace, rho * by_square])
}
