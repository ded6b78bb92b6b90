//! What a sample contributes to H, as flat rows of numbers, and the way back from their derivatives.
//!
//! H is a mean over samples of Kronecker products. In the basis of [contrasts](super::contrasts), in which V stands for QᵀV (R×M),
//! S for QᵀSQ (R×R) and r for Qᵀr, a sample's share has the factors
//!
//! ```text
//! S                                   R×R        output–output:  S ⊗ g gᵀ
//! B = S C                             R×M        output–hidden:  B_kj g_j̃ a_i + r_k f_j δ_j̃j a_i
//! A = Cᵀ S C + diag(d)                M×M        hidden–hidden:  A ⊗ a aᵀ
//! C = V diag(f),  d = e∘q,  q = Vᵀr
//! ```
//!
//! **Range.** S and r, and with them H, are linear in how uncertain or wrong the network is, and tr H² is quadratic: near certainty it would
//! underflow long before H does. So S and r are kept divided by σ, a power of two near the largest entry of either in the batch, and all
//! that is made of them (q, d, B, A) with them: tr H = σ (tr H)', tr H² = σ² (tr H²)', where a prime means "of the divided factors".
//!
//! Symmetric factors are stored flat (see [`contrasts`](super::contrasts)).

mod hats;
mod loaded;

use core::ops::Range;

use crate::gemm::{self, Addend, Matrix, MatrixMut, gemm, gemm_rows};
use crate::hessian::contrasts::{self, Contrasts, flat_scale, products_of_rows, triangle, unfold};
use crate::hessian::samples::Samples;
use crate::hessian::sweep::Adjoints;
use crate::network::Shape;
use crate::plan::{Work, largest, product, sum};
use crate::real::{Real, power_of_two_near};
use crate::simd::InstructionSet;
use crate::vector::{add_scaled, largest_magnitude, scale};
use crate::workers::Workers;
use crate::workspace::{Arena, PerSample, pieces, row, row_mut};
pub(crate) use hats::{Hats, HiddenHat, hat_elements};
pub(crate) use loaded::{Loaded, loaded_elements};

/// The factors that are kept for every sample.
#[derive(Debug)]
pub(crate) struct Factors<'w, T> {
    /// σ, which S, r, d and q are divided by.
    pub sigma: f64,
    /// S flat, N×R₂.
    pub s: &'w mut [T],
    /// r, N×R.
    pub r: &'w mut [T],
    /// d = e∘q, N×M.
    pub d: &'w mut [T],
    /// q, N×M.
    q: &'w mut [T],
    /// V, R×M.
    pub v: &'w mut [T],
    /// V_k∘V_l for k ≤ l, R₂×M, flat as S is: times √2 where k < l.
    pub vv: &'w mut [T],
    contrasts: Contrasts<'w, T>,
    /// A row.
    sums: &'w mut [T],
}

/// Samples whose factors are formed at once, so that matrix products have rows enough.
pub(crate) const CHUNK: usize = 16;

/// Where a range of samples is cut in two, at a place that depends on the range alone; nowhere within a `unit` of samples.
pub(crate) fn middle(range: &Range<usize>, unit: usize) -> Option<usize> {
    let half = (range.len() / 2).next_multiple_of(unit);
    (half > 0 && half < range.len()).then_some(range.start + half)
}

/// The chunks of a range of samples.
pub(crate) fn chunks(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    pieces(range, CHUNK)
}

/// Elements that [`Factors::new`] takes.
pub(crate) const fn elements(shape: Shape, n: usize) -> u64 {
    let (m, k) = (shape.hidden(), shape.classes());
    let (r, widest) = (k - 1, if m > k { m } else { k });
    sum(&[
        product(&[n, triangle(r)]),
        product(&[n, r]),
        product(&[2, n, m]),
        contrasts::elements(k),
        product(&[r, m]),
        product(&[triangle(r), m]),
        widest as u64,
    ])
}

/// Elements of packing space that the products need.
pub(crate) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (m, k) = (shape.hidden(), shape.classes());
    let r = k - 1;
    let samples = if n < CHUNK { n } else { CHUNK };
    let (chunk, r2) = (samples.saturating_mul(r), triangle(r));
    let own = [[n, r, m], [n, m, r], [r, n, m], [r, m, m], [chunk, m, r], [chunk, r, m], [r, chunk, m]];
    let of_trace = [[samples, r2, m], [n, m, r2], [r2, n, m]];
    largest(&[gemm::largest_workspace(&own), gemm::largest_workspace(&of_trace)])
}

