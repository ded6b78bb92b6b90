//! Inner products, over the units, of the records of all pairs of kept samples.
//!
//! **Loop order.** Samples i; two samples j ≥ i at a time; registers of units. A pair's sums stay in registers, and each is added up once,
//! four at a time. All but π·f' are symmetric, and are written to both places. **Cost**, multiply–adds a pair: 7M, half of it by symmetry;
//! each further vector ξ of the samples adds its products with all others.

use crate::sampled::features::Sizes;
use crate::sampled::sketch::read;
use crate::simd::{Element, Kernel, Lanes, Simd};

/// The matrices of inner products of kept samples, which [`InnerProducts`] writes.
pub(super) struct InnerProducts<'a, T> {
    pub sizes: Sizes,
    pub records: &'a [T],
    /// h·h' + 1, J×J.
    pub gg: &'a mut [T],
    /// f·f', J×J.
    pub ff: &'a mut [T],
    /// Δ·d' + d·Δ', J×J.
    pub delta_d: &'a mut [T],
    /// ζ·ζ', `vectors`×`vectors`.
    pub zeta: &'a mut [T],
    /// π·f' and f·π': for each vector of a sample, J×J.
    pub pi_f: &'a mut [T],
    pub f_pi: &'a mut [T],
}

impl<T: Element> Kernel for InnerProducts<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        for i in 0..self.sizes.n {
            for j in (i..self.sizes.n).step_by(2) {
                self.first_vectors(simd, i, [j, (j + 1).min(self.sizes.n - 1)]);
            }
        }
        if self.sizes.l > 1 {
            self.further_vectors(simd);
        }
    }
}

impl<T: Element> InnerProducts<'_, T> {
    /// Elements of a record and of a block of them, and the blocks.
    #[inline(always)]
    fn blocks<S: Simd>(&self) -> (usize, usize, usize) {
        let lanes = T::Lanes::<S>::LANES;
        let record = self.sizes.record() * lanes;
        (record, self.sizes.n * record, self.sizes.shape.hidden().div_ceil(lanes))
    }

    /// Everything of sample i and two others but their further vectors.
    #[inline(always)]
    fn first_vectors<S: Simd>(&mut self, simd: S, i: usize, others: [usize; 2]) {
        let zero = T::Lanes::<S>::zero(simd);
        let (record, block, blocks) = self.blocks::<S>();
        let (mut symmetric, mut mixed) = ([[zero; 4]; 2], [[zero; 2]; 2]);
        for block in self.records.chunks_exact(block).take(blocks) {
            let [h, f, d, delta, zeta, pi]: [T::Lanes<S>; 6] = read(simd, &block[i * record..]);
            for ((symmetric, mixed), j) in symmetric.iter_mut().zip(&mut mixed).zip(others) {
                let other: [T::Lanes<S>; 6] = read(simd, &block[j * record..]);
                symmetric[0] = h.mul_add(other[0], symmetric[0]);
                symmetric[1] = f.mul_add(other[1], symmetric[1]);
                symmetric[2] = delta.mul_add(other[2], d.mul_add(other[3], symmetric[2]));
                symmetric[3] = zeta.mul_add(other[4], symmetric[3]);
                mixed[0] = pi.mul_add(other[1], mixed[0]);
                mixed[1] = f.mul_add(other[5], mixed[1]);
            }
        }
        // All in slices of one length: one check for all of a pair's places.
        let (n, vectors) = (self.sizes.n, self.sizes.vectors());
        let [gg, ff, delta_d] = [&mut *self.gg, &mut *self.ff, &mut *self.delta_d].map(|matrix| &mut matrix[..n * n]);
        let (pi_f, f_pi) = (&mut self.pi_f[..n * n], &mut self.f_pi[..n * n]);
        let zeta = &mut self.zeta[..vectors * vectors];
        let mixed = T::Lanes::<S>::reduce_sums([mixed[0][0], mixed[0][1], mixed[1][0], mixed[1][1]]);
        for (at, (j, symmetric)) in others.into_iter().zip(symmetric).enumerate() {
            let [gg_sum, ff_sum, delta_d_sum, zeta_sum] = T::Lanes::<S>::reduce_sums(symmetric);
            let [pi_f_sum, f_pi_sum] = [mixed[2 * at], mixed[2 * at + 1]];
            let (own, other) = (i * n + j, j * n + i);
            for place in [own, other] {
                (gg[place], ff[place], delta_d[place]) = (gg_sum + T::ONE, ff_sum, delta_d_sum);
            }
            (zeta[i * vectors + j], zeta[j * vectors + i]) = (zeta_sum, zeta_sum);
            (pi_f[own], f_pi[own], pi_f[other], f_pi[other]) = (pi_f_sum, f_pi_sum, f_pi_sum, pi_f_sum);
        }
    }

    /// The products of vectors other than the first of both samples.
    #[inline(always)]
    fn further_vectors<S: Simd>(&mut self, simd: S) {
        let Sizes { n, l, .. } = self.sizes;
        let (lanes, zero, vectors) = (T::Lanes::<S>::LANES, T::Lanes::<S>::zero(simd), self.sizes.vectors());
        let (record, block, blocks) = self.blocks::<S>();
        for (i, j) in (0..n * n).map(|pair| (pair / n, pair % n)) {
            for li in 0..l {
                for first in (0..l).step_by(4) {
                    let (mut sums, mut pi_f) = ([zero; 4], zero);
                    for block in self.records.chunks_exact(block).take(blocks) {
                        let vector = |i: usize, l: usize| &block[i * record + (4 + 2 * l) * lanes..];
                        let [zeta, pi]: [T::Lanes<S>; 2] = read(simd, vector(i, li));
                        let [f]: [T::Lanes<S>; 1] = read(simd, &block[j * record + lanes..]);
                        pi_f = pi.mul_add(f, pi_f);
                        for (sum, lj) in sums.iter_mut().zip(first..l) {
                            let [other]: [T::Lanes<S>; 1] = read(simd, vector(j, lj));
                            *sum = zeta.mul_add(other, *sum);
                        }
                    }
                    let own = li * n + i;
                    for (lj, sum) in (first..l).zip(T::Lanes::<S>::reduce_sums(sums)) {
                        self.zeta[own * vectors + lj * n + j] = sum;
                    }
                    let pi_f = pi_f.reduce_sum();
                    (self.pi_f[own * n + j], self.f_pi[(li * n + j) * n + i]) = (pi_f, pi_f);
                }
            }
        }
    }
}
