//! What kernels run with: an instruction set, and workers with scratch of their own.
//!
//! A step makes one context from its plan and passes it on: to the kernels, which take the instruction set; to the matrix products
//! ([`gemm`](super::gemm)), which pack into the scratch; and to the stages, which split their samples between the workers.

use crate::simd::{Element, InstructionSet};
use crate::workers::{Helper, Threads, Workers};
use crate::workspace::Arena;

/// Instruction set, workers, and their scratch.
#[derive(Debug)]
pub(crate) struct Context<'w, T> {
    pub isa: InstructionSet,
    workers: Workers<'w, T>,
}

impl<'w, T: Element> Context<'w, T> {
    pub(crate) fn new(isa: InstructionSet, workers: Workers<'w, T>) -> Self {
        Self { isa, workers }
    }

    /// One worker, with this scratch.
    pub(crate) fn alone(isa: InstructionSet, scratch: &'w mut [T]) -> Self {
        Self { isa, workers: Workers::new(Threads::one(), scratch) }
    }

    /// The same, borrowed for a shorter time.
    pub(crate) fn reborrow(&mut self) -> Context<'_, T> {
        Context { isa: self.isa, workers: self.workers.reborrow() }
    }

    /// The scratch of one worker.
    pub(crate) fn scratch(&mut self) -> &mut [T] {
        self.workers.scratch()
    }

    /// Cuts buffers off one worker's scratch with `cut`; the context of that worker has the rest.
    pub(crate) fn carve<'a, P>(&'a mut self, cut: impl FnOnce(&mut Arena<'a, T>) -> P) -> (P, Context<'a, T>) {
        let mut arena = Arena::new(self.workers.scratch());
        let pieces = cut(&mut arena);
        (pieces, Context::alone(self.isa, arena.rest()))
    }

    /// The context with as many workers as pay for work of this cost.
    pub(crate) fn for_cost(self, cost: impl FnOnce() -> u64) -> Self {
        Self { isa: self.isa, workers: self.workers.for_cost(cost) }
    }

    /// Splits off one worker; the others, with the helper that runs their half, are `None` if there is only one.
    pub(crate) fn two(self) -> (Self, Option<(&'w mut Helper, Self)>) {
        let Self { isa, workers } = self;
        let (one, others) = workers.two();
        (Self { isa, workers: one }, others.map(|(helper, workers)| (helper, Self { isa, workers })))
    }

    /// Where to cut work over `rows` in two; `None` if one worker should do it.
    pub(crate) fn cut(&self, rows: usize, cost: impl FnOnce() -> u64) -> Option<usize> {
        self.workers.cut(rows, cost)
    }

    /// Runs both, at the same time if there are workers for each.
    pub(crate) fn join<A, B: Send>(
        self,
        first: impl FnOnce(Context<'_, T>) -> A,
        second: impl FnOnce(Context<'_, T>) -> B + Send,
    ) -> (A, B) {
        let Self { isa, workers } = self;
        workers.join(|workers| first(Context { isa, workers }), |workers| second(Context { isa, workers }))
    }
}
