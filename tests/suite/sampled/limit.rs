//! The limit on what a kept sample contributes to a step.

use super::steps::{OWN_SHARES, SGD, Training, gradient_of_step, slopes, trained};
use super::*;

/// All choices of so many of so many.
fn choices(count: usize, of: usize) -> Vec<Vec<usize>> {
    let chosen = |bits: u32| (0..of).filter(|&i| bits >> i & 1 == 1).collect::<Vec<_>>();
    (0..1 << of).map(chosen).filter(|chosen| chosen.len() == count).collect()
}

/// The samples of which these are the estimates. All have the same weight.
fn kept_samples(problem: &Problem, pair_weights: PairWeights, estimate: &Estimate) -> Kept {
    let count = problem.samples;
    let of = |rows: Vec<usize>| {
        let batch = Batch::new(&problem.rows(&rows), PairWeights::Batch);
        let pair_weights = pair_weights.of(count).expect("weights that go with the batch");
        Kept {
            kept: Batch { pair_weights, ..batch },
            w: vec![estimate.weight / estimate.kept as f64; estimate.kept],
            N: count,
        }
    };
    let near = |given: f64, expected: f64| (given - expected).abs() <= 1e-10 * expected.abs();
    let mut found: Vec<Kept> = choices(estimate.kept, count)
        .into_iter()
        .map(of)
        .filter(|kept| near(kept.estimates()[0], estimate.trace))
        .filter(|kept| near(kept.estimates()[1], estimate.trace_of_square))
        .collect();
    assert_eq!(found.len(), 1, "one choice of samples has these estimates: {estimate:?}");
    found.remove(0)
}

/// The same with a limit, against sums of the contributions of the kept samples, each by the formulas of the method.
#[test]
fn limited_steps_follow_their_formula() {
    let (mut limited, mut steps) = (0, 0);
    for (index, recipe) in recipes(7).enumerate() {
        let problem = recipe.problem();
        let mut instance = problem.instance::<f64>();
        let shape = instance.plan.shape();
        let pair_weights = [PairWeights::Batch, PairWeights::DataSet { samples: 30 }][index % 2];
        instance.plan = instance.plan.with_pair_weights(pair_weights);
        let loss_gradient = instance.gradient(Quantity::Loss).1;
        // Of two classes the sketch is exact, too.
        let sketch = recipe.classes == 2;
        let (own_share, limited_share) = (OWN_SHARES[index % 4], [0.2, 0.5, 0.05][index % 3]);
        let (alpha, beta) = (1.0, 0.5);
        let sampling = Sampling { subset: kept(4), sketch, alpha, beta, own_share, limited_share, ..Sampling::new(5) };
        let mut training = Training::new(&instance);
        for count in 0..6 {
            let before = training.averages;
            let (given, estimate) = gradient_of_step(&mut training, &instance, 0.3, sampling);
            let kept = kept_samples(&problem, pair_weights, &estimate);
            let contributions = kept.contributions(slopes(&before, &estimate, own_share, shape));
            let sizes: Vec<f64> = contributions.iter().map(|contribution| contribution.size).collect();
            let cut_to = |limit: f64| sizes.iter().map(|size| size.min(limit)).sum::<f64>();
            let (whole, after) = (cut_to(f64::INFINITY), training.averages);
            let near = |given: f64, expected: f64| {
                assert!((given - expected).abs() <= 1e-9 * expected, "{recipe:?} {count}: {given} for {expected}")
            };
            let mut expected = loss_gradient.clone();
            let mut add = |weight: f64, gradient: &[f64]| {
                expected.iter_mut().zip(gradient).for_each(|(sum, entry)| *sum += weight * entry)
            };
            if count == 0 {
                contributions.iter().for_each(|contribution| add(0.3, &contribution.gradient));
                near(cut_to(after.limit), (1.0 - limited_share) * whole);
                near(after.whole, whole);
                near(after.limited, whole);
            } else {
                let make_up = (before.whole / before.limited).clamp(1.0, 3.0);
                for Contribution { gradient, size } in &contributions {
                    add(0.3 * make_up * (before.limit / size).min(1.0), gradient);
                    limited += usize::from(*size > before.limit);
                    steps += 1;
                }
                let taken = 1.0 - cut_to(before.limit) / whole;
                near(after.limit, before.limit * (1.0 + 0.3 * (taken - limited_share)));
                near(after.whole, 0.5 * before.whole + 0.5 * whole);
                near(after.limited, 0.5 * before.limited + 0.5 * cut_to(before.limit));
            }
            close(&format!("{recipe:?} {sampling:?} {count}"), &given, &expected, 1e-9);
        }
    }
    assert!(limited * 10 >= steps && limited * 3 <= 2 * steps, "{limited} of {steps} contributions were limited");
}

