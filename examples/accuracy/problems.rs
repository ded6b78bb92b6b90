//! The problems: families that each strain something else.

use crate::common::problem::{Labels, Problem, Recipe};
use flatmin::Activation;

/// What a family of problems has in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// All activations and kinds of targets, networks and weights as in training.
    Ordinary,
    /// Weights of 10⁻⁶: all samples alike, H nearly of low rank.
    SmallWeights,
    /// Weights of 10³ in the hidden layer: saturated or nearly linear units.
    LargeWeights,
    /// Fitted to the data: every p within 10⁻⁶ or less of its one-hot target.
    Converged,
    /// Inputs that nearly repeat each other.
    Conditioning,
    /// 10⁵ samples.
    ManySamples,
}

/// A problem, and a seed for what goes with it.
pub struct Sized {
    pub problem: Problem,
    pub seed: u64,
}

impl Family {
    pub const ALL: [Self; 6] = [
        Self::Ordinary,
        Self::SmallWeights,
        Self::LargeWeights,
        Self::Converged,
        Self::Conditioning,
        Self::ManySamples,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ordinary => "as in training",
            Self::SmallWeights => "weights of 10⁻⁶",
            Self::LargeWeights => "hidden weights of 10³",
            Self::Converged => "converged, p near one-hot",
            Self::Conditioning => "nearly equal inputs",
            Self::ManySamples => "10⁵ samples",
        }
    }

    /// Whether pairs of samples can be afforded.
    pub fn pairs(self) -> bool {
        self != Self::ManySamples
    }

    fn recipes(self) -> Vec<Recipe> {
        if self == Self::ManySamples {
            let activation = Activation::Tanh;
            let recipe = Recipe {
                inputs: 1,
                hidden: 1,
                classes: 2,
                samples: 100_000,
                activation,
                labels: Labels::Hard,
                seed: 1,
            };
            return vec![recipe];
        }
        let shapes = [(3, 4, 3, 7), (9, 5, 2, 20), (2, 9, 5, 33), (17, 3, 4, 5)];
        let labels = [Labels::Hard, Labels::Smoothed, Labels::Soft];
        let kinds = Activation::ALL.into_iter().zip(0u64..);
        let every = kinds.flat_map(|(activation, kind)| {
            shapes.into_iter().zip(0u64..).map(move |((inputs, hidden, classes, samples), shape)| Recipe {
                inputs,
                hidden,
                classes,
                samples,
                activation,
                labels: if self == Self::Converged { Labels::Hard } else { labels[(kind + shape) as usize % 3] },
                seed: 10 * kind + shape,
            })
        });
        every.collect()
    }

    pub fn problems(self) -> impl Iterator<Item = Sized> {
        self.recipes().into_iter().map(move |recipe| Sized { problem: self.strained(recipe), seed: recipe.seed })
    }

    fn strained(self, recipe: Recipe) -> Problem {
        let mut problem = recipe.problem();
        let shape = problem.shape();
        for row in problem.targets.chunks_exact_mut(shape.classes()) {
            exact_distribution(row);
        }
        match self {
            Self::Ordinary | Self::ManySamples => {}
            Self::SmallWeights => problem.theta.iter_mut().for_each(|x| *x *= 1e-6),
            Self::LargeWeights => problem.theta[shape.hidden_weight()].iter_mut().for_each(|x| *x *= 1e3),
            Self::Converged => {
                // Class 0 for all, by a bias that leaves the others e⁻¹⁶ or so.
                let classes = shape.classes();
                problem.indices = Some(vec![0; problem.samples]);
                problem.targets = (0..problem.samples * classes).map(|i| f64::from(i % classes == 0)).collect();
                problem.theta[shape.output_bias()][0] += 24.0;
            }
            Self::Conditioning => {
                let first: Vec<f64> = problem.inputs[..shape.inputs()].to_vec();
                for (index, x) in problem.inputs.iter_mut().enumerate() {
                    *x = first[index % first.len()] + 1e-4 * *x;
                }
            }
        }
        problem
    }
}

/// The nearest distribution of multiples of 2⁻¹², whose sum is 1 in any type.
fn exact_distribution(row: &mut [f64]) {
    row.iter_mut().for_each(|y| *y = (*y * 4096.0).round() / 4096.0);
    let excess = row.iter().sum::<f64>() - 1.0;
    let largest = row.iter_mut().max_by(|x, y| x.total_cmp(y)).expect("two classes");
    *largest -= excess;
}
