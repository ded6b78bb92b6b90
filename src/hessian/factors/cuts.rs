//! Where the samples are cut: into chunks, and in two.

use core::ops::Range;

use crate::workspace::pieces;

/// Samples whose factors are formed at once, so that matrix products have rows enough.
pub(crate) const CHUNK: usize = 16;

/// Where a range of samples is cut in two, at a place that depends on the range alone; nowhere within a `unit` of samples.
pub(crate) fn middle(range: &Range<usize>, unit: usize) -> Option<usize> {
    let half = (range.len() / 2).next_multiple_of(unit);
    (half > 0 && half < range.len()).then_some(range.start + half)
}

/// The chunks of a range of samples.
pub(crate) fn chunks(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    pieces(range, CHUNK)
}
