//! Adam, with weight decay in the gradient or apart from it.

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::kernels::update::AdamNumbers;
use crate::network::Shape;
use crate::number::{power, sqrt};
use crate::optimizer::gradient::{WeightDecay, check_common, prepare};
use crate::optimizer::interface::{Base, Hyperparameters, Optimizer, check_lengths, check_moments};
use crate::optimizer::sgd::{check_share, descend};
use crate::optimizer::state::{State, Step};
use crate::plan::Plan;
use crate::real::Real;

/// Adam (Kingma and Ba, arXiv 1412.6980), and AdamW (Loshchilov and Hutter, arXiv 1711.05101).
///
/// ```text
/// first ← β₁ first + (1 − β₁) gradient        second ← β₂ second + (1 − β₂) gradient∘gradient
/// θ ← θ − η (first/(1 − β₁^count)) / (√(second/(1 − β₂^count)) + epsilon)
/// ```
///
/// where count is the state's count of steps, this one included. Weight decay is νθ added to the gradient (Adam), or,
/// [decoupled](Self::decoupled), `θ ← (1 − ην) θ` before the step (AdamW). As PyTorch's `Adam` and `AdamW`. The state's moments are the first,
/// then the second: 2P numbers.
#[doc(alias = "AdamW")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// η, finite and not negative.
    pub learning_rate: f64,
    /// β₁, in [0, 1): what the first moment keeps at a step.
    pub beta1: f64,
    /// β₂, in [0, 1): what the second moment keeps at a step.
    pub beta2: f64,
    /// Finite, and positive in the number type.
    pub epsilon: f64,
    /// ν, and whether biases decay.
    pub weight_decay: WeightDecay,
    /// Whether weight decay acts on θ itself, as AdamW's does, and not by way of the gradient.
    pub decoupled: bool,
    /// The largest norm of the gradient, finite and positive: a longer one is shortened to it, before weight decay is added.
    pub clip: Option<f64>,
}

impl Adam {
    /// β₁ = 0.9, β₂ = 0.999, epsilon = 10⁻⁸, no weight decay, no limit.
    pub const fn new(learning_rate: f64) -> Self {
        let weight_decay = WeightDecay::NONE;
        Self { learning_rate, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay, decoupled: false, clip: None }
    }

    /// The same with weight decay by way of the gradient.
    #[must_use]
    pub const fn with_weight_decay(self, weight_decay: WeightDecay) -> Self {
        Self { weight_decay, decoupled: false, ..self }
    }

    /// The same with decoupled weight decay: AdamW.
    #[must_use]
    pub const fn with_decoupled_weight_decay(self, weight_decay: WeightDecay) -> Self {
        Self { weight_decay, decoupled: true, ..self }
    }

    /// The same with a largest norm of the gradient.
    #[must_use]
    pub const fn with_clip(self, norm: f64) -> Self {
        Self { clip: Some(norm), ..self }
    }

    fn check_epsilon<T: Real>(&self) -> Result<()> {
        let rounded = T::from_f64(self.epsilon);
        if rounded > T::ZERO && rounded.is_finite() {
            return Ok(());
        }
        let expected = "a finite number above 0 in the number type";
        Err(Error::Hyperparameter { argument: "epsilon", given: self.epsilon, expected })
    }

    /// The numbers of the formulas after `steps` steps.
    fn numbers(&self, steps: u64) -> AdamNumbers {
        let count = steps.saturating_add(1);
        AdamNumbers {
            beta1: self.beta1,
            beta2: self.beta2,
            rate: self.learning_rate / (1.0 - power(self.beta1, count)),
            inverse_root: 1.0 / sqrt(1.0 - power(self.beta2, count)),
            epsilon: self.epsilon,
        }
    }
}

impl Hyperparameters for Adam {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, rate: f64) {
        self.learning_rate = rate;
    }

    /// 2P.
    fn moments_len(&self, shape: Shape) -> usize {
        2 * shape.parameters()
    }

    /// [`Plan::gradient_workspace_len`].
    fn workspace_len(&self, plan: &Plan) -> Result<usize> {
        Ok(plan.gradient_workspace_len())
    }
}

impl Base for Adam {}

impl<T: Real> Optimizer<T> for Adam {
    fn check(&self, plan: &Plan, state: &State<'_, T>) -> Result<()> {
        check_common(self.learning_rate, self.weight_decay, self.clip)?;
        check_share("beta1", self.beta1)?;
        check_share("beta2", self.beta2)?;
        self.check_epsilon::<T>()?;
        check_moments(state, self.moments_len(plan.shape()), false)
    }

    fn step(
        &self,
        plan: &Plan,
        theta: &mut [T],
        batch: &Batch<'_, T>,
        state: &mut State<'_, T>,
        workspace: &mut [T],
    ) -> Result<Step> {
        descend(self, plan, theta, batch, state, workspace)
    }

    fn update(&self, plan: &Plan, theta: &mut [T], gradient: &mut [T], state: &mut State<'_, T>) -> Result<()> {
        self.check(plan, state)?;
        check_lengths(plan, theta, gradient)?;
        let coupled = if self.decoupled { WeightDecay::NONE } else { self.weight_decay };
        prepare(plan, theta, gradient, coupled, self.clip);

        let (set, numbers) = (plan.instruction_set(), self.numbers(state.steps));
        let (first, second) = state.moments.split_at_mut(theta.len());
        let decoupled = if self.decoupled { self.weight_decay } else { WeightDecay::NONE };
        let blocks =
            decoupled.by_block(plan.shape()).map(|(block, strength)| (block, 1.0 - self.learning_rate * strength));
        let is_finite = const { T::FUNCTIONS.adam_is_finite };
        for (block, keep) in blocks.clone() {
            let [theta, gradient, first, second] = [&*theta, gradient, first, second].map(|all| &all[block.clone()]);
            if !is_finite(set, numbers, keep, [theta, gradient, first, second]) {
                return Err(Error::Overflow { quantity: "new parameters" });
            }
        }
        for (block, keep) in blocks {
            let gradient = &gradient[block.clone()];
            let [theta, first, second] = [&mut *theta, &mut *first, &mut *second].map(|all| &mut all[block.clone()]);
            (const { T::FUNCTIONS.adam })(set, numbers, keep, gradient, [theta, first, second]);
        }
        state.steps = state.steps.wrapping_add(1);
        Ok(())
    }
}
