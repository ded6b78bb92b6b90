//! In f32 nothing is lost that rounding the arguments would not lose too.
//!
//! The a-priori bounds of the other properties hold for every sum of the same terms, and in f32 are too wide to show a lost digit.
//! Here the yardstick is the problem itself: how far the f64 result moves when every parameter, input and target is changed by a
//! relative ±ε of f32, at random. Every rounding within an evaluation acts like such a change of one factor of a term, so the f32
//! result may differ from the f64 one by [`roundings`] times that, in the norm of the gradient.

use super::cases;
use crate::common::call::Quantity;
use crate::common::problem::{Labels, Problem, Random, Recipe, Way};
use crate::common::reference::roundings;
use crate::common::strategies::any_problem;
use flatmin::{Curvature, Real, Targets};
use proptest::prelude::*;

const TRIALS: usize = 4;
const EPSILON: f64 = f32::EPSILON as f64;

/// Every number changed by a relative ±ε. Targets then no longer sum to one, by less than a batch allows.
fn jolted(problem: &Problem, random: &mut Random) -> Problem {
    let mut other = Problem { indices: None, ..problem.clone() };
    for value in other.theta.iter_mut().chain(&mut other.inputs).chain(&mut other.targets) {
        *value *= if random.below(2) == 0 { 1.0 - EPSILON } else { 1.0 + EPSILON };
    }
    other
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

fn norm(a: &[f64]) -> f64 {
    distance(a, &vec![0.0; a.len()])
}

/// What a problem gives, in one type: values, and then each gradient, each with a name.
fn results<T: Real>(problem: &Problem, way: Way) -> Vec<(String, Vec<f64>)> {
    let instance = problem.instance::<T>().by(way);
    let Curvature { traces, bounds, .. } = instance.curvature();
    let mut all = vec![
        ("tr H".into(), vec![traces.output, traces.hidden]),
        ("tr H²".into(), vec![traces.output_square, traces.cross_square, traces.hidden_square]),
        ("Λ".into(), vec![bounds.lambda_max_upper]),
        ("λ_min".into(), vec![bounds.lambda_min_lower]),
    ];
    for quantity in Quantity::ALL {
        let (value, gradient) = instance.gradient(quantity);
        all.push((format!("{quantity:?}"), vec![value]));
        all.push((format!("gradient of {quantity:?}"), gradient.iter().map(|x| x.to_f64()).collect()));
    }
    all.push(("hessian".into(), instance.hessian().iter().map(|x| x.to_f64()).collect()));
    all
}

fn stable(recipe: Recipe) -> Result<(), TestCaseError> {
    let problem = recipe.problem().rounded::<f32>();
    let mut random = Random::new(recipe.seed ^ 4);
    for way in Way::ALL {
        let exact = results::<f64>(&problem, way);
        let single = results::<f32>(&problem, way);
        let trials: Vec<_> = (0..TRIALS).map(|_| results::<f64>(&jolted(&problem, &mut random), way)).collect();
        for (at, ((what, exact), (_, single))) in exact.iter().zip(&single).enumerate() {
            let moved = trials.iter().map(|trial| distance(exact, &trial[at].1)).fold(EPSILON * norm(exact), f64::max);
            let (error, allowed) = (distance(exact, single), roundings(&problem) * moved);
            if std::env::var_os("FLATMIN_SHOW_ERRORS").is_some() {
                eprintln!("share {:.3e} relative {:.3e} {what}", error / allowed, allowed / norm(exact));
            }
            prop_assert!(
                error <= allowed,
                "{way} {what}: error {error:e}, {allowed:e} allowed, norm {:e}",
                norm(exact)
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn single_precision_is_stable(recipe in any_problem()) {
        stable(recipe)?;
    }
}

/// The yardstick itself: targets changed by ε are still targets.
#[test]
fn jolted_targets_are_targets() {
    let recipe = Recipe {
        inputs: 2,
        hidden: 2,
        classes: 5,
        samples: 9,
        activation: flatmin::Activation::Tanh,
        labels: Labels::Soft,
        seed: 0,
    };
    let problem = jolted(&recipe.problem(), &mut Random::new(1));
    let targets = Targets::Distributions(&problem.targets);
    assert!(flatmin::Batch::new(problem.shape(), &problem.inputs, targets).is_ok());
}
