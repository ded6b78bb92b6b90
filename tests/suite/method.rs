//! The formulas of docs/method.md against the numbers of `tests/vectors`, and the crate against the formulas; the page against both.
//!
//! The crate may differ from the formulas by the roundings of both, each `k ε Σ|terms|`, with the sums of the reference by dual numbers.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::common::call::Quantity;
use crate::common::method::{
    Batch, bounds, cut, factors, flat, forward, gradient, hsr_gradient, kappa, slopes, trace, trace_of_square,
};
use crate::common::number::Tracked;
use crate::common::problem::{Instance, Labels, Problem, Recipe, Way};
use crate::common::reference::Reference;
use crate::common::strategies::{any_problem, small};
use crate::eigenvalues::ascending;
use crate::properties::{Tolerance, along, cases};
use crate::vectors;
use flatmin::{Activation, Network, PairWeights, Plan, Real, Sampling, Shape};
use nalgebra::DMatrix;
use proptest::prelude::*;

impl Batch {
    pub fn new(problem: &Problem, pair_weights: PairWeights) -> Self {
        let shape = problem.shape();
        let [d, k] = [shape.inputs(), shape.classes()];
        let theta = cut(&problem.theta, [d, shape.hidden(), k]);
        let rows = problem.inputs.chunks(d).zip(problem.targets.chunks(k));
        let forward: Vec<_> = rows.map(|(x, y)| forward(problem.network.activation, &theta, x, y)).collect();
        let factors = forward.iter().map(|sample| factors(&theta.V, sample)).collect();
        let pair_weights = pair_weights.of(problem.samples).expect("weights that go with the batch");
        Self { theta, forward, factors, pair_weights }
    }

    fn loss(&self) -> f64 {
        self.forward.iter().map(|sample| sample.loss).sum::<f64>() / self.forward.len() as f64
    }

    fn trace(&self) -> f64 {
        trace(&self.factors).iter().sum()
    }

    fn trace_of_square(&self) -> f64 {
        trace_of_square(&self.factors, self.pair_weights).iter().sum()
    }

    fn bounds(&self) -> [f64; 4] {
        bounds(self.trace(), self.trace_of_square(), flat(&self.theta).len() as f64)
    }

    fn value(&self, quantity: Quantity) -> f64 {
        match quantity {
            Quantity::Loss => self.loss(),
            Quantity::Trace => self.trace(),
            Quantity::TraceOfSquare => self.trace_of_square(),
            Quantity::Bound => self.bounds()[0],
            Quantity::Hsr(rho) => self.loss() + rho * self.bounds()[0],
        }
    }

    fn gradient(&self, quantity: Quantity) -> Vec<f64> {
        flat(&match quantity {
            Quantity::Loss => gradient(self, [1.0, 0.0, 0.0]),
            Quantity::Trace => gradient(self, [0.0, 1.0, 0.0]),
            Quantity::TraceOfSquare => gradient(self, [0.0, 0.0, 1.0]),
            Quantity::Bound => {
                let size = flat(&self.theta).len() as f64;
                let [by_trace, by_square] = slopes(self.trace(), self.trace_of_square(), size);
                gradient(self, [0.0, by_trace, by_square])
            }
            Quantity::Hsr(rho) => hsr_gradient(self, rho),
        })
    }
}

#[test]
fn the_formulas_match_the_vectors_to_1e_9() {
    for (name, case) in vectors::cases() {
        let expected = case.expected.as_ref().expect("expected numbers");
        let check = vectors::Check { what: name, tolerance: 1e-9, expected };
        let samples = case.inputs.len() / case.network.shape.inputs();
        let vectors::Case { network, theta, inputs, targets, .. } = &case;
        let (theta, inputs, targets) = (theta.clone(), inputs.clone(), targets.clone());
        let problem = Problem { network: *network, samples, theta, inputs, targets, indices: None };
        let batch = Batch::new(&problem, PairWeights::Batch);
        check.close("loss", &[batch.loss()], &[expected.loss]);
        check.close("trace", &[batch.trace()], &[expected.trace]);
        check.close("trace of square", &[batch.trace_of_square()], &[expected.trace_of_square]);
        let four = &expected.bounds;
        let four = [four.lambda_max_upper, four.lambda_max_lower, four.lambda_min_upper, four.lambda_min_lower];
        check.close("bounds", &batch.bounds(), &four);
        let of_bound = &expected.lambda_max_upper_gradient;
        let both: Vec<f64> = expected.loss_gradient.iter().zip(of_bound).map(|(l, b)| l + 0.3 * b).collect();
        for (quantity, expected) in Quantity::ALL.into_iter().zip([
            &expected.loss_gradient,
            &expected.trace_gradient,
            &expected.trace_of_square_gradient,
            of_bound,
            &both,
        ]) {
            check.close(&format!("gradient of {quantity:?}"), &batch.gradient(quantity), expected);
        }
    }
}

