//! Softmax, its Jacobian and cross-entropy against plain formulas in `f64`, written so that nothing cancels. Bounds are
//! multiples of ε times the sums of the magnitudes of the terms.

use std::vec;
use std::vec::Vec;

use super::{Random, for_both_types, instruction_sets};
use crate::kernels::elementwise::{cross_entropy_rows, softmax_jacobian_rows, softmax_rows};
use crate::real::Real;
use crate::targets::Targets;

/// Numbers of classes on both sides of the limit between the layouts, and around the numbers of lanes.
const CLASSES: [usize; 14] = [2, 3, 4, 5, 7, 8, 10, 16, 17, 31, 32, 33, 48, 131];
const ROWS: [usize; 9] = [1, 2, 7, 8, 9, 15, 16, 17, 200];

for_both_types! {
    random_rows,
    extreme_rows,
    one_hot_residuals_do_not_cancel,
    saturated_jacobian_does_not_cancel,
    masked_and_invalid_logits,
}

/// Softmax of one row in `f64`.
struct Row {
    max: f64,
    /// `exp(z − max)`
    exponentials: Vec<f64>,
    /// `Σ exp(z − max)` without one of the largest.
    rest: f64,
}

impl Row {
    fn new<T: Real>(z: &[T]) -> Self {
        let max = z.iter().fold(f64::NEG_INFINITY, |max, z| max.max(z.to_f64()));
        let exponentials: Vec<f64> = z.iter().map(|z| (z.to_f64() - max).exp()).collect();
        let largest = z.iter().position(|z| z.to_f64() == max).expect("a largest logit");
        let rest = exponentials.iter().enumerate().filter(|&(k, _)| k != largest).map(|(_, e)| e).sum();
        Self { max, exponentials, rest }
    }

    fn probability(&self, k: usize) -> f64 {
        self.exponentials[k] / (1.0 + self.rest)
    }

    /// The relative error allowed of `p_k`, over ε. The reference's own, for `f64`, is the same.
    fn error<T: Real>(&self, z: T) -> f64 {
        let classes = self.exponentials.len() as f64;
        10.0 + 2.0 * classes.sqrt() + 2.0 * (self.max - z.to_f64())
    }
}

/// What is small enough to have underflowed.
fn tiny<T: Real>() -> f64 {
    4.0 * T::MIN_POSITIVE.to_f64()
}

