//! Caller-owned scratch memory, cut into pieces.
//!
//! A public function receives one slice, as long as its plan says, and cuts its buffers off the front, one after the other.
//! The lengths stand beside the cuts, so that a plan knows the whole length to the element.

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

    /// A second arena over what is left: its pieces are free again when it is dropped.
    pub(crate) fn scope(&mut self) -> Arena<'_, T> {
        Arena { rest: self.rest }
    }
}

/// Row `index` of a row-major matrix of rows of `width`.
pub(crate) fn row<T>(matrix: &[T], width: usize, index: usize) -> &[T] {
    &matrix[index * width..][..width]
}

/// Row `index` of a row-major matrix of rows of `width`, to be written.
pub(crate) fn row_mut<T>(matrix: &mut [T], width: usize, index: usize) -> &mut [T] {
    &mut matrix[index * width..][..width]
}
