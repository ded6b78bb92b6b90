//! Vectors ξ with `𝔼 ξ ξᵀ = S`, or `Σ ξ ξᵀ = S`, and their derivatives.
//!
//! With `1_top` the unit vector of the most probable class, the reflection `I − (√p + 1_top)(√p + 1_top)ᵀ/(1 + √p_top)` maps `1_top` to
//! `−√p`. So its other columns are an orthonormal basis of the vectors orthogonal to √p. As `S = diag(√p)(I − √p √pᵀ)diag(√p)`, S is the
//! sum of `ξ ξᵀ` over the vectors `ξ = √p ∘ column`. A sum of these, with factors `sign` of the classes and `sign_top = 0`, is
//!
//! ```text
//! ξ = √p ∘ ( sign − shift (√p + 1_top) )         shift = (√p·sign)/(1 + √p_top)
//! ```
//!
//! Independent signs give `𝔼 ξ ξᵀ = S` with one vector; the unit vectors of the other classes give S itself with K − 1. With the signs
//! and the most probable class held fixed, ξ is a smooth function of p. Its derivative is taken with respect to log p, `√p∘(√p)^/2`: a
//! derivative with respect to p would be divided by √p, which is nearly zero where the network is certain.
//!
//! Everything here is class-major: K rows with one column for each sample, or for each vector; the vectors of all samples, one draw after
//! the other.
//!
//! **Loop order.** Registers of samples; draws; classes. What follows from p alone is computed once for all vectors of a sample.

use core::ops::Range;

use crate::random::Random;
use crate::simd::{Element, Lanes, Simd};
use crate::workspace::{Arena, buffers};

/// The signs of every vector.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signs {
    /// Independent signs.
    Random(Random),
    /// The unit vectors of all classes but the most probable one: the first vector of each sample, then the second of each …
    Units,
}

/// Vectors whose signs for a class are the bits of one word.
const WORD: usize = 64;

/// Writes independent signs of `columns` vectors, K×columns.
#[inline(always)]
fn write_signs<T: Element>(random: Random, columns: usize, sign: &mut [T]) {
    let mut index = 0;
    for class in sign.chunks_mut(columns) {
        for signs in class.chunks_mut(WORD) {
            spread_bits(random.word(index), signs);
            index += 1;
        }
    }
}

/// The bits of a word as +1 and −1.
#[inline(always)]
fn spread_bits<T: Element>(word: u64, signs: &mut [T]) {
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

/// Writes the unit vectors, K×columns, given the most probable classes, K×samples.
fn write_units<T: Element>(samples: usize, columns: usize, pivot: &[T], sign: &mut [T]) {
    sign.fill(T::ZERO);
    for column in 0..columns {
        let (sample, wanted) = (column % samples, column / samples);
        let mut others = 0;
        for (pivot, sign) in pivot.chunks(samples).zip(sign.chunks_mut(columns)) {
            if pivot[sample] == T::ZERO {
                if others == wanted {
                    sign[column] = T::ONE;
                }
                others += 1;
            }
        }
    }
}

/// A register of a row, the last one partial.
#[inline(always)]
pub(super) fn get<V: Lanes>(simd: V::Simd, row: &[V::Scalar]) -> V {
    V::load_first(simd, row, row.len())
}

/// Writes a register to a row, the last one partial.
#[inline(always)]
pub(super) fn put<V: Lanes>(value: V, row: &mut [V::Scalar]) {
    value.store_first(row, row.len());
}

/// A row, a register at a time.
#[inline(always)]
pub(super) fn registers<T: Element, S: Simd>(len: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    let lanes = T::Lanes::<S>::LANES;
    (0..len).step_by(lanes).map(move |start| start..len.min(start + lanes))
}

buffers! {
    /// What the vectors are made of, class-major.
    pub(super) struct Buffers(samples: usize, draws: usize, classes: usize) where {
        let columns = samples.saturating_mul(draws);
    } {
        /// p of each sample, K×samples: the input.
        p: [classes, samples],
        /// √p.
        root: [classes, samples],
        /// 1_top.
        pivot: [classes, samples],
        /// 1/(1 + √p_top).
        inverse: [samples],
        /// The signs of each vector, 0 at the most probable class, K×columns.
        sign: [classes, columns],
        /// shift of each vector.
        shift: [columns],
    }
}

/// The vectors of all samples, and what they are made of.
#[derive(Debug)]
pub(super) struct Roots<'w, T> {
    samples: usize,
    /// Number of vectors.
    columns: usize,
    classes: usize,
    pub buffers: Buffers<'w, T>,
}

