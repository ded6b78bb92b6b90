//! The choice of the samples from which the estimate is made: priority sampling (Duffield, Lund, Thorup, J. ACM 54, 2007).
//!
//! With `υ = 1 − ‖p‖²`, which is tr S and nearly zero for a sample that is classified with certainty, and a random number `uniform` in
//! (0, 1],
//!
//! ```text
//! score = (1 − α) υ/mean(υ) + α        priority = score/uniform
//! ```
//!
//! The J samples of the largest priorities are kept: those whose ranks `uniform/score` are smallest. With τ the next largest priority
//! their weights are `w_i = max(1, τ/score)`. Then `𝔼[w_i 1_i] = 1` and `𝔼[w_i w_j 1_i 1_j] = 1` for i ≠ j: weighted sums over kept
//! samples, and over pairs of them, are unbiased. (The weights are not divided by their sum: that would add a bias.) If J is at least the
//! batch's size, all samples are kept, with weight 1.
//!
//! The forward pass gives υ. Then one kernel passes over the N samples, with some operations for each: random numbers; ranks; ranks below a
//! guess, mostly once, until few candidates for the largest kept rank are left, whose order is found by comparing them with each other; and
//! what is kept. Comparisons become bits, a word for 64 samples, so that counting and listing take no branch for a sample.

use crate::hessian::forward::Forward;
use crate::kernels::vector::{map_registers, sum_registers};
use crate::random::{Random, Stream};
use crate::sampled::sketch::{get, registers};
use crate::simd::{Element, InstructionSet, Kernel, Lanes, Mask, Simd};
use crate::workspace::{Arena, buffers};

/// The kept samples of a batch, in the batch's order.
#[derive(Debug)]
pub(crate) struct Subset<'w, T> {
    /// Their rows in the batch, ascending.
    pub rows: &'w [u32],
    /// w_i, one for each kept sample.
    pub weights: &'w [T],
}

buffers! {
    struct Buffers(n: usize, size: usize) where { let kept = if size < n { size } else { n }; } {
        rows: [kept],
        weights: [kept],
        ranks: [n],
    }
}

/// Elements that [`Subset::draw`] takes to keep `size` of `n` samples.
pub(super) const fn elements(n: usize, size: usize) -> u64 {
    Buffers::elements(n, size)
}

impl<'w, T: Element> Subset<'w, T> {
    /// Keeps `size` samples, or all if the batch has no more.
    pub(super) fn draw(
        isa: InstructionSet,
        forward: &Forward<'_, T>,
        size: usize,
        alpha: f64,
        [seed, counter]: [u64; 2],
        arena: &mut Arena<'w, T>,
    ) -> Self {
        let Buffers { rows, weights, ranks } = Buffers::cut(forward.n, size, arena);
        let rows = &mut bytemuck::cast_slice_mut::<T, u32>(rows)[..weights.len()];
        if size >= forward.n {
            for ((row, weight), index) in rows.iter_mut().zip(&mut *weights).zip(0..) {
                (*row, *weight) = (index, T::ONE);
            }
            return Self { rows, weights };
        }
        let random = Random::new(seed, counter, Stream::Subset);
        let len = isa.run(Draw { uncertainty: forward.uncertainty, alpha, random, ranks, rows, weights });
        Self { rows: &rows[..len], weights: &weights[..len] }
    }

    /// Number of kept samples: J, or fewer in the rare case of equal priorities.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

/// Writes the rows and weights of as many samples as these slices have room for, or fewer; returns how many.
struct Draw<'a, T> {
    uncertainty: &'a [T],
    alpha: f64,
    random: Random,
    /// Scratch, N.
    ranks: &'a mut [T],
    rows: &'a mut [u32],
    weights: &'a mut [T],
}

impl<T: Element> Kernel for Draw<'_, T> {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> usize {
        let Self { uncertainty, alpha, random, ranks, rows, weights } = self;
        let (pairs, last) = ranks.as_chunks_mut::<2>();
        for (units, index) in pairs.iter_mut().zip(0..) {
            *units = random.units(index);
        }
        if let [unit] = last {
            [*unit, _] = random.units(pairs.len() as u64);
        }

        let sum = sum_registers!(T, S, simd, [uncertainty] = [uncertainty] => uncertainty).reduce_sum();
        let mean = sum.to_f64() / ranks.len() as f64;
        let factor = if mean > 0.0 { (1.0 - alpha) / mean } else { 0.0 };
        let [factor, alpha, one] = [factor, alpha, 1.0].map(|x| T::Lanes::<S>::splat(simd, T::from_f64(x)));
        map_registers!(T, S, simd, [uncertainty] = [uncertainty], [rank] = [&mut *ranks] => {
            [rank / factor.mul_add(uncertainty, alpha)]
        });

        let [limit, next] = limit::<T, S>(simd, ranks, rows.len());
        let len = list(simd, ranks, [T::ZERO, limit], rows);
        let weights = &mut weights[..len];
        for (weight, &row) in weights.iter_mut().zip(&*rows) {
            *weight = uncertainty[row as usize];
        }
        let next = T::Lanes::<S>::splat(simd, next);
        map_registers!(T, S, simd, [] = [], [uncertainty] = [weights] => {
            [(one / (next * factor.mul_add(uncertainty, alpha))).max(one)]
        });
        len
    }
}

