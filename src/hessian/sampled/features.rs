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

use core::ops::Range;

use crate::activation::Activation;
use crate::elementwise;
use crate::gemm::{self, Matrix, MatrixMut, gemm};
use crate::hessian::evaluation::first_largest;
use crate::hessian::sampled::pairs::Diagonal;
use crate::hessian::sampled::sketch::{Roots, Signs, get, put};
use crate::hessian::samples::Samples;
use crate::network::Shape;
use crate::plan::{product, sum};
use crate::random::Random;
use crate::real::Real;
use crate::simd::{InstructionSet, Kernel, Lanes, Simd};
use crate::vector::map_registers;
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
            product(&[2, self.n]),
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
    /// c.
    pivots: &'w mut [u32],
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
        rows: &[u32],
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
            pivots: &mut bytemuck::cast_slice_mut(take(n))[..n],
        };
        new.gather(samples, rows);
        let f = &mut new.pi_f[vectors * m..];
        elementwise::activate_with_derivatives(isa, activation, new.h, f, new.e, new.t);
        isa.run(Sketch { features: &mut new, random });

        let (zr, v) = (Matrix::row_major(&*new.zr, k, width), Matrix::row_major(samples.v, k, m));
        gemm(isa, T::ONE, zr.t(), v, T::ZERO, MatrixMut::row_major(new.vq, width, m), packing);
        isa.run(Combine { features: &mut new });
        new
    }

    /// Copies x, u (where h will be), p and r of the kept samples, and finds their most probable classes.
    fn gather(&mut self, samples: &Samples<'_, T>, rows: &[u32]) {
        let Sizes { n, shape, .. } = self.sizes;
        let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
        let (width, vectors) = (self.sizes.width(), self.sizes.vectors());
        self.pivot.fill(T::ZERO);
        for (i, &sample) in rows.iter().enumerate() {
            let sample = sample as usize;
            row_mut(self.x, d, i).copy_from_slice(row(samples.x, d, sample));
            row_mut(self.h, m, i).copy_from_slice(row(samples.u, m, sample));
            let (p, r) = (row(samples.p, k, sample), row(samples.r, k, sample));
            for (class, (&p, &r)) in p.iter().zip(r).enumerate() {
                self.p[class * n + i] = p;
                self.zr[class * width + vectors + i] = r;
            }
            let pivot = first_largest(p);
            self.pivot[pivot * n + i] = T::ONE;
            self.pivots[i] = pivot as u32;
            self.inverse[i] = p[pivot];
        }
    }

    /// Draws ε; computes z and z̃.
    #[inline(always)]
    fn sketch<S: Simd>(&mut self, simd: S, random: Random) {
        let Sizes { n, second, shape, .. } = self.sizes;
        let width = self.sizes.width();
        map_registers!(T, S, simd, [p] = [&*self.p], [_x0] = [&mut *self.s] => [p.sqrt()]);
        let one = T::Lanes::<S>::splat(simd, T::ONE);
        map_registers!(T, S, simd, [] = [], [p] = [&mut *self.inverse] => [one / (one + p.sqrt())]);
        let roots = Roots { n, s: self.s, pivot: self.pivot, inverse: self.inverse };
        for (draw, epsilon) in self.epsilon.chunks_exact_mut(n * shape.classes()).enumerate() {
            let signs = match second {
                true => Signs::Random { random, second: draw == 1 },
                false => Signs::Unit { index: draw },
            };
            signs.write(self.pivots, epsilon);
            for samples in registers::<T, S>(n) {
                roots.write(simd, epsilon, samples, self.zr, (width, self.sizes.column(draw)));
            }
        }
    }

    /// ζ, π, d and μ from v, q and the activation's derivatives.
    #[inline(always)]
    fn combine<S: Simd>(&mut self, simd: S) {
        let Sizes { n, l, second, shape } = self.sizes;
        let m = shape.hidden();
        let (vectors, paired) = (self.sizes.vectors(), self.sizes.paired());
        let half = T::Lanes::<S>::splat(simd, T::HALF);
        let (pi, f) = self.pi_f.split_at_mut(vectors * m);
        for i in 0..n {
            let (h, f, e) = (row(self.h, m, i), row(f, m, i), row(self.e, m, i));
            let (d, mu) = row_mut(self.d_mu, 2 * m, i).split_at_mut(m);
            let q = row(self.vq, m, vectors + i);
            map_registers!(T, S, simd, [e, q] = [e, q], [_x0, _x1] = [d, &mut *mu] => [e * q, half * (e * q)]);
            for li in (0..l).map(|l| l * n + i) {
                let out = [row_mut(self.zeta, m, li), row_mut(pi, m, li), &mut *mu];
                map_registers!(T, S, simd, [v, f, h] = [row(self.vq, m, li), f, h], [_x0, _x1, mu] = out => {
                    let zeta = f * v;
                    [zeta, zeta * h, zeta.mul_add(zeta, mu)]
                });
            }
            if second {
                let out = [row_mut(self.zeta_second, m, i)];
                map_registers!(T, S, simd, [v, f] = [row(self.vq, m, paired + i), f], [_x0] = out => [v * f]);
            }
        }
    }

    /// The way back, once: writes V̂, what depends on V other than through the logits, and leaves in `hats` the derivatives with respect to
    /// the samples' logits ([`Hats::logits`]) and pre-activations ([`Hats::h`]).
    pub(super) fn back(
        &mut self,
        isa: InstructionSet,
        v: &[T],
        diagonal: &Diagonal<'w, T>,
        hats: &mut Hats<'w, T>,
        v_hat: &mut [T],
        packing: &mut [T],
    ) {
        let (m, k, width) = (self.sizes.shape.hidden(), self.sizes.shape.classes(), self.sizes.width());
        isa.run(CombineBack { features: self, diagonal, hats });
        let (zr, vq_hat) = (Matrix::row_major(&*self.zr, k, width), Matrix::row_major(&*self.vq, width, m));
        gemm(isa, T::ONE, zr, vq_hat, T::ZERO, MatrixMut::row_major(v_hat, k, m), packing);
        let (v, zr_hat) = (Matrix::row_major(v, k, m), MatrixMut::row_major(hats.zr, k, width));
        gemm(isa, T::ONE, v, vq_hat.t(), T::ONE, zr_hat, packing);
        isa.run(LogitsBack { features: self, hats });
    }

    /// Between z and z̃.
    #[inline(always)]
    fn second_back<S: Simd>(&self, simd: S, diagonal: &Diagonal<'_, T>, hats: &mut Hats<'_, T>) {
        let (n, width, paired) = (self.sizes.n, self.sizes.width(), self.sizes.paired());
        for (zr, hats) in self.zr.chunks_exact(width).zip(hats.zr.chunks_exact_mut(width)) {
            let (hats, second_hats) = hats.split_at_mut(paired);
            let (inputs, out) = ([&zr[..n], &zr[paired..], &*diagonal.z], [&mut hats[..n], second_hats]);
            map_registers!(T, S, simd, [z, second, coefficient] = inputs, [hat, _x0] = out => {
                [coefficient.mul_add(second, hat), coefficient * z]
            });
        }
    }

    /// From the hats of unit-long features to those of v, q, ṽ (in their place) and u.
    #[inline(always)]
    fn combine_back<S: Simd>(&mut self, simd: S, diagonal: &Diagonal<'_, T>, hats: &mut Hats<'_, T>) {
        let Sizes { n, l, second, shape } = self.sizes;
        let (m, vectors, paired) = (shape.hidden(), self.sizes.vectors(), self.sizes.paired());
        let f = &self.pi_f[vectors * m..];
        let (pi_hat, f_hat) = hats.pi_f.split_at_mut(vectors * m);
        let [two, half] = [T::TWO, T::HALF].map(|x| T::Lanes::<S>::splat(simd, x));
        for i in 0..n {
            let (h, f, e, t) = (row(self.h, m, i), row(f, m, i), row(self.e, m, i), row(self.t, m, i));
            let (h_hat, f_hat) = (row_mut(hats.h, m, i), row_mut(f_hat, m, i));
            let (mu_hat, d_hat) = row(hats.mu_d, 2 * m, i).split_at(m);
            if second {
                let coefficient = T::Lanes::<S>::splat(simd, diagonal.zeta[i]);
                let inputs = [row(self.zeta, m, i), row(self.zeta_second, m, i), f];
                let out = [row_mut(hats.zeta, m, i), &mut *f_hat, row_mut(self.vq, m, paired + i)];
                map_registers!(T, S, simd, [zeta, second, f] = inputs, [zeta_hat, f_hat, v] = out => {
                    let second_hat = coefficient * zeta;
                    [coefficient.mul_add(second, zeta_hat), second_hat.mul_add(v, f_hat), second_hat * f]
                });
            }
            for li in (0..l).map(|l| l * n + i) {
                let inputs = [row(self.zeta, m, li), row(hats.zeta, m, li), row(pi_hat, m, li), mu_hat, h, f];
                let out = [&mut *h_hat, &mut *f_hat, row_mut(self.vq, m, li)];
                map_registers!(T, S, simd, [zeta, zeta_hat, pi_hat, mu_hat, h, f] = inputs, [h_hat, f_hat, v] = out => {
                    let zeta_hat = (two * zeta).mul_add(mu_hat, pi_hat.mul_add(h, zeta_hat));
                    [pi_hat.mul_add(zeta, h_hat), zeta_hat.mul_add(v, f_hat), zeta_hat * f]
                });
            }
            let constant = T::Lanes::<S>::splat(simd, diagonal.d[i]);
            let inputs = [&*f_hat, mu_hat, d_hat, f, e, t];
            let out = [&mut *h_hat, row_mut(self.vq, m, vectors + i)];
            map_registers!(T, S, simd, [f_hat, mu_hat, d_hat, f, e, t] = inputs, [h_hat, q] = out => {
                let d_hat = half.mul_add(mu_hat, d_hat + constant);
                [(d_hat * q).mul_add(t, f_hat.mul_add(e, h_hat * f)), d_hat * e]
            });
        }
    }

    /// From the hats of z, r and z̃ to those of the logits.
    ///
    /// ẑ is what it was if a multiple of p is added to ℓ̂; it is added so that ℓ̂ vanishes at the most probable class, and nothing
    /// cancels where the network is certain.
    #[inline(always)]
    fn logits_back<S: Simd>(&mut self, simd: S, hats: &mut Hats<'_, T>) {
        let Sizes { n, shape, .. } = self.sizes;
        let (k, width, vectors) = (shape.classes(), self.sizes.width(), self.sizes.vectors());
        let [one, half] = [T::ONE, T::HALF].map(|x| T::Lanes::<S>::splat(simd, x));
        let logits = &mut *hats.logits;
        logits.fill(T::ZERO);
        let roots = Roots { n, s: self.s, pivot: self.pivot, inverse: self.inverse };
        for samples in registers::<T, S>(n) {
            for (draw, epsilon) in self.epsilon.chunks_exact(n * k).enumerate() {
                let place = (width, self.sizes.column(draw));
                roots.back(simd, epsilon, samples.clone(), hats.zr, place, logits);
            }
            let at = |class: usize| class * n + samples.start..class * n + samples.end;
            // ℓ̂, and its quotient by p at the most probable class.
            let (mut shift, mut largest) = (T::Lanes::<S>::zero(simd), T::Lanes::<S>::zero(simd));
            for class in 0..k {
                let r_hat = &hats.zr[class * width + vectors..][samples.clone()];
                let (p, pivot) =
                    (get::<T::Lanes<S>>(simd, &self.p[at(class)]), get::<T::Lanes<S>>(simd, &self.pivot[at(class)]));
                let logit = half.mul_add(get(simd, &logits[at(class)]), p * get(simd, r_hat));
                (shift, largest) = (pivot.mul_add(logit, shift), pivot.mul_add(p, largest));
                put(logit, &mut logits[at(class)]);
            }
            let shift = shift / largest;
            let mut others = T::Lanes::<S>::zero(simd);
            for class in 0..k {
                let (p, pivot) =
                    (get::<T::Lanes<S>>(simd, &self.p[at(class)]), get::<T::Lanes<S>>(simd, &self.pivot[at(class)]));
                let logit = (one - pivot) * p.neg_mul_add(shift, get(simd, &logits[at(class)]));
                others = others + logit;
                put(logit, &mut logits[at(class)]);
            }
            for class in 0..k {
                let p: T::Lanes<S> = get(simd, &self.p[at(class)]);
                put(p.neg_mul_add(others, get(simd, &logits[at(class)])), &mut logits[at(class)]);
            }
        }
    }
}

