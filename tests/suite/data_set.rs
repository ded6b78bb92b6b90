//! The quantities of a data set by chunks: those of the whole at once, whatever the chunks, in every way and both types.

use crate::common::call::{Quantity, nan};
use crate::common::number::Tracked;
use crate::common::problem::{Instance, Labels, Problem, Random, Recipe, Way};
use crate::common::reference::{Reference, product, roundings};
use flatmin::{
    Activation, Curvature, Error, Evaluation, Network, PairWeights, Plan, Real, Route, Shape, data_set_curvature,
    data_set_curvature_estimate, data_set_hessian_vector_product, data_set_loss, data_set_loss_gradient,
};

/// A data set, and a plan of its chunks, with every workspace as long as promised and filled with NaN.
struct Chunks<T> {
    data: Instance<T>,
    plan: Plan,
}

impl<T: Real> Chunks<T> {
    fn new(problem: &Problem, way: Way, samples: usize) -> Self {
        let plan = way.of(Plan::new(problem.network, samples).expect("a plan for small sizes"));
        Self { data: problem.instance(), plan }
    }

    fn loss(&self) -> Evaluation {
        let mut workspace = nan(self.plan.gradient_workspace_len());
        data_set_loss(&self.plan, &self.data.theta, &self.data.batch(), &mut workspace).expect("a loss")
    }

    fn gradient(&self) -> (f64, Vec<T>) {
        let (mut workspace, mut gradient) = (nan(self.plan.gradient_workspace_len()), nan(self.data.parameters()));
        let (theta, batch) = (&self.data.theta, &self.data.batch());
        let loss = data_set_loss_gradient(&self.plan, theta, batch, &mut gradient, &mut workspace);
        (loss.expect("a gradient"), gradient)
    }

    fn curvature(&self) -> Curvature {
        let mut workspace = nan(self.plan.data_set_workspace_len().expect("a small workspace"));
        data_set_curvature(&self.plan, &self.data.theta, &self.data.batch(), &mut workspace).expect("a curvature")
    }

    fn estimate(&self) -> flatmin::Result<Curvature> {
        let mut workspace = nan(self.plan.workspace_len());
        data_set_curvature_estimate(&self.plan, &self.data.theta, &self.data.batch(), &mut workspace)
    }

    fn product(&self, vector: &[T]) -> Vec<T> {
        let (mut workspace, mut product) = (nan(self.plan.workspace_len()), nan(self.data.parameters()));
        let (theta, batch) = (&self.data.theta, &self.data.batch());
        data_set_hessian_vector_product(&self.plan, theta, batch, vector, &mut product, &mut workspace)
            .expect("a product");
        product
    }
}

const LABELS: [Labels; 3] = [Labels::Hard, Labels::Smoothed, Labels::Soft];

#[track_caller]
fn close(what: &str, given: f64, expected: Tracked, relative: f64) {
    let (error, allowed) = ((given - expected.value).abs(), relative * expected.scale);
    // Written so that NaN fails.
    assert!(
        error <= allowed,
        "{what}: {given:e} given, {:e} expected, {error:e} off, {allowed:e} allowed",
        expected.value
    );
}

/// Everything against the reference, which knows loss and back-propagation alone.
fn against_the_reference<T: Real>(recipe: Recipe, sizes: &[usize]) {
    let problem = recipe.problem().rounded::<T>();
    let direction = problem.direction(recipe.seed);
    let reference = Reference::at(&problem);
    let (traces, along) = (reference.traces(), product(&problem, &direction));
    let vector: Vec<T> = direction.iter().map(|&entry| T::from_f64(entry)).collect();
    let relative = roundings(&problem) * T::EPSILON.to_f64();
    for way in Way::ALL {
        for &size in sizes {
            let what = |quantity: &str| format!("{quantity} of {recipe:?} by {way}, chunks of {size}");
            let chunks = Chunks::<T>::new(&problem, way, size);
            let found = chunks.curvature();
            let [output, cross, hidden] = traces.squares_by(way);
            for (name, given, expected) in [
                ("output", found.traces.output, traces.output),
                ("hidden", found.traces.hidden, traces.hidden),
                ("output square", found.traces.output_square, output),
                ("cross square", found.traces.cross_square, cross),
                ("hidden square", found.traces.hidden_square, hidden),
            ] {
                close(&what(name), given, expected, relative);
            }
            let loss = reference.value(Quantity::Loss);
            close(&what("loss"), chunks.loss().loss, loss, relative);
            let (value, gradient) = chunks.gradient();
            close(&what("loss beside the gradient"), value, loss, relative);
            for (given, &expected) in gradient.iter().zip(&reference.gradient) {
                close(&what("gradient"), given.to_f64(), expected, relative);
            }
            for (given, &expected) in chunks.product(&vector).iter().zip(&along) {
                close(&what("product"), given.to_f64(), expected, relative);
            }
        }
    }
}

