//! A step of [`flatmin::Training`] against the same step on slices: interleaved, medians of ratios.
//!
//! Both check their batch, and both take one optimizer as a trait object. What is left is what `Training` adds.

use std::hint::black_box;
use std::time::{Duration, Instant};

use flatmin::{Batch, Optimizer, Targets};

use crate::contest::{Rounds, median, run};
use crate::training::{Contender, Number, SHAPES, Training};

/// How long each runs within a round, at least.
const SPAN: Duration = Duration::from_millis(2);

/// Prints one row a shape and optimizer.
pub fn print<T: Number>(rounds: Rounds) {
    println!("\n{}: µs a step on slices, and the time of a step of `Training` over it", T::NAME);
    let mut ratios = Vec::new();
    for (shape, _) in SHAPES {
        let plan = shape.plan();
        let mut slices = Training::<T>::new(plan);
        let (inputs, classes) = (slices.inputs.clone(), slices.classes.clone());
        for contender in [Contender::Sgd, Contender::Hsr, Contender::HsrSampled] {
            let optimizer = contender.optimizer::<T>();
            let mut owned: Owned<T> = flatmin::Training::new(plan, contender.optimizer(), 1)
                .and_then(|training| training.with_theta(&slices.theta))
                .expect("sizes that fit into memory");
            let mut steps_of_owned = |steps: u32| {
                let start = Instant::now();
                for _ in 0..steps {
                    let batch = Batch::new(plan.shape(), &inputs, Targets::Classes(&classes));
                    black_box(owned.step(&batch.expect("a valid batch")).expect("finite numbers"));
                }
                start.elapsed().as_secs_f64()
            };
            let once = run(&mut slices, &*optimizer, 3) / 3.0;
            let (steps, count) = match rounds {
                Rounds::Few => (1, 1),
                Rounds::Many => ((SPAN.as_secs_f64() / once).ceil() as u32, 41),
            };
            let times: Vec<[f64; 2]> = (0..count)
                .map(|round| {
                    // Whoever comes second finds other caches than the first: take turns.
                    if round % 2 == 0 {
                        let first = run(&mut slices, &*optimizer, steps);
                        [first, steps_of_owned(steps)]
                    } else {
                        let second = steps_of_owned(steps);
                        [run(&mut slices, &*optimizer, steps), second]
                    }
                })
                .collect();
            let micros = 1e6 * median(times.iter().map(|round| round[0]).collect()) / f64::from(steps);
            let ratio = median(times.iter().map(|round| round[1] / round[0]).collect());
            println!("{shape:15}  {contender:11}  {micros:9.1}  {ratio:.3}");
            ratios.push(ratio.ln());
        }
    }
    println!("geometric mean {:.4}", (ratios.iter().sum::<f64>() / ratios.len() as f64).exp());
}

type Owned<T> = flatmin::Training<T, Box<dyn Optimizer<T>>>;
