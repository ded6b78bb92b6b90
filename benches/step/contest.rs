//! SGD, SAM and HSR against each other: interleaved, medians, ratios.
//!
//! A round runs each contender in turn, each as often as it takes to fill [`SPAN`]. The ratio to SGD is taken within each round, and the
//! median over rounds is printed, beside the ratio that the plan's flop counts predict.

use std::hint::black_box;
use std::time::{Duration, Instant};

use flatmin::Route;

use crate::training::{Number, Optimizer, SHAPES, Sizes, Training};

/// How long a contender runs within a round, at least.
const SPAN: Duration = Duration::from_micros(500);

/// How long a contest lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounds {
    /// One round of one step each.
    Few,
    /// As many as fit into a second, and at least eleven.
    Many,
}

pub const HEAD: &str =
    "\ntype  shape             way              |   SGD µs |   SAM µs  /SGD  flops |   HSR µs    /SGD   flops";

/// Prints a line for each shape whose HSR step is among those that `filter` asks for.
pub fn table<T: Number>(filter: &str, rounds: Rounds) {
    for shape in SHAPES {
        if format!("step/hsr/{}/{shape}", T::NAME).contains(filter) {
            line::<T>(shape, rounds);
        }
    }
}

fn line<T: Number>(shape: Sizes, rounds: Rounds) {
    let mut training = Training::<T>::new(shape);
    let plan = training.plan;
    let [sgd, sam, hsr] = contest(&mut training, rounds);
    let flops = |optimizer: Optimizer| optimizer.flops(&plan) / Optimizer::Sgd.flops(&plan);
    let way = match plan.route() {
        Route::Pairs => format!("pairs, {}", plan.form()),
        Route::Blocks => "blocks".into(),
    };
    println!(
        "{:4}  {shape:16}  {way:15}  | {:8.1} | {:8.1} {:5.2} {:6.2} | {:8.1} {:7.2} {:7.2}",
        T::NAME,
        sgd.micros,
        sam.micros,
        sam.ratio,
        flops(Optimizer::Sam),
        hsr.micros,
        hsr.ratio,
        flops(Optimizer::Hsr)
    );
}

/// Medians over the rounds.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    micros: f64,
    ratio: f64,
}

fn contest<T: Number>(training: &mut Training<T>, rounds: Rounds) -> [Outcome; 3] {
    let repeats = Optimizer::ALL.map(|optimizer| match rounds {
        Rounds::Few => 1,
        Rounds::Many => repeats(training, optimizer),
    });
    let (least, budget) = match rounds {
        Rounds::Few => (1, Duration::ZERO),
        Rounds::Many => (11, Duration::from_secs(1)),
    };
    let (mut times, start) = (Vec::new(), Instant::now());
    while times.len() < least || start.elapsed() < budget {
        let mut round = [0.0; 3];
        for ((time, optimizer), repeats) in round.iter_mut().zip(Optimizer::ALL).zip(repeats) {
            *time = run(training, optimizer, repeats) / f64::from(repeats);
        }
        times.push(round);
    }
    [0, 1, 2].map(|at| Outcome {
        micros: 1e6 * median(times.iter().map(|round| round[at]).collect()),
        ratio: median(times.iter().map(|round| round[at] / round[0]).collect()),
    })
}

/// Steps that fill the span, after a warm-up.
fn repeats<T: Number>(training: &mut Training<T>, optimizer: Optimizer) -> u32 {
    run(training, optimizer, 2);
    (SPAN.as_secs_f64() / run(training, optimizer, 1)).ceil().clamp(1.0, 1000.0) as u32
}

/// Seconds that some steps take.
fn run<T: Number>(training: &mut Training<T>, optimizer: Optimizer, steps: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..steps {
        black_box(training.step(optimizer));
    }
    start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