/// A sample: SV, forward and back, Ŝ and V̂.
pub(crate) const fn work(shape: Shape) -> Work {
    let (m, r) = (shape.hidden(), shape.classes() - 1);
    Work::new(product(&[8, r, r, m]), 4)
}

/// A sample: forming A, and CÂ.
pub(crate) const fn work_of_a(shape: Shape) -> Work {
    let (m, r) = (shape.hidden(), shape.classes() - 1);
    Work::new(sum(&[product(&[2, r, triangle(m)]), product(&[2, r, m, m])]), 2)
}

impl<'w, T: Real> Factors<'w, T> {
    /// S, r, q and d of every sample, in the basis of contrasts.
    pub(crate) fn new(
        isa: InstructionSet,
        samples: &Samples<'_, T>,
        arena: &mut Arena<'w, T>,
        packing: &mut [T],
    ) -> Self {
        let (n, shape) = (samples.n, samples.shape);
        let (m, k) = (shape.hidden(), shape.classes());
        let (r, r2) = (k - 1, triangle(k - 1));
        let mut contrasts = Contrasts::new(k, arena);
        let sums = arena.take(m.max(k));

        let v = arena.take(r * m);
        contrasts.reduce(m, samples.v, v, &mut sums[..m]);
        let vv = arena.take(r2 * m);
        products_of_rows(v, m, flat_scale, vv);
        let (all_s, all_r) = (arena.take(n * r2), arena.take(n * r));
        for i in 0..n {
            contrasts.covariance(row(samples.p, k, i), row_mut(all_s, r2, i));
            contrasts.reduce(1, row(samples.r, k, i), row_mut(all_r, r, i), &mut sums[..1]);
        }
        let sigma = power_of_two_near(largest_magnitude(isa, all_s).max(largest_magnitude(isa, all_r)))
            .max(T::MIN_POSITIVE.to_f64());
        scale(isa, all_s, T::from_f64(1.0 / sigma));
        scale(isa, all_r, T::from_f64(1.0 / sigma));
        let (q, d) = (arena.take(n * m), arena.take(n * m));
        let residuals = Matrix::row_major(all_r, n, r);
        gemm(isa, T::ONE, residuals, Matrix::row_major(v, r, m), T::ZERO, MatrixMut::row_major(q, n, m), packing);
        for ((d, &q), &e) in d.iter_mut().zip(&*q).zip(samples.e) {
            *d = e * q;
        }
        Self { sigma, s: all_s, r: all_r, d, q, v, vv, contrasts, sums }
    }

    /// tr S of sample `n`.
    pub(crate) fn trace_of_s(&self, n: usize) -> T {
        let (_, r) = self.sizes();
        let mut rest = row(self.s, triangle(r), n);
        let mut trace = T::ZERO;
        for k in 0..r {
            trace += rest[0];
            rest = &rest[r - k..];
        }
        trace
    }

    /// Qᵀ times K rows of `width`; `sum` holds one row.
    pub(crate) fn reduce_rows(&self, width: usize, rows: &[T], reduced: &mut [T], sum: &mut [T]) {
        self.contrasts.reduce(width, rows, reduced, sum);
    }

    /// Leaves the basis of contrasts: turns the hats into the adjoints that the [sweep](super::sweep) starts from.
    ///
    /// ```text
    /// q̂ = d̂∘e      ê = d̂∘q      r̂ += V q̂      V̂ += r q̂ᵀ      p̂ = ((from Ŝ) + Q r̂)/σ      V̂ ← Q V̂
    /// ```
    pub(crate) fn into_adjoints(
        self,
        isa: InstructionSet,
        samples: &Samples<'_, T>,
        hats: Hats<'w, T>,
        arena: &mut Arena<'w, T>,
        mut workers: Workers<'_, T>,
    ) -> Adjoints<'w, T> {
        let (n, k) = (samples.n, samples.shape.classes());
        let (m, r) = self.sizes();
        let Hats { s, r: r_hat, d: d_hat, f, g, v: v_hat, p: p_hat } = hats;
        let [s, r_hat, d_hat, f, g, v_hat, p_hat] = [s, r_hat, d_hat, f, g, v_hat, p_hat].map(PerSample::into_all);

        let leaving = Leaving { isa, samples, contrasts: &self.contrasts, v: self.v, sigma: self.sigma };
        let rows = LeavingRows { d: self.d, q: self.q, d_hat, s_hat: s, r_hat, p_hat: &mut *p_hat };
        leaving.run(0..n, rows, workers.reborrow());

