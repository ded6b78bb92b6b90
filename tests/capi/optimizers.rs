//! What optimizers are made of: fields that are read and fields that are not, updates, schedules.

use std::ptr;

use flatmin::capi::*;

use super::{Arguments, Given, adam, hsr, last_error, nothing, numbers, sgd};

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
    let drawn =
        COptimizer { sketch: 9, subset: 1, alpha: bad, beta: bad, guard: bad, seed: 9, ..COptimizer::default() };
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
    let COptimizer { sketch, subset, alpha, beta, guard, seed, .. } = drawn;
    assert_eq!(
        step(COptimizer { sketch, subset, alpha, beta, guard, seed, radius: bad, ..adam_only(hsr()) }),
        step(hsr())
    );
}

#[test]
fn schedules_are_those_of_the_crate() {
    for step in 0..12 {
        assert_eq!(flatmin_warm_up(step, 4), flatmin::optimizer::schedule::warm_up(step, 4));
        assert_eq!(flatmin_cosine(step, 10), flatmin::optimizer::schedule::cosine(step, 10));
    }
}
