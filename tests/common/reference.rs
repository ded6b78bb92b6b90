//! The reference: loss and back-propagation as one would write them on a blackboard, everything else by dual numbers.
//!
//! One pass of back-propagation over duals in the direction of θ_i gives column i of H; with a second, inner dual in the direction d
//! it gives the derivative of that column too. Traces, bounds and all of their directional derivatives follow. Nothing here knows the
//! closed forms that the crate is built on.
//!
//! What the terms of a number are depends on the basis, though. Loss, gradient, H and products with it are computed class by class. What
//! traces and their gradients are made of is a vector over the classes times an orthonormal basis of contrasts, or minus its last entry, so
//! that entries of very different size meet before they cancel: a class of probability 10⁻⁶ with a weight of 1, among classes with
//! weights of 0, adds 10⁻⁶ to tr H, as the sum of terms of order 1. Rounding is then relative to the whole
//! vector: each of its entries has the terms of the one that has most, see [`Classes`]. (Of K entries, or of the two of a difference; the
//! number of roundings counts the classes.)

use super::call::Quantity;
use super::number::{Dual, Number, Tracked};
use super::problem::{Problem, Way};
use flatmin::{Activation, Form, Real, Route};

/// φ(u).
pub fn activation<R: Number>(kind: Activation, u: R) -> R {
    let one = R::constant(1.0);
    // By the exponential that is at most 1, of numbers of any size.
    let sigmoid = |u: R| {
        let q = if u.value() < 0.0 { u } else { -u }.exp();
        if u.value() < 0.0 { q * (one + q).recip() } else { (one + q).recip() }
    };
    match kind {
        Activation::Tanh => u.tanh(),
        Activation::Sigmoid => sigmoid(u),
        Activation::Softplus if u.value() > 0.0 => u + (-u).exp().ln_1p(),
        Activation::Softplus => u.exp().ln_1p(),
        Activation::Gelu => u * u.normal(),
        Activation::Silu => u * sigmoid(u),
        Activation::Identity => u,
        // One that the library has got since: its formula is to be added here.
        other => unimplemented!("a reference for {other}"),
    }
}

/// Which terms a number of one class has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classes {
    /// Its own.
    Apart,
    /// Those of the class that has most: of output weights of one unit, and of residuals of one sample.
    Together,
}

/// The mean cross-entropy and, by back-propagation, its gradient.
fn loss_and_gradient<R: Number>(problem: &Problem, theta: &[R], classes: Classes) -> (R, Vec<R>) {
    let shape = problem.shape();
    let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
    let (w, b) = (&theta[shape.hidden_weight()], &theta[shape.hidden_bias()]);
    let (mut v, c) = (theta[shape.output_weight()].to_vec(), &theta[shape.output_bias()]);
    if classes == Classes::Together {
        for j in 0..m {
            let mut column: Vec<R> = v[j..].iter().step_by(m).copied().collect();
            R::level(&mut column);
            v[j..].iter_mut().step_by(m).zip(column).for_each(|(v, leveled)| *v = leveled);
        }
    }
    let mean = R::constant(problem.samples as f64).recip();
    let zero = R::constant(0.0);
    let (mut loss, mut gradient) = (zero, vec![zero; theta.len()]);

    for n in 0..problem.samples {
        let x: Vec<R> = problem.inputs[n * d..][..d].iter().map(|&x| R::constant(x)).collect();
        let y = &problem.targets[n * k..][..k];
        let hidden: Vec<Dual<R>> = (0..m)
            .map(|j| {
                let u = (0..d).fold(b[j], |sum, i| sum + w[j * d + i] * x[i]);
                activation(problem.network.activation, Dual { re: u, du: R::constant(1.0) })
            })
            .collect();
        let z: Vec<R> = (0..k).map(|l| (0..m).fold(c[l], |sum, j| sum + v[l * m + j] * hidden[j].re)).collect();
        // Any constant may be taken off all logits; the largest keeps the exponentials in range.
        let most = R::constant(z.iter().map(|z| z.value()).fold(f64::NEG_INFINITY, f64::max));
        let weights: Vec<R> = z.iter().map(|&z| (z - most).exp()).collect();
        let sum = weights.iter().fold(zero, |sum, &weight| sum + weight);
        let (log_sum, inverse) = (sum.ln(), sum.recip());

        let mut residuals: Vec<R> = (0..k).map(|l| mean * (weights[l] * inverse - R::constant(y[l]))).collect();
        if classes == Classes::Together {
            R::level(&mut residuals);
        }
        let mut back = vec![zero; m];
        for (l, r) in residuals.into_iter().enumerate() {
            loss = loss + mean * R::constant(y[l]) * (log_sum - (z[l] - most));
            for j in 0..m {
                back[j] = back[j] + v[l * m + j] * r;
                let entry = &mut gradient[shape.output_weight()][l * m + j];
                *entry = *entry + r * hidden[j].re;
            }
            let entry = &mut gradient[shape.output_bias()][l];
            *entry = *entry + r;
        }
        for j in 0..m {
            let u_hat = back[j] * hidden[j].du;
            for i in 0..d {
                let entry = &mut gradient[shape.hidden_weight()][j * d + i];
                *entry = *entry + u_hat * x[i];
            }
            let entry = &mut gradient[shape.hidden_bias()][j];
            *entry = *entry + u_hat;
        }
    }
    (loss, gradient)
}

