//! The output–output block: `Q_e = Σ S_e h hᵀ` entry by entry of S.

use crate::gemm::{self, Addend, Matrix, MatrixMut, Triangle, gemm, gemm_with, gram};
use crate::hessian::blocks::{Sum, TILE, tile_len, tiles};
use crate::hessian::contrasts::triangle;
use crate::hessian::factors::{Factors, Hats};
use crate::network::Shape;
use crate::plan::{Work, product, sum};
use crate::real::Real;
use crate::simd::{Kernel, Lanes, Simd};
use crate::vector::dot;
use crate::workers::Workers;
use crate::workspace::{Arena, row, row_mut};

/// Value and adjoints of a sample. On small networks each entry's pass over the rows takes longer than its products.
pub(super) const fn work(shape: Shape) -> Work {
    let r2 = triangle(shape.classes() - 1);
    let products = Work::new(product(&[3, r2, shape.hidden(), shape.hidden()]), 2);
    Work::sum(&[products, Work::overhead(product(&[1000, r2]))])
}

/// Elements that the block takes.
pub(super) const fn elements(shape: Shape, n: usize) -> u64 {
    let m = shape.hidden();
    sum(&[n as u64, product(&[m, m]), product(&[tile_len(n), m]), product(&[triangle(shape.classes() - 1), m])])
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let m = shape.hidden();
    gemm::largest_workspace(&[[m, n, m], [triangle(shape.classes() - 1), n, m], [tile_len(n), m, m]])
}

impl<T: Real> Sum<'_, '_, T> {
    /// The output–output block.
    pub(super) fn output(
        &self,
        factors: &Factors<'_, T>,
        mut hats: Option<&mut Hats<'_, T>>,
        mut arena: Arena<'_, T>,
        workers: &mut Workers<'_, T>,
    ) -> f64 {
        let (isa, n, shape) = (self.isa, self.samples.n, self.samples.shape);
        let (m, r2) = (shape.hidden(), triangle(shape.classes() - 1));
        let (weights, q, y) = (arena.take(n), arena.take(m * m), arena.take(n.min(TILE) * m));
        let h = Matrix::row_major(self.samples.h, n, m);
        let sums = arena.take(r2 * m);
        let s = Matrix::row_major(&*factors.s, n, r2);
        gemm(isa, T::ONE, s.t(), h, T::ZERO, MatrixMut::row_major(sums, r2, m), workers.scratch());

        let mut square = 0.0;
        for (e, sums) in sums.chunks_exact(m).enumerate() {
            let mut total = 0.0;
            for (weight, s) in weights.iter_mut().zip(factors.s.chunks_exact(r2)) {
                *weight = s[e];
                total += s[e].to_f64();
            }
            gram(
                isa,
                T::ONE,
                h.t(),
                Some(weights),
                T::ZERO,
                MatrixMut::row_major(q, m, m),
                Triangle::Both,
                workers.scratch(),
            );
            square += dot(isa, q, q) + 2.0 * dot(isa, sums, sums) + total * total;

            let Some(hats) = hats.as_deref_mut() else { continue };
            let (twice, total) = (T::from_f64(2.0 * self.weight), T::from_f64(total));
            for tile in tiles(n) {
                let rows = Matrix::row_major(&self.samples.h[tile.start * m..tile.end * m], tile.len(), m);
                let out = MatrixMut::row_major(&mut y[..tile.len() * m], tile.len(), m);
                gemm_with(isa, T::ONE, rows, Matrix::row_major(q, m, m), Addend::Row(sums), out, workers.scratch());
                isa.run(Back {
                    s: &weights[tile.clone()],
                    h: &self.samples.h[tile.start * m..tile.end * m],
                    y,
                    sums,
                    total,
                    twice,
                    h_hat: hats.g.rows_mut(&tile),
                    s_hat: &mut hats.s.rows_mut(&tile)[e..],
                    stride: r2,
                });
            }
        }
        self.weight * square
    }
}

/// The way back of a tile of samples from `y = Q_e h + Σ S_e h`, one row each:
/// `ĥ += 4w S_e y` and `Ŝ_e += 2w ( h·(y + Σ S_e h) + Σ S_e )`.
struct Back<'a, T> {
    s: &'a [T],
    h: &'a [T],
    y: &'a [T],
    sums: &'a [T],
    total: T,
    /// 2w
    twice: T,
    h_hat: &'a mut [T],
    /// Ŝ_e of the samples, a stride apart.
    s_hat: &'a mut [T],
    stride: usize,
}

impl<T: Real> Kernel for Back<'_, T> {
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
                let read = |from: &[T]| T::Lanes::<S>::load_first(simd, &from[start..], len);
                let y = read(y);
                sum = read(h).mul_add(y + read(self.sums), sum);
                factor.mul_add(y, read(h_hat)).store_first(&mut h_hat[start..], len);
            }
            *s_hat += self.twice * (sum.reduce_sum() + self.total);
        }
    }
}
