//! Structures that can grow: each begins with its size, and a later version adds fields at its end.

use core::mem::size_of;

/// A structure of the interface, whose first field is its size in bytes, as the caller's header knows it.
///
/// [`structure!`] implements it, and nothing else may: the reading of [`Memory`](super::memory::Memory) relies on a structure whose fields
/// are all [`Plain`], whose first is `size: usize`, and that ends with its last field.
pub(super) trait Structure: Copy {
    /// The name in C.
    const NAME: &'static str;
    /// Bytes of the structure in the first version that had it. Less is no structure of any version.
    const FIRST: usize;
    /// All zero but for `size`, which is this version's.
    const EMPTY: Self;

    /// The first field.
    fn size(&self) -> usize;
}

/// The largest size that a structure may say it has. More is taken for memory that nobody initialised: the bytes beyond those that this
/// version knows are read, to see that they are zero.
pub(super) const MOST: usize = 4096;

/// A type of which any bits are a value.
pub(super) trait Plain: Copy {
    /// All bits zero.
    const ZERO: Self;
}

impl Plain for u32 {
    const ZERO: Self = 0;
}

impl Plain for u64 {
    const ZERO: Self = 0;
}

impl Plain for usize {
    const ZERO: Self = 0;
}

impl Plain for f64 {
    const ZERO: Self = 0.0;
}

impl<T> Plain for *const T {
    const ZERO: Self = core::ptr::null();
}

impl<T> Plain for *mut T {
    const ZERO: Self = core::ptr::null_mut();
}

/// Where a field of this type at this offset ends.
pub(super) const fn end<F: Plain>(offset: usize) -> usize {
    offset + size_of::<F>()
}

