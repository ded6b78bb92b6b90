//! HSR at about the price of SGD: unbiased estimates of both traces and their gradients, linear in the batch, and a step that bounds their
//! noise.
//!
//! The exact tr H² couples all pairs of a batch of N, and every pair costs a multiple of K·M. Two methods, each unbiased by itself, avoid
//! both factors:
//!
//! 1. **A sketch of the classes.** `ξ ξᵀ` with a random ξ replaces S of a sample; its mean is S. This is Hutchinson's idea, on K numbers
//!    instead of P. Inner products of matrices, one for each pair, become inner products of vectors.
//! 2. **A subset of the samples.** J of them are kept, with weights that make up for the others. Samples about which the network is
//!    uncertain are more likely to be kept.
//!
//! # The sketch
//!
//! With independent signs of the classes, `sign_top = 0` at the most probable class, and `1_top` its unit vector,
//!
//! ```text
//! ξ = √p ∘ ( sign − shift (√p + 1_top) )        shift = (√p·sign)/(1 + √p_top)        𝔼 ξ ξᵀ = S
//! ```
//!
//! because the reflection that maps `1_top` to −√p has, in its other columns, an orthonormal basis of the vectors orthogonal to √p. For
//! two classes only the sign of ξ is random, and it cancels. In the [exact expression](crate::method#the-two-traces) `ξ ξᵀ` and
//! `ξ' ξ'ᵀ` replace S and S'. With `ζ = f∘Vᵀξ`, `d = e∘q`, the term of a pair in N² tr H² becomes
//!
//! ```text
//! κ = ψ² + 2 Ga ( (ξ·r')((ζ∘h)·f') + (r·ξ')(f·(ζ'∘h')) + (r·r')(f·f') ) + Ga² ( ζ²·d' + d·ζ'² + d·d' )
//! ψ = (ξ·ξ') Gg + Ga ζ·ζ'
//! ```
//!
//! whose mean over the signs of both samples is the exact term. For a pair of a sample with itself, two independent ξ take the place of
//! one: `ψ̃²` with `ψ̃ = (ξ·ξ̃) Gg + Ga ζ·ζ̃`.
//!
//! # The subset
//!
//! Priority sampling (Duffield, Lund, Thorup, *Priority sampling for estimation of arbitrary subset sums*, J. ACM 54, 2007). A sample has
//! the score `(1 − α) υ/mean(υ) + α` with `υ = 1 − ‖p‖²`, and the priority `score/uniform`, where `uniform` is a random number in (0, 1].
//! The J samples of the largest priorities are kept, with the weights `w_i = max(1, τ/score)`; τ is the next largest priority. Then
//! `𝔼 w_i 1_i = 1` and, for i ≠ j, `𝔼 w_i w_j 1_i 1_j = 1`.
//!
//! # The estimates
//!
//! ```text
//! E2 = w_cross Σ_{i≠j kept} w_i w_j κ_ij + w_self Σ_{i kept} w_i κ_ii
//! E1 = (1/N) Σ_{i kept} w_i ( ‖ξ‖²‖g‖² + ‖a‖² ( ‖ζ‖² + Σ d ) )
//! ```
//!
//! w_self and w_cross are those of the plan's [`PairWeights`](crate::PairWeights). With the weights of a data set of T samples, E2 of a
//! mini-batch is an unbiased estimate of the data set's tr H². With the batch's own weights it estimates the batch's tr H², which is on
//! average larger than the data set's.
//!
//! # The step
//!
//! Λ is a function of both traces. Its slopes are taken at mixtures of the running averages Ē1, Ē2 ([`Averages`]) and the step's own
//! estimates, with the share γ of the latter ([`Sampling::own_share`]), and held constant:
//!
//! ```text
//! T1 = (1 − γ) Ē1 + γ E1        T2 = max( (1 − γ) Ē2 + γ max(E2, 0), 0 )
//! m = T1/P, where |T1| is at most √((P − M − 1) T2)        s² = T2/P − m²
//! ∇Λ ≈ ∇E1/P + √(P−1)/(2s) ( ∇E2/P − 2m ∇E1/P ) = Σ_i c_i
//! Ē1 ← β Ē1 + (1 − β) E1,  Ē2 likewise, afterwards; the first step's averages are its own estimates
//! ```
//!
//! The contribution c_i of a kept sample is the derivative through its own logits, pre-activations and sketches, with those of all others
//! held constant. So half of every pair belongs to each of its samples. A few contributions are many times as large as the others, and
//! throw a network out of its minimum. They are limited, and what they lose is given back to all:
//!
//! ```text
//! step along  ∇L + ρ Σ_i factor_i c_i        factor_i = make_up · min(1, limit/size_i)
//! size_i: the length of c_i, but for what acts on V directly
//! make_up = averages of (Σ size) / (Σ min(size, limit)), at most 3
//! limit ← limit (1 + 0.3 (1 − Σ min(size, limit)/Σ size − share))
//! ```
//!
//! So the limit moves to where it takes the share of the length that [`Sampling::limited_share`] says. It has no scale of its own. The
//! first step limits nothing, nor does one that keeps the whole batch.
//!
//! # What is unbiased, and what is not
//!
//! | quantity | its mean |
//! |---|---|
//! | E1, E2 and their gradients ([`sampled_gradient`](crate::sampled_gradient)) | exactly those of the batch, or of the data set, for any J ≥ 2 and any α, with or without the sketch |
//! | the step's gradient with [`Sampling::unbiased`], given the averages | exactly ∇(L + ρΛ) with Λ's slopes at the averages, which are about `1/(1 − β)` steps old |
//! | slopes at own estimates (γ = 1, the default) | the mean of a root is below the root of the mean: where E2 is far from its mean the penalty is smaller than Λ |
//! | the limit (the default) | of rare large contributions less, of all others more; the length is kept, the direction is not |
//!
//! # When to use which
//!
//! [`Penalty::Sampled`](crate::Penalty) on mini-batches, with the defaults: its noise averages out over steps, as the noise of the batches
//! does, and but for tiny networks a step costs less than SAM's. [`Penalty::Exact`](crate::Penalty) where exactness matters or is
//! affordable: full-batch training of small networks, wide networks with small batches, or a check of the sampled one.
//! [`Sampling::unbiased`] where an estimate without bias is wanted and η ρ is small: at large η ρ its noise throws networks out of their
//! minima. Without the sketch (`sketch: false`) the pairs of the subset are exact, at about K² times the cost.
//!
//! More samples help at large ρ, and on images. The repository's `docs/sampled.md` has figures: flatness and accuracy against the exact
//! penalty and SAM, at equal epochs and at equal time, and where the defaults fall behind.
//!
//! A step's random numbers are a function of the seed and of [`State::steps`](crate::State): a training that is stored and resumed
//! continues with the same bits. The feature `rand_core` adds `Hsr::step_with`, which takes each step's seed from the caller's generator.

