//! Choices of samples beside each other: a priority subset, or blocks of systematic samples (Madow, *On the theory of systematic sampling II*,
//! Ann. Math. Statist. 20, 1949), which the crate does not have.
//!
//! Any of them gives an estimate `Σ_{i≠j} W_ij κ_ij` of the batch's `Σ_{i≠j} κ_ij = Σ_{i≠j} N² tr H_i H_j`, with random weights W of mean one:
//!
//! - a priority subset of r: W = w wᵀ on the subset;
//! - G blocks of r/G, each a systematic sample with probabilities in proportion to the scores (points at equal distances on the line of cumulated
//!   scores; how often a sample is hit over how often it is hit in the mean is its weight): W = G/(G − 1) ω ω'ᵀ between different blocks, with
//!   weights ω = w/G. A sample may be in several blocks; its pair with itself does not count.
//!
//! The derivative of κ_ij in a random direction u is found by central differences of exact traces of batches of one and of two samples.
//! `E (u·g)² = ‖g‖²`, so the variance of a scheme's `u·g`, over many draws, in the mean over directions, is that of its gradient; it is given
//! relative to the gradient of all the batch's pairs. S is exact: there is no sketch in this.

use anyhow::Result;
use flatmin::{Batch, Network, Plan, Targets, curvature};
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand::seq::index;

use crate::common::data::Samples;
use crate::common::random::{Purpose, generator};
use crate::noise::chosen;

/// α of the scores.
const ALPHA: f64 = 0.1;
/// Draws of each scheme.
const DRAWS: usize = 4000;
/// Step of the differences, over the root mean square of θ.
const STEP: f64 = 1e-3;

/// What is measured with.
pub struct Schemes<'a> {
    pub network: Network,
    pub samples: &'a Samples,
    /// Samples of the batch.
    pub pool: usize,
    pub directions: usize,
    pub seed: u64,
}

/// A choice of samples.
#[derive(Clone, Copy, Debug)]
enum Scheme {
    /// The samples of the r largest priorities.
    Priority { size: usize, alpha: f64 },
    /// Systematic samples, `size` in all.
    Blocks { size: usize, count: usize, alpha: f64 },
}

impl Scheme {
    fn name(self) -> String {
        let uniform = |alpha: f64| if alpha == 1.0 { ", uniform" } else { "" };
        match self {
            Self::Priority { size, alpha } => format!("priority subset of {size}{}", uniform(alpha)),
            Self::Blocks { size, count, alpha } => format!("{count} blocks of {}{}", size / count, uniform(alpha)),
        }
    }

    /// The blocks of kept samples, with weights.
    fn draw(self, uncertainties: &[f64], random: &mut ChaCha8Rng) -> Vec<Vec<(usize, f64)>> {
        match self {
            Self::Priority { size, alpha } => vec![priority(&scores(uncertainties, alpha), size, random)],
            Self::Blocks { size, count, alpha } => {
                let scores = scores(uncertainties, alpha);
                (0..count).map(|_| systematic(&scores, size / count, random)).collect()
            }
        }
    }

    /// `visit(i, j, W_ij)` for all pairs of different kept samples.
    fn pairs(self, uncertainties: &[f64], random: &mut ChaCha8Rng, mut visit: impl FnMut(usize, usize, f64)) {
        let blocks = self.draw(uncertainties, random);
        let count = blocks.len() as f64;
        for (at, left) in blocks.iter().enumerate() {
            for (other, right) in blocks.iter().enumerate() {
                let factor = if count == 1.0 { 1.0 } else { 1.0 / (count * (count - 1.0)) };
                if count > 1.0 && at == other {
                    continue;
                }
                for &(i, w) in left {
                    right.iter().filter(|(j, _)| *j != i).for_each(|&(j, v)| visit(i, j, factor * w * v));
                }
            }
        }
    }
}