/// Declares a structure: its name in C, the fields of its first version, and after `later` those that were added since, in order.
///
/// A structure that does not end with its last field does not compile: bytes behind it would become a field of a later version, and an
/// older program would have left them as they were.
macro_rules! structure {
    (
        $(#[$doc:meta])*
        $rust:ident $(<$t:ident>)? = $name:literal {
            $($(#[$first_doc:meta])* $first:ident: $first_type:ty,)*
        }
        $(later { $($(#[$later_doc:meta])* $later:ident: $later_type:ty,)* })?
    ) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $rust $(<$t>)? {
            /// Bytes of this structure, as the caller knows it.
            pub size: usize,
            $($(#[$first_doc])* pub $first: $first_type,)*
            $($($(#[$later_doc])* pub $later: $later_type,)*)?
        }

        impl $(<$t: Copy>)? $crate::capi::structure::Structure for $rust $(<$t>)? {
            const NAME: &'static str = $name;

            const FIRST: usize = {
                let first = [$($crate::capi::structure::end::<$first_type>(core::mem::offset_of!(Self, $first)),)*];
                let all = [
                    first[first.len() - 1],
                    $($($crate::capi::structure::end::<$later_type>(core::mem::offset_of!(Self, $later)),)*)?
                ];
                assert!(all[all.len() - 1] == size_of::<Self>(), "bytes behind the last field");
                first[first.len() - 1]
            };

            const EMPTY: Self = Self {
                size: size_of::<Self>(),
                $($first: <$first_type as $crate::capi::structure::Plain>::ZERO,)*
                $($($later: <$later_type as $crate::capi::structure::Plain>::ZERO,)*)?
            };

            fn size(&self) -> usize {
                self.size
            }
        }

        impl $(<$t: Copy>)? Default for $rust $(<$t>)? {
            /// All zero but for `size`.
            fn default() -> Self {
                <Self as $crate::capi::structure::Structure>::EMPTY
            }
        }
    };
}

pub(super) use structure;

// Memory is laid out in words of 8 bytes here.
#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::super::memory::Memory;
    use super::super::status::Failure;
    use super::*;

    structure! {
        /// As a program of the first version knows it.
        Old = "grown" {
            /// A field.
            one: u64,
        }
    }

    structure! {
        /// As this library knows it.
        Grown = "grown" {
            /// A field.
            one: u64,
        }
        later {
            /// A field of a second version.
            two: u32,
            /// And another one.
            three: u32,
            /// One of a third version.
            four: f64,
        }
    }

    const WORD: usize = size_of::<usize>();

    /// A structure of so many bytes, with words of these numbers behind the size, in memory that goes on with ones.
    fn memory(size: usize, numbers: &[u64]) -> Vec<u64> {
        let mut memory = vec![size as u64];
        memory.extend(numbers);
        memory.resize(1 + MOST / 8 + 8, u64::MAX);
        memory
    }

    fn read(memory: &[u64]) -> Result<Grown, Failure> {
        // SAFETY: the memory is longer than any size that is read.
        unsafe { Memory::new().read(memory.as_ptr().cast::<Grown>(), "grown") }
    }

    #[test]
    fn an_older_structure_has_zeros_for_what_it_lacks() {
        assert_eq!((Grown::FIRST, Old::FIRST), (size_of::<Old>(), size_of::<Old>()));
        let found = read(&memory(WORD + 8, &[7])).expect("the first version");
        assert_eq!(found, Grown { size: WORD + 8, one: 7, ..Grown::EMPTY });
        let found = read(&memory(WORD + 16, &[7, 2 + (3 << 32)])).expect("the second version");
        assert_eq!(found, Grown { size: WORD + 16, one: 7, two: 2, three: 3, four: 0.0 });
    }

    #[test]
    fn a_later_structure_is_read_where_it_uses_nothing_unknown() {
        for more in 0..4 {
            let mut words = [7, 2 + (3 << 32), 4.0f64.to_bits(), 0, 0, 0];
            let known = size_of::<Grown>();
            let found = read(&memory(known + 8 * more, &words)).expect("zeros beyond");
            assert_eq!(found, Grown { size: known + 8 * more, one: 7, two: 2, three: 3, four: 4.0 });
            if more > 0 {
                words[2 + more] = 1 << 40;
                let offset = known + 8 * (more - 1) + if cfg!(target_endian = "little") { 5 } else { 2 };
                let Err(Failure::UnknownField { argument: "grown", structure: "grown", offset: found, known: told }) =
                    read(&memory(known + 8 * more, &words))
                else {
                    panic!("a field beyond was ignored");
                };
                assert_eq!((found, told), (offset, known));
            }
        }
    }

    #[test]
    fn a_size_of_no_version_is_refused() {
        for size in [0, 1, WORD, WORD + 7, WORD + 9, size_of::<Grown>() + 4, MOST + 8, usize::MAX, usize::MAX - 7] {
            let found = read(&memory(size, &[0; 600]));
            let Err(Failure::StructureSize { argument: "grown", structure: "grown", given, least }) = found else {
                panic!("size {size} gave {found:?}");
            };
            assert_eq!((given, least), (size, Grown::FIRST));
        }
        assert!(read(&memory(MOST, &[0; 600])).is_ok());
    }

    #[test]
    fn writing_stays_within_the_callers_size() {
        let value = Grown { size: 0, one: 7, two: 2, three: 3, four: 4.0 };
        let words = [7, 2 + (3 << 32), 4.0f64.to_bits(), 0, 0];
        for len in 1..=words.len() {
            let size = WORD + 8 * len;
            let mut memory = memory(size, &[u64::MAX; 5]);
            // SAFETY: the memory is longer than that.
            unsafe {
                let place =
                    Memory::new().place(memory.as_mut_ptr().cast::<Grown>(), "grown").expect("a size of a version");
                place.write(value);
            }
            assert_eq!(memory[0], size as u64, "the size stays the caller's");
            assert_eq!(memory[1..=len], words[..len]);
            assert!(memory[len + 1..].iter().all(|&word| word == u64::MAX), "{len} words");
        }
    }
}
