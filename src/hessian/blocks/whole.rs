//! All blocks at once, for two classes and few inputs: H in the basis of contrasts, as one symmetric matrix.
//!
//! With `R = 1` S and r are numbers, C and d are rows, and the Gauss–Newton part of a sample is of rank one. `∂z = [a⊗C; g]` is the
//! derivative of the one logit contrast with respect to the parameters, (D+2)M + 1 numbers:
//!
//! ```text
//! H = Σ S ∂z ∂zᵀ + residuals
//! residuals: Σ r f_j a_i  where h_j meets a_i C_j,   Σ d_j a_i a_l  where a_i C_j meets a_l C_j
//! (∂z)^ = 4 w_cross S H ∂z      Ŝ = 2 w_cross ∂zᵀ H ∂z      and for the residuals the diagonals of H's blocks, times a and aaᵀ
//! ```
//!
//! **Loop order.** Two passes over tiles of samples. With the rows ∂z of a tile as a matrix, the first adds `rowsᵀ diag(S) rows` to H,
//! one product of which only the lower triangle is formed. The second forms `rows H`, and passes over the result once. The last entry of
//! ∂z, 1, is left out of both: its products are column sums.
//!
//! Multiply–adds a sample: `(D+2)²M²/2` and `(D+2)²M²`. Block by block it would take somewhat fewer (`19.5 M²` instead of `24 M²` for two
//! inputs). But these would be small products with passes over all rows between them, which took longer.

use core::ops::Range;

use crate::bounds::Squares;
use crate::count::{Work, product};
use crate::hessian::blocks::hidden::write_outer_with_one;
use crate::hessian::blocks::sum::BlockSum;
use crate::hessian::contrasts::{triangle, upper};
use crate::hessian::factors::{FactorGradients, Factors};
use crate::hessian::forward::Forward;
use crate::kernels::context::Context;
use crate::kernels::gemm::{self, Addend, Half, Matrix, MatrixMut, Triangle, mirror};
use crate::kernels::vector::{dot, scale};
use crate::network::Shape;
use crate::simd::{Element, InstructionSet, Kernel, Lanes, Simd};
use crate::workspace::{Arena, buffers, pieces, row, row_mut};

/// Samples in a tile: enough that H, to which every tile is added, is seldom read.
const TILE: usize = 256;

const fn tile_len(n: usize) -> usize {
    if n < TILE { n } else { TILE }
}

/// Whether H is formed whole: where its two products are cheaper than the smaller ones of each block.
pub(super) const fn applies(shape: Shape) -> bool {
    shape.classes() == 2 && shape.inputs() <= 4
}

/// Numbers of ∂z, without the last.
const fn width(shape: Shape) -> usize {
    shape.hidden().saturating_mul(shape.inputs().saturating_add(2))
}

/// Work for value and derivatives of a sample.
pub(super) const fn work(shape: Shape) -> Work {
    Work::new(product(&[3, width(shape), width(shape)]), 1)
}

buffers! {
    /// H, with the rows of a tile of samples.
    pub(super) struct Buffers(shape: Shape, n: usize) where {
        let (a_len, m, tile) = (shape.inputs() + 1, shape.hidden(), tile_len(n));
        let d2 = triangle(a_len);
    } {
        dz: [tile, width(shape)],
        h_dz: [tile, width(shape)],
        a: [tile, a_len],
        aa: [tile, d2],
        rf: [tile, m],
        h: [width(shape), width(shape)],
        sums: [width(shape)],
        cross: [a_len, m],
        hidden: [d2, m],
    }
}

/// Elements that [`BlockSum::whole`] takes.
pub(super) const fn elements(shape: Shape, n: usize) -> u64 {
    Buffers::elements(shape, n)
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (a, m, tile, width) = (shape.inputs() + 1, shape.hidden(), tile_len(n), width(shape));
    let d2 = triangle(a);
    gemm::largest_workspace(&[
        [width, tile, width],
        [1, tile, width],
        [a, tile, m],
        [d2, tile, m],
        [tile, width, width],
        [tile, d2, m],
        [tile, a, m],
    ])
}

