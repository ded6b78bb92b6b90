//! What a computation will do, decided before the first step: which route, how many flops, how much workspace. Plain data.
//!
//! tr H² and its gradient can be had by two routes that agree to rounding and differ in cost (see [`crate::hessian`]):
//!
//! - [`Route::Pairs`]: inner products of the features of every pair of samples, `N²` times a cost that does not contain `D` but once;
//! - [`Route::Blocks`]: the blocks of H themselves, `N` times a cost that grows with `M²D²`.
//!
//! [`Plan::new`] counts the flops of both, corrected by measured rates, and picks the cheaper.

use core::fmt;

use crate::error::{Error, Result};
use crate::hessian::sampled::Sampling;
use crate::hessian::{blocks, evaluation, pairs, sweep};
use crate::network::{Network, Shape};

/// How tr H² and its gradient are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// How [`Route::Pairs`] computes the terms in S, B and A; see [`crate::hessian`]. With `R = K − 1`:
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// By inner products of the matrices as flat rows: about `M²/2 + 3.5 RM` multiply–adds a pair, value and gradient.
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

/// What a batch's tr H² stands for, which sets the weights of the terms `κ(n, n')` of its double sum over samples.
///
/// A batch of N holds N pairs of a sample with itself and N(N−1) of two different ones; in a data set of T samples self pairs are
/// far rarer, 1 in T. With the batch's own weights a mini-batch therefore overestimates the data set's tr H².
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum PairWeights {
    /// The batch's own tr H²: every pair weighs 1/N². Exact for full-batch training.
    #[default]
    Batch,
    /// An unbiased estimate of the tr H² of a data set of which the batch is a uniform random sample: pairs of a sample with itself
    /// weigh 1/(TN), of two different ones (1 − 1/T)/(N(N−1)). The estimate, unlike tr H² itself, can be negative.
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
    /// [`Error::PairWeights`] where the data set is smaller than the batch, or the batch has no cross pairs and the data set has.
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

/// Flops of one evaluation, counted as executed (a multiply–add counts two; elementwise work is not counted).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flops {
    /// The gradient of the loss: all of an SGD step, half of a SAM step.
    pub gradient: u64,
    /// What the penalty adds: both traces and their share of the backward sweep.
    pub penalty: u64,
}

/// Flops of some work, and its cost: how many flops a large matrix product does in the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub flops: u64,
    pub cost: u64,
}

impl Work {
    /// At the rate of a large product divided by `slowness`.
    pub(crate) const fn new(flops: u64, slowness: u64) -> Self {
        Self { flops, cost: flops.saturating_mul(slowness) }
    }

    /// Work that takes its time without any flops worth counting.
    pub(crate) const fn overhead(cost: u64) -> Self {
        Self { flops: 0, cost }
    }

    /// The same, `n` times.
    pub(crate) const fn times(self, n: usize) -> Self {
        Self { flops: self.flops.saturating_mul(n as u64), cost: self.cost.saturating_mul(n as u64) }
    }

    /// All of it.
    pub(crate) const fn sum(parts: &[Self]) -> Self {
        let (mut total, mut at) = (Self::overhead(0), 0);
        while at < parts.len() {
            total.flops = total.flops.saturating_add(parts[at].flops);
            total.cost = total.cost.saturating_add(parts[at].cost);
            at += 1;
        }
        total
    }
}

/// Network, batch size, route: all that fixes cost and memory of a computation.
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
    network: Network,
    samples: usize,
    route: Route,
    form: Form,
    pair_weights: PairWeights,
    threads: usize,
}