/// What two computations of a number may differ by: one in T, one by the formulas in `f64`.
fn both<T: Real>(problem: &Problem) -> Tolerance {
    Tolerance { relative: Tolerance::of::<T>(problem).relative + Tolerance::of::<f64>(problem).relative }
}

/// The value of the formulas with the terms of the reference.
fn with_terms(value: f64, terms: Tracked) -> Tracked {
    Tracked { value, ..terms }
}

/// Every value of the crate, in every way, by block.
fn values<T: Real>(problem: &Problem) -> Result<(), TestCaseError> {
    let problem = problem.clone().rounded::<T>();
    let (reference, tolerance) = (Reference::at(&problem), both::<T>(&problem));
    let batch = Batch::new(&problem, PairWeights::Batch);
    let ([output, hidden], squares) = (trace(&batch.factors), trace_of_square(&batch.factors, batch.pair_weights));
    for way in Way::ALL {
        let instance: Instance<T> = problem.instance().by(way);
        let (terms, given) = (reference.traces(), instance.curvature());
        let loss = with_terms(batch.loss(), reference.value(Quantity::Loss));
        tolerance.close(&format!("{way} loss"), instance.loss().loss, loss)?;
        let traces = given.traces;
        tolerance.close(&format!("{way} output"), traces.output, with_terms(output, terms.output))?;
        tolerance.close(&format!("{way} hidden"), traces.hidden, with_terms(hidden, terms.hidden))?;
        let by_block = [traces.output_square, traces.cross_square, traces.hidden_square];
        for ((given, square), terms) in by_block.into_iter().zip(squares).zip(terms.squares_by(way)) {
            tolerance.close(&format!("{way} squares {by_block:?}"), given, with_terms(square, terms))?;
        }
        if variance_is_known(&reference, tolerance) {
            let four = given.bounds;
            let four = [four.lambda_max_upper, four.lambda_max_lower, four.lambda_min_upper, four.lambda_min_lower];
            for ((given, bound), terms) in four.into_iter().zip(batch.bounds()).zip(reference.bounds()) {
                tolerance.close(&format!("{way} bounds {four:?}"), given, with_terms(bound, terms))?;
            }
        }
    }
    Ok(())
}

fn variance_is_known(reference: &Reference, tolerance: Tolerance) -> bool {
    reference.variance_error::<f64>(tolerance.relative / f64::EPSILON) < 0.25
}

/// Every gradient of the crate, in every way, along each of some directions.
fn gradients<T: Real>(problem: &Problem, directions: &[Vec<f64>]) -> Result<(), TestCaseError> {
    let problem = problem.clone().rounded::<T>();
    let tolerance = both::<T>(&problem);
    let batch = Batch::new(&problem, PairWeights::Batch);
    let expected = Quantity::ALL.map(|quantity| (batch.value(quantity), batch.gradient(quantity)));
    let given = Way::ALL.map(|way| {
        let instance: Instance<T> = problem.instance().by(way);
        Quantity::ALL.map(|quantity| instance.gradient(quantity))
    });
    for (i, direction) in directions.iter().enumerate() {
        let reference = Reference::new(&problem, direction);
        for (at, quantity) in Quantity::ALL.into_iter().enumerate() {
            if matches!(quantity, Quantity::Bound | Quantity::Hsr(_)) && !variance_is_known(&reference, tolerance) {
                continue;
            }
            for (way, given) in Way::ALL.into_iter().zip(&given) {
                let (what, (value, gradient)) = (format!("{way} {quantity:?} [{i}]"), &expected[at]);
                tolerance.close(&what, given[at].0, with_terms(*value, reference.value(quantity)))?;
                let slope = with_terms(along(gradient, direction), reference.slope(quantity));
                tolerance.close(&format!("slope: {what}"), along(&given[at].1, direction), slope)?;
            }
        }
    }
    Ok(())
}

fn unit_vectors(problem: &Problem) -> Vec<Vec<f64>> {
    let size = problem.shape().parameters();
    (0..size).map(|i| (0..size).map(|j| f64::from(i == j)).collect()).collect()
}