/// ρ scales the penalty's part of a step, and nothing else: no limit, and no average.
#[test]
fn the_limit_does_not_depend_on_rho() {
    fn check<T: Real>() {
        for recipe in recipes(9) {
            let instance = recipe.problem().instance::<T>();
            let sampling = Sampling { subset: kept(4), ..Sampling::new(5) };
            let training = trained(&instance, sampling);
            let step = |rho: f64| {
                let mut training = training.clone();
                let gradient = gradient_of_step(&mut training, &instance, rho, sampling).0;
                (gradient.iter().map(|entry| entry.to_f64()).collect::<Vec<f64>>(), training.averages)
            };
            let (loss, averages) = step(0.0);
            assert_eq!(averages, training.averages);
            let ((one, averages), (two, of_two)) = (step(64.0), step(128.0));
            assert_eq!(averages, of_two);
            assert_eq!(averages.count, 6);
            let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
            let relative = 8.0 * T::EPSILON.to_f64() * (1.0 + largest(&loss) / largest(&apart(&one, &loss)));
            close(&format!("{recipe:?}"), &apart(&two, &one), &apart(&one, &loss), relative);
        }
    }
    check::<f64>();
    check::<f32>();
}

fn largest(numbers: &[f64]) -> f64 {
    numbers.iter().fold(0.0, |largest, x| x.abs().max(largest))
}

fn norm(numbers: &[f64]) -> f64 {
    numbers.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// One sample's inputs far out, in a direction that no hidden unit looks in: its outputs stay, and its own pair grows with the fourth
/// power. What it does to a step is bounded by the limit of the steps before.
#[test]
fn an_outlier_moves_a_step_by_no_more_than_the_limit() {
    let (activation, labels) = (Activation::Gelu, Labels::Soft);
    let problem = Recipe { inputs: 6, hidden: 3, classes: 3, samples: 7, activation, labels, seed: 5 }.problem();
    let shape = problem.shape();
    let plain = problem.instance::<f64>();
    // Orthogonal to all rows of W.
    let mut away = vec![1.0; 6];
    for row in problem.theta[shape.hidden_weight()].chunks_exact(6).cycle().take(600) {
        let part = row.iter().zip(&away).map(|(w, x)| w * x).sum::<f64>() / norm(row).powi(2);
        away.iter_mut().zip(row).for_each(|(x, w)| *x -= part * w);
    }
    let length = norm(&away);

    let sampling = Sampling { subset: kept(6), own_share: 0.0, ..Sampling::new(5) };
    let before = trained(&plain, sampling);
    let Averages { limit, whole, limited, .. } = before.averages;
    // That of six contributions. Their size does not count what goes from the logits by V to W and b, through φ' of at most 1.2.
    let through = 1.2 * norm(&problem.theta[shape.output_weight()]);
    let most = 6.0 * 0.3 * (whole / limited).clamp(1.0, 3.0) * limit * (1.0 + through);
    for far in [1e2, 1e3, 1e4] {
        let mut planted = problem.clone();
        planted.inputs.iter_mut().zip(&away).for_each(|(x, away)| *x += far / length * away);
        let planted = planted.instance::<f64>();
        let loss = planted.gradient(Quantity::Loss).1;
        let mut seen = 0;
        for steps in 5..15 {
            let step = |instance: &Instance<f64>, limited_share: f64| {
                let mut training = Training { steps, ..before.clone() };
                let sampling = Sampling { limited_share, ..sampling };
                let (gradient, estimate) = gradient_of_step(&mut training, instance, 0.3, sampling);
                let penalty: Vec<f64> = gradient.iter().zip(&loss).map(|(entry, loss)| entry - loss).collect();
                (penalty, estimate.trace, training.averages)
            };
            // The same samples are kept, with the planted one among them, or without.
            if step(&planted, 0.2).1 < 2.0 * step(&plain, 0.2).1 {
                continue;
            }
            seen += 1;
            let ((penalty, _, after), (unlimited, ..)) = (step(&planted, 0.2), step(&planted, 0.0));
            for block in [shape.hidden_weight(), shape.hidden_bias(), shape.output_weight(), shape.output_bias()] {
                let [given, unlimited] = [&penalty, &unlimited].map(|penalty| norm(&penalty[block.clone()]));
                assert!(given <= most, "{far} {block:?}: {given}, limited to {most}");
                assert!(unlimited >= 100.0 * most, "{far} {block:?}: {unlimited} without a limit, which is {most}");
            }
            assert!(after.limit <= 1.3 * limit, "{far}: {} after {limit}", after.limit);
        }
        assert!(seen >= 5, "the outlier was kept {seen} times of ten");
    }
}

/// With all samples kept there is no luck of the draw, and no limit.
#[test]
fn whole_batches_are_not_limited() {
    fn check<T: Real>() {
        for recipe in recipes(6) {
            let instance = recipe.problem().instance::<T>();
            let few = Sampling { subset: kept(4), ..Sampling::new(5) };
            for start in [Training::new(&instance), trained(&instance, few)] {
                for size in [kept(6), kept(20), None] {
                    let by = |limited_share: f64| {
                        let sampling = Sampling { subset: size, limited_share, ..few };
                        let mut training = start.clone();
                        for _ in 0..3 {
                            training.step(&instance, &Hsr::sampled(SGD, 0.1, sampling)).expect("a step");
                        }
                        training
                    };
                    let limited = by(0.2);
                    assert_eq!(limited, by(0.0), "{recipe:?} {size:?}");
                    let of = |Averages { limit, whole, limited, .. }: Averages| [limit, whole, limited];
                    assert_eq!(of(limited.averages), of(start.averages), "{recipe:?} {size:?}");
                }
            }
        }
    }
    check::<f64>();
    check::<f32>();
}
