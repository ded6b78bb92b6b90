//! Optimizers: SGD, Adam, SAM and HSR. A step is one call on slices.
//!
//! All are an [`Optimizer`], with a learning rate and lengths that do not depend on the number type ([`Hyperparameters`]). A step finds a gradient and hands it to an update. [`Sgd`] and [`Adam`] are updates along ∇L. [`Sam`] and [`Hsr`]
//! find another gradient, and hand it to the update of their [`Base`], `Sgd` or `Adam`:
//!
//! | step | gradient | loss gradients a step |
//! |---|---|---|
//! | [`Sgd`], [`Adam`] | ∇L(θ) | 1 |
//! | [`Sam`] | ∇L(θ + radius ∇L(θ)/‖∇L(θ)‖) | 2 |
//! | [`Hsr`] | ∇L(θ) + ρ ∇Λ(θ), exact or [sampled](crate::sampled) | 1, and the penalty |
//!
//! | update | of θ |
//! |---|---|
//! | [`Sgd`] | momentum, plain or Nesterov's |
//! | [`Adam`] | Adam, and AdamW |
//!
//! Both updates know [weight decay](WeightDecay), of all of θ or of the weights alone, and a largest norm of the gradient. The functions of
//! [`schedule`] are factors of the learning rate.
//!
//! Sources: SAM, Foret et al., arXiv 2010.01412; HSR, Omae et al., arXiv 2606.28662; Adam, Kingma and Ba, arXiv 1412.6980; AdamW, Loshchilov
//! and Hutter, arXiv 1711.05101.
//!
//! A step is a transaction: θ and the state change only after everything has been computed and found finite.

mod adam;
mod gradient;
mod hsr;
mod interface;
mod sam;
pub mod schedule;
mod sgd;
mod state;

pub use adam::Adam;
pub use gradient::WeightDecay;
pub use hsr::{Direction, Hsr, Penalty};
pub use interface::{Base, Hyperparameters, Optimizer};
pub use sam::Sam;
pub use sgd::Sgd;
pub use state::{State, Step};
