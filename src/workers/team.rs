//! The threads that help with evaluations: each thread that evaluates has helpers of its own.
//!
//! They are started when an evaluation first pays for them, stay awake as long as one goes on and a little longer, since the next step of a
//! training follows soon, and then sleep. They end with the thread that they help. Nothing else runs on them, and they run
//! nothing but halves that are handed to them: an evaluation never waits for other work of the host, nor other work for it.
//!
//! Helpers belong to one thread, so there is nothing to lock, and nothing that a fork could leave locked: a child process has no
//! helpers, notices that by its process id, and starts its own.

use core::cell::Cell;
use std::vec::Vec;

use crate::workers::helper::Helper;

/// Cost of an evaluation for each helper, at least, in flops of a large product; some microseconds, which waking one may take as well.
pub(super) const LEAST_OF_A_HELPER: u64 = 1 << 21;

/// The helpers of a thread.
#[derive(Debug, Default)]
struct Team {
    helpers: Vec<Helper>,
    /// Whether the system refused to start one more.
    complete: bool,
    /// The process that they were started in.
    process: u32,
}

std::thread_local! {
    /// None while an evaluation has it.
    static TEAM: Cell<Option<Team>> = const { Cell::new(None) };
}

impl Team {
    /// That of this thread.
    fn take() -> Self {
        let team: Self = TEAM.try_with(Cell::take).ok().flatten().unwrap_or_default();
        if team.process == process() {
            return team;
        }
        // Of the process that was forked. Its memory is left as it is: nothing says what its threads were at.
        core::mem::forget(team);
        Self { process: process(), ..Self::default() }
    }

    /// Up to so many helpers.
    fn helpers(&mut self, count: usize) -> &mut [Helper] {
        while self.helpers.len() < count && !self.complete {
            match Helper::start() {
                Some(helper) => self.helpers.push(helper),
                None => self.complete = true,
            }
        }
        let count = count.min(self.helpers.len());
        &mut self.helpers[..count]
    }

    /// Calls up to so many helpers, for as long as the work takes.
    fn run<A>(&mut self, count: usize, work: impl FnOnce(&mut [Helper]) -> A) -> A {
        struct Dismiss<'h>(&'h mut [Helper]);
        impl Drop for Dismiss<'_> {
            fn drop(&mut self) {
                self.0.iter_mut().for_each(Helper::dismiss);
            }
        }
        let helpers = self.helpers(count);
        helpers.iter_mut().for_each(Helper::call);
        let helpers = Dismiss(helpers);
        work(&mut *helpers.0)
    }
}

/// An evaluation of this cost by up to so many threads: as many as pay, and as the system has.
pub(crate) fn awake<A>(count: usize, cost: u64, evaluate: impl FnOnce(Threads<'_>) -> A) -> A {
    /// A team that goes back to its thread, after a panic too.
    struct Borrowed(Team);
    impl Drop for Borrowed {
        fn drop(&mut self) {
            let team = core::mem::take(&mut self.0);
            // Where the thread is ending already, so do its helpers.
            let _ = TEAM.try_with(|own| own.set(Some(team)));
        }
    }

    let pay = usize::try_from(cost / LEAST_OF_A_HELPER).unwrap_or(usize::MAX);
    match count.saturating_sub(1).min(pay) {
        0 => evaluate(Threads::one()),
        helpers => Borrowed(Team::take()).0.run(helpers, |helpers| evaluate(Threads { helpers })),
    }
}

/// The thread that runs, and the helpers that are its own meanwhile.
#[derive(Debug)]
pub(crate) struct Threads<'t> {
    helpers: &'t mut [Helper],
}

impl<'t> Threads<'t> {
    /// No helpers.
    pub(crate) fn one() -> Self {
        Self { helpers: &mut [] }
    }

    pub(super) fn count(&self) -> usize {
        self.helpers.len() + 1
    }

    /// The same, borrowed for a shorter time.
    pub(super) fn reborrow(&mut self) -> Threads<'_> {
        Threads { helpers: self.helpers }
    }

    /// So many threads, and the helper that runs the second half, with those that are left; nothing, if no one is left.
    pub(super) fn split(self, first: usize) -> Option<(Self, &'t mut Helper, Self)> {
        let (own, others) = self.helpers.split_at_mut_checked(first.checked_sub(1)?)?;
        let (helper, others) = others.split_first_mut()?;
        Some((Self { helpers: own }, helper, Self { helpers: others }))
    }
}

/// The process that this is.
#[cfg(unix)]
fn process() -> u32 {
    std::process::id()
}

