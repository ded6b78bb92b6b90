//! What the programs that train networks share.
//!
//! - [`data`]: Iris, Wine, breast cancer, Digits, moons, other CSV files, IDX folders; read, split and standardized;
//! - [`presets`]: the networks and hyperparameters that go with them;
//! - [`method`]: SGD, SAM, HSR exact and sampled, as one type; [`training`]: their loop;
//! - [`spectrum`]: all eigenvalues, or the extreme ones, of a trained network's Hessian ([`eigenvalues`]: all of any matrix, [`lanczos`]: the
//!   extreme ones of one that is known by its products);
//! - [`random`]: initial weights and orders of samples; [`statistics`]: medians and means; [`drawing`]: colours and markers of charts;
//! - [`parallel`]: work on several networks by several threads;
//! - [`arguments`]: values of options that are refused; [`exit`]: how a program ends.
//!
//! The format of case files, in `case.rs`, is apart: tests and fuzz targets read it without the rest.
#![allow(dead_code, reason = "each program uses its own part")]

pub mod arguments;
pub mod data;
pub mod drawing;
pub mod eigenvalues;
pub mod exit;
pub mod lanczos;
pub mod method;
pub mod parallel;
pub mod presets;
pub mod random;
pub mod spectrum;
pub mod statistics;
pub mod training;
