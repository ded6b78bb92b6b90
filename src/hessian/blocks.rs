//! tr H² by the explicit blocks of H, linear in the number of samples.
//!
//! In the basis of contrasts (see [`factors`](super::factors)), with `R₂`, `M₂`, `D₂` for R(R+1)/2, M(M+1)/2, (D+1)(D+2)/2 and e for an
//! entry of a flat symmetric matrix, each block is a sum over samples:
//!
//! | block | formed as | multiply–adds a sample, value and adjoints |
//! |---|---|---|
//! | output–output | for each e of S: `Q_e = Σ S_e h hᵀ` and `Σ S_e h`, `Σ S_e` | `1.5 R₂M²` |
//! | output–hidden | `Q = Σ (a⊗h) bᵀ`, one product; `Σ a bᵀ` and, on the diagonals, `Σ a (r⊗f)ᵀ` | `3 R(D+1)M²` |
//! | hidden–hidden | `Q = Σ (aaᵀ) Aᵀ`, both flat, one product | `2 D₂M₂`, and A itself, `R(M₂ + M²)` |
//! | the same, K = 2, D ≤ 4 | for each e of aaᵀ: `Q_e = Σ (aa)_e S c cᵀ + diag(Σ (aa)_e d)` | `1.5 D₂M²` |
//!
//! then squared, and multiplied with the factors on either side for the derivatives of the other. No outer product of a sample with M²
//! entries is written but A. A is visited in tiles of samples, twice, and so are the rows a⊗h.
//!
//! **Self pairs.** Squaring the sum weighs all pairs alike. Where self pairs weigh differently, the difference is added sample by
//! sample by [`pairs`], each sample being a batch of its own.
//!
//! **Memory**: one block at a time, besides rows of N and, entry by entry of aaᵀ, N·M numbers.

use core::ops::Range;

use crate::gemm::{self, Addend, Matrix, MatrixMut, Triangle, gemm, gemm_with, gram};
use crate::hessian::contrasts::triangle;
use crate::hessian::evaluation::Squares;
use crate::hessian::factors::{self, Factors, Hats, HiddenHat, chunks};
use crate::hessian::pairs;
use crate::hessian::samples::Samples;
use crate::network::Shape;
use crate::plan::{Form, largest, product, sum};
use crate::real::Real;
use crate::simd::InstructionSet;
use crate::vector::{LaneSums, dot};
use crate::workspace::{Arena, row, row_mut};

/// Samples a tile.
const TILE: usize = 64;

const fn tile_len(n: usize) -> usize {
    if n < TILE { n } else { TILE }
}

/// The tiles of `n` samples.
fn tiles(n: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n).step_by(TILE).map(move |start| start..(start + TILE).min(n))
}

/// Whether the hidden–hidden block is formed entry by entry of aaᵀ: for two classes, whose C is a row, and so few inputs that a product
/// with aaᵀ on one side would be a thin one.
const fn by_entries(shape: Shape) -> bool {
    shape.classes() == 2 && triangle(shape.inputs() + 1) <= 16
}

/// Flops of value and adjoints for `n` samples, all pairs weighing alike.
pub(crate) const fn flops(shape: Shape, n: usize) -> u64 {
    let (d, m, r) = (shape.inputs(), shape.hidden(), shape.classes() - 1);
    let hidden = if by_entries(shape) {
        product(&[3, triangle(d + 1), m, m])
    } else {
        sum(&[product(&[4, triangle(d + 1), triangle(m)]), factors::flops_of_a(shape)])
    };
    let blocks = [product(&[3, triangle(r), m, m]), product(&[6, r, d + 1, m, m]), hidden, factors::flops(shape)];
    product(&[n]).saturating_mul(sum(&blocks))
}

/// Elements that [`add`] cuts off a workspace.
pub(crate) const fn elements(shape: Shape, n: usize) -> u64 {
    let (d, m, r, tile) = (shape.inputs(), shape.hidden(), shape.classes() - 1, tile_len(n));
    let rm = r.saturating_mul(m);
    let weighted = sum(&[product(&[n]), product(&[m, m]), product(&[tile, m])]);
    let output = sum(&[weighted, product(&[triangle(r), m])]);
    let cross = sum(&[
        product(&[tile, d + 1]),
        product(&[2, tile, d + 1, m]),
        product(&[3, tile, rm]),
        product(&[d + 1, m, rm]),
        product(&[2, d + 1, rm]),
    ]);
    let hidden = if by_entries(shape) {
        sum(&[weighted, product(&[m]), product(&[2, n, m])])
    } else {
        let (narrow, wide) = (triangle(d + 1), triangle(m));
        sum(&[product(&[narrow, wide]), product(&[2, tile, wide]), product(&[tile, narrow]), product(&[tile, rm])])
    };
    // The correction for self pairs comes after the blocks, in the same memory.
    largest(&[output, cross, hidden, pairs::elements(shape, 1, Form::Flat)])
}

