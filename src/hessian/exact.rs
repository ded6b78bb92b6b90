//! The exact quantities: which stages each runs, in order.
//!
//! An error leaves everything of the caller's as it was: values are checked before anything is written, and gradients are written to the
//! workspace. Whether a gradient is finite is checked by the functions that copy it to the caller.

use crate::batch::Batch;
use crate::bounds::{BoundSlopes, Squares, Traces};
use crate::count::{Work, largest, sum};
use crate::error::{Error, Result, check_finite, check_length};
use crate::hessian::factors::{self, FactorGradients, Factors};
use crate::hessian::forward::{self, Derivatives, Forward};
use crate::hessian::run::{Run, finite_parameters, gradient_packing};
use crate::hessian::sweep::{self, Adjoints};
use crate::hessian::{Curvature, Evaluation, blocks, dense, pairs, product as hessian_product, trace};
use crate::kernels::vector::{first_largest, first_not_finite};
use crate::network::ParametersMut;
use crate::plan::{Form, PairWeights, Plan, Route};
use crate::simd::Element;
use crate::targets::Targets;
use crate::workers::{self, Threads};

/// What to differentiate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Objective {
    /// L
    Loss,
    /// tr H
    Trace,
    /// tr H²
    TraceOfSquare,
    /// Λ
    Bound,
    /// L + ρΛ
    Hsr { rho: f64 },
}

impl Objective {
    /// Weights of L, tr H and tr H², given Λ's slopes.
    fn weights(self, slopes: BoundSlopes) -> [f64; 3] {
        match self {
            Self::Loss => [1.0, 0.0, 0.0],
            Self::Trace => [0.0, 1.0, 0.0],
            Self::TraceOfSquare => [0.0, 0.0, 1.0],
            Self::Bound => [0.0, slopes.trace, slopes.square],
            Self::Hsr { rho } => [1.0, rho * slopes.trace, rho * slopes.square],
        }
    }
}

/// The values that were computed beside the gradient; those that were not needed are zero.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(crate) struct Differentiated {
    pub loss: f64,
    pub traces: Traces,
}

impl Differentiated {
    pub(crate) fn curvature(&self, plan: &Plan) -> Curvature {
        Curvature::new(self.traces, plan.shape())
    }
}

/// Flops and cost of the penalty on a full batch: both traces and their part of the backward sweep.
pub(crate) const fn work(plan: &Plan) -> Work {
    let (shape, n) = (plan.shape(), plan.samples());
    match plan.route() {
        Route::Pairs => pairs::work(shape, n, plan.form()),
        Route::Blocks => {
            let blocks = blocks::work(shape, n);
            match plan.pair_weights() {
                PairWeights::Batch => blocks,
                // Blocks weigh all pairs alike; the other weight of self pairs is corrected sample by sample.
                PairWeights::DataSet { .. } => Work::sum(&[blocks, pairs::work(shape, 1, Form::Flat).times(n)]),
            }
        }
    }
}

/// Cost of the loss gradient on a full batch.
fn gradient_cost(plan: &Plan) -> u64 {
    sweep::flops(plan.shape(), plan.samples())
}

/// Elements of scratch for loss and loss gradient.
pub(crate) const fn gradient_elements(plan: &Plan) -> u64 {
    let (shape, n) = (plan.shape(), plan.samples());
    sum(&[
        gradient_packing(plan).saturating_mul(plan.threads() as u64),
        forward::elements(shape, n, Derivatives::First),
        Adjoints::elements(shape, n),
    ])
}

/// Elements of scratch for everything.
pub(crate) const fn elements(plan: &Plan) -> u64 {
    sum(&[worker_elements(plan).saturating_mul(plan.threads() as u64), stage_elements(plan)])
}

/// The same, without the workers' own.
pub(crate) const fn stage_elements(plan: &Plan) -> u64 {
    let (shape, n, route, form) = (plan.shape(), plan.samples(), plan.route(), plan.form());
    let route_elements = match route {
        Route::Pairs => pairs::elements(shape, n, form),
        Route::Blocks => blocks::elements(shape, n),
    };
    let terms = largest(&[route_elements, trace::elements(shape, n)]);
    let penalty = sum(&[factors::elements(shape, n), factors::gradient_elements(shape, n), terms]);
    sum(&[
        forward::elements(shape, n, Derivatives::Third),
        largest(&[penalty, hessian_product::elements(shape, n), dense::elements(shape, n)]),
    ])
}

