//! Which route and form a computation takes, and what it costs: flops, time, workspace.
//!
//! [`Plan::new`] counts the flops of all routes and forms, divides them by measured rates, and picks those that take the least time.

use core::fmt;

use crate::count::{product, sum};
use crate::error::{Error, Result};
use crate::hessian::run::gradient_packing;
use crate::hessian::{data_set, exact, pairs, sweep};
use crate::network::Network;
use crate::plan::{Form, Lengths, PairWeights, Plan, Route};
use crate::sampled::Sampling;
use crate::sampled::evaluate::automatic_subset;

/// Flops of one evaluation, counted as executed. A multiply–add counts two; elementwise work is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flops {
    /// The gradient of the loss: all of an SGD step, half of a SAM step.
    pub gradient: u64,
    /// What the penalty adds: both traces and their part of the backward sweep.
    pub penalty: u64,
}

impl Plan {
    /// Plans for batches of up to `samples` samples, by the route that takes less time: the one with the smaller [`cost`](Self::cost).
    ///
    /// # Errors
    ///
    /// [`Error::TooSmall`] for no samples, [`Error::TooLarge`] where even the smaller workspace cannot be addressed.
    pub const fn new(network: Network, samples: usize) -> Result<Self> {
        let form = pairs::cheaper_form(network.shape, samples);
        let plan = Self {
            network,
            samples,
            route: Route::Pairs,
            form,
            pair_weights: PairWeights::Batch,
            threads: 1,
            instruction_set: None,
            lengths: Lengths::NONE,
        };
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

    /// The same plan by the route that takes less time for [`data_set_curvature`](crate::data_set_curvature) of so many samples: that of a plan
    /// for all of them at once. By pairs that function is quadratic in the samples, by blocks linear.
    ///
    /// # Errors
    ///
    /// Those of [`with_route`](Self::with_route).
    #[must_use = "the plan itself stays as it is"]
    pub const fn for_data_set(self, samples: usize) -> Result<Self> {
        if samples <= self.samples {
            return Ok(self);
        }
        match Self::new(self.network, samples) {
            Ok(whole) => self.with_route(whole.route),
            Err(_) => Ok(self),
        }
    }

    /// The same plan with another form of [`Route::Pairs`].
    ///
    /// # Errors
    ///
    /// As [`with_route`](Self::with_route).
    pub const fn with_form(self, form: Form) -> Result<Self> {
        Self { form, ..self }.checked()
    }

    /// The plan with its lengths counted, if its workspace can be addressed.
    const fn checked(self) -> Result<Self> {
        if self.samples == 0 {
            return Err(Error::TooSmall { argument: "samples", given: 0, least: 1 });
        }
        let (vectors, shape) = (self.vectors(), self.network.shape);
        let workspace = match addressable(sum(&[vectors, exact::elements(&self)])) {
            Ok(workspace) => workspace,
            Err(error) => return Err(error),
        };
        let lengths = Lengths {
            workspace,
            gradient_workspace: sum(&[vectors, exact::gradient_elements(&self)]) as usize,
            worker: exact::worker_elements(&self) as usize,
            gradient_worker: gradient_packing(&self) as usize,
            subsets: [automatic_subset(shape, self.samples, false), automatic_subset(shape, self.samples, true)],
        };
        Ok(Self { lengths, ..self })
    }

    /// The same plan for up to `threads` threads: the one that calls a step, and helpers of the crate's own. Results have the same bits
    /// whatever the number of threads. The workspace is longer, as every thread has scratch of its own.
    ///
    /// Each thread that calls steps has helpers for itself. Its first step that pays for them starts them, which allocates; they end
    /// with it. While a step runs, they look for work rather than sleep, and for 200 µs after it; then they sleep until the next. A
    /// step waits only for its own work that a helper has begun, so it ends whatever else the process does, also within the tasks of
    /// a thread pool. Where the system starts no more threads, fewer do the same work. A forked process starts helpers of its own.
    ///
    /// Work is halved, and the halves again, so that powers of two are used best. Small networks and batches are not split: handing
    /// over takes longer. More threads than free cores gain nothing.
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

    /// Flops of one evaluation on a full batch, by the plan's route. A count that overflows is `u64::MAX`.
    pub const fn flops(&self) -> Flops {
        Flops { gradient: sweep::flops(self.network.shape, self.samples), penalty: exact::work(self).flops }
    }

    /// What route and form are chosen by: the flops of a large matrix product that takes as long as the penalty. Each kind of work has
    /// its measured rate (`cargo bench --bench step -- planner` measures them all). Tile products of the tangent form, and H of two
    /// classes, run at about the rate of large products; feature rows and separate blocks at half of it; centring at an eighth (two
    /// classes: half).
    pub const fn cost(&self) -> u64 {
        exact::work(self).cost
    }

    /// Elements of workspace for every exact quantity and step of this plan. Sampled ones may need more: see [`Sampling::workspace_len`]
    /// and [`Hyperparameters::workspace_len`](crate::Hyperparameters::workspace_len).
    ///
    /// The function is `const`, so a buffer can be static:
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
        self.lengths.workspace
    }

    /// Elements of workspace for [`data_set_curvature`](crate::data_set_curvature) by chunks of this plan's size, however large the data
    /// set. The other functions of a data set take what those of a batch take.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] where it cannot be addressed.
    pub const fn data_set_workspace_len(&self) -> Result<usize> {
        addressable(sum(&[self.vectors(), data_set::elements(self)]))
    }

    /// Elements of the two vectors laid out like θ that a workspace begins with; see `Memory`.
    const fn vectors(&self) -> u64 {
        product(&[2, self.network.shape.parameters()])
    }

    /// Elements of workspace for loss, gradient, SGD and SAM steps of this plan.
    pub const fn gradient_workspace_len(&self) -> usize {
        self.lengths.gradient_workspace
    }
}

/// A workspace of so many elements, if it fits into an allocation in bytes of the widest type.
const fn addressable(elements: u64) -> Result<usize> {
    if elements > isize::MAX as u64 / 8 {
        Err(Error::TooLarge { quantity: "workspace" })
    } else {
        Ok(elements as usize)
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
