//! Caller-owned scratch memory, cut into pieces.
//!
//! A public function receives one slice, as long as its plan says, and cuts its buffers off the front, one after the other. A stage
//! declares its buffers once, with [`buffers`] or [`rows`]; both the cutting and the plan's count follow from the declaration.

use core::ops::Range;

/// The rest of a workspace, from which buffers are cut.
#[derive(Debug)]
pub(crate) struct Arena<'w, T> {
    rest: &'w mut [T],
}

impl<'w, T> Arena<'w, T> {
    pub(crate) fn new(workspace: &'w mut [T]) -> Self {
        Self { rest: workspace }
    }

    /// Cuts off the next `len` elements, without changing what they hold.
    pub(crate) fn take(&mut self, len: usize) -> &'w mut [T] {
        let Some((piece, rest)) = core::mem::take(&mut self.rest).split_at_mut_checked(len) else { too_short() };
        self.rest = rest;
        piece
    }

    /// Cuts off all of the rest.
    pub(crate) fn rest(self) -> &'w mut [T] {
        self.rest
    }

    /// A second arena over the rest: what it cuts off is free again when it is dropped.
    pub(crate) fn scope(&mut self) -> Arena<'_, T> {
        Arena { rest: self.rest }
    }
}

#[cold]
#[inline(never)]
fn too_short() -> ! {
    panic!("a workspace shorter than what is cut off it")
}

/// Rows for the samples from `first` on: one for each sample, or one for each block of samples. Samples are numbered as in the batch, so
/// code for a part of a batch is the same as for all of it.
#[derive(Debug)]
pub(crate) struct PerSample<'w, T> {
    data: &'w mut [T],
    width: usize,
    /// The first sample of the first row.
    first: usize,
    /// Samples that share a row.
    block: usize,
}

impl<'w, T> PerSample<'w, T> {
    /// One row for each sample from `first` on.
    pub(crate) fn new(data: &'w mut [T], width: usize, first: usize) -> Self {
        Self::blocks(data, width, first, 1)
    }

    /// One row for each `block` of samples from `first` on.
    pub(crate) fn blocks(data: &'w mut [T], width: usize, first: usize, block: usize) -> Self {
        Self { data, width, first, block }
    }

    /// The rows before that of sample `at`, and the others.
    pub(crate) fn split_at(self, at: usize) -> (Self, Self) {
        let Self { data, width, first, block } = self;
        let rows = (at - first) / block;
        let (before, after) = split_rows(data, width, rows);
        (Self::blocks(before, width, first, block), Self::blocks(after, width, first + rows * block, block))
    }

    /// The same, borrowed for a shorter time.
    pub(crate) fn reborrow(&mut self) -> PerSample<'_, T> {
        PerSample { data: self.data, width: self.width, first: self.first, block: self.block }
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn first(&self) -> usize {
        self.first
    }

    /// The row of a sample.
    pub(crate) fn row(&self, sample: usize) -> &[T] {
        row(self.data, self.width, (sample - self.first) / self.block)
    }

    /// The row of a sample, to be written.
    pub(crate) fn row_mut(&mut self, sample: usize) -> &mut [T] {
        row_mut(self.data, self.width, (sample - self.first) / self.block)
    }

    /// The rows of a range of samples; each sample must have a row of its own.
    pub(crate) fn rows(&self, range: &Range<usize>) -> &[T] {
        debug_assert!(self.block == 1);
        &self.data[(range.start - self.first) * self.width..(range.end - self.first) * self.width]
    }

