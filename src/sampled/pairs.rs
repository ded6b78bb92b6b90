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
//! Where z is random, κ of a sample with itself has all but ω² right in the mean; that becomes `ω̃²`, `ω̃ = (z·z̃) Gg + Ga ζ·ζ̃`: once t̂1 is
//! known, z·z̃ and ζ·ζ̃ stand on the diagonals of Zz and Zζ.
//!
//! As W and κ are symmetric, the derivative with respect to a sample's features is twice that of its own side of each pair. With
//! `Ω = 4 W ω`, and t̂1 on the diagonals:
//!
//! ```text
//! ẑ = Σ' Ω Gg z' + 4 W Ga Πf r'        r̂ = Σ' 4 W Ga ( Ff r' + (Πf)ᵀ z' )        ĝ = Σ' (Σ_ll' Ω Zz) h'        ζ̂ = Σ' Ω Ga ζ'
//! π̂ = Σ' 4 W Ga Zr f'        f̂ = Σ' 4 W Ga ( Rr f' + (Zr)ᵀ π' )        μ̂ = Σ' 2 W Ga² d'        d̂ = Σ' 2 W Ga² μ'
//! ```
//!
//! With ω̃ in place of ω, half of what concerns z and ζ on the diagonal is between z and z̃, ζ and ζ̃, either way.
//!
//! **Loop order.** Every Gram matrix is one product over all pairs, in memory without gaps. One pass over the pairs gives the values; a
//! second one, when the slopes of Λ are known, replaces the Gram matrices by coefficients. Their sums are [`back`](super::back)'s.
//!
//! **Cost**, multiply–adds a pair for L = 1: `D + 3K + 5M` for the Gram matrices, `9K + 7M` for the sums.

use core::ops::Range;

use crate::count::{product, sum};
use crate::kernels::context::Context;
use crate::kernels::gemm::{self, Matrix, MatrixMut};
use crate::kernels::vector::{BLOCK, map_registers, sum_registers};
use crate::sampled::features::{KeptFeatures, Sizes};
use crate::sampled::sketch::{get, put, registers};
use crate::simd::{Element, InstructionSet, Kernel, Lanes, Simd};
use crate::workspace::{Arena, buffers, pieces, row, row_mut};

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

buffers! {
    /// Gram matrices of the kept samples; later the coefficients.
    pub(super) struct Grams(sizes: Sizes) where {
        let (n, vectors, width) = (sizes.n, sizes.vectors(), sizes.width());
    } {
        /// W, n×n.
        weights: [n, n],
        /// Ga, n×n.
        ga: [n, n],
        /// Gg, n×n.
        gg: [n, n],
        /// Coefficients of h.
        gg_hat: [n, n],
        /// Zz, nL×nL.
        zz: [vectors, vectors],
        /// [z | z̃ | r]ᵀ r, W×n: Zr, what is not needed, and Rr.
        zr: [width, n],
        /// Zζ, nL×nL.
        zeta: [vectors, vectors],
        /// [π; f] fᵀ, (nL + n)×n.
        pf: [sizes.paired(), n],
        /// Y, n×n.
        y: [n, n],
        /// Coefficients between [z | z̃ | r] and [z | z̃ | r], W×W.
        classes: [width, width],
        /// Of a sample and itself: Σ_l ‖z‖².
        own_z: [n],
        /// Of a sample and itself: the coefficient between ζ and ζ̃.
        own_zeta: [n],
        /// Of a sample and itself: Σ d; then the constant part of d̂.
        own_d: [n],
    }
}

/// The pairs of kept samples.
#[derive(Debug)]
pub(super) struct KeptPairs<'w, T> {
    sizes: Sizes,
    pub grams: Grams<'w, T>,
}

/// Elements that [`KeptPairs::new`] takes.
pub(super) const fn elements(sizes: Sizes) -> u64 {
    Grams::elements(sizes)
}

/// Elements of packing space that the products need.
pub(super) const fn packing(sizes: Sizes) -> u64 {
    let Sizes { n, shape, .. } = sizes;
    let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
    let (vectors, paired) = (sizes.vectors(), sizes.paired());
    gemm::largest_workspace(&[
        [n, d, n],
        [n, m, n],
        [vectors, k, vectors],
        [sizes.width(), k, n],
        [vectors, m, vectors],
        [paired, m, n],
    ])
}

