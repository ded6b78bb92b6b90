//! What the blocks share: the sum over samples that each forms, and its tiles.

use core::ops::Range;

use crate::hessian::forward::Forward;
use crate::workspace::pieces;

/// Samples in a tile.
const TILE: usize = 64;

pub(super) const fn tile_len(n: usize) -> usize {
    if n < TILE { n } else { TILE }
}

/// The tiles of `n` samples.
pub(super) fn tiles(n: usize) -> impl Iterator<Item = Range<usize>> {
    pieces(0..n, TILE)
}

/// What all blocks read.
pub(super) struct BlockSum<'a, 'w, T> {
    pub forward: &'a Forward<'w, T>,
    pub weight: f64,
}
