//! A training that owns its memory: parameters, state, workspace. Feature `alloc`.
//!
//! [`Training`] is nothing but the functions on slices, called with slices of the right lengths: [`Optimizer::step`], the quantities of a data
//! set, predictions. Its steps have their bits.
//!
//! | to | call |
//! |---|---|
//! | train | [`step`](Training::step) on a batch, [`epoch`](Training::epoch) over a data set |
//! | schedule the learning rate | [`with_schedule`](Training::with_schedule) |
//! | change hyperparameters | [`set_learning_rate`](Training::set_learning_rate), [`set_optimizer`](Training::set_optimizer) |
//! | look | [`evaluate`](Training::evaluate), [`curvature`](Training::curvature), [`curvature_estimate`](Training::curvature_estimate) |
//! | predict | [`classes`](Training::classes), [`probabilities`](Training::probabilities), [`logits`](Training::logits) |
//! | stop in time | [`record`](Training::record) a score, [`restore_best`](Training::restore_best) |
//! | store and resume | `save` and `load`, of feature `safetensors` |
//! | predict elsewhere | [`Predictor`] |
//!
//! ```
//! use flatmin::{Activation, Batch, Hsr, Network, Order, Plan, Sgd, Shape, Targets, Training};
//!
//! // XOR: 2 inputs, 8 hidden units, 2 classes.
//! let (inputs, classes) = ([0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], [0, 1, 1, 0]);
//! let network = Network::new(Shape::new(2, 8, 2)?, Activation::Tanh);
//! let data = Batch::new(network.shape, &inputs, Targets::Classes(&classes))?;
//! let mut training = Training::<f64, _>::new(Plan::new(network, 4)?, Hsr::new(Sgd::new(0.5), 0.01), 1)?;
//! for _ in 0..1000 {
//!     training.epoch(&data, Order::Shuffled)?;
//! }
//! assert_eq!(training.classes(&inputs)?, classes);
//! println!("λ_max is at most {}", training.curvature(&data)?.bounds.lambda_max_upper);
//! # Ok::<(), flatmin::Error>(())
//! ```

mod best;
mod memory;
mod order;
mod predictor;
#[cfg(feature = "safetensors")]
pub mod stored;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::batch::Batch;
use crate::error::{Error, Result, check_length};
use crate::hessian::{Curvature, Evaluation};
use crate::kernels::vector::first_not_finite;
use crate::network::Network;
use crate::optimizer::{Hyperparameters, Optimizer, State, Step};
use crate::plan::Plan;
use crate::quantities;
use crate::real::Real;
use crate::sampled::Averages;
use crate::workspace::balanced;
use memory::{grow, zeros};
use order::EpochMemory;

pub use best::Best;
pub use order::Order;
pub use predictor::Predictor;

/// A network in training, with all memory that it takes.
///
/// `T` is `f32` or `f64`; `O` is an optimizer, or `Box<dyn Optimizer<T> + Send + Sync>` where it is chosen at run time (without
/// `Send` and `Sync` the training stays in its thread).
pub struct Training<T, O> {
    plan: Plan,
    optimizer: O,
    schedule: Option<Box<dyn Fn(u64) -> f64 + Send + Sync>>,
    seed: u64,
    epochs: u64,
    theta: Vec<T>,
    moments: Vec<T>,
    steps: u64,
    averages: Averages,
    best: Option<Best<T>>,
    workspace: Vec<T>,
    epoch_memory: EpochMemory<T>,
}

/// What an epoch reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// The mean loss of the samples, each at the parameters before its step.
    pub loss: f64,
    /// Steps of the epoch.
    pub steps: u64,
}

/// Elements of workspace for steps, evaluation and predictions.
fn workspace_len(plan: &Plan, optimizer: &impl Hyperparameters) -> Result<usize> {
    Ok(optimizer.workspace_len(plan)?.max(plan.gradient_workspace_len()))
}

impl<T: Real, O: Optimizer<T>> Training<T, O> {
    /// Before the first step: parameters by [`Network::initialize`] from this seed, moments zero.
    ///
    /// The plan says the network, the largest batch, and by how many threads. The seed is that of the parameters and of shuffled orders; a
    /// sampled penalty has one of its own ([`Sampling::seed`](crate::Sampling)).
    ///
    /// # Errors
    ///
    /// Those of [`Optimizer::check`] and of [`Hyperparameters::workspace_len`]; [`Error::OutOfMemory`].
    pub fn new(plan: Plan, optimizer: O, seed: u64) -> Result<Self> {
        let mut theta = zeros(plan.shape().parameters(), "parameters")?;
        plan.network().initialize(&mut theta, seed)?;
        let mut moments = zeros(optimizer.moments_len(plan.shape()), "moments")?;
        optimizer.check(&plan, &State::new(&mut moments))?;
        let workspace = zeros(workspace_len(&plan, &optimizer)?, "workspace")?;
        Ok(Self {
            plan,
            optimizer,
            schedule: None,
            seed,
            epochs: 0,
            theta,
            moments,
            steps: 0,
            averages: Averages::default(),
            best: None,
            workspace,
            epoch_memory: EpochMemory::default(),
        })
    }

