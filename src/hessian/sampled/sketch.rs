//! Vectors z with `E z zᵀ = S`, or `Σ z zᵀ = S`, and the way back from their derivatives.
//!
//! With `s = √p` and c the most probable class, the reflection `I − v vᵀ/(1 + s_c)`, `v = s + e_c`, maps `e_c` to `−s`; its columns other
//! than c are therefore an orthonormal basis of the complement of s, and `S = diag(s)(I − s sᵀ)diag(s)` is `Z Zᵀ` with
//! `Z = diag(s)·(these columns)`. For any ε with `ε_c = 0`
//!
//! ```text
//! z = Z ε = s ∘ ( ε − t (s + e_c) )         t = (s·ε)/(1 + s_c)
//! ```
//!
//! so that independent signs give `E z zᵀ = S` with one vector, and the unit vectors of the other classes give S itself with K − 1.
//! With ε and c held fixed z is a smooth function of p. Its derivative is taken with respect to log p, `ŝ∘s/2`: a derivative with respect
//! to p would be divided by s, which vanishes where the network is certain.
//!
//! Everything here is class-major, K rows of one column a sample, so that loops run over samples.

use crate::random::Random;
use crate::real::Real;
use crate::workspace::{row, row_mut};

/// ε of every sample.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signs {
    /// Independent signs: those of a sample's first or second sketch.
    Random { random: Random, second: bool },
    /// The unit vector of the `index`-th class other than c.
    Unit { index: usize },
}

/// Writes ε, K×n: of samples that stand at `rows` in the batch, and whose `pivot` is 1 at c and 0 elsewhere.
pub(super) fn write_signs<T: Real>(
    signs: Signs,
    classes: usize,
    rows: impl Iterator<Item = usize>,
    pivot: &[T],
    epsilon: &mut [T],
) {
    let n = pivot.len() / classes;
    for (i, sample) in rows.enumerate() {
        let mut others = 0;
        let mut word = 0;
        for k in 0..classes {
            let at = k * n + i;
            epsilon[at] = match signs {
                Signs::Random { random, second } => {
                    if k.is_multiple_of(64) {
                        let words = classes.div_ceil(64) as u64;
                        word = random.word((2 * sample as u64 + u64::from(second)) * words + k as u64 / 64);
                    }
                    // +1 or −1; 0 at c.
                    let sign = T::from_f64(f64::from((word >> (k % 64) & 1) as u32 * 2) - 1.0);
                    sign * (T::ONE - pivot[at])
                }
                Signs::Unit { index } => {
                    let is_other = pivot[at] == T::ZERO;
                    let chosen = is_other && others == index;
                    others += usize::from(is_other);
                    if chosen { T::ONE } else { T::ZERO }
                }
            };
        }
    }
}

/// What the samples' vectors are made of, class-major.
#[derive(Clone, Copy, Debug)]
pub(super) struct Roots<'a, T> {
    /// Number of samples.
    pub n: usize,
    /// √p, K×n.
    pub s: &'a [T],
    /// e_c, K×n.
    pub pivot: &'a [T],
    /// 1/(1 + s_c), n.
    pub inverse: &'a [T],
}

