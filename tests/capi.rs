//! The C interface against the crate, and against hostile arguments: each kind has its code, and nothing is written.

use std::ffi::CStr;
use std::num::NonZero;
use std::ptr;

use flatmin::capi::*;
use flatmin::{
    Activation, Batch, Form, Hsr, Network, PairWeights, Plan, Route, Sam, Sampling, Sgd, Shape, State, Step, Targets,
};

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
    let mut plan = std::mem::MaybeUninit::uninit();
    let [inputs, hidden, classes] = SIZES;
    // SAFETY: memory for a plan.
    let status = unsafe { flatmin_plan_new(inputs, hidden, classes, FLATMIN_SILU, SAMPLES, plan.as_mut_ptr()) };
    assert_eq!(status, Status::Ok);
    // SAFETY: written, as the status says.
    unsafe { plan.assume_init() }
}

/// All the memory that a step takes.
struct Given {
    plan: CPlan,
    theta: Vec<f64>,
    inputs: Vec<f64>,
    classes: Vec<u32>,
    velocity: Vec<f64>,
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
            velocity: vec![0.0; plan.parameters],
            workspace: vec![f64::NAN; plan.workspace_len],
        }
    }

    fn batch(&self) -> CBatch<f64> {
        CBatch {
            inputs: self.inputs.as_ptr(),
            inputs_len: self.inputs.len(),
            classes: self.classes.as_ptr(),
            classes_len: self.classes.len(),
            distributions: ptr::null(),
            distributions_len: 0,
        }
    }

    fn state(&mut self) -> CState<f64> {
        CState { velocity: self.velocity.as_mut_ptr(), velocity_len: self.velocity.len(), steps: 0, averages: AVERAGES }
    }
}

const SGD: CSgd = CSgd { learning_rate: 0.1, momentum: 0.5, weight_decay: 0.01 };
const HSR: CHsr =
    CHsr { sgd: SGD, rho: 0.1, every: 0, direction: FLATMIN_GRADIENT, penalty: FLATMIN_EXACT, sampling: SAMPLING };
const SAMPLING: CSampling =
    CSampling { subset: 3, sketch: 1, reserved: 0, alpha: 0.5, beta: 0.9, guard: 0.25, seed: 7 };
const AVERAGES: CAverages = CAverages { trace: 0.0, trace_of_square: 0.0, count: 0 };
const NOTHING: CStep = CStep {
    loss: -1.0,
    has_curvature: false,
    has_estimate: false,
    curvature: CCurvature {
        trace: 0.0,
        trace_of_square: 0.0,
        output: 0.0,
        hidden: 0.0,
        output_square: 0.0,
        cross_square: 0.0,
        hidden_square: 0.0,
        bounds: CBounds { lambda_max_upper: 0.0, lambda_max_lower: 0.0, lambda_min_upper: 0.0, lambda_min_lower: 0.0 },
        differentiable: false,
    },
    estimate: CEstimate { trace: 0.0, trace_of_square: 0.0, kept: 0, weight: 0.0 },
};

