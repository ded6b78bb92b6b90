//! Eigenvalues of the Hessian of the loss over a data set, in double precision, in memory that does not grow with the data set.
//!
//! Small networks: all of them, from the dense Hessian. Larger ones: the ends of the spectrum, by [`lanczos`] from Hessian-vector
//! products, which are means over chunks of the data set.

use std::cell::RefCell;

use anyhow::{Result, ensure};
use flatmin::{
    Batch, Bounds, Evaluation, Network, Plan, Shape, Targets, data_set_curvature, data_set_hessian_vector_product,
    data_set_loss, dense_hessian,
};
use nalgebra::DMatrix;

use crate::common::data::Samples;
use crate::common::eigenvalues;
use crate::common::lanczos::{self, Until};

/// The most samples of a chunk.
const CHUNK: usize = 1024;
/// The most parameters for which the dense Hessian is formed: below a second of work.
const DENSE_LIMIT: usize = 1300;
/// How many eigenvalues of each end are found where not all are.
const AT_EACH_END: usize = 8;
/// When the iteration for eigenvalues ends. An eigenvalue's error is below the residual, and where it is isolated of the order of the
/// residual's square.
const UNTIL: Until = Until { residual: 3e-4, iterations: 200 };

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
    /// Of a chunk.
    plan: Plan,
    data: Batch<'a, f64>,
    workspace: RefCell<Vec<f64>>,
}

impl<'a> Landscape<'a> {
    /// The loss over the first `most` of these samples.
    pub fn new(network: Network, samples: &'a Samples, most: usize) -> Result<Self> {
        let count = samples.len().min(most);
        let inputs = &samples.inputs[..count * network.shape.inputs()];
        let data = Batch::new(network.shape, inputs, Targets::Classes(&samples.classes[..count]))?;
        Ok(Self { plan: Plan::new(network, count.min(CHUNK))?, data, workspace: RefCell::default() })
    }

    /// The same by chunks of at most so many samples.
    #[cfg(test)]
    fn by_chunks(self, most: usize) -> Result<Self> {
        Ok(Self { plan: Plan::new(self.plan.network(), most)?, ..self })
    }

    pub fn evaluation(&self, theta: &[f64]) -> Result<Evaluation> {
        Ok(self.with_workspace(self.plan.gradient_workspace_len(), |space| {
            data_set_loss(&self.plan, theta, &self.data, space)
        })?)
    }

    /// The bounds on all eigenvalues: exact, and so quadratic in the samples.
    pub fn bounds(&self, theta: &[f64]) -> Result<Bounds> {
        let needed = self.plan.data_set_workspace_len()?;
        Ok(self.with_workspace(needed, |space| data_set_curvature(&self.plan, theta, &self.data, space))?.bounds)
    }

    /// All eigenvalues, or, of a large network, some at each end.
    pub fn spectrum(&self, theta: &[f64]) -> Result<Spectrum> {
        if self.shape().parameters() <= DENSE_LIMIT {
            return Ok(Spectrum { eigenvalues: eigenvalues::ascending(self.hessian(theta)?), complete: true });
        }
        self.ends(theta, AT_EACH_END)
    }

    /// So many eigenvalues of each end.
    pub fn ends(&self, theta: &[f64], count: usize) -> Result<Spectrum> {
        let found = self.lanczos(theta, [count; 2])?;
        Ok(Spectrum { eigenvalues: [found.least, found.greatest].concat(), complete: false })
    }

    /// λ_max.
    pub fn largest(&self, theta: &[f64]) -> Result<f64> {
        Ok(self.lanczos(theta, [0, 1])?.greatest[0])
    }

    fn lanczos(&self, theta: &[f64], counts: [usize; 2]) -> Result<lanczos::Ends> {
        let size = self.shape().parameters();
        let found = lanczos::ends(size, counts, UNTIL, |vector| self.product(theta, vector))?;
        ensure!(!found.greatest.is_empty(), "eigenvalues of a matrix of {size} rows: none found");
        Ok(found)
    }

    /// H, the mean over the chunks.
    fn hessian(&self, theta: &[f64]) -> Result<DMatrix<f64>> {
        let (size, samples) = (self.shape().parameters(), self.data.samples());
        let (mut mean, mut part) = (DMatrix::zeros(size, size), DMatrix::zeros(size, size));
        for start in (0..samples).step_by(self.plan.samples()) {
            let chunk = self.data.rows(start..samples.min(start + self.plan.samples()))?;
            // Symmetric, so that it does not matter that the matrix is column-major.
            self.with_workspace(self.plan.workspace_len(), |space| {
                dense_hessian(&self.plan, theta, &chunk, part.as_mut_slice(), space)
            })?;
            let share = chunk.samples() as f64 / samples as f64;
            mean.zip_apply(&part, |mean, part| *mean += share * part);
        }
        Ok(mean)
    }

