//! The optimizers under one name.

use std::fmt;

use clap::ValueEnum;
use flatmin::{Batch, Direction, Hsr, Optimizer, Penalty, Plan, Real, Result, Sam, Sgd, State, Step};

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

/// An optimizer and its hyperparameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    Sgd(Sgd),
    Sam(Sam),
    Hsr(Hsr),
}

impl Method {
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Sgd(_) => Kind::Sgd,
            Self::Sam(_) => Kind::Sam,
            Self::Hsr(Hsr { penalty: Penalty::Exact, .. }) => Kind::Hsr,
            Self::Hsr(Hsr { penalty: Penalty::Sampled(_), .. }) => Kind::HsrSampled,
            // Penalties may be added to the library; the examples know these.
            Self::Hsr(_) => unreachable!(),
        }
    }

    /// Elements of workspace that a step takes.
    pub fn workspace_len(&self, plan: &Plan) -> Result<usize> {
        match self {
            Self::Sgd(_) | Self::Sam(_) => Ok(plan.gradient_workspace_len()),
            Self::Hsr(hsr) => hsr.workspace_len(plan),
        }
    }

    pub fn step<T: Real>(
        &self,
        plan: &Plan,
        theta: &mut [T],
        batch: &Batch<'_, T>,
        state: &mut State<'_, T>,
        workspace: &mut [T],
    ) -> Result<Step> {
        match self {
            Self::Sgd(sgd) => sgd.step(plan, theta, batch, state, workspace),
            Self::Sam(sam) => sam.step(plan, theta, batch, state, workspace),
            Self::Hsr(hsr) => hsr.step(plan, theta, batch, state, workspace),
        }
    }
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

impl fmt::Display for Method {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.kind().name())?;
        match self {
            Self::Sgd(_) => Ok(()),
            Self::Sam(sam) => write!(out, ", radius {}", sam.radius),
            Self::Hsr(hsr) => {
                write!(out, ", ρ = {}", hsr.rho)?;
                if hsr.direction == Direction::Unit {
                    out.write_str(", unit")?;
                }
                if hsr.every.get() > 1 { write!(out, ", every {}", hsr.every) } else { Ok(()) }
            }
        }
    }
}
