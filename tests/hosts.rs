//! Steps by several threads in hosts that have threads of their own: no step waits for a host's work, takes it up, or is nested in another's.
//! A step that does would hang here, or nest; every test has a time limit, so that it fails instead.

mod common;

use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use common::problem::{Instance, Labels, Recipe};
use flatmin::{Activation, Hsr, Optimizer, Plan, Sgd, State};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Fails where the test takes longer, and leaves its threads behind.
fn within(limit: Duration, test: impl FnOnce() + Send + 'static) {
    let (end, ended) = channel();
    let thread = thread::spawn(move || {
        test();
        end.send(()).expect("someone waits");
    });
    match ended.recv_timeout(limit) {
        Ok(()) => thread.join().expect("its last words were said"),
        Err(RecvTimeoutError::Timeout) => panic!("hangs: not done within {limit:?}"),
        Err(RecvTimeoutError::Disconnected) => std::panic::resume_unwind(thread.join().expect_err("nothing was sent")),
    }
}

const LIMIT: Duration = Duration::from_secs(60);

thread_local! {
    /// How many trainings this thread is inside of.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// A network, and a batch: large enough for several threads, small enough for many steps.
struct Host {
    instance: Instance<f32>,
    plan: Plan,
}

impl Host {
    fn new(threads: usize) -> Self {
        let (activation, labels) = (Activation::Tanh, Labels::Soft);
        let recipe = Recipe { inputs: 64, hidden: 32, classes: 5, samples: 192, activation, labels, seed: 5 };
        let instance = recipe.problem().instance();
        Self { plan: instance.plan.with_threads(threads).expect("a small workspace"), instance }
    }

    /// The parameters, as bits, after so many steps.
    fn train(&self, steps: usize) -> Vec<u32> {
        self.train_while(|step| step < steps)
    }

    /// The same, as long as it says of the number of steps taken.
    fn train_while(&self, mut more: impl FnMut(usize) -> bool) -> Vec<u32> {
        let batch = self.instance.batch();
        let hsr = Hsr::new(Sgd::new(0.05), 0.1);
        let mut theta = self.instance.theta.clone();
        let mut workspace = vec![f32::NAN; self.plan.workspace_len()];
        let mut state = State::new(&mut []);
        for step in 0.. {
            if !more(step) {
                break;
            }
            DEPTH.set(DEPTH.get() + 1);
            hsr.step(&self.plan, &mut theta, &batch, &mut state, &mut workspace).expect("a good batch");
            DEPTH.set(DEPTH.get() - 1);
        }
        theta.iter().map(|x| x.to_bits()).collect()
    }
}

/// What one thread comes to.
fn alone(steps: usize) -> Vec<u32> {
    Host::new(1).train(steps)
}

fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().expect("threads")
}

#[test]
fn a_task_that_blocks_until_the_steps_are_done() {
    within(LIMIT, || {
        let (pool, host) = (pool(2), Host::new(2));
        for _ in 0..20 {
            let [stepping, blocking, done] = [const { AtomicBool::new(false) }; 3];
            let wait_for = |flag: &AtomicBool| {
                while !flag.load(Ordering::SeqCst) {
                    thread::yield_now();
                }
            };
            thread::scope(|scope| {
                // The task comes while steps are taken.
                scope.spawn(|| {
                    wait_for(&stepping);
                    pool.install(|| {
                        blocking.store(true, Ordering::SeqCst);
                        wait_for(&done);
                    });
                });
                pool.install(|| {
                    let mut left = 3;
                    host.train_while(|step| {
                        stepping.store(step > 2, Ordering::SeqCst);
                        left -= usize::from(blocking.load(Ordering::SeqCst));
                        left > 0
                    });
                    done.store(true, Ordering::SeqCst);
                });
            });
        }
    });
}

#[test]
fn no_step_takes_up_a_task_of_the_host() {
    const TASKS: usize = 200;
    within(LIMIT, || {
        let host = Host::new(2);
        let [ended, inside] = [const { AtomicUsize::new(0) }; 2];
        pool(2).in_place_scope(|scope| {
            scope.spawn(|_| {
                host.train_while(|_| ended.load(Ordering::SeqCst) < TASKS);
            });
            for _ in 0..TASKS {
                scope.spawn(|_| {
                    inside.fetch_add(DEPTH.get(), Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(1));
                    ended.fetch_add(1, Ordering::SeqCst);
                });
                thread::sleep(Duration::from_micros(500));
            }
        });
        assert_eq!(inside.into_inner(), 0, "tasks that a thread ran within a step");
    });
}

