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

use core::ops::Range;

use crate::random::Random;
use crate::real::Real;
use crate::simd::{Lanes, Simd};

/// ε of every sample.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signs {
    /// Independent signs: those of a sample's first or second sketch.
    Random { random: Random, second: bool },
    /// The unit vector of the `index`-th class other than c.
    Unit { index: usize },
}

/// Samples whose signs are the bits of one word.
const WORD: usize = 64;

impl Signs {
    /// Writes ε, K×n, of samples whose most probable classes are `pivots`.
    ///
    /// Signs belong to a class and a place among the kept samples, which are chosen independently of them.
    #[inline(always)]
    pub(super) fn write<T: Real>(self, pivots: &[u32], epsilon: &mut [T]) {
        let n = pivots.len();
        match self {
            Self::Random { random, second } => {
                let words = n.div_ceil(WORD) as u64;
                let mut index = u64::from(second) * (epsilon.len() / n) as u64 * words;
                for class in epsilon.chunks_exact_mut(n) {
                    for signs in class.chunks_mut(WORD) {
                        write_signs(random.word(index), signs);
                        index += 1;
                    }
                }
                for (i, &pivot) in pivots.iter().enumerate() {
                    epsilon[pivot as usize * n + i] = T::ZERO;
                }
            }
            Self::Unit { index } => {
                epsilon.fill(T::ZERO);
                for (i, &pivot) in pivots.iter().enumerate() {
                    let class = if index < pivot as usize { index } else { index + 1 };
                    epsilon[class * n + i] = T::ONE;
                }
            }
        }
    }
}

