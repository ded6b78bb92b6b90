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
