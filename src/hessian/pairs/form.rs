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

/// How the terms in S, B and A are computed. A type, so that a program whose plans have one form has none of the other.
pub(super) trait PairForm<'w, T: Element>: Sized + Sync {
    const FORM: Form;

    /// With what all tiles read besides features.
    fn new(sum: &PairSum<'_, '_, T>, arena: &mut Arena<'w, T>) -> Self;

    /// Computes the feature rows of the samples `chunk`, whose factors these are.
    fn fill(
        sum: &PairSum<'_, '_, T>,
        factors: &mut ChunkFactors<'_, T>,
        chunk: &Range<usize>,
        features: &mut Features<'_, T>,
    );

    /// Forms Gram matrices of a tile, or of some of its rows, of feature rows.
    fn form(features: &Features<'_, T>, tile: &Tile, grams: &mut Grams<'_, T>, context: &mut Context<'_, T>);

    /// Turns the Gram matrices of a tile into coefficients, of ĝ too; returns the tile's share of the terms.
    fn combine(
        &self,
        sum: &PairSum<'_, '_, T>,
        tile: &Tile,
        scratch: &mut TileScratch<'_, T>,
        gradients: &mut TileGradients<'_, T>,
        workers: &mut TileWorkers<'_, T>,
    ) -> Squares;

    /// Multiplies the coefficients of a tile with the features of one side, and adds that to the gradients of the other.
    fn spread(
        sum: &PairSum<'_, '_, T>,
        features: &Features<'_, T>,
        part: (&Tile, Side),
        grams: &Grams<'_, T>,
        to: &mut SampleGradients<'_, T>,
        scratch: &mut WorkerScratch<'_, T>,
    );

    /// Twice the term in A, or what is left of it, from the gradients of some samples.
    fn hidden_value(
        isa: InstructionSet,
        range: &Range<usize>,
        features: &Features<'_, T>,
        gradients: &FeatureGradients<'_, T>,
    ) -> f64;

    /// Hands over what is not a sample's own.
    fn finish(
        &mut self,
        _isa: InstructionSet,
        _sum: &PairSum<'_, '_, T>,
        _own: &mut FeatureGradients<'_, T>,
        _gradients: &mut FactorGradients<'_, T>,
    ) {
    }

    /// The way back from the feature rows of the samples `chunk`: adds to B̂ and the gradients, returns Â.
    fn back<'g>(
        isa: InstructionSet,
        chunk: &Range<usize>,
        own: &'g FeatureGradients<'_, T>,
        b_hat: &mut [T],
        gradients: &mut FactorGradients<'_, T>,
    ) -> HiddenGradient<'g, T>;
}
