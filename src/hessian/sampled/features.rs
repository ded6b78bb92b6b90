//! What the pairs of kept samples are made of, and the way back from its derivatives.
//!
//! n kept samples with L vectors z each (see [`sketch`](super::sketch)), in rows `ln + i`; of single random vectors there is a second,
//! independent one, z̃. Class-long quantities are class-major, side by side: `[z | r | z̃]`, K rows of `W = nL + n + ñ` columns. Unit-long
//! ones are sample-major.
//!
//! ```text
//! [v; q; ṽ] = [z | r | z̃]ᵀ V        ζ = f∘v        π = ζ∘h        d = e∘q        μ = Σ_l ζ² + d/2
//! ```
//!
//! and back, from hats of z, r, z̃, h, ζ, ζ̃, π, f, d and μ:
//!
//! ```text
//! ζ̂ += π̂∘h + 2ζ∘μ̂       ĝ += π̂∘ζ        f̂ += ζ̂∘v + ζ̃̂∘ṽ        d̂ += μ̂/2        q̂ = d̂∘e        ê = d̂∘q
//! v̂ = f∘ζ̂               [z | r | z̃]^ += V [v̂; q̂; ṽ̂]ᵀ            V̂ = [z | r | z̃] [v̂; q̂; ṽ̂]
//! ℓ̂ = s∘ŝ/2 + p∘r̂       ẑ = ℓ̂ − p Σ ℓ̂                              (ℓ = log p; the last ẑ is that of the logits)
//! û = ĝ∘f + f̂∘e + ê∘t
//! ```

use crate::activation::Activation;
use crate::elementwise;
use crate::gemm::{self, Matrix, MatrixMut, gemm};
use crate::hessian::evaluation::first_largest;
use crate::hessian::sampled::pairs::Diagonal;
use crate::hessian::sampled::sketch::{Roots, Signs, write_signs};
use crate::hessian::samples::Samples;
use crate::network::Shape;
use crate::plan::{product, sum};
use crate::random::Random;
use crate::real::Real;
use crate::simd::InstructionSet;
use crate::workspace::{Arena, row, row_mut};

/// Sizes of everything about the kept samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Number of samples.
    pub n: usize,
    /// Vectors a sample.
    pub l: usize,
    /// Whether there is a second, independent vector.
    pub second: bool,
    pub shape: Shape,
}

impl Sizes {
    /// Of `n` samples. With two classes one vector is all there is: nothing is random but its sign, which does not matter.
    pub(super) const fn new(shape: Shape, n: usize, sketch: bool) -> Self {
        let others = shape.classes() - 1;
        Self { n, l: if sketch { 1 } else { others }, second: sketch && others > 1, shape }
    }

    /// Number of vectors z.
    pub(super) const fn vectors(self) -> usize {
        self.n.saturating_mul(self.l)
    }

    /// Columns of `[z | r]`.
    pub(super) const fn paired(self) -> usize {
        self.vectors().saturating_add(self.n)
    }

    /// Columns of `[z | r | z̃]`.
    pub(super) const fn width(self) -> usize {
        if self.second { self.paired().saturating_add(self.n) } else { self.paired() }
    }

    /// Sets of ε.
    const fn draws(self) -> usize {
        if self.second { 2 } else { self.l }
    }

    /// The first column of the vectors of a draw in `[z | r | z̃]`.
    const fn column(self, draw: usize) -> usize {
        if self.second && draw == 1 { self.paired() } else { draw * self.n }
    }

    /// Flops of features and their way back.
    pub(super) const fn feature_flops(self) -> u64 {
        product(&[6, self.width(), self.shape.classes(), self.shape.hidden()])
    }

