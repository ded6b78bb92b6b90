//! What each data set is trained with unless options say otherwise: found by `--search`, see its module.

use crate::common::data::{Embedded, Source};

/// Defaults of a data set.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// M.
    pub hidden: usize,
    /// Samples a batch; 0 for all.
    pub batch: usize,
    pub epochs: usize,
    /// The numbers of epochs that the search tries.
    pub epoch_grid: [usize; 3],
    pub learning_rate: f64,
    /// SAM's radius.
    pub radius: f64,
    /// HSR's ρ.
    pub rho: f64,
}

impl Preset {
    pub const fn of(source: &Source) -> Self {
        match source {
            Source::Embedded(Embedded::Digits) => Self {
                hidden: 16,
                batch: 64,
                epochs: 120,
                epoch_grid: [30, 60, 120],
                learning_rate: 1.0,
                radius: 0.5,
                rho: 0.1,
            },
            Source::Embedded(Embedded::Iris) => Self {
                hidden: 16,
                batch: 0,
                epochs: 500,
                epoch_grid: [500, 1000, 2000],
                learning_rate: 0.2,
                radius: 1.0,
                rho: 0.1,
            },
            Source::Embedded(Embedded::Wine) => Self {
                hidden: 16,
                batch: 0,
                epochs: 250,
                epoch_grid: [250, 500, 1000],
                learning_rate: 2.0,
                radius: 2.0,
                rho: 0.2,
            },
            Source::Embedded(Embedded::BreastCancer) => Self {
                hidden: 16,
                batch: 64,
                epochs: 50,
                epoch_grid: [50, 100, 200],
                learning_rate: 0.2,
                radius: 1.0,
                rho: 0.5,
            },
            Source::Embedded(Embedded::Moons) => Self {
                hidden: 16,
                batch: 0,
                epochs: 1500,
                epoch_grid: [750, 1500, 3000],
                learning_rate: 2.0,
                radius: 2.0,
                rho: 0.5,
            },
            Source::Folder(_) => Self {
                hidden: 32,
                batch: 128,
                epochs: 20,
                epoch_grid: [5, 10, 20],
                learning_rate: 1.0,
                radius: 0.3,
                rho: 0.05,
            },
        }
    }
}
