//! The larger factors, for a chunk of samples at a time, and their derivatives.

use core::f64::consts::{FRAC_1_SQRT_2, SQRT_2};
use core::ops::Range;

use crate::hessian::contrasts::{triangle, unfold};
use crate::hessian::factors::Factors;
use crate::hessian::factors::cuts::CHUNK;
use crate::hessian::factors::gradients::{FactorGradients, HiddenGradient};
use crate::hessian::forward::Forward;
use crate::kernels::context::Context;
use crate::kernels::gemm::{Matrix, MatrixMut};
use crate::network::Shape;
use crate::simd::{Element, InstructionSet, Kernel, Lanes, MAX_LANES, Simd};
use crate::workspace::{buffers, row, row_mut};

buffers! {
    /// Scratch for the factors of a chunk of samples.
    struct Buffers(shape: Shape, n: usize) where {
        let (m, r, chunk) = (shape.hidden(), shape.classes() - 1, if n < CHUNK { n } else { CHUNK });
    } {
        /// S of the samples, R×R each.
        full_s: [chunk, r, r],
        /// SV of the samples, R×M each.
        sv: [chunk, r, m],
        /// CÂ and what is made of it, R×M each.
        c_a_hat: [chunk, r, m],
        /// CÂ + B̂, R×M each.
        b_sum: [chunk, r, m],
        /// Ŝ, R×R each.
        s_hat: [chunk, r, r],
        /// C of one sample, R×M.
        c: [r, m],
        /// Â of one sample, M×M.
        a_hat: [m, m],
    }
}

/// The larger factors of a chunk of samples, in a worker's scratch.
#[derive(Debug)]
pub(crate) struct ChunkFactors<'w, T> {
    buffers: Buffers<'w, T>,
    context: Context<'w, T>,
}

/// Elements that [`ChunkFactors::new`] takes, besides packing space.
pub(crate) const fn chunk_elements(shape: Shape, n: usize) -> u64 {
    Buffers::elements(shape, n)
}

impl<'w, T: Element> ChunkFactors<'w, T> {
    /// Takes the buffers for batches of up to `n` samples. The rest of the worker's scratch is packing space.
    pub(crate) fn new(shape: Shape, n: usize, context: &'w mut Context<'_, T>) -> Self {
        let (buffers, context) = context.carve(|arena| Buffers::cut(shape, n, arena));
        Self { buffers, context }
    }

    pub(crate) fn isa(&self) -> InstructionSet {
        self.context.isa
    }

    /// Computes the full S and SV of the samples `range`, at most a [`CHUNK`].
    pub(crate) fn load(&mut self, factors: &Factors<'_, T>, range: &Range<usize>) {
        let Self { buffers: Buffers { full_s, sv, .. }, context } = self;
        let (m, r) = factors.sizes();
        for (n, full) in range.clone().zip(full_s.chunks_exact_mut(r * r)) {
            unfold(context.isa, row(factors.s, triangle(r), n), full, r);
        }
        let rows = range.len() * r;
        let s = Matrix::row_major(full_s, rows, r);
        let v = Matrix::row_major(&*factors.v, r, m);
        context.set(MatrixMut::row_major(sv, rows, m), s, v);
    }

    /// SV of the `i`-th sample of the chunk, R×M: `B = SV diag(f)`.
    pub(crate) fn sv(&self, i: usize) -> &[T] {
        row(self.buffers.sv, self.buffers.c.len(), i)
    }

