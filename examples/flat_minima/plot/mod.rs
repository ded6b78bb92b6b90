//! The figures, as SVG.

mod curves;
mod spectra;
mod symlog;
mod trajectories;

pub use spectra::draw as spectra;
pub use trajectories::draw as trajectories;
