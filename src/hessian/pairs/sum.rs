//! The sum that every stage works on.

use core::ops::Range;

use crate::hessian::factors::Factors;
use crate::hessian::forward::Forward;

/// What all stages of a sum over pairs read.
pub(super) struct PairSum<'a, 'w, T> {
    pub forward: &'a Forward<'w, T>,
    pub factors: &'a Factors<'w, T>,
    /// The samples that are in any of the pairs.
    pub range: Range<usize>,
    /// Of pairs across, the first sample of the second side.
    pub across: Option<usize>,
    /// w_self and w_cross.
    pub weights: (T, T),
}

impl<T> PairSum<'_, '_, T> {
    /// Both sides of the pairs: the samples themselves, or those before and after the place that all pairs lie across.
    pub(super) fn sides(&self) -> [Range<usize>; 2] {
        match self.across {
            None => [self.range.clone(), self.range.clone()],
            Some(at) => [self.range.start..at, at..self.range.end],
        }
    }
}
