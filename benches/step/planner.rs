//! The plan's choice against the fastest way, over a grid of shapes.
//!
//! Each way of a shape (blocks, pairs flat, pairs tangent) runs in turn, and the median of the rounds counts. Ways that take more than
//! eight times the flops of the choice are left out.

use flatmin::{Form, Plan, Route};

use crate::contest::{Rounds, median, run, way};
use crate::training::{Optimizer, Training, sizes};

/// Prints the shapes on which another way is faster by more than a tenth, and how far the choice is off in all.
pub fn print(rounds: Rounds) {
    let repeats = if rounds == Rounds::Few { 1 } else { 9 };
    let (mut losses, mut shapes) = (Vec::new(), 0);
    println!("\nplanner, f32: shapes on which the choice takes over 1.1 times the fastest way");
    for n in [16, 64, 256] {
        for d in [2, 16, 128, 784] {
            for m in [8, 32, 128, 256] {
                for k in [2, 4, 10] {
                    let chosen = sizes([n, d, m, k]).plan();
                    if rounds == Rounds::Few && n + m > 64 {
                        continue;
                    }
                    let loss = compare(chosen, repeats);
                    losses.push(loss);
                    shapes += 1;
                }
            }
        }
    }
    let within = losses.iter().filter(|&&loss| loss <= 1.1).count();
    let most = losses.iter().copied().fold(1.0, f64::max);
    println!("{shapes} shapes: within 1.1 of the fastest on {within}; median {:.3}, worst {most:.2}", median(losses));
}

/// The time of the chosen way over that of the fastest.
fn compare(chosen: Plan, repeats: usize) -> f64 {
    let ways = [(Route::Blocks, Form::Flat), (Route::Pairs, Form::Flat), (Route::Pairs, Form::Tangent)];
    let plans: Vec<Plan> = ways
        .into_iter()
        .filter_map(|(route, form)| chosen.with_route(route).and_then(|plan| plan.with_form(form)).ok())
        .filter(|plan| plan.flops().penalty / 8 <= chosen.flops().penalty)
        .collect();
    let mut trainings: Vec<_> = plans.iter().map(|&plan| Training::<f32>::new(plan)).collect();
    let mut times = vec![Vec::new(); plans.len()];
    for round in 0..=repeats {
        for (training, times) in trainings.iter_mut().zip(&mut times) {
            let time = run(training, Optimizer::Hsr, 1);
            if round > 0 {
                times.push(time);
            }
        }
    }
    let times: Vec<f64> = times.into_iter().map(median).collect();
    let fastest = times.iter().copied().fold(f64::INFINITY, f64::min);
    let own = plans.iter().position(|plan| way(plan) == way(&chosen)).map_or(fastest, |at| times[at]);
    if own > 1.1 * fastest {
        let all = plans.iter().zip(&times).map(|(plan, time)| format!("{} {:.1}", way(plan), 1e6 * time));
        println!("{:?}: chosen {}; {}", chosen_sizes(&chosen), way(&chosen), all.collect::<Vec<_>>().join(", "));
    }
    own / fastest
}

fn chosen_sizes(plan: &Plan) -> [usize; 4] {
    let shape = plan.shape();
    [plan.samples(), shape.inputs(), shape.hidden(), shape.classes()]
}
