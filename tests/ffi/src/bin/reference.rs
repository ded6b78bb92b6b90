//! Evaluates a case of `tests/vectors`, at once and by chunks, and takes ten steps of every optimizer and an update, in both number types.
//! Writes every number's bits to standard output, and the case as plain text to a file, for the programs in other languages, which have to
//! write the same.
//!
//! The text: inputs, hidden units, classes, samples and the activation's code; θ; inputs; target distributions. One number a line.

#[path = "../../../../examples/common/case.rs"]
mod case;

use std::env;
use std::fs;
use std::io::{self, Write};

use anyhow::{Context, Result};
use case::{Case, convert};
use flatmin::optimizer::schedule::{cosine, warm_up};
use flatmin::{
    Adam, Batch, Hsr, Initialization, Optimizer, Plan, Real, Sam, Sampling, Sgd, State, Targets, WeightDecay, classes,
    curvature, data_set_curvature, data_set_curvature_estimate, data_set_hessian_vector_product, data_set_loss,
    data_set_loss_gradient, hessian_vector_product, logits, loss, loss_gradient, probabilities,
};

fn main() -> Result<()> {
    let [vector, text] =
        env::args().skip(1).collect::<Vec<_>>().try_into().ok().context("usage: VECTOR.json CASE.txt")?;
    let case = Case::parse(&fs::read_to_string(&vector)?).map_err(anyhow::Error::msg)?;
    fs::write(&text, plain_text(&case))?;
    let out = &mut io::stdout().lock();
    evaluate(&case, out, "f32", |x: f32| format!("{:08x}", x.to_bits()))?;
    evaluate(&case, out, "f64", |x: f64| format!("{:016x}", x.to_bits()))
}

fn plain_text(case: &Case) -> String {
    let shape = case.network.shape;
    let samples = case.inputs.len() / shape.inputs();
    let sizes = [shape.inputs(), shape.hidden(), shape.classes(), samples, case.network.activation as usize];
    let numbers = case.theta.iter().chain(&case.inputs).chain(&case.targets);
    sizes.map(|size| format!("{size}\n")).concat() + &numbers.map(|x| format!("{x:e}\n")).collect::<String>()
}

/// The optimizers, with their names in what is written: every update and every method.
fn optimizers<T: Real>() -> Vec<(&'static str, Box<dyn Optimizer<T>>)> {
    let sgd = Sgd::new(0.1).with_momentum(0.9).with_weight_decay(WeightDecay::all(0.001));
    let adam = Adam::new(0.01).with_weight_decay(WeightDecay::all(0.001));
    vec![
        ("hsr", Box::new(Hsr::new(sgd, 0.05))),
        ("sampled", Box::new(Hsr::sampled(sgd, 0.05, Sampling::new(1)))),
        ("sam", Box::new(Sam::new(sgd, 0.05))),
        ("nesterov", Box::new(sgd.with_nesterov(0.9).with_clip(0.5))),
        ("adam", Box::new(adam)),
        ("adamw", Box::new(adam.with_decoupled_weight_decay(WeightDecay::weights(0.001)))),
        ("hsr_adam", Box::new(Hsr::new(adam, 0.05))),
    ]
}

