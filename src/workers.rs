//! Who computes: one thread, or several that split the work of a step.
//!
//! Work is cut in two, and its halves again, as long as there are workers to share it; each has a piece of the workspace as scratch. What
//! is split has its own rows of every result, or adds to sums of its own, which are added up in an order that does not depend on
//! who computed them. So the bits are the same whatever the number of workers: the functions that split say why.
//!
//! Two halves run at the same time by `rayon::join`, in the pool of the caller's thread. A thread of such a pool sleeps as soon as it finds
//! nothing to do, and takes 20 to 35 µs to wake: so a step keeps as many as it may use awake until it ends ([`awake`]), and a half that
//! is done first waits for the other without sleeping. Without the feature `rayon` there is one worker.

#[cfg(feature = "rayon")]
use core::cell::Cell;
#[cfg(feature = "rayon")]
use core::sync::atomic::{AtomicBool, Ordering};

use crate::simd::Element;

/// Rows are split at multiples of so many: whole registers of any slice of rows, and whole tiles of products.
const UNIT: usize = 16;

/// Rows of a piece, at least: of fewer, products may sum in another order (`gemm/micro.rs`).
const LEAST_ROWS: usize = 32;

/// Cost below which work is not split, in flops of a large product: two microseconds. It takes some tenths of one to hand over a half.
const LEAST: u64 = 1 << 19;

/// Cost of an evaluation below which no thread is woken for it, in the same unit: some microseconds, which waking would take as well.
#[cfg(feature = "rayon")]
const LEAST_AWAKE: u64 = 1 << 21;

/// Some workers, and their scratch.
#[derive(Debug)]
pub(crate) struct Workers<'w, T> {
    count: usize,
    /// Pieces of equal length, one a worker.
    scratch: &'w mut [T],
}

impl<'w, T: Element> Workers<'w, T> {
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
    let (taken, done) = (Flag::default(), Flag::default());
    rayon::join(
        || {
            let first = first();
            // What no one has taken, `join` runs here.
            if taken.is_raised() {
                done.wait();
            }
            first
        },
        || {
            drop(taken.raise_at_end());
            let _end = done.raise_at_end();
            evaluating(second)
        },
    )
}

/// Runs both, one after the other.
#[cfg(not(feature = "rayon"))]
pub(crate) fn both<A, B>(first: impl FnOnce() -> A, second: impl FnOnce() -> B) -> (A, B) {
    (first(), second())
}

/// An evaluation of this cost by so many workers, whose threads stay awake for it: they look for work until it ends. If the pool has
/// fewer threads, or they have other work, no one waits for them.
#[cfg(feature = "rayon")]
pub(crate) fn awake<A: Send>(count: usize, cost: u64, evaluate: impl FnOnce() -> A + Send) -> A {
    if count < 2 || cost < LEAST_AWAKE {
        return evaluate();
    }
    let done = Flag::default();
    let evaluate = || {
        let _end = done.raise_at_end();
        evaluating(evaluate)
    };
    rayon::join(evaluate, || stay(count - 1, &done)).0
}

/// An evaluation by one worker.
#[cfg(not(feature = "rayon"))]
pub(crate) fn awake<A>(_count: usize, _cost: u64, evaluate: impl FnOnce() -> A) -> A {
    evaluate()
}

#[cfg(feature = "rayon")]
std::thread_local! {
    /// Whether this thread is at work on an evaluation.
    static EVALUATING: Cell<bool> = const { Cell::new(false) };
}

/// Runs a piece of an evaluation.
#[cfg(feature = "rayon")]
fn evaluating<A>(work: impl FnOnce() -> A) -> A {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            EVALUATING.set(self.0);
        }
    }
    let _before = Restore(EVALUATING.replace(true));
    work()
}

/// Keeps so many threads awake until `done` is raised, but none that has an evaluation to go on with: two that wait for a half could
/// else take up each other's, and neither would end.
#[cfg(feature = "rayon")]
fn stay(count: usize, done: &Flag) {
    if EVALUATING.get() {
        return;
    }
    if count < 2 {
        done.wait();
    } else {
        rayon::join(|| stay(1, done), || stay(count - 1, done));
    }
}

/// Something that has happened or not. What was written before is there for whoever sees it raised.
#[cfg(feature = "rayon")]
#[derive(Default)]
struct Flag(AtomicBool);

#[cfg(feature = "rayon")]
impl Flag {
    fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Raised when the value is dropped, by a panic too.
    fn raise_at_end(&self) -> impl Drop + '_ {
        struct Raise<'f>(&'f Flag);
        impl Drop for Raise<'_> {
            fn drop(&mut self) {
                self.0.0.store(true, Ordering::Release);
            }
        }
        Raise(self)
    }

    /// Does the pool's other work until it is raised, or lets other threads have the core.
    fn wait(&self) {
        while !self.is_raised() {
            if rayon::yield_now() != Some(rayon::Yield::Executed) {
                std::thread::yield_now();
            }
        }
    }
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

    #[cfg(feature = "rayon")]
    #[test]
    fn no_one_waits_for_threads_that_are_not_there() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(pool.install(|| awake(4, LEAST_AWAKE, || both(|| 1, || both(|| 2, || 3)))), (1, (2, 3)));
    }

    #[cfg(feature = "rayon")]
    #[test]
    fn a_panic_is_passed_on() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let fails: [fn() -> u32; 2] = [|| panic!("on purpose"), || 0];
        for [first, second] in [fails, [fails[1], fails[0]]] {
            let run = || pool.install(|| awake(3, LEAST_AWAKE, || both(first, second)));
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
        }
    }
    /// Else two that wait for halves could take up each other's keepers, and neither would end.
    #[cfg(feature = "rayon")]
    #[test]
    fn a_thread_at_work_keeps_none_awake() {
        evaluating(|| stay(2, &Flag::default()));
        assert!(!EVALUATING.get());
    }
}
