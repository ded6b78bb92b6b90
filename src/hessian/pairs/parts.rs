//! Parts of a tile, by which the tangent form goes, and lengths of what is formed of a part.

use crate::count::product;
use crate::hessian::contrasts::triangle;
use crate::hessian::pairs::tile::{TILE, tile_len};
use crate::network::Shape;

/// Bytes that the entries of Ψ of a part may take: the L2 cache of a server's core, which is 1 MiB or more.
const PART_BYTES: u64 = 1 << 20;

/// Samples on a side of a part, for numbers of `bytes`: Ψ is formed, used and dropped part by part. Never more than for a larger batch,
/// whose workspace a smaller one may have.
pub(super) const fn part_len(shape: Shape, n: usize, bytes: usize) -> usize {
    let part = tile_len(n);
    let all = product(&[bytes, triangle(shape.classes() - 1), TILE, TILE]);
    if part > 32 && all > PART_BYTES { 32 } else { part }
}

/// The largest part of any type, which is that of the smallest numbers.
pub(super) const fn largest_part(shape: Shape, n: usize) -> usize {
    part_len(shape, n, size_of::<f32>())
}

/// Entries of Ψ whose products are folded at once.
pub(super) const GROUP: usize = 4;

/// Columns whose rows f are transposed side by side: two of the widest registers.
pub(super) const fn panel<T>() -> usize {
    128 / size_of::<T>()
}

/// Columns of the panels that hold the rows f of a part, transposed, for up to `part` samples a side.
pub(super) const fn panels_len(part: usize) -> usize {
    part.next_multiple_of(panel::<f32>())
}

/// Rows of M numbers that hold rows f times something: one for each entry of Ψ of a sample, or for a group of entries of a part.
pub(super) const fn scaled_rows(shape: Shape, part: usize) -> usize {
    let (rows, group) = (triangle(shape.classes() - 1).saturating_add(1), GROUP * part);
    if group > rows { group } else { rows }
}

/// Numbers of `WorkerScratch::scaled`.
pub(super) const fn scaled_len(shape: Shape, part: usize) -> usize {
    scaled_rows(shape, part).saturating_mul(shape.hidden())
}
