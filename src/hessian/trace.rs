//! tr H, which is linear in the samples, and the derivatives of its factors.
//!
//! ```text
//! tr H = (1/N) Σ_n [ tr(S) ‖g‖² + ‖a‖² tr(A) ]        tr(A) = Σ_j ( f_j² ω_j + d_j )        ω_j = (VᵀSV)_jj
//! ```
//!
//! The first term is the trace of the output block, the second that of the hidden block. S and VV are flat, so all samples together take
//! matrix products only. With `factor = weight ‖a‖²`, for the derivatives of `weight · tr H`, and kl for the entry of a flat matrix:
//!
//! ```text
//! ω_j = Σ_kl S_kl VV_kl,j      Ŝ_kl = Σ_j factor f_j² VV_kl,j      f̂_j = 2 factor f_j ω_j      d̂_j = factor
//! (VV)^_kl,j = Σ_n S_kl factor f_j²
//! ```
//!
//! Multiply–adds a sample: `R₂M` for the value, `3R₂M` for the derivatives. By way of SV it would be `R²M` and `3R²M`, and passes over RM
//! numbers.

use core::ops::Range;

use crate::count::{product, sum};
use crate::hessian::contrasts::{flat_scale, triangle, upper};
use crate::hessian::factors::{self, CHUNK, FactorGradients, Factors, chunks, middle};
use crate::hessian::forward::Forward;
use crate::kernels::context::Context;
use crate::kernels::gemm::{Addend, Matrix, MatrixMut};
use crate::kernels::vector::{BLOCK, LaneSums, add_scaled, sum_registers};
use crate::network::Shape;
use crate::simd::Element;
use crate::simd::{InstructionSet, Kernel, Lanes, Simd};
use crate::workspace::{Arena, PerSample, row, row_mut};

/// Elements that [`add`] cuts off a workspace: factor f² of all samples, and the derivative with respect to VV.
pub(crate) const fn elements(shape: Shape, n: usize) -> u64 {
    sum(&[product(&[n, shape.hidden()]), product(&[triangle(shape.classes() - 1), shape.hidden()])])
}

/// What all chunks of samples read.
struct TraceSum<'a, 'w, T> {
    forward: &'a Forward<'w, T>,
    factors: &'a Factors<'w, T>,
}

/// tr H by block: output parameters, hidden parameters.
pub(crate) fn trace<T: Element>(
    forward: &Forward<'_, T>,
    factors: &Factors<'_, T>,
    context: Context<'_, T>,
) -> [f64; 2] {
    let sum = TraceSum { forward, factors };
    sum.value(0..forward.n, context).map(|total| total * (factors.scale / forward.n as f64))
}

/// Multiplies the gradients by `scale`, and adds the derivatives of `weight · tr H` with respect to the scaled factors.
pub(crate) fn add<T: Element>(
    forward: &Forward<'_, T>,
    [scale, weight]: [f64; 2],
    factors: &Factors<'_, T>,
    mut gradients: FactorGradients<'_, T>,
    mut arena: Arena<'_, T>,
    mut context: Context<'_, T>,
) {
    let (n, m, r) = (forward.n, forward.shape.hidden(), forward.shape.classes() - 1);
    let (all_squares, vv_hat) = (arena.take(n * m), arena.take(triangle(r) * m));
    let sum = TraceSum { forward, factors };
    let squares = PerSample::new(&mut *all_squares, m, 0);
    sum.back([scale, weight / n as f64], 0..n, gradients.reborrow(), squares, context.reborrow());

    let (s, squares) = (sum.s(&(0..n)), Matrix::row_major(all_squares, n, m));
    let out = MatrixMut::row_major(vv_hat, triangle(r), m);
    context.set(out, s.t(), squares);
    let v_hat = gradients.v.row_mut(0);
    for ((k, l), vv_hat) in upper(r).zip(vv_hat.chunks_exact(m)) {
        // Both: k with l and l with k. Where k = l the entry is a square, so it counts twice.
        for (to, from) in [(k, l), (l, k)] {
            let scale = flat_scale::<T>(k, l);
            for ((v_hat, &v), &vv_hat) in row_mut(v_hat, m, to).iter_mut().zip(row(factors.v, m, from)).zip(vv_hat) {
                *v_hat += scale * v * vv_hat;
            }
        }
    }
}

