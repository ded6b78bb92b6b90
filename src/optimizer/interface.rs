//! What all optimizers have in common.

use crate::batch::Batch;
use crate::error::{Error, Result, check_length};
use crate::network::Shape;
use crate::optimizer::state::{State, Step};
use crate::plan::Plan;
use crate::real::Real;

/// What of an optimizer does not depend on the number type: its learning rate, and how much memory it takes.
pub trait Hyperparameters {
    /// η, the learning rate.
    fn learning_rate(&self) -> f64;

    /// Sets η, for the steps to come.
    fn set_learning_rate(&mut self, rate: f64);

    /// How many numbers the state's [`moments`](State::moments) hold: 0, P or 2P. They are zero before the first step.
    fn moments_len(&self, shape: Shape) -> usize;

    /// Elements of workspace that a step takes.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] where so many cannot be addressed; where a hyperparameter decides about it, the error of its check.
    fn workspace_len(&self, plan: &Plan) -> Result<usize>;
}

/// An optimizer that is its update, along ∇L: a base for [`Sam`](crate::Sam) and [`Hsr`](crate::Hsr), which find another gradient. These are
/// no bases themselves: the gradient of the inner one would be lost.
///
/// ```compile_fail,E0277
/// use flatmin::{Hsr, Optimizer, Sam, Sgd};
///
/// let nested: &dyn Optimizer<f32> = &Hsr::new(Sam::new(Sgd::new(0.1), 0.05), 0.1);
/// ```
pub trait Base: Hyperparameters {}

/// An optimizer: [hyperparameters](Hyperparameters), which are plain data, and the step that they make.
///
/// What it remembers is in a [`State`] of the caller's; its scratch is the caller's workspace. A step takes the learning rate that the
/// optimizer has when it is called, so a schedule sets it before each step: see [`schedule`](crate::optimizer::schedule).
///
/// The trait can be a trait object: a program that chooses the optimizer at run time holds a `&dyn Optimizer<f32>`.
///
/// ```
/// use flatmin::{Activation, Adam, Batch, Hsr, Network, Optimizer, Plan, Sam, Sgd, Shape, State, Targets};
///
/// let network = Network::new(Shape::new(2, 3, 2)?, Activation::Tanh);
/// let plan = Plan::new(network, 4)?;
/// let batch = Batch::new(network.shape, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], Targets::Classes(&[0, 1, 1, 0]))?;
///
/// let sgd = Sgd::new(0.1).with_momentum(0.9);
/// let optimizers: [&dyn Optimizer<f64>; 3] = [&sgd, &Sam::new(sgd, 0.05), &Hsr::new(Adam::new(0.01), 0.05)];
/// for optimizer in optimizers {
///     let mut theta: Vec<f64> = (0..network.shape.parameters()).map(|i| (i as f64).sin()).collect();
///     let mut moments = vec![0.0; optimizer.moments_len(network.shape)];
///     let mut workspace = vec![0.0; optimizer.workspace_len(&plan)?];
///     let mut state = State::new(&mut moments);
///     let step = optimizer.step(&plan, &mut theta, &batch, &mut state, &mut workspace)?;
///     println!("loss {}", step.loss);
/// }
/// # Ok::<(), flatmin::Error>(())
/// ```
pub trait Optimizer<T: Real>: Hyperparameters {
    /// Checks what a step checks before it computes anything: the hyperparameters and the length of the moments.
    ///
    /// # Errors
    ///
    /// [`Error::Hyperparameter`] for a hyperparameter out of range, [`Error::Length`] for moments of another length.
    fn check(&self, plan: &Plan, state: &State<'_, T>) -> Result<()>;

    /// One step, on one batch. Changes θ and the state, or returns an error and changes neither.
    ///
    /// # Errors
    ///
    /// Those of [every quantity](crate#errors) and of [`check`](Self::check); [`Error::Overflow`] where new parameters or moments would not
    /// be finite.
    fn step(
        &self,
        plan: &Plan,
        theta: &mut [T],
        batch: &Batch<'_, T>,
        state: &mut State<'_, T>,
        workspace: &mut [T],
    ) -> Result<Step>;

    /// The last part of a step, along a gradient of the caller's: weight decay, the limit of the norm, moments, θ. SAM and HSR, which differ
    /// from others by their gradient, hand this to their base. What `gradient` holds afterwards is not specified.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless θ and the gradient have P entries; those of [`check`](Self::check); [`Error::Overflow`] where new parameters
    /// or moments would not be finite, as where θ or the gradient are not.
    ///
    /// ```
    /// use flatmin::{Activation, Adam, Network, Optimizer, Plan, Shape, State};
    ///
    /// let plan = Plan::new(Network::new(Shape::new(2, 3, 2)?, Activation::Tanh), 4)?;
    /// let (mut theta, mut gradient, mut moments) = ([1.0; 17], [0.25; 17], [0.0; 34]);
    /// Adam::new(0.01).update(&plan, &mut theta, &mut gradient, &mut State::new(&mut moments))?;
    /// assert!(theta.iter().all(|&entry| (entry - 0.99f64).abs() < 1e-9));
    /// # Ok::<(), flatmin::Error>(())
    /// ```
    fn update(&self, plan: &Plan, theta: &mut [T], gradient: &mut [T], state: &mut State<'_, T>) -> Result<()>;
}

#[cfg(feature = "alloc")]
impl<O: Hyperparameters + ?Sized> Hyperparameters for alloc::boxed::Box<O> {
    fn learning_rate(&self) -> f64 {
        (**self).learning_rate()
    }

    fn set_learning_rate(&mut self, rate: f64) {
        (**self).set_learning_rate(rate);
    }

    fn moments_len(&self, shape: Shape) -> usize {
        (**self).moments_len(shape)
    }

    fn workspace_len(&self, plan: &Plan) -> Result<usize> {
        (**self).workspace_len(plan)
    }
}

/// An optimizer that is chosen at run time, and owned.
#[cfg(feature = "alloc")]
impl<T: Real, O: Optimizer<T> + ?Sized> Optimizer<T> for alloc::boxed::Box<O> {
    fn check(&self, plan: &Plan, state: &State<'_, T>) -> Result<()> {
        (**self).check(plan, state)
    }

    fn step(
        &self,
        plan: &Plan,
        theta: &mut [T],
        batch: &Batch<'_, T>,
        state: &mut State<'_, T>,
        workspace: &mut [T],
    ) -> Result<Step> {
        (**self).step(plan, theta, batch, state, workspace)
    }

    fn update(&self, plan: &Plan, theta: &mut [T], gradient: &mut [T], state: &mut State<'_, T>) -> Result<()> {
        (**self).update(plan, theta, gradient, state)
    }
}

/// Checks the lengths of what an update changes.
pub(super) fn check_lengths<T>(plan: &Plan, theta: &[T], gradient: &[T]) -> Result<()> {
    let size = plan.shape().parameters();
    check_length("theta", theta, size)?;
    check_length("gradient", gradient, size)
}

/// Checks the length of the moments; `optional` ones may also be missing.
pub(super) fn check_moments<T>(state: &State<'_, T>, expected: usize, optional: bool) -> Result<()> {
    let given = state.moments.len();
    if given == expected || (optional && given == 0) {
        return Ok(());
    }
    Err(Error::Length { argument: "moments", given, expected })
}