/// Runs all kernels on the rows and checks every number.
fn check<T: Real>(classes: usize, z: &[T], random: &mut Random) {
    let n = z.len() / classes;
    let epsilon = T::EPSILON.to_f64();
    let hot: Vec<u32> = (0..n).map(|_| random.within(0.0, classes as f64) as u32).collect();
    let mut soft: Vec<T> = random.vec(n * classes, 0.0, 2.0 / classes as f64);
    soft[0] = T::ZERO;
    let one_hot: Vec<T> =
        (0..n * classes).map(|i| T::from_usize(usize::from(i % classes == hot[i / classes] as usize))).collect();

    for isa in instruction_sets() {
        let (mut p, mut log_sums) = (z.to_vec(), vec![T::NAN; n]);
        softmax_rows(isa, classes, &mut p, &mut log_sums);
        let run = |targets| {
            let (mut p, mut residual, mut uncertainty) = (z.to_vec(), vec![T::NAN; z.len()], vec![T::NAN; n]);
            let loss = cross_entropy_rows(isa, classes, &mut p, targets, &mut residual, &mut uncertainty);
            for (p, &uncertainty) in p.chunks(classes).zip(&uncertainty) {
                let want = 1.0 - p.iter().map(|p| p.to_f64() * p.to_f64()).sum::<f64>();
                let error = (uncertainty.to_f64() - want).abs();
                assert!(uncertainty >= T::ZERO && error <= classes as f64 * epsilon, "{isa:?} {classes}: {error:e}");
            }
            let mut again = (z.to_vec(), vec![T::NAN; z.len()]);
            assert_eq!(cross_entropy_rows(isa, classes, &mut again.0, targets, &mut again.1, &mut []), loss);
            assert_eq!((&again.0, &again.1), (&p, &residual));
            (p, residual, loss)
        };
        let (p_hot, r_hot, loss_hot) = run(Targets::Classes(&hot));
        assert_eq!((p_hot.clone(), r_hot.clone(), loss_hot), run(Targets::Distributions(&one_hot)));
        let (p_soft, r_soft, loss_soft) = run(Targets::Distributions(&soft));
        assert_eq!([&p, &p], [&p_hot, &p_soft]);

        let (mut want_hot, mut want_soft, mut magnitude, mut log_error) = (0.0, 0.0, 0.0, 0.0);
        for (i, z) in z.chunks(classes).enumerate() {
            let row = Row::new(z);
            let log = row.rest.ln_1p();
            let bound = (4.0 + classes as f64) * epsilon * (row.max.abs() + log);
            assert!((log_sums[i].to_f64() - (row.max + log)).abs() <= bound, "{isa:?} {classes}");
            want_hot += (row.max - z[hot[i] as usize].to_f64()) + log;
            // Of log Σ exp (z − m): that of the exponentials which are not 1, whose arguments are rounded.
            let smaller = (0..classes).filter(|&j| z[j].to_f64() < row.max);
            log_error += smaller.map(|j| row.probability(j) * row.error(z[j])).sum::<f64>() * epsilon;
            for k in 0..classes {
                let at = i * classes + k;
                let (want, bound) = (row.probability(k), row.error(z[k]) * epsilon);
                assert!(
                    (p[at].to_f64() - want).abs() <= bound * want + tiny::<T>(),
                    "{isa:?} {classes}: {} {want}",
                    p[at]
                );

                // 1 − p_k as the sum of the others.
                let others: f64 = (0..classes).filter(|&j| j != k).map(|j| row.probability(j)).sum();
                let spread = (0..classes).map(|j| row.probability(j) * row.error(z[j])).sum::<f64>() * epsilon;
                let want = if one_hot[at] == T::ONE { -others } else { row.probability(k) };
                let bound = if one_hot[at] == T::ONE {
                    let weighted: f64 =
                        (0..classes).filter(|&j| j != k).map(|j| row.probability(j) * row.error(z[j])).sum();
                    (weighted + spread.min(1.0) * others) * epsilon
                } else {
                    bound * want
                };
                assert!(
                    (r_hot[at].to_f64() - want).abs() <= bound + tiny::<T>(),
                    "{isa:?} {classes}: {} {want}",
                    r_hot[at]
                );

                let target = soft[at].to_f64();
                let (want, bound) = (row.probability(k) - target, row.error(z[k]) * epsilon);
                let bound = bound * row.probability(k) + (8.0 + 2.0 * classes as f64) * epsilon * target;
                assert!(
                    (r_soft[at].to_f64() - want).abs() <= bound + tiny::<T>(),
                    "{isa:?} {classes}: {} {want}",
                    r_soft[at]
                );
                want_soft += target * ((row.max - z[k].to_f64()) + log);
                magnitude += target * ((row.max - z[k].to_f64()) + log);
            }
        }
        let relative = (8.0 + 2.0 * classes as f64) * epsilon;
        let bound = relative * want_hot + log_error;
        assert!((loss_hot - want_hot).abs() <= bound, "{isa:?} {classes}: {loss_hot} {want_hot}");
        // A row's targets sum to less than 2.
        let bound = relative * magnitude + 2.0 * log_error;
        assert!((loss_soft - want_soft).abs() <= bound, "{isa:?} {classes}: {loss_soft} {want_soft}");

        check_jacobian(isa, classes, &p, random);
    }
}

/// `S x` with the probabilities as given.
fn check_jacobian<T: Real>(isa: crate::simd::InstructionSet, classes: usize, p: &[T], random: &mut Random) {
    let x: Vec<T> = random.vec(p.len(), -1.0, 1.0);
    let mut got = x.clone();
    softmax_jacobian_rows(isa, classes, p, &mut got);
    for ((p, x), got) in p.chunks(classes).zip(x.chunks(classes)).zip(got.chunks(classes)) {
        let largest = (0..classes).fold(0, |best, k| if p[k] > p[best] { k } else { best });
        let shifted: Vec<f64> = x.iter().map(|&y| y.to_f64() - x[largest].to_f64()).collect();
        let mean: f64 = shifted.iter().zip(p).map(|(x, p)| x * p.to_f64()).sum();
        let magnitude: f64 = shifted.iter().zip(p).map(|(x, p)| x.abs() * p.to_f64()).sum();
        for k in 0..classes {
            let want = p[k].to_f64() * (shifted[k] - mean);
            // Ties of p, and p that sums to 1 but for rounding, make the shift matter by K ε.
            let bound =
                (8.0 + 2.0 * classes as f64) * T::EPSILON.to_f64() * p[k].to_f64() * (shifted[k].abs() + magnitude);
            assert!((got[k].to_f64() - want).abs() <= bound + tiny::<T>(), "{isa:?} {classes}: {} {want}", got[k]);
        }
    }
}

fn random_rows<T: Real>() {
    let mut random = Random(11);
    for classes in CLASSES {
        for n in ROWS {
            for width in [0.5, 5.0, 60.0] {
                let z = random.vec::<T>(n * classes, -width, width);
                check(classes, &z, &mut random);
            }
        }
    }
}

fn extreme_rows<T: Real>() {
    let mut random = Random(12);
    let large = [1e4, 1e30];
    for classes in CLASSES {
        // Equal logits: p = 1/K.
        for z in [0.0, 3.0, -1e4, 1e30] {
            check(classes, &vec![T::from_f64(z); 5 * classes], &mut random);
        }
        for large in large {
            // One far above the others, two of them, one far below, all far apart.
            let mut z = vec![T::ZERO; 4 * classes];
            z[classes - 1] = T::from_f64(large);
            z[classes..classes + 2].fill(T::from_f64(large));
            z[2 * classes + 1] = T::from_f64(-large);
            for k in 0..classes {
                z[3 * classes + k] = T::from_f64((k as f64 - 1.0) * large);
            }
            check(classes, &z, &mut random);
        }
    }
}

