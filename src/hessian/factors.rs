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

use core::f64::consts::{FRAC_1_SQRT_2, SQRT_2};
use core::ops::Range;

use crate::gemm::{self, Addend, Matrix, MatrixMut, gemm, gemm_rows};
use crate::hessian::contrasts::{self, Contrasts, triangle, unfold};
use crate::hessian::samples::Samples;
use crate::hessian::sweep::Adjoints;
use crate::network::Shape;
use crate::plan::{Work, product, sum};
use crate::real::{Real, power_of_two_near};
use crate::simd::{InstructionSet, Kernel, Lanes, MAX_LANES, Simd};
use crate::vector::{add_scaled, largest_magnitude, scale};
use crate::workers::Workers;
use crate::workspace::{Arena, PerSample, row, row_mut};

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
    contrasts: Contrasts<'w, T>,
    /// A row.
    sums: &'w mut [T],
}

/// The larger factors, of a chunk of samples at a time: scratch of a worker.
#[derive(Debug)]
pub(crate) struct Loaded<'w, T> {
    /// S of the samples, R×R each.
    full_s: &'w mut [T],
    /// SV of the samples, R×M each.
    sv: &'w mut [T],
    /// CÂ and its like, and CÂ + B̂, of the samples, R×M each; Ŝ, R×R each.
    c_a_hat: &'w mut [T],
    b_sum: &'w mut [T],
    s_hat: &'w mut [T],
    /// C and Â of one sample, R×M and M×M.
    c: &'w mut [T],
    a_hat: &'w mut [T],
    /// For the matrix products: all that is left of the worker's scratch.
    pub packing: &'w mut [T],
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
    let end = range.end;
    range.step_by(CHUNK).map(move |start| start..(start + CHUNK).min(end))
}

/// Derivatives of an objective with respect to what H is made of, one row a sample.
#[derive(Debug)]
pub(crate) struct Hats<'w, T> {
    /// Ŝ flat, N×R₂.
    pub s: PerSample<'w, T>,
    /// r̂, N×R.
    pub r: PerSample<'w, T>,
    /// d̂, N×M.
    pub d: PerSample<'w, T>,
    /// f̂, N×M.
    pub f: PerSample<'w, T>,
    /// ĝ without its last entry, N×M.
    pub g: PerSample<'w, T>,
    /// V̂, what depends on V other than through q and z: R×M each, to be added up, a matrix for every [`CHUNK`] of samples.
    pub v: PerSample<'w, T>,
    /// The derivative with respect to p/σ, N×K, of what depends on p other than through S and r.
    pub p: PerSample<'w, T>,
}

/// Derivative of an objective with respect to A, of one sample after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HiddenHat<'a, T> {
    /// Nothing.
    Zero,
    /// Multiples of the unit matrix, one a sample.
    Multiples(&'a [T]),
    /// Diagonal matrices, M numbers each, for CᵀSC alone: d has its derivative elsewhere.
    Omega(&'a [T]),
    /// Flat, like A itself, M₂ numbers each.
    Flat(&'a [T]),
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
        widest as u64,
    ])
}

/// Lengths of the slices of [`Loaded`] but the last, in their order.
const fn lengths(shape: Shape, n: usize) -> [u64; 7] {
    let (m, r, chunk) = (shape.hidden(), shape.classes() - 1, if n < CHUNK { n } else { CHUNK });
    let (s, b) = (product(&[chunk, r, r]), product(&[chunk, r, m]));
    [s, b, b, b, s, product(&[r, m]), product(&[m, m])]
}

/// Elements that [`Loaded::new`] takes, besides packing space.
pub(crate) const fn loaded_elements(shape: Shape, n: usize) -> u64 {
    sum(&lengths(shape, n))
}

/// Elements that [`Hats::zeroed`] takes, and [`Factors::into_adjoints`] after it.
pub(crate) const fn hat_elements(shape: Shape, n: usize) -> u64 {
    let (m, k) = (shape.hidden(), shape.classes());
    let r = k - 1;
    let v_hats = product(&[n.div_ceil(CHUNK), r, m]);
    let hats = sum(&[product(&[n, triangle(r)]), product(&[n, r]), product(&[3, n, m]), v_hats]);
    sum(&[hats, product(&[n, k]), product(&[k, m])])
}

