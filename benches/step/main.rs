//! Optimizer steps: SGD, SAM and HSR, exact and sampled, in both types, over nine shapes of network and batch.
//!
//! ```text
//! cargo bench --bench step                          everything
//! cargo bench --bench step -- step/hsr/f32          what contains this
//! cargo bench --bench step -- contest               ratios alone: the table, target/step.csv and target/step.svg
//! cargo bench --bench step -- growth                cost against N, D, M and K, with the fitted exponents
//! cargo bench --bench step -- planner               the plan's choice against the fastest way, over a grid of shapes
//! cargo bench --bench step -- owned                 steps of `flatmin::Training` against steps on slices
//! cargo bench --bench step --features threads -- threads     one thread against several
//! cargo bench --bench step -- --test                every step once, to see that it runs
//! ```
//!
//! Criterion times each step by itself, as `step/{sgd,sam,hsr,hsr-sampled,hsr-zero}/{f32,f64}/{N}x{D}x{M}x{K}`, and keeps track of changes between runs. Ratios
//! come from a contest of its own ([`contest`]): all in turn, so that a disturbance meets all of them; it prints a table at
//! the end. For figures that can be compared, pin the process to one core: `taskset -c 1 cargo bench --bench step`.

mod chart;
mod contest;
mod growth;
mod owned;
mod peak;
mod planner;
#[cfg(feature = "threads")]
mod threads;
mod training;

use std::hint::black_box;
use std::time::Duration;

use contest::{Contest, Rounds};
use criterion::{BenchmarkId, Criterion};
use training::{Contender, Number, SHAPES, Training};

fn main() {
    let arguments = Arguments::parse();
    let rounds = if arguments.test { Rounds::Few } else { Rounds::Many };
    match arguments.filter.as_str() {
        "contest" => return contest("", rounds),
        "growth" => return growth::print(rounds),
        "planner" => return planner(rounds),
        "owned" => return [owned::print::<f32>, owned::print::<f64>].iter().for_each(|print| print(rounds)),
        #[cfg(feature = "threads")]
        "threads" => return [threads::print::<f32>, threads::print::<f64>].iter().for_each(|print| print(rounds)),
        _ => {}
    }
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    benchmarks::<f32>(&mut criterion);
    benchmarks::<f64>(&mut criterion);
    criterion.final_summary();

    if arguments.list {
        return;
    }
    contest(&arguments.filter, rounds);
    if arguments.filter.is_empty() {
        growth::print(rounds);
    }
    if arguments.test {
        planner(rounds);
        owned::print::<f32>(rounds);
        #[cfg(feature = "threads")]
        threads::print::<f32>(rounds);
    }
}

/// Prints the table, and writes it to files if it is whole.
fn contest(filter: &str, rounds: Rounds) {
    let mut contest = Contest::new();
    contest.run::<f32>(filter, rounds);
    contest.run::<f64>(filter, rounds);
    if filter.is_empty() && rounds == Rounds::Many {
        match contest.write_csv().and_then(|csv| Ok([csv, chart::write(&contest)?])) {
            Ok(files) => files.iter().for_each(|file| println!("written: {}", file.display())),
            Err(error) => println!("not written: {error}"),
        }
    }
}

/// The plan's choice against the fastest way.
fn planner(rounds: Rounds) {
    if let Err(error) = planner::print(rounds) {
        println!("not written: {error:#}");
    }
}

/// What the contest has to know of the command line; the rest is Criterion's.
struct Arguments {
    /// Only what contains this.
    filter: String,
    /// Nothing but the names.
    list: bool,
    /// Once around, for a look whether everything runs.
    test: bool,
}

impl Arguments {
    /// Options of Criterion's that take no value; the argument after any other is that option's.
    const SWITCHES: [&str; 9] =
        ["--bench", "--test", "--exact", "--quick", "--noplot", "--quiet", "--verbose", "--discard-baseline", "--list"];

    fn parse() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let is_value = |at: usize| {
            let before = at.checked_sub(1).map_or("", |before| &arguments[before]);
            before.starts_with("--") && !before.contains('=') && !Self::SWITCHES.contains(&before)
        };
        let filter = (0..arguments.len()).find(|&at| !arguments[at].starts_with('-') && !is_value(at));
        // Like Criterion: cargo bench says --bench, and without it this is a run of the tests.
        let has = |name: &str| arguments.iter().any(|argument| argument == name);
        Self {
            filter: filter.map(|at| arguments[at].clone()).unwrap_or_default(),
            list: has("--list"),
            test: has("--test") || !has("--bench"),
        }
    }
}

fn benchmarks<T: Number>(criterion: &mut Criterion) {
    for contender in Contender::ALL {
        let (optimizer, mut group) =
            (contender.optimizer::<T>(), criterion.benchmark_group(format!("step/{contender}/{}", T::NAME)));
        for (shape, _) in SHAPES {
            group.bench_function(BenchmarkId::from_parameter(shape), |bencher| {
                let mut training = Training::<T>::new(shape.plan());
                bencher.iter(|| black_box(training.step(&*optimizer)));
            });
        }
        group.finish();
    }
}
