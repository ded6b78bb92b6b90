//! The command line.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, Parser};
use flatmin::{Activation, Direction, Sampling, WeightDecay};

use crate::common::arguments::{below_one, count, not_negative, share};
use crate::common::data::Source;
use crate::common::method::{Kind, Method, Rule, Update};
use crate::common::presets::Preset;
use crate::common::training::Weights;

/// Trains a small network with SGD, SAM and HSR, exact and sampled, from the same initial points, and compares the minima that they find:
/// loss, accuracy, the spectrum of the loss Hessian, the Wolkowicz–Styan bounds, time a step.
#[derive(Clone, Debug, Parser)]
#[command(name = "flat_minima")]
pub struct Options {
    /// Data set: digits, iris, wine, breast-cancer, moons, or a folder of IDX files such as MNIST's (plain or gzip)
    #[arg(long, default_value = "digits", value_name = "NAME|FOLDER")]
    pub data: Source,
    /// Methods to compare
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["sgd", "sam", "hsr", "hsr-sampled"])]
    pub methods: Vec<Kind>,
    /// Number of runs; each has its own split, initial point and order of samples, shared by the methods
    #[arg(long, default_value = "5", value_name = "COUNT", value_parser = count)]
    pub seeds: NonZeroUsize,
    /// The first run's seed
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..1 << 32))]
    pub seed: u64,
    /// Folder for the figures, created if it does not exist
    #[arg(long, default_value = "target/flat_minima", value_name = "FOLDER")]
    pub out: PathBuf,
    /// Also write runs.csv, trajectories.csv and eigenvalues.csv into that folder
    #[arg(long)]
    pub csv: bool,
    /// Print the grids by which the defaults were chosen, instead of the comparison; takes minutes
    #[arg(long)]
    pub search: bool,

    #[command(flatten)]
    pub network: NetworkOptions,
    #[command(flatten)]
    pub training: TrainingOptions,
    #[command(flatten)]
    pub method: MethodOptions,
    #[command(flatten)]
    pub limits: LimitOptions,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Network (defaults depend on the data set)")]
pub struct NetworkOptions {
    /// Hidden units
    #[arg(long, value_name = "COUNT", value_parser = count)]
    pub hidden: Option<NonZeroUsize>,
    /// Activation: tanh, sigmoid, softplus, gelu, silu or identity
    #[arg(long, default_value = "tanh", value_name = "NAME")]
    pub activation: Activation,
    /// Train in single precision (the default)
    #[arg(long)]
    pub f32: bool,
    /// Train in double precision; what is reported of the minima is always computed in double precision
    #[arg(long, conflicts_with = "f32")]
    pub f64: bool,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Training (defaults depend on the data set)")]
pub struct TrainingOptions {
    /// Passes over the training samples
    #[arg(long, value_name = "COUNT", conflicts_with = "steps", value_parser = count)]
    pub epochs: Option<NonZeroUsize>,
    /// Steps, instead of epochs
    #[arg(long, value_name = "COUNT", value_parser = count)]
    pub steps: Option<NonZeroUsize>,
    /// Samples a batch; 0 for all
    #[arg(long, value_name = "COUNT")]
    pub batch: Option<usize>,
    /// η
    #[arg(long, value_name = "η", value_parser = not_negative, allow_negative_numbers = true)]
    pub learning_rate: Option<f64>,
    /// What makes a step of a gradient, in all methods
    #[arg(long, value_enum, default_value = "sgd")]
    pub update: Rule,
    /// SGD's μ, in [0, 1)
    #[arg(long, value_name = "μ", default_value = "0", value_parser = below_one, allow_negative_numbers = true)]
    pub momentum: f64,
    /// ν
    #[arg(long, value_name = "ν", default_value = "0", value_parser = not_negative, allow_negative_numbers = true)]
    pub weight_decay: f64,
    /// Weight decay of the weights alone, not of the biases
    #[arg(long)]
    pub no_bias_decay: bool,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Methods (defaults depend on the data set)")]
pub struct MethodOptions {
    /// SAM's radius
    #[arg(long, value_parser = not_negative, allow_negative_numbers = true)]
    pub radius: Option<f64>,
    /// HSR's ρ
    #[arg(long, value_name = "ρ", value_parser = not_negative, allow_negative_numbers = true)]
    pub rho: Option<f64>,
    /// HSR: take the penalty on every k-th step only
    #[arg(long, value_name = "k", default_value = "1", value_parser = count)]
    pub every: NonZeroUsize,
    /// HSR: scale the penalty's gradient to length ρ
    #[arg(long)]
    pub unit: bool,
    /// HSR: which tr H² a mini-batch stands for
    #[arg(long, value_enum, default_value = "batch")]
    pub pair_weights: Weights,
    /// HSR, sampled: samples kept of a batch, 2 or more; as its plan says unless given
    #[arg(long, value_name = "COUNT", value_parser = count)]
    pub subset: Option<NonZeroUsize>,
    /// HSR, sampled: exact pairs in place of sketches
    #[arg(long)]
    pub no_sketch: bool,
    /// HSR, sampled: the share of the scores that all samples have, in (0, 1]
    #[arg(long, value_name = "α", default_value = "0.1", value_parser = not_negative, allow_negative_numbers = true)]
    pub alpha: f64,
    /// HSR, sampled: how much of the averages a step keeps, in [0, 1)
    #[arg(long, value_name = "β", default_value = "0.95", value_parser = below_one, allow_negative_numbers = true)]
    pub beta: f64,
    /// HSR, sampled: the share of a step's own estimates in its slopes, in [0, 1]
    #[arg(long, value_name = "γ", default_value = "1", value_parser = share, allow_negative_numbers = true)]
    pub own_share: f64,
    /// HSR, sampled: the share of the contributions' length that the limit takes away, in [0, 1); 0: no limit
    #[arg(long, value_name = "SHARE", default_value = "0.2", value_parser = below_one, allow_negative_numbers = true)]
    pub limited_share: f64,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitOptions {
    /// Use only the first training samples
    #[arg(long, value_name = "COUNT", value_parser = count)]
    pub train_samples: Option<NonZeroUsize>,
    /// Use only the first test samples
    #[arg(long, value_name = "COUNT", value_parser = count)]
    pub test_samples: Option<NonZeroUsize>,
    /// Training samples over which Hessian and bounds are taken
    #[arg(long, value_name = "COUNT", default_value = "2000", value_parser = count)]
    pub hessian_samples: NonZeroUsize,
}

impl Options {
    /// The optimizers to compare, each once, in the order SGD, SAM, HSR, HSR sampled.
    pub fn methods(&self) -> Vec<Method> {
        let mut kinds = self.methods.clone();
        kinds.sort();
        kinds.dedup();
        kinds.into_iter().map(|kind| self.method(kind, None)).collect()
    }

