//! The hidden–hidden block: `Q = Σ (aaᵀ) Aᵀ`, both flat.

use core::ops::Range;

use crate::gemm::{self, Matrix, MatrixMut};
use crate::hessian::blocks::{Sum, TILE, tile_len, tiles};
use crate::hessian::contrasts::triangle;
use crate::hessian::factors::{self, Factors, Hats, HiddenHat, chunks};
use crate::network::Shape;
use crate::plan::{Work, product, sum};
use crate::real::Real;
use crate::vector::dot;
use crate::workers::Workers;
use crate::workspace::{Arena, row, row_mut};

/// Value and adjoints of a sample.
pub(super) const fn work(shape: Shape) -> Work {
    let products = product(&[4, triangle(shape.inputs() + 1), triangle(shape.hidden())]);
    Work::sum(&[Work::new(products, 2), factors::work_of_a(shape)])
}

/// Elements that the block takes.
pub(super) const fn elements(shape: Shape, n: usize) -> u64 {
    let (m, tile) = (shape.hidden(), tile_len(n));
    let (narrow, wide) = (triangle(shape.inputs() + 1), triangle(m));
    sum(&[
        product(&[narrow, wide]),
        product(&[2, tile, wide]),
        product(&[tile, narrow]),
        product(&[tile, shape.classes() - 1, m]),
    ])
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (m2, d2, tile) = (triangle(shape.hidden()), triangle(shape.inputs() + 1), tile_len(n));
    gemm::largest_workspace(&[[d2, tile, m2], [m2, tile, d2], [tile, d2, m2]])
}

impl<T: Real> Sum<'_, '_, T> {
    /// The hidden–hidden block.
    pub(super) fn hidden(
        &self,
        factors: &Factors<'_, T>,
        hats: Option<&mut Hats<'_, T>>,
        mut arena: Arena<'_, T>,
        workers: &mut Workers<'_, T>,
    ) -> f64 {
        let (isa, samples, shape) = (self.isa, self.samples, self.samples.shape);
        let (d, m, tile) = (shape.inputs(), shape.hidden(), samples.n.min(TILE));
        let (rm, m2, d2) = ((shape.classes() - 1) * m, triangle(m), triangle(d + 1));
        let (q, a, a_hat) = (arena.take(d2 * m2), arena.take(tile * m2), arena.take(tile * m2));
        let (aa, b) = (arena.take(tile * d2), arena.take(tile * rm));

        // The wider of the two factors is that with columns.
        let wide = m2 >= d2;
        for rows in tiles(samples.n) {
            let (beta, height) = (if rows.start == 0 { T::ZERO } else { T::ONE }, rows.len());
            for chunk in chunks(rows.clone()) {
                let mut loaded = self.loaded(workers);
                loaded.load(isa, factors, &chunk);
                loaded.write_b(isa, samples, &chunk, b);
                for (b, n) in b.chunks_exact(rm).zip(chunk) {
                    loaded.write_a(isa, samples, factors, n, b, row_mut(a, m2, n - rows.start));
                }
            }
            self.write_inputs(&rows, aa);
            let a = Matrix::row_major(&a[..height * m2], height, m2);
            let aa = Matrix::row_major(&aa[..height * d2], height, d2);
            if wide {
                self.multiply(T::ONE, aa.t(), a, beta, MatrixMut::row_major(q, d2, m2), workers);
            } else {
                self.multiply(T::ONE, a.t(), aa, beta, MatrixMut::row_major(q, m2, d2), workers);
            }
        }
        let square = self.weight * dot(isa, q, q);

        let Some(hats) = hats else { return square };
        let factor = T::from_f64(2.0 * self.weight);
        let q = if wide { Matrix::row_major(q, d2, m2) } else { Matrix::row_major(q, m2, d2).t() };
        for rows in tiles(samples.n) {
            self.write_inputs(&rows, aa);
            let aa = Matrix::row_major(&aa[..rows.len() * d2], rows.len(), d2);
            let out = MatrixMut::row_major(&mut a_hat[..rows.len() * m2], rows.len(), m2);
            self.multiply(factor, aa, q, T::ZERO, out, workers);
            for chunk in chunks(rows.clone()) {
                let mut loaded = self.loaded(workers);
                loaded.load(isa, factors, &chunk);
                let a_hat = HiddenHat::Flat(&a_hat[(chunk.start - rows.start) * m2..]);
                loaded.back(isa, samples, factors, &chunk, None, a_hat, hats);
            }
        }
        square
    }

    /// aaᵀ of a tile of samples, flat.
    fn write_inputs(&self, rows: &Range<usize>, aa: &mut [T]) {
        let d = self.samples.shape.inputs();
        self.isa.vectorize(|| {
            for (n, aa) in rows.clone().zip(aa.chunks_exact_mut(triangle(d + 1))) {
                write_outer_with_one(row(self.samples.x, d, n), aa);
            }
        });
    }
}

/// The outer product of `[x; 1]` with itself, flat.
pub(super) fn write_outer_with_one<T: Real>(x: &[T], flat: &mut [T]) {
    let root2 = T::from_f64(core::f64::consts::SQRT_2);
    let mut rest = flat;
    for (i, &xi) in x.iter().enumerate() {
        let (entries, below) = rest.split_at_mut(x.len() + 1 - i);
        entries[0] = xi * xi;
        for (entry, &xl) in entries[1..].iter_mut().zip(&x[i + 1..]) {
            *entry = root2 * xi * xl;
        }
        entries[x.len() - i] = root2 * xi;
        rest = below;
    }
    rest[0] = T::ONE;
}
