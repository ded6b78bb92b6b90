//! Status codes, their messages, and the message of the last error.

use core::ffi::{CStr, c_char};
use core::fmt::{self, Write};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::Error;

/// Declares the statuses in the order of their numbers: what the header says of each is also its message.
macro_rules! statuses {
    ($($name:ident = $number:literal: $message:literal,)*) => {
        /// What became of a call: 0 on success.
        #[repr(i32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Status {
            $(#[doc = concat!(" ", $message)] $name = $number,)*
        }

        impl Status {
            const ALL: &[Self] = &[$(Self::$name,)*];

            const fn message(self) -> &'static CStr {
                let text = match self {
                    $(Self::$name => concat!($message, "\0"),)*
                };
                match CStr::from_bytes_with_nul(text.as_bytes()) {
                    Ok(text) => text,
                    Err(_) => c"",
                }
            }
        }
    };
}

statuses! {
    Ok = 0: "Done",
    NullPointer = 1: "A pointer is null where memory is needed",
    Misaligned = 2: "A pointer is not a multiple of its type's alignment",
    Overlap = 3: "Memory that is written to overlaps other memory of the call",
    StructureSize = 4: "A structure whose `size` is that of no version: most often one that was not initialised",
    UnknownField = 5: "A structure uses a field of a version later than this library's",
    Reserved = 6: "A reserved field is not zero",
    UnknownCode = 7: "A code of an activation, route, form, method, update, direction, penalty or initialization that is none of those defined",
    Targets = 8: "A batch with neither kind of targets, or with both",
    TooSmall = 9: "A size is below the smallest that makes sense: one; two for classes, a subset and the rows of bounds",
    TooLarge = 10: "Sizes or a length that memory cannot address",
    Length = 11: "An array of the wrong length",
    Workspace = 12: "A workspace shorter than the function takes",
    Samples = 13: "A batch of more samples than the plan's",
    NotFinite = 14: "A parameter, an input or an entry of a vector is NaN or infinite",
    ClassIndex = 15: "A class index that is not below the number of classes",
    TargetEntry = 16: "A target distribution with an entry that is negative or not finite",
    TargetSum = 17: "A target distribution that does not sum to one",
    Hyperparameter = 18: "A hyperparameter out of its range",
    PairWeights = 19: "A data set that does not go with the batch's size",
    Overflow = 20: "A result that overflows the range of the type",
    Internal = 21: "A bug in this library",
}

