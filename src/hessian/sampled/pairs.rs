//! The pairs of kept samples: values of the two traces, and the coefficients of their derivatives.
//!
//! In the symbols of [`features`](super::features), a prime marking the second sample:
//!
//! ```text
//! Ga = x·x' + 1    Gg = h·h' + 1    Zz = z·z'    Zr = z·r'    Rr = r·r'    Zζ = ζ·ζ'    Πf = π·f'    Ff = f·f'    Y = μ·d'
//! ω = Zz Gg + Ga Zζ
//! κ = Σ_ll' ω² + 2 Ga ( Σ_l Zr Πf + (Σ_l Zr Πf)ᵀ + Rr Ff ) + Ga² ( Y + Yᵀ )
//! t̂2 = Σ_ij W κ            W_ij = w_i w_j c for i ≠ j, W_ii = w_i s, with the weights s, c of self and cross pairs
//! t̂1 = (1/N) Σ_i w_i ( Gg Σ_l Zz + Ga ( Σ_l Zζ + Σ d ) )_ii
//! ```
//!
//! Where z is random, κ of a sample with itself has all but ω² right in the mean; that becomes `ω̃²`, `ω̃ = (z·z̃) Gg + Ga ζ·ζ̃`.
//!
//! As W and κ are symmetric, the derivative with respect to a sample's features is twice that of its own side of each pair. With
//! `Ω = 4 W ω`, and t̂1 on the diagonals:
//!
//! ```text
//! ẑ = Σ' Ω Gg z' + 4 W Ga Πf r'        r̂ = Σ' 4 W Ga ( Ff r' + (Πf)ᵀ z' )        ĝ = Σ' (Σ_ll' Ω Zz) h'        ζ̂ = Σ' Ω Ga ζ'
//! π̂ = Σ' 4 W Ga Zr f'        f̂ = Σ' 4 W Ga ( Rr f' + (Zr)ᵀ π' )        μ̂ = Σ' 2 W Ga² d'        d̂ = Σ' 2 W Ga² μ'
//! ```
//!
//! **Loop order.** Every Gram matrix is one product over all pairs. One pass over the pairs gives the values; a second one, when the slopes
//! of Λ are known, replaces the Gram matrices by coefficients; every kind of feature gets its hat by one product.
//!
//! **Cost**, multiply–adds a pair for L = 1: `D + 4K + 5M` for the Gram matrices, `4K + 7M` for the hats.

use crate::gemm::{self, Matrix, MatrixMut, gemm};
use crate::hessian::sampled::features::{Features, Hats, Sizes};
use crate::plan::{product, sum};
use crate::real::Real;
use crate::simd::{InstructionSet, Kernel, Lanes, Simd};
use crate::vector::{map_registers, sum_registers};
use crate::workspace::{Arena, row, row_mut};

/// The weights of the estimate's terms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights<'a, T> {
    /// w of every kept sample.
    pub samples: &'a [T],
    /// s and c: weights of a pair of a sample with itself and of two different ones.
    pub pairs: (f64, f64),
    /// 1/N.
    pub mean: f64,
}

/// Gram matrices of the kept samples; later the coefficients.
#[derive(Debug)]
pub(super) struct Pairs<'w, T> {
    sizes: Sizes,
    /// W, n×n.
    weights: &'w mut [T],
    /// W where ω² counts: 0 on the diagonal where z̃ stands in.
    square_weights: &'w mut [T],
    /// Ga, n×n.
    ga: &'w mut [T],
    /// Gg, n×n, and the coefficients of h.
    gg: &'w mut [T],
    gg_hat: &'w mut [T],
    /// [z | r]ᵀ[z | r].
    zr: &'w mut [T],
    /// Zζ, nL×nL.
    zeta: &'w mut [T],
    /// [π; f] fᵀ, (nL + n)×n.
    pf: &'w mut [T],
    /// Y, n×n.
    y: &'w mut [T],
    diagonal: Diagonal<'w, T>,
}

