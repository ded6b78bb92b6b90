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
//! **Loop order.** Two matrix products for the inputs and the classes, [one kernel](super::inner) for the units. One pass over the pairs,
//! row by row, gives the values. When the slopes of Λ are known, a second one replaces the inner products by coefficients.
//! [`back`](super::back) forms their sums.
//!
//! **Cost**, multiply–adds a pair with one vector a sample: `D + 4K + 3.5M` for the inner products, `4K + 7M` for the sums.

use crate::count::{product, sum};
use crate::kernels::context::Context;
use crate::kernels::gemm::{self, Matrix, MatrixMut};
use crate::kernels::vector::{BLOCK, map_registers, sum_registers};
use crate::sampled::features::{KeptFeatures, Sizes};
use crate::sampled::inner::InnerProducts;
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
    /// Inner products of the kept samples; later the coefficients.
    pub(super) struct Grams(sizes: Sizes) where {
        let (n, l, vectors, paired) = (sizes.n, sizes.l, sizes.vectors(), sizes.paired());
    } {
        /// w_ij, J×J.
        weights: [n, n],
        /// Ga, J×J.
        ga: [n, n],
        /// Gg, J×J.
        gg: [n, n],
        /// Coefficients of h.
        gg_hat: [n, n],
        /// `[ξ | r]ᵀ[ξ | r]`, `paired`×`paired`: ξξ and ξr, below them rξ and rr.
        classes: [paired, paired],
        /// ζζ, `vectors`×`vectors`.
        zeta: [vectors, vectors],
        /// πf and fπ: for each vector of a sample, J×J.
        pi_f: [l, n, n],
        f_pi: [l, n, n],
        /// ff, J×J.
        ff: [n, n],
        /// Δd, J×J.
        delta_d: [n, n],
        /// Of a sample and itself: Σ ‖ξ‖².
        own_xi: [n],
        /// Of a sample and itself: ξ·ξ̃, later the coefficient between ξ and ξ̃.
        xi_second: [n],
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
    let paired = sizes.paired();
    gemm::largest_workspace(&[[n, shape.inputs(), n], [paired, shape.classes(), paired]])
}

