//! Steps by one thread and by several: interleaved, medians of ratios. Every thread of a pool has a core of its own: left to itself the
//! system often puts a thread that has just been woken beside the one that woke it. The condition is that those cores are free.

use std::thread::available_parallelism;
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::contest::{Rounds, median, run, way};
use crate::training::{Number, Optimizer, SHAPES, Training};

/// How long a number of threads runs within a round, at least: long enough that waking them does not count.
const SPAN: Duration = Duration::from_millis(20);

/// A pool, and a network to train in it.
struct Contender<T> {
    pool: ThreadPool,
    training: Training<T>,
}

impl<T: Number> Contender<T> {
    fn seconds(&mut self, optimizer: Optimizer, steps: u32) -> f64 {
        let Self { pool, training } = self;
        pool.install(|| run(training, optimizer, steps)) / f64::from(steps)
    }
}

/// A pool whose threads are pinned to the first of the cores that this process may use, where the system can do that.
fn pinned(threads: usize) -> ThreadPool {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let pin = move |thread: usize| {
        if let Some(&core) = cores.get(thread) {
            core_affinity::set_for_current(core);
        }
    };
    ThreadPoolBuilder::new().num_threads(threads).start_handler(pin).build().expect("threads")
}

/// Prints one row a shape and optimizer, for 1, 2, 4 … threads, as many as there are cores.
pub fn print<T: Number>(rounds: Rounds) {
    let cores = available_parallelism().map_or(1, usize::from);
    let counts: Vec<usize> = (0..).map(|power| 1 << power).take_while(|&count| count <= cores.max(2)).collect();
    println!("\n{}: µs a step of one thread, and how many times as fast several are", T::NAME);
    for (shape, _) in SHAPES {
        let mut contenders: Vec<_> = counts
            .iter()
            .map(|&threads| Contender {
                pool: pinned(threads),
                training: Training::<T>::new(shape.plan().with_threads(threads).expect("a workspace in memory")),
            })
            .collect();
        for optimizer in [Optimizer::Sgd, Optimizer::Hsr, Optimizer::HsrSampled] {
            let steps = match rounds {
                Rounds::Few => 1,
                Rounds::Many => (SPAN.as_secs_f64() / contenders[0].seconds(optimizer, 3)).ceil() as u32,
            };
            let times: Vec<Vec<f64>> = (0..if rounds == Rounds::Few { 1 } else { 15 })
                .map(|_| contenders.iter_mut().map(|contender| contender.seconds(optimizer, steps)).collect())
                .collect();
            let one = 1e6 * median(times.iter().map(|round| round[0]).collect());
            print!("{shape:15}  {:15}  {optimizer:11}  1: {one:8.1}", way(&shape.plan()));
            for (at, threads) in counts.iter().enumerate().skip(1) {
                print!("  {threads}: {:.2}", median(times.iter().map(|round| round[0] / round[at]).collect()));
            }
            println!();
        }
    }
}
