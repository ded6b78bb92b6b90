//! Contenders in turn, round by round.
//!
//! In a round each contender runs as often as fills [`SPAN`]; the next round begins with the next contender, so that nobody always follows
//! the same one. The first contender's time is compared with the others' within each round, so that a disturbance meets all; what is
//! reported is the median over the rounds.

use std::time::{Duration, Instant};

/// How long a contender runs within a round, at least.
const SPAN: Duration = Duration::from_micros(60);

/// Fewest rounds of a contest.
const ROUNDS: usize = 7;

/// How long a contest lasts, once each contender has had its rounds.
#[derive(Clone, Copy, Debug)]
pub struct Budget(pub Duration);

/// A contender: a name and what it does.
pub type Contender<'a> = (&'static str, Box<dyn FnMut() + 'a>);

/// Medians over the rounds.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub name: &'static str,
    /// Of one run.
    pub seconds: f64,
    /// This contender's time, divided by the first one's.
    pub ratio: f64,
}

/// Runs the contest; outcomes in the order of the contenders.
pub fn run(contenders: &mut [Contender], Budget(budget): Budget) -> Vec<Outcome> {
    let repeats: Vec<u32> = contenders.iter_mut().map(|(_, run)| repeats(run)).collect();
    let (count, mut rounds, start) = (contenders.len(), Vec::new(), Instant::now());
    while rounds.len() < ROUNDS || start.elapsed() < budget {
        let mut times = vec![0.0; count];
        for at in (0..count).map(|turn| (turn + rounds.len()) % count) {
            times[at] = time(&mut contenders[at].1, repeats[at]);
        }
        rounds.push(times);
    }
    let median_of = |of: &dyn Fn(&Vec<f64>) -> f64| median(rounds.iter().map(of).collect());
    let outcome = |(at, (name, _)): (usize, &Contender)| Outcome {
        name,
        seconds: median_of(&|times| times[at]),
        ratio: median_of(&|times| times[at] / times[0]),
    };
    contenders.iter().enumerate().map(outcome).collect()
}

/// Runs that fill the span, after a warm-up.
fn repeats(run: &mut dyn FnMut()) -> u32 {
    time(run, 2);
    let once = (0..3).map(|_| time(run, 1)).fold(f64::INFINITY, f64::min);
    (SPAN.as_secs_f64() / once).ceil().clamp(1.0, 2000.0) as u32
}

/// Seconds a run.
fn time(run: &mut dyn FnMut(), repeats: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..repeats {
        run();
    }
    start.elapsed().as_secs_f64() / f64::from(repeats)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Geometric mean; 1 of nothing.
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0), |(sum, count), value| (sum + value.ln(), count + 1));
    (sum / f64::from(count.max(1))).exp()
}