/// With one logit 60 above the others, `p_c − 1` is 0 in `f32` and has no digits in `f64`; residual and loss have all.
fn one_hot_residuals_do_not_cancel<T: Real>() {
    for isa in instruction_sets() {
        for classes in CLASSES {
            let mut z = vec![T::ZERO; classes];
            z[1] = T::from_f64(60.0);
            let mut residual = z.clone();
            let loss = cross_entropy_rows(isa, classes, &mut z, Targets::Classes(&[1]), &mut residual, &mut []);
            let want = (classes - 1) as f64 * (-60_f64).exp();
            let bound = (8.0 + classes as f64) * T::EPSILON.to_f64() * want;
            assert_eq!(z[1], T::ONE);
            assert!((residual[1].to_f64() + want).abs() <= bound, "{isa:?} {classes}: {}", residual[1]);
            assert!((loss - want).abs() <= bound, "{isa:?} {classes}: {loss}");
        }
    }
}

/// `S x` of a row near one-hot is small, and has all its digits.
fn saturated_jacobian_does_not_cancel<T: Real>() {
    for isa in instruction_sets() {
        for classes in CLASSES {
            let small = 1e-20;
            let mut p = vec![T::from_f64(small); classes];
            p[1] = T::ONE;
            let mut x: Vec<T> = (0..classes).map(|k| T::from_f64(k as f64 * 0.1 + 1.0)).collect();
            let differences: f64 = x.iter().map(|y| y.to_f64() - x[1].to_f64()).sum();
            let magnitude: f64 = x.iter().map(|y| (y.to_f64() - x[1].to_f64()).abs()).sum();
            softmax_jacobian_rows(isa, classes, &p, &mut x);
            let bound = (8.0 + classes as f64) * T::EPSILON.to_f64() * small * magnitude;
            assert!((x[1].to_f64() + small * differences).abs() <= bound, "{isa:?} {classes}: {}", x[1]);
        }
    }
}

fn masked_and_invalid_logits<T: Real>() {
    let [one, infinity] = [T::ONE, T::INFINITY];
    for isa in instruction_sets() {
        for classes in CLASSES {
            // −∞ masks a class.
            let mut z = vec![-infinity; classes];
            z[0] = one;
            z[1] = one;
            let (mut p, mut log_sum) = (z.clone(), [T::NAN]);
            softmax_rows(isa, classes, &mut p, &mut log_sum);
            assert_eq!(p[..2], [T::HALF; 2]);
            assert!(p[2..].iter().all(|&p| p == T::ZERO));
            assert!((log_sum[0].to_f64() - (1.0 + core::f64::consts::LN_2)).abs() <= 2.0 * T::EPSILON.to_f64());
            let mut y = vec![T::ZERO; classes];
            y[1] = one;
            for targets in [Targets::Classes(&[1]), Targets::Distributions(&y)] {
                let (mut p, mut residual) = (z.clone(), vec![T::NAN; classes]);
                let loss = cross_entropy_rows(isa, classes, &mut p, targets, &mut residual, &mut []);
                assert!((loss - core::f64::consts::LN_2).abs() <= 2.0 * T::EPSILON.to_f64());
                assert_eq!(residual[..2], [T::HALF, -T::HALF]);
                assert!(residual[2..].iter().all(|&r| r == T::ZERO));
            }
            // NaN and +∞ anywhere, or nothing but −∞, make the row NaN, and only that row.
            for (place, bad) in
                [(0, T::NAN), (classes - 1, T::NAN), (0, infinity), (classes - 1, infinity), (0, -infinity)]
            {
                let mut z = vec![one; 3 * classes];
                if bad == -infinity {
                    z[classes..2 * classes].fill(bad);
                } else {
                    z[classes + place] = bad;
                }
                let mut log_sums = [T::ZERO; 3];
                let (mut p, mut residual) = (z.clone(), z.clone());
                softmax_rows(isa, classes, &mut p, &mut log_sums);
                assert!(
                    p[classes..2 * classes].iter().all(|p| p.is_nan()) && log_sums[1].is_nan(),
                    "{isa:?} {classes} {bad}"
                );
                assert!(!p[..classes].iter().chain(&p[2 * classes..]).any(|p| p.is_nan()));
                assert!(
                    cross_entropy_rows(isa, classes, &mut z, Targets::Classes(&[0, 0, 0]), &mut residual, &mut [])
                        .is_nan()
                );
                assert!(residual[classes..2 * classes].iter().all(|r| r.is_nan()));
                assert!(!residual[..classes].iter().chain(&residual[2 * classes..]).any(|r| r.is_nan()));
            }
        }
    }
}