    /// The same, from these parameters on.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless there are P, [`Error::NotFinite`] for NaN or infinity among them.
    pub fn with_theta(mut self, theta: &[T]) -> Result<Self> {
        check_length("theta", theta, self.theta.len())?;
        if let Some(index) = first_not_finite(self.plan.instruction_set(), theta) {
            return Err(Error::NotFinite { argument: "theta", index });
        }
        self.theta.copy_from_slice(theta);
        Ok(self)
    }

    /// The same with a schedule: before each step the learning rate is set to `rate` of the count of steps, whatever it was. See
    /// [`schedule`](crate::optimizer::schedule). A schedule is not stored.
    #[must_use = "the schedule is that of the training returned"]
    pub fn with_schedule(self, rate: impl Fn(u64) -> f64 + Send + Sync + 'static) -> Self {
        Self { schedule: Some(Box::new(rate)), ..self }
    }

    /// Sets the learning rate, for the steps to come. A schedule sets another before each step.
    pub fn set_learning_rate(&mut self, rate: f64) {
        self.optimizer.set_learning_rate(rate);
    }

    /// Goes on with another optimizer, or with other hyperparameters. If its moments have another length, they begin with zeros; else those
    /// of the optimizer before are kept.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); then nothing has changed.
    pub fn set_optimizer(&mut self, optimizer: O) -> Result<()> {
        let len = optimizer.moments_len(self.plan.shape());
        let mut fresh = if len == self.moments.len() { None } else { Some(zeros(len, "moments")?) };
        let moments = fresh.as_mut().unwrap_or(&mut self.moments);
        optimizer.check(&self.plan, &State { moments, steps: self.steps, averages: self.averages })?;
        grow(&mut self.workspace, workspace_len(&self.plan, &optimizer)?, "workspace")?;
        if let Some(moments) = fresh {
            self.moments = moments;
        }
        self.optimizer = optimizer;
        Ok(())
    }

    /// One step on a batch of at most as many samples as the plan says.
    ///
    /// # Errors
    ///
    /// Those of [`Optimizer::step`]; then nothing has changed, but for a learning rate that the schedule has set.
    pub fn step(&mut self, batch: &Batch<'_, T>) -> Result<Step> {
        if let Some(rate) = &self.schedule {
            self.optimizer.set_learning_rate(rate(self.steps));
        }
        let mut state = State { moments: &mut self.moments, steps: self.steps, averages: self.averages };
        let step = self.optimizer.step(&self.plan, &mut self.theta, batch, &mut state, &mut self.workspace)?;
        (self.steps, self.averages) = (state.steps, state.averages);
        Ok(step)
    }

    /// Steps over the samples of a data set in an order: the fewest batches of at most as many samples as the plan says, whose sizes differ by
    /// at most one.
    ///
    /// The order of [`Order::Shuffled`] depends on the seed and on the count of epochs alone, so a training that is stored and resumed
    /// goes on with the same batches.
    ///
    /// # Errors
    ///
    /// [`Error::Index`] for an index beyond the data set, and [`Error::TooSmall`] for an order without any, before the first step. Those of
    /// [`step`](Self::step): steps before the one that failed have been taken; the count of epochs stays.
    pub fn epoch(&mut self, data: &Batch<'_, T>, order: Order<'_>) -> Result<Epoch> {
        // Taken out, since steps borrow the rest of the training.
        let mut memory = core::mem::take(&mut self.epoch_memory);
        let done = self.steps_over(data, order, &mut memory);
        self.epoch_memory = memory;
        let epoch = done?;
        self.epochs = self.epochs.wrapping_add(1);
        Ok(epoch)
    }

    fn steps_over(&mut self, data: &Batch<'_, T>, order: Order<'_>, memory: &mut EpochMemory<T>) -> Result<Epoch> {
        let most = self.plan.samples();
        let samples = memory.prepare(data, order, most, self.seed, self.epochs)?;
        let mut epoch = Epoch { loss: 0.0, steps: 0 };
        for rows in balanced(samples, most) {
            let share = rows.len() as f64 / samples as f64;
            epoch.loss += share * self.step(&memory.batch(data, rows)?)?.loss;
            epoch.steps += 1;
        }
        Ok(epoch)
    }

    /// The mean loss and the accuracy of a data set of any size: [`data_set_loss`](crate::data_set_loss).
    ///
    /// # Errors
    ///
    /// Those of [every quantity](crate#errors).
    pub fn evaluate(&mut self, data: &Batch<'_, T>) -> Result<Evaluation> {
        let Self { plan, theta, workspace, .. } = self;
        quantities::data_set_loss(plan, theta, data, workspace)
    }

