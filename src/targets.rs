//! The targets of a batch: what each sample should be classified as.

use core::ops::Range;

use crate::error::{Error, Result};
use crate::number::Number;

/// What each sample should be classified as.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Targets<'a, T> {
    /// One class index a sample.
    Classes(&'a [u32]),
    /// One probability distribution over the K classes a sample, N×K row-major (smoothed or soft labels).
    Distributions(&'a [T]),
}

impl<'a, T> Targets<'a, T> {
    /// The targets of a range of samples.
    pub(crate) fn rows(self, classes: usize, rows: Range<usize>) -> Self {
        match self {
            Self::Classes(all) => Self::Classes(&all[rows]),
            Self::Distributions(all) => Self::Distributions(&all[rows.start * classes..rows.end * classes]),
        }
    }

    /// The number of samples, if the length of the targets is a whole number of samples.
    pub(crate) fn samples(self, classes: usize) -> Result<usize> {
        match self {
            Self::Classes(all) => Ok(all.len()),
            Self::Distributions(all) if all.len().is_multiple_of(classes) => Ok(all.len() / classes),
            Self::Distributions(all) => {
                let expected = all.len() / classes * classes;
                Err(Error::Length { argument: "targets", given: all.len(), expected })
            }
        }
    }
}

impl<T: Number> Targets<'_, T> {
    /// Checks the targets: an error for the first invalid one.
    pub(crate) fn check(self, classes: usize) -> Result<()> {
        match self {
            Self::Classes(all) => check_classes(all, classes),
            Self::Distributions(all) => check_distributions(all, classes),
        }
    }
}

fn check_classes(targets: &[u32], classes: usize) -> Result<()> {
    match targets.iter().position(|&class| class as usize >= classes) {
        None => Ok(()),
        Some(sample) => Err(Error::ClassIndex { sample, given: targets[sample], classes }),
    }
}

fn check_distributions<T: Number>(targets: &[T], classes: usize) -> Result<()> {
    let tolerance = 1e-6 * classes as f64;
    for (sample, row) in targets.chunks_exact(classes).enumerate() {
        let mut sum = 0.0;
        for (class, &entry) in row.iter().enumerate() {
            let entry = entry.to_f64();
            if !(0.0..f64::INFINITY).contains(&entry) {
                return Err(Error::TargetEntry { sample, class, given: entry });
            }
            sum += entry;
        }
        if (sum - 1.0).abs() > tolerance {
            return Err(Error::TargetSum { sample, given: sum });
        }
    }
    Ok(())
}
