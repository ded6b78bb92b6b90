//! Lengths of what the term in x keeps and works with.

use crate::count::product;
use crate::hessian::pairs::tile::tile_len;
use crate::network::Shape;

/// Classes whose part of (r⊗f)^ is folded at once, at most.
pub(super) const GROUP: usize = 3;

/// Classes a group: as few groups as there must be, of about the same size.
pub(super) const fn group_len(r: usize) -> usize {
    r.div_ceil(r.div_ceil(GROUP))
}

/// Whether it is summed by way of the inputs, rather than by pairs.
pub(super) const fn is_linear(shape: Shape, n: usize) -> bool {
    2 * (shape.inputs() as u64 + 1) < n as u64
}

/// Numbers from the B∘h of a sample to that of the next: RM and, where x goes by pairs, as many more as put it at an odd multiple of two
/// or of four cache lines, so that a class of many samples does not fall on the same few cache sets. The latter are zero. At most 2RM: a
/// smaller batch, whose x goes by pairs, has room where the planned one is linear.
pub(super) const fn row_len(shape: Shape, n: usize) -> usize {
    let rm = shape.hidden().saturating_mul(shape.classes() - 1);
    let odd = rm.saturating_add(31) / 64;
    if rm < 64 || is_linear(shape, n) { rm } else { odd.saturating_mul(64).saturating_add(32) }
}

/// Numbers of `WorkerScratch::scaled`: the coefficients of a tile, weighted, or products of a group of classes. Where x is linear too,
/// for smaller batches.
pub(super) const fn scaled_len(shape: Shape, n: usize) -> usize {
    let tile = tile_len(n);
    let products = product(&[group_len(shape.classes() - 1), tile, shape.hidden()]) as usize;
    if products > tile * tile { products } else { tile * tile }
}
