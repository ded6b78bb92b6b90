//! The limit on what one kept sample contributes to ∇Λ.
//!
//! Half of every pair is the part of one of its samples. So ∇Λ is a sum of contributions, one of each kept sample. A few of them are many
//! times as large as the others, and throw a network out of its minimum. The *size* of a contribution is the norm of its gradient, but for
//! what acts on V directly and for what ẑ adds to W and b through V, from quantities that are there already (see [`back`](super::back)):
//!
//! ```text
//! size² = ‖û‖² Ga_ii + ‖ẑ‖² Gg_ii        factor = make_up · min(1, limit/size)
//! whole = Σ size        limited = Σ min(size, limit)        make_up = clamp(averages of whole / limited, 1, 3)
//! ```
//!
//! Afterwards the limit moves so that it takes away a certain share of the length, and so follows the sizes up and down through training.
//! It knows no scale, and no step moves it by more than a third, whatever the sizes; sizes that are all zero leave it:
//!
//! ```text
//! limit ← limit (1 + 0.3 (1 − limited/whole − share))
//! ```
//!
//! The averages of `whole` and `limited` are those before the step. Thus `make_up` gives back, on average, the length that the limit takes
//! away. A share of the length, not of the number: where a few samples make up most of the penalty, as they do in a network that has
//! learned the others, they are kept.
//!
//! The first step limits nothing. It sets the limit to what would take away the share of its own length.

use crate::error::{Result, check_finite};
use crate::number::sqrt;
use crate::sampled::sketch::{get, put, registers};
use crate::sampled::{Averages, Sampling};
use crate::simd::{Element, InstructionSet, Kernel, Lanes, Simd};

/// How fast the limit follows the sizes.
const GAIN: f64 = 0.3;
/// The largest make-up.
const LARGEST_MAKE_UP: f64 = 3.0;

/// Turns squares of sizes into the factors of the contributions, each times `scale`. Returns the averages with these sizes.
///
/// # Errors
///
/// [`Error::Overflow`](crate::Error::Overflow) where a size is not finite.
pub(super) fn limit<T: Element>(
    isa: InstructionSet,
    sampling: &Sampling,
    scale: f64,
    averages: &Averages,
    factors: &mut [T],
) -> Result<Averages> {
    let share = sampling.limited_share;
    if averages.limit == 0.0 {
        let sizes = factors.iter().map(|square| sqrt(square.to_f64()));
        let whole = check_finite(sizes.clone().sum(), "the size of a contribution")?;
        let limit = level(sizes, (1.0 - share) * whole);
        factors.fill(T::from_f64(scale));
        return Ok(Averages { limit, whole, limited: whole, ..*averages });
    }
    let limit = averages.limit;
    let make_up = (averages.whole / averages.limited.max(f64::MIN_POSITIVE)).clamp(1.0, LARGEST_MAKE_UP);
    let [whole, limited] =
        isa.for_rows::<T>(factors.len()).run(Factors { limit, scale: scale * make_up, squares: factors });
    check_finite(whole, "the size of a contribution")?;
    let taken = if whole > 0.0 { 1.0 - limited / whole } else { share };
    let mix = |average: f64, new: f64| sampling.beta * average + (1.0 - sampling.beta) * new;
    Ok(Averages {
        limit: (limit * (1.0 + GAIN * (taken - share))).max(f64::MIN_POSITIVE),
        whole: mix(averages.whole, whole),
        limited: mix(averages.limited, limited),
        ..*averages
    })
}

/// The limit to which the sizes are to be cut for a given sum: a level that rises, until those below it no longer change.
fn level(sizes: impl Iterator<Item = f64> + Clone, sum: f64) -> f64 {
    let mut level = 0.0;
    loop {
        let (mut below, mut above) = (0.0, 0.0);
        for size in sizes.clone() {
            if size <= level {
                below += size;
            } else {
                above += 1.0;
            }
        }
        let higher = (sum - below) / above;
        if !(higher > level && above > 0.0) {
            return level;
        }
        level = higher;
    }
}

/// Replaces squares of sizes by factors. Returns the sums of the sizes, whole and limited.
struct Factors<'a, T> {
    limit: f64,
    scale: f64,
    squares: &'a mut [T],
}

