//! The pairs of kept samples: values of the two traces, and the coefficients of their derivatives.
//!
//! With the features of [`features`](super::features):
//!
//! ```text
//! Ga = x·x' + 1    Gg = h·h' + 1    ξξ = ξ·ξ'    ξr = ξ·r'    rr = r·r'    ζζ = ζ·ζ'    πf = π·f'    ff = f·f'    Δd = Δ·d' + d·Δ'
//! ψ = ξξ Gg + Ga ζζ
//! κ = Σ ψ² + 2 Ga ( Σ ξr πf + (Σ ξr πf)ᵀ + rr ff ) + Ga² Δd                Σ over the vectors of both samples, or of one
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
//! **Loop order.** Two matrix products for the inputs and the classes, [one kernel](super::inner) for the units. One pass over the pairs
//! gives the values. When the slopes of Λ are known, a second one replaces the inner products by coefficients. [`back`](super::back)
//! forms their sums.
//!
//! **Cost**, multiply–adds a pair with one vector a sample: `D + 6K + 3.5M` for the inner products, `9K + 7M` for the sums.

use crate::count::{product, sum};
use crate::kernels::context::Context;
use crate::kernels::gemm::{self, Matrix, MatrixMut};
use crate::kernels::vector::map_registers;
use crate::sampled::features::{KeptFeatures, Sizes};
use crate::sampled::inner::InnerProducts;
use crate::sampled::sketch::{get, put, registers};
use crate::simd::{Element, InstructionSet, Kernel, Lanes, Simd};
use crate::workspace::{Arena, buffers, row_mut};

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
    /// Inner products of the kept samples; later the coefficients.
    pub(super) struct Grams(sizes: Sizes) where {
        let (n, vectors, width, paired) = (sizes.n, sizes.vectors(), sizes.width(), sizes.paired());
    } {
        /// w_ij, J×J.
        weights: [n, n],
        /// Ga, J×J.
        ga: [n, n],
        /// Gg, J×J.
        gg: [n, n],
        /// Coefficients of h.
        gg_hat: [n, n],
        /// [ξ̃ | ξ | r]ᵀ [ξ | r], `width`×`paired`.
        classes: [width, paired],
        /// Coefficients between [ξ̃ | ξ | r] and [ξ̃ | ξ | r], `width`×`width`.
        classes_hat: [width, width],
        /// ζζ, `vectors`×`vectors`.
        zeta: [vectors, vectors],
        /// πf, `vectors`×J.
        pi_f: [vectors, n],
        /// (πf)ᵀ, J×`vectors`.
        f_pi: [n, vectors],
        /// ff, J×J.
        ff: [n, n],
        /// Δd, J×J.
        delta_d: [n, n],
        /// Of a sample and itself: Σ ‖ξ‖².
        own_xi: [n],
        /// Of a sample and itself: the coefficient between ζ and ζ̃.
        own_zeta: [n],
        /// Of a sample and itself: the constant part of d̂.
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
    gemm::largest_workspace(&[[n, shape.inputs(), n], [sizes.width(), shape.classes(), sizes.paired()]])
}

/// Flops of value and derivatives.
pub(super) const fn flops(sizes: Sizes) -> u64 {
    let Sizes { n, shape, .. } = sizes;
    let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
    let (vectors, paired, width) = (sizes.vectors(), sizes.paired(), sizes.width());
    let further = vectors.saturating_sub(n);
    sum(&[
        product(&[2, n, n, d]),
        product(&[2, width, paired, k]),
        product(&[7, n, n.saturating_add(1), m]),
        product(&[2, further, vectors.saturating_add(paired), m]),
        product(&[2, width, width, k]),
        product(&[8, n, n, m]),
        product(&[2, vectors, vectors, m]),
        product(&[4, vectors, n, m]),
    ])
}

