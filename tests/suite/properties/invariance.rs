//! What must not matter: the order of samples, repeating the batch, the names of classes and hidden units, a constant on all logits,
//! the form in which hard targets are given, a plan for more samples.

use super::{Tolerance, along, cases};
use crate::common::call::Quantity;
use crate::common::problem::{Labels, Problem, Random, Recipe, Way};
use crate::common::reference::{Reference, product};
use crate::common::strategies::{any_problem, small};
use flatmin::Plan;
use proptest::prelude::*;

/// `other` has the values of `problem`, and its gradients are `map` of those.
///
/// Both sides are rounded, each within the reference's bound; gradients are compared along a random direction, mapped too.
fn same(
    recipe: Recipe,
    problem: &Problem,
    other: &Problem,
    map: impl Fn(&[f64]) -> Vec<f64>,
) -> Result<(), TestCaseError> {
    let direction = problem.direction(recipe.seed);
    let mapped = map(&direction);
    let reference = Reference::new(problem, &direction);
    // Terms of the changed problem may be larger (a constant on all logits) and more (repeated samples).
    let changed = Reference::new(other, &mapped);
    for way in Way::ALL {
        let (one, two) = (problem.instance::<f64>().by(way), other.instance::<f64>().by(way));
        for quantity in Quantity::ALL {
            let ((value, gradient), (value_two, gradient_two)) = (one.gradient(quantity), two.gradient(quantity));
            let allowed =
                |a: f64, b: f64| Tolerance::of::<f64>(problem).relative * a + Tolerance::of::<f64>(other).relative * b;
            let values = allowed(reference.value(quantity).scale, changed.value(quantity).scale);
            prop_assert!((value - value_two).abs() <= values, "{way} {quantity:?}: {value} became {value_two}");
            let (slope, slope_two) = (along(&gradient, &direction), along(&gradient_two, &mapped));
            let slopes = allowed(reference.slope(quantity).scale, changed.slope(quantity).scale);
            prop_assert!(
                (slope - slope_two).abs() <= slopes,
                "{way} slope of {quantity:?}: {slope} became {slope_two}"
            );
        }
    }
    Ok(())
}

/// Classes renamed: row `l` of V, entry `l` of c and of every target become those of `order[l]`.
fn permute_classes(problem: &Problem, order: &[usize]) -> (Problem, impl Fn(&[f64]) -> Vec<f64>) {
    let (shape, order) = (problem.shape(), order.to_vec());
    let (m, k) = (shape.hidden(), shape.classes());
    let mut other = problem.clone();
    for (row, from) in other.targets.chunks_exact_mut(k).zip(problem.targets.chunks_exact(k)) {
        row.iter_mut().zip(&order).for_each(|(entry, &l)| *entry = from[l]);
    }
    if let Some(indices) = &mut other.indices {
        for index in indices {
            *index = order.iter().position(|&l| l == *index as usize).expect("a permutation") as u32;
        }
    }
    let map = move |vector: &[f64]| {
        let mut mapped = vector.to_vec();
        for (l, &from) in order.iter().enumerate() {
            mapped[shape.output_weight()][l * m..][..m]
                .copy_from_slice(&vector[shape.output_weight()][from * m..][..m]);
            mapped[shape.output_bias()][l] = vector[shape.output_bias()][from];
        }
        mapped
    };
    let theta = map(&problem.theta);
    (Problem { theta, ..other }, map)
}

