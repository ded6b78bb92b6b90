//! Eigenvalues of the Hessian of the loss over a data set, in double precision.
//!
//! Small networks: all of them, from the dense Hessian. Larger ones: the ends of the spectrum from Hessian-vector products, by
//! LOBPCG (Knyazev, *Toward the optimal preconditioned eigensolver*, SIAM J. Sci. Comput. 23 (2001)).

use std::cell::RefCell;

use anyhow::{Result, anyhow};
use flatmin::{
    Batch, Bounds, Evaluation, Network, Plan, Shape, Targets, curvature, dense_hessian, hessian_vector_product, loss,
};
use linfa_linalg::Order;
use linfa_linalg::lobpcg::lobpcg;
use nalgebra::DMatrix;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::RngExt;

use crate::common::data::Samples;
use crate::common::eigenvalues;
use crate::common::random::{Purpose, generator};

/// The most parameters for which the dense Hessian is formed: below a second of work.
const DENSE_LIMIT: usize = 1300;
/// How many eigenvalues of each end are found where not all are.
const AT_EACH_END: usize = 8;
/// LOBPCG's vectors for one eigenvalue: a few more than one speed it up.
const BLOCK: usize = 3;
/// The residual ‖Hv − λv‖ at which LOBPCG stops, as a share of λ_max's order of magnitude. An eigenvalue's error is below the
/// residual, and where it is isolated of the order of the residual's square.
const RESIDUAL: f64 = 3e-4;
const MOST_ITERATIONS: usize = 120;

/// Eigenvalues in rising order.
#[derive(Clone, Debug)]
pub struct Spectrum {
    pub eigenvalues: Vec<f64>,
    /// Whether these are all, or only both ends.
    pub complete: bool,
}

impl Spectrum {
    pub fn least(&self) -> f64 {
        self.eigenvalues[0]
    }

    pub fn greatest(&self) -> f64 {
        self.eigenvalues[self.eigenvalues.len() - 1]
    }
}

/// The loss over a data set.
pub struct Landscape<'a> {
    plan: Plan,
    batch: Batch<'a, f64>,
    workspace: RefCell<Vec<f64>>,
}

impl<'a> Landscape<'a> {
    /// The loss over the first `most` of these samples.
    pub fn new(network: Network, samples: &'a Samples, most: usize) -> Result<Self> {
        let count = samples.len().min(most);
        let inputs = &samples.inputs[..count * network.shape.inputs()];
        let batch = Batch::new(network.shape, inputs, Targets::Classes(&samples.classes[..count]))?;
        let plan = Plan::new(network, count)?;
        Ok(Self { plan, batch, workspace: RefCell::new(vec![0.0; plan.workspace_len()]) })
    }

    pub fn evaluation(&self, theta: &[f64]) -> Result<Evaluation> {
        Ok(loss(&self.plan, theta, &self.batch, &mut self.workspace.borrow_mut())?)
    }

    pub fn bounds(&self, theta: &[f64]) -> Result<Bounds> {
        Ok(curvature(&self.plan, theta, &self.batch, &mut self.workspace.borrow_mut())?.bounds)
    }

    /// All eigenvalues, or, of a large network, some at each end.
    pub fn spectrum(&self, theta: &[f64]) -> Result<Spectrum> {
        let size = self.shape().parameters();
        if size <= DENSE_LIMIT {
            let mut hessian = DMatrix::zeros(size, size);
            // Symmetric, so that it does not matter that the matrix is column-major.
            dense_hessian(&self.plan, theta, &self.batch, hessian.as_mut_slice(), &mut self.workspace.borrow_mut())?;
            return Ok(Spectrum { eigenvalues: eigenvalues::ascending(hessian), complete: true });
        }
        self.ends(theta, AT_EACH_END)
    }

    /// So many eigenvalues of each end.
    pub fn ends(&self, theta: &[f64], count: usize) -> Result<Spectrum> {
        let scale = self.bounds(theta)?.lambda_max_upper;
        let mut eigenvalues = Vec::new();
        for order in [Order::Smallest, Order::Largest] {
            let mut vectors = self.starting_vectors(count + BLOCK - 1);
            let found = self.eigenvalues(theta, order, scale, &mut vectors)?;
            eigenvalues.extend_from_slice(&found[..count.min(found.len())]);
        }
        eigenvalues.sort_by(f64::total_cmp);
        Ok(Spectrum { eigenvalues, complete: false })
    }

