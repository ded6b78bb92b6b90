//! The K−1 contrasts of K classes.
//!
//! Adding a constant to all logits changes nothing: S maps the vector of ones to zero, and r is orthogonal to it. So K-vectors can be
//! written in an orthonormal basis Q, K×R with `R = K − 1`, of the vectors orthogonal to it. Nothing is lost, and every cost in K becomes
//! a cost in R. Q is Helmert's basis: column k (from 1) compares class k with the k classes before it. With `norm_k = 1/√(k(k+1))`,
//!
//! ```text
//! (Qᵀy)_k = norm_k ( Σ_{i<k} y_i − k y_k )
//! ```
//!
//! so products with Q and Qᵀ are running sums, and the covariance of the softmax has a closed form. With the sums before and from k on,
//! `before_k = Σ_{i<k} p_i` and `from_k = Σ_{i≥k} p_i`:
//!
//! ```text
//! (QᵀSQ)_kk = norm_k² ( before_k from_k + k² p_k (before_k + from_{k+1}) + 2k before_k p_k )
//! (QᵀSQ)_kl = (Qᵀp)_k norm_l ( from_l + l p_l )                                    k < l
//! ```
//!
//! There is no `1 − p` in these, so they keep their relative accuracy where p is nearly one-hot and S nearly zero.
//!
//! Symmetric matrices are stored flat: the upper triangle by rows, off-diagonal entries times √2, so that the inner product of two flat
//! rows is the Frobenius inner product of the matrices.

use core::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

use crate::count::product;
use crate::kernels::gemm::{Half, MatrixMut, mirror};
use crate::simd::{Element, InstructionSet};
use crate::workspace::{Arena, row};

/// Length of a flat symmetric matrix of `n` rows; saturates.
pub(crate) const fn triangle(n: usize) -> usize {
    n.saturating_mul(n.saturating_add(1)) / 2
}

/// What an entry of a symmetric matrix is multiplied with where it is stored flat.
pub(crate) fn flat_scale<T: Element>(k: usize, l: usize) -> T {
    T::from_f64(if k == l { 1.0 } else { SQRT_2 })
}

/// `X_k∘X_l` for `k <= l`, of rows of m numbers, each times a scale.
pub(crate) fn products_of_rows<T: Element>(x: &[T], m: usize, scale: impl Fn(usize, usize) -> T, products: &mut [T]) {
    for ((k, l), products) in upper(x.len() / m).zip(products.chunks_exact_mut(m)) {
        let scale = scale(k, l);
        for ((product, &xk), &xl) in products.iter_mut().zip(row(x, m, k)).zip(row(x, m, l)) {
            *product = scale * xk * xl;
        }
    }
}

/// The entries (k, l) of an n×n matrix with `k <= l`, by rows: the order of a flat matrix.
#[inline(always)]
pub(crate) fn upper(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |k| (k..n).map(move |l| (k, l)))
}

/// Q for a number of classes, and scratch for its running sums.
#[derive(Debug)]
pub(crate) struct Contrasts<'w, T> {
    /// norm_k, from norm_1.
    scales: &'w mut [T],
    /// from_k.
    scratch: &'w mut [T],
}

/// Elements that [`Contrasts::new`] takes.
pub(crate) const fn elements(classes: usize) -> u64 {
    product(&[2, classes]) - 1
}

impl<'w, T: Element> Contrasts<'w, T> {
    pub(crate) fn new(classes: usize, arena: &mut Arena<'w, T>) -> Self {
        let scales = arena.take(classes - 1);
        for (k, scale) in (1..).zip(&mut *scales) {
            let k = f64::from(k);
            *scale = T::from_f64(1.0 / crate::number::sqrt(k * (k + 1.0)));
        }
        Self { scales, scratch: arena.take(classes) }
    }

    /// R.
    pub(crate) fn count(&self) -> usize {
        self.scales.len()
    }

