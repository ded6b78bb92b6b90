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

use crate::hessian::forward::Forward;
use crate::kernels::vector::{map_registers, sum_registers};
use crate::random::{Random, Stream};
use crate::sampled::sketch::{get, registers};
use crate::simd::{Element, InstructionSet, Kernel, Lanes, Simd};
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
        rows: [kept + 1],
        weights: [kept + 1],
        scores: [n],
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
        let (n, classes) = (forward.n, forward.shape.classes());
        let Buffers { rows, weights, scores, ranks } = Buffers::cut(n, size, arena);
        let rows = bytemuck::cast_slice_mut::<T, u32>(rows);
        if size >= n {
            for ((row, weight), index) in rows.iter_mut().zip(&mut *weights).zip(0..) {
                (*row, *weight) = (index, T::ONE);
            }
            return Self { rows: &rows[..n], weights: &weights[..n] };
        }
        isa.run(Uncertainties { p: forward.p, classes, out: scores });
        let random = Random::new(seed, counter, Stream::Subset);
        for (ranks, index) in ranks.chunks_mut(2).zip(0..) {
            for (rank, unit) in ranks.iter_mut().zip(random.units(index)) {
                *rank = T::from_f64(unit);
            }
        }
        let [limit, next] = isa.run(Smallest { scores, ranks, alpha, size });
        let mut len = 0;
        for ((index, &rank), &score) in (0..).zip(&*ranks).zip(&*scores) {
            // Written for every sample, kept for some: no branch to mispredict. At most `size` are kept.
            (rows[len], weights[len]) = (index, score);
            len += usize::from(rank <= limit);
        }
        for weight in &mut weights[..len] {
            let inverse = T::ONE / (next * *weight);
            *weight = if inverse > T::ONE { inverse } else { T::ONE };
        }
        Self { rows: &rows[..len], weights: &weights[..len] }
    }

    /// Number of kept samples: J, or fewer in the rare case of equal priorities.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

/// Writes `1 − ‖p‖²` of every row.
struct Uncertainties<'a, T> {
    p: &'a [T],
    classes: usize,
    out: &'a mut [T],
}

impl<T: Element> Kernel for Uncertainties<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let k = self.classes;
        let rest = |square: T| if square < T::ONE { T::ONE - square } else { T::ZERO };
        // Four rows at a time: the sums over the lanes of four registers take little longer than that of one.
        let (fours, others) = self.out.as_chunks_mut::<4>();
        let (p, p_others) = self.p.split_at(4 * fours.len() * k);
        for (out, p) in fours.iter_mut().zip(p.chunks_exact(4 * k)) {
            let mut squares = [T::Lanes::<S>::zero(simd); 4];
            for (square, p) in squares.iter_mut().zip(p.chunks_exact(k)) {
                *square = sum_registers!(T, S, simd, [p] = [p] => p * p);
            }
            *out = T::Lanes::<S>::reduce_sums(squares).map(rest);
        }
        for (out, p) in others.iter_mut().zip(p_others.chunks_exact(k)) {
            *out = rest(sum_registers!(T, S, simd, [p] = [p] => p * p).reduce_sum());
        }
    }
}

/// Turns uncertainties into scores, and uniform numbers into ranks. Returns a limit that `size` ranks do not exceed, and the smallest
/// rank above it, 1/τ.
struct Smallest<'a, T> {
    scores: &'a mut [T],
    ranks: &'a mut [T],
    alpha: f64,
    size: usize,
}

impl<T: Element> Kernel for Smallest<'_, T> {
    type Output = [T; 2];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [T; 2] {
        let Self { scores, ranks, alpha, size } = self;
        let n = scores.len();
        let mean = sum_registers!(T, S, simd, [score] = [&*scores] => score).reduce_sum().to_f64() / n as f64;
        let factor = if mean > 0.0 { (1.0 - alpha) / mean } else { 0.0 };
        let [factor, alpha] = [factor, alpha].map(|x| T::Lanes::<S>::splat(simd, T::from_f64(x)));
        map_registers!(T, S, simd, [] = [], [score, rank] = [scores, &mut *ranks] => {
            let score = factor.mul_add(score, alpha);
            [score, rank / score]
        });
        limit::<T, S>(simd, ranks, size)
    }
}

/// Finds the limit between one that too few ranks do not exceed and one that too many do not exceed, by interpolation and bisection in
/// turn.
///
/// Ranks are nearly uniform near zero, so interpolation needs about five passes. Where several ranks are equal, the limit is below them.
#[inline(always)]
fn limit<T: Element, S: Simd>(simd: S, ranks: &[T], size: usize) -> [T; 2] {
    let one = T::Lanes::<S>::splat(simd, T::ONE);
    let zero = T::Lanes::<S>::zero(simd);
    // The zeros that fill a partial register must not be counted.
    let lanes = T::Lanes::<S>::LANES;
    let padding = T::from_usize(ranks.len().next_multiple_of(lanes) - ranks.len());
    let wanted = T::from_usize(size);
    let (mut low, mut few) = (T::ZERO, T::ZERO);
    let mut high = zero;
    for part in registers::<T, S>(ranks.len()) {
        high = high.max(get(simd, &ranks[part]));
    }
    let mut high = high.reduce_max();
    let mut many = T::from_usize(ranks.len());
    let mut bisect = false;
    loop {
        let share = if bisect { T::HALF } else { (wanted + T::HALF - few) / (many - few) };
        let middle = low + (high - low) * share;
        if !(low < middle && middle < high) {
            break;
        }
        let limit = T::Lanes::<S>::splat(simd, middle);
        let count = sum_registers!(T, S, simd, [rank] = [ranks] => T::Lanes::<S>::select(rank.le(limit), one, zero));
        let count = count.reduce_sum() - padding;
        if count <= wanted {
            (low, few) = (middle, count);
            if count == wanted {
                break;
            }
        } else {
            (high, many) = (middle, count);
        }
        bisect = !bisect;
    }
    let [least, infinity] = [low, T::INFINITY].map(|x| T::Lanes::<S>::splat(simd, x));
    let mut next = infinity;
    for part in registers::<T, S>(ranks.len()) {
        let rank: T::Lanes<S> = get(simd, &ranks[part]);
        next = next.min(T::Lanes::<S>::select(rank.le(least), infinity, rank));
    }
    [low, -(-next).reduce_max()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Shape;
    use crate::simd::Scalar;
    use std::vec;
    use std::vec::Vec;

    const N: usize = 7;

    /// A batch whose probabilities go from uncertain to certain; nothing else of it is read.
    fn with_samples<O>(run: impl FnOnce(&Forward<'_, f64>) -> O) -> O {
        let p: Vec<f64> = (0..N).flat_map(|n| [1.0 - 0.5 / (1 << n) as f64, 0.5 / (1 << n) as f64]).collect();
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
            p: &p,
            r: none,
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
    }
}