    /// Elements that [`Features::new`] and [`Hats::new`] take.
    pub(super) const fn feature_elements(self) -> u64 {
        let (d, m, k) = (self.shape.inputs(), self.shape.hidden(), self.shape.classes());
        let seconds = if self.second { self.n } else { 0 };
        let features = sum(&[
            product(&[self.n, d]),
            product(&[self.width(), m]),
            product(&[5, self.n, m]),
            product(&[self.vectors(), m]),
            product(&[self.paired(), m]),
            product(&[seconds, m]),
            product(&[self.width(), k]),
            product(&[3, self.n, k]),
            product(&[self.draws(), self.n, k]),
            product(&[3, self.n]),
        ]);
        let hats = sum(&[
            product(&[self.width(), k]),
            product(&[self.n, k]),
            product(&[3, self.n, m]),
            product(&[self.vectors(), m]),
            product(&[self.paired(), m]),
        ]);
        sum(&[features, hats])
    }

    /// Elements of packing space that the products need.
    pub(super) const fn feature_packing(self) -> u64 {
        let (m, k, w) = (self.shape.hidden(), self.shape.classes(), self.width());
        gemm::largest_workspace(&[[w, k, m], [k, m, w], [k, w, m]])
    }
}

/// Quantities of the kept samples.
#[derive(Debug)]
pub(super) struct Features<'w, T> {
    pub sizes: Sizes,
    /// Inputs, n×D.
    pub x: &'w mut [T],
    /// [z | r | z̃], K×W.
    pub zr: &'w mut [T],
    /// [v; q; ṽ], W×M; on the way back their hats.
    vq: &'w mut [T],
    /// h, n×M.
    pub h: &'w mut [T],
    e: &'w mut [T],
    t: &'w mut [T],
    /// ζ, nL×M.
    pub zeta: &'w mut [T],
    /// [π; f], (nL + n)×M.
    pub pi_f: &'w mut [T],
    /// [d | μ], n×2M.
    pub d_mu: &'w mut [T],
    /// ζ̃, ñ×M.
    pub zeta_second: &'w mut [T],
    /// p, √p, e_c, class-major, and 1/(1 + s_c).
    p: &'w mut [T],
    s: &'w mut [T],
    pivot: &'w mut [T],
    inverse: &'w mut [T],
    /// ε of each draw.
    epsilon: &'w mut [T],
    sums: &'w mut [T],
}

/// Derivatives with respect to features.
#[derive(Debug)]
pub(super) struct Hats<'w, T> {
    /// Of [z | r | z̃], K×W.
    pub zr: &'w mut [T],
    /// Of h, n×M; on the way back of u.
    pub h: &'w mut [T],
    /// Of ζ, nL×M.
    pub zeta: &'w mut [T],
    /// Of [π; f].
    pub pi_f: &'w mut [T],
    /// Of [μ | d], n×2M: the other way round than the features.
    pub mu_d: &'w mut [T],
    /// Of the logits, K×n: the result.
    pub logits: &'w mut [T],
}

impl<'w, T> Hats<'w, T> {
    pub(super) fn new(sizes: Sizes, arena: &mut Arena<'w, T>) -> Self {
        let (m, k) = (sizes.shape.hidden(), sizes.shape.classes());
        Self {
            zr: arena.take(k * sizes.width()),
            h: arena.take(sizes.n * m),
            zeta: arena.take(sizes.vectors() * m),
            pi_f: arena.take(sizes.paired() * m),
            mu_d: arena.take(2 * sizes.n * m),
            logits: arena.take(sizes.n * k),
        }
    }
}

