//! The crate's one error type: it names the argument, what was given, and what was expected.

use core::fmt;

/// What a caller got wrong.
///
/// Every public function checks its arguments before it writes anything. On `Err` no output, parameter or optimizer state has changed,
/// except that `dense_hessian` may have written to its output, `Optimizer::update` uses the gradient that it is given as scratch, and an epoch
/// of a `Training` keeps the steps before the one that failed (a workspace's contents are always unspecified).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A size is below the smallest that makes sense (one; two for classes).
    TooSmall {
        /// The size's name.
        argument: &'static str,
        /// The value given.
        given: usize,
        /// The smallest value allowed.
        least: usize,
    },
    /// Sizes whose product does not fit into `usize`, or whose bytes do not fit into an allocation.
    TooLarge {
        /// The quantity that would be too large.
        quantity: &'static str,
    },
    /// Memory that the allocator does not have.
    OutOfMemory {
        /// What it was for.
        quantity: &'static str,
    },
    /// A slice of the wrong length.
    Length {
        /// The slice's name.
        argument: &'static str,
        /// Its length.
        given: usize,
        /// The length that the shape asks for.
        expected: usize,
    },
    /// A workspace shorter than the plan asks for.
    Workspace {
        /// Its length.
        given: usize,
        /// The smallest length that is enough.
        needed: usize,
    },
    /// A batch whose inputs or classes differ in number from the plan's.
    Shape {
        /// What the plan was made for: inputs, hidden units, classes.
        planned: [usize; 3],
        /// Inputs and classes of the batch.
        given: [usize; 2],
    },
    /// A batch with more samples than the plan was made for.
    Samples {
        /// Samples in the batch.
        given: usize,
        /// Samples that the plan allows.
        planned: usize,
    },
    /// A number that is NaN or infinite.
    NotFinite {
        /// The slice's name.
        argument: &'static str,
        /// The index of the first such number.
        index: usize,
    },
    /// An index that is not below the number of what it counts.
    Index {
        /// The slice's name.
        argument: &'static str,
        /// The index given.
        given: usize,
        /// The number that it has to be below.
        limit: usize,
    },
    /// A class index that is not below the number of classes.
    ClassIndex {
        /// The sample's row.
        sample: usize,
        /// The index given.
        given: u32,
        /// The number of classes.
        classes: usize,
    },
    /// A target distribution with an entry that is negative or not finite.
    TargetEntry {
        /// The sample's row.
        sample: usize,
        /// The class.
        class: usize,
        /// The entry given.
        given: f64,
    },
    /// A target distribution that does not sum to one.
    TargetSum {
        /// The sample's row.
        sample: usize,
        /// The sum of its entries.
        given: f64,
    },
    /// A hyperparameter (learning rate, ρ, radius, …) out of its range.
    Hyperparameter {
        /// Its name.
        argument: &'static str,
        /// The value given.
        given: f64,
        /// The range allowed, in words.
        expected: &'static str,
    },
    /// A batch of one sample, which has no cross pairs, or of more samples than its data set.
    PairWeights {
        /// Samples in the batch.
        samples: usize,
        /// Samples in the data set that the plan names.
        data_set: usize,
    },
    /// A result that overflowed the range of the type, with finite arguments.
    Overflow {
        /// The quantity.
        quantity: &'static str,
    },
    /// A matrix whose dimensions do not fit those of the others.
    Dimensions {
        /// The matrix's name.
        argument: &'static str,
        /// Its rows and columns.
        given: [usize; 2],
        /// The rows and columns that the other operands ask for.
        expected: [usize; 2],
    },
    /// An instruction set that the CPU, its operating system or the build lacks.
    InstructionSet {
        /// Its name.
        given: &'static str,
    },
    /// Bytes that were to be a stored network or training, and are not, or of another one.
    Stored {
        /// The part of them that is wrong.
        part: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A stored training of a network of other sizes than the plan's.
    StoredShape {
        /// What the plan was made for: inputs, hidden units, classes.
        planned: [usize; 3],
        /// Those of the stored network.
        given: [usize; 3],
    },
    /// An unknown name.
    Name {
        /// What was to be named.
        argument: &'static str,
        /// The names known, in words.
        expected: &'static str,
    },
}

