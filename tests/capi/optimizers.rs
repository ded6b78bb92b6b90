//! What optimizers are made of: fields that are read and fields that are not, updates, schedules.

use std::ptr;

use flatmin::capi::*;

use super::{Arguments, Given, adam, hsr, last_error, nothing, numbers, sampled_hsr, sgd};

#[test]
fn updates_refuse_what_steps_do() {
    use Status::{Length, Misaligned, NullPointer, Overflow, Overlap, UnknownCode};
    let mut given = Given::new();
    let (plan, theta, mut state) = (given.plan, given.theta.clone(), given.state());
    let (size, mut gradient) = (theta.len(), numbers(theta.len(), 0.7));
    let (t, g) = (given.theta.as_mut_ptr(), gradient.as_mut_ptr());
    let (fine, unknown) = (sgd(), COptimizer { update: 4, ..sgd() });
    let fast = COptimizer { learning_rate: f64::MAX, weight_decay: 100.0, ..sgd() };
    let adam = adam();
    for (optimizer, gradient, len, status, message) in [
        (ptr::null(), g, size, NullPointer, "optimizer: null".to_owned()),
        (&raw const fine, ptr::null_mut(), size, NullPointer, "gradient: null".into()),
        (&fine, g.wrapping_byte_add(4), size - 1, Misaligned, "gradient: not aligned as its type".into()),
        (&fine, t, size, Overlap, "theta and gradient: overlap, and one of them is written to".into()),
        (&fine, g, size - 1, Length, format!("gradient: length {} given, {size} expected", size - 1)),
        (&adam, g, size, Length, format!("moments: length {size} given, {} expected", 2 * size)),
        (&unknown, g, size, UnknownCode, "update: unknown code 4".into()),
        (&fast, g, size, Overflow, "new parameters: overflows the range of the type".into()),
    ] {
        // SAFETY: pointers and lengths are those of `given`, or ones that the function has to refuse.
        assert_eq!(unsafe { flatmin_update_f64(&plan, optimizer, t, size, gradient, len, &mut state) }, status);
        assert_eq!(last_error(), message);
    }
    assert_eq!((given.theta, state.steps), (theta, 0));
    assert!(given.moments.iter().all(|&moment| moment == 0.0));
}

#[test]
fn what_an_optimizer_does_not_use_is_not_read() {
    let step = |optimizer: COptimizer| {
        let mut given = Given::new();
        let (batch, mut state, mut result) = (given.batch(), given.state(), nothing());
        let mut moments = vec![0.0; 2 * given.theta.len()];
        // SAFETY: a plan, the optimizer, and memory for a number.
        let status = unsafe { flatmin_optimizer_moments_len(&given.plan, &optimizer, &mut state.moments_len) };
        assert_eq!(status, Status::Ok);
        state.moments = moments.as_mut_ptr();
        let arguments = Arguments {
            plan: &given.plan,
            optimizer: &optimizer,
            theta: given.theta.as_mut_ptr(),
            theta_len: given.theta.len(),
            batch: &batch,
            state: &mut state,
            workspace: given.workspace.as_mut_ptr(),
            workspace_len: given.workspace.len(),
            result: &mut result,
        };
        assert_eq!(arguments.step(), Status::Ok);
        (given.theta, moments, result)
    };
    let bad = f64::NAN;
    let drawn = COptimizer {
        sketch: 9,
        subset: 1,
        alpha: bad,
        beta: bad,
        own_share: bad,
        limited_share: bad,
        seed: 9,
        ..COptimizer::default()
    };
    let hsr_only = COptimizer { direction: 9, penalty: 9, rho: bad, every: 9, ..drawn };
    let adam_only = |of| COptimizer { beta1: bad, beta2: bad, epsilon: bad, ..of };
    let of_hsr = |of: COptimizer| {
        let COptimizer { method, update, learning_rate, momentum, beta1, beta2, epsilon, weight_decay, .. } = of;
        COptimizer { method, update, learning_rate, momentum, beta1, beta2, epsilon, weight_decay, ..hsr_only }
    };
    assert_eq!(step(COptimizer { radius: bad, ..adam_only(of_hsr(sgd())) }), step(sgd()));
    assert_eq!(step(COptimizer { momentum: bad, radius: bad, ..of_hsr(adam()) }), step(adam()));
    let sam = COptimizer { method: FLATMIN_SAM, radius: 0.1, ..sgd() };
    assert_eq!(step(COptimizer { radius: 0.1, ..of_hsr(sam) }), step(sam));
    let COptimizer { sketch, subset, alpha, beta, own_share, limited_share, seed, .. } = drawn;
    let exact = COptimizer { sketch, subset, alpha, beta, own_share, limited_share, seed, radius: bad, ..hsr() };
    assert_eq!(step(adam_only(exact)), step(hsr()));
}

