//! A batch of samples: inputs and targets, checked once.

use core::ops::Range;

use crate::error::{Error, Result};
use crate::kernels::vector::first_not_finite;
use crate::network::Shape;
use crate::simd::{Element, InstructionSet};
use crate::targets::Targets;

/// N samples: an N×D matrix of inputs, row-major, and N targets. Borrows both, and checks them when it is made.
///
/// ```
/// use flatmin::{Batch, Shape, Targets};
///
/// let shape = Shape::new(2, 4, 3)?;
/// let inputs = [0.5, -1.0, 2.0, 0.25];
/// let batch = Batch::new(shape, &inputs, Targets::Classes(&[2, 0]))?;
/// assert_eq!(batch.samples(), 2);
/// assert!(Batch::new(shape, &inputs, Targets::Classes(&[2, 3])).is_err()); // there is no class 3
/// # Ok::<(), flatmin::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a, T> {
    inputs: &'a [T],
    targets: Targets<'a, T>,
    samples: usize,
    width: usize,
    classes: usize,
    input_gram: Option<&'a [T]>,
}

impl<'a, T: Element> Batch<'a, T> {
    /// Checks inputs and targets against a network's shape.
    ///
    /// A distribution's entries must be finite and not negative, and sum to one within `10⁻⁶ K` (wide enough for distributions that
    /// were computed in single precision); they are used as given.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] where the lengths disagree, [`Error::TooSmall`] for an empty batch, [`Error::NotFinite`] for an input that
    /// is NaN or infinite, [`Error::ClassIndex`], [`Error::TargetEntry`] or [`Error::TargetSum`] for an invalid target.
    pub fn new(shape: Shape, inputs: &'a [T], targets: Targets<'a, T>) -> Result<Self> {
        let (width, classes) = (shape.inputs(), shape.classes());
        let samples = targets.samples(classes)?;
        if samples == 0 {
            return Err(Error::TooSmall { argument: "samples", given: 0, least: 1 });
        }
        match samples.checked_mul(width) {
            Some(expected) if expected == inputs.len() => {}
            expected => {
                let expected = expected.unwrap_or(usize::MAX);
                return Err(Error::Length { argument: "inputs", given: inputs.len(), expected });
            }
        }
        check_finite_inputs(InstructionSet::current(), inputs)?;
        targets.check(classes)?;
        Ok(Self { inputs, targets, samples, width, classes, input_gram: None })
    }

    /// The batch together with the inner products of its inputs, `x_n·x_n'`, N×N.
    ///
    /// Without them, [`Route::Pairs`](crate::Route::Pairs) forms them at every step, in N²D/2 multiply–adds. Keeping them pays where the
    /// same batch is used again and again (training on a whole data set) and there are many more inputs than hidden units. The blocks and
    /// the sampled penalty do not use them.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless there are N² numbers, [`Error::NotFinite`] for NaN or infinity among them. Whether they are the inner
    /// products of the inputs is not checked.
    ///
    /// ```
    /// use flatmin::gemm::{Matrix, MatrixMut, Triangle, symmetric_product, workspace_len};
    /// use flatmin::{Batch, Shape, Targets};
    ///
    /// let shape = Shape::new(2, 4, 3)?;
    /// let inputs = [0.5, -1.0, 2.0, 0.25];
    /// let (mut gram, mut workspace) = ([0.0; 4], [0.0; workspace_len(2, 2, 2)]);
    /// let (x, out) = (Matrix::new(&inputs, 2, 2)?, MatrixMut::new(&mut gram, 2, 2)?);
    /// symmetric_product(1.0, x, None, 0.0, out, Triangle::Both, &mut workspace)?;
    /// let batch = Batch::new(shape, &inputs, Targets::Classes(&[2, 0]))?.with_input_gram(&gram)?;
    /// # Ok::<(), flatmin::Error>(())
    /// ```
    pub fn with_input_gram(self, gram: &'a [T]) -> Result<Self> {
        let expected = self.samples.saturating_mul(self.samples);
        if gram.len() != expected {
            return Err(Error::Length { argument: "input gram", given: gram.len(), expected });
        }
        if let Some(index) = first_not_finite(InstructionSet::current(), gram) {
            return Err(Error::NotFinite { argument: "input gram", index });
        }
        Ok(Self { input_gram: Some(gram), ..self })
    }

    /// A part of the batch: the samples in `rows`, without checking them again, and without the inner products of the inputs.
    ///
    /// # Errors
    ///
    /// [`Error::TooSmall`] for an empty range, [`Error::Samples`] for one that ends beyond the batch.
    pub fn rows(&self, rows: Range<usize>) -> Result<Self> {
        if rows.is_empty() {
            return Err(Error::TooSmall { argument: "samples", given: 0, least: 1 });
        }
        if rows.end > self.samples {
            return Err(Error::Samples { given: rows.end, planned: self.samples });
        }
        Ok(Self {
            inputs: &self.inputs[rows.start * self.width..rows.end * self.width],
            targets: self.targets.rows(self.classes, rows.clone()),
            samples: rows.len(),
            input_gram: None,
            ..*self
        })
    }

