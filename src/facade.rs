//! The kernels with a chosen instruction set.

use crate::error::{Error, Result};
use crate::simd::InstructionSet;

/// The functions of [`gemm`](crate::gemm) and [`elementwise`](crate::elementwise) with a chosen instruction set. The functions themselves
/// use [`InstructionSet::current`].
///
/// ```
/// use flatmin::{InstructionSet, Kernels};
///
/// let mut x = [0.0f32, 1.0];
/// Kernels::new(InstructionSet::Portable)?.exp(&mut x);
/// assert_eq!(x[0], 1.0);
/// # Ok::<(), flatmin::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kernels {
    pub(crate) set: InstructionSet,
}

impl Kernels {
    /// Kernels that use this instruction set.
    ///
    /// # Errors
    ///
    /// [`Error::InstructionSet`] for one that the CPU, its operating system or the build lacks.
    pub fn new(set: InstructionSet) -> Result<Self> {
        if set.is_supported() { Ok(Self { set }) } else { Err(Error::InstructionSet { given: set.name() }) }
    }
}

impl Default for Kernels {
    fn default() -> Self {
        Self { set: InstructionSet::current() }
    }
}
