//! Random networks and batches: a recipe of sizes, activation, kind of targets and a seed; the numbers come from the seed.

use std::fmt;

use flatmin::{Activation, Batch, Form, Network, Plan, Real, Route, Shape, Targets};

/// What the targets of a batch look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// Class indices.
    Hard,
    /// One-hot distributions mixed with a tenth of the uniform one.
    Smoothed,
    /// Any distributions, some of their entries zero.
    Soft,
}

/// All that a problem is made from.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    pub inputs: usize,
    pub hidden: usize,
    pub classes: usize,
    pub samples: usize,
    pub activation: Activation,
    pub labels: Labels,
    pub seed: u64,
}

/// A network at a point, and a batch.
#[derive(Clone, Debug)]
pub struct Problem {
    pub network: Network,
    pub samples: usize,
    pub theta: Vec<f64>,
    pub inputs: Vec<f64>,
    /// One distribution a sample.
    pub targets: Vec<f64>,
    /// The same as indices, for hard targets.
    pub indices: Option<Vec<u32>>,
}

impl Recipe {
    /// The problem; parameters and inputs have the size of a network in training, logits are within about ±5.
    pub fn problem(self) -> Problem {
        let Self { inputs: d, hidden: m, classes: k, samples: n, activation, labels, seed } = self;
        let shape = Shape::new(d, m, k).expect("small sizes");
        let mut random = Random::new(seed);
        let (w, v) = (1.5 / (d as f64).sqrt(), 1.5 / (m as f64).sqrt().min(2.0));
        let mut theta = Vec::with_capacity(shape.parameters());
        for (range, size) in [
            (shape.hidden_weight(), w),
            (shape.hidden_bias(), 0.5),
            (shape.output_weight(), v),
            (shape.output_bias(), 0.5),
        ] {
            theta.extend(range.map(|_| size * random.normal()));
        }
        let inputs = (0..n * d).map(|_| random.normal()).collect();
        let indices: Vec<u32> = (0..n).map(|_| random.below(k) as u32).collect();
        let targets = indices.iter().flat_map(|&class| random.distribution(labels, class as usize, k)).collect();
        let indices = (labels == Labels::Hard).then_some(indices);
        Problem { network: Network::new(shape, activation), samples: n, theta, inputs, targets, indices }
    }
}

impl Problem {
    pub fn shape(&self) -> Shape {
        self.network.shape
    }

    /// The same with all numbers rounded to `T`: what the crate sees, and what the reference has to see.
    pub fn rounded<T: Real>(mut self) -> Self {
        for value in self.theta.iter_mut().chain(&mut self.inputs).chain(&mut self.targets) {
            *value = T::from_f64(*value).to_f64();
        }
        self
    }

    /// The same with only these samples, in this order.
    pub fn rows(&self, rows: &[usize]) -> Self {
        let pick = |all: &[f64], width: usize| -> Vec<f64> {
            rows.iter().flat_map(|&row| all[row * width..][..width].iter().copied()).collect()
        };
        Self {
            network: self.network,
            samples: rows.len(),
            theta: self.theta.clone(),
            inputs: pick(&self.inputs, self.shape().inputs()),
            targets: pick(&self.targets, self.shape().classes()),
            indices: self.indices.as_ref().map(|all| rows.iter().map(|&row| all[row]).collect()),
        }
    }

    /// A random direction in the parameters, representable in f32.
    pub fn direction(&self, seed: u64) -> Vec<f64> {
        let mut random = Random::new(!seed);
        (0..self.shape().parameters()).map(|_| f64::from(random.normal() as f32)).collect()
    }

    pub fn instance<T: Real>(&self) -> Instance<T> {
        let convert = |values: &[f64]| values.iter().map(|&value| T::from_f64(value)).collect();
        Instance {
            plan: Plan::new(self.network, self.samples).expect("a plan for small sizes"),
            theta: convert(&self.theta),
            inputs: convert(&self.inputs),
            targets: convert(&self.targets),
            indices: self.indices.clone(),
        }
    }
}

/// One of the ways in which a plan can compute tr H².
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    pub route: Route,
    pub form: Form,
}

impl Way {
    pub const ALL: [Self; 3] = [
        Self { route: Route::Pairs, form: Form::Flat },
        Self { route: Route::Pairs, form: Form::Tangent },
        Self { route: Route::Blocks, form: Form::Flat },
    ];

    /// The same plan, this way.
    pub fn of(self, plan: Plan) -> Plan {
        plan.with_route(self.route).and_then(|plan| plan.with_form(self.form)).expect("small sizes")
    }
}

impl fmt::Display for Way {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.route {
            Route::Pairs => write!(out, "pairs ({})", self.form),
            // Blocks, and what may be added: only pairs have forms.
            route => write!(out, "{route}"),
        }
    }
}

/// A problem in the number type of the crate's functions.
#[derive(Clone, Debug)]
pub struct Instance<T> {
    pub plan: Plan,
    pub theta: Vec<T>,
    pub inputs: Vec<T>,
    pub targets: Vec<T>,
    pub indices: Option<Vec<u32>>,
}

impl<T: Real> Instance<T> {
    pub fn batch(&self) -> Batch<'_, T> {
        let targets = match &self.indices {
            Some(indices) => Targets::Classes(indices),
            None => Targets::Distributions(&self.targets),
        };
        Batch::new(self.plan.shape(), &self.inputs, targets).expect("a valid batch")
    }

    pub fn by(mut self, way: Way) -> Self {
        self.plan = way.of(self.plan);
        self
    }

    /// By an instruction set that this machine has.
    pub fn with_set(mut self, set: flatmin::InstructionSet) -> Self {
        self.plan = self.plan.with_instruction_set(set).expect("a supported set");
        self
    }

    pub fn parameters(&self) -> usize {
        self.plan.shape().parameters()
    }
}

/// SplitMix64: a seed in, numbers out.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Normal, as the sum of twelve uniform numbers: within ±6, mean 0, variance 1.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    pub fn below(&mut self, count: usize) -> usize {
        (self.bits() % count as u64) as usize
    }

    pub fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }

    fn distribution(&mut self, labels: Labels, class: usize, classes: usize) -> Vec<f64> {
        let one_hot = |k: usize| f64::from(k == class);
        match labels {
            Labels::Hard => (0..classes).map(one_hot).collect(),
            Labels::Smoothed => (0..classes).map(|k| 0.9 * one_hot(k) + 0.1 / classes as f64).collect(),
            Labels::Soft => {
                let mut row: Vec<f64> = (0..classes)
                    .map(|k| if k != class && self.below(3) == 0 { 0.0 } else { 0.05 + self.unit() })
                    .collect();
                let sum: f64 = row.iter().sum();
                row.iter_mut().for_each(|entry| *entry /= sum);
                row
            }
        }
    }
}
