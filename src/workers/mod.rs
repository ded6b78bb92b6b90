//! Who computes: one thread, or several that split the work of a step.
//!
//! Work is cut in two, and its halves again, as long as there are workers to share it; each has a piece of the workspace as scratch. What
//! is split has its own rows of every result, or adds to sums of its own, which are added up in an order that does not depend on
//! who computed them. So the bits are the same whatever the number of workers: the functions that split say why.
//!
//! Two halves run at the same time where one is handed over to a helper (`helper.rs`), a thread of the crate that does nothing else. The thread
//! that hands over runs the other half, then takes its own back if the helper has not started it, or waits: it runs no one else's work,
//! and waits for nothing but work of this evaluation that is under way. Without the feature `threads` there is one worker.

#[cfg(not(feature = "threads"))]
mod alone;
#[cfg(feature = "threads")]
mod helper;
#[cfg(feature = "threads")]
mod slot;
#[cfg(feature = "threads")]
mod team;

#[cfg(not(feature = "threads"))]
pub(crate) use alone::{Helper, Threads, awake, both};
#[cfg(feature = "threads")]
pub(crate) use helper::{Helper, both};
#[cfg(feature = "threads")]
pub(crate) use team::{Threads, awake};

use crate::simd::Element;

/// Rows are split at multiples of so many: whole registers of any slice of rows, and whole tiles of products.
const UNIT: usize = 16;

/// Rows of a piece, at least: of fewer, products may sum in another order (`gemm/micro.rs`).
const LEAST_ROWS: usize = 32;

/// Cost below which work is not split, in flops of a large product: two microseconds. It takes some tenths of one to hand over a half.
const LEAST: u64 = 1 << 19;

/// Some workers, and their scratch.
#[derive(Debug)]
pub(crate) struct Workers<'w, T> {
    threads: Threads<'w>,
    /// Pieces of equal length, one a worker.
    scratch: &'w mut [T],
}

impl<'w, T: Element> Workers<'w, T> {
    /// As many as there are threads, which divide `scratch` among them.
    pub(crate) fn new(threads: Threads<'w>, scratch: &'w mut [T]) -> Self {
        Self { threads, scratch }
    }

    /// The scratch of one of them.
    pub(crate) fn scratch(&mut self) -> &mut [T] {
        let each = self.scratch.len() / self.threads.count();
        &mut self.scratch[..each]
    }

    /// The same, borrowed for a shorter time.
    pub(crate) fn reborrow(&mut self) -> Workers<'_, T> {
        Workers { threads: self.threads.reborrow(), scratch: self.scratch }
    }

    /// As many as pay for work of this cost.
    pub(crate) fn for_cost(self, cost: impl FnOnce() -> u64) -> Self {
        let count = self.threads.count();
        if count < 2 || cost() >= LEAST {
            return self;
        }
        let each = self.scratch.len() / count;
        Self { threads: Threads::one(), scratch: &mut self.scratch[..each] }
    }

    /// One worker, and if there are several, one more with the helper that runs its half.
    pub(crate) fn two(self) -> (Self, Option<(&'w mut Helper, Self)>) {
        let Self { threads, scratch } = self;
        let count = threads.count();
        match threads.split(1) {
            None => (Workers { threads: Threads::one(), scratch }, None),
            Some((one, helper, others)) => {
                let (own, rest) = scratch.split_at_mut(scratch.len() / count);
                (Workers::new(one, own), Some((helper, Workers::new(others, rest))))
            }
        }
    }

    /// Where to cut work over `rows` in two; nowhere, if one worker is to do it.
    pub(crate) fn cut(&self, rows: usize, cost: impl FnOnce() -> u64) -> Option<usize> {
        let count = self.threads.count();
        if count < 2 || cost() < LEAST {
            return None;
        }
        let at = (rows * ahead(count) / count).next_multiple_of(UNIT);
        (at >= LEAST_ROWS && rows >= at + LEAST_ROWS).then_some(at)
    }

    /// Runs both, at the same time if there are workers for each.
    pub(crate) fn join<A, B: Send>(
        mut self,
        first: impl FnOnce(Workers<'_, T>) -> A,
        second: impl FnOnce(Workers<'_, T>) -> B + Send,
    ) -> (A, B) {
        let count = self.threads.count();
        if let Some((own, helper, others)) = self.threads.reborrow().split(ahead(count)) {
            let (one, other) = self.scratch.split_at_mut(self.scratch.len() / count * ahead(count));
            return both(helper, || first(Workers::new(own, one)), || second(Workers::new(others, other)));
        }
        let done = first(self.reborrow());
        (done, second(self))
    }
}

/// How many of several workers take the first half.
fn ahead(count: usize) -> usize {
    count - count / 2
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
        awake(count, u64::MAX, |threads| shares(rows, flops, Workers::new(threads, &mut vec![0.0; 10 * count])))
    }

    #[test]
    fn one_worker_does_all() {
        assert_eq!(of(1, 1000, u64::MAX), [(1000, 10)]);
        let mut scratch = [0.0f32; 10];
        let (_, other) = Workers::new(Threads::one(), &mut scratch).two();
        assert!(other.is_none());
    }

    #[cfg(feature = "threads")]
    #[test]
    fn several_share_evenly() {
        assert_eq!(of(2, 128, LEAST), [(64, 10), (64, 10)]);
        assert_eq!(of(3, 960, LEAST), [(320, 10), (320, 10), (320, 10)]);
        assert_eq!(of(4, 167, LEAST), [(48, 10), (48, 10), (71, 10)]);
        for (rows, flops) in [(128, LEAST - 1), (63, LEAST)] {
            assert_eq!(of(2, rows, flops), [(rows, 10)]);
        }
        awake(3, u64::MAX, |threads| {
            let mut scratch = [0.0f32; 30];
            let (mut one, others) = Workers::new(threads, &mut scratch).two();
            let others = others.map(|(_, mut others)| (others.threads.count(), others.scratch().len()));
            assert_eq!((one.threads.count(), one.scratch().len(), others), (1, 10, Some((2, 10))));
        });
    }
}
