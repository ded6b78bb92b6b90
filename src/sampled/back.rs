//! From the coefficients of the pairs to what the sweep needs: the derivatives with respect to the kept samples' logits and
//! pre-activations, and V̂.
//!
//! With the features of [`features`](super::features), and the sums of [`pairs`](super::pairs) for ĝ, ζ̂, π̂, f̂, Δ̂ and d̂:
//!
//! ```text
//! ζ̂ += π̂∘h + 2ζ∘Δ̂       ĝ += π̂∘ζ        f̂ += ζ̂∘Vᵀξ + (ζ̃)^∘Vᵀξ̃        d̂ += Δ̂/2        q̂ = d̂∘e        ê = d̂∘q
//! (Vᵀξ)^ = f∘ζ̂          [ξ | ξ̃ | r]^ += V [(Vᵀξ)^; (Vᵀξ̃)^; q̂]ᵀ          V̂ = [ξ | ξ̃ | r] [(Vᵀξ)^; (Vᵀξ̃)^; q̂]
//! (log p)^ = √p∘(√p)^/2 + p∘r̂       ẑ = (log p)^ − p Σ (log p)^
//! û = ĝ∘f + f̂∘e + ê∘t
//! ```
//!
//! **Loop order.** One product for the sums of each kind of feature, then passes over all units of all samples, in contiguous memory.
//! Numbers that a sample has once, the coefficient between ζ and ζ̃ and the constant part of d̂, are first copied to all of its units.

use crate::kernels::context::Context;
use crate::kernels::gemm::{self, Addend, Matrix, MatrixMut};
use crate::kernels::vector::{map_registers, sum_registers};
use crate::sampled::features::{KeptFeatures, Sizes};
use crate::sampled::pairs::KeptPairs;
use crate::sampled::sketch::{get, put, registers};
use crate::simd::{Element, Kernel, Lanes, MAX_LANES, Simd};
use crate::workspace::{Arena, buffers, row, row_mut};

