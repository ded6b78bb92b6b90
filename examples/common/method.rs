//! What is compared: an optimizer by its kind and its hyperparameters, as options give them.

use std::fmt;
use std::num::NonZeroU64;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use flatmin::{Adam, Base, Direction, Hsr, Optimizer, Real, Sam, Sampling, Sgd, WeightDecay};

/// Which optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    Sgd,
    Sam,
    /// With the exact penalty.
    Hsr,
    /// With the sampled penalty.
    HsrSampled,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Sgd, Self::Sam, Self::Hsr, Self::HsrSampled];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Sgd => "SGD",
            Self::Sam => "SAM",
            Self::Hsr => "HSR",
            Self::HsrSampled => "HSR sampled",
        }
    }
}

/// How a gradient becomes a step: the base of every kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, ValueEnum)]
pub enum Rule {
    #[default]
    Sgd,
    Nesterov,
    Adam,
    #[value(name = "adamw")]
    AdamW,
}

impl Rule {
    const fn name(self) -> &'static str {
        match self {
            Self::Sgd => "SGD",
            Self::Nesterov => "Nesterov",
            Self::Adam => "Adam",
            Self::AdamW => "AdamW",
        }
    }

    /// The learning rate unless an option says otherwise; `preset` is the data set's, found for SGD.
    pub const fn learning_rate(self, preset: f64) -> f64 {
        match self {
            Self::Sgd | Self::Nesterov => preset,
            Self::Adam | Self::AdamW => 0.01,
        }
    }
}

/// The update that all kinds share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    pub rule: Rule,
    pub learning_rate: f64,
    /// Of SGD.
    pub momentum: f64,
    pub weight_decay: WeightDecay,
}

impl Update {
    /// An error for hyperparameters that the rule does not have.
    pub fn check(&self) -> Result<()> {
        let has_momentum = matches!(self.rule, Rule::Sgd | Rule::Nesterov);
        ensure!(
            has_momentum || self.momentum == 0.0,
            "--momentum: {} has none, expected with SGD or Nesterov",
            self.rule.name()
        );
        Ok(())
    }
}

impl fmt::Display for Update {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}, η = {}", self.rule.name(), self.learning_rate)?;
        if self.momentum != 0.0 {
            write!(out, ", μ = {}", self.momentum)?;
        }
        let WeightDecay { strength, biases } = self.weight_decay;
        match (strength == 0.0, biases) {
            (true, _) => Ok(()),
            (false, true) => write!(out, ", ν = {strength}"),
            (false, false) => write!(out, ", ν = {strength} of the weights"),
        }
    }
}

/// An optimizer and its hyperparameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Method {
    pub kind: Kind,
    pub update: Update,
    /// SAM's radius, or HSR's ρ.
    pub strength: f64,
    /// HSR's penalty is taken on every so many steps.
    pub every: NonZeroU64,
    pub direction: Direction,
    /// Of sampled HSR.
    pub sampling: Sampling,
}

impl Method {
    /// A method of this kind and strength; HSR along the gradient on every step, and with the defaults of the sampled penalty.
    pub fn new(kind: Kind, update: Update, strength: f64) -> Self {
        let (every, direction, sampling) = (NonZeroU64::MIN, Direction::Gradient, Sampling::default());
        Self { kind, update, strength, every, direction, sampling }
    }

    pub fn optimizer<T: Real>(&self) -> Box<dyn Optimizer<T>> {
        let Update { rule, learning_rate, momentum, weight_decay } = self.update;
        let sgd = Sgd { weight_decay, ..Sgd::new(learning_rate) };
        let adam = Adam::new(learning_rate);
        match rule {
            Rule::Sgd => self.on(sgd.with_momentum(momentum)),
            Rule::Nesterov => self.on(sgd.with_nesterov(momentum)),
            Rule::Adam => self.on(adam.with_weight_decay(weight_decay)),
            Rule::AdamW => self.on(adam.with_decoupled_weight_decay(weight_decay)),
        }
    }

    fn on<T: Real, B: Optimizer<T> + Base + 'static>(&self, base: B) -> Box<dyn Optimizer<T>> {
        let Self { kind, strength, every, direction, sampling, .. } = *self;
        match kind {
            Kind::Sgd => Box::new(base),
            Kind::Sam => Box::new(Sam::new(base, strength)),
            Kind::Hsr => Box::new(Hsr { every, direction, ..Hsr::new(base, strength) }),
            Kind::HsrSampled => Box::new(Hsr { every, direction, ..Hsr::sampled(base, strength, sampling) }),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, update, strength, every, direction, .. } = *self;
        match (kind, update.rule) {
            (Kind::Sgd, rule) => out.write_str(rule.name())?,
            (_, Rule::Sgd) => out.write_str(kind.name())?,
            (_, rule) => write!(out, "{} on {}", kind.name(), rule.name())?,
        }
        match kind {
            Kind::Sgd => Ok(()),
            Kind::Sam => write!(out, ", radius {strength}"),
            Kind::Hsr | Kind::HsrSampled => {
                write!(out, ", ρ = {strength}")?;
                if direction == Direction::Unit {
                    out.write_str(", unit")?;
                }
                if every.get() > 1 { write!(out, ", every {every}") } else { Ok(()) }
            }
        }
    }
}
