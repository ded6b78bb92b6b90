//! The output–hidden block: `H_oh = Σ (a⊗h) Bᵀ` and `Σ a Bᵀ`; `Σ a (r⊗f)ᵀ` is added on the diagonals.

use core::ops::Range;

use crate::count::{Work, product};
use crate::hessian::blocks::sum::{BlockSum, tile_len, tiles};
use crate::hessian::factors::chunk::ChunkFactors;
use crate::hessian::factors::{FactorGradients, Factors, HiddenGradient, chunks};
use crate::hessian::forward::Forward;
use crate::kernels::context::Context;
use crate::kernels::gemm::{self, Addend, Matrix, MatrixMut};
use crate::kernels::vector::{dot, scale, sum_registers};
use crate::network::Shape;
use crate::simd::Element;
use crate::simd::{InstructionSet, Kernel, Lanes, Simd};
use crate::workspace::{Arena, buffers, row, row_mut};

/// Work for value and derivatives of a sample.
pub(super) const fn work(shape: Shape) -> Work {
    let m = shape.hidden();
    Work::new(product(&[6, shape.classes() - 1, shape.inputs() + 1, m, m]), 2)
}

buffers! {
    /// The block, with the rows of a tile of samples.
    pub(super) struct Buffers(shape: Shape, n: usize) where {
        let (d, m, r, tile) = (shape.inputs(), shape.hidden(), shape.classes() - 1, tile_len(n));
    } {
        a: [tile, d + 1],
        ah: [tile, d + 1, m],
        ah_hat: [tile, d + 1, m],
        b: [tile, r, m],
        b_hat: [tile, r, m],
        rf: [tile, r, m],
        block: [d + 1, m, r, m],
        ones: [d + 1, r, m],
        diagonals: [d + 1, r, m],
    }
}

/// Elements that the block takes.
pub(super) const fn elements(shape: Shape, n: usize) -> u64 {
    Buffers::elements(shape, n)
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (d, m, tile) = (shape.inputs(), shape.hidden(), tile_len(n));
    let (rm, am) = ((shape.classes() - 1).saturating_mul(m), m.saturating_mul(d + 1));
    gemm::largest_workspace(&[[am, tile, rm], [tile, am, rm], [tile, rm, am], [d + 1, tile, rm], [tile, d + 1, rm]])
}

impl<T: Element> Buffers<'_, T> {
    /// The squared norm of the block and its transpose, once all samples are in it. Adds the diagonals to the block, then reads back the
    /// sums.
    pub(super) fn square(&mut self, isa: InstructionSet, shape: Shape) -> f64 {
        let Self { block, ones, diagonals, .. } = self;
        let (m, rm) = (shape.hidden(), (shape.classes() - 1) * shape.hidden());
        for (i, diagonals) in diagonals.chunks_exact_mut(rm).enumerate() {
            for (at, entry) in diagonals.iter_mut().enumerate() {
                let j = at % m;
                let place = &mut block[(i * m + j) * rm + at];
                *place += *entry;
                *entry = *place;
            }
        }
        2.0 * (dot(isa, block, block) + dot(isa, ones, ones))
    }

    /// Multiplies the block with a number.
    pub(super) fn scale(&mut self, isa: InstructionSet, factor: T) {
        for sums in [&mut *self.block, &mut *self.ones, &mut *self.diagonals] {
            scale(isa, sums, factor);
        }
    }
}

impl<T: Element> BlockSum<'_, '_, T> {
    /// The output–hidden block and its transpose.
    pub(super) fn cross(
        &self,
        factors: &Factors<'_, T>,
        gradients: Option<&mut FactorGradients<'_, T>>,
        mut arena: Arena<'_, T>,
        context: &mut Context<'_, T>,
    ) -> f64 {
        let (isa, forward, shape) = (context.isa, self.forward, self.forward.shape);
        let (d, m, r) = (shape.inputs(), shape.hidden(), shape.classes() - 1);
        let (rm, am) = (r * m, (d + 1) * m);
        let mut buffers = Buffers::cut(shape, forward.n, &mut arena);
        self.add_cross(factors, &mut buffers, true, context);
        let square = buffers.square(isa, shape);

        let Some(gradients) = gradients else { return self.weight * square };
        let Buffers { a, ah, ah_hat, b, b_hat, rf, block, ones, diagonals } = buffers;
        let factor = T::from_f64(4.0 * self.weight);
        let (block, ones) = (Matrix::row_major(block, am, rm), Matrix::row_major(ones, d + 1, rm));
        let diagonals = Matrix::row_major(diagonals, d + 1, rm);
        for rows in tiles(forward.n) {
            let height = rows.len();
            self.write_cross(factors, &rows, [&mut *a, &mut *ah, &mut *b, &mut *rf], context);
            {
                let ah = Matrix::row_major(ah, height, am);
                let (a, b) = (Matrix::row_major(a, height, d + 1), &b[..height * rm]);
                let mut to = MatrixMut::row_major(b_hat, height, rm);
                context.product(to.reborrow(), factor, ah, block, Addend::Zero);
                context.product(to, factor, a, ones, Addend::Output(T::ONE));
                let to = MatrixMut::row_major(ah_hat, height, am);
                context.product(to, factor, Matrix::row_major(b, height, rm), block.t(), Addend::Zero);
                let rf_hat = MatrixMut::row_major(rf, height, rm);
                context.product(rf_hat, factor, a, diagonals, Addend::Zero);
            }
            isa.run(BackOfCross { shape, rows: rows.clone(), a, ah_hat, rf_hat: rf, r: factors.r, forward, gradients });
            for chunk in chunks(rows.clone()) {
                let mut chunk_factors = ChunkFactors::new(shape, forward.n, context);
                chunk_factors.load(factors, &chunk);
                let b_hat = &b_hat[(chunk.start - rows.start) * rm..];
                chunk_factors.back(forward, factors, &chunk, Some(b_hat), HiddenGradient::Zero, gradients);
            }
        }
        self.weight * square
    }