/// Elements of packing space that the products need.
pub(crate) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (m, k) = (shape.hidden(), shape.classes());
    let r = k - 1;
    let chunk = (if n < CHUNK { n } else { CHUNK }).saturating_mul(r);
    gemm::largest_workspace(&[[n, r, m], [n, m, r], [r, n, m], [r, m, m], [chunk, m, r], [chunk, r, m], [r, chunk, m]])
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
        Self { sigma, s: all_s, r: all_r, d, q, v, contrasts, sums }
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

impl<'w, T: Real> Loaded<'w, T> {
    /// For batches of up to `n` samples; what is left of `arena` is packing space.
    pub(crate) fn new(shape: Shape, n: usize, mut arena: Arena<'w, T>) -> Self {
        let [full_s, sv, c_a_hat, b_sum, s_hat, c, a_hat] = arena.take_all(lengths(shape, n));
        Self { full_s, sv, c_a_hat, b_sum, s_hat, c, a_hat, packing: arena.rest() }
    }

    /// Computes the full S and SV of the samples `range`, at most a [`CHUNK`].
    pub(crate) fn load(&mut self, isa: InstructionSet, factors: &Factors<'_, T>, range: &Range<usize>) {
        let (m, r) = factors.sizes();
        for (n, full) in range.clone().zip(self.full_s.chunks_exact_mut(r * r)) {
            unfold(isa, row(factors.s, triangle(r), n), full, r);
        }
        let rows = range.len() * r;
        let s = Matrix::row_major(&self.full_s[..rows * r], rows, r);
        let v = Matrix::row_major(&*factors.v, r, m);
        gemm(isa, T::ONE, s, v, T::ZERO, MatrixMut::row_major(&mut self.sv[..rows * m], rows, m), self.packing);
    }

    /// Writes B = SC of the samples `range`, R×M each.
    pub(crate) fn write_b(&self, isa: InstructionSet, samples: &Samples<'_, T>, range: &Range<usize>, b: &mut [T]) {
        let (m, rm) = (samples.shape.hidden(), self.c.len());
        isa.vectorize(|| {
            for (i, n) in range.clone().enumerate() {
                let f = row(samples.f, m, n);
                let rows = row_mut(b, rm, i).chunks_exact_mut(m).zip(row(self.sv, rm, i).chunks_exact(m));
                for (b, sv) in rows {
                    for ((b, &sv), &f) in b.iter_mut().zip(sv).zip(f) {
                        *b = sv * f;
                    }
                }
            }
        });
    }

    /// Writes A = CᵀB + diag(d) of sample `n`, flat, from its B.
    pub(crate) fn write_a(
        &mut self,
        isa: InstructionSet,
        samples: &Samples<'_, T>,
        factors: &Factors<'_, T>,
        n: usize,
        b: &[T],
        flat: &mut [T],
    ) {
        let m = samples.shape.hidden();
        scale_columns(isa, factors.v, row(samples.f, m, n), self.c);
        isa.run(HiddenFactor { c: self.c, b, d: row(factors.d, m, n), flat });
    }

    /// tr A = Σ_j f_j² (VᵀSV)_jj + Σ_j d_j of sample `n`, the `i`-th of the chunk.
    pub(crate) fn trace_of_a(
        &self,
        isa: InstructionSet,
        samples: &Samples<'_, T>,
        factors: &Factors<'_, T>,
        i: usize,
        n: usize,
    ) -> T {
        let m = samples.shape.hidden();
        let (f, d) = (row(samples.f, m, n), row(factors.d, m, n));
        isa.run(TraceOfA { v: factors.v, sv: row(self.sv, self.c.len(), i), f, d })
    }

