//! Where training sets out: random parameters, from a seed or from any generator.
//!
//! Every number is uniform within ±limit, and the layer that it belongs to gives the limit. A layer has as many inputs, its fan-in, as its
//! weight has columns: D of the hidden layer, M of the output layer. Its fan-out is M and K.
//!
//! | rule | weights | biases |
//! |---|---|---|
//! | [`Initialization::FanIn`] | ±1/√fan-in | ±1/√fan-in |
//! | [`Initialization::Glorot`] | ±√(6/(fan-in + fan-out)) | 0 |
//!
//! A 64-bit word becomes a number by its upper 52 bits, k: `(2k + 1 − 2⁵²) 2⁻⁵² limit`, computed in `f64` and rounded to the type. So the
//! numbers are symmetric about zero and none is zero; `f32` has those of `f64`, rounded; and as nothing but correctly rounded arithmetic
//! is used, they have the same bits on every platform.
//!
//! Sources: He, Zhang, Ren, Sun, *Delving Deep into Rectifiers*, arXiv 1502.01852, with the factor that PyTorch's `nn.Linear` takes; Glorot,
//! Bengio, *Understanding the difficulty of training deep feedforward neural networks*, AISTATS 2010.

use core::fmt;
use core::str::FromStr;

use crate::error::{Error, Result};
use crate::network::{Network, ParametersMut};
use crate::number::{Number, sqrt};
use crate::random::{Random, Stream};

/// How random parameters are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Initialization {
    /// Weights and biases uniform within ±1/√fan-in, as PyTorch's `nn.Linear` begins.
    #[default]
    FanIn,
    /// Weights uniform within ±√(6/(fan-in + fan-out)), biases zero: activations and gradients of a layer have about the same variance.
    Glorot,
}

impl Initialization {
    /// Both rules.
    pub const ALL: [Self; 2] = [Self::FanIn, Self::Glorot];

    /// `fan_in` or `glorot`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FanIn => "fan_in",
            Self::Glorot => "glorot",
        }
    }

    /// The limits of a layer's weights and of its biases.
    fn limits(self, inputs: usize, outputs: usize) -> [f64; 2] {
        let (inputs, outputs) = (inputs as f64, outputs as f64);
        match self {
            Self::FanIn => [1.0 / sqrt(inputs); 2],
            Self::Glorot => [sqrt(6.0 / (inputs + outputs)), 0.0],
        }
    }
}

impl fmt::Display for Initialization {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

impl FromStr for Initialization {
    type Err = Error;

    /// Reads a [`name`](Self::name).
    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|rule| rule.name() == name);
        known.ok_or(Error::Name { argument: "initialization", expected: "fan_in or glorot" })
    }
}

impl Network {
    /// Writes random parameters to θ by [`Initialization::FanIn`]: the same ones for the same seed, on every platform.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless `theta` has [`Shape::parameters`](crate::Shape::parameters) entries; then nothing is written.
    ///
    /// ```
    /// use flatmin::{Activation, Network, Shape};
    ///
    /// let network = Network::new(Shape::new(64, 32, 10)?, Activation::Tanh);
    /// let mut theta = vec![0.0f32; network.shape.parameters()];
    /// network.initialize(&mut theta, 1)?;
    /// assert!(theta[network.shape.hidden_weight()].iter().all(|w| w.abs() <= 0.125)); // 1/√64
    /// # Ok::<(), flatmin::Error>(())
    /// ```
    pub fn initialize<T: Number>(&self, theta: &mut [T], seed: u64) -> Result<()> {
        self.initialize_by(Initialization::FanIn, theta, seed)
    }

    /// Writes random parameters to θ by a rule: the same ones for the same seed, on every platform.
    ///
    /// # Errors
    ///
    /// As [`initialize`](Self::initialize).
    pub fn initialize_by<T: Number>(&self, rule: Initialization, theta: &mut [T], seed: u64) -> Result<()> {
        let (random, mut index) = (Random::new(seed, 0, Stream::Parameters), 0);
        self.initialize_from(rule, theta, || {
            let word = random.word(index);
            index += 1;
            word
        })
    }

    /// Writes random parameters to θ by a rule, from a generator of uniform 64-bit words. Takes one word for each number drawn, in the order
    /// of θ; a bias that is zero takes none.
    ///
    /// # Errors
    ///
    /// As [`initialize`](Self::initialize); then no word is taken.
    ///
    /// ```
    /// use flatmin::{Activation, Initialization, Network, Shape};
    ///
    /// let network = Network::new(Shape::new(2, 4, 3)?, Activation::Tanh);
    /// let mut theta = vec![0.0f64; network.shape.parameters()];
    /// // A generator of the caller's: xorshift64*, for example.
    /// let mut state = 88_172_645_463_325_252u64;
    /// let generator = || {
    ///     state ^= state >> 12;
    ///     state ^= state << 25;
    ///     state ^= state >> 27;
    ///     state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    /// };
    /// network.initialize_from(Initialization::Glorot, &mut theta, generator)?;
    /// assert!(theta[network.shape.hidden_bias()].iter().all(|&b| b == 0.0));
    /// # Ok::<(), flatmin::Error>(())
    /// ```
    pub fn initialize_from<T: Number>(
        &self,
        rule: Initialization,
        theta: &mut [T],
        mut source: impl FnMut() -> u64,
    ) -> Result<()> {
        let shape = self.shape;
        let ParametersMut { hidden_weight, hidden_bias, output_weight, output_bias } =
            ParametersMut::new(shape, theta)?;
        let [hidden, hidden_shift] = rule.limits(shape.inputs(), shape.hidden());
        let [output, output_shift] = rule.limits(shape.hidden(), shape.classes());
        for (block, limit) in
            [(hidden_weight, hidden), (hidden_bias, hidden_shift), (output_weight, output), (output_bias, output_shift)]
        {
            if limit == 0.0 {
                block.fill(T::ZERO);
            } else {
                block.fill_with(|| T::from_f64(symmetric(source()) * limit));
            }
        }
        Ok(())
    }
}

/// A number within ±1, symmetric about zero and never zero, of the upper 52 bits of a word: an odd multiple of 2⁻⁵², exactly.
fn symmetric(word: u64) -> f64 {
    const HALVES: i64 = 1 << 52;
    let odd = 2 * (word >> 12) as i64 + 1 - HALVES;
    odd as f64 * (1.0 / HALVES as f64)
}

#[cfg(test)]
mod tests {
    use super::symmetric;

    #[test]
    fn words_become_symmetric_numbers() {
        assert_eq!(symmetric(0), -symmetric(u64::MAX));
        assert_eq!(symmetric(u64::MAX), 1.0 - f64::EPSILON);
        assert_eq!([symmetric((1 << 63) - 1), symmetric(1 << 63)], [-f64::EPSILON, f64::EPSILON]);
        // The lower twelve bits do not matter.
        assert_eq!(symmetric(0x5555_5555_5555_5000), symmetric(0x5555_5555_5555_5FFF));
    }
}
