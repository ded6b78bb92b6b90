//! The way back from the pairs' coefficients to what the sweep needs: hats of the kept samples' logits and pre-activations, and V̂.
//!
//! In the symbols of [`features`](super::features) and with the sums of [`pairs`](super::pairs) for ĝ, ζ̂, π̂, f̂, μ̂ and d̂:
//!
//! ```text
//! ζ̂ += π̂∘h + 2ζ∘μ̂       ĝ += π̂∘ζ        f̂ += ζ̂∘v + ζ̃̂∘ṽ        d̂ += μ̂/2        q̂ = d̂∘e        ê = d̂∘q
//! v̂ = f∘ζ̂               [z | z̃ | r]^ += V [v̂; ṽ̂; q̂]ᵀ            V̂ = [z | z̃ | r] [v̂; ṽ̂; q̂]
//! ℓ̂ = s∘ŝ/2 + p∘r̂       ẑ = ℓ̂ − p Σ ℓ̂                              (ℓ = log p; the last ẑ is that of the logits)
//! û = ĝ∘f + f̂∘e + ê∘t
//! ```
//!
//! **Loop order.** One product for the sums of each kind of feature, then passes over all units of all samples, in memory without gaps: what
//! a sample has of its own, the coefficient between ζ and ζ̃ and the constant part of d̂, is spread over its units first.

use crate::kernels::context::Context;
use crate::kernels::gemm::{self, Addend, Matrix, MatrixMut};
use crate::kernels::vector::map_registers;
use crate::sampled::features::{KeptFeatures, Sizes};
use crate::sampled::pairs::KeptPairs;
use crate::sampled::sketch::{get, put, registers};
use crate::simd::{Element, Kernel, Lanes, Simd};
use crate::workspace::{Arena, buffers, row_mut};

buffers! {
    /// Derivatives with respect to features.
    pub(super) struct KeptGradients(sizes: Sizes) where {
        let (n, m, k) = (sizes.n, sizes.shape.hidden(), sizes.shape.classes());
    } {
        /// Of [z | z̃ | r], K×W.
        zr: [k, sizes.width()],
        /// Of h, n×M; at last of u.
        units: [n, m],
        /// Of ζ, nL×M.
        zeta: [sizes.vectors(), m],
        /// The coefficient between ζ and ζ̃, ñ×M.
        second: [sizes.sketches() - sizes.vectors(), m],
        /// Of [π; f], (nL + n)×M.
        pi_f: [sizes.paired(), m],
        /// Of μ, n×M.
        mu: [n, m],
        /// Of d, n×M.
        d: [n, m],
        /// Of the logits, K×n.
        logits: [k, n],
    }
}

/// Elements that [`KeptGradients::new`] takes.
pub(super) const fn elements(sizes: Sizes) -> u64 {
    KeptGradients::elements(sizes)
}

/// Elements of packing space that the products need.
pub(super) const fn packing(sizes: Sizes) -> u64 {
    let (n, m, k) = (sizes.n, sizes.shape.hidden(), sizes.shape.classes());
    let (vectors, paired, w) = (sizes.vectors(), sizes.paired(), sizes.width());
    gemm::largest_workspace(&[
        [n, n, m],
        [vectors, vectors, m],
        [vectors, n, m],
        [n, paired, m],
        [k, w, w],
        [k, w, m],
        [k, m, w],
    ])
}