    /// Adds the way back from B̂ (R×M each; zero if absent) and Â of the loaded samples `range` to the hats.
    ///
    /// ```text
    /// Ŝ += (C Â + B̂) Cᵀ      Ĉ = S Y,  Y = 2 C Â + B̂      f̂_j += Σ_k Y_kj (SV)_kj      V̂ += Ĉ diag(f)      d̂_j += Â_jj
    /// ```
    ///
    /// With `diag(f)` moved to the left factors, Ŝ of all samples is one product with V, and V̂ one product of all S with all Y.
    #[allow(
        clippy::too_many_arguments,
        reason = "one stage of an evaluation: what it reads, what it adds to, and scratch"
    )]
    pub(crate) fn back(
        &mut self,
        isa: InstructionSet,
        samples: &Samples<'_, T>,
        factors: &Factors<'_, T>,
        range: &Range<usize>,
        b_hat: Option<&[T]>,
        a_hat: HiddenHat<'_, T>,
        hats: &mut Hats<'_, T>,
    ) {
        let (m, r) = factors.sizes();
        for (i, n) in range.clone().enumerate() {
            let (f, d_hat) = (row(samples.f, m, n), hats.d.row_mut(n));
            let c_a_hat = row_mut(self.c_a_hat, r * m, i);
            match a_hat {
                HiddenHat::Zero => c_a_hat.fill(T::ZERO),
                HiddenHat::Multiples(multiples) => {
                    let factor = multiples[i];
                    scale_columns(isa, factors.v, f, c_a_hat);
                    scale(isa, c_a_hat, factor);
                    for d_hat in d_hat {
                        *d_hat += factor;
                    }
                }
                HiddenHat::Omega(o_hat) => {
                    let (v, o_hat) = (&*factors.v, row(o_hat, m, i));
                    isa.vectorize(|| {
                        for (c_a_hat, v) in c_a_hat.chunks_exact_mut(m).zip(v.chunks_exact(m)) {
                            for ((c_a_hat, &v), (&f, &o_hat)) in c_a_hat.iter_mut().zip(v).zip(f.iter().zip(o_hat)) {
                                *c_a_hat = v * f * o_hat;
                            }
                        }
                    });
                }
                HiddenHat::Flat(flat) => {
                    unfold(isa, row(flat, triangle(m), i), self.a_hat, m);
                    for (j, d_hat) in d_hat.iter_mut().enumerate() {
                        *d_hat += self.a_hat[j * m + j];
                    }
                    scale_columns(isa, factors.v, f, self.c);
                    let (c, a_hat) = (Matrix::row_major(&*self.c, r, m), Matrix::row_major(&*self.a_hat, m, m));
                    gemm(isa, T::ONE, c, a_hat, T::ZERO, MatrixMut::row_major(c_a_hat, r, m), self.packing);
                }
            }
        }

        let rows = range.len() * r;
        let (y, b_sum) = (&mut self.c_a_hat[..rows * m], &mut self.b_sum[..rows * m]);
        if let Some(b_hat) = b_hat {
            b_sum.copy_from_slice(&b_hat[..rows * m]);
        } else {
            b_sum.fill(T::ZERO);
        }
        for (i, n) in range.clone().enumerate() {
            let (y, b_sum, sv) = (row_mut(y, r * m, i), row_mut(b_sum, r * m, i), row(self.sv, r * m, i));
            isa.run(BackOfSample { y, b_sum, sv, f: row(samples.f, m, n), f_hat: hats.f.row_mut(n) });
        }

        let v = Matrix::row_major(&*factors.v, r, m);
        let s_hat = MatrixMut::row_major(&mut self.s_hat[..rows * r], rows, r);
        gemm(isa, T::ONE, Matrix::row_major(b_sum, rows, m), v.t(), T::ZERO, s_hat, self.packing);
        for (n, s_hat) in range.clone().zip(self.s_hat.chunks_exact(r * r)) {
            fold_into(s_hat, hats.s.row_mut(n), r);
        }
        let s = Matrix::row_major(&self.full_s[..rows * r], rows, r);
        let v_hat = MatrixMut::row_major(hats.v.row_mut(range.start / CHUNK), r, m);
        gemm(isa, T::ONE, s.t(), Matrix::row_major(y, rows, m), T::ONE, v_hat, self.packing);
    }
}