/// tr H and tr H², by block.
#[derive(Clone, Copy, Debug)]
pub struct Traces<V = f64> {
    pub output: Tracked<V>,
    pub hidden: Tracked<V>,
    pub output_square: Tracked<V>,
    pub cross_square: Tracked<V>,
    pub hidden_square: Tracked<V>,
}

impl<V: Number> Traces<V> {
    pub fn trace(&self) -> Tracked<V> {
        self.output + self.hidden
    }

    pub fn trace_of_square(&self) -> Tracked<V> {
        self.output_square + self.cross_square + self.hidden_square
    }

    /// The shares of tr H² by block, output, cross and hidden, as they can be had in this way. The tangent form has the sum of all three,
    /// `tr(SΘS'Θ)` with `Θ = Gg I + Ga W`, the sum of the first two, `Gg tr(SΘS')`, and the first, `Gg² ⟨S,S'⟩`: the others are
    /// differences, whose terms are those of both numbers.
    pub fn squares_by(&self, way: Way) -> [Tracked<V>; 3] {
        let [output, cross, hidden] = [self.output_square, self.cross_square, self.hidden_square];
        match (way.route, way.form) {
            (Route::Pairs, Form::Tangent) => {
                // Gg tr(SΘS') holds half of the cross share, but counts twice.
                let by_difference = |share: Tracked<V>, terms: Tracked<V>| Tracked { value: share.value, ..terms };
                [output, by_difference(cross, output + output + cross), by_difference(hidden, self.trace_of_square())]
            }
            _ => [output, cross, hidden],
        }
    }
}

/// H·v.
pub fn product<V: Number>(problem: &Problem, vector: &[f64]) -> Vec<Tracked<V>> {
    let (_, gradient) = loss_and_gradient(problem, &moving(&problem.theta, vector), Classes::Apart);
    gradient.into_iter().map(|entry: Dual<_>| entry.du).collect()
}

/// H, row-major.
pub fn hessian(problem: &Problem) -> Vec<Tracked> {
    let size = problem.shape().parameters();
    let unit = |i: usize| (0..size).map(|j| f64::from(i == j)).collect::<Vec<_>>();
    (0..size).flat_map(|column| product(problem, &unit(column))).collect()
}

/// θ, with its derivative in a direction.
fn moving<V: Number>(theta: &[f64], direction: &[f64]) -> Vec<Dual<Tracked<V>>> {
    let leaf = |(&x, &dx): (&f64, &f64)| Dual { re: Tracked::constant(x), du: Tracked::constant(dx) };
    theta.iter().zip(direction).map(leaf).collect()
}

/// Loss and traces of a problem with all that follows from them, and the derivatives of all of it in one direction.
///
/// In `f64`, unless [`within`](Reference::within) is asked for another type of number.
pub struct Reference<V = f64> {
    parameters: usize,
    /// Where the output layer's parameters begin in θ.
    output: usize,
    loss: Dual<Tracked<V>>,
    pub gradient: Vec<Tracked<V>>,
    /// H and its derivative, row-major, with the terms of [`Classes::Together`].
    hessian: Vec<Dual<Tracked<V>>>,
}

impl Reference {
    /// Evaluates a problem; derivatives are taken in `direction`.
    pub fn new(problem: &Problem, direction: &[f64]) -> Self {
        Self::within(problem, direction)
    }

    /// Without derivatives in any direction.
    pub fn at(problem: &Problem) -> Self {
        Self::new(problem, &vec![0.0; problem.shape().parameters()])
    }
}

impl<V: Number> Reference<V> {
    /// Evaluates a problem in numbers V.
    pub fn within(problem: &Problem, direction: &[f64]) -> Self {
        let size = problem.shape().parameters();
        let theta = moving(&problem.theta, direction);
        let (loss, gradient) = loss_and_gradient(problem, &theta, Classes::Apart);
        let mut hessian = Vec::with_capacity(size * size);
        for column in 0..size {
            let unit = |i: usize| Dual::constant(f64::from(i == column));
            let theta: Vec<_> = theta.iter().enumerate().map(|(i, &re)| Dual { re, du: unit(i) }).collect();
            let (_, slopes) = loss_and_gradient(problem, &theta, Classes::Together);
            hessian.extend(slopes.iter().map(|slope| slope.du));
        }
        let gradient = gradient.into_iter().map(|entry| entry.re).collect();
        Self { parameters: size, output: problem.shape().output_weight().start, loss, gradient, hessian }
    }

