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
use crate::sampled::sketch::{get, put, registers};
use crate::simd::{Element, Kernel, Lanes, Simd};
use crate::workspace::row;

/// Writes the derivatives and the squares of the sizes.
pub(super) struct LogitsBack<'a, 'w, T> {
    pub features: &'a KeptFeatures<'w, T>,
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
        let (k, m) = (shape.classes(), shape.hidden());
        let (sketches, width) = (features.sizes.sketches(), features.sizes.width());
        let zero = T::Lanes::<S>::zero(simd);
        let [one, half] = [T::ONE, T::HALF].map(|x| T::Lanes::<S>::splat(simd, x));
        let (p, pivot) = (&*features.roots.buffers.p, &*features.roots.buffers.pivot);
        for samples in registers::<T, S>(n) {
            let at = |row: usize| row + samples.start..row + samples.end;
            features.roots.back(simd, &samples, xi_r, width, logits);
            // Of (log p)^ and of p, the entry of the most probable class, and the sum of the others.
            let [mut top, mut others, mut p_top, mut p_others] = [zero; 4];
            for class in 0..k {
                let (p, pivot): (T::Lanes<S>, T::Lanes<S>) =
                    (get(simd, &p[at(class * n)]), get(simd, &pivot[at(class * n)]));
                let r = get(simd, &xi_r[at(class * width + sketches)]);
                let logit = half.mul_add(get(simd, &logits[at(class * n)]), p * r);
                let other = one - pivot;
                (top, others) = (pivot.mul_add(logit, top), other.mul_add(logit, others));
                (p_top, p_others) = (pivot.mul_add(p, p_top), other.mul_add(p, p_others));
                put(logit, &mut logits[at(class * n)]);
            }
            let shift = top / p_top;
            let sum = shift.neg_mul_add(p_others, others);
            let mut square = zero;
            for class in 0..k {
                let (p, pivot): (T::Lanes<S>, T::Lanes<S>) =
                    (get(simd, &p[at(class * n)]), get(simd, &pivot[at(class * n)]));
                let logit = (one - pivot) * p.neg_mul_add(shift, get(simd, &logits[at(class * n)]));
                let logit = p.neg_mul_add(sum, logit);
                square = logit.mul_add(logit, square);
                put(logit, &mut logits[at(class * n)]);
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
