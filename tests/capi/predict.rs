//! Initialisation and predictions, by the C interface and by the crate, to the bit; and arguments that are refused.

use std::ptr;

use flatmin::capi::*;
use flatmin::{Activation, Initialization, Network, Plan, Shape};

use super::{Given, SAMPLES, SIZES, last_error};

/// The numbers of logits or of probabilities.
const NUMBERS: usize = SAMPLES * SIZES[2];

/// The test of one number type.
macro_rules! agreement {
    ($test:ident, $real:ident: $initialize:ident, $logits:ident, $probabilities:ident, $classes:ident) => {
        #[test]
        fn $test() {
            let given = Given::new();
            let inputs: Vec<$real> = given.inputs.iter().map(|&x| x as $real).collect();
            let network = Network::new(Shape::new(SIZES[0], SIZES[1], SIZES[2]).unwrap(), Activation::Silu);
            let plan = Plan::new(network, SAMPLES).unwrap();
            let space = || vec![<$real>::NAN; plan.gradient_workspace_len()];
            for (code, rule) in (0..).zip(Initialization::ALL) {
                let mut theta = vec![<$real>::NAN; given.theta.len()];
                let mut own = theta.clone();
                // SAFETY: a valid plan; pointers and lengths of vectors, here and below.
                let status = unsafe { $initialize(&given.plan, code, u64::MAX, theta.as_mut_ptr(), theta.len()) };
                network.initialize_by(rule, &mut own, u64::MAX).unwrap();
                assert_eq!((status, &theta), (Status::Ok, &own));

                for samples in [1, SAMPLES] {
                    let inputs = &inputs[..samples * SIZES[0]];
                    let (t, tl, x, xl) = (theta.as_ptr(), theta.len(), inputs.as_ptr(), inputs.len());
                    let mut theirs = vec![<$real>::NAN; samples * SIZES[2]];
                    let (mut own, mut c_tops, mut tops) = (theirs.clone(), vec![9; samples], vec![9; samples]);
                    let (o, ol, mut memory) = (theirs.as_mut_ptr(), theirs.len(), space());
                    let (w, wl) = (memory.as_mut_ptr(), memory.len());
                    // SAFETY: as above.
                    assert_eq!(unsafe { $logits(&given.plan, t, tl, x, xl, o, ol, w, wl) }, Status::Ok);
                    flatmin::logits(&plan, &theta, inputs, &mut own, &mut space()).unwrap();
                    assert_eq!(theirs, own);

                    let o = theirs.as_mut_ptr();
                    // SAFETY: as above.
                    assert_eq!(unsafe { $probabilities(&given.plan, t, tl, x, xl, o, ol, w, wl) }, Status::Ok);
                    flatmin::probabilities(&plan, &theta, inputs, &mut own, &mut space()).unwrap();
                    assert_eq!(theirs, own);

                    let o = c_tops.as_mut_ptr();
                    // SAFETY: as above.
                    assert_eq!(unsafe { $classes(&given.plan, t, tl, x, xl, o, samples, w, wl) }, Status::Ok);
                    flatmin::classes(&plan, &theta, inputs, &mut tops, &mut space()).unwrap();
                    assert_eq!(c_tops, tops);
                }
            }
        }
    };
}

agreement! {
    f32_is_that_of_the_crate_to_the_bit, f32:
    flatmin_initialize_f32, flatmin_logits_f32, flatmin_probabilities_f32, flatmin_classes_f32
}

agreement! {
    f64_is_that_of_the_crate_to_the_bit, f64:
    flatmin_initialize_f64, flatmin_logits_f64, flatmin_probabilities_f64, flatmin_classes_f64
}

/// Arguments of a prediction, to be spoiled one at a time. The output has room for numbers and for classes.
#[derive(Clone, Copy)]
struct Arguments {
    plan: *const CPlan,
    theta: *mut f64,
    theta_len: usize,
    inputs: *mut f64,
    inputs_len: usize,
    output: *mut f64,
    output_len: usize,
    workspace: *mut f64,
    workspace_len: usize,
}

/// Each prediction has to refuse spoiled arguments with this status, and to write nothing. In the message `output` stands for its name.
fn refused(spoil: impl Fn(&mut Arguments), status: Status, message: &str) {
    for name in ["logits", "probabilities", "classes"] {
        let mut given = Given::new();
        let mut output = vec![0.5; NUMBERS];
        let mut arguments = Arguments {
            plan: &given.plan,
            theta: given.theta.as_mut_ptr(),
            theta_len: given.theta.len(),
            inputs: given.inputs.as_mut_ptr(),
            inputs_len: given.inputs.len(),
            output: output.as_mut_ptr(),
            output_len: if name == "classes" { SAMPLES } else { NUMBERS },
            workspace: given.workspace.as_mut_ptr(),
            workspace_len: given.workspace.len(),
        };
        spoil(&mut arguments);
        let Arguments { plan, theta, theta_len, inputs, inputs_len, output: out, output_len, workspace, workspace_len } =
            arguments;
        // SAFETY: pointers and lengths are those of vectors, or ones that the function has to refuse.
        let found = unsafe {
            match name {
                "logits" => flatmin_logits_f64(
                    plan,
                    theta,
                    theta_len,
                    inputs,
                    inputs_len,
                    out,
                    output_len,
                    workspace,
                    workspace_len,
                ),
                "probabilities" => flatmin_probabilities_f64(
                    plan,
                    theta,
                    theta_len,
                    inputs,
                    inputs_len,
                    out,
                    output_len,
                    workspace,
                    workspace_len,
                ),
                _ => flatmin_classes_f64(
                    plan,
                    theta,
                    theta_len,
                    inputs,
                    inputs_len,
                    out.cast(),
                    output_len,
                    workspace,
                    workspace_len,
                ),
            }
        };
        assert_eq!(
            (found, last_error()),
            (status, message.replace("output:", &format!("{name}:")).replace("output ", &format!("{name} "))),
            "{name}"
        );
        assert!(output.iter().all(|&x| x == 0.5), "{name}: {message}");
    }
}

