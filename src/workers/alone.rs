//! One thread, without the feature `threads`: nothing is handed over.

use core::marker::PhantomData;

/// The thread that runs.
#[derive(Debug)]
pub(crate) struct Threads<'t>(PhantomData<&'t mut ()>);

/// There are none.
#[derive(Debug)]
pub(crate) enum Helper {}

impl<'t> Threads<'t> {
    pub(crate) fn one() -> Self {
        Self(PhantomData)
    }

    pub(super) fn count(&self) -> usize {
        1
    }

    pub(super) fn reborrow(&mut self) -> Threads<'_> {
        Threads::one()
    }

    pub(super) fn split(self, _first: usize) -> Option<(Self, &'t mut Helper, Self)> {
        None
    }
}

/// An evaluation by one thread.
pub(crate) fn awake<A>(_count: usize, _cost: u64, evaluate: impl FnOnce(Threads<'_>) -> A) -> A {
    evaluate(Threads::one())
}

/// No one can call this.
pub(crate) fn both<A, B>(helper: &mut Helper, _first: impl FnOnce() -> A, _second: impl FnOnce() -> B) -> (A, B) {
    match *helper {}
}