/// Why a call failed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failure {
    Null(&'static str),
    Misaligned(&'static str),
    TooLong(&'static str),
    Overlap([&'static str; 2]),
    StructureSize { argument: &'static str, structure: &'static str, given: usize, least: usize },
    UnknownField { argument: &'static str, structure: &'static str, offset: usize, known: usize },
    Reserved { field: &'static str, given: u32 },
    UnknownCode { argument: &'static str, given: u32 },
    Targets(&'static str),
    Refused(Error),
    Panicked,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Failure {
    fn status(self) -> Status {
        match self {
            Self::Null(_) => Status::NullPointer,
            Self::Misaligned(_) => Status::Misaligned,
            Self::TooLong(_) => Status::TooLarge,
            Self::Overlap(_) => Status::Overlap,
            Self::StructureSize { .. } => Status::StructureSize,
            Self::UnknownField { .. } => Status::UnknownField,
            Self::Reserved { .. } => Status::Reserved,
            Self::UnknownCode { .. } => Status::UnknownCode,
            Self::Targets(_) => Status::Targets,
            Self::Panicked => Status::Internal,
            Self::Refused(error) => match error {
                Error::TooSmall { .. } => Status::TooSmall,
                Error::TooLarge { .. } => Status::TooLarge,
                Error::Length { .. } => Status::Length,
                Error::Workspace { .. } => Status::Workspace,
                Error::Samples { .. } => Status::Samples,
                Error::NotFinite { .. } => Status::NotFinite,
                Error::ClassIndex { .. } => Status::ClassIndex,
                Error::TargetEntry { .. } => Status::TargetEntry,
                Error::TargetSum { .. } => Status::TargetSum,
                Error::Hyperparameter { .. } => Status::Hyperparameter,
                Error::PairWeights { .. } => Status::PairWeights,
                Error::Overflow { .. } => Status::Overflow,
                // Of matrices, names, indices, stored bytes and an allocator, which this interface does not take, and of a batch of other widths than the
                // plan's: here a batch has the plan's.
                Error::Shape { .. }
                | Error::Dimensions { .. }
                | Error::Index { .. }
                | Error::InstructionSet { .. }
                | Error::Name { .. }
                | Error::OutOfMemory { .. }
                | Error::Stored { .. }
                | Error::StoredShape { .. } => Status::Internal,
            },
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null(argument) => write!(out, "{argument}: null"),
            Self::Misaligned(argument) => write!(out, "{argument}: not aligned as its type"),
            Self::TooLong(argument) => write!(out, "{argument}: longer than memory can address"),
            Self::Overlap([one, other]) => write!(out, "{one} and {other}: overlap, and one of them is written to"),
            Self::StructureSize { argument, structure, given, least } => write!(
                out,
                "{argument}: size {given} given, that of a {structure} expected, at least {least}: initialise it, by {structure}_init or the like"
            ),
            Self::UnknownField { argument, structure, offset, known } => write!(
                out,
                "{argument}: byte {offset} is not 0, and version {} of the library knows a {structure} of {known} bytes: a field of a later version is set",
                env!("CARGO_PKG_VERSION")
            ),
            Self::Reserved { field, given } => write!(out, "{field}: {given} given, 0 expected"),
            Self::UnknownCode { argument, given } => write!(out, "{argument}: unknown code {given}"),
            Self::Targets(argument) => {
                write!(out, "{argument}: expected classes or distributions, and not both")
            }
            Self::Refused(error) => error.fmt(out),
            Self::Panicked => out.write_str("a bug in this library"),
        }
    }
}

/// A message of bounded length.
struct Message {
    text: [u8; 256],
    len: usize,
}

impl Write for Message {
    /// Keeps what fits.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.text.len() - self.len;
        let fits = boundary(text, room);
        self.text[self.len..][..fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.len += fits;
        if fits == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// The last character boundary of a text that is not beyond `end`.
fn boundary(text: &str, end: usize) -> usize {
    (0..=end.min(text.len())).rev().find(|&index| text.is_char_boundary(index)).unwrap_or(0)
}

std::thread_local! {
    static LAST_ERROR: RefCell<Message> = const { RefCell::new(Message { text: [0; 256], len: 0 }) };
}

/// Runs the body of a function: remembers a failure, and lets no panic out.
pub(super) fn guard(body: impl FnOnce() -> Result<(), Failure>) -> Status {
    // What a panic may have left half done is the caller's numbers only.
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return Status::Ok,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::Panicked,
    };
    // Where the thread is ending and its storage is gone, the status has to do.
    let _ = LAST_ERROR.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            last.len = 0;
            let _ = write!(last, "{failure}");
        }
    });
    failure.status()
}

/// What a status means, in English; never null. For a number that is no status, says so.
#[unsafe(no_mangle)]
pub extern "C" fn flatmin_status_message(status: i32) -> *const c_char {
    let known = usize::try_from(status).ok().and_then(|index| Status::ALL.get(index));
    known.map_or(c"not a status of flatmin", |status| status.message()).as_ptr()
}

/// Copies the message of the calling thread's last failure, as UTF-8 that ends in a zero, to `buffer`, cut to `length` bytes.
///
/// Returns the length of the whole message without the zero: 0 where no call of the thread has failed. A null `buffer` is not written to.
///
/// # Safety
///
/// `buffer` is null or valid for writes of `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flatmin_last_error(buffer: *mut c_char, length: usize) -> usize {
    let copy = |last: &RefCell<Message>| {
        let last = last.borrow();
        let text = core::str::from_utf8(&last.text[..last.len]).unwrap_or_default();
        if !buffer.is_null() && length > 0 {
            let fits = boundary(text, length - 1);
            // SAFETY: `fits + 1` bytes are at most `length`.
            unsafe {
                buffer.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), fits);
                buffer.add(fits).write(0);
            }
        }
        text.len()
    };
    LAST_ERROR.try_with(copy).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_at_its_number() {
        for (number, &status) in (0..).zip(Status::ALL) {
            assert_eq!(status as i32, number);
            assert!(!status.message().is_empty(), "{status:?}");
            // SAFETY: a message is a C string that lives for ever.
            let message = unsafe { CStr::from_ptr(flatmin_status_message(number)) };
            assert_eq!(message, status.message());
        }
    }

    #[test]
    fn a_panic_is_a_status() {
        assert_eq!(guard(|| panic!("on purpose")), Status::Internal);
        assert_eq!(guard(|| Ok(())), Status::Ok);
    }

    #[test]
    fn messages_are_cut_between_characters() {
        let failure = Failure::Refused(Error::Overflow { quantity: "tr H²" });
        assert_eq!(guard(|| Err(failure)), Status::Overflow);
        let whole = std::format!("{failure}");
        for length in 0..whole.len() + 2 {
            let mut buffer = std::vec![1u8; length + 1];
            // SAFETY: the buffer is longer.
            let told = unsafe { flatmin_last_error(buffer.as_mut_ptr().cast(), length) };
            assert_eq!(told, whole.len());
            assert_eq!(buffer[length], 1, "nothing beyond the end");
            if length > 0 {
                let text = CStr::from_bytes_until_nul(&buffer).expect("a zero").to_str().expect("UTF-8");
                assert!(whole.starts_with(text) && text.len() + 2 >= length.min(whole.len() + 1));
            }
        }
    }
}