        let (v_hat, others) = v_hat.split_at_mut(r * m);
        for other in others.chunks_exact(v_hat.len()) {
            add_scaled(isa, v_hat, T::ONE, other);
        }
        let (residuals, q_hat) = (Matrix::row_major(&*self.r, n, r), Matrix::row_major(&*self.d, n, m));
        let out = MatrixMut::row_major(v_hat, r, m);
        gemm(isa, T::ONE, residuals.t(), q_hat, T::ONE, out, workers.scratch());
        let full_v_hat = arena.take(k * m);
        full_v_hat.fill(T::ZERO);
        self.contrasts.expand(m, v_hat, full_v_hat, &mut self.sums[..m]);
        Adjoints { p: p_hat, g, f, e: self.q, v: full_v_hat, scattered: None }
    }

    /// M and R.
    fn sizes(&self) -> (usize, usize) {
        let r = self.contrasts.count();
        (self.v.len() / r, r)
    }
}

/// What the way out of the basis of contrasts reads of all samples.
struct Leaving<'a, 's, 'c, T> {
    isa: InstructionSet,
    samples: &'a Samples<'s, T>,
    contrasts: &'a Contrasts<'c, T>,
    v: &'a [T],
    sigma: f64,
}

/// And of some, which workers split.
struct LeavingRows<'a, T> {
    /// d and q, which are not needed after this: they turn into q̂ and ê.
    d: &'a mut [T],
    q: &'a mut [T],
    d_hat: &'a [T],
    s_hat: &'a [T],
    r_hat: &'a mut [T],
    p_hat: &'a mut [T],
}

impl<T: Real> Leaving<'_, '_, '_, T> {
    fn run(&self, range: Range<usize>, rows: LeavingRows<'_, T>, mut workers: Workers<'_, T>) {
        let LeavingRows { d, q, d_hat, s_hat, r_hat, p_hat } = rows;
        let (isa, n, m, k) = (self.isa, range.len(), self.samples.shape.hidden(), self.samples.shape.classes());
        let (r, r2) = (k - 1, triangle(k - 1));
        // Contrasts are taken class by class, which costs far more than its few flops.
        let cost = || product(&[n]).saturating_mul(sum(&[product(&[4, k, m]), product(&[100, k, k])]));
        if let Some(at) = workers.cut(n, cost) {
            let ((d, d2), (q, q2)) = (d.split_at_mut(at * m), q.split_at_mut(at * m));
            let ((r_hat, r_hat2), (p_hat, p_hat2)) = (r_hat.split_at_mut(at * r), p_hat.split_at_mut(at * k));
            let ((d_hat, d_hat2), (s_hat, s_hat2)) = (d_hat.split_at(at * m), s_hat.split_at(at * r2));
            let above = LeavingRows { d, q, d_hat, s_hat, r_hat, p_hat };
            let below = LeavingRows { d: d2, q: q2, d_hat: d_hat2, s_hat: s_hat2, r_hat: r_hat2, p_hat: p_hat2 };
            let middle = range.start + at;
            workers.join(
                |workers| self.run(range.start..middle, above, workers),
                |workers| self.run(middle..range.end, below, workers),
            );
            return;
        }
        let samples = self.samples;
        for (((d, &d_hat), &e), q) in d.iter_mut().zip(d_hat).zip(&samples.e[range.start * m..]).zip(q) {
            *d = d_hat * e;
            *q *= d_hat;
        }
        let (q_hat, v) = (Matrix::row_major(d, n, m), Matrix::row_major(self.v, r, m));
        let (add, out) = (Addend::Output(T::ONE), MatrixMut::row_major(r_hat, n, r));
        gemm_rows(isa, T::ONE, q_hat, v.t(), add, out, samples.n, workers.reborrow());

        let mut arena = Arena::new(workers.scratch());
        let (full, scratch) = (arena.take(r * r), arena.take(2 * r));
        for (i, n) in range.enumerate() {
            let p_hat = row_mut(p_hat, k, i);
            self.contrasts.expand(1, row(r_hat, r, i), p_hat, &mut [T::ZERO]);
            unfold(isa, row(s_hat, r2, i), full, r);
            self.contrasts.covariance_back(row(samples.p, k, n), full, p_hat, scratch);
        }
        scale(isa, p_hat, T::from_f64(1.0 / self.sigma));
    }
}