fn scores(uncertainties: &[f64], alpha: f64) -> Vec<f64> {
    let mean = uncertainties.iter().sum::<f64>() / uncertainties.len() as f64;
    uncertainties.iter().map(|sigma| (1.0 - alpha) * sigma / mean + alpha).collect()
}

fn priority(scores: &[f64], size: usize, random: &mut ChaCha8Rng) -> Vec<(usize, f64)> {
    let mut ranks: Vec<(f64, usize)> =
        scores.iter().enumerate().map(|(i, score)| ((1.0 - random.random::<f64>()) / score, i)).collect();
    ranks.sort_by(|a, b| a.0.total_cmp(&b.0));
    let next = ranks.get(size).map_or(0.0, |rank| rank.0);
    ranks
        .iter()
        .take(size)
        .map(|&(_, i)| (i, if next == 0.0 { 1.0 } else { (1.0 / (next * scores[i])).max(1.0) }))
        .collect()
}

fn systematic(scores: &[f64], size: usize, random: &mut ChaCha8Rng) -> Vec<(usize, f64)> {
    let distance = scores.iter().sum::<f64>() / size as f64;
    let (mut next, mut sum) = (distance * random.random::<f64>(), 0.0);
    let mut kept = Vec::new();
    for (i, score) in scores.iter().enumerate() {
        sum += score;
        let mut hits = 0.0;
        while next < sum {
            hits += 1.0;
            next += distance;
        }
        if hits > 0.0 {
            kept.push((i, hits * distance / score));
        }
    }
    kept
}