impl<T: Element> Kernel for Factors<'_, T> {
    type Output = [f64; 2];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [f64; 2] {
        let Self { limit, scale, squares } = self;
        let limit = T::Lanes::<S>::splat(simd, T::from_f64(limit));
        let scale = T::Lanes::<S>::splat(simd, T::from_f64(scale));
        let (one, zero) = (T::Lanes::<S>::splat(simd, T::ONE), T::Lanes::<S>::zero(simd));
        let [mut whole, mut limited] = [zero; 2];
        for range in registers::<T, S>(squares.len()) {
            let size = get::<T::Lanes<S>>(simd, &squares[range.clone()]).sqrt();
            let below = size.le(limit);
            whole = whole + size;
            limited = limited + T::Lanes::<S>::select(below, size, limit);
            put(scale * T::Lanes::<S>::select(below, one, limit / size), &mut squares[range]);
        }
        [whole.reduce_sum().to_f64(), limited.reduce_sum().to_f64()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const SAMPLING: Sampling = Sampling::new(0);

    fn run<T: Element>(averages: &Averages, scale: f64, sizes: &[f64]) -> (Vec<f64>, Averages) {
        let mut factors: Vec<T> = sizes.iter().map(|&size| T::from_f64(size * size)).collect();
        let after = limit(InstructionSet::current(), &SAMPLING, scale, averages, &mut factors).expect("finite sizes");
        (factors.iter().map(|factor| factor.to_f64()).collect(), after)
    }

    /// Sizes of a heavy tail: the inverses of numbers between 0 and 1.
    fn heavy(count: usize, step: usize) -> Vec<f64> {
        let at = |i: usize| (step * count + i) as f64 * 0.618_033_988_749_895;
        (0..count).map(|i| 1.0 / (at(i).fract() + 1e-3)).collect()
    }

    #[test]
    fn the_first_step_limits_nothing_and_sets_the_limit() {
        let (factors, after) = run::<f64>(&Averages::default(), 0.5, &[1.0, 2.0, 3.0, 14.0]);
        assert_eq!(factors, [0.5; 4]);
        assert_eq!((after.whole, after.limited), (20.0, 20.0));
        // 1 + 2 + 3 + limit is 80 % of the whole.
        assert!((after.limit - 10.0).abs() <= 1e-14);
    }

    #[test]
    fn a_contribution_is_no_larger_than_the_limit() {
        let averages = Averages { limit: 2.0, whole: 6.0, limited: 4.0, count: 7, ..Averages::default() };
        for outlier in [1e1, 1e6, 1e15] {
            let (factors, after) = run::<f64>(&averages, 1.0, &[1.0, 2.0, 4.0, outlier]);
            let expected = [1.5, 1.5, 0.75, 3.0 / outlier];
            for (factor, expected) in factors.iter().zip(expected) {
                assert!((factor - expected).abs() <= 4.0 * f64::EPSILON * expected);
            }
            assert!(after.limit <= 2.0 * (1.0 + GAIN));
        }
    }

    #[test]
    fn the_make_up_has_bounds() {
        let averages = |whole, limited| Averages { limit: 1.0, whole, limited, ..Averages::default() };
        let one = |whole, limited| run::<f64>(&averages(whole, limited), 1.0, &[0.5]).0[0];
        assert_eq!([one(1.0, 2.0), one(2.0, 1.0), one(9.0, 1.0), one(0.0, 0.0)], [1.0, 2.0, LARGEST_MAKE_UP, 1.0]);
    }

    /// Twice the sizes: twice the limit and the averages, and the same factors, to the last bit.
    #[test]
    fn it_knows_no_scale() {
        fn check<T: Element>() {
            let (mut one, mut other) = (Averages::default(), Averages::default());
            for step in 0..50 {
                let sizes = heavy(8, step);
                let twice: Vec<f64> = sizes.iter().map(|size| 2.0 * size).collect();
                let (factors, factors_of_twice);
                (factors, one) = run::<T>(&one, 1.0, &sizes);
                (factors_of_twice, other) = run::<T>(&other, 1.0, &twice);
                assert_eq!(factors, factors_of_twice, "{step}");
                let doubled = |averages: Averages| [averages.limit, averages.whole, averages.limited].map(|x| 2.0 * x);
                assert_eq!(doubled(one), [other.limit, other.whole, other.limited], "{step}");
            }
        }
        check::<f64>();
        check::<f32>();
    }

    /// The limit settles where it takes the wanted share, up and down; the length is given back.
    #[test]
    fn the_limit_follows_the_sizes() {
        let mut averages = Averages::default();
        for scale in [1.0, 100.0, 0.01] {
            let (mut taken, mut given, mut wanted) = (0.0, 0.0, 0.0);
            for step in 0..600 {
                let sizes: Vec<f64> = heavy(8, step).iter().map(|size| scale * size).collect();
                let before = averages;
                let factors;
                (factors, averages) = run::<f64>(&before, 1.0, &sizes);
                if step >= 300 {
                    let whole: f64 = sizes.iter().sum();
                    let limited: f64 = sizes.iter().map(|size| size.min(before.limit)).sum();
                    taken += (1.0 - limited / whole) / 300.0;
                    given += factors.iter().zip(&sizes).map(|(factor, size)| factor * size).sum::<f64>();
                    wanted += whole;
                }
            }
            assert!((taken - SAMPLING.limited_share).abs() <= 0.02, "{scale}: {taken}");
            assert!((given / wanted - 1.0).abs() <= 0.1, "{scale}: {given} {wanted}");
        }
    }

    #[test]
    fn sizes_of_nothing_are_no_trouble_and_infinite_ones_an_error() {
        let (factors, after) = run::<f32>(&Averages::default(), 1.0, &[0.0; 5]);
        assert_eq!((factors, after.limit), (std::vec![1.0; 5], 0.0));
        let (factors, after) = run::<f32>(&Averages { limit: 1e-40, ..after }, 1.0, &[0.0; 5]);
        assert_eq!((factors, after.limit), (std::vec![1.0; 5], 1e-40));
        for averages in [Averages::default(), Averages { limit: 1.0, whole: 1.0, limited: 1.0, ..after }] {
            assert!(limit(InstructionSet::current(), &SAMPLING, 1.0, &averages, &mut [1.0, f32::INFINITY]).is_err());
        }
    }
}