#[test]
fn queued_trainings_do_not_nest() {
    within(LIMIT, || {
        let host = Host::new(2);
        let (deepest, all) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let pool = ThreadPoolBuilder::new().num_threads(2).stack_size(512 << 10).build().expect("threads");
        pool.in_place_scope(|scope| {
            for _ in 0..480 {
                scope.spawn(|_| {
                    let trained = host.train_while(|step| {
                        deepest.fetch_max(DEPTH.get(), Ordering::SeqCst);
                        step < 2
                    });
                    all.lock().expect("no panic").push(trained);
                });
            }
        });
        assert_eq!(deepest.into_inner(), 0, "steps that a training was within");
        let alone = alone(2);
        assert!(all.into_inner().expect("no panic").iter().all(|found| *found == alone));
    });
}

#[test]
fn trainings_by_a_parallel_iterator() {
    within(LIMIT, || {
        let (host, alone) = (Host::new(4), alone(4));
        let found: Vec<_> = (0..12).into_par_iter().map(|_| host.train(4)).collect();
        assert!(found.iter().all(|found| *found == alone));
    });
}

#[test]
fn trainings_in_pools_within_pools() {
    within(LIMIT, || {
        let (outer, inner, host, alone) = (pool(3), pool(2), Host::new(4), alone(3));
        let train = |number: usize| match number % 3 {
            0 => inner.install(|| host.train(3)),
            1 => outer.install(|| host.train(3)),
            _ => inner.install(|| outer.install(|| host.train(3))),
        };
        let found: Vec<_> = outer.install(|| (0..9).into_par_iter().map(train).collect());
        assert!(found.iter().all(|found| *found == alone));
    });
}

#[test]
fn trainings_by_threads_at_once() {
    within(LIMIT, || {
        let (host, alone) = (Host::new(3), alone(4));
        thread::scope(|scope| {
            let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| host.train(4))).collect();
            assert!(threads.into_iter().all(|thread| thread.join().expect("no panic") == alone));
        });
    });
}

/// More threads than any machine has cores: nothing waits for those that do not get to run.
#[test]
fn many_more_threads_than_cores() {
    within(LIMIT, || assert!(Host::new(100).train(4) == alone(4)));
}

#[cfg(unix)]
mod unix {
    use super::*;

    /// Waits for a child process, which ends with this code.
    fn wait(child: libc::pid_t) -> i32 {
        let mut status = 0;
        // SAFETY: a child of this process, and a place for its status.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(libc::WIFEXITED(status), "killed by signal {}; {} is the alarm", libc::WTERMSIG(status), libc::SIGALRM);
        libc::WEXITSTATUS(status)
    }

    /// A child has none of its parent's threads but the one that forked.
    #[test]
    fn a_forked_child_takes_steps() {
        within(LIMIT, || {
            let (host, alone) = (Host::new(4), alone(4));
            let done = AtomicBool::new(false);
            thread::scope(|scope| {
                // One that is in the midst of a step, most likely.
                scope.spawn(|| host.train_while(|_| !done.load(Ordering::SeqCst)));
                for _ in 0..5 {
                    assert!(host.train(4) == alone);
                    // SAFETY: the child allocates and starts threads, which the C libraries that the tests run with allow after a fork, and ends without running
                    // what the parent has set up for its own end.
                    let child = unsafe { libc::fork() };
                    if child == 0 {
                        // SAFETY: a signal that nothing here handles.
                        unsafe { libc::alarm(15) };
                        let same = host.train(4) == alone;
                        // SAFETY: ends the process.
                        unsafe { libc::_exit(i32::from(!same)) };
                    }
                    assert_eq!(wait(child), 0, "exit code of the child: other bits");
                }
                done.store(true, Ordering::SeqCst);
            });
        });
    }
}

/// A process of its own, whose memory is limited so that no thread can be started.
#[cfg(target_os = "linux")]
#[test]
fn a_system_without_more_threads() {
    const CHILD: &str = "FLATMIN_TEST_WITHOUT_THREADS";
    if std::env::var_os(CHILD).is_none() {
        let this = std::env::current_exe().expect("a path");
        let arguments = ["a_system_without_more_threads", "--exact", "--test-threads=1"];
        let output = std::process::Command::new(this).args(arguments).env(CHILD, "1").output().expect("a process");
        assert!(output.status.success(), "{output:?}");
        return;
    }
    let (host, alone) = (Host::new(4), alone(4));
    let pages = std::fs::read_to_string("/proc/self/statm").expect("this process");
    let pages: u64 = pages.split(' ').next().and_then(|size| size.parse().ok()).expect("a number of pages");
    // A thread's stack takes 2 MiB, a workspace less.
    let limit = libc::rlimit { rlim_cur: (pages * 4096) + (1 << 20), rlim_max: libc::RLIM_INFINITY };
    // SAFETY: reads the structure that it is given.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
    assert!(thread::Builder::new().stack_size(2 << 20).spawn(|| ()).is_err(), "a thread that should not start");
    assert!(host.train(4) == alone);
}