/// Elements that [`Roots::new`] takes.
pub(super) const fn elements(samples: usize, draws: usize, classes: usize) -> u64 {
    Buffers::elements(samples, draws, classes)
}

impl<'w, T: Element> Roots<'w, T> {
    /// Takes the buffers, for so many vectors of each sample. The caller writes p.
    pub(super) fn new(samples: usize, draws: usize, classes: usize, arena: &mut Arena<'w, T>) -> Self {
        Self { samples, columns: samples * draws, classes, buffers: Buffers::cut(samples, draws, classes, arena) }
    }

    /// Computes what follows from p alone, and draws the signs.
    #[inline(always)]
    pub(super) fn prepare<S: Simd>(&mut self, simd: S, signs: Signs) {
        let Self { samples: n, columns, classes, .. } = *self;
        let Buffers { p, root, pivot, inverse, sign, .. } = &mut self.buffers;
        let [zero, one] = [T::ZERO, T::ONE].map(|x| T::Lanes::<S>::splat(simd, x));
        for samples in registers::<T, S>(n) {
            let at = |class: usize| class * n + samples.start..class * n + samples.end;
            let mut largest = zero;
            for class in 0..classes {
                largest = largest.max(get(simd, &p[at(class)]));
            }
            // Of several largest classes the first one.
            let mut before = zero;
            for class in 0..classes {
                let p: T::Lanes<S> = get(simd, &p[at(class)]);
                let first = T::Lanes::<S>::select(before.lt(p), one, zero);
                put(T::Lanes::<S>::select(p.eq(largest), first, zero), &mut pivot[at(class)]);
                put(p.sqrt(), &mut root[at(class)]);
                before = before.max(p);
            }
            put(one / (one + largest.sqrt()), &mut inverse[samples]);
        }
        match signs {
            Signs::Random(random) => write_signs(random, columns, sign),
            Signs::Units => write_units(n, columns, pivot, sign),
        }
    }

    /// Writes ξ into the first columns of rows of `width`.
    #[inline(always)]
    pub(super) fn write<S: Simd>(&mut self, simd: S, xi: &mut [T], width: usize) {
        let Self { samples: n, columns, classes, .. } = *self;
        let Buffers { root, pivot, inverse, sign, shift, .. } = &mut self.buffers;
        let one = T::Lanes::<S>::splat(simd, T::ONE);
        for samples in registers::<T, S>(n) {
            let at = |first: usize| first + samples.start..first + samples.end;
            for draw in (0..columns).step_by(n) {
                let mut sum = T::Lanes::<S>::zero(simd);
                for class in 0..classes {
                    let (root, pivot): (T::Lanes<S>, T::Lanes<S>) =
                        (get(simd, &root[at(class * n)]), get(simd, &pivot[at(class * n)]));
                    let sign = &mut sign[at(class * columns + draw)];
                    let others = (one - pivot) * get(simd, sign);
                    sum = root.mul_add(others, sum);
                    put(others, sign);
                }
                let sum = sum * get(simd, &inverse[samples.clone()]);
                put(sum, &mut shift[at(draw)]);
                for class in 0..classes {
                    let (root, pivot): (T::Lanes<S>, T::Lanes<S>) =
                        (get(simd, &root[at(class * n)]), get(simd, &pivot[at(class * n)]));
                    let sign = get(simd, &sign[at(class * columns + draw)]);
                    put(root * sum.neg_mul_add(root + pivot, sign), &mut xi[at(class * width + draw)]);
                }
            }
        }
    }