/// The same in f64 for problems whose terms cancel little: to twelve digits of the largest entry, where the sum of all terms allows more.
fn gradients_to_twelve_digits(problem: &Problem) {
    let batch = Batch::new(problem, PairWeights::Batch);
    for quantity in Quantity::ALL {
        let expected = batch.gradient(quantity);
        let largest = expected.iter().fold(0.0f64, |most, entry| most.max(entry.abs()));
        for way in Way::ALL {
            let (_, given) = problem.instance::<f64>().by(way).gradient(quantity);
            for (i, (given, expected)) in given.iter().zip(&expected).enumerate() {
                let error = (given - expected).abs() / largest;
                assert!(error <= 1e-12, "{way} {quantity:?}[{i}]: {given} given, {expected} expected, error {error:e}");
            }
        }
    }
}

/// Every activation with every kind of targets, gradients entry by entry.
#[test]
fn the_crate_matches_the_formulas() {
    for activation in Activation::ALL {
        for labels in [Labels::Hard, Labels::Smoothed, Labels::Soft] {
            for (seed, [inputs, hidden, classes, samples]) in
                [[3, 4, 2, 5], [2, 3, 3, 6], [1, 2, 5, 4], [4, 1, 3, 1]].into_iter().enumerate()
            {
                let seed = seed as u64;
                let recipe = Recipe { inputs, hidden, classes, samples, activation, labels, seed };
                let problem = recipe.problem();
                let directions = unit_vectors(&problem);
                let all = values::<f64>(&problem)
                    .and_then(|()| values::<f32>(&problem))
                    .and_then(|()| gradients::<f64>(&problem, &directions))
                    .and_then(|()| gradients::<f32>(&problem, &directions));
                all.unwrap_or_else(|error| panic!("{recipe:?}: {error}"));
                gradients_to_twelve_digits(&problem);
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn the_crate_matches_the_formulas_on_any_problem(recipe in any_problem()) {
        let problem = recipe.problem();
        let directions = [problem.direction(recipe.seed)];
        values::<f64>(&problem)?;
        values::<f32>(&problem)?;
        gradients::<f64>(&problem, &directions)?;
        gradients::<f32>(&problem, &directions)?;
    }

    /// The weights of a larger data set. Those of different samples are at most 2/N², those of a sample with itself at most 1/N²; the
    /// route by blocks gives every pair the first, and then adds the difference.
    #[test]
    fn the_crate_matches_the_formulas_with_weights_of_a_data_set(recipe in small(), more in 0..1000usize) {
        let recipe = Recipe { samples: recipe.samples.max(2), ..recipe };
        let (problem, weights) = (recipe.problem(), PairWeights::DataSet { samples: recipe.samples + more });
        let direction = problem.direction(recipe.seed);
        let (reference, quantity) = (Reference::new(&problem, &direction), Quantity::TraceOfSquare);
        let tolerance = Tolerance { relative: (5.0 + 2.0) * Tolerance::of::<f64>(&problem).relative };
        let batch = Batch::new(&problem, weights);
        for way in Way::ALL {
            let mut instance = problem.instance::<f64>().by(way);
            instance.plan = instance.plan.with_pair_weights(weights);
            let (value, gradient) = instance.gradient(quantity);
            tolerance.close("value", value, with_terms(batch.value(quantity), reference.value(quantity)))?;
            let slope = along(&batch.gradient(quantity), &direction);
            tolerance.close("slope", along(&gradient, &direction), with_terms(slope, reference.slope(quantity)))?;
        }
    }
}

fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join("docs/method.md")).expect("docs/method.md").replace('\r', "")
}

/// The code blocks of a language that a page holds.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}");
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find("\n```") {
        let open = &rest[start + 1..];
        let (info, body) = open.split_once('\n').expect("a line");
        let end = body.find("\n```").expect("an end of the block");
        // `rust`, or with attributes: `rust,ignore`.
        if info == fence || info.starts_with(&format!("{fence},")) {
            blocks.push(&body[..end]);
        }
        rest = &body[end + 4..];
    }
    blocks
}

