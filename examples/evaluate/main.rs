//! Evaluates case files: loss, gradients, traces and bounds of a network on a batch, one JSON line a file.
//!
//! ```text
//! cargo run --release --example evaluate -- tests/vectors/tanh_small.json
//! cargo run --release --example evaluate -- --f32 --route blocks --spectrum a.json b.json
//! ```
//!
//! The format of a case is described in `examples/common/case.rs`; that of the output is a case's `expected`, with the file, the
//! case's name if it has one, and the route. Numbers are printed with as many digits as it takes to read them back exactly.
//!
//! A case that cannot be read or evaluated is reported on standard error, by file and problem; the others are evaluated all the same, and
//! the exit status is 1.

#[path = "../common/case.rs"]
mod case;
#[path = "../common/eigenvalues.rs"]
mod eigenvalues;
#[path = "../common/lanczos.rs"]
mod lanczos;

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use case::{Case, convert};
use clap::Parser;
use flatmin::{
    Batch, Bounds, Plan, Real, Route, Targets, bound_gradient, curvature, dense_hessian, hessian_vector_product,
    loss_gradient, trace_gradient, trace_of_square_gradient,
};
use lanczos::Until;
use nalgebra::DMatrix;
use serde::Serialize;

/// Loss, gradients, Hessian traces and eigenvalue bounds of case files, one JSON line a file
#[derive(Parser)]
#[command(
    after_help = "Exit status: 0, or 1 if any of the cases could not be read or evaluated, or 2 for bad arguments."
)]
struct Arguments {
    /// Case files
    #[arg(required = true, value_name = "CASE.json")]
    cases: Vec<PathBuf>,
    /// Compute in single precision
    #[arg(long)]
    f32: bool,
    /// How to compute tr H² [default: the planner's choice]
    #[arg(long, value_name = "pairs|blocks")]
    route: Option<Route>,
    /// Add all eigenvalues, ascending; of a network of more than 2000 parameters the least and the greatest alone
    #[arg(long)]
    spectrum: bool,
}

/// A line of output.
#[derive(Serialize)]
struct Line<'a, T> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    route: &'static str,
    loss: f64,
    loss_gradient: Vec<T>,
    trace: f64,
    trace_gradient: Vec<T>,
    trace_of_square: f64,
    trace_of_square_gradient: Vec<T>,
    bounds: BoundsOut,
    lambda_max_upper_gradient: Vec<T>,
    /// Whether the upper bound is differentiable here, so that its gradient is one.
    differentiable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    eigenvalues: Option<Vec<f64>>,
    /// Of a large network.
    #[serde(skip_serializing_if = "Option::is_none")]
    extreme_eigenvalues: Option<Extremes>,
}

/// The ends of a spectrum.
#[derive(Serialize)]
struct Extremes {
    lambda_min: f64,
    lambda_max: f64,
    /// The larger ‖Hv − λv‖ of the two, which their errors do not exceed.
    residual: f64,
}

/// The most parameters for which the dense Hessian is formed: it takes P² numbers, and P³ operations for its eigenvalues.
const DENSE_LIMIT: usize = 2000;

/// When the iteration for the extreme eigenvalues ends.
const UNTIL: Until = Until { residual: 1e-4, iterations: 300 };

#[derive(Serialize)]
struct BoundsOut {
    lambda_max_upper: f64,
    lambda_max_lower: f64,
    lambda_min_upper: f64,
    lambda_min_lower: f64,
}