impl<'w, T: Real> Features<'w, T> {
    /// Features of the samples that stand at `rows` in the batch.
    #[allow(clippy::too_many_arguments, reason = "one stage of an evaluation: what it reads, and scratch")]
    pub(super) fn new(
        isa: InstructionSet,
        sizes: Sizes,
        activation: Activation,
        samples: &Samples<'_, T>,
        rows: impl Iterator<Item = usize> + Clone,
        random: Random,
        arena: &mut Arena<'w, T>,
        packing: &mut [T],
    ) -> Self {
        let Sizes { n, shape, .. } = sizes;
        let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
        let (width, vectors, paired) = (sizes.width(), sizes.vectors(), sizes.paired());
        let mut take = |len| arena.take(len);
        let mut new = Self {
            sizes,
            x: take(n * d),
            zr: take(k * width),
            vq: take(width * m),
            h: take(n * m),
            e: take(n * m),
            t: take(n * m),
            zeta: take(vectors * m),
            pi_f: take(paired * m),
            d_mu: take(2 * n * m),
            zeta_second: take((width - paired) * m),
            p: take(n * k),
            s: take(n * k),
            pivot: take(n * k),
            inverse: take(n),
            epsilon: take(sizes.draws() * n * k),
            sums: take(2 * n),
        };
        new.gather(samples, rows.clone());
        let f = &mut new.pi_f[vectors * m..];
        elementwise::activate_with_derivatives(isa, activation, new.h, f, new.e, new.t);
        new.draw(isa, rows, random);

        let (zr, v) = (Matrix::row_major(&*new.zr, k, width), Matrix::row_major(samples.v, k, m));
        gemm(isa, T::ONE, zr.t(), v, T::ZERO, MatrixMut::row_major(new.vq, width, m), packing);
        isa.vectorize(|| new.combine());
        new
    }

    /// Copies x, u (where h will be), p and r of the kept samples, and finds their most probable classes.
    fn gather(&mut self, samples: &Samples<'_, T>, rows: impl Iterator<Item = usize>) {
        let Sizes { n, shape, .. } = self.sizes;
        let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
        let (width, vectors) = (self.sizes.width(), self.sizes.vectors());
        self.pivot.fill(T::ZERO);
        for (i, sample) in rows.enumerate() {
            row_mut(self.x, d, i).copy_from_slice(row(samples.x, d, sample));
            row_mut(self.h, m, i).copy_from_slice(row(samples.u, m, sample));
            let (p, r) = (row(samples.p, k, sample), row(samples.r, k, sample));
            for (class, (&p, &r)) in p.iter().zip(r).enumerate() {
                self.p[class * n + i] = p;
                self.zr[class * width + vectors + i] = r;
            }
            let pivot = first_largest(p);
            self.pivot[pivot * n + i] = T::ONE;
            self.inverse[i] = p[pivot];
        }
    }

    /// Draws ε; computes z and z̃.
    fn draw(&mut self, isa: InstructionSet, rows: impl Iterator<Item = usize> + Clone, random: Random) {
        let Sizes { n, second, shape, .. } = self.sizes;
        let (k, width) = (shape.classes(), self.sizes.width());
        for (draw, epsilon) in self.epsilon.chunks_exact_mut(n * k).enumerate() {
            let signs = match second {
                true => Signs::Random { random, second: draw == 1 },
                false => Signs::Unit { index: draw },
            };
            write_signs(signs, k, rows.clone(), self.pivot, epsilon);
        }
        isa.vectorize(|| {
            for (s, &p) in self.s.iter_mut().zip(&*self.p) {
                *s = p.sqrt();
            }
            for inverse in &mut *self.inverse {
                *inverse = T::ONE / (T::ONE + inverse.sqrt());
            }
            let roots = Roots { n, s: self.s, pivot: self.pivot, inverse: self.inverse };
            for (draw, epsilon) in self.epsilon.chunks_exact(n * k).enumerate() {
                roots.write(epsilon, &mut self.sums[..n], self.zr, width, self.sizes.column(draw));
            }
        });
    }

    /// ζ, π, d and μ from v, q and the activation's derivatives.
    #[inline(always)]
    fn combine(&mut self) {
        let Sizes { n, l, second, shape } = self.sizes;
        let m = shape.hidden();
        let (vectors, paired) = (self.sizes.vectors(), self.sizes.paired());
        let (pi, f) = self.pi_f.split_at_mut(vectors * m);
        for i in 0..n {
            let (h, f, e) = (row(self.h, m, i), row(f, m, i), row(self.e, m, i));
            let (d, mu) = row_mut(self.d_mu, 2 * m, i).split_at_mut(m);
            for ((d, mu), (&e, &q)) in d.iter_mut().zip(&mut *mu).zip(e.iter().zip(row(self.vq, m, vectors + i))) {
                *d = e * q;
                *mu = T::HALF * *d;
            }
            for li in (0..l).map(|l| l * n + i) {
                let (v, zeta, pi) = (row(self.vq, m, li), row_mut(self.zeta, m, li), row_mut(pi, m, li));
                let out = zeta.iter_mut().zip(pi).zip(&mut *mu);
                for (((zeta, pi), mu), ((&v, &f), &h)) in out.zip(v.iter().zip(f).zip(h)) {
                    *zeta = f * v;
                    *pi = *zeta * h;
                    *mu += *zeta * *zeta;
                }
            }
            if second {
                let v = row(self.vq, m, paired + i);
                for ((zeta, &v), &f) in row_mut(self.zeta_second, m, i).iter_mut().zip(v).zip(f) {
                    *zeta = f * v;
                }
            }
        }
    }

