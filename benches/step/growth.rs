//! Cost of an HSR step against N, D, M and K, one at a time, with the exponent of a power law fitted to the times.
//!
//! The exponent is the slope of the least-squares line through the logarithms of a row; beside it that of the flop counts.

use crate::contest::{Rounds, median, run, way};
use crate::training::{Contender, Training, sizes};

/// The shape from which one size departs.
const BASE: [usize; 4] = [128, 64, 64, 4];

/// Names of the sizes, and what they become.
const SWEEPS: [(&str, [usize; 5]); 4] = [
    ("N", [32, 64, 128, 256, 512]),
    ("D", [16, 64, 256, 1024, 4096]),
    ("M", [16, 32, 64, 128, 256]),
    ("K", [2, 4, 8, 16, 32]),
];

/// Prints one row a size.
pub fn print(rounds: Rounds) {
    println!("\nHSR in f32, µs a step, at N, D, M, K = {BASE:?} but for one; exponent of the times, and of the flops");
    for (at, (name, values)) in SWEEPS.into_iter().enumerate() {
        let (mut times, mut flops) = (Vec::new(), Vec::new());
        print!("{name}");
        for value in values {
            let mut all = BASE;
            all[at] = value;
            let plan = sizes(all).plan();
            let (optimizer, mut training) = (Contender::Hsr.optimizer(), Training::<f32>::new(plan));
            let repeats = if rounds == Rounds::Few { 1 } else { 21 };
            run(&mut training, &*optimizer, 1);
            let micros = 1e6 * median((0..repeats).map(|_| run(&mut training, &*optimizer, 1)).collect());
            print!("  {value:4}: {micros:8.1} ({})", way(&plan));
            times.push((value as f64, micros));
            flops.push((value as f64, Contender::Hsr.flops(&plan)));
        }
        println!("   {name}^{:.2}, {name}^{:.2} by flops", exponent(&times), exponent(&flops));
    }
}

/// Slope of the least squares line through the logarithms.
fn exponent(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let logs: Vec<_> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let (x_mean, y_mean) =
        (logs.iter().map(|p| p.0).sum::<f64>() / count, logs.iter().map(|p| p.1).sum::<f64>() / count);
    let covariance: f64 = logs.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    covariance / logs.iter().map(|(x, _)| (x - x_mean).powi(2)).sum::<f64>()
}
