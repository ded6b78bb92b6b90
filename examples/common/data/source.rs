//! Names of data sets, and the files embedded for them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

use super::{DataSet, Parts, Scaling, csv, idx, moons};

/// Data sets that come with the example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Embedded {
    Digits,
    Iris,
    Wine,
    BreastCancer,
    Moons,
}

impl Embedded {
    pub const ALL: [Self; 5] = [Self::Digits, Self::Iris, Self::Wine, Self::BreastCancer, Self::Moons];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Iris => "iris",
            Self::Wine => "wine",
            Self::BreastCancer => "breast-cancer",
            Self::Moons => "moons",
        }
    }

    fn load(self) -> Result<DataSet> {
        let (scaling, samples) = match self {
            Self::Digits => {
                (Scaling::Divide(16.0), csv::read_gzip(include_bytes!("../../../data/digits.csv.gz"), csv::Head::None)?)
            }
            Self::Iris => {
                (Scaling::ZScore, csv::read(include_bytes!("../../../data/iris.csv").as_slice(), csv::Head::Counts)?)
            }
            Self::Wine => (
                Scaling::ZScore,
                csv::read(include_bytes!("../../../data/wine_data.csv").as_slice(), csv::Head::Counts)?,
            ),
            Self::BreastCancer => (
                Scaling::ZScore,
                csv::read(include_bytes!("../../../data/breast_cancer.csv").as_slice(), csv::Head::Counts)?,
            ),
            Self::Moons => (Scaling::ZScore, moons::generate(400, 0.2)),
        };
        let classes = samples.classes.iter().max().map_or(0, |&last| last as usize + 1);
        let inputs = samples.inputs.len() / samples.len().max(1);
        Ok(DataSet { name: self.name().into(), inputs, classes, scaling, parts: Parts::Whole(samples) })
    }
}

/// What `--data` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Embedded(Embedded),
    /// A folder of IDX files, the format of MNIST.
    Folder(PathBuf),
}

impl Source {
    pub fn load(&self) -> Result<DataSet> {
        match self {
            Self::Embedded(embedded) => embedded.load().with_context(|| format!("data set {self}")),
            Self::Folder(folder) => idx::read_folder(folder).with_context(|| format!("data set {self}")),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(embedded) => out.write_str(embedded.name()),
            Self::Folder(folder) => folder.display().fmt(out),
        }
    }
}

impl FromStr for Source {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        if let Some(embedded) = Embedded::ALL.into_iter().find(|embedded| embedded.name() == name) {
            return Ok(Self::Embedded(embedded));
        }
        let folder = PathBuf::from(name);
        if !folder.is_dir() {
            let known = Embedded::ALL.map(Embedded::name).join(", ");
            bail!("neither a data set ({known}) nor a folder");
        }
        Ok(Self::Folder(folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_data_sets_have_their_published_sizes() {
        let sizes = Embedded::ALL.map(|embedded| {
            let data = embedded.load().unwrap();
            let Parts::Whole(samples) = data.parts else { panic!("{} comes split", data.name) };
            assert_eq!(samples.inputs.len(), samples.len() * data.inputs);
            (samples.len(), data.inputs, data.classes)
        });
        assert_eq!(sizes, [(1797, 64, 10), (150, 4, 3), (178, 13, 3), (569, 30, 2), (400, 2, 2)]);
    }

    #[test]
    fn names_are_parsed_and_others_refused() {
        assert_eq!("wine".parse::<Source>().unwrap(), Source::Embedded(Embedded::Wine));
        assert!("no-such-data".parse::<Source>().is_err());
    }
}
