//! The training that firmware and host share: HSR on Iris, in f32, with every buffer's length known to the compiler.

#![no_std]

/// Iris, standardized: 150 rows of four inputs, and the class of each.
mod iris {
    include!(concat!(env!("OUT_DIR"), "/iris.rs"));
}

use flatmin::{
    Activation, Batch, Curvature, Error, Hsr, Network, Optimizer, PairWeights, Plan, Sgd, Shape, State, Step, Targets,
};

/// 4 inputs, 16 hidden units, 3 classes.
pub const SHAPE: Shape = match Shape::new(4, 16, 3) {
    Ok(shape) => shape,
    Err(_) => panic!("a network without units"),
};

/// Flowers in the data set, and in a batch.
const SAMPLES: usize = iris::CLASSES.len();
const BATCH: usize = 30;

/// The penalty estimates the tr H² of the data set.
pub const PLAN: Plan = match Plan::new(Network::new(SHAPE, Activation::Tanh), BATCH) {
    Ok(plan) => plan.with_pair_weights(PairWeights::DataSet { samples: SAMPLES }),
    Err(_) => panic!("a batch too large for memory"),
};

/// Of the parameters that training sets out from.
const SEED: u64 = 1;

/// Steps of a training.
pub const STEPS: u32 = 200;
/// Steps from a report to the next.
pub const EVERY: u32 = 20;

const HSR: Hsr = Hsr::new(Sgd::new(0.1).with_momentum(0.9), 0.05);

/// All memory that a training takes.
pub struct Memory {
    theta: [f32; SHAPE.parameters()],
    velocity: [f32; SHAPE.parameters()],
    workspace: [f32; PLAN.workspace_len()],
}

impl Memory {
    /// Zeros, for a static.
    pub const fn new() -> Self {
        Self {
            theta: [0.0; SHAPE.parameters()],
            velocity: [0.0; SHAPE.parameters()],
            workspace: [0.0; PLAN.workspace_len()],
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// A training under way.
pub struct Training<'m> {
    data: Batch<'static, f32>,
    next: usize,
    theta: &'m mut [f32],
    state: State<'m, f32>,
    workspace: &'m mut [f32],
}

impl<'m> Training<'m> {
    /// Before the first step.
    pub fn new(memory: &'m mut Memory) -> Result<Self, Error> {
        let data = Batch::new(SHAPE, &iris::INPUTS, Targets::Classes(&iris::CLASSES))?;
        PLAN.network().initialize(&mut memory.theta, SEED)?;
        memory.velocity.fill(0.0);
        let state = State::new(&mut memory.velocity);
        Ok(Self { data, next: 0, theta: &mut memory.theta, state, workspace: &mut memory.workspace })
    }

    /// One HSR step, on the next batch.
    pub fn step(&mut self) -> Result<Step, Error> {
        let batch = self.data.rows(self.next..self.next + BATCH)?;
        self.next = (self.next + BATCH) % SAMPLES;
        HSR.step(&PLAN, self.theta, &batch, &mut self.state, self.workspace)
    }

    /// The share of flowers that are classified rightly.
    pub fn accuracy(&mut self) -> Result<f64, Error> {
        let mut right = 0.0;
        for first in (0..SAMPLES).step_by(BATCH) {
            let batch = self.data.rows(first..first + BATCH)?;
            right += flatmin::loss(&PLAN, self.theta, &batch, self.workspace)?.accuracy;
        }
        Ok(right / (SAMPLES / BATCH) as f64)
    }
}

/// The numbers of a report, by name: loss, both traces, the four bounds.
pub fn numbers(step: &Step) -> Option<[(&'static str, f64); 7]> {
    let Curvature { traces, bounds, .. } = step.curvature?;
    Some([
        ("loss", step.loss),
        ("trace", traces.trace()),
        ("trace_of_square", traces.trace_of_square()),
        ("lambda_max_upper", bounds.lambda_max_upper),
        ("lambda_max_lower", bounds.lambda_max_lower),
        ("lambda_min_upper", bounds.lambda_min_upper),
        ("lambda_min_lower", bounds.lambda_min_lower),
    ])
}