    fn product(&self, theta: &[f64], vector: &[f64]) -> Result<Vec<f64>> {
        let mut product = vec![0.0; vector.len()];
        self.with_workspace(self.plan.workspace_len(), |space| {
            data_set_hessian_vector_product(&self.plan, theta, &self.data, vector, &mut product, space)
        })?;
        Ok(product)
    }

    /// Lends a workspace of so many numbers: the loss alone takes a fraction of what the bounds take.
    fn with_workspace<R>(&self, needed: usize, work: impl FnOnce(&mut [f64]) -> R) -> R {
        let mut workspace = self.workspace.borrow_mut();
        if workspace.len() < needed {
            workspace.resize(needed, 0.0);
        }
        work(&mut workspace)
    }

    fn shape(&self) -> Shape {
        self.plan.shape()
    }
}

#[cfg(test)]
mod tests {
    use flatmin::Activation;
    use rand::RngExt;

    use super::*;
    use crate::common::random::{Purpose, generator};

    /// Some samples, and parameters.
    fn problem(network: Network, count: usize) -> (Samples, Vec<f64>) {
        let mut random = generator(1, Purpose::Data);
        let inputs = (0..count * network.shape.inputs()).map(|_| random.random_range(-1.0..1.0)).collect();
        let classes = (0..count).map(|sample| (sample % network.shape.classes()) as u32).collect();
        let theta = (0..network.shape.parameters()).map(|_| random.random_range(-1.0..1.0)).collect();
        (Samples { inputs, classes }, theta)
    }

    /// Lanczos against the eigenvalues of the dense Hessian, by one chunk and by several.
    #[test]
    fn both_solvers_find_the_same_ends() {
        for (sizes, count) in [([3, 5, 3], 2), ([3, 5, 3], 1), ([8, 12, 4], 4)] {
            let [inputs, hidden, classes] = sizes;
            let network = Network::new(Shape::new(inputs, hidden, classes).unwrap(), Activation::Tanh);
            let (samples, theta) = problem(network, 20);
            for chunk in [20, 7, 3] {
                let landscape = Landscape::new(network, &samples, usize::MAX).unwrap().by_chunks(chunk).unwrap();
                let all = landscape.spectrum(&theta).unwrap();
                assert!(all.complete && all.eigenvalues.len() == network.shape.parameters());
                let ends = landscape.ends(&theta, count).unwrap().eigenvalues;
                let (low, high) = (&all.eigenvalues[..count], &all.eigenvalues[all.eigenvalues.len() - count..]);
                let expected = [low, high].concat();
                assert_eq!(ends.len(), expected.len());
                for (found, expected) in ends.iter().zip(expected) {
                    assert!((found - expected).abs() <= UNTIL.residual * all.greatest(), "{found} against {expected}");
                }
                let largest = landscape.largest(&theta).unwrap();
                assert!((largest - all.greatest()).abs() <= UNTIL.residual * all.greatest());
                let bounds = landscape.bounds(&theta).unwrap();
                assert!(bounds.lambda_max_lower <= all.greatest() && all.greatest() <= bounds.lambda_max_upper);
                assert!(bounds.lambda_min_lower <= all.least() && all.least() <= bounds.lambda_min_upper);
            }
        }
    }

    /// Chunks change nothing but rounding.
    #[test]
    fn chunks_have_the_values_of_the_whole() {
        let network = Network::new(Shape::new(3, 5, 3).unwrap(), Activation::Tanh);
        let (samples, theta) = problem(network, 20);
        let of = |chunk: usize| {
            let landscape = Landscape::new(network, &samples, usize::MAX).unwrap().by_chunks(chunk).unwrap();
            let evaluation = landscape.evaluation(&theta).unwrap();
            let eigenvalues = landscape.spectrum(&theta).unwrap();
            [evaluation.loss, landscape.bounds(&theta).unwrap().lambda_max_upper, eigenvalues.greatest()]
        };
        let whole = of(20);
        for chunk in [1, 6, 19] {
            for (found, expected) in of(chunk).iter().zip(whole) {
                assert!((found - expected).abs() <= 1e-12 * expected, "{found} against {expected}");
            }
        }
    }
}
