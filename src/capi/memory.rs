//! The caller's memory: every piece is checked by itself, then all against each other, and only then becomes a slice.

use core::mem::size_of;
use core::slice;

use super::status::Failure;

/// A piece of memory that a call was given.
#[derive(Clone, Copy)]
struct Piece {
    name: &'static str,
    start: usize,
    bytes: usize,
    written: bool,
}

/// All pieces that a call was given.
pub(super) struct Memory {
    pieces: [Piece; Self::MOST],
    len: usize,
}

/// An array to be read, once nothing that is written to is known to overlap it.
pub(super) struct Input<T> {
    start: *const T,
    len: usize,
}

/// An array to be written to, once nothing is known to overlap it.
pub(super) struct Output<T> {
    start: *mut T,
    len: usize,
}

impl Memory {
    /// Pieces of the call with the most of them.
    const MOST: usize = 12;

    pub(super) fn new() -> Self {
        let none = Piece { name: "", start: 0, bytes: 0, written: false };
        Self { pieces: [none; Self::MOST], len: 0 }
    }

    /// A copy of a structure.
    ///
    /// # Safety
    ///
    /// Unless null or misaligned, `source` leads to a valid structure.
    pub(super) unsafe fn read<T: Copy>(&mut self, source: *const T, name: &'static str) -> Result<T, Failure> {
        self.note(source, 1, name, false)?;
        // SAFETY: the caller's promise; neither null nor misaligned.
        Ok(unsafe { source.read() })
    }

    /// An array to be read. An empty one may be null.
    pub(super) fn input<T>(&mut self, start: *const T, len: usize, name: &'static str) -> Result<Input<T>, Failure> {
        self.note(start, len, name, false)?;
        Ok(Input { start, len })
    }

    /// An array to be written to. An empty one may be null.
    pub(super) fn output<T>(&mut self, start: *mut T, len: usize, name: &'static str) -> Result<Output<T>, Failure> {
        self.note(start, len, name, true)?;
        Ok(Output { start, len })
    }

    fn note<T>(&mut self, start: *const T, len: usize, name: &'static str, written: bool) -> Result<(), Failure> {
        if len == 0 {
            return Ok(());
        }
        if start.is_null() {
            return Err(Failure::Null(name));
        }
        if !start.is_aligned() {
            return Err(Failure::Misaligned(name));
        }
        let bytes = len.checked_mul(size_of::<T>()).filter(|&bytes| bytes <= isize::MAX as usize);
        let Some(bytes) = bytes.filter(|bytes| start.addr().checked_add(*bytes).is_some()) else {
            return Err(Failure::TooLong(name));
        };
        self.pieces[self.len] = Piece { name, start: start.addr(), bytes, written };
        self.len += 1;
        Ok(())
    }

    /// An error where two pieces overlap and one of them is written to.
    pub(super) fn check_apart(&self) -> Result<(), Failure> {
        let pieces = &self.pieces[..self.len];
        for (index, one) in pieces.iter().enumerate() {
            for other in &pieces[index + 1..] {
                let apart = one.start + one.bytes <= other.start || other.start + other.bytes <= one.start;
                if !apart && (one.written || other.written) {
                    return Err(Failure::Overlap([one.name, other.name]));
                }
            }
        }
        Ok(())
    }
}

impl<T> Input<T> {
    /// The array.
    ///
    /// # Safety
    ///
    /// The pointer leads to as many elements as was said, which nothing writes to for as long as `'a`;
    /// [`Memory::check_apart`] has passed.
    pub(super) unsafe fn slice<'a>(&self) -> &'a [T] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: aligned, not null and no longer than memory; the rest is promised.
        unsafe { slice::from_raw_parts(self.start, self.len) }
    }
}

impl<T> Output<T> {
    /// The array, for whose elements any bits are valid.
    ///
    /// # Safety
    ///
    /// As for [`Input::slice`], and nothing else reads or writes; called once.
    pub(super) unsafe fn slice<'a>(self) -> &'a mut [T]
    where
        T: bytemuck::Pod,
    {
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: aligned, not null and no longer than memory; the rest is promised.
        unsafe { slice::from_raw_parts_mut(self.start, self.len) }
    }

    /// Writes the one structure that this is.
    ///
    /// # Safety
    ///
    /// The pointer leads to memory for one structure; [`Memory::check_apart`] has passed.
    pub(super) unsafe fn write(self, value: T) {
        debug_assert_eq!(self.len, 1);
        // SAFETY: aligned and not null; the rest is promised.
        unsafe { self.start.write(value) }
    }
}
