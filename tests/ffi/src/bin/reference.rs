//! Evaluates a case of `tests/vectors` and takes ten exact and ten sampled HSR steps, in both number types. Writes every number's bits to standard output, and
//! the case as plain text to a file, for the programs in other languages, which have to write the same.
//!
//! The text: inputs, hidden units, classes, samples and the activation's code; θ; inputs; target distributions. One number a line.

#[path = "../../../../examples/common/case.rs"]
mod case;

use std::env;
use std::fs;
use std::io::{self, Write};

use anyhow::{Context, Result};
use case::{Case, convert};
use flatmin::{
    Batch, Hsr, Initialization, Plan, Real, Sampling, Sgd, State, Targets, classes, curvature, hessian_vector_product,
    logits, loss, loss_gradient, probabilities,
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

fn evaluate<T: Real>(case: &Case, out: &mut impl Write, kind: &str, bits: impl Fn(T) -> String) -> Result<()> {
    let shape = case.network.shape;
    let (mut theta, inputs, targets) =
        (convert::<T>(&case.theta), convert::<T>(&case.inputs), convert::<T>(&case.targets));
    let batch = Batch::new(shape, &inputs, Targets::Distributions(&targets))?;
    let plan = Plan::new(case.network, batch.samples())?;
    let sgd = Sgd { learning_rate: 0.1, momentum: 0.9, weight_decay: 0.001 };
    let (hsr, sampled) = (Hsr::new(sgd, 0.05), Hsr::sampled(sgd, 0.05, Sampling::new(1)));
    let mut workspace = vec![T::ZERO; plan.workspace_len().max(sampled.workspace_len(&plan)?)];
    let (mut gradient, mut product) = (theta.clone(), theta.clone());
    let (mut fan_in, mut glorot) = (theta.clone(), theta.clone());
    let (mut z, mut p, mut tops) = (targets.clone(), targets.clone(), vec![0; batch.samples()]);
    let mut scalar = |name: &str, x: f64| writeln!(out, "{kind} {name} {:016x}", x.to_bits());

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

    let mut velocity = vec![T::ZERO; theta.len()];
    let mut state = State::new(&mut velocity);
    for _ in 0..10 {
        let step = hsr.step(&plan, &mut theta, &batch, &mut state, &mut workspace)?;
        scalar("step_loss", step.loss)?;
        scalar("step_lambda_max_upper", step.curvature.context("a curvature")?.bounds.lambda_max_upper)?;
    }
    for _ in 0..10 {
        let step = sampled.step(&plan, &mut theta, &batch, &mut state, &mut workspace)?;
        scalar("sampled_loss", step.loss)?;
        scalar("sampled_trace_of_square", step.estimate.context("an estimate")?.trace_of_square)?;
    }
    for (name, numbers) in [
        ("gradient", &gradient),
        ("product", &product),
        ("theta", &theta),
        ("velocity", &velocity),
        ("fan_in", &fan_in),
        ("glorot", &glorot),
        ("logits", &z),
        ("probabilities", &p),
    ] {
        for &x in numbers {
            writeln!(out, "{kind} {name} {}", bits(x))?;
        }
    }
    Ok(())
}
