//! The functions of the C interface: those without a number type, and those written once for both.

use core::ffi::{CStr, c_char};

use super::memory::{Memory, Output};
use super::status::{Failure, Status, guard};
use super::types::*;
use crate::batch::Batch;
use crate::bounds::Bounds;
use crate::error::Error;
use crate::hessian::Curvature;
use crate::optimizer::Step;
use crate::plan::Plan;
use crate::real::Real;
use crate::sampled::Sampling;
use crate::simd::InstructionSet;

/// The version of the library, as `"0.1.0"`.
#[unsafe(no_mangle)]
pub extern "C" fn flatmin_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };
    VERSION.as_ptr()
}

/// The instruction set in use: `"portable"`, `"neon"`, `"avx2"` or `"avx512"`. The environment variable `FLATMIN_INSTRUCTION_SET`
/// names another one. Results are the same bits wherever it is the same.
#[unsafe(no_mangle)]
pub extern "C" fn flatmin_instruction_set() -> *const c_char {
    let name = match InstructionSet::current() {
        InstructionSet::Portable => c"portable",
        InstructionSet::Neon => c"neon",
        InstructionSet::Avx2 => c"avx2",
        InstructionSet::Avx512 => c"avx512",
    };
    name.as_ptr()
}

/// Plans for a network and batches of up to `samples` samples, by the route that takes less time.
///
/// # Safety
///
/// `plan` is null or leads to memory for a plan.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flatmin_plan_new(
    inputs: usize,
    hidden: usize,
    classes: usize,
    activation: u32,
    samples: usize,
    plan: *mut CPlan,
) -> Status {
    guard(|| {
        let mut memory = Memory::new();
        let place = memory.output(plan, 1, "plan")?;
        let plan = Plan::new(network(inputs, hidden, classes, activation)?, samples)?;
        // SAFETY: the caller's promise; a single piece.
        unsafe { place.write(CPlan::new(&plan)) };
        Ok(())
    })
}

/// Checks a plan whose fields were changed, and sets its lengths anew.
///
/// # Safety
///
/// `plan` is null or leads to a plan.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flatmin_plan_update(plan: *mut CPlan) -> Status {
    guard(|| {
        // SAFETY: the caller's promise.
        let changed = unsafe { Memory::new().read(plan, "plan")? };
        let update = CPlan::new(&changed.plan()?);
        // SAFETY: as above, and found to be neither null nor misaligned.
        unsafe { plan.write(update) };
        Ok(())
    })
}

/// The Wolkowicz–Styan bounds of any symmetric matrix of `rows ≥ 2` rows with these traces.
///
/// # Safety
///
/// `bounds` is null or leads to memory for bounds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flatmin_bounds_new(
    trace: f64,
    trace_of_square: f64,
    rows: usize,
    bounds: *mut CBounds,
) -> Status {
    guard(|| {
        let place = Memory::new().output(bounds, 1, "bounds")?;
        if rows < 2 {
            return Err(Error::TooSmall { argument: "rows", given: rows, least: 2 }.into());
        }
        // SAFETY: the caller's promise; a single piece.
        unsafe { place.write(CBounds::new(Bounds::new(trace, trace_of_square, rows))) };
        Ok(())
    })
}

/// The default way to draw a sampled penalty, with this seed.
///
/// # Safety
///
/// `sampling` is null or leads to memory for the structure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flatmin_sampling_new(seed: u64, sampling: *mut CSampling) -> Status {
    guard(|| {
        let place = Memory::new().output(sampling, 1, "sampling")?;
        // SAFETY: the caller's promise; a single piece.
        unsafe { place.write(CSampling::new(Sampling::new(seed))) };
        Ok(())
    })
}

/// Elements of workspace that an HSR step takes: the plan's `workspace_len` for an exact penalty.
///
/// # Safety
///
/// Every pointer is null or leads to one structure or number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flatmin_hsr_workspace_len(plan: *const CPlan, hsr: *const CHsr, length: *mut usize) -> Status {
    guard(|| {
        let mut memory = Memory::new();
        // SAFETY: the caller's promise.
        let (plan, hsr) = unsafe { (memory.read(plan, "plan")?.plan()?, memory.read(hsr, "hsr")?.hsr()?) };
        let place = memory.output(length, 1, "length")?;
        memory.check_apart()?;
        // SAFETY: as above.
        unsafe { place.write(hsr.workspace_len(&plan)?) };
        Ok(())
    })
}