impl<'w, T: Real> Hats<'w, T> {
    /// All zero.
    pub(crate) fn zeroed(shape: Shape, n: usize, arena: &mut Arena<'w, T>) -> Self {
        let (m, r) = (shape.hidden(), shape.classes() - 1);
        let mut zeroed = |rows: usize, width: usize| {
            let piece = arena.take(rows * width);
            piece.fill(T::ZERO);
            PerSample::new(piece, width, 0)
        };
        Self {
            s: zeroed(n, triangle(r)),
            r: zeroed(n, r),
            d: zeroed(n, m),
            f: zeroed(n, m),
            g: zeroed(n, m),
            v: zeroed(n.div_ceil(CHUNK), r * m),
            p: zeroed(n, shape.classes()),
        }
    }

    /// Those of the samples before `at`, the first of a [`CHUNK`], and of the others.
    pub(crate) fn split_at(self, at: usize) -> (Self, Self) {
        let Self { s, r, d, f, g, v, p } = self;
        let (v, other_v) = v.split_at(at / CHUNK);
        let [(s, other_s), (r, other_r), (d, other_d), (f, other_f), (g, other_g), (p, other_p)] =
            [s, r, d, f, g, p].map(|rows| rows.split_at(at));
        let others = Self { s: other_s, r: other_r, d: other_d, f: other_f, g: other_g, v: other_v, p: other_p };
        (Self { s, r, d, f, g, v, p }, others)
    }

    /// The same, borrowed for a shorter time.
    pub(crate) fn reborrow(&mut self) -> Hats<'_, T> {
        Hats {
            s: self.s.reborrow(),
            r: self.r.reborrow(),
            d: self.d.reborrow(),
            f: self.f.reborrow(),
            g: self.g.reborrow(),
            v: self.v.reborrow(),
            p: self.p.reborrow(),
        }
    }

    /// Multiplies everything by a number.
    pub(crate) fn scale(&mut self, isa: InstructionSet, factor: T) {
        for piece in [&mut self.s, &mut self.r, &mut self.d, &mut self.f, &mut self.g, &mut self.v, &mut self.p] {
            scale(isa, piece.all_mut(), factor);
        }
    }
}

/// C = V diag(f).
fn scale_columns<T: Real>(isa: InstructionSet, v: &[T], f: &[T], c: &mut [T]) {
    isa.vectorize(|| {
        for (c, v) in c.chunks_exact_mut(f.len()).zip(v.chunks_exact(f.len())) {
            for ((c, &v), &f) in c.iter_mut().zip(v).zip(f) {
                *c = v * f;
            }
        }
    });
}

/// flat += the derivative with respect to a flat symmetric matrix, given that with respect to each entry of the full one, n×n.
fn fold_into<T: Real>(full: &[T], flat: &mut [T], n: usize) {
    let half_root2 = T::from_f64(FRAC_1_SQRT_2);
    let mut rest = flat;
    for i in 0..n {
        let (entries, below) = rest.split_at_mut(n - i);
        entries[0] += full[i * n + i];
        for (j, entry) in (i + 1..n).zip(&mut entries[1..]) {
            *entry += half_root2 * (full[i * n + j] + full[j * n + i]);
        }
        rest = below;
    }
}

/// Σ_j ( f_j² ω_j + d_j ), where `ω_j = Σ_k V_kj (SV)_kj`.
struct TraceOfA<'a, T> {
    v: &'a [T],
    sv: &'a [T],
    f: &'a [T],
    d: &'a [T],
}

