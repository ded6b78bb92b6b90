//! Kernels that trust what they are given.

/// Operands by pointer, whose contract is kept: the one who made the value vouched for it. So a kernel of such operands is a safe
/// function, and cannot be run on others.
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