/// Averages that cannot be are refused by name, and the state stays.
#[test]
fn averages_of_a_state_are_checked() {
    let good = CState::<f64> {
        steps: 5,
        average_trace: -1.0,
        average_trace_of_square: 2.0,
        average_limit: 0.5,
        average_whole: 3.0,
        average_limited: 2.0,
        average_count: 4,
        ..CState::default()
    };
    let step = |state: CState<f64>| {
        let mut given = Given::new();
        let (batch, theta, mut result, optimizer) = (given.batch(), given.theta.clone(), nothing(), sampled_hsr());
        let (moments, moments_len) = (given.moments.as_mut_ptr(), given.moments.len());
        let mut state = CState { moments, moments_len, ..state };
        let before = state;
        let mut needed = 0;
        // SAFETY: a plan, an optimizer, and memory for a number.
        let status = unsafe { flatmin_optimizer_workspace_len(&given.plan, &optimizer, &mut needed) };
        assert_eq!(status, Status::Ok);
        given.workspace.resize(needed, f64::NAN);
        let arguments = Arguments {
            plan: &given.plan,
            optimizer: &optimizer,
            theta: given.theta.as_mut_ptr(),
            theta_len: given.theta.len(),
            batch: &batch,
            state: &mut state,
            workspace: given.workspace.as_mut_ptr(),
            workspace_len: given.workspace.len(),
            result: &mut result,
        };
        let status = arguments.step();
        if status != Status::Ok {
            assert_eq!((given.theta, result.loss), (theta, -1.0));
            // Where NaN stands it is not equal to itself.
            assert_eq!(format!("{state:?}"), format!("{before:?}"));
        }
        status
    };
    assert_eq!(step(good), Status::Ok);
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for (index, state) in [
            CState { average_trace: bad, ..good },
            CState { average_trace_of_square: bad, ..good },
            CState { average_limit: bad, ..good },
            CState { average_whole: bad, ..good },
            CState { average_limited: bad, ..good },
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(step(state), Status::NotFinite);
            assert_eq!(last_error(), format!("averages: entry {index} is NaN or infinite"));
            assert_eq!(step(CState { average_count: 0, ..state }), Status::Ok, "averages of nothing are not read");
        }
    }
    for (name, state) in [
        ("limit", CState { average_limit: -0.5, ..good }),
        ("whole", CState { average_whole: -0.5, ..good }),
        ("limited", CState { average_limited: -0.5, ..good }),
    ] {
        assert_eq!(step(state), Status::Hyperparameter);
        assert_eq!(last_error(), format!("average {name}: -0.5 given, a number that is not negative expected"));
    }
}

#[test]
fn schedules_are_those_of_the_crate() {
    for step in 0..12 {
        assert_eq!(flatmin_warm_up(step, 4), flatmin::optimizer::schedule::warm_up(step, 4));
        assert_eq!(flatmin_cosine(step, 10), flatmin::optimizer::schedule::cosine(step, 10));
    }
}