impl<T: Real> Roots<'_, T> {
    /// Writes z into columns `first..first + n` of rows of `width`. `t` holds n numbers of scratch.
    #[inline(always)]
    pub(super) fn write(self, epsilon: &[T], t: &mut [T], z: &mut [T], width: usize, first: usize) {
        let Self { n, s, pivot, inverse } = self;
        t.fill(T::ZERO);
        for (s, epsilon) in s.chunks_exact(n).zip(epsilon.chunks_exact(n)) {
            for ((t, &s), &epsilon) in t.iter_mut().zip(s).zip(epsilon) {
                *t += s * epsilon;
            }
        }
        for (t, &inverse) in t.iter_mut().zip(inverse) {
            *t *= inverse;
        }
        for (k, z) in z.chunks_exact_mut(width).enumerate() {
            let (s, pivot, epsilon) = (row(s, n, k), row(pivot, n, k), row(epsilon, n, k));
            for ((z, &t), ((&s, &pivot), &epsilon)) in
                z[first..first + n].iter_mut().zip(&*t).zip(s.iter().zip(pivot).zip(epsilon))
            {
                *z = s * (epsilon - t * (s + pivot));
            }
        }
    }

    /// Adds the way back from ẑ, in columns `first..first + n` of rows of `width`, to `s∘ŝ`, K×n. `t` and `t_hat` hold n numbers of scratch.
    ///
    /// ```text
    /// t̂ = −Σ ẑ s (s + e_c)       ŝ = ẑ∘(ε − t (2s + e_c)) + t̂ (ε − t e_c)/(1 + s_c)
    /// ```
    #[inline(always)]
    pub(super) fn back(
        self,
        epsilon: &[T],
        [t, t_hat]: [&mut [T]; 2],
        z_hat: &[T],
        (width, first): (usize, usize),
        s_s_hat: &mut [T],
    ) {
        let Self { n, s, pivot, inverse } = self;
        t.fill(T::ZERO);
        t_hat.fill(T::ZERO);
        for (k, z_hat) in z_hat.chunks_exact(width).enumerate() {
            let (s, pivot, epsilon) = (row(s, n, k), row(pivot, n, k), row(epsilon, n, k));
            let sums = t.iter_mut().zip(&mut *t_hat).zip(&z_hat[first..first + n]);
            for (((t, t_hat), &z_hat), ((&s, &pivot), &epsilon)) in sums.zip(s.iter().zip(pivot).zip(epsilon)) {
                *t += s * epsilon;
                *t_hat -= z_hat * s * (s + pivot);
            }
        }
        for ((t, t_hat), &inverse) in t.iter_mut().zip(&mut *t_hat).zip(inverse) {
            *t *= inverse;
            *t_hat *= inverse;
        }
        for (k, z_hat) in z_hat.chunks_exact(width).enumerate() {
            let (s, pivot, epsilon) = (row(s, n, k), row(pivot, n, k), row(epsilon, n, k));
            let sums = t.iter().zip(&*t_hat).zip(&z_hat[first..first + n]);
            let out = row_mut(s_s_hat, n, k);
            for ((out, ((&t, &t_hat), &z_hat)), ((&s, &pivot), &epsilon)) in
                out.iter_mut().zip(sums).zip(s.iter().zip(pivot).zip(epsilon))
            {
                *out += s * (z_hat * (epsilon - t * (s + s + pivot)) + t_hat * (epsilon - t * pivot));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use std::vec;
    use std::vec::Vec;

    const CLASSES: usize = 4;

    /// Two samples, one of them nearly certain.
    fn logits() -> Vec<[f64; 2]> {
        vec![[0.3, -9.0], [1.1, 4.0], [-0.4, -3.0], [0.2, 1.0]]
    }

    fn probabilities(logits: &[[f64; 2]]) -> Vec<f64> {
        let sums = [0, 1].map(|i| logits.iter().map(|z| z[i].exp()).sum::<f64>());
        logits.iter().flat_map(|z| [z[0].exp() / sums[0], z[1].exp() / sums[1]]).collect()
    }

    fn pivot() -> Vec<f64> {
        (0..CLASSES).flat_map(|k| [f64::from(k == 1); 2]).collect()
    }

    fn vectors(p: &[f64], epsilon: &[f64]) -> Vec<f64> {
        let s: Vec<f64> = p.iter().map(|p| p.sqrt()).collect();
        let inverse = [1.0 / (1.0 + s[2]), 1.0 / (1.0 + s[3])];
        let roots = Roots { n: 2, s: &s, pivot: &pivot(), inverse: &inverse };
        let (mut z, mut t) = (vec![0.0; 2 * CLASSES], vec![0.0; 2]);
        roots.write(epsilon, &mut t, &mut z, 2, 0);
        z
    }

    #[test]
    fn unit_vectors_give_the_covariance() {
        let p = probabilities(&logits());
        let mut sum = [[[0.0; 2]; CLASSES]; CLASSES];
        for index in 0..CLASSES - 1 {
            let mut epsilon = vec![0.0; 2 * CLASSES];
            write_signs(Signs::Unit { index }, CLASSES, 0..2, &pivot(), &mut epsilon);
            let z = vectors(&p, &epsilon);
            for k in 0..CLASSES {
                for l in 0..CLASSES {
                    for i in 0..2 {
                        sum[k][l][i] += z[2 * k + i] * z[2 * l + i];
                    }
                }
            }
        }
        for k in 0..CLASSES {
            for l in 0..CLASSES {
                for i in 0..2 {
                    let expected = p[2 * k + i] * (f64::from(k == l) - p[2 * l + i]);
                    assert!((sum[k][l][i] - expected).abs() <= 1e-15, "{k} {l} {i}: {} {expected}", sum[k][l][i]);
                }
            }
        }
    }

    #[test]
    fn all_signs_give_the_covariance_in_the_mean() {
        let p = probabilities(&logits());
        let mut mean = [[[0.0; 2]; CLASSES]; CLASSES];
        for pattern in 0..8u32 {
            let sign = |bit: u32| f64::from(pattern >> bit & 1) * 2.0 - 1.0;
            let epsilon = [sign(0), sign(0), 0.0, 0.0, sign(1), sign(1), sign(2), sign(2)];
            let z = vectors(&p, &epsilon);
            for k in 0..CLASSES {
                for l in 0..CLASSES {
                    for i in 0..2 {
                        mean[k][l][i] += z[2 * k + i] * z[2 * l + i] / 8.0;
                    }
                }
            }
        }
        for k in 0..CLASSES {
            for l in 0..CLASSES {
                for i in 0..2 {
                    let expected = p[2 * k + i] * (f64::from(k == l) - p[2 * l + i]);
                    assert!((mean[k][l][i] - expected).abs() <= 1e-15, "{k} {l} {i}");
                }
            }
        }
    }

    #[test]
    fn random_signs_are_signs_but_at_the_pivot_and_differ_between_sketches() {
        let random = Random::new(1, 2, Stream::Signs);
        let classes = 130;
        let mut pivot = vec![0.0f64; 2 * classes];
        (pivot[2 * 3], pivot[2 * 70 + 1]) = (1.0, 1.0);
        let mut epsilon = [vec![0.0f64; 2 * classes], vec![0.0; 2 * classes]];
        for (second, epsilon) in [false, true].into_iter().zip(&mut epsilon) {
            write_signs(Signs::Random { random, second }, classes, [4, 9].into_iter(), &pivot, epsilon);
            assert!(epsilon.iter().zip(&pivot).all(|(epsilon, pivot)| epsilon.abs() == 1.0 - pivot));
            // Both samples and all words of signs: six standard deviations.
            assert!(epsilon.iter().sum::<f64>().abs() <= 6.0 * (2.0 * classes as f64).sqrt());
        }
        assert_ne!(epsilon[0], epsilon[1]);
        let column = |i: usize| epsilon[0].iter().skip(i).step_by(2).copied().collect::<Vec<_>>();
        assert_ne!(column(0), column(1));
    }

    #[test]
    fn the_way_back_is_the_derivative() {
        let epsilon = [1.0, -1.0, 0.0, 0.0, -1.0, -1.0, 1.0, -1.0];
        let z_hat: Vec<f64> = (0..2 * CLASSES).map(|i| (1.3 * i as f64 + 0.2).sin()).collect();
        let p = probabilities(&logits());
        let s: Vec<f64> = p.iter().map(|p| p.sqrt()).collect();
        let inverse = [1.0 / (1.0 + s[2]), 1.0 / (1.0 + s[3])];
        let roots = Roots { n: 2, s: &s, pivot: &pivot(), inverse: &inverse };
        let mut out = vec![0.0; 2 * CLASSES];
        let (mut t, mut t_hat) = (vec![0.0; 2], vec![0.0; 2]);
        roots.back(&epsilon, [&mut t, &mut t_hat], &z_hat, (2, 0), &mut out);
        for at in 0..2 * CLASSES {
            let moved = |step: f64| {
                let mut p = p.clone();
                p[at] *= step.exp();
                vectors(&p, &epsilon).iter().zip(&z_hat).map(|(z, hat)| z * hat).sum::<f64>()
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - out[at] / 2.0).abs() <= 1e-9, "{at}: {slope} {}", out[at] / 2.0);
        }
    }
}
