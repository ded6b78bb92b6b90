//! Steps by one thread and by several: interleaved, medians of ratios. Nothing is pinned: where the system puts the threads is part of what a
//! user of them gets. The condition is that as many cores are free.

use std::thread::available_parallelism;
use std::time::Duration;

use flatmin::Optimizer;

use crate::contest::{Rounds, median, run, way};
use crate::training::{Contender, Number, SHAPES, Training};

/// How long a number of threads runs within a round, at least: long enough that waking them does not count.
const SPAN: Duration = Duration::from_millis(20);

/// Seconds a step.
fn seconds<T: Number>(training: &mut Training<T>, optimizer: &dyn Optimizer<T>, steps: u32) -> f64 {
    run(training, optimizer, steps) / f64::from(steps)
}

/// Prints one row a shape and optimizer, for 1, 2, 4 … threads, as many as there are cores.
pub fn print<T: Number>(rounds: Rounds) {
    let cores = available_parallelism().map_or(1, usize::from);
    let counts: Vec<usize> = (0..).map(|power| 1 << power).take_while(|&count| count <= cores.max(2)).collect();
    println!("\n{}: µs a step of one thread, and how many times as fast several are", T::NAME);
    for (shape, _) in SHAPES {
        let plan = |threads| shape.plan().with_threads(threads).expect("a workspace in memory");
        let mut contenders: Vec<_> = counts.iter().map(|&threads| Training::<T>::new(plan(threads))).collect();
        for contender in [Contender::Sgd, Contender::Hsr, Contender::HsrSampled] {
            let optimizer = &*contender.optimizer();
            let steps = match rounds {
                Rounds::Few => 1,
                Rounds::Many => (SPAN.as_secs_f64() / seconds(&mut contenders[0], optimizer, 3)).ceil() as u32,
            };
            let times: Vec<Vec<f64>> = (0..if rounds == Rounds::Few { 1 } else { 15 })
                .map(|_| contenders.iter_mut().map(|training| seconds(training, optimizer, steps)).collect())
                .collect();
            let one = 1e6 * median(times.iter().map(|round| round[0]).collect());
            print!("{shape:15}  {:15}  {contender:11}  1: {one:8.1}", way(&shape.plan()));
            for (at, threads) in counts.iter().enumerate().skip(1) {
                print!("  {threads}: {:.2}", median(times.iter().map(|round| round[0] / round[at]).collect()));
            }
            println!();
        }
    }
}
