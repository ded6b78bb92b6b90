//! The output–output block, for one entry of S at a time: `H_kl = Σ S_kl h hᵀ`.

use crate::count::{Work, product};
use crate::hessian::blocks::sum::{BlockSum, tile_len, tiles};
use crate::hessian::contrasts::triangle;
use crate::hessian::factors::{FactorGradients, Factors};
use crate::kernels::context::Context;
use crate::kernels::gemm::{self, Addend, Matrix, MatrixMut, Triangle};
use crate::kernels::vector::{dot, scale};
use crate::network::Shape;
use crate::simd::Element;
use crate::simd::{InstructionSet, Kernel, Lanes, Simd};
use crate::workspace::{Arena, buffers, row, row_mut};

/// Work for value and derivatives of a sample. On small networks the pass over the rows takes longer, for each entry, than the products.
pub(super) const fn work(shape: Shape) -> Work {
    let r2 = triangle(shape.classes() - 1);
    let products = Work::new(product(&[3, r2, shape.hidden(), shape.hidden()]), 2);
    Work::sum(&[products, Work::overhead(product(&[1000, r2]))])
}

buffers! {
    struct Buffers(shape: Shape, n: usize) where { let m = shape.hidden(); } {
        weights: [n],
        block: [m, m],
        y: [tile_len(n), m],
        sums: [triangle(shape.classes() - 1), m],
    }
}

/// Elements that the block takes.
pub(super) const fn elements(shape: Shape, n: usize) -> u64 {
    Buffers::elements(shape, n)
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let m = shape.hidden();
    gemm::largest_workspace(&[[m, n, m], [triangle(shape.classes() - 1), n, m], [tile_len(n), m, m]])
}

impl<T: Element> BlockSum<'_, '_, T> {
    /// The output–output block.
    pub(super) fn output(
        &self,
        factors: &Factors<'_, T>,
        mut gradients: Option<&mut FactorGradients<'_, T>>,
        mut arena: Arena<'_, T>,
        context: &mut Context<'_, T>,
    ) -> f64 {
        let (isa, n, shape) = (context.isa, self.forward.n, self.forward.shape);
        let (m, r2) = (shape.hidden(), triangle(shape.classes() - 1));
        let Buffers { weights, block, y, sums } = Buffers::cut(shape, n, &mut arena);
        let h = Matrix::row_major(self.forward.h, n, m);
        let s = Matrix::row_major(&*factors.s, n, r2);
        context.set(MatrixMut::row_major(sums, r2, m), s.t(), h);

        let mut square = 0.0;
        for (e, sums) in sums.chunks_exact(m).enumerate() {
            let total = self.add_entry(factors, e, [&mut *weights, &mut *block], T::ZERO, context);
            square += square_of_entry(isa, block, sums, total);

            let Some(gradients) = gradients.as_deref_mut() else { continue };
            let (twice, total) = (T::from_f64(2.0 * self.weight), T::from_f64(total));
            for tile in tiles(n) {
                let rows = Matrix::row_major(&self.forward.h[tile.start * m..tile.end * m], tile.len(), m);
                let out = MatrixMut::row_major(y, tile.len(), m);
                context.product(out, T::ONE, rows, Matrix::row_major(block, m, m), Addend::Row(sums));
                isa.run(BackOfOutput {
                    s: &weights[tile.clone()],
                    h: &self.forward.h[tile.start * m..tile.end * m],
                    y,
                    sums,
                    total,
                    twice,
                    h_hat: gradients.g.rows_mut(&tile),
                    s_hat: &mut gradients.s.rows_mut(&tile)[e..],
                    stride: r2,
                });
            }
        }
        self.weight * square
    }

    /// Adds the samples to the block; the first to be added set it.
    pub(super) fn add_output(
        &self,
        factors: &Factors<'_, T>,
        all: &mut Sums<'_, T>,
        first: bool,
        context: &mut Context<'_, T>,
    ) {
        let (n, shape, beta) = (self.forward.n, self.forward.shape, if first { T::ZERO } else { T::ONE });
        let (m, r2) = (shape.hidden(), triangle(shape.classes() - 1));
        let (h, s) = (Matrix::row_major(self.forward.h, n, m), Matrix::row_major(&*factors.s, n, r2));
        context.product(MatrixMut::row_major(all.sums, r2, m), T::ONE, s.t(), h, Addend::scaled(beta));
        for (e, (block, sum)) in all.blocks.chunks_exact_mut(m * m).zip(&mut *all.totals).enumerate() {
            let total = T::from_f64(self.add_entry(factors, e, [&mut *all.weights, block], beta, context));
            *sum = if first { total } else { *sum + total };
        }
    }

