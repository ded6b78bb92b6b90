//! From an instruction set, which is data, to its token, which is a type.

use super::detect::InstructionSet;
use super::lanes::{Kernel, Simd};
use super::portable::Portable;
use super::scalar::Scalar;

impl InstructionSet {
    /// The instruction set for rows of so many numbers: AVX2 in place of AVX-512 where its registers hold a row. Half a register takes as
    /// long as a whole one, and what was stored by a mask is slow to be read again.
    pub(crate) fn for_rows<T>(self, len: usize) -> Self {
        let short = len <= 32 / size_of::<T>();
        if self == Self::Avx512 && short && Self::Avx2.is_supported() { Self::Avx2 } else { self }
    }

    /// Runs `kernel` with this instruction set, or with the portable one where it is not supported.
    #[inline(always)]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[cfg(target_arch = "x86_64")]
        {
            if self == Self::Avx512
                && let Some(simd) = super::avx512::Avx512::new()
            {
                return simd.run(kernel);
            }
            if self == Self::Avx2
                && let Some(simd) = super::avx2::Avx2::new()
            {
                return simd.run(kernel);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if self == Self::Neon
            && let Some(simd) = super::neon::Neon::new()
        {
            return simd.run(kernel);
        }
        self.run_portable(kernel)
    }

    /// Where `wide` would use arrays for registers, code for one number at a time is half as long.
    #[inline(always)]
    fn run_portable<K: Kernel>(self, kernel: K) -> K::Output {
        if cfg!(any(target_feature = "sse2", target_feature = "neon", target_feature = "simd128")) {
            Portable::new().run(kernel)
        } else {
            Scalar::new().run(kernel)
        }
    }

    /// Runs a plain loop compiled for this instruction set; the compiler vectorizes it. For AVX-512 it is compiled for AVX2: such loops
    /// mostly wait for memory, and a third copy of each would gain little and lengthen the code.
    ///
    /// The closure is inlined into the instruction set's trampoline; what it calls should be inlined too.
    #[inline(always)]
    pub fn vectorize<R>(self, work: impl FnOnce() -> R) -> R {
        struct Closure<F>(F);
        impl<R, F: FnOnce() -> R> Kernel for Closure<F> {
            type Output = R;

            #[inline(always)]
            fn run<S: Simd>(self, _: S) -> R {
                (self.0)()
            }
        }
        #[cfg(target_arch = "x86_64")]
        {
            if matches!(self, Self::Avx2 | Self::Avx512)
                && let Some(simd) = super::avx2::Avx2::new()
            {
                return simd.run(Closure(work));
            }
            Self::Portable.run_portable(Closure(work))
        }
        #[cfg(not(target_arch = "x86_64"))]
        self.run(Closure(work))
    }
}
