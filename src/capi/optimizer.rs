//! The optimizers' hyperparameters: one structure for all of them.

use core::num::{NonZeroU64, NonZeroUsize};

use super::codes::{self, Method, PenaltyKind, Update};
use super::memory::Memory;
use super::plan::CPlan;
use super::status::{Failure, Status, guard};
use super::structure::structure;
use crate::optimizer::{Adam, Base, Hsr, Optimizer, Penalty, Sam, Sgd, WeightDecay};
use crate::plan::Plan;
use crate::real::Real;
use crate::sampled::Sampling;

structure! {
    /// An optimizer: which gradient a step takes, and what the update makes of it. All zero but for `size` it is plain gradient descent, of
    /// learning rate 0. Fields that the method, the update or the penalty does not use are not read.
    ///
    /// The norm of the gradient is limited, then weight decay is added: this is g. With SGD, velocity ← μ velocity + g and
    /// θ ← θ − η velocity; with Nesterov, θ ← θ − η (g + μ velocity). With Adam, first ← β₁ first + (1 − β₁) g and
    /// second ← β₂ second + (1 − β₂) g², entry by entry, and at step t, from 1,
    /// θ ← θ − η (first/(1 − β₁ᵗ)) / (√(second/(1 − β₂ᵗ)) + epsilon).
    COptimizer = "flatmin_optimizer" {
        /// `FLATMIN_PLAIN`, `FLATMIN_SAM` or `FLATMIN_HSR`: the gradient.
        method: u32,
        /// `FLATMIN_SGD`, `FLATMIN_NESTEROV`, `FLATMIN_ADAM` or `FLATMIN_ADAMW`: what is made of it.
        update: u32,
        /// η, finite and not negative. It may be another one at each step: `flatmin_warm_up` and `flatmin_cosine` are factors of it.
        learning_rate: f64,
        /// μ, in [0, 1). Of SGD and Nesterov.
        momentum: f64,
        /// β₁, in [0, 1): what the first moment keeps at a step. Of Adam and AdamW; `flatmin_optimizer_adam` sets 0.9.
        beta1: f64,
        /// β₂, in [0, 1): what the second moment keeps at a step. Of Adam and AdamW; `flatmin_optimizer_adam` sets 0.999.
        beta2: f64,
        /// Finite, and positive in the number type. Of Adam and AdamW; `flatmin_optimizer_adam` sets 10⁻⁸.
        epsilon: f64,
        /// The largest norm of the gradient, finite and positive: a longer one is shortened to it, before weight decay is added. 0: no limit.
        clip: f64,
        /// ν, finite and not negative. νθ is added to the gradient; AdamW has θ ← (1 − ην)θ before the step instead.
        weight_decay: f64,
        /// Not 0: the weights W and V decay, the biases do not; 0: all of θ decays.
        weights_only: u32,
        /// `FLATMIN_GRADIENT` or `FLATMIN_UNIT`. Of HSR.
        direction: u32,
        /// r, finite and not negative: the gradient is ∇L(θ + r ∇L(θ)/‖∇L(θ)‖). Of SAM.
        radius: f64,
        /// ρ, finite and not negative: the gradient is ∇L + ρ∇Λ. With ρ = 0 the step is the plain one, at its cost. Of HSR, as all that
        /// follows.
        rho: f64,
        /// k: the penalty is taken on steps 0, k, 2k, … of the state's count. 0 counts as 1.
        every: u64,
        /// `FLATMIN_EXACT` or `FLATMIN_SAMPLED`: set by `flatmin_optimizer_sampled`, with what it draws by.
        penalty: u32,
        /// Not 0: the classes are sketched by a random vector; 0: they are taken exactly. Of a sampled penalty, as all that follows.
        sketch: u32,
        /// Samples that are kept, at least 2; 0 for as many as cost little beside the loss gradient.
        subset: u64,
        /// α, in [2⁻²⁰, 1]: the share of the scores that is the same for all samples.
        alpha: f64,
        /// β, in [0, 1): how much of the averages of the traces a step keeps.
        beta: f64,
        /// γ, in [0, 1]: the share of a step's own estimates in the traces at which it takes Λ's slopes; the rest is that of the averages.
        own_share: f64,
        /// The share of the contributions' length that a limit on the largest takes away, and a factor gives back; in [0, 1). 0: no limit.
        limited_share: f64,
        /// Where the random numbers come from, with the count of steps.
        seed: u64,
    }
}

impl COptimizer {
    /// Hands the optimizer that this stands for to `work`.
    pub(super) fn with<T: Real, R>(
        &self,
        work: impl FnOnce(&dyn Optimizer<T>) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let Self { learning_rate, momentum, beta1, beta2, epsilon, .. } = *self;
        let weight_decay = WeightDecay { strength: self.weight_decay, biases: self.weights_only == 0 };
        let clip = (self.clip != 0.0).then_some(self.clip);
        let sgd = |nesterov| Sgd { learning_rate, momentum, nesterov, weight_decay, clip };
        let adam = |decoupled| Adam { learning_rate, beta1, beta2, epsilon, weight_decay, decoupled, clip };
        match codes::update(self.update)? {
            Update::Sgd => self.on(sgd(false), work),
            Update::Nesterov => self.on(sgd(true), work),
            Update::Adam => self.on(adam(false), work),
            Update::AdamW => self.on(adam(true), work),
        }
    }

