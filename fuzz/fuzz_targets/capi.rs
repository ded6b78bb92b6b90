//! The C interface, given pointers that are null, misaligned or overlap, and sizes and codes of any kind: no panic, no access outside of
//! what it was given, the status that the spoilt argument deserves, and after an error nothing written.
#![no_main]

mod input;

use std::ptr;

use arbitrary::{Result, Unstructured};
use flatmin::capi::*;
use input::{len, number, numbers, size};
use libfuzzer_sys::fuzz_target;

/// A code: mostly one that there is.
fn code(bytes: &mut Unstructured<'_>, known: u32) -> Result<u32> {
    Ok(if bytes.arbitrary::<u8>()? < 245 { bytes.arbitrary::<u32>()? % known } else { bytes.arbitrary()? })
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
    let mut plan = std::mem::MaybeUninit::<CPlan>::uninit();
    let [inputs, hidden, classes, samples] = [size(bytes)?, size(bytes)?, size(bytes)?, size(bytes)?];
    let activation = code(bytes, 6)?;
    // SAFETY: memory for a plan.
    if unsafe { flatmin_plan_new(inputs, hidden, classes, activation, samples, plan.as_mut_ptr()) } != Status::Ok {
        return Ok(());
    }
    // SAFETY: written, as the status says.
    let mut plan = unsafe { plan.assume_init() };
    (plan.route, plan.form) = (code(bytes, 2)?, code(bytes, 2)?);
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
    if lengths.workspace_len > LARGEST || samples * inputs > LARGEST {
        return Ok(());
    }

    let count = len(bytes, lengths.parameters)?;
    let mut theta: Vec<f64> = numbers(bytes, count)?;
    let given = len(bytes, samples)?;
    let count = len(bytes, given * inputs)?;
    let x: Vec<f64> = numbers(bytes, count)?;
    let list: [u8; 8] = bytes.arbitrary()?;
    let classes: Vec<u32> =
        (0..given).map(|i| u32::from(list[i % 8]) % (classes as u32 + u32::from(list[0] > 250))).collect();
    let mut vector: Vec<f64> = numbers(bytes, lengths.parameters)?;
    let mut output = vec![1.0; len(bytes, lengths.parameters)?];
    let mut velocity = vec![0.0; if bytes.arbitrary()? { lengths.parameters } else { 0 }];
    let sgd = CSgd { learning_rate: number(bytes)?, momentum: number(bytes)?, weight_decay: number(bytes)? };
    let sampling = CSampling {
        subset: size(bytes)?,
        sketch: code(bytes, 2)?,
        reserved: bytes.arbitrary()?,
        alpha: if bytes.arbitrary()? { 0.1 } else { number(bytes)? },
        beta: if bytes.arbitrary()? { 0.9 } else { number(bytes)? },
        guard: if bytes.arbitrary()? { 0.25 } else { number(bytes)? },
        seed: bytes.arbitrary()?,
    };
    let (direction, penalty) = (code(bytes, 2)?, code(bytes, 2)?);
    let hsr = CHsr { sgd, rho: number(bytes)?, every: bytes.arbitrary()?, direction, penalty, sampling };
    let mut needed = 0;
    // SAFETY: valid structures, memory for a number.
    let status = unsafe { flatmin_hsr_workspace_len(&lengths, &hsr, &mut needed) };
    assert!(status == Status::Ok || needed == 0, "wrote in spite of {status:?}");
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
        distributions: ptr::null(),
        distributions_len: 0,
    };
    if bytes.arbitrary::<u8>()? > 250 {
        // Lengths that no memory has are refused before they are used.
        batch.inputs_len = usize::MAX / 8 + usize::from(bytes.arbitrary::<u8>()?);
    }
    let theta_len = if bytes.arbitrary::<u8>()? > 250 { usize::MAX / 4 } else { theta.len() };
    let averages = CAverages { trace: 0.0, trace_of_square: 0.0, count: 0 };
    let mut state = CState {
        velocity: faults[2].of(velocity.as_mut_ptr(), theta.as_mut_ptr()),
        velocity_len: velocity.len(),
        steps: 0,
        averages,
    };
    let sam = CSam { sgd, radius: number(bytes)? };

    let before = (theta.clone(), output.clone(), velocity.clone(), state.steps);
    let in_theta = faults[3].of(theta.as_mut_ptr(), workspace.as_mut_ptr());
    let out = faults[4].of(output.as_mut_ptr(), in_theta);
    let space = faults[5].of(workspace.as_mut_ptr(), theta.as_mut_ptr());
    let plan_pointer: *const CPlan = if faults[6] == Spoilt::Null { ptr::null() } else { &plan };
    let (space_len, out_len) = (workspace.len(), output.len());
    // An overlapping pointer may lead to less than its length says: refused before it is followed.
    let mut evaluation = CEvaluation { loss: -1.0, accuracy: -1.0 };
    let mut curvature = CCurvature::default();
    let estimate = CEstimate::default();
    let mut step = CStep { loss: -1.0, has_curvature: false, has_estimate: false, curvature, estimate };
    let (mut value, rho) = (0.0, number(bytes)?);
    let which = bytes.arbitrary::<u8>()? % 11;
    // SAFETY: every pointer leads to as much as its length says, or is one that has to be refused.
    let status = unsafe {
        match which {
            0 => flatmin_loss_f64(plan_pointer, in_theta, theta_len, &batch, space, space_len, &mut evaluation),
            1 => flatmin_loss_gradient_f64(
                plan_pointer,
                in_theta,
                theta_len,
                &batch,
                out,
                out_len,
                space,
                space_len,
                &mut value,
            ),
            2 => flatmin_curvature_f64(plan_pointer, in_theta, theta_len, &batch, space, space_len, &mut curvature),
            3 => flatmin_trace_gradient_f64(
                plan_pointer,
                in_theta,
                theta_len,
                &batch,
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
                &batch,
                out,
                out_len,
                space,
                space_len,
                &mut curvature,
            ),
            5 => flatmin_bound_gradient_f64(
                plan_pointer,
                in_theta,
                theta_len,
                &batch,
                out,
                out_len,
                space,
                space_len,
                &mut curvature,
            ),
            6 => flatmin_hsr_gradient_f64(
                plan_pointer,
                in_theta,
                theta_len,
                &batch,
                rho,
                out,
                out_len,
                space,
                space_len,
                &mut step,
            ),
            7 => flatmin_hessian_vector_product_f64(
                plan_pointer,
                in_theta,
                theta_len,
                &batch,
                vector.as_mut_ptr(),
                vector.len(),
                out,
                out_len,
                space,
                space_len,
            ),
            8 => flatmin_sgd_step_f64(
                plan_pointer,
                &sgd,
                in_theta,
                theta_len,
                &batch,
                &mut state,
                space,
                space_len,
                &mut step,
            ),
            9 => flatmin_sam_step_f64(
                plan_pointer,
                &sam,
                in_theta,
                theta_len,
                &batch,
                &mut state,
                space,
                space_len,
                &mut step,
            ),
            _ => flatmin_hsr_step_f64(
                plan_pointer,
                &hsr,
                in_theta,
                theta_len,
                &batch,
                &mut state,
                space,
                space_len,
                &mut step,
            ),
        }
    };
    assert_ne!(status, Status::Internal, "function {which}");
    let (is_step, has_output) = (which >= 8, matches!(which, 1 | 3..=7));
    if status == Status::Ok {
        // Nothing may have been wrong that the function looks at.
        let written = [(is_step, faults[2], velocity.len()), (has_output, faults[4], output.len())];
        for (looked_at, fault, len) in
            [(true, faults[0], x.len()), (true, faults[1], given), (true, faults[3], theta.len())]
                .into_iter()
                .chain(written)
        {
            assert!(!looked_at || len == 0 || fault == Spoilt::Not, "function {which} accepted {faults:?}");
        }
        assert!(faults[5] == Spoilt::Not && faults[6] != Spoilt::Null, "function {which} accepted {faults:?}");
        assert!(theta.iter().chain(&velocity).chain(&output).all(|entry| entry.is_finite()), "function {which}");
        return Ok(());
    }
    assert!(evaluation.loss == -1.0 && step.loss == -1.0 && value == 0.0 && curvature == CCurvature::default());
    let same = |one: &[f64], other: &[f64]| one.iter().zip(other).all(|(x, y)| x.to_bits() == y.to_bits());
    let kept = same(&theta, &before.0) && same(&output, &before.1) && same(&velocity, &before.2);
    assert!(
        kept && state.steps == before.3 && state.averages == averages,
        "function {which} wrote something in spite of {status:?}"
    );
    let mut message = [1u8; 300];
    // SAFETY: as long as said.
    unsafe { flatmin_last_error(message.as_mut_ptr().cast(), message.len()) };
    assert!(message[0] != 0 && message.contains(&0), "no message for {status:?}");
    Ok(())
}

fuzz_target!(|bytes: &[u8]| {
    let _ = run(&mut Unstructured::new(bytes));
});
