//! Stochastic gradient descent.

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::hessian::exact::Objective;
use crate::kernels::update::Momentum;
use crate::network::Shape;
use crate::optimizer::gradient::{WeightDecay, check_common, prepare};
use crate::optimizer::interface::{Base, Hyperparameters, Optimizer, check_lengths, check_moments};
use crate::optimizer::state::{State, Step};
use crate::plan::Plan;
use crate::quantities::Memory;
use crate::real::Real;

/// Stochastic gradient descent with momentum, plain or Nesterov's, weight decay, and a limit for the gradient's norm.
///
/// ```text
/// velocity ← μ velocity + gradient + ν θ        θ ← θ − η velocity
///                                   Nesterov:   θ ← θ − η (gradient + ν θ + μ velocity)
/// ```
///
/// As PyTorch's `SGD`. The state's moments are the velocity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// η, finite and not negative.
    pub learning_rate: f64,
    /// μ, in [0, 1).
    pub momentum: f64,
    /// Whether the step looks ahead, as Nesterov's does; without momentum it makes no difference.
    pub nesterov: bool,
    /// ν, and whether biases decay.
    pub weight_decay: WeightDecay,
    /// The largest norm of the gradient, finite and positive: a longer one is shortened to it, before weight decay is added.
    pub clip: Option<f64>,
}

impl Sgd {
    /// Plain gradient descent: no momentum, no weight decay, no limit.
    pub const fn new(learning_rate: f64) -> Self {
        Self { learning_rate, momentum: 0.0, nesterov: false, weight_decay: WeightDecay::NONE, clip: None }
    }

    /// The same with momentum.
    #[must_use]
    pub const fn with_momentum(self, momentum: f64) -> Self {
        Self { momentum, ..self }
    }

    /// The same with Nesterov's momentum.
    #[must_use]
    pub const fn with_nesterov(self, momentum: f64) -> Self {
        Self { momentum, nesterov: true, ..self }
    }

    /// The same with weight decay.
    #[must_use]
    pub const fn with_weight_decay(self, weight_decay: WeightDecay) -> Self {
        Self { weight_decay, ..self }
    }

    /// The same with a largest norm of the gradient.
    #[must_use]
    pub const fn with_clip(self, norm: f64) -> Self {
        Self { clip: Some(norm), ..self }
    }
}

impl Hyperparameters for Sgd {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, rate: f64) {
        self.learning_rate = rate;
    }

    /// P with momentum, else 0. Without momentum moments of P numbers are allowed: the last gradient is written to them.
    fn moments_len(&self, shape: Shape) -> usize {
        if self.momentum == 0.0 { 0 } else { shape.parameters() }
    }

    /// [`Plan::gradient_workspace_len`].
    fn workspace_len(&self, plan: &Plan) -> Result<usize> {
        Ok(plan.gradient_workspace_len())
    }
}

impl Base for Sgd {}

impl<T: Real> Optimizer<T> for Sgd {
    fn check(&self, plan: &Plan, state: &State<'_, T>) -> Result<()> {
        check_common(self.learning_rate, self.weight_decay, self.clip)?;
        check_share("momentum", self.momentum)?;
        check_moments(state, plan.shape().parameters(), self.momentum == 0.0)
    }

    /// One step along −∇L.
    ///
    /// ```
    /// use flatmin::{Activation, Batch, Network, Optimizer, Plan, Sgd, Shape, State, Targets};
    ///
    /// let shape = Shape::new(2, 3, 2)?;
    /// let plan = Plan::new(Network::new(shape, Activation::Tanh), 4)?;
    /// let batch = Batch::new(shape, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], Targets::Classes(&[0, 1, 1, 0]))?;
    /// let mut theta: Vec<f64> = (0..shape.parameters()).map(|i| (i as f64).sin()).collect();
    /// let mut workspace = vec![0.0; plan.gradient_workspace_len()];
    /// let mut state = State::new(&mut []);
    /// let first = Sgd::new(0.5).step(&plan, &mut theta, &batch, &mut state, &mut workspace)?;
    /// let second = Sgd::new(0.5).step(&plan, &mut theta, &batch, &mut state, &mut workspace)?;
    /// assert!(second.loss < first.loss);
    /// # Ok::<(), flatmin::Error>(())
    /// ```
    fn step(
        &self,
        plan: &Plan,
        theta: &mut [T],
        batch: &Batch<'_, T>,
        state: &mut State<'_, T>,
        workspace: &mut [T],
    ) -> Result<Step> {
        descend(self, plan, theta, batch, state, workspace)
    }

    fn update(&self, plan: &Plan, theta: &mut [T], gradient: &mut [T], state: &mut State<'_, T>) -> Result<()> {
        self.check(plan, state)?;
        check_lengths(plan, theta, gradient)?;
        prepare(plan, theta, gradient, self.weight_decay, self.clip);
        let rule = Momentum { rate: self.learning_rate, momentum: self.momentum, nesterov: self.nesterov };
        let step = const { T::FUNCTIONS.step_with_momentum };
        if !step(plan.instruction_set(), rule, theta, gradient, state.moments) {
            return Err(Error::Overflow { quantity: "new parameters" });
        }
        state.steps = state.steps.wrapping_add(1);
        Ok(())
    }
}

/// One step along −∇L, by the update of `optimizer`.
pub(super) fn descend<T: Real>(
    optimizer: &impl Optimizer<T>,
    plan: &Plan,
    theta: &mut [T],
    batch: &Batch<'_, T>,
    state: &mut State<'_, T>,
    workspace: &mut [T],
) -> Result<Step> {
    optimizer.check(plan, state)?;
    let Memory { gradient, scratch, .. } = Memory::first_order(plan, workspace)?;
    let loss = (const { T::FUNCTIONS.differentiate })(plan, theta, batch, Objective::Loss, gradient, scratch)?.loss;
    optimizer.update(plan, theta, gradient, state)?;
    Ok(Step::plain(loss))
}

/// Checks what a running average keeps.
pub(super) fn check_share(argument: &'static str, given: f64) -> Result<()> {
    if (0.0..1.0).contains(&given) {
        Ok(())
    } else {
        Err(Error::Hyperparameter { argument, given, expected: "a number from 0 up to, but not including, 1" })
    }
}
