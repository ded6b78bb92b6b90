//! Tables of the contests: `contest gemm` and `contest elementwise`.
//!
//! Every line is measured in interleaved rounds on one thread; ratios are the other's time divided by flatmin's, so that more than 1 means
//! that flatmin is ahead.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use flatmin::InstructionSet;
use flatmin_kernel_benches::contest::{Outcome, mean};
use flatmin_kernel_benches::openblas::OpenBlas;
use flatmin_kernel_benches::peak::peak;
use flatmin_kernel_benches::products::{Group, Product};
use flatmin_kernel_benches::{functions, multipliers, products};
use serde::Serialize;

/// Contests between the kernels of flatmin and those of others, on one thread.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Matrix products: GFLOP/s, share of the FMA peak, and the others' times divided by flatmin's.
    Gemm {
        /// A shared library of OpenBLAS, to take part.
        #[arg(long)]
        openblas: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// Elementwise functions: nanoseconds a number, and the others' times divided by flatmin's.
    Elementwise {
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args)]
struct Common {
    /// Write all figures to this file.
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Only f32 or f64.
    #[arg(long = "type")]
    number: Option<String>,
    /// Only what contains this.
    #[arg(default_value = "")]
    filter: String,
    /// Milliseconds a line.
    #[arg(long, default_value_t = 200)]
    budget: u64,
}

/// A figure, as it is written to a file.
#[derive(Serialize)]
struct Record {
    number: &'static str,
    what: String,
    contender: &'static str,
    nanoseconds: f64,
    /// This contender's time, divided by flatmin's in the same round.
    ratio: f64,
    /// Of matrix products.
    gflops: Option<f64>,
    share_of_peak: Option<f64>,
}

fn main() -> Result<()> {
    let Arguments { command } = Arguments::parse();
    let mut records = Vec::new();
    let common = match command {
        Command::Gemm { openblas, common } => {
            // SAFETY: the user says that it is an OpenBLAS.
            let openblas = openblas.map(|path| unsafe { OpenBlas::load(&path) }).transpose()?;
            println!("instruction set: {}", InstructionSet::current());
            gemm::<f32>(&common, openblas, &mut records);
            gemm::<f64>(&common, openblas, &mut records);
            common
        }
        Command::Elementwise { common } => {
            println!("instruction set: {}", InstructionSet::current());
            elementwise::<f32>(&common, &mut records);
            elementwise::<f64>(&common, &mut records);
            common
        }
    };
    if let Some(path) = common.csv {
        let mut file = csv::Writer::from_path(path)?;
        records.iter().try_for_each(|record| file.serialize(record))?;
        file.flush()?;
    }
    Ok(())
}

impl Common {
    fn wants(&self, number: &str, what: &str) -> bool {
        self.number.as_deref().is_none_or(|wanted| wanted == number) && what.contains(&self.filter)
    }

    fn budget(&self) -> Duration {
        Duration::from_millis(self.budget)
    }
}

fn gemm<T: multipliers::Number>(common: &Common, openblas: Option<OpenBlas>, records: &mut Vec<Record>) {
    let wanted = |product: &Product| common.wants(T::NAME, &product.to_string());
    let mut outcomes: Vec<(Product, Vec<Outcome>)> = Vec::new();
    let mut peak_flops = 0f64;
    for product in products::all().into_iter().filter(wanted) {
        peak_flops = peak_flops.max(peak::<T>());
        let results = multipliers::contest::<T>(product, openblas, common.budget());
        outcomes.push((product, results));
    }
    let Some((_, first)) = outcomes.first() else { return };

    println!("\n{}: measured FMA peak {:.1} GFLOP/s", T::NAME, peak_flops / 1e9);
    print!("\n| group | m×k×n | GFLOP/s | of peak | best of others |");
    first[1..].iter().for_each(|other| print!(" {} |", other.name));
    println!("\n|---|---|--:|--:|--:|{}", "--:|".repeat(first.len() - 1));
    for (product, results) in &outcomes {
        let flops = product.flops() / results[0].seconds;
        print!(
            "| {} | {product} | {:.1} | {:.2} | {:.2} |",
            product.group,
            flops / 1e9,
            flops / peak_flops,
            ahead(results)
        );
        results[1..].iter().for_each(|other| print!(" {:.2} |", other.ratio));
        println!();
        records.extend(results.iter().map(|result| {
            let flops = product.flops() / result.seconds;
            Record {
                number: T::NAME,
                what: product.to_string(),
                contender: result.name,
                nanoseconds: 1e9 * result.seconds,
                ratio: result.ratio,
                gflops: Some(flops / 1e9),
                share_of_peak: Some(flops / peak_flops),
            }
        }));
    }
    println!();
    for group in Group::ALL {
        let lines: Vec<_> = outcomes.iter().filter(|(product, _)| product.group == group).collect();
        if lines.is_empty() {
            continue;
        }
        let least = lines.iter().map(|(_, results)| ahead(results)).fold(f64::INFINITY, f64::min);
        let best = mean(lines.iter().map(|(_, results)| ahead(results)));
        print!("{} {group}: best of others {best:.2} in the geometric mean, {least:.2} at least;", T::NAME);
        for (at, other) in first.iter().enumerate().skip(1) {
            print!(" {} {:.2}", other.name, mean(lines.iter().map(|(_, results)| results[at].ratio)));
        }
        println!();
    }
}

/// The time of the best other contender, divided by the first one's.
fn ahead(results: &[Outcome]) -> f64 {
    results[1..].iter().map(|other| other.ratio).fold(f64::INFINITY, f64::min)
}

fn elementwise<T: functions::Number>(common: &Common, records: &mut Vec<Record>) {
    println!("\n| {} | ns | libm | wide |\n|---|--:|--:|--:|", T::NAME);
    for function in functions::all().into_iter().filter(|function| common.wants(T::NAME, &function.to_string())) {
        let results = functions::contest::<T>(function, common.budget());
        print!("| {function} | {:.3} |", 1e9 * results[0].seconds);
        for name in ["libm", "wide"] {
            match results.iter().find(|other| other.name == name) {
                Some(other) => print!(" {:.1} |", other.ratio),
                None => print!(" – |"),
            }
        }
        println!();
        records.extend(results.iter().map(|result| Record {
            number: T::NAME,
            what: function.to_string(),
            contender: result.name,
            nanoseconds: 1e9 * result.seconds,
            ratio: result.ratio,
            gflops: None,
            share_of_peak: None,
        }));
    }
}