impl<'w, T: Element> KeptGradients<'w, T> {
    /// Goes the way back, once: features and pairs are used up. Writes V̂, what depends on V other than through the logits.
    pub(super) fn new(
        mut features: KeptFeatures<'w, T>,
        pairs: &KeptPairs<'w, T>,
        v: &[T],
        v_hat: &mut [T],
        arena: &mut Arena<'w, T>,
        context: &mut Context<'_, T>,
    ) -> Self {
        let (sizes, isa) = (features.sizes, context.isa);
        let Sizes { n, shape, .. } = sizes;
        let (m, k) = (shape.hidden(), shape.classes());
        let (vectors, paired, width) = (sizes.vectors(), sizes.paired(), sizes.width());
        let mut new = Self::cut(sizes, arena);
        let mut multiply = |a: Matrix<'_, T>, b: Matrix<'_, T>, addend: Addend<'_, T>, out: &mut [T]| {
            context.product(MatrixMut::row_major(out, a.rows(), b.cols()), T::ONE, a, b, addend);
        };
        let (zero, add) = (Addend::Zero, Addend::Output(T::ONE));
        multiply(
            Matrix::row_major(&*pairs.grams.gg_hat, n, n),
            Matrix::row_major(&*features.buffers.h, n, m),
            zero,
            new.units,
        );
        let zeta = Matrix::row_major(features.buffers.zeta, vectors, m);
        multiply(Matrix::row_major(&*pairs.grams.zeta, vectors, vectors), zeta, zero, new.zeta);
        let (pf, pi_f) =
            (Matrix::row_major(&*pairs.grams.pf, paired, n), Matrix::row_major(&*features.buffers.pi_f, paired, m));
        let (pi_hat, f_hat) = new.pi_f.split_at_mut(vectors * m);
        multiply(pf.rows_range(0..vectors), pi_f.rows_range(vectors..paired), zero, pi_hat);
        multiply(pf.t(), pi_f, zero, f_hat);
        let y = Matrix::row_major(&*pairs.grams.y, n, n);
        multiply(y, Matrix::row_major(&*features.buffers.d, n, m), zero, new.mu);
        for (i, &constant) in pairs.grams.own_d.iter().enumerate() {
            row_mut(new.d, m, i).fill(constant);
        }
        multiply(y, Matrix::row_major(&*features.buffers.mu, n, m), add, new.d);
        isa.run(UnitsBack { features: &mut features, pairs, gradients: &mut new });

