//! proptest strategies for random problems.
//!
//! A strategy draws the sizes, the activation, the kind of targets and a seed; the numbers come from the seed. So a failing problem
//! shrinks to small sizes at once, and is written down in one line.

use flatmin::Activation;
use proptest::prelude::*;

use super::problem::{Labels, Recipe};

/// Shapes of every parity and remainder, and single sizes one.
pub fn small() -> impl Strategy<Value = Recipe> {
    recipe(1..=7, 1..=7, 2..=5, (1..=12usize).boxed())
}

/// Smaller still, for properties that take many evaluations.
pub fn tiny() -> impl Strategy<Value = Recipe> {
    recipe(1..=3, 1..=3, 2..=4, (1..=6usize).boxed())
}

/// Batches about the edges of a tile of samples.
pub fn tile_edges() -> impl Strategy<Value = Recipe> {
    recipe(1..=3, 1..=3, 2..=3, prop::sample::select(vec![63usize, 64, 65, 127, 128, 129]).boxed())
}

/// Layers about the widths of vector registers and micro-kernels.
pub fn register_edges() -> impl Strategy<Value = Recipe> {
    let wide = prop::sample::select(vec![8usize, 15, 16, 17, 31, 33]);
    (wide, 0..3usize, small()).prop_map(|(wide, place, recipe)| {
        let recipe = Recipe { inputs: recipe.inputs.min(3), hidden: recipe.hidden.min(3), ..recipe };
        match place {
            0 => Recipe { inputs: wide, ..recipe },
            1 => Recipe { hidden: wide, ..recipe },
            _ => Recipe { classes: wide, ..recipe },
        }
    })
}

/// All of the above, small ones most often.
pub fn any_problem() -> impl Strategy<Value = Recipe> {
    prop_oneof![6 => small(), 1 => tile_edges(), 1 => register_edges()]
}

fn recipe(
    inputs: std::ops::RangeInclusive<usize>,
    hidden: std::ops::RangeInclusive<usize>,
    classes: std::ops::RangeInclusive<usize>,
    samples: BoxedStrategy<usize>,
) -> impl Strategy<Value = Recipe> {
    let activation = prop::sample::select(Activation::ALL.to_vec());
    let labels = prop::sample::select(vec![Labels::Hard, Labels::Smoothed, Labels::Soft]);
    (inputs, hidden, classes, samples, activation, labels, any::<u64>()).prop_map(
        |(inputs, hidden, classes, samples, activation, labels, seed)| Recipe {
            inputs,
            hidden,
            classes,
            samples,
            activation,
            labels,
            seed,
        },
    )
}
