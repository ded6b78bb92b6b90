//! HSR at about the price of SGD: an unbiased estimate of both traces and their gradients, linear in the batch.
//!
//! The exact tr H² couples all pairs of a batch of N, and every pair costs a multiple of K·M. Two ingredients, each unbiased by itself, take
//! both factors away:
//!
//! 1. **A sketch of the classes.** S of a sample is replaced by `z zᵀ` with a random z of mean square S. Hutchinson's idea, on K numbers
//!    instead of P; the inner products of matrices that a pair needs become inner products of vectors.
//! 2. **A subset of the samples.** r of them, preferably those about which the network is uncertain, with weights that make up for the
//!    others.
//!
//! # The sketch
//!
//! With `s = √p`, c the most probable class, and independent signs ε of the other classes (`ε_c = 0`),
//!
//! ```text
//! z = s ∘ ( ε − (s·ε)/(1 + s_c) (s + e_c) )                 E z zᵀ = S
//! ```
//!
//! because the reflection that maps `e_c` to −s has, in its other columns, an orthonormal basis of the complement of s. For two classes
//! nothing is random but z's sign, which cancels. All of the exact expression (see [`crate::hessian`]) that is linear in S and in S' has
//! `z zᵀ` and `z' z'ᵀ` in their places; with `ζ = f ∘ Vᵀz`, `d = e∘q`, the term of a pair in N² tr H² becomes
//!
//! ```text
//! κ = ω² + 2 Ga ( (z·r')((ζ∘h)·f') + (r·z')(f·(ζ'∘h')) + (r·r')(f·f') ) + Ga² ( ζ²·d' + d·ζ'² + d·d' )
//! ω = (z·z') Gg + Ga ζ·ζ'
//! ```
//!
//! whose mean over both samples' signs is the exact term. A sample paired with itself has ω² from two independent z: `ω̃ = (z·z̃) Gg + Ga ζ·ζ̃`.
//!
//! # The subset
//!
//! Priority sampling (Duffield, Lund, Thorup, *Priority sampling for estimation of arbitrary subset sums*, J. ACM 54, 2007): scores
//! `(1 − α) σ/mean(σ) + α` with `σ = 1 − ‖p‖²`, priorities score/u with uniform u, and of the r largest priorities, with the (r+1)-th as τ,
//! weights `w = max(1, τ/score)`. Then `E w_i 1_i = 1` and, for i ≠ j, `E w_i w_j 1_i 1_j = 1`.
//!
//! # The estimates
//!
//! ```text
//! t̂2 = c Σ_{i≠j kept} w_i w_j κ_ij + s Σ_{i kept} w_i κ_ii
//! t̂1 = (1/N) Σ_{i kept} w_i ( ‖z‖²‖g‖² + ‖a‖² ( ‖ζ‖² + Σ d ) )
//! ```
//!
//! with the weights s and c of the plan's [`PairWeights`](crate::PairWeights): with those of a data set of T samples, t̂2 of a mini-batch is
//! an unbiased estimate of the data set's tr H²; with the batch's own it is one of the batch's, which is too high for the data set.
//!
//! # The step
//!
//! Λ is a function of both traces, and the mean of a ratio is not the ratio of means. Its slopes are therefore taken at running averages,
//! and held constant ([`Averages`]):
//!
//! ```text
//! m = T1/P        s² = max(T2, γ t̂2)/P − m²
//! ∇Λ ≈ ∇t̂1/P + √(P−1)/(2s) ( ∇t̂2/P − 2m ∇t̂1/P )
//! T1 ← β T1 + (1 − β) t̂1,  T2 likewise, afterwards; the first step's averages are its own estimates
//! ```
//!
//! # What is unbiased, and what nearly so
//!
//! | quantity | its mean |
//! |---|---|
//! | t̂1, t̂2 and their gradients | exactly those of the batch, or the data set, for any r ≥ 2, α, sketch or not |
//! | the step's gradient, given the averages, with guard γ = 0 | exactly ∇(L + ρΛ) with Λ's slopes at the averages |
//! | the same with the default guard γ = 1/4 | smaller where t̂2 comes out more than four times its average: rare outliers are bounded |
//! | the slopes | those of averages that lag some `1/(1 − β)` steps behind |
//!
//! # When to use which
//!
//! [`Penalty::Sampled`](crate::Penalty) on mini-batches: its noise averages out over steps as the noise of the batches does, and it costs less than SAM.
//! [`Penalty::Exact`](crate::Penalty) where exactness is the point, or affordable: full-batch training of small networks, two classes, or a check of
//! the other. Without the sketch (`sketch: false`) a subset's pairs are exact, at about K² times the cost.
//!
//! The noise grows with η ρ. Where training is unstable (η ρ of 0.05 and above, in experiments on digits), keep more samples, set γ = 1, or lower
//! the learning rate. On images, 32 samples are worth their time. The repository's `docs/sampled.md` has figures: flatness and accuracy against SGD, SAM and the exact penalty at equal
//! epochs and at equal time, for all parameters and activations.
//!
//! A step's random numbers are a function of the seed and of [`State::steps`](crate::State): a training that is stored and resumed goes on to the
//! last bit. The feature `rand_core` adds `Hsr::step_with`, which takes each step's seed from a generator of the caller's.

mod back;
pub(crate) mod evaluate;
mod features;
mod pairs;
mod sketch;
mod subset;
#[cfg(test)]
mod tests;