impl From<Bounds> for BoundsOut {
    fn from(bounds: Bounds) -> Self {
        Self {
            lambda_max_upper: bounds.lambda_max_upper,
            lambda_max_lower: bounds.lambda_max_lower,
            lambda_min_upper: bounds.lambda_min_upper,
            lambda_min_lower: bounds.lambda_min_lower,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut code = ExitCode::SUCCESS;
    for path in &arguments.cases {
        match line(&arguments, path) {
            Ok(line) => {
                if let Err(error) = writeln!(io::stdout(), "{line}") {
                    // Nobody reads on: no fault of the cases, and nothing more to do.
                    return if error.kind() == io::ErrorKind::BrokenPipe {
                        code
                    } else {
                        fail(&"standard output", &error)
                    };
                }
            }
            Err(error) => code = fail(&path.display(), &*error),
        }
    }
    code
}

fn fail(what: &dyn std::fmt::Display, error: &dyn Error) -> ExitCode {
    eprintln!("evaluate: {what}: {error}");
    ExitCode::FAILURE
}

/// The line of one case file.
fn line(arguments: &Arguments, path: &Path) -> Result<String, Box<dyn Error>> {
    let case = Case::parse(&std::fs::read_to_string(path)?)?;
    let file = path.display().to_string();
    if arguments.f32 { evaluate::<f32>(arguments, &file, &case) } else { evaluate::<f64>(arguments, &file, &case) }
}

fn evaluate<T: Real + Serialize>(arguments: &Arguments, file: &str, case: &Case) -> Result<String, Box<dyn Error>> {
    let shape = case.network.shape;
    let (theta, inputs, targets) = (convert::<T>(&case.theta), convert::<T>(&case.inputs), convert::<T>(&case.targets));
    let batch = Batch::new(shape, &inputs, Targets::Distributions(&targets))?;
    let plan = Plan::new(case.network, batch.samples())?;
    let plan = arguments.route.map_or(Ok(plan), |route| plan.with_route(route))?;
    let mut workspace = vec![T::ZERO; plan.workspace_len()];

    let mut gradients = [(); 4].map(|()| vec![T::ZERO; shape.parameters()]);
    let [of_loss, of_trace, of_square, of_bound] = &mut gradients;
    let loss = loss_gradient(&plan, &theta, &batch, of_loss, &mut workspace)?;
    trace_gradient(&plan, &theta, &batch, of_trace, &mut workspace)?;
    trace_of_square_gradient(&plan, &theta, &batch, of_square, &mut workspace)?;
    bound_gradient(&plan, &theta, &batch, of_bound, &mut workspace)?;
    let found = curvature(&plan, &theta, &batch, &mut workspace)?;

    let size = shape.parameters();
    let extreme_eigenvalues = if arguments.spectrum && size > DENSE_LIMIT {
        let mut product = vec![T::ZERO; size];
        let found = lanczos::ends(size, [1, 1], UNTIL, |vector| {
            let vector = convert::<T>(vector);
            hessian_vector_product(&plan, &theta, &batch, &vector, &mut product, &mut workspace)?;
            Ok::<_, flatmin::Error>(product.iter().map(|entry| entry.to_f64()).collect())
        })?;
        let (Some(&lambda_min), Some(&lambda_max)) = (found.least.first(), found.greatest.first()) else {
            return Err("eigenvalues: none found".into());
        };
        Some(Extremes { lambda_min, lambda_max, residual: found.residual * lambda_min.abs().max(lambda_max.abs()) })
    } else {
        None
    };
    let eigenvalues = if arguments.spectrum && size <= DENSE_LIMIT {
        let mut hessian = vec![T::ZERO; size * size];
        dense_hessian(&plan, &theta, &batch, &mut hessian, &mut workspace)?;
        let hessian = DMatrix::from_iterator(size, size, hessian.iter().map(|entry| entry.to_f64()));
        Some(eigenvalues::ascending(hessian))
    } else {
        None
    };

    let [loss_gradient, trace_gradient, trace_of_square_gradient, lambda_max_upper_gradient] = gradients;
    Ok(serde_json::to_string(&Line {
        file,
        name: case.name.as_deref(),
        route: plan.route().name(),
        loss,
        loss_gradient,
        trace: found.traces.trace(),
        trace_gradient,
        trace_of_square: found.traces.trace_of_square(),
        trace_of_square_gradient,
        bounds: found.bounds.into(),
        lambda_max_upper_gradient,
        differentiable: found.differentiable,
        eigenvalues,
        extreme_eigenvalues,
    })?)
}
