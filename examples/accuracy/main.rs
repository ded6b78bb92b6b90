//! How accurate every quantity is: `cargo run --release --example accuracy`.
//!
//! Problems over shapes, scales and conditioning are computed in both types, with every instruction set of the CPU and in every way of a
//! plan, and compared with loss and back-propagation differentiated by dual numbers in double-double arithmetic (31 digits). Errors are
//! printed in units of `ε · (sum of absolute terms)`, as in `tests/common/number.rs`; the program fails where one exceeds its bound.
//! `--write` puts the tables into docs/accuracy.md.

#[path = "../../tests/common/mod.rs"]
mod common;
mod problems;
mod report;

use common::call::Quantity;
use common::double::Double;
use common::number::Tracked;
use common::problem::{Problem, Way};
use common::reference::{Reference, product};
use flatmin::{InstructionSet, Real};
use problems::{Family, Sized};
use report::Report;

/// What is measured, and the bound of its error in units of `ε · (sum of absolute terms)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Measured {
    Loss,
    LossGradient,
    Trace,
    TraceOfSquare,
    Bounds,
    TraceSlope,
    TraceOfSquareSlope,
    BoundSlope,
    Product,
}

impl Measured {
    const ALL: [Self; 9] = [
        Self::Loss,
        Self::LossGradient,
        Self::Trace,
        Self::TraceOfSquare,
        Self::Bounds,
        Self::TraceSlope,
        Self::TraceOfSquareSlope,
        Self::BoundSlope,
        Self::Product,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Loss => "L",
            Self::LossGradient => "∇L, by entry",
            Self::Trace => "tr H",
            Self::TraceOfSquare => "tr H²",
            Self::Bounds => "the four bounds",
            Self::TraceSlope => "∇tr H · d",
            Self::TraceOfSquareSlope => "∇tr H² · d",
            Self::BoundSlope => "∇Λ · d",
            Self::Product => "H·v, by entry",
        }
    }

    /// The documented bound.
    fn bound(self) -> f64 {
        match self {
            // Sums over up to 10⁵ samples, in `f64` and in T.
            Self::Loss => 8.0,
            Self::LossGradient => 16.0,
            _ => 2.0,
        }
    }
}

/// s² is known to better than a quarter: elsewhere Λ and its gradient say nothing in this type, as the documentation has it.
fn variance_is_known<T: Real>(reference: &Reference<Double>) -> bool {
    reference.variance_error::<T>(16.0) < 0.25
}

/// Everything of one problem, in one type, with one instruction set.
fn measure<T: Real>(
    family: Family,
    problem: &Problem,
    set: InstructionSet,
    reference: &Reference<Double>,
    v: &[f64],
    report: &mut Report,
) {
    let instance = problem.instance::<T>().with_set(set);
    let mut note = |what: Measured, given: f64, expected: Tracked<Double>| {
        report.note::<T>(family, set, what, given, expected);
    };
    let (loss, gradient) = instance.gradient(Quantity::Loss);
    note(Measured::Loss, loss, reference.value(Quantity::Loss));
    for (given, &expected) in gradient.iter().zip(&reference.gradient) {
        note(Measured::LossGradient, given.to_f64(), expected);
    }
    let vector: Vec<T> = v.iter().map(|&x| T::from_f64(x)).collect();
    for (given, expected) in instance.product(&vector).iter().zip(product(problem, v)) {
        note(Measured::Product, given.to_f64(), expected);
    }
    let ways = if family.pairs() { &Way::ALL[..] } else { &Way::ALL[2..] };
    for way in ways {
        let instance = instance.clone().by(*way);
        let along = |quantity: Quantity| {
            let (value, gradient) = instance.gradient(quantity);
            (value, gradient.iter().zip(v).map(|(g, d)| g.to_f64() * d).sum::<f64>())
        };
        for (quantity, value_of, slope_of) in [
            (Quantity::Trace, Measured::Trace, Measured::TraceSlope),
            (Quantity::TraceOfSquare, Measured::TraceOfSquare, Measured::TraceOfSquareSlope),
            (Quantity::Bound, Measured::Bounds, Measured::BoundSlope),
        ] {
            if quantity == Quantity::Bound && !variance_is_known::<T>(reference) {
                continue;
            }
            let (value, slope) = along(quantity);
            note(value_of, value, reference.value(quantity));
            note(slope_of, slope, reference.slope(quantity));
        }
        if variance_is_known::<T>(reference) {
            let bounds = instance.curvature().bounds;
            let given =
                [bounds.lambda_max_upper, bounds.lambda_max_lower, bounds.lambda_min_upper, bounds.lambda_min_lower];
            for (given, expected) in given.into_iter().zip(reference.bounds()) {
                note(Measured::Bounds, given, expected);
            }
        }
    }
}

fn main() -> std::process::ExitCode {
    let write = std::env::args().any(|argument| argument == "--write");
    let mut report = Report::default();
    for family in Family::ALL {
        for Sized { problem, seed } in family.problems() {
            // Representable in both types, so that one reference serves both.
            let problem = problem.rounded::<f32>();
            let direction = problem.direction(seed);
            let reference = Reference::<Double>::within(&problem, &direction);
            for set in InstructionSet::all_supported() {
                measure::<f32>(family, &problem, set, &reference, &direction, &mut report);
                measure::<f64>(family, &problem, set, &reference, &direction, &mut report);
            }
        }
        eprintln!("{}: done", family.name());
    }
    let tables = report.tables();
    println!("{tables}");
    if write && let Err(error) = report::write("docs/accuracy.md", &tables) {
        eprintln!("docs/accuracy.md: {error}");
        return std::process::ExitCode::FAILURE;
    }
    let exceeded = report.exceeded();
    exceeded.iter().for_each(|line| eprintln!("{line}"));
    if exceeded.is_empty() { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
