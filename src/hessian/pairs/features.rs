//! What the sum over pairs keeps of every sample: features, and the derivatives with respect to them.
//!
//! Features are written once, before the first pair. Every tile that contains a sample adds to the sample's derivatives. A worker on a
//! tile holds the derivatives of the tile's rows and columns; no other worker has access to them.

use crate::hessian::contrasts::triangle;
use crate::hessian::factors::FactorGradients;
use crate::hessian::pairs::tile::TILE;
use crate::hessian::pairs::x_lengths;
use crate::network::Shape;
use crate::plan::Form;
use crate::workspace::rows;

rows! {
    /// Feature rows of the samples; those of the other form are empty. `samples` is the number of samples in the whole sum: it decides
    /// whether χ is summed by pairs or linearly.
    pub(super) struct Features(shape: Shape, samples: usize, form: Form) where {
        let (m, rm) = (shape.hidden(), shape.hidden().saturating_mul(shape.classes() - 1));
        let flat = matches!(form, Form::Flat);
    } {
        /// B∘h, RM numbers, and padding that keeps rows off each other's cache sets.
        bh: [x_lengths::row_len(shape, samples)],
        /// r⊗f, RM numbers: where χ is summed linearly.
        rf: [if x_lengths::is_linear(shape, samples) { rm } else { 0 }],
        /// A, M₂ numbers: of the flat form, as is B.
        a: [if flat { triangle(m) } else { 0 }],
        /// B, RM numbers.
        b: [if flat { rm } else { 0 }],
        /// o, M numbers: of the tangent form, as are the next two.
        o: [if flat { 0 } else { m }],
        /// d, M numbers.
        d: [if flat { 0 } else { m }],
        /// o + d, M numbers.
        od: [if flat { 0 } else { m }],
    }
}

rows! {
    /// Derivatives with respect to feature rows, in rows of the same length.
    pub(super) struct FeatureGradients(shape: Shape, samples: usize, form: Form) where {
        let (m, rm) = (shape.hidden(), shape.hidden().saturating_mul(shape.classes() - 1));
        let flat = matches!(form, Form::Flat);
    } {
        /// Of B∘h.
        bh: [x_lengths::row_len(shape, samples)],
        /// Of r⊗f.
        rf: [if x_lengths::is_linear(shape, samples) { rm } else { 0 }],
        /// Of A.
        a: [if flat { triangle(m) } else { 0 }],
        /// Of B.
        b: [if flat { rm } else { 0 }],
        /// Of o.
        o: [if flat { 0 } else { m }],
        /// Of d.
        d: [if flat { 0 } else { m }],
        /// With respect to p̄, K numbers, from the tiles that have the sample in their columns. The numbers of a block of [`TILE`]
        /// samples lie together, one row a class. Of the tangent form, as is the next.
        p: [if flat { 0 } else { shape.classes() }],
        /// Û, RM numbers for every block of [`TILE`] samples, from the tiles that have the block in their rows; the blocks are added up
        /// at the end.
        u: [if flat { 0 } else { rm }; TILE],
    }
}

/// All derivatives of some samples: of the rows or the columns of a tile.
#[derive(Debug)]
pub(super) struct SampleGradients<'w, T> {
    pub features: FeatureGradients<'w, T>,
    /// `None` if only the value is wanted.
    pub factors: Option<FactorGradients<'w, T>>,
}

impl<T> SampleGradients<'_, T> {
    /// The derivatives of the samples before `at`, which must be the first of a block, and those of the others.
    pub(super) fn split_at(self, at: usize) -> (Self, Self) {
        let (features, other_features) = self.features.split_at(at);
        let (factors, other_factors) = self.factors.map(|factors| factors.split_at(at)).unzip();
        (Self { features, factors }, Self { features: other_features, factors: other_factors })
    }

    /// The same, borrowed for a shorter time.
    pub(super) fn reborrow(&mut self) -> SampleGradients<'_, T> {
        SampleGradients {
            features: self.features.reborrow(),
            factors: self.factors.as_mut().map(FactorGradients::reborrow),
        }
    }
}

/// The gradients of a tile's rows and columns.
pub(super) struct TileGradients<'w, T> {
    pub rows: SampleGradients<'w, T>,
    /// `None` where the columns are among the samples of the rows.
    pub columns: Option<SampleGradients<'w, T>>,
}