/// Arguments of `flatmin_hsr_step_f64`, to be spoiled one at a time.
#[derive(Clone, Copy)]
struct Arguments {
    plan: *const CPlan,
    hsr: *const CHsr,
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
            flatmin_hsr_step_f64(
                self.plan,
                self.hsr,
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
    change: impl Fn(&mut CPlan, &mut CBatch<f64>, &mut CHsr),
    spoil: impl Fn(&mut Arguments),
    status: Status,
    message: &str,
) {
    let mut given = Given::new();
    let theta = given.theta.clone();
    let (mut plan, mut batch, mut state, mut hsr, mut result) =
        (given.plan, given.batch(), given.state(), HSR, NOTHING);
    change(&mut plan, &mut batch, &mut hsr);
    let mut arguments = Arguments {
        plan: &plan,
        hsr: &hsr,
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
    assert_eq!((result, state.steps), (NOTHING, 0), "{message}");
    assert_eq!(given.theta, theta, "{message}");
    assert!(given.velocity.iter().all(|&v| v == 0.0), "{message}");
}

#[test]
fn null_misaligned_overlapping_and_overlong_memory_is_refused() {
    use Status::{Misaligned, NullPointer, Overlap, TooLarge};
    refused(|a| a.plan = ptr::null(), NullPointer, "plan: null");
    refused(|a| a.hsr = ptr::null(), NullPointer, "hsr: null");
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
    refused(|a| a.workspace = a.theta, Overlap, &overlap("workspace", "theta"));
    refused(|a| a.theta = a.workspace.wrapping_add(a.workspace_len - 1), Overlap, &overlap("workspace", "theta"));
    refused(|a| a.result = a.workspace.cast(), Overlap, &overlap("workspace", "result"));
    // SAFETY: the state is valid.
    refused(|a| a.theta = unsafe { (*a.state).velocity }, Overlap, &overlap("theta", "velocity"));
    refused(
        |a| (a.workspace, a.workspace_len) = (a.batch.cast_mut().cast(), 1),
        Overlap,
        &overlap("batch", "workspace"),
    );
    refused(|a| (a.theta, a.theta_len) = (a.plan.cast_mut().cast(), 1), Overlap, &overlap("plan", "theta"));
    refused(
        // SAFETY: the batch is valid.
        |a| a.workspace = unsafe { (*a.batch).inputs.cast_mut() },
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
    let message = format!("velocity: length 0 given, {theta} expected");
    // SAFETY: the state is valid.
    refused(|a| unsafe { (*a.state).velocity_len = 0 }, Status::Length, &message);
    let change = |_: &mut CPlan, batch: &mut CBatch<f64>, _: &mut CHsr| batch.inputs_len -= 1;
    refused_after(change, |_| {}, Status::Length, "inputs: length 14 given, 15 expected");

    let none = |_: &mut CPlan, batch: &mut CBatch<f64>, _: &mut CHsr| batch.classes_len = 0;
    let targets = "batch: expected classes or distributions, and not both";
    refused_after(none, |_| {}, Status::Targets, targets);
    let both = |_: &mut CPlan, batch: &mut CBatch<f64>, _: &mut CHsr| {
        (batch.distributions, batch.distributions_len) = (batch.inputs, 15);
    };
    refused_after(both, |_| {}, Status::Targets, targets);

    refused_after(|_, _, hsr| hsr.direction = 9, |_| {}, Status::UnknownCode, "direction: unknown code 9");
    refused_after(|plan, _, _| plan.activation = 6, |_| {}, Status::UnknownCode, "activation: unknown code 6");
    refused_after(|plan, _, _| plan.route = 2, |_| {}, Status::UnknownCode, "route: unknown code 2");
    refused_after(|plan, _, _| plan.form = u32::MAX, |_| {}, Status::UnknownCode, "form: unknown code 4294967295");
    refused_after(|_, _, hsr| hsr.penalty = 2, |_| {}, Status::UnknownCode, "penalty: unknown code 2");
    let alpha = |_: &mut CPlan, _: &mut CBatch<f64>, hsr: &mut CHsr| {
        (hsr.penalty, hsr.sampling.alpha) = (FLATMIN_SAMPLED, 0.0);
    };
    let above = "alpha: 0 given, a number from 2⁻²⁰ to 1 expected";
    refused_after(alpha, |_| {}, Status::Hyperparameter, above);
    let negative = "rho: -1 given, a finite number that is not negative expected";
    refused_after(|_, _, hsr| hsr.rho = -1.0, |_| {}, Status::Hyperparameter, negative);
    let few = "batch: 5 samples given, the plan is for at most 4";
    refused_after(|plan, _, _| plan.samples = 4, |_| {}, Status::Samples, few);
    let one =
        "pair weights: 5 samples given for a data set of 2; expected at least 2, and no more than the data set has";
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
        move |_: &mut CPlan, batch: &mut CBatch<f64>, _: &mut CHsr| {
            (batch.classes, batch.classes_len) = (ptr::null(), 0);
            (batch.distributions, batch.distributions_len) = (targets.as_ptr(), targets.len());
        }
    };
    let entry = "targets: sample 1 gives class 2 the probability -0.5, expected a finite number that is not negative";
    refused_after(distributions(&NEGATIVE), |_| {}, Status::TargetEntry, entry);
    let sum = "targets: the probabilities of sample 2 sum to 0.75, expected 1";
    refused_after(distributions(&SHORT), |_| {}, Status::TargetSum, sum);
    let fast = |_: &mut CPlan, _: &mut CBatch<f64>, hsr: &mut CHsr| {
        (hsr.sgd.learning_rate, hsr.sgd.weight_decay) = (f64::MAX, 100.0);
    };
    refused_after(fast, |_| {}, Status::Overflow, "new parameters: overflows the range of the type");
    // A batch says nothing of its widths: another number of inputs is another length.
    let wide = |_: &mut CPlan, batch: &mut CBatch<f64>, _: &mut CHsr| batch.inputs_len = 10;
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
    assert_eq!(text(flatmin_status_message(3)), "an array that is written to overlaps another one");
    assert_eq!(text(flatmin_status_message(-1)), "not a status of flatmin");
    assert_eq!(text(flatmin_status_message(1000)), "not a status of flatmin");
}

/// Every quantity and step, by the C interface and by the crate, to the bit; for one number type.
macro_rules! agreement {
    (
        $test:ident, $real:ident:
        $loss:ident, $loss_gradient:ident, $curvature:ident, $trace:ident, $square:ident, $bound:ident, $hsr:ident,
        $product:ident, $dense:ident, $sgd_step:ident, $sam_step:ident, $hsr_step:ident
    ) => {
        #[test]
        fn $test() {
            let convert = |from: &[f64]| from.iter().map(|&x| x as $real).collect::<Vec<$real>>();
            let given = Given::new();
            let (mut theta, inputs) = (convert(&given.theta), convert(&given.inputs));
            let shape = Shape::new(SIZES[0], SIZES[1], SIZES[2]).unwrap();
            let distributions: Vec<$real> = [0.5, 0.25, 0.25].repeat(SAMPLES);
            let weights = PairWeights::DataSet { samples: 9 };
            for (soft, route, form, data_set) in [
                (false, Route::Pairs, Form::Tangent, false),
                (true, Route::Pairs, Form::Flat, true),
                (true, Route::Blocks, Form::Flat, false),
            ] {
                let targets =
                    if soft { Targets::Distributions(&distributions[..]) } else { Targets::Classes(&given.classes) };
                let batch = Batch::new(shape, &inputs, targets).unwrap();
                let plan = Plan::new(Network::new(shape, Activation::Silu), SAMPLES).unwrap();
                let plan = plan.with_form(form).unwrap().with_route(route).unwrap();
                let plan = if data_set { plan.with_pair_weights(weights) } else { plan };
                let mut c_plan = CPlan {
                    route: route as u32,
                    form: form as u32,
                    data_set: if data_set { 9 } else { 0 },
                    ..given.plan
                };
                // SAFETY: a valid plan.
                assert_eq!(unsafe { flatmin_plan_update(&mut c_plan) }, Status::Ok);
                assert_eq!(c_plan.workspace_len, plan.workspace_len());
                assert_eq!(c_plan.gradient_workspace_len, plan.gradient_workspace_len());
                let c_batch = CBatch {
                    inputs: inputs.as_ptr(),
                    inputs_len: inputs.len(),
                    classes: if soft { ptr::null() } else { given.classes.as_ptr() },
                    classes_len: if soft { 0 } else { SAMPLES },
                    distributions: if soft { distributions.as_ptr() } else { ptr::null() },
                    distributions_len: if soft { distributions.len() } else { 0 },
                };
                let size = theta.len();
                let mut space = vec![<$real>::NAN; plan.workspace_len()];
                let (mut own, mut theirs) = (vec![0.0; size], vec![0.0; size]);
                let (mut result, mut number) = (NOTHING, 0.0);
                let mut found = NOTHING.curvature;

                // SAFETY: all pointers lead to as many elements as said.
                unsafe {
                    let (p, b, t) = (&c_plan as *const _, &c_batch as *const _, theta.as_ptr());
                    let mut evaluation = CEvaluation { loss: 0.0, accuracy: 0.0 };
                    let (w, wl) = (space.as_mut_ptr(), space.len());
                    assert_eq!($loss(p, t, size, b, w, wl, &mut evaluation), Status::Ok);
                    let expected = flatmin::loss(&plan, &theta, &batch, &mut space).unwrap();
                    assert_eq!((evaluation.loss, evaluation.accuracy), (expected.loss, expected.accuracy));

                    let g = theirs.as_mut_ptr();
                    assert_eq!($loss_gradient(p, t, size, b, g, size, w, wl, &mut number), Status::Ok);
                    let loss = flatmin::loss_gradient(&plan, &theta, &batch, &mut own, &mut space).unwrap();
                    assert_eq!((number, &theirs), (loss, &own));

                    assert_eq!($curvature(p, t, size, b, w, wl, &mut found), Status::Ok);
                    same(&found, flatmin::curvature(&plan, &theta, &batch, &mut space).unwrap());

                    let g = theirs.as_mut_ptr();
                    assert_eq!($trace(p, t, size, b, g, size, w, wl, &mut number), Status::Ok);
                    let trace = flatmin::trace_gradient(&plan, &theta, &batch, &mut own, &mut space).unwrap();
                    assert_eq!((number, &theirs), (trace, &own));

                    let g = theirs.as_mut_ptr();
                    assert_eq!($square(p, t, size, b, g, size, w, wl, &mut found), Status::Ok);
                    same(
                        &found,
                        flatmin::trace_of_square_gradient(&plan, &theta, &batch, &mut own, &mut space).unwrap(),
                    );
                    assert_eq!(theirs, own);

                    let g = theirs.as_mut_ptr();
                    assert_eq!($bound(p, t, size, b, g, size, w, wl, &mut found), Status::Ok);
                    same(&found, flatmin::bound_gradient(&plan, &theta, &batch, &mut own, &mut space).unwrap());
                    assert_eq!(theirs, own);

                    for rho in [0.0, 0.3] {
                        let g = theirs.as_mut_ptr();
                        assert_eq!($hsr(p, t, size, b, rho, g, size, w, wl, &mut result), Status::Ok);
                        let objective =
                            flatmin::hsr_gradient(&plan, &theta, &batch, rho, &mut own, &mut space).unwrap();
                        same_step(
                            &result,
                            Step { loss: objective.loss, curvature: objective.curvature, estimate: None },
                        );
                        assert_eq!(theirs, own);
                    }

                    let v = inputs.as_ptr();
                    let vector = own.clone();
                    assert_eq!(vector.len(), size);
                    let g = theirs.as_mut_ptr();
                    assert_eq!($product(p, t, size, b, v, 1, g, size, w, wl), Status::Length);
                    assert_eq!($product(p, t, size, b, vector.as_ptr(), size, g, size, w, wl), Status::Ok);
                    flatmin::hessian_vector_product(&plan, &theta, &batch, &vector, &mut own, &mut space).unwrap();
                    assert_eq!(theirs, own);

                    let (mut dense, mut expected) = (vec![0.0; size * size], vec![0.0; size * size]);
                    assert_eq!($dense(p, t, size, b, dense.as_mut_ptr(), size * size, w, wl), Status::Ok);
                    flatmin::dense_hessian(&plan, &theta, &batch, &mut expected, &mut space).unwrap();
                    assert_eq!(dense, expected);
                }

                let sgd = Sgd { learning_rate: 0.1, momentum: 0.5, weight_decay: 0.01 };
                let (mut c_theta, mut velocity, mut c_velocity) = (theta.clone(), vec![0.0; size], vec![0.0; size]);
                let mut state = State::new(&mut velocity);
                let mut c_state =
                    CState { velocity: c_velocity.as_mut_ptr(), velocity_len: size, steps: 0, averages: AVERAGES };
                let (c_sam, c_unit) = (CSam { sgd: SGD, radius: 0.1 }, CHsr { direction: FLATMIN_UNIT, ..HSR });
                let c_sampled = CHsr { penalty: FLATMIN_SAMPLED, ..HSR };
                let sampling = Sampling { subset: NonZero::new(3), alpha: 0.5, beta: 0.9, ..Sampling::new(7) };
                let sampled = Hsr::sampled(sgd, 0.1, sampling);
                let mut needed = 0;
                // SAFETY: valid structures, memory for a number.
                assert_eq!(unsafe { flatmin_hsr_workspace_len(&c_plan, &c_sampled, &mut needed) }, Status::Ok);
                assert_eq!(needed, sampled.workspace_len(&plan).unwrap());
                space.resize(needed.max(space.len()), 0.0);
                let unit = Hsr { direction: flatmin::Direction::Unit, ..Hsr::new(sgd, 0.1) };
                let (w, wl) = (space.as_mut_ptr(), space.len());
                for round in 0..6 {
                    let (p, b, t, s) = (&c_plan, &c_batch, c_theta.as_mut_ptr(), &mut c_state);
                    // SAFETY: as above.
                    let status = unsafe {
                        match round {
                            0 => $sgd_step(p, &SGD, t, size, b, s, w, wl, &mut result),
                            1 => $sam_step(p, &c_sam, t, size, b, s, w, wl, &mut result),
                            2 => $hsr_step(p, &HSR, t, size, b, s, w, wl, &mut result),
                            3 | 4 => $hsr_step(p, &c_sampled, t, size, b, s, w, wl, &mut result),
                            _ => $hsr_step(p, &c_unit, t, size, b, s, w, wl, &mut result),
                        }
                    };
                    assert_eq!(status, Status::Ok);
                    let mut own_space = vec![<$real>::NAN; wl];
                    let space = &mut own_space[..];
                    let step = match round {
                        0 => sgd.step(&plan, &mut theta, &batch, &mut state, space),
                        1 => Sam::new(sgd, 0.1).step(&plan, &mut theta, &batch, &mut state, space),
                        2 => Hsr::new(sgd, 0.1).step(&plan, &mut theta, &batch, &mut state, space),
                        3 | 4 => sampled.step(&plan, &mut theta, &batch, &mut state, space),
                        _ => unit.step(&plan, &mut theta, &batch, &mut state, space),
                    };
                    same_step(&result, step.unwrap());
                    assert_eq!(c_theta, theta);
                    assert_eq!(c_velocity, &*state.velocity);
                    assert_eq!(c_state.steps, state.steps);
                    assert_eq!(c_state.averages.trace, state.averages.trace);
                    assert_eq!(c_state.averages.trace_of_square, state.averages.trace_of_square);
                    assert_eq!(c_state.averages.count, state.averages.count);
                }
            }
        }
    };
}

fn same(found: &CCurvature, expected: flatmin::Curvature) {
    let traces = expected.traces;
    assert_eq!((found.trace, found.trace_of_square), (traces.trace(), traces.trace_of_square()));
    assert_eq!((found.output, found.hidden), (traces.output, traces.hidden));
    assert_eq!(found.output_square, traces.output_square);
    assert_eq!(found.cross_square, traces.cross_square);
    assert_eq!(found.hidden_square, traces.hidden_square);
    assert_eq!(found.bounds.lambda_max_upper, expected.bounds.lambda_max_upper);
    assert_eq!(found.bounds.lambda_max_lower, expected.bounds.lambda_max_lower);
    assert_eq!(found.bounds.lambda_min_upper, expected.bounds.lambda_min_upper);
    assert_eq!(found.bounds.lambda_min_lower, expected.bounds.lambda_min_lower);
    assert_eq!(found.differentiable, expected.differentiable);
}

fn same_step(found: &CStep, expected: Step) {
    assert_eq!(found.loss, expected.loss);
    assert_eq!(found.has_curvature, expected.curvature.is_some());
    let estimate = expected.estimate.unwrap_or_default();
    assert_eq!(found.has_estimate, expected.estimate.is_some());
    assert_eq!((found.estimate.trace, found.estimate.trace_of_square), (estimate.trace, estimate.trace_of_square));
    assert_eq!((found.estimate.kept, found.estimate.weight), (estimate.kept, estimate.weight));
    match expected.curvature {
        Some(expected) => same(&found.curvature, expected),
        None => assert_eq!(found.curvature, CCurvature::default()),
    }
}

agreement! {
    f32_is_that_of_the_crate_to_the_bit, f32:
    flatmin_loss_f32, flatmin_loss_gradient_f32, flatmin_curvature_f32, flatmin_trace_gradient_f32,
    flatmin_trace_of_square_gradient_f32, flatmin_bound_gradient_f32, flatmin_hsr_gradient_f32,
    flatmin_hessian_vector_product_f32, flatmin_dense_hessian_f32, flatmin_sgd_step_f32, flatmin_sam_step_f32,
    flatmin_hsr_step_f32
}

agreement! {
    f64_is_that_of_the_crate_to_the_bit, f64:
    flatmin_loss_f64, flatmin_loss_gradient_f64, flatmin_curvature_f64, flatmin_trace_gradient_f64,
    flatmin_trace_of_square_gradient_f64, flatmin_bound_gradient_f64, flatmin_hsr_gradient_f64,
    flatmin_hessian_vector_product_f64, flatmin_dense_hessian_f64, flatmin_sgd_step_f64, flatmin_sam_step_f64,
    flatmin_hsr_step_f64
}
