//! Which route and form a computation takes, and what it costs: flops, time, workspace.
//!
//! [`Plan::new`] counts the flops of all routes and forms, divides them by measured rates, and picks those that take the least time.

use core::fmt;

use crate::count::{product, sum};
use crate::error::{Error, Result};
use crate::hessian::{exact, pairs, sweep};
use crate::network::Network;
use crate::plan::{Form, PairWeights, Plan, Route};
use crate::sampled::Sampling;

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

    /// The same plan with another form of [`Route::Pairs`].
    ///
    /// # Errors
    ///
    /// As [`with_route`](Self::with_route).
    pub const fn with_form(self, form: Form) -> Result<Self> {
        Self { form, ..self }.checked()
    }

    /// Returns the plan if its workspace can be addressed.
    const fn checked(self) -> Result<Self> {
        if self.samples == 0 {
            return Err(Error::TooSmall { argument: "samples", given: 0, least: 1 });
        }
        // In bytes of the widest type it must fit into an allocation.
        if self.workspace_elements() > isize::MAX as u64 / 8 {
            return Err(Error::TooLarge { quantity: "workspace" });
        }
        Ok(self)
    }

    /// The same plan for up to `threads` threads: a step splits its work with `rayon::join`, in the pool of the thread that calls it.
    /// Results have the same bits whatever the number of threads. The workspace is longer, as every thread has scratch of its own.
    ///
    /// Call from within a pool (`ThreadPool::install`), around a loop of steps rather than a single one. Work is halved again and again,
    /// so powers of two are used best. While a step runs, its idle threads look for work and do not sleep. Small networks and batches are
    /// not split: waking a thread would take longer.
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
    #[cfg(feature = "rayon")]
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
    /// and [`Hsr::workspace_len`](crate::Hsr::workspace_len).
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
        self.workspace_elements() as usize
    }

    /// Elements of workspace for loss, gradient, SGD and SAM steps of this plan.
    pub const fn gradient_workspace_len(&self) -> usize {
        self.gradient_workspace_elements() as usize
    }

    const fn gradient_workspace_elements(&self) -> u64 {
        sum(&[self.vectors(), exact::gradient_elements(self)])
    }

    const fn workspace_elements(&self) -> u64 {
        sum(&[self.vectors(), exact::elements(self)])
    }

    /// Elements of the two vectors laid out like θ at the beginning of a workspace; see [`Memory`](crate::quantities::Memory).
    const fn vectors(&self) -> u64 {
        product(&[2, self.network.shape.parameters()])
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
