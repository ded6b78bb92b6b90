//! What happens to a gradient before an update uses it: its norm is limited, weight decay is added.

use core::ops::Range;

use crate::error::{Error, Result, check_not_negative};
use crate::network::Shape;
use crate::plan::Plan;
use crate::real::Real;

/// Weight decay: the gradient of ν‖θ‖²/2 is added, over all of θ or over the weights W and V alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeightDecay {
    /// ν, finite and not negative.
    pub strength: f64,
    /// Whether the biases b and c decay as well.
    pub biases: bool,
}

impl WeightDecay {
    /// No weight decay.
    pub const NONE: Self = Self::all(0.0);

    /// Of weights and biases.
    pub const fn all(strength: f64) -> Self {
        Self { strength, biases: true }
    }

    /// Of weights, not of biases.
    pub const fn weights(strength: f64) -> Self {
        Self { strength, biases: false }
    }

    /// The parts of θ, each with its ν: one part where all decays alike, else the four blocks.
    pub(super) fn by_block(self, shape: Shape) -> [(Range<usize>, f64); 4] {
        if self.biases || self.strength == 0.0 {
            return [(0..shape.parameters(), self.strength), (0..0, 0.0), (0..0, 0.0), (0..0, 0.0)];
        }
        [
            (shape.hidden_weight(), self.strength),
            (shape.hidden_bias(), 0.0),
            (shape.output_weight(), self.strength),
            (shape.output_bias(), 0.0),
        ]
    }
}

/// Checks a learning rate, a weight decay and a limit of the norm.
pub(super) fn check_common(learning_rate: f64, decay: WeightDecay, clip: Option<f64>) -> Result<()> {
    check_not_negative("learning rate", learning_rate)?;
    check_not_negative("weight decay", decay.strength)?;
    match clip {
        Some(given) if !(given > 0.0 && given < f64::INFINITY) => {
            Err(Error::Hyperparameter { argument: "clip", given, expected: "a finite number above 0" })
        }
        _ => Ok(()),
    }
}

/// Limits the norm of the gradient, then adds the weight decay.
pub(super) fn prepare<T: Real>(plan: &Plan, theta: &[T], gradient: &mut [T], decay: WeightDecay, clip: Option<f64>) {
    let set = plan.instruction_set();
    if let Some(most) = clip {
        (const { T::FUNCTIONS.limit_norm })(set, gradient, most);
    }
    for (block, strength) in decay.by_block(plan.shape()) {
        if strength != 0.0 {
            let (gradient, theta) = (&mut gradient[block.clone()], &theta[block]);
            (const { T::FUNCTIONS.add_scaled })(set, gradient, T::from_f64(strength), theta);
        }
    }
}