/// Elements of packing space that the products need.
pub(crate) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (d, m, r, tile) = (shape.inputs(), shape.hidden(), shape.classes() - 1, tile_len(n));
    let (rm, am, r2, m2, d2) =
        (r.saturating_mul(m), m.saturating_mul(d + 1), triangle(r), triangle(m), triangle(d + 1));
    let products = gemm::largest_workspace(&[
        [m, n, m],
        [r2, n, m],
        [1, n, m],
        [tile, m, m],
        [am, tile, rm],
        [tile, am, rm],
        [tile, rm, am],
        [d + 1, tile, rm],
        [tile, d + 1, rm],
        [d2, tile, m2],
        [m2, tile, d2],
        [tile, d2, m2],
    ]);
    largest(&[products, pairs::packing_elements(shape, 1, Form::Flat)])
}

/// What all blocks read.
struct Sum<'a, 'w, T> {
    isa: InstructionSet,
    samples: &'a Samples<'w, T>,
    weight: f64,
}

/// Sums over all pairs of samples; adds the derivatives to the hats, if there are any.
pub(crate) fn add<T: Real>(
    isa: InstructionSet,
    samples: &Samples<'_, T>,
    (self_weight, cross_weight): (f64, f64),
    factors: &mut Factors<'_, T>,
    mut hats: Option<&mut Hats<'_, T>>,
    mut arena: Arena<'_, T>,
    packing: &mut [T],
) -> Squares {
    let sum = Sum { isa, samples, weight: cross_weight };
    let mut squares = Squares {
        output: sum.output(factors, hats.as_deref_mut(), arena.scope(), packing),
        cross: sum.cross(factors, hats.as_deref_mut(), arena.scope(), packing),
        hidden: if by_entries(samples.shape) {
            sum.hidden_by_entries(factors, hats.as_deref_mut(), arena.scope(), packing)
        } else {
            sum.hidden(factors, hats.as_deref_mut(), arena.scope(), packing)
        },
    };
    if self_weight != cross_weight {
        let difference = (self_weight - cross_weight, 0.0);
        for n in 0..samples.n {
            let hats = hats.as_deref_mut();
            let (one, arena) = (n..n + 1, arena.scope());
            squares += pairs::add(isa, samples, one, difference, Form::Flat, factors, hats, arena, packing);
        }
    }
    squares
}

