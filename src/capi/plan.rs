//! The plan, and the functions that make it.

use super::codes;
use super::memory::Memory;
use super::status::{Failure, Status, guard};
use super::structure::structure;
use crate::network::{Network, Shape};
use crate::plan::{PairWeights, Plan};

structure! {
    /// Network, batch size and route: all that fixes cost and memory of a computation. Filled in by `flatmin_plan_new`.
    ///
    /// The caller may change any of the fields from `inputs` to `data_set` and call `flatmin_plan_update`, which sets the lengths anew. The
    /// functions that take a plan check it, and go by those fields alone.
    CPlan = "flatmin_plan" {
        /// D, the length of an input row.
        inputs: usize,
        /// M, the number of hidden units.
        hidden: usize,
        /// K, the number of classes.
        classes: usize,
        /// The largest batch that the plan allows; of a data set, the size of a chunk.
        samples: usize,
        /// `FLATMIN_TANH`, `FLATMIN_SIGMOID`, `FLATMIN_SOFTPLUS`, `FLATMIN_GELU`, `FLATMIN_SILU` or `FLATMIN_IDENTITY`.
        activation: u32,
        /// `FLATMIN_PAIRS` or `FLATMIN_BLOCKS`: how tr H² and its gradient are computed.
        route: u32,
        /// `FLATMIN_FLAT` or `FLATMIN_TANGENT`: the form of `FLATMIN_PAIRS`.
        form: u32,
        /// 0.
        reserved: u32,
        /// What a batch's tr H² stands for. 0: the batch's own. T: an unbiased estimate for a data set of T samples.
        data_set: usize,
        /// P = MD + M + KM + K, the length of θ, of gradients, of each moment.
        parameters: usize,
        /// Elements of workspace that the functions of the Hessian take, and exact HSR steps: each function says which length it takes.
        /// A sampled HSR step takes what `flatmin_optimizer_workspace_len` says, which can be more, as the exact curvature of a data set takes
        /// what `flatmin_data_set_workspace_len` says.
        workspace_len: usize,
        /// Elements of workspace that the functions of the loss take, and all steps but those of HSR. No more than `workspace_len`.
        gradient_workspace_len: usize,
    }
}

impl CPlan {
    pub(super) fn new(plan: &Plan) -> Self {
        let shape = plan.shape();
        Self {
            inputs: shape.inputs(),
            hidden: shape.hidden(),
            classes: shape.classes(),
            samples: plan.samples(),
            activation: codes::activation_code(plan.network().activation),
            route: codes::route_code(plan.route()),
            form: codes::form_code(plan.form()),
            data_set: match plan.pair_weights() {
                PairWeights::Batch => 0,
                PairWeights::DataSet { samples } => samples,
            },
            parameters: shape.parameters(),
            workspace_len: plan.workspace_len(),
            gradient_workspace_len: plan.gradient_workspace_len(),
            ..Self::default()
        }
    }

    pub(super) fn plan(&self) -> Result<Plan, Failure> {
        let weights = match self.data_set {
            0 => PairWeights::Batch,
            samples => PairWeights::DataSet { samples },
        };
        if self.reserved != 0 {
            return Err(Failure::Reserved { field: "plan.reserved", given: self.reserved });
        }
        let plan = Plan::new(network(self.inputs, self.hidden, self.classes, self.activation)?, self.samples)?;
        let (form, route) = (codes::form(self.form)?, codes::route(self.route)?);
        Ok(plan.with_form(form)?.with_route(route)?.with_pair_weights(weights))
    }
}

fn network(inputs: usize, hidden: usize, classes: usize, activation: u32) -> Result<Network, Failure> {
    let activation = codes::activation(activation)?;
    Ok(Network::new(Shape::new(inputs, hidden, classes)?, activation))
}

/// Plans for a network and batches of up to `samples` samples, by the route that takes less time. `plan` is initialised, by
/// `flatmin_plan_init` in C.
///
/// # Safety
///
/// `plan` is null, or leads to a size and as many bytes as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flatmin_plan_new(
    inputs: usize,
    hidden: usize,
    classes: usize,
    activation: u32,
    samples: usize,
    plan: *mut CPlan,
) -> Status {
    guard(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { Memory::new().place(plan, "plan")? };
        let plan = Plan::new(network(inputs, hidden, classes, activation)?, samples)?;
        // SAFETY: the caller's promise; a single piece.
        unsafe { place.write(CPlan::new(&plan)) };
        Ok(())
    })
}

/// Checks a plan whose fields were changed, and sets its lengths anew.
///
/// # Safety
///
/// `plan` is null, or leads to a size and as many bytes as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flatmin_plan_update(plan: *mut CPlan) -> Status {
    guard(|| {
        // SAFETY: the caller's promise.
        let (changed, place) = unsafe { Memory::new().change(plan, "plan")? };
        let update = CPlan::new(&changed.plan()?);
        // SAFETY: as above; a single piece.
        unsafe { place.write(update) };
        Ok(())
    })
}
