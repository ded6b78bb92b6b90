//! Caller-owned scratch memory, cut into pieces.
//!
//! A public function receives one slice, as long as its plan says, and cuts its buffers off the front, one after the other.
//! The lengths stand beside the cuts, so that a plan knows the whole length to the element.

use core::ops::Range;

/// What is left of a workspace.
#[derive(Debug)]
pub(crate) struct Arena<'w, T> {
    rest: &'w mut [T],
}

impl<'w, T> Arena<'w, T> {
    pub(crate) fn new(workspace: &'w mut [T]) -> Self {
        Self { rest: workspace }
    }

    /// Cuts off the next `len` elements, with whatever they hold.
    pub(crate) fn take(&mut self, len: usize) -> &'w mut [T] {
        let (piece, rest) = core::mem::take(&mut self.rest).split_at_mut(len);
        self.rest = rest;
        piece
    }

    /// Cuts off pieces of the lengths that a plan has counted, one after the other.
    pub(crate) fn take_all<const PIECES: usize>(&mut self, lengths: [u64; PIECES]) -> [&'w mut [T]; PIECES] {
        lengths.map(|len| self.take(len as usize))
    }

    /// Cuts off all that is left.
    pub(crate) fn rest(self) -> &'w mut [T] {
        self.rest
    }

    /// A second arena over what is left: its pieces are free again when it is dropped.
    pub(crate) fn scope(&mut self) -> Arena<'_, T> {
        Arena { rest: self.rest }
    }
}

/// One row a sample (or a block of samples), of those from `first` on: numbered as in the batch, so that a part of a batch is worked on
/// like all of it.
#[derive(Debug)]
pub(crate) struct PerSample<'w, T> {
    data: &'w mut [T],
    width: usize,
    first: usize,
}

impl<'w, T> PerSample<'w, T> {
    pub(crate) fn new(data: &'w mut [T], width: usize, first: usize) -> Self {
        Self { data, width, first }
    }

    /// The rows before `at`, and the others.
    pub(crate) fn split_at(self, at: usize) -> (Self, Self) {
        let Self { data, width, first } = self;
        let (before, after) = split_rows(data, width, at - first);
        (Self::new(before, width, first), Self::new(after, width, at))
    }

    /// The same, borrowed for a shorter time.
    pub(crate) fn reborrow(&mut self) -> PerSample<'_, T> {
        PerSample { data: self.data, width: self.width, first: self.first }
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn first(&self) -> usize {
        self.first
    }

    pub(crate) fn row(&self, index: usize) -> &[T] {
        row(self.data, self.width, index - self.first)
    }

    pub(crate) fn row_mut(&mut self, index: usize) -> &mut [T] {
        row_mut(self.data, self.width, index - self.first)
    }

    /// The rows of a range.
    pub(crate) fn rows(&self, range: &Range<usize>) -> &[T] {
        &self.data[(range.start - self.first) * self.width..(range.end - self.first) * self.width]
    }

    /// The rows of a range, to be written.
    pub(crate) fn rows_mut(&mut self, range: &Range<usize>) -> &mut [T] {
        &mut self.data[(range.start - self.first) * self.width..(range.end - self.first) * self.width]
    }

    /// All rows.
    pub(crate) fn all(&self) -> &[T] {
        self.data
    }

    /// All rows, for as long as they are borrowed.
    pub(crate) fn into_all(self) -> &'w mut [T] {
        self.data
    }

    /// All rows, to be written.
    pub(crate) fn all_mut(&mut self) -> &mut [T] {
        self.data
    }
}

/// The rows of `width` before row `at`, and the others; nothing of nothing.
pub(crate) fn split_rows<T>(rows: &mut [T], width: usize, at: usize) -> (&mut [T], &mut [T]) {
    let len = rows.len();
    rows.split_at_mut(len.min(at * width))
}

/// A range cut into pieces of `len`, the last one shorter.
pub(crate) fn pieces(range: Range<usize>, len: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(len).map(move |start| start..(start + len).min(end))
}

/// Row `index` of a row-major matrix of rows of `width`.
pub(crate) fn row<T>(matrix: &[T], width: usize, index: usize) -> &[T] {
    &matrix[index * width..][..width]
}

/// Row `index` of a row-major matrix of rows of `width`, to be written.
pub(crate) fn row_mut<T>(matrix: &mut [T], width: usize, index: usize) -> &mut [T] {
    &mut matrix[index * width..][..width]
}