/// What concerns a sample and itself, one number a sample.
#[derive(Debug)]
pub(super) struct Diagonal<'w, T> {
    /// z·z̃; then the coefficient between z and z̃.
    pub z: &'w mut [T],
    /// ζ·ζ̃; then the coefficient between ζ and ζ̃.
    pub zeta: &'w mut [T],
    /// Σ d; then the constant part of d̂.
    pub d: &'w mut [T],
}

/// Elements that [`Pairs::new`] takes.
pub(super) const fn elements(sizes: Sizes) -> u64 {
    let Sizes { n, .. } = sizes;
    let (vectors, paired) = (sizes.vectors(), sizes.paired());
    sum(&[
        product(&[6, n, n]),
        product(&[paired, paired]),
        product(&[vectors, vectors]),
        product(&[paired, n]),
        product(&[3, n]),
    ])
}

/// Elements of packing space that the products need.
pub(super) const fn packing(sizes: Sizes) -> u64 {
    let Sizes { n, shape, .. } = sizes;
    let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
    let (vectors, paired) = (sizes.vectors(), sizes.paired());
    gemm::largest_workspace(&[
        [n, d, n],
        [n, m, n],
        [paired, k, paired],
        [vectors, m, vectors],
        [paired, m, n],
        [k, paired, paired],
        [n, n, m],
        [vectors, vectors, m],
        [vectors, n, m],
        [n, paired, m],
        [n, n, m.saturating_mul(2)],
    ])
}

/// Flops of value and derivatives.
pub(super) const fn flops(sizes: Sizes) -> u64 {
    let Sizes { n, shape, .. } = sizes;
    let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
    let (vectors, paired) = (sizes.vectors(), sizes.paired());
    sum(&[
        product(&[2, n, n, d]),
        product(&[4, paired, paired, k]),
        product(&[4, n, n, m]),
        product(&[4, vectors, vectors, m]),
        product(&[4, paired, n, m]),
        product(&[2, vectors, n, m]),
        product(&[6, n, n, m]),
    ])
}

impl<'w, T: Real> Pairs<'w, T> {
    /// Forms the Gram matrices.
    pub(super) fn new(
        isa: InstructionSet,
        features: &Features<'w, T>,
        arena: &mut Arena<'w, T>,
        packing: &mut [T],
    ) -> Self {
        let sizes = features.sizes;
        let Sizes { n, shape, .. } = sizes;
        let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
        let (vectors, paired, width) = (sizes.vectors(), sizes.paired(), sizes.width());
        let mut take = |len| arena.take(len);
        let new = Self {
            sizes,
            weights: take(n * n),
            square_weights: take(n * n),
            ga: take(n * n),
            gg: take(n * n),
            gg_hat: take(n * n),
            zr: take(paired * paired),
            zeta: take(vectors * vectors),
            pf: take(paired * n),
            y: take(n * n),
            diagonal: Diagonal { z: take(n), zeta: take(n), d: take(n) },
        };
        let mut multiply = |a: Matrix<'_, T>, b: Matrix<'_, T>, out: &mut [T]| {
            gemm(isa, T::ONE, a, b, T::ZERO, MatrixMut::row_major(out, a.rows(), b.cols()), packing);
        };
        let x = Matrix::row_major(&*features.x, n, d);
        multiply(x, x.t(), new.ga);
        let h = Matrix::row_major(&*features.h, n, m);
        multiply(h, h.t(), new.gg);
        let zr = Matrix::row_major(&*features.zr, k, width).cols_range(0..paired);
        multiply(zr.t(), zr, new.zr);
        let zeta = Matrix::row_major(&*features.zeta, vectors, m);
        multiply(zeta, zeta.t(), new.zeta);
        let pi_f = Matrix::row_major(&*features.pi_f, paired, m);
        multiply(pi_f, pi_f.rows_range(vectors..paired).t(), new.pf);
        let d_mu = Matrix::row_major(&*features.d_mu, n, 2 * m);
        multiply(d_mu.cols_range(m..2 * m), d_mu.cols_range(0..m).t(), new.y);
        isa.vectorize(|| {
            for (ga, gg) in new.ga.iter_mut().zip(&mut *new.gg) {
                *ga += T::ONE;
                *gg += T::ONE;
            }
        });
        new
    }

