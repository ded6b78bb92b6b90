//! The output–output block: `Q_e = Σ S_e h hᵀ` entry by entry of S.

use crate::gemm::{self, Addend, Matrix, MatrixMut, Triangle, gemm, gemm_with, gram};
use crate::hessian::blocks::{Sum, TILE, tile_len, tiles};
use crate::hessian::contrasts::triangle;
use crate::hessian::factors::{Factors, Hats};
use crate::network::Shape;
use crate::plan::{product, sum};
use crate::real::Real;
use crate::vector::{LaneSums, dot};
use crate::workspace::{Arena, row, row_mut};

/// Flops a sample of value and adjoints.
pub(super) const fn flops(shape: Shape) -> u64 {
    product(&[3, triangle(shape.classes() - 1), shape.hidden(), shape.hidden()])
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
        packing: &mut [T],
    ) -> f64 {
        let (isa, n, shape) = (self.isa, self.samples.n, self.samples.shape);
        let (m, r2) = (shape.hidden(), triangle(shape.classes() - 1));
        let (weights, q, y) = (arena.take(n), arena.take(m * m), arena.take(n.min(TILE) * m));
        let h = Matrix::row_major(self.samples.h, n, m);
        let sums = arena.take(r2 * m);
        let s = Matrix::row_major(&*factors.s, n, r2);
        gemm(isa, T::ONE, s.t(), h, T::ZERO, MatrixMut::row_major(sums, r2, m), packing);

        let mut square = 0.0;
        for (e, sums) in sums.chunks_exact(m).enumerate() {
            let mut total = 0.0;
            for (weight, s) in weights.iter_mut().zip(factors.s.chunks_exact(r2)) {
                *weight = s[e];
                total += s[e].to_f64();
            }
            gram(isa, T::ONE, h.t(), Some(weights), T::ZERO, MatrixMut::row_major(q, m, m), Triangle::Both, packing);
            square += dot(isa, q, q) + 2.0 * dot(isa, sums, sums) + total * total;

            let Some(hats) = hats.as_deref_mut() else { continue };
            let (twice, total) = (T::from_f64(2.0 * self.weight), T::from_f64(total));
            for tile in tiles(n) {
                let rows = Matrix::row_major(&self.samples.h[tile.start * m..tile.end * m], tile.len(), m);
                let out = MatrixMut::row_major(&mut y[..tile.len() * m], tile.len(), m);
                gemm_with(isa, T::ONE, rows, Matrix::row_major(q, m, m), Addend::Row(sums), out, packing);
                isa.vectorize(|| {
                    for (n, y) in tile.zip(y.chunks_exact(m)) {
                        let (h, h_hat) = (row(self.samples.h, m, n), row_mut(hats.g, m, n));
                        let (factor, mut s_hat) = (T::TWO * twice * weights[n], LaneSums::new());
                        for (j, ((&y, &sum), (&h, h_hat))) in y.iter().zip(sums).zip(h.iter().zip(h_hat)).enumerate() {
                            *h_hat += factor * y;
                            s_hat.add(j, h * (y + sum));
                        }
                        hats.s[n * r2 + e] += twice * (T::from_f64(s_hat.total()) + total);
                    }
                });
            }
        }
        self.weight * square
    }
}
