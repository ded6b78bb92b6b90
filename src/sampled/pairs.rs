//! The pairs of kept samples: values of the two traces, and the coefficients of their derivatives.
//!
//! With the features of [`features`](super::features):
//!
//! ```text
//! Ga = x·x' + 1    Gg = h·h' + 1    ξξ = ξ·ξ'    ξr = ξ·r'    rr = r·r'    ζζ = ζ·ζ'    πf = π·f'    ff = f·f'    Δd = Δ·d'
//! ψ = ξξ Gg + Ga ζζ
//! κ = Σ ψ² + 2 Ga ( Σ ξr πf + (Σ ξr πf)ᵀ + rr ff ) + Ga² ( Δd + (Δd)ᵀ )                 Σ over the vectors of both samples, or of one
//! E2 = Σ_ij w_ij κ_ij      w_ij = w_i w_j w_cross for i ≠ j,  w_ii = w_i w_self
//! E1 = (1/N) Σ_i w_i ( Gg Σ ξξ + Ga ( Σ ζζ + Σ d ) )_ii
//! ```
//!
//! Where ξ is random, all of κ of a sample with itself has the right mean except ψ². There `ψ̃²` takes its place,
//! `ψ̃ = (ξ·ξ̃) Gg + Ga ζ·ζ̃`: once E1 is known, ξ·ξ̃ and ζ·ζ̃ stand on the diagonals of ξξ and ζζ.
//!
//! As w_ij and κ are symmetric, the derivative with respect to a sample's features is twice that of its own side of each pair. With
//! `Ω_ij = 4 w_ij ψ_ij`, and the terms of E1 on the diagonals:
//!
//! ```text
//! ξ̂ = Σ' Ω Gg ξ' + 4 w_ij Ga πf r'        r̂ = Σ' 4 w_ij Ga ( ff r' + (πf)ᵀ ξ' )        ĝ = Σ' (Σ Ω ξξ) h'        ζ̂ = Σ' Ω Ga ζ'
//! π̂ = Σ' 4 w_ij Ga ξr f'        f̂ = Σ' 4 w_ij Ga ( rr f' + (ξr)ᵀ π' )        Δ̂ = Σ' 2 w_ij Ga² d'        d̂ = Σ' 2 w_ij Ga² Δ'
//! ```
//!
//! With ψ̃ in place of ψ, the coefficient on the diagonal acts between ξ and ξ̃ and between ζ and ζ̃, half of it in each direction.
//!
//! **Loop order.** Every Gram matrix is one product over all pairs, in contiguous memory. One pass over the pairs gives the values. When
//! the slopes of Λ are known, a second one replaces the Gram matrices by coefficients. [`back`](super::back) forms their sums.
//!
//! **Cost**, multiply–adds a pair with one vector a sample: `D + 3K + 5M` for the Gram matrices, `9K + 7M` for the sums.

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
    /// w_i of every kept sample.
    pub samples: &'a [T],
    /// w_self and w_cross.
    pub pairs: (f64, f64),
    /// 1/N.
    pub mean: f64,
}