/// Elements of scratch of each worker, for everything.
pub(crate) const fn worker_elements(plan: &Plan) -> u64 {
    let (shape, n) = (plan.shape(), plan.samples());
    let (own, packing) = match plan.route() {
        Route::Pairs => (pairs::worker_elements(shape, n, plan.form()), pairs::packing_elements(shape, n, plan.form())),
        Route::Blocks => (blocks::worker_elements(shape, n), blocks::packing_elements(shape, n)),
    };
    let packing = largest(&[
        gradient_packing(plan),
        factors::packing_elements(shape, n),
        packing,
        hessian_product::packing_elements(shape, n),
        dense::packing_elements(shape, n),
    ]);
    sum(&[own, packing])
}

impl<'a, T: Element> Run<'a, T> {
    /// A run for the loss and its gradient.
    fn first_order(
        plan: &Plan,
        theta: &'a [T],
        batch: &Batch<'_, T>,
        scratch: &'a mut [T],
        threads: Threads<'a>,
    ) -> Result<Self> {
        Self::new(plan, theta, batch, scratch, plan.lengths.gradient_worker, threads)
    }

    /// A run for the quantities of the Hessian.
    fn second_order(
        plan: &Plan,
        theta: &'a [T],
        batch: &Batch<'_, T>,
        scratch: &'a mut [T],
        threads: Threads<'a>,
    ) -> Result<Self> {
        Self::new(plan, theta, batch, scratch, plan.lengths.worker, threads)
    }

    /// Computes both traces, given the weights of pairs in tr H². Adds the derivatives of tr H² to the gradients, if any are given.
    pub(crate) fn traces(
        &mut self,
        plan: &Plan,
        weights: (f64, f64),
        forward: &Forward<'a, T>,
        factors: &Factors<'a, T>,
        gradients: Option<&mut FactorGradients<'a, T>>,
    ) -> Result<Traces> {
        let [output, hidden] = trace::trace(forward, factors, self.context.reborrow());
        let (arena, context) = (self.arena.scope(), self.context.reborrow());
        let squares = match plan.route() {
            Route::Pairs => {
                let (all, gradients) = (0..forward.n, gradients.map(FactorGradients::reborrow));
                pairs::within(forward, all, weights, plan.form(), factors, gradients, arena, context)
            }
            Route::Blocks => blocks::add(forward, weights, factors, gradients, arena, context),
        };
        let traces = Traces { output, hidden, ..unscaled(squares, factors.scale) };
        check_traces(&traces)?;
        Ok(traces)
    }
}

/// tr H² by block, given that of factors that were divided by `scale`.
pub(crate) fn unscaled(squares: Squares, scale: f64) -> Traces {
    let square_of_scale = scale * scale;
    Traces {
        output_square: square_of_scale * squares.output,
        cross_square: square_of_scale * squares.cross,
        hidden_square: square_of_scale * squares.hidden,
        ..Traces::default()
    }
}

/// An error where a trace overflows.
pub(crate) fn check_traces(traces: &Traces) -> Result<()> {
    check_finite(traces.trace(), "tr H")?;
    check_finite(traces.trace_of_square(), "tr H²")?;
    Ok(())
}

/// See [`crate::loss`].
pub(crate) fn loss<T: Element>(
    plan: &Plan,
    theta: &[T],
    batch: &Batch<'_, T>,
    scratch: &mut [T],
) -> Result<Evaluation> {
    workers::awake(plan.threads(), gradient_cost(plan), |threads| {
        let mut run = Run::first_order(plan, theta, batch, scratch, threads)?;
        let forward = run.forward(plan, batch, Derivatives::Value)?;
        Ok(Evaluation { loss: forward.loss, accuracy: accuracy(forward.p, batch.targets(), plan.shape().classes()) })
    })
}

/// See [`crate::curvature`].
pub(crate) fn curvature<T: Element>(
    plan: &Plan,
    theta: &[T],
    batch: &Batch<'_, T>,
    scratch: &mut [T],
) -> Result<Curvature> {
    workers::awake(plan.threads(), work(plan).cost, |threads| {
        let mut run = Run::second_order(plan, theta, batch, scratch, threads)?;
        let forward = run.forward(plan, batch, Derivatives::Third)?;
        let factors = Factors::new(&forward, &mut run.arena, run.context.reborrow());
        let weights = plan.pair_weights().of(forward.n)?;
        let traces = run.traces(plan, weights, &forward, &factors, None)?;
        Ok(Differentiated { loss: forward.loss, traces }.curvature(plan))
    })
}

