//! The larger factors, of a chunk of samples at a time, and the way back from their derivatives.

use core::f64::consts::{FRAC_1_SQRT_2, SQRT_2};
use core::ops::Range;

use crate::gemm::{Matrix, MatrixMut, gemm};
use crate::hessian::contrasts::{triangle, unfold};
use crate::hessian::factors::{CHUNK, Factors, Hats, HiddenHat};
use crate::hessian::samples::Samples;
use crate::network::Shape;
use crate::plan::{product, sum};
use crate::real::Real;
use crate::simd::{InstructionSet, Kernel, Lanes, MAX_LANES, Simd};
use crate::workspace::{Arena, row, row_mut};

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

    /// SV of the `i`-th sample of the chunk, R×M: `B = SV diag(f)`.
    pub(crate) fn sv(&self, i: usize) -> &[T] {
        row(self.sv, self.c.len(), i)
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
            let f = row(samples.f, m, n);
            let c_a_hat = row_mut(self.c_a_hat, r * m, i);
            match a_hat {
                HiddenHat::Zero => c_a_hat.fill(T::ZERO),
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
                    for (j, d_hat) in hats.d.row_mut(n).iter_mut().enumerate() {
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