    fn sampling(&self) -> Sampling {
        let MethodOptions { subset, no_sketch, alpha, beta, own_share, limited_share, .. } = self.method;
        Sampling { subset, sketch: !no_sketch, alpha, beta, own_share, limited_share, seed: self.seed }
    }

    /// An optimizer; `strength` is SAM's radius or HSR's ρ, where it is not to be the option's.
    pub fn method(&self, kind: Kind, strength: Option<f64>) -> Method {
        let preset = Preset::of(&self.data);
        let TrainingOptions { learning_rate, momentum, weight_decay, update, no_bias_decay, .. } = self.training;
        let update = Update {
            rule: update,
            learning_rate: learning_rate.unwrap_or(update.learning_rate(preset.learning_rate)),
            momentum,
            weight_decay: WeightDecay { strength: weight_decay, biases: !no_bias_decay },
        };
        let strength = strength.unwrap_or(match kind {
            Kind::Sgd => 0.0,
            Kind::Sam => self.method.radius.unwrap_or(preset.radius),
            Kind::Hsr | Kind::HsrSampled => self.method.rho.unwrap_or(preset.rho),
        });
        Method {
            every: NonZeroU64::try_from(self.method.every).unwrap_or(NonZeroU64::MIN),
            direction: if self.method.unit { Direction::Unit } else { Direction::Gradient },
            sampling: self.sampling(),
            ..Method::new(kind, update, strength)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(std::iter::once("flat_minima").chain(arguments.split_whitespace()))
    }

    #[test]
    fn options_reach_the_optimizers() {
        let text = "--data iris --methods hsr,sgd,hsr --rho 0.5 --every 3 --unit --momentum 0.9 --update nesterov";
        let methods = parse(text).unwrap().methods();
        let [sgd, hsr] = methods[..] else { panic!("{methods:?}") };
        assert_eq!((sgd.kind, hsr.kind, sgd.update), (Kind::Sgd, Kind::Hsr, hsr.update));
        assert_eq!((sgd.update.momentum, sgd.update.rule), (0.9, Rule::Nesterov));
        assert_eq!((hsr.strength, hsr.every.get(), hsr.direction), (0.5, 3, Direction::Unit));
    }

    #[test]
    fn bad_options_are_refused() {
        for bad in [
            "--rho -1",
            "--radius nan",
            "--learning-rate inf",
            "--momentum 1",
            "--weight-decay -0.1",
            "--hidden 0",
            "--seeds 0",
            "--every 0",
            "--epochs 0",
            "--epochs 1 --steps 1",
            "--f32 --f64",
            "--data no-such-data",
            "--activation relu",
            "--methods adam",
            "--update rmsprop",
            "--batch -1",
            "--train-samples 0",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }
}