    /// t̂1 and t̂2.
    pub(super) fn values(
        &mut self,
        isa: InstructionSet,
        features: &Features<'w, T>,
        weights: Weights<'_, T>,
    ) -> [f64; 2] {
        isa.run(Values { pairs: self, features, weights })
    }

    #[inline(always)]
    fn form_weights<S: Simd>(&mut self, simd: S, weights: Weights<'_, T>) {
        let n = self.sizes.n;
        let (own, cross) = (T::from_f64(weights.pairs.0), T::from_f64(weights.pairs.1));
        for (i, &w) in weights.samples.iter().enumerate() {
            let factor = T::Lanes::<S>::splat(simd, w * cross);
            let out = [row_mut(self.weights, n, i), row_mut(self.square_weights, n, i)];
            map_registers!(T, S, simd, [other] = [weights.samples], [_x0, _x1] = out => [factor * other, factor * other]);
            self.weights[i * n + i] = w * own;
            self.square_weights[i * n + i] = if self.sizes.second { T::ZERO } else { w * own };
        }
    }

    /// What concerns a sample and itself.
    #[inline(always)]
    fn form_diagonal<S: Simd>(&mut self, simd: S, features: &Features<'_, T>) {
        let m = self.sizes.shape.hidden();
        for (sum, d_mu) in self.diagonal.d.iter_mut().zip(features.d_mu.chunks_exact(2 * m)) {
            *sum = sum_registers!(T, S, simd, [d] = [&d_mu[..m]] => d).reduce_sum();
        }
        if self.sizes.second {
            let (width, paired) = (self.sizes.width(), self.sizes.paired());
            let n = self.sizes.n;
            self.diagonal.z.fill(T::ZERO);
            for zr in features.zr.chunks_exact(width) {
                let inputs = [&zr[..n], &zr[paired..]];
                map_registers!(T, S, simd, [z, second] = inputs, [sum] = [&mut *self.diagonal.z] => {
                    [z.mul_add(second, sum)]
                });
            }
            let rows = features.zeta.chunks_exact(m).zip(features.zeta_second.chunks_exact(m));
            for (inner, (zeta, second)) in self.diagonal.zeta.iter_mut().zip(rows) {
                let sum = sum_registers!(T, S, simd, [zeta, second] = [zeta, second] => zeta * second);
                *inner = sum.reduce_sum();
            }
        }
    }

    /// `Gg Σ_l Zz + Ga (Σ_l Zζ + Σ d)` of sample `i`.
    #[inline(always)]
    fn trace_of(&self, i: usize) -> T {
        let Sizes { n, l, .. } = self.sizes;
        let (vectors, paired) = (self.sizes.vectors(), self.sizes.paired());
        let (mut z, mut zeta) = (T::ZERO, self.diagonal.d[i]);
        for li in (0..l).map(|l| l * n + i) {
            z += self.zr[li * paired + li];
            zeta += self.zeta[li * vectors + li];
        }
        self.gg[i * n + i] * z + self.ga[i * n + i] * zeta
    }