    /// Adds the samples to the block; the first to be added set it.
    pub(super) fn add_cross(
        &self,
        factors: &Factors<'_, T>,
        buffers: &mut Buffers<'_, T>,
        first: bool,
        context: &mut Context<'_, T>,
    ) {
        let (forward, shape) = (self.forward, self.forward.shape);
        let (d, m, r) = (shape.inputs(), shape.hidden(), shape.classes() - 1);
        let (rm, am) = (r * m, (d + 1) * m);
        let Buffers { a, ah, b, rf, block, ones, diagonals, .. } = buffers;
        for rows in tiles(forward.n) {
            let (beta, height) = (if first && rows.start == 0 { T::ZERO } else { T::ONE }, rows.len());
            self.write_cross(factors, &rows, [&mut **a, &mut **ah, &mut **b, &mut **rf], context);
            let a = Matrix::row_major(a, height, d + 1);
            let ah = Matrix::row_major(ah, height, am);
            let (b, rf) = (&b[..height * rm], &rf[..height * rm]);
            let (b, rf) = (Matrix::row_major(b, height, rm), Matrix::row_major(rf, height, rm));
            context.product(MatrixMut::row_major(block, am, rm), T::ONE, ah.t(), b, Addend::scaled(beta));
            context.product(MatrixMut::row_major(ones, d + 1, rm), T::ONE, a.t(), b, Addend::scaled(beta));
            context.product(MatrixMut::row_major(diagonals, d + 1, rm), T::ONE, a.t(), rf, Addend::scaled(beta));
        }
    }

    /// a, a⊗h, B and r⊗f of a tile of samples.
    fn write_cross(
        &self,
        factors: &Factors<'_, T>,
        rows: &Range<usize>,
        [a, ah, b, rf]: [&mut [T]; 4],
        context: &mut Context<'_, T>,
    ) {
        let (forward, shape) = (self.forward, self.forward.shape);
        let (d, m, r) = (shape.inputs(), shape.hidden(), shape.classes() - 1);
        for chunk in chunks(rows.clone()) {
            let mut chunk_factors = ChunkFactors::new(shape, forward.n, context);
            chunk_factors.load(factors, &chunk);
            chunk_factors.write_b(forward, &chunk, &mut b[(chunk.start - rows.start) * r * m..]);
        }
        context.isa.vectorize(|| {
            for (i, n) in rows.clone().enumerate() {
                let (h, f, a) = (row(forward.h, m, n), row(forward.f, m, n), row_mut(a, d + 1, i));
                a[..d].copy_from_slice(row(forward.x, d, n));
                a[d] = T::ONE;
                for (ah, &a) in row_mut(ah, (d + 1) * m, i).chunks_exact_mut(m).zip(&*a) {
                    for (ah, &h) in ah.iter_mut().zip(h) {
                        *ah = a * h;
                    }
                }
                for (rf, &r) in row_mut(rf, r * m, i).chunks_exact_mut(m).zip(row(factors.r, r, n)) {
                    for (rf, &f) in rf.iter_mut().zip(f) {
                        *rf = r * f;
                    }
                }
            }
        });
    }
}

/// Derivatives of a tile of samples from those of their rows a⊗h and r⊗f: `ĥ += Σ_i a_i (ah)^_i`, `f̂ += Σ_k r_k (rf)^_k`,
/// `r̂_k += (rf)^_k·f`.
struct BackOfCross<'a, 's, 'h, T> {
    shape: Shape,
    rows: Range<usize>,
    a: &'a [T],
    ah_hat: &'a [T],
    rf_hat: &'a [T],
    /// r of all samples.
    r: &'a [T],
    forward: &'a Forward<'s, T>,
    gradients: &'a mut FactorGradients<'h, T>,
}

impl<T: Element> Kernel for BackOfCross<'_, '_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let lanes = <T::Lanes<S> as Lanes>::LANES;
        let (d, m, r) = (self.shape.inputs(), self.shape.hidden(), self.shape.classes() - 1);
        let splat = |x: T| T::Lanes::<S>::splat(simd, x);
        for (i, n) in self.rows.enumerate() {
            let (a, ah_hat, rf_hat) =
                (row(self.a, d + 1, i), row(self.ah_hat, (d + 1) * m, i), row(self.rf_hat, r * m, i));
            let (residuals, f) = (row(self.r, r, n), row(self.forward.f, m, n));
            let (h_hat, f_hat) = (self.gradients.g.row_mut(n), self.gradients.f.row_mut(n));
            for start in (0..m).step_by(lanes) {
                let len = lanes.min(m - start);
                let read = |from: &[T]| T::Lanes::<S>::load_at(simd, from, start, len);
                let (mut of_h, mut of_f) = (read(h_hat), read(f_hat));
                for (&a, ah_hat) in a.iter().zip(ah_hat.chunks_exact(m)) {
                    of_h = splat(a).mul_add(read(ah_hat), of_h);
                }
                for (&residual, rf_hat) in residuals.iter().zip(rf_hat.chunks_exact(m)) {
                    of_f = splat(residual).mul_add(read(rf_hat), of_f);
                }
                of_h.store_at(h_hat, start, len);
                of_f.store_at(f_hat, start, len);
            }
            for (r_hat, rf_hat) in self.gradients.r.row_mut(n).iter_mut().zip(rf_hat.chunks_exact(m)) {
                *r_hat += sum_registers!(T, S, simd, [rf_hat, f] = [rf_hat, f] => rf_hat * f).reduce_sum();
            }
        }
    }
}
