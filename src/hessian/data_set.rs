//! The quantities of a data set of any size, chunk by chunk, in memory that depends on the plan alone.
//!
//! L, its gradient and H·v are linear in the samples: means over the chunks, weighted by their sizes. Each chunk is a batch like any other.
//!
//! # tr H², exact
//!
//! tr H is linear in the samples: the mean over the chunks, weighted by their sizes. tr H² is not. [`Route::Blocks`] adds the chunks to the
//! blocks of H, which are linear, and takes the squares at the end ([`blocks`](crate::hessian::blocks)): a forward pass of every chunk, and linear in T.
//! [`Route::Pairs`] sums κ/T² over all pairs of samples, and so over all pairs of chunks.
//!
//! **Loop order.** For each chunk, first the pairs within it; then, for each later chunk, the pairs across. For these the two chunks lie
//! side by side in the workspace, as one batch, of whose pairs only those across are visited. Both go through the forward pass again, and
//! their factors are formed again, so that memory holds two chunks and no more.
//!
//! **Cost.** With chunks of N: T/N forward passes of a chunk, and T²/(2N²) of two. The pairs are those of the whole at once.
//!
//! # tr H², estimated
//!
//! With the weights of [`PairWeights::DataSet`] a uniform random sample of the data set gives an unbiased estimate. Where the samples are in
//! random order every chunk is one. So the mean over the chunks is unbiased too, and its cost is linear in T.

use crate::batch::Batch;
use crate::bounds::Traces;
use crate::count::{largest, product, sum};
use crate::error::{Result, check_finite};
use crate::hessian::blocks::DataSetBlocks;
use crate::hessian::exact::{self, Objective, check_traces, stage_elements, unscaled, work, worker_elements};
use crate::hessian::factors::{self, Factors};
use crate::hessian::forward::{self, Derivatives, Forward};
use crate::hessian::pairs;
use crate::hessian::run::Run;
use crate::hessian::{Curvature, Evaluation, trace};
use crate::kernels::vector::{add_scaled, scale};
use crate::plan::{PairWeights, Plan, Route};
use crate::simd::Element;
use crate::workers;
use crate::workspace::{balanced, pieces};

/// Samples of two chunks side by side.
const fn two_chunks(plan: &Plan) -> usize {
    plan.samples().saturating_mul(2)
}

/// Elements of scratch of each worker.
const fn worker_scratch(plan: &Plan) -> u64 {
    let (shape, n, form) = (plan.shape(), two_chunks(plan), plan.form());
    let of_two = match plan.route() {
        Route::Pairs => {
            let packing = largest(&[
                forward::packing_elements(shape, n),
                factors::packing_elements(shape, n),
                pairs::packing_elements(shape, n, form),
            ]);
            sum(&[pairs::worker_elements(shape, n, form), packing])
        }
        Route::Blocks => 0,
    };
    largest(&[worker_elements(plan), of_two])
}

/// Elements of scratch for [`curvature`].
pub(crate) const fn elements(plan: &Plan) -> u64 {
    let shape = plan.shape();
    let (n, inputs, terms) = match plan.route() {
        Route::Pairs => {
            let n = two_chunks(plan);
            (n, product(&[n, shape.inputs()]), pairs::elements(shape, n, plan.form()))
        }
        Route::Blocks => (plan.samples(), 0, DataSetBlocks::elements(shape, plan.samples())),
    };
    let chunks = sum(&[inputs, forward::elements(shape, n, Derivatives::Third), factors::elements(shape, n), terms]);
    let workers = worker_scratch(plan).saturating_mul(plan.threads() as u64);
    sum(&[workers, largest(&[stage_elements(plan), chunks])])
}

/// See [`crate::data_set_loss`].
pub(crate) fn loss<T: Element>(plan: &Plan, theta: &[T], data: &Batch<'_, T>, scratch: &mut [T]) -> Result<Evaluation> {
    let size = data.samples() as f64;
    let (mut mean, mut right) = (0.0, 0);
    for rows in pieces(0..data.samples(), plan.samples()) {
        let Evaluation { loss, accuracy } = exact::loss(plan, theta, &data.part(&rows)?, scratch)?;
        let samples = rows.len() as f64;
        mean += samples / size * loss;
        // A whole number, but for rounding.
        right += (accuracy * samples + 0.5) as usize;
    }
    Ok(Evaluation { loss: mean, accuracy: right as f64 / size })
}

/// Writes the loss gradient to `gradient`, which may not be finite; `part` is scratch as long. See [`crate::data_set_loss_gradient`].
pub(crate) fn loss_gradient<T: Element>(
    plan: &Plan,
    theta: &[T],
    data: &Batch<'_, T>,
    gradient: &mut [T],
    part: &mut [T],
    scratch: &mut [T],
) -> Result<f64> {
    let size = data.samples() as f64;
    let mut mean = 0.0;
    mean_over_chunks(plan, data, gradient, part, |chunk, gradient| {
        let done = exact::differentiate(plan, theta, chunk, Objective::Loss, gradient, scratch)?;
        mean += chunk.samples() as f64 / size * done.loss;
        Ok(())
    })?;
    Ok(mean)
}

/// Writes H·v to `result`, which may not be finite; `part` is scratch as long. See [`crate::data_set_hessian_vector_product`].
pub(crate) fn hessian_vector_product<T: Element>(
    plan: &Plan,
    theta: &[T],
    data: &Batch<'_, T>,
    vector: &[T],
    result: &mut [T],
    part: &mut [T],
    scratch: &mut [T],
) -> Result<()> {
    mean_over_chunks(plan, data, result, part, |chunk, result| {
        exact::hessian_vector_product(plan, theta, chunk, vector, result, scratch)
    })
}

