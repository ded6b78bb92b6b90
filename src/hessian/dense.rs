//! The dense Hessian, for networks small enough to hold P² numbers.
//!
//! Every pair of rows of weights is a weighted product of activations, written straight into its place:
//!
//! ```text
//! rows (j, ·) and (l, ·) of W       Σ_n A_jl a aᵀ                      [D+1]×[D+1]
//! row (k, ·) of V, (j, ·) of W      Σ_n (B_kj g + r_k f_j e_j) aᵀ      [M+1]×[D+1]
//! rows (k, ·) and (l, ·) of V       Σ_n S_kl g gᵀ                      [M+1]×[M+1]
//! ```
//!
//! Only the lower triangle is summed; the upper one is its mirror image. Cost: `N (M²D² + 2 K M² D + K²M²)` flops. The factors are
//! computed class by class from their definitions, not in the basis of contrasts, and share no sum with the routes to tr H²: the tests
//! use this Hessian to check them.

use core::ops::Range;

use crate::count::{product, sum};
use crate::hessian::contrasts::triangle;
use crate::hessian::forward::Forward;
use crate::kernels::context::Context;
use crate::kernels::gemm::{self, Matrix, MatrixMut};
use crate::kernels::vector::sum_rows;
use crate::network::Shape;
use crate::simd::Element;
use crate::workspace::{Arena, pieces, row, row_mut};

/// Samples in a tile.
const TILE: usize = 64;

/// Elements that [`write`] cuts off a workspace.
pub(crate) const fn elements(shape: Shape, n: usize) -> u64 {
    let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
    let tile = if n < TILE { n } else { TILE };
    let widest = if d > m { d } else { m };
    let a_sample = sum(&[triangle(k) as u64, product(&[k, m]), triangle(m) as u64, widest as u64, 1]);
    sum(&[a_sample.saturating_mul(tile as u64), widest as u64])
}

/// Elements of packing space that the products need.
pub(crate) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (d, m) = (shape.inputs(), shape.hidden());
    let tile = if n < TILE { n } else { TILE };
    gemm::largest_workspace(&[[d, tile, d], [m, tile, d], [m, tile, m], [m, tile, 1]])
}

/// A tile of samples: factors, one row a sample, and scratch for a weighted product.
struct WeighedTile<'w, T> {
    rows: Range<usize>,
    s: &'w mut [T],
    b: &'w mut [T],
    a: &'w mut [T],
    weights: &'w mut [T],
    scaled: &'w mut [T],
    sums: &'w mut [T],
}

/// Writes H, P×P row-major.
pub(crate) fn write<T: Element>(
    forward: &Forward<'_, T>,
    hessian: &mut [T],
    mut arena: Arena<'_, T>,
    mut context: Context<'_, T>,
) {
    let shape = forward.shape;
    let (d, m, k, size) = (shape.inputs(), shape.hidden(), shape.classes(), shape.parameters());
    let (k2, m2) = (triangle(k), triangle(m));
    let tile = forward.n.min(TILE);
    let mut tile = WeighedTile {
        rows: 0..0,
        s: arena.take(tile * k2),
        b: arena.take(tile * k * m),
        a: arena.take(tile * m2),
        weights: arena.take(tile),
        scaled: arena.take(tile * d.max(m)),
        sums: arena.take(d.max(m)),
    };
    let (w, b) = (shape.hidden_weight().start, shape.hidden_bias().start);
    let (v, c) = (shape.output_weight().start, shape.output_bias().start);
    let mean = T::from_f64(1.0 / forward.n as f64);

    hessian.fill(T::ZERO);
    for rows in pieces(0..forward.n, TILE) {
        tile.rows = rows;
        for (i, n) in tile.rows.clone().enumerate() {
            let (s, b) = (row_mut(tile.s, k2, i), row_mut(tile.b, k * m, i));
            write_factors(forward, n, s, b, row_mut(tile.a, m2, i));
        }
        let mut flat = 0;
        for j in 0..m {
            for l in j..m {
                tile.weigh(|tile, i| tile.a[i * m2 + flat], mean);
                let places = [[w + l * d, b + l], [w + j * d, b + j]];
                tile.add(&mut context, (forward.x, d), (forward.x, d), places, hessian, size);
                flat += 1;
            }
        }
        flat = 0;
        for j in 0..k {
            for l in j..k {
                tile.weigh(|tile, i| tile.s[i * k2 + flat], mean);
                let places = [[v + l * m, c + l], [v + j * m, c + j]];
                tile.add(&mut context, (forward.h, m), (forward.h, m), places, hessian, size);
                flat += 1;
            }
        }
        for l in 0..k {
            for j in 0..m {
                tile.weigh(|tile, i| tile.b[(i * k + l) * m + j], mean);
                let places = [[v + l * m, c + l], [w + j * d, b + j]];
                tile.add(&mut context, (forward.h, m), (forward.x, d), places, hessian, size);
                // r_k f_j a: the weight that V_kj and row j of W share.
                let rows = tile.rows.clone();
                for n in rows {
                    let weight = forward.r[n * k + l] * forward.f[n * m + j] * mean;
                    let line = &mut hessian[(v + l * m + j) * size..][..size];
                    for (entry, &x) in line[w + j * d..][..d].iter_mut().zip(row(forward.x, d, n)) {
                        *entry += weight * x;
                    }
                    line[b + j] += weight;
                }
            }
        }
    }
    for i in 0..size {
        for j in 0..i {
            hessian[j * size + i] = hessian[i * size + j];
        }
    }
}