    /// The rows of a range of samples, to be written; each sample must have a row of its own.
    pub(crate) fn rows_mut(&mut self, range: &Range<usize>) -> &mut [T] {
        debug_assert!(self.block == 1);
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

/// Declares the buffers of a stage: for each its name and the sizes whose product is its length.
///
/// ```text
/// buffers! {
///     pub(crate) struct Name(shape: Shape, n: usize) where { let m = shape.hidden(); } {
///         hidden: [n, m],
///     }
/// }
/// ```
///
/// defines the structure of slices; `Name::elements(shape, n)`, which counts the elements of all; and `Name::cut(shape, n, arena)`, which
/// cuts them off an arena in their order.
macro_rules! buffers {
    (
        $(#[$doc:meta])*
        $vis:vis struct $name:ident($($argument:ident: $type:ty),*) $(where { $($setup:tt)* })? {
            $($(#[$field_doc:meta])* $field:ident: [$($size:expr),+],)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        $vis struct $name<'w, T> {
            $($(#[$field_doc])* pub $field: &'w mut [T],)+
        }

        impl $name<'_, ()> {
            /// Elements of all buffers.
            $vis const fn elements($($argument: $type),*) -> u64 {
                $($($setup)*)?
                $crate::count::sum(&[$($crate::count::product(&[$($size),+])),+])
            }
        }

        impl<'w, T> $name<'w, T> {
            /// Cuts the buffers off an arena, without changing what they hold.
            $vis fn cut($($argument: $type,)* arena: &mut $crate::workspace::Arena<'w, T>) -> Self {
                $($($setup)*)?
                Self { $($field: arena.take($crate::count::product(&[$($size),+]) as usize),)+ }
            }
        }
    };
}

/// Declares rows that a stage keeps of every sample: for each kind its name, its width, and how many samples share a row if more than
/// one.
///
/// ```text
/// rows! {
///     pub(crate) struct Name(shape: Shape) where { let m = shape.hidden(); } {
///         hidden: [m],
///         sums: [m; CHUNK],
///     }
/// }
/// ```
///
/// defines the structure of [`PerSample`]; `Name::elements(shape, n)`, which counts the elements for n samples;
/// `Name::cut(shape, range, arena)`, which cuts those of a range of samples off an arena; and methods that split, reborrow and visit all
/// of them.
macro_rules! rows {
    (
        $(#[$doc:meta])*
        $vis:vis struct $name:ident($($argument:ident: $type:ty),*) $(where { $($setup:tt)* })? {
            $($(#[$field_doc:meta])* $field:ident: [$width:expr $(; $block:expr)?],)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        $vis struct $name<'w, T> {
            $($(#[$field_doc])* pub $field: $crate::workspace::PerSample<'w, T>,)+
        }

        impl $name<'_, ()> {
            /// Elements of the rows of `n` samples.
            $vis const fn elements($($argument: $type,)* n: usize) -> u64 {
                $($($setup)*)?
                $crate::count::sum(&[$($crate::count::product(&[n.div_ceil(1 $(* $block)?), $width])),+])
            }
        }

        impl<'w, T> $name<'w, T> {
            /// Cuts the rows of a range of samples off an arena, without changing what they hold.
            $vis fn cut(
                $($argument: $type,)*
                range: &core::ops::Range<usize>,
                arena: &mut $crate::workspace::Arena<'w, T>,
            ) -> Self {
                $($($setup)*)?
                Self {
                    $($field: {
                        let (width, block) = ($width, 1 $(* $block)?);
                        let data = arena.take(range.len().div_ceil(block) * width);
                        $crate::workspace::PerSample::blocks(data, width, range.start, block)
                    },)+
                }
            }

            /// The rows of the samples before `at`, and those of the others. Where `at` shares a row, the row belongs to the others.
            #[allow(dead_code, reason = "not all kinds are split")]
            $vis fn split_at(self, at: usize) -> (Self, Self) {
                $(let $field = self.$field.split_at(at);)+
                (Self { $($field: $field.0),+ }, Self { $($field: $field.1),+ })
            }

            /// The same, borrowed for a shorter time.
            #[allow(dead_code, reason = "not all kinds are lent")]
            $vis fn reborrow(&mut self) -> $name<'_, T> {
                $name { $($field: self.$field.reborrow()),+ }
            }

            /// Calls `visit` with all rows of each kind.
            #[allow(dead_code, reason = "not all kinds are visited")]
            $vis fn for_each(&mut self, mut visit: impl FnMut(&mut [T])) {
                $(visit(self.$field.all_mut());)+
            }
        }
    };
}

pub(crate) use {buffers, rows};

/// The rows of `width` before row `at`, and the others. Two empty slices if there are no rows.
pub(crate) fn split_rows<T>(rows: &mut [T], width: usize, at: usize) -> (&mut [T], &mut [T]) {
    let len = rows.len();
    rows.split_at_mut(len.min(at * width))
}

/// Cuts a range into pieces of `len`; the last one may be shorter.
pub(crate) fn pieces(range: Range<usize>, len: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(len).map(move |start| start..(start + len).min(end))
}

/// Cuts the first `len` numbers into the fewest pieces of at most `most`, whose lengths differ by at most one.
pub(crate) fn balanced(len: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let count = len.div_ceil(most);
    let (least, longer) = (len / count, len % count);
    let start = move |piece: usize| piece * least + piece.min(longer);
    (0..count).map(move |piece| start(piece)..start(piece + 1))
}

/// A function of its own, so that the many places that take a row stay short.
#[cold]
#[inline(never)]
fn no_such_row() -> ! {
    panic!("a row beyond the end of its matrix")
}

/// Row `index` of a row-major matrix of rows of `width`.
pub(crate) fn row<T>(matrix: &[T], width: usize, index: usize) -> &[T] {
    match matrix.get(index * width..).and_then(|rest| rest.get(..width)) {
        Some(row) => row,
        None => no_such_row(),
    }
}

/// Row `index` of a row-major matrix of rows of `width`, to be written.
pub(crate) fn row_mut<T>(matrix: &mut [T], width: usize, index: usize) -> &mut [T] {
    match matrix.get_mut(index * width..).and_then(|rest| rest.get_mut(..width)) {
        Some(row) => row,
        None => no_such_row(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn balanced_pieces_are_few_and_alike() {
        for (samples, most, expected) in [
            (1, 1, &[1][..]),
            (5, 5, &[5]),
            (6, 5, &[3, 3]),
            (151, 30, &[26, 25, 25, 25, 25, 25]),
            (90, 30, &[30, 30, 30]),
            (2, 100, &[2]),
        ] {
            let pieces: Vec<_> = balanced(samples, most).collect();
            assert_eq!(pieces.iter().map(Range::len).collect::<Vec<_>>(), expected);
            assert_eq!((pieces[0].start, pieces[pieces.len() - 1].end), (0, samples));
            assert!(pieces.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }
}
