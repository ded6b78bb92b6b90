//! Every quantity and step, by the C interface and by the crate, to the bit.

use std::num::NonZero;
use std::ptr;

use flatmin::capi::*;
use flatmin::{
    Activation, Adam, Averages, Batch, Direction, Form, Hsr, Network, Optimizer, PairWeights, Plan, Real, Route, Sam,
    Sampling, Sgd, Shape, State, Step, Targets, WeightDecay,
};

use super::{Given, SAMPLES, SIZES, hsr, nothing, sampled_hsr};

/// The test of one number type.
macro_rules! agreement {
    (
        $test:ident, $real:ident:
        $loss:ident, $loss_gradient:ident, $curvature:ident, $trace:ident, $square:ident, $bound:ident, $hsr:ident,
        $product:ident, $dense:ident, $step:ident, $update:ident
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
                    ..CBatch::default()
                };
                let size = theta.len();
                let mut space = vec![<$real>::NAN; plan.workspace_len()];
                let (mut own, mut theirs) = (vec![0.0; size], vec![0.0; size]);
                let (mut result, mut number) = (nothing(), 0.0);
                let mut found = CCurvature::default();

                // SAFETY: all pointers lead to as many elements as said.
                unsafe {
                    let (p, b, t) = (&c_plan as *const _, &c_batch as *const _, theta.as_ptr());
                    let mut evaluation = CEvaluation::default();
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

                for (c_optimizer, optimizer) in optimizers::<$real>() {
                    let (mut needed, mut len) = (0, 0);
                    // SAFETY: valid structures, memory for a number.
                    unsafe {
                        assert_eq!(flatmin_optimizer_workspace_len(&c_plan, &c_optimizer, &mut needed), Status::Ok);
                        assert_eq!(flatmin_optimizer_moments_len(&c_plan, &c_optimizer, &mut len), Status::Ok);
                    }
                    assert_eq!(needed, optimizer.workspace_len(&plan).unwrap());
                    assert_eq!(len, optimizer.moments_len(shape));
                    let (mut space, mut own_space) = (vec![<$real>::NAN; needed], vec![<$real>::NAN; needed]);
                    let (mut c_theta, mut moments, mut c_moments) = (theta.clone(), vec![0.0; len], vec![0.0; len]);
                    let mut state = State::new(&mut moments);
                    let mut c_state = CState { moments: c_moments.as_mut_ptr(), moments_len: len, ..CState::default() };
                    for round in 0..3 {
                        let (p, o, b, t) = (&c_plan, &c_optimizer, &c_batch, c_theta.as_mut_ptr());
                        let (w, g) = (space.as_mut_ptr(), theirs.as_mut_ptr());
                        if round < 2 {
                            // SAFETY: all pointers lead to as many elements as said.
                            let status = unsafe { $step(p, o, t, size, b, &mut c_state, w, needed, &mut result) };
                            assert_eq!(status, Status::Ok);
                            let step = optimizer.step(&plan, &mut theta, &batch, &mut state, &mut own_space);
                            same_step(&result, step.unwrap());
                        } else {
                            // SAFETY: as above.
                            assert_eq!(unsafe { $update(p, o, t, size, g, size, &mut c_state) }, Status::Ok);
                            optimizer.update(&plan, &mut theta, &mut own, &mut state).unwrap();
                            assert_eq!(theirs, own);
                        }
                        assert_eq!(c_theta, theta);
                        assert_eq!(c_moments, &*state.moments);
                        assert_eq!(c_state.steps, state.steps);
                        assert_eq!(averages(&c_state), state.averages);
                    }
                }
            }
        }
    };
}

fn averages<T>(state: &CState<T>) -> Averages {
    Averages {
        trace: state.average_trace,
        trace_of_square: state.average_trace_of_square,
        limit: state.average_limit,
        whole: state.average_whole,
        limited: state.average_limited,
        count: state.average_count,
    }
}

