//! The structures of the C interface, and how they become the crate's own.

use core::num::{NonZeroU64, NonZeroUsize};

use super::memory::{Input, Memory, Output};
use super::status::Failure;
use crate::activation::Activation;
use crate::batch::Batch;
use crate::bounds::Bounds;
use crate::error::Error;
use crate::hessian::{Curvature, Evaluation};
use crate::network::{Network, Shape};
use crate::optimizer::{Direction, Hsr, Penalty, Sam, Sgd, State, Step};
use crate::plan::{Form, PairWeights, Plan, Route};
use crate::real::Real;
use crate::sampled::{Averages, Estimate, Sampling};
use crate::targets::Targets;

/// tanh u
pub const FLATMIN_TANH: u32 = 0;
/// The logistic function σ(u).
pub const FLATMIN_SIGMOID: u32 = 1;
/// ln(1 + eᵘ)
pub const FLATMIN_SOFTPLUS: u32 = 2;
/// u Φ(u), by the error function.
pub const FLATMIN_GELU: u32 = 3;
/// u σ(u)
pub const FLATMIN_SILU: u32 = 4;
/// u: a linear network.
pub const FLATMIN_IDENTITY: u32 = 5;

/// tr H² by pairs of samples.
pub const FLATMIN_PAIRS: u32 = 0;
/// tr H² by the explicit blocks of H.
pub const FLATMIN_BLOCKS: u32 = 1;

/// Pairs by inner products of flat rows.
pub const FLATMIN_FLAT: u32 = 0;
/// Pairs by blocks of the tangent kernel.
pub const FLATMIN_TANGENT: u32 = 1;

/// HSR descends L + ρΛ.
pub const FLATMIN_GRADIENT: u32 = 0;
/// HSR takes ∇L + ρ∇Λ/‖∇Λ‖: a step of constant length toward flatness.
pub const FLATMIN_UNIT: u32 = 1;

/// The penalty is the batch's own, exactly.
pub const FLATMIN_EXACT: u32 = 0;
/// The penalty is estimated from a few samples, at about the price of SGD.
pub const FLATMIN_SAMPLED: u32 = 1;

/// Network, batch size and route: all that fixes cost and memory of a computation. Filled in by `flatmin_plan_new`.
///
/// The caller may change any of the fields up to `data_set` and call `flatmin_plan_update`, which sets the lengths anew. The functions
/// that take a plan check it, and go by those fields alone.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CPlan {
    /// D, the length of an input row.
    pub inputs: usize,
    /// M, the number of hidden units.
    pub hidden: usize,
    /// K, the number of classes.
    pub classes: usize,
    /// The largest batch that the plan allows.
    pub samples: usize,
    /// `FLATMIN_TANH` and so on.
    pub activation: u32,
    /// `FLATMIN_PAIRS` or `FLATMIN_BLOCKS`: how tr H² and its gradient are computed.
    pub route: u32,
    /// `FLATMIN_FLAT` or `FLATMIN_TANGENT`: the form of `FLATMIN_PAIRS`.
    pub form: u32,
    /// 0.
    pub reserved: u32,
    /// What a batch's tr H² stands for. 0: the batch's own. T: an unbiased estimate for a data set of T samples.
    pub data_set: usize,
    /// P = MD + M + KM + K, the length of θ, of gradients, of a velocity.
    pub parameters: usize,
    /// Elements of workspace with which every function runs.
    pub workspace_len: usize,
    /// Elements of workspace with which loss, loss gradient, SGD and SAM steps run.
    pub gradient_workspace_len: usize,
}

impl CPlan {
    pub(super) fn new(plan: &Plan) -> Self {
        let shape = plan.shape();
        Self {
            inputs: shape.inputs(),
            hidden: shape.hidden(),
            classes: shape.classes(),
            samples: plan.samples(),
            activation: plan.network().activation as u32,
            route: plan.route() as u32,
            form: plan.form() as u32,
            reserved: 0,
            data_set: match plan.pair_weights() {
                PairWeights::Batch => 0,
                PairWeights::DataSet { samples } => samples,
            },
            parameters: shape.parameters(),
            workspace_len: plan.workspace_len(),
            gradient_workspace_len: plan.gradient_workspace_len(),
        }
    }

    pub(super) fn plan(&self) -> Result<Plan, Failure> {
        let weights = match self.data_set {
            0 => PairWeights::Batch,
            samples => PairWeights::DataSet { samples },
        };
        let plan = Plan::new(network(self.inputs, self.hidden, self.classes, self.activation)?, self.samples)?;
        let (form, route) = (decode(&Form::ALL, self.form, "form")?, decode(&Route::ALL, self.route, "route")?);
        Ok(plan.with_form(form)?.with_route(route)?.with_pair_weights(weights))
    }
}

