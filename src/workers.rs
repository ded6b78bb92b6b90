//! Who computes: one thread, or several that split the work of a step.
//!
//! Work is cut in two, and its halves again, as long as there are workers to share it; each has a piece of the workspace as scratch. What
//! is split has its own rows of every result, or adds to sums of its own, which are added up in an order that does not depend on
//! who computed them. So the bits are the same whatever the number of workers: the functions that split say why.
//!
//! Two halves run at the same time by `rayon::join`, in the pool of the caller's thread. Without the feature `rayon` there is one worker.

use crate::real::Real;

/// Rows are split at multiples of so many: whole registers of any slice of rows, and whole tiles of products.
const UNIT: usize = 16;

/// Rows of a piece, at least: of fewer, products may sum in another order (`gemm/micro.rs`).
const LEAST_ROWS: usize = 32;

/// Cost below which work is not split, in flops of a large product: some microseconds, as long as it takes to wake another thread.
const LEAST: u64 = 1 << 21;

/// Some workers, and their scratch.
#[derive(Debug)]
pub(crate) struct Workers<'w, T> {
    count: usize,
    /// Pieces of equal length, one a worker.
    scratch: &'w mut [T],
}

impl<'w, T: Real> Workers<'w, T> {
    /// As many as divide `scratch` among them.
    pub(crate) fn new(count: usize, scratch: &'w mut [T]) -> Self {
        Self { count, scratch }
    }

    fn count(&self) -> usize {
        if cfg!(feature = "rayon") { self.count } else { 1 }
    }

    /// The scratch of one of them.
    pub(crate) fn scratch(&mut self) -> &mut [T] {
        let each = self.scratch.len() / self.count();
        &mut self.scratch[..each]
    }

    /// The same, borrowed for a shorter time.
    pub(crate) fn reborrow(&mut self) -> Workers<'_, T> {
        Workers { count: self.count, scratch: self.scratch }
    }

    /// As many as pay for work of this cost.
    pub(crate) fn for_cost(self, cost: impl FnOnce() -> u64) -> Self {
        let count = self.count();
        if count < 2 || cost() >= LEAST {
            return self;
        }
        let each = self.scratch.len() / count;
        Self { count: 1, scratch: &mut self.scratch[..each] }
    }

    /// One worker, and one more if there are several.
    pub(crate) fn two(self) -> (Self, Option<Self>) {
        let count = self.count();
        if count < 2 {
            return (self, None);
        }
        let (one, others) = self.scratch.split_at_mut(self.scratch.len() / count);
        (Workers::new(1, one), Some(Workers::new(count - 1, others)))
    }

    /// Where to cut work over `rows` in two; nowhere, if one worker is to do it.
    pub(crate) fn cut(&self, rows: usize, cost: impl FnOnce() -> u64) -> Option<usize> {
        let count = self.count();
        if count < 2 || cost() < LEAST {
            return None;
        }
        let at = (rows * ahead(count) / count).next_multiple_of(UNIT);
        (at >= LEAST_ROWS && rows >= at + LEAST_ROWS).then_some(at)
    }

    /// Runs both, at the same time if there are workers for each.
    pub(crate) fn join<A: Send, B: Send>(
        mut self,
        first: impl FnOnce(Workers<'_, T>) -> A + Send,
        second: impl FnOnce(Workers<'_, T>) -> B + Send,
    ) -> (A, B) {
        let count = self.count();
        if count < 2 {
            let done = first(self.reborrow());
            return (done, second(self));
        }
        let ahead = ahead(count);
        let (one, other) = self.scratch.split_at_mut(self.scratch.len() / count * ahead);
        both(|| first(Workers::new(ahead, one)), || second(Workers::new(count - ahead, other)))
    }
}

/// How many of several workers take the first half.
fn ahead(count: usize) -> usize {
    count - count / 2
}

/// Runs both, at the same time.
#[cfg(feature = "rayon")]
pub(crate) fn both<A: Send, B: Send>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B + Send) -> (A, B) {
    rayon::join(first, second)
}

/// Runs both, one after the other.
#[cfg(not(feature = "rayon"))]
pub(crate) fn both<A, B>(first: impl FnOnce() -> A, second: impl FnOnce() -> B) -> (A, B) {
    (first(), second())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// Cuts rows until no one is left to share them: the rows of each worker, and how long its scratch is.
    fn shares(rows: usize, flops: u64, workers: Workers<'_, f32>) -> Vec<(usize, usize)> {
        match workers.cut(rows, || flops) {
            None => {
                let mut workers = workers;
                vec![(rows, workers.scratch().len())]
            }
            Some(at) => {
                let (first, second) =
                    workers.join(|workers| shares(at, flops, workers), |workers| shares(rows - at, flops, workers));
                [first, second].concat()
            }
        }
    }

    fn of(count: usize, rows: usize, flops: u64) -> Vec<(usize, usize)> {
        shares(rows, flops, Workers::new(count, &mut vec![0.0; 10 * count]))
    }

    #[test]
    fn one_worker_does_all() {
        assert_eq!(of(1, 1000, u64::MAX), [(1000, 10)]);
        let mut scratch = [0.0f32; 10];
        let (_, other) = Workers::new(1, &mut scratch).two();
        assert!(other.is_none());
    }

    #[cfg(feature = "rayon")]
    #[test]
    fn several_share_evenly() {
        assert_eq!(of(2, 128, LEAST), [(64, 10), (64, 10)]);
        assert_eq!(of(3, 960, LEAST), [(320, 10), (320, 10), (320, 10)]);
        assert_eq!(of(4, 167, LEAST), [(48, 10), (48, 10), (71, 10)]);
        for (rows, flops) in [(128, LEAST - 1), (63, LEAST)] {
            assert_eq!(of(2, rows, flops), [(rows, 10)]);
        }
        let mut scratch = [0.0f32; 30];
        let (mut one, others) = Workers::new(3, &mut scratch).two();
        assert_eq!(
            (one.scratch().len(), others.map(|mut others| (others.count(), others.scratch().len()))),
            (10, Some((2, 10)))
        );
    }
}
