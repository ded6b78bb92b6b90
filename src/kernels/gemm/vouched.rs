//! Kernels that rely on a contract of their operands.

/// Operands by pointer whose contract holds: whoever made the value guaranteed it. So a kernel of such operands is a safe function, and
/// cannot be run on others.
pub(super) struct Vouched<O>(O);

impl<O> Vouched<O> {
    /// # Safety
    /// What the operands' type asks for.
    #[inline(always)]
    pub(super) unsafe fn new(operands: O) -> Self {
        Self(operands)
    }

    #[inline(always)]
    pub(super) fn operands(self) -> O {
        self.0
    }
}
