//! Instruction sets behind one small trait.
//!
//! A value of a token type ([`Scalar`], [`Portable`], `Avx2`, `Avx512`, `Neon`) proves that the CPU has that instruction set, and
//! registers ([`Lanes`]) are made only with a token. So operations on registers are safe functions, and the `unsafe` of the intrinsics
//! stays in this module.
//!
//! Code is written once, as a [`Kernel`] generic over the token. [`InstructionSet::run`] picks the token at run time, and [`Simd::run`]
//! compiles the kernel for it: in a trampoline, the only function with `#[target_feature]`, into which the kernel is inlined. A function
//! that is not inlined into a trampoline is compiled without the instruction set and calls every intrinsic as a function. So everything
//! between the two is `#[inline(always)]`.
//!
//! | token | registers | present |
//! |---|---|---|
//! | [`Scalar`] | one number | always |
//! | [`Portable`] | 128 bits, by `wide`: SSE2, NEON, SIMD128 or arrays, as the build says | always |
//! | `Avx2` | 256 bits, AVX2 and FMA | x86-64, found at run time |
//! | `Avx512` | 512 bits, AVX-512F | x86-64, found at run time |
//! | `Neon` | 128 bits | aarch64, always |

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod detect;
mod dispatch;
mod lanes;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod register;
mod scalar;
#[cfg(test)]
mod tests;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub use detect::InstructionSet;
pub use lanes::{Element, Kernel, Lanes, MAX_LANES, Mask, Simd};
#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
pub use portable::Portable;
pub use scalar::Scalar;
