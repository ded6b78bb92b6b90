//! Training a three-layer network toward flat minima, in closed form.
//!
//! A minimum is flat where the eigenvalues of the loss Hessian H are small; flat minima tend to generalise better. For a network of one
//! smooth hidden layer with softmax cross-entropy, the Wolkowicz–Styan upper bound Λ on the largest eigenvalue is an exact closed form in
//! two numbers, tr H and tr H², and so is its gradient. This crate computes both. Hessian Spectral Range (HSR) regularization descends
//! `L + ρΛ`; plain SGD and SAM are here too.
//!
//! # Map
//!
//! | module | what is in it |
//! |---|---|
//! | [`network`] | sizes, activation, and the order of the parameters θ = \[W \| b \| V \| c\] |
//! | [`activation`] | φ and its three derivatives |
//! | [`initialization`] | random parameters to set out from |
//! | [`batch`] | inputs and targets, checked once |
//! | [`plan`] | what a computation will cost: route, flops, workspace |
//! | [`hessian`] | loss, gradients, both traces and their gradients, H·v, H |
//! | [`sampled`] | unbiased estimates of both traces and their gradients, at about the price of SGD |
//! | [`bounds`] | the four Wolkowicz–Styan bounds, and Λ's slopes |
//! | [`optimizer`] | steps: SGD, SAM, HSR |
//! | [`gemm`] | blocked matrix products |
//! | [`elementwise`] | exp, activations, softmax |
//! | [`simd`] | registers of each instruction set, chosen at run time |
//! | `capi` | the C interface, of feature `capi` |
//!
//! The caller owns all memory: outputs and scratch are slices, and a [`Plan`] says how long they are. The functions allocate nothing,
//! except that the first step by several threads (feature `threads`) starts its helpers. Numbers are `f32` or `f64` ([`Real`]); sums that
//! become one number (loss, traces) are `f64` in both.
//!
//! # Example
//!
//! ```
//! use flatmin::{Activation, Batch, Hsr, Network, Plan, Sgd, Shape, State, Targets};
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
//! A symbol has one meaning in the whole crate. Functions on plain numbers, vectors and matrices name their own operands: α, β, A, B, C,
//! m, k, n in [`gemm`], and the variables of polynomials in the elementary functions.
//!
//! | sizes | meaning |
//! |---|---|
//! | `N`, `D`, `M`, `K` | samples of a batch, inputs, hidden units, classes |
//! | `P = MD + M + KM + K` | parameters |
//! | `R = K − 1` | contrasts of the classes |
//! | `R₂`, `M₂`, `D₂` | entries of a flat symmetric matrix of R, M or D + 1 rows: R(R+1)/2, M(M+1)/2, (D+1)(D+2)/2 |
//! | `T` | samples of the data set that a batch is drawn from |
//! | `J` | samples of a batch that the sampled penalty keeps |
//! | `i, j, k, l, n` | indices; `j̃` is an index of g |
//!
//! | network and loss | meaning |
//! |---|---|
//! | `θ = [W \| b \| V \| c]` | the parameters: hidden weight and bias, output weight and bias |
//! | `x`, `X`, `a = [x; 1]`, `u = Wx + b` | input, the inputs of a batch (N×D), input with a one, pre-activation |
//! | `φ`, and `h, f, e, t` | the activation, and φ(u), φ'(u), φ''(u), φ'''(u) |
//! | `σ`, `Φ` | the logistic function, the normal distribution function |
//! | `g = [h; 1]`, `z = Vh + c` | hidden layer with a one, logits |
//! | `p = softmax(z)`, `y`, `r = p − y` | probabilities, target distribution, residual |
//! | `L = −(1/N) Σ Σ_k y_k log p_k` | the loss |
//! | `top` | the most probable class of a sample |
//!
//! | Hessian | meaning |
//! |---|---|
//! | `H`, `v` | the Hessian of L, and the vector of a product H·v |
//! | `S = diag(p) − p pᵀ` | Jacobian of the softmax |
//! | `C = V diag(f)`, `B = SC`, `A = CᵀSC + diag(d)` | factors of the blocks of H |
//! | `q = Vᵀr`, `d = e∘q` | |
//! | `ω_j = (VᵀSV)_jj`, `o_j = f_j² ω_j` | diagonals of VᵀSV and CᵀSC |
//! | `VV` | the products `V_k∘V_l` for k ≤ l, flat |
//! | `H_oo`, `H_oh`, `H_hh`, `H_kl` | blocks of H: output, output–hidden, hidden; of the first, the part of one entry of S |
//! | `∂z = [a⊗C; g]` | for two classes: the derivative of the logit contrast with respect to the parameters |
//! | `Q` | basis of contrasts, K×R; in it S, V and r stand for QᵀSQ, QᵀV and Qᵀr |
//! | `scale`, `p̄ = p/scale` | a power of two that S, r and all that is linear in them are divided by |
//! | `δ` | Kronecker's: 1 where both indices are equal, else 0 |
//!
//! | pairs of samples | meaning |
//! |---|---|
//! | `Ga = a·a'`, `Gg = g·g'` | inner products of two samples |
//! | `κ` | the term of a pair in N² tr H² |
//! | `w_self`, `w_cross`, `w_nn'` | weight of a pair of a sample with itself, of two different ones, of the pair (n, n'); `w_ij` for kept samples |
//! | `χ = ⟨B∘h, (r⊗f)'⟩` | a part of κ |
//! | `U_k = V_k − V_K` | V, shifted so that its last row is zero |
//! | `Ψ = U diag(f∘f') Uᵀ`, `Θ = Gg I + Ga Ψ`, `Θ̃` | the tangent kernel of a pair, and Θ centred by p and p' |
//! | `Ξ = SΘS'`, `ϑ` | and, for two classes, `ϑ = Θ_11 − Θ_12 − Θ_21 + Θ_22` |
//!
//! | bounds and steps | meaning |
//! |---|---|
//! | `λ_min`, `λ_max`, `Λ` | extreme eigenvalues of H, and the Wolkowicz–Styan upper bound on λ_max |
//! | `m`, `s²` | mean and variance of the eigenvalues |
//! | `η`, `μ`, `ν`, `ρ` | learning rate, momentum, weight decay, strength of HSR's penalty |
//!
//! | sampled penalty | meaning |
//! |---|---|
//! | `υ = 1 − ‖p‖²`, `α` | how uncertain a sample is, and the share of the scores that is the same for all samples |
//! | `τ`, `w_i` | threshold of priority sampling, and the weight of a kept sample |
//! | `1_i` | 1 at i, or if sample i is kept; else 0 |
//! | `ξ`, `ξ̃` | random vectors with `𝔼 ξξᵀ = S`, independent of each other |
//! | `sign`, `shift` | what ξ is made of: random signs of the classes, and one number |
//! | `ζ = f∘Vᵀξ`, `π = ζ∘h`, `Δ = Σ ζ² + d/2` | features; ζ̃ is made of ξ̃ |
//! | `ψ = ξξ Gg + Ga ζζ`, `ψ̃` | the part of κ that stands for S; ψ̃ pairs a sample's ξ, ζ with its own ξ̃, ζ̃ |
//! | `Ω_ij = 4 w_ij ψ_ij` | the derivative with respect to ψ |
//! | `E1`, `E2`, `Ē1`, `Ē2` | estimates of tr H and tr H², and their running averages |
//! | `β`, `γ` | what the averages keep at a step, and the guard of the slopes |
//! | `𝔼` | the mean over all random numbers |
//!
//! Marks:
//!
//! - A prime marks a quantity of the second sample of a pair; `Σ'` is a sum over the second samples. On a function it is the derivative:
//!   φ', σ', Φ'.
//! - A hat marks the derivative of an objective with respect to a quantity: f̂ is the derivative with respect to f, `(r⊗f)^` that with
//!   respect to r⊗f.
//! - A dot above marks the derivative along v.
//! - `∘` is the product entry by entry, `⊗` the outer product, `x·y` and `⟨A,B⟩` are inner products of vectors and of matrices. In the
//!   sampled penalty two symbols side by side are the inner product of one of the first sample and one of the second: `ξr = ξ·r'`.
//! - `ε` is the distance from 1 to the next number of the type.
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
//! `std` (default) adds the override of the instruction set by an environment variable. Without it the crate is `no_std` and needs no
//! allocator. `capi` adds the functions of `include/flatmin.h`, for C and all that can call C. `threads` adds `Plan::with_threads`: steps
//! by several threads, with the bits of one. `rand_core` adds `Hsr::step_with`: sampled steps that take each seed from a generator of
//! that crate's traits.
//!
//! # Sources
//!
//! - Wolkowicz, Styan, *Bounds for eigenvalues using traces*, Linear Algebra and its Applications 29 (1980).
//! - Omae et al., *Wolkowicz–Styan Upper Bound on the Hessian Eigenspectrum for Cross-Entropy Loss in Nonlinear Smooth Neural Networks*,
//!   arXiv 2604.10202.
//! - Omae et al., *Closed-Form Steepest Descent Direction toward Flat Minima*, arXiv 2606.28662.
//! - Foret et al., *Sharpness-Aware Minimization for Efficiently Improving Generalization*, arXiv 2010.01412.

#![no_std]

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
pub use optimizer::{Direction, Hsr, Penalty, Sam, Sgd, State, Step};
pub use plan::{Form, PairWeights, Plan, Route};
pub use planner::Flops;
pub use quantities::{
    HsrObjective, bound_gradient, classes, curvature, dense_hessian, hessian_vector_product, hsr_gradient, logits,
    loss, loss_gradient, probabilities, sampled_gradient, trace_gradient, trace_of_square_gradient,
};
pub use real::Real;
pub use sampled::{Averages, Estimate, Mixture, Sampling};
pub use simd::{Element, InstructionSet};
pub use targets::Targets;

// The examples of README.md, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
