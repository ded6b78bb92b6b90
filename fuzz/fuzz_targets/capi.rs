//! The C interface, given pointers that are null, misaligned or overlap, and sizes and codes of any kind: no panic, no access outside of
//! what it was given, the status that the spoilt argument deserves, and after an error nothing written.
#![no_main]

mod input;

use std::mem::size_of;
use std::ptr;

use arbitrary::{Result, Unstructured};
use flatmin::capi::*;
use flatmin::{Activation, Form, Initialization, Route};
use input::{len, number, numbers, size};
use libfuzzer_sys::fuzz_target;

/// A code: mostly one of so many that there are.
fn code(bytes: &mut Unstructured<'_>, known: usize) -> Result<u32> {
    Ok(if bytes.arbitrary::<u8>()? < 245 { bytes.arbitrary::<u32>()? % known as u32 } else { bytes.arbitrary()? })
}

/// All methods. A test in `src/capi/codes.rs` fails where there are more.
const METHODS: [u32; 3] = [FLATMIN_PLAIN, FLATMIN_SAM, FLATMIN_HSR];

/// All updates likewise.
const UPDATES: [u32; 4] = [FLATMIN_SGD, FLATMIN_NESTEROV, FLATMIN_ADAM, FLATMIN_ADAMW];

/// All directions likewise.
const DIRECTIONS: [u32; 2] = [FLATMIN_GRADIENT, FLATMIN_UNIT];

/// All penalties likewise.
const PENALTIES: [u32; 2] = [FLATMIN_EXACT, FLATMIN_SAMPLED];

/// A structure, with memory behind it that a later version's fields may take.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Debug)]
struct Longer<S> {
    structure: S,
    tail: [u64; 2],
}

/// What is wrong with a structure's size.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Size {
    /// Nothing.
    Right,
    /// It is that of no version.
    Wrong,
    /// It goes beyond what this version knows, and there is nothing.
    Zeros,
    /// The same, and there is a field in use.
    Used,
}

impl<S> Longer<S> {
    /// The structure, mostly with the size that it has.
    fn new(structure: S, bytes: &mut Unstructured<'_>) -> Result<(Self, Size)> {
        let mut made = Self { structure, tail: [0; 2] };
        let own = size_of::<S>();
        let (size, kind) = match bytes.arbitrary::<u8>()? {
            0..236 => return Ok((made, Size::Right)),
            236..240 => (own - 8, Size::Wrong),
            240..244 => match bytes.arbitrary()? {
                // No more than there is memory for, but by way of a size that is refused unread.
                size if size == own || size == own + 8 || size == own + 16 => (0, Size::Wrong),
                size if size > own && size <= 4096 && size % 8 == 0 => (1, Size::Wrong),
                size => (size, Size::Wrong),
            },
            244..250 => (own + 16, Size::Zeros),
            _ => (own + 16, Size::Used),
        };
        if kind == Size::Used {
            made.tail[usize::from(bytes.arbitrary::<bool>()?)] = 1 << (bytes.arbitrary::<u8>()? % 64);
        }
        // SAFETY: the first field of every structure.
        unsafe { made.pointer().cast::<usize>().write(size) };
        Ok((made, kind))
    }

    fn pointer(&mut self) -> *mut S {
        ptr::from_mut(self).cast()
    }
}

/// What may be wrong with a pointer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Spoilt {
    Not,
    Null,
    Misaligned,
    /// It leads to what another argument leads to.
    Overlapping,
}

fn spoilt(bytes: &mut Unstructured<'_>) -> Result<Spoilt> {
    Ok(match bytes.arbitrary::<u8>()? {
        0..235 => Spoilt::Not,
        235..242 => Spoilt::Null,
        242..249 => Spoilt::Misaligned,
        _ => Spoilt::Overlapping,
    })
}

impl Spoilt {
    fn of<T>(self, good: *mut T, other: *mut T) -> *mut T {
        match self {
            Self::Not => good,
            Self::Null => ptr::null_mut(),
            Self::Misaligned => good.wrapping_byte_add(1),
            Self::Overlapping => other,
        }
    }
}

