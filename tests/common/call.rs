//! The crate's quantities, each on a workspace of exactly the promised length and outputs, all filled with NaN.

use super::problem::Instance;
use flatmin::{Curvature, Evaluation, Real};

/// What a gradient can be taken of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// L
    Loss,
    /// tr H
    Trace,
    /// tr H²
    TraceOfSquare,
    /// Λ
    Bound,
    /// L + ρΛ
    Hsr(f64),
}

impl Quantity {
    pub const ALL: [Self; 5] = [Self::Loss, Self::Trace, Self::TraceOfSquare, Self::Bound, Self::Hsr(0.3)];
}

/// A buffer that shows if it is read before it is written.
pub fn nan<T: Real>(len: usize) -> Vec<T> {
    vec![T::NAN; len]
}

impl<T: Real> Instance<T> {
    pub fn workspace(&self) -> Vec<T> {
        nan(self.plan.workspace_len())
    }

    pub fn loss(&self) -> Evaluation {
        let mut workspace = nan(self.plan.gradient_workspace_len());
        flatmin::loss(&self.plan, &self.theta, &self.batch(), &mut workspace).expect("a loss")
    }

    pub fn curvature(&self) -> Curvature {
        flatmin::curvature(&self.plan, &self.theta, &self.batch(), &mut self.workspace()).expect("a curvature")
    }

    /// The value and the gradient.
    pub fn gradient(&self, quantity: Quantity) -> (f64, Vec<T>) {
        let (plan, theta, batch) = (&self.plan, &self.theta, &self.batch());
        let (mut workspace, mut gradient) = (self.workspace(), nan(self.parameters()));
        let (out, space) = (&mut gradient, &mut workspace);
        let value = match quantity {
            Quantity::Loss => {
                let space = &mut space[..plan.gradient_workspace_len()];
                flatmin::loss_gradient(plan, theta, batch, out, space)
            }
            Quantity::Trace => flatmin::trace_gradient(plan, theta, batch, out, space),
            Quantity::TraceOfSquare => flatmin::trace_of_square_gradient(plan, theta, batch, out, space)
                .map(|curvature| curvature.traces.trace_of_square()),
            Quantity::Bound => flatmin::bound_gradient(plan, theta, batch, out, space)
                .map(|curvature| curvature.bounds.lambda_max_upper),
            Quantity::Hsr(rho) => flatmin::hsr_gradient(plan, theta, batch, rho, out, space).map(|objective| {
                objective.loss + objective.curvature.map_or(0.0, |curvature| rho * curvature.bounds.lambda_max_upper)
            }),
        };
        (value.expect("a gradient"), gradient)
    }

    /// The value alone, by functions that compute no gradient.
    pub fn value(&self, quantity: Quantity) -> f64 {
        match quantity {
            Quantity::Loss => self.loss().loss,
            Quantity::Trace => self.curvature().traces.trace(),
            Quantity::TraceOfSquare => self.curvature().traces.trace_of_square(),
            Quantity::Bound => self.curvature().bounds.lambda_max_upper,
            Quantity::Hsr(rho) => self.loss().loss + rho * self.curvature().bounds.lambda_max_upper,
        }
    }

    pub fn product(&self, vector: &[T]) -> Vec<T> {
        let mut product = nan(self.parameters());
        let (plan, batch, space) = (&self.plan, &self.batch(), &mut self.workspace());
        flatmin::hessian_vector_product(plan, &self.theta, batch, vector, &mut product, space).expect("a product");
        product
    }

    /// H, row-major.
    pub fn hessian(&self) -> Vec<T> {
        let mut hessian = nan(self.parameters() * self.parameters());
        let (batch, space) = (&self.batch(), &mut self.workspace());
        flatmin::dense_hessian(&self.plan, &self.theta, batch, &mut hessian, space).expect("a Hessian");
        hessian
    }
}