/// The bits of a word as +1 and −1.
#[inline(always)]
fn write_signs<T: Real>(word: u64, signs: &mut [T]) {
    const BYTE: usize = 8;
    let sign = |bits: u64, bit: usize| if bits >> bit & 1 == 1 { T::ONE } else { -T::ONE };
    let (bytes, rest) = signs.as_chunks_mut::<BYTE>();
    let whole = BYTE * bytes.len();
    for (at, signs) in bytes.iter_mut().enumerate() {
        let bits = word >> (BYTE * at) & 0xFF;
        *signs = core::array::from_fn(|bit| sign(bits, bit));
    }
    for (bit, entry) in rest.iter_mut().enumerate() {
        *entry = sign(word, whole + bit);
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

/// A register of a row of samples, the last one partial.
#[inline(always)]
pub(super) fn get<V: Lanes>(simd: V::Simd, row: &[V::Scalar]) -> V {
    if row.len() == V::LANES { V::load(simd, row) } else { V::load_partial(simd, row) }
}

/// Writes a register to a row of samples, the last one partial.
#[inline(always)]
pub(super) fn put<V: Lanes>(value: V, row: &mut [V::Scalar]) {
    if row.len() == V::LANES { value.store(row) } else { value.store_partial(row) }
}

impl<T: Real> Roots<'_, T> {
    /// s, e_c and ε of a class, for a register of samples.
    #[inline(always)]
    fn class<S: Simd>(self, simd: S, epsilon: &[T], class: usize, samples: Range<usize>) -> [T::Lanes<S>; 3] {
        let at = class * self.n;
        let place = at + samples.start..at + samples.end;
        [get(simd, &self.s[place.clone()]), get(simd, &self.pivot[place.clone()]), get(simd, &epsilon[place])]
    }

    /// t of a register of samples.
    #[inline(always)]
    fn t<S: Simd>(self, simd: S, epsilon: &[T], samples: Range<usize>) -> T::Lanes<S> {
        let mut t = T::Lanes::<S>::zero(simd);
        for class in 0..self.s.len() / self.n {
            let [s, _, epsilon] = self.class(simd, epsilon, class, samples.clone());
            t = s.mul_add(epsilon, t);
        }
        t * get(simd, &self.inverse[samples])
    }

    /// Writes z of a register of samples into columns `first + samples` of rows of `width`.
    #[inline(always)]
    pub(super) fn write<S: Simd>(
        self,
        simd: S,
        epsilon: &[T],
        samples: Range<usize>,
        z: &mut [T],
        (width, first): (usize, usize),
    ) {
        let t = self.t(simd, epsilon, samples.clone());
        for (class, z) in z.chunks_exact_mut(width).enumerate() {
            let [s, pivot, epsilon] = self.class(simd, epsilon, class, samples.clone());
            put(s * t.neg_mul_add(s + pivot, epsilon), &mut z[first + samples.start..first + samples.end]);
        }
    }

    /// Adds the way back from ẑ, in columns `first + samples` of rows of `width`, to `s∘ŝ`, K×n.
    ///
    /// ```text
    /// t̂ = −Σ ẑ s (s + e_c)       ŝ = ẑ∘(ε − t (2s + e_c)) + t̂ (ε − t e_c)/(1 + s_c)
    /// ```
    #[inline(always)]
    pub(super) fn back<S: Simd>(
        self,
        simd: S,
        epsilon: &[T],
        samples: Range<usize>,
        z_hat: &[T],
        (width, first): (usize, usize),
        s_s_hat: &mut [T],
    ) {
        let t = self.t(simd, epsilon, samples.clone());
        let place = first + samples.start..first + samples.end;
        let mut t_hat = T::Lanes::<S>::zero(simd);
        for (class, z_hat) in z_hat.chunks_exact(width).enumerate() {
            let [s, pivot, _] = self.class(simd, epsilon, class, samples.clone());
            t_hat = (get::<T::Lanes<S>>(simd, &z_hat[place.clone()]) * s).neg_mul_add(s + pivot, t_hat);
        }
        let t_hat = t_hat * get(simd, &self.inverse[samples.clone()]);
        for (class, (z_hat, out)) in z_hat.chunks_exact(width).zip(s_s_hat.chunks_exact_mut(self.n)).enumerate() {
            let [s, pivot, epsilon] = self.class(simd, epsilon, class, samples.clone());
            let (z_hat, out) = (get::<T::Lanes<S>>(simd, &z_hat[place.clone()]), &mut out[samples.clone()]);
            let direct = z_hat * t.neg_mul_add(s + s + pivot, epsilon);
            let s_hat = t_hat.mul_add(t.neg_mul_add(pivot, epsilon), direct);
            put(s.mul_add(s_hat, get(simd, out)), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use crate::simd::Scalar;
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
        let mut z = vec![0.0; 2 * CLASSES];
        for i in 0..2 {
            roots.write(Scalar::new(), epsilon, i..i + 1, &mut z, (2, 0));
        }
        z
    }

    #[test]
    fn unit_vectors_give_the_covariance() {
        let p = probabilities(&logits());
        let mut sum = [[[0.0; 2]; CLASSES]; CLASSES];
        for index in 0..CLASSES - 1 {
            let mut epsilon = vec![0.0; 2 * CLASSES];
            Signs::Unit { index }.write(&[1, 1], &mut epsilon);
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
        let (classes, n) = (5, 150);
        let pivots: Vec<u32> = (0..n as u32).map(|i| i * 7 % 5).collect();
        let mut epsilon = [vec![0.5f64; classes * n], vec![0.5; classes * n]];
        for (second, epsilon) in [false, true].into_iter().zip(&mut epsilon) {
            Signs::Random { random, second }.write(&pivots, epsilon);
            for (at, epsilon) in epsilon.iter().enumerate() {
                let is_pivot = at / n == pivots[at % n] as usize;
                assert_eq!(epsilon.abs(), f64::from(!is_pivot));
            }
            // Six standard deviations.
            assert!(epsilon.iter().sum::<f64>().abs() <= 6.0 * ((classes * n) as f64).sqrt());
        }
        let agree = epsilon[0].iter().zip(&epsilon[1]).map(|(a, b)| a * b).sum::<f64>();
        assert!(agree.abs() <= 6.0 * ((classes * n) as f64).sqrt());
        let class = |k: usize| &epsilon[0][k * n..][..n];
        assert_ne!(class(0), class(1));
        assert_ne!(class(0)[..64], class(0)[64..128]);
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
        for i in 0..2 {
            roots.back(Scalar::new(), &epsilon, i..i + 1, &z_hat, (2, 0), &mut out);
        }
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