    /// Both traces of the Hessian over a data set of any size, exact, and the bounds: [`data_set_curvature`](crate::data_set_curvature), by
    /// the route that takes less time for so many samples ([`Plan::for_data_set`]). Where that is too long, there is
    /// [`curvature_estimate`](Self::curvature_estimate).
    ///
    /// # Errors
    ///
    /// Those of [every quantity](crate#errors); [`Error::OutOfMemory`].
    pub fn curvature(&mut self, data: &Batch<'_, T>) -> Result<Curvature> {
        let plan = self.plan.for_data_set(data.samples())?;
        // By blocks it may take much more than steps do, and is not kept.
        let mut workspace = zeros(plan.data_set_workspace_len()?, "workspace")?;
        quantities::data_set_curvature(&plan, &self.theta, data, &mut workspace)
    }

    /// The same with an estimate of tr H², linear in the data set, and unbiased if its samples are in random order:
    /// [`data_set_curvature_estimate`](crate::data_set_curvature_estimate), by chunks of the plan's batch.
    ///
    /// # Errors
    ///
    /// As [`curvature`](Self::curvature); [`Error::PairWeights`] where a chunk would be a single sample.
    pub fn curvature_estimate(&mut self, data: &Batch<'_, T>) -> Result<Curvature> {
        let mut workspace = zeros(self.plan.workspace_len(), "workspace")?;
        quantities::data_set_curvature_estimate(&self.plan, &self.theta, data, &mut workspace)
    }

    /// The logits z of any number of inputs, N×K: [`logits`](crate::logits).
    ///
    /// # Errors
    ///
    /// Those of [`logits`](crate::logits), but for the number of samples; [`Error::OutOfMemory`].
    pub fn logits(&mut self, inputs: &[T]) -> Result<Vec<T>> {
        let Self { plan, theta, workspace, .. } = self;
        predictor::logits(plan, theta, inputs, workspace)
    }

    /// The class probabilities of any number of inputs, N×K: [`probabilities`](crate::probabilities).
    ///
    /// # Errors
    ///
    /// As [`logits`](Self::logits).
    pub fn probabilities(&mut self, inputs: &[T]) -> Result<Vec<T>> {
        let Self { plan, theta, workspace, .. } = self;
        predictor::probabilities(plan, theta, inputs, workspace)
    }

    /// The most probable class of each of any number of inputs: [`classes`](crate::classes).
    ///
    /// # Errors
    ///
    /// As [`logits`](Self::logits).
    pub fn classes(&mut self, inputs: &[T]) -> Result<Vec<u32>> {
        let Self { plan, theta, workspace, .. } = self;
        predictor::classes(plan, theta, inputs, workspace)
    }

    /// Records a score of the parameters as they are, such as the accuracy on a validation set; larger is better. Keeps the parameters if it is
    /// the best so far. Returns how many scores ago the best one was: 0 if it is this one. Compare it with your patience.
    ///
    /// NaN is worse than every number.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`].
    pub fn record(&mut self, score: f64) -> Result<u64> {
        if let Some(best) = &mut self.best
            && !best.is_beaten_by(score)
        {
            best.since = best.since.saturating_add(1);
            return Ok(best.since);
        }
        let mut theta = match self.best.take() {
            Some(best) => best.theta,
            None => zeros(self.theta.len(), "best parameters")?,
        };
        theta.copy_from_slice(&self.theta);
        self.best = Some(Best { score, since: 0, steps: self.steps, theta });
        Ok(0)
    }

    /// The best parameters so far, by the scores recorded.
    pub const fn best(&self) -> Option<&Best<T>> {
        self.best.as_ref()
    }

    /// Goes back to the best parameters; the state stays as it is. Does nothing, and returns false, where no score was recorded.
    pub fn restore_best(&mut self) -> bool {
        let Some(best) = &self.best else { return false };
        self.theta.copy_from_slice(&best.theta);
        true
    }
}

impl<T, O> Training<T, O> {
    /// The plan of every step.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The network.
    pub const fn network(&self) -> Network {
        self.plan.network
    }

    /// θ.
    pub fn theta(&self) -> &[T] {
        &self.theta
    }

    /// What the optimizer's update remembers.
    pub fn moments(&self) -> &[T] {
        &self.moments
    }

    /// Averages of a sampled penalty's traces.
    pub const fn averages(&self) -> Averages {
        self.averages
    }

    /// Steps taken, modulo 2⁶⁴.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Epochs ended, modulo 2⁶⁴.
    pub const fn epochs(&self) -> u64 {
        self.epochs
    }

    /// The optimizer.
    pub const fn optimizer(&self) -> &O {
        &self.optimizer
    }
}

impl<T: fmt::Debug, O: fmt::Debug> fmt::Debug for Training<T, O> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Training")
            .field("plan", &self.plan)
            .field("optimizer", &self.optimizer)
            .field("steps", &self.steps)
            .field("epochs", &self.epochs)
            .field("theta", &self.theta)
            .finish_non_exhaustive()
    }
}
