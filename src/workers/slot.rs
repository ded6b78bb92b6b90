//! Where a helper finds work: one slot a helper, for one half of some work at a time.
//!
//! A half lies on the stack of the thread that hands it over, and borrows from there. A slot holds its address alone, so
//! [`both`](super::both) does not return, nor unwind, before the half is done or taken back.

use core::cell::Cell;
use core::ptr::{NonNull, without_provenance_mut};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

/// Nothing to do.
const IDLE: *mut Half = without_provenance_mut(0);

/// The helper sleeps, or is about to.
const ASLEEP: *mut Half = without_provenance_mut(1);

/// The helper runs a half.
const BUSY: *mut Half = without_provenance_mut(2);

/// The helper is to end.
const QUIT: *mut Half = without_provenance_mut(3);

/// What every half starts with. Its alignment keeps its address apart from the states above.
#[repr(align(8))]
pub(super) struct Half {
    run: unsafe fn(NonNull<Self>),
}

/// A half, and what came of it.
#[repr(C)]
pub(super) struct Work<F, A> {
    half: Half,
    pub(super) work: Cell<Option<F>>,
    pub(super) outcome: Cell<Option<thread::Result<A>>>,
}

impl<F: FnOnce() -> A, A> Work<F, A> {
    pub(super) fn new(work: F) -> Self {
        Self { half: Half { run: Self::run }, work: Cell::new(Some(work)), outcome: Cell::new(None) }
    }

    /// Runs the work; a panic is part of its outcome.
    ///
    /// # Safety
    ///
    /// `half` leads to the whole of a value of this type, which no other thread touches meanwhile.
    unsafe fn run(half: NonNull<Half>) {
        // SAFETY: by the caller's promise; a half is the first field of its work.
        let this = unsafe { half.cast::<Self>().as_ref() };
        if let Some(work) = this.work.take() {
            this.outcome.set(Some(catch_unwind(AssertUnwindSafe(work))));
        }
    }
}

/// One of the states above, or the address of a half that is handed over. Alone on its cache lines: a helper reads it all the time.
#[repr(align(128))]
#[derive(Debug)]
pub(super) struct Slot {
    state: AtomicPtr<Half>,
    /// Whether an evaluation goes on, which the helper stays awake for.
    wanted: AtomicBool,
}

/// What a helper finds.
pub(super) enum Found {
    /// A half, which has been run.
    Work,
    Nothing,
    /// That it is to end.
    Quit,
}

impl Slot {
    /// That of a helper that is awake, for an evaluation.
    pub(super) fn new() -> Self {
        Self { state: AtomicPtr::new(IDLE), wanted: AtomicBool::new(true) }
    }

    /// Runs the half that is there, if there is one: called by the helper alone.
    pub(super) fn serve(&self) -> Found {
        let state = self.state.load(Ordering::Relaxed);
        if state == QUIT {
            return Found::Quit;
        }
        let Some(half) = NonNull::new(state).filter(|_| state != ASLEEP && state != BUSY) else {
            return Found::Nothing;
        };
        // Fails where the half has been taken back.
        if self.state.compare_exchange(state, BUSY, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return Found::Nothing;
        }
        // SAFETY: what is in a slot besides states is a half that `both` put there, which waits as long as the state is BUSY and
        // touches the half no more before. The exchange found this very address there at that moment.
        unsafe { (half.as_ref().run)(half) };
        // Nothing of the half is touched from here on.
        self.state.store(IDLE, Ordering::Release);
        Found::Work
    }

    /// Whether the helper is to stay awake.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn is_asleep(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ASLEEP
    }

    /// Sleeps until there is something to do: called by the helper alone.
    pub(super) fn sleep(&self) {
        if self.state.compare_exchange(IDLE, ASLEEP, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            while self.state.load(Ordering::Relaxed) == ASLEEP {
                thread::park();
            }
        }
    }

    /// Keeps the helper awake from now on. Whether it sleeps, and is to be woken.
    pub(super) fn call(&self) -> bool {
        self.wanted.store(true, Ordering::Relaxed);
        self.state.compare_exchange(ASLEEP, IDLE, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Lets it sleep.
    pub(super) fn dismiss(&self) {
        self.wanted.store(false, Ordering::Relaxed);
    }

    /// Hands over a half. Whether the helper sleeps, and is to be woken.
    pub(super) fn put(&self, half: NonNull<Half>) -> bool {
        self.state.swap(half.as_ptr(), Ordering::AcqRel) == ASLEEP
    }

    /// Has the helper end. Whether it sleeps, and is to be woken.
    pub(super) fn quit(&self) -> bool {
        self.state.swap(QUIT, Ordering::AcqRel) == ASLEEP
    }

    /// Whether the half was still there.
    pub(super) fn take_back(&self, half: NonNull<Half>) -> bool {
        self.state.compare_exchange(half.as_ptr(), IDLE, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether the helper runs a half.
    pub(super) fn is_busy(&self) -> bool {
        self.state.load(Ordering::Acquire) == BUSY
    }
}