pub(super) fn network(inputs: usize, hidden: usize, classes: usize, activation: u32) -> Result<Network, Failure> {
    let activation = decode(&Activation::ALL, activation, "activation")?;
    Ok(Network::new(Shape::new(inputs, hidden, classes)?, activation))
}

/// The one of `all`, which are in the order of their codes, that has this code.
fn decode<C: Copy>(all: &[C], code: u32, argument: &'static str) -> Result<C, Failure> {
    all.get(code as usize).copied().ok_or(Failure::UnknownCode { argument, given: code })
}

/// N samples: inputs, and either kind of targets. The other kind is null, of length 0.
///
/// Inputs and targets are checked by every call, at the cost of reading them once.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CBatch<T> {
    /// N×D, row-major.
    pub inputs: *const T,
    /// N·D.
    pub inputs_len: usize,
    /// One class index a sample, or null.
    pub classes: *const u32,
    /// N, or 0.
    pub classes_len: usize,
    /// One probability distribution over the classes a sample, N×K, row-major, or null.
    pub distributions: *const T,
    /// N·K, or 0.
    pub distributions_len: usize,
}

/// A batch's arrays, noted.
pub(super) struct BatchMemory<T> {
    inputs: Input<T>,
    targets: TargetMemory<T>,
}

enum TargetMemory<T> {
    Classes(Input<u32>),
    Distributions(Input<T>),
}

impl<T: Real> CBatch<T> {
    pub(super) fn note(&self, memory: &mut Memory) -> Result<BatchMemory<T>, Failure> {
        let inputs = memory.input(self.inputs, self.inputs_len, "inputs")?;
        let targets = match (self.classes_len, self.distributions_len) {
            (1.., 0) => TargetMemory::Classes(memory.input(self.classes, self.classes_len, "classes")?),
            (0, 1..) => TargetMemory::Distributions(memory.input(
                self.distributions,
                self.distributions_len,
                "distributions",
            )?),
            _ => return Err(Failure::Targets),
        };
        Ok(BatchMemory { inputs, targets })
    }
}

impl<T: Real> BatchMemory<T> {
    /// The batch, checked.
    ///
    /// # Safety
    ///
    /// As for [`Input::slice`].
    pub(super) unsafe fn batch<'a>(&self, shape: Shape) -> Result<Batch<'a, T>, Error> {
        // SAFETY: as promised.
        let (inputs, targets) = unsafe {
            let targets = match &self.targets {
                TargetMemory::Classes(classes) => Targets::Classes(classes.slice()),
                TargetMemory::Distributions(distributions) => Targets::Distributions(distributions.slice()),
            };
            (self.inputs.slice(), targets)
        };
        Batch::new(shape, inputs, targets)
    }
}

/// What an optimizer remembers between steps. All zero, but for `velocity`, before the first step.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CState<T> {
    /// v, laid out like θ, zero before the first step; may be null where momentum is zero.
    pub velocity: *mut T,
    /// P, or 0.
    pub velocity_len: usize,
    /// Steps taken, modulo 2⁶⁴; with the seed, all that random numbers depend on.
    pub steps: u64,
    /// Averages of a sampled penalty's traces.
    pub averages: CAverages,
}

/// Running averages of the estimates of the traces.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct CAverages {
    /// Of tr H.
    pub trace: f64,
    /// Of tr H².
    pub trace_of_square: f64,
    /// Estimates that went in, modulo 2⁶⁴.
    pub count: u64,
}

/// A state and its velocity, noted.
pub(super) struct StateMemory<T> {
    place: Output<CState<T>>,
    velocity: Output<T>,
    state: CState<T>,
}

impl<T: Real> StateMemory<T> {
    /// # Safety
    ///
    /// As for [`Memory::read`].
    pub(super) unsafe fn note(place: *mut CState<T>, memory: &mut Memory) -> Result<Self, Failure> {
        let noted = memory.output(place, 1, "state")?;
        // SAFETY: as promised; neither null nor misaligned.
        let state = unsafe { place.read() };
        let velocity = memory.output(state.velocity, state.velocity_len, "velocity")?;
        Ok(Self { place: noted, velocity, state })
    }

