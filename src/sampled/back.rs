//! From the coefficients of the pairs to what the sweep needs: the derivatives with respect to the kept samples' logits and
//! pre-activations, and V̂.
//!
//! With the features of [`features`](super::features), and the sums of [`pairs`](super::pairs) for ĝ, ζ̂, π̂, f̂, Δ̂ and d̂:
//!
//! ```text
//! ζ̂ += π̂∘h + 2ζ∘Δ̂       ĝ += π̂∘ζ        f̂ += ζ̂∘Vᵀξ + (ζ̃)^∘Vᵀξ̃        d̂ += Δ̂/2        q̂ = d̂∘e        ê = d̂∘q
//! (Vᵀξ)^ = f∘ζ̂          [ξ̃ | ξ | r]^ += V [(Vᵀξ̃)^; (Vᵀξ)^; q̂]ᵀ          V̂ = [ξ̃ | ξ | r] [(Vᵀξ̃)^; (Vᵀξ)^; q̂]
//! (log p)^ = √p∘(√p)^/2 + p∘r̂       ẑ = (log p)^ − p Σ (log p)^
//! û = ĝ∘f + f̂∘e + ê∘t
//! ```
//!
//! **Loop order.** Registers of units; samples, four at a time; all other samples. The sums of a register of units stay in registers,
//! and so does what follows from them. Then the way back to ξ and r, and a pass over the classes.

use core::ops::Range;

use crate::kernels::context::Context;
use crate::kernels::gemm::{self, Addend, Matrix, MatrixMut};
use crate::kernels::vector::sum_registers;
use crate::sampled::classes::ClassesBack;
use crate::sampled::features::{KeptFeatures, Sizes, read};
use crate::sampled::pairs::{Grams, KeptPairs};
use crate::sampled::sketch::{get, put, registers};
use crate::simd::{Element, Kernel, Lanes, MAX_LANES, Simd};
use crate::workspace::{Arena, buffers, row};