/// The mean of what `of_chunk` writes for each chunk, weighted by the chunks' sizes.
fn mean_over_chunks<T: Element>(
    plan: &Plan,
    data: &Batch<'_, T>,
    mean: &mut [T],
    part: &mut [T],
    mut of_chunk: impl FnMut(&Batch<'_, T>, &mut [T]) -> Result<()>,
) -> Result<()> {
    let (isa, size) = (plan.instruction_set(), data.samples() as f64);
    for rows in pieces(0..data.samples(), plan.samples()) {
        let (chunk, share) = (data.part(&rows)?, T::from_f64(rows.len() as f64 / size));
        if rows.start == 0 {
            of_chunk(&chunk, mean)?;
            scale(isa, mean, share);
        } else {
            of_chunk(&chunk, part)?;
            add_scaled(isa, mean, share, part);
        }
    }
    Ok(())
}

/// See [`crate::data_set_curvature_estimate`].
pub(crate) fn curvature_estimate<T: Element>(
    plan: &Plan,
    theta: &[T],
    data: &Batch<'_, T>,
    scratch: &mut [T],
) -> Result<Curvature> {
    let samples = data.samples();
    let plan = &plan.with_pair_weights(PairWeights::DataSet { samples });
    let mut traces = Traces::default();
    for rows in balanced(samples, plan.samples()) {
        let found = exact::curvature(plan, theta, &data.part(&rows)?, scratch)?;
        traces.add_part(&found.traces, [rows.len() as f64 / samples as f64; 2]);
    }
    Ok(Curvature::new(traces, plan.shape()))
}

/// See [`crate::data_set_curvature`].
pub(crate) fn curvature<T: Element>(
    plan: &Plan,
    theta: &[T],
    data: &Batch<'_, T>,
    scratch: &mut [T],
) -> Result<Curvature> {
    workers::awake(plan.threads(), work(plan).cost, |threads| {
        let run = Run::of_any_size(plan, theta, data, scratch, worker_scratch(plan) as usize, threads)?;
        let traces = match plan.route() {
            Route::Blocks if data.samples() > plan.samples() => run.by_blocks(plan, data)?,
            Route::Pairs | Route::Blocks => run.by_pairs(plan, data)?,
        };
        check_traces(&traces)?;
        Ok(Curvature::new(traces, plan.shape()))
    })
}

/// What every pair weighs.
fn weight_of_pairs(samples: usize) -> f64 {
    let size = samples as f64;
    1.0 / (size * size)
}

impl<'a, T: Element> Run<'a, T> {
    /// Both traces over pairs of chunks; of a single chunk by the plan's route.
    fn by_pairs(mut self, plan: &Plan, data: &Batch<'_, T>) -> Result<Traces> {
        let (samples, weight) = (data.samples(), weight_of_pairs(data.samples()));
        let mut traces = Traces::default();
        for rows in pieces(0..samples, plan.samples()) {
            let chunk = data.part(&rows)?;
            let share = rows.len() as f64 / samples as f64;
            traces.add_part(&self.scope().within(plan, &chunk, weight)?, [share, 1.0]);
            for columns in pieces(rows.end..samples, plan.samples()) {
                traces.add_part(&self.scope().across(plan, [&chunk, &data.part(&columns)?], weight)?, [1.0; 2]);
            }
        }
        Ok(traces)
    }

    /// Both traces from blocks to which all chunks are added.
    fn by_blocks(mut self, plan: &Plan, data: &Batch<'_, T>) -> Result<Traces> {
        let (samples, shape) = (data.samples(), plan.shape());
        let mut blocks = DataSetBlocks::cut(shape, plan.samples(), &mut self.arena);
        let mut traces = Traces::default();
        for rows in pieces(0..samples, plan.samples()) {
            let chunk = data.part(&rows)?;
            let mut run = self.scope();
            let forward = run.forward(plan, &chunk, Derivatives::Third)?;
            let mut factors = Factors::new(&forward, &mut run.arena, run.context.reborrow());
            let [output, hidden] = trace::trace(&forward, &factors, run.context.reborrow());
            let share = rows.len() as f64 / samples as f64;
            traces.add_part(&Traces { output, hidden, ..Traces::default() }, [share, 0.0]);
            blocks.add(&forward, &mut factors, &mut run.context);
        }
        let (squares, scale) = blocks.squares(self.context.isa, shape, weight_of_pairs(samples));
        traces.add_part(&unscaled(squares, scale), [0.0, 1.0]);
        Ok(traces)
    }

    /// tr H of a chunk, and the part of tr H² of the pairs within it.
    fn within(mut self, plan: &Plan, chunk: &Batch<'a, T>, weight: f64) -> Result<Traces> {
        let forward = self.forward(plan, chunk, Derivatives::Third)?;
        let factors = Factors::new(&forward, &mut self.arena, self.context.reborrow());
        self.traces(plan, (weight, weight), &forward, &factors, None)
    }

    /// The part of tr H² of the pairs of a sample of one chunk with a sample of the other, in both orders.
    fn across(mut self, plan: &Plan, chunks: [&Batch<'_, T>; 2], weight: f64) -> Result<Traces> {
        let (network, theta, at) = (plan.network(), self.theta, chunks[0].samples());
        let forward = Forward::side_by_side(network, theta, chunks, &mut self.arena, self.context.reborrow());
        check_finite(forward.loss, "loss")?;
        let factors = Factors::new(&forward, &mut self.arena, self.context.reborrow());
        let squares = pairs::across(&forward, at, weight, plan.form(), &factors, self.arena, self.context);
        Ok(unscaled(squares, factors.scale))
    }
}
