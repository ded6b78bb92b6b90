//! Gradients against central differences of the crate's own values, the dense Hessian against those of the loss gradient.
//!
//! With `D(h) = (F(θ+hd) − F(θ−hd)) / 2h` the truncation error is `c h² + O(h⁴)`, so `(4 D(h/2) − D(h)) / 3` leaves `O(h⁴)`, which
//! `|D(h) − D(h/2)| = (3/4) c h² + …` bounds as long as the series is in its decreasing part. Rounding adds `k ε Σ|terms of F| / h`
//! for every value that goes in.

use super::{along, cases};
use crate::common::call::Quantity;
use crate::common::number::Tracked;
use crate::common::problem::{Instance, Problem, Recipe, Way};
use crate::common::reference::{Reference, roundings};
use crate::common::strategies::{small, tiny};
use flatmin::Number;
use proptest::prelude::*;

/// Where truncation and rounding of a fourth-order formula in f64 are about equal: ε^(1/5).
const STEP: f64 = 7.4e-4;

/// A derivative by central differences, and its error.
struct Difference {
    value: f64,
    error: f64,
}

impl Difference {
    /// `function` is given the step along the direction; `scale` is the sum of its absolute terms, `relative` their relative error.
    fn new(scale: f64, relative: f64, function: impl Fn(f64) -> f64) -> Self {
        let slope = |h: f64| (function(h) - function(-h)) / (2.0 * h);
        let (wide, narrow) = (slope(STEP), slope(STEP / 2.0));
        // Four values, at weights 4/3 · 1/h twice and 1/3 · 1/2h twice: 3/h in all.
        let rounding = 3.0 / STEP * relative * scale;
        Self { value: (4.0 * narrow - wide) / 3.0, error: (wide - narrow).abs() + rounding }
    }

    fn check(&self, what: &str, given: f64) -> Result<(), TestCaseError> {
        let error = (given - self.value).abs();
        prop_assert!(
            error <= self.error,
            "{what}: {given:e} given, {:e} by differences, error {error:e}, {:e} allowed",
            self.value,
            self.error
        );
        Ok(())
    }
}

fn moved(instance: &Instance<f64>, direction: &[f64], step: f64) -> Instance<f64> {
    let theta = instance.theta.iter().zip(direction).map(|(x, d)| x + step * d).collect();
    Instance { theta, ..instance.clone() }
}

/// A direction of length one, so that the step is a distance.
fn unit(problem: &Problem, seed: u64) -> Vec<f64> {
    let direction = problem.direction(seed);
    let length = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
    direction.iter().map(|x| x / length).collect()
}

fn check_direction(
    instance: &Instance<f64>,
    reference: &Reference,
    relative: f64,
    gradients: &[(Quantity, Vec<f64>)],
    direction: &[f64],
) -> Result<(), TestCaseError> {
    for (quantity, gradient) in gradients {
        // Terms grow by less than half within a step of 10⁻³.
        let scale = 1.5 * reference.value(*quantity).scale;
        let difference = Difference::new(scale, relative, |step| moved(instance, direction, step).value(*quantity));
        difference.check(&format!("{} {quantity:?}", instance.plan), along(gradient, direction))?;
    }
    Ok(())
}

fn gradients(recipe: Recipe, every_coordinate: bool) -> Result<(), TestCaseError> {
    let problem = recipe.problem();
    let reference = Reference::at(&problem);
    let relative = roundings(&problem) * f64::EPSILON;
    for way in Way::ALL {
        let instance = problem.instance::<f64>().by(way);
        let gradients = Quantity::ALL.map(|quantity| (quantity, instance.gradient(quantity).1));
        check_direction(&instance, &reference, relative, &gradients, &unit(&problem, recipe.seed))?;
        if every_coordinate {
            for i in 0..instance.parameters() {
                let direction: Vec<f64> = (0..instance.parameters()).map(|j| f64::from(i == j)).collect();
                check_direction(&instance, &reference, relative, &gradients, &direction)?;
            }
        }
    }
    Ok(())
}

/// Each column of H is the derivative of the loss gradient along a coordinate.
fn hessian(recipe: Recipe) -> Result<(), TestCaseError> {
    let problem = recipe.problem();
    let reference = Reference::at(&problem);
    let relative = roundings(&problem) * f64::EPSILON;
    let instance = problem.instance::<f64>();
    let (hessian, size) = (instance.hessian(), instance.parameters());
    let scales: Vec<f64> = reference.gradient.iter().map(|entry: &Tracked| 1.5 * entry.scale).collect();
    for column in 0..size {
        let direction: Vec<f64> = (0..size).map(|j| f64::from(j == column)).collect();
        let at = [STEP, -STEP, STEP / 2.0, -STEP / 2.0]
            .map(|step| (step, moved(&instance, &direction, step).gradient(Quantity::Loss).1));
        for row in 0..size {
            let value = |step: f64| at.iter().find(|entry| entry.0 == step).expect("one of four steps").1[row].to_f64();
            let difference = Difference::new(scales[row], relative, value);
            difference.check(&format!("H[{row}][{column}]"), hessian[row * size + column])?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn gradients_are_differences_of_values(recipe in small()) {
        gradients(recipe, false)?;
    }

    #[test]
    fn gradients_are_differences_of_values_by_coordinate(recipe in tiny()) {
        gradients(recipe, true)?;
    }

    #[test]
    fn the_hessian_is_the_difference_of_gradients(recipe in small()) {
        hessian(recipe)?;
    }
}
