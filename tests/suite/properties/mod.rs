//! Properties of every quantity over random problems: sizes, activations, targets, number types, routes.
//!
//! Every comparison allows `k ε Σ|terms|`: k from [`reference::roundings`](crate::common::reference::roundings), the sum from the reference.

mod agreement;
mod differences;
mod invariance;
mod pair_weights;
mod spectrum;
mod stability;

use crate::common::number::Tracked;
use crate::common::problem::Problem;
use crate::common::reference::roundings;
use flatmin::Real;
use proptest::prelude::*;
use proptest::test_runner::{Config, FailurePersistence, FileFailurePersistence};

/// This many cases, or those of `PROPTEST_CASES`; failures are kept beside the sources.
pub fn cases(count: u32) -> Config {
    let count = std::env::var("PROPTEST_CASES").map_or(count, |cases| cases.parse().expect("a number of cases"));
    let persistence: Box<dyn FailurePersistence> = Box::new(FileFailurePersistence::WithSource("regressions"));
    Config { failure_persistence: Some(persistence), ..Config::with_cases(count) }
}

/// What a comparison allows.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Roundings of a term, times ε of the type that was rounded to.
    pub relative: f64,
}

impl Tolerance {
    pub fn of<T: Real>(problem: &Problem) -> Self {
        Self { relative: roundings(problem) * T::EPSILON.to_f64() }
    }

    pub fn close(self, what: &str, given: f64, expected: Tracked) -> Result<(), TestCaseError> {
        let (error, allowed) = ((given - expected.value).abs(), self.relative * expected.scale);
        if std::env::var_os("FLATMIN_SHOW_ERRORS").is_some() {
            eprintln!("share {:.3e} relative {:.3e} {what}", error / allowed, allowed / expected.value.abs());
        }
        // Written so that NaN fails.
        prop_assert!(
            error <= allowed,
            "{what}: {given:e} given, {:e} expected, error {error:e}, {allowed:e} allowed",
            expected.value
        );
        Ok(())
    }

    pub fn all_close<T: Real>(self, what: &str, given: &[T], expected: &[Tracked]) -> Result<(), TestCaseError> {
        prop_assert_eq!(given.len(), expected.len(), "{}", what);
        for (index, (given, &expected)) in given.iter().zip(expected).enumerate() {
            self.close(&format!("{what}[{index}]"), given.to_f64(), expected)?;
        }
        Ok(())
    }
}

/// Σ x_i d_i in f64.
pub fn along<T: Real>(gradient: &[T], direction: &[f64]) -> f64 {
    gradient.iter().zip(direction).map(|(g, d)| g.to_f64() * d).sum()
}