/// There is no fork.
#[cfg(not(unix))]
fn process() -> u32 {
    0
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicBool, Ordering};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::workers::both;
    use crate::workers::helper::LINGER;
    use crate::workers::slot::{Found, Slot};

    /// A helper whose thread does not get to run.
    fn late(slot: Slot) -> Helper {
        Helper { slot: Arc::new(slot), thread: thread::current() }
    }

    fn wait_until(condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(30), "waits in vain");
            thread::yield_now();
        }
    }

    fn raise(flag: &AtomicBool) {
        flag.store(true, Ordering::SeqCst);
    }

    fn is_raised(flag: &AtomicBool) -> bool {
        flag.load(Ordering::SeqCst)
    }

    /// Two halves of which the first does not end before the second is under way.
    fn at_once<A, B: Send>(first: impl FnOnce() -> A, second: impl FnOnce() -> B + Send) -> (A, B) {
        let started = AtomicBool::new(false);
        awake(2, u64::MAX, |Threads { helpers }| {
            let first = || {
                wait_until(|| is_raised(&started));
                first()
            };
            let second = || {
                raise(&started);
                second()
            };
            both(&mut helpers[0], first, second)
        })
    }

    #[test]
    fn both_run_at_once() {
        let id = || thread::current().id();
        let (first, second) = at_once(id, id);
        assert!(first == id() && second != id());
    }

    #[test]
    fn no_one_waits_for_a_helper_that_has_not_started() {
        let (mut helper, id) = (late(Slot::new()), || thread::current().id());
        assert_eq!(both(&mut helper, id, id), (id(), id()));
        assert!(matches!(helper.slot.serve(), Found::Nothing), "taken back");
    }

    #[test]
    fn a_panic_is_passed_on() {
        let fails = |which: usize| {
            let half = move |number: usize| move || assert_ne!(number, which, "on purpose");
            let together = catch_unwind(AssertUnwindSafe(|| at_once(half(1), half(2)))).is_err();
            let taken_back = catch_unwind(AssertUnwindSafe(|| both(&mut late(Slot::new()), half(1), half(2)))).is_err();
            [together, taken_back]
        };
        assert_eq!([0, 1, 2].map(fails), [[false; 2], [true; 2], [true; 2]]);
    }

    #[test]
    fn a_panic_waits_for_the_other_half() {
        let ended = AtomicBool::new(false);
        let second = || {
            thread::sleep(Duration::from_millis(20));
            raise(&ended);
        };
        assert!(catch_unwind(AssertUnwindSafe(|| at_once(|| panic!("on purpose"), second))).is_err());
        assert!(is_raised(&ended));
    }

    #[test]
    fn a_half_that_is_not_begun_is_dropped_at_a_panic() {
        let (sender, receiver) = channel::<()>();
        let second = || drop(sender);
        let run = || both(&mut late(Slot::new()), || panic!("on purpose"), second);
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        assert!(receiver.recv().is_err());
    }

    #[test]
    fn a_helper_sleeps_and_is_woken() {
        for _ in 0..20 {
            at_once(|| (), || ());
            thread::sleep(2 * LINGER);
        }
        let mut helper = Helper::start().expect("a thread");
        helper.dismiss();
        wait_until(|| helper.slot.is_asleep());
        let started = AtomicBool::new(false);
        both(&mut helper, || wait_until(|| is_raised(&started)), || raise(&started));
        helper.dismiss();
        wait_until(|| helper.slot.is_asleep());
        helper.call();
        assert!(!helper.slot.is_asleep());
    }

    #[test]
    fn helpers_end_with_their_thread() {
        let slots = thread::spawn(|| {
            at_once(|| (), || ());
            let team = Team::take();
            let slots: Vec<_> = team.helpers.iter().map(|helper| Arc::downgrade(&helper.slot)).collect();
            TEAM.set(Some(team));
            slots
        });
        let slots = slots.join().expect("no panic");
        assert_eq!(slots.len(), 1);
        wait_until(|| slots.iter().all(|slot| slot.upgrade().is_none()));
    }

    #[test]
    fn helpers_stay_for_the_next_evaluation() {
        let helper = || awake(2, u64::MAX, |Threads { helpers }| helpers[0].thread.id());
        assert_eq!(helper(), helper());
        let run = || awake(2, u64::MAX, |_| panic!("on purpose"));
        let before = helper();
        assert!(catch_unwind(run).is_err());
        assert_eq!(helper(), before);
    }

    #[test]
    fn as_many_as_pay_and_as_there_are() {
        let count = |count, cost| awake(count, cost, |threads| threads.count());
        assert_eq!(count(4, LEAST_OF_A_HELPER - 1), 1);
        assert_eq!(count(4, 2 * LEAST_OF_A_HELPER), 3);
        assert_eq!(count(4, u64::MAX), 4);
        assert_eq!(count(1, u64::MAX), 1);
        TEAM.set(Some(Team { complete: true, process: process(), ..Team::default() }));
        assert_eq!(count(4, u64::MAX), 1);
    }

    #[test]
    fn a_team_of_another_process_is_left_alone() {
        let helper = late(Slot::new());
        let slot = Arc::clone(&helper.slot);
        TEAM.set(Some(Team { helpers: std::vec![helper], complete: false, process: process() + 1 }));
        at_once(|| (), || ());
        assert!(matches!(slot.serve(), Found::Nothing), "not told to end");
    }

    #[test]
    fn an_evaluation_within_another() {
        let inner = || at_once(|| 1, || 2);
        assert_eq!(at_once(inner, inner), ((1, 2), (1, 2)));
    }
}