/// What a tile of samples adds to H, one row a sample.
struct TileRows<'w, T> {
    /// ∂z, without the last entry
    dz: &'w mut [T],
    /// a
    a: &'w mut [T],
    /// aaᵀ, flat
    aa: &'w mut [T],
    /// r f, later its derivative
    rf: &'w mut [T],
}

impl<T: Element> Buffers<'_, T> {
    /// The squared norms of the blocks, once all samples are in H; `total` is its last entry.
    pub(super) fn squares(&mut self, isa: InstructionSet, shape: Shape, weight: f64, total: f64) -> Squares {
        let width = width(shape);
        mirror(isa, MatrixMut::row_major(self.h, width, width), Half::Lower);
        self.add_residuals(shape);
        let squares = squares(isa, self.h, (shape.inputs() + 1) * shape.hidden(), self.sums, total);
        Squares { output: weight * squares.output, cross: weight * squares.cross, hidden: weight * squares.hidden }
    }

    /// Multiplies H, but for its last entry, with a number.
    pub(super) fn scale(&mut self, isa: InstructionSet, factor: T) {
        for sums in [&mut *self.h, &mut *self.sums, &mut *self.cross, &mut *self.hidden] {
            scale(isa, sums, factor);
        }
    }

    /// Adds the residuals to H, and leaves the complete entries of H in their places.
    fn add_residuals(&mut self, shape: Shape) {
        let Self { h, cross, hidden, .. } = self;
        let (a, m, width) = (shape.inputs() + 1, shape.hidden(), width(shape));
        for (at, entry) in cross.iter_mut().enumerate() {
            let of_h = a * m + at % m;
            h[of_h * width + at] += *entry;
            h[at * width + of_h] += *entry;
            *entry = h[at * width + of_h];
        }
        let half_root2 = T::from_f64(core::f64::consts::FRAC_1_SQRT_2);
        for ((i, l), entries) in upper(a).zip(hidden.chunks_exact_mut(m)) {
            for (j, entry) in entries.iter_mut().enumerate() {
                let (row, column) = (i * m + j, l * m + j);
                if i == l {
                    h[row * width + column] += *entry;
                } else {
                    h[row * width + column] += half_root2 * *entry;
                    h[column * width + row] += half_root2 * *entry;
                }
                *entry = h[row * width + column];
            }
        }
    }
}

impl<T: Element> BlockSum<'_, '_, T> {
    /// All blocks.
    pub(super) fn whole(
        &self,
        factors: &Factors<'_, T>,
        gradients: Option<&mut FactorGradients<'_, T>>,
        mut arena: Arena<'_, T>,
        context: &mut Context<'_, T>,
    ) -> Squares {
        let (isa, forward, shape) = (context.isa, self.forward, self.forward.shape);
        let (n, d, m, width) = (forward.n, shape.inputs(), shape.hidden(), width(shape));
        let d2 = triangle(d + 1);
        let mut buffers = Buffers::cut(shape, n, &mut arena);
        let total = self.add_whole(factors, &mut buffers, true, context);
        let squares = buffers.squares(isa, shape, self.weight, total);

        let Some(gradients) = gradients else { return squares };
        let Buffers { dz, h_dz, a, aa, rf, h, sums, cross, hidden } = buffers;
        let mut rows = TileRows { dz, a, aa, rf };
        self.scale_residuals(cross, hidden);
        for tile in pieces(0..n, TILE) {
            let height = tile.len();
            self.write_rows(isa, factors, &tile, &mut rows);
            let out = MatrixMut::row_major(h_dz, height, width);
            let dz = Matrix::row_major(rows.dz, height, width);
            context.product(out, T::ONE, dz, Matrix::row_major(h, width, width), Addend::Row(sums));
            let aa = Matrix::row_major(rows.aa, height, d2);
            let d_hat = MatrixMut::row_major(gradients.d.rows_mut(&tile), height, m);
            context.add(d_hat, aa, Matrix::row_major(hidden, d2, m));
            let a = Matrix::row_major(rows.a, height, d + 1);
            let rf_hat = MatrixMut::row_major(rows.rf, height, m);
            context.set(rf_hat, a, Matrix::row_major(cross, d + 1, m));
            let twice = T::from_f64(2.0 * self.weight);
            isa.run(BackOfWhole {
                shape,
                tile,
                rows: &rows,
                h_dz,
                sums,
                total: T::from_f64(total),
                twice,
                forward,
                factors,
                gradients,
            });
        }
        squares
    }