/// Flops of value and derivatives.
pub(super) const fn flops(sizes: Sizes) -> u64 {
    let Sizes { n, shape, .. } = sizes;
    let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
    let (vectors, paired, width) = (sizes.vectors(), sizes.paired(), sizes.width());
    sum(&[
        product(&[2, n, n, d]),
        product(&[2, vectors, vectors, k]),
        product(&[2, width, n, k]),
        product(&[2, width, width, k]),
        product(&[4, n, n, m]),
        product(&[4, vectors, vectors, m]),
        product(&[4, paired, n, m]),
        product(&[2, vectors, n, m]),
        product(&[6, n, n, m]),
    ])
}

impl<'w, T: Element> KeptPairs<'w, T> {
    /// Forms the Gram matrices.
    pub(super) fn new(features: &KeptFeatures<'w, T>, arena: &mut Arena<'w, T>, context: &mut Context<'_, T>) -> Self {
        let sizes = features.sizes;
        let Sizes { n, shape, .. } = sizes;
        let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
        let (vectors, paired, width) = (sizes.vectors(), sizes.paired(), sizes.width());
        let (mut new, features) = (Self { sizes, grams: Grams::cut(sizes, arena) }, &features.buffers);
        let mut multiply = |a: Matrix<'_, T>, b: Matrix<'_, T>, out: &mut [T]| {
            context.set(MatrixMut::row_major(out, a.rows(), b.cols()), a, b);
        };
        let Grams { ga, gg, zz, zr: gram_zr, zeta: gram_zeta, pf, y, .. } = &mut new.grams;
        let x = Matrix::row_major(&*features.x, n, d);
        multiply(x, x.t(), ga);
        let h = Matrix::row_major(&*features.h, n, m);
        multiply(h, h.t(), gg);
        let zr = Matrix::row_major(&*features.zr, k, width);
        let z = zr.cols_range(0..vectors);
        multiply(z.t(), z, zz);
        multiply(zr.t(), zr.cols_range(sizes.sketches()..width), gram_zr);
        let zeta = Matrix::row_major(features.zeta, vectors, m);
        multiply(zeta, zeta.t(), gram_zeta);
        let pi_f = Matrix::row_major(&*features.pi_f, paired, m);
        multiply(pi_f, pi_f.rows_range(vectors..paired).t(), pf);
        let [mu, d] = [&*features.mu, &*features.d].map(|rows| Matrix::row_major(rows, n, m));
        multiply(mu, d.t(), y);
        new
    }

    /// t̂1 and t̂2.
    pub(super) fn values(
        &mut self,
        isa: InstructionSet,
        features: &KeptFeatures<'w, T>,
        weights: Weights<'_, T>,
    ) -> [f64; 2] {
        isa.run(Values { pairs: self, features, weights })
    }

    /// Replaces the Gram matrices by the coefficients of `trace_slope · t̂1 + square_slope · t̂2`.
    pub(super) fn differentiate(&mut self, isa: InstructionSet, weights: Weights<'_, T>, slopes: [f64; 2]) {
        isa.run(Coefficients { pairs: self, weights, slopes });
    }

