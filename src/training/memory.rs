//! Memory from the allocator; an error where there is not enough.

use alloc::vec::Vec;

use crate::error::{Error, Result};
use crate::number::Number;

/// So many copies of a value.
pub(super) fn filled<T: Copy>(len: usize, value: T, quantity: &'static str) -> Result<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(len).map_err(|_| Error::OutOfMemory { quantity })?;
    values.resize(len, value);
    Ok(values)
}

/// So many zeros.
pub(super) fn zeros<T: Number>(len: usize, quantity: &'static str) -> Result<Vec<T>> {
    filled(len, T::ZERO, quantity)
}

/// Makes a vector at least so long.
pub(super) fn grow<T: Copy + Default>(values: &mut Vec<T>, len: usize, quantity: &'static str) -> Result<()> {
    if values.len() < len {
        values.try_reserve_exact(len - values.len()).map_err(|_| Error::OutOfMemory { quantity })?;
        values.resize(len, T::default());
    }
    Ok(())
}
