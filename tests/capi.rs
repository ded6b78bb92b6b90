//! The C interface against the crate, and against hostile arguments: each kind has its code, and nothing is written.

#[path = "capi/agreement.rs"]
mod agreement;
#[path = "capi/data_set.rs"]
mod data_set;
#[path = "capi/growth.rs"]
mod growth;
#[path = "capi/languages.rs"]
mod languages;
#[path = "capi/optimizers.rs"]
mod optimizers;
#[path = "capi/predict.rs"]
mod predict;

use std::ffi::CStr;
use std::ptr;

use flatmin::capi::*;

const SIZES: [usize; 3] = [3, 4, 3];
const SAMPLES: usize = 5;

fn numbers(len: usize, phase: f64) -> Vec<f64> {
    (0..len).map(|i| 0.8 * (1.7 * i as f64 + phase).sin()).collect()
}

fn last_error() -> String {
    let mut buffer = [1u8; 256];
    // SAFETY: the buffer is as long as said.
    unsafe { flatmin_last_error(buffer.as_mut_ptr().cast(), buffer.len()) };
    CStr::from_bytes_until_nul(&buffer).unwrap().to_str().unwrap().to_owned()
}

fn new_plan() -> CPlan {
    let mut plan = CPlan::default();
    let [inputs, hidden, classes] = SIZES;
    // SAFETY: a plan.
    let status = unsafe { flatmin_plan_new(inputs, hidden, classes, FLATMIN_SILU, SAMPLES, &mut plan) };
    assert_eq!(status, Status::Ok);
    plan
}

/// All the memory that a step takes.
struct Given {
    plan: CPlan,
    theta: Vec<f64>,
    inputs: Vec<f64>,
    classes: Vec<u32>,
    moments: Vec<f64>,
    workspace: Vec<f64>,
}

impl Given {
    fn new() -> Self {
        let plan = new_plan();
        Self {
            plan,
            theta: numbers(plan.parameters, 0.1),
            inputs: numbers(SAMPLES * SIZES[0], 0.5),
            classes: vec![0, 2, 1, 1, 0],
            moments: vec![0.0; plan.parameters],
            workspace: vec![f64::NAN; plan.workspace_len],
        }
    }

    fn batch(&self) -> CBatch<f64> {
        CBatch {
            inputs: self.inputs.as_ptr(),
            inputs_len: self.inputs.len(),
            classes: self.classes.as_ptr(),
            classes_len: self.classes.len(),
            ..CBatch::default()
        }
    }

    fn state(&mut self) -> CState<f64> {
        CState { moments: self.moments.as_mut_ptr(), moments_len: self.moments.len(), ..CState::default() }
    }
}

fn sgd() -> COptimizer {
    COptimizer { learning_rate: 0.1, momentum: 0.5, weight_decay: 0.01, ..COptimizer::default() }
}

fn hsr() -> COptimizer {
    COptimizer { method: FLATMIN_HSR, rho: 0.1, ..sgd() }
}

fn sampled_hsr() -> COptimizer {
    let mut hsr = COptimizer { rho: 0.1, ..sgd() };
    // SAFETY: the structure.
    assert_eq!(unsafe { flatmin_optimizer_sampled(7, &mut hsr) }, Status::Ok);
    COptimizer { subset: 3, alpha: 0.5, beta: 0.9, ..hsr }
}

fn adam() -> COptimizer {
    let mut adam = COptimizer { learning_rate: 0.01, weight_decay: 0.02, ..COptimizer::default() };
    // SAFETY: the structure.
    assert_eq!(unsafe { flatmin_optimizer_adam(&mut adam) }, Status::Ok);
    adam
}

fn nothing() -> CStep {
    CStep { loss: -1.0, ..CStep::default() }
}

/// Arguments of `flatmin_step_f64`, to be spoiled one at a time.
#[derive(Clone, Copy)]
struct Arguments {
    plan: *const CPlan,
    optimizer: *const COptimizer,
    theta: *mut f64,
    theta_len: usize,
    batch: *const CBatch<f64>,
    state: *mut CState<f64>,
    workspace: *mut f64,
    workspace_len: usize,
    result: *mut CStep,
}

