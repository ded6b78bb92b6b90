//! The sum that every stage works on.

use core::ops::Range;

use crate::hessian::factors::Factors;
use crate::hessian::forward::Forward;

/// What all stages of a sum over pairs read.
pub(super) struct PairSum<'a, 'w, T> {
    pub forward: &'a Forward<'w, T>,
    pub factors: &'a Factors<'w, T>,
    /// The samples whose pairs are summed.
    pub range: Range<usize>,
    /// w_self and w_cross.
    pub weights: (T, T),
}