use core::num::NonZeroUsize;

use crate::bounds::{BoundSlopes, Bounds};
use crate::error::{Error, Result};
use crate::network::Shape;
use crate::number::sqrt;

/// How both traces are estimated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// r, how many samples are kept, at least 2; `None`: as many as [`Sampling::subset_len`] says.
    pub subset: Option<NonZeroUsize>,
    /// Whether S is sketched by a random vector, or taken exactly by K − 1 vectors.
    pub sketch: bool,
    /// α, in [[`LEAST_ALPHA`](Self::LEAST_ALPHA), 1]: the share of the scores that is the same for all samples. 1 keeps all with the same
    /// probability.
    pub alpha: f64,
    /// β, in [0, 1): how much of the averages of the traces a step keeps.
    pub beta: f64,
    /// γ, in [0, 1]: an estimate of tr H² counts at least so much in the slopes of its own step.
    pub guard: f64,
    /// Where the random numbers come from, with the count of steps.
    pub seed: u64,
}

impl Sampling {
    /// Automatic subset, sketched, α = 0.1, β = 0.95, γ = 1/4, and this seed.
    pub const fn new(seed: u64) -> Self {
        Self { subset: None, sketch: true, alpha: 0.1, beta: 0.95, guard: 0.25, seed }
    }

    /// The smallest α: with less, a sample of no uncertainty would hardly ever be kept, and then with a weight beyond all use.
    pub const LEAST_ALPHA: f64 = 1.0 / (1 << 20) as f64;

    /// The largest share of the loss gradient's flops that an automatic subset may add.
    pub const SHARE: f64 = 0.15;
    /// The smallest and the largest automatic subset.
    pub const LEAST: usize = 8;
    /// See [`LEAST`](Self::LEAST).
    pub const MOST: usize = 16;

    /// Whether all parameters are in their ranges.
    ///
    /// # Errors
    ///
    /// [`Error::TooSmall`] for a subset of one, [`Error::Hyperparameter`] for α, β or γ out of range.
    pub fn check(&self) -> Result<()> {
        if let Some(size) = self.subset
            && size.get() < 2
        {
            return Err(Error::TooSmall { argument: "subset", given: size.get(), least: 2 });
        }
        let ranges = [
            ("alpha", self.alpha, (Self::LEAST_ALPHA..=1.0).contains(&self.alpha), "a number from 2⁻²⁰ to 1"),
            ("beta", self.beta, (0.0..1.0).contains(&self.beta), "a number from 0 up to, but not including, 1"),
            ("guard", self.guard, (0.0..=1.0).contains(&self.guard), "a number from 0 to 1"),
        ];
        for (argument, given, valid, expected) in ranges {
            if !valid {
                return Err(Error::Hyperparameter { argument, given, expected });
            }
        }
        Ok(())
    }
}

impl Default for Sampling {
    fn default() -> Self {
        Self::new(0)
    }
}

/// Estimates of both traces.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Estimate {
    /// t̂1
    pub trace: f64,
    /// t̂2; can be negative.
    pub trace_of_square: f64,
    /// How many samples were kept.
    pub kept: usize,
    /// The sum of their weights, whose mean is the number of samples in the batch.
    pub weight: f64,
}

/// Running averages of the estimates: plain data, part of an optimizer's [`State`](crate::State).
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Averages {
    /// T1
    pub trace: f64,
    /// T2
    pub trace_of_square: f64,
    /// Estimates that went in, modulo 2⁶⁴; before the first, the averages are not read.
    pub count: u64,
}

impl Averages {
    /// The Wolkowicz–Styan bounds of the averages.
    pub fn bounds(&self, shape: Shape) -> Bounds {
        Bounds::new(self.trace, self.trace_of_square, shape.parameters())
    }

    /// The averages with one more estimate.
    #[must_use]
    pub fn with(self, estimate: &Estimate, beta: f64) -> Self {
        let beta = if self.count == 0 { 0.0 } else { beta };
        let mix = |average: f64, new: f64| if beta == 0.0 { new } else { beta * average + (1.0 - beta) * new };
        Self {
            trace: mix(self.trace, estimate.trace),
            trace_of_square: mix(self.trace_of_square, estimate.trace_of_square),
            count: self.count.wrapping_add(1).max(1),
        }
    }

    /// Slopes of Λ at the averages, guarded by the estimate.
    ///
    /// H has M + 1 directions of zero curvature, so that `m² ≤ (P − M − 1)/P · tr H²/P`. Estimates need not obey; m is held within.
    pub(crate) fn slopes(&self, estimate: &Estimate, guard: f64, shape: Shape) -> BoundSlopes {
        let Self { trace, trace_of_square, .. } = if self.count == 0 { self.with(estimate, 0.0) } else { *self };
        let square = trace_of_square.max(guard * estimate.trace_of_square).max(0.0);
        let limit = sqrt((shape.parameters() - shape.hidden() - 1) as f64 * square);
        BoundSlopes::new(trace.clamp(-limit, limit), square, shape.parameters())
    }
}

/// What [`sampled_gradient`](crate::sampled_gradient) takes the gradient of: a weighted sum.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Mixture {
    /// Weight of L.
    pub loss: f64,
    /// Weight of t̂1.
    pub trace: f64,
    /// Weight of t̂2.
    pub trace_of_square: f64,
}