    /// The same, with the update of `base`.
    fn on<T: Real, R>(
        &self,
        base: impl Optimizer<T> + Base,
        work: impl FnOnce(&dyn Optimizer<T>) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        match codes::method(self.method)? {
            Method::Plain => work(&base),
            Method::Sam => work(&Sam::new(base, self.radius)),
            Method::Hsr => {
                let direction = codes::direction(self.direction)?;
                let penalty = match codes::penalty(self.penalty)? {
                    PenaltyKind::Exact => Penalty::Exact,
                    PenaltyKind::Sampled => Penalty::Sampled(self.sampling()),
                };
                let every = NonZeroU64::new(self.every).unwrap_or(NonZeroU64::MIN);
                work(&Hsr { base, rho: self.rho, every, direction, penalty })
            }
        }
    }

    fn sampling(&self) -> Sampling {
        let Self { sketch, subset, alpha, beta, own_share, limited_share, seed, .. } = *self;
        // More samples than memory can address are as many as the batch has.
        let subset = NonZeroUsize::new(usize::try_from(subset).unwrap_or(usize::MAX));
        Sampling { subset, sketch: sketch != 0, alpha, beta, own_share, limited_share, seed }
    }

    /// The same with Adam's update.
    fn with_adam(self) -> Self {
        let Adam { beta1, beta2, epsilon, .. } = Adam::new(self.learning_rate);
        Self { update: codes::update_code(Update::Adam), beta1, beta2, epsilon, ..self }
    }

    /// The same with a sampled penalty.
    fn with_sampling(self, Sampling { subset, sketch, alpha, beta, own_share, limited_share, seed }: Sampling) -> Self {
        Self {
            method: codes::method_code(Method::Hsr),
            penalty: codes::penalty_code(PenaltyKind::Sampled),
            sketch: sketch.into(),
            subset: subset.map_or(0, NonZeroUsize::get) as u64,
            alpha,
            beta,
            own_share,
            limited_share,
            seed,
            ..self
        }
    }
}

/// Makes the update Adam's: sets `update`, and `beta1`, `beta2` and `epsilon` to the defaults. The other fields stay as they are. For AdamW,
/// set `update` to `FLATMIN_ADAMW` afterwards.
///
/// # Safety
///
/// `optimizer` is null, or leads to a size and as many bytes as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flatmin_optimizer_adam(optimizer: *mut COptimizer) -> Status {
    // SAFETY: the caller's promise.
    unsafe { change(optimizer, COptimizer::with_adam) }
}

/// Makes the method HSR with a penalty that is sampled with this seed: sets `method`, and the fields from `penalty` to `seed`, these to the
/// defaults. The other fields stay as they are.
///
/// # Safety
///
/// `optimizer` is null, or leads to a size and as many bytes as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flatmin_optimizer_sampled(seed: u64, optimizer: *mut COptimizer) -> Status {
    // SAFETY: the caller's promise.
    unsafe { change(optimizer, |optimizer| optimizer.with_sampling(Sampling::new(seed))) }
}

/// Elements of workspace that a step takes: the plan's `gradient_workspace_len`; with HSR the plan's `workspace_len` for an exact penalty, and
/// for a sampled one another length, which can be less or more.
///
/// # Safety
///
/// Every pointer is null, or leads to a number, or to a size and as many bytes as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flatmin_optimizer_workspace_len(
    plan: *const CPlan,
    optimizer: *const COptimizer,
    length: *mut usize,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe { count(plan, optimizer, length, |plan, optimizer| Ok(optimizer.workspace_len(plan)?)) }
}

/// How many numbers the state's `moments` hold: P with momentum, 2P with Adam and AdamW, else 0.
///
/// # Safety
///
/// Every pointer is null, or leads to a number, or to a size and as many bytes as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flatmin_optimizer_moments_len(
    plan: *const CPlan,
    optimizer: *const COptimizer,
    length: *mut usize,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe { count(plan, optimizer, length, |plan, optimizer| Ok(optimizer.moments_len(plan.shape()))) }
}

/// Changes an optimizer in place.
///
/// # Safety
///
/// As for [`Memory::change`].
unsafe fn change(optimizer: *mut COptimizer, to: impl FnOnce(COptimizer) -> COptimizer) -> Status {
    guard(|| {
        // SAFETY: as promised.
        let (before, place) = unsafe { Memory::new().change(optimizer, "optimizer")? };
        // SAFETY: as promised; a single piece.
        unsafe { place.write(to(before)) };
        Ok(())
    })
}

/// Writes a length, which is the same for both number types.
///
/// # Safety
///
/// As for [`Memory::read`], and `length` is null or leads to a number.
unsafe fn count(
    plan: *const CPlan,
    optimizer: *const COptimizer,
    length: *mut usize,
    of: impl FnOnce(&Plan, &dyn Optimizer<f64>) -> Result<usize, Failure>,
) -> Status {
    guard(|| {
        let mut memory = Memory::new();
        // SAFETY: as promised.
        let (plan, optimizer) = unsafe { (memory.read(plan, "plan")?, memory.read(optimizer, "optimizer")?) };
        let plan = plan.plan()?;
        let place = memory.output(length, 1, "length")?;
        memory.check_apart()?;
        let found = optimizer.with(|optimizer| of(&plan, optimizer))?;
        // SAFETY: as promised.
        unsafe { place.write(found) };
        Ok(())
    })
}