#[test]
fn any_chunks_have_the_values_of_the_whole() {
    for (seed, activation) in (1..).zip(Activation::ALL) {
        for labels in LABELS {
            let recipe = Recipe { inputs: 3, hidden: 4, classes: 3, samples: 7, activation, labels, seed };
            against_the_reference::<f64>(recipe, &[1, 2, 3, 4, 6, 7, 9]);
            against_the_reference::<f32>(recipe, &[1, 2, 3, 5, 7]);
        }
    }
}

/// Two classes, of which all of H is formed at once; and more samples than inputs, where χ is summed by way of the inputs.
#[test]
fn few_classes_and_few_inputs() {
    let (activation, labels) = (Activation::Tanh, Labels::Soft);
    for (inputs, classes) in [(1, 2), (1, 4), (2, 3)] {
        let recipe = Recipe { inputs, hidden: 3, classes, samples: 23, activation, labels, seed: 3 };
        against_the_reference::<f64>(recipe, &[1, 3, 5, 8, 11, 22]);
        against_the_reference::<f32>(recipe, &[2, 9]);
    }
}

/// Chunks about the edges of tiles and of parts of tiles, against the whole at once.
#[test]
fn chunks_of_several_tiles() {
    fn check<T: Real>(recipe: Recipe, sizes: &[usize]) {
        let problem = recipe.problem().rounded::<T>();
        let relative = roundings(&problem) * T::EPSILON.to_f64();
        for way in Way::ALL {
            let whole = problem.instance::<T>().by(way).curvature().traces;
            let scale = whole.output_square + whole.cross_square.abs() + whole.hidden_square.abs();
            for &size in sizes {
                let found = Chunks::<T>::new(&problem, way, size).curvature().traces;
                for (given, expected, scale) in [
                    (found.output, whole.output, whole.output),
                    (found.hidden, whole.hidden, whole.output + whole.hidden.abs()),
                    (found.output_square, whole.output_square, scale),
                    (found.cross_square, whole.cross_square, scale),
                    (found.hidden_square, whole.hidden_square, scale),
                ] {
                    let error = (given - expected).abs();
                    assert!(error <= relative * scale, "{recipe:?} by {way}, chunks of {size}: {given} not {expected}");
                }
            }
        }
    }
    for (inputs, hidden, classes) in [(2, 5, 3), (40, 9, 3), (80, 7, 10), (3, 6, 2)] {
        let (activation, labels) = (Activation::Gelu, Labels::Smoothed);
        let recipe = Recipe { inputs, hidden, classes, samples: 200, activation, labels, seed: 11 };
        check::<f64>(recipe, &[13, 31, 33, 64, 65, 70, 128, 129, 199]);
        check::<f32>(recipe, &[30, 65, 100]);
    }
}

/// Chunks whose factors have scales that differ by e⁴⁰ and e⁸⁰: small ones after large ones, and before.
#[test]
fn certain_and_uncertain_chunks() {
    fn check<T: Real>(classes: usize) {
        let shape = Shape::new(1, 1, classes).expect("sizes");
        let (mut theta, output) = (vec![T::ZERO; shape.parameters()], shape.output_weight().start);
        theta[0] = T::ONE;
        (theta[output], theta[output + 1]) = (T::from_f64(40.0), T::from_f64(-40.0));
        let inputs = [5.0, 0.0, -5.0, 0.01, 6.0].map(T::from_f64);
        let targets = flatmin::Targets::Classes(&[0, 1, 1, 0, 0]);
        let data = flatmin::Batch::new(shape, &inputs, targets).expect("data");
        for way in Way::ALL {
            let plan = |samples| way.of(Plan::new(Network::new(shape, Activation::Tanh), samples).expect("a plan"));
            let mut workspace = nan(plan(5).workspace_len());
            let whole = flatmin::curvature(&plan(5), &theta, &data, &mut workspace).expect("a curvature").traces;
            for size in 1..5 {
                let mut workspace = nan(plan(size).data_set_workspace_len().expect("a small workspace"));
                let found = data_set_curvature(&plan(size), &theta, &data, &mut workspace).expect("a curvature").traces;
                for (found, whole) in
                    [(found.trace(), whole.trace()), (found.trace_of_square(), whole.trace_of_square())]
                {
                    let allowed = 64.0 * T::EPSILON.to_f64() * whole.abs();
                    assert!((found - whole).abs() <= allowed, "{way}, chunks of {size}: {found} not {whole}");
                }
            }
        }
    }
    for classes in [2, 3] {
        check::<f64>(classes);
        check::<f32>(classes);
    }
}