impl Arguments {
    fn step(self) -> Status {
        // SAFETY: pointers and lengths are those of `Given`, or ones that the function has to refuse.
        unsafe {
            flatmin_step_f64(
                self.plan,
                self.optimizer,
                self.theta,
                self.theta_len,
                self.batch,
                self.state,
                self.workspace,
                self.workspace_len,
                self.result,
            )
        }
    }
}

/// A step with arguments spoiled by `spoil` has to be refused with this status and message, and to write nothing.
fn refused(spoil: impl Fn(&mut Arguments), status: Status, message: &str) {
    refused_after(|_, _, _| {}, spoil, status, message);
}

/// The same with structures spoiled by `change`.
fn refused_after(
    change: impl Fn(&mut CPlan, &mut CBatch<f64>, &mut COptimizer),
    spoil: impl Fn(&mut Arguments),
    status: Status,
    message: &str,
) {
    let mut given = Given::new();
    let theta = given.theta.clone();
    let (mut plan, mut batch, mut state, mut optimizer, mut result) =
        (given.plan, given.batch(), given.state(), hsr(), nothing());
    change(&mut plan, &mut batch, &mut optimizer);
    let mut arguments = Arguments {
        plan: &plan,
        optimizer: &optimizer,
        theta: given.theta.as_mut_ptr(),
        theta_len: given.theta.len(),
        batch: &batch,
        state: &mut state,
        workspace: given.workspace.as_mut_ptr(),
        workspace_len: given.workspace.len(),
        result: &mut result,
    };
    spoil(&mut arguments);
    assert_eq!(arguments.step(), status, "{message}");
    assert_eq!(last_error(), message);
    assert_eq!((result.loss, result.trace, state.steps), (-1.0, 0.0, 0), "{message}");
    assert_eq!(given.theta, theta, "{message}");
    assert!(given.moments.iter().all(|&v| v == 0.0), "{message}");
}

#[test]
fn null_misaligned_overlapping_and_overlong_memory_is_refused() {
    use Status::{Misaligned, NullPointer, Overlap, TooLarge};
    refused(|a| a.plan = ptr::null(), NullPointer, "plan: null");
    refused(|a| a.optimizer = ptr::null(), NullPointer, "optimizer: null");
    refused(|a| a.theta = ptr::null_mut(), NullPointer, "theta: null");
    refused(|a| a.batch = ptr::null(), NullPointer, "batch: null");
    refused(|a| a.state = ptr::null_mut(), NullPointer, "state: null");
    refused(|a| a.workspace = ptr::null_mut(), NullPointer, "workspace: null");
    refused(|a| a.result = ptr::null_mut(), NullPointer, "result: null");
    refused_after(|_, batch, _| batch.inputs = ptr::null(), |_| {}, NullPointer, "inputs: null");
    refused_after(|_, batch, _| batch.classes = ptr::null(), |_| {}, NullPointer, "classes: null");

    refused(|a| a.plan = a.plan.wrapping_byte_add(4), Misaligned, "plan: not aligned as its type");
    refused(|a| a.theta = a.theta.wrapping_byte_add(4), Misaligned, "theta: not aligned as its type");
    refused(|a| a.workspace = a.workspace.wrapping_byte_add(1), Misaligned, "workspace: not aligned as its type");
    refused(|a| a.result = a.result.wrapping_byte_add(2), Misaligned, "result: not aligned as its type");
    refused_after(
        |_, batch, _| batch.classes = batch.classes.wrapping_byte_add(2),
        |_| {},
        Misaligned,
        "classes: not aligned as its type",
    );

    let overlap = |one: &str, other: &str| format!("{one} and {other}: overlap, and one of them is written to");
    // One element each: a longer piece may reach what lies behind it as well, and which is named depends on the allocator.
    refused(|a| (a.workspace, a.workspace_len) = (a.theta, 1), Overlap, &overlap("workspace", "theta"));
    refused(
        |a| (a.theta, a.theta_len) = (a.workspace.wrapping_add(a.workspace_len - 1), 1),
        Overlap,
        &overlap("workspace", "theta"),
    );
    let within = |a: &mut Arguments| {
        a.result = a.workspace.cast();
        // SAFETY: the workspace has room for a structure, which starts with its size.
        unsafe { a.result.write(CStep::default()) };
    };
    refused(within, Overlap, &overlap("workspace", "result"));
    // SAFETY: the state is valid.
    refused(|a| (a.theta, a.theta_len) = (unsafe { (*a.state).moments }, 1), Overlap, &overlap("theta", "moments"));
    refused(
        |a| (a.workspace, a.workspace_len) = (a.batch.cast_mut().cast(), 1),
        Overlap,
        &overlap("batch", "workspace"),
    );
    refused(|a| (a.theta, a.theta_len) = (a.plan.cast_mut().cast(), 1), Overlap, &overlap("plan", "theta"));
    refused(
        // SAFETY: the batch is valid.
        |a| (a.workspace, a.workspace_len) = (unsafe { (*a.batch).inputs.cast_mut() }, 1),
        Overlap,
        &overlap("inputs", "workspace"),
    );

    refused(|a| a.theta_len = usize::MAX, TooLarge, "theta: longer than memory can address");
    refused(|a| a.theta_len = isize::MAX as usize / 8 + 1, TooLarge, "theta: longer than memory can address");
    refused(|a| a.theta = (usize::MAX - 7) as *mut f64, TooLarge, "theta: longer than memory can address");
}

