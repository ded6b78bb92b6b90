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

use crate::sampled::features::{Buffers, KeptFeatures, Sizes};
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
    /// The derivatives with respect to Vᵀξ̃, Vᵀξ and q, in the places of these, and u, for `R` samples from `first` on and a register of
    /// units.
    #[inline(always)]
    fn samples<S: Simd, const R: usize>(&mut self, simd: S, first: usize, (block, units): (usize, Range<usize>)) {
        let (sizes, grams) = (self.features.sizes, self.grams);
        let Sizes { n, l, second, shape } = sizes;
        let (m, record) = (shape.hidden(), sizes.record() * T::Lanes::<S>::LANES);
        let half = T::Lanes::<S>::splat(simd, T::HALF);
        let Buffers { vq, e, t, records, .. } = &mut self.features.buffers;
        let records = &records[block * n * record..][..n * record];
        let own_records = || records[first * record..].chunks_exact(record);
        let (v_second, vq) = vq.split_at_mut(sizes.seconds() * m);
        let (vectors, q) = vq.split_at_mut(sizes.vectors() * m);

        let mut sums = unit_sums::<T, S, R>(simd, sizes, grams, records, first);
        for own in 0..l {
            let mut vector_sums = vector_sums::<T, S, R>(simd, sizes, grams, records, first, own);
            let zeta = (4 + 2 * own) * T::Lanes::<S>::LANES;
            if second {
                let rows = v_second[first * m..].chunks_exact_mut(m).zip(&grams.own_zeta[first..]);
                for (([zeta_hat, _, f_hat], record), (v, &own)) in vector_sums.iter_mut().zip(own_records()).zip(rows) {
                    let [_, f]: [T::Lanes<S>; 2] = read(simd, record);
                    let [zeta]: [T::Lanes<S>; 1] = read(simd, &record[zeta..]);
                    let (coefficient, place) = (T::Lanes::<S>::splat(simd, own), &mut v[units.clone()]);
                    let (v, second_hat) = (get::<T::Lanes<S>>(simd, place), coefficient * zeta);
                    *zeta_hat = coefficient.mul_add(f * v, *zeta_hat);
                    *f_hat = second_hat.mul_add(v, *f_hat);
                    put(second_hat * f, place);
                }
            }
            let rows = vectors[(own * n + first) * m..].chunks_exact_mut(m).zip(&vector_sums);
            for (([h_hat, f_hat, delta_hat, _], record), (v, &[zeta_hat, pi_hat, f_own])) in
                sums.iter_mut().zip(own_records()).zip(rows)
            {
                let [h, f]: [T::Lanes<S>; 2] = read(simd, record);
                let [zeta]: [T::Lanes<S>; 1] = read(simd, &record[zeta..]);
                let place = &mut v[units.clone()];
                let zeta_hat = (zeta + zeta).mul_add(*delta_hat, pi_hat.mul_add(h, zeta_hat));
                *h_hat = pi_hat.mul_add(zeta, *h_hat);
                *f_hat = zeta_hat.mul_add(get(simd, place), *f_hat + f_own);
                put(zeta_hat * f, place);
            }
        }
        let activation = e[first * m..].chunks_exact(m).zip(t[first * m..].chunks_exact(m));
        let rows = q[first * m..].chunks_exact_mut(m).zip(self.units[first * m..].chunks_exact_mut(m));
        let samples = sums.iter().zip(own_records()).zip(&grams.own_d[first..]);
        for (((&[h_hat, f_hat, delta_hat, d_hat], record), &own), ((e, t), (q, u))) in samples.zip(activation.zip(rows))
        {
            let [_, f]: [T::Lanes<S>; 2] = read(simd, record);
            let (e, q): (T::Lanes<S>, _) = (get(simd, &e[units.clone()]), &mut q[units.clone()]);
            let d_hat = T::Lanes::<S>::splat(simd, own) + half.mul_add(delta_hat, d_hat);
            let u_hat = f_hat.mul_add(e, h_hat * f);
            put((d_hat * get(simd, q)).mul_add(get(simd, &t[units.clone()]), u_hat), &mut u[units.clone()]);
            put(d_hat * e, q);
        }
    }
}