fn evaluate<T: Real>(case: &Case, out: &mut impl Write, kind: &str, bits: impl Fn(T) -> String) -> Result<()> {
    let shape = case.network.shape;
    let (mut theta, inputs, targets) =
        (convert::<T>(&case.theta), convert::<T>(&case.inputs), convert::<T>(&case.targets));
    let batch = Batch::new(shape, &inputs, Targets::Distributions(&targets))?;
    let plan = Plan::new(case.network, batch.samples())?;
    let mut workspace = vec![T::ZERO; plan.workspace_len()];
    let (mut gradient, mut product) = (theta.clone(), theta.clone());
    let (mut fan_in, mut glorot) = (theta.clone(), theta.clone());
    let (mut z, mut p, mut tops) = (targets.clone(), targets.clone(), vec![0; batch.samples()]);
    let mut write = |name: &str, bits: String| writeln!(out, "{kind} {name} {bits}");
    let mut scalar = |name: &str, x: f64| write(name, format!("{:016x}", x.to_bits()));

    let evaluation = loss(&plan, &theta, &batch, &mut workspace)?;
    scalar("loss", evaluation.loss)?;
    scalar("accuracy", evaluation.accuracy)?;
    loss_gradient(&plan, &theta, &batch, &mut gradient, &mut workspace)?;
    let found = curvature(&plan, &theta, &batch, &mut workspace)?;
    scalar("trace", found.traces.trace())?;
    scalar("trace_of_square", found.traces.trace_of_square())?;
    scalar("lambda_max_upper", found.bounds.lambda_max_upper)?;
    scalar("lambda_max_lower", found.bounds.lambda_max_lower)?;
    scalar("lambda_min_upper", found.bounds.lambda_min_upper)?;
    scalar("lambda_min_lower", found.bounds.lambda_min_lower)?;
    hessian_vector_product(&plan, &theta, &batch, &gradient, &mut product, &mut workspace)?;

    case.network.initialize(&mut fan_in, 42)?;
    case.network.initialize_by(Initialization::Glorot, &mut glorot, 42)?;
    logits(&plan, &theta, &inputs, &mut z, &mut workspace)?;
    probabilities(&plan, &theta, &inputs, &mut p, &mut workspace)?;
    classes(&plan, &theta, &inputs, &mut tops, &mut workspace)?;
    for class in tops {
        scalar("class", class.into())?;
    }

    let chunks = Plan::new(case.network, 3)?;
    let mut workspace = vec![T::ZERO; chunks.workspace_len().max(chunks.data_set_workspace_len()?)];
    let (mut mean_gradient, mut mean_product) = (theta.clone(), theta.clone());
    let evaluation = data_set_loss(&chunks, &theta, &batch, &mut workspace)?;
    scalar("data_set_loss", evaluation.loss)?;
    scalar("data_set_accuracy", evaluation.accuracy)?;
    scalar("data_set_loss", data_set_loss_gradient(&chunks, &theta, &batch, &mut mean_gradient, &mut workspace)?)?;
    data_set_hessian_vector_product(&chunks, &theta, &batch, &gradient, &mut mean_product, &mut workspace)?;
    let exact = data_set_curvature(&chunks, &theta, &batch, &mut workspace)?;
    let estimate = data_set_curvature_estimate(&chunks, &theta, &batch, &mut workspace)?;
    for (name, found) in [("data_set_curvature", exact), ("data_set_estimate", estimate)] {
        for number in [found.traces.trace(), found.traces.trace_of_square(), found.bounds.lambda_max_upper] {
            scalar(name, number)?;
        }
    }

    for (name, numbers) in [
        ("gradient", &gradient),
        ("product", &product),
        ("fan_in", &fan_in),
        ("glorot", &glorot),
        ("logits", &z),
        ("probabilities", &p),
        ("data_set_gradient", &mean_gradient),
        ("data_set_product", &mean_product),
    ] {
        for &x in numbers {
            write(name, bits(x))?;
        }
    }
    for (name, mut optimizer) in optimizers::<T>() {
        let mut workspace = vec![T::ZERO; optimizer.workspace_len(&plan)?];
        let mut moments = vec![T::ZERO; optimizer.moments_len(shape)];
        let (mut state, rate) = (State::new(&mut moments), optimizer.learning_rate());
        for _ in 0..10 {
            optimizer.set_learning_rate(rate * warm_up(state.steps, 4) * cosine(state.steps, 20));
            let step = optimizer.step(&plan, &mut theta, &batch, &mut state, &mut workspace)?;
            let upper = step.curvature.map_or(0.0, |curvature| curvature.bounds.lambda_max_upper);
            let square = step.estimate.map_or(0.0, |estimate| estimate.trace_of_square);
            for number in [step.loss, upper, square] {
                write(name, format!("{:016x}", number.to_bits()))?;
            }
        }
        let mut along = gradient.clone();
        optimizer.update(&plan, &mut theta, &mut along, &mut state)?;
        for &x in theta.iter().chain(&moments) {
            write(name, bits(x))?;
        }
    }
    Ok(())
}
