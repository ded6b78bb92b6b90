//! Structures of other versions: shorter, longer, of no version, and reserved fields, for every structure of every function.

use std::mem::{offset_of, size_of};

use flatmin::capi::*;

use super::{SAMPLES, SIZES, Status, hsr, last_error, new_plan, numbers};

/// A structure, and the fields that a later version has behind it.
#[repr(C)]
#[derive(Debug)]
struct Longer<S> {
    structure: S,
    tail: [u64; 2],
}

impl<S> Longer<S> {
    fn new(structure: S) -> Self {
        Self { structure, tail: [0; 2] }
    }

    fn pointer(&mut self) -> *mut S {
        (&raw mut *self).cast()
    }

    fn parts(&mut self) -> (*mut usize, &mut [u64; 2], usize) {
        (self.pointer().cast(), &mut self.tail, size_of::<S>())
    }
}

/// All structures, and the arrays that calls take.
struct World<T> {
    plan: Longer<CPlan>,
    batch: Longer<CBatch<T>>,
    state: Longer<CState<T>>,
    optimizer: Longer<COptimizer>,
    evaluation: Longer<CEvaluation>,
    bounds: Longer<CBounds>,
    curvature: Longer<CCurvature>,
    step: Longer<CStep>,
    number: f64,
    length: usize,
    theta: Vec<T>,
    vector: Vec<T>,
    output: Vec<T>,
    dense: Vec<T>,
    workspace: Vec<T>,
    moments: Vec<T>,
    // Only pointed to.
    _inputs: Vec<T>,
    _classes: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Which {
    Plan,
    Batch,
    State,
    Optimizer,
    Evaluation,
    Bounds,
    Curvature,
    Step,
}

/// What a function does with a structure.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Use {
    Reads,
    Writes,
}

impl<T: flatmin::Real> World<T> {
    fn new() -> Self {
        let convert = |from: Vec<f64>| from.into_iter().map(T::from_f64).collect::<Vec<T>>();
        let plan = new_plan();
        let size = plan.parameters;
        let (inputs, classes) = (convert(numbers(SAMPLES * SIZES[0], 0.5)), vec![0, 2, 1, 1, 0]);
        let mut moments = convert(vec![0.0; size]);
        let batch = CBatch {
            inputs: inputs.as_ptr(),
            inputs_len: inputs.len(),
            classes: classes.as_ptr(),
            classes_len: classes.len(),
            ..CBatch::default()
        };
        let state = CState { moments: moments.as_mut_ptr(), moments_len: size, ..CState::default() };
        Self {
            plan: Longer::new(plan),
            batch: Longer::new(batch),
            state: Longer::new(state),
            optimizer: Longer::new(hsr()),
            evaluation: Longer::new(CEvaluation::default()),
            bounds: Longer::new(CBounds::default()),
            curvature: Longer::new(CCurvature::default()),
            step: Longer::new(CStep::default()),
            number: 0.0,
            length: 0,
            theta: convert(numbers(size, 0.1)),
            vector: convert(numbers(size, 0.2)),
            output: convert(vec![0.0; size]),
            dense: convert(vec![0.0; size * size]),
            workspace: convert(vec![0.0; plan.workspace_len]),
            moments,
            _inputs: inputs,
            _classes: classes,
        }
    }

    /// Where a structure keeps its size, what follows it, and its bytes.
    fn parts(&mut self, which: Which) -> (*mut usize, &mut [u64; 2], usize) {
        match which {
            Which::Plan => self.plan.parts(),
            Which::Batch => self.batch.parts(),
            Which::State => self.state.parts(),
            Which::Optimizer => self.optimizer.parts(),
            Which::Evaluation => self.evaluation.parts(),
            Which::Bounds => self.bounds.parts(),
            Which::Curvature => self.curvature.parts(),
            Which::Step => self.step.parts(),
        }
    }

    fn set_size(&mut self, which: Which, size: usize) {
        // SAFETY: the first field of a structure.
        unsafe { self.parts(which).0.write(size) };
    }

    /// All that a function may write to.
    fn snapshot(&self) -> String {
        format!(
            "{:?}",
            (
                (&self.plan, &self.state, &self.optimizer, &self.evaluation, &self.bounds, &self.curvature, &self.step),
                (self.number, self.length, &self.theta, &self.output, &self.dense, &self.moments),
            )
        )
    }
}

/// A function: its name, its structures with the names of the arguments, and a call.
type Function<T> = (&'static str, Vec<(Which, Use, &'static str)>, fn(&mut World<T>) -> Status);