    /// Adds the samples to H; the first to be added set it. Returns what they add to its last entry.
    pub(super) fn add_whole(
        &self,
        factors: &Factors<'_, T>,
        buffers: &mut Buffers<'_, T>,
        first: bool,
        context: &mut Context<'_, T>,
    ) -> f64 {
        let (isa, shape) = (context.isa, self.forward.shape);
        let (n, d, m, width) = (self.forward.n, shape.inputs(), shape.hidden(), width(shape));
        let d2 = triangle(d + 1);
        let Buffers { dz, a, aa, rf, h, sums, cross, hidden, .. } = buffers;
        let mut rows = TileRows { dz, a, aa, rf };
        let mut total = 0.0;
        for tile in pieces(0..n, TILE) {
            let (beta, height) = (if first && tile.start == 0 { T::ZERO } else { T::ONE }, tile.len());
            self.write_rows(isa, factors, &tile, &mut rows);
            let dz = Matrix::row_major(rows.dz, height, width);
            let a = Matrix::row_major(rows.a, height, d + 1);
            let aa = Matrix::row_major(rows.aa, height, d2);
            let rf = Matrix::row_major(rows.rf, height, m);
            let residual_d = Matrix::row_major(&factors.d[tile.start * m..tile.end * m], height, m);
            let s = &factors.s[tile];
            let out = MatrixMut::row_major(h, width, width);
            context.gram(out, T::ONE, dz.t(), Some(s), beta, Triangle::Lower);
            let s_row = Matrix::row_major(s, 1, height);
            context.product(MatrixMut::row_major(sums, 1, width), T::ONE, s_row, dz, Addend::scaled(beta));
            context.product(MatrixMut::row_major(cross, d + 1, m), T::ONE, a.t(), rf, Addend::scaled(beta));
            context.product(MatrixMut::row_major(hidden, d2, m), T::ONE, aa.t(), residual_d, Addend::scaled(beta));
            total += s.iter().map(|s| s.to_f64()).sum::<f64>();
        }
        total
    }

    /// Writes the rows of a tile of samples.
    fn write_rows(
        &self,
        isa: InstructionSet,
        factors: &Factors<'_, T>,
        tile: &Range<usize>,
        rows: &mut TileRows<'_, T>,
    ) {
        let (forward, shape) = (self.forward, self.forward.shape);
        let (d, m, width) = (shape.inputs(), shape.hidden(), width(shape));
        isa.vectorize(|| {
            for (i, n) in tile.clone().enumerate() {
                let (x, h, f) = (row(forward.x, d, n), row(forward.h, m, n), row(forward.f, m, n));
                let a = row_mut(rows.a, d + 1, i);
                a[..d].copy_from_slice(x);
                a[d] = T::ONE;
                write_outer_with_one(x, row_mut(rows.aa, triangle(d + 1), i));
                let (of_c, of_h) = row_mut(rows.dz, width, i).split_at_mut((d + 1) * m);
                for (ac, &a) in of_c.chunks_exact_mut(m).zip(&*a) {
                    for ((ac, &v), &f) in ac.iter_mut().zip(&*factors.v).zip(f) {
                        *ac = a * (v * f);
                    }
                }
                of_h.copy_from_slice(h);
                let residual = factors.r[n];
                for (rf, &f) in row_mut(rows.rf, m, i).iter_mut().zip(f) {
                    *rf = residual * f;
                }
            }
        });
    }

    /// Turns the entries of H at the residuals' places into derivatives of the value: `4 w_cross` times the entry in the off-diagonal
    /// blocks; in the hidden block `2 w_cross` times aaᵀ, whose flat form has √2 off its diagonal.
    fn scale_residuals(&self, cross: &mut [T], hidden: &mut [T]) {
        let (a, m) = (self.forward.shape.inputs() + 1, self.forward.shape.hidden());
        let four = T::from_f64(4.0 * self.weight);
        cross.iter_mut().for_each(|entry| *entry *= four);
        let (twice, root8) = (2.0 * self.weight, core::f64::consts::SQRT_2 * 2.0 * self.weight);
        for ((i, l), entries) in upper(a).zip(hidden.chunks_exact_mut(m)) {
            let factor = T::from_f64(if i == l { twice } else { root8 });
            entries.iter_mut().for_each(|entry| *entry *= factor);
        }
    }
}