/// Samples whose comparisons are the bits of one word.
const WORD: usize = 64;

/// Which of at most [`WORD`] ranks are above `low` and not above `high`, neither of which is negative.
#[inline(always)]
fn between<T: Element, S: Simd>(simd: S, ranks: &[T], limits: [T; 2]) -> u64 {
    let [low, high] = limits.map(|limit| T::Lanes::<S>::splat(simd, limit));
    let mut bits = 0;
    for part in registers::<T, S>(ranks.len()) {
        let start = part.start;
        // The zeros that fill a partial register are not above `low`.
        let rank: T::Lanes<S> = get(simd, &ranks[part]);
        bits |= u64::from((low.lt(rank) & rank.le(high)).bits()) << start;
    }
    bits
}

/// Counts the ranks [`between`] limits, and writes their indices if there is room for all of them.
#[inline(always)]
fn list<T: Element, S: Simd>(simd: S, ranks: &[T], limits: [T; 2], indices: &mut [u32]) -> usize {
    let mut count = 0;
    for (ranks, first) in ranks.chunks(WORD).zip((0..).step_by(WORD)) {
        let mut bits = between(simd, ranks, limits);
        let mut at = count;
        count += bits.count_ones() as usize;
        if count <= indices.len() {
            while bits != 0 {
                indices[at] = first + bits.trailing_zeros();
                at += 1;
                bits &= bits - 1;
            }
        }
    }
    count
}

/// The most ranks that are compared with each other.
const CANDIDATES: usize = 32;

