//! The caller's memory: every piece is checked by itself, then all against each other, and only then becomes a slice.

use core::mem::{align_of, size_of};
use core::slice;

use super::status::Failure;
use super::structure::{MOST, Structure};

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

/// A structure to be written to, of the caller's size, once nothing is known to overlap it.
pub(super) struct Place<S> {
    start: *mut S,
    size: usize,
}

impl Memory {
    /// Pieces of the call with the most of them.
    const MOST: usize = 12;

    pub(super) fn new() -> Self {
        let none = Piece { name: "", start: 0, bytes: 0, written: false };
        Self { pieces: [none; Self::MOST], len: 0 }
    }

    /// A copy of a structure, with zeros for the fields that the caller's version does not have.
    ///
    /// # Safety
    ///
    /// Unless null or misaligned, `source` leads to a `usize`, and to as many bytes as that says.
    pub(super) unsafe fn read<S: Structure>(&mut self, source: *const S, name: &'static str) -> Result<S, Failure> {
        // SAFETY: as promised.
        unsafe { self.copy(source, name, false) }
    }

    /// The same of a structure that is then changed, and its place.
    ///
    /// # Safety
    ///
    /// As for [`Memory::read`].
    pub(super) unsafe fn change<S: Structure>(
        &mut self,
        source: *mut S,
        name: &'static str,
    ) -> Result<(S, Place<S>), Failure> {
        // SAFETY: as promised.
        let copy = unsafe { self.copy(source, name, true)? };
        Ok((copy, Place { start: source, size: copy.size() }))
    }

    /// A structure that is written to, of which nothing but the size is read.
    ///
    /// # Safety
    ///
    /// As for [`Memory::read`].
    pub(super) unsafe fn place<S: Structure>(
        &mut self,
        start: *mut S,
        name: &'static str,
    ) -> Result<Place<S>, Failure> {
        // SAFETY: as promised.
        let size = unsafe { self.note_structure(start, name, true)? };
        Ok(Place { start, size })
    }

    unsafe fn copy<S: Structure>(&mut self, source: *const S, name: &'static str, written: bool) -> Result<S, Failure> {
        // SAFETY: as promised.
        let size = unsafe { self.note_structure(source, name, written)? };
        let (known, mut copy) = (size.min(size_of::<S>()), S::EMPTY);
        // SAFETY: both have so many bytes, and any bits are a value of every field.
        unsafe { source.cast::<u8>().copy_to_nonoverlapping((&raw mut copy).cast(), known) };
        // SAFETY: as promised, and no more than `MOST`.
        let beyond = unsafe { slice::from_raw_parts(source.cast::<u8>().add(known), size - known) };
        match beyond.iter().position(|&byte| byte != 0) {
            None => Ok(copy),
            Some(index) => {
                Err(Failure::UnknownField { argument: name, structure: S::NAME, offset: known + index, known })
            }
        }
    }

    /// Notes a structure, and returns its size.
    unsafe fn note_structure<S: Structure>(
        &mut self,
        start: *const S,
        name: &'static str,
        written: bool,
    ) -> Result<usize, Failure> {
        self.check(start, name)?;
        // SAFETY: the first field, as promised; neither null nor misaligned.
        let size = unsafe { start.cast::<usize>().read() };
        if size < S::FIRST || size > MOST || !size.is_multiple_of(align_of::<S>()) {
            let least = S::FIRST;
            return Err(Failure::StructureSize { argument: name, structure: S::NAME, given: size, least });
        }
        self.keep(start.addr(), size, name, written)?;
        Ok(size)
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
        self.check(start, name)?;
        let bytes = len.checked_mul(size_of::<T>()).ok_or(Failure::TooLong(name))?;
        self.keep(start.addr(), bytes, name, written)
    }

    fn check<T>(&self, start: *const T, name: &'static str) -> Result<(), Failure> {
        if start.is_null() {
            Err(Failure::Null(name))
        } else if !start.is_aligned() {
            Err(Failure::Misaligned(name))
        } else {
            Ok(())
        }
    }

    fn keep(&mut self, start: usize, bytes: usize, name: &'static str, written: bool) -> Result<(), Failure> {
        if bytes > isize::MAX as usize || start.checked_add(bytes).is_none() {
            return Err(Failure::TooLong(name));
        }
        self.pieces[self.len] = Piece { name, start, bytes, written };
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

    /// Writes the one number that this is.
    ///
    /// # Safety
    ///
    /// The pointer leads to memory for one number; [`Memory::check_apart`] has passed.
    pub(super) unsafe fn write(self, value: T) {
        debug_assert_eq!(self.len, 1);
        // SAFETY: aligned and not null; the rest is promised.
        unsafe { self.start.write(value) }
    }
}

impl<S: Structure> Place<S> {
    /// Writes as much of the structure as the caller's version has, but not the size. Fields that only the caller's version has become zero.
    ///
    /// # Safety
    ///
    /// The pointer leads to as many bytes as its size said; [`Memory::check_apart`] has passed.
    pub(super) unsafe fn write(self, value: S) {
        let (from, to) = ((&raw const value).cast::<u8>(), self.start.cast::<u8>());
        let (head, known) = (size_of::<usize>(), self.size.min(size_of::<S>()));
        // SAFETY: aligned, not null; the value has `known` bytes, the rest is promised.
        unsafe {
            from.add(head).copy_to_nonoverlapping(to.add(head), known - head);
            to.add(known).write_bytes(0, self.size - known);
        }
    }
}
