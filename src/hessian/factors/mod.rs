//! What a sample contributes to H, as flat rows of numbers, and how its derivatives become those of the network's quantities.
//!
//! H is a mean over samples of Kronecker products. In the basis of [contrasts](super::contrasts) V stands for QᵀV (R×M), S for QᵀSQ (R×R)
//! and r for Qᵀr. The part of a sample has the factors
//!
//! ```text
//! S                                   R×R        output–output:  S ⊗ g gᵀ
//! B = S C                             R×M        output–hidden:  B_kj g_j̃ a_i + r_k f_j δ_j̃j a_i
//! A = Cᵀ S C + diag(d)                M×M        hidden–hidden:  A ⊗ a aᵀ
//! C = V diag(f),  d = e∘q,  q = Vᵀr
//! ```
//!
//! **Range.** S and r are small where the network is certain and right, and so is H, which is linear in them. tr H² is quadratic: it
//! would underflow long before H does. So S and r are stored divided by `scale`, a power of two near the largest entry of either in the
//! batch. What is made of them (q, d, B, A) is divided with them. tr H is `scale` times the value of the scaled factors, tr H² is
//! `scale²` times it.
//!
//! Symmetric factors are stored flat (see [`contrasts`](super::contrasts)).

pub(crate) mod chunk;
mod cuts;
mod gradients;

use core::ops::Range;

use crate::count::{Work, largest, product, sum};
use crate::hessian::contrasts::{self, Contrasts, flat_scale, products_of_rows, triangle, unfold};
use crate::hessian::forward::Forward;
use crate::hessian::sweep::Adjoints;
use crate::kernels::context::Context;
use crate::kernels::gemm::{self, Addend, Matrix, MatrixMut};
use crate::kernels::vector::{add_scaled, largest_magnitude, scale};
use crate::network::Shape;
use crate::number::power_of_two_near;
use crate::simd::{Element, InstructionSet};
use crate::workspace::{Arena, PerSample, buffers, row, row_mut};
pub(crate) use cuts::{CHUNK, chunks, middle};
pub(crate) use gradients::{FactorGradients, HiddenGradient, gradient_elements};

buffers! {
    struct Buffers(shape: Shape, n: usize) where {
        let (m, k) = (shape.hidden(), shape.classes());
        let r = k - 1;
    } {
        row: [if m > k { m } else { k }],
        v: [r, m],
        vv: [triangle(r), m],
        s: [n, triangle(r)],
        r: [n, r],
        q: [n, m],
        d: [n, m],
    }
}

/// The factors that are kept for every sample.
#[derive(Debug)]
pub(crate) struct Factors<'w, T> {
    /// What S, r, d and q are divided by.
    pub scale: f64,
    /// S flat, N×R₂.
    pub s: &'w mut [T],
    /// r, N×R.
    pub r: &'w mut [T],
    /// d = e∘q, N×M.
    pub d: &'w mut [T],
    /// q, N×M.
    q: &'w mut [T],
    /// V, R×M: QᵀV.
    pub v: &'w mut [T],
    /// V_k∘V_l for k ≤ l, R₂×M, flat as S is: times √2 where k < l.
    pub vv: &'w mut [T],
    contrasts: Contrasts<'w, T>,
    /// Scratch for a row of units or of classes.
    row: &'w mut [T],
}