buffers! {
    /// Derivatives with respect to features.
    pub(super) struct KeptGradients(sizes: Sizes) where {
        let (n, m, k) = (sizes.n, sizes.shape.hidden(), sizes.shape.classes());
    } {
        /// Of [ξ | ξ̃ | r], K×`width`.
        xi_r: [k, sizes.width()],
        /// Of h, J×M; in the end of u.
        units: [n, m],
        /// Of ζ, `vectors`×M.
        zeta: [sizes.vectors(), m],
        /// The coefficient between ζ and ζ̃, J×M where there is a ζ̃.
        second: [sizes.sketches() - sizes.vectors(), m],
        /// Of [π; f], `paired`×M.
        pi_f: [sizes.paired(), m],
        /// Of Δ, J×M.
        delta: [n, m],
        /// Of d, J×M.
        d: [n, m],
        /// Of the logits, K×J.
        logits: [k, n],
        /// Squares of the sizes of the samples' contributions; later their factors.
        factors: [n],
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
    /// Computes all derivatives but V̂, and the squares of the contributions' sizes. Overwrites features.
    pub(super) fn new(
        features: &mut KeptFeatures<'w, T>,
        pairs: &KeptPairs<'w, T>,
        v: &[T],
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
        let delta_d = Matrix::row_major(&*pairs.grams.delta_d, n, n);
        multiply(delta_d, Matrix::row_major(&*features.buffers.d, n, m), zero, new.delta);
        for (i, &constant) in pairs.grams.own_d.iter().enumerate() {
            row_mut(new.d, m, i).fill(constant);
        }
        multiply(delta_d, Matrix::row_major(&*features.buffers.delta, n, m), add, new.d);
        isa.run(UnitsBack { features: &mut *features, pairs, gradients: &mut new });

        let (xi_r, vq_hat) =
            (Matrix::row_major(&*features.buffers.xi_r, k, width), Matrix::row_major(&*features.buffers.vq, width, m));
        multiply(xi_r, Matrix::row_major(&*pairs.grams.classes, width, width), zero, new.xi_r);
        multiply(Matrix::row_major(v, k, m), vq_hat.t(), add, new.xi_r);
        isa.run(LogitsBack { features, pairs, gradients: &mut new });
        new
    }

    /// Writes V̂, the derivative with respect to V except through the logits, of the contributions times their factors. Overwrites ξ, ξ̃
    /// and r.
    pub(super) fn output_weight(
        &self,
        features: &mut KeptFeatures<'w, T>,
        v_hat: &mut [T],
        context: &mut Context<'_, T>,
    ) {
        let Sizes { shape, .. } = features.sizes;
        let (m, k, width) = (shape.hidden(), shape.classes(), features.sizes.width());
        context.isa.vectorize(|| {
            for columns in features.buffers.xi_r.chunks_exact_mut(self.factors.len()) {
                for (entry, &factor) in columns.iter_mut().zip(&*self.factors) {
                    *entry *= factor;
                }
            }
        });
        let xi_r = Matrix::row_major(&*features.buffers.xi_r, k, width);
        let vq_hat = Matrix::row_major(&*features.buffers.vq, width, m);
        context.set(MatrixMut::row_major(v_hat, k, m), xi_r, vq_hat);
    }

    /// Turns the derivatives with respect to the features of units into those with respect to Vᵀξ, Vᵀξ̃ and q, in their places, and u.
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
            let inputs = [vector[0], vector[1], vector[2], &*self.delta, &*features.buffers.h, f];
            let out = [&mut *self.units, &mut *f_hat, &mut vq[range]];
            map_registers!(T, S, simd, [zeta, zeta_hat, pi_hat, delta_hat, h, f] = inputs, [h_hat, f_hat, v] = out => {
                let zeta_hat = (zeta + zeta).mul_add(delta_hat, pi_hat.mul_add(h, zeta_hat));
                [pi_hat.mul_add(zeta, h_hat), zeta_hat.mul_add(v, f_hat), zeta_hat * f]
            });
            first += len;
        }
        let half = T::Lanes::<S>::splat(simd, T::HALF);
        let inputs = [&*f_hat, &*self.delta, &*self.d, f, &*features.buffers.e, &*features.buffers.t];
        map_registers!(T, S, simd, [f_hat, delta_hat, d_hat, f, e, t] = inputs, [h_hat, q] = [&mut *self.units, q] => {
            let d_hat = half.mul_add(delta_hat, d_hat);
            [(d_hat * q).mul_add(t, f_hat.mul_add(e, h_hat * f)), d_hat * e]
        });
    }

    /// Turns the derivatives with respect to ξ, ξ̃ and r into those with respect to the logits.
    ///
    /// Adding a multiple of p to (log p)^ does not change ẑ. It is added such that (log p)^ is zero at the most probable class; so
    /// nothing cancels where the network is certain.
    #[inline(always)]
    fn logits_back<S: Simd>(&mut self, simd: S, features: &KeptFeatures<'_, T>, pairs: &KeptPairs<'_, T>) {
        let Sizes { n, shape, .. } = features.sizes;
        let m = shape.hidden();
        for i in 0..n {
            let units = sum_registers!(T, S, simd, [unit] = [row(self.units, m, i)] => unit * unit).reduce_sum();
            self.factors[i] = units * pairs.grams.ga[i * (n + 1)];
        }
        let (k, sketches, width) = (shape.classes(), features.sizes.sketches(), features.sizes.width());
        let [one, half] = [T::ONE, T::HALF].map(|x| T::Lanes::<S>::splat(simd, x));
        let (p, pivot) = (&*features.roots.p, &*features.roots.pivot);
        features.roots.back(simd, self.xi_r, width);
        for samples in registers::<T, S>(n) {
            let at = |row: usize| row + samples.start..row + samples.end;
            // (log p)^, and its quotient by p at the most probable class.
            let (mut shift, mut largest) = (T::Lanes::<S>::zero(simd), T::Lanes::<S>::zero(simd));
            for class in 0..k {
                let place = at(class * sketches);
                let (p, pivot) = (get::<T::Lanes<S>>(simd, &p[place.clone()]), get::<T::Lanes<S>>(simd, &pivot[place]));
                let mut logit = T::Lanes::<S>::zero(simd);
                let mut first = 0;
                while first < sketches {
                    logit = logit + get(simd, &self.xi_r[at(class * width + first)]);
                    first += n;
                }
                let logit = half.mul_add(logit, p * get(simd, &self.xi_r[at(class * width + sketches)]));
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
            let mut square = T::Lanes::<S>::zero(simd);
            for class in 0..k {
                let out = at(class * n);
                let p: T::Lanes<S> = get(simd, &p[at(class * sketches)]);
                let logit = p.neg_mul_add(others, get(simd, &self.logits[out.clone()]));
                square = logit.mul_add(logit, square);
                put(logit, &mut self.logits[out]);
            }
            let own = samples.clone().map(|i| pairs.grams.gg[i * (n + 1)]);
            let mut gg = [T::ZERO; MAX_LANES];
            gg.iter_mut().zip(own).for_each(|(place, gg)| *place = gg);
            let gg: T::Lanes<S> = get(simd, &gg[..samples.len()]);
            put(square.mul_add(gg, get(simd, &self.factors[samples.clone()])), &mut self.factors[samples]);
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
    pairs: &'a KeptPairs<'w, T>,
    gradients: &'a mut KeptGradients<'w, T>,
}

impl<T: Element> Kernel for LogitsBack<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.gradients.logits_back(simd, self.features, self.pairs);
    }
}