        let (zr, vq_hat) =
            (Matrix::row_major(&*features.buffers.zr, k, width), Matrix::row_major(&*features.buffers.vq, width, m));
        multiply(zr, vq_hat, zero, v_hat);
        multiply(zr, Matrix::row_major(&*pairs.grams.classes, width, width), zero, new.zr);
        multiply(Matrix::row_major(v, k, m), vq_hat.t(), add, new.zr);
        isa.run(LogitsBack { features: &features, gradients: &mut new });
        new
    }

    /// From the derivatives of unit-long features to those of v, ṽ and q, in their places, and of u.
    #[inline(always)]
    fn units_back<S: Simd>(&mut self, simd: S, features: &mut KeptFeatures<'_, T>, pairs: &KeptPairs<'_, T>) {
        let Sizes { n, shape, second, .. } = features.sizes;
        let (m, len) = (shape.hidden(), n * shape.hidden());
        let vectors = features.sizes.vectors() * m;
        let (pi_hat, f_hat) = self.pi_f.split_at_mut(vectors);
        let f = &features.buffers.pi_f[vectors..];
        let (vq, q) = features.buffers.vq.split_at_mut(features.sizes.sketches() * m);
        if second {
            for (i, &coefficient) in pairs.grams.own_zeta.iter().enumerate() {
                row_mut(self.second, m, i).fill(coefficient);
            }
            let (zeta, other) = features.buffers.zeta.split_at(len);
            let inputs = [zeta, other, &*self.second, f];
            let out = [&mut *self.zeta, &mut *f_hat, &mut vq[len..]];
            map_registers!(T, S, simd, [zeta, other, coefficient, f] = inputs, [zeta_hat, f_hat, v] = out => {
                let other_hat = coefficient * zeta;
                [coefficient.mul_add(other, zeta_hat), other_hat.mul_add(v, f_hat), other_hat * f]
            });
        }
        let mut first = 0;
        while first < vectors {
            let range = first..first + len;
            let vector = [&features.buffers.zeta[range.clone()], &self.zeta[range.clone()], &pi_hat[range.clone()]];
            let inputs = [vector[0], vector[1], vector[2], &*self.mu, &*features.buffers.h, f];
            let out = [&mut *self.units, &mut *f_hat, &mut vq[range]];
            map_registers!(T, S, simd, [zeta, zeta_hat, pi_hat, mu_hat, h, f] = inputs, [h_hat, f_hat, v] = out => {
                let zeta_hat = (zeta + zeta).mul_add(mu_hat, pi_hat.mul_add(h, zeta_hat));
                [pi_hat.mul_add(zeta, h_hat), zeta_hat.mul_add(v, f_hat), zeta_hat * f]
            });
            first += len;
        }
        let half = T::Lanes::<S>::splat(simd, T::HALF);
        let inputs = [&*f_hat, &*self.mu, &*self.d, f, &*features.buffers.e, &*features.buffers.t];
        map_registers!(T, S, simd, [f_hat, mu_hat, d_hat, f, e, t] = inputs, [h_hat, q] = [&mut *self.units, q] => {
            let d_hat = half.mul_add(mu_hat, d_hat);
            [(d_hat * q).mul_add(t, f_hat.mul_add(e, h_hat * f)), d_hat * e]
        });
    }

    /// From the derivatives of z, z̃ and r to those of the logits.
    ///
    /// ẑ is what it was if a multiple of p is added to ℓ̂; it is added so that ℓ̂ vanishes at the most probable class, and nothing
    /// cancels where the network is certain.
    #[inline(always)]
    fn logits_back<S: Simd>(&mut self, simd: S, features: &KeptFeatures<'_, T>) {
        let Sizes { n, shape, .. } = features.sizes;
        let (k, sketches, width) = (shape.classes(), features.sizes.sketches(), features.sizes.width());
        let [one, half] = [T::ONE, T::HALF].map(|x| T::Lanes::<S>::splat(simd, x));
        let (p, pivot) = (&*features.roots.p, &*features.roots.pivot);
        features.roots.back(simd, self.zr, width);
        for samples in registers::<T, S>(n) {
            let at = |row: usize| row + samples.start..row + samples.end;
            // ℓ̂, and its quotient by p at the most probable class.
            let (mut shift, mut largest) = (T::Lanes::<S>::zero(simd), T::Lanes::<S>::zero(simd));
            for class in 0..k {
                let place = at(class * sketches);
                let (p, pivot) = (get::<T::Lanes<S>>(simd, &p[place.clone()]), get::<T::Lanes<S>>(simd, &pivot[place]));
                let mut logit = T::Lanes::<S>::zero(simd);
                let mut first = 0;
                while first < sketches {
                    logit = logit + get(simd, &self.zr[at(class * width + first)]);
                    first += n;
                }
                let logit = half.mul_add(logit, p * get(simd, &self.zr[at(class * width + sketches)]));
                (shift, largest) = (pivot.mul_add(logit, shift), pivot.mul_add(p, largest));
                put(logit, &mut self.logits[at(class * n)]);
            }
            let shift = shift / largest;
            let mut others = T::Lanes::<S>::zero(simd);
            for class in 0..k {
                let (place, out) = (at(class * sketches), at(class * n));
                let (p, pivot) = (get::<T::Lanes<S>>(simd, &p[place.clone()]), get::<T::Lanes<S>>(simd, &pivot[place]));
                let logit = (one - pivot) * p.neg_mul_add(shift, get(simd, &self.logits[out.clone()]));
                others = others + logit;
                put(logit, &mut self.logits[out]);
            }
            for class in 0..k {
                let out = at(class * n);
                let p: T::Lanes<S> = get(simd, &p[at(class * sketches)]);
                put(p.neg_mul_add(others, get(simd, &self.logits[out.clone()])), &mut self.logits[out]);
            }
        }
    }
}

/// The stages that run on registers.
struct UnitsBack<'a, 'w, T> {
    features: &'a mut KeptFeatures<'w, T>,
    pairs: &'a KeptPairs<'w, T>,
    gradients: &'a mut KeptGradients<'w, T>,
}

impl<T: Element> Kernel for UnitsBack<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.gradients.units_back(simd, self.features, self.pairs);
    }
}

struct LogitsBack<'a, 'w, T> {
    features: &'a KeptFeatures<'w, T>,
    gradients: &'a mut KeptGradients<'w, T>,
}

impl<T: Element> Kernel for LogitsBack<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.gradients.logits_back(simd, self.features);
    }
}
