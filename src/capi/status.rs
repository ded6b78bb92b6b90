//! Status codes, their messages, and the message of the last error.

use core::ffi::{CStr, c_char};
use core::fmt::{self, Write};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::Error;

/// What became of a call: 0 on success.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// A pointer is null where memory is needed.
    NullPointer = 1,
    /// A pointer is not a multiple of its type's alignment.
    Misaligned = 2,
    /// An array that is written to overlaps another one.
    Overlap = 3,
    /// A code of an activation, route, form or direction that is none of those defined.
    UnknownCode = 4,
    /// A batch with neither kind of targets, or with both.
    Targets = 5,
    /// A size is below the smallest that makes sense: one; two for classes.
    TooSmall = 6,
    /// Sizes or a length that memory cannot address.
    TooLarge = 7,
    /// An array of the wrong length.
    Length = 8,
    /// A workspace shorter than the plan asks for.
    Workspace = 9,
    /// A batch of another shape than the plan's.
    Shape = 10,
    /// A batch of more samples than the plan's.
    Samples = 11,
    /// A parameter, an input or a direction is NaN or infinite.
    NotFinite = 12,
    /// A class index that is not below the number of classes.
    ClassIndex = 13,
    /// A target distribution with an entry that is negative or not finite.
    TargetEntry = 14,
    /// A target distribution that does not sum to one.
    TargetSum = 15,
    /// A hyperparameter out of its range.
    Hyperparameter = 16,
    /// A data set that does not go with the batch's size.
    PairWeights = 17,
    /// A result that overflows the range of the type.
    Overflow = 18,
    /// A bug in this library.
    Internal = 19,
}

impl Status {
    const ALL: [Self; 20] = [
        Self::Ok,
        Self::NullPointer,
        Self::Misaligned,
        Self::Overlap,
        Self::UnknownCode,
        Self::Targets,
        Self::TooSmall,
        Self::TooLarge,
        Self::Length,
        Self::Workspace,
        Self::Shape,
        Self::Samples,
        Self::NotFinite,
        Self::ClassIndex,
        Self::TargetEntry,
        Self::TargetSum,
        Self::Hyperparameter,
        Self::PairWeights,
        Self::Overflow,
        Self::Internal,
    ];

    const fn message(self) -> &'static CStr {
        match self {
            Self::Ok => c"done",
            Self::NullPointer => c"a pointer is null where memory is needed",
            Self::Misaligned => c"a pointer is not a multiple of its type's alignment",
            Self::Overlap => c"an array that is written to overlaps another one",
            Self::UnknownCode => c"a code of an activation, route, form or direction that is none of those defined",
            Self::Targets => c"a batch with neither kind of targets, or with both",
            Self::TooSmall => c"a size is below the smallest that makes sense",
            Self::TooLarge => c"sizes or a length that memory cannot address",
            Self::Length => c"an array of the wrong length",
            Self::Workspace => c"a workspace shorter than the plan asks for",
            Self::Shape => c"a batch of another shape than the plan's",
            Self::Samples => c"a batch of more samples than the plan's",
            Self::NotFinite => c"a parameter, an input or a direction is NaN or infinite",
            Self::ClassIndex => c"a class index that is not below the number of classes",
            Self::TargetEntry => c"a target distribution with an entry that is negative or not finite",
            Self::TargetSum => c"a target distribution that does not sum to one",
            Self::Hyperparameter => c"a hyperparameter out of its range",
            Self::PairWeights => c"a data set that does not go with the batch's size",
            Self::Overflow => c"a result that overflows the range of the type",
            Self::Internal => c"a bug in this library",
        }
    }
}

/// Why a call failed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failure {
    Null(&'static str),
    Misaligned(&'static str),
    TooLong(&'static str),
    Overlap([&'static str; 2]),
    UnknownCode { argument: &'static str, given: u32 },
    Targets,
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
            Self::UnknownCode { .. } => Status::UnknownCode,
            Self::Targets => Status::Targets,
            Self::Panicked => Status::Internal,
            Self::Refused(error) => match error {
                Error::TooSmall { .. } => Status::TooSmall,
                Error::TooLarge { .. } => Status::TooLarge,
                Error::Length { .. } => Status::Length,
                Error::Workspace { .. } => Status::Workspace,
                Error::Shape { .. } => Status::Shape,
                Error::Samples { .. } => Status::Samples,
                Error::NotFinite { .. } => Status::NotFinite,
                Error::ClassIndex { .. } => Status::ClassIndex,
                Error::TargetEntry { .. } => Status::TargetEntry,
                Error::TargetSum { .. } => Status::TargetSum,
                Error::Hyperparameter { .. } => Status::Hyperparameter,
                Error::PairWeights { .. } => Status::PairWeights,
                Error::Overflow { .. } => Status::Overflow,
                // Of matrices and names, which this interface does not take.
                Error::Dimensions { .. } | Error::InstructionSet { .. } | Error::Name { .. } => Status::Internal,
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
            Self::UnknownCode { argument, given } => write!(out, "{argument}: unknown code {given}"),
            Self::Targets => out.write_str("batch: expected classes or distributions, and not both"),
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
        for (number, status) in (0..).zip(Status::ALL) {
            assert_eq!(status as i32, number);
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
