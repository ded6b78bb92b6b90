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

use crate::gemm::{self, Matrix, MatrixMut, gemm};
use crate::hessian::sampled::features::{Features, Sizes};
use crate::hessian::sampled::pairs::Pairs;
use crate::hessian::sampled::sketch::{get, put, registers};
use crate::plan::{product, sum};
use crate::real::Real;
use crate::simd::{InstructionSet, Kernel, Lanes, Simd};
use crate::vector::map_registers;
use crate::workspace::{Arena, row_mut};

/// Derivatives with respect to features.
#[derive(Debug)]
pub(super) struct Hats<'w, T> {
    /// Of [z | z̃ | r], K×W.
    zr: &'w mut [T],
    /// Of h, n×M; at last of u.
    pub units: &'w mut [T],
    /// Of ζ, nL×M.
    zeta: &'w mut [T],
    /// The coefficient between ζ and ζ̃, ñ×M.
    second: &'w mut [T],
    /// Of [π; f], (nL + n)×M.
    pi_f: &'w mut [T],
    /// Of μ, n×M.
    mu: &'w mut [T],
    /// Of d, n×M.
    d: &'w mut [T],
    /// Of the logits, K×n.
    pub logits: &'w mut [T],
}

/// Elements that [`Hats::new`] takes.
pub(super) const fn elements(sizes: Sizes) -> u64 {
    let (n, m, k) = (sizes.n, sizes.shape.hidden(), sizes.shape.classes());
    sum(&[
        product(&[sizes.width(), k]),
        product(&[3, n, m]),
        product(&[sizes.sketches(), m]),
        product(&[sizes.paired(), m]),
        product(&[n, k]),
    ])
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

impl<'w, T: Real> Hats<'w, T> {
    /// Goes the way back, once: features and pairs are used up. Writes V̂, what depends on V other than through the logits.
    pub(super) fn new(
        isa: InstructionSet,
        mut features: Features<'w, T>,
        pairs: &Pairs<'w, T>,
        v: &[T],
        v_hat: &mut [T],
        arena: &mut Arena<'w, T>,
        packing: &mut [T],
    ) -> Self {
        let sizes = features.sizes;
        let Sizes { n, shape, .. } = sizes;
        let (m, k) = (shape.hidden(), shape.classes());
        let (vectors, paired, width) = (sizes.vectors(), sizes.paired(), sizes.width());
        let mut take = |len| arena.take(len);
        let mut new = Self {
            zr: take(k * width),
            units: take(n * m),
            zeta: take(vectors * m),
            second: take((sizes.sketches() - vectors) * m),
            pi_f: take(paired * m),
            mu: take(n * m),
            d: take(n * m),
            logits: take(n * k),
        };
        let mut multiply = |a: Matrix<'_, T>, b: Matrix<'_, T>, beta: T, out: &mut [T]| {
            gemm(isa, T::ONE, a, b, beta, MatrixMut::row_major(out, a.rows(), b.cols()), packing);
        };
        multiply(Matrix::row_major(&*pairs.gg_hat, n, n), Matrix::row_major(&*features.h, n, m), T::ZERO, new.units);
        let zeta = Matrix::row_major(&features.zeta[..vectors * m], vectors, m);
        multiply(Matrix::row_major(&*pairs.zeta, vectors, vectors), zeta, T::ZERO, new.zeta);
        let (pf, pi_f) = (Matrix::row_major(&*pairs.pf, paired, n), Matrix::row_major(&*features.pi_f, paired, m));
        let (pi_hat, f_hat) = new.pi_f.split_at_mut(vectors * m);
        multiply(pf.rows_range(0..vectors), pi_f.rows_range(vectors..paired), T::ZERO, pi_hat);
        multiply(pf.t(), pi_f, T::ZERO, f_hat);
        let y = Matrix::row_major(&*pairs.y, n, n);
        multiply(y, Matrix::row_major(&*features.d, n, m), T::ZERO, new.mu);
        for (i, &constant) in pairs.diagonal.d.iter().enumerate() {
            row_mut(new.d, m, i).fill(constant);
        }
        multiply(y, Matrix::row_major(&*features.mu, n, m), T::ONE, new.d);
        isa.run(UnitsBack { features: &mut features, pairs, hats: &mut new });

        let (zr, vq_hat) = (Matrix::row_major(&*features.zr, k, width), Matrix::row_major(&*features.vq, width, m));
        multiply(zr, vq_hat, T::ZERO, v_hat);
        multiply(zr, Matrix::row_major(&*pairs.classes, width, width), T::ZERO, new.zr);
        multiply(Matrix::row_major(v, k, m), vq_hat.t(), T::ONE, new.zr);
        isa.run(LogitsBack { features: &features, hats: &mut new });
        new
    }

    /// From the hats of unit-long features to those of v, ṽ and q, in their places, and of u.
    #[inline(always)]
    fn units_back<S: Simd>(&mut self, simd: S, features: &mut Features<'_, T>, pairs: &Pairs<'_, T>) {
        let Sizes { n, shape, second, .. } = features.sizes;
        let (m, len) = (shape.hidden(), n * shape.hidden());
        let vectors = features.sizes.vectors() * m;
        let (pi_hat, f_hat) = self.pi_f.split_at_mut(vectors);
        let f = &features.pi_f[vectors..];
        let (vq, q) = features.vq.split_at_mut(features.sizes.sketches() * m);
        if second {
            for (i, &coefficient) in pairs.diagonal.zeta.iter().enumerate() {
                row_mut(self.second, m, i).fill(coefficient);
            }
            let (zeta, other) = features.zeta.split_at(len);
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
            let vector = [&features.zeta[range.clone()], &self.zeta[range.clone()], &pi_hat[range.clone()]];
            let inputs = [vector[0], vector[1], vector[2], &*self.mu, &*features.h, f];
            let out = [&mut *self.units, &mut *f_hat, &mut vq[range]];
            map_registers!(T, S, simd, [zeta, zeta_hat, pi_hat, mu_hat, h, f] = inputs, [h_hat, f_hat, v] = out => {
                let zeta_hat = (zeta + zeta).mul_add(mu_hat, pi_hat.mul_add(h, zeta_hat));
                [pi_hat.mul_add(zeta, h_hat), zeta_hat.mul_add(v, f_hat), zeta_hat * f]
            });
            first += len;
        }
        let half = T::Lanes::<S>::splat(simd, T::HALF);
        let inputs = [&*f_hat, &*self.mu, &*self.d, f, &*features.e, &*features.t];
        map_registers!(T, S, simd, [f_hat, mu_hat, d_hat, f, e, t] = inputs, [h_hat, q] = [&mut *self.units, q] => {
            let d_hat = half.mul_add(mu_hat, d_hat);
            [(d_hat * q).mul_add(t, f_hat.mul_add(e, h_hat * f)), d_hat * e]
        });
    }

    /// From the hats of z, z̃ and r to those of the logits.
    ///
    /// ẑ is what it was if a multiple of p is added to ℓ̂; it is added so that ℓ̂ vanishes at the most probable class, and nothing
    /// cancels where the network is certain.
    #[inline(always)]
    fn logits_back<S: Simd>(&mut self, simd: S, features: &Features<'_, T>) {
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
    features: &'a mut Features<'w, T>,
    pairs: &'a Pairs<'w, T>,
    hats: &'a mut Hats<'w, T>,
}

impl<T: Real> Kernel for UnitsBack<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.hats.units_back(simd, self.features, self.pairs);
    }
}

struct LogitsBack<'a, 'w, T> {
    features: &'a Features<'w, T>,
    hats: &'a mut Hats<'w, T>,
}

impl<T: Real> Kernel for LogitsBack<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.hats.logits_back(simd, self.features);
    }
}
