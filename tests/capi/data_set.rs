//! The quantities of a data set by chunks, by the C interface and by the crate, to the bit; and arguments that are refused.

use std::ptr;

use flatmin::capi::*;
use flatmin::{Activation, Batch, Form, Network, Plan, Route, Shape, Targets};

use super::agreement::same;
use super::{Given, SAMPLES, SIZES, last_error, numbers};

/// A plan for chunks of so many samples.
fn plan_of(samples: usize) -> CPlan {
    let mut plan = CPlan { samples, ..super::new_plan() };
    // SAFETY: a plan.
    assert_eq!(unsafe { flatmin_plan_update(&mut plan) }, Status::Ok);
    plan
}

/// What `flatmin_data_set_workspace_len` says.
fn data_set_workspace_len(plan: &CPlan) -> usize {
    let mut length = 0;
    // SAFETY: a plan, and memory for a number.
    assert_eq!(unsafe { flatmin_data_set_workspace_len(plan, &mut length) }, Status::Ok);
    length
}

/// The test of one number type: chunks of one sample, of two, and so on up to more than there are samples. Every workspace is as long as the
/// function takes, and holds NaN.
macro_rules! agreement {
    (
        $test:ident, $real:ident:
        $loss:ident, $curvature:ident, $estimate:ident, $loss_gradient:ident, $product:ident
    ) => {
        #[test]
        fn $test() {
            let convert = |from: &[f64]| from.iter().map(|&x| x as $real).collect::<Vec<$real>>();
            let given = Given::new();
            let (theta, inputs) = (convert(&given.theta), convert(&given.inputs));
            let vector = convert(&numbers(theta.len(), 0.9));
            let distributions: Vec<$real> = [0.5, 0.25, 0.25].repeat(SAMPLES);
            let shape = Shape::new(SIZES[0], SIZES[1], SIZES[2]).unwrap();
            let ways = [(false, Route::Pairs, Form::Tangent, 0), (true, Route::Pairs, Form::Flat, 9)];
            let ways = ways.into_iter().chain([(true, Route::Blocks, Form::Flat, 0)]);
            for ((soft, route, form, data_set), samples) in ways.flat_map(|way| (1..=6).map(move |n| (way, n))) {
                let targets =
                    if soft { Targets::Distributions(&distributions[..]) } else { Targets::Classes(&given.classes) };
                let batch = Batch::new(shape, &inputs, targets).unwrap();
                let plan = Plan::new(Network::new(shape, Activation::Silu), samples).unwrap();
                let plan = plan.with_form(form).unwrap().with_route(route).unwrap();
                // The data set's own pairs count, whatever the plan says of a batch.
                let c_plan = CPlan { route: route as u32, form: form as u32, data_set, ..plan_of(samples) };
                let c_batch = CBatch {
                    inputs: inputs.as_ptr(),
                    inputs_len: inputs.len(),
                    classes: if soft { ptr::null() } else { given.classes.as_ptr() },
                    classes_len: if soft { 0 } else { SAMPLES },
                    distributions: if soft { distributions.as_ptr() } else { ptr::null() },
                    distributions_len: if soft { distributions.len() } else { 0 },
                    ..CBatch::default()
                };
                let (first, second) = (plan.gradient_workspace_len(), plan.workspace_len());
                let whole = plan.data_set_workspace_len().unwrap();
                assert_eq!(data_set_workspace_len(&c_plan), whole);
                let space = |len| vec![<$real>::NAN; len];
                let size = theta.len();
                let (mut own, mut theirs) = (space(size), space(size));
                let (mut evaluation, mut number) = (CEvaluation::default(), 0.0);
                let (mut exact, mut estimate) = (CCurvature::default(), CCurvature::default());

                let (p, b, t, g) = (&raw const c_plan, &raw const c_batch, theta.as_ptr(), theirs.as_mut_ptr());
                // SAFETY: all pointers lead to as many elements as said.
                unsafe {
                    let status = $loss(p, t, size, b, space(first).as_mut_ptr(), first, &mut evaluation);
                    assert_eq!(status, Status::Ok);
                    let status = $loss_gradient(p, t, size, b, g, size, space(first).as_mut_ptr(), first, &mut number);
                    assert_eq!(status, Status::Ok);
                }
                let expected = flatmin::data_set_loss(&plan, &theta, &batch, &mut space(first)).unwrap();
                assert_eq!((evaluation.loss, evaluation.accuracy), (expected.loss, expected.accuracy));
                let loss = flatmin::data_set_loss_gradient(&plan, &theta, &batch, &mut own, &mut space(first)).unwrap();
                assert_eq!((number, &theirs), (loss, &own));

                let (v, g) = (vector.as_ptr(), theirs.as_mut_ptr());
                // SAFETY: as above.
                let status = unsafe { $product(p, t, size, b, v, size, g, size, space(second).as_mut_ptr(), second) };
                assert_eq!(status, Status::Ok);
                flatmin::data_set_hessian_vector_product(&plan, &theta, &batch, &vector, &mut own, &mut space(second))
                    .unwrap();
                assert_eq!(theirs, own);

                // SAFETY: as above.
                let status = unsafe { $curvature(p, t, size, b, space(whole).as_mut_ptr(), whole, &mut exact) };
                assert_eq!(status, Status::Ok);
                same(&exact, flatmin::data_set_curvature(&plan, &theta, &batch, &mut space(whole)).unwrap());

                // SAFETY: as above.
                let status = unsafe { $estimate(p, t, size, b, space(second).as_mut_ptr(), second, &mut estimate) };
                // A chunk of one sample has no pairs.
                assert_eq!(status, if samples < 3 { Status::PairWeights } else { Status::Ok });
                match flatmin::data_set_curvature_estimate(&plan, &theta, &batch, &mut space(second)) {
                    Ok(expected) => same(&estimate, expected),
                    Err(_) => assert_eq!((samples < 3, estimate), (true, CCurvature::default())),
                }
            }
        }
    };
}