/// Elements that [`Factors::new`] takes.
pub(crate) const fn elements(shape: Shape, n: usize) -> u64 {
    sum(&[Buffers::elements(shape, n), contrasts::elements(shape.classes())])
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

/// For one sample: SV, its derivative, Ŝ and V̂.
pub(crate) const fn work(shape: Shape) -> Work {
    let (m, r) = (shape.hidden(), shape.classes() - 1);
    Work::new(product(&[8, r, r, m]), 4)
}

/// For one sample: A, and CÂ.
pub(crate) const fn work_of_a(shape: Shape) -> Work {
    let (m, r) = (shape.hidden(), shape.classes() - 1);
    Work::new(sum(&[product(&[2, r, triangle(m)]), product(&[2, r, m, m])]), 2)
}

impl<'w, T: Element> Factors<'w, T> {
    /// S, r, q and d of every sample, in the basis of contrasts.
    pub(crate) fn new(forward: &Forward<'_, T>, arena: &mut Arena<'w, T>, mut context: Context<'_, T>) -> Self {
        let (n, shape, isa) = (forward.n, forward.shape, context.isa);
        let (m, k) = (shape.hidden(), shape.classes());
        let mut contrasts = Contrasts::new(k, arena);
        let Buffers { row: scratch, v, vv, s, r, q, d } = Buffers::cut(shape, n, arena);

        contrasts.reduce(m, forward.v, v, &mut scratch[..m]);
        products_of_rows(v, m, flat_scale, vv);
        for i in 0..n {
            contrasts.covariance(row(forward.p, k, i), row_mut(s, triangle(k - 1), i));
            contrasts.reduce(1, row(forward.r, k, i), row_mut(r, k - 1, i), &mut scratch[..1]);
        }
        let largest = largest_magnitude(isa, s).max(largest_magnitude(isa, r));
        let divisor = power_of_two_near(largest).max(T::MIN_POSITIVE.to_f64());
        scale(isa, s, T::from_f64(1.0 / divisor));
        scale(isa, r, T::from_f64(1.0 / divisor));
        let residuals = Matrix::row_major(r, n, k - 1);
        context.set(MatrixMut::row_major(q, n, m), residuals, Matrix::row_major(v, k - 1, m));
        for ((d, &q), &e) in d.iter_mut().zip(&*q).zip(forward.e) {
            *d = e * q;
        }
        Self { scale: divisor, s, r, d, q, v, vv, contrasts, row: scratch }
    }

    /// Divides S, r, d and q by another scale, a power of two, in place of their own.
    pub(crate) fn divide_by(&mut self, isa: InstructionSet, other: f64) {
        if other != self.scale {
            let factor = T::from_f64(self.scale / other);
            for all in [&mut *self.s, &mut *self.r, &mut *self.d, &mut *self.q] {
                scale(isa, all, factor);
            }
            self.scale = other;
        }
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

    /// Leaves the basis of contrasts: turns the gradients into the adjoints from which the [sweep](super::sweep) starts.
    ///
    /// ```text
    /// q̂ = d̂∘e      ê = d̂∘q      r̂ += V q̂      V̂ += r q̂ᵀ      p̂ = ((from Ŝ) + Q r̂)/scale      V̂ ← Q V̂
    /// ```
    pub(crate) fn into_adjoints(
        self,
        forward: &Forward<'_, T>,
        gradients: FactorGradients<'w, T>,
        arena: &mut Arena<'w, T>,
        mut context: Context<'_, T>,
    ) -> Adjoints<'w, T> {
        let (n, k) = (forward.n, forward.shape.classes());
        let (m, r) = self.sizes();
        let FactorGradients { s, r: r_hat, d: d_hat, f, g, v: v_hat, p: p_hat } = gradients;
        let [s, r_hat, d_hat, f, g, v_hat, p_hat] = [s, r_hat, d_hat, f, g, v_hat, p_hat].map(PerSample::into_all);

        let way = WayToClasses { forward, contrasts: &self.contrasts, v: self.v, scale: self.scale };
        let rows = RowsToClasses { d: self.d, q: self.q, d_hat, s_hat: s, r_hat, p_hat: &mut *p_hat };
        way.run(0..n, rows, context.reborrow());

        let (v_hat, others) = v_hat.split_at_mut(r * m);
        for other in others.chunks_exact(v_hat.len()) {
            add_scaled(context.isa, v_hat, T::ONE, other);
        }
        let (residuals, q_hat) = (Matrix::row_major(&*self.r, n, r), Matrix::row_major(&*self.d, n, m));
        context.add(MatrixMut::row_major(v_hat, r, m), residuals.t(), q_hat);
        let full_v_hat = arena.take(k * m);
        full_v_hat.fill(T::ZERO);
        self.contrasts.expand(m, v_hat, full_v_hat, &mut self.row[..m]);
        Adjoints { p: p_hat, g, f, e: self.q, v: full_v_hat, scattered: None }
    }

    /// M and R.
    fn sizes(&self) -> (usize, usize) {
        let r = self.contrasts.count();
        (self.v.len() / r, r)
    }
}

/// Turns gradients in the basis of contrasts into gradients by class. This part is shared by all samples.
struct WayToClasses<'a, 's, 'c, T> {
    forward: &'a Forward<'s, T>,
    contrasts: &'a Contrasts<'c, T>,
    v: &'a [T],
    scale: f64,
}

