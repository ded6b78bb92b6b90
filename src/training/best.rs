//! The best parameters by a score of the caller's.

use alloc::vec::Vec;

/// The parameters of the best score so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Best<T> {
    /// The score.
    pub score: f64,
    /// How many scores were recorded since.
    pub since: u64,
    /// The count of steps at which it was recorded.
    pub steps: u64,
    /// θ.
    pub theta: Vec<T>,
}

impl<T> Best<T> {
    /// Whether a score is better. NaN is worse than every number.
    pub(super) fn is_beaten_by(&self, score: f64) -> bool {
        score > self.score || (self.score.is_nan() && !score.is_nan())
    }
}
