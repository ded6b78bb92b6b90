//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use flatmin::{Activation, Sampling, WeightDecay};

use crate::common::arguments::{below_one, count, not_negative, share};
use crate::common::data::Source;
use crate::common::method::{Kind, Method, Rule, Update};
use crate::common::presets::Preset;

/// SAM's radii.
const RADII: &[f64] = &[0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0];
/// HSR's ρ.
const RHOS: &[f64] = &[0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2];
/// Of a quick run.
const FEW_RADII: &[f64] = &[0.05, 0.2, 0.5];
const FEW_RHOS: &[f64] = &[0.01, 0.03, 0.1];
const FEW_SEEDS: usize = 2;
const FEW_EPOCHS: usize = 20;

/// Terms on which methods are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Terms {
    /// All take the same number of steps.
    Epochs,
    /// All have the time that SAM takes for these steps.
    Time,
}

impl Terms {
    pub const ALL: [Self; 2] = [Self::Epochs, Self::Time];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Epochs => "epochs",
            Self::Time => "time",
        }
    }
}

/// Trains with SGD, SAM and HSR, exact and sampled, over a grid of strengths, at equal epochs and at equal time, and draws what each
/// arrives at: test accuracy against λ_max.
#[derive(Clone, Debug, Parser)]
#[command(name = "pareto")]
pub struct Options {
    /// Data set: digits, iris, wine, breast-cancer, moons, or a folder of IDX files such as MNIST's (plain or gzip)
    #[arg(long, default_value = "digits", value_name = "NAME|FOLDER")]
    pub data: Source,
    /// Methods
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["sgd", "sam", "hsr", "hsr-sampled"])]
    pub methods: Vec<Kind>,
    /// On which terms methods are compared
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["epochs", "time"])]
    pub terms: Vec<Terms>,
    /// Number of runs of each; 5, or 2 of a quick run
    #[arg(long, value_name = "COUNT", value_parser = count)]
    pub seeds: Option<NonZeroUsize>,
    /// The first run's seed
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..1 << 32))]
    pub seed: u64,
    /// Three strengths instead of seven, fewer seeds and epochs
    #[arg(long)]
    pub quick: bool,
    /// Folder for figure and numbers, created if it does not exist
    #[arg(long, default_value = "target/pareto", value_name = "FOLDER")]
    pub out: PathBuf,
    /// Epochs, at equal epochs; at equal time all have the time that SAM takes for them
    #[arg(long, value_name = "COUNT", value_parser = count)]
    pub epochs: Option<NonZeroUsize>,
    /// Hidden units
    #[arg(long, value_name = "COUNT", value_parser = count)]
    pub hidden: Option<NonZeroUsize>,
    /// Samples a batch
    #[arg(long, value_name = "COUNT", value_parser = count)]
    pub batch: Option<NonZeroUsize>,
    /// Activation: tanh, sigmoid, softplus, gelu, silu or identity
    #[arg(long, default_value = "tanh", value_name = "NAME")]
    pub activation: Activation,
    /// η
    #[arg(long, value_name = "η", value_parser = not_negative, allow_negative_numbers = true)]
    pub learning_rate: Option<f64>,
    /// What makes a step of a gradient, in all methods
    #[arg(long = "update", value_enum, default_value = "sgd")]
    pub rule: Rule,
    /// SGD's μ, in [0, 1)
    #[arg(long, value_name = "μ", default_value = "0", value_parser = below_one, allow_negative_numbers = true)]
    pub momentum: f64,
    /// Samples that the sampled penalty keeps of a batch; as its plan says unless given
    #[arg(long, value_name = "COUNT", value_parser = count)]
    pub subset: Option<NonZeroUsize>,
    /// α of the sampled penalty: the share of the scores that all samples have
    #[arg(long, value_name = "α", default_value = "0.1", value_parser = share, allow_negative_numbers = true)]
    pub alpha: f64,
    /// β of the sampled penalty: how much of the averages a step keeps
    #[arg(long, value_name = "β", default_value = "0.95", value_parser = below_one, allow_negative_numbers = true)]
    pub beta: f64,
    /// γ of the sampled penalty: the share of a step's own estimates in its slopes
    #[arg(long, value_name = "γ", default_value = "1", value_parser = share, allow_negative_numbers = true)]
    pub own_share: f64,
    /// The share of the length of the sampled penalty's contributions that the limit takes away; 0: no limit
    #[arg(long, value_name = "SHARE", default_value = "0.2", value_parser = below_one, allow_negative_numbers = true)]
    pub limited_share: f64,
    /// Only these strengths of HSR
    #[arg(long, value_name = "ρ", value_delimiter = ',', value_parser = not_negative, allow_negative_numbers = true)]
    pub rho: Vec<f64>,
    /// Only these radii of SAM
    #[arg(long, value_name = "r", value_delimiter = ',', value_parser = not_negative, allow_negative_numbers = true)]
    pub radius: Vec<f64>,
    /// Training samples over which λ_max is taken
    #[arg(long, value_name = "COUNT", default_value = "2000", value_parser = count)]
    pub hessian_samples: NonZeroUsize,
}

impl Options {
    pub fn preset(&self) -> Preset {
        Preset::of(&self.data)
    }

    pub fn seeds(&self) -> usize {
        self.seeds.map_or(if self.quick { FEW_SEEDS } else { 5 }, NonZeroUsize::get)
    }