/// The sums over all samples for ĝ, f̂, Δ̂ and d̂ of `R` samples from `first` on.
///
/// The coefficients are symmetric: `R` entries of a row are those of one sample in all `R` sums.
#[inline(always)]
fn unit_sums<T: Element, S: Simd, const R: usize>(
    simd: S,
    sizes: Sizes,
    grams: &Grams<'_, T>,
    records: &[T],
    first: usize,
) -> [[T::Lanes<S>; 4]; R] {
    let (n, record) = (sizes.n, sizes.record() * T::Lanes::<S>::LANES);
    let [gg, ff, delta_d] = [&grams.gg_hat[..n * n], &grams.ff[..n * n], &grams.delta_d[..n * n]];
    let mut sums = [[T::Lanes::<S>::zero(simd); 4]; R];
    for (j, other) in records.chunks_exact(record).enumerate() {
        let [h, f, d, delta]: [T::Lanes<S>; 4] = read(simd, other);
        let row = j * n + first;
        let [gg, ff, delta_d] = [&gg[row..][..R], &ff[row..][..R], &delta_d[row..][..R]];
        for at in 0..R {
            let [h_hat, f_hat, delta_hat, d_hat] = sums[at];
            let both = T::Lanes::<S>::splat(simd, delta_d[at]);
            sums[at] = [
                T::Lanes::<S>::splat(simd, gg[at]).mul_add(h, h_hat),
                T::Lanes::<S>::splat(simd, ff[at]).mul_add(f, f_hat),
                both.mul_add(d, delta_hat),
                both.mul_add(delta, d_hat),
            ];
        }
    }
    sums
}

/// The sums over all samples for ζ̂, π̂ and f̂ that go through vector `own` of `R` samples from `first` on.
///
/// Here the coefficients of π̂ are the transpose of those of f̂.
#[inline(always)]
fn vector_sums<T: Element, S: Simd, const R: usize>(
    simd: S,
    sizes: Sizes,
    grams: &Grams<'_, T>,
    records: &[T],
    first: usize,
    own: usize,
) -> [[T::Lanes<S>; 3]; R] {
    let (n, lanes, vectors, pairs) = (sizes.n, T::Lanes::<S>::LANES, sizes.vectors(), sizes.n * sizes.n);
    let record = sizes.record() * lanes;
    let [pi_f, f_pi] = [&grams.pi_f[own * pairs..][..pairs], &grams.f_pi[own * pairs..][..pairs]];
    let zeta_zeta = &grams.zeta[own * n + first..];
    let mut sums = [[T::Lanes::<S>::zero(simd); 3]; R];
    for (j, other) in records.chunks_exact(record).enumerate() {
        let [_, f]: [T::Lanes<S>; 2] = read(simd, other);
        let [zeta, pi]: [T::Lanes<S>; 2] = read(simd, &other[(4 + 2 * own) * lanes..]);
        let row = j * n + first;
        let [pi_f, f_pi] = [&pi_f[row..][..R], &f_pi[row..][..R]];
        let zeta_zeta = &zeta_zeta[(own * n + j) * vectors..][..R];
        for at in 0..R {
            let [zeta_hat, pi_hat, f_hat] = sums[at];
            sums[at] = [
                T::Lanes::<S>::splat(simd, zeta_zeta[at]).mul_add(zeta, zeta_hat),
                T::Lanes::<S>::splat(simd, f_pi[at]).mul_add(f, pi_hat),
                T::Lanes::<S>::splat(simd, pi_f[at]).mul_add(pi, f_hat),
            ];
        }
    }
    for vector in (0..sizes.l).filter(|&vector| vector != own) {
        for (j, other) in records.chunks_exact(record).enumerate() {
            let [zeta]: [T::Lanes<S>; 1] = read(simd, &other[(4 + 2 * vector) * lanes..]);
            let zeta_zeta = &zeta_zeta[(vector * n + j) * vectors..][..R];
            for at in 0..R {
                sums[at][0] = T::Lanes::<S>::splat(simd, zeta_zeta[at]).mul_add(zeta, sums[at][0]);
            }
        }
    }
    sums
}