/// Hidden units renamed.
fn permute_units(problem: &Problem, order: &[usize]) -> (Problem, impl Fn(&[f64]) -> Vec<f64>) {
    let (shape, order) = (problem.shape(), order.to_vec());
    let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
    let map = move |vector: &[f64]| {
        let mut mapped = vector.to_vec();
        for (j, &from) in order.iter().enumerate() {
            mapped[shape.hidden_weight()][j * d..][..d]
                .copy_from_slice(&vector[shape.hidden_weight()][from * d..][..d]);
            mapped[shape.hidden_bias()][j] = vector[shape.hidden_bias()][from];
            for l in 0..k {
                mapped[shape.output_weight()][l * m + j] = vector[shape.output_weight()][l * m + from];
            }
        }
        mapped
    };
    (Problem { theta: map(&problem.theta), ..problem.clone() }, map)
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn the_order_of_samples(recipe in any_problem()) {
        let problem = recipe.problem();
        let order = Random::new(recipe.seed ^ 1).permutation(problem.samples);
        same(recipe, &problem, &problem.rows(&order), <[f64]>::to_vec)?;
    }

    #[test]
    fn repeating_the_batch(recipe in small(), times in 2..4usize) {
        let problem = recipe.problem();
        let rows: Vec<usize> = (0..times).flat_map(|_| 0..problem.samples).collect();
        same(recipe, &problem, &problem.rows(&rows), <[f64]>::to_vec)?;
    }

    #[test]
    fn the_names_of_classes(recipe in small()) {
        let problem = recipe.problem();
        let order = Random::new(recipe.seed ^ 2).permutation(problem.shape().classes());
        let (other, map) = permute_classes(&problem, &order);
        same(recipe, &problem, &other, map)?;
    }

    #[test]
    fn the_names_of_hidden_units(recipe in small()) {
        let problem = recipe.problem();
        let order = Random::new(recipe.seed ^ 3).permutation(problem.shape().hidden());
        let (other, map) = permute_units(&problem, &order);
        same(recipe, &problem, &other, map)?;
    }

    #[test]
    fn a_constant_on_all_logits(recipe in small(), constant in -20.0..20.0f64) {
        let problem = recipe.problem();
        let mut other = problem.clone();
        other.theta[problem.shape().output_bias()].iter_mut().for_each(|bias| *bias += constant);
        same(recipe, &problem, &other, <[f64]>::to_vec)?;
    }

    /// So no gradient has a component along it, and H maps it to zero.
    #[test]
    fn gradients_across_the_constant(recipe in small()) {
        let problem = recipe.problem();
        let mut constant = vec![0.0; problem.shape().parameters()];
        constant[problem.shape().output_bias()].fill(1.0);
        let (reference, tolerance) = (Reference::new(&problem, &constant), Tolerance::of::<f64>(&problem));
        for way in Way::ALL {
            let instance = problem.instance::<f64>().by(way);
            for quantity in Quantity::ALL {
                let slope = along(&instance.gradient(quantity).1, &constant);
                let allowed = tolerance.relative * reference.slope(quantity).scale;
                prop_assert!(slope.abs() <= allowed, "{way} {quantity:?}: {slope:e}");
            }
        }
        let given = problem.instance::<f64>().product(&constant);
        for (entry, expected) in given.iter().zip(product::<f64>(&problem, &constant)) {
            prop_assert!(entry.abs() <= tolerance.relative * expected.scale, "H·1 has {entry:e}");
        }
    }

    /// To the last bit: class indices are one-hot distributions.
    #[test]
    fn the_form_of_hard_targets(recipe in small()) {
        let problem = Recipe { labels: Labels::Hard, ..recipe }.problem();
        let distributions = Problem { indices: None, ..problem.clone() };
        for way in Way::ALL {
            let (one, two) = (problem.instance::<f64>().by(way), distributions.instance::<f64>().by(way));
            prop_assert_eq!(one.loss(), two.loss());
            for quantity in Quantity::ALL {
                prop_assert_eq!(one.gradient(quantity), two.gradient(quantity));
            }
        }
    }

    /// A batch smaller than planned, in a workspace as long as planned: both within the reference's bound.
    #[test]
    fn a_plan_for_more_samples(recipe in any_problem(), more in 1..80usize) {
        let problem = recipe.problem();
        let direction = problem.direction(recipe.seed);
        let (reference, tolerance) = (Reference::new(&problem, &direction), Tolerance::of::<f64>(&problem));
        for way in Way::ALL {
            let mut instance = problem.instance::<f64>();
            instance.plan = Plan::new(problem.network, problem.samples + more).expect("small sizes");
            let instance = instance.by(way);
            for quantity in Quantity::ALL {
                let (value, gradient) = instance.gradient(quantity);
                tolerance.close("value", value, reference.value(quantity))?;
                tolerance.close("slope", along(&gradient, &direction), reference.slope(quantity))?;
            }
        }
    }
}
