//! What is timed: one step of an optimizer, on a network and a batch of given sizes.

use std::fmt;

use flatmin::{
    Activation, Batch, Hsr, Network, Optimizer, Plan, Real, Sam, Sampling, Sgd, Shape, State, Step, Targets,
};

/// Sizes of a batch and a network: N samples, D inputs, M hidden units, K classes.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    samples: usize,
    inputs: usize,
    hidden: usize,
    classes: usize,
}

/// N, D, M, K.
pub const fn sizes([samples, inputs, hidden, classes]: [usize; 4]) -> Sizes {
    Sizes { samples, inputs, hidden, classes }
}

impl Sizes {
    /// N, D, M, K.
    pub fn all(self) -> [usize; 4] {
        [self.samples, self.inputs, self.hidden, self.classes]
    }

    /// The plan for a tanh network and a batch of these sizes.
    pub fn plan(self) -> Plan {
        let shape = Shape::new(self.inputs, self.hidden, self.classes).expect("sizes of at least one");
        Plan::new(Network::new(shape, Activation::Tanh), self.samples).expect("sizes that fit into memory")
    }
}

/// From a whole small data set over mini-batches of images to a large batch of a tiny network; each with the flops of the cheapest route
/// that was known when the goals for HSR's step were set.
pub const SHAPES: [(Sizes, f64); 9] = [
    (sizes([105, 4, 16, 3]), 3.4e6),
    (sizes([64, 64, 32, 10]), 15e6),
    (sizes([256, 64, 32, 10]), 198e6),
    (sizes([32, 784, 128, 10]), 41e6),
    (sizes([128, 784, 128, 10]), 492e6),
    (sizes([128, 784, 256, 10]), 954e6),
    (sizes([256, 30, 64, 2]), 68e6),
    (sizes([32, 3072, 512, 10]), 306e6),
    (sizes([4096, 2, 32, 2]), 173e6),
];

impl fmt::Display for Sizes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&format!("{}x{}x{}x{}", self.samples, self.inputs, self.hidden, self.classes))
    }
}

/// A number type with a name.
pub trait Number: Real + 'static {
    const NAME: &'static str;
}

impl Number for f32 {
    const NAME: &'static str = "f32";
}

impl Number for f64 {
    const NAME: &'static str = "f64";
}

/// The optimizers that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    Sgd,
    Sam,
    Hsr,
    /// With the sampled penalty, its subset as the plan says.
    HsrSampled,
    /// With ρ = 0: what it costs to have the penalty at hand.
    HsrZero,
}

impl Contender {
    pub const ALL: [Self; 5] = [Self::Sgd, Self::Sam, Self::Hsr, Self::HsrSampled, Self::HsrZero];

    /// The learning rate is zero, so that the point stays and all steps do the same work.
    pub fn optimizer<T: Number>(self) -> Box<dyn Optimizer<T>> {
        let sgd = Sgd::new(0.0);
        match self {
            Self::Sgd => Box::new(sgd),
            Self::Sam => Box::new(Sam::new(sgd, 0.05)),
            Self::Hsr => Box::new(Hsr::new(sgd, 0.01)),
            Self::HsrSampled => Box::new(Hsr::sampled(sgd, 0.01, Sampling::default())),
            Self::HsrZero => Box::new(Hsr::new(sgd, 0.0)),
        }
    }

    /// Flops of a step, as the plan counts them.
    pub fn flops(self, plan: &Plan) -> f64 {
        let flops = plan.flops();
        let count = match self {
            Self::Sgd | Self::HsrZero => flops.gradient,
            Self::Sam => 2 * flops.gradient,
            Self::Hsr => flops.gradient + flops.penalty,
            Self::HsrSampled => flops.gradient + Sampling::default().flops(plan),
        };
        count as f64
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Sgd => "sgd",
            Self::Sam => "sam",
            Self::Hsr => "hsr",
            Self::HsrSampled => "hsr-sampled",
            Self::HsrZero => "hsr-zero",
        })
    }
}

/// A network in training, and all memory that a step needs.
pub struct Training<T> {
    pub plan: Plan,
    pub theta: Vec<T>,
    pub inputs: Vec<T>,
    pub classes: Vec<u32>,
    workspace: Vec<T>,
}

impl<T: Number> Training<T> {
    /// Weights as at the start of a training, inputs of variance one, by a fixed generator.
    pub fn new(plan: Plan) -> Self {
        let (samples, shape) = (plan.samples(), plan.shape());
        let [inputs, classes] = [shape.inputs(), shape.classes()];
        let mut theta = vec![T::ZERO; shape.parameters()];
        plan.network().initialize(&mut theta, 1).expect("a length of P");
        let mut state = 1u64;
        // Uniform in [−√3, √3): variance one.
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            3f64.sqrt() * ((state >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
        };
        let sampled = Sampling::default().workspace_len(&plan).expect("sizes that fit into memory");
        Self {
            plan,
            theta,
            inputs: (0..samples * inputs).map(|_| T::from_f64(random())).collect(),
            classes: (0..samples).map(|sample| (sample % classes) as u32).collect(),
            workspace: vec![T::ZERO; plan.workspace_len().max(sampled)],
        }
    }

    /// One step.
    pub fn step(&mut self, optimizer: &dyn Optimizer<T>) -> Step {
        let Self { plan, theta, inputs, classes, workspace } = self;
        // Checking the batch belongs to the step: a training loop does it once a batch.
        let batch = Batch::new(plan.shape(), inputs, Targets::Classes(classes)).expect("a valid batch");
        optimizer.step(plan, theta, &batch, &mut State::new(&mut []), workspace).expect("finite numbers")
    }
}
