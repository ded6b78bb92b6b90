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
use crate::simd::InstructionSet;
use crate::vector::dot;
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
        features: &Features<'_, T>,
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
        features: &Features<'_, T>,
        weights: Weights<'_, T>,
    ) -> [f64; 2] {
        let Sizes { n, shape, second, .. } = self.sizes;
        let m = shape.hidden();
        self.form_weights(weights);
        self.diagonal.d.fill(T::ZERO);
        for (sum, d_mu) in self.diagonal.d.iter_mut().zip(features.d_mu.chunks_exact(2 * m)) {
            for &d in &d_mu[..m] {
                *sum += d;
            }
        }
        if second {
            let (width, paired) = (self.sizes.width(), self.sizes.paired());
            self.diagonal.z.fill(T::ZERO);
            for zr in features.zr.chunks_exact(width) {
                for ((sum, &z), &second) in self.diagonal.z.iter_mut().zip(zr).zip(&zr[paired..]) {
                    *sum += z * second;
                }
            }
            for (i, inner) in self.diagonal.zeta.iter_mut().enumerate() {
                *inner = T::from_f64(dot(isa, row(features.zeta, m, i), row(features.zeta_second, m, i)));
            }
        }
        let square = isa.vectorize(|| self.square());
        let mut trace = 0.0;
        for i in 0..n {
            trace += weights.samples[i].to_f64() * weights.mean * self.trace_of(i);
        }
        [trace, square]
    }

    fn form_weights(&mut self, weights: Weights<'_, T>) {
        let n = self.sizes.n;
        let (own, cross) = (T::from_f64(weights.pairs.0), T::from_f64(weights.pairs.1));
        for (i, &w) in weights.samples.iter().enumerate() {
            let line = row_mut(self.weights, n, i);
            for (weight, &other) in line.iter_mut().zip(weights.samples) {
                *weight = w * other * cross;
            }
            line[i] = w * own;
        }
        self.square_weights.copy_from_slice(self.weights);
        if self.sizes.second {
            for weight in self.square_weights.iter_mut().step_by(n + 1) {
                *weight = T::ZERO;
            }
        }
    }

    /// `Gg Σ_l Zz + Ga (Σ_l Zζ + Σ d)` of sample `i`.
    fn trace_of(&self, i: usize) -> f64 {
        let Sizes { n, l, .. } = self.sizes;
        let (ga, gg) = (self.ga[i * n + i].to_f64(), self.gg[i * n + i].to_f64());
        let on_diagonal = |matrix: &[T], width: usize| -> f64 {
            (0..l).map(|l| l * n + i).map(|li| matrix[li * width + li].to_f64()).sum()
        };
        let (z, zeta) = (on_diagonal(self.zr, self.sizes.paired()), on_diagonal(self.zeta, self.sizes.vectors()));
        gg * z + ga * (zeta + self.diagonal.d[i].to_f64())
    }

    /// `ω̃` of sample `i`.
    fn omega_second(&self, i: usize) -> f64 {
        let n = self.sizes.n;
        let (ga, gg) = (self.ga[i * n + i].to_f64(), self.gg[i * n + i].to_f64());
        self.diagonal.z[i].to_f64() * gg + ga * self.diagonal.zeta[i].to_f64()
    }

    /// t̂2, in f64: squares of the type's own would underflow where the network is certain.
    #[inline(always)]
    fn square(&self) -> f64 {
        let Sizes { n, l, second, .. } = self.sizes;
        let (vectors, paired) = (self.sizes.vectors(), self.sizes.paired());
        let mut total = 0.0;
        for i in 0..n {
            let (ga, gg) = (row(self.ga, n, i), row(self.gg, n, i));
            let (weights, square_weights) = (row(self.weights, n, i), row(self.square_weights, n, i));
            for li in (0..l).map(|l| l * n + i) {
                let (zz, zr) = row(self.zr, paired, li).split_at(vectors);
                for (zz, zeta) in zz.chunks_exact(n).zip(row(self.zeta, vectors, li).chunks_exact(n)) {
                    for ((&w, (&zz, &zeta)), (&ga, &gg)) in
                        square_weights.iter().zip(zz.iter().zip(zeta)).zip(ga.iter().zip(gg))
                    {
                        let omega = (zz * gg + ga * zeta).to_f64();
                        total += w.to_f64() * (omega * omega);
                    }
                }
                for ((&w, &ga), (&zr, &pf)) in weights.iter().zip(ga).zip(zr.iter().zip(row(self.pf, n, li))) {
                    total += 4.0 * (w * ga).to_f64() * (zr.to_f64() * pf.to_f64());
                }
            }
            let rr = &row(self.zr, paired, vectors + i)[vectors..];
            let residual = rr.iter().zip(row(self.pf, n, vectors + i)).zip(row(self.y, n, i));
            for ((&w, &ga), ((&rr, &ff), &y)) in weights.iter().zip(ga).zip(residual) {
                total += 2.0 * (w * ga).to_f64() * (rr.to_f64() * ff.to_f64() + ga.to_f64() * y.to_f64());
            }
            if second {
                let omega = self.omega_second(i);
                total += weights[i].to_f64() * (omega * omega);
            }
        }
        total
    }

    /// Replaces the Gram matrices by the coefficients of `trace_slope · t̂1 + square_slope · t̂2`; multiplies them with the features into the
    /// hats. Returns what is left for the way back.
    pub(super) fn spread(
        mut self,
        isa: InstructionSet,
        features: &Features<'_, T>,
        weights: Weights<'_, T>,
        slopes: [f64; 2],
        hats: &mut Hats<'_, T>,
        packing: &mut [T],
    ) -> Diagonal<'w, T> {
        let Sizes { n, shape, .. } = self.sizes;
        let (m, k) = (shape.hidden(), shape.classes());
        let (vectors, paired, width) = (self.sizes.vectors(), self.sizes.paired(), self.sizes.width());
        isa.vectorize(|| self.coefficients(weights, slopes));

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
    fn coefficients(&mut self, weights: Weights<'_, T>, [trace_slope, square_slope]: [f64; 2]) {
        let Sizes { n, l, second, .. } = self.sizes;
        let (vectors, paired) = (self.sizes.vectors(), self.sizes.paired());
        let four = T::from_f64(4.0 * square_slope);
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
                    for (((zz, zeta), gg_hat), ((&w, &ga), &gg)) in
                        zz.iter_mut().zip(zeta).zip(&mut *gg_hat).zip(square_weights.iter().zip(ga).zip(gg))
                    {
                        let omega = four * w * (*zz * gg + ga * *zeta);
                        *gg_hat += omega * *zz;
                        *zz = omega * gg;
                        *zeta = omega * ga;
                    }
                }
                zz[li] += trace * gg[i];
                zeta[li] += trace * ga[i];
                let pf = row_mut(self.pf, n, li);
                for ((zr, pf), (&w, &ga)) in zr.iter_mut().zip(pf).zip(weights_row.iter().zip(ga)) {
                    let coefficient = four * w * ga;
                    (*zr, *pf) = (coefficient * *pf, coefficient * *zr);
                }
            }
            let rr = &mut row_mut(self.zr, paired, vectors + i)[vectors..];
            let residual = rr.iter_mut().zip(row_mut(self.pf, n, vectors + i)).zip(row_mut(self.y, n, i));
            for (((rr, ff), y), (&w, &ga)) in residual.zip(weights_row.iter().zip(ga)) {
                let coefficient = four * w * ga;
                (*rr, *ff) = (coefficient * *ff, coefficient * *rr);
                *y = T::HALF * coefficient * ga;
            }
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
