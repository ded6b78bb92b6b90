//! Stochastic gradient descent, and the update in which all steps end.

use crate::batch::Batch;
use crate::error::{Error, Result, check_not_negative};
use crate::hessian::exact::Objective;
use crate::kernels::vector::add_scaled;
use crate::optimizer::state::{State, Step};
use crate::plan::Plan;
use crate::quantities::Memory;
use crate::real::Real;

/// Stochastic gradient descent with momentum and weight decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// η, finite and not negative.
    pub learning_rate: f64,
    /// μ, in [0, 1).
    pub momentum: f64,
    /// ν, finite and not negative: the gradient of ν‖θ‖²/2 is added, for all four blocks.
    pub weight_decay: f64,
}

impl Sgd {
    /// Plain gradient descent: no momentum, no weight decay.
    pub const fn new(learning_rate: f64) -> Self {
        Self { learning_rate, momentum: 0.0, weight_decay: 0.0 }
    }

    /// One step along −∇L.
    ///
    /// Takes [`Plan::gradient_workspace_len`] elements of workspace.
    ///
    /// # Errors
    ///
    /// Those of [every quantity](crate#errors); [`Error::Hyperparameter`] for a hyperparameter out of range; [`Error::Length`] unless the
    /// velocity is as long as θ or, without momentum, empty; [`Error::Overflow`] where the new parameters would not be finite.
    ///
    /// ```
    /// use flatmin::{Activation, Batch, Network, Plan, Sgd, Shape, State, Targets};
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
    pub fn step<T: Real>(
        &self,
        plan: &Plan,
        theta: &mut [T],
        batch: &Batch<'_, T>,
        state: &mut State<'_, T>,
        workspace: &mut [T],
    ) -> Result<Step> {
        self.check(plan, state)?;
        let Memory { gradient, scratch, .. } = Memory::first_order(plan, workspace)?;
        let loss = (const { T::FUNCTIONS.differentiate })(plan, theta, batch, Objective::Loss, gradient, scratch)?.loss;
        self.update(plan, theta, gradient, state)?;
        Ok(Step::plain(loss))
    }

    pub(super) fn check<T>(&self, plan: &Plan, state: &State<'_, T>) -> Result<()> {
        check_not_negative("learning rate", self.learning_rate)?;
        check_not_negative("weight decay", self.weight_decay)?;
        if !(0.0..1.0).contains(&self.momentum) {
            let expected = "a number from 0 up to, but not including, 1";
            return Err(Error::Hyperparameter { argument: "momentum", given: self.momentum, expected });
        }
        let (given, expected) = (state.velocity.len(), plan.shape().parameters());
        if given != expected && !(given == 0 && self.momentum == 0.0) {
            return Err(Error::Length { argument: "velocity", given, expected });
        }
        Ok(())
    }

    /// The update in which all three optimizers end. Turns `gradient` into the new velocity.
    pub(super) fn update<T: Real>(
        &self,
        plan: &Plan,
        theta: &mut [T],
        gradient: &mut [T],
        state: &mut State<'_, T>,
    ) -> Result<()> {
        let isa = plan.instruction_set();
        let (rate, momentum) = (T::from_f64(self.learning_rate), T::from_f64(self.momentum));
        if self.weight_decay != 0.0 {
            add_scaled(isa, gradient, T::from_f64(self.weight_decay), theta);
        }
        if self.momentum != 0.0 {
            add_scaled(isa, gradient, momentum, state.velocity);
        }
        // The truth value is a result: a captured variable would be stored at every entry.
        let finite = isa.vectorize(|| {
            theta.iter().zip(&*gradient).fold(true, |finite, (&theta, &velocity)| {
                finite & (theta - rate * velocity).is_finite() & velocity.is_finite()
            })
        });
        if !finite {
            return Err(Error::Overflow { quantity: "new parameters" });
        }
        add_scaled(isa, theta, -rate, gradient);
        if !state.velocity.is_empty() {
            state.velocity.copy_from_slice(gradient);
        }
        state.steps = state.steps.wrapping_add(1);
        Ok(())
    }
}
