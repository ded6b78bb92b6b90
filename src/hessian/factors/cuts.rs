//! Where the samples are cut: into chunks, and in two.

use core::ops::Range;

use crate::workspace::pieces;

/// Samples whose factors are formed at once, so that matrix products have enough rows.
pub(crate) const CHUNK: usize = 16;

/// Where to cut a range of samples in two. The place depends on the range alone and does not split a `unit` of samples.
pub(crate) fn middle(range: &Range<usize>, unit: usize) -> Option<usize> {
    let half = (range.len() / 2).next_multiple_of(unit);
    (half > 0 && half < range.len()).then_some(range.start + half)
}

/// The chunks of a range of samples.
pub(crate) fn chunks(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    pieces(range, CHUNK)
}