fn run(bytes: &mut Unstructured<'_>) -> Result<()> {
    let mut plan = CPlan::default();
    let [inputs, hidden, classes, samples] = [size(bytes)?, size(bytes)?, size(bytes)?, size(bytes)?];
    let activation = code(bytes, Activation::ALL.len())?;
    // SAFETY: a plan.
    if unsafe { flatmin_plan_new(inputs, hidden, classes, activation, samples, &mut plan) } != Status::Ok {
        return Ok(());
    }
    (plan.route, plan.form) = (code(bytes, Route::ALL.len())?, code(bytes, Form::ALL.len())?);
    plan.data_set = if bytes.arbitrary()? { 0 } else { size(bytes)? };
    let unchanged = plan;
    // SAFETY: a plan.
    if unsafe { flatmin_plan_update(&mut plan) } != Status::Ok {
        return Ok(assert_eq!(plan, unchanged, "changed in spite of an error"));
    }
    // The functions go by the fields up to `data_set` alone, whatever the others hold.
    let lengths = plan;
    if bytes.arbitrary()? {
        (plan.parameters, plan.workspace_len, plan.gradient_workspace_len) = (size(bytes)?, size(bytes)?, size(bytes)?);
    }
    const LARGEST: usize = 1 << 15;
    // A data set may have so many samples more than the plan.
    const MORE: usize = 32;
    if lengths.workspace_len > LARGEST || (samples + MORE) * inputs > LARGEST {
        return Ok(());
    }

    let count = len(bytes, lengths.parameters)?;
    let mut theta: Vec<f64> = numbers(bytes, count)?;
    let which = bytes.arbitrary::<u8>()? % 26;
    let (of_data_set, is_step) = ((13..18).contains(&which), which >= 18);
    let more = if of_data_set { usize::from(bytes.arbitrary::<u8>()?) % MORE } else { 0 };
    let given = len(bytes, samples + more)?;
    let count = len(bytes, given * inputs)?;
    let x: Vec<f64> = numbers(bytes, count)?;
    let list: [u8; 8] = bytes.arbitrary()?;
    let classes: Vec<u32> =
        (0..given).map(|i| u32::from(list[i % 8]) % (classes as u32 + u32::from(list[0] > 250))).collect();
    let mut vector: Vec<f64> = numbers(bytes, lengths.parameters)?;
    let mut output = vec![1.0; len(bytes, lengths.parameters)?];
    let mut predicted = vec![1.0; len(bytes, given * lengths.classes)?];
    let mut tops = vec![1; len(bytes, given)?];
    let optimizer = COptimizer {
        method: code(bytes, METHODS.len())?,
        update: code(bytes, UPDATES.len())?,
        learning_rate: number(bytes)?,
        momentum: if bytes.arbitrary()? { 0.9 } else { number(bytes)? },
        beta1: if bytes.arbitrary()? { 0.9 } else { number(bytes)? },
        beta2: if bytes.arbitrary()? { 0.999 } else { number(bytes)? },
        epsilon: if bytes.arbitrary()? { 1e-8 } else { number(bytes)? },
        clip: if bytes.arbitrary()? { 0.0 } else { number(bytes)? },
        weight_decay: number(bytes)?,
        weights_only: code(bytes, 2)?,
        direction: code(bytes, DIRECTIONS.len())?,
        radius: number(bytes)?,
        rho: number(bytes)?,
        every: bytes.arbitrary()?,
        penalty: code(bytes, PENALTIES.len())?,
        sketch: code(bytes, 2)?,
        subset: size(bytes)? as u64,
        alpha: if bytes.arbitrary()? { 0.1 } else { number(bytes)? },
        beta: if bytes.arbitrary()? { 0.9 } else { number(bytes)? },
        own_share: if bytes.arbitrary()? { 1.0 } else { number(bytes)? },
        limited_share: if bytes.arbitrary()? { 0.2 } else { number(bytes)? },
        seed: bytes.arbitrary()?,
        ..COptimizer::default()
    };
    let (mut needed, mut moments_len) = (0, 0);
    // SAFETY: valid structures, memory for a number.
    let status = unsafe { flatmin_optimizer_workspace_len(&lengths, &optimizer, &mut needed) };
    assert!(status == Status::Ok || needed == 0, "wrote in spite of {status:?}");
    // SAFETY: the same.
    let status = unsafe { flatmin_optimizer_moments_len(&lengths, &optimizer, &mut moments_len) };
    assert!(status == Status::Ok || moments_len == 0, "wrote in spite of {status:?}");
    let mut moments = vec![0.0; len(bytes, moments_len)?];
    let mut whole = 0;
    // SAFETY: the same.
    let status = unsafe { flatmin_data_set_workspace_len(&lengths, &mut whole) };
    assert!(status == Status::Ok || whole == 0, "wrote in spite of {status:?}");
    let needed = if of_data_set { whole } else { needed };
    if needed > 4 * LARGEST {
        return Ok(());
    }
    let mut workspace = vec![f64::NAN; len(bytes, lengths.workspace_len.max(needed))?];
    let faults: [Spoilt; 7] = [
        spoilt(bytes)?,
        spoilt(bytes)?,
        spoilt(bytes)?,
        spoilt(bytes)?,
        spoilt(bytes)?,
        spoilt(bytes)?,
        spoilt(bytes)?,
    ];

    let mut batch = CBatch {
        inputs: faults[0].of(x.as_ptr().cast_mut(), workspace.as_mut_ptr()),
        inputs_len: x.len(),
        classes: faults[1].of(classes.as_ptr().cast_mut(), workspace.as_mut_ptr().cast()),
        classes_len: classes.len(),
        ..CBatch::default()
    };
    if bytes.arbitrary::<u8>()? > 250 {
        // Lengths that no memory has are refused before they are used.
        batch.inputs_len = usize::MAX / 8 + usize::from(bytes.arbitrary::<u8>()?);
    }
    let (inputs, inputs_len) = (batch.inputs, batch.inputs_len);
    let theta_len = if bytes.arbitrary::<u8>()? > 250 { usize::MAX / 4 } else { theta.len() };
    let state = CState {
        moments: faults[2].of(moments.as_mut_ptr(), theta.as_mut_ptr()),
        moments_len: moments.len(),
        ..CState::default()
    };
    let (mut plan, plan_size) = Longer::new(plan, bytes)?;
    let (mut batch, batch_size) = Longer::new(batch, bytes)?;
    let (mut state, state_size) = Longer::new(state, bytes)?;
    let (mut optimizer, optimizer_size) = Longer::new(optimizer, bytes)?;
    let (mut evaluation, evaluation_size) = Longer::new(CEvaluation::default(), bytes)?;
    let (mut curvature, curvature_size) = Longer::new(CCurvature::default(), bytes)?;
    let (mut step, step_size) = Longer::new(CStep::default(), bytes)?;

    let before = (theta.clone(), output.clone(), moments.clone(), state);
    // An update takes no workspace.
    let other = if which == 8 { output.as_mut_ptr() } else { workspace.as_mut_ptr() };
    let in_theta = faults[3].of(theta.as_mut_ptr(), other);
    let out = faults[4].of(output.as_mut_ptr(), in_theta);
    let (prediction, top) =
        (faults[4].of(predicted.as_mut_ptr(), in_theta), faults[4].of(tops.as_mut_ptr(), in_theta.cast()));
    let space = faults[5].of(workspace.as_mut_ptr(), theta.as_mut_ptr());
    let plan_pointer: *const CPlan = if faults[6] == Spoilt::Null { ptr::null() } else { plan.pointer() };
    // Where parameters are drawn, θ is no other argument to overlap.
    let drawn = faults[4].of(output.as_mut_ptr(), plan_pointer.cast_mut().cast());
    let (batch_pointer, state_pointer, step_pointer) = (batch.pointer(), state.pointer(), step.pointer());
    let (space_len, out_len) = (workspace.len(), output.len());
    // An overlapping pointer may lead to less than its length says: refused before it is followed.
    let results = (evaluation, curvature, step);
    let (mut value, rho) = (0.0, number(bytes)?);
    let (initialization, seed) = (code(bytes, Initialization::ALL.len())?, bytes.arbitrary()?);
    // SAFETY: every pointer leads to as much as its length says, or is one that has to be refused.
    let status = unsafe {
        match which {
            0 => flatmin_loss_f64(
                plan_pointer,
                in_theta,
                theta_len,
                batch_pointer,
                space,
                space_len,
                evaluation.pointer(),
            ),
            1 => flatmin_loss_gradient_f64(
                plan_pointer,
                in_theta,
                theta_len,
                batch_pointer,
                out,
                out_len,
                space,
                space_len,
                &mut value,
            ),
            2 => flatmin_curvature_f64(
                plan_pointer,
                in_theta,
                theta_len,
                batch_pointer,
                space,
                space_len,
                curvature.pointer(),
            ),
            3 => flatmin_trace_gradient_f64(
                plan_pointer,
                in_theta,
                theta_len,
                batch_pointer,
                out,
                out_len,
                space,
                space_len,
                &mut value,
            ),
            4 => flatmin_trace_of_square_gradient_f64(
                plan_pointer,
                in_theta,
                theta_len,
                batch_pointer,
                out,
                out_len,
                space,
                space_len,
                curvature.pointer(),
            ),
            5 => flatmin_bound_gradient_f64(
                plan_pointer,
                in_theta,
                theta_len,
                batch_pointer,
                out,
                out_len,
                space,
                space_len,
                curvature.pointer(),
            ),
            6 => flatmin_hsr_gradient_f64(
                plan_pointer,
                in_theta,
                theta_len,
                batch_pointer,
                rho,
                out,
                out_len,
                space,
                space_len,
                step_pointer,
            ),
            7 => flatmin_hessian_vector_product_f64(
                plan_pointer,
                in_theta,
                theta_len,
                batch_pointer,
                vector.as_mut_ptr(),
                vector.len(),
                out,
                out_len,
                space,
                space_len,
            ),
            8 => {
                flatmin_update_f64(plan_pointer, optimizer.pointer(), in_theta, theta_len, out, out_len, state_pointer)
            }
            9 => flatmin_logits_f64(
                plan_pointer,
                in_theta,
                theta_len,
                inputs,
                inputs_len,
                prediction,
                predicted.len(),
                space,
                space_len,
            ),
            10 => flatmin_probabilities_f64(
                plan_pointer,
                in_theta,
                theta_len,
                inputs,
                inputs_len,
                prediction,
                predicted.len(),
                space,
                space_len,
            ),
            11 => flatmin_classes_f64(
                plan_pointer,
                in_theta,
                theta_len,
                inputs,
                inputs_len,
                top,
                tops.len(),
                space,
                space_len,
            ),
            12 => flatmin_initialize_f64(plan_pointer, initialization, seed, drawn, out_len),
            13 => flatmin_data_set_loss_f64(
                plan_pointer,
                in_theta,
                theta_len,
                batch_pointer,
                space,
                space_len,
                evaluation.pointer(),
            ),
            14 => flatmin_data_set_curvature_f64(
                plan_pointer,
                in_theta,
                theta_len,
                batch_pointer,
                space,
                space_len,
                curvature.pointer(),
            ),
            15 => flatmin_data_set_curvature_estimate_f64(
                plan_pointer,
                in_theta,
                theta_len,
                batch_pointer,
                space,
                space_len,
                curvature.pointer(),
            ),
            16 => flatmin_data_set_loss_gradient_f64(
                plan_pointer,
                in_theta,
                theta_len,
                batch_pointer,
                out,
                out_len,
                space,
                space_len,
                &mut value,
            ),
            17 => flatmin_data_set_hessian_vector_product_f64(
                plan_pointer,
                in_theta,
                theta_len,
                batch_pointer,
                vector.as_mut_ptr(),
                vector.len(),
                out,
                out_len,
                space,
                space_len,
            ),
            // The most of them: an optimizer has the most ways.
            _ => flatmin_step_f64(
                plan_pointer,
                optimizer.pointer(),
                in_theta,
                theta_len,
                batch_pointer,
                state_pointer,
                space,
                space_len,
                step_pointer,
            ),
        }
    };
    assert_ne!(status, Status::Internal, "function {which}");
    let has_output = matches!(which, 1 | 3..=8 | 12 | 16 | 17);
    if status == Status::Ok {
        // Nothing may have been wrong that the function looks at.
        let (has_batch, has_inputs) = (which < 8 || of_data_set || is_step, !matches!(which, 8 | 12));
        for (looked_at, fault, len) in [
            (has_inputs, faults[0], x.len()),
            (has_batch, faults[1], given),
            (which == 8 || is_step, faults[2], moments.len()),
            (which != 12, faults[3], theta.len()),
            (has_output, faults[4], output.len()),
            (matches!(which, 9 | 10), faults[4], predicted.len()),
            (which == 11, faults[4], tops.len()),
            (has_inputs, faults[5], space_len),
        ] {
            assert!(!looked_at || len == 0 || fault == Spoilt::Not, "function {which} accepted {faults:?}");
        }
        assert!(faults[6] != Spoilt::Null, "function {which} accepted {faults:?}");
        let read = match which {
            8 => vec![plan_size, state_size, optimizer_size],
            9..=12 => vec![plan_size],
            18.. => vec![plan_size, batch_size, state_size, optimizer_size],
            _ => vec![plan_size, batch_size],
        };
        assert!(
            read.iter().all(|size| matches!(size, Size::Right | Size::Zeros)),
            "function {which} accepted {read:?}"
        );
        let (written, tail) = match which {
            0 | 13 => (evaluation_size, evaluation.tail),
            2 | 4 | 5 | 14 | 15 => (curvature_size, curvature.tail),
            6 | 18.. => (step_size, step.tail),
            _ => (Size::Right, [0; 2]),
        };
        // Whatever was behind a result of a later version's size, zeros are now.
        assert!(written != Size::Wrong && tail == [0; 2], "function {which} left {tail:?} behind a {written:?} result");
        let any_number = of_data_set || matches!(which, 8 | 12);
        assert!(any_number || given <= samples, "function {which} accepted {given} samples, the plan is for {samples}");
        // Of an update's gradient, which is scratch, nothing is said.
        let output = if which == 8 { &[] } else { &output[..] };
        let theta = if which == 12 { &[] } else { &theta[..] };
        let mut written = theta.iter().chain(&moments).chain(output).chain(&predicted);
        assert!(written.all(|entry| entry.is_finite()), "function {which}");
        assert!(which != 11 || tops.iter().all(|&top| (top as usize) < lengths.classes), "{tops:?}");
        return Ok(());
    }
    assert!((evaluation, curvature, step) == results && value == 0.0, "function {which} wrote a result");
    let same = |one: &[f64], other: &[f64]| one.iter().zip(other).all(|(x, y)| x.to_bits() == y.to_bits());
    let kept = same(&theta, &before.0) && (which == 8 || same(&output, &before.1)) && same(&moments, &before.2);
    let kept = kept && predicted.iter().all(|&x| x == 1.0) && tops.iter().all(|&top| top == 1);
    assert!(kept && state == before.3, "function {which} wrote something in spite of {status:?}");
    let mut message = [1u8; 300];
    // SAFETY: as long as said.
    unsafe { flatmin_last_error(message.as_mut_ptr().cast(), message.len()) };
    assert!(message[0] != 0 && message.contains(&0), "no message for {status:?}");
    Ok(())
}

fuzz_target!(|bytes: &[u8]| {
    let _ = run(&mut Unstructured::new(bytes));
});