impl<T: Real> Sum<'_, '_, T> {
    /// The output–output block.
    fn output(
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

    /// The output–hidden block and its transpose.
    fn cross(
        &self,
        factors: &mut Factors<'_, T>,
        hats: Option<&mut Hats<'_, T>>,
        mut arena: Arena<'_, T>,
        packing: &mut [T],
    ) -> f64 {
        let (isa, samples, shape) = (self.isa, self.samples, self.samples.shape);
        let (d, m, r, tile) = (shape.inputs(), shape.hidden(), shape.classes() - 1, samples.n.min(TILE));
        let (rm, am) = (r * m, (d + 1) * m);
        let a = arena.take(tile * (d + 1));
        let (ah, ah_hat) = (arena.take(tile * am), arena.take(tile * am));
        let (b, b_hat, rf) = (arena.take(tile * rm), arena.take(tile * rm), arena.take(tile * rm));
        let (q, ones, diagonals) = (arena.take(am * rm), arena.take((d + 1) * rm), arena.take((d + 1) * rm));

        for rows in tiles(samples.n) {
            let (beta, height) = (if rows.start == 0 { T::ZERO } else { T::ONE }, rows.len());
            self.write_cross(factors, &rows, [&mut *a, &mut *ah, &mut *b, &mut *rf], packing);
            let a = Matrix::row_major(&a[..height * (d + 1)], height, d + 1);
            let ah = Matrix::row_major(&ah[..height * am], height, am);
            let (b, rf) = (&b[..height * rm], &rf[..height * rm]);
            let (b, rf) = (Matrix::row_major(b, height, rm), Matrix::row_major(rf, height, rm));
            gemm(isa, T::ONE, ah.t(), b, beta, MatrixMut::row_major(q, am, rm), packing);
            gemm(isa, T::ONE, a.t(), b, beta, MatrixMut::row_major(ones, d + 1, rm), packing);
            gemm(isa, T::ONE, a.t(), rf, beta, MatrixMut::row_major(diagonals, d + 1, rm), packing);
        }
        // The diagonals go into Q, and come back whole.
        for (i, diagonals) in diagonals.chunks_exact_mut(rm).enumerate() {
            for (at, entry) in diagonals.iter_mut().enumerate() {
                let j = at % m;
                let place = &mut q[(i * m + j) * rm + at];
                *place += *entry;
                *entry = *place;
            }
        }
        let square = dot(isa, q, q) + dot(isa, ones, ones);

        let Some(hats) = hats else { return 2.0 * self.weight * square };
        let factor = T::from_f64(4.0 * self.weight);
        let (q, ones) = (Matrix::row_major(q, am, rm), Matrix::row_major(ones, d + 1, rm));
        let diagonals = Matrix::row_major(diagonals, d + 1, rm);
        for rows in tiles(samples.n) {
            let height = rows.len();
            self.write_cross(factors, &rows, [&mut *a, &mut *ah, &mut *b, &mut *rf], packing);
            {
                let ah = Matrix::row_major(&ah[..height * am], height, am);
                let (a, b) = (Matrix::row_major(&a[..height * (d + 1)], height, d + 1), &b[..height * rm]);
                let mut to = MatrixMut::row_major(&mut b_hat[..height * rm], height, rm);
                gemm(isa, factor, ah, q, T::ZERO, to.reborrow(), packing);
                gemm(isa, factor, a, ones, T::ONE, to, packing);
                let to = MatrixMut::row_major(&mut ah_hat[..height * am], height, am);
                gemm(isa, factor, Matrix::row_major(b, height, rm), q.t(), T::ZERO, to, packing);
                let rf_hat = MatrixMut::row_major(&mut rf[..height * rm], height, rm);
                gemm(isa, factor, a, diagonals, T::ZERO, rf_hat, packing);
            }
            isa.vectorize(|| {
                for (i, n) in rows.clone().enumerate() {
                    let (f, f_hat) = (row(samples.f, m, n), row_mut(hats.f, m, n));
                    let h_hat = row_mut(hats.g, m, n);
                    for (ah_hat, &a) in row(ah_hat, am, i).chunks_exact(m).zip(row(a, d + 1, i)) {
                        for (h_hat, &ah_hat) in h_hat.iter_mut().zip(ah_hat) {
                            *h_hat += a * ah_hat;
                        }
                    }
                    for (l, rf_hat) in row(rf, rm, i).chunks_exact(m).enumerate() {
                        let (residual, mut r_hat) = (factors.r[n * r + l], LaneSums::new());
                        for (j, ((&rf_hat, &f), f_hat)) in rf_hat.iter().zip(f).zip(&mut *f_hat).enumerate() {
                            *f_hat += residual * rf_hat;
                            r_hat.add(j, rf_hat * f);
                        }
                        hats.r[n * r + l] += T::from_f64(r_hat.total());
                    }
                }
            });
            for chunk in chunks(rows.clone()) {
                factors.load(isa, &chunk, packing);
                let b_hat = &b_hat[(chunk.start - rows.start) * rm..];
                factors.back(isa, samples, &chunk, Some(b_hat), HiddenHat::Zero, hats, packing);
            }
        }
        2.0 * self.weight * square
    }

    /// a, a⊗h, B and r⊗f of a tile of samples.
    fn write_cross(
        &self,
        factors: &mut Factors<'_, T>,
        rows: &Range<usize>,
        [a, ah, b, rf]: [&mut [T]; 4],
        packing: &mut [T],
    ) {
        let (isa, samples, shape) = (self.isa, self.samples, self.samples.shape);
        let (d, m, r) = (shape.inputs(), shape.hidden(), shape.classes() - 1);
        for chunk in chunks(rows.clone()) {
            factors.load(isa, &chunk, packing);
            factors.write_b(isa, samples, &chunk, &mut b[(chunk.start - rows.start) * r * m..]);
        }
        isa.vectorize(|| {
            for (i, n) in rows.clone().enumerate() {
                let (h, f, a) = (row(samples.h, m, n), row(samples.f, m, n), row_mut(a, d + 1, i));
                a[..d].copy_from_slice(row(samples.x, d, n));
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

    /// The hidden–hidden block.
    fn hidden(
        &self,
        factors: &mut Factors<'_, T>,
        hats: Option<&mut Hats<'_, T>>,
        mut arena: Arena<'_, T>,
        packing: &mut [T],
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
                factors.load(isa, &chunk, packing);
                factors.write_b(isa, samples, &chunk, b);
                for (b, n) in b.chunks_exact(rm).zip(chunk) {
                    factors.write_a(isa, samples, n, b, row_mut(a, m2, n - rows.start));
                }
            }
            self.write_inputs(&rows, aa);
            let a = Matrix::row_major(&a[..height * m2], height, m2);
            let aa = Matrix::row_major(&aa[..height * d2], height, d2);
            if wide {
                gemm(isa, T::ONE, aa.t(), a, beta, MatrixMut::row_major(q, d2, m2), packing);
            } else {
                gemm(isa, T::ONE, a.t(), aa, beta, MatrixMut::row_major(q, m2, d2), packing);
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
            gemm(isa, factor, aa, q, T::ZERO, out, packing);
            for chunk in chunks(rows.clone()) {
                factors.load(isa, &chunk, packing);
                let a_hat = HiddenHat::Flat(&a_hat[(chunk.start - rows.start) * m2..]);
                factors.back(isa, samples, &chunk, None, a_hat, hats, packing);
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

    /// The hidden–hidden block of two classes: S is a number, and C a row.
    fn hidden_by_entries(
        &self,
        factors: &Factors<'_, T>,
        mut hats: Option<&mut Hats<'_, T>>,
        mut arena: Arena<'_, T>,
        packing: &mut [T],
    ) -> f64 {
        let (isa, samples, n) = (self.isa, self.samples, self.samples.n);
        let (d, m) = (samples.shape.inputs(), samples.shape.hidden());
        let (weights, q, y) = (arena.take(n), arena.take(m * m), arena.take(n.min(TILE) * m));
        let (diagonal, c, c_hat) = (arena.take(m), arena.take(n * m), arena.take(n * m));
        isa.vectorize(|| {
            for (c, f) in c.chunks_exact_mut(m).zip(samples.f.chunks_exact(m)) {
                for ((c, &f), &v) in c.iter_mut().zip(f).zip(&*factors.v) {
                    *c = f * v;
                }
            }
        });
        c_hat.fill(T::ZERO);
        let (rows, c) = (Matrix::row_major(&*c, n, m), &*c);
        let d_rows = Matrix::row_major(&*factors.d, n, m);

        let mut square = 0.0;
        for (i, l) in (0..=d).flat_map(|i| (i..=d).map(move |l| (i, l))) {
            let scale = if i == l { T::ONE } else { T::from_f64(core::f64::consts::SQRT_2) };
            let a = |x: &[T], i: usize| x.get(i).copied().unwrap_or(T::ONE);
            let inputs = |n: usize| {
                let x = row(samples.x, d, n);
                scale * a(x, i) * a(x, l)
            };
            for (n, weight) in weights.iter_mut().enumerate() {
                *weight = inputs(n);
            }
            let out = MatrixMut::row_major(diagonal, 1, m);
            gemm(isa, T::ONE, Matrix::row_major(&*weights, 1, n), d_rows, T::ZERO, out, packing);
            for (weight, &s) in weights.iter_mut().zip(&*factors.s) {
                *weight *= s;
            }
            gram(isa, T::ONE, rows.t(), Some(weights), T::ZERO, MatrixMut::row_major(q, m, m), Triangle::Both, packing);
            for (j, sum) in diagonal.iter_mut().enumerate() {
                q[j * m + j] += *sum;
                *sum = q[j * m + j];
            }
            square += dot(isa, q, q);

            let Some(hats) = hats.as_deref_mut() else { continue };
            let twice = T::from_f64(2.0 * self.weight);
            for tile in tiles(n) {
                let rows = Matrix::row_major(&c[tile.start * m..tile.end * m], tile.len(), m);
                let out = MatrixMut::row_major(&mut y[..tile.len() * m], tile.len(), m);
                gemm(isa, T::ONE, rows, Matrix::row_major(q, m, m), T::ZERO, out, packing);
                isa.vectorize(|| {
                    for (n, y) in tile.zip(y.chunks_exact(m)) {
                        let (of_y, of_q) = (T::TWO * twice * weights[n], twice * inputs(n));
                        let (c, c_hat, d_hat) = (row(c, m, n), row_mut(c_hat, m, n), row_mut(hats.d, m, n));
                        let mut s_hat = LaneSums::new();
                        let rows = y.iter().zip(c).zip(c_hat).zip(d_hat.iter_mut().zip(&*diagonal));
                        for (j, (((&y, &c), c_hat), (d_hat, &q))) in rows.enumerate() {
                            *c_hat += of_y * y;
                            *d_hat += of_q * q;
                            s_hat.add(j, c * y);
                        }
                        hats.s[n] += of_q * T::from_f64(s_hat.total());
                    }
                });
            }
        }
        if let Some(hats) = hats {
            isa.vectorize(|| {
                let rows = c_hat.chunks_exact(m).zip(samples.f.chunks_exact(m)).zip(hats.f.chunks_exact_mut(m));
                for ((c_hat, f), f_hat) in rows {
                    let entries = c_hat.iter().zip(f).zip(f_hat).zip(factors.v.iter().zip(&mut *hats.v));
                    for (((&c_hat, &f), f_hat), (&v, v_hat)) in entries {
                        *f_hat += v * c_hat;
                        *v_hat += f * c_hat;
                    }
                }
            });
        }
        self.weight * square
    }
}

/// The outer product of `[x; 1]` with itself, flat.
fn write_outer_with_one<T: Real>(x: &[T], flat: &mut [T]) {
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
