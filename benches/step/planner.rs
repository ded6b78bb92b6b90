//! The plan's choice against the fastest way, over a grid of shapes.
//!
//! Each way of a shape (blocks, pairs flat, pairs tangent) runs in turn, and the median of the rounds counts. Ways that take more than
//! eight times the flops of the choice are left out. All times go to `target/planner.csv`, from which the rates of the plan's cost model
//! were fitted.

use anyhow::Context;
use flatmin::{Form, Plan, Route};

use crate::contest::{Rounds, median, run, target, way};
use crate::training::{Contender, Training, sizes};

/// Prints the shapes on which another way is faster by more than a tenth, and how far the choice is off in all; writes all times.
pub fn print(rounds: Rounds) -> anyhow::Result<()> {
    let repeats = if rounds == Rounds::Few { 1 } else { 9 };
    let (mut losses, path) = (Vec::new(), target("planner.csv"));
    let mut csv = csv::Writer::from_path(&path).with_context(|| format!("cannot write {}", path.display()))?;
    csv.write_record(["samples", "inputs", "hidden", "classes", "way", "flops", "us", "chosen"])?;
    println!("\nplanner, f32: shapes on which the choice takes over 1.1 times the fastest way");
    for n in [16, 64, 256] {
        for d in [2, 4, 16, 128, 784] {
            for m in [8, 32, 48, 64, 128, 256] {
                for k in [2, 3, 4, 10] {
                    if rounds == Rounds::Few && n + m > 64 {
                        continue;
                    }
                    let chosen = sizes([n, d, m, k]).plan();
                    let times = times(chosen, repeats);
                    for &(plan, seconds) in &times {
                        let sizes = [n, d, m, k].map(|size| size.to_string());
                        let is_chosen = u8::from(way(&plan) == way(&chosen)).to_string();
                        let rest =
                            [way(&plan), plan.flops().penalty.to_string(), format!("{:.2}", 1e6 * seconds), is_chosen];
                        csv.write_record(sizes.into_iter().chain(rest))?;
                    }
                    losses.push(loss(chosen, &times));
                }
            }
        }
    }
    csv.flush()?;
    let within = losses.iter().filter(|&&loss| loss <= 1.1).count();
    let most = losses.iter().copied().fold(1.0, f64::max);
    println!("{} shapes: within 1.1 of the fastest on {within}; worst {most:.2}; {}", losses.len(), path.display());
    Ok(())
}

/// Seconds of a step by each way.
fn times(chosen: Plan, repeats: usize) -> Vec<(Plan, f64)> {
    let ways = [(Route::Blocks, Form::Flat), (Route::Pairs, Form::Flat), (Route::Pairs, Form::Tangent)];
    let plans: Vec<Plan> = ways
        .into_iter()
        .filter_map(|(route, form)| chosen.with_route(route).and_then(|plan| plan.with_form(form)).ok())
        .filter(|plan| plan.flops().penalty / 8 <= chosen.flops().penalty)
        .collect();
    let mut trainings: Vec<_> = plans.iter().map(|&plan| Training::<f32>::new(plan)).collect();
    let (optimizer, mut times) = (Contender::Hsr.optimizer(), vec![Vec::new(); plans.len()]);
    for round in 0..=repeats {
        for (training, times) in trainings.iter_mut().zip(&mut times) {
            let time = run(training, &*optimizer, 1);
            if round > 0 {
                times.push(time);
            }
        }
    }
    plans.into_iter().zip(times.into_iter().map(median)).collect()
}

/// The time of the chosen way over that of the fastest.
fn loss(chosen: Plan, times: &[(Plan, f64)]) -> f64 {
    let fastest = times.iter().map(|&(_, time)| time).fold(f64::INFINITY, f64::min);
    let own = times.iter().find(|(plan, _)| way(plan) == way(&chosen)).map_or(fastest, |&(_, time)| time);
    if own > 1.1 * fastest {
        let all = times.iter().map(|(plan, time)| format!("{} {:.1}", way(plan), 1e6 * time));
        let (shape, n) = (chosen.shape(), chosen.samples());
        let sizes = [n, shape.inputs(), shape.hidden(), shape.classes()];
        println!("{sizes:?}: chosen {}; {}", way(&chosen), all.collect::<Vec<_>>().join(", "));
    }
    own / fastest
}