    /// Takes a step with the state, and writes it back.
    ///
    /// # Safety
    ///
    /// As for [`Output::slice`].
    pub(super) unsafe fn step(
        self,
        step: impl FnOnce(&mut State<'_, T>) -> Result<Step, Error>,
    ) -> Result<Step, Error> {
        let CAverages { trace, trace_of_square, count } = self.state.averages;
        let averages = Averages { trace, trace_of_square, count };
        // SAFETY: as promised.
        let mut state = State { velocity: unsafe { self.velocity.slice() }, steps: self.state.steps, averages };
        let done = step(&mut state)?;
        let Averages { trace, trace_of_square, count } = state.averages;
        let averages = CAverages { trace, trace_of_square, count };
        // SAFETY: as promised.
        unsafe { self.place.write(CState { steps: state.steps, averages, ..self.state }) };
        Ok(done)
    }
}

/// Loss and accuracy of a batch.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CEvaluation {
    /// L = −(1/N) Σ Σ y log p, in nats.
    pub loss: f64,
    /// The share of samples whose most probable class is the target's.
    pub accuracy: f64,
}

impl CEvaluation {
    pub(super) fn new(from: Evaluation) -> Self {
        Self { loss: from.loss, accuracy: from.accuracy }
    }
}

/// The four Wolkowicz–Styan bounds on the extreme eigenvalues.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct CBounds {
    /// Λ ≥ λ_max
    pub lambda_max_upper: f64,
    /// ≤ λ_max
    pub lambda_max_lower: f64,
    /// ≥ λ_min
    pub lambda_min_upper: f64,
    /// ≤ λ_min
    pub lambda_min_lower: f64,
}

impl CBounds {
    pub(super) fn new(from: Bounds) -> Self {
        let Bounds { lambda_max_upper, lambda_max_lower, lambda_min_upper, lambda_min_lower } = from;
        Self { lambda_max_upper, lambda_max_lower, lambda_min_upper, lambda_min_lower }
    }
}

/// What is known of the Hessian at a point: both traces, whole and by block of H, and the bounds.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct CCurvature {
    /// tr H
    pub trace: f64,
    /// tr H²
    pub trace_of_square: f64,
    /// The share of V and c in tr H.
    pub output: f64,
    /// The share of W and b in tr H.
    pub hidden: f64,
    /// The share of V and c in tr H².
    pub output_square: f64,
    /// The share of the two blocks that couple both in tr H².
    pub cross_square: f64,
    /// The share of W and b in tr H².
    pub hidden_square: f64,
    /// The four bounds.
    pub bounds: CBounds,
    /// Whether Λ is differentiable here. Where it is not, its gradient is taken to be ∇tr H / P.
    pub differentiable: bool,
}

impl CCurvature {
    pub(super) fn new(from: Curvature) -> Self {
        let traces = from.traces;
        Self {
            trace: traces.trace(),
            trace_of_square: traces.trace_of_square(),
            output: traces.output,
            hidden: traces.hidden,
            output_square: traces.output_square,
            cross_square: traces.cross_square,
            hidden_square: traces.hidden_square,
            bounds: CBounds::new(from.bounds),
            differentiable: from.differentiable,
        }
    }
}

/// What a step or an HSR gradient saw, at the parameters from which it set out.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CStep {
    /// L, in nats.
    pub loss: f64,
    /// Whether an exact penalty was taken. Where it was not, `curvature` is zero.
    pub has_curvature: bool,
    /// Whether a sampled penalty was taken. Where it was not, `estimate` is zero.
    pub has_estimate: bool,
    /// Traces and bounds.
    pub curvature: CCurvature,
    /// Estimates of the traces.
    pub estimate: CEstimate,
}

impl CStep {
    pub(super) fn new(Step { loss, curvature, estimate }: Step) -> Self {
        Self {
            loss,
            has_curvature: curvature.is_some(),
            has_estimate: estimate.is_some(),
            curvature: curvature.map_or_else(CCurvature::default, CCurvature::new),
            estimate: estimate.map_or_else(CEstimate::default, CEstimate::new),
        }
    }
}

/// Estimates of both traces.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct CEstimate {
    /// Of tr H.
    pub trace: f64,
    /// Of tr H²; can be negative.
    pub trace_of_square: f64,
    /// How many samples were kept.
    pub kept: usize,
    /// The sum of their weights, whose mean is the number of samples in the batch.
    pub weight: f64,
}

impl CEstimate {
    fn new(from: Estimate) -> Self {
        let Estimate { trace, trace_of_square, kept, weight } = from;
        Self { trace, trace_of_square, kept, weight }
    }
}