/// A call of a function of a plan, θ and a batch, with these further arguments.
macro_rules! call {
    (|$w:ident| $function:ident($($argument:expr),* $(,)?)) => {
        // SAFETY: all pointers lead to as much as is said of them, or to a structure of a size that has to be refused.
        |$w| unsafe {
            $function(
                $w.plan.pointer(), $w.theta.as_mut_ptr(), $w.theta.len(), $w.batch.pointer(), $($argument,)*
            )
        }
    };
}

/// The functions of one number type.
macro_rules! functions {
    (
        $name:ident, $real:ident:
        $loss:ident, $loss_gradient:ident, $curvature:ident, $trace:ident, $square:ident, $bound:ident, $hsr_gradient:ident,
        $product:ident, $dense:ident, $step:ident, $update:ident
    ) => {
        fn $name() -> Vec<Function<$real>> {
            use Use::{Reads, Writes};
            let of = |result: &[(Which, Use, &'static str)]| {
                [&[(Which::Plan, Reads, "plan"), (Which::Batch, Reads, "batch")], result].concat()
            };
            let curvature = of(&[(Which::Curvature, Writes, "result")]);
            let (plan, optimizer) = ((Which::Plan, Reads, "plan"), (Which::Optimizer, Reads, "optimizer"));
            let state = (Which::State, Reads, "state");
            vec![
                (
                    stringify!($loss),
                    of(&[(Which::Evaluation, Writes, "result")]),
                    call!(|w| $loss(w.workspace.as_mut_ptr(), w.workspace.len(), w.evaluation.pointer())),
                ),
                (
                    stringify!($loss_gradient),
                    of(&[]),
                    call!(|w| $loss_gradient(
                        w.output.as_mut_ptr(),
                        w.output.len(),
                        w.workspace.as_mut_ptr(),
                        w.workspace.len(),
                        &mut w.number
                    )),
                ),
                (
                    stringify!($curvature),
                    curvature.clone(),
                    call!(|w| $curvature(w.workspace.as_mut_ptr(), w.workspace.len(), w.curvature.pointer())),
                ),
                (
                    stringify!($trace),
                    of(&[]),
                    call!(|w| $trace(
                        w.output.as_mut_ptr(),
                        w.output.len(),
                        w.workspace.as_mut_ptr(),
                        w.workspace.len(),
                        &mut w.number
                    )),
                ),
                (
                    stringify!($square),
                    curvature.clone(),
                    call!(|w| $square(
                        w.output.as_mut_ptr(),
                        w.output.len(),
                        w.workspace.as_mut_ptr(),
                        w.workspace.len(),
                        w.curvature.pointer()
                    )),
                ),
                (
                    stringify!($bound),
                    curvature,
                    call!(|w| $bound(
                        w.output.as_mut_ptr(),
                        w.output.len(),
                        w.workspace.as_mut_ptr(),
                        w.workspace.len(),
                        w.curvature.pointer()
                    )),
                ),
                (
                    stringify!($hsr_gradient),
                    of(&[(Which::Step, Writes, "result")]),
                    call!(|w| $hsr_gradient(
                        0.3,
                        w.output.as_mut_ptr(),
                        w.output.len(),
                        w.workspace.as_mut_ptr(),
                        w.workspace.len(),
                        w.step.pointer()
                    )),
                ),
                (
                    stringify!($product),
                    of(&[]),
                    call!(|w| $product(
                        w.vector.as_ptr(),
                        w.vector.len(),
                        w.output.as_mut_ptr(),
                        w.output.len(),
                        w.workspace.as_mut_ptr(),
                        w.workspace.len()
                    )),
                ),
                (
                    stringify!($dense),
                    of(&[]),
                    call!(|w| $dense(w.dense.as_mut_ptr(), w.dense.len(), w.workspace.as_mut_ptr(), w.workspace.len())),
                ),
                // SAFETY: as above.
                (stringify!($step), of(&[optimizer, state, (Which::Step, Writes, "result")]), |w| unsafe {
                    $step(
                        w.plan.pointer(),
                        w.optimizer.pointer(),
                        w.theta.as_mut_ptr(),
                        w.theta.len(),
                        w.batch.pointer(),
                        w.state.pointer(),
                        w.workspace.as_mut_ptr(),
                        w.workspace.len(),
                        w.step.pointer(),
                    )
                }),
                // SAFETY: as above.
                (stringify!($update), vec![plan, optimizer, state], |w| unsafe {
                    $update(
                        w.plan.pointer(),
                        w.optimizer.pointer(),
                        w.theta.as_mut_ptr(),
                        w.theta.len(),
                        w.output.as_mut_ptr(),
                        w.output.len(),
                        w.state.pointer(),
                    )
                }),
                // SAFETY: as above.
                ("flatmin_plan_new", vec![(Which::Plan, Writes, "plan")], |w| unsafe {
                    flatmin_plan_new(SIZES[0], SIZES[1], SIZES[2], FLATMIN_SILU, SAMPLES, w.plan.pointer())
                }),
                // SAFETY: as above.
                ("flatmin_plan_update", vec![(Which::Plan, Reads, "plan")], |w| unsafe {
                    flatmin_plan_update(w.plan.pointer())
                }),
                // SAFETY: as above.
                ("flatmin_bounds_new", vec![(Which::Bounds, Writes, "bounds")], |w| unsafe {
                    flatmin_bounds_new(4.0, 10.0, 2, w.bounds.pointer())
                }),
                // SAFETY: as above.
                ("flatmin_optimizer_adam", vec![optimizer], |w| unsafe {
                    flatmin_optimizer_adam(w.optimizer.pointer())
                }),
                // SAFETY: as above.
                ("flatmin_optimizer_sampled", vec![optimizer], |w| unsafe {
                    flatmin_optimizer_sampled(7, w.optimizer.pointer())
                }),
                // SAFETY: as above.
                ("flatmin_optimizer_workspace_len", vec![plan, optimizer], |w| unsafe {
                    flatmin_optimizer_workspace_len(w.plan.pointer(), w.optimizer.pointer(), &mut w.length)
                }),
                // SAFETY: as above.
                ("flatmin_optimizer_moments_len", vec![plan, optimizer], |w| unsafe {
                    flatmin_optimizer_moments_len(w.plan.pointer(), w.optimizer.pointer(), &mut w.length)
                }),
            ]
        }
    };
}

functions! {
    functions_f32, f32:
    flatmin_loss_f32, flatmin_loss_gradient_f32, flatmin_curvature_f32, flatmin_trace_gradient_f32,
    flatmin_trace_of_square_gradient_f32, flatmin_bound_gradient_f32, flatmin_hsr_gradient_f32,
    flatmin_hessian_vector_product_f32, flatmin_dense_hessian_f32, flatmin_step_f32, flatmin_update_f32
}

functions! {
    functions_f64, f64:
    flatmin_loss_f64, flatmin_loss_gradient_f64, flatmin_curvature_f64, flatmin_trace_gradient_f64,
    flatmin_trace_of_square_gradient_f64, flatmin_bound_gradient_f64, flatmin_hsr_gradient_f64,
    flatmin_hessian_vector_product_f64, flatmin_dense_hessian_f64, flatmin_step_f64, flatmin_update_f64
}

/// The structure's name in C.
fn c_name<T>(which: Which) -> String {
    let kind = if size_of::<T>() == 4 { "_f32" } else { "_f64" };
    let suffix = if matches!(which, Which::Batch | Which::State) { kind } else { "" };
    format!("flatmin_{}{suffix}", format!("{which:?}").to_lowercase())
}

fn refused<T: flatmin::Real>(world: &mut World<T>, function: &Function<T>, status: Status, message: &str) {
    let before = world.snapshot();
    assert_eq!((function.2)(world), status, "{}: {message}", function.0);
    assert_eq!(last_error(), message, "{}", function.0);
    assert_eq!(world.snapshot(), before, "{} wrote in spite of an error: {message}", function.0);
}

/// Every structure of every function, by `check`.
fn for_all<T: flatmin::Real>(
    functions: Vec<Function<T>>,
    check: impl Fn(&mut World<T>, &Function<T>, (Which, Use, &'static str)),
) {
    for function in &functions {
        assert_eq!((function.2)(&mut World::new()), Status::Ok, "{}", function.0);
        for &structure in &function.1 {
            check(&mut World::new(), function, structure);
        }
    }
}

/// Runs a test for both number types.
macro_rules! both {
    ($($test:ident: $check:ident;)*) => {
        $(
            #[test]
            fn $test() {
                for_all(functions_f32(), $check);
                for_all(functions_f64(), $check);
            }
        )*
    };
}

both! {
    sizes_of_no_version_are_refused: no_version;
    longer_structures_are_read_and_written: longer;
    nothing_is_written_beyond_the_size: beyond;
    reserved_fields_are_zero: reserved;
}

fn no_version<T: flatmin::Real>(
    world: &mut World<T>,
    function: &Function<T>,
    (which, _, argument): (Which, Use, &'static str),
) {
    let (bytes, name) = (world.parts(which).2, c_name::<T>(which));
    for size in [0, 1, 8, bytes - 8, bytes - 1, bytes + 4, 4104, usize::MAX] {
        world.set_size(which, size);
        // Today's version is the first of every structure.
        let stem = name.trim_end_matches("_f32").trim_end_matches("_f64");
        let message = format!(
            "{argument}: size {size} given, that of a {stem} expected, at least {bytes}: initialise it, by {stem}_init or the like"
        );
        refused(world, function, Status::StructureSize, &message);
    }
}

fn longer<T: flatmin::Real>(
    world: &mut World<T>,
    function: &Function<T>,
    (which, used, argument): (Which, Use, &'static str),
) {
    let (bytes, name) = (world.parts(which).2, c_name::<T>(which));
    let stem = name.trim_end_matches("_f32").trim_end_matches("_f64");
    for (more, word) in [(8, 0), (16, 1)] {
        world.set_size(which, bytes + more);
        *world.parts(which).1 = [0; 2];
        assert_eq!((function.2)(world), Status::Ok, "{}, {argument}: zeros beyond", function.0);
        world.parts(which).1[word] = u64::MAX;
        if used == Use::Writes {
            assert_eq!((function.2)(world), Status::Ok, "{}, {argument}", function.0);
            assert_eq!(*world.parts(which).1, [0; 2], "{}, {argument}: fields that nobody filled in", function.0);
        } else {
            let version = env!("CARGO_PKG_VERSION");
            let at = bytes + 8 * word;
            let message = format!(
                "{argument}: byte {at} is not 0, and version {version} of the library knows a {stem} of {bytes} bytes: a field of a later version is set"
            );
            refused(world, function, Status::UnknownField, &message);
        }
        // SAFETY: the first field of a structure.
        assert_eq!(unsafe { world.parts(which).0.read() }, bytes + more, "the size stays the caller's");
    }
}

fn beyond<T: flatmin::Real>(
    world: &mut World<T>,
    function: &Function<T>,
    (which, _, argument): (Which, Use, &'static str),
) {
    *world.parts(which).1 = [u64::MAX; 2];
    assert_eq!((function.2)(world), Status::Ok, "{}, {argument}", function.0);
    assert_eq!(*world.parts(which).1, [u64::MAX; 2], "{}, {argument}", function.0);
}

fn reserved<T: flatmin::Real>(
    world: &mut World<T>,
    function: &Function<T>,
    (which, used, argument): (Which, Use, &'static str),
) {
    if (which, used) != (Which::Plan, Use::Reads) {
        return;
    }
    world.plan.structure.reserved = 3;
    refused(world, function, Status::Reserved, &format!("{argument}.reserved: 3 given, 0 expected"));
}

/// The structures of the first version with their fields, in order: fields are added behind these, and these stay where they are.
#[cfg(target_pointer_width = "64")]
#[test]
fn the_first_version_is_kept() {
    macro_rules! layout {
        ($($structure:ty: $bytes:literal; $($field:ident $offset:literal),*;)*) => {
            $(
                assert!(size_of::<$structure>() >= $bytes, stringify!($structure));
                $(assert_eq!(offset_of!($structure, $field), $offset, "{}.{}", stringify!($structure), stringify!($field));)*
            )*
        };
    }
    layout! {
        CPlan: 88; size 0, inputs 8, hidden 16, classes 24, samples 32, activation 40, route 44, form 48, reserved 52, data_set 56,
            parameters 64, workspace_len 72, gradient_workspace_len 80;
        CBatch<f32>: 56; size 0, inputs 8, inputs_len 16, classes 24, classes_len 32, distributions 40, distributions_len 48;
        CState<f32>: 80; size 0, moments 8, moments_len 16, steps 24, average_trace 32, average_trace_of_square 40, average_limit 48,
            average_whole 56, average_limited 64, average_count 72;
        CEvaluation: 24; size 0, loss 8, accuracy 16;
        CBounds: 40; size 0, lambda_max_upper 8, lambda_max_lower 16, lambda_min_upper 24, lambda_min_lower 32;
        CCurvature: 104; size 0, trace 8, trace_of_square 16, output 24, hidden 32, output_square 40, cross_square 48, hidden_square 56,
            lambda_max_upper 64, lambda_max_lower 72, lambda_min_upper 80, lambda_min_lower 88, differentiable 96;
        CStep: 160; size 0, loss 8, has_curvature 16, has_estimate 24, trace 32, trace_of_square 40, output 48, hidden 56,
            output_square 64, cross_square 72, hidden_square 80, lambda_max_upper 88, lambda_max_lower 96, lambda_min_upper 104,
            lambda_min_lower 112, differentiable 120, estimated_trace 128, estimated_trace_of_square 136, kept 144, weight 152;
        COptimizer: 160; size 0, method 8, update 12, learning_rate 16, momentum 24, beta1 32, beta2 40, epsilon 48, clip 56,
            weight_decay 64, weights_only 72, direction 76, radius 80, rho 88, every 96, penalty 104, sketch 108, subset 112, alpha 120,
            beta 128, own_share 136, limited_share 144, seed 152;
    }
}