    /// Where ω of pairs of vectors stands: ranges of pairs, and the first of each in Zz and Zζ. With one vector a sample these are the
    /// same places.
    #[inline(always)]
    fn spans(sizes: Sizes) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let Sizes { n, l, .. } = sizes;
        let vectors = sizes.vectors();
        let count = if l == 1 { (n * n).div_ceil(BLOCK) } else { vectors * l };
        (0..count).map(move |at| {
            if l == 1 {
                let span = at * BLOCK..(n * n).min((at + 1) * BLOCK);
                return (span.clone(), span);
            }
            let (li, other) = (at / l, at % l);
            let first = li * vectors + other * n;
            (li % n * n..(li % n + 1) * n, first..first + n)
        })
    }

    #[inline(always)]
    fn form_weights<S: Simd>(&mut self, simd: S, weights: Weights<'_, T>) {
        let n = self.sizes.n;
        let (own, cross) = (T::from_f64(weights.pairs.0), T::from_f64(weights.pairs.1));
        for (i, &w) in weights.samples.iter().enumerate() {
            let factor = T::Lanes::<S>::splat(simd, w * cross);
            let out = [row_mut(self.grams.weights, n, i)];
            map_registers!(T, S, simd, [other] = [weights.samples], [_x0] = out => [factor * other]);
            self.grams.weights[i * n + i] = w * own;
        }
    }

    /// N t̂1. Puts what concerns a sample and itself in place.
    #[inline(always)]
    fn diagonals<S: Simd>(&mut self, simd: S, features: &KeptFeatures<'_, T>, weights: Weights<'_, T>) -> f64 {
        let Sizes { n, l, second, shape } = self.sizes;
        let (m, vectors, width) = (shape.hidden(), self.sizes.vectors(), self.sizes.width());
        let one = T::Lanes::<S>::splat(simd, T::ONE);
        map_registers!(T, S, simd, [] = [], [ga, gg] = [&mut *self.grams.ga, &mut *self.grams.gg] => [ga + one, gg + one]);
        let mut trace = 0.0;
        for i in 0..n {
            let d = sum_registers!(T, S, simd, [d] = [row(features.buffers.d, m, i)] => d).reduce_sum();
            let (mut z, mut zeta) = (T::ZERO, d);
            for li in (0..l).map(|l| (l * n + i) * (vectors + 1)) {
                z += self.grams.zz[li];
                zeta += self.grams.zeta[li];
            }
            (self.grams.own_z[i], self.grams.own_d[i]) = (z, d);
            let own = i * (n + 1);
            trace += weights.samples[i].to_f64() * (self.grams.gg[own] * z + self.grams.ga[own] * zeta).to_f64();
            if second {
                let rows = [row(features.buffers.zeta, m, i), row(features.buffers.zeta, m, n + i)];
                let inner = sum_registers!(T, S, simd, [zeta, second] = rows => zeta * second);
                self.grams.zeta[own] = inner.reduce_sum();
            }
        }
        if second {
            for samples in registers::<T, S>(n) {
                let mut inner = T::Lanes::<S>::zero(simd);
                for class in (0..shape.classes()).map(|class| class * width) {
                    let at = |first: usize| class + first + samples.start..class + first + samples.end;
                    let z: T::Lanes<S> = get(simd, &features.buffers.zr[at(0)]);
                    inner = z.mul_add(get(simd, &features.buffers.zr[at(n)]), inner);
                }
                // By way of the coefficient's place, which is free until later.
                put(inner, &mut self.grams.own_zeta[samples.clone()]);
                for i in samples {
                    self.grams.zz[i * (n + 1)] = self.grams.own_zeta[i];
                }
            }
        }
        trace
    }

    /// t̂2.
    #[inline(always)]
    fn square<S: Simd>(&self, simd: S) -> f64 {
        let Sizes { n, l, .. } = self.sizes;
        let (mut squares, mut residuals) = (0.0, 0.0);
        for (pairs, vectors) in Self::spans(self.sizes) {
            let [w, ga, gg] = [&*self.grams.weights, &*self.grams.ga, &*self.grams.gg].map(|x| &x[pairs.clone()]);
            let inputs = [w, ga, gg, &self.grams.zz[vectors.clone()], &self.grams.zeta[vectors]];
            let sum = sum_registers!(T, S, simd, [w, ga, gg, zz, zeta] = inputs => {
                let omega = zz.mul_add(gg, ga * zeta);
                w * omega * omega
            });
            squares += sum.reduce_sum().to_f64();
        }
        let (first_rr, first_ff) = (self.sizes.sketches() * n, self.sizes.vectors() * n);
        for pairs in pieces(0..n * n, BLOCK) {
            let at = |first: usize| first + pairs.start..first + pairs.end;
            let [w, ga] = [&*self.grams.weights, &*self.grams.ga].map(|x| &x[pairs.clone()]);
            let mut sum = T::Lanes::<S>::zero(simd);
            for first in (0..l).map(|l| l * n * n) {
                let inputs = [w, ga, &self.grams.zr[at(first)], &self.grams.pf[at(first)]];
                sum = sum + sum_registers!(T, S, simd, [w, ga, zr, pf] = inputs => w * ga * (zr * pf));
            }
            let inputs =
                [w, ga, &self.grams.zr[at(first_rr)], &self.grams.pf[at(first_ff)], &self.grams.y[pairs.clone()]];
            let rest = sum_registers!(T, S, simd, [w, ga, rr, ff, y] = inputs => w * ga * rr.mul_add(ff, ga * y));
            residuals += (sum + sum + rest).reduce_sum().to_f64();
        }
        squares + 2.0 * residuals
    }

    #[inline(always)]
    fn coefficients<S: Simd>(&mut self, simd: S, weights: Weights<'_, T>, [trace_slope, square_slope]: [f64; 2]) {
        let Sizes { n, l, second, .. } = self.sizes;
        let (vectors, sketches, width) = (self.sizes.vectors(), self.sizes.sketches(), self.sizes.width());
        let [half, four] = [0.5, 4.0 * square_slope].map(|x| T::Lanes::<S>::splat(simd, T::from_f64(x)));
        self.grams.gg_hat.fill(T::ZERO);
        for (pairs, vectors) in Self::spans(self.sizes) {
            let inputs = [&*self.grams.weights, &*self.grams.ga, &*self.grams.gg].map(|x| &x[pairs.clone()]);
            let out =
                [&mut self.grams.zz[vectors.clone()], &mut self.grams.zeta[vectors], &mut self.grams.gg_hat[pairs]];
            map_registers!(T, S, simd, [w, ga, gg] = inputs, [zz, zeta, gg_hat] = out => {
                let omega = four * w * zz.mul_add(gg, ga * zeta);
                [omega * gg, omega * ga, omega.mul_add(zz, gg_hat)]
            });
        }
        for first in (0..l).map(|l| l * n * n) {
            let out = [&mut self.grams.zr[first..][..n * n], &mut self.grams.pf[first..][..n * n]];
            map_registers!(T, S, simd, [w, ga] = [&*self.grams.weights, &*self.grams.ga], [zr, pf] = out => {
                let coefficient = four * w * ga;
                [coefficient * pf, coefficient * zr]
            });
        }
        let out = [&mut self.grams.zr[sketches * n..], &mut self.grams.pf[vectors * n..], &mut *self.grams.y];
        map_registers!(T, S, simd, [w, ga] = [&*self.grams.weights, &*self.grams.ga], [rr, ff, _x0] = out => {
            let coefficient = four * w * ga;
            [coefficient * ff, coefficient * rr, half * coefficient * ga]
        });

        self.grams.classes[..].fill(T::ZERO);
        for i in 0..n {
            let own = i * (n + 1);
            let (ga, gg) = (self.grams.ga[own], self.grams.gg[own]);
            let trace = T::from_f64(2.0 * trace_slope * weights.mean * weights.samples[i].to_f64());
            self.grams.gg_hat[own] += trace * self.grams.own_z[i];
            self.grams.own_d[i] = T::HALF * trace * ga;
            if second {
                let z = T::HALF * self.grams.zz[own];
                (self.grams.classes[(n + i) * width + i], self.grams.classes[i * width + n + i]) = (z, z);
                self.grams.own_zeta[i] = T::HALF * self.grams.zeta[own];
                (self.grams.zz[own], self.grams.zeta[own]) = (T::ZERO, T::ZERO);
            }
            for li in (0..l).map(|l| (l * n + i) * (vectors + 1)) {
                self.grams.zz[li] += trace * gg;
                self.grams.zeta[li] += trace * ga;
            }
        }
        for li in 0..vectors {
            let (zz, zr) = (row(self.grams.zz, vectors, li), row(self.grams.zr, n, li));
            let out = row_mut(self.grams.classes, width, li);
            map_registers!(T, S, simd, [zz] = [zz], [_x0] = [&mut out[..vectors]] => [zz]);
            map_registers!(T, S, simd, [zr] = [zr], [_x0] = [&mut out[sketches..]] => [zr]);
            // The coefficients between r and z are those between z and r.
            for (j, &zr) in zr.iter().enumerate() {
                self.grams.classes[(sketches + j) * width + li] = zr;
            }
        }
        for i in 0..n {
            let out = &mut row_mut(self.grams.classes, width, sketches + i)[sketches..];
            map_registers!(T, S, simd, [rr] = [row(self.grams.zr, n, sketches + i)], [_x0] = [out] => [rr]);
        }
    }
}

/// The two passes over the pairs, on registers.
struct Values<'a, 'w, T> {
    pairs: &'a mut KeptPairs<'w, T>,
    features: &'a KeptFeatures<'w, T>,
    weights: Weights<'a, T>,
}

impl<T: Element> Kernel for Values<'_, '_, T> {
    type Output = [f64; 2];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [f64; 2] {
        let Self { pairs, features, weights } = self;
        pairs.form_weights(simd, weights);
        let trace = pairs.diagonals(simd, features, weights);
        [weights.mean * trace, pairs.square(simd)]
    }
}

struct Coefficients<'a, 'w, T> {
    pairs: &'a mut KeptPairs<'w, T>,
    weights: Weights<'a, T>,
    slopes: [f64; 2],
}

impl<T: Element> Kernel for Coefficients<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.pairs.coefficients(simd, self.weights, self.slopes);
    }
}
