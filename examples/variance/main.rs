//! How noisy the sampled penalty's gradient is, on a trained network's way.
//!
//! ```text
//! cargo run --release --example variance                            digits
//! cargo run --release --example variance -- --data FOLDER           a folder of IDX files, such as MNIST's
//! cargo run --release --example variance -- --quick                 some of it, within seconds
//! ```
//!
//! A network is trained with the sampled penalty. At its beginning, half-way and at its end the gradient of Λ is estimated from many batches
//! with many draws, in every way that is asked about, and compared with the gradient of all training samples: noise is
//! `E‖g − ∇Λ‖²/‖∇Λ‖²`, with the draw of the batch in it. Slopes are those of all training samples.
//!
//! Then the crate's choice of samples is compared with others (see [`schemes`]).
#![forbid(unsafe_code)]

#[path = "../common/mod.rs"]
mod common;
mod noise;
mod schemes;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use flatmin::{Activation, Network, Sampling, Shape, WeightDecay};

use common::data::Source;
use common::method::{Kind, Method, Rule, Update};
use common::presets::Preset;
use common::training::{Schedule, Weights, train};
use noise::Noise;
use schemes::Schemes;

/// Relative variances of the sampled penalty's gradient, at three points of a training.
#[derive(Clone, Debug, Parser)]
#[command(name = "variance")]
struct Options {
    /// Data set: digits, iris, wine, breast-cancer, moons, or a folder of IDX files such as MNIST's (plain or gzip)
    #[arg(long, default_value = "digits", value_name = "NAME|FOLDER")]
    data: Source,
    /// Hidden units
    #[arg(long, default_value = "32", value_name = "COUNT")]
    hidden: NonZeroUsize,
    /// Samples a batch; as the data set's preset says unless given
    #[arg(long, value_name = "COUNT")]
    batch: Option<NonZeroUsize>,
    /// Samples of the batch from which other choices are made
    #[arg(long, default_value = "256", value_name = "COUNT")]
    pool: NonZeroUsize,
    /// Activation: tanh, sigmoid, softplus, gelu, silu or identity
    #[arg(long, default_value = "tanh", value_name = "NAME")]
    activation: Activation,
    /// η
    #[arg(long, default_value = "0.3", value_name = "η")]
    learning_rate: f64,
    /// ρ
    #[arg(long, default_value = "0.03", value_name = "ρ")]
    rho: f64,
    /// Epochs
    #[arg(long, default_value = "60", value_name = "COUNT")]
    epochs: NonZeroUsize,
    /// Batches, with a draw each
    #[arg(long, default_value = "300", value_name = "COUNT")]
    draws: NonZeroUsize,
    /// Random directions in which the other choices are compared
    #[arg(long, default_value = "12", value_name = "COUNT")]
    directions: NonZeroUsize,
    /// Of split, initial point, batches and draws
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..1 << 32))]
    seed: u64,
    /// Few epochs, draws and directions, and a small pool: for a look whether everything runs
    #[arg(long)]
    quick: bool,
}

fn main() -> ExitCode {
    common::exit::status(run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    let data = options.data.load()?;
    let samples = data.prepare(options.seed, None, None).train;
    let quick = |count: NonZeroUsize, few: usize| if options.quick { few.min(count.get()) } else { count.get() };
    let batch = options.batch.map_or(Preset::of(&options.data).batch, NonZeroUsize::get);
    let batch = if batch == 0 { samples.len() } else { batch.min(samples.len()) };
    let network = Network::new(Shape::new(data.inputs, options.hidden.get(), data.classes)?, options.activation);
    let (rule, weight_decay) = (Rule::Sgd, WeightDecay::NONE);
    let update = Update { rule, learning_rate: options.learning_rate, momentum: 0.0, weight_decay };
    let sampling = Sampling::new(options.seed);
    let method = Method { sampling, ..Method::new(Kind::HsrSampled, update, options.rho) };
    let schedule = Schedule {
        network,
        methods: vec![method],
        weights: Weights::DataSet,
        batch,
        steps: quick(options.epochs, 2) * (samples.len() / batch),
        observations: 1,
    };
    println!("{}: {} samples, batches of {batch}, {} steps", data.name, samples.len(), schedule.steps);
    println!("plan of a step: {}", schedule.plan(samples.len())?);
    let mut points = Vec::new();
    train::<f64>(&schedule, &samples, options.seed, |_, thetas| {
        points.extend_from_slice(thetas);
        Ok(())
    })?;

    let noise = Noise { network, samples: &samples, batch, draws: quick(options.draws, 20), seed: options.seed };
    let columns = points.iter().map(|theta| noise.measure(theta)).collect::<Result<Vec<_>>>()?;
    print("the gradient of Λ, relative variance", &columns);

    let pool = quick(options.pool, 64).min(samples.len());
    let directions = quick(options.directions, 2);
    let schemes = Schemes { network, samples: &samples, pool, directions, seed: options.seed };
    let columns = points.iter().map(|theta| schemes.measure(theta)).collect::<Result<Vec<_>>>()?;
    print(&format!("pairs of {pool} samples, relative variance"), &columns);
    Ok(())
}

/// Named values at the beginning, half-way and at the end.
fn print(title: &str, columns: &[Vec<(String, f64)>]) {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([title, "start", "middle", "end"]);
    for (at, (name, _)) in columns[0].iter().enumerate() {
        table.add_row(std::iter::once(name.clone()).chain(columns.iter().map(|column| format!("{:.3}", column[at].1))));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
}