impl fmt::Display for Error {
    #[cold]
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooSmall { argument, given, least } => {
                write!(out, "{argument}: {given} given, at least {least} expected")
            }
            Self::TooLarge { quantity } => {
                write!(out, "{quantity}: the sizes given multiply to more than memory can address")
            }
            Self::OutOfMemory { quantity } => write!(out, "{quantity}: there is not enough memory"),
            Self::Length { argument, given, expected } => {
                write!(out, "{argument}: length {given} given, {expected} expected")
            }
            Self::Workspace { given, needed } => {
                write!(out, "workspace: length {given} given, at least {needed} expected")
            }
            Self::Shape { planned: [inputs, hidden, classes], given: [d, k] } => write!(
                out,
                "batch: {d} inputs and {k} classes given, the plan is for {inputs} inputs, {hidden} hidden units and {classes} classes"
            ),
            Self::Samples { given, planned } => {
                write!(out, "batch: {given} samples given, the plan is for at most {planned}")
            }
            Self::NotFinite { argument, index } => write!(out, "{argument}: entry {index} is NaN or infinite"),
            Self::Index { argument, given, limit } => {
                write!(out, "{argument}: index {given} given, expected one below {limit}")
            }
            Self::ClassIndex { sample, given, classes } => {
                write!(out, "targets: sample {sample} has class {given}, expected one below {classes}")
            }
            Self::TargetEntry { sample, class, given } => write!(
                out,
                "targets: sample {sample} gives class {class} the probability {given}, expected a finite number that is not negative"
            ),
            Self::TargetSum { sample, given } => {
                write!(out, "targets: the probabilities of sample {sample} sum to {given}, expected 1")
            }
            Self::Hyperparameter { argument, given, expected } => {
                write!(out, "{argument}: {given} given, {expected} expected")
            }
            Self::PairWeights { samples, data_set } => write!(
                out,
                "pair weights: a batch or chunk of {samples} samples given for a data set of {data_set}; expected at least 2, and no more than the data set has"
            ),
            Self::Overflow { quantity } => write!(out, "{quantity}: overflows the range of the type"),
            Self::Dimensions { argument, given, expected } => {
                write!(out, "{argument}: {}×{} given, {}×{} expected", given[0], given[1], expected[0], expected[1])
            }
            Self::InstructionSet { given } => {
                write!(
                    out,
                    "instruction set: {given} given, expected one that this CPU, its system and this build have"
                )
            }
            Self::Stored { part, problem } => write!(out, "{part}: {problem}"),
            Self::StoredShape { planned, given: [d, m, k] } => write!(
                out,
                "stored network: {d}-{m}-{k} given, the plan is for {}-{}-{}",
                planned[0], planned[1], planned[2]
            ),
            Self::Name { argument, expected } => write!(out, "{argument}: unknown name, expected {expected}"),
        }
    }
}

impl core::error::Error for Error {}

/// Checks a hyperparameter that must be finite and at least zero.
pub(crate) fn check_not_negative(argument: &'static str, given: f64) -> Result<()> {
    if given.is_finite() && given >= 0.0 {
        Ok(())
    } else {
        Err(Error::Hyperparameter { argument, given, expected: "a finite number that is not negative" })
    }
}

/// Checks the length of a slice.
pub(crate) fn check_length<T>(argument: &'static str, array: &[T], expected: usize) -> Result<()> {
    let given = array.len();
    if given == expected { Ok(()) } else { Err(Error::Length { argument, given, expected }) }
}

/// Checks that a result is finite.
pub(crate) fn check_finite(value: f64, quantity: &'static str) -> Result<f64> {
    if value.is_finite() { Ok(value) } else { Err(Error::Overflow { quantity }) }
}

/// `Result` with the crate's [`Error`].
pub type Result<T> = core::result::Result<T, Error>;