    pub fn epochs(&self) -> usize {
        let preset = self.preset().epochs;
        self.epochs.map_or(if self.quick { preset.min(FEW_EPOCHS) } else { preset }, NonZeroUsize::get)
    }

    pub fn update(&self) -> Update {
        Update {
            rule: self.rule,
            learning_rate: self.learning_rate.unwrap_or(self.rule.learning_rate(self.preset().learning_rate)),
            momentum: self.momentum,
            weight_decay: WeightDecay::NONE,
        }
    }

    fn sampling(&self) -> Sampling {
        let Self { subset, alpha, beta, own_share, limited_share, .. } = *self;
        Sampling { subset, alpha, beta, own_share, limited_share, ..Sampling::default() }
    }

    /// Refuses what no method would take, before anything runs.
    pub fn check(&self) -> Result<()> {
        self.update().check()?;
        Ok(self.sampling().check()?)
    }

    /// One method of a kind for each of its strengths.
    pub fn grid(&self, kind: Kind, seed: u64) -> Vec<Method> {
        let update = self.update();
        let given = |strengths: &[f64], all: &[f64], few: &[f64]| match (strengths, self.quick) {
            ([], false) => all.to_vec(),
            ([], true) => few.to_vec(),
            _ => strengths.to_vec(),
        };
        let sampling = Sampling { seed, ..self.sampling() };
        let strengths = match kind {
            Kind::Sgd => vec![0.0],
            Kind::Sam => given(&self.radius, RADII, FEW_RADII),
            Kind::Hsr | Kind::HsrSampled => given(&self.rho, RHOS, FEW_RHOS),
        };
        let method = |strength| Method { sampling, ..Method::new(kind, update, strength) };
        strengths.into_iter().map(method).collect()
    }

    /// The terms, each once.
    pub fn terms(&self) -> Vec<Terms> {
        Terms::ALL.into_iter().filter(|terms| self.terms.contains(terms)).collect()
    }

    /// The kinds, each once.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds = self.methods.clone();
        kinds.sort();
        kinds.dedup();
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(arguments: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(std::iter::once("pareto").chain(arguments.split(' ').filter(|text| *text != "pareto")))
    }

    fn strengths(options: &Options, kind: Kind) -> Vec<f64> {
        options.grid(kind, 0).iter().map(|method| method.strength).collect()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn strengths_are_those_given_or_the_grids() {
        let options = parse("--rho 0.5,0,0.25 --radius 2").unwrap();
        assert_eq!(strengths(&options, Kind::Hsr), [0.5, 0.0, 0.25]);
        assert_eq!(strengths(&options, Kind::HsrSampled), [0.5, 0.0, 0.25]);
        assert_eq!((strengths(&options, Kind::Sam), strengths(&options, Kind::Sgd)), (vec![2.0], vec![0.0]));
        let options = parse("--quick --rho 0.5").unwrap();
        assert_eq!((options.seeds(), strengths(&options, Kind::Hsr)), (2, vec![0.5]));
        assert_eq!(strengths(&options, Kind::Sam), FEW_RADII);
        let options = parse("pareto").unwrap();
        assert_eq!((strengths(&options, Kind::Hsr), strengths(&options, Kind::Sam)), (RHOS.to_vec(), RADII.to_vec()));
    }

    #[test]
    fn terms_are_those_given() {
        assert_eq!(parse("--terms time").unwrap().terms(), [Terms::Time]);
        assert_eq!(parse("--terms epochs").unwrap().terms(), [Terms::Epochs]);
        assert_eq!(parse("--terms time,epochs,time").unwrap().terms(), Terms::ALL);
        assert_eq!(parse("pareto").unwrap().terms(), Terms::ALL);
    }

    /// Exact and sampled HSR of one strength differ by nothing else, and the sampling is the library's.
    #[test]
    fn exact_and_sampled_are_on_equal_terms() {
        let options = parse("--momentum 0.9 --update nesterov --learning-rate 0.03").unwrap();
        for (exact, sampled) in options.grid(Kind::Hsr, 7).into_iter().zip(options.grid(Kind::HsrSampled, 7)) {
            assert_eq!(exact, Method { kind: Kind::Hsr, ..sampled });
            assert_eq!(sampled.sampling, Sampling::new(7));
        }
    }

    #[test]
    fn bad_options_are_refused() {
        for bad in [
            "--rho -0.1",
            "--rho nan",
            "--rho 0.1,inf",
            "--rho 0.1,,0.2",
            "--rho ",
            "--rho",
            "--radius -1",
            "--radius 0.1,nan",
            "--radius ",
            "--terms ",
            "--terms steps",
            "--terms epochs,steps",
            "--methods ",
            "--seeds 0",
            "--epochs 0",
            "--hidden 0",
            "--batch 0",
            "--learning-rate -1",
            "--momentum 1",
            "--alpha nan",
            "--alpha 1.5",
            "--beta 1",
            "--own-share 1.1",
            "--limited-share 1",
            "--hessian-samples 0",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("--subset 1").unwrap().check().is_err());
        assert!(parse("--alpha 0").unwrap().check().is_err());
        assert!(parse("--update adam --momentum 0.9").unwrap().check().is_err());
        assert!(parse("pareto").unwrap().check().is_ok());
    }
}
