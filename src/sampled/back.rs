//! From the coefficients of the pairs to what the sweep needs: the derivatives with respect to the kept samples' logits and
//! pre-activations, and V̂.
//!
//! ```text
//! [ξ̃ | ξ | r]^ = V [(Vᵀξ̃)^; (Vᵀξ)^; q̂]ᵀ        [ξ | r]^ += [ξ | r] [(ξξ)^ (ξr)^; (rξ)^ (rr)^]        V̂ = [ξ̃ | ξ | r] [(Vᵀξ̃)^; (Vᵀξ)^; q̂]
//! ξ̂ += ξ̃∘own        (ξ̃)^ += ξ∘own        with the coefficients `own` between the two vectors of each sample
//! ```
//!
//! **Order.** The [units](super::units_back), the first two products, the line below them, the [logits](super::logits_back). When the factors
//! of the contributions are known, V̂.

use crate::kernels::context::Context;
use crate::kernels::gemm::{self, Matrix, MatrixMut};
use crate::kernels::vector::map_registers;
use crate::sampled::features::{KeptFeatures, Sizes};
use crate::sampled::logits_back::LogitsBack;
use crate::sampled::pairs::KeptPairs;
use crate::sampled::units_back::UnitsBack;
use crate::simd::{Element, Kernel, Lanes, Simd};
use crate::workspace::{Arena, buffers};

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
    let (m, k, w, paired) = (sizes.shape.hidden(), sizes.shape.classes(), sizes.width(), sizes.paired());
    gemm::largest_workspace(&[[k, w, m], [k, m, w], [k, paired, paired]])
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
        isa.run(UnitsBack { features: &mut *features, grams: &pairs.grams, units: new.units });
        let vq_hat = Matrix::row_major(&*features.buffers.vq, width, m);
        context.set(MatrixMut::row_major(new.xi_r, k, width), Matrix::row_major(v, k, m), vq_hat.t());
        let (columns, paired) = (sizes.seconds()..width, sizes.paired());
        let coefficients = Matrix::row_major(&*pairs.grams.classes, paired, paired);
        let xi_r = Matrix::row_major(&*features.buffers.xi_r, k, width).cols_range(columns.clone());
        context.add(MatrixMut::row_major(new.xi_r, k, width).block(0..k, columns), xi_r, coefficients);
        if sizes.second {
            let own = &*pairs.grams.xi_second;
            isa.for_rows::<T>(sizes.n).run(SecondsBack { sizes, own, xi_r: features.buffers.xi_r, out: new.xi_r });
        }
        let Self { xi_r, units, logits, factors: squares } = &mut new;
        isa.for_rows::<T>(sizes.n).run(LogitsBack { features, grams: &pairs.grams, units, xi_r, logits, squares });
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
}

/// Adds what the products of ξ and ξ̃ of each sample contribute to their derivatives.
struct SecondsBack<'a, T> {
    sizes: Sizes,
    /// The coefficient of each sample.
    own: &'a [T],
    /// [ξ̃ | ξ | r], K×`width`.
    xi_r: &'a [T],
    out: &'a mut [T],
}

impl<T: Element> Kernel for SecondsBack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { sizes: Sizes { n, .. }, own, xi_r, out } = self;
        let width = self.sizes.width();
        for (class, out) in xi_r.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let (second, xi) = class[..2 * n].split_at(n);
            let (second_hat, xi_hat) = out[..2 * n].split_at_mut(n);
            map_registers!(T, S, simd, [own, second, xi] = [own, second, xi], [second_hat, xi_hat] = [second_hat, xi_hat] => {
                [own.mul_add(xi, second_hat), own.mul_add(second, xi_hat)]
            });
        }
    }
}
