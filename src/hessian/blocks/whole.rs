//! All blocks at once, for two classes and few inputs: H in the basis of contrasts, as one symmetric matrix.
//!
//! With `R = 1` S, r and d/e are numbers or rows, and the Gauss–Newton part of a sample is of rank one:
//!
//! ```text
//! H = Σ s g̃ g̃ᵀ + residuals        g̃ = [g; 1],   g = [a⊗c; h],   c = v∘f            (D+2)M numbers and one
//! residuals: Σ r f_j a_i  where h_j meets a_i c_j,   Σ d_j a_i a_l  where a_i c_j meets a_l c_j
//! ĝ = 4w s (H g̃)      ŝ = 2w g̃ᵀ H g̃      and for the residuals the diagonals of H's blocks, multiplied back by a and aaᵀ
//! ```
//!
//! **Loop order.** Tiles of samples, twice: `H += Gᵀ diag(s) G`, one product, of which the lower triangle is formed; then `G H`, another,
//! and one pass over its rows. The last column of g̃, 1, is kept out of both: its products are column sums.
//!
//! Multiply–adds a sample: `(D+2)²M²/2` and `(D+2)²M²`. Block by block it would take some fewer (`19.5 M²` in place of `24 M²` for two
//! inputs), but in products so small, with a pass over all rows between them, that it took longer.

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
use crate::kernels::vector::dot;
use crate::network::Shape;
use crate::simd::{Element, InstructionSet, Kernel, Lanes, Simd};
use crate::workspace::{Arena, buffers, pieces, row, row_mut};

/// Samples a tile: enough that H, which every tile is added to, is read seldom.
const TILE: usize = 256;

const fn tile_len(n: usize) -> usize {
    if n < TILE { n } else { TILE }
}

/// Whether H is formed whole: where its two products are cheaper than the smaller ones of each block.
pub(super) const fn applies(shape: Shape) -> bool {
    shape.classes() == 2 && shape.inputs() <= 4
}

/// Numbers of g.
const fn width(shape: Shape) -> usize {
    shape.hidden().saturating_mul(shape.inputs().saturating_add(2))
}

/// Value and adjoints of a sample.
pub(super) const fn work(shape: Shape) -> Work {
    Work::new(product(&[3, width(shape), width(shape)]), 1)
}

buffers! {
    struct Buffers(shape: Shape, n: usize) where {
        let (a_len, m, tile) = (shape.inputs() + 1, shape.hidden(), tile_len(n));
        let d2 = triangle(a_len);
    } {
        g: [tile, width(shape)],
        y: [tile, width(shape)],
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

/// What a tile of samples brings into H, one row a sample each.
struct TileRows<'w, T> {
    /// g
    g: &'w mut [T],
    /// a
    a: &'w mut [T],
    /// aaᵀ, flat
    aa: &'w mut [T],
    /// r f, later its derivative
    rf: &'w mut [T],
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
        let (am, d2) = ((d + 1) * m, triangle(d + 1));
        let Buffers { g, y, a, aa, rf, h, sums, cross, hidden } = Buffers::cut(shape, n, &mut arena);
        let mut rows = TileRows { g, a, aa, rf };

        let mut total = 0.0;
        for tile in pieces(0..n, TILE) {
            let (beta, height) = (if tile.start == 0 { T::ZERO } else { T::ONE }, tile.len());
            self.write_rows(isa, factors, &tile, &mut rows);
            let g = Matrix::row_major(rows.g, height, width);
            let a = Matrix::row_major(rows.a, height, d + 1);
            let aa = Matrix::row_major(rows.aa, height, d2);
            let rf = Matrix::row_major(rows.rf, height, m);
            let residual_d = Matrix::row_major(&factors.d[tile.start * m..tile.end * m], height, m);
            let s = &factors.s[tile];
            let out = MatrixMut::row_major(h, width, width);
            context.gram(out, T::ONE, g.t(), Some(s), beta, Triangle::Lower);
            let s_row = Matrix::row_major(s, 1, height);
            context.product(MatrixMut::row_major(sums, 1, width), T::ONE, s_row, g, Addend::scaled(beta));
            context.product(MatrixMut::row_major(cross, d + 1, m), T::ONE, a.t(), rf, Addend::scaled(beta));
            context.product(MatrixMut::row_major(hidden, d2, m), T::ONE, aa.t(), residual_d, Addend::scaled(beta));
            total += s.iter().map(|s| s.to_f64()).sum::<f64>();
        }
        mirror(isa, MatrixMut::row_major(h, width, width), Half::Lower);
        self.add_residuals(h, cross, hidden);
        let squares = squares(isa, h, am, sums, total);
        let squares = Squares {
            output: self.weight * squares.output,
            cross: self.weight * squares.cross,
            hidden: self.weight * squares.hidden,
        };

        let Some(gradients) = gradients else { return squares };
        self.scale_residuals(cross, hidden);
        for tile in pieces(0..n, TILE) {
            let height = tile.len();
            self.write_rows(isa, factors, &tile, &mut rows);
            let out = MatrixMut::row_major(y, height, width);
            let g = Matrix::row_major(rows.g, height, width);
            context.product(out, T::ONE, g, Matrix::row_major(h, width, width), Addend::Row(sums));
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
                y,
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

    /// The rows of a tile of samples.
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
                let (of_c, of_h) = row_mut(rows.g, width, i).split_at_mut((d + 1) * m);
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

    /// Adds the residuals to H, and leaves the whole entries of H in their places.
    fn add_residuals(&self, h: &mut [T], cross: &mut [T], hidden: &mut [T]) {
        let shape = self.forward.shape;
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

    /// Turns the entries of H where residuals go in into the derivatives of the value: `4w` off the diagonal blocks, `2w` times aaᵀ,
    /// whose flat form has √2 off its diagonal.
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

/// The way back of a tile of samples from `y = H g̃`, one row each, without the last entry.
struct BackOfWhole<'a, 's, 'f, 'h, T> {
    shape: Shape,
    tile: Range<usize>,
    /// g and a, and the derivative with respect to r f.
    rows: &'a TileRows<'a, T>,
    y: &'a [T],
    /// The last row of H, and its last entry.
    sums: &'a [T],
    total: T,
    /// 2w
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
            let (a, g, y) = (row(self.rows.a, d + 1, i), row(self.rows.g, width, i), row(self.y, width, i));
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
                    let y = read(y, at);
                    s_hat = read(g, at).mul_add(y + read(self.sums, at), s_hat);
                    c_hat = splat(a).mul_add(y, c_hat);
                }
                let at = (d + 1) * m + start;
                let h = read(y, at);
                s_hat = read(g, at).mul_add(h + read(self.sums, at), s_hat);

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
