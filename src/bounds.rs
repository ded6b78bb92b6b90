//! The Wolkowicz–Styan bounds: what two traces tell about the extreme eigenvalues of a symmetric matrix.
//!
//! With `m = tr H / P` (the mean eigenvalue) and `s² = tr H² / P − m²` (their variance), for P ≥ 2:
//!
//! ```text
//! m − s √(P−1)  ≤  λ_min  ≤  m − s / √(P−1)
//! m + s / √(P−1)  ≤  λ_max  ≤  m + s √(P−1)  =  Λ
//! ```
//!
//! The page [`method`](crate::method#the-bounds) says why. Source: Wolkowicz and Styan, *Bounds for eigenvalues using traces*, Linear
//! Algebra and its Applications 29 (1980), Theorem 2.1.
//!
//! **When Λ is differentiable.** Where s > 0. For the Hessian of cross-entropy that is wherever H ≠ 0: adding a constant to all logits
//! changes nothing, so H has M+1 directions of zero curvature, and `s² ≥ (M+1)/P · tr H² / P`. By this inequality the subtraction in
//! `tr H²/P − m²` loses at most a factor `P/(M+1)` of relative accuracy.

use core::ops::AddAssign;

use crate::number::sqrt;

/// tr H and tr H², split by the blocks of H that they come from.
///
/// "Output" means the parameters V and c, "hidden" means W and b, "cross" the two off-diagonal blocks together. In the [tangent
/// form](crate::Form::Tangent) the cross and the hidden part of tr H² are differences of sums. Where they are much smaller than tr H²
/// they have its rounding error, and may even be negative.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Traces {
    /// The output block's part of tr H.
    pub output: f64,
    /// The hidden block's part of tr H.
    pub hidden: f64,
    /// The output block's part of tr H²: its squared Frobenius norm.
    pub output_square: f64,
    /// The part of tr H² of the two blocks that couple output and hidden parameters.
    pub cross_square: f64,
    /// The hidden block's part of tr H².
    pub hidden_square: f64,
}

impl Traces {
    /// tr H, the sum of the eigenvalues.
    pub fn trace(&self) -> f64 {
        self.output + self.hidden
    }

    /// tr H² = ‖H‖_F², the sum of their squares.
    pub fn trace_of_square(&self) -> f64 {
        self.output_square + self.cross_square + self.hidden_square
    }
}

impl Traces {
    /// Adds the traces of a part of the samples: tr H times one weight, tr H² times another.
    pub(crate) fn add_part(&mut self, part: &Self, [weight, of_squares]: [f64; 2]) {
        self.output += weight * part.output;
        self.hidden += weight * part.hidden;
        self.output_square += of_squares * part.output_square;
        self.cross_square += of_squares * part.cross_square;
        self.hidden_square += of_squares * part.hidden_square;
    }
}

/// tr H² by block, while it is summed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Squares {
    pub output: f64,
    pub cross: f64,
    pub hidden: f64,
}

impl AddAssign for Squares {
    fn add_assign(&mut self, other: Self) {
        self.output += other.output;
        self.cross += other.cross;
        self.hidden += other.hidden;
    }
}

/// The four Wolkowicz–Styan bounds on the extreme eigenvalues.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Bounds {
    /// Λ = m + s√(P−1) ≥ λ_max.
    pub lambda_max_upper: f64,
    /// m + s/√(P−1) ≤ λ_max.
    pub lambda_max_lower: f64,
    /// m − s/√(P−1) ≥ λ_min.
    pub lambda_min_upper: f64,
    /// m − s√(P−1) ≤ λ_min.
    pub lambda_min_lower: f64,
}

impl Bounds {
    /// The bounds of a symmetric matrix of `parameters ≥ 2` rows with these traces.
    ///
    /// A variance s² below zero, which rounding or an estimated tr H² can produce, counts as zero.
    ///
    /// ```
    /// // The matrix diag(1, 3): tr H = 4, tr H² = 10. With two rows the bounds are the eigenvalues.
    /// let bounds = flatmin::Bounds::new(4.0, 10.0, 2);
    /// assert_eq!((bounds.lambda_min_lower, bounds.lambda_max_upper), (1.0, 3.0));
    /// ```
    pub fn new(trace: f64, trace_of_square: f64, parameters: usize) -> Self {
        let Spread { mean, deviation, root } = Spread::new(trace, trace_of_square, parameters);
        Self {
            lambda_max_upper: mean + deviation * root,
            lambda_max_lower: mean + deviation / root,
            lambda_min_upper: mean - deviation / root,
            lambda_min_lower: mean - deviation * root,
        }
    }
}

/// Mean and standard deviation of the eigenvalues, and √(P−1).
struct Spread {
    mean: f64,
    deviation: f64,
    root: f64,
}

impl Spread {
    fn new(trace: f64, trace_of_square: f64, parameters: usize) -> Self {
        let size = parameters as f64;
        let mean = trace / size;
        let variance = (trace_of_square / size - mean * mean).max(0.0);
        Self { mean, deviation: sqrt(variance), root: sqrt(size - 1.0) }
    }
}

/// Λ's derivatives with respect to the two traces: `∇Λ = trace · ∇tr H + square · ∇tr H²`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundSlopes {
    /// 1/P − √(P−1) m / (s P).
    pub trace: f64,
    /// √(P−1) / (2 s P).
    pub square: f64,
    /// Whether Λ is differentiable: s > 0. Where it is not, `square` is zero and `trace` is 1/P: of all subgradients the one whose part
    /// in ∇tr H² is zero.
    pub differentiable: bool,
}

impl BoundSlopes {
    /// The slopes of Λ for a symmetric matrix of `parameters ≥ 2` rows with these traces.
    ///
    /// From `∇Λ = ∇tr H / P + √(P−1)/(2s) · (∇tr H² / P − 2 m ∇tr H / P)`; arXiv 2606.28662.
    pub fn new(trace: f64, trace_of_square: f64, parameters: usize) -> Self {
        let Spread { mean, deviation, root } = Spread::new(trace, trace_of_square, parameters);
        let size = parameters as f64;
        let square = root / (2.0 * deviation * size);
        if square.is_finite() {
            Self { trace: 1.0 / size - 2.0 * mean * square, square, differentiable: true }
        } else {
            Self { trace: 1.0 / size, square: 0.0, differentiable: false }
        }
    }
}