agreement! {
    f32_is_that_of_the_crate_to_the_bit, f32:
    flatmin_data_set_loss_f32, flatmin_data_set_curvature_f32, flatmin_data_set_curvature_estimate_f32,
    flatmin_data_set_loss_gradient_f32, flatmin_data_set_hessian_vector_product_f32
}

agreement! {
    f64_is_that_of_the_crate_to_the_bit, f64:
    flatmin_data_set_loss_f64, flatmin_data_set_curvature_f64, flatmin_data_set_curvature_estimate_f64,
    flatmin_data_set_loss_gradient_f64, flatmin_data_set_hessian_vector_product_f64
}

/// The functions.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Loss,
    Curvature,
    Estimate,
    Gradient,
    Product,
}

use Function::{Curvature, Estimate, Gradient, Loss, Product};

const ALL: [Function; 5] = [Loss, Curvature, Estimate, Gradient, Product];

/// Arguments of any of them, to be spoiled one at a time.
#[derive(Clone, Copy)]
struct Arguments {
    plan: *const CPlan,
    theta: *mut f64,
    theta_len: usize,
    data: *mut CBatch<f64>,
    vector: *mut f64,
    vector_len: usize,
    output: *mut f64,
    output_len: usize,
    workspace: *mut f64,
    workspace_len: usize,
    evaluation: *mut CEvaluation,
    curvature: *mut CCurvature,
    loss: *mut f64,
}

impl Arguments {
    fn call(self, function: Function) -> Status {
        let Self { plan, theta: t, theta_len: tl, data, vector: v, vector_len: vl, output: o, output_len: ol, .. } =
            self;
        let (w, wl) = (self.workspace, self.workspace_len);
        // SAFETY: pointers and lengths are those of vectors, or ones that the function has to refuse.
        unsafe {
            match function {
                Loss => flatmin_data_set_loss_f64(plan, t, tl, data, w, wl, self.evaluation),
                Curvature => flatmin_data_set_curvature_f64(plan, t, tl, data, w, wl, self.curvature),
                Estimate => flatmin_data_set_curvature_estimate_f64(plan, t, tl, data, w, wl, self.curvature),
                Gradient => flatmin_data_set_loss_gradient_f64(plan, t, tl, data, o, ol, w, wl, self.loss),
                Product => flatmin_data_set_hessian_vector_product_f64(plan, t, tl, data, v, vl, o, ol, w, wl),
            }
        }
    }
}