    /// The way back, once: writes V̂, what depends on V other than through the logits, and leaves in `hats` the derivatives with respect to
    /// the samples' logits ([`Hats::logits`]) and pre-activations ([`Hats::h`]).
    pub(super) fn back(
        &mut self,
        isa: InstructionSet,
        v: &[T],
        diagonal: &Diagonal<'_, T>,
        hats: &mut Hats<'_, T>,
        v_hat: &mut [T],
        packing: &mut [T],
    ) {
        let (m, k, width) = (self.sizes.shape.hidden(), self.sizes.shape.classes(), self.sizes.width());
        isa.vectorize(|| {
            if self.sizes.second {
                self.second_back(diagonal, hats);
            }
            self.combine_back(diagonal, hats);
        });
        let (zr, vq_hat) = (Matrix::row_major(&*self.zr, k, width), Matrix::row_major(&*self.vq, width, m));
        gemm(isa, T::ONE, zr, vq_hat, T::ZERO, MatrixMut::row_major(v_hat, k, m), packing);
        let (v, zr_hat) = (Matrix::row_major(v, k, m), MatrixMut::row_major(hats.zr, k, width));
        gemm(isa, T::ONE, v, vq_hat.t(), T::ONE, zr_hat, packing);
        isa.vectorize(|| self.logits_back(hats));
    }

    /// Between z and z̃.
    #[inline(always)]
    fn second_back(&self, diagonal: &Diagonal<'_, T>, hats: &mut Hats<'_, T>) {
        let (n, width, paired) = (self.sizes.n, self.sizes.width(), self.sizes.paired());
        for (zr, hats) in self.zr.chunks_exact(width).zip(hats.zr.chunks_exact_mut(width)) {
            let (hats, second_hats) = hats.split_at_mut(paired);
            let both = zr[..n].iter().zip(&zr[paired..]).zip(&*diagonal.z);
            for ((hat, second_hat), ((&z, &second), &coefficient)) in hats.iter_mut().zip(second_hats).zip(both) {
                *hat += coefficient * second;
                *second_hat = coefficient * z;
            }
        }
    }

