//! Every public quantity and step under one name, with all arguments of a call as plain data that can be spoilt.

use super::call::nan;
use super::problem::Way;
use flatmin::{
    Activation, Batch, Direction, Error, Hsr, Network, Optimizer, Plan, Real, Sam, Sgd, Shape, State, Targets,
    WeightDecay, bound_gradient, curvature, data_set_curvature, data_set_curvature_estimate,
    data_set_hessian_vector_product, data_set_loss, data_set_loss_gradient, dense_hessian, hessian_vector_product,
    hsr_gradient, loss, loss_gradient, trace_gradient, trace_of_square_gradient,
};

/// Every public quantity and step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Loss,
    LossGradient,
    Curvature,
    TraceGradient,
    TraceOfSquareGradient,
    BoundGradient,
    HsrGradient,
    Product,
    Dense,
    DataSetLoss,
    DataSetGradient,
    DataSetCurvature,
    DataSetEstimate,
    DataSetProduct,
    SgdStep,
    SamStep,
    HsrStep,
    HsrUnitStep,
}

use Call::{
    BoundGradient, Curvature, DataSetCurvature, DataSetEstimate, DataSetGradient, DataSetLoss, DataSetProduct, Dense,
    HsrGradient, HsrStep, HsrUnitStep, Loss, LossGradient, Product, SamStep, SgdStep, TraceGradient,
    TraceOfSquareGradient,
};

impl Call {
    pub const ALL: [Self; 18] = [
        Loss,
        LossGradient,
        Curvature,
        TraceGradient,
        TraceOfSquareGradient,
        BoundGradient,
        HsrGradient,
        Product,
        Dense,
        DataSetLoss,
        DataSetGradient,
        DataSetCurvature,
        DataSetEstimate,
        DataSetProduct,
        SgdStep,
        SamStep,
        HsrStep,
        HsrUnitStep,
    ];
    /// Those of a data set, by chunks.
    pub const DATA_SETS: [Self; 5] = [DataSetLoss, DataSetGradient, DataSetCurvature, DataSetEstimate, DataSetProduct];
    /// Those that return numbers and write nothing.
    pub const VALUES: [Self; 5] = [Loss, Curvature, DataSetLoss, DataSetCurvature, DataSetEstimate];
    pub const STEPS: [Self; 4] = [SgdStep, SamStep, HsrStep, HsrUnitStep];
    /// Those that write a vector laid out like θ.
    pub const GRADIENTS: [Self; 6] =
        [LossGradient, TraceGradient, TraceOfSquareGradient, BoundGradient, HsrGradient, DataSetGradient];
    /// Those that need tr H² of a batch.
    pub const SQUARES: [Self; 6] = [Curvature, TraceOfSquareGradient, BoundGradient, HsrGradient, HsrStep, HsrUnitStep];

    /// The workspace that it promises to run in.
    pub fn workspace_len(self, plan: &Plan) -> usize {
        match self {
            Loss | LossGradient | DataSetLoss | DataSetGradient | SgdStep | SamStep => plan.gradient_workspace_len(),
            DataSetCurvature => plan.data_set_workspace_len().expect("a small workspace"),
            _ => plan.workspace_len(),
        }
    }

    pub fn output_len(self, shape: Shape) -> usize {
        match self {
            Dense => shape.parameters() * shape.parameters(),
            _ => shape.parameters(),
        }
    }
}

/// All arguments of a call, good ones unless spoilt.
#[derive(Clone, Debug)]
pub struct Arguments<T> {
    pub plan: Plan,
    pub theta: Vec<T>,
    pub batch_shape: Shape,
    pub inputs: Vec<T>,
    pub classes: Vec<u32>,
    /// Targets in place of the classes.
    pub distributions: Option<Vec<T>>,
    pub vector: Vec<T>,
    pub output: Vec<T>,
    pub velocity: Vec<T>,
    pub steps: u64,
    pub workspace: Vec<T>,
    pub sgd: Sgd,
    pub rho: f64,
    pub radius: f64,
}