/// A data set of one chunk: everything to the last bit, the inner products of the inputs included.
#[test]
fn one_chunk_has_the_bits_of_the_batch() {
    fn check<T: Real>(samples: usize) {
        let (activation, labels) = (Activation::Softplus, Labels::Soft);
        let recipe = Recipe { inputs: 5, hidden: 6, classes: 3, samples, activation, labels, seed: 2 };
        let problem = recipe.problem();
        for way in Way::ALL {
            let batch = problem.instance::<T>().by(way);
            let vector: Vec<T> = batch.theta.iter().rev().copied().collect();
            for chunk in [samples, samples + 1, 2 * samples] {
                let chunks = Chunks::<T>::new(&problem, way, chunk);
                assert_eq!(chunks.loss(), batch.loss(), "{way}");
                assert_eq!(chunks.gradient(), batch.gradient(Quantity::Loss), "{way}");
                assert_eq!(chunks.product(&vector), batch.product(&vector), "{way}");
                // Another plan may sum in another order.
                let planned = Instance { plan: chunks.plan, ..batch.clone() };
                assert_eq!(chunks.curvature(), planned.curvature(), "{way}");
            }
            let gram: Vec<T> = (0..samples * samples).map(|i| T::from_f64((i as f64).cos())).collect();
            let data = batch.batch().with_input_gram(&gram).expect("N² numbers");
            let mut workspace = nan(batch.plan.data_set_workspace_len().expect("a small workspace"));
            let found = data_set_curvature(&batch.plan, &batch.theta, &data, &mut workspace);
            assert_eq!(found, flatmin::curvature(&batch.plan, &batch.theta, &data, &mut workspace), "{way}");
            assert_eq!(found.expect("a curvature") == batch.curvature(), way.route == Route::Blocks, "{way}");
        }
    }
    for samples in [1, 6, 70] {
        check::<f64>(samples);
        check::<f32>(samples);
    }
}

/// The plan's pair weights are those of a batch: a data set has its own.
#[test]
fn pair_weights_of_the_plan_do_not_matter() {
    let (activation, labels) = (Activation::Tanh, Labels::Hard);
    let problem = Recipe { inputs: 2, hidden: 3, classes: 3, samples: 8, activation, labels, seed: 4 }.problem();
    for way in Way::ALL {
        let mut chunks = Chunks::<f64>::new(&problem, way, 3);
        let (curvature, estimate) = (chunks.curvature(), chunks.estimate());
        chunks.plan = chunks.plan.with_pair_weights(PairWeights::DataSet { samples: 1000 });
        assert_eq!((chunks.curvature(), chunks.estimate()), (curvature, estimate), "{way}");
    }
}

/// All orders of the numbers below `count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(count - 1);
    let insert = |order: &Vec<usize>, at: usize| [&order[..at], &[count - 1], &order[at..]].concat();
    shorter.iter().flat_map(|order| (0..count).map(move |at| insert(order, at))).collect()
}

/// Over all orders of the samples the estimate of tr H² has the exact mean; tr H is exact in each.
#[test]
fn the_estimate_is_unbiased() {
    for (samples, size, classes) in [(3, 3, 2), (4, 2, 3), (4, 3, 2), (5, 3, 3), (5, 4, 2)] {
        let (activation, labels, seed) = (Activation::Gelu, Labels::Smoothed, samples as u64);
        let problem = Recipe { inputs: 2, hidden: 3, classes, samples, activation, labels, seed }.problem();
        let reference = Reference::at(&problem).traces();
        let (relative, orders) = (roundings(&problem) * f64::EPSILON, orders(samples));
        for way in Way::ALL {
            let [output, cross, hidden] = reference.squares_by(way);
            let (mut mean, mut distinct) = ([0.0; 3], Vec::new());
            for order in &orders {
                let chunks = Chunks::<f64>::new(&problem.rows(order), way, size);
                let found = chunks.estimate().expect("chunks of two or more").traces;
                close("trace", found.trace(), reference.trace(), relative);
                let squares = [found.output_square, found.cross_square, found.hidden_square];
                for (mean, square) in mean.iter_mut().zip(squares) {
                    *mean += square / orders.len() as f64;
                }
                distinct.push(found.trace_of_square());
            }
            // Absolute weights of an estimate are larger than those of the data set: see `properties::pair_weights`.
            let extra = 1.0 + 2.0 * (samples as f64 - 1.0) / (samples / samples.div_ceil(size) - 1) as f64;
            for (mean, expected) in mean.into_iter().zip([output, cross, hidden]) {
                close(&format!("mean of {samples} in chunks of {size} by {way}"), mean, expected, extra * relative);
            }
            distinct.sort_by(f64::total_cmp);
            let spread = distinct[distinct.len() - 1] - distinct[0];
            let exact = output.value + cross.value + hidden.value;
            assert_eq!(spread > 1e-3 * exact, samples > size, "the order matters where there are several chunks");
        }
    }
}