impl<T: Real> Kernel for TraceOfA<'_, T> {
    type Output = T;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> T {
        let (m, lanes) = (self.f.len(), <T::Lanes<S> as Lanes>::LANES);
        let mut trace = T::Lanes::<S>::zero(simd);
        for start in (0..m).step_by(lanes) {
            // A macro: a closure that is called four times is left as a call.
            macro_rules! read {
                ($from:expr) => {
                    T::Lanes::<S>::load_first(simd, &$from[start..], lanes.min(m - start))
                };
            }
            let mut omega = T::Lanes::<S>::zero(simd);
            for (v, sv) in self.v.chunks_exact(m).zip(self.sv.chunks_exact(m)) {
                omega = read!(v).mul_add(read!(sv), omega);
            }
            let f = read!(self.f);
            trace = (f * f).mul_add(omega, trace + read!(self.d));
        }
        trace.reduce_sum()
    }
}

/// f̂ of a sample, and what the products with V and S take: `y`, CÂ, becomes `(2CÂ + B̂) diag(f)`; `b_sum`, B̂, `(CÂ + B̂) diag(f)`.
struct BackOfSample<'a, T> {
    y: &'a mut [T],
    b_sum: &'a mut [T],
    sv: &'a [T],
    f: &'a [T],
    f_hat: &'a mut [T],
}

impl<T: Real> Kernel for BackOfSample<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let m = self.f.len();
        let rows = self.y.chunks_exact_mut(m).zip(self.b_sum.chunks_exact_mut(m)).zip(self.sv.chunks_exact(m));
        for ((y, b_sum), sv) in rows {
            let entries = y.iter_mut().zip(b_sum).zip(sv).zip(self.f.iter().zip(&mut *self.f_hat));
            for (((y, b_sum), &sv), (&f, f_hat)) in entries {
                let sum = *y + *b_sum;
                let twice = *y + sum;
                *f_hat += twice * sv;
                *b_sum = sum * f;
                *y = twice * f;
            }
        }
    }
}

/// A = CᵀB + diag(d), flat.
struct HiddenFactor<'a, T> {
    c: &'a [T],
    b: &'a [T],
    d: &'a [T],
    flat: &'a mut [T],
}

impl<T: Real> Kernel for HiddenFactor<'_, T> {
    type Output = ();

    /// By registers of columns from left to right, in each by four rows from below. Whole registers are stored: what a row has left of the
    /// diagonal falls on the ends of rows above it, which are written later.
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        const ROWS: usize = 4;
        let Self { c, b, d, flat } = self;
        let (m, lanes) = (d.len(), <T::Lanes<S> as Lanes>::LANES);
        let root2 = T::Lanes::<S>::splat(simd, T::from_f64(SQRT_2));
        // Where entry (j, 0) would be.
        let origin = |j: usize| j * m - j * (j + 1) / 2;
        for start in (0..m).step_by(lanes) {
            let len = lanes.min(m - start);
            let mut end = start + len;
            while end > 0 {
                let first = end.saturating_sub(ROWS);
                let mut sums = [T::Lanes::<S>::zero(simd); ROWS];
                for (c, b) in c.chunks_exact(m).zip(b.chunks_exact(m)) {
                    let b = T::Lanes::<S>::load_first(simd, &b[start..], len);
                    for (i, sum) in sums.iter_mut().enumerate() {
                        *sum = T::Lanes::<S>::splat(simd, c[(first + i).min(m - 1)]).mul_add(b, *sum);
                    }
                }
                for row in (first..end).rev() {
                    (root2 * sums[row - first]).store_first(&mut flat[origin(row) + start..], len);
                }
                end = first;
            }
            // The diagonal has no √2; it is summed anew rather than divided.
            let mut diagonal = T::Lanes::<S>::load_first(simd, &d[start..], len);
            for (c, b) in c.chunks_exact(m).zip(b.chunks_exact(m)) {
                let [c, b] = [&c[start..], &b[start..]];
                let c = T::Lanes::<S>::load_first(simd, c, len);
                diagonal = c.mul_add(T::Lanes::<S>::load_first(simd, b, len), diagonal);
            }
            let mut entries = [T::ZERO; MAX_LANES];
            diagonal.store(&mut entries);
            for (j, &entry) in (start..start + len).zip(&entries) {
                flat[origin(j) + j] = entry;
            }
        }
    }
}
