//! How a program ends: an error on standard error, with what led to it, and a status that tells.

use std::process::ExitCode;

/// The status of a program that came to this.
pub fn status(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
