//! The C interface, feature `capi`: the same quantities and steps as plain functions, for any language that can call C.
//!
//! `include/flatmin.h` is generated from this module. What holds for all of it:
//!
//! - **Nothing is opaque, nothing is allocated.** A plan, a batch, an optimizer's state are structures that the caller owns and may copy,
//!   store and zero; outputs and workspace are the caller's arrays, each passed with its length in elements.
//! - **Every function returns a [`Status`]**, 0 on success, and writes to outputs, parameters and state only then. [`flatmin_last_error`]
//!   tells which argument was wrong, what was given and what was expected; [`flatmin_status_message`] what a status means.
//! - **Pointers are checked as far as that is possible**: null, misaligned, overlapping and overlong arrays have codes of their own. Only
//!   input may overlap input. That a pointer leads to as many elements as its length says is the caller's promise.
//! - **No panic crosses it**: one would be a bug of this crate, and is [`Status::Internal`].
//! - Functions keep no state but the thread's last error; any number of threads may call them at once, on arrays of their own.
//!
//! Functions that end in `_f32` take `float`, those in `_f64` `double`; both are written once, in `functions`.

mod functions;
mod memory;
mod status;
mod types;

pub use functions::*;
pub use status::{Status, flatmin_last_error, flatmin_status_message};
pub use types::*;
