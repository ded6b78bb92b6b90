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
//! Everything here is class-major, K rows of one column a vector, so that loops run over vectors: those of all samples, one draw after the
//! other, so that registers are full even where few samples are kept.

use core::ops::Range;

use crate::random::Random;
use crate::simd::{Element, Lanes, Simd};
use crate::workspace::{Arena, buffers};

/// ε of every vector.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signs {
    /// Independent signs.
    Random(Random),
    /// Of so many samples, the unit vectors of all classes other than c: the vectors of the first one, then of the second …
    Units { samples: usize },
}

/// Vectors whose signs for a class are the bits of one word.
const WORD: usize = 64;

/// Writes independent signs of `columns` vectors, K×columns.
#[inline(always)]
fn write_signs<T: Element>(random: Random, columns: usize, epsilon: &mut [T]) {
    let mut index = 0;
    for class in epsilon.chunks_exact_mut(columns) {
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

/// Writes the unit vectors, given which classes are the most probable ones.
fn write_units<T: Element>(samples: usize, columns: usize, pivot: &[T], epsilon: &mut [T]) {
    epsilon.fill(T::ZERO);
    for column in 0..columns {
        let (mut others, wanted) = (0, column / samples);
        for place in (column..pivot.len()).step_by(columns) {
            if pivot[place] == T::ZERO {
                if others == wanted {
                    epsilon[place] = T::ONE;
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
        s: [classes, columns],
        pivot: [classes, columns],
        epsilon: [classes, columns],
        inverse: [columns],
        t: [columns],
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
    s: &'w mut [T],
    /// e_c.
    pub pivot: &'w mut [T],
    epsilon: &'w mut [T],
    /// 1/(1 + s_c), one a vector.
    inverse: &'w mut [T],
    /// t, one a vector.
    t: &'w mut [T],
}

/// Elements that [`Roots::new`] takes.
pub(super) const fn elements(columns: usize, classes: usize) -> u64 {
    Buffers::elements(columns, classes)
}

impl<'w, T: Element> Roots<'w, T> {
    /// p is left to be written.
    pub(super) fn new(columns: usize, classes: usize, arena: &mut Arena<'w, T>) -> Self {
        let Buffers { p, s, pivot, epsilon, inverse, t } = Buffers::cut(columns, classes, arena);
        Self { columns, classes, p, s, pivot, epsilon, inverse, t }
    }

    /// The places of a register of vectors in each class, in rows of `width`.
    #[inline(always)]
    fn places(&self, vectors: &Range<usize>, width: usize) -> impl Iterator<Item = Range<usize>> + use<T> {
        let Range { start, end } = *vectors;
        (0..self.classes).map(move |class| class * width + start..class * width + end)
    }

    /// Everything that follows from p.
    #[inline(always)]
    pub(super) fn prepare<S: Simd>(&mut self, simd: S, signs: Signs) {
        let columns = self.columns;
        let [zero, one] = [T::ZERO, T::ONE].map(|x| T::Lanes::<S>::splat(simd, x));
        for vectors in registers::<T, S>(columns) {
            let mut largest = zero;
            for place in self.places(&vectors, columns) {
                largest = largest.max(get(simd, &self.p[place]));
            }
            // The first of equals.
            let mut open = one;
            for place in self.places(&vectors, columns) {
                let p: T::Lanes<S> = get(simd, &self.p[place.clone()]);
                let pivot = T::Lanes::<S>::select(p.eq(largest), open, zero);
                open = open - pivot;
                put(pivot, &mut self.pivot[place.clone()]);
                put(p.sqrt(), &mut self.s[place]);
            }
            put(one / (one + largest.sqrt()), &mut self.inverse[vectors]);
        }
        match signs {
            Signs::Random(random) => write_signs(random, columns, self.epsilon),
            Signs::Units { samples } => write_units(samples, columns, self.pivot, self.epsilon),
        }
        for vectors in registers::<T, S>(columns) {
            let mut t = zero;
            for place in self.places(&vectors, columns) {
                let (s, pivot) =
                    (get::<T::Lanes<S>>(simd, &self.s[place.clone()]), get(simd, &self.pivot[place.clone()]));
                let epsilon = (one - pivot) * get(simd, &self.epsilon[place.clone()]);
                t = s.mul_add(epsilon, t);
                put(epsilon, &mut self.epsilon[place]);
            }
            put(t * get(simd, &self.inverse[vectors.clone()]), &mut self.t[vectors]);
        }
    }

    /// Writes z into the first columns of rows of `width`.
    #[inline(always)]
    pub(super) fn write<S: Simd>(&self, simd: S, z: &mut [T], width: usize) {
        for vectors in registers::<T, S>(self.columns) {
            let t: T::Lanes<S> = get(simd, &self.t[vectors.clone()]);
            for (place, out) in self.places(&vectors, self.columns).zip(self.places(&vectors, width)) {
                let s: T::Lanes<S> = get(simd, &self.s[place.clone()]);
                let pivot = get(simd, &self.pivot[place.clone()]);
                put(s * t.neg_mul_add(s + pivot, get(simd, &self.epsilon[place])), &mut z[out]);
            }
        }
    }

    /// Turns ẑ, in the first columns of rows of `width`, into `s∘ŝ`.
    ///
    /// ```text
    /// t̂ = −Σ ẑ s (s + e_c)       ŝ = ẑ∘(ε − t (2s + e_c)) + t̂ (ε − t e_c)/(1 + s_c)
    /// ```
    #[inline(always)]
    pub(super) fn back<S: Simd>(&self, simd: S, z_hat: &mut [T], width: usize) {
        let columns = self.columns;
        for vectors in registers::<T, S>(columns) {
            let t: T::Lanes<S> = get(simd, &self.t[vectors.clone()]);
            let mut t_hat = T::Lanes::<S>::zero(simd);
            for (place, hat) in self.places(&vectors, columns).zip(self.places(&vectors, width)) {
                let s: T::Lanes<S> = get(simd, &self.s[place.clone()]);
                let pivot = get(simd, &self.pivot[place]);
                t_hat = (s * get(simd, &z_hat[hat])).neg_mul_add(s + pivot, t_hat);
            }
            let t_hat = t_hat * get(simd, &self.inverse[vectors.clone()]);
            for (place, hat) in self.places(&vectors, columns).zip(self.places(&vectors, width)) {
                let s: T::Lanes<S> = get(simd, &self.s[place.clone()]);
                let pivot: T::Lanes<S> = get(simd, &self.pivot[place.clone()]);
                let epsilon: T::Lanes<S> = get(simd, &self.epsilon[place]);
                let direct = get::<T::Lanes<S>>(simd, &z_hat[hat.clone()]) * t.neg_mul_add(s + s + pivot, epsilon);
                put(s * t_hat.mul_add(t.neg_mul_add(pivot, epsilon), direct), &mut z_hat[hat]);
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

    /// Runs with the roots of these probabilities, K×columns.
    fn with_roots<O>(p: &[f64], signs: Signs, run: impl FnOnce(&mut Roots<'_, f64>) -> O) -> O {
        let columns = p.len() / CLASSES;
        let mut memory = vec![f64::NAN; elements(columns, CLASSES) as usize];
        let mut roots = Roots::new(columns, CLASSES, &mut Arena::new(&mut memory));
        roots.p.copy_from_slice(p);
        roots.prepare(Scalar::new(), signs);
        run(&mut roots)
    }

    /// z of these probabilities.
    fn vectors(p: &[f64], signs: Signs) -> Vec<f64> {
        with_roots(p, signs, |roots| {
            let mut z = vec![0.0; p.len()];
            roots.write(Scalar::new(), &mut z, p.len() / CLASSES);
            z
        })
    }

    /// p once for each of `draws`.
    fn repeated(p: &[f64], draws: usize) -> Vec<f64> {
        p.chunks(2).flat_map(|p| p.repeat(draws)).collect()
    }

    /// Whether the mean, or the sum, of z zᵀ over the draws, two columns each, is the covariance.
    fn check_covariance(p: &[f64], z: &[f64], draws: usize, divisor: f64) {
        let at = |class: usize, draw: usize, i: usize| z[2 * draws * class + 2 * draw + i];
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
        let z = vectors(&repeated(&p, draws), Signs::Units { samples: 2 });
        check_covariance(&p, &z, draws, 1.0);
    }

    /// Signs of eight patterns, two columns each, in place of random ones.
    #[test]
    fn all_signs_give_the_covariance_in_the_mean() {
        const PATTERNS: usize = 8;
        let p = probabilities(&logits());
        let signs = Signs::Random(Random::new(1, 2, Stream::Signs));
        let z = with_roots(&repeated(&p, PATTERNS), signs, |roots| {
            assert_eq!(roots.pivot, (0..CLASSES).flat_map(|k| [f64::from(k == 1); 2 * PATTERNS]).collect::<Vec<_>>());
            for (class, bit) in [(0, 0), (2, 1), (3, 2)] {
                for pattern in 0..PATTERNS {
                    roots.epsilon[2 * (PATTERNS * class + pattern)..][..2]
                        .fill(f64::from((pattern >> bit & 1) as u8) * 2.0 - 1.0);
                }
            }
            for column in 0..2 * PATTERNS {
                let inner = (0..CLASSES).map(|k| 2 * PATTERNS * k + column).map(|at| roots.s[at] * roots.epsilon[at]);
                roots.t[column] = inner.sum::<f64>() * roots.inverse[column];
            }
            let mut z = vec![0.0; 2 * PATTERNS * CLASSES];
            roots.write(Scalar::new(), &mut z, 2 * PATTERNS);
            z
        });
        check_covariance(&p, &z, PATTERNS, PATTERNS as f64);
    }

    #[test]
    fn random_signs_are_signs_but_at_the_pivot_and_independent() {
        let random = Random::new(1, 2, Stream::Signs);
        let columns = 150;
        let p: Vec<f64> = (0..CLASSES * columns).map(|i| 1.0 + (i * i % 11) as f64).collect();
        let largest = |column: usize| {
            (0..CLASSES).fold(0, |a, b| if p[b * columns + column] > p[a * columns + column] { b } else { a })
        };
        let epsilon = with_roots(&p, Signs::Random(random), |roots| roots.epsilon.to_vec());
        for (at, epsilon) in epsilon.iter().enumerate() {
            assert_eq!(epsilon.abs(), f64::from(at / columns != largest(at % columns)), "{at}");
        }
        // Six standard deviations; neighbours in a row and in a column are as often alike as not.
        let bound = 6.0 * ((CLASSES * columns) as f64).sqrt();
        assert!(epsilon.iter().sum::<f64>().abs() <= bound);
        for distance in [1, 64, columns] {
            let alike = epsilon.iter().zip(&epsilon[distance..]).map(|(a, b)| a * b).sum::<f64>();
            assert!(alike.abs() <= bound, "{distance}: {alike}");
        }
    }

    #[test]
    fn the_way_back_is_the_derivative() {
        let signs = Signs::Random(Random::new(3, 0, Stream::Signs));
        let z_hat: Vec<f64> = (0..2 * CLASSES).map(|i| (1.3 * i as f64 + 0.2).sin()).collect();
        let p = probabilities(&logits());
        let mut out = z_hat.clone();
        with_roots(&p, signs, |roots| roots.back(Scalar::new(), &mut out, 2));
        for at in 0..2 * CLASSES {
            let moved = |step: f64| {
                let mut p = p.clone();
                p[at] *= step.exp();
                vectors(&p, signs).iter().zip(&z_hat).map(|(z, hat)| z * hat).sum::<f64>()
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - out[at] / 2.0).abs() <= 1e-9, "{at}: {slope} {}", out[at] / 2.0);
        }
    }
}
