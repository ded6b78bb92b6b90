//! What a form of the sum over pairs has to do.

use core::ops::Range;

use crate::bounds::Squares;
use crate::hessian::factors::chunk::ChunkFactors;
use crate::hessian::factors::{FactorGradients, HiddenGradient};
use crate::hessian::pairs::features::{FeatureGradients, Features, SampleGradients, TileGradients};
use crate::hessian::pairs::scratch::{Grams, TileScratch, TileWorkers, WorkerScratch};
use crate::hessian::pairs::sum::PairSum;
use crate::hessian::pairs::tile::{Side, Tile};
use crate::kernels::context::Context;
use crate::plan::Form;
use crate::simd::{Element, InstructionSet};
use crate::workspace::Arena;

/// How the terms in S, B and A are computed. A type parameter, so that a program whose plans all have one form contains no code of the
/// other.
pub(super) trait PairForm<'w, T: Element>: Sized + Sync {
    const FORM: Form;

    /// Makes what all tiles read besides features.
    fn new(sum: &PairSum<'_, '_, T>, arena: &mut Arena<'w, T>) -> Self;

    /// Computes the feature rows of the samples `chunk`, given their factors.
    fn fill(
        sum: &PairSum<'_, '_, T>,
        factors: &mut ChunkFactors<'_, T>,
        chunk: &Range<usize>,
        features: &mut Features<'_, T>,
    );

    /// Forms the Gram matrices of feature rows for a tile, or for some of its rows.
    fn form(features: &Features<'_, T>, tile: &Tile, grams: &mut Grams<'_, T>, context: &mut Context<'_, T>);

    /// Turns the Gram matrices of a tile into coefficients, including that of ĝ; returns the tile's part of the terms.
    fn combine(
        &self,
        sum: &PairSum<'_, '_, T>,
        tile: &Tile,
        scratch: &mut TileScratch<'_, T>,
        gradients: &mut TileGradients<'_, T>,
        workers: &mut TileWorkers<'_, T>,
    ) -> Squares;

    /// Multiplies the coefficients of a tile with the features of one side, and adds the result to the gradients of the other side.
    fn spread(
        sum: &PairSum<'_, '_, T>,
        features: &Features<'_, T>,
        part: (&Tile, Side),
        grams: &Grams<'_, T>,
        to: &mut SampleGradients<'_, T>,
        scratch: &mut WorkerScratch<'_, T>,
    );

    /// Twice the term in A, or what the form leaves of it, from the gradients of some samples.
    fn hidden_value(
        isa: InstructionSet,
        range: &Range<usize>,
        features: &Features<'_, T>,
        gradients: &FeatureGradients<'_, T>,
    ) -> f64;

    /// Adds the derivatives that belong to no single sample to the gradients.
    fn finish(
        &mut self,
        _isa: InstructionSet,
        _sum: &PairSum<'_, '_, T>,
        _own: &mut FeatureGradients<'_, T>,
        _gradients: &mut FactorGradients<'_, T>,
    ) {
    }

    /// Turns the derivatives with respect to the feature rows of the samples `chunk` into derivatives with respect to the factors: adds
    /// to B̂ and the gradients, returns Â.
    fn back<'g>(
        isa: InstructionSet,
        chunk: &Range<usize>,
        own: &'g FeatureGradients<'_, T>,
        b_hat: &mut [T],
        gradients: &mut FactorGradients<'_, T>,
    ) -> HiddenGradient<'g, T>;
}