impl<'w, T: Element> KeptPairs<'w, T> {
    /// Forms the inner products.
    pub(super) fn new(features: &KeptFeatures<'w, T>, arena: &mut Arena<'w, T>, context: &mut Context<'_, T>) -> Self {
        let sizes = features.sizes;
        let Sizes { n, shape, .. } = sizes;
        let (d, k, width) = (shape.inputs(), shape.classes(), sizes.width());
        let mut grams = Grams::cut(sizes, arena);
        let Grams { ga, gg, classes, zeta, pi_f, f_pi, ff, delta_d, .. } = &mut grams;
        let x = Matrix::row_major(&*features.buffers.x, n, d);
        context.set(MatrixMut::row_major(ga, n, n), x, x.t());
        let xi_r = Matrix::row_major(&*features.buffers.xi_r, k, width);
        let paired = xi_r.cols_range(sizes.seconds()..width);
        context.set(MatrixMut::row_major(classes, width, sizes.paired()), xi_r.t(), paired);
        context.isa.run(InnerProducts { sizes, records: features.buffers.records, gg, ff, delta_d, zeta, pi_f, f_pi });
        Self { sizes, grams }
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

    /// Replaces the inner products by the coefficients of `trace_slope · E1 + square_slope · E2`.
    pub(super) fn differentiate(&mut self, isa: InstructionSet, weights: Weights<'_, T>, slopes: [f64; 2]) {
        isa.run(Coefficients { pairs: self, weights, slopes });
    }

    /// Forms w_ij, and adds 1 to x·x'.
    #[inline(always)]
    fn form_weights<S: Simd>(&mut self, simd: S, weights: Weights<'_, T>) {
        let (n, one) = (self.sizes.n, T::Lanes::<S>::splat(simd, T::ONE));
        let (own, cross) = (T::from_f64(weights.pairs.0), T::from_f64(weights.pairs.1));
        for (i, &w) in weights.samples.iter().enumerate() {
            let factor = T::Lanes::<S>::splat(simd, w * cross);
            let out = [row_mut(self.grams.weights, n, i), row_mut(self.grams.ga, n, i)];
            map_registers!(T, S, simd, [other] = [weights.samples], [_x0, ga] = out => [factor * other, ga + one]);
            self.grams.weights[i * n + i] = w * own;
        }
    }

    /// N E1. Then puts the entries for a sample with itself in place.
    fn diagonals(&mut self, features: &KeptFeatures<'_, T>, weights: Weights<'_, T>) -> f64 {
        let Sizes { n, l, second, .. } = self.sizes;
        let (vectors, paired, seconds) = (self.sizes.vectors(), self.sizes.paired(), self.sizes.seconds());
        let mut trace = 0.0;
        for i in 0..n {
            let first = (seconds + i) * paired + i;
            let xi = (0..l).fold(T::ZERO, |xi, l| xi + self.grams.classes[first + l * n * (paired + 1)]);
            let zeta = features.buffers.own_zeta[i] + features.buffers.own_d[i];
            let (ga, gg) = (self.grams.ga[i * (n + 1)], self.grams.gg[i * (n + 1)]);
            trace += weights.samples[i].to_f64() * (gg * xi + ga * zeta).to_f64();
            self.grams.own_xi[i] = xi;
            if second {
                self.grams.classes[first] = self.grams.classes[i * (paired + 1)];
                self.grams.zeta[i * (vectors + 1)] = features.buffers.zeta_second[i];
            }
        }
        trace
    }

    /// E2.
    #[inline(always)]
    fn square<S: Simd>(&self, simd: S) -> f64 {
        let Sizes { n, l, .. } = self.sizes;
        let (vectors, paired) = (self.sizes.vectors(), self.sizes.paired());
        let (seconds, sketches) = (self.sizes.seconds(), self.sizes.sketches());
        let zero = T::Lanes::<S>::zero(simd);
        let Grams { weights, ga, gg, classes, zeta, pi_f, ff, delta_d, .. } = &self.grams;
        let mut total = 0.0;
        for first in (0..n).step_by(4) {
            let mut sums = [zero; 4];
            for (sum, i) in sums.iter_mut().zip(first..n) {
                for j in registers::<T, S>(n) {
                    let at = |first: usize| first + j.start..first + j.end;
                    let ga: T::Lanes<S> = get(simd, &ga[at(i * n)]);
                    let gg: T::Lanes<S> = get(simd, &gg[at(i * n)]);
                    let [mut squares, mut residuals] = [zero; 2];
                    for own in (0..l).map(|l| l * n + i) {
                        for other in (0..l).map(|l| l * n) {
                            let xi_xi: T::Lanes<S> = get(simd, &classes[at((seconds + own) * paired + other)]);
                            let psi = xi_xi.mul_add(gg, ga * get(simd, &zeta[at(own * vectors + other)]));
                            squares = psi.mul_add(psi, squares);
                        }
                        let xi_r: T::Lanes<S> = get(simd, &classes[at((seconds + own) * paired + vectors)]);
                        residuals = xi_r.mul_add(get(simd, &pi_f[at(own * n)]), residuals);
                    }
                    let rr: T::Lanes<S> = get(simd, &classes[at((sketches + i) * paired + vectors)]);
                    let residuals = rr.mul_add(get(simd, &ff[at(i * n)]), residuals + residuals);
                    let kappa = ga.mul_add(ga.mul_add(get(simd, &delta_d[at(i * n)]), residuals + residuals), squares);
                    *sum = kappa.mul_add(get(simd, &weights[at(i * n)]), *sum);
                }
            }
            total += T::Lanes::<S>::reduce_sums(sums).iter().map(|sum| sum.to_f64()).sum::<f64>();
        }
        total
    }

    #[inline(always)]
    fn coefficients<S: Simd>(&mut self, simd: S, weights: Weights<'_, T>, [trace_slope, square_slope]: [f64; 2]) {
        let Sizes { n, l, second, .. } = self.sizes;
        let (vectors, paired, width) = (self.sizes.vectors(), self.sizes.paired(), self.sizes.width());
        let (seconds, sketches) = (self.sizes.seconds(), self.sizes.sketches());
        let half = T::Lanes::<S>::splat(simd, T::HALF);
        let four = T::Lanes::<S>::splat(simd, T::from_f64(4.0 * square_slope));
        let Grams {
            weights: pair_weights,
            ga,
            gg,
            gg_hat,
            classes,
            classes_hat,
            zeta,
            pi_f,
            f_pi,
            ff,
            delta_d,
            own_xi,
            own_zeta,
            own_d,
        } = &mut self.grams;
        classes_hat.fill(T::ZERO);
        for i in 0..n {
            for j in registers::<T, S>(n) {
                let at = |first: usize| first + j.start..first + j.end;
                let pair = at(i * n);
                let omega: T::Lanes<S> = four * get(simd, &pair_weights[pair.clone()]);
                let (ga, gg) =
                    (get::<T::Lanes<S>>(simd, &ga[pair.clone()]), get::<T::Lanes<S>>(simd, &gg[pair.clone()]));
                let coefficient = omega * ga;
                let mut h = T::Lanes::<S>::zero(simd);
                let residuals = &classes[(sketches + i) * paired..][..paired];
                let residuals_hat = (sketches + i) * width;
                for own in (0..l).map(|l| l * n + i) {
                    let (xi, xi_hat) = (&classes[(seconds + own) * paired..][..paired], (seconds + own) * width);
                    for other in (0..l).map(|l| l * n) {
                        let xi_xi: T::Lanes<S> = get(simd, &xi[at(other)]);
                        let place = at(own * vectors + other);
                        let psi = xi_xi.mul_add(gg, ga * get(simd, &zeta[place.clone()]));
                        h = (omega * psi).mul_add(xi_xi, h);
                        put(omega * psi * gg, &mut classes_hat[at(xi_hat + seconds + other)]);
                        put(omega * psi * ga, &mut zeta[place]);
                    }
                    let (place, out) = (at(own * n), at(xi_hat + sketches));
                    put(coefficient * get(simd, &pi_f[place.clone()]), &mut classes_hat[out]);
                    put(coefficient * get(simd, &xi[at(vectors)]), &mut pi_f[place]);
                }
                for other in (0..l).map(|l| l * n) {
                    let (place, out) = (at(i * vectors + other), at(residuals_hat + seconds + other));
                    put(coefficient * get(simd, &f_pi[place.clone()]), &mut classes_hat[out]);
                    put(coefficient * get(simd, &residuals[at(other)]), &mut f_pi[place]);
                }
                put(coefficient * get(simd, &ff[pair.clone()]), &mut classes_hat[at(residuals_hat + sketches)]);
                put(coefficient * get(simd, &residuals[at(vectors)]), &mut ff[pair.clone()]);
                put(half * coefficient * ga, &mut delta_d[pair.clone()]);
                put(h, &mut gg_hat[pair]);
            }
        }
        for i in 0..n {
            let own = i * (n + 1);
            let (ga, gg) = (ga[own], gg[own]);
            let trace = T::from_f64(2.0 * trace_slope * weights.mean * weights.samples[i].to_f64());
            gg_hat[own] += trace * own_xi[i];
            own_d[i] = T::HALF * trace * ga;
            let place = (seconds + i) * (width + 1);
            if second {
                let xi = T::HALF * classes_hat[place];
                (classes_hat[(seconds + i) * width + i], classes_hat[i * width + seconds + i]) = (xi, xi);
                own_zeta[i] = T::HALF * zeta[i * (vectors + 1)];
                (classes_hat[place], zeta[i * (vectors + 1)]) = (T::ZERO, T::ZERO);
            }
            for l in 0..l {
                classes_hat[place + l * n * (width + 1)] += trace * gg;
                zeta[(l * n + i) * (vectors + 1)] += trace * ga;
            }
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
        let trace = pairs.diagonals(features, weights);
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
