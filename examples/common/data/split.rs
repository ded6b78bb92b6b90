//! Splitting into train and test, and scaling.

use rand::seq::SliceRandom;

use crate::common::random::{Purpose, generator};

use super::{Samples, Scaling, Split};

/// Of each class, one sample in four is tested on.
const TEST_SHARE: usize = 4;

/// A random split in which each class has its share in both parts; both are in random order.
pub fn stratified(all: &Samples, width: usize, classes: usize, seed: u64) -> Split {
    let mut split = Split { train: Samples::default(), test: Samples::default() };
    let mut seen = vec![0; classes];
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.shuffle(&mut generator(seed, Purpose::Split));
    for index in order {
        let class = all.classes[index];
        let count: &mut usize = &mut seen[class as usize];
        let part = if count.is_multiple_of(TEST_SHARE) { &mut split.test } else { &mut split.train };
        part.push(&all.inputs[index * width..][..width], class);
        *count += 1;
    }
    split
}

/// Scales both parts, by nothing but what the training samples tell.
pub fn scale(split: &mut Split, width: usize, scaling: Scaling) {
    let Split { train, test } = split;
    match scaling {
        Scaling::Divide(largest) => {
            for input in train.inputs.iter_mut().chain(&mut test.inputs) {
                *input /= largest;
            }
        }
        Scaling::ZScore => {
            for column in 0..width {
                let values = || train.inputs.iter().skip(column).step_by(width);
                let count = train.classes.len() as f64;
                let mean = values().sum::<f64>() / count;
                let deviation = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
                // A constant column carries nothing: it becomes zero.
                let factor = if deviation > 0.0 { 1.0 / deviation } else { 0.0 };
                for part in [&mut train.inputs, &mut test.inputs] {
                    for value in part.iter_mut().skip(column).step_by(width) {
                        *value = (*value - mean) * factor;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_stratified_seeded_and_lose_nothing() {
        let all =
            Samples { inputs: (0..60).map(f64::from).collect(), classes: (0..30).map(|i| u32::from(i < 20)).collect() };
        let split = stratified(&all, 2, 2, 3);
        let count = |samples: &Samples, class| samples.classes.iter().filter(|&&other| other == class).count();
        assert_eq!([count(&split.test, 0), count(&split.test, 1)], [3, 5]);
        assert_eq!([count(&split.train, 0), count(&split.train, 1)], [7, 15]);
        let mut seen = [split.train.inputs.clone(), split.test.inputs].concat();
        seen.sort_by(f64::total_cmp);
        assert_eq!(seen, all.inputs);
        assert_eq!(split.train, stratified(&all, 2, 2, 3).train);
        assert_ne!(split.train, stratified(&all, 2, 2, 4).train);
    }

    #[test]
    fn scaling_uses_training_statistics() {
        let train = Samples { inputs: vec![1.0, 7.0, 3.0, 7.0], classes: vec![0, 1] };
        let test = Samples { inputs: vec![5.0, 9.0], classes: vec![0] };
        let mut split = Split { train, test };
        scale(&mut split, 2, Scaling::ZScore);
        assert_eq!(split.train.inputs, [-1.0, 0.0, 1.0, 0.0]);
        assert_eq!(split.test.inputs, [3.0, 0.0]);
    }
}