    /// QᵀY of a matrix Y: from K rows of `width` to R rows. `sum` holds one row.
    pub(crate) fn reduce(&self, width: usize, y: &[T], reduced: &mut [T], sum: &mut [T]) {
        reduce(self.scales, width, y, reduced, sum);
    }

    /// Adds Q times R rows of `width` to K rows. `sum` holds one row.
    pub(crate) fn expand(&self, width: usize, reduced: &[T], y: &mut [T], sum: &mut [T]) {
        expand(self.scales, width, reduced, y, sum);
    }

    /// QᵀSQ, flat.
    pub(crate) fn covariance(&mut self, p: &[T], flat: &mut [T]) {
        let root2 = T::from_f64(SQRT_2);
        let tails = &mut self.scratch[..p.len()];
        let mut tail = T::ZERO;
        for (&p, slot) in p.iter().zip(&mut *tails).rev() {
            tail += p;
            *slot = tail;
        }
        let mut before = T::ZERO;
        let mut rest = flat;
        for k in 1..p.len() {
            before += p[k - 1];
            let (norm, own) = (self.scales[k - 1], T::from_usize(k) * p[k]);
            let after = tails.get(k + 1).copied().unwrap_or(T::ZERO);
            let (entries, below) = rest.split_at_mut(p.len() - k);
            entries[0] =
                norm * norm * (before * tails[k] + T::from_usize(k) * own * (before + after) + T::TWO * before * own);
            let contrast = root2 * norm * (before - own);
            for (l, entry) in (k + 1..).zip(&mut entries[1..]) {
                *entry = contrast * (self.scales[l - 1] * (tails[l] + T::from_usize(l) * p[l]));
            }
            rest = below;
        }
    }

    /// Adds to p̂, given the derivative with respect to QᵀSQ as a full symmetric matrix, R×R. `scratch` has 2R numbers.
    ///
    /// As a function of p, `QᵀSQ = Qᵀdiag(p)Q − (Qᵀp)(Qᵀp)ᵀ`. There `(Qᵀdiag(p)Q)_kl = norm_l (Qᵀp)_k` for k < l, and
    /// `norm_k² (before_k + k² p_k)` on the diagonal.
    pub(crate) fn covariance_back(&self, p: &[T], s_hat: &[T], p_hat: &mut [T], scratch: &mut [T]) {
        let classes = self.scales.len();
        let (contrast, hat) = scratch[..2 * classes].split_at_mut(classes);
        let mut sum = [T::ZERO];
        reduce(self.scales, 1, p, contrast, &mut sum);
        for (k, (hat, row)) in hat.iter_mut().zip(s_hat.chunks_exact(classes)).enumerate() {
            *hat = T::ZERO;
            for (l, (&s_hat, &contrast)) in row.iter().zip(&*contrast).enumerate() {
                let scale = if l > k { self.scales[l] } else { T::ZERO };
                *hat += T::TWO * s_hat * (scale - contrast);
            }
        }
        expand(self.scales, 1, hat, p_hat, &mut sum);
        // The diagonal: p_k itself counts k² times, every class before it once.
        let mut before = T::ZERO;
        for k in (1..=classes).rev() {
            let (norm, count) = (self.scales[k - 1], T::from_usize(k));
            let entry = norm * norm * s_hat[(k - 1) * classes + (k - 1)];
            p_hat[k] += before + count * count * entry;
            before += entry;
        }
        p_hat[0] += before;
    }
}

/// Inlined, for the sake of rows of one number.
#[inline(always)]
fn reduce<T: Element>(scales: &[T], width: usize, y: &[T], reduced: &mut [T], sum: &mut [T]) {
    let (first, rest) = y.split_at(width);
    sum.copy_from_slice(first);
    let rows = rest.chunks_exact(width).zip(reduced.chunks_exact_mut(width));
    for ((k, &norm), (y, out)) in (1..).zip(scales).zip(rows) {
        let count = T::from_usize(k);
        for ((out, sum), &y) in out.iter_mut().zip(&mut *sum).zip(y) {
            *out = norm * (*sum - count * y);
            *sum += y;
        }
    }
}

