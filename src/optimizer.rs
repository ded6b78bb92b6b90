//! Optimizer steps: SGD, SAM and HSR, each one call on slices.
//!
//! All three end in the same update, that of SGD with momentum μ and weight decay ω, along a gradient `d` of their own:
//!
//! ```text
//! v ← μ v + d + ω θ        θ ← θ − η v
//! ```
//!
//! | step | d | loss gradients a step |
//! |---|---|---|
//! | [`Sgd`] | ∇L(θ) | 1 |
//! | [`Sam`] | ∇L(θ + r ∇L(θ)/‖∇L(θ)‖) | 2 |
//! | [`Hsr`] | ∇L(θ) + ρ ∇Λ(θ) | 1, and the penalty |
//!
//! Sources: SAM, Foret et al., arXiv 2010.01412; HSR, Omae et al., arXiv 2606.28662.
//!
//! A step is a transaction: θ and the state change only after everything has been computed and found finite.

use core::num::NonZeroU64;

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::hessian::Curvature;
use crate::hessian::evaluation::{self, Memory, Objective};
use crate::plan::Plan;
use crate::real::Real;
use crate::simd::InstructionSet;
use crate::vector::{add_scaled, add_unit, first_not_finite};

/// What an optimizer remembers between steps: plain data, to be stored and restored at will.
#[derive(Debug)]
pub struct State<'a, T> {
    /// v, laid out like θ; zero before the first step. May be empty where momentum is zero.
    pub velocity: &'a mut [T],
    /// Steps taken, modulo 2⁶⁴.
    pub steps: u64,
}

impl<'a, T> State<'a, T> {
    /// The state before the first step; `velocity` is expected to hold zeros.
    pub fn new(velocity: &'a mut [T]) -> Self {
        Self { velocity, steps: 0 }
    }
}

/// What a step saw, at the parameters from which it set out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// L, in nats.
    pub loss: f64,
    /// Traces, bounds, and whether Λ was differentiable; `None` for steps that take no penalty.
    pub curvature: Option<Curvature>,
}

