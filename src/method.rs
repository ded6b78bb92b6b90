//! No code: the mathematics, from the network to the gradient, and the table of all symbols.
//!
//! [measured]: crate::sampled
//! [sampled]: crate::sampled
#![doc = include_str!("../docs/method.md")]