    /// `block ← Σ S_kl h hᵀ + beta · block` for one entry of S. Leaves S_kl of the samples in `weights`, and returns their sum.
    fn add_entry(
        &self,
        factors: &Factors<'_, T>,
        e: usize,
        [weights, block]: [&mut [T]; 2],
        beta: T,
        context: &mut Context<'_, T>,
    ) -> f64 {
        let (n, shape) = (self.forward.n, self.forward.shape);
        let (m, r2) = (shape.hidden(), triangle(shape.classes() - 1));
        let (weights, mut total) = (&mut weights[..n], 0.0);
        for (weight, s) in weights.iter_mut().zip(factors.s.chunks_exact(r2)) {
            *weight = s[e];
            total += s[e].to_f64();
        }
        let h = Matrix::row_major(self.forward.h, n, m);
        context.gram(MatrixMut::row_major(block, m, m), T::ONE, h.t(), Some(weights), beta, Triangle::Both);
        total
    }
}

/// The squared norm of the part of an entry of S: `H_kl`, and twice and once what stands beside it for the last entry of g.
fn square_of_entry<T: Element>(isa: InstructionSet, block: &[T], sums: &[T], total: f64) -> f64 {
    dot(isa, block, block) + 2.0 * dot(isa, sums, sums) + total * total
}

buffers! {
    /// The block, of all entries of S.
    pub(super) struct Sums(shape: Shape, n: usize) where {
        let (m, r2) = (shape.hidden(), triangle(shape.classes() - 1));
    } {
        weights: [n],
        blocks: [r2, m, m],
        sums: [r2, m],
        totals: [r2],
    }
}

impl<T: Element> Sums<'_, T> {
    /// The squared norm of the block, once all samples are in it.
    pub(super) fn square(&self, isa: InstructionSet) -> f64 {
        let (r2, mut square) = (self.totals.len(), 0.0);
        let (size, m) = (self.blocks.len() / r2, self.sums.len() / r2);
        for (e, total) in self.totals.iter().enumerate() {
            square += square_of_entry(isa, row(self.blocks, size, e), row(self.sums, m, e), total.to_f64());
        }
        square
    }

    /// Multiplies the block with a number.
    pub(super) fn scale(&mut self, isa: InstructionSet, factor: T) {
        for sums in [&mut *self.blocks, &mut *self.sums, &mut *self.totals] {
            scale(isa, sums, factor);
        }
    }
}

/// Derivatives of a tile of samples from `y = H_kl h + Σ S_kl h`, one row each: `ĥ += 4 w_cross S_kl y` and
/// `Ŝ_kl += 2 w_cross ( h·(y + Σ S_kl h) + Σ S_kl )`.
struct BackOfOutput<'a, T> {
    s: &'a [T],
    h: &'a [T],
    y: &'a [T],
    sums: &'a [T],
    total: T,
    /// 2 w_cross
    twice: T,
    h_hat: &'a mut [T],
    /// Ŝ_kl of the samples, a stride apart.
    s_hat: &'a mut [T],
    stride: usize,
}

impl<T: Element> Kernel for BackOfOutput<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (m, lanes) = (self.sums.len(), <T::Lanes<S> as Lanes>::LANES);
        for (i, (&s, s_hat)) in self.s.iter().zip(self.s_hat.iter_mut().step_by(self.stride)).enumerate() {
            let factor = T::Lanes::<S>::splat(simd, T::TWO * self.twice * s);
            let (h, y, h_hat) = (row(self.h, m, i), row(self.y, m, i), row_mut(self.h_hat, m, i));
            let mut sum = T::Lanes::<S>::zero(simd);
            for start in (0..m).step_by(lanes) {
                let len = lanes.min(m - start);
                let read = |from: &[T]| T::Lanes::<S>::load_at(simd, from, start, len);
                let y = read(y);
                sum = read(h).mul_add(y + read(self.sums), sum);
                factor.mul_add(y, read(h_hat)).store_at(h_hat, start, len);
            }
            *s_hat += self.twice * (sum.reduce_sum() + self.total);
        }
    }
}