/// On a data set whose orders cannot all be tried: within five standard errors of the exact value.
#[test]
fn the_estimate_of_a_larger_data_set() {
    let (activation, labels) = (Activation::Tanh, Labels::Hard);
    let problem = Recipe { inputs: 4, hidden: 5, classes: 3, samples: 101, activation, labels, seed: 6 }.problem();
    let way = Way::ALL[1];
    let exact = Chunks::<f64>::new(&problem, way, 30).curvature().traces.trace_of_square();
    let mut random = Random::new(1);
    let estimates: Vec<f64> = (0..400)
        .map(|_| {
            let chunks = Chunks::<f64>::new(&problem.rows(&random.permutation(101)), way, 16);
            chunks.estimate().expect("large chunks").traces.trace_of_square()
        })
        .collect();
    let count = estimates.len() as f64;
    let mean = estimates.iter().sum::<f64>() / count;
    let variance = estimates.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (count - 1.0);
    let error = (variance / count).sqrt();
    assert!((mean - exact).abs() < 5.0 * error, "{mean} ± {error} against {exact}");
    // The mean of the chunks' own tr H² is not it.
    assert!(error < 0.01 * exact, "{error} of {exact}");
}

/// Chunks differ by one sample at most, so only plans of one or two samples can leave one alone.
#[test]
fn a_chunk_of_one_sample() {
    let (activation, labels) = (Activation::Tanh, Labels::Hard);
    for samples in 1..=12 {
        let problem = Recipe { inputs: 2, hidden: 2, classes: 2, samples, activation, labels, seed: 8 }.problem();
        for size in 1..=13 {
            let found = Chunks::<f64>::new(&problem, Way::ALL[0], size).estimate();
            let alone = samples > size && (size == 1 || (size == 2 && samples % 2 == 1));
            assert_eq!(found.is_err(), alone, "{samples} in chunks of {size}");
            if let Err(error) = found {
                assert_eq!(error, Error::PairWeights { samples: 1, data_set: samples });
            }
        }
    }
}

/// The share of samples is that of a count, not a mean of shares.
#[test]
fn an_accuracy_of_one_is_one() {
    let network = Network::new(Shape::new(1, 1, 2).expect("sizes"), Activation::Tanh);
    let theta = [1.0, 0.0, -1.0, 1.0, 0.0, 0.0];
    for samples in [1, 7, 50, 113] {
        let (inputs, classes): (Vec<f64>, Vec<u32>) =
            (0..samples).map(|i| (if i % 3 == 0 { 1.0 } else { -1.0 }, u32::from(i % 3 == 0))).unzip();
        let data = flatmin::Batch::new(network.shape, &inputs, flatmin::Targets::Classes(&classes)).expect("data");
        for size in [1, 3, 10, 49] {
            let plan = Plan::new(network, size).expect("a plan");
            let mut workspace = nan(plan.gradient_workspace_len());
            let found = data_set_loss(&plan, &theta, &data, &mut workspace).expect("a loss");
            assert_eq!(found.accuracy, 1.0, "{samples} in chunks of {size}");
        }
    }
}

#[test]
fn a_workspace_of_two_chunks_that_cannot_be_addressed() {
    let network = Network::new(Shape::new(3, 2, 2).expect("sizes"), Activation::Tanh);
    let of = |samples: usize| Plan::new(network, samples).and_then(|plan| plan.with_route(Route::Pairs));
    let a_sample = of(1 << 40).expect("a plan").workspace_len() >> 40;
    let plan = of(isize::MAX as usize / 8 / (a_sample + 1)).expect("a plan that can be addressed");
    assert_eq!(plan.data_set_workspace_len(), Err(Error::TooLarge { quantity: "workspace" }));
    let data = flatmin::Batch::new(network.shape, &[0.0; 3], flatmin::Targets::Classes(&[0])).expect("data");
    let found = data_set_curvature(&plan, &vec![0.0; network.shape.parameters()], &data, &mut [0.0; 10]);
    assert_eq!(found, Err(Error::TooLarge { quantity: "workspace" }));
}