impl Plan {
    /// Plans for batches of up to `samples` samples, by the route that takes less time: with the smaller [`cost`](Self::cost).
    ///
    /// # Errors
    ///
    /// [`Error::TooSmall`] for no samples, [`Error::TooLarge`] where even the smaller workspace cannot be addressed.
    pub const fn new(network: Network, samples: usize) -> Result<Self> {
        let form = pairs::cheaper_form(network.shape, samples);
        let plan = Self { network, samples, route: Route::Pairs, form, pair_weights: PairWeights::Batch, threads: 1 };
        let pairs = plan.with_route(Route::Pairs);
        match plan.with_route(Route::Blocks) {
            Ok(blocks) if pairs.is_err() || blocks.cost() < plan.cost() => Ok(blocks),
            _ => pairs,
        }
    }

    /// The same plan by another route.
    ///
    /// # Errors
    ///
    /// [`Error::TooSmall`] for a plan of no samples, [`Error::TooLarge`] where the route's workspace cannot be addressed.
    pub const fn with_route(self, route: Route) -> Result<Self> {
        Self { route, ..self }.checked()
    }

    /// The same plan with another form of [`Route::Pairs`].
    ///
    /// # Errors
    ///
    /// As [`with_route`](Self::with_route).
    pub const fn with_form(self, form: Form) -> Result<Self> {
        Self { form, ..self }.checked()
    }

    /// The plan, if its workspace can be addressed.
    const fn checked(self) -> Result<Self> {
        if self.samples == 0 {
            return Err(Error::TooSmall { argument: "samples", given: 0, least: 1 });
        }
        // In bytes of the widest type it has to fit into an allocation.
        if self.workspace_elements() > isize::MAX as u64 / 8 {
            return Err(Error::TooLarge { quantity: "workspace" });
        }
        Ok(self)
    }

    /// The same plan with other weights for self and cross pairs.
    pub const fn with_pair_weights(self, pair_weights: PairWeights) -> Self {
        Self { pair_weights, ..self }
    }