/// Every update and every method, in C and in Rust.
fn optimizers<T: Real>() -> Vec<(COptimizer, Box<dyn Optimizer<T>>)> {
    let plain = Sgd { weight_decay: WeightDecay::all(0.01), ..Sgd::new(0.1) };
    let (sgd, rate) = (plain.with_momentum(0.5), 0.01);
    let adam = Adam::new(rate).with_weight_decay(WeightDecay::all(0.02));
    let sampling = Sampling { subset: NonZero::new(3), alpha: 0.5, beta: 0.9, ..Sampling::new(7) };
    let unit = Hsr { direction: Direction::Unit, every: NonZero::new(2).unwrap(), ..Hsr::new(sgd, 0.1) };
    let (c_sgd, c_hsr, c_adam) = (super::sgd(), hsr(), super::adam());
    let c_adamw = COptimizer { update: FLATMIN_ADAMW, weights_only: 1, ..c_adam };
    vec![
        (COptimizer { momentum: 0.0, ..c_sgd }, Box::new(plain)),
        (c_sgd, Box::new(sgd)),
        (
            COptimizer { update: FLATMIN_NESTEROV, clip: 0.25, ..c_sgd },
            Box::new(sgd.with_nesterov(0.5).with_clip(0.25)),
        ),
        (c_adam, Box::new(adam)),
        (c_adamw, Box::new(adam.with_decoupled_weight_decay(WeightDecay::weights(0.02)))),
        (COptimizer { method: FLATMIN_SAM, radius: 0.1, ..c_sgd }, Box::new(Sam::new(sgd, 0.1))),
        (COptimizer { method: FLATMIN_SAM, radius: 0.1, clip: 0.5, ..c_adam }, {
            Box::new(Sam::new(adam.with_clip(0.5), 0.1))
        }),
        (c_hsr, Box::new(Hsr::new(sgd, 0.1))),
        (COptimizer { direction: FLATMIN_UNIT, every: 2, ..c_hsr }, Box::new(unit)),
        (sampled_hsr(), Box::new(Hsr::sampled(sgd, 0.1, sampling))),
        (
            COptimizer { direction: FLATMIN_UNIT, own_share: 0.25, limited_share: 0.5, ..sampled_hsr() },
            Box::new(Hsr {
                direction: Direction::Unit,
                ..Hsr::sampled(sgd, 0.1, Sampling { own_share: 0.25, limited_share: 0.5, ..sampling })
            }),
        ),
        (COptimizer { method: FLATMIN_HSR, rho: 0.1, ..c_adam }, Box::new(Hsr::new(adam, 0.1))),
    ]
}

pub(super) fn same(found: &CCurvature, expected: flatmin::Curvature) {
    let (traces, bounds) = (expected.traces, expected.bounds);
    let expected = CCurvature {
        trace: traces.trace(),
        trace_of_square: traces.trace_of_square(),
        output: traces.output,
        hidden: traces.hidden,
        output_square: traces.output_square,
        cross_square: traces.cross_square,
        hidden_square: traces.hidden_square,
        lambda_max_upper: bounds.lambda_max_upper,
        lambda_max_lower: bounds.lambda_max_lower,
        lambda_min_upper: bounds.lambda_min_upper,
        lambda_min_lower: bounds.lambda_min_lower,
        differentiable: expected.differentiable.into(),
        ..CCurvature::default()
    };
    assert_eq!(*found, expected);
}

fn same_step(found: &CStep, expected: Step) {
    assert_eq!(found.loss, expected.loss);
    assert_eq!(found.has_curvature, u64::from(expected.curvature.is_some()));
    let estimate = expected.estimate.unwrap_or_default();
    assert_eq!(found.has_estimate, u64::from(expected.estimate.is_some()));
    assert_eq!(found.estimated_trace, estimate.trace);
    assert_eq!(found.estimated_trace_of_square, estimate.trace_of_square);
    assert_eq!((found.kept, found.weight), (estimate.kept as u64, estimate.weight));
    let seen = CCurvature {
        trace: found.trace,
        trace_of_square: found.trace_of_square,
        output: found.output,
        hidden: found.hidden,
        output_square: found.output_square,
        cross_square: found.cross_square,
        hidden_square: found.hidden_square,
        lambda_max_upper: found.lambda_max_upper,
        lambda_max_lower: found.lambda_max_lower,
        lambda_min_upper: found.lambda_min_upper,
        lambda_min_lower: found.lambda_min_lower,
        differentiable: found.differentiable,
        ..CCurvature::default()
    };
    match expected.curvature {
        Some(expected) => same(&seen, expected),
        None => assert_eq!(seen, CCurvature::default()),
    }
}

agreement! {
    f32_is_that_of_the_crate_to_the_bit, f32:
    flatmin_loss_f32, flatmin_loss_gradient_f32, flatmin_curvature_f32, flatmin_trace_gradient_f32,
    flatmin_trace_of_square_gradient_f32, flatmin_bound_gradient_f32, flatmin_hsr_gradient_f32,
    flatmin_hessian_vector_product_f32, flatmin_dense_hessian_f32, flatmin_step_f32, flatmin_update_f32
}

agreement! {
    f64_is_that_of_the_crate_to_the_bit, f64:
    flatmin_loss_f64, flatmin_loss_gradient_f64, flatmin_curvature_f64, flatmin_trace_gradient_f64,
    flatmin_trace_of_square_gradient_f64, flatmin_bound_gradient_f64, flatmin_hsr_gradient_f64,
    flatmin_hessian_vector_product_f64, flatmin_dense_hessian_f64, flatmin_step_f64, flatmin_update_f64
}