/// Each of these functions has to refuse spoiled arguments with this status, and to write nothing. In the message `output` stands for what
/// the function calls it, and `{needed}` and `{short}` for the length of its workspace, and one less.
fn refused(functions: &[Function], spoil: impl Fn(&mut Arguments), status: Status, message: &str) {
    for &function in functions {
        let (mut given, plan) = (Given::new(), plan_of(3));
        let needed = match function {
            Loss | Gradient => plan.gradient_workspace_len,
            Curvature => data_set_workspace_len(&plan),
            Estimate | Product => plan.workspace_len,
        };
        let (mut vector, mut output) = (numbers(plan.parameters, 0.9), vec![0.5; plan.parameters]);
        let (mut workspace, mut data) = (vec![f64::NAN; needed], given.batch());
        let (mut evaluation, mut curvature, mut loss) =
            (CEvaluation { loss: -1.0, ..CEvaluation::default() }, CCurvature::default(), -1.0);
        let before = (evaluation, curvature);
        let mut arguments = Arguments {
            plan: &plan,
            theta: given.theta.as_mut_ptr(),
            theta_len: given.theta.len(),
            data: &mut data,
            vector: vector.as_mut_ptr(),
            vector_len: vector.len(),
            output: output.as_mut_ptr(),
            output_len: output.len(),
            workspace: workspace.as_mut_ptr(),
            workspace_len: workspace.len(),
            evaluation: &mut evaluation,
            curvature: &mut curvature,
            loss: &mut loss,
        };
        spoil(&mut arguments);
        let found = arguments.call(function);
        let name = if function == Product { "product" } else { "gradient" };
        let message = message.replace("output:", &format!("{name}:")).replace("output ", &format!("{name} "));
        let message = message.replace("{needed}", &needed.to_string()).replace("{short}", &(needed - 1).to_string());
        assert_eq!((found, last_error()), (status, message), "{function:?}");
        assert_eq!((evaluation, curvature), before, "{function:?}");
        assert!(loss == -1.0 && output.iter().all(|&x| x == 0.5), "{function:?}");
    }
}

#[test]
fn null_misaligned_overlapping_and_overlong_memory_is_refused() {
    use Status::{Misaligned, NullPointer, Overlap, TooLarge};
    refused(&ALL, |a| a.plan = ptr::null(), NullPointer, "plan: null");
    refused(&ALL, |a| a.theta = ptr::null_mut(), NullPointer, "theta: null");
    refused(&ALL, |a| a.data = ptr::null_mut(), NullPointer, "data: null");
    refused(&ALL, |a| a.workspace = ptr::null_mut(), NullPointer, "workspace: null");
    refused(&[Gradient, Product], |a| a.output = ptr::null_mut(), NullPointer, "output: null");
    refused(&[Product], |a| a.vector = ptr::null_mut(), NullPointer, "vector: null");
    refused(&[Gradient], |a| a.loss = ptr::null_mut(), NullPointer, "loss: null");
    let results = |a: &mut Arguments| (a.evaluation, a.curvature) = (ptr::null_mut(), ptr::null_mut());
    refused(&[Loss, Curvature, Estimate], results, NullPointer, "result: null");
    // SAFETY: the batch is valid, here and below.
    refused(&ALL, |a| unsafe { (*a.data).inputs = ptr::null() }, NullPointer, "inputs: null");

    let aligned = |name: &str| format!("{name}: not aligned as its type");
    refused(&ALL, |a| a.data = a.data.wrapping_byte_add(4), Misaligned, &aligned("data"));
    refused(&ALL, |a| a.theta = a.theta.wrapping_byte_add(4), Misaligned, &aligned("theta"));
    refused(&ALL, |a| a.workspace = a.workspace.wrapping_byte_add(1), Misaligned, &aligned("workspace"));
    refused(&[Gradient, Product], |a| a.output = a.output.wrapping_byte_add(2), Misaligned, &aligned("output"));
    refused(&[Product], |a| a.vector = a.vector.wrapping_byte_add(2), Misaligned, &aligned("vector"));
    refused(&[Gradient], |a| a.loss = a.loss.wrapping_byte_add(4), Misaligned, &aligned("loss"));

    // One element each, as in the test of steps.
    let overlap = |one: &str, other: &str| format!("{one} and {other}: overlap, and one of them is written to");
    let shared = overlap("workspace", "theta");
    refused(&ALL, |a| (a.workspace, a.workspace_len) = (a.theta, 1), Overlap, &shared);
    let shared = overlap("data", "workspace");
    refused(&ALL, |a| (a.workspace, a.workspace_len) = (a.data.cast(), 1), Overlap, &shared);
    let shared = overlap("theta", "output");
    refused(&[Gradient, Product], |a| (a.output, a.output_len) = (a.theta, 1), Overlap, &shared);
    let shared = overlap("vector", "product");
    refused(&[Product], |a| (a.output, a.output_len) = (a.vector, 1), Overlap, &shared);
    refused(&[Gradient], |a| a.loss = a.output, Overlap, &overlap("gradient", "loss"));
    let shared = overlap("inputs", "output");
    // SAFETY: as above.
    let inputs = |a: &mut Arguments| (a.output, a.output_len) = (unsafe { (*a.data).inputs.cast_mut() }, 1);
    refused(&[Gradient, Product], inputs, Overlap, &shared);

    refused(&ALL, |a| a.theta_len = usize::MAX, TooLarge, "theta: longer than memory can address");
    refused(&[Product], |a| a.vector_len = usize::MAX, TooLarge, "vector: longer than memory can address");
}