/// The rows of some samples, which the workers split.
struct RowsToClasses<'a, T> {
    /// d and q are not needed afterwards: they become q̂ and ê.
    d: &'a mut [T],
    q: &'a mut [T],
    d_hat: &'a [T],
    s_hat: &'a [T],
    r_hat: &'a mut [T],
    p_hat: &'a mut [T],
}

impl<T: Element> WayToClasses<'_, '_, '_, T> {
    fn run(&self, range: Range<usize>, rows: RowsToClasses<'_, T>, mut context: Context<'_, T>) {
        let RowsToClasses { d, q, d_hat, s_hat, r_hat, p_hat } = rows;
        let (isa, n, forward) = (context.isa, range.len(), self.forward);
        let (m, k) = (forward.shape.hidden(), forward.shape.classes());
        let (r, r2) = (k - 1, triangle(k - 1));
        // Contrasts are formed class by class, which takes far longer than their few flops.
        let cost = || product(&[n]).saturating_mul(sum(&[product(&[4, k, m]), product(&[100, k, k])]));
        if let Some(at) = context.cut(n, cost) {
            let ((d, d2), (q, q2)) = (d.split_at_mut(at * m), q.split_at_mut(at * m));
            let ((r_hat, r_hat2), (p_hat, p_hat2)) = (r_hat.split_at_mut(at * r), p_hat.split_at_mut(at * k));
            let ((d_hat, d_hat2), (s_hat, s_hat2)) = (d_hat.split_at(at * m), s_hat.split_at(at * r2));
            let above = RowsToClasses { d, q, d_hat, s_hat, r_hat, p_hat };
            let below = RowsToClasses { d: d2, q: q2, d_hat: d_hat2, s_hat: s_hat2, r_hat: r_hat2, p_hat: p_hat2 };
            let middle = range.start + at;
            context.join(
                |context| self.run(range.start..middle, above, context),
                |context| self.run(middle..range.end, below, context),
            );
            return;
        }
        for (((d, &d_hat), &e), q) in d.iter_mut().zip(d_hat).zip(&forward.e[range.start * m..]).zip(q) {
            *d = d_hat * e;
            *q *= d_hat;
        }
        let (q_hat, v) = (Matrix::row_major(d, n, m), Matrix::row_major(self.v, r, m));
        let (add, out) = (Addend::Output(T::ONE), MatrixMut::row_major(r_hat, n, r));
        context.reborrow().rows_of_product(out, T::ONE, q_hat, v.t(), add, forward.n);

        let mut arena = Arena::new(context.scratch());
        let (full, scratch) = (arena.take(r * r), arena.take(2 * r));
        for (i, n) in range.enumerate() {
            let p_hat = row_mut(p_hat, k, i);
            self.contrasts.expand(1, row(r_hat, r, i), p_hat, &mut [T::ZERO]);
            unfold(isa, row(s_hat, r2, i), full, r);
            self.contrasts.covariance_back(row(forward.p, k, n), full, p_hat, scratch);
        }
        scale(isa, p_hat, T::from_f64(1.0 / self.scale));
    }
}