fn small_network() -> Network {
    Network::new(Shape::new(2, 3, 2).expect("a shape"), Activation::Tanh)
}

impl<T: Real> Arguments<T> {
    pub fn new(call: Call, way: Way) -> Self {
        let network = small_network();
        // A data set takes two chunks.
        let samples = if Call::DATA_SETS.contains(&call) { 3 } else { 4 };
        let plan = way.of(Plan::new(network, samples).expect("a plan"));
        let parameters = network.shape.parameters();
        let numbers = |len: usize, phase: f64| (0..len).map(|i| T::from_f64((1.7 * i as f64 + phase).sin())).collect();
        Self {
            plan,
            theta: numbers(parameters, 0.1),
            batch_shape: network.shape,
            inputs: numbers(8, 0.5),
            classes: vec![0, 1, 1, 0],
            distributions: None,
            vector: numbers(parameters, 0.9),
            output: numbers(call.output_len(network.shape), 1.3),
            velocity: numbers(parameters, 2.1),
            steps: 6,
            workspace: nan(call.workspace_len(&plan)),
            sgd: Sgd::new(0.1).with_momentum(0.9).with_weight_decay(WeightDecay::all(0.01)),
            rho: 0.3,
            radius: 0.05,
        }
    }

    pub fn run(&mut self, call: Call) -> Result<(), Error> {
        let targets = match &self.distributions {
            None => Targets::Classes(&self.classes),
            Some(distributions) => Targets::Distributions(distributions),
        };
        let batch = Batch::new(self.batch_shape, &self.inputs, targets)?;
        let (plan, batch, space) = (&self.plan, &batch, &mut self.workspace[..]);
        let (theta, out) = (&mut self.theta[..], &mut self.output[..]);
        let mut state = State { steps: self.steps, ..State::new(&mut self.velocity) };
        let mut hsr = Hsr::new(self.sgd, self.rho);
        match call {
            Loss => loss(plan, theta, batch, space).map(drop),
            LossGradient => loss_gradient(plan, theta, batch, out, space).map(drop),
            Curvature => curvature(plan, theta, batch, space).map(drop),
            TraceGradient => trace_gradient(plan, theta, batch, out, space).map(drop),
            TraceOfSquareGradient => trace_of_square_gradient(plan, theta, batch, out, space).map(drop),
            BoundGradient => bound_gradient(plan, theta, batch, out, space).map(drop),
            HsrGradient => hsr_gradient(plan, theta, batch, self.rho, out, space).map(drop),
            Product => hessian_vector_product(plan, theta, batch, &self.vector, out, space),
            Dense => dense_hessian(plan, theta, batch, out, space),
            DataSetLoss => data_set_loss(plan, theta, batch, space).map(drop),
            DataSetGradient => data_set_loss_gradient(plan, theta, batch, out, space).map(drop),
            DataSetCurvature => data_set_curvature(plan, theta, batch, space).map(drop),
            DataSetEstimate => data_set_curvature_estimate(plan, theta, batch, space).map(drop),
            DataSetProduct => data_set_hessian_vector_product(plan, theta, batch, &self.vector, out, space),
            SgdStep => self.sgd.step(plan, theta, batch, &mut state, space).map(drop),
            SamStep => Sam::new(self.sgd, self.radius).step(plan, theta, batch, &mut state, space).map(drop),
            HsrStep => hsr.step(plan, theta, batch, &mut state, space).map(drop),
            HsrUnitStep => {
                hsr.direction = Direction::Unit;
                hsr.step(plan, theta, batch, &mut state, space).map(drop)
            }
        }?;
        self.steps = state.steps;
        Ok(())
    }

    /// Everything that a call may write, except the workspace, to the last bit.
    pub fn bits(&self) -> Vec<u64> {
        let values = self.theta.iter().chain(&self.output).chain(&self.velocity);
        values.map(|value| value.to_f64().to_bits()).chain([self.steps]).collect()
    }
}