    /// From ξ̂, in the first columns of rows of `width`, `√p∘(√p)^` of a register of samples, K×samples; the sum over their vectors.
    ///
    /// ```text
    /// (shift)^ = −Σ ξ̂ √p (√p + 1_top)
    /// (√p)^ = ξ̂∘(sign − shift (2√p + 1_top)) + (shift)^ (sign − shift 1_top)/(1 + √p_top)
    /// ```
    #[inline(always)]
    pub(super) fn back<S: Simd>(&self, simd: S, samples: &Range<usize>, xi_hat: &[T], width: usize, out: &mut [T]) {
        let Self { samples: n, columns, classes, .. } = *self;
        let Buffers { root, pivot, inverse, sign, shift, .. } = &self.buffers;
        let (root, pivot, sign) = (&**root, &**pivot, &**sign);
        let zero = T::Lanes::<S>::zero(simd);
        let inverse: T::Lanes<S> = get(simd, &inverse[samples.clone()]);
        let at = |first: usize| first + samples.start..first + samples.end;
        for draw in (0..columns).step_by(n) {
            let shift: T::Lanes<S> = get(simd, &shift[at(draw)]);
            let mut shift_hat = zero;
            for class in 0..classes {
                let (root, pivot): (T::Lanes<S>, T::Lanes<S>) =
                    (get(simd, &root[at(class * n)]), get(simd, &pivot[at(class * n)]));
                let xi_hat = get(simd, &xi_hat[at(class * width + draw)]);
                shift_hat = (root * xi_hat).neg_mul_add(root + pivot, shift_hat);
            }
            let shift_hat = shift_hat * inverse;
            for class in 0..classes {
                let (root, pivot): (T::Lanes<S>, T::Lanes<S>) =
                    (get(simd, &root[at(class * n)]), get(simd, &pivot[at(class * n)]));
                let xi_hat: T::Lanes<S> = get(simd, &xi_hat[at(class * width + draw)]);
                let sign: T::Lanes<S> = get(simd, &sign[at(class * columns + draw)]);
                let direct = xi_hat * shift.neg_mul_add(root + root + pivot, sign);
                let root_hat = shift_hat.mul_add(shift.neg_mul_add(pivot, sign), direct);
                let out = &mut out[at(class * n)];
                let sum = if draw == 0 { zero } else { get(simd, out) };
                put(root.mul_add(root_hat, sum), out);
            }
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

    /// Runs with so many vectors for each column of these probabilities.
    fn with_roots<O>(p: &[f64], draws: usize, signs: Signs, run: impl FnOnce(&mut Roots<'_, f64>) -> O) -> O {
        let samples = p.len() / CLASSES;
        let mut memory = vec![f64::NAN; elements(samples, draws, CLASSES) as usize];
        let mut roots = Roots::new(samples, draws, CLASSES, &mut Arena::new(&mut memory));
        roots.buffers.p.copy_from_slice(p);
        roots.prepare(Scalar::new(), signs);
        run(&mut roots)
    }

    /// ξ, K×columns.
    fn written(roots: &mut Roots<'_, f64>) -> Vec<f64> {
        let mut xi = vec![0.0; CLASSES * roots.columns];
        roots.write(Scalar::new(), &mut xi, roots.columns);
        xi
    }

    /// ξ of these probabilities.
    fn vectors(p: &[f64], draws: usize, signs: Signs) -> Vec<f64> {
        with_roots(p, draws, signs, written)
    }

    /// Whether the mean, or the sum, of ξ ξᵀ over the draws, two columns each, is the covariance.
    fn check_covariance(p: &[f64], xi: &[f64], draws: usize, divisor: f64) {
        let at = |class: usize, draw: usize, i: usize| xi[2 * draws * class + 2 * draw + i];
        for k in 0..CLASSES {
            for l in 0..CLASSES {
                for i in 0..2 {
                    let sum: f64 = (0..draws).map(|draw| at(k, draw, i) * at(l, draw, i)).sum();
                    let expected = p[2 * k + i] * (f64::from(k == l) - p[2 * l + i]);
                    assert!((sum / divisor - expected).abs() <= 1e-15, "{k} {l} {i}: {} {expected}", sum / divisor);
                }
            }
        }
    }

    #[test]
    fn unit_vectors_give_the_covariance() {
        let (p, draws) = (probabilities(&logits()), CLASSES - 1);
        check_covariance(&p, &vectors(&p, draws, Signs::Units), draws, 1.0);
    }

    /// Eight patterns of signs, two columns each, in place of random ones.
    #[test]
    fn all_signs_give_the_covariance_in_the_mean() {
        const PATTERNS: usize = 8;
        let p = probabilities(&logits());
        let signs = Signs::Random(Random::new(1, 2, Stream::Signs));
        let xi = with_roots(&p, PATTERNS, signs, |roots| {
            assert_eq!(roots.buffers.pivot, (0..CLASSES).flat_map(|k| [f64::from(k == 1); 2]).collect::<Vec<_>>());
            for (class, bit) in [(0, 0), (2, 1), (3, 2)] {
                for pattern in 0..PATTERNS {
                    roots.buffers.sign[2 * (PATTERNS * class + pattern)..][..2]
                        .fill(f64::from((pattern >> bit & 1) as u8) * 2.0 - 1.0);
                }
            }
            written(roots)
        });
        check_covariance(&p, &xi, PATTERNS, PATTERNS as f64);
    }

    #[test]
    fn random_signs_are_signs_but_at_the_pivot_and_independent() {
        let random = Random::new(1, 2, Stream::Signs);
        let (samples, draws) = (75, 2);
        let columns = draws * samples;
        let p: Vec<f64> = (0..CLASSES * samples).map(|i| 1.0 + (i * i % 11) as f64).collect();
        let largest = |column: usize| {
            let p = |class: usize| p[class * samples + column % samples];
            (0..CLASSES).fold(0, |a, b| if p(b) > p(a) { b } else { a })
        };
        let sign = with_roots(&p, draws, Signs::Random(random), |roots| {
            written(roots);
            roots.buffers.sign.to_vec()
        });
        for (at, sign) in sign.iter().enumerate() {
            assert_eq!(sign.abs(), f64::from(at / columns != largest(at % columns)), "{at}");
        }
        // Six standard deviations. Neighbours in a row and in a column are as often alike as not.
        let bound = 6.0 * ((CLASSES * columns) as f64).sqrt();
        assert!(sign.iter().sum::<f64>().abs() <= bound);
        for distance in [1, 64, columns] {
            let alike = sign.iter().zip(&sign[distance..]).map(|(a, b)| a * b).sum::<f64>();
            assert!(alike.abs() <= bound, "{distance}: {alike}");
        }
    }

    #[test]
    fn the_way_back_is_the_derivative() {
        let signs = Signs::Random(Random::new(3, 0, Stream::Signs));
        let (samples, draws) = (2, 3);
        let columns = draws * samples;
        let xi_hat: Vec<f64> = (0..columns * CLASSES).map(|i| (1.3 * i as f64 + 0.2).sin()).collect();
        let p = probabilities(&logits());
        let mut out = vec![f64::NAN; samples * CLASSES];
        with_roots(&p, draws, signs, |roots| {
            written(roots);
            for sample in registers::<f64, Scalar>(samples) {
                roots.back(Scalar::new(), &sample, &xi_hat, columns, &mut out);
            }
        });
        for at in 0..samples * CLASSES {
            let moved = |step: f64| {
                let mut p = p.clone();
                p[at] *= step.exp();
                vectors(&p, draws, signs).iter().zip(&xi_hat).map(|(xi, hat)| xi * hat).sum::<f64>()
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - out[at] / 2.0).abs() <= 1e-9, "{at}: {slope} {}", out[at] / 2.0);
        }
    }
}