mod back;
pub(crate) mod evaluate;
mod features;
mod inner;
mod limit;
mod logits_back;
mod pairs;
mod sketch;
mod subset;
#[cfg(test)]
mod tests;
mod units_back;

use core::num::NonZeroUsize;

use crate::bounds::{BoundSlopes, Bounds};
use crate::error::{Error, Result};
use crate::network::Shape;
use crate::number::sqrt;

/// How both traces are estimated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// J, how many samples are kept, at least 2; `None`: as many as [`Sampling::subset_len`] says.
    pub subset: Option<NonZeroUsize>,
    /// Whether S is sketched by a random vector, or taken exactly by K − 1 vectors.
    pub sketch: bool,
    /// α, in [[`LEAST_ALPHA`](Self::LEAST_ALPHA), 1]: the share of the scores that is the same for all samples. With 1 all samples are
    /// equally likely to be kept.
    pub alpha: f64,
    /// β, in [0, 1): the share of the averages that a step keeps.
    pub beta: f64,
    /// γ, in [0, 1]: the share of a step's own estimates in the traces at which it takes Λ's slopes; the rest is that of the averages.
    pub own_share: f64,
    /// The share of the contributions' length that a limit on the largest takes away, and a factor gives back; in [0, 1). 0: no limit.
    pub limited_share: f64,
    /// Seed of the random numbers, which also depend on the count of steps.
    pub seed: u64,
}

impl Sampling {
    /// An automatic subset, the sketch, α = 0.1, β = 0.95, γ = 1, a limit that takes a fifth of the length, and this seed.
    pub const fn new(seed: u64) -> Self {
        Self { subset: None, sketch: true, alpha: 0.1, beta: 0.95, own_share: 1.0, limited_share: 0.2, seed }
    }

    /// The same without limit and with slopes at the averages alone: given these, a step's gradient is unbiased.
    pub const fn unbiased(seed: u64) -> Self {
        Self { own_share: 0.0, limited_share: 0.0, ..Self::new(seed) }
    }

