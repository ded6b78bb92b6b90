//! SGD, SAM and HSR, exact, sampled and with ρ = 0, against each other: interleaved, medians, ratios.
//!
//! A round runs each contender in turn, each as often as it takes to fill [`SPAN`], after one step that is not timed: what is compared is steps
//! in a row of one optimizer, as in training. The ratio to SGD is taken within each round, and the
//! median over rounds is printed, beside the ratio that the plan's flop counts predict. The share of the FMA peak, measured in the same
//! run, counts the flops of the cheapest route known when the goals were set: see [`SHAPES`].

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use flatmin::{Optimizer, Plan, Route, Sampling};

use crate::peak::peak;
use crate::training::{Contender, Number, SHAPES, Sizes, Training};

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

/// What came of one shape and type.
#[derive(Clone, Debug)]
pub struct Line {
    pub number: &'static str,
    pub shape: Sizes,
    pub way: String,
    /// Microseconds of a step, by [`Contender::ALL`].
    pub micros: [f64; 5],
    /// Ratios to SGD, measured and by flops.
    pub ratios: [f64; 5],
    pub predicted: [f64; 5],
    /// Samples that the sampled step keeps.
    pub kept: usize,
    /// Flops of the floor in the time of an HSR step, as a share of the peak.
    pub share: f64,
    pub workspace_bytes: usize,
}

/// The lines of a run.
#[derive(Debug, Default)]
pub struct Contest {
    pub lines: Vec<Line>,
}

impl Contest {
    pub fn new() -> Self {
        println!(
            "\ntype  shape            way             |   SGD µs |   SAM µs  /SGD |   HSR µs    /SGD   flops | sampled µs  /SGD  flops  kept | ρ = 0 /SGD | floor MFLOP  of peak | workspace"
        );
        Self::default()
    }

    /// Runs each shape whose HSR step is among those that `filter` asks for, and prints a line.
    pub fn run<T: Number>(&mut self, filter: &str, rounds: Rounds) {
        let mut best = 0.0f64;
        for (shape, floor) in SHAPES {
            if !format!("step/hsr/{}/{shape}", T::NAME).contains(filter) {
                continue;
            }
            best = best.max(peak::<T>());
            let line = Line::measure::<T>(shape, floor, best, rounds);
            println!(
                "{:4}  {:15}  {:15} | {:8.1} | {:8.1} {:5.2} | {:8.1} {:7.2} {:7.2} | {:10.1} {:5.2} {:6.2} {:5} | {:10.3} | {:11.1} {:7.0} % | {:6.1} MB",
                line.number,
                line.shape,
                line.way,
                line.micros[0],
                line.micros[1],
                line.ratios[1],
                line.micros[2],
                line.ratios[2],
                line.predicted[2],
                line.micros[3],
                line.ratios[3],
                line.predicted[3],
                line.kept,
                line.ratios[4],
                1e-6 * floor,
                100.0 * line.share,
                1e-6 * line.workspace_bytes as f64
            );
            self.lines.push(line);
        }
        if best > 0.0 {
            println!("      FMA peak of this run, {}: {:.0} GFLOP/s", T::NAME, 1e-9 * best);
        }
    }

    /// Writes `target/step.csv`.
    pub fn write_csv(&self) -> anyhow::Result<PathBuf> {
        let path = target("step.csv");
        let mut csv = csv::Writer::from_path(&path)?;
        csv.write_record([
            "type",
            "samples",
            "inputs",
            "hidden",
            "classes",
            "way",
            "sgd_us",
            "sam_us",
            "hsr_us",
            "hsr_sampled_us",
            "hsr_zero_us",
            "sam_ratio",
            "hsr_ratio",
            "hsr_ratio_by_flops",
            "hsr_sampled_ratio",
            "hsr_sampled_ratio_by_flops",
            "hsr_zero_ratio",
            "floor_share_of_peak",
            "workspace_bytes",
        ])?;
        for line in &self.lines {
            let mut record = vec![line.number.to_string()];
            record.extend(line.shape.all().map(|size| size.to_string()));
            record.push(line.way.clone());
            record.extend(line.micros.map(|micros| format!("{micros:.2}")));
            let [_, sam, hsr, sampled, zero] = line.ratios;
            let rest = [sam, hsr, line.predicted[2], sampled, line.predicted[3], zero, line.share];
            record.extend(rest.map(|value| format!("{value:.4}")));
            record.push(line.workspace_bytes.to_string());
            csv.write_record(record)?;
        }
        csv.flush()?;
        Ok(path)
    }
}

impl Line {
    fn measure<T: Number>(shape: Sizes, floor: f64, peak: f64, rounds: Rounds) -> Self {
        let plan = shape.plan();
        let mut training = Training::<T>::new(plan);
        let outcomes = contest(&mut training, rounds);
        let flops = |contender: Contender| contender.flops(&plan) / Contender::Sgd.flops(&plan);
        Self {
            number: T::NAME,
            shape,
            way: way(&plan),
            micros: outcomes.map(|outcome| outcome.micros),
            ratios: outcomes.map(|outcome| outcome.ratio),
            predicted: Contender::ALL.map(flops),
            kept: Sampling::default().subset_len(&plan),
            share: floor / (1e-6 * outcomes[2].micros * peak),
            workspace_bytes: plan.workspace_len() * size_of::<T>(),
        }
    }
}

/// A file in the target directory.
pub fn target(name: &str) -> PathBuf {
    let directory = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")), PathBuf::from);
    directory.join(name)
}

/// Route and form, in words.
pub fn way(plan: &Plan) -> String {
    match plan.route() {
        Route::Pairs => format!("pairs, {}", plan.form()),
        // Blocks, and what may be added: only pairs have forms.
        route => route.to_string(),
    }
}

/// Medians over the rounds.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    micros: f64,
    ratio: f64,
}

fn contest<T: Number>(training: &mut Training<T>, rounds: Rounds) -> [Outcome; 5] {
    let optimizers = Contender::ALL.map(Contender::optimizer::<T>);
    let repeats = optimizers.each_ref().map(|optimizer| match rounds {
        Rounds::Few => 1,
        Rounds::Many => repeats(training, &**optimizer),
    });
    let (least, budget) = match rounds {
        Rounds::Few => (1, Duration::ZERO),
        Rounds::Many => (11, Duration::from_secs(1)),
    };
    let (mut times, start) = (Vec::new(), Instant::now());
    while times.len() < least || start.elapsed() < budget {
        let mut round = [0.0; 5];
        for ((time, optimizer), repeats) in round.iter_mut().zip(&optimizers).zip(repeats) {
            let optimizer = &**optimizer;
            // One step that is not timed, or a contender would pay for what the one before it left in the caches.
            run(training, optimizer, 1);
            *time = run(training, optimizer, repeats) / f64::from(repeats);
        }
        times.push(round);
    }
    [0, 1, 2, 3, 4].map(|at| Outcome {
        micros: 1e6 * median(times.iter().map(|round| round[at]).collect()),
        ratio: median(times.iter().map(|round| round[at] / round[0]).collect()),
    })
}

/// Steps that fill the span, after a warm-up.
fn repeats<T: Number>(training: &mut Training<T>, optimizer: &dyn Optimizer<T>) -> u32 {
    run(training, optimizer, 2);
    (SPAN.as_secs_f64() / run(training, optimizer, 1)).ceil().clamp(1.0, 1000.0) as u32
}

/// Seconds that some steps take.
pub fn run<T: Number>(training: &mut Training<T>, optimizer: &dyn Optimizer<T>, steps: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..steps {
        black_box(training.step(optimizer));
    }
    start.elapsed().as_secs_f64()
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