/// What every function of a batch takes.
struct Call<T> {
    plan: Plan,
    memory: Memory,
    batch: BatchMemory<T>,
    workspace: Output<T>,
}

impl<T: Real> Call<T> {
    /// # Safety
    ///
    /// As for [`Memory::read`].
    unsafe fn new(
        plan: *const CPlan,
        batch: *const CBatch<T>,
        workspace: *mut T,
        workspace_len: usize,
    ) -> Result<Self, Failure> {
        let mut memory = Memory::new();
        // SAFETY: as promised.
        let (plan, batch) = unsafe { (memory.read(plan, "plan")?, memory.read(batch, "batch")?) };
        let (plan, batch) = (plan.plan()?, batch.note(&mut memory)?);
        let workspace = memory.output(workspace, workspace_len, "workspace")?;
        Ok(Self { plan, memory, batch, workspace })
    }

    /// Runs the call's work, once all of its memory is noted.
    ///
    /// # Safety
    ///
    /// All noted pointers lead to as many elements as was said, which nobody else writes to, or, for outputs, touches.
    unsafe fn run<'a, R>(
        self,
        work: impl FnOnce(&Plan, &Batch<'a, T>, &'a mut [T]) -> Result<R, Error>,
    ) -> Result<R, Failure> {
        self.memory.check_apart()?;
        // SAFETY: as promised.
        let (batch, workspace) = unsafe { (self.batch.batch(self.plan.shape())?, self.workspace.slice()) };
        work(&self.plan, &batch, workspace).map_err(Failure::from)
    }
}