/// S and A of sample `n`, upper triangles by rows, and B, K×M.
fn write_factors<T: Element>(forward: &Forward<'_, T>, n: usize, s: &mut [T], b: &mut [T], a: &mut [T]) {
    let (m, k) = (forward.shape.hidden(), forward.shape.classes());
    let (p, r) = (row(forward.p, k, n), row(forward.r, k, n));
    let (f, e) = (row(forward.f, m, n), row(forward.e, m, n));
    // B = S V diag(f), as Σ_l p_k p_l (V_k − V_l) f: no cancellation where p is nearly one-hot.
    b.fill(T::ZERO);
    let mut s = s.iter_mut();
    for i in 0..k {
        let mut others = T::ZERO;
        for l in 0..k {
            if l == i {
                continue;
            }
            others += p[l];
            for j in 0..m {
                b[i * m + j] += p[i] * p[l] * (forward.v[i * m + j] - forward.v[l * m + j]) * f[j];
            }
        }
        for (l, s) in (i..k).zip(s.by_ref()) {
            *s = if l == i { p[i] * others } else { -(p[i] * p[l]) };
        }
    }
    let mut a = a.iter_mut();
    for j in 0..m {
        for (l, a) in (j..m).zip(a.by_ref()) {
            *a = T::ZERO;
            for i in 0..k {
                *a += forward.v[i * m + j] * f[j] * b[i * m + l];
                if l == j {
                    *a += e[j] * r[i] * forward.v[i * m + j];
                }
            }
        }
    }
}

impl<T: Element> WeighedTile<'_, T> {
    /// Sets a weight for each sample.
    fn weigh(&mut self, entry: impl Fn(&Self, usize) -> T, factor: T) {
        for i in 0..self.rows.len() {
            self.weights[i] = entry(self, i) * factor;
        }
    }

    /// Adds `Σ_n weight_n [left_n; 1] [right_n; 1]ᵀ` to the places of a row of weights and its bias:
    /// `[[left weight, left bias], [right …]]`.
    #[allow(clippy::too_many_arguments, reason = "two operands and their places")]
    fn add(
        &mut self,
        context: &mut Context<'_, T>,
        (left, left_width): (&[T], usize),
        (right, right_width): (&[T], usize),
        [[left_weight, left_bias], [right_weight, right_bias]]: [[usize; 2]; 2],
        hessian: &mut [T],
        size: usize,
    ) {
        let height = self.rows.len();
        let left = &left[self.rows.start * left_width..self.rows.end * left_width];
        let right = &right[self.rows.start * right_width..self.rows.end * right_width];
        let weights = &self.weights[..height];

        let scaled = &mut self.scaled[..height * right_width];
        for ((scaled, right), &weight) in
            scaled.chunks_exact_mut(right_width).zip(right.chunks_exact(right_width)).zip(weights)
        {
            for (scaled, &right) in scaled.iter_mut().zip(right) {
                *scaled = weight * right;
            }
        }
        let left = Matrix::row_major(left, height, left_width);
        let place = &mut hessian[left_weight * size + right_weight..];
        let out = MatrixMut::row_major_strided(place, left_width, right_width, size);
        context.add(out, left.t(), Matrix::row_major(scaled, height, right_width));

        let line = &mut hessian[left_bias * size..][..size];
        let sums = &mut self.sums[..right_width];
        sum_rows(context.isa, scaled, sums);
        for (entry, &sum) in line[right_weight..].iter_mut().zip(&*sums) {
            *entry += sum;
        }
        for &weight in weights {
            line[right_bias] += weight;
        }
        // The column of the right bias. Where it lies above the diagonal, as between rows of one layer, its mirror image is written.
        if (left_weight, left_bias) != (right_weight, right_bias) {
            let (start, stride) = if right_bias < left_weight {
                (left_weight * size + right_bias, size)
            } else {
                (right_bias * size + left_weight, 1)
            };
            let out = MatrixMut::row_major_strided(&mut hessian[start..], left_width, 1, stride);
            context.add(out, left.t(), Matrix::row_major(weights, height, 1));
        }
    }
}
