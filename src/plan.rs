//! What a computation will do, decided before the first step: plain data. `Plan::new` decides.
//!
//! tr H² and its gradient can be computed by two routes. They agree up to rounding and differ in cost
//! (see [`method`](crate::method#two-routes)):
//!
//! - [`Route::Pairs`]: inner products of the features of every pair of samples, `N²` times a cost in which `D` occurs once;
//! - [`Route::Blocks`]: the blocks of H themselves, `N` times a cost that grows with `M²D²`.

use core::fmt;

use crate::error::{Error, Result};
use crate::network::{Network, Shape};
use crate::simd::InstructionSet;

/// How tr H² and its gradient are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Route {
    /// By pairs of samples: quadratic in the batch, linear in the inputs.
    Pairs,
    /// By the explicit blocks of H: linear in the batch, quadratic in the inputs.
    Blocks,
}

impl Route {
    /// Both routes.
    pub const ALL: [Self; 2] = [Self::Pairs, Self::Blocks];

    /// `pairs` or `blocks`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pairs => "pairs",
            Self::Blocks => "blocks",
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

impl core::str::FromStr for Route {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|route| route.name() == name);
        known.ok_or(Error::Name { argument: "route", expected: "pairs or blocks" })
    }
}

/// How [`Route::Pairs`] computes the terms in S, B and A; see [`method`](crate::method#two-routes). With `R = K − 1`:
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Form {
    /// By inner products of the matrices as flat rows: about `M²/2 + 3.5 RM` multiply–adds a pair, for value and gradient.
    Flat,
    /// By R×R blocks of the tangent kernel: about `0.75 R²M + 2 RM + 5 K²` multiply–adds a pair. For few classes or many hidden units.
    Tangent,
}

impl Form {
    /// Both forms.
    pub const ALL: [Self; 2] = [Self::Flat, Self::Tangent];

    /// `flat` or `tangent`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Tangent => "tangent",
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// Whose tr H² is computed from a batch. This sets the weights of the pairs in its double sum over samples.
///
/// A batch of N has N pairs of a sample with itself and N(N−1) pairs of two different ones. In a data set of T samples only one pair in T
/// is a sample with itself. So, with the batch's own weights, tr H² of a mini-batch is on average larger than the data set's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PairWeights {
    /// The batch's own tr H²: every pair weighs 1/N². Exact for full-batch training.
    #[default]
    Batch,
    /// An unbiased estimate of the tr H² of a data set from which the batch is a uniform random sample. A pair of a sample with itself
    /// weighs 1/(TN), a pair of two different ones (1 − 1/T)/(N(N−1)). The estimate can be negative, unlike tr H² itself.
    DataSet {
        /// T, the number of samples in the data set.
        samples: usize,
    },
}

impl PairWeights {
    /// The weights `(self, cross)` for a batch of `n` samples.
    ///
    /// # Errors
    ///
    /// [`Error::PairWeights`] where the data set is smaller than the batch, or the batch is a single sample of a larger data set.
    pub fn of(self, n: usize) -> Result<(f64, f64)> {
        let size = n as f64;
        match self {
            Self::Batch => Ok((1.0 / (size * size), 1.0 / (size * size))),
            Self::DataSet { samples: 1 } if n == 1 => Ok((1.0, 0.0)),
            Self::DataSet { samples } if n < 2 || samples < n => {
                Err(Error::PairWeights { samples: n, data_set: samples })
            }
            Self::DataSet { samples } => {
                let total = samples as f64;
                Ok((1.0 / (total * size), (1.0 - 1.0 / total) / (size * (size - 1.0))))
            }
        }
    }
}

/// Network, batch size, route: everything that determines cost and memory of a computation.
///
/// ```
/// use flatmin::{Activation, Network, Plan, Route, Shape};
///
/// let network = Network::new(Shape::new(64, 32, 10)?, Activation::Tanh);
/// let plan = Plan::new(network, 64)?;
/// assert_eq!(plan.route(), Route::Pairs);
/// let workspace = vec![0.0f32; plan.workspace_len()];
/// println!("{plan}");
/// # Ok::<(), flatmin::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    pub(crate) network: Network,
    pub(crate) samples: usize,
    pub(crate) route: Route,
    pub(crate) form: Form,
    pub(crate) pair_weights: PairWeights,
    pub(crate) threads: usize,
    pub(crate) instruction_set: Option<InstructionSet>,
    pub(crate) lengths: Lengths,
}

/// Lengths that a plan has counted, so that steps need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lengths {
    /// Elements of a whole workspace: for everything exact, and for loss and loss gradient.
    pub workspace: usize,
    pub gradient_workspace: usize,
    /// Of each worker's scratch within it, likewise.
    pub worker: usize,
    pub gradient_worker: usize,
    /// Samples in an automatic subset of the sampled penalty: with S exact, and with S sketched.
    pub subsets: [usize; 2],
}

impl Lengths {
    /// Before anything is counted.
    pub(crate) const NONE: Self =
        Self { workspace: 0, gradient_workspace: 0, worker: 0, gradient_worker: 0, subsets: [0; 2] };
}

impl Plan {
    /// The same plan with other weights for self and cross pairs.
    #[must_use]
    pub const fn with_pair_weights(self, pair_weights: PairWeights) -> Self {
        Self { pair_weights, ..self }
    }

    /// The same plan for another instruction set; other plans use [`InstructionSet::current`].
    ///
    /// # Errors
    ///
    /// [`Error::InstructionSet`] for one that the CPU, its operating system or the build lacks.
    ///
    /// ```
    /// # use flatmin::{Activation, InstructionSet, Network, Plan, Shape};
    /// let network = Network::new(Shape::new(4, 16, 3)?, Activation::Tanh);
    /// let plan = Plan::new(network, 30)?.with_instruction_set(InstructionSet::Portable)?;
    /// assert_eq!(plan.instruction_set(), InstructionSet::Portable);
    /// # Ok::<(), flatmin::Error>(())
    /// ```
    pub fn with_instruction_set(self, set: InstructionSet) -> Result<Self> {
        if !set.is_supported() {
            return Err(Error::InstructionSet { given: set.name() });
        }
        Ok(Self { instruction_set: Some(set), ..self })
    }

    /// The instruction set of all computations with this plan.
    pub fn instruction_set(&self) -> InstructionSet {
        self.instruction_set.unwrap_or_else(InstructionSet::current)
    }

    /// How many threads a step may use.
    pub const fn threads(&self) -> usize {
        self.threads
    }

    /// The network.
    pub const fn network(&self) -> Network {
        self.network
    }

    /// The network's sizes.
    pub const fn shape(&self) -> Shape {
        self.network.shape
    }

    /// The largest batch that the plan allows.
    pub const fn samples(&self) -> usize {
        self.samples
    }

    /// How tr H² and its gradient are computed.
    pub const fn route(&self) -> Route {
        self.route
    }

    /// How [`Route::Pairs`] computes the terms in S, B and A.
    pub const fn form(&self) -> Form {
        self.form
    }

    /// Whose tr H² is computed.
    pub const fn pair_weights(&self) -> PairWeights {
        self.pair_weights
    }
}
