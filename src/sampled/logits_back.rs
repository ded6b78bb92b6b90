//! From the derivatives with respect to ξ̃, ξ and r to those with respect to the kept samples' logits, and the sizes of the contributions.
//!
//! ```text
//! (log p)^ = √p∘(√p)^/2 + p∘r̂       ẑ = (log p)^ − p Σ (log p)^        size² = ‖û‖² Ga + ‖ẑ‖² Gg
//! ```
//!
//! Adding a multiple of p to (log p)^ does not change ẑ. It is added such that (log p)^ is zero at the most probable class; so nothing
//! cancels where the network is certain: with the sums over all other classes,
//!
//! ```text
//! shift = (log p)^_top/p_top        Σ = Σ_others (log p)^ − shift Σ_others p        ẑ = 1_others∘((log p)^ − shift p) − p Σ
//! ```
//!
//! **Loop order.** Registers of samples; for each vector two passes over the classes, and two for all of them. Then the units of four
//! samples at a time.

use crate::kernels::vector::sum_registers;
use crate::sampled::features::{KeptFeatures, Sizes};
use crate::sampled::pairs::Grams;
use crate::sampled::sketch::{HAT, get, put, read, registers, write};
use crate::simd::{Element, Kernel, Lanes, Simd};
use crate::workspace::row;

/// Writes the derivatives and the squares of the sizes.
pub(super) struct LogitsBack<'a, 'w, T> {
    /// Whose records take (log p)^.
    pub features: &'a mut KeptFeatures<'w, T>,
    pub grams: &'a Grams<'w, T>,
    /// û, J×M.
    pub units: &'a [T],
    /// Derivatives with respect to [ξ̃ | ξ | r], K×`width`.
    pub xi_r: &'a [T],
    /// ẑ, K×J.
    pub logits: &'a mut [T],
    /// size² of every sample.
    pub squares: &'a mut [T],
}

impl<T: Element> Kernel for LogitsBack<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { features, grams, units, xi_r, logits, squares } = self;
        let Sizes { n, shape, .. } = features.sizes;
        let m = shape.hidden();
        let (sketches, width) = (features.sizes.sketches(), features.sizes.width());
        let zero = T::Lanes::<S>::zero(simd);
        let [one, half] = [T::ONE, T::HALF].map(|x| T::Lanes::<S>::splat(simd, x));
        let (lanes, record) = (T::Lanes::<S>::LANES, features.roots.record::<S>());
        for (block, samples) in registers::<T, S>(n).enumerate() {
            features.roots.back(simd, (block, &samples), xi_r, width);
            let records = features.roots.records::<S>(block);
            // Of (log p)^ and of p, the entry of the most probable class, and the sum of the others.
            let [mut top, mut others, mut p_top, mut p_others] = [zero; 4];
            let r_hats = sketches + samples.start..sketches + samples.end;
            for (record, r_hat) in records.chunks_exact_mut(record).zip(xi_r.chunks(width)) {
                let [p, _, pivot, hat]: [T::Lanes<S>; 4] = read(simd, record);
                let logit = half.mul_add(hat, p * get(simd, &r_hat[r_hats.clone()]));
                let other = one - pivot;
                (top, others) = (pivot.mul_add(logit, top), other.mul_add(logit, others));
                (p_top, p_others) = (pivot.mul_add(p, p_top), other.mul_add(p, p_others));
                write(&mut record[HAT * lanes..], [logit]);
            }
            let shift = top / p_top;
            let sum = shift.neg_mul_add(p_others, others);
            let mut square = zero;
            for (record, logits) in records.chunks_exact(record).zip(logits.chunks_mut(n)) {
                let [p, _, pivot, logit]: [T::Lanes<S>; 4] = read(simd, record);
                let logit = (one - pivot) * p.neg_mul_add(shift, logit);
                let logit = p.neg_mul_add(sum, logit);
                square = logit.mul_add(logit, square);
                put(logit, &mut logits[samples.clone()]);
            }
            put(square, &mut squares[samples]);
        }
        let (ga, gg) = (&*grams.ga, &*grams.gg);
        for first in (0..n).step_by(4) {
            let mut sums = [zero; 4];
            for (sum, i) in sums.iter_mut().zip(first..n) {
                *sum = sum_registers!(T, S, simd, [unit] = [row(units, m, i)] => unit * unit);
            }
            for (i, units) in (first..n).zip(T::Lanes::<S>::reduce_sums(sums)) {
                let own = i * (n + 1);
                squares[i] = squares[i] * gg[own] + units * ga[own];
            }
        }
    }
}
