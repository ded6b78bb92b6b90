//! Every number of every case in `tests/vectors/`, by every route and form, in f64 and f32.
//!
//! The expected numbers come from automatic differentiation in double precision.

pub use crate::case::Case;
use crate::case::{Expected, convert};
use crate::eigenvalues;
use flatmin::{
    Batch, Form, Plan, Real, Route, Targets, bound_gradient, curvature, dense_hessian, hsr_gradient, loss,
    loss_gradient, trace_gradient, trace_of_square_gradient,
};
use nalgebra::DMatrix;

/// The cases, by name.
pub fn cases() -> Vec<(String, Case)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    let mut cases: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of vectors")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(path).expect("a case");
            let case = Case::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, case)
        })
        .collect();
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(cases.len(), 17);
    cases
}

/// Compares with what is expected of a case.
pub struct Check<'a> {
    pub what: String,
    pub tolerance: f64,
    pub expected: &'a Expected,
}

impl Check<'_> {
    /// Largest difference, relative to the largest expected entry.
    pub fn close<T: Real>(&self, quantity: &str, given: &[T], expected: &[f64]) {
        assert_eq!(given.len(), expected.len(), "{} {quantity}", self.what);
        let scale = expected.iter().fold(0.0f64, |most, entry| most.max(entry.abs()));
        for (index, (given, expected)) in given.iter().zip(expected).enumerate() {
            let error = (given.to_f64() - expected).abs();
            assert!(
                error <= self.tolerance * scale,
                "{} {quantity}[{index}]: {given} given, {expected} expected, error {:e}",
                self.what,
                error / scale
            );
        }
    }
}

fn check<T: Real>(tolerance: f64) {
    for (name, case) in cases() {
        let expected = case.expected.as_ref().expect("expected numbers");
        for (route, form) in [(Route::Pairs, Form::Flat), (Route::Pairs, Form::Tangent), (Route::Blocks, Form::Flat)] {
            check_case::<T>(&case, route, form, &Check { what: format!("{name} {route} {form}"), tolerance, expected });
        }
    }
}

fn check_case<T: Real>(case: &Case, route: Route, form: Form, check: &Check<'_>) {
    let expected = check.expected;
    let shape = case.network.shape;
    let (theta, inputs, targets) = (convert::<T>(&case.theta), convert::<T>(&case.inputs), convert::<T>(&case.targets));
    let batch = Batch::new(shape, &inputs, Targets::Distributions(&targets)).expect("a batch");
    let plan = Plan::new(case.network, batch.samples()).expect("a plan");
    let plan = plan.with_route(route).and_then(|plan| plan.with_form(form)).expect("a plan");
    let mut workspace = vec![T::NAN; plan.workspace_len()];
    let mut gradient = vec![T::NAN; shape.parameters()];

    let value = loss(&plan, &theta, &batch, &mut workspace).expect("a loss");
    check.close("loss", &[value.loss], &[expected.loss]);
    workspace.fill(T::NAN);
    let value = loss_gradient(&plan, &theta, &batch, &mut gradient, &mut workspace).expect("a gradient");
    check.close("loss", &[value], &[expected.loss]);
    check.close("loss gradient", &gradient, &expected.loss_gradient);

    workspace.fill(T::NAN);
    let found = curvature(&plan, &theta, &batch, &mut workspace).expect("a curvature");
    check.close("trace", &[found.traces.trace()], &[expected.trace]);
    check.close("trace of square", &[found.traces.trace_of_square()], &[expected.trace_of_square]);
    let (given, bounds) = (found.bounds, &expected.bounds);
    check.close(
        "bounds",
        &[given.lambda_max_upper, given.lambda_max_lower, given.lambda_min_upper, given.lambda_min_lower],
        &[bounds.lambda_max_upper, bounds.lambda_max_lower, bounds.lambda_min_upper, bounds.lambda_min_lower],
    );
    assert!(found.differentiable);

    workspace.fill(T::NAN);
    gradient.fill(T::NAN);
    trace_gradient(&plan, &theta, &batch, &mut gradient, &mut workspace).expect("a gradient");
    check.close("trace gradient", &gradient, &expected.trace_gradient);
    workspace.fill(T::NAN);
    gradient.fill(T::NAN);
    let again = trace_of_square_gradient(&plan, &theta, &batch, &mut gradient, &mut workspace).expect("a gradient");
    check.close("trace of square gradient", &gradient, &expected.trace_of_square_gradient);
    check.close("trace of square", &[again.traces.trace_of_square()], &[expected.trace_of_square]);
    workspace.fill(T::NAN);
    gradient.fill(T::NAN);
    bound_gradient(&plan, &theta, &batch, &mut gradient, &mut workspace).expect("a gradient");
    check.close("bound gradient", &gradient, &expected.lambda_max_upper_gradient);

    let rho = 0.3;
    workspace.fill(T::NAN);
    gradient.fill(T::NAN);
    hsr_gradient(&plan, &theta, &batch, rho, &mut gradient, &mut workspace).expect("a gradient");
    let both = expected.loss_gradient.iter().zip(&expected.lambda_max_upper_gradient);
    let both: Vec<f64> = both.map(|(loss, bound)| loss + rho * bound).collect();
    check.close("HSR gradient", &gradient, &both);

    let size = shape.parameters();
    let mut hessian = vec![T::NAN; size * size];
    workspace.fill(T::NAN);
    dense_hessian(&plan, &theta, &batch, &mut hessian, &mut workspace).expect("a Hessian");
    let hessian = DMatrix::from_iterator(size, size, hessian.iter().map(|entry| entry.to_f64()));
    check.close("eigenvalues", &eigenvalues::ascending(hessian), &expected.eigenvalues);
}

#[test]
fn f64_matches_to_1e_9() {
    check::<f64>(1e-9);
}

#[test]
fn f32_matches_to_2e_4() {
    check::<f32>(2e-4);
}