/// Gradient descent: v ← μv + d + ωθ, θ ← θ − ηv, with d = ∇L.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CSgd {
    /// η, finite and not negative.
    pub learning_rate: f64,
    /// μ, in [0, 1).
    pub momentum: f64,
    /// ω, finite and not negative.
    pub weight_decay: f64,
}

impl CSgd {
    pub(super) fn sgd(self) -> Sgd {
        Sgd { learning_rate: self.learning_rate, momentum: self.momentum, weight_decay: self.weight_decay }
    }
}

/// Sharpness-Aware Minimization: d = ∇L(θ + r ∇L(θ)/‖∇L(θ)‖).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CSam {
    /// The update.
    pub sgd: CSgd,
    /// r, finite and not negative.
    pub radius: f64,
}

impl CSam {
    pub(super) fn sam(self) -> Sam {
        Sam::new(self.sgd.sgd(), self.radius)
    }
}

/// Hessian Spectral Range regularization: d = ∇L + ρ∇Λ.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CHsr {
    /// The update.
    pub sgd: CSgd,
    /// ρ, finite and not negative.
    pub rho: f64,
    /// k: the penalty is taken on steps 0, k, 2k, … of the state's count. 0 counts as 1.
    pub every: u64,
    /// `FLATMIN_GRADIENT` or `FLATMIN_UNIT`.
    pub direction: u32,
    /// `FLATMIN_EXACT` or `FLATMIN_SAMPLED`.
    pub penalty: u32,
    /// How a sampled penalty is drawn; not read for an exact one.
    pub sampling: CSampling,
}

impl CHsr {
    pub(super) fn hsr(self) -> Result<Hsr, Failure> {
        let direction = decode(&[Direction::Gradient, Direction::Unit], self.direction, "direction")?;
        let penalty = decode(&[Penalty::Exact, Penalty::Sampled(self.sampling.sampling())], self.penalty, "penalty")?;
        let every = NonZeroU64::new(self.every).unwrap_or(NonZeroU64::MIN);
        Ok(Hsr { every, direction, penalty, ..Hsr::new(self.sgd.sgd(), self.rho) })
    }
}

/// How a sampled penalty is drawn. Filled in by `flatmin_sampling_new`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CSampling {
    /// Samples that are kept; 0 for as many as cost little beside the loss gradient.
    pub subset: usize,
    /// Not 0: the classes are sketched by a random vector. 0: they are taken exactly.
    pub sketch: u32,
    /// 0.
    pub reserved: u32,
    /// α, in (0, 1]: the share of the scores that is the same for all samples.
    pub alpha: f64,
    /// β, in [0, 1): how much of the averages of the traces a step keeps.
    pub beta: f64,
    /// γ, in [0, 1]: an estimate of tr H² counts at least so much in the slopes of its own step.
    pub guard: f64,
    /// Where the random numbers come from, with the count of steps.
    pub seed: u64,
}

impl CSampling {
    pub(super) fn new(from: Sampling) -> Self {
        let Sampling { subset, sketch, alpha, beta, guard, seed } = from;
        let subset = subset.map_or(0, NonZeroUsize::get);
        Self { subset, sketch: u32::from(sketch), reserved: 0, alpha, beta, guard, seed }
    }

    fn sampling(self) -> Sampling {
        let Self { subset, sketch, alpha, beta, guard, seed, .. } = self;
        Sampling { subset: NonZeroUsize::new(subset), sketch: sketch != 0, alpha, beta, guard, seed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_header() {
        let activations =
            [FLATMIN_TANH, FLATMIN_SIGMOID, FLATMIN_SOFTPLUS, FLATMIN_GELU, FLATMIN_SILU, FLATMIN_IDENTITY];
        let names = ["tanh", "sigmoid", "softplus", "gelu", "silu", "identity"];
        for ((index, activation), (code, name)) in Activation::ALL.iter().enumerate().zip(activations.iter().zip(names))
        {
            assert_eq!((index as u32, *activation as u32, activation.name()), (*code, *code, name));
        }
        assert_eq!(Route::ALL.map(|route| route as u32), [FLATMIN_PAIRS, FLATMIN_BLOCKS]);
        assert_eq!(Route::ALL, [Route::Pairs, Route::Blocks]);
        assert_eq!(Form::ALL.map(|form| form as u32), [FLATMIN_FLAT, FLATMIN_TANGENT]);
        assert_eq!(Form::ALL, [Form::Flat, Form::Tangent]);
        assert_eq!([Direction::Gradient as u32, Direction::Unit as u32], [FLATMIN_GRADIENT, FLATMIN_UNIT]);
    }
}