/// Every line of Rust on the page is one of the formulas that are tested here, and no function of them is left out.
#[test]
fn the_page_quotes_the_formulas() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common/method");
    let read = |file: &str| fs::read_to_string(folder.join(file)).expect("a source file").replace('\r', "");
    let (formulas, page) = (read("mod.rs"), page());
    let sources = formulas.clone() + &read("notation.rs");
    let quoted = blocks(&page, "rust");
    for block in &quoted {
        assert!(sources.contains(&format!("\n{block}\n")), "in docs/method.md, not in tests/common/method:\n{block}");
    }
    // What only moves or clears numbers.
    let plain = ["cut", "flat", "w", "zero"];
    for line in formulas.lines().filter(|line| line.starts_with("pub fn ") || line.starts_with("fn ")) {
        let name = line.trim_start_matches("pub ").trim_start_matches("fn ").split('(').next().expect("a name");
        let found = quoted.iter().any(|block| block.lines().any(|quoted| quoted == line));
        assert_eq!(found, !plain.contains(&name), "{name}: quoted in docs/method.md, or else plain");
    }
}

/// Text that the page shows, made from what it says of.
fn shown(text: &str) {
    assert!(page().contains(text), "docs/method.md does not show this:\n{text}");
}

/// The bounds of a batch of two samples, all numbers.
#[test]
fn the_example_on_the_page_is_true() {
    let network = Network::new(Shape::new(1, 1, 2).expect("small sizes"), Activation::Tanh);
    let theta = vec![0.5, 0.0, 1.0, -1.0, 0.0, 0.0];
    let (inputs, targets) = (vec![1.0, -2.0], vec![1.0, 0.0, 1.0, 0.0]);
    let problem = Problem { network, samples: 2, theta, inputs, targets, indices: None };
    let batch = Batch::new(&problem, PairWeights::Batch);
    // Rounded first, and zero added, so that no zero has a sign.
    let digits = |x: &f64| format!("{:7.4}", (x * 1e4).round() / 1e4 + 0.0);
    let list = |numbers: &[f64]| numbers.iter().map(digits).collect::<Vec<_>>().join(" ");

    let mut text = String::new();
    for (n, (forward, factors)) in batch.forward.iter().zip(&batch.factors).enumerate() {
        let mut line = |name: &str, numbers: &[f64]| writeln!(text, "{name:9} {}", list(numbers)).expect("a string");
        line(&format!("x_{}", n + 1), &forward.a[..1]);
        line("h f e t", &[forward.h[0], forward.f[0], forward.e[0], forward.t[0]]);
        line("p", &forward.p);
        line("r", &forward.r);
        line("S", &factors.S.concat());
        line("B", &factors.B.concat());
        line("A", &factors.A.concat());
        text.push('\n');
    }
    let pair = |n: usize, other: usize| kappa(&batch.factors[n], &batch.factors[other]).iter().sum();
    let (trace, square, size) = (batch.trace(), batch.trace_of_square(), 6.0);
    let m = trace / size;
    let hessian = DMatrix::from_vec(6, 6, problem.instance::<f64>().hessian());
    let mut line = |name: &str, numbers: &[f64]| writeln!(text, "{name:9} {}", list(numbers)).expect("a string");
    line("κ", &[pair(0, 0), pair(0, 1), pair(1, 0), pair(1, 1)]);
    line("tr H", &[trace]);
    line("tr H²", &[square]);
    line("m, s", &[m, (square / size - m * m).sqrt()]);
    let [upper, max_lower, min_upper, lower] = batch.bounds();
    line("bounds", &[lower, min_upper, max_lower, upper]);
    line("spectrum", &ascending(hessian));
    line("∇L", &batch.gradient(Quantity::Loss));
    line("∇Λ", &batch.gradient(Quantity::Bound));
    shown(text.trim_end());
}

/// Millions of flops by each route and form, and which is chosen.
#[test]
fn the_costs_on_the_page_are_those_of_the_plan() {
    let cases =
        [[2, 16, 2, 200], [4, 16, 3, 120], [64, 32, 2, 64], [64, 32, 10, 64], [784, 32, 10, 128], [784, 256, 10, 128]];
    let mut text = String::new();
    for [inputs, hidden, classes, samples] in cases {
        let shape = Shape::new(inputs, hidden, classes).expect("small sizes");
        let plan = Plan::new(Network::new(shape, Activation::Tanh), samples).expect("a plan");
        let [flat, tangent, blocks] = Way::ALL.map(|way| way.of(plan).flops().penalty as f64 / 1e6);
        let [loss, sampled] = [plan.flops().gradient, Sampling::new(0).flops(&plan)].map(|flops| flops as f64 / 1e6);
        let chosen = Way { route: plan.route(), form: plan.form() };
        writeln!(
            text,
            "| {inputs}-{hidden}-{classes} | {samples} | {loss:.2} | {flat:.1} | {tangent:.1} | {blocks:.1} | {chosen} | {sampled:.2} |"
        )
        .expect("a string");
    }
    shown(text.trim_end());
}