impl Schemes<'_> {
    /// Of every scheme.
    pub fn measure(&self, theta: &[f64]) -> Result<Vec<(String, f64)>> {
        let shape = self.network.shape;
        let mut random = generator(self.seed, Purpose::Batches);
        let rows = index::sample(&mut random, self.samples.len(), self.pool);
        let (inputs, classes) = chosen(self.samples, shape.inputs(), rows);
        let uncertainties = self.uncertainties(theta, &inputs);

        let mut schemes = Vec::new();
        for size in [8, 16, 32] {
            schemes.push(Scheme::Priority { size, alpha: ALPHA });
            schemes.push(Scheme::Priority { size, alpha: 1.0 });
            for count in [2, 4, 8] {
                schemes.push(Scheme::Blocks { size, count, alpha: ALPHA });
            }
            schemes.push(Scheme::Blocks { size, count: 4, alpha: 1.0 });
        }
        let mut variances = vec![0.0; schemes.len()];
        let mut squares = 0.0;
        for _ in 0..self.directions {
            let direction: Vec<f64> = theta.iter().map(|_| if random.random::<bool>() { 1.0 } else { -1.0 }).collect();
            let slopes = self.slopes(theta, &direction, &inputs, &classes)?;
            let truth: f64 = slopes.iter().sum();
            squares += truth * truth;
            for (scheme, variance) in schemes.iter().zip(&mut variances) {
                for _ in 0..DRAWS {
                    let mut sum = 0.0;
                    scheme.pairs(&uncertainties, &mut random, |i, j, w| sum += w * slopes[i * self.pool + j]);
                    *variance += (sum - truth).powi(2) / DRAWS as f64;
                }
            }
        }
        Ok(schemes.iter().zip(variances).map(|(scheme, variance)| (scheme.name(), variance / squares)).collect())
    }

    /// 1 − ‖p‖² of every sample.
    fn uncertainties(&self, theta: &[f64], inputs: &[f64]) -> Vec<f64> {
        let shape = self.network.shape;
        let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
        let (w, b) = (&theta[shape.hidden_weight()], &theta[shape.hidden_bias()]);
        let (v, c) = (&theta[shape.output_weight()], &theta[shape.output_bias()]);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let uncertainty = |x: &[f64]| {
            let h: Vec<f64> = (0..m).map(|j| self.network.activation.value(b[j] + dot(&w[j * d..][..d], x))).collect();
            let e: Vec<f64> = (0..k).map(|class| (c[class] + dot(&v[class * m..][..m], &h)).exp()).collect();
            let sum: f64 = e.iter().sum();
            1.0 - e.iter().map(|e| (e / sum).powi(2)).sum::<f64>()
        };
        inputs.chunks_exact(d).map(uncertainty).collect()
    }

    /// κ_ij of all pairs, row by row; 0 on the diagonal.
    fn terms(&self, theta: &[f64], inputs: &[f64], classes: &[u32]) -> Result<Vec<f64>> {
        let (shape, n) = (self.network.shape, self.pool);
        let d = shape.inputs();
        let plan = Plan::new(self.network, 2)?;
        let mut workspace = vec![0.0; plan.workspace_len()];
        let mut square = |rows: &[usize]| -> Result<f64> {
            let (mut x, mut targets) = (Vec::with_capacity(2 * d), [0; 2]);
            for (&row, target) in rows.iter().zip(&mut targets) {
                x.extend_from_slice(&inputs[row * d..][..d]);
                *target = classes[row];
            }
            let batch = Batch::new(shape, &x, Targets::Classes(&targets[..rows.len()]))?;
            Ok(curvature(&plan, theta, &batch, &mut workspace)?.traces.trace_of_square())
        };
        let own = (0..n).map(|i| square(&[i])).collect::<Result<Vec<_>>>()?;
        let mut terms = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..i {
                // tr H² of both: a quarter of all four terms.
                let term = 2.0 * square(&[i, j])? - (own[i] + own[j]) / 2.0;
                (terms[i * n + j], terms[j * n + i]) = (term, term);
            }
        }
        Ok(terms)
    }

    /// Derivatives of κ_ij in a direction.
    fn slopes(&self, theta: &[f64], direction: &[f64], inputs: &[f64], classes: &[u32]) -> Result<Vec<f64>> {
        let step = STEP * (theta.iter().map(|x| x * x).sum::<f64>() / theta.len() as f64).sqrt();
        let at = |step: f64| {
            let moved: Vec<f64> = theta.iter().zip(direction).map(|(x, d)| x + step * d).collect();
            self.terms(&moved, inputs, classes)
        };
        Ok(at(step)?.iter().zip(at(-step)?).map(|(ahead, behind)| (ahead - behind) / (2.0 * step)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weights of pairs of different samples are one in the mean.
    #[test]
    fn schemes_are_unbiased() {
        const N: usize = 6;
        const DRAWS: usize = 200_000;
        let uncertainties = [0.9, 0.5, 0.3, 0.1, 0.02, 0.001];
        let mut random = generator(1, Purpose::Batches);
        for scheme in [
            Scheme::Priority { size: 3, alpha: 0.3 },
            Scheme::Blocks { size: 4, count: 2, alpha: 0.3 },
            Scheme::Blocks { size: 9, count: 3, alpha: 0.3 },
        ] {
            let (mut sums, mut squares) = ([[0.0; N]; N], [[0.0; N]; N]);
            for _ in 0..DRAWS {
                let mut weights = [[0.0; N]; N];
                scheme.pairs(&uncertainties, &mut random, |i, j, w| weights[i][j] += w);
                for (i, j) in (0..N).flat_map(|i| (0..N).map(move |j| (i, j))) {
                    sums[i][j] += weights[i][j];
                    squares[i][j] += weights[i][j].powi(2);
                }
            }
            for (i, j) in (0..N).flat_map(|i| (0..N).map(move |j| (i, j))).filter(|(i, j)| i != j) {
                let mean = sums[i][j] / DRAWS as f64;
                let error = ((squares[i][j] / DRAWS as f64 - mean * mean) / DRAWS as f64).sqrt();
                assert!((mean - 1.0).abs() <= 5.0 * error && error < 0.05, "{scheme:?} {i} {j}: {mean} ± {error}");
            }
        }
    }
}
