//! What several test binaries share: random problems, the crate called on them, and a reference that shares nothing with the crate.
//!
//! - [`number`]: arithmetic that carries the sum of the absolute values of all terms along, and dual numbers over it;
//! - [`double`]: numbers of twice the digits of `f64`;
//! - [`problem`]: random networks and batches; [`strategies`]: proptest's for them, in tests alone, so that other programs do without it;
//! - [`call`]: every public quantity, on a workspace of exactly the promised length filled with NaN;
//! - [`arguments`]: every public quantity and step, with all arguments of a call as plain data that can be spoilt;
//! - [`reference`]: loss and back-propagation in a dozen lines; everything of higher order by dual numbers;
//! - [`method`]: the formulas of docs/method.md, which quotes them.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod arguments;
pub mod call;
pub mod double;
pub mod method;
pub mod number;
pub mod problem;
pub mod reference;
#[cfg(test)]
pub mod strategies;