#[test]
fn bad_arguments_of_predictions_are_refused() {
    use Status::{Length, Misaligned, NotFinite, NullPointer, Overlap, Samples, TooLarge, TooSmall, Workspace};
    refused(|a| a.plan = ptr::null(), NullPointer, "plan: null");
    refused(|a| a.theta = ptr::null_mut(), NullPointer, "theta: null");
    refused(|a| a.inputs = ptr::null_mut(), NullPointer, "inputs: null");
    refused(|a| a.output = ptr::null_mut(), NullPointer, "output: null");
    refused(|a| a.workspace = ptr::null_mut(), NullPointer, "workspace: null");
    refused(|a| a.inputs = a.inputs.wrapping_byte_add(4), Misaligned, "inputs: not aligned as its type");
    refused(|a| a.output = a.output.wrapping_byte_add(2), Misaligned, "output: not aligned as its type");
    let overlap = |one: &str, other: &str| format!("{one} and {other}: overlap, and one of them is written to");
    refused(|a| (a.output, a.output_len) = (a.inputs, 1), Overlap, &overlap("inputs", "output"));
    refused(|a| (a.output, a.output_len) = (a.workspace, 1), Overlap, &overlap("output", "workspace"));
    refused(|a| (a.theta, a.theta_len) = (a.output, 1), Overlap, &overlap("theta", "output"));
    refused(|a| a.inputs_len = usize::MAX, TooLarge, "inputs: longer than memory can address");

    refused(|a| a.theta_len -= 1, Length, "theta: length 30 given, 31 expected");
    refused(|a| a.inputs_len -= 1, Length, "inputs: length 14 given, 12 expected");
    refused(|a| a.inputs_len = 0, TooSmall, "samples: 0 given, at least 1 expected");
    let mut few = super::new_plan();
    few.samples = 4;
    // SAFETY: a plan.
    assert_eq!(unsafe { flatmin_plan_update(&mut few) }, Status::Ok);
    refused(|a| a.plan = &few, Samples, "batch: 5 samples given, the plan is for at most 4");
    let needed = super::new_plan().gradient_workspace_len;
    let short = format!("workspace: length {} given, at least {needed} expected", needed - 1);
    refused(|a| a.workspace_len = needed - 1, Workspace, &short);
    // SAFETY: θ and the inputs are valid.
    refused(|a| unsafe { *a.theta.add(3) = f64::NAN }, NotFinite, "theta: entry 3 is NaN or infinite");
    // SAFETY: as above.
    refused(|a| unsafe { *a.inputs.add(7) = f64::INFINITY }, NotFinite, "inputs: entry 7 is NaN or infinite");
}

#[test]
fn logits_that_overflow_are_refused() {
    fn overflow(a: &mut Arguments) {
        // SAFETY: θ is valid.
        let theta = unsafe { std::slice::from_raw_parts_mut(a.theta, a.theta_len) };
        let shape = Shape::new(SIZES[0], SIZES[1], SIZES[2]).unwrap();
        theta[shape.hidden_weight()].fill(0.0);
        theta[shape.hidden_bias()].fill(5.0);
        theta[shape.output_weight()].fill(f64::MAX);
    }
    // All three compute logits.
    let message = "logits: overflows the range of the type";
    refused(overflow, Status::Overflow, message);
}

#[test]
fn bad_arguments_of_initialisation_are_refused() {
    let (mut given, plan) = (Given::new(), super::new_plan());
    let (theta, before) = (given.theta.as_mut_ptr(), given.theta.clone());
    let size = given.theta.len();
    // SAFETY: null, misaligned, or a vector.
    unsafe {
        let refused = |plan: *const CPlan, code, theta: *mut f64, len, status, message: &str| {
            assert_eq!(flatmin_initialize_f64(plan, code, 1, theta, len), status);
            assert_eq!(last_error(), message);
        };
        refused(ptr::null(), 0, theta, size, Status::NullPointer, "plan: null");
        refused(&plan, 0, ptr::null_mut(), size, Status::NullPointer, "theta: null");
        let misaligned = theta.wrapping_byte_add(4);
        refused(&plan, 0, misaligned, size, Status::Misaligned, "theta: not aligned as its type");
        refused(&plan, 2, theta, size, Status::UnknownCode, "initialization: unknown code 2");
        refused(&plan, 1, theta, size - 1, Status::Length, "theta: length 30 given, 31 expected");
        let within = (&raw const plan).cast_mut().cast();
        let overlap = "plan and theta: overlap, and one of them is written to";
        refused(&plan, 0, within, 1, Status::Overlap, overlap);
    }
    assert_eq!(given.theta, before);
}