    /// λ_max. `vectors` are where the search starts, and are improved.
    pub fn largest(&self, theta: &[f64], vectors: &mut Array2<f64>) -> Result<f64> {
        let first = vectors.column(0);
        let product = Array1::from(self.product(theta, &first.to_vec())?);
        let scale = (product.dot(&product) / first.dot(&first)).sqrt();
        Ok(self.eigenvalues(theta, Order::Largest, scale, vectors)?[0])
    }

    /// Vectors for [`largest`](Self::largest) to start from.
    pub fn any_vectors(&self) -> Array2<f64> {
        self.starting_vectors(BLOCK)
    }

    fn starting_vectors(&self, count: usize) -> Array2<f64> {
        let mut random = generator(0, Purpose::Eigenvectors);
        let size = self.shape().parameters();
        // LOBPCG keeps three blocks, which have to be independent.
        Array2::from_shape_simple_fn((size, count.clamp(1, (size / 3).max(1))), || random.random_range(-1.0..1.0))
    }

    /// As many eigenvalues as `vectors` has columns, the outermost first; λ_max is of the order of `scale`.
    fn eigenvalues(&self, theta: &[f64], order: Order, scale: f64, vectors: &mut Array2<f64>) -> Result<Vec<f64>> {
        let residual = (RESIDUAL * scale) as f32;
        let failure = RefCell::new(None);
        let apply = |vectors: ArrayView2<'_, f64>| {
            let mut products = Array2::zeros(vectors.raw_dim());
            for (vector, mut product) in vectors.axis_iter(Axis(1)).zip(products.axis_iter_mut(Axis(1))) {
                match self.product(theta, &vector.to_vec()) {
                    Ok(result) => product.iter_mut().zip(result).for_each(|(to, from)| *to = from),
                    Err(error) => *failure.borrow_mut() = Some(error),
                }
            }
            products
        };
        let result = lobpcg(apply, vectors.clone(), |_| (), None, residual, MOST_ITERATIONS, order);
        if let Some(error) = failure.into_inner() {
            return Err(error);
        }
        let best = match result {
            Ok(best) | Err((_, Some(best))) => best,
            Err((error, None)) => return Err(anyhow!("eigenvalues: {error}")),
        };
        let found = best.eigvals.to_vec();
        *vectors = best.eigvecs;
        Ok(found)
    }

    fn product(&self, theta: &[f64], vector: &[f64]) -> Result<Vec<f64>> {
        let mut product = vec![0.0; vector.len()];
        hessian_vector_product(&self.plan, theta, &self.batch, vector, &mut product, &mut self.workspace.borrow_mut())?;
        Ok(product)
    }

    fn shape(&self) -> Shape {
        self.plan.shape()
    }
}

#[cfg(test)]
mod tests {
    use flatmin::Activation;

    use super::*;
    use crate::common::random::generator;

    #[test]
    fn both_solvers_find_the_same_ends() {
        let network = Network::new(Shape::new(3, 5, 3).unwrap(), Activation::Tanh);
        let mut random = generator(1, Purpose::Data);
        let inputs = (0..60).map(|_| random.random_range(-1.0..1.0)).collect();
        let samples = Samples { inputs, classes: (0..20).map(|sample| sample % 3).collect() };
        let theta: Vec<f64> = (0..network.shape.parameters()).map(|_| random.random_range(-1.0..1.0)).collect();
        let landscape = Landscape::new(network, &samples, usize::MAX).unwrap();
        let all = landscape.spectrum(&theta).unwrap();
        assert!(all.complete);
        let bounds = landscape.bounds(&theta).unwrap();
        let ends = landscape.ends(&theta, 2).unwrap().eigenvalues;
        let (low, high) = all.eigenvalues.split_at(2);
        let expected = [low, &high[high.len() - 2..]].concat();
        for (found, expected) in ends.iter().zip(expected) {
            assert!((found - expected).abs() <= RESIDUAL * bounds.lambda_max_upper, "{found} against {expected}");
        }
        assert!(bounds.lambda_max_lower <= all.greatest() && all.greatest() <= bounds.lambda_max_upper);
        assert!(bounds.lambda_min_lower <= all.least() && all.least() <= bounds.lambda_min_upper);
    }
}
