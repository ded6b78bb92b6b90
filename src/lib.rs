//! Training a three-layer network toward flat minima, in closed form.
//!
//! A minimum is flat where the eigenvalues of the loss Hessian H are small; flat minima tend to generalise better. For a network of one
//! smooth hidden layer with softmax cross-entropy, the Wolkowicz–Styan upper bound Λ on the largest eigenvalue is an exact closed form in
//! two numbers, tr H and tr H², and so is its gradient. This crate computes both. Hessian Spectral Range (HSR) regularization descends
//! `L + ρΛ`, with the updates of SGD or Adam; SAM is here too.
//!
//! # Map
//!
//! | module | what is in it |
//! |---|---|
//! | [`method`] | no code: the mathematics, from the network to the gradient, and the table of symbols |
//! | [`network`] | sizes, activation, and the order of the parameters θ = \[W \| b \| V \| c\] |
//! | [`activation`] | φ and its three derivatives |
//! | [`initialization`] | random parameters to set out from |
//! | [`batch`] | inputs and targets, checked once |
//! | [`plan`] | what a computation will cost: route, flops, workspace |
//! | [`hessian`] | loss, gradients, both traces and their gradients, H·v, H; loss, traces and H·v of data sets of any size, by chunks |
//! | [`sampled`] | unbiased estimates of both traces and their gradients, at about the price of SGD |
//! | [`bounds`] | the four Wolkowicz–Styan bounds, and Λ's slopes |
//! | [`optimizer`] | steps: SGD, Adam, SAM, HSR |
//! | [`gemm`] | blocked matrix products |
//! | [`elementwise`] | exp, activations, softmax |
//! | [`simd`] | registers of each instruction set, chosen at run time |
//! | `training` | a training that owns its memory, of feature `alloc` |
//! | `capi` | the C interface, of feature `capi` |
//!
//! The caller owns all memory: outputs and scratch are slices, and a [`Plan`] says how long they are. The functions allocate nothing,
//! except that the first step by several threads (feature `threads`) starts its helpers. Numbers are `f32` or `f64` ([`Real`]); sums that
//! become one number (loss, traces) are `f64` in both.
//!
//! # Example
//!
//! ```
//! use flatmin::{Activation, Batch, Hsr, Network, Optimizer, Plan, Sgd, Shape, State, Targets};
//!
//! // XOR: 2 inputs, 4 hidden units, 2 classes.
//! let network = Network::new(Shape::new(2, 4, 2)?, Activation::Tanh);
//! let inputs = [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
//! let batch = Batch::new(network.shape, &inputs, Targets::Classes(&[0, 1, 1, 0]))?;
//!
//! let plan = Plan::new(network, batch.samples())?;
//! let mut workspace = vec![0.0; plan.workspace_len()];
//! let mut theta = vec![0.0f64; network.shape.parameters()];
//! network.initialize(&mut theta, 1)?;
//!
//! let hsr = Hsr::new(Sgd::new(0.5), 0.01);
//! let mut state = State::new(&mut []);
//! for _ in 0..2000 {
//!     hsr.step(&plan, &mut theta, &batch, &mut state, &mut workspace)?;
//! }
//! assert_eq!(flatmin::loss(&plan, &theta, &batch, &mut workspace)?.accuracy, 1.0);
//! let mut classes = [0; 4];
//! flatmin::classes(&plan, &theta, &inputs, &mut classes, &mut workspace)?;
//! assert_eq!(classes, [0, 1, 1, 0]);
//! let flat = flatmin::curvature(&plan, &theta, &batch, &mut workspace)?;
//! println!("λ_max is at most {}", flat.bounds.lambda_max_upper);
//! # Ok::<(), flatmin::Error>(())
//! ```
//!
//! # Symbols
//!
//! A symbol has one meaning in the whole crate. The page of the module [`method`] explains each where it first occurs, and has the
//! [table](method#symbols) of them all.
//!
//! # Errors
//!
//! Every quantity and step checks its arguments before it writes anything, and returns
//!
//! | error | where |
//! |---|---|
//! | [`Error::Length`] | a slice is not as long as the shape says |
//! | [`Error::Workspace`] | the workspace is shorter than the plan says |
//! | [`Error::NotFinite`] | θ, a direction or inputs without targets hold NaN or infinity |
//! | [`Error::Shape`], [`Error::Samples`] | the batch is not what the plan was made for |
//! | [`Error::PairWeights`] | the plan's pair weights do not go with the batch's size |
//! | [`Error::Overflow`] | the loss, a logit or a trace exceeds the type's range; outputs are untouched |
//!
//! [`Shape::new`], [`Batch::new`] and [`Plan::new`] have refused everything else by then.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `std` (default) | `alloc`, and the override of the instruction set by an environment variable |
//! | `alloc` | `Training`, which owns its memory |
//! | `safetensors` | `Training::save` and `load` |
//! | `threads` | `Plan::with_threads`: steps by several threads, with the bits of one |
//! | `rand_core` | `Hsr::step_with`: sampled steps that take each seed from a generator of that crate's traits |
//! | `capi` | the functions of `include/flatmin.h`, for C and all that can call C |
//!
//! Without features the crate is `no_std` and needs no allocator.
//!
//! # Sources
//!
//! - Wolkowicz, Styan, *Bounds for eigenvalues using traces*, Linear Algebra and its Applications 29 (1980).
//! - Omae et al., *Wolkowicz–Styan Upper Bound on the Hessian Eigenspectrum for Cross-Entropy Loss in Nonlinear Smooth Neural Networks*,
//!   arXiv 2604.10202.
//! - Omae et al., *Closed-Form Steepest Descent Direction toward Flat Minima*, arXiv 2606.28662.
//! - Foret et al., *Sharpness-Aware Minimization for Efficiently Improving Generalization*, arXiv 2010.01412.

#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

pub mod activation;
pub mod batch;
pub mod bounds;
#[cfg(feature = "capi")]
pub mod capi;
mod count;
pub mod elementwise;
mod error;
mod facade;
pub mod gemm;
pub mod hessian;
pub mod initialization;
mod kernels;
pub mod method;
pub mod network;
mod number;
pub mod optimizer;
pub mod plan;
mod planner;
mod quantities;
mod random;
mod real;
pub mod sampled;
pub mod simd;
mod targets;
#[cfg(feature = "alloc")]
pub mod training;
mod workers;
mod workspace;

pub use activation::Activation;
pub use batch::Batch;
pub use bounds::{Bounds, Traces};
pub use error::{Error, Result};
pub use facade::Kernels;
pub use hessian::{Curvature, Evaluation};
pub use initialization::Initialization;
pub use network::{Network, Parameters, ParametersMut, Shape};
pub use number::Number;
pub use optimizer::{
    Adam, Base, Direction, Hsr, Hyperparameters, Optimizer, Penalty, Sam, Sgd, State, Step, WeightDecay,
};
pub use plan::{Form, PairWeights, Plan, Route};
pub use planner::Flops;
pub use quantities::{
    HsrObjective, bound_gradient, classes, curvature, data_set_curvature, data_set_curvature_estimate,
    data_set_hessian_vector_product, data_set_loss, data_set_loss_gradient, dense_hessian, hessian_vector_product,
    hsr_gradient, logits, loss, loss_gradient, probabilities, sampled_gradient, trace_gradient,
    trace_of_square_gradient,
};
pub use real::Real;
pub use sampled::{Averages, Estimate, Mixture, Sampling};
pub use simd::{Element, InstructionSet};
pub use targets::Targets;
#[cfg(feature = "alloc")]
pub use training::{Best, Epoch, Order, Predictor, Training};

// The examples of README.md, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