/// Declares the functions of one number type.
macro_rules! functions {
    (
        $real:ident:
        $loss:ident, $loss_gradient:ident, $curvature:ident, $trace_gradient:ident, $trace_of_square_gradient:ident,
        $bound_gradient:ident, $hsr_gradient:ident, $hessian_vector_product:ident, $dense_hessian:ident,
        $sgd_step:ident, $sam_step:ident, $hsr_step:ident
    ) => {
        /// Mean cross-entropy and accuracy. Takes `gradient_workspace_len` elements of workspace.
        ///
        /// # Safety
        ///
        /// Every pointer is null or leads to as many elements as its length says, or to one structure.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $loss(
            plan: *const CPlan,
            theta: *const $real,
            theta_len: usize,
            batch: *const CBatch<$real>,
            workspace: *mut $real,
            workspace_len: usize,
            result: *mut CEvaluation,
        ) -> Status {
            // SAFETY: the caller's promise, here and in all functions below.
            guard(|| unsafe {
                let mut call = Call::new(plan, batch, workspace, workspace_len)?;
                let theta = call.memory.input(theta, theta_len, "theta")?;
                let result = call.memory.output(result, 1, "result")?;
                let found = call.run(|plan, batch, space| crate::loss(plan, theta.slice(), batch, space))?;
                result.write(CEvaluation::new(found));
                Ok(())
            })
        }

        /// ∇L, laid out like θ, and L. Takes `gradient_workspace_len` elements of workspace.
        ///
        /// # Safety
        ///
        /// Every pointer is null or leads to as many elements as its length says, or to one structure.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $loss_gradient(
            plan: *const CPlan,
            theta: *const $real,
            theta_len: usize,
            batch: *const CBatch<$real>,
            gradient: *mut $real,
            gradient_len: usize,
            workspace: *mut $real,
            workspace_len: usize,
            loss: *mut f64,
        ) -> Status {
            // SAFETY: as above.
            guard(|| unsafe {
                let mut call = Call::new(plan, batch, workspace, workspace_len)?;
                let theta = call.memory.input(theta, theta_len, "theta")?;
                let gradient = call.memory.output(gradient, gradient_len, "gradient")?;
                let place = call.memory.output(loss, 1, "loss")?;
                let found = call.run(|plan, batch, space| {
                    crate::loss_gradient(plan, theta.slice(), batch, gradient.slice(), space)
                })?;
                place.write(found);
                Ok(())
            })
        }

        /// tr H and tr H², by block, and the four bounds. Takes `workspace_len` elements of workspace, as do all below but two steps.
        ///
        /// # Safety
        ///
        /// Every pointer is null or leads to as many elements as its length says, or to one structure.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $curvature(
            plan: *const CPlan,
            theta: *const $real,
            theta_len: usize,
            batch: *const CBatch<$real>,
            workspace: *mut $real,
            workspace_len: usize,
            result: *mut CCurvature,
        ) -> Status {
            // SAFETY: as above.
            guard(|| unsafe {
                let mut call = Call::new(plan, batch, workspace, workspace_len)?;
                let theta = call.memory.input(theta, theta_len, "theta")?;
                let result = call.memory.output(result, 1, "result")?;
                let found = call.run(|plan, batch, space| crate::curvature(plan, theta.slice(), batch, space))?;
                result.write(CCurvature::new(found));
                Ok(())
            })
        }

        /// ∇tr H, laid out like θ, and tr H.
        ///
        /// # Safety
        ///
        /// Every pointer is null or leads to as many elements as its length says, or to one structure.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $trace_gradient(
            plan: *const CPlan,
            theta: *const $real,
            theta_len: usize,
            batch: *const CBatch<$real>,
            gradient: *mut $real,
            gradient_len: usize,
            workspace: *mut $real,
            workspace_len: usize,
            trace: *mut f64,
        ) -> Status {
            // SAFETY: as above.
            guard(|| unsafe {
                let mut call = Call::new(plan, batch, workspace, workspace_len)?;
                let theta = call.memory.input(theta, theta_len, "theta")?;
                let gradient = call.memory.output(gradient, gradient_len, "gradient")?;
                let place = call.memory.output(trace, 1, "trace")?;
                let found = call.run(|plan, batch, space| {
                    crate::trace_gradient(plan, theta.slice(), batch, gradient.slice(), space)
                })?;
                place.write(found);
                Ok(())
            })
        }

        functions!(@gradient $real:
            /// ∇tr H², laid out like θ; traces and bounds.
            $trace_of_square_gradient = trace_of_square_gradient;
            /// ∇Λ, the gradient of the upper bound on λ_max, laid out like θ; traces and bounds.
            $bound_gradient = bound_gradient;
        );

        /// ∇(L + ρΛ), laid out like θ; loss, traces and bounds. With ρ = 0 this is the loss gradient, at its cost.
        ///
        /// # Safety
        ///
        /// Every pointer is null or leads to as many elements as its length says, or to one structure.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $hsr_gradient(
            plan: *const CPlan,
            theta: *const $real,
            theta_len: usize,
            batch: *const CBatch<$real>,
            rho: f64,
            gradient: *mut $real,
            gradient_len: usize,
            workspace: *mut $real,
            workspace_len: usize,
            result: *mut CStep,
        ) -> Status {
            // SAFETY: as above.
            guard(|| unsafe {
                let mut call = Call::new(plan, batch, workspace, workspace_len)?;
                let theta = call.memory.input(theta, theta_len, "theta")?;
                let gradient = call.memory.output(gradient, gradient_len, "gradient")?;
                let result = call.memory.output(result, 1, "result")?;
                let found = call.run(|plan, batch, space| {
                    crate::hsr_gradient(plan, theta.slice(), batch, rho, gradient.slice(), space)
                })?;
                let seen = Step { loss: found.loss, curvature: found.curvature, estimate: None };
                result.write(CStep::new(seen));
                Ok(())
            })
        }

        /// H·v, exact, without forming H; `vector` and `product` are laid out like θ.
        ///
        /// # Safety
        ///
        /// Every pointer is null or leads to as many elements as its length says, or to one structure.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $hessian_vector_product(
            plan: *const CPlan,
            theta: *const $real,
            theta_len: usize,
            batch: *const CBatch<$real>,
            vector: *const $real,
            vector_len: usize,
            product: *mut $real,
            product_len: usize,
            workspace: *mut $real,
            workspace_len: usize,
        ) -> Status {
            // SAFETY: as above.
            guard(|| unsafe {
                let mut call = Call::new(plan, batch, workspace, workspace_len)?;
                let theta = call.memory.input(theta, theta_len, "theta")?;
                let vector = call.memory.input(vector, vector_len, "vector")?;
                let product = call.memory.output(product, product_len, "product")?;
                call.run(|plan, batch, space| {
                    let (theta, vector) = (theta.slice(), vector.slice());
                    crate::hessian_vector_product(plan, theta, batch, vector, product.slice(), space)
                })
            })
        }

        /// H itself, P×P, row-major and symmetric; written to also where it overflows. `hessian_len` is P².
        ///
        /// # Safety
        ///
        /// Every pointer is null or leads to as many elements as its length says, or to one structure.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $dense_hessian(
            plan: *const CPlan,
            theta: *const $real,
            theta_len: usize,
            batch: *const CBatch<$real>,
            hessian: *mut $real,
            hessian_len: usize,
            workspace: *mut $real,
            workspace_len: usize,
        ) -> Status {
            // SAFETY: as above.
            guard(|| unsafe {
                let mut call = Call::new(plan, batch, workspace, workspace_len)?;
                let theta = call.memory.input(theta, theta_len, "theta")?;
                let hessian = call.memory.output(hessian, hessian_len, "hessian")?;
                call.run(|plan, batch, space| {
                    crate::dense_hessian(plan, theta.slice(), batch, hessian.slice(), space)
                })
            })
        }

        functions!(@step $real:
            /// One step of gradient descent; θ and the state are changed. Takes `gradient_workspace_len` elements of workspace.
            $sgd_step(sgd: CSgd) = |sgd| Ok(sgd.sgd());
            /// One step of Sharpness-Aware Minimization; θ and the state are changed. Takes `gradient_workspace_len` elements of
            /// workspace.
            $sam_step(sam: CSam) = |sam| Ok(sam.sam());
            /// One step of Hessian Spectral Range regularization; θ and the state are changed. Takes
            /// `flatmin_hsr_workspace_len` elements of workspace.
            $hsr_step(hsr: CHsr) = |hsr| hsr.hsr();
        );
    };
    (@gradient $real:ident: $($(#[$doc:meta])* $name:ident = $function:ident;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// Every pointer is null or leads to as many elements as its length says, or to one structure.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(
                plan: *const CPlan,
                theta: *const $real,
                theta_len: usize,
                batch: *const CBatch<$real>,
                gradient: *mut $real,
                gradient_len: usize,
                workspace: *mut $real,
                workspace_len: usize,
                result: *mut CCurvature,
            ) -> Status {
                // SAFETY: as above.
                guard(|| unsafe {
                    let mut call = Call::new(plan, batch, workspace, workspace_len)?;
                    let theta = call.memory.input(theta, theta_len, "theta")?;
                    let gradient = call.memory.output(gradient, gradient_len, "gradient")?;
                    let result = call.memory.output(result, 1, "result")?;
                    let found: Curvature = call.run(|plan, batch, space| {
                        crate::$function(plan, theta.slice(), batch, gradient.slice(), space)
                    })?;
                    result.write(CCurvature::new(found));
                    Ok(())
                })
            }
        )*
    };
    (@step $real:ident: $($(#[$doc:meta])* $name:ident($method:ident: $type:ty) = $own:expr;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// Every pointer is null or leads to as many elements as its length says, or to one structure.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(
                plan: *const CPlan,
                $method: *const $type,
                theta: *mut $real,
                theta_len: usize,
                batch: *const CBatch<$real>,
                state: *mut CState<$real>,
                workspace: *mut $real,
                workspace_len: usize,
                result: *mut CStep,
            ) -> Status {
                // SAFETY: as above.
                guard(|| unsafe {
                    let mut call = Call::new(plan, batch, workspace, workspace_len)?;
                    let own: fn($type) -> Result<_, Failure> = $own;
                    let method = own(call.memory.read($method, stringify!($method))?)?;
                    let theta = call.memory.output(theta, theta_len, "theta")?;
                    let state = StateMemory::note(state, &mut call.memory)?;
                    let result = call.memory.output(result, 1, "result")?;
                    let done = call.run(|plan, batch, space| {
                        state.step(|state| method.step(plan, theta.slice(), batch, state, space))
                    })?;
                    result.write(CStep::new(done));
                    Ok(())
                })
            }
        )*
    };
}

functions! {
    f32:
    flatmin_loss_f32, flatmin_loss_gradient_f32, flatmin_curvature_f32, flatmin_trace_gradient_f32,
    flatmin_trace_of_square_gradient_f32, flatmin_bound_gradient_f32, flatmin_hsr_gradient_f32,
    flatmin_hessian_vector_product_f32, flatmin_dense_hessian_f32, flatmin_sgd_step_f32, flatmin_sam_step_f32,
    flatmin_hsr_step_f32
}

functions! {
    f64:
    flatmin_loss_f64, flatmin_loss_gradient_f64, flatmin_curvature_f64, flatmin_trace_gradient_f64,
    flatmin_trace_of_square_gradient_f64, flatmin_bound_gradient_f64, flatmin_hsr_gradient_f64,
    flatmin_hessian_vector_product_f64, flatmin_dense_hessian_f64, flatmin_sgd_step_f64, flatmin_sam_step_f64,
    flatmin_hsr_step_f64
}
