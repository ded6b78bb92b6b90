//! Most tests of the public interface, in one program: each program links the library, which takes longer than most tests.
//!
//! Tests that count allocations or need a feature are programs of their own, beside this folder.

#[path = "../../examples/common/case.rs"]
mod case;
#[path = "../common/mod.rs"]
mod common;
#[path = "../../examples/common/eigenvalues.rs"]
mod eigenvalues;
#[allow(dead_code, reason = "the unit tests use the rest")]
#[path = "../../src/kernels/elementwise/tests/reference.rs"]
mod multiprecision;

mod constructors;
mod data_set;
mod defined;
mod double;
mod errors;
mod initialization;
mod input_gram;
mod method;
mod optimizer;
mod plan;
mod predict;
mod properties;
mod sampled;
#[cfg(feature = "safetensors")]
mod stored;
mod tiles;
#[cfg(feature = "alloc")]
mod training;
mod unsafe_inventory;
mod updates;
mod vectors;

// Where `multiprecision`, which is the unit tests' too, looks for them.
use flatmin::{Activation, Real};