/// Returns the largest of the `size` smallest ranks, and the smallest rank above it, 1/τ. Where several ranks are equal, and not all of
/// them among the `size` smallest, the first one is below them.
///
/// The limit lies between `low`, which `few` ranks do not exceed, and `high`, which `many` do not exceed. The scores' mean is 1 and the
/// random numbers are uniform, so about `n t` ranks are below a small t: the first pass tries where a few more than `size` should be. For
/// small sizes it mostly finds no more than [`CANDIDATES`]; else interpolation and bisection in turn make the interval smaller.
#[inline(always)]
fn limit<T: Element, S: Simd>(simd: S, ranks: &[T], size: usize) -> [T; 2] {
    const MORE: usize = CANDIDATES / 4;
    let (mut low, mut few) = (T::ZERO, 0);
    let (mut high, mut many) = (T::INFINITY, ranks.len());
    let mut middle = T::from_usize(size + MORE) / T::from_usize(ranks.len());
    let mut bisect = false;
    let mut indices = [0; CANDIDATES];
    let len = loop {
        let last = many - few <= CANDIDATES;
        if last {
            middle = high;
        } else if !(low < middle && middle < high) {
            middle = low + (high - low) * T::HALF;
            if !(low < middle && middle < high) {
                // All that is left is equal to `high`.
                return [low, high];
            }
        }
        let count = list(simd, ranks, [low, middle], &mut indices);
        if last || (few + count > size && count <= CANDIDATES) {
            break count;
        }
        if few + count <= size {
            (low, few) = (middle, few + count);
        } else {
            (high, many) = (middle, few + count);
        }
        middle = if high == T::INFINITY {
            low + low
        } else if bisect {
            low + (high - low) * T::HALF
        } else {
            let wanted = if many > size + 2 * MORE { size + MORE } else { size.saturating_sub(MORE) };
            low + (high - low) * (T::from_usize(wanted.saturating_sub(few)) / T::from_usize(many - few))
        };
        bisect = !bisect;
    };

    let mut candidates = [T::INFINITY; CANDIDATES];
    for (candidate, &index) in candidates.iter_mut().zip(&indices[..len]) {
        *candidate = ranks[index as usize];
    }
    let [zero, one, infinity] = [T::ZERO, T::ONE, T::INFINITY].map(|x| T::Lanes::<S>::splat(simd, x));
    let wanted = T::Lanes::<S>::splat(simd, T::from_usize(size - few));
    let (mut least, mut next) = (T::Lanes::<S>::splat(simd, low), infinity);
    for part in registers::<T, S>(len) {
        let rank = T::Lanes::<S>::load(simd, &candidates[part.start..]);
        // How many ranks are not above this one: four sums, so that no addition waits for the one before.
        let mut order = [zero; 4];
        for four in candidates[..len.next_multiple_of(4)].as_chunks::<4>().0 {
            for (order, &other) in order.iter_mut().zip(four) {
                let other = T::Lanes::<S>::splat(simd, other);
                *order = *order + T::Lanes::<S>::select(other.le(rank), one, zero);
            }
        }
        let order = (order[0] + order[1]) + (order[2] + order[3]);
        let kept = order.le(wanted);
        least = least.max(T::Lanes::<S>::select(kept, rank, zero));
        next = next.min(T::Lanes::<S>::select(kept, infinity, rank));
    }
    [least.reduce_max(), -(-next).reduce_max()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Shape;
    use crate::simd::Scalar;
    use std::vec;
    use std::vec::Vec;

    const N: usize = 7;

    /// A batch whose samples go from uncertain to certain; nothing else of it is read.
    fn with_samples<O>(run: impl FnOnce(&Forward<'_, f64>) -> O) -> O {
        let uncertainty: Vec<f64> =
            (0..N).map(|n| 0.5 / (1 << n) as f64).map(|p| 1.0 - p * p - (1.0 - p) * (1.0 - p)).collect();
        let shape = Shape::new(1, 1, 2).unwrap();
        let none: &[f64] = &[];
        run(&Forward {
            input_gram: None,
            n: N,
            shape,
            x: none,
            v: none,
            u: none,
            h: none,
            f: none,
            e: none,
            t: none,
            p: none,
            r: none,
            uncertainty: &uncertainty,
            loss: 0.0,
        })
    }

    fn draw(size: usize, alpha: f64, counter: u64) -> Vec<(usize, f64)> {
        with_samples(|samples| {
            let mut memory = vec![f64::NAN; elements(N, size) as usize];
            let arena = &mut Arena::new(&mut memory);
            let subset = Subset::draw(InstructionSet::current(), samples, size, alpha, [3, counter], arena);
            subset.rows.iter().map(|&row| row as usize).zip(subset.weights.iter().copied()).collect()
        })
    }

    #[test]
    fn weights_and_their_products_are_one_in_the_mean() {
        const DRAWS: u64 = 100_000;
        for (size, alpha) in [(4, 0.4), (5, 0.5), (6, 1.0)] {
            let (mut sums, mut squares) = ([[0.0; N]; N], [[0.0; N]; N]);
            for counter in 0..DRAWS {
                let kept = draw(size, alpha, counter);
                assert_eq!(kept.len(), size);
                for &(i, w) in &kept {
                    for &(j, other) in &kept {
                        let product = if i == j { w } else { w * other };
                        sums[i][j] += product;
                        squares[i][j] += product * product;
                    }
                }
            }
            for i in 0..N {
                for j in 0..N {
                    let mean = sums[i][j] / DRAWS as f64;
                    let error = ((squares[i][j] / DRAWS as f64 - mean * mean) / DRAWS as f64).sqrt();
                    assert!((mean - 1.0).abs() <= 5.0 * error, "{size} {alpha} {i} {j}: {mean} ± {error}");
                    assert!(error < 0.05);
                }
            }
        }
    }

    #[test]
    fn uncertain_samples_are_kept_more_often() {
        let mut counts = [0; N];
        for counter in 0..1000 {
            for (row, _) in draw(3, 0.1, counter) {
                counts[row] += 1;
            }
        }
        assert!(counts.windows(2).all(|pair| pair[0] > pair[1]) || counts[0] > 5 * counts[N - 1], "{counts:?}");
    }

    #[test]
    fn all_of_a_small_batch_are_kept_with_weight_one() {
        for size in [N, N + 1, 100] {
            assert_eq!(draw(size, 0.1, 0), (0..N).map(|row| (row, 1.0)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn limits_separate_the_smallest() {
        let count = |ranks: &[f64], limit: f64| ranks.iter().filter(|&&rank| rank <= limit).count();
        for length in [2usize, 7, 50, 331] {
            // Some of them far away, as ranks of small scores are.
            let ranks: Vec<f64> = (0..length).map(|i| (1 + i * 37 % length) as f64).map(|x| x * x * x).collect();
            for size in 1..length {
                let [limit, next] = limit::<f64, _>(Scalar::new(), &ranks, size);
                assert_eq!(count(&ranks, limit), size);
                assert_eq!(next, ((size + 1) as f64).powi(3));
            }
        }
        // If not all of several equal ranks can be kept, none is.
        let [limit, next] = limit::<f64, _>(Scalar::new(), &[3.0, 1.0, 2.0, 2.0, 2.0], 2);
        assert_eq!((count(&[3.0, 1.0, 2.0, 2.0, 2.0], limit), next), (1, 2.0));
        let mut ranks = [0.3; 2 * CANDIDATES];
        (ranks[7], ranks[9], ranks[50]) = (0.1, 4.0, 0.2);
        let [limit, next] = super::limit::<f64, _>(Scalar::new(), &ranks, 5);
        assert_eq!((count(&ranks, limit), next), (2, 0.3));
        // What is not a number is not kept; nor is there an endless search for it.
        for length in [7, 2 * CANDIDATES] {
            let [limit, _] = super::limit::<f64, _>(Scalar::new(), &[f64::NAN; 2 * CANDIDATES][..length], 5);
            assert!(limit >= 0.0);
        }
    }
}