    /// The same plan for up to `threads` threads: the one that calls a step, and helpers of the crate's own. Results have the same bits
    /// whatever the number of threads. The workspace is longer, as every thread has scratch of its own.
    ///
    /// Each thread that calls steps has helpers for itself. Its first step that pays for them starts them, which allocates; they end with it. While
    /// a step runs, they look for work rather than sleep, and for 200 µs after it; then they sleep until the next. A step waits
    /// only for its own work that a helper has begun, so it ends whatever else the process does, also within the tasks of a thread pool; where
    /// the system starts no more threads, fewer do the same work. A forked process starts helpers of its own.
    ///
    /// Work is halved, and the halves again, so that powers of two are used best. Small networks and batches are not split: handing over
    /// takes longer. More threads than free cores gain nothing.
    ///
    /// # Errors
    ///
    /// [`Error::TooSmall`] for no threads, [`Error::TooLarge`] where the workspace cannot be addressed.
    ///
    /// ```
    /// # use flatmin::{Activation, Network, Plan, Shape};
    /// let network = Network::new(Shape::new(784, 256, 10)?, Activation::Tanh);
    /// let plan = Plan::new(network, 128)?.with_threads(2)?;
    /// let workspace = vec![0.0f32; plan.workspace_len()];
    /// # Ok::<(), flatmin::Error>(())
    /// ```
    #[cfg(feature = "threads")]
    pub const fn with_threads(self, threads: usize) -> Result<Self> {
        if threads == 0 {
            return Err(Error::TooSmall { argument: "threads", given: 0, least: 1 });
        }
        Self { threads, ..self }.checked()
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

    /// What tr H² stands for.
    pub const fn pair_weights(&self) -> PairWeights {
        self.pair_weights
    }

    /// Flops of one evaluation on a full batch, by the plan's route. Counts that overflow stand at `u64::MAX`.
    pub const fn flops(&self) -> Flops {
        Flops { gradient: sweep::flops(self.network.shape, self.samples), penalty: self.penalty().flops }
    }

    /// What the choice of route and form goes by: how many flops a large matrix product does in the time that the penalty takes. Each kind
    /// of work has its measured rate (`cargo bench --bench step -- planner` measures them all): tile products of the tangent form, and H
    /// of two classes, run at about that of large products, feature rows and separate blocks at half of it, centring at an eighth
    /// (two classes: half).
    pub const fn cost(&self) -> u64 {
        self.penalty().cost
    }

    const fn penalty(&self) -> Work {
        let (shape, n) = (self.network.shape, self.samples);
        match self.route {
            Route::Pairs => pairs::work(shape, n, self.form),
            Route::Blocks => {
                let blocks = blocks::work(shape, n);
                match self.pair_weights {
                    PairWeights::Batch => blocks,
                    // The self pairs' other weight is put right pair by pair.
                    PairWeights::DataSet { .. } => Work::sum(&[blocks, pairs::work(shape, 1, Form::Flat).times(n)]),
                }
            }
        }
    }

    /// Elements of workspace with which every function of the crate runs on this plan.
    ///
    /// Known to the compiler where the plan is, so that a buffer can be static:
    ///
    /// ```
    /// use flatmin::{Activation, Network, Plan, Shape};
    ///
    /// const SHAPE: Shape = match Shape::new(4, 16, 3) {
    ///     Ok(shape) => shape,
    ///     Err(_) => panic!("a network without units"),
    /// };
    /// const PLAN: Plan = match Plan::new(Network::new(SHAPE, Activation::Tanh), 30) {
    ///     Ok(plan) => plan,
    ///     Err(_) => panic!("a batch too large for memory"),
    /// };
    /// static mut WORKSPACE: [f32; PLAN.workspace_len()] = [0.0; PLAN.workspace_len()];
    /// static mut THETA: [f32; SHAPE.parameters()] = [0.0; SHAPE.parameters()];
    /// ```
    pub const fn workspace_len(&self) -> usize {
        self.workspace_elements() as usize
    }

    /// Elements of workspace with which loss, gradient, SGD and SAM steps run on this plan.
    pub const fn gradient_workspace_len(&self) -> usize {
        self.gradient_workspace_elements() as usize
    }

    const fn gradient_workspace_elements(&self) -> u64 {
        evaluation::gradient_workspace_elements(self.network.shape, self.samples, self.threads)
    }

    const fn workspace_elements(&self) -> u64 {
        evaluation::workspace_elements(self)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Flops { gradient, penalty } = self.flops();
        let (shape, sampling) = (self.shape(), Sampling::default());
        write!(
            out,
            "{} samples, {}-{}-{} {}: tr H² by {}{}, {:.3} MFLOP for the loss gradient, {:.3} for the penalty ({:.3} sampled, by {} samples), {} elements of workspace",
            self.samples,
            shape.inputs(),
            shape.hidden(),
            shape.classes(),
            self.network.activation,
            self.route,
            match (self.route, self.form) {
                (Route::Pairs, Form::Flat) => " (flat)",
                (Route::Pairs, Form::Tangent) => " (tangent)",
                (Route::Blocks, _) => "",
            },
            gradient as f64 * 1e-6,
            penalty as f64 * 1e-6,
            sampling.flops(self) as f64 * 1e-6,
            sampling.subset_len(self),
            self.workspace_len()
        )
    }
}

/// The product of sizes, as a count; a product that overflows stands at `u64::MAX`.
pub(crate) const fn product(sizes: &[usize]) -> u64 {
    let mut all = 1u64;
    let mut index = 0;
    while index < sizes.len() {
        all = all.saturating_mul(sizes[index] as u64);
        index += 1;
    }
    all
}

/// The sum of counts; a sum that overflows stands at `u64::MAX`.
pub(crate) const fn sum(counts: &[u64]) -> u64 {
    let mut all = 0u64;
    let mut index = 0;
    while index < counts.len() {
        all = all.saturating_add(counts[index]);
        index += 1;
    }
    all
}

/// The largest of some counts.
pub(crate) const fn largest(counts: &[u64]) -> u64 {
    let mut most = 0;
    let mut index = 0;
    while index < counts.len() {
        most = if counts[index] > most { counts[index] } else { most };
        index += 1;
    }
    most
}