/// Writes the gradient of an objective. Writes nothing unless the values are finite; the gradient itself may not be finite.
pub(crate) fn differentiate<T: Element>(
    plan: &Plan,
    theta: &[T],
    batch: &Batch<'_, T>,
    objective: Objective,
    gradient: &mut [T],
    scratch: &mut [T],
) -> Result<Differentiated> {
    let shape = plan.shape();
    let penalty = if objective == Objective::Loss { 0 } else { work(plan).cost };
    workers::awake(plan.threads(), sum(&[gradient_cost(plan), penalty]), |threads| {
        let gradient = ParametersMut::new(shape, gradient)?;
        if objective == Objective::Loss {
            let mut run = Run::first_order(plan, theta, batch, scratch, threads)?;
            let forward = run.forward(plan, batch, Derivatives::First)?;
            let adjoints = Adjoints::of_loss(shape, forward.n, &mut run.arena);
            sweep::sweep(&forward, 1.0, adjoints, gradient, run.context);
            return Ok(Differentiated { loss: forward.loss, ..Differentiated::default() });
        }

        let mut run = Run::second_order(plan, theta, batch, scratch, threads)?;
        let forward = run.forward(plan, batch, Derivatives::Third)?;
        let factors = Factors::new(&forward, &mut run.arena, run.context.reborrow());
        let mut gradients = FactorGradients::zeroed(shape, forward.n, &mut run.arena);
        let traces = if objective == Objective::Trace {
            let [output, hidden] = trace::trace(&forward, &factors, run.context.reborrow());
            check_finite(output + hidden, "tr H")?;
            Traces { output, hidden, ..Traces::default() }
        } else {
            let weights = plan.pair_weights().of(forward.n)?;
            run.traces(plan, weights, &forward, &factors, Some(&mut gradients))?
        };

        let slopes = BoundSlopes::new(traces.trace(), traces.trace_of_square(), shape.parameters());
        let [loss_weight, trace_weight, square_weight] = objective.weights(slopes);
        // The derivatives are those of the scaled factors: see `factors`.
        let (factor, weight) = (square_weight * factors.scale * factors.scale, trace_weight * factors.scale);
        if trace_weight == 0.0 {
            gradients.scale(run.context.isa, T::from_f64(factor));
        } else {
            let (arena, context) = (run.arena.scope(), run.context.reborrow());
            trace::add(&forward, [factor, weight], &factors, gradients.reborrow(), arena, context);
        }
        let adjoints = factors.into_adjoints(&forward, gradients, &mut run.arena, run.context.reborrow());
        sweep::sweep(&forward, loss_weight, adjoints, gradient, run.context);
        Ok(Differentiated { loss: forward.loss, traces })
    })
}

/// Writes H·v to `result`, which may not be finite. See [`crate::hessian_vector_product`].
pub(crate) fn hessian_vector_product<T: Element>(
    plan: &Plan,
    theta: &[T],
    batch: &Batch<'_, T>,
    vector: &[T],
    result: &mut [T],
    scratch: &mut [T],
) -> Result<()> {
    let direction = finite_parameters(plan.instruction_set(), plan.shape(), vector, "vector")?;
    workers::awake(plan.threads(), gradient_cost(plan), |threads| {
        let mut run = Run::second_order(plan, theta, batch, scratch, threads)?;
        let forward = run.forward(plan, batch, Derivatives::Third)?;
        let result = ParametersMut::new(plan.shape(), result)?;
        hessian_product::multiply(&forward, direction, result, run.arena, run.context);
        Ok(())
    })
}

/// See [`crate::dense_hessian`].
pub(crate) fn dense_hessian<T: Element>(
    plan: &Plan,
    theta: &[T],
    batch: &Batch<'_, T>,
    hessian: &mut [T],
    scratch: &mut [T],
) -> Result<()> {
    let size = plan.shape().parameters();
    let expected = size.checked_mul(size).ok_or(Error::TooLarge { quantity: "hessian" })?;
    check_length("hessian", hessian, expected)?;
    let mut run = Run::second_order(plan, theta, batch, scratch, Threads::one())?;
    let forward = run.forward(plan, batch, Derivatives::Third)?;
    let isa = run.context.isa;
    dense::write(&forward, hessian, run.arena, run.context);
    match first_not_finite(isa, hessian) {
        Some(_) => Err(Error::Overflow { quantity: "hessian" }),
        None => Ok(()),
    }
}

/// The share of rows whose most probable class is the target's.
fn accuracy<T: Element>(p: &[T], targets: Targets<'_, T>, classes: usize) -> f64 {
    let (mut right, mut samples) = (0usize, 0usize);
    for p in p.chunks_exact(classes) {
        let target = match targets {
            Targets::Classes(all) => all[samples] as usize,
            Targets::Distributions(all) => first_largest(&all[samples * classes..][..classes]),
        };
        right += usize::from(first_largest(p) == target);
        samples += 1;
    }
    right as f64 / samples as f64
}