    /// The smallest α, 2⁻²⁰. With less, a certain sample would hardly ever be kept, and if it were, its weight would be useless.
    pub const LEAST_ALPHA: f64 = 1.0 / (1 << 20) as f64;

    /// The largest share of the loss gradient's flops that an automatic subset may add, where more than [`LEAST`](Self::LEAST) samples
    /// are kept.
    pub const SHARE: f64 = 0.15;
    /// The smallest and the largest automatic subset.
    pub const LEAST: usize = 8;
    /// See [`LEAST`](Self::LEAST).
    pub const MOST: usize = 16;

    /// Checks that all parameters are in their ranges.
    ///
    /// # Errors
    ///
    /// [`Error::TooSmall`] for a subset of one, [`Error::Hyperparameter`] for α, β, γ or the limited share out of range.
    pub fn check(&self) -> Result<()> {
        if let Some(size) = self.subset
            && size.get() < 2
        {
            return Err(Error::TooSmall { argument: "subset", given: size.get(), least: 2 });
        }
        let ranges = [
            ("alpha", self.alpha, (Self::LEAST_ALPHA..=1.0).contains(&self.alpha), "a number from 2⁻²⁰ to 1"),
            ("beta", self.beta, (0.0..1.0).contains(&self.beta), "a number from 0 up to, but not including, 1"),
            ("own share", self.own_share, (0.0..=1.0).contains(&self.own_share), "a number from 0 to 1"),
            (
                "limited share",
                self.limited_share,
                (0.0..1.0).contains(&self.limited_share),
                "a number from 0 up to, but not including, 1",
            ),
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
    /// E1
    pub trace: f64,
    /// E2; can be negative.
    pub trace_of_square: f64,
    /// How many samples were kept.
    pub kept: usize,
    /// The sum of their weights, whose mean is the number of samples in the batch.
    pub weight: f64,
}

/// Running averages of the estimates: plain data, part of an optimizer's [`State`](crate::State).
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Averages {
    /// Ē1
    pub trace: f64,
    /// Ē2
    pub trace_of_square: f64,
    /// The size to which contributions to ∇Λ are limited; 0 while there is none.
    pub limit: f64,
    /// Average of the sum of the contributions' sizes, before they are limited.
    pub whole: f64,
    /// The same after they are limited.
    pub limited: f64,
    /// Number of estimates in the averages, modulo 2⁶⁴; while it is 0 the averages are not read.
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
            ..self
        }
    }

    /// Checks averages that are read: all are finite, and sizes are not negative. An error's index counts them in the order of the fields.
    pub(crate) fn check(&self) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let sizes = [self.limit, self.whole, self.limited];
        let all = [self.trace, self.trace_of_square].into_iter().chain(sizes);
        if let Some(index) = all.into_iter().position(|average| !average.is_finite()) {
            return Err(Error::NotFinite { argument: "averages", index });
        }
        let names = ["average limit", "average whole", "average limited"];
        match names.into_iter().zip(sizes).find(|&(_, size)| size < 0.0) {
            Some((argument, given)) => {
                Err(Error::Hyperparameter { argument, given, expected: "a number that is not negative" })
            }
            None => Ok(()),
        }
    }

    /// Slopes of Λ at mixtures of averages and estimates, with the share `own` of the estimates.
    ///
    /// H has M + 1 directions of zero curvature, so `m² ≤ (P − M − 1)/P · tr H²/P`. Estimates may violate this; m is then limited to it.
    pub(crate) fn slopes(&self, estimate: &Estimate, own: f64, shape: Shape) -> BoundSlopes {
        let Self { trace, trace_of_square, .. } = if self.count == 0 { self.with(estimate, 0.0) } else { *self };
        let mix = |average: f64, new: f64| (1.0 - own) * average + own * new;
        let (trace, square) =
            (mix(trace, estimate.trace), mix(trace_of_square, estimate.trace_of_square.max(0.0)).max(0.0));
        let limit = sqrt((shape.parameters() - shape.hidden() - 1) as f64 * square);
        BoundSlopes::new(trace.clamp(-limit, limit), square, shape.parameters())
    }
}

/// The weighted sum whose gradient [`sampled_gradient`](crate::sampled_gradient) computes.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Mixture {
    /// Weight of L.
    pub loss: f64,
    /// Weight of E1.
    pub trace: f64,
    /// Weight of E2.
    pub trace_of_square: f64,
}
