//! Where a helper finds work: one slot a helper, for one half of some work at a time.
//!
//! A half lies on the stack of the thread that hands it over, and borrows from there. So its lifetime is erased, and [`both`] does not
//! return, nor unwind, before the half is done or taken back.

use core::cell::Cell;
use core::ptr::{NonNull, without_provenance_mut};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use crate::workers::team::{Helper, Patience};

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
struct Half {
    run: unsafe fn(NonNull<Self>),
}

/// A half, and what came of it.
#[repr(C)]
struct Work<F, A> {
    half: Half,
    work: Cell<Option<F>>,
    outcome: Cell<Option<thread::Result<A>>>,
}

impl<F: FnOnce() -> A, A> Work<F, A> {
    fn new(work: F) -> Self {
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
}

impl Helper {
    /// Keeps the helper awake from now on, and wakes it if it sleeps.
    pub(super) fn call(&mut self) {
        self.slot.wanted.store(true, Ordering::Relaxed);
        if self.slot.state.compare_exchange(ASLEEP, IDLE, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.thread.unpark();
        }
    }

    /// Lets it sleep.
    pub(super) fn dismiss(&mut self) {
        self.slot.wanted.store(false, Ordering::Relaxed);
    }

    /// Whether the half was still there.
    fn take_back(&mut self, half: NonNull<Half>) -> bool {
        self.slot.state.compare_exchange(half.as_ptr(), IDLE, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Until the half that it took is done.
    fn wait(&mut self) {
        let mut patience = Patience::new();
        while self.slot.state.load(Ordering::Acquire) == BUSY {
            patience.pause();
        }
    }

    fn put(&mut self, state: *mut Half) {
        if self.slot.state.swap(state, Ordering::AcqRel) == ASLEEP {
            self.thread.unpark();
        }
    }
}

/// The helper's thread ends on its own. It is never at work here: [`both`] borrows the helper as long as it is.
impl Drop for Helper {
    fn drop(&mut self) {
        self.put(QUIT);
    }
}

/// Runs both: the second half by the helper, if the helper comes to it before the first is done. Never waits for a half that is not begun.
pub(crate) fn both<A, B: Send>(
    helper: &mut Helper,
    first: impl FnOnce() -> A,
    second: impl FnOnce() -> B + Send,
) -> (A, B) {
    /// Takes the half back or waits until it is done, when the first panics too.
    struct Handed<'h> {
        helper: &'h mut Helper,
        half: NonNull<Half>,
    }
    impl Drop for Handed<'_> {
        fn drop(&mut self) {
            if !self.helper.take_back(self.half) {
                self.helper.wait();
            }
        }
    }

    let second = Work::new(second);
    let half = NonNull::from(&second).cast();
    helper.put(half.as_ptr());
    let handed = Handed { helper, half };
    let done = first();
    drop(handed);
    let other = match (second.work.take(), second.outcome.take()) {
        (Some(work), _) => work(),
        (None, Some(outcome)) => outcome.unwrap_or_else(|panic| resume_unwind(panic)),
        (None, None) => unreachable!("a half that is neither done nor taken back"),
    };
    (done, other)
}
