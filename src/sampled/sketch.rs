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
//! A *draw* is one vector of every sample; ξ is class-major, K rows of the columns of one draw after the other. What the vectors are made of
//! lies together: for a register of samples, and each class, a record of the registers `p, √p, 1_top, hat`, and the signs of each draw.
//! Samples that fill up the last register have p = 0.
//!
//! **Loop order.** Registers of samples; draws; classes. What follows from p alone is computed once for all vectors of a sample.

use core::ops::Range;

use crate::random::Random;
use crate::simd::{Element, Lanes, MAX_LANES, Simd};
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

/// Random bits of a class for the vectors from `first` on, at least as many as a register has lanes.
#[inline(always)]
fn bits(random: Random, columns: usize, class: usize, first: usize) -> u64 {
    let (index, shift) = (class * columns.div_ceil(WORD) + first / WORD, first % WORD);
    let bits = random.word(index as u64) >> shift;
    if shift + MAX_LANES > WORD { bits | random.word(index as u64 + 1) << (WORD - shift) } else { bits }
}

/// The bits of a word as +1 and −1. Eight at a time, from words as narrow as f32, the compiler compares in one register.
#[inline(always)]
fn spread_bits<T: Element>(word: u64, signs: &mut [T]) {
    const BYTE: usize = 8;
    let sign = |bits: u32, bit: usize| if bits & 1 << bit != 0 { T::ONE } else { -T::ONE };
    let (bytes, rest) = signs.as_chunks_mut::<BYTE>();
    let mut word = word;
    for signs in bytes {
        let bits = word as u32;
        *signs = core::array::from_fn(|bit| sign(bits, bit));
        word >>= BYTE;
    }
    for (bit, entry) in rest.iter_mut().enumerate() {
        *entry = sign(word as u32, bit);
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

/// Registers side by side at the beginning of a record, or of a part of it.
#[inline(always)]
pub(super) fn read<V: Lanes, const N: usize>(simd: V::Simd, record: &[V::Scalar]) -> [V; N] {
    let (record, mut registers) = (&record[..N * V::LANES], [V::zero(simd); N]);
    // No closure: it need not be inlined, and would then lose the instruction set.
    for (at, register) in registers.iter_mut().enumerate() {
        *register = V::load(simd, &record[at * V::LANES..(at + 1) * V::LANES]);
    }
    registers
}

/// Writes registers side by side.
#[inline(always)]
pub(super) fn write<V: Lanes, const N: usize>(record: &mut [V::Scalar], registers: [V; N]) {
    let record = &mut record[..N * V::LANES];
    for (at, register) in registers.into_iter().enumerate() {
        register.store(&mut record[at * V::LANES..(at + 1) * V::LANES]);
    }
}

/// A row, a register at a time.
#[inline(always)]
pub(super) fn registers<T: Element, S: Simd>(len: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    let lanes = T::Lanes::<S>::LANES;
    (0..len).step_by(lanes).map(move |start| start..len.min(start + lanes))
}

/// Where a record has the derivative, in registers, and where the signs.
pub(super) const HAT: usize = 3;
const SIGNS: usize = 4;

buffers! {
    /// What the vectors are made of.
    struct Buffers(samples: usize, draws: usize, classes: usize) where {
        let padded = samples.div_ceil(MAX_LANES).saturating_mul(MAX_LANES);
    } {
        /// For each register of samples, the records of all classes.
        records: [padded, classes, draws.saturating_add(SIGNS)],
        /// 1/(1 + √p_top).
        inverse: [padded],
        /// For each register of samples, shift of each draw.
        shift: [padded, draws],
    }
}

/// The vectors of all samples.
#[derive(Debug)]
pub(super) struct Roots<'w, T> {
    samples: usize,
    draws: usize,
    classes: usize,
    buffers: Buffers<'w, T>,
}

/// Elements that [`Roots::new`] takes.
pub(super) const fn elements(samples: usize, draws: usize, classes: usize) -> u64 {
    Buffers::elements(samples, draws, classes)
}

impl<'w, T: Element> Roots<'w, T> {
    /// Takes the buffers, for so many vectors of each sample. All that follows is to run with registers of the same size.
    pub(super) fn new(samples: usize, draws: usize, classes: usize, arena: &mut Arena<'w, T>) -> Self {
        Self { samples, draws, classes, buffers: Buffers::cut(samples, draws, classes, arena) }
    }

    /// Elements of a record.
    #[inline(always)]
    pub(super) fn record<S: Simd>(&self) -> usize {
        (SIGNS + self.draws) * T::Lanes::<S>::LANES
    }

    /// The records of the `block`-th register of samples, one for each class, beginning with p.
    #[inline(always)]
    pub(super) fn records<S: Simd>(&mut self, block: usize) -> &mut [T] {
        let len = self.classes * self.record::<S>();
        &mut self.buffers.records[block * len..][..len]
    }

    /// Computes what follows from p alone, and draws the signs.
    #[inline(always)]
    pub(super) fn prepare<S: Simd>(&mut self, simd: S, signs: Signs) {
        let (lanes, len) = (T::Lanes::<S>::LANES, self.record::<S>());
        let Self { samples: n, draws, .. } = *self;
        let [zero, one] = [T::ZERO, T::ONE].map(|x| T::Lanes::<S>::splat(simd, x));
        for block in 0..n.div_ceil(lanes) {
            let records = self.records::<S>(block);
            let mut largest = zero;
            for record in records.chunks_exact(len) {
                let [p] = read(simd, record);
                largest = largest.max(p);
            }
            // Of several largest classes the first one.
            let mut before = zero;
            for (class, record) in records.chunks_exact_mut(len).enumerate() {
                let [p]: [T::Lanes<S>; 1] = read(simd, record);
                let first = T::Lanes::<S>::select(before.lt(p), one, zero);
                let pivot = T::Lanes::<S>::select(p.eq(largest), first, zero);
                write(&mut record[lanes..], [p.sqrt(), pivot]);
                before = before.max(p);
                if let Signs::Random(random) = signs {
                    let mut first = block * lanes;
                    for signs in record[SIGNS * lanes..].chunks_exact_mut(lanes) {
                        spread_bits(bits(random, n * draws, class, first), signs);
                        first += n;
                    }
                }
            }
            if let Signs::Units = signs {
                write_units(records, len, lanes);
            }
            write(&mut self.buffers.inverse[block * lanes..], [one / (one + largest.sqrt())]);
        }
    }

    /// Writes ξ into the first columns of rows of `width`.
    #[inline(always)]
    pub(super) fn write<S: Simd>(&mut self, simd: S, xi: &mut [T], width: usize) {
        let (lanes, len) = (T::Lanes::<S>::LANES, self.record::<S>());
        let Self { samples: n, draws, .. } = *self;
        let [zero, one] = [T::ZERO, T::ONE].map(|x| T::Lanes::<S>::splat(simd, x));
        for (block, samples) in registers::<T, S>(n).enumerate() {
            let [inverse]: [T::Lanes<S>; 1] = read(simd, &self.buffers.inverse[block * lanes..]);
            for draw in 0..draws {
                let (records, signs) = (self.records::<S>(block), (SIGNS + draw) * lanes);
                let mut shift = zero;
                for record in records.chunks_exact_mut(len) {
                    let [_, root, pivot]: [T::Lanes<S>; 3] = read(simd, record);
                    let [sign] = read(simd, &record[signs..]);
                    let sign = (one - pivot) * sign;
                    shift = root.mul_add(sign, shift);
                    write(&mut record[signs..], [sign]);
                }
                let shift = shift * inverse;
                let columns = draw * n + samples.start..draw * n + samples.end;
                for (record, xi) in records.chunks_exact(len).zip(xi.chunks_mut(width)) {
                    let [_, root, pivot]: [T::Lanes<S>; 3] = read(simd, record);
                    let [sign] = read(simd, &record[signs..]);
                    put(root * shift.neg_mul_add(root + pivot, sign), &mut xi[columns.clone()]);
                }
                write(&mut self.buffers.shift[(block * draws + draw) * lanes..], [shift]);
            }
        }
    }

    /// From ξ̂, in the first columns of rows of `width`, `hat = √p∘(√p)^` of a register of samples, the sum over their vectors.
    ///
    /// ```text
    /// (shift)^ = −Σ ξ̂ √p (√p + 1_top)
    /// (√p)^ = ξ̂∘(sign − shift (2√p + 1_top)) + (shift)^ (sign − shift 1_top)/(1 + √p_top)
    /// ```
    #[inline(always)]
    pub(super) fn back<S: Simd>(
        &mut self,
        simd: S,
        (block, samples): (usize, &Range<usize>),
        xi_hat: &[T],
        width: usize,
    ) {
        let (lanes, len) = (T::Lanes::<S>::LANES, self.record::<S>());
        let Self { samples: n, draws, .. } = *self;
        let zero = T::Lanes::<S>::zero(simd);
        let [inverse]: [T::Lanes<S>; 1] = read(simd, &self.buffers.inverse[block * lanes..]);
        for draw in 0..draws {
            let [shift]: [T::Lanes<S>; 1] = read(simd, &self.buffers.shift[(block * draws + draw) * lanes..]);
            let (records, signs) = (self.records::<S>(block), (SIGNS + draw) * lanes);
            let columns = draw * n + samples.start..draw * n + samples.end;
            let mut shift_hat = zero;
            for (record, xi_hat) in records.chunks_exact(len).zip(xi_hat.chunks(width)) {
                let [_, root, pivot]: [T::Lanes<S>; 3] = read(simd, record);
                let xi_hat = get(simd, &xi_hat[columns.clone()]);
                shift_hat = (root * xi_hat).neg_mul_add(root + pivot, shift_hat);
            }
            let shift_hat = shift_hat * inverse;
            for (record, xi_hat) in records.chunks_exact_mut(len).zip(xi_hat.chunks(width)) {
                let [_, root, pivot, hat]: [T::Lanes<S>; 4] = read(simd, record);
                let [sign]: [T::Lanes<S>; 1] = read(simd, &record[signs..]);
                let xi_hat: T::Lanes<S> = get(simd, &xi_hat[columns.clone()]);
                let direct = xi_hat * shift.neg_mul_add(root + root + pivot, sign);
                let root_hat = shift_hat.mul_add(shift.neg_mul_add(pivot, sign), direct);
                let sum = if draw == 0 { zero } else { hat };
                write(&mut record[HAT * lanes..], [root.mul_add(root_hat, sum)]);
            }
        }
    }
}

/// Writes the unit vectors into the records of a register of samples.
fn write_units<T: Element>(records: &mut [T], len: usize, lanes: usize) {
    for lane in 0..lanes {
        let mut others = 0;
        for record in records.chunks_exact_mut(len) {
            let pivot = record[2 * lanes + lane] != T::ZERO;
            for (draw, signs) in record[SIGNS * lanes..].chunks_exact_mut(lanes).enumerate() {
                signs[lane] = if !pivot && others == draw { T::ONE } else { T::ZERO };
            }
            others += usize::from(!pivot);
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
        for (class, p) in p.chunks(samples).enumerate() {
            for (sample, &p) in p.iter().enumerate() {
                roots.records::<Scalar>(sample)[class * (SIGNS + draws)] = p;
            }
        }
        roots.prepare(Scalar::new(), signs);
        run(&mut roots)
    }

    /// ξ, K×columns.
    fn written(roots: &mut Roots<'_, f64>) -> Vec<f64> {
        let columns = roots.samples * roots.draws;
        let mut xi = vec![0.0; CLASSES * columns];
        roots.write(Scalar::new(), &mut xi, columns);
        xi
    }

    /// The numbers at a place of the records, K×samples.
    fn entries(roots: &mut Roots<'_, f64>, place: usize) -> Vec<f64> {
        let (n, len) = (roots.samples, roots.record::<Scalar>());
        let mut entry = |class: usize, sample: usize| roots.records::<Scalar>(sample)[class * len + place];
        (0..CLASSES * n).map(|at| entry(at / n, at % n)).collect()
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
            assert_eq!(entries(roots, 2), (0..CLASSES).flat_map(|k| [f64::from(k == 1); 2]).collect::<Vec<_>>());
            let len = roots.record::<Scalar>();
            for (class, bit) in [(0, 0), (2, 1), (3, 2)] {
                for (sample, pattern) in (0..2 * PATTERNS).map(|at| (at % 2, at / 2)) {
                    let sign = f64::from((pattern >> bit & 1) as u8) * 2.0 - 1.0;
                    roots.records::<Scalar>(sample)[class * len + SIGNS + pattern] = sign;
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
            let signs = [0, 1].map(|draw| entries(roots, SIGNS + draw));
            let rows = signs[0].chunks(samples).zip(signs[1].chunks(samples));
            rows.flat_map(|(first, second)| [first, second].concat()).collect::<Vec<_>>()
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
        let out = with_roots(&p, draws, signs, |roots| {
            written(roots);
            for (block, sample) in registers::<f64, Scalar>(samples).enumerate() {
                roots.back(Scalar::new(), (block, &sample), &xi_hat, columns);
            }
            entries(roots, HAT)
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
