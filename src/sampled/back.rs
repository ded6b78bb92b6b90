//! From the coefficients of the pairs to what the sweep needs: the derivatives with respect to the kept samples' logits and
//! pre-activations, and V̂.
//!
//! ```text
//! [ξ̃ | ξ | r]^ += V [(Vᵀξ̃)^; (Vᵀξ)^; q̂]ᵀ          V̂ = [ξ̃ | ξ | r] [(Vᵀξ̃)^; (Vᵀξ)^; q̂]
//! ```
//!
//! **Order.** The [units](super::units_back), the [classes](super::classes), the product of the first line, the [logits](super::logits_back).
//! When the factors of the contributions are known, the product of the second.

use crate::kernels::context::Context;
use crate::kernels::gemm::{self, Addend, Matrix, MatrixMut};
use crate::sampled::classes::ClassesBack;
use crate::sampled::features::{KeptFeatures, Sizes};
use crate::sampled::logits_back::LogitsBack;
use crate::sampled::pairs::{Grams, KeptPairs};
use crate::sampled::units_back::UnitsBack;
use crate::simd::Element;
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
        isa.run(UnitsBack { features: &mut *features, grams: &pairs.grams, units: new.units });
        let Grams { xi_xi, xi_r, r_xi, rr, xi_second, .. } = &pairs.grams;
        let (xi_xi, mixed, rr, own): (&[T], [&[T]; 2], &[T], &[T]) = (xi_xi, [xi_r, r_xi], rr, xi_second);
        isa.for_rows::<T>(sizes.n).run(ClassesBack {
            sizes,
            xi_r: features.buffers.xi_r,
            xi_xi,
            mixed,
            rr,
            own,
            out: new.xi_r,
        });
        let vq_hat = Matrix::row_major(&*features.buffers.vq, width, m);
        let (out, v) = (MatrixMut::row_major(new.xi_r, k, width), Matrix::row_major(v, k, m));
        context.product(out, T::ONE, v, vq_hat.t(), Addend::Output(T::ONE));
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
