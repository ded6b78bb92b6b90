//! No step and no quantity allocates. Each thread counts its own: that of the test harness goes about its business meanwhile.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::problem::{Instance, Labels, Recipe, Way};
use flatmin::{
    Activation, Direction, Hsr, Optimizer, Penalty, Plan, Real, Sam, Sampling, Sgd, State, WeightDecay, bound_gradient,
    classes, curvature, data_set_curvature, data_set_curvature_estimate, data_set_hessian_vector_product,
    data_set_loss, data_set_loss_gradient, dense_hessian, hessian_vector_product, hsr_gradient, logits, loss,
    loss_gradient, probabilities, trace_gradient, trace_of_square_gradient,
};

/// The system's allocator, counting.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every method hands its arguments on to the system's allocator, whose contract is the same.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises about `layout` are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `pointer` came from `System`, with this layout, as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

fn everything<T: Real>(instance: &Instance<T>) -> usize {
    let (plan, batch) = (&instance.plan, &instance.batch());
    let mut theta = instance.theta.clone();
    let (mut gradient, mut velocity) = (theta.clone(), vec![T::ZERO; theta.len()]);
    let mut hessian = vec![T::ZERO; theta.len() * theta.len()];
    let sampled = Sampling::new(1);
    let chunks = &Plan::new(plan.network(), plan.samples().div_ceil(3) + 1).expect("a plan");
    let chunks = &chunks.with_route(plan.route()).and_then(|chunks| chunks.with_form(plan.form())).expect("a plan");
    let by_chunks = chunks.workspace_len().max(chunks.data_set_workspace_len().expect("a small workspace"));
    let needed = plan.workspace_len().max(sampled.workspace_len(plan).expect("good parameters")).max(by_chunks);
    let space = &mut vec![T::NAN; needed][..];
    let sgd = Sgd::new(0.01).with_momentum(0.9).with_weight_decay(WeightDecay::all(0.01));
    let (inputs, mut predicted) = (&instance.inputs[..], vec![T::ZERO; batch.samples() * plan.shape().classes()]);
    let mut top = vec![0; batch.samples()];
    let out = &mut gradient[..];
    allocations(|| {
        let mut state = State::new(&mut velocity);
        for direction in [Direction::Gradient, Direction::Unit] {
            let hsr = Hsr { direction, ..Hsr::new(sgd, 0.1) };
            assert!(hsr.step(plan, &mut theta, batch, &mut state, space).is_ok());
            let hsr = Hsr { penalty: Penalty::Sampled(sampled), ..hsr };
            assert!(hsr.step(plan, &mut theta, batch, &mut state, space).is_ok());
        }
        assert!(sgd.step(plan, &mut theta, batch, &mut state, space).is_ok());
        assert!(Sam::new(sgd, 0.1).step(plan, &mut theta, batch, &mut state, space).is_ok());
        assert!(loss(plan, &theta, batch, space).is_ok());
        assert!(loss_gradient(plan, &theta, batch, out, space).is_ok());
        assert!(curvature(plan, &theta, batch, space).is_ok());
        assert!(trace_gradient(plan, &theta, batch, out, space).is_ok());
        assert!(trace_of_square_gradient(plan, &theta, batch, out, space).is_ok());
        assert!(bound_gradient(plan, &theta, batch, out, space).is_ok());
        assert!(hsr_gradient(plan, &theta, batch, 0.1, out, space).is_ok());
        assert!(hessian_vector_product(plan, &theta, batch, &instance.theta, out, space).is_ok());
        assert!(dense_hessian(plan, &theta, batch, &mut hessian, space).is_ok());
        assert!(data_set_loss(chunks, &theta, batch, space).is_ok());
        assert!(data_set_loss_gradient(chunks, &theta, batch, out, space).is_ok());
        assert!(data_set_curvature(chunks, &theta, batch, space).is_ok());
        assert!(data_set_curvature_estimate(chunks, &theta, batch, space).is_ok());
        assert!(data_set_hessian_vector_product(chunks, &theta, batch, &instance.theta, out, space).is_ok());
        assert!(logits(plan, &theta, inputs, &mut predicted, space).is_ok());
        assert!(probabilities(plan, &theta, inputs, &mut predicted, space).is_ok());
        assert!(classes(plan, &theta, inputs, &mut top, space).is_ok());
        assert!(plan.network().initialize(&mut theta, 1).is_ok());
    })
}

#[test]
fn nothing_allocates() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1u8; 100]))), 1, "the counter counts");
    // The first call of a process chooses an instruction set, and may read the environment.
    flatmin::simd::InstructionSet::current();
    for samples in [1, 7, 70] {
        let labels = Labels::Soft;
        let recipe =
            Recipe { inputs: 5, hidden: 6, classes: 3, samples, activation: Activation::Gelu, labels, seed: 1 };
        for way in Way::ALL {
            assert_eq!(everything(&recipe.problem().instance::<f64>().by(way)), 0, "f64 by {way}, {samples} samples");
            assert_eq!(everything(&recipe.problem().instance::<f32>().by(way)), 0, "f32 by {way}, {samples} samples");
        }
    }
}

/// A training has its memory after the first epoch.
#[cfg(feature = "alloc")]
#[test]
fn later_epochs_allocate_nothing() {
    let labels = Labels::Soft;
    let recipe =
        Recipe { inputs: 5, hidden: 6, classes: 3, samples: 20, activation: Activation::Gelu, labels, seed: 1 };
    let instance = recipe.problem().instance::<f64>();
    let plan = flatmin::Plan::new(instance.plan.network(), 8).expect("a small plan");
    let hsr = Hsr::new(flatmin::Adam::new(0.01), 0.1);
    let mut training = flatmin::Training::new(plan, hsr, 1).expect("a training");
    let mut epoch = || allocations(|| assert!(training.epoch(&instance.batch(), flatmin::Order::Shuffled).is_ok()));
    assert_eq!([epoch() > 0, epoch() > 0, epoch() > 0], [true, false, false]);
}

/// The first evaluation of a thread that pays for helpers starts them; no other allocates.
#[cfg(feature = "threads")]
#[test]
fn several_threads_allocate_once() {
    let labels = Labels::Soft;
    let recipe =
        Recipe { inputs: 5, hidden: 16, classes: 6, samples: 192, activation: Activation::Tanh, labels, seed: 1 };
    for way in Way::ALL {
        let mut instance = recipe.problem().instance::<f32>().by(way);
        instance.plan = instance.plan.with_threads(2).expect("a small workspace");
        let again = std::thread::spawn(move || {
            assert!(everything(&instance) > 0, "no helper was started by {way}");
            everything(&instance)
        });
        assert_eq!(again.join().expect("no panic"), 0, "by {way}");
    }
}
