//! Schedules: factors of the learning rate, as functions of the step.
//!
//! A factor is between 0 and 1. Factors multiply. A training sets the product times its largest learning rate before each step, by
//! [`set_learning_rate`](crate::Hyperparameters::set_learning_rate); the step's number is the state's count of steps, so a training that is
//! stored and resumed goes on where it was.
//!
//! ```
//! use flatmin::optimizer::schedule::{cosine, warm_up};
//!
//! // 100 steps up to 0.3, and along a half-wave of the cosine down to 0 at step 1000.
//! let rate = |step: u64| 0.3 * warm_up(step, 100) * cosine(step, 1000);
//! assert_eq!(warm_up(99, 100), 1.0);
//! assert!((rate(500) - 0.15).abs() < 1e-15);
//! assert_eq!(rate(1000), 0.0);
//! ```

/// A line from 1/steps at step 0 to 1 at the last of so many steps, and 1 from there on.
pub fn warm_up(step: u64, steps: u64) -> f64 {
    if step >= steps { 1.0 } else { (step as f64 + 1.0) / steps as f64 }
}

/// Half a wave of the cosine: `(1 + cos(π step/steps))/2`, from 1 at step 0 to 0 at `steps`, and 0 from there on.
///
/// Loshchilov and Hutter, *SGDR: Stochastic Gradient Descent with Warm Restarts*, arXiv 1608.03983, without restarts.
pub fn cosine(step: u64, steps: u64) -> f64 {
    if step >= steps {
        return 0.0;
    }
    // (1 + cos 2x)/2 = cos² x = 1 − sin² x, with x up to π/2: the one whose argument is up to π/4.
    let share = step as f64 / steps as f64;
    if share <= 0.5 {
        let sine = sine(core::f64::consts::FRAC_PI_2 * share);
        1.0 - sine * sine
    } else {
        let sine = sine(core::f64::consts::FRAC_PI_2 * (1.0 - share));
        sine * sine
    }
}

/// sin x for x in [0, π/4], by Taylor's series: the first term left out is below 2⁻⁵⁴ of the sum.
fn sine(x: f64) -> f64 {
    let square = x * x;
    // x (1 − x²/(2·3) (1 − x²/(4·5) (1 − …))), from the inside.
    let terms = (1..=8u32).rev().fold(1.0, |inner, i| 1.0 - square / f64::from(2 * i * (2 * i + 1)) * inner);
    x * terms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_is_that_of_the_standard_library() {
        for steps in [1, 2, 3, 7, 1000, 12_345] {
            for step in 0..=steps + 2 {
                let x = core::f64::consts::PI * step.min(steps) as f64 / steps as f64;
                let expected = 0.5 * (1.0 + x.cos());
                let error = (cosine(step, steps) - expected).abs();
                assert!(error <= 2.0 * f64::EPSILON, "{step} of {steps}: {error:e}");
            }
            assert_eq!([cosine(0, steps), cosine(steps, steps), cosine(u64::MAX, steps)], [1.0, 0.0, 0.0]);
            assert!((1..steps).all(|step| cosine(step, steps) < cosine(step - 1, steps)));
        }
    }

    #[test]
    fn schedules_of_no_steps_are_over() {
        assert_eq!((warm_up(0, 0), cosine(0, 0)), (1.0, 0.0));
    }

    #[test]
    fn warm_up_is_a_line() {
        assert_eq!([0, 1, 2, 3, 4, 5].map(|step| warm_up(step, 4)), [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
    }
}