/// Stochastic gradient descent with momentum and weight decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// η, finite and not negative.
    pub learning_rate: f64,
    /// μ, in [0, 1).
    pub momentum: f64,
    /// ω, finite and not negative: the gradient of ω‖θ‖²/2 is added, to all four blocks.
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
    /// Those of [every quantity](crate#errors); [`Error::Hyperparameter`] for one out of range; [`Error::Length`] for a velocity that
    /// is neither like θ nor, without momentum, empty; [`Error::Overflow`] where the new parameters would not be finite.
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
        let loss = T::differentiate(plan, theta, batch, Objective::Loss, gradient, scratch)?.loss;
        self.update(theta, gradient, state)?;
        Ok(Step { loss, curvature: None })
    }

    fn check<T>(&self, plan: &Plan, state: &State<'_, T>) -> Result<()> {
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

    /// The update that all three optimizers end in. Turns `gradient` into the new velocity.
    fn update<T: Real>(&self, theta: &mut [T], gradient: &mut [T], state: &mut State<'_, T>) -> Result<()> {
        let isa = InstructionSet::current();
        let (rate, momentum) = (T::from_f64(self.learning_rate), T::from_f64(self.momentum));
        if self.weight_decay != 0.0 {
            add_scaled(isa, gradient, T::from_f64(self.weight_decay), theta);
        }
        if self.momentum != 0.0 {
            add_scaled(isa, gradient, momentum, state.velocity);
        }
        let mut finite = true;
        isa.vectorize(|| {
            for (&theta, &velocity) in theta.iter().zip(&*gradient) {
                finite &= (theta - rate * velocity).is_finite() & velocity.is_finite();
            }
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

/// Sharpness-Aware Minimization: the loss gradient at the worst nearby point, to first order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sam {
    /// The update.
    pub sgd: Sgd,
    /// r, finite and not negative: how far away, in the Euclidean norm, the gradient is taken.
    pub radius: f64,
}

impl Sam {
    /// SAM of this radius, with this update.
    pub const fn new(sgd: Sgd, radius: f64) -> Self {
        Self { sgd, radius }
    }

    /// One step along −∇L(θ + r ∇L(θ)/‖∇L(θ)‖). Where ∇L = 0, or r = 0, that is SGD's step. Reports L(θ).
    ///
    /// Takes [`Plan::gradient_workspace_len`] elements of workspace.
    ///
    /// # Errors
    ///
    /// Those of [`Sgd::step`].
    pub fn step<T: Real>(
        &self,
        plan: &Plan,
        theta: &mut [T],
        batch: &Batch<'_, T>,
        state: &mut State<'_, T>,
        workspace: &mut [T],
    ) -> Result<Step> {
        self.sgd.check(plan, state)?;
        check_not_negative("radius", self.radius)?;
        let Memory { gradient, other: moved, scratch } = Memory::first_order(plan, workspace)?;
        let loss = T::differentiate(plan, theta, batch, Objective::Loss, gradient, scratch)?.loss;
        if self.radius > 0.0 {
            moved.copy_from_slice(theta);
            add_unit(InstructionSet::current(), moved, self.radius, gradient);
            if first_not_finite(InstructionSet::current(), moved).is_some() {
                return Err(Error::Overflow { quantity: "parameters moved by the radius" });
            }
            T::differentiate(plan, moved, batch, Objective::Loss, gradient, scratch)?;
        }
        self.sgd.update(theta, gradient, state)?;
        Ok(Step { loss, curvature: None })
    }
}

/// How HSR's penalty enters the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// ρ ∇Λ: descends L + ρΛ. Loss and penalty share one backward sweep.
    #[default]
    Gradient,
    /// ρ ∇Λ/‖∇Λ‖: a step of constant length toward flatness. Takes a sweep of its own, to know the norm.
    Unit,
}

/// Hessian Spectral Range regularization: descends the loss and Λ, the Wolkowicz–Styan upper bound on λ_max, together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hsr {
    /// The update.
    pub sgd: Sgd,
    /// ρ, finite and not negative. With ρ = 0 the step is SGD's, at SGD's cost.
    pub rho: f64,
    /// The penalty is taken on steps 0, k, 2k, … of the state's count; those between are SGD's.
    pub every: NonZeroU64,
    /// How the penalty enters.
    pub direction: Direction,
}

impl Hsr {
    /// HSR of this strength, on every step, along the gradient of L + ρΛ.
    pub const fn new(sgd: Sgd, rho: f64) -> Self {
        Self { sgd, rho, every: NonZeroU64::MIN, direction: Direction::Gradient }
    }

    /// One step along −(∇L + ρ∇Λ). Reports L, both traces, all four bounds, and whether Λ was differentiable, at θ.
    ///
    /// Where Λ is not differentiable (H = 0) its second part is taken as zero.
    ///
    /// Takes [`Plan::workspace_len`] elements of workspace.
    ///
    /// # Errors
    ///
    /// Those of [`Sgd::step`].
    ///
    /// ```
    /// use flatmin::{Activation, Batch, Hsr, Network, Plan, Sgd, Shape, State, Targets};
    ///
    /// let shape = Shape::new(2, 3, 2)?;
    /// let plan = Plan::new(Network::new(shape, Activation::Tanh), 4)?;
    /// let batch = Batch::new(shape, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], Targets::Classes(&[0, 1, 1, 0]))?;
    /// let mut theta: Vec<f64> = (0..shape.parameters()).map(|i| (i as f64).sin()).collect();
    /// let mut workspace = vec![0.0; plan.workspace_len()];
    /// let mut state = State::new(&mut []);
    /// let hsr = Hsr::new(Sgd::new(0.1), 0.05);
    /// let step = hsr.step(&plan, &mut theta, &batch, &mut state, &mut workspace)?;
    /// let curvature = step.curvature.expect("every step takes the penalty");
    /// assert!(curvature.bounds.lambda_max_lower <= curvature.bounds.lambda_max_upper);
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
        self.sgd.check(plan, state)?;
        check_not_negative("rho", self.rho)?;
        let Memory { gradient, other: bound_gradient, scratch } = Memory::second_order(plan, workspace)?;

        let due = state.steps.is_multiple_of(self.every.get());
        let rho = if due { self.rho } else { 0.0 };
        let step = match self.direction {
            Direction::Unit if rho != 0.0 => {
                let bound = T::differentiate(plan, theta, batch, Objective::Bound, bound_gradient, scratch)?;
                let loss = T::differentiate(plan, theta, batch, Objective::Loss, gradient, scratch)?.loss;
                add_unit(InstructionSet::current(), gradient, rho, bound_gradient);
                Step { loss, curvature: Some(bound.curvature(plan)) }
            }
            Direction::Unit | Direction::Gradient => {
                let objective = evaluation::hsr_objective(rho)?;
                let done = T::differentiate(plan, theta, batch, objective, gradient, scratch)?;
                Step { loss: done.loss, curvature: (rho != 0.0).then(|| done.curvature(plan)) }
            }
        };
        self.sgd.update(theta, gradient, state)?;
        Ok(step)
    }
}

/// A hyperparameter that has to be finite and at least zero.
pub(crate) fn check_not_negative(argument: &'static str, given: f64) -> Result<()> {
    if given.is_finite() && given >= 0.0 {
        Ok(())
    } else {
        Err(Error::Hyperparameter { argument, given, expected: "a finite number that is not negative" })
    }
}
