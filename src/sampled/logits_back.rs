//! From the derivatives with respect to ξ̃, ξ and r to those with respect to the kept samples' logits, and the sizes of the contributions.
//!
//! ```text
//! (log p)^ = √p∘(√p)^/2 + p∘r̂       ẑ = (log p)^ − p Σ (log p)^        size² = ‖û‖² Ga + ‖ẑ‖² Gg
//! ```
//!
//! Adding a multiple of p to (log p)^ does not change ẑ. It is added such that (log p)^ is zero at the most probable class; so nothing
//! cancels where the network is certain.
//!
//! **Loop order.** Registers of samples; three passes over the classes.

use crate::kernels::vector::sum_registers;
use crate::sampled::features::{KeptFeatures, Sizes};
use crate::sampled::pairs::Grams;
use crate::sampled::sketch::{get, put, registers};
use crate::simd::{Element, Kernel, Lanes, MAX_LANES, Simd};
use crate::workspace::row;

/// Writes the derivatives and the squares of the sizes.
pub(super) struct LogitsBack<'a, 'w, T> {
    pub features: &'a KeptFeatures<'w, T>,
    pub grams: &'a Grams<'w, T>,
    /// û, J×M.
    pub units: &'a [T],
    /// Derivatives with respect to [ξ̃ | ξ | r], K×`width`; overwritten.
    pub xi_r: &'a mut [T],
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
        for i in 0..n {
            let units = sum_registers!(T, S, simd, [unit] = [row(units, m, i)] => unit * unit).reduce_sum();
            squares[i] = units * grams.ga[i * (n + 1)];
        }
        let (k, sketches, width) = (shape.classes(), features.sizes.sketches(), features.sizes.width());
        let [one, half] = [T::ONE, T::HALF].map(|x| T::Lanes::<S>::splat(simd, x));
        let (p, pivot) = (&*features.roots.p, &*features.roots.pivot);
        features.roots.back(simd, xi_r, width);
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
                    logit = logit + get(simd, &xi_r[at(class * width + first)]);
                    first += n;
                }
                let logit = half.mul_add(logit, p * get(simd, &xi_r[at(class * width + sketches)]));
                (shift, largest) = (pivot.mul_add(logit, shift), pivot.mul_add(p, largest));
                put(logit, &mut logits[at(class * n)]);
            }
            let shift = shift / largest;
            let mut others = T::Lanes::<S>::zero(simd);
            for class in 0..k {
                let (place, out) = (at(class * sketches), at(class * n));
                let (p, pivot) = (get::<T::Lanes<S>>(simd, &p[place.clone()]), get::<T::Lanes<S>>(simd, &pivot[place]));
                let logit = (one - pivot) * p.neg_mul_add(shift, get(simd, &logits[out.clone()]));
                others = others + logit;
                put(logit, &mut logits[out]);
            }
            let mut square = T::Lanes::<S>::zero(simd);
            for class in 0..k {
                let out = at(class * n);
                let p: T::Lanes<S> = get(simd, &p[at(class * sketches)]);
                let logit = p.neg_mul_add(others, get(simd, &logits[out.clone()]));
                square = logit.mul_add(logit, square);
                put(logit, &mut logits[out]);
            }
            let own = samples.clone().map(|i| grams.gg[i * (n + 1)]);
            let mut gg = [T::ZERO; MAX_LANES];
            gg.iter_mut().zip(own).for_each(|(place, gg)| *place = gg);
            let gg: T::Lanes<S> = get(simd, &gg[..samples.len()]);
            put(square.mul_add(gg, get(simd, &squares[samples.clone()])), &mut squares[samples]);
        }
    }
}