    /// Copies the samples at these indices, in this order, into the caller's memory: a batch of them, which is not checked again, and has no
    /// inner products of its inputs. So an epoch in random order takes its batches from one data set.
    ///
    /// [`gather_lens`](Self::gather_lens) says how much memory that is, at least.
    ///
    /// # Errors
    ///
    /// [`Error::TooSmall`] for no indices, [`Error::Index`] for one beyond the batch, [`Error::Length`] where the memory is too short; then
    /// nothing is written.
    ///
    /// ```
    /// use flatmin::{Batch, Shape, Targets};
    ///
    /// let data = Batch::new(Shape::new(1, 4, 3)?, &[0.0, 1.0, 2.0], Targets::Classes(&[0, 1, 2]))?;
    /// let (mut numbers, mut classes) = ([0.0; 2], [0; 2]);
    /// let batch = data.gather(&[2, 0], &mut numbers, &mut classes)?;
    /// assert_eq!(batch.inputs(), [2.0, 0.0]);
    /// # Ok::<(), flatmin::Error>(())
    /// ```
    pub fn gather<'b>(&self, indices: &[usize], numbers: &'b mut [T], classes: &'b mut [u32]) -> Result<Batch<'b, T>> {
        let samples = indices.len();
        if samples == 0 {
            return Err(Error::TooSmall { argument: "samples", given: 0, least: 1 });
        }
        if let Some(&given) = indices.iter().find(|&&index| index >= self.samples) {
            return Err(Error::Index { argument: "order", given, limit: self.samples });
        }
        let [numbers_len, classes_len] = self.gather_lens(samples);
        let (numbers_given, classes_given) = (numbers.len(), classes.len());
        let short = |argument, given, expected| Error::Length { argument, given, expected };
        let numbers = numbers.get_mut(..numbers_len).ok_or(short("numbers", numbers_given, numbers_len))?;
        let classes = classes.get_mut(..classes_len).ok_or(short("classes", classes_given, classes_len))?;
        let (inputs, distributions) = numbers.split_at_mut(samples * self.width);
        copy_rows(self.inputs, self.width, indices, inputs);
        let targets = match self.targets {
            Targets::Classes(all) => {
                copy_rows(all, 1, indices, classes);
                Targets::Classes(&*classes)
            }
            Targets::Distributions(all) => {
                copy_rows(all, self.classes, indices, distributions);
                Targets::Distributions(&*distributions)
            }
        };
        Ok(Batch { inputs, targets, samples, width: self.width, classes: self.classes, input_gram: None })
    }

    /// The numbers and the classes that [`gather`](Self::gather) writes for so many samples.
    pub const fn gather_lens(&self, samples: usize) -> [usize; 2] {
        match self.targets {
            Targets::Classes(_) => [samples.saturating_mul(self.width), samples],
            Targets::Distributions(_) => [samples.saturating_mul(self.width + self.classes), 0],
        }
    }

    /// A part of the batch, or all of it, which keeps the inner products of its inputs.
    pub(crate) fn part(&self, rows: &Range<usize>) -> Result<Self> {
        if rows.len() == self.samples { Ok(*self) } else { self.rows(rows.clone()) }
    }

    /// N, the number of samples.
    pub const fn samples(&self) -> usize {
        self.samples
    }

    /// The inputs, N×D row-major.
    pub const fn inputs(&self) -> &'a [T] {
        self.inputs
    }

    /// The targets.
    pub const fn targets(&self) -> Targets<'a, T> {
        self.targets
    }

    /// The inner products of the inputs, if they were given.
    pub(crate) const fn input_gram(&self) -> Option<&'a [T]> {
        self.input_gram
    }

    /// D and K of the shape it was checked against.
    pub(crate) const fn widths(&self) -> [usize; 2] {
        [self.width, self.classes]
    }
}

/// Copies rows of `width`.
fn copy_rows<N: Copy>(from: &[N], width: usize, indices: &[usize], to: &mut [N]) {
    for (row, &index) in to.chunks_exact_mut(width).zip(indices) {
        row.copy_from_slice(&from[index * width..][..width]);
    }
}

/// How many samples these inputs are, which have no targets.
pub(crate) fn samples_of<T>(shape: Shape, inputs: &[T]) -> Result<usize> {
    let (given, width) = (inputs.len(), shape.inputs());
    if given == 0 {
        return Err(Error::TooSmall { argument: "samples", given: 0, least: 1 });
    }
    if !given.is_multiple_of(width) {
        let expected = (given / width).max(1) * width;
        return Err(Error::Length { argument: "inputs", given, expected });
    }
    Ok(given / width)
}

/// An error for an input that is NaN or infinite.
pub(crate) fn check_finite_inputs<T: Element>(isa: InstructionSet, inputs: &[T]) -> Result<()> {
    match first_not_finite(isa, inputs) {
        Some(index) => Err(Error::NotFinite { argument: "inputs", index }),
        None => Ok(()),
    }
}