buffers! {
    /// Derivatives with respect to features.
    pub(super) struct KeptGradients(sizes: Sizes) where {
        let (n, m, k) = (sizes.n, sizes.shape.hidden(), sizes.shape.classes());
    } {
        /// Of [ξ̃ | ξ | r], K×`width`.
        xi_r: [k, sizes.width()],
        /// Of u, J×M.
        units: [n, m],
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
    let (m, k, w) = (sizes.shape.hidden(), sizes.shape.classes(), sizes.width());
    gemm::largest_workspace(&[[k, w, m], [k, m, w]])
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
        let (m, k, width) = (sizes.shape.hidden(), sizes.shape.classes(), sizes.width());
        let mut new = Self::cut(sizes, arena);
        isa.run(UnitsBack { features: &mut *features, pairs, gradients: &mut new });
        let Grams { xi_xi, xi_r, r_xi, rr, xi_second, .. } = &pairs.grams;
        let (xi_xi, mixed, rr, own): (&[T], [&[T]; 2], &[T], &[T]) = (xi_xi, [xi_r, r_xi], rr, xi_second);
        isa.for_rows::<T>(sizes.n).run(ClassesBack { sizes, xi_r: features.buffers.xi_r, xi_xi, mixed, rr, own, out: new.xi_r });
        let vq_hat = Matrix::row_major(&*features.buffers.vq, width, m);
        let (out, v) = (MatrixMut::row_major(new.xi_r, k, width), Matrix::row_major(v, k, m));
        context.product(out, T::ONE, v, vq_hat.t(), Addend::Output(T::ONE));
        isa.for_rows::<T>(sizes.n).run(LogitsBack { features, pairs, gradients: &mut new });
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

    /// The sums of the derivatives with respect to the features of units, for `R` samples from `first` on and a register of units; and
    /// what follows from them: the derivatives with respect to Vᵀξ̃, Vᵀξ and q, in the places of these, and u.
    #[inline(always)]
    fn units_back<S: Simd, const R: usize>(
        &mut self,
        simd: S,
        features: &mut KeptFeatures<'_, T>,
        grams: &Grams<'_, T>,
        first: usize,
        (block, units): (usize, Range<usize>),
    ) {
        let sizes = features.sizes;
        let Sizes { n, l, second, shape } = sizes;
        let (m, lanes, vectors) = (shape.hidden(), T::Lanes::<S>::LANES, sizes.vectors());
        let (seconds, sketches, record) = (sizes.seconds(), sizes.sketches(), sizes.record() * lanes);
        let (zero, half) = (T::Lanes::<S>::zero(simd), T::Lanes::<S>::splat(simd, T::HALF));
        let KeptFeatures { buffers, .. } = features;
        let records = &buffers.records[block * n * record..][..n * record];
        let samples: [usize; R] = core::array::from_fn(|at| first + at);

        let [mut h_hat, mut f_hat, mut delta_hat] = [[zero; R]; 3];
        let mut d_hat = [zero; R];
        for (d_hat, i) in d_hat.iter_mut().zip(samples) {
            *d_hat = T::Lanes::<S>::splat(simd, grams.own_d[i]);
        }
        let [gg, ff, delta_d]: [[&[T]; R]; 3] =
            [rows(grams.gg_hat, n, first), rows(grams.ff, n, first), rows(grams.delta_d, n, first)];
        for j in 0..n {
            let [h, f, d, delta]: [T::Lanes<S>; 4] = read(simd, &records[j * record..]);
            for at in 0..R {
                h_hat[at] = T::Lanes::<S>::splat(simd, gg[at][j]).mul_add(h, h_hat[at]);
                f_hat[at] = T::Lanes::<S>::splat(simd, ff[at][j]).mul_add(f, f_hat[at]);
                delta_hat[at] = T::Lanes::<S>::splat(simd, delta_d[at][j]).mul_add(d, delta_hat[at]);
                d_hat[at] = T::Lanes::<S>::splat(simd, delta_d[at][j]).mul_add(delta, d_hat[at]);
            }
        }
        for own in 0..l {
            let [mut zeta_hat, mut pi_hat] = [[zero; R]; 2];
            let pi_f = rows::<T, R>(grams.pi_f, n, own * n + first);
            for vector in 0..l {
                let f_pi = rows::<T, R>(grams.f_pi, n, vector * n + first);
                let mut zeta_zeta = rows::<T, R>(grams.zeta, vectors, own * n + first);
                for row in &mut zeta_zeta {
                    *row = &row[vector * n..][..n];
                }
                for j in 0..n {
                    let other = &records[j * record..][..record];
                    let [zeta, pi]: [T::Lanes<S>; 2] = read(simd, &other[(4 + 2 * vector) * lanes..]);
                    let [f]: [T::Lanes<S>; 1] = read(simd, &other[lanes..]);
                    for at in 0..R {
                        zeta_hat[at] = T::Lanes::<S>::splat(simd, zeta_zeta[at][j]).mul_add(zeta, zeta_hat[at]);
                        if vector == 0 {
                            pi_hat[at] = T::Lanes::<S>::splat(simd, pi_f[at][j]).mul_add(f, pi_hat[at]);
                        }
                        if own == 0 {
                            f_hat[at] = T::Lanes::<S>::splat(simd, f_pi[at][j]).mul_add(pi, f_hat[at]);
                        }
                    }
                }
            }
            for (at, i) in samples.into_iter().enumerate() {
                let own_record = &records[i * record..];
                let [h, f]: [T::Lanes<S>; 2] = read(simd, own_record);
                let [zeta]: [T::Lanes<S>; 1] = read(simd, &own_record[(4 + 2 * own) * lanes..]);
                let place = |row: usize| row * m + units.start..row * m + units.end;
                let (v, v_second) = (place(seconds + own * n + i), place(i));
                let mut zeta_hat = (zeta + zeta).mul_add(delta_hat[at], pi_hat[at].mul_add(h, zeta_hat[at]));
                if second {
                    let (coefficient, v) = (
                        T::Lanes::<S>::splat(simd, grams.own_zeta[i]),
                        get::<T::Lanes<S>>(simd, &buffers.vq[v_second.clone()]),
                    );
                    zeta_hat = coefficient.mul_add(f * v, zeta_hat);
                    let second_hat = coefficient * zeta;
                    f_hat[at] = second_hat.mul_add(v, f_hat[at]);
                    put(second_hat * f, &mut buffers.vq[v_second]);
                }
                h_hat[at] = pi_hat[at].mul_add(zeta, h_hat[at]);
                f_hat[at] = zeta_hat.mul_add(get(simd, &buffers.vq[v.clone()]), f_hat[at]);
                put(zeta_hat * f, &mut buffers.vq[v]);
            }
        }
        for (at, i) in samples.into_iter().enumerate() {
            let place = |row: usize| row * m + units.start..row * m + units.end;
            let [_, f]: [T::Lanes<S>; 2] = read(simd, &records[i * record..]);
            let e: T::Lanes<S> = get(simd, &buffers.e[place(i)]);
            let t = get(simd, &buffers.t[place(i)]);
            let d_hat = half.mul_add(delta_hat[at], d_hat[at]);
            let q = &mut buffers.vq[place(sketches + i)];
            let u_hat = (d_hat * get(simd, q)).mul_add(t, f_hat[at].mul_add(e, h_hat[at] * f));
            put(d_hat * e, q);
            put(u_hat, &mut self.units[place(i)]);
        }
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

/// `R` rows from `first` on.
#[inline(always)]
fn rows<T, const R: usize>(matrix: &[T], width: usize, first: usize) -> [&[T]; R] {
    let mut rows = [matrix; R];
    for (at, row) in rows.iter_mut().enumerate() {
        *row = &matrix[(first + at) * width..][..width];
    }
    rows
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
        let Self { features, pairs, gradients } = self;
        let Sizes { n, shape, .. } = features.sizes;
        // The records of a register of units stay in the L1 cache. Four samples at a time have a quarter of the loads, where there are
        // registers enough.
        let fours = if S::REGISTERS > 16 { n / 4 } else { 0 };
        for block in registers::<T, S>(shape.hidden()).enumerate() {
            for four in 0..fours {
                gradients.units_back::<S, 4>(simd, features, &pairs.grams, 4 * four, block.clone());
            }
            for sample in 4 * fours..n {
                gradients.units_back::<S, 1>(simd, features, &pairs.grams, sample, block.clone());
            }
        }
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
