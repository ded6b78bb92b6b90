//! Small networks and batches.

use crate::common::problem::Problem;
use arbitrary::{Arbitrary, Unstructured};
use flatmin::{Activation, Network, Shape};

/// A problem whose numbers are single bytes: enough to reach every case, and few enough for mutations to mean something.
#[derive(Debug)]
pub struct Input {
    pub problem: Problem,
    pub direction: Vec<f64>,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let [inputs, hidden] = [bytes.int_in_range(1..=5)?, bytes.int_in_range(1..=5)?];
        let [classes, samples] = [bytes.int_in_range(2..=4)?, bytes.int_in_range(1..=6)?];
        let shape = Shape::new(inputs, hidden, classes).expect("small sizes");
        let activation = *bytes.choose(&Activation::ALL)?;
        // Within ±4, in steps of 1/32, zero included.
        let mut numbers = |count: usize| -> arbitrary::Result<Vec<f64>> {
            (0..count).map(|_| Ok(f64::from(bytes.arbitrary::<i8>()?) / 32.0)).collect()
        };
        let (theta, direction) = (numbers(shape.parameters())?, numbers(shape.parameters())?);
        let inputs = numbers(samples * inputs)?;
        let (mut indices, mut targets) = (None, Vec::new());
        if bytes.arbitrary()? {
            let all: Vec<u32> =
                (0..samples).map(|_| bytes.int_in_range(0..=classes as u32 - 1)).collect::<arbitrary::Result<_>>()?;
            targets.extend(all.iter().flat_map(|&class| (0..classes).map(move |k| f64::from(k == class as usize))));
            indices = Some(all);
        } else {
            for _ in 0..samples {
                let weights: Vec<f64> =
                    (0..classes).map(|_| Ok(f64::from(bytes.arbitrary::<u8>()?))).collect::<arbitrary::Result<_>>()?;
                let sum: f64 = weights.iter().sum();
                let share = |weight: f64| if sum > 0.0 { weight / sum } else { 1.0 / classes as f64 };
                targets.extend(weights.iter().map(|&weight| share(weight)));
            }
        }
        let network = Network::new(shape, activation);
        Ok(Self { problem: Problem { network, samples, theta, inputs, targets, indices }, direction })
    }
}