#[test]
fn wrong_lengths_codes_and_numbers_are_refused() {
    let theta = new_plan().parameters;
    let message = format!("theta: length {} given, {theta} expected", theta - 1);
    refused(|a| a.theta_len -= 1, Status::Length, &message);
    let needed = new_plan().workspace_len;
    let message = format!("workspace: length {} given, at least {needed} expected", needed - 1);
    refused(|a| a.workspace_len -= 1, Status::Workspace, &message);
    let message = format!("moments: length 0 given, {theta} expected");
    // SAFETY: the state is valid.
    refused(|a| unsafe { (*a.state).moments_len = 0 }, Status::Length, &message);
    let change = |_: &mut CPlan, batch: &mut CBatch<f64>, _: &mut COptimizer| batch.inputs_len -= 1;
    refused_after(change, |_| {}, Status::Length, "inputs: length 14 given, 15 expected");

    let none = |_: &mut CPlan, batch: &mut CBatch<f64>, _: &mut COptimizer| batch.classes_len = 0;
    let targets = "batch: expected classes or distributions, and not both";
    refused_after(none, |_| {}, Status::Targets, targets);
    let both = |_: &mut CPlan, batch: &mut CBatch<f64>, _: &mut COptimizer| {
        (batch.distributions, batch.distributions_len) = (batch.inputs, 15);
    };
    refused_after(both, |_| {}, Status::Targets, targets);

    refused_after(|_, _, hsr| hsr.direction = 9, |_| {}, Status::UnknownCode, "direction: unknown code 9");
    refused_after(|_, _, hsr| hsr.method = 3, |_| {}, Status::UnknownCode, "method: unknown code 3");
    refused_after(|_, _, hsr| hsr.update = 4, |_| {}, Status::UnknownCode, "update: unknown code 4");
    refused_after(|plan, _, _| plan.activation = 6, |_| {}, Status::UnknownCode, "activation: unknown code 6");
    refused_after(|plan, _, _| plan.route = 2, |_| {}, Status::UnknownCode, "route: unknown code 2");
    refused_after(|plan, _, _| plan.form = u32::MAX, |_| {}, Status::UnknownCode, "form: unknown code 4294967295");
    refused_after(|_, _, hsr| hsr.penalty = 2, |_| {}, Status::UnknownCode, "penalty: unknown code 2");
    let alpha = |_: &mut CPlan, _: &mut CBatch<f64>, hsr: &mut COptimizer| {
        *hsr = COptimizer { alpha: 0.0, ..sampled_hsr() };
    };
    let above = "alpha: 0 given, a number from 2⁻²⁰ to 1 expected";
    refused_after(alpha, |_| {}, Status::Hyperparameter, above);
    let negative = "rho: -1 given, a finite number that is not negative expected";
    refused_after(|_, _, hsr| hsr.rho = -1.0, |_| {}, Status::Hyperparameter, negative);
    let clip = "clip: -2 given, a finite number above 0 expected";
    refused_after(|_, _, hsr| hsr.clip = -2.0, |_| {}, Status::Hyperparameter, clip);
    let few = "batch: 5 samples given, the plan is for at most 4";
    refused_after(|plan, _, _| plan.samples = 4, |_| {}, Status::Samples, few);
    let one = "pair weights: a batch or chunk of 5 samples given for a data set of 2; expected at least 2, and no more than the data set has";
    refused_after(|plan, _, _| plan.data_set = 2, |_| {}, Status::PairWeights, one);
    // SAFETY: θ is valid.
    refused(
        |a| unsafe { *(*a.batch).inputs.cast_mut() = f64::NAN },
        Status::NotFinite,
        "inputs: entry 0 is NaN or infinite",
    );
    // SAFETY: the targets are valid.
    refused(
        |a| unsafe { *(*a.batch).classes.cast_mut().add(2) = 3 },
        Status::ClassIndex,
        "targets: sample 2 has class 3, expected one below 3",
    );
}