/// Inlined, for the sake of rows of one number.
#[inline(always)]
fn expand<T: Element>(scales: &[T], width: usize, reduced: &[T], y: &mut [T], sum: &mut [T]) {
    sum.fill(T::ZERO);
    let (first, rest) = y.split_at_mut(width);
    let rows = rest.chunks_exact_mut(width).zip(reduced.chunks_exact(width));
    for ((before, &norm), (y, reduced)) in (0..scales.len()).zip(scales).zip(rows).rev() {
        let count = T::from_usize(before + 1);
        for ((y, sum), &reduced) in y.iter_mut().zip(&mut *sum).zip(reduced) {
            let scaled = norm * reduced;
            *y += *sum - count * scaled;
            *sum += scaled;
        }
    }
    for (first, &sum) in first.iter_mut().zip(&*sum) {
        *first += sum;
    }
}

/// The full matrix of a flat one, n×n.
pub(crate) fn unfold<T: Element>(isa: InstructionSet, flat: &[T], full: &mut [T], n: usize) {
    let half_root2 = T::from_f64(FRAC_1_SQRT_2);
    // S is usually so small that registers would gain little.
    if n < 12 {
        for ((i, j), &entry) in upper(n).zip(flat) {
            let entry = if i == j { entry } else { half_root2 * entry };
            full[i * n + j] = entry;
            full[j * n + i] = entry;
        }
        return;
    }
    isa.vectorize(|| {
        let mut rest = flat;
        for (i, line) in full.chunks_exact_mut(n).enumerate() {
            let (entries, below) = rest.split_at(n - i);
            for (full, &entry) in line[i..].iter_mut().zip(entries) {
                *full = half_root2 * entry;
            }
            line[i] = entries[0];
            rest = below;
        }
    });
    mirror(isa, MatrixMut::row_major(full, n, n), Half::Upper);
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn with_contrasts<T: Element, O>(classes: usize, run: impl FnOnce(Contrasts<'_, T>) -> O) -> O {
        let mut memory = vec![T::NAN; elements(classes) as usize];
        run(Contrasts::new(classes, &mut Arena::new(&mut memory)))
    }

    /// Q, K×R, by its definition.
    fn basis(classes: usize) -> Vec<Vec<f64>> {
        (0..classes)
            .map(|i| {
                let entry = |k: usize| {
                    let factor = match i.cmp(&k) {
                        core::cmp::Ordering::Less => 1.0,
                        core::cmp::Ordering::Equal => -(k as f64),
                        core::cmp::Ordering::Greater => 0.0,
                    };
                    factor / ((k * (k + 1)) as f64).sqrt()
                };
                (1..classes).map(entry).collect()
            })
            .collect()
    }

    fn probabilities(classes: usize, sharpness: f64) -> Vec<f64> {
        let weights: Vec<f64> = (0..classes).map(|k| (sharpness * (1.9 * k as f64 + 0.4).sin()).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / sum).collect()
    }

    #[test]
    fn the_basis_is_orthonormal_and_orthogonal_to_ones() {
        for classes in 2..8 {
            let q = basis(classes);
            for k in 0..classes - 1 {
                let sum: f64 = q.iter().map(|row| row[k]).sum();
                assert!(sum.abs() <= 8.0 * f64::EPSILON);
                for l in 0..classes - 1 {
                    let inner: f64 = q.iter().map(|row| row[k] * row[l]).sum();
                    assert!((inner - f64::from(k == l)).abs() <= 8.0 * f64::EPSILON);
                }
            }
        }
    }

    #[test]
    fn running_sums_are_products_with_the_basis() {
        let (classes, width) = (6, 3);
        let q = basis(classes);
        let y: Vec<f64> = (0..classes * width).map(|i| (i as f64 * 0.7).sin()).collect();
        let (mut reduced, mut sum) = (vec![0.0; (classes - 1) * width], vec![0.0; width]);
        let mut back = vec![1.0; classes * width];
        with_contrasts(classes, |contrasts| {
            contrasts.reduce(width, &y, &mut reduced, &mut sum);
            contrasts.expand(width, &reduced, &mut back, &mut sum);
        });
        for j in 0..width {
            for k in 0..classes - 1 {
                let expected: f64 = (0..classes).map(|i| q[i][k] * y[i * width + j]).sum();
                assert!((reduced[k * width + j] - expected).abs() <= 1e-14);
            }
            // QQᵀ takes off the mean.
            let mean: f64 = (0..classes).map(|i| y[i * width + j]).sum::<f64>() / classes as f64;
            for i in 0..classes {
                assert!((back[i * width + j] - 1.0 - (y[i * width + j] - mean)).abs() <= 1e-14);
            }
        }
    }

    #[test]
    fn covariance_keeps_its_relative_accuracy_when_almost_certain() {
        // The same probabilities in f32 and f64, so that only the arithmetic differs.
        for sharpness in [0.1, 3.0, 12.0, 30.0] {
            for classes in 2..7 {
                let p32: Vec<f32> = probabilities(classes, sharpness).iter().map(|&p| p as f32).collect();
                let length = triangle(classes - 1);
                let mut flat32 = vec![0.0f32; length];
                with_contrasts(classes, |mut contrasts| contrasts.covariance(&p32, &mut flat32));
                // Here S is formed from exact complements: Σ of the others.
                let p: Vec<f64> = p32.iter().map(|&p| f64::from(p)).collect();
                let q = basis(classes);
                let s = |i: usize, j: usize| match i == j {
                    true => p[i] * p.iter().enumerate().filter(|&(l, _)| l != i).map(|(_, p)| p).sum::<f64>(),
                    false => -p[i] * p[j],
                };
                let mut largest = 0.0f64;
                let mut expected = vec![];
                for k in 0..classes - 1 {
                    for l in k..classes - 1 {
                        let mut entry = 0.0;
                        for i in 0..classes {
                            for j in 0..classes {
                                entry += q[i][k] * s(i, j) * q[j][l];
                            }
                        }
                        expected.push(if k == l { entry } else { SQRT_2 * entry });
                        largest = largest.max(entry.abs());
                    }
                }
                for (given, expected) in flat32.iter().zip(&expected) {
                    let error = (f64::from(*given) - expected).abs();
                    assert!(
                        error <= 16.0 * f64::from(f32::EPSILON) * largest,
                        "{classes} {sharpness}: {error:e} of {largest:e}"
                    );
                }
            }
        }
    }

    #[test]
    fn covariance_back_is_the_derivative() {
        for classes in 2..7 {
            let r = classes - 1;
            let p = probabilities(classes, 1.0);
            let direction: Vec<f64> = (0..triangle(r)).map(|i| (2.3 * i as f64 + 0.3).cos()).collect();
            let mut s_hat = vec![0.0; r * r];
            unfold(InstructionSet::current(), &direction, &mut s_hat, r);
            let mut p_hat = vec![0.0; classes];
            let mut scratch = vec![f64::NAN; 2 * r];
            with_contrasts(classes, |contrasts| contrasts.covariance_back(&p, &s_hat, &mut p_hat, &mut scratch));
            let value = |p: &[f64]| {
                let mut flat = vec![0.0; triangle(r)];
                with_contrasts(classes, |mut contrasts| contrasts.covariance(p, &mut flat));
                flat.iter().zip(&direction).map(|(s, d)| s * d).sum::<f64>()
            };
            // Along the simplex: from class 0 to class i.
            for i in 1..classes {
                let moved = |step: f64| {
                    let mut p = p.clone();
                    p[0] -= step;
                    p[i] += step;
                    p
                };
                let step = 1e-5;
                let slope = (value(&moved(step)) - value(&moved(-step))) / (2.0 * step);
                assert!(
                    (slope - (p_hat[i] - p_hat[0])).abs() <= 1e-9,
                    "{classes} {i}: {slope} {}",
                    p_hat[i] - p_hat[0]
                );
            }
        }
    }
}