buffers! {
    /// Gram matrices of the kept samples; later the coefficients.
    pub(super) struct Grams(sizes: Sizes) where {
        let (n, vectors, width) = (sizes.n, sizes.vectors(), sizes.width());
    } {
        /// w_ij, J×J.
        weights: [n, n],
        /// Ga, J×J.
        ga: [n, n],
        /// Gg, J×J.
        gg: [n, n],
        /// Coefficients of h.
        gg_hat: [n, n],
        /// ξξ, `vectors`×`vectors`.
        xi_xi: [vectors, vectors],
        /// [ξ | ξ̃ | r]ᵀ r, `width`×J: ξr, ξ̃·r (not needed), and rr.
        xi_r: [width, n],
        /// ζζ, `vectors`×`vectors`.
        zeta: [vectors, vectors],
        /// [π; f] fᵀ, `paired`×J.
        pf: [sizes.paired(), n],
        /// Δd, J×J.
        delta_d: [n, n],
        /// Coefficients between [ξ | ξ̃ | r] and [ξ | ξ̃ | r], `width`×`width`.
        classes: [width, width],
        /// Of a sample and itself: Σ ‖ξ‖².
        own_xi: [n],
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
        let Grams { ga, gg, xi_xi, xi_r: gram_xi_r, zeta: gram_zeta, pf, delta_d, .. } = &mut new.grams;
        let x = Matrix::row_major(&*features.x, n, d);
        multiply(x, x.t(), ga);
        let h = Matrix::row_major(&*features.h, n, m);
        multiply(h, h.t(), gg);
        let xi_r = Matrix::row_major(&*features.xi_r, k, width);
        let xi = xi_r.cols_range(0..vectors);
        multiply(xi.t(), xi, xi_xi);
        multiply(xi_r.t(), xi_r.cols_range(sizes.sketches()..width), gram_xi_r);
        let zeta = Matrix::row_major(features.zeta, vectors, m);
        multiply(zeta, zeta.t(), gram_zeta);
        let pi_f = Matrix::row_major(&*features.pi_f, paired, m);
        multiply(pi_f, pi_f.rows_range(vectors..paired).t(), pf);
        let [delta, d] = [&*features.delta, &*features.d].map(|rows| Matrix::row_major(rows, n, m));
        multiply(delta, d.t(), delta_d);
        new
    }

    /// E1 and E2.
    pub(super) fn values(
        &mut self,
        isa: InstructionSet,
        features: &KeptFeatures<'w, T>,
        weights: Weights<'_, T>,
    ) -> [f64; 2] {
        isa.run(Values { pairs: self, features, weights })
    }

    /// Replaces the Gram matrices by the coefficients of `trace_slope · E1 + square_slope · E2`.
    pub(super) fn differentiate(&mut self, isa: InstructionSet, weights: Weights<'_, T>, slopes: [f64; 2]) {
        isa.run(Coefficients { pairs: self, weights, slopes });
    }

    /// The places of ψ: ranges of pairs, and the matching ranges of ξξ and ζζ. With one vector a sample the two are the same.
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

    /// N E1. Then puts the entries for a sample with itself in place.
    #[inline(always)]
    fn diagonals<S: Simd>(&mut self, simd: S, features: &KeptFeatures<'_, T>, weights: Weights<'_, T>) -> f64 {
        let Sizes { n, l, second, shape } = self.sizes;
        let (m, vectors, width) = (shape.hidden(), self.sizes.vectors(), self.sizes.width());
        let one = T::Lanes::<S>::splat(simd, T::ONE);
        map_registers!(T, S, simd, [] = [], [ga, gg] = [&mut *self.grams.ga, &mut *self.grams.gg] => [ga + one, gg + one]);
        let mut trace = 0.0;
        for i in 0..n {
            let d = sum_registers!(T, S, simd, [d] = [row(features.buffers.d, m, i)] => d).reduce_sum();
            let (mut xi, mut zeta) = (T::ZERO, d);
            for li in (0..l).map(|l| (l * n + i) * (vectors + 1)) {
                xi += self.grams.xi_xi[li];
                zeta += self.grams.zeta[li];
            }
            (self.grams.own_xi[i], self.grams.own_d[i]) = (xi, d);
            let own = i * (n + 1);
            trace += weights.samples[i].to_f64() * (self.grams.gg[own] * xi + self.grams.ga[own] * zeta).to_f64();
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
                    let xi: T::Lanes<S> = get(simd, &features.buffers.xi_r[at(0)]);
                    inner = xi.mul_add(get(simd, &features.buffers.xi_r[at(n)]), inner);
                }
                // The place of the coefficient is free until later, and holds the products for now.
                put(inner, &mut self.grams.own_zeta[samples.clone()]);
                for i in samples {
                    self.grams.xi_xi[i * (n + 1)] = self.grams.own_zeta[i];
                }
            }
        }
        trace
    }

    /// E2.
    #[inline(always)]
    fn square<S: Simd>(&self, simd: S) -> f64 {
        let Sizes { n, l, .. } = self.sizes;
        let (mut squares, mut residuals) = (0.0, 0.0);
        for (pairs, vectors) in Self::spans(self.sizes) {
            let [w, ga, gg] = [&*self.grams.weights, &*self.grams.ga, &*self.grams.gg].map(|x| &x[pairs.clone()]);
            let inputs = [w, ga, gg, &self.grams.xi_xi[vectors.clone()], &self.grams.zeta[vectors]];
            let sum = sum_registers!(T, S, simd, [w, ga, gg, xi_xi, zeta] = inputs => {
                let psi = xi_xi.mul_add(gg, ga * zeta);
                w * psi * psi
            });
            squares += sum.reduce_sum().to_f64();
        }
        let (first_rr, first_ff) = (self.sizes.sketches() * n, self.sizes.vectors() * n);
        for pairs in pieces(0..n * n, BLOCK) {
            let at = |first: usize| first + pairs.start..first + pairs.end;
            let [w, ga] = [&*self.grams.weights, &*self.grams.ga].map(|x| &x[pairs.clone()]);
            let mut sum = T::Lanes::<S>::zero(simd);
            for first in (0..l).map(|l| l * n * n) {
                let inputs = [w, ga, &self.grams.xi_r[at(first)], &self.grams.pf[at(first)]];
                sum = sum + sum_registers!(T, S, simd, [w, ga, xi_r, pf] = inputs => w * ga * (xi_r * pf));
            }
            let inputs = [
                w,
                ga,
                &self.grams.xi_r[at(first_rr)],
                &self.grams.pf[at(first_ff)],
                &self.grams.delta_d[pairs.clone()],
            ];
            let rest =
                sum_registers!(T, S, simd, [w, ga, rr, ff, delta_d] = inputs => w * ga * rr.mul_add(ff, ga * delta_d));
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
                [&mut self.grams.xi_xi[vectors.clone()], &mut self.grams.zeta[vectors], &mut self.grams.gg_hat[pairs]];
            map_registers!(T, S, simd, [w, ga, gg] = inputs, [xi_xi, zeta, gg_hat] = out => {
                let omega = four * w * xi_xi.mul_add(gg, ga * zeta);
                [omega * gg, omega * ga, omega.mul_add(xi_xi, gg_hat)]
            });
        }
        for first in (0..l).map(|l| l * n * n) {
            let out = [&mut self.grams.xi_r[first..][..n * n], &mut self.grams.pf[first..][..n * n]];
            map_registers!(T, S, simd, [w, ga] = [&*self.grams.weights, &*self.grams.ga], [xi_r, pf] = out => {
                let coefficient = four * w * ga;
                [coefficient * pf, coefficient * xi_r]
            });
        }
        let out = [&mut self.grams.xi_r[sketches * n..], &mut self.grams.pf[vectors * n..], &mut *self.grams.delta_d];
        map_registers!(T, S, simd, [w, ga] = [&*self.grams.weights, &*self.grams.ga], [rr, ff, _x0] = out => {
            let coefficient = four * w * ga;
            [coefficient * ff, coefficient * rr, half * coefficient * ga]
        });

        self.grams.classes[..].fill(T::ZERO);
        for i in 0..n {
            let own = i * (n + 1);
            let (ga, gg) = (self.grams.ga[own], self.grams.gg[own]);
            let trace = T::from_f64(2.0 * trace_slope * weights.mean * weights.samples[i].to_f64());
            self.grams.gg_hat[own] += trace * self.grams.own_xi[i];
            self.grams.own_d[i] = T::HALF * trace * ga;
            if second {
                let xi = T::HALF * self.grams.xi_xi[own];
                (self.grams.classes[(n + i) * width + i], self.grams.classes[i * width + n + i]) = (xi, xi);
                self.grams.own_zeta[i] = T::HALF * self.grams.zeta[own];
                (self.grams.xi_xi[own], self.grams.zeta[own]) = (T::ZERO, T::ZERO);
            }
            for li in (0..l).map(|l| (l * n + i) * (vectors + 1)) {
                self.grams.xi_xi[li] += trace * gg;
                self.grams.zeta[li] += trace * ga;
            }
        }
        for li in 0..vectors {
            let (xi_xi, xi_r) = (row(self.grams.xi_xi, vectors, li), row(self.grams.xi_r, n, li));
            let out = row_mut(self.grams.classes, width, li);
            map_registers!(T, S, simd, [xi_xi] = [xi_xi], [_x0] = [&mut out[..vectors]] => [xi_xi]);
            map_registers!(T, S, simd, [xi_r] = [xi_r], [_x0] = [&mut out[sketches..]] => [xi_r]);
            // The coefficients between r and z are those between z and r.
            for (j, &xi_r) in xi_r.iter().enumerate() {
                self.grams.classes[(sketches + j) * width + li] = xi_r;
            }
        }
        for i in 0..n {
            let out = &mut row_mut(self.grams.classes, width, sketches + i)[sketches..];
            map_registers!(T, S, simd, [rr] = [row(self.grams.xi_r, n, sketches + i)], [_x0] = [out] => [rr]);
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
