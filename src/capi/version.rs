//! What the library is: its version, and the instruction set in use.

use core::ffi::{CStr, c_char};

use crate::simd::InstructionSet;

/// The version of the library, as `"0.1.0"`.
#[unsafe(no_mangle)]
pub extern "C" fn flatmin_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };
    VERSION.as_ptr()
}

const fn name(set: InstructionSet) -> &'static CStr {
    match set {
        InstructionSet::Portable => c"portable",
        InstructionSet::Neon => c"neon",
        InstructionSet::Avx2 => c"avx2",
        InstructionSet::Avx512 => c"avx512",
    }
}

/// The instruction set in use: `"portable"`, `"neon"`, `"avx2"` or `"avx512"`. The widest that CPU and system have, or the one that the
/// environment variable `FLATMIN_INSTRUCTION_SET` names, if they have it; decided once. Results are the same bits wherever it is the same.
#[unsafe(no_mangle)]
pub extern "C" fn flatmin_instruction_set() -> *const c_char {
    name(InstructionSet::current()).as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instruction_sets_have_the_names_of_the_crate() {
        for set in InstructionSet::ALL {
            assert_eq!(name(set).to_str(), Ok(set.name()));
        }
    }
}
