//! The activation functions of the hidden layer.

use core::fmt;
use core::str::FromStr;

use crate::error::Error;

/// φ, the activation of the hidden units. All have three continuous derivatives.
///
/// σ is the logistic function `1/(1 + e⁻ᵘ)`, Φ the normal distribution function.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum Activation {
    /// `tanh u`
    Tanh,
    /// `σ(u)`
    Sigmoid,
    /// `ln(1 + eᵘ)`
    Softplus,
    /// `u Φ(u)`, by the error function, not by the approximation with tanh. Hendrycks and Gimpel, arXiv 1606.08415.
    Gelu,
    /// `u σ(u)`, also called swish. Elfwing, Uchibe and Doya, arXiv 1702.03118.
    Silu,
    /// `u`: a linear network.
    Identity,
}

impl Activation {
    /// All activations.
    pub const ALL: [Self; 6] = [Self::Tanh, Self::Sigmoid, Self::Softplus, Self::Gelu, Self::Silu, Self::Identity];

    /// The name, in lower case; [`FromStr`] reads it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Softplus => "softplus",
            Self::Gelu => "gelu",
            Self::Silu => "silu",
            Self::Identity => "identity",
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

impl FromStr for Activation {
    type Err = Error;

    /// Reads a [`name`](Self::name).
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|activation| activation.name() == name)
            .ok_or(Error::Name { argument: "activation", expected: "tanh, sigmoid, softplus, gelu, silu or identity" })
    }
}
