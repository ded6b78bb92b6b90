//! The C interface, feature `capi`: the same quantities and steps as plain functions, for any language that can call C.
//!
//! `include/flatmin.h` is generated from this module, and `include/flatmin.f90` from that. What holds for all of it:
//!
//! - **Nothing is opaque, nothing is allocated.** A plan, a batch, an optimizer's state are structures that the caller owns and may copy and
//!   store; outputs and workspace are the caller's arrays, each passed with its length in elements.
//! - **Every function that can fail returns a [`Status`]**, 0 on success, and writes to outputs, parameters and state only then; a dense
//!   Hessian alone is also written to where it overflows. [`flatmin_last_error`] tells which argument was wrong, what was given and what
//!   was expected; [`flatmin_status_message`] what a status means.
//! - **Pointers are checked as far as that is possible**: null, misaligned, overlapping and overlong memory have codes of their own. Only
//!   input may overlap input. That a pointer leads to as many elements as its length says, or to as many bytes as a structure's size says,
//!   is the caller's promise.
//! - **No panic crosses it**: one would be a bug of this crate, and is [`Status::Internal`].
//! - Functions keep no state but the thread's last error, and the instruction set, which is decided once; any number of threads may call
//!   them at once, on arrays of their own.
//!
//! Functions that end in `_f32` take `float`, those in `_f64` `double`; both are written once, in `quantities`, `data_set`, `predict`,
//! `initialize` and `steps`.
//!
//! # How it grows
//!
//! Structures get new fields at their end and nowhere else, and every structure begins with its size as the caller's header knows it:
//! `flatmin_…_init` of the header sets it, and all else to zero. Zero in a new field means what was before there was such a field.
//!
//! | the caller's structure | read | written |
//! |---|---|---|
//! | is shorter: an older header | missing fields are zero | as much as the caller has room for |
//! | is longer: a later header | [`Status::UnknownField`] where a byte beyond is not zero | fields beyond become zero |
//! | has the size of no version: shorter than the first, or above 4096 bytes | [`Status::StructureSize`] | the same |
//!
//! No structure holds another one: the fields of one that grew would push those behind it out of their places. So a step has the
//! fields of a curvature itself, and one structure has those of all optimizers; what an optimizer does not use is not read. Pointers to
//! structures within structures would grow as well, but every caller would have to keep two or three of them alive and sized to take one
//! step. Reserved fields fill gaps, and may become fields: one that is not zero is [`Status::Reserved`]. A structure ends with its last field
//! on every target, or it does not compile, since bytes that an older caller never wrote must not become a field.
//!
//! New functions, statuses and codes are added behind the others.

mod batch;
mod codes;
mod data_set;
mod initialize;
mod memory;
mod of_batch;
mod optimizer;
mod plan;
mod predict;
mod quantities;
mod results;
mod state;
mod status;
mod steps;
mod structure;
mod version;

pub use batch::CBatch;
pub use codes::*;
pub use data_set::*;
pub use initialize::*;
pub use optimizer::*;
pub use plan::*;
pub use predict::*;
pub use quantities::*;
pub use results::*;
pub use state::CState;
pub use status::{Status, flatmin_last_error, flatmin_status_message};
pub use steps::*;
pub use version::*;