/// The samples, a register at a time.
#[inline(always)]
fn registers<T: Real, S: Simd>(n: usize) -> impl Iterator<Item = Range<usize>> {
    let lanes = T::Lanes::<S>::LANES;
    (0..n).step_by(lanes).map(move |start| start..n.min(start + lanes))
}

/// The stages that run on registers.
struct Sketch<'a, 'w, T> {
    features: &'a mut Features<'w, T>,
    random: Random,
}

impl<T: Real> Kernel for Sketch<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.features.sketch(simd, self.random);
    }
}

struct Combine<'a, 'w, T> {
    features: &'a mut Features<'w, T>,
}

impl<T: Real> Kernel for Combine<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.features.combine(simd);
    }
}

struct CombineBack<'a, 'w, T> {
    features: &'a mut Features<'w, T>,
    diagonal: &'a Diagonal<'w, T>,
    hats: &'a mut Hats<'w, T>,
}

impl<T: Real> Kernel for CombineBack<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if self.features.sizes.second {
            self.features.second_back(simd, self.diagonal, self.hats);
        }
        self.features.combine_back(simd, self.diagonal, self.hats);
    }
}

struct LogitsBack<'a, 'w, T> {
    features: &'a mut Features<'w, T>,
    hats: &'a mut Hats<'w, T>,
}

impl<T: Real> Kernel for LogitsBack<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.features.logits_back(simd, self.hats);
    }
}
