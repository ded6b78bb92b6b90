//! Two moons: two interleaved half circles with noise, a binary problem that no straight line solves.

use std::f64::consts::PI;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use crate::common::random::{Purpose, generator};

use super::Samples;

/// `samples` points, half of them on each moon, with Gaussian noise of this standard deviation. Always the same ones.
pub fn generate(samples: usize, noise: f64) -> Samples {
    let mut random = generator(0, Purpose::Data);
    let mut moons = Samples::default();
    for index in 0..samples {
        let class = index % 2;
        let angle = PI * random.random::<f64>();
        let [x, y] = match class {
            0 => [angle.cos(), angle.sin()],
            _ => [1.0 - angle.cos(), 0.5 - angle.sin()],
        };
        let [u, v] = gaussian_pair(&mut random);
        moons.push(&[x + noise * u, y + noise * v], class as u32);
    }
    moons
}

/// Two independent standard normal numbers, by Box and Muller.
fn gaussian_pair(random: &mut ChaCha8Rng) -> [f64; 2] {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    let angle = 2.0 * PI * random.random::<f64>();
    [radius * angle.cos(), radius * angle.sin()]
}
