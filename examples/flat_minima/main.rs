//! Trains a network with SGD, SAM and HSR, exact and sampled, from the same initial points, and compares the minima that they find.
//!
//! ```text
//! cargo run --release --example flat_minima -- --help
//! ```
#![forbid(unsafe_code)]

#[path = "../common/mod.rs"]
mod common;
mod csv_files;
mod experiment;
mod options;
mod plot;
mod search;
mod table;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use common::data::DataSet;
use experiment::{Experiment, Outcome};
use options::Options;

fn main() -> ExitCode {
    common::exit::status(run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    let data = options.data.load()?;
    if options.search {
        return search::run(&data, options);
    }
    // Rather now than after the training.
    fs::create_dir_all(&options.out).with_context(|| format!("cannot create {}", options.out.display()))?;
    let experiment = Experiment::new(&data, options);
    println!("{}", experiment.describe()?);
    let outcomes = experiment.run(options.seed)?;
    println!("{}", table::comparison(&outcomes));
    write_files(options, &data, &outcomes).with_context(|| format!("writing to {}", options.out.display()))
}

/// The figures, and the CSV files where they are wanted.
fn write_files(options: &Options, data: &DataSet, outcomes: &[Outcome]) -> Result<()> {
    let [spectra, trajectories] = ["spectra.svg", "lambda_max.svg"].map(|name| options.out.join(name));
    let title = |what: &str| match options.seeds.get() {
        1 => format!("{}: {what}, one seed", data.name),
        seeds => format!("{}: {what}, {seeds} seeds (line: median, band: range)", data.name),
    };
    plot::spectra(&spectra, &title("Hessian spectrum after training"), outcomes)?;
    plot::trajectories(&trajectories, &title("sharpness over training"), outcomes)?;
    if options.csv {
        csv_files::write(&options.out, outcomes)?;
    }
    println!("figures: {}, {}", spectra.display(), trajectories.display());
    Ok(())
}
