//! A helper: a thread of the crate that runs halves handed to it, and nothing else.

use core::ptr::NonNull;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{self, Builder, Thread};
use std::time::{Duration, Instant};

use crate::workers::slot::{Found, Half, Slot, Work};

/// How long a helper waits for the next evaluation before it sleeps.
pub(super) const LINGER: Duration = Duration::from_micros(200);

/// Stack of a helper: as the standard library's threads have it, whatever the environment says.
const STACK: usize = 2 << 20;

/// A thread that runs halves.
#[derive(Debug)]
pub(crate) struct Helper {
    pub(super) slot: Arc<Slot>,
    pub(super) thread: Thread,
}

impl Helper {
    /// A helper that is awake; none where the system has no more threads.
    pub(super) fn start() -> Option<Self> {
        let slot = Arc::new(Slot::new());
        let own = Arc::clone(&slot);
        let thread = Builder::new().stack_size(STACK).spawn(move || help(&own)).ok()?;
        Some(Self { slot, thread: thread.thread().clone() })
    }

    /// Keeps it awake from now on, and wakes it if it sleeps.
    pub(super) fn call(&mut self) {
        self.wake_if(self.slot.call());
    }

    /// Lets it sleep.
    pub(super) fn dismiss(&mut self) {
        self.slot.dismiss();
    }

    fn put(&mut self, half: NonNull<Half>) {
        self.wake_if(self.slot.put(half));
    }

    /// Until the half that it took is done.
    fn wait(&mut self) {
        let mut patience = Patience::new();
        while self.slot.is_busy() {
            patience.pause();
        }
    }

    fn wake_if(&self, asleep: bool) {
        if asleep {
            self.thread.unpark();
        }
    }
}

/// The helper's thread ends on its own. It is never at work here: [`both`] borrows the helper as long as it is.
impl Drop for Helper {
    fn drop(&mut self) {
        self.wake_if(self.slot.quit());
    }
}

/// What a helper's thread does until it is told to end.
fn help(slot: &Slot) {
    let (mut patience, mut since) = (Patience::new(), None);
    loop {
        match slot.serve() {
            Found::Quit => return,
            Found::Work => (patience, since) = (Patience::new(), None),
            Found::Nothing => {
                if slot.is_wanted() {
                    since = None;
                } else if since.get_or_insert_with(Instant::now).elapsed() > LINGER {
                    slot.sleep();
                    (patience, since) = (Patience::new(), None);
                }
                patience.pause();
            }
        }
    }
}

/// How to wait for something that happens soon.
struct Patience(u32);

impl Patience {
    fn new() -> Self {
        Self(0)
    }

    /// Waits a little; after some microseconds others may have the core.
    fn pause(&mut self) {
        if self.0 < 64 {
            self.0 += 1;
            core::hint::spin_loop();
        } else {
            thread::yield_now();
        }
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
            if !self.helper.slot.take_back(self.half) {
                self.helper.wait();
            }
        }
    }

    let second = Work::new(second);
    let half = NonNull::from(&second).cast();
    helper.put(half);
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
