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
//! Everything here is class-major: K rows with one column for each vector. Loops run over the vectors of all samples, one draw after the
//! other, so registers are full even where few samples are kept.

use core::ops::Range;

use crate::random::Random;
use crate::simd::{Element, Lanes, Simd};
use crate::workspace::{Arena, buffers};

/// The signs of every vector.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signs {
    /// Independent signs.
    Random(Random),
    /// The unit vectors of all classes but the most probable one, for this number of samples: the first vector of each sample, then the
    /// second of each …
    Units { samples: usize },
}

/// Vectors whose signs for a class are the bits of one word.
const WORD: usize = 64;

/// Writes independent signs of `columns` vectors, K×columns.
#[inline(always)]
fn write_signs<T: Element>(random: Random, columns: usize, sign: &mut [T]) {
    let mut index = 0;
    for class in sign.chunks_exact_mut(columns) {
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

/// Writes the unit vectors, given the most probable classes.
fn write_units<T: Element>(samples: usize, columns: usize, pivot: &[T], sign: &mut [T]) {
    sign.fill(T::ZERO);
    for column in 0..columns {
        let (mut others, wanted) = (0, column / samples);
        for place in (column..pivot.len()).step_by(columns) {
            if pivot[place] == T::ZERO {
                if others == wanted {
                    sign[place] = T::ONE;
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
    struct Buffers(columns: usize, classes: usize) {
        p: [classes, columns],
        root: [classes, columns],
        pivot: [classes, columns],
        sign: [classes, columns],
        inverse: [columns],
        shift: [columns],
    }
}

/// What the vectors are made of, class-major.
#[derive(Debug)]
pub(super) struct Roots<'w, T> {
    /// Number of vectors.
    columns: usize,
    classes: usize,
    /// p of each vector's sample, K×columns: the input.
    pub p: &'w mut [T],
    /// √p.
    root: &'w mut [T],
    /// 1_top.
    pub pivot: &'w mut [T],
    sign: &'w mut [T],
    /// 1/(1 + √p_top), one for each vector.
    inverse: &'w mut [T],
    /// shift, one for each vector.
    shift: &'w mut [T],
}

/// Elements that [`Roots::new`] takes.
pub(super) const fn elements(columns: usize, classes: usize) -> u64 {
    Buffers::elements(columns, classes)
}

impl<'w, T: Element> Roots<'w, T> {
    /// Takes the buffers. The caller writes p.
    pub(super) fn new(columns: usize, classes: usize, arena: &mut Arena<'w, T>) -> Self {
        let Buffers { p, root, pivot, sign, inverse, shift } = Buffers::cut(columns, classes, arena);
        Self { columns, classes, p, root, pivot, sign, inverse, shift }
    }

    /// The places of a register of vectors in each class, in rows of `width`.
    #[inline(always)]
    fn places(&self, vectors: &Range<usize>, width: usize) -> impl Iterator<Item = Range<usize>> + use<T> {
        let Range { start, end } = *vectors;
        (0..self.classes).map(move |class| class * width + start..class * width + end)
    }

    /// Computes everything that follows from p.
    #[inline(always)]
    pub(super) fn prepare<S: Simd>(&mut self, simd: S, signs: Signs) {
        let columns = self.columns;
        let [zero, one] = [T::ZERO, T::ONE].map(|x| T::Lanes::<S>::splat(simd, x));
        for vectors in registers::<T, S>(columns) {
            let mut largest = zero;
            for place in self.places(&vectors, columns) {
                largest = largest.max(get(simd, &self.p[place]));
            }
            // Of several largest classes the first one.
            let mut open = one;
            for place in self.places(&vectors, columns) {
                let p: T::Lanes<S> = get(simd, &self.p[place.clone()]);
                let pivot = T::Lanes::<S>::select(p.eq(largest), open, zero);
                open = open - pivot;
                put(pivot, &mut self.pivot[place.clone()]);
                put(p.sqrt(), &mut self.root[place]);
            }
            put(one / (one + largest.sqrt()), &mut self.inverse[vectors]);
        }
        match signs {
            Signs::Random(random) => write_signs(random, columns, self.sign),
            Signs::Units { samples } => write_units(samples, columns, self.pivot, self.sign),
        }
        for vectors in registers::<T, S>(columns) {
            let mut shift = zero;
            for place in self.places(&vectors, columns) {
                let (root, pivot) =
                    (get::<T::Lanes<S>>(simd, &self.root[place.clone()]), get(simd, &self.pivot[place.clone()]));
                let sign = (one - pivot) * get(simd, &self.sign[place.clone()]);
                shift = root.mul_add(sign, shift);
                put(sign, &mut self.sign[place]);
            }
            put(shift * get(simd, &self.inverse[vectors.clone()]), &mut self.shift[vectors]);
        }
    }

    /// Writes ξ into the first columns of rows of `width`.
    #[inline(always)]
    pub(super) fn write<S: Simd>(&self, simd: S, xi: &mut [T], width: usize) {
        for vectors in registers::<T, S>(self.columns) {
            let shift: T::Lanes<S> = get(simd, &self.shift[vectors.clone()]);
            for (place, out) in self.places(&vectors, self.columns).zip(self.places(&vectors, width)) {
                let root: T::Lanes<S> = get(simd, &self.root[place.clone()]);
                let pivot = get(simd, &self.pivot[place.clone()]);
                put(root * shift.neg_mul_add(root + pivot, get(simd, &self.sign[place])), &mut xi[out]);
            }
        }
    }

    /// Turns ξ̂, in the first columns of rows of `width`, into `√p∘(√p)^`.
    ///
    /// ```text
    /// (shift)^ = −Σ ξ̂ √p (√p + 1_top)
    /// (√p)^ = ξ̂∘(sign − shift (2√p + 1_top)) + (shift)^ (sign − shift 1_top)/(1 + √p_top)
    /// ```
    #[inline(always)]
    pub(super) fn back<S: Simd>(&self, simd: S, xi_hat: &mut [T], width: usize) {
        let columns = self.columns;
        for vectors in registers::<T, S>(columns) {
            let shift: T::Lanes<S> = get(simd, &self.shift[vectors.clone()]);
            let mut shift_hat = T::Lanes::<S>::zero(simd);
            for (place, hat) in self.places(&vectors, columns).zip(self.places(&vectors, width)) {
                let root: T::Lanes<S> = get(simd, &self.root[place.clone()]);
                let pivot = get(simd, &self.pivot[place]);
                shift_hat = (root * get(simd, &xi_hat[hat])).neg_mul_add(root + pivot, shift_hat);
            }
            let shift_hat = shift_hat * get(simd, &self.inverse[vectors.clone()]);
            for (place, hat) in self.places(&vectors, columns).zip(self.places(&vectors, width)) {
                let root: T::Lanes<S> = get(simd, &self.root[place.clone()]);
                let pivot: T::Lanes<S> = get(simd, &self.pivot[place.clone()]);
                let sign: T::Lanes<S> = get(simd, &self.sign[place]);
                let direct =
                    get::<T::Lanes<S>>(simd, &xi_hat[hat.clone()]) * shift.neg_mul_add(root + root + pivot, sign);
                put(root * shift_hat.mul_add(shift.neg_mul_add(pivot, sign), direct), &mut xi_hat[hat]);
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

    /// Runs with the vectors of these probabilities, K×columns.
    fn with_roots<O>(p: &[f64], signs: Signs, run: impl FnOnce(&mut Roots<'_, f64>) -> O) -> O {
        let columns = p.len() / CLASSES;
        let mut memory = vec![f64::NAN; elements(columns, CLASSES) as usize];
        let mut roots = Roots::new(columns, CLASSES, &mut Arena::new(&mut memory));
        roots.p.copy_from_slice(p);
        roots.prepare(Scalar::new(), signs);
        run(&mut roots)
    }

    /// ξ of these probabilities.
    fn vectors(p: &[f64], signs: Signs) -> Vec<f64> {
        with_roots(p, signs, |roots| {
            let mut xi = vec![0.0; p.len()];
            roots.write(Scalar::new(), &mut xi, p.len() / CLASSES);
            xi
        })
    }

    /// p once for each of `draws`.
    fn repeated(p: &[f64], draws: usize) -> Vec<f64> {
        p.chunks(2).flat_map(|p| p.repeat(draws)).collect()
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
        let xi = vectors(&repeated(&p, draws), Signs::Units { samples: 2 });
        check_covariance(&p, &xi, draws, 1.0);
    }

    /// Eight patterns of signs, two columns each, in place of random ones.
    #[test]
    fn all_signs_give_the_covariance_in_the_mean() {
        const PATTERNS: usize = 8;
        let p = probabilities(&logits());
        let signs = Signs::Random(Random::new(1, 2, Stream::Signs));
        let xi = with_roots(&repeated(&p, PATTERNS), signs, |roots| {
            assert_eq!(roots.pivot, (0..CLASSES).flat_map(|k| [f64::from(k == 1); 2 * PATTERNS]).collect::<Vec<_>>());
            for (class, bit) in [(0, 0), (2, 1), (3, 2)] {
                for pattern in 0..PATTERNS {
                    roots.sign[2 * (PATTERNS * class + pattern)..][..2]
                        .fill(f64::from((pattern >> bit & 1) as u8) * 2.0 - 1.0);
                }
            }
            for column in 0..2 * PATTERNS {
                let inner = (0..CLASSES).map(|k| 2 * PATTERNS * k + column).map(|at| roots.root[at] * roots.sign[at]);
                roots.shift[column] = inner.sum::<f64>() * roots.inverse[column];
            }
            let mut xi = vec![0.0; 2 * PATTERNS * CLASSES];
            roots.write(Scalar::new(), &mut xi, 2 * PATTERNS);
            xi
        });
        check_covariance(&p, &xi, PATTERNS, PATTERNS as f64);
    }

    #[test]
    fn random_signs_are_signs_but_at_the_pivot_and_independent() {
        let random = Random::new(1, 2, Stream::Signs);
        let columns = 150;
        let p: Vec<f64> = (0..CLASSES * columns).map(|i| 1.0 + (i * i % 11) as f64).collect();
        let largest = |column: usize| {
            (0..CLASSES).fold(0, |a, b| if p[b * columns + column] > p[a * columns + column] { b } else { a })
        };
        let sign = with_roots(&p, Signs::Random(random), |roots| roots.sign.to_vec());
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
        let xi_hat: Vec<f64> = (0..2 * CLASSES).map(|i| (1.3 * i as f64 + 0.2).sin()).collect();
        let p = probabilities(&logits());
        let mut out = xi_hat.clone();
        with_roots(&p, signs, |roots| roots.back(Scalar::new(), &mut out, 2));
        for at in 0..2 * CLASSES {
            let moved = |step: f64| {
                let mut p = p.clone();
                p[at] *= step.exp();
                vectors(&p, signs).iter().zip(&xi_hat).map(|(xi, hat)| xi * hat).sum::<f64>()
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - out[at] / 2.0).abs() <= 1e-9, "{at}: {slope} {}", out[at] / 2.0);
        }
    }
}