#[test]
fn what_the_crate_refuses_is_refused() {
    use Status::{ClassIndex, Length, NotFinite, Overflow, PairWeights, Reserved, UnknownCode, Workspace};
    let short = "workspace: length {short} given, at least {needed} expected";
    refused(&ALL, |a| a.workspace_len -= 1, Workspace, short);
    refused(&ALL, |a| a.theta_len -= 1, Length, "theta: length 30 given, 31 expected");
    refused(&[Gradient, Product], |a| a.output_len -= 1, Length, "output: length 30 given, 31 expected");
    refused(&[Product], |a| a.vector_len -= 1, Length, "vector: length 30 given, 31 expected");
    // SAFETY: the batch, θ and the vector are valid, here and below.
    refused(&ALL, |a| unsafe { (*a.data).inputs_len -= 1 }, Length, "inputs: length 14 given, 15 expected");
    let neither = "data: expected classes or distributions, and not both";
    // SAFETY: as above.
    refused(&ALL, |a| unsafe { (*a.data).classes_len = 0 }, Status::Targets, neither);

    let not_finite = |name: &str| format!("{name}: entry 3 is NaN or infinite");
    // SAFETY: as above.
    unsafe {
        refused(&ALL, |a| *a.theta.add(3) = f64::NAN, NotFinite, &not_finite("theta"));
        refused(&ALL, |a| *(*a.data).inputs.cast_mut().add(3) = f64::INFINITY, NotFinite, &not_finite("inputs"));
        refused(&[Product], |a| *a.vector.add(3) = f64::NAN, NotFinite, &not_finite("vector"));
        let class = "targets: sample 2 has class 3, expected one below 3";
        refused(&ALL, |a| *(*a.data).classes.cast_mut().add(2) = 3, ClassIndex, class);
    }

    let (one, two, unknown, reserved) =
        (plan_of(1), plan_of(2), CPlan { route: 2, ..plan_of(3) }, CPlan { reserved: 7, ..plan_of(3) });
    refused(&ALL, |a| a.plan = &unknown, UnknownCode, "route: unknown code 2");
    refused(&ALL, |a| a.plan = &reserved, Reserved, "plan.reserved: 7 given, 0 expected");
    let single = "pair weights: a batch or chunk of 1 samples given for a data set of 5; expected at least 2, and no more than the data set has";
    refused(&[Estimate], |a| a.plan = &one, PairWeights, single);
    refused(&[Estimate], |a| a.plan = &two, PairWeights, single);

    let overflow = |a: &mut Arguments| {
        // SAFETY: as above.
        let theta = unsafe { std::slice::from_raw_parts_mut(a.theta, a.theta_len) };
        let shape = Shape::new(SIZES[0], SIZES[1], SIZES[2]).unwrap();
        theta[shape.hidden_weight()].fill(0.0);
        theta[shape.hidden_bias()].fill(5.0);
        theta[shape.output_weight()].fill(f64::MAX);
    };
    refused(&ALL, overflow, Overflow, "loss: overflows the range of the type");
    // The last chunk alone: what came before is not written either.
    // SAFETY: as above.
    let last = |a: &mut Arguments| unsafe { *(*a.data).inputs.cast_mut().add(14) = f64::MAX };
    refused(&[Curvature, Estimate], last, Overflow, "tr H: overflows the range of the type");
    refused(&[Product], last, Overflow, "product: overflows the range of the type");
}

#[test]
fn the_workspace_of_a_data_set_is_refused_where_memory_cannot_address_it() {
    let plan = plan_of(3);
    let refused = |plan: *const CPlan, length: *mut usize, status, message: &str| {
        // SAFETY: null, misaligned, or a plan and memory for a number.
        let found = unsafe { flatmin_data_set_workspace_len(plan, length) };
        assert_eq!((found, last_error()), (status, message.to_owned()));
    };
    let mut length = 7;
    refused(ptr::null(), &mut length, Status::NullPointer, "plan: null");
    refused(&plan, ptr::null_mut(), Status::NullPointer, "length: null");
    refused(&plan, (&raw mut length).wrapping_byte_add(1), Status::Misaligned, "length: not aligned as its type");
    let within = (&raw const plan.samples).cast_mut();
    refused(&plan, within, Status::Overlap, "plan and length: overlap, and one of them is written to");
    refused(&CPlan { samples: 0, ..plan }, &mut length, Status::TooSmall, "samples: 0 given, at least 1 expected");
    // A chunk that can be addressed, where two of them cannot.
    let a_sample = plan_of(1 << 20).workspace_len >> 20;
    let largest = plan_of(isize::MAX as usize / 8 / (a_sample + 1));
    refused(
        &largest,
        &mut length,
        Status::TooLarge,
        "workspace: the sizes given multiply to more than memory can address",
    );
    assert_eq!((length, plan.samples), (7, 3));
}
