//! In which order an epoch takes the samples.

use alloc::vec::Vec;
use core::ops::Range;

use super::memory::grow;
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::random::{Random, Stream};
use crate::real::Real;

/// The order of the samples in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order<'a> {
    /// That of the data set. Nothing is copied.
    AsGiven,
    /// A new random one each epoch, by Fisher and Yates: a function of the training's seed and the count of epochs.
    Shuffled,
    /// The caller's: indices of samples, which may leave some out and repeat others.
    Of(&'a [usize]),
}

/// The memory of an epoch: the order of its samples, and the samples of a batch.
#[derive(Debug, Default)]
pub(super) struct EpochMemory<T> {
    /// Indices of samples; none for the data set's own order.
    indices: Vec<usize>,
    numbers: Vec<T>,
    classes: Vec<u32>,
}

impl<T: Real> EpochMemory<T> {
    /// Writes the order of an epoch, and makes room for batches of at most `most` samples. Returns the number of samples in the order.
    pub(super) fn prepare(
        &mut self,
        data: &Batch<'_, T>,
        order: Order<'_>,
        most: usize,
        seed: u64,
        epoch: u64,
    ) -> Result<usize> {
        let Self { indices, numbers, classes } = self;
        indices.clear();
        match order {
            Order::AsGiven => return Ok(data.samples()),
            Order::Of([]) => return Err(Error::TooSmall { argument: "order", given: 0, least: 1 }),
            Order::Of(order) => {
                if let Some(&given) = order.iter().find(|&&index| index >= data.samples()) {
                    return Err(Error::Index { argument: "order", given, limit: data.samples() });
                }
                grow(indices, order.len(), "order")?;
                indices.copy_from_slice(order);
            }
            Order::Shuffled => {
                grow(indices, data.samples(), "order")?;
                shuffle(indices, seed, epoch);
            }
        }
        let [numbers_len, classes_len] = data.gather_lens(most.min(indices.len()));
        grow(numbers, numbers_len, "batch")?;
        grow(classes, classes_len, "batch")?;
        Ok(indices.len())
    }

    /// The batch of a range of the order.
    pub(super) fn batch<'b>(&'b mut self, data: &Batch<'b, T>, rows: Range<usize>) -> Result<Batch<'b, T>> {
        if self.indices.is_empty() {
            return data.part(&rows);
        }
        data.gather(&self.indices[rows], &mut self.numbers, &mut self.classes)
    }
}

/// Writes the whole numbers from 0 on in random order.
fn shuffle(indices: &mut [usize], seed: u64, epoch: u64) {
    let random = Random::new(seed, epoch, Stream::Order);
    for at in 0..indices.len() {
        // The number that stands at a random place moves to the end, and the new one takes its place. Uniform to one part in 2⁶⁴.
        let place = ((u128::from(random.word(at as u64)) * (at as u128 + 1)) >> 64) as usize;
        indices[at] = indices[place];
        indices[place] = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every sample once; each of the 24 orders of four samples about as often.
    #[test]
    fn shuffles_are_uniform() {
        let mut counts = std::collections::BTreeMap::<Vec<usize>, u32>::new();
        let mut indices = [0; 4];
        for epoch in 0..24_000 {
            shuffle(&mut indices, 3, epoch);
            *counts.entry(indices.to_vec()).or_default() += 1;
        }
        assert_eq!(counts.len(), 24);
        // Five standard deviations of a count of mean 1000.
        assert!(counts.values().all(|&count| count.abs_diff(1000) < 160), "{counts:?}");
        for mut order in counts.into_keys() {
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3]);
        }
    }
}