    /// From the hats of unit-long features to those of v, q, ṽ (in their place) and u.
    #[inline(always)]
    fn combine_back(&mut self, diagonal: &Diagonal<'_, T>, hats: &mut Hats<'_, T>) {
        let Sizes { n, l, second, shape } = self.sizes;
        let (m, vectors, paired) = (shape.hidden(), self.sizes.vectors(), self.sizes.paired());
        let f = &self.pi_f[vectors * m..];
        let (pi_hat, f_hat) = hats.pi_f.split_at_mut(vectors * m);
        for i in 0..n {
            let (h, f, e, t) = (row(self.h, m, i), row(f, m, i), row(self.e, m, i), row(self.t, m, i));
            let (h_hat, f_hat) = (row_mut(hats.h, m, i), row_mut(f_hat, m, i));
            let (mu_hat, d_hat) = row(hats.mu_d, 2 * m, i).split_at(m);
            if second {
                let (zeta, zeta_second) = (row(self.zeta, m, i), row(self.zeta_second, m, i));
                let (coefficient, v) = (diagonal.zeta[i], row_mut(self.vq, m, paired + i));
                let hats = row_mut(hats.zeta, m, i).iter_mut().zip(&mut *f_hat).zip(v);
                for (((zeta_hat, f_hat), v), ((&zeta, &second), &f)) in hats.zip(zeta.iter().zip(zeta_second).zip(f)) {
                    *zeta_hat += coefficient * second;
                    let second_hat = coefficient * zeta;
                    *f_hat += second_hat * *v;
                    *v = second_hat * f;
                }
            }
            for li in (0..l).map(|l| l * n + i) {
                let (zeta, v) = (row(self.zeta, m, li), row_mut(self.vq, m, li));
                let given = row(hats.zeta, m, li).iter().zip(row(pi_hat, m, li)).zip(mu_hat);
                let out = h_hat.iter_mut().zip(&mut *f_hat).zip(v);
                let here = zeta.iter().zip(h).zip(f);
                for (((h_hat, f_hat), v), (((&zeta_hat, &pi_hat), &mu_hat), ((&zeta, &h), &f))) in
                    out.zip(given.zip(here))
                {
                    let zeta_hat = zeta_hat + pi_hat * h + T::TWO * zeta * mu_hat;
                    *h_hat += pi_hat * zeta;
                    *f_hat += zeta_hat * *v;
                    *v = zeta_hat * f;
                }
            }
            let (constant, q) = (diagonal.d[i], row_mut(self.vq, m, vectors + i));
            let given = f_hat.iter().zip(mu_hat.iter().zip(d_hat));
            let here = f.iter().zip(e.iter().zip(t));
            for ((h_hat, q), ((&f_hat, (&mu_hat, &d_hat)), (&f, (&e, &t)))) in
                h_hat.iter_mut().zip(q).zip(given.zip(here))
            {
                let d_hat = d_hat + T::HALF * mu_hat + constant;
                *h_hat = *h_hat * f + f_hat * e + d_hat * *q * t;
                *q = d_hat * e;
            }
        }
    }

    /// From the hats of z, r and z̃ to those of the logits.
    ///
    /// ẑ is what it was if a multiple of p is added to ℓ̂; it is added so that ℓ̂ vanishes at the most probable class, and nothing
    /// cancels where the network is certain.
    #[inline(always)]
    fn logits_back(&mut self, hats: &mut Hats<'_, T>) {
        let Sizes { n, shape, .. } = self.sizes;
        let (k, width, vectors) = (shape.classes(), self.sizes.width(), self.sizes.vectors());
        let logits = &mut *hats.logits;
        logits.fill(T::ZERO);
        let (sums, others) = self.sums.split_at_mut(n);
        let roots = Roots { n, s: self.s, pivot: self.pivot, inverse: self.inverse };
        for (draw, epsilon) in self.epsilon.chunks_exact(n * k).enumerate() {
            roots.back(epsilon, [sums, others], hats.zr, (width, self.sizes.column(draw)), logits);
        }
        sums.fill(T::ZERO);
        for (class, logits) in logits.chunks_exact_mut(n).enumerate() {
            let r_hat = &hats.zr[class * width + vectors..];
            let (p, pivot) = (row(self.p, n, class), row(self.pivot, n, class));
            for ((logit, sum), ((&p, &pivot), &r_hat)) in
                logits.iter_mut().zip(&mut *sums).zip(p.iter().zip(pivot).zip(r_hat))
            {
                *logit = T::HALF * *logit + p * r_hat;
                *sum += pivot * (*logit / (p + (T::ONE - pivot)));
            }
        }
        others.fill(T::ZERO);
        for (class, logits) in logits.chunks_exact_mut(n).enumerate() {
            let (p, pivot) = (row(self.p, n, class), row(self.pivot, n, class));
            for ((logit, other), ((&p, &pivot), &shift)) in
                logits.iter_mut().zip(&mut *others).zip(p.iter().zip(pivot).zip(&*sums))
            {
                *logit = (T::ONE - pivot) * (*logit - p * shift);
                *other += *logit;
            }
        }
        for (logits, p) in logits.chunks_exact_mut(n).zip(self.p.chunks_exact(n)) {
            for ((logit, &p), &other) in logits.iter_mut().zip(p).zip(&*others) {
                *logit -= p * other;
            }
        }
    }
}
