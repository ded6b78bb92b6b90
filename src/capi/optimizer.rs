//! The optimizers' hyperparameters.

use core::num::{NonZeroU64, NonZeroUsize};

use super::codes::{self, PenaltyKind};
use super::memory::Memory;
use super::plan::CPlan;
use super::status::{Failure, Status, guard};
use super::structure::structure;
use crate::optimizer::{Hsr, Penalty, Sam, Sgd};
use crate::sampled::Sampling;

structure! {
    /// Gradient descent: velocity ← μ velocity + gradient + νθ, θ ← θ − η velocity, with the gradient ∇L.
    CSgd = "flatmin_sgd" {
        /// η, finite and not negative.
        learning_rate: f64,
        /// μ, in [0, 1).
        momentum: f64,
        /// ν, finite and not negative.
        weight_decay: f64,
    }
}

impl CSgd {
    pub(super) fn method(self) -> Result<Sgd, Failure> {
        let Self { learning_rate, momentum, weight_decay, .. } = self;
        Ok(Sgd { learning_rate, momentum, weight_decay })
    }
}

structure! {
    /// Sharpness-Aware Minimization: the update of `flatmin_sgd`, with the gradient ∇L(θ + r ∇L(θ)/‖∇L(θ)‖).
    CSam = "flatmin_sam" {
        /// η, finite and not negative.
        learning_rate: f64,
        /// μ, in [0, 1).
        momentum: f64,
        /// ν, finite and not negative.
        weight_decay: f64,
        /// r, finite and not negative.
        radius: f64,
    }
}

impl CSam {
    pub(super) fn method(self) -> Result<Sam, Failure> {
        let Self { learning_rate, momentum, weight_decay, radius, .. } = self;
        Ok(Sam::new(Sgd { learning_rate, momentum, weight_decay }, radius))
    }
}

structure! {
    /// Hessian Spectral Range regularization: the update of `flatmin_sgd`, with the gradient ∇L + ρ∇Λ.
    CHsr = "flatmin_hsr" {
        /// η, finite and not negative.
        learning_rate: f64,
        /// μ, in [0, 1).
        momentum: f64,
        /// ν, finite and not negative.
        weight_decay: f64,
        /// ρ, finite and not negative. With ρ = 0 the step is SGD's, at SGD's cost.
        rho: f64,
        /// k: the penalty is taken on steps 0, k, 2k, … of the state's count. 0 counts as 1.
        every: u64,
        /// `FLATMIN_GRADIENT` or `FLATMIN_UNIT`.
        direction: u32,
        /// `FLATMIN_EXACT` or `FLATMIN_SAMPLED`: set by `flatmin_hsr_sampled`, with what it draws by.
        penalty: u32,
        /// Of a sampled penalty: not 0, the classes are sketched by a random vector; 0, they are taken exactly. The fields from `sketch` to
        /// `seed`, but for `reserved`, are not read for an exact penalty.
        sketch: u32,
        /// 0.
        reserved: u32,
        /// Samples that are kept, at least 2; 0 for as many as cost little beside the loss gradient.
        subset: u64,
        /// α, in [2⁻²⁰, 1]: the share of the scores that is the same for all samples.
        alpha: f64,
        /// β, in [0, 1): how much of the averages of the traces a step keeps.
        beta: f64,
        /// γ, in [0, 1]: an estimate of tr H² counts at least so much in the slopes of its own step.
        guard: f64,
        /// Where the random numbers come from, with the count of steps.
        seed: u64,
    }
}

impl CHsr {
    pub(super) fn method(self) -> Result<Hsr, Failure> {
        if self.reserved != 0 {
            return Err(Failure::Reserved { field: "hsr.reserved", given: self.reserved });
        }
        let Self { learning_rate, momentum, weight_decay, rho, .. } = self;
        let sgd = Sgd { learning_rate, momentum, weight_decay };
        let penalty = match codes::penalty(self.penalty)? {
            PenaltyKind::Exact => Penalty::Exact,
            PenaltyKind::Sampled => Penalty::Sampled(self.sampling()),
        };
        let every = NonZeroU64::new(self.every).unwrap_or(NonZeroU64::MIN);
        Ok(Hsr { every, direction: codes::direction(self.direction)?, penalty, ..Hsr::new(sgd, rho) })
    }

    fn sampling(self) -> Sampling {
        let Self { sketch, subset, alpha, beta, guard, seed, .. } = self;
        // More samples than memory can address are as many as the batch has.
        let subset = NonZeroUsize::new(usize::try_from(subset).unwrap_or(usize::MAX));
        Sampling { subset, sketch: sketch != 0, alpha, beta, guard, seed }
    }

    /// The same with another penalty.
    fn with(self, penalty: Penalty) -> Self {
        match penalty {
            Penalty::Exact => Self { penalty: codes::penalty_code(PenaltyKind::Exact), ..self },
            Penalty::Sampled(Sampling { subset, sketch, alpha, beta, guard, seed }) => Self {
                penalty: codes::penalty_code(PenaltyKind::Sampled),
                sketch: sketch.into(),
                subset: subset.map_or(0, NonZeroUsize::get) as u64,
                alpha,
                beta,
                guard,
                seed,
                ..self
            },
        }
    }
}

/// Makes the penalty a sampled one with this seed: sets the fields from `penalty` to `seed`, but for `reserved`, to the defaults. The others
/// stay as they are.
///
/// # Safety
///
/// `hsr` is null, or leads to a size and as many bytes as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flatmin_hsr_sampled(seed: u64, hsr: *mut CHsr) -> Status {
    guard(|| {
        // SAFETY: the caller's promise.
        let (before, place) = unsafe { Memory::new().change(hsr, "hsr")? };
        if before.reserved != 0 {
            return Err(Failure::Reserved { field: "hsr.reserved", given: before.reserved });
        }
        // SAFETY: as above; a single piece.
        unsafe { place.write(before.with(Penalty::Sampled(Sampling::new(seed)))) };
        Ok(())
    })
}

/// Elements of workspace that an HSR step takes: the plan's `workspace_len` for an exact penalty; for a sampled one another length, which
/// can be less or more.
///
/// # Safety
///
/// Every pointer is null, or leads to a number, or to a size and as many bytes as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flatmin_hsr_workspace_len(plan: *const CPlan, hsr: *const CHsr, length: *mut usize) -> Status {
    guard(|| {
        let mut memory = Memory::new();
        // SAFETY: the caller's promise.
        let (plan, hsr) = unsafe { (memory.read(plan, "plan")?.plan()?, memory.read(hsr, "hsr")?.method()?) };
        let place = memory.output(length, 1, "length")?;
        memory.check_apart()?;
        // SAFETY: as above.
        unsafe { place.write(hsr.workspace_len(&plan)?) };
        Ok(())
    })
}