#[test]
fn bad_targets_and_overflows_are_refused() {
    static NEGATIVE: [f64; 15] = [1.0, 0.0, 0.0, 1.0, 0.5, -0.5, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0];
    static SHORT: [f64; 15] = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.5, 0.25, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0];
    let distributions = |targets: &'static [f64; 15]| {
        move |_: &mut CPlan, batch: &mut CBatch<f64>, _: &mut COptimizer| {
            (batch.classes, batch.classes_len) = (ptr::null(), 0);
            (batch.distributions, batch.distributions_len) = (targets.as_ptr(), targets.len());
        }
    };
    let entry = "targets: sample 1 gives class 2 the probability -0.5, expected a finite number that is not negative";
    refused_after(distributions(&NEGATIVE), |_| {}, Status::TargetEntry, entry);
    let sum = "targets: the probabilities of sample 2 sum to 0.75, expected 1";
    refused_after(distributions(&SHORT), |_| {}, Status::TargetSum, sum);
    let fast = |_: &mut CPlan, _: &mut CBatch<f64>, hsr: &mut COptimizer| {
        (hsr.learning_rate, hsr.weight_decay) = (f64::MAX, 100.0);
    };
    refused_after(fast, |_| {}, Status::Overflow, "new parameters: overflows the range of the type");
    // A batch says nothing of its widths: another number of inputs is another length.
    let wide = |_: &mut CPlan, batch: &mut CBatch<f64>, _: &mut COptimizer| batch.inputs_len = 10;
    refused_after(wide, |_| {}, Status::Length, "inputs: length 10 given, 15 expected");
}

#[test]
fn plans_and_bounds_refuse_what_the_crate_refuses() {
    // SAFETY: null, or memory for the structure.
    unsafe {
        assert_eq!(flatmin_plan_new(3, 4, 3, 0, 5, ptr::null_mut()), Status::NullPointer);
        let mut plan = new_plan();
        let before = plan;
        assert_eq!(flatmin_plan_new(0, 4, 3, 0, 5, &mut plan), Status::TooSmall);
        assert_eq!(flatmin_plan_new(3, 4, 3, 0, 0, &mut plan), Status::TooSmall);
        assert_eq!(flatmin_plan_new(usize::MAX, 4, 3, 0, 5, &mut plan), Status::TooLarge);
        assert_eq!(flatmin_plan_new(3, 4, 3, 7, 5, &mut plan), Status::UnknownCode);
        assert_eq!(plan, before);
        plan.hidden = 0;
        assert_eq!(flatmin_plan_update(&mut plan), Status::TooSmall);
        assert_eq!(flatmin_plan_update(ptr::null_mut()), Status::NullPointer);
        let mut bounds = CBounds::default();
        assert_eq!(flatmin_bounds_new(4.0, 10.0, 1, &mut bounds), Status::TooSmall);
        assert_eq!(flatmin_bounds_new(4.0, 10.0, 2, &mut bounds), Status::Ok);
        assert_eq!((bounds.lambda_min_lower, bounds.lambda_max_upper), (1.0, 3.0));
    }
}

#[test]
fn names_and_messages_are_there() {
    // SAFETY: C strings that live for ever.
    let text = |pointer| unsafe { CStr::from_ptr(pointer) }.to_str().unwrap();
    assert_eq!(text(flatmin_version()), env!("CARGO_PKG_VERSION"));
    assert_eq!(text(flatmin_instruction_set()), flatmin::InstructionSet::current().name());
    assert_eq!(text(flatmin_status_message(3)), "Memory that is written to overlaps other memory of the call");
    assert_eq!(text(flatmin_status_message(-1)), "not a status of flatmin");
    assert_eq!(text(flatmin_status_message(1000)), "not a status of flatmin");
}
