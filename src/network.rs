//! The network's sizes, and the order of its parameters in memory.
//!
//! With `D` inputs, `M` hidden units and `K` classes, all parameters are one vector θ of `P = MD + M + KM + K` numbers:
//!
//! | block | shape | symbol |
//! |---|---|---|
//! | hidden weight | M×D, row-major | W |
//! | hidden bias | M | b |
//! | output weight | K×M, row-major | V |
//! | output bias | K | c |
//!
//! This is the order in which deep-learning frameworks list the parameters of two stacked linear layers.

use core::ops::Range;

use crate::activation::Activation;
use crate::error::{Error, Result};

/// The sizes of a three-layer network: inputs `D`, hidden units `M`, classes `K`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    inputs: usize,
    hidden: usize,
    classes: usize,
}

impl Shape {
    /// Checks the sizes: at least one input, one hidden unit and two classes.
    ///
    /// # Errors
    ///
    /// [`Error::TooSmall`] for a size below that, [`Error::TooLarge`] where the number of parameters overflows.
    ///
    /// ```
    /// let shape = flatmin::Shape::new(64, 32, 10)?;
    /// assert_eq!(shape.parameters(), 64 * 32 + 32 + 32 * 10 + 10);
    /// # Ok::<(), flatmin::Error>(())
    /// ```
    pub const fn new(inputs: usize, hidden: usize, classes: usize) -> Result<Self> {
        if inputs < 1 {
            return Err(Error::TooSmall { argument: "inputs", given: inputs, least: 1 });
        }
        if hidden < 1 {
            return Err(Error::TooSmall { argument: "hidden units", given: hidden, least: 1 });
        }
        if classes < 2 {
            return Err(Error::TooSmall { argument: "classes", given: classes, least: 2 });
        }
        // The parameters, (D + 1) M + (M + 1) K numbers of the widest type, must fit into an allocation.
        let wide = (inputs as u128 + 1).saturating_mul(hidden as u128);
        let all = wide.saturating_add((hidden as u128 + 1).saturating_mul(classes as u128));
        if all.saturating_mul(8) > isize::MAX as u128 {
            return Err(Error::TooLarge { quantity: "parameters" });
        }
        Ok(Self { inputs, hidden, classes })
    }

    /// `D`, the length of an input row.
    pub const fn inputs(self) -> usize {
        self.inputs
    }

    /// `M`, the number of hidden units.
    pub const fn hidden(self) -> usize {
        self.hidden
    }

    /// `K`, the number of classes.
    pub const fn classes(self) -> usize {
        self.classes
    }

    /// `P = MD + M + KM + K`, the length of θ.
    pub const fn parameters(self) -> usize {
        (self.inputs + 1) * self.hidden + (self.hidden + 1) * self.classes
    }

    /// Where W lies in θ: M×D, row-major.
    pub const fn hidden_weight(self) -> Range<usize> {
        0..self.hidden * self.inputs
    }

    /// Where b lies in θ: M numbers.
    pub const fn hidden_bias(self) -> Range<usize> {
        let start = self.hidden_weight().end;
        start..start + self.hidden
    }

    /// Where V lies in θ: K×M, row-major.
    pub const fn output_weight(self) -> Range<usize> {
        let start = self.hidden_bias().end;
        start..start + self.classes * self.hidden
    }

    /// Where c lies in θ: K numbers.
    pub const fn output_bias(self) -> Range<usize> {
        let start = self.output_weight().end;
        start..start + self.classes
    }
}

/// A three-layer network: its sizes and the activation of its hidden layer.
///
/// `z = V φ(W x + b) + c`, class probabilities `p = softmax(z)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// The sizes.
    pub shape: Shape,
    /// φ, applied to every hidden unit.
    pub activation: Activation,
}

impl Network {
    /// A network of this shape and activation.
    pub const fn new(shape: Shape, activation: Activation) -> Self {
        Self { shape, activation }
    }
}

/// The four blocks of θ.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'a, T> {
    /// W, M×D row-major.
    pub hidden_weight: &'a [T],
    /// b, M numbers.
    pub hidden_bias: &'a [T],
    /// V, K×M row-major.
    pub output_weight: &'a [T],
    /// c, K numbers.
    pub output_bias: &'a [T],
}

impl<'a, T> Parameters<'a, T> {
    /// Splits θ, or a vector laid out like it (a gradient, a direction), into its blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless `theta` has [`Shape::parameters`] entries.
    pub const fn new(shape: Shape, theta: &'a [T]) -> Result<Self> {
        if theta.len() != shape.parameters() {
            return Err(Error::Length { argument: "theta", given: theta.len(), expected: shape.parameters() });
        }
        let (hidden_weight, rest) = theta.split_at(shape.hidden * shape.inputs);
        let (hidden_bias, rest) = rest.split_at(shape.hidden);
        let (output_weight, output_bias) = rest.split_at(shape.classes * shape.hidden);
        Ok(Self { hidden_weight, hidden_bias, output_weight, output_bias })
    }
}

/// The four blocks of θ, or of a vector laid out like it, to be written.
#[derive(Debug)]
pub struct ParametersMut<'a, T> {
    /// W, M×D row-major.
    pub hidden_weight: &'a mut [T],
    /// b, M numbers.
    pub hidden_bias: &'a mut [T],
    /// V, K×M row-major.
    pub output_weight: &'a mut [T],
    /// c, K numbers.
    pub output_bias: &'a mut [T],
}

impl<'a, T> ParametersMut<'a, T> {
    /// Splits θ, or a vector laid out like it, into its blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless `theta` has [`Shape::parameters`] entries.
    pub const fn new(shape: Shape, theta: &'a mut [T]) -> Result<Self> {
        if theta.len() != shape.parameters() {
            return Err(Error::Length { argument: "theta", given: theta.len(), expected: shape.parameters() });
        }
        let (hidden_weight, rest) = theta.split_at_mut(shape.hidden * shape.inputs);
        let (hidden_bias, rest) = rest.split_at_mut(shape.hidden);
        let (output_weight, output_bias) = rest.split_at_mut(shape.classes * shape.hidden);
        Ok(Self { hidden_weight, hidden_bias, output_weight, output_bias })
    }
}