impl<T: Element> TraceSum<'_, '_, T> {
    /// S of some samples, flat.
    fn s(&self, range: &Range<usize>) -> Matrix<'_, T> {
        let r2 = triangle(self.forward.shape.classes() - 1);
        Matrix::row_major(&self.factors.s[range.start * r2..range.end * r2], range.len(), r2)
    }

    /// ω of the samples of a chunk, in a worker's scratch.
    fn omega<'b>(&self, chunk: &Range<usize>, context: &'b mut Context<'_, T>) -> &'b [T] {
        let (m, r2) = (self.forward.shape.hidden(), triangle(self.forward.shape.classes() - 1));
        let (omega, mut context) = context.carve(|arena| arena.take(chunk.len() * m));
        let vv = Matrix::row_major(&*self.factors.vv, r2, m);
        let out = MatrixMut::row_major(omega, chunk.len(), m);
        context.set(out, self.s(chunk), vv);
        omega
    }

    /// The trace over some samples. The batch is halved again and again down to chunks, which the workers may split; the halves are added
    /// up in that order.
    fn value(&self, range: Range<usize>, context: Context<'_, T>) -> [f64; 2] {
        let mut context = context.for_cost(|| factors::work(self.forward.shape).times(range.len()).cost);
        if let Some(middle) = middle(&range, CHUNK) {
            let ([output, hidden], [other_output, other_hidden]) = context.join(
                |context| self.value(range.start..middle, context),
                |context| self.value(middle..range.end, context),
            );
            return [output + other_output, hidden + other_hidden];
        }
        let Self { forward, factors } = *self;
        let (d, m) = (forward.shape.inputs(), forward.shape.hidden());
        let isa = context.isa;
        let omega = self.omega(&range, &mut context);
        let (of_g, of_a) = (squared_norms(isa, forward.h, m, &range), squared_norms(isa, forward.x, d, &range));
        let (mut output, mut hidden) = (0.0, 0.0);
        for (i, n) in range.enumerate() {
            output += factors.trace_of_s(n).to_f64() * of_g[i];
            let (omega, f, d) = (row(omega, m, i), row(forward.f, m, n), row(factors.d, m, n));
            hidden += isa.vectorize(|| trace_of_a(omega, f, d)) * of_a[i];
        }
        [output, hidden]
    }

    /// The derivatives for some samples, which the workers split. Leaves factor f² in `squares`.
    fn back(
        &self,
        weights: [f64; 2],
        range: Range<usize>,
        mut gradients: FactorGradients<'_, T>,
        mut squares: PerSample<'_, T>,
        mut context: Context<'_, T>,
    ) {
        let Self { forward, factors } = *self;
        let isa = context.isa;
        if let Some(at) = context.cut(range.len(), || factors::work(forward.shape).times(range.len()).cost) {
            let middle = range.start + at;
            let ((before, after), (first, second)) = (gradients.split_at(middle), squares.split_at(middle));
            context.join(
                |context| self.back(weights, range.start..middle, before, first, context),
                |context| self.back(weights, middle..range.end, after, second, context),
            );
            return;
        }
        let (d, m, r) = (forward.shape.inputs(), forward.shape.hidden(), forward.shape.classes() - 1);
        let [scale, weight] = weights;
        gradients.scale(isa, T::from_f64(scale));
        for chunk in chunks(range.clone()) {
            let (of_g, of_a) = (squared_norms(isa, forward.h, m, &chunk), squared_norms(isa, forward.x, d, &chunk));
            let omega = self.omega(&chunk, &mut context);
            for (i, n) in chunk.enumerate() {
                let on_diagonal = T::from_f64(weight * of_g[i]);
                let mut rest = gradients.s.row_mut(n);
                for k in 0..r {
                    rest[0] += on_diagonal;
                    rest = &mut rest[r - k..];
                }
                let of_h = T::from_f64(2.0 * weight * factors.trace_of_s(n).to_f64());
                add_scaled(isa, gradients.g.row_mut(n), of_h, row(forward.h, m, n));
                let factor = T::from_f64(weight * of_a[i]);
                let (omega, f) = (row(omega, m, i), row(forward.f, m, n));
                let (squares, f_hat, d_hat) = (squares.row_mut(n), gradients.f.row_mut(n), gradients.d.row_mut(n));
                isa.vectorize(|| {
                    let derivatives = squares.iter_mut().zip(f_hat).zip(d_hat);
                    for (((square, f_hat), d_hat), (&omega, &f)) in derivatives.zip(omega.iter().zip(f)) {
                        let weighted = factor * f;
                        *square = weighted * f;
                        *f_hat += T::TWO * weighted * omega;
                        *d_hat += factor;
                    }
                });
            }
        }
        let squares = Matrix::row_major(squares.rows(&range), range.len(), m);
        let vv = Matrix::row_major(&*factors.vv, triangle(r), m);
        let s_hat = MatrixMut::row_major(gradients.s.rows_mut(&range), range.len(), triangle(r));
        context.reborrow().rows_of_product(s_hat, T::ONE, squares, vv.t(), Addend::Output(T::ONE), forward.n);
    }
}

/// Σ_j ( f_j² ω_j + d_j ).
#[inline(always)]
fn trace_of_a<T: Element>(omega: &[T], f: &[T], d: &[T]) -> f64 {
    let mut trace = LaneSums::new();
    for (j, ((&omega, &f), &d)) in omega.iter().zip(f).zip(d).enumerate() {
        trace.add(j, f * f * omega + d);
    }
    trace.total()
}

/// ‖\[row; 1\]‖² of each sample of a chunk.
fn squared_norms<T: Element>(isa: InstructionSet, rows: &[T], width: usize, chunk: &Range<usize>) -> [f64; CHUNK] {
    isa.run(SquaredNorms { rows: &rows[chunk.start * width..chunk.end * width], width })
}

struct SquaredNorms<'a, T> {
    rows: &'a [T],
    width: usize,
}

impl<T: Element> Kernel for SquaredNorms<'_, T> {
    type Output = [f64; CHUNK];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [f64; CHUNK] {
        let mut norms = [0.0; CHUNK];
        for (norm, row) in norms.iter_mut().zip(self.rows.chunks_exact(self.width)) {
            *norm = 1.0;
            for block in row.chunks(BLOCK) {
                *norm += sum_registers!(T, S, simd, [x] = [block] => x * x).reduce_sum().to_f64();
            }
        }
        norms
    }
}