    fn traces_dual(&self) -> [Dual<Tracked<V>>; 5] {
        let mut all = [Dual::constant(0.0); 5];
        for i in 0..self.parameters {
            for j in 0..self.parameters {
                let entry = self.hessian[i * self.parameters + j];
                let blocks = usize::from(i < self.output) + usize::from(j < self.output);
                if i == j {
                    all[blocks / 2] = all[blocks / 2] + entry;
                }
                all[2 + blocks] = all[2 + blocks] + entry * entry;
            }
        }
        all
    }

    pub fn traces(&self) -> Traces<V> {
        let [output, hidden, output_square, cross_square, hidden_square] = self.traces_dual().map(|trace| trace.re);
        Traces { output, hidden, output_square, cross_square, hidden_square }
    }

    /// m, s and s² of the eigenvalues, and the derivatives of m and s².
    fn spread(&self) -> Spread<V> {
        let [output, hidden, squares @ ..] = self.traces_dual();
        let over_size = Tracked::constant(self.parameters as f64).recip();
        let trace = output + hidden;
        let square = squares.into_iter().fold(Dual::constant(0.0), |sum, square| sum + square);
        let (mean, mean_dot) = (trace.re * over_size, trace.du * over_size);
        let variance = square.re * over_size - mean * mean;
        let variance_dot = square.du * over_size - Tracked::constant(2.0) * mean * mean_dot;
        Spread { mean, mean_dot, variance, variance_dot, root: Tracked::constant(self.parameters as f64 - 1.0).sqrt() }
    }

    /// Λ upper, λ_max lower, λ_min upper, λ_min lower.
    pub fn bounds(&self) -> [Tracked<V>; 4] {
        let Spread { mean, variance, root, .. } = self.spread();
        let deviation = variance.sqrt();
        let (far, near) = (deviation * root, deviation * root.recip());
        [mean + far, mean + near, mean - near, mean - far]
    }

    /// The part of s² that rounding in `T`, `roundings` times a term, may change: where it nears one, Λ and ∇Λ say nothing.
    pub fn variance_error<T: Real>(&self, roundings: f64) -> f64 {
        let variance = self.spread().variance;
        roundings * T::EPSILON.to_f64() * variance.scale / variance.value()
    }

    /// The quantity itself.
    pub fn value(&self, quantity: Quantity) -> Tracked<V> {
        match quantity {
            Quantity::Loss => self.loss.re,
            Quantity::Trace => self.traces().trace(),
            Quantity::TraceOfSquare => self.traces().trace_of_square(),
            Quantity::Bound => self.bounds()[0],
            Quantity::Hsr(rho) => self.loss.re + Tracked::constant(rho) * self.bounds()[0],
        }
    }

    /// Its derivative in the direction.
    pub fn slope(&self, quantity: Quantity) -> Tracked<V> {
        match quantity {
            Quantity::Loss => self.loss.du,
            Quantity::Trace => {
                let [output, hidden, ..] = self.traces_dual();
                (output + hidden).du
            }
            Quantity::TraceOfSquare => {
                let [_, _, squares @ ..] = self.traces_dual();
                squares.into_iter().map(|square| square.du).sum()
            }
            Quantity::Bound => {
                let Spread { mean_dot, variance, variance_dot, root, .. } = self.spread();
                mean_dot + root * variance_dot * (Tracked::constant(2.0) * variance.sqrt()).recip()
            }
            Quantity::Hsr(rho) => self.loss.du + Tracked::constant(rho) * self.slope(Quantity::Bound),
        }
    }
}

struct Spread<V> {
    mean: Tracked<V>,
    mean_dot: Tracked<V>,
    variance: Tracked<V>,
    variance_dot: Tracked<V>,
    root: Tracked<V>,
}

/// How often a term of any quantity is rounded, at most.
///
/// A term passes through sums over inputs, hidden units, classes and samples: in the forward pass, in the factors of its Hessian, in
/// the products of two of them, and on the way back, hence four times each; a sum of n terms in any order rounds each at most n times.
/// The rest covers products, and elementary functions with errors of a few units in the last place.
pub fn roundings(problem: &Problem) -> f64 {
    let shape = problem.shape();
    4.0 * (shape.inputs() + shape.hidden() + shape.classes() + problem.samples) as f64 + 64.0
}