    /// t̂2.
    #[inline(always)]
    fn square<S: Simd>(&self, simd: S) -> f64 {
        let Sizes { n, l, second, .. } = self.sizes;
        let (vectors, paired) = (self.sizes.vectors(), self.sizes.paired());
        let (mut squares, mut residuals, mut own) = (0.0, 0.0, 0.0);
        for i in 0..n {
            let (ga, gg) = (row(self.ga, n, i), row(self.gg, n, i));
            let (weights, square_weights) = (row(self.weights, n, i), row(self.square_weights, n, i));
            let (mut square, mut residual) = (T::Lanes::<S>::zero(simd), T::Lanes::<S>::zero(simd));
            for li in (0..l).map(|l| l * n + i) {
                let (zz, zr) = row(self.zr, paired, li).split_at(vectors);
                for (zz, zeta) in zz.chunks_exact(n).zip(row(self.zeta, vectors, li).chunks_exact(n)) {
                    let inputs = [square_weights, ga, gg, zz, zeta];
                    let sum = sum_registers!(T, S, simd, [w, ga, gg, zz, zeta] = inputs => {
                        let omega = zz.mul_add(gg, ga * zeta);
                        w * omega * omega
                    });
                    square = square + sum;
                }
                let inputs = [weights, ga, zr, row(self.pf, n, li)];
                let sum = sum_registers!(T, S, simd, [w, ga, zr, pf] = inputs => w * ga * (zr * pf));
                residual = residual + (sum + sum);
            }
            let rr = &row(self.zr, paired, vectors + i)[vectors..];
            let inputs = [weights, ga, rr, row(self.pf, n, vectors + i), row(self.y, n, i)];
            let sum = sum_registers!(T, S, simd, [w, ga, rr, ff, y] = inputs => w * ga * rr.mul_add(ff, ga * y));
            squares += square.reduce_sum().to_f64();
            residuals += (residual + sum).reduce_sum().to_f64();
            if second {
                let omega = self.diagonal.z[i] * gg[i] + ga[i] * self.diagonal.zeta[i];
                own += (weights[i] * omega * omega).to_f64();
            }
        }
        squares + 2.0 * residuals + own
    }

    /// Replaces the Gram matrices by the coefficients of `trace_slope · t̂1 + square_slope · t̂2`; multiplies them with the features into the
    /// hats. Returns what is left for the way back.
    pub(super) fn spread(
        mut self,
        isa: InstructionSet,
        features: &Features<'w, T>,
        weights: Weights<'_, T>,
        slopes: [f64; 2],
        hats: &mut Hats<'_, T>,
        packing: &mut [T],
    ) -> Diagonal<'w, T> {
        let Sizes { n, shape, .. } = self.sizes;
        let (m, k) = (shape.hidden(), shape.classes());
        let (vectors, paired, width) = (self.sizes.vectors(), self.sizes.paired(), self.sizes.width());
        isa.run(Coefficients { pairs: &mut self, weights, slopes });