    /// Writes B = SC of the samples `range`, R×M each.
    pub(crate) fn write_b(&self, forward: &Forward<'_, T>, range: &Range<usize>, b: &mut [T]) {
        let (m, rm, sv) = (forward.shape.hidden(), self.buffers.c.len(), &*self.buffers.sv);
        self.context.isa.vectorize(|| {
            for (i, n) in range.clone().enumerate() {
                let f = row(forward.f, m, n);
                let rows = row_mut(b, rm, i).chunks_exact_mut(m).zip(row(sv, rm, i).chunks_exact(m));
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
        forward: &Forward<'_, T>,
        factors: &Factors<'_, T>,
        n: usize,
        b: &[T],
        flat: &mut [T],
    ) {
        let (m, isa, c) = (forward.shape.hidden(), self.context.isa, &mut *self.buffers.c);
        scale_columns(isa, factors.v, row(forward.f, m, n), c);
        isa.run(HiddenFactor { c, b, d: row(factors.d, m, n), flat });
    }

    /// Adds to the gradients of the samples `range`, which must be loaded, given B̂ (R×M each; zero if absent) and Â.
    ///
    /// ```text
    /// Ŝ += (C Â + B̂) Cᵀ      Ĉ = S (2 C Â + B̂)      f̂_j += Σ_k (2 C Â + B̂)_kj (SV)_kj      V̂ += Ĉ diag(f)      d̂_j += Â_jj
    /// ```
    ///
    /// With `diag(f)` moved to the left factors, Ŝ of all samples is one product with V, and V̂ is one product of all S with all
    /// `(2CÂ + B̂) diag(f)`.
    pub(crate) fn back(
        &mut self,
        forward: &Forward<'_, T>,
        factors: &Factors<'_, T>,
        range: &Range<usize>,
        b_hat: Option<&[T]>,
        hidden_gradient: HiddenGradient<'_, T>,
        gradients: &mut FactorGradients<'_, T>,
    ) {
        let Self { buffers: Buffers { full_s, sv, c_a_hat, b_sum, s_hat, c, a_hat }, context } = self;
        let isa = context.isa;
        let (m, r) = factors.sizes();
        for (i, n) in range.clone().enumerate() {
            let f = row(forward.f, m, n);
            let c_a_hat = row_mut(c_a_hat, r * m, i);
            match hidden_gradient {
                HiddenGradient::Zero => c_a_hat.fill(T::ZERO),
                HiddenGradient::Diagonal(o_hat) => {
                    let (v, o_hat) = (&*factors.v, row(o_hat, m, i));
                    isa.vectorize(|| {
                        for (c_a_hat, v) in c_a_hat.chunks_exact_mut(m).zip(v.chunks_exact(m)) {
                            for ((c_a_hat, &v), (&f, &o_hat)) in c_a_hat.iter_mut().zip(v).zip(f.iter().zip(o_hat)) {
                                *c_a_hat = v * f * o_hat;
                            }
                        }
                    });
                }
                HiddenGradient::Flat(flat) => {
                    unfold(isa, row(flat, triangle(m), i), a_hat, m);
                    for (j, d_hat) in gradients.d.row_mut(n).iter_mut().enumerate() {
                        *d_hat += a_hat[j * m + j];
                    }
                    scale_columns(isa, factors.v, f, c);
                    let (c, a_hat) = (Matrix::row_major(c, r, m), Matrix::row_major(a_hat, m, m));
                    context.set(MatrixMut::row_major(c_a_hat, r, m), c, a_hat);
                }
            }
        }

        let rows = range.len() * r;
        let (y, b_sum) = (&mut c_a_hat[..rows * m], &mut b_sum[..rows * m]);
        if let Some(b_hat) = b_hat {
            b_sum.copy_from_slice(&b_hat[..rows * m]);
        } else {
            b_sum.fill(T::ZERO);
        }
        for (i, n) in range.clone().enumerate() {
            let (y, b_sum, sv) = (row_mut(y, r * m, i), row_mut(b_sum, r * m, i), row(sv, r * m, i));
            isa.run(BackOfSample { y, b_sum, sv, f: row(forward.f, m, n), f_hat: gradients.f.row_mut(n) });
        }

        let v = Matrix::row_major(&*factors.v, r, m);
        let out = MatrixMut::row_major(s_hat, rows, r);
        context.set(out, Matrix::row_major(b_sum, rows, m), v.t());
        for (n, s_hat) in range.clone().zip(s_hat.chunks_exact(r * r)) {
            fold_into(s_hat, gradients.s.row_mut(n), r);
        }
        let s = Matrix::row_major(full_s, rows, r);
        let v_hat = MatrixMut::row_major(gradients.v.row_mut(range.start), r, m);
        context.add(v_hat, s.t(), Matrix::row_major(y, rows, m));
    }
}

/// C = V diag(f).
fn scale_columns<T: Element>(isa: InstructionSet, v: &[T], f: &[T], c: &mut [T]) {
    isa.vectorize(|| {
        for (c, v) in c.chunks_exact_mut(f.len()).zip(v.chunks_exact(f.len())) {
            for ((c, &v), &f) in c.iter_mut().zip(v).zip(f) {
                *c = v * f;
            }
        }
    });
}

/// Adds the derivative with respect to a flat symmetric matrix, given the derivatives with respect to the entries of the full one, n×n.
fn fold_into<T: Element>(full: &[T], flat: &mut [T], n: usize) {
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

/// Adds to f̂ of a sample, and prepares the products with V and S: `y`, which holds CÂ, becomes `(2CÂ + B̂) diag(f)`; `b_sum`, which
/// holds B̂, becomes `(CÂ + B̂) diag(f)`.
struct BackOfSample<'a, T> {
    y: &'a mut [T],
    b_sum: &'a mut [T],
    sv: &'a [T],
    f: &'a [T],
    f_hat: &'a mut [T],
}

impl<T: Element> Kernel for BackOfSample<'_, T> {
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

impl<T: Element> Kernel for HiddenFactor<'_, T> {
    type Output = ();

    /// Goes through registers of columns from left to right, and in each through four rows at a time from the last to the first. Whole
    /// registers are stored: what a row writes left of the diagonal lands on the ends of rows above it, which are written later.
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        const ROWS: usize = 4;
        let Self { c, b, d, flat } = self;
        let (m, lanes) = (d.len(), <T::Lanes<S> as Lanes>::LANES);
        let root2 = T::Lanes::<S>::splat(simd, T::from_f64(SQRT_2));
        // The place that entry (j, 0) would have.
        let origin = |j: usize| j * m - j * (j + 1) / 2;
        for start in (0..m).step_by(lanes) {
            let len = lanes.min(m - start);
            let mut end = start + len;
            while end > 0 {
                let first = end.saturating_sub(ROWS);
                let mut sums = [T::Lanes::<S>::zero(simd); ROWS];
                for (c, b) in c.chunks_exact(m).zip(b.chunks_exact(m)) {
                    let b = T::Lanes::<S>::load_at(simd, b, start, len);
                    for (i, sum) in sums.iter_mut().enumerate() {
                        *sum = T::Lanes::<S>::splat(simd, c[(first + i).min(m - 1)]).mul_add(b, *sum);
                    }
                }
                for row in (first..end).rev() {
                    (root2 * sums[row - first]).store_at(flat, origin(row) + start, len);
                }
                end = first;
            }
            // The diagonal has no factor √2; it is summed again rather than divided.
            let mut diagonal = T::Lanes::<S>::load_at(simd, d, start, len);
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