/// Flops of value and derivatives.
pub(super) const fn flops(sizes: Sizes) -> u64 {
    let Sizes { n, shape, .. } = sizes;
    let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
    let (vectors, paired) = (sizes.vectors(), sizes.paired());
    let further = vectors.saturating_sub(n);
    sum(&[
        product(&[2, n, n, d]),
        product(&[4, paired, paired, k]),
        product(&[7, n, n.saturating_add(1), m]),
        product(&[2, further, vectors.saturating_add(paired), m]),
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
        let (d, k, width, paired) = (shape.inputs(), shape.classes(), sizes.width(), sizes.paired());
        let mut grams = Grams::cut(sizes, arena);
        let Grams { ga, gg, classes, zeta, pi_f, f_pi, ff, delta_d, .. } = &mut grams;
        let x = Matrix::row_major(&*features.buffers.x, n, d);
        context.set(MatrixMut::row_major(ga, n, n), x, x.t());
        let xi_r = Matrix::row_major(&*features.buffers.xi_r, k, width).cols_range(sizes.seconds()..width);
        context.set(MatrixMut::row_major(classes, paired, paired), xi_r.t(), xi_r);
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
        isa.for_rows::<T>(self.sizes.n).run(Values { pairs: self, features, weights })
    }

    /// Replaces the inner products by the coefficients of `trace_slope · E1 + square_slope · E2`.
    pub(super) fn differentiate(&mut self, isa: InstructionSet, weights: Weights<'_, T>, slopes: [f64; 2]) {
        isa.for_rows::<T>(self.sizes.n).run(Coefficients { pairs: self, weights, slopes });
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

    /// Writes ξ·ξ̃ of each sample.
    #[inline(always)]
    fn second_products<S: Simd>(&mut self, simd: S, features: &KeptFeatures<'_, T>) {
        let n = self.sizes.n;
        for samples in registers::<T, S>(n) {
            let mut sum = T::Lanes::<S>::zero(simd);
            for class in features.buffers.xi_r.chunks_exact(self.sizes.width()) {
                let (second, xi) = class[..2 * n].split_at(n);
                let second: T::Lanes<S> = get(simd, &second[samples.clone()]);
                sum = second.mul_add(get(simd, &xi[samples.clone()]), sum);
            }
            put(sum, &mut self.grams.xi_second[samples]);
        }
    }

    /// N E1. Then puts the entries for a sample with itself in place.
    #[inline(always)]
    fn diagonals(&mut self, features: &KeptFeatures<'_, T>, weights: Weights<'_, T>) -> f64 {
        let Sizes { n, l, second, .. } = self.sizes;
        let (diagonal, own) = (self.sizes.paired() + 1, n + 1);
        // Slices of their own: pointers in a structure would be loaded again after every store.
        let KeptFeatures { buffers, .. } = features;
        let Grams { ga, gg, classes, zeta, own_xi, xi_second, .. } = &mut self.grams;
        let [ga, gg, xi_second]: [&[T]; 3] = [ga, gg, &xi_second[..n]];
        let [classes, zeta, own_xi]: [&mut [T]; 3] = [classes, zeta, &mut own_xi[..n]];
        let [zeta_zeta, zeta_second, d] = [&buffers.own_zeta[..n], &buffers.zeta_second[..n], &buffers.own_d[..n]];
        let mut trace = 0.0;
        for (i, w) in weights.samples.iter().enumerate().take(n) {
            let mut xi = T::ZERO;
            for li in (0..l).map(|l| l * n + i) {
                xi += classes[li * diagonal];
            }
            trace += w.to_f64() * (gg[i * own] * xi + ga[i * own] * (zeta_zeta[i] + d[i])).to_f64();
            own_xi[i] = xi;
            if second {
                (classes[i * diagonal], zeta[i * own]) = (xi_second[i], zeta_second[i]);
            }
        }
        trace
    }

    /// E2.
    #[inline(always)]
    fn square<S: Simd>(&self, simd: S) -> f64 {
        let Sizes { n, l, .. } = self.sizes;
        let (vectors, paired) = (self.sizes.vectors(), self.sizes.paired());
        let Grams { weights, ga, gg, classes, zeta, pi_f, ff, delta_d, .. } = &self.grams;
        let two = T::Lanes::<S>::splat(simd, T::TWO);
        let mut total = 0.0;
        for rows in pieces(0..n, (BLOCK / n).max(1)) {
            let mut sum = T::Lanes::<S>::zero(simd);
            for i in rows {
                let (w, ga, gg) = (row(weights, n, i), row(ga, n, i), row(gg, n, i));
                let (xi_xi, xi_r) = row(classes, paired, i).split_at(vectors);
                let rr = &row(classes, paired, vectors + i)[vectors..];
                let (zeta, pi_f, ff, delta_d) =
                    (row(zeta, vectors, i), row(pi_f, n, i), row(ff, n, i), row(delta_d, n, i));
                let inputs = [w, ga, gg, &xi_xi[..n], &zeta[..n], xi_r, pi_f, rr, ff, delta_d];
                let row_sum = sum_registers!(T, S, simd, [w, ga, gg, xi_xi, zeta, xi_r, pi_f, rr, ff, delta_d] = inputs => {
                    let psi = xi_xi.mul_add(gg, ga * zeta);
                    let mixed = two.mul_add(xi_r * pi_f, rr * ff);
                    w * psi.mul_add(psi, ga * two.mul_add(mixed, ga * delta_d))
                });
                sum = sum + row_sum;
                if l > 1 {
                    sum = sum + self.further_squares(simd, i);
                }
            }
            total += sum.reduce_sum().to_f64();
        }
        total
    }

    /// What the pairs of sample i add to E2 beyond those of the first vectors of both samples.
    #[inline(always)]
    fn further_squares<S: Simd>(&self, simd: S, i: usize) -> T::Lanes<S> {
        let Sizes { n, l, .. } = self.sizes;
        let (vectors, paired) = (self.sizes.vectors(), self.sizes.paired());
        let Grams { weights, ga, gg, classes, zeta, pi_f, .. } = &self.grams;
        let (w, ga, gg) = (row(weights, n, i), row(ga, n, i), row(gg, n, i));
        let four = T::Lanes::<S>::splat(simd, T::from_f64(4.0));
        let mut sum = T::Lanes::<S>::zero(simd);
        for li in 0..l {
            let own = li * n + i;
            let (xi_xi, xi_r) = row(classes, paired, own).split_at(vectors);
            if li > 0 {
                let inputs = [w, ga, xi_r, row(pi_f, n, own)];
                sum = sum + sum_registers!(T, S, simd, [w, ga, xi_r, pi_f] = inputs => four * w * ga * (xi_r * pi_f));
            }
            let others = xi_xi.chunks_exact(n).zip(row(zeta, vectors, own).chunks_exact(n));
            for (xi_xi, zeta) in others.skip(usize::from(li == 0)) {
                let inputs = [w, ga, gg, xi_xi, zeta];
                sum = sum
                    + sum_registers!(T, S, simd, [w, ga, gg, xi_xi, zeta] = inputs => {
                        let psi = xi_xi.mul_add(gg, ga * zeta);
                        w * psi * psi
                    });
            }
        }
        sum
    }

    #[inline(always)]
    fn coefficients<S: Simd>(&mut self, simd: S, weights: Weights<'_, T>, [trace_slope, square_slope]: [f64; 2]) {
        let Sizes { n, l, second, .. } = self.sizes;
        let (vectors, paired) = (self.sizes.vectors(), self.sizes.paired());
        let Grams {
            weights: pairs,
            ga,
            gg,
            gg_hat,
            classes,
            zeta,
            pi_f,
            f_pi,
            ff,
            delta_d,
            own_xi,
            xi_second,
            own_zeta,
            own_d,
            ..
        } = &mut self.grams;
        // Slices of their own: pointers in a structure would be loaded again after every store.
        let [pairs, ga, gg]: [&[T]; 3] = [pairs, ga, gg];
        let [gg_hat, classes, zeta]: [&mut [T]; 3] = [gg_hat, classes, zeta];
        let [pi_f, f_pi, ff, delta_d]: [&mut [T]; 4] = [pi_f, f_pi, ff, delta_d];
        let half = T::Lanes::<S>::splat(simd, T::HALF);
        let four = T::Lanes::<S>::splat(simd, T::from_f64(4.0 * square_slope));
        let (xi, r) = classes.split_at_mut(vectors * paired);
        for i in 0..n {
            let (w, ga, gg) = (row(pairs, n, i), row(ga, n, i), row(gg, n, i));
            let gg_hat = row_mut(gg_hat, n, i);
            let (r_xi, rr) = row_mut(r, paired, i).split_at_mut(vectors);
            let (xi_xi, xi_r) = row_mut(xi, paired, i).split_at_mut(vectors);
            let out = [
                &mut *gg_hat,
                &mut xi_xi[..n],
                &mut row_mut(zeta, vectors, i)[..n],
                xi_r,
                row_mut(pi_f, n, i),
                &mut r_xi[..n],
                row_mut(f_pi, n, i),
                rr,
                row_mut(ff, n, i),
                row_mut(delta_d, n, i),
            ];
            map_registers!(T, S, simd, [w, ga, gg] = [w, ga, gg],
            [_x0, xi_xi, zeta, xi_r, pi_f, r_xi, f_pi, rr, ff, _x1] = out => {
                let weight = four * w;
                let (omega, mixed) = (weight * xi_xi.mul_add(gg, ga * zeta), weight * ga);
                let psi = [omega * xi_xi, omega * gg, omega * ga];
                [
                    psi[0], psi[1], psi[2],
                    mixed * pi_f, mixed * xi_r, mixed * f_pi, mixed * r_xi,
                    mixed * ff, mixed * rr, half * mixed * ga,
                ]
            });
            // The same of further vectors.
            for li in 0..if l > 1 { l } else { 0 } {
                let own = li * n + i;
                let (xi_xi, xi_r) = row_mut(xi, paired, own).split_at_mut(vectors);
                let others = xi_xi.chunks_exact_mut(n).zip(row_mut(zeta, vectors, own).chunks_exact_mut(n));
                for (xi_xi, zeta) in others.skip(usize::from(li == 0)) {
                    let out = [xi_xi, zeta, &mut *gg_hat];
                    map_registers!(T, S, simd, [w, ga, gg] = [w, ga, gg], [xi_xi, zeta, gg_hat] = out => {
                        let omega = four * w * xi_xi.mul_add(gg, ga * zeta);
                        [omega * gg, omega * ga, omega.mul_add(xi_xi, gg_hat)]
                    });
                }
                if li > 0 {
                    let out = [xi_r, row_mut(pi_f, n, own), &mut r_xi[li * n..][..n], row_mut(f_pi, n, own)];
                    map_registers!(T, S, simd, [w, ga] = [w, ga], [xi_r, pi_f, r_xi, f_pi] = out => {
                        let mixed = four * w * ga;
                        [mixed * pi_f, mixed * xi_r, mixed * f_pi, mixed * r_xi]
                    });
                }
            }
        }
        let [own_xi, xi_second]: [&mut [T]; 2] = [&mut own_xi[..n], &mut xi_second[..n]];
        let [own_zeta, own_d]: [&mut [T]; 2] = [&mut own_zeta[..n], &mut own_d[..n]];
        let (diagonal, factor) = (paired + 1, T::from_f64(2.0 * trace_slope * weights.mean));
        for (i, &w) in weights.samples.iter().enumerate().take(n) {
            let own = i * (n + 1);
            let (trace, ga, gg) = (factor * w, ga[own], gg[own]);
            gg_hat[own] += trace * own_xi[i];
            own_d[i] = T::HALF * trace * ga;
            if second {
                (xi_second[i], own_zeta[i]) = (T::HALF * classes[i * diagonal], T::HALF * zeta[own]);
                (classes[i * diagonal], zeta[own]) = (T::ZERO, T::ZERO);
            }
            for li in (0..l).map(|l| l * n + i) {
                classes[li * diagonal] += trace * gg;
                zeta[li * (vectors + 1)] += trace * ga;
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
        if pairs.sizes.second {
            pairs.second_products(simd, features);
        }
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