        let mut multiply = |a: Matrix<'_, T>, b: Matrix<'_, T>, out: MatrixMut<'_, T>| {
            gemm(isa, T::ONE, a, b, T::ZERO, out, packing);
        };
        let zr = Matrix::row_major(&*features.zr, k, width).cols_range(0..paired);
        multiply(
            zr,
            Matrix::row_major(self.zr, paired, paired),
            MatrixMut::row_major_strided(hats.zr, k, paired, width),
        );
        let h = Matrix::row_major(&*features.h, n, m);
        multiply(Matrix::row_major(self.gg_hat, n, n), h, MatrixMut::row_major(hats.h, n, m));
        let zeta = Matrix::row_major(&*features.zeta, vectors, m);
        multiply(Matrix::row_major(self.zeta, vectors, vectors), zeta, MatrixMut::row_major(hats.zeta, vectors, m));
        let (pf, pi_f) = (Matrix::row_major(&*self.pf, paired, n), Matrix::row_major(&*features.pi_f, paired, m));
        let (pi_hat, f_hat) = hats.pi_f.split_at_mut(vectors * m);
        let f = pi_f.rows_range(vectors..paired);
        multiply(pf.rows_range(0..vectors), f, MatrixMut::row_major(pi_hat, vectors, m));
        multiply(pf.t(), pi_f, MatrixMut::row_major(f_hat, n, m));
        let d_mu = Matrix::row_major(&*features.d_mu, n, 2 * m);
        multiply(Matrix::row_major(self.y, n, n), d_mu, MatrixMut::row_major(hats.mu_d, n, 2 * m));
        self.diagonal
    }

    #[inline(always)]
    fn coefficients<S: Simd>(&mut self, simd: S, weights: Weights<'_, T>, [trace_slope, square_slope]: [f64; 2]) {
        let Sizes { n, l, second, .. } = self.sizes;
        let (vectors, paired) = (self.sizes.vectors(), self.sizes.paired());
        let four = T::from_f64(4.0 * square_slope);
        let [half_lanes, four_lanes] = [T::HALF, four].map(|x| T::Lanes::<S>::splat(simd, x));
        for i in 0..n {
            let (ga, gg, gg_hat) = (row(self.ga, n, i), row(self.gg, n, i), row_mut(self.gg_hat, n, i));
            let (weights_row, square_weights) = (row(self.weights, n, i), row(self.square_weights, n, i));
            let trace = T::from_f64(2.0 * trace_slope * weights.mean * weights.samples[i].to_f64());
            let mut trace_of_z = T::ZERO;
            gg_hat.fill(T::ZERO);
            for li in (0..l).map(|l| l * n + i) {
                let (zz, zr) = row_mut(self.zr, paired, li).split_at_mut(vectors);
                let zeta = row_mut(self.zeta, vectors, li);
                trace_of_z += zz[li];
                for (zz, zeta) in zz.chunks_exact_mut(n).zip(zeta.chunks_exact_mut(n)) {
                    let (inputs, out) = ([square_weights, ga, gg], [zz, zeta, &mut *gg_hat]);
                    map_registers!(T, S, simd, [w, ga, gg] = inputs, [zz, zeta, gg_hat] = out => {
                        let omega = four_lanes * w * zz.mul_add(gg, ga * zeta);
                        [omega * gg, omega * ga, omega.mul_add(zz, gg_hat)]
                    });
                }
                zz[li] += trace * gg[i];
                zeta[li] += trace * ga[i];
                let out = [zr, row_mut(self.pf, n, li)];
                map_registers!(T, S, simd, [w, ga] = [weights_row, ga], [zr, pf] = out => {
                    let coefficient = four_lanes * w * ga;
                    [coefficient * pf, coefficient * zr]
                });
            }
            let rr = &mut row_mut(self.zr, paired, vectors + i)[vectors..];
            let out = [rr, row_mut(self.pf, n, vectors + i), row_mut(self.y, n, i)];
            map_registers!(T, S, simd, [w, ga] = [weights_row, ga], [rr, ff, _x0] = out => {
                let coefficient = four_lanes * w * ga;
                [coefficient * ff, coefficient * rr, half_lanes * coefficient * ga]
            });
            gg_hat[i] += trace * trace_of_z;
            self.diagonal.d[i] = T::HALF * trace * ga[i];
            if second {
                let (z, zeta) = (self.diagonal.z[i], self.diagonal.zeta[i]);
                let omega = T::HALF * four * weights_row[i] * (z * gg[i] + ga[i] * zeta);
                gg_hat[i] += T::TWO * omega * z;
                self.diagonal.z[i] = omega * gg[i];
                self.diagonal.zeta[i] = omega * ga[i];
            }
        }
        // The coefficients between r and z are those between z and r.
        for li in 0..vectors {
            for j in vectors..paired {
                self.zr[j * paired + li] = self.zr[li * paired + j];
            }
        }
    }
}

/// The two passes over the pairs, on registers.
struct Values<'a, 'w, T> {
    pairs: &'a mut Pairs<'w, T>,
    features: &'a Features<'w, T>,
    weights: Weights<'a, T>,
}

impl<T: Real> Kernel for Values<'_, '_, T> {
    type Output = [f64; 2];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [f64; 2] {
        let Self { pairs, features, weights } = self;
        pairs.form_weights(simd, weights);
        pairs.form_diagonal(simd, features);
        let mut trace = 0.0;
        for (i, &w) in weights.samples.iter().enumerate() {
            trace += w.to_f64() * pairs.trace_of(i).to_f64();
        }
        [weights.mean * trace, pairs.square(simd)]
    }
}

struct Coefficients<'a, 'w, T> {
    pairs: &'a mut Pairs<'w, T>,
    weights: Weights<'a, T>,
    slopes: [f64; 2],
}

impl<T: Real> Kernel for Coefficients<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.pairs.coefficients(simd, self.weights, self.slopes);
    }
}
