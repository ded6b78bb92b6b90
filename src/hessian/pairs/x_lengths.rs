//! Lengths of what the term in χ keeps and works with.

use crate::count::product;
use crate::hessian::pairs::tile::tile_len;
use crate::network::Shape;

/// The most classes whose part of (r⊗f)^ is folded at once.
pub(super) const GROUP: usize = 3;

/// Classes in a group: as few groups as possible, of about the same size.
pub(super) const fn group_len(r: usize) -> usize {
    r.div_ceil(r.div_ceil(GROUP))
}

/// Whether χ is summed by way of the inputs rather than by pairs.
pub(super) const fn is_linear(shape: Shape, n: usize) -> bool {
    2 * (shape.inputs() as u64 + 1) < n as u64
}

/// Numbers from the B∘h of a sample to that of the next. Where χ is summed by pairs, padding of zeros puts rows an odd multiple of two or
/// four cache lines apart, so that a class of many samples does not fall on the same few cache sets. At most 2RM: a smaller batch, whose
/// χ is summed by pairs, fits where the planned batch is linear.
pub(super) const fn row_len(shape: Shape, n: usize) -> usize {
    let rm = shape.hidden().saturating_mul(shape.classes() - 1);
    let odd = rm.saturating_add(31) / 64;
    if rm < 64 || is_linear(shape, n) { rm } else { odd.saturating_mul(64).saturating_add(32) }
}

/// Length of `WorkerScratch::scaled`: the weighted coefficients of a tile, or the products of a group of classes. Counted where χ is
/// linear too, for smaller batches.
pub(super) const fn scaled_len(shape: Shape, n: usize) -> usize {
    let tile = tile_len(n);
    let products = product(&[group_len(shape.classes() - 1), tile, shape.hidden()]) as usize;
    if products > tile * tile { products } else { tile * tile }
}