/// Derivatives of a tile of samples from `H ∂z`, one row each, without the last entry.
struct BackOfWhole<'a, 's, 'f, 'h, T> {
    shape: Shape,
    tile: Range<usize>,
    /// ∂z and a, and the derivative with respect to r f.
    rows: &'a TileRows<'a, T>,
    h_dz: &'a [T],
    /// The last row of H, and its last entry.
    sums: &'a [T],
    total: T,
    /// 2 w_cross
    twice: T,
    forward: &'a Forward<'s, T>,
    factors: &'a Factors<'f, T>,
    gradients: &'a mut FactorGradients<'h, T>,
}

impl<T: Element> Kernel for BackOfWhole<'_, '_, '_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let lanes = <T::Lanes<S> as Lanes>::LANES;
        let (d, m, width) = (self.shape.inputs(), self.shape.hidden(), width(self.shape));
        let splat = |x: T| T::Lanes::<S>::splat(simd, x);
        for (i, n) in self.tile.clone().enumerate() {
            let (a, dz, h_dz) = (row(self.rows.a, d + 1, i), row(self.rows.dz, width, i), row(self.h_dz, width, i));
            let (f, rf_hat) = (row(self.forward.f, m, n), row(self.rows.rf, m, i));
            let (f_hat, g_hat, v_hat) =
                (self.gradients.f.row_mut(n), self.gradients.g.row_mut(n), self.gradients.v.row_mut(0));
            let (factor, residual) = (splat(T::TWO * self.twice * self.factors.s[n]), splat(self.factors.r[n]));
            let mut s_hat = T::Lanes::<S>::zero(simd);
            let mut r_hat = s_hat;
            for start in (0..m).step_by(lanes) {
                let len = lanes.min(m - start);
                let read = |from: &[T], at: usize| T::Lanes::<S>::load_at(simd, from, at, len);
                let mut c_hat = T::Lanes::<S>::zero(simd);
                for (i, &a) in a.iter().enumerate() {
                    let at = i * m + start;
                    let h_dz = read(h_dz, at);
                    s_hat = read(dz, at).mul_add(h_dz + read(self.sums, at), s_hat);
                    c_hat = splat(a).mul_add(h_dz, c_hat);
                }
                let at = (d + 1) * m + start;
                let h = read(h_dz, at);
                s_hat = read(dz, at).mul_add(h + read(self.sums, at), s_hat);

                let (c_hat, f, rf_hat) = (factor * c_hat, read(f, start), read(rf_hat, start));
                r_hat = rf_hat.mul_add(f, r_hat);
                let of_f = residual.mul_add(rf_hat, read(self.factors.v, start).mul_add(c_hat, read(f_hat, start)));
                let of_v = f.mul_add(c_hat, read(v_hat, start));
                let of_g = factor.mul_add(h, read(g_hat, start));
                of_f.store_at(f_hat, start, len);
                of_v.store_at(v_hat, start, len);
                of_g.store_at(g_hat, start, len);
            }
            self.gradients.s.row_mut(n)[0] += self.twice * (s_hat.reduce_sum() + self.total);
            self.gradients.r.row_mut(n)[0] += r_hat.reduce_sum();
        }
    }
}

/// Squared Frobenius norms of the blocks of H, the cross block counted twice; the last row, `sums` and `total`, included.
fn squares<T: Element>(isa: InstructionSet, h: &[T], hidden: usize, sums: &[T], total: f64) -> Squares {
    let mut squares = Squares::default();
    for (at, row) in h.chunks_exact(sums.len()).enumerate() {
        let (of_c, of_h) = row.split_at(hidden);
        if at < hidden {
            squares.hidden += dot(isa, of_c, of_c);
        } else {
            squares.cross += 2.0 * dot(isa, of_c, of_c);
            squares.output += dot(isa, of_h, of_h);
        }
    }
    let (of_c, of_h) = sums.split_at(hidden);
    squares.cross += 2.0 * dot(isa, of_c, of_c);
    squares.output += 2.0 * dot(isa, of_h, of_h) + total * total;
    squares
}
