//! Which instruction sets the CPU has, and which one to use.

use crate::error::Error;
use core::fmt;
use core::str::FromStr;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// An instruction set, chosen at run time. The order is from the narrowest to the widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum InstructionSet {
    /// What the build has: SSE2, NEON, SIMD128 or plain numbers.
    Portable = 1,
    /// NEON on aarch64.
    Neon = 2,
    /// AVX2 with FMA.
    Avx2 = 4,
    /// AVX-512F.
    Avx512 = 8,
}

/// The supported sets, one bit each; 0 until they are first needed. All threads find the same sets, so a race is harmless.
static SUPPORTED: AtomicU8 = AtomicU8::new(0);
/// The default set; 0 until it is first needed.
static CURRENT: AtomicU8 = AtomicU8::new(0);

impl InstructionSet {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Neon, Self::Avx2, Self::Avx512];

    /// The default instruction set. With feature `std` it is the one that the environment variable `FLATMIN_INSTRUCTION_SET` names
    /// (`portable`, `neon`, `avx2` or `avx512`), if that is supported; else the widest supported one. Decided once.
    #[inline]
    pub fn current() -> Self {
        match CURRENT.load(Relaxed) {
            0 => Self::decide(),
            bit => Self::from_bit(bit),
        }
    }

    /// Whether the CPU, its operating system and this build have the instruction set.
    #[inline]
    pub fn is_supported(self) -> bool {
        let supported = match SUPPORTED.load(Relaxed) {
            0 => detect(),
            supported => supported,
        };
        supported & self as u8 != 0
    }

    /// The supported instruction sets, in order.
    pub fn all_supported() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|set| set.is_supported())
    }

    /// The name, as the environment variable takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    fn from_bit(bit: u8) -> Self {
        match bit {
            2 => Self::Neon,
            4 => Self::Avx2,
            8 => Self::Avx512,
            _ => Self::Portable,
        }
    }

    #[cold]
    fn decide() -> Self {
        let widest = Self::all_supported().last().unwrap_or(Self::Portable);
        let chosen = from_environment().unwrap_or(widest);
        CURRENT.store(chosen as u8, Relaxed);
        chosen
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for InstructionSet {
    type Err = Error;

    /// Reads a [name](Self::name).
    fn from_str(name: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|set| set.name() == name);
        known.ok_or(Error::Name { argument: "instruction set", expected: "portable, neon, avx2 or avx512" })
    }
}

#[cfg(feature = "std")]
fn from_environment() -> Option<InstructionSet> {
    let name = std::env::var("FLATMIN_INSTRUCTION_SET").ok()?;
    name.parse().ok().filter(|set: &InstructionSet| set.is_supported())
}

#[cfg(not(feature = "std"))]
fn from_environment() -> Option<InstructionSet> {
    None
}

#[cold]
fn detect() -> u8 {
    let mut supported = InstructionSet::Portable as u8;
    #[cfg(target_arch = "x86_64")]
    {
        let (avx2, avx512) = x86();
        if avx2 {
            supported |= InstructionSet::Avx2 as u8;
        }
        if avx512 {
            supported |= InstructionSet::Avx512 as u8;
        }
    }
    if cfg!(all(target_arch = "aarch64", target_feature = "neon")) {
        supported |= InstructionSet::Neon as u8;
    }
    SUPPORTED.store(supported, Relaxed);
    supported
}

/// (AVX2 and FMA, the same and AVX-512F): the CPU has the instructions, and the operating system saves the registers.
#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe)] // CPUID is a safe function since Rust 1.94.
fn x86() -> (bool, bool) {
    use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

    #[target_feature(enable = "xsave")]
    fn xcr0() -> u64 {
        // SAFETY: called only where OSXSAVE is set.
        unsafe { _xgetbv(0) }
    }

    /// Leaf 1, ECX.
    const FMA: u32 = 1 << 12;
    const OSXSAVE: u32 = 1 << 27;
    const AVX: u32 = 1 << 28;
    /// Leaf 7, EBX.
    const AVX2: u32 = 1 << 5;
    const AVX512F: u32 = 1 << 16;
    /// XCR0: registers xmm and ymm; and opmask, the upper halves of zmm0–15, zmm16–31.
    const YMM: u64 = 0b110;
    const ZMM: u64 = 0b1110_0110;

    // SAFETY: every x86-64 CPU has CPUID; leaf 7 is asked for only where it exists.
    let (features, more_features) = unsafe {
        let leaves = __cpuid(0).eax;
        (__cpuid(1).ecx, if leaves >= 7 { __cpuid_count(7, 0).ebx } else { 0 })
    };
    let needed = FMA | OSXSAVE | AVX;
    if features & needed != needed || more_features & AVX2 == 0 {
        return (false, false);
    }
    // SAFETY: OSXSAVE says that the operating system has enabled XGETBV.
    let saved = unsafe { xcr0() };
    let avx2 = saved & YMM == YMM;
    (avx2, avx2 && saved & ZMM == ZMM && more_features & AVX512F != 0)
}
