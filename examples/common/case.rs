//! Case files: a network, a batch and, in test vectors, what is expected of them, as JSON.
//!
//! ```json
//! { "shape": {"inputs": 2, "hidden": 3, "classes": 2}, "activation": "tanh",
//!   "theta": [W, b, V, c, row-major, flat], "inputs": [[…], …], "targets": [[…], …] }
//! ```
//!
//! `targets` holds one probability distribution a sample. Shared by the example `evaluate`, the tests and a fuzz target.

use flatmin::{Activation, Network, Real, Shape};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    name: Option<String>,
    activation: String,
    shape: Sizes,
    theta: Vec<f64>,
    inputs: Vec<Vec<f64>>,
    targets: Vec<Vec<f64>>,
    #[serde(default)]
    expected: Option<Expected>,
}

#[derive(Deserialize)]
struct Sizes {
    inputs: usize,
    hidden: usize,
    classes: usize,
}

/// The numbers that a test vector expects.
#[derive(Deserialize)]
#[allow(dead_code, reason = "the tests read them; the example does not")]
pub struct Expected {
    pub loss: f64,
    pub loss_gradient: Vec<f64>,
    pub trace: f64,
    pub trace_gradient: Vec<f64>,
    pub trace_of_square: f64,
    pub trace_of_square_gradient: Vec<f64>,
    pub bounds: ExpectedBounds,
    pub lambda_max_upper_gradient: Vec<f64>,
    pub eigenvalues: Vec<f64>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "the tests read them; the example does not")]
pub struct ExpectedBounds {
    pub lambda_max_upper: f64,
    pub lambda_max_lower: f64,
    pub lambda_min_upper: f64,
    pub lambda_min_lower: f64,
}

/// A case, its rows flattened and their lengths checked.
#[allow(dead_code, reason = "each user reads its own part")]
pub struct Case {
    pub name: Option<String>,
    pub network: Network,
    pub theta: Vec<f64>,
    pub inputs: Vec<f64>,
    pub targets: Vec<f64>,
    pub expected: Option<Expected>,
}

impl Case {
    /// Reads a case; the message says what is wrong with a malformed one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let Sizes { inputs, hidden, classes } = file.shape;
        let shape = Shape::new(inputs, hidden, classes).map_err(|error| format!("shape: {error}"))?;
        let activation: Activation =
            file.activation.parse().map_err(|error| format!("{error}, {:?} given", file.activation))?;
        if file.theta.len() != shape.parameters() {
            let (given, expected) = (file.theta.len(), shape.parameters());
            return Err(format!("theta: {given} numbers given, {expected} expected for this shape"));
        }
        if file.targets.len() != file.inputs.len() {
            let (given, expected) = (file.targets.len(), file.inputs.len());
            return Err(format!("targets: {given} rows given, {expected} expected, one for each row of inputs"));
        }
        Ok(Self {
            name: file.name,
            network: Network::new(shape, activation),
            theta: file.theta,
            inputs: flatten("inputs", file.inputs, inputs)?,
            targets: flatten("targets", file.targets, classes)?,
            expected: file.expected,
        })
    }
}

fn flatten(what: &str, rows: Vec<Vec<f64>>, width: usize) -> Result<Vec<f64>, String> {
    match rows.iter().position(|row| row.len() != width) {
        Some(row) => Err(format!("{what}: row {row} has {} numbers, {width} expected", rows[row].len())),
        None => Ok(rows.concat()),
    }
}

/// The nearest numbers of another type.
pub fn convert<T: Real>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&value| T::from_f64(value)).collect()
}
