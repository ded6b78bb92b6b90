//! Accuracy, sharpness and time of each method against each other, over a grid of its own strength.
//!
//! SAM is tried at several radii, HSR, exact and sampled, at several ρ; all twice, for equal numbers of epochs and for equal time. So no
//! method is judged at a strength that suits another, or for steps that cost more than another's.
//!
//! ```text
//! cargo run --release --example pareto                              digits, five seeds
//! cargo run --release --example pareto -- --quick                   some of it, within two minutes
//! cargo run --release --example pareto -- --data FOLDER             a folder of IDX files, such as MNIST's
//! ```
#![forbid(unsafe_code)]

#[path = "../common/mod.rs"]
mod common;
mod figure;
mod options;
mod report;
mod trial;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use options::Options;
use trial::Trial;

fn main() -> ExitCode {
    common::exit::status(run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    options.check()?;
    let data = options.data.load()?;
    // Rather now than after the training.
    fs::create_dir_all(&options.out).with_context(|| format!("cannot create {}", options.out.display()))?;
    let trial = Trial::new(&data, options);
    println!("{}", trial.describe()?);
    let contests = trial.run()?;
    for contest in &contests {
        println!("\n{}\n{}\n{}", contest.name, report::table(contest), report::verdict(contest));
    }
    let [csv, svg] = ["pareto.csv", "pareto.svg"].map(|name| options.out.join(name));
    report::write_csv(&csv, &contests).with_context(|| format!("writing {}", csv.display()))?;
    let title = format!("{}: sharpness and accuracy, {} seeds (median, range)", data.name, options.seeds());
    figure::draw(&svg, &title, &contests).with_context(|| format!("writing {}", svg.display()))?;
    println!("\nfigure: {}, numbers: {}", svg.display(), csv.display());
    Ok(())
}
