//! Which samples the estimate is made of: priority sampling (Duffield, Lund, Thorup, J. ACM 54, 2007).
//!
//! With `σ = 1 − ‖p‖²`, which is tr S and nearly zero for a sample that is classified with certainty, and uniform `u ∈ (0, 1]`,
//!
//! ```text
//! score = (1 − α) σ/mean(σ) + α        priority = score/u
//! ```
//!
//! The r samples of the largest priorities are kept. With τ the (r+1)-th largest priority their weights are `w = max(1, τ/score)`, and
//! `E[w_i 1_i] = 1`, `E[w_i w_j 1_i 1_j] = 1` for i ≠ j: weighted sums over kept samples, and over pairs of them, are unbiased. (The weights
//! are not divided by their sum: that would be biased.) With r at least the batch's size all are kept, with weight 1.

use crate::hessian::samples::Samples;
use crate::plan::sum;
use crate::random::{Random, Stream};
use crate::real::Real;
use crate::simd::InstructionSet;
use crate::workspace::Arena;

/// The kept samples of a batch, in the batch's order.
#[derive(Debug)]
pub(crate) struct Subset<'w, T> {
    /// The priority of every sample of the batch.
    priorities: &'w [T],
    /// Those above are kept.
    threshold: T,
    /// w, one a kept sample.
    pub weights: &'w [T],
}

/// Elements that [`Subset::draw`] takes for `n` samples of which `size` are to be kept.
pub(super) const fn elements(n: usize, size: usize) -> u64 {
    let kept = if size < n { size } else { n };
    sum(&[2 * n as u64, kept as u64, 1])
}

impl<'w, T: Real> Subset<'w, T> {
    /// Keeps `size` samples, or all if there are no more.
    pub(super) fn draw(
        isa: InstructionSet,
        samples: &Samples<'_, T>,
        size: usize,
        alpha: f64,
        [seed, counter]: [u64; 2],
        arena: &mut Arena<'w, T>,
    ) -> Self {
        let (n, classes) = (samples.n, samples.shape.classes());
        let (scores, priorities) = (arena.take(n), arena.take(n));
        if size >= n {
            let weights = arena.take(n);
            weights.fill(T::ONE);
            priorities.fill(T::ONE);
            return Self { priorities, threshold: T::ZERO, weights };
        }
        let random = Random::new(seed, counter, Stream::Subset);
        isa.vectorize(|| {
            let mean = uncertainties(samples.p, classes, scores).to_f64() / n as f64;
            let factor = if mean > 0.0 { (1.0 - alpha) / mean } else { 0.0 };
            let (factor, alpha) = (T::from_f64(factor), T::from_f64(alpha));
            for ((index, score), priority) in (0..).zip(&mut *scores).zip(&mut *priorities) {
                *score = factor * *score + alpha;
                *priority = *score / T::from_f64(random.unit(index));
            }
        });
        let heap = arena.take(size + 1);
        let threshold = smallest_of_largest(priorities, heap);
        // The heap has served; the weights take its place.
        let kept = priorities.iter().zip(&*scores).filter(|&(&priority, _)| priority > threshold);
        let mut len = 0;
        for (slot, (_, &score)) in heap.iter_mut().zip(kept) {
            let weight = threshold / score;
            *slot = if weight > T::ONE { weight } else { T::ONE };
            len += 1;
        }
        Self { priorities, threshold, weights: &heap[..len] }
    }

    /// Number of samples kept: r, or fewer in the rare case of equal priorities.
    pub(crate) fn len(&self) -> usize {
        self.weights.len()
    }

    /// Their rows in the batch, ascending.
    pub(crate) fn rows(&self) -> impl Iterator<Item = usize> + Clone {
        let kept = self.priorities.iter().enumerate().filter(|&(_, &priority)| priority > self.threshold);
        kept.map(|(row, _)| row)
    }
}

/// Writes `1 − ‖p‖²` of every row; returns the sum.
#[inline(always)]
fn uncertainties<T: Real>(p: &[T], classes: usize, out: &mut [T]) -> T {
    let mut total = T::ZERO;
    for (out, p) in out.iter_mut().zip(p.chunks_exact(classes)) {
        let mut square = T::ZERO;
        for &p in p {
            square += p * p;
        }
        let rest = T::ONE - square;
        *out = if rest > T::ZERO { rest } else { T::ZERO };
        total += *out;
    }
    total
}

/// The smallest of the `heap.len()` largest values; there are at least as many. A heap with the smallest on top.
fn smallest_of_largest<T: Real>(values: &[T], heap: &mut [T]) -> T {
    let (first, rest) = values.split_at(heap.len());
    heap.copy_from_slice(first);
    for root in (0..heap.len() / 2).rev() {
        sift_down(heap, root);
    }
    for &value in rest {
        if value > heap[0] {
            heap[0] = value;
            sift_down(heap, 0);
        }
    }
    heap[0]
}

fn sift_down<T: Real>(heap: &mut [T], mut root: usize) {
    loop {
        let mut least = root;
        for child in [2 * root + 1, 2 * root + 2] {
            if child < heap.len() && heap[child] < heap[least] {
                least = child;
            }
        }
        if least == root {
            return;
        }
        heap.swap(root, least);
        root = least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Shape;
    use std::vec;
    use std::vec::Vec;

    const N: usize = 7;

    /// A batch whose probabilities go from uncertain to certain; all else is not read.
    fn with_samples<O>(run: impl FnOnce(&Samples<'_, f64>) -> O) -> O {
        let p: Vec<f64> = (0..N).flat_map(|n| [1.0 - 0.5 / (1 << n) as f64, 0.5 / (1 << n) as f64]).collect();
        let shape = Shape::new(1, 1, 2).unwrap();
        let none: &[f64] = &[];
        run(&Samples {
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
            subset.rows().zip(subset.weights.iter().copied()).collect()
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
    fn the_heap_finds_the_threshold() {
        let values: Vec<f64> = (0..50).map(|i| f64::from(i * 37 % 50)).collect();
        for size in [1, 2, 9, 50] {
            let mut heap = vec![0.0; size];
            assert_eq!(smallest_of_largest(&values, &mut heap), (50 - size) as f64);
        }
    }
}
