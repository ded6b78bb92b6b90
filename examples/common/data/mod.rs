//! Data sets: where they come from, how they are split and scaled.

mod csv;
mod idx;
mod moons;
mod source;
mod split;

pub use source::{Embedded, Source};

/// Samples: an N×D matrix of inputs, row-major, and N class indices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    pub inputs: Vec<f64>,
    pub classes: Vec<u32>,
}

impl Samples {
    /// N.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// The first `limit` samples, or all.
    pub fn truncate(&mut self, limit: Option<usize>, width: usize) {
        if let Some(limit) = limit {
            self.inputs.truncate(limit.saturating_mul(width));
            self.classes.truncate(limit);
        }
    }

    fn push(&mut self, row: &[f64], class: u32) {
        self.inputs.extend_from_slice(row);
        self.classes.push(class);
    }
}

/// A data set as it was read.
#[derive(Debug)]
pub struct DataSet {
    pub name: String,
    /// D.
    pub inputs: usize,
    /// K.
    pub classes: usize,
    pub scaling: Scaling,
    pub parts: Parts,
}

/// Whether a data set comes split.
#[derive(Debug)]
pub enum Parts {
    Whole(Samples),
    Split(Split),
}

/// How inputs are brought to order one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scaling {
    /// Divided by the largest value that the format allows: keeps constant pixels constant.
    Divide(f64),
    /// `(x − mean) / deviation`, of each column, over the training samples.
    ZScore,
}

/// What is trained on, and what is tested on.
#[derive(Clone, Debug)]
pub struct Split {
    pub train: Samples,
    pub test: Samples,
}

impl DataSet {
    /// Splits, cuts to the limits, and scales. The seed decides the split, where the data set does not come split.
    pub fn prepare(&self, seed: u64, train_limit: Option<usize>, test_limit: Option<usize>) -> Split {
        let mut split = match &self.parts {
            Parts::Whole(all) => split::stratified(all, self.inputs, self.classes, seed),
            Parts::Split(split) => split.clone(),
        };
        split.train.truncate(train_limit, self.inputs);
        split.test.truncate(test_limit, self.inputs);
        split::scale(&mut split, self.inputs, self.scaling);
        split
    }
}
