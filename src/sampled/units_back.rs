//! From the coefficients of the pairs to the derivatives with respect to the kept samples' pre-activations, and to Vᵀξ̃, Vᵀξ and q.
//!
//! With the features of [`features`](super::features), and the sums of [`pairs`](super::pairs) for ĝ, ζ̂, π̂, f̂, Δ̂ and d̂:
//!
//! ```text
//! ζ̂ += π̂∘h + 2ζ∘Δ̂       ĝ += π̂∘ζ        f̂ += ζ̂∘Vᵀξ + (ζ̃)^∘Vᵀξ̃        d̂ += Δ̂/2        q̂ = d̂∘e        ê = d̂∘q
//! (Vᵀξ)^ = f∘ζ̂        û = ĝ∘f + f̂∘e + ê∘t
//! ```
//!
//! **Loop order.** Registers of units; samples, four at a time; all other samples. The sums of a register of units stay in registers, and so
//! does what follows from them. **Cost**, multiply–adds a pair with one vector a sample: 7M.

use core::ops::Range;

use crate::sampled::features::{KeptFeatures, Sizes};
use crate::sampled::pairs::Grams;
use crate::sampled::sketch::{get, put, read, registers};
use crate::simd::{Element, Kernel, Lanes, Simd};

/// Writes the derivatives.
pub(super) struct UnitsBack<'a, 'w, T> {
    /// The derivatives with respect to Vᵀξ̃, Vᵀξ and q take the places of these.
    pub features: &'a mut KeptFeatures<'w, T>,
    pub grams: &'a Grams<'w, T>,
    /// û, J×M.
    pub units: &'a mut [T],
}

impl<T: Element> Kernel for UnitsBack<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let Sizes { n, shape, .. } = self.features.sizes;
        // The records of a register of units stay in the L1 cache. Four samples at a time have a quarter of the loads, where there are
        // registers enough.
        let fours = if S::REGISTERS > 16 { n / 4 } else { 0 };
        for block in registers::<T, S>(shape.hidden()).enumerate() {
            for four in 0..fours {
                self.samples::<S, 4>(simd, 4 * four, block.clone());
            }
            for sample in 4 * fours..n {
                self.samples::<S, 1>(simd, sample, block.clone());
            }
        }
    }
}

impl<T: Element> UnitsBack<'_, '_, T> {
    /// The sums of the derivatives with respect to the features of units, for `R` samples from `first` on and a register of units; and
    /// what follows from them: the derivatives with respect to Vᵀξ̃, Vᵀξ and q, in the places of these, and u.
    #[inline(always)]
    fn samples<S: Simd, const R: usize>(&mut self, simd: S, first: usize, (block, units): (usize, Range<usize>)) {
        let (sizes, grams) = (self.features.sizes, self.grams);
        let Sizes { n, l, second, shape } = sizes;
        let (m, lanes, vectors) = (shape.hidden(), T::Lanes::<S>::LANES, sizes.vectors());
        let (seconds, sketches, record) = (sizes.seconds(), sizes.sketches(), sizes.record() * lanes);
        let (zero, half) = (T::Lanes::<S>::zero(simd), T::Lanes::<S>::splat(simd, T::HALF));
        let buffers = &mut self.features.buffers;
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
