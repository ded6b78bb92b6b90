//! One evaluation: arguments checked, workspace cut, stages run in order.
//!
//! A workspace is `[gradient, P | another vector, P | evaluation]` (see [`Memory`]). Results are computed in it and handed over once they
//! are known to be finite, so that nothing of the caller's changes on an error.

use core::ops::AddAssign;

use crate::batch::{Batch, Targets};
use crate::bounds::{BoundSlopes, Bounds, Traces};
use crate::error::{Error, Result};
use crate::hessian::factors::{self, Factors, Hats};
use crate::hessian::sampled::{Aim, Draw, Estimate, Sampling};
use crate::hessian::samples::{self, Derivatives, Samples};
use crate::hessian::sweep::{self, Adjoints};
use crate::hessian::{Curvature, Evaluation, blocks, dense, pairs, product, trace};
use crate::network::{Parameters, ParametersMut, Shape};
use crate::optimizer::check_not_negative;
use crate::plan::{Plan, Route, largest, sum};
use crate::real::Real;
use crate::simd::InstructionSet;
use crate::vector::first_not_finite;
use crate::workers::{self, Threads, Workers};
use crate::workspace::Arena;

/// tr H² by block, while it is summed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Squares {
    pub output: f64,
    pub cross: f64,
    pub hidden: f64,
}

impl AddAssign for Squares {
    fn add_assign(&mut self, other: Self) {
        self.output += other.output;
        self.cross += other.cross;
        self.hidden += other.hidden;
    }
}

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

/// The values that differentiation came by; those it did not need are zero.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(crate) struct Differentiated {
    pub loss: f64,
    pub traces: Traces,
}

impl Differentiated {
    pub(crate) fn curvature(&self, plan: &Plan) -> Curvature {
        let (trace, square, size) = (self.traces.trace(), self.traces.trace_of_square(), plan.shape().parameters());
        Curvature {
            traces: self.traces,
            bounds: Bounds::new(trace, square, size),
            differentiable: BoundSlopes::new(trace, square, size).differentiable,
        }
    }
}

/// Elements of workspace for loss, loss gradient, and steps along it.
pub(crate) const fn gradient_workspace_elements(shape: Shape, n: usize, threads: usize) -> u64 {
    sum(&[
        2 * shape.parameters() as u64,
        first_order_packing(shape, n).saturating_mul(threads as u64),
        samples::elements(shape, n, Derivatives::First),
        sweep::loss_elements(shape, n),
    ])
}

/// Elements of workspace for everything.
pub(crate) const fn workspace_elements(plan: &Plan) -> u64 {
    let (shape, n, route, form) = (plan.shape(), plan.samples(), plan.route(), plan.form());
    let route_elements = match route {
        Route::Pairs => pairs::elements(shape, n, form),
        Route::Blocks => blocks::elements(shape, n),
    };
    let terms = largest(&[route_elements, trace::elements(shape, n)]);
    let penalty = sum(&[factors::elements(shape, n), factors::hat_elements(shape, n), terms]);
    sum(&[
        2 * shape.parameters() as u64,
        worker_elements(plan).saturating_mul(plan.threads() as u64),
        samples::elements(shape, n, Derivatives::Third),
        largest(&[penalty, product::elements(shape, n), dense::elements(shape, n)]),
    ])
}

/// Elements of packing space for the matrix products of loss and loss gradient.
pub(crate) const fn first_order_packing(shape: Shape, n: usize) -> u64 {
    largest(&[samples::packing_elements(shape, n), sweep::packing_elements(shape, n)])
}

/// Elements of scratch of each worker, for everything.
const fn worker_elements(plan: &Plan) -> u64 {
    let (shape, n) = (plan.shape(), plan.samples());
    let (own, packing) = match plan.route() {
        Route::Pairs => (pairs::worker_elements(shape, n, plan.form()), pairs::packing_elements(shape, n, plan.form())),
        Route::Blocks => (blocks::worker_elements(shape, n), blocks::packing_elements(shape, n)),
    };
    let packing = largest(&[
        first_order_packing(shape, n),
        factors::packing_elements(shape, n),
        packing,
        product::packing_elements(shape, n),
        dense::packing_elements(shape, n),
    ]);
    sum(&[own, packing])
}

/// A workspace, cut: two vectors laid out like θ, and what an evaluation takes.
pub(crate) struct Memory<'w, T> {
    /// Where a gradient is computed, to be checked before it goes anywhere else.
    pub gradient: &'w mut [T],
    /// A second vector: SAM's moved parameters, or HSR's direction.
    pub other: &'w mut [T],
    /// For the evaluation.
    pub scratch: &'w mut [T],
}

impl<'w, T: Real> Memory<'w, T> {
    /// For loss and loss gradient; an error where the workspace is too short.
    pub(crate) fn first_order(plan: &Plan, workspace: &'w mut [T]) -> Result<Self> {
        Self::cut(plan, workspace, plan.gradient_workspace_len())
    }

    /// For everything; an error where the workspace is too short.
    pub(crate) fn second_order(plan: &Plan, workspace: &'w mut [T]) -> Result<Self> {
        Self::cut(plan, workspace, plan.workspace_len())
    }

    /// For a sampled evaluation; an error where the workspace is too short.
    pub(crate) fn sampled(plan: &Plan, sampling: &Sampling, workspace: &'w mut [T]) -> Result<Self> {
        Self::cut(plan, workspace, sampling.workspace_len(plan)?)
    }

    fn cut(plan: &Plan, workspace: &'w mut [T], needed: usize) -> Result<Self> {
        if workspace.len() < needed {
            return Err(Error::Workspace { given: workspace.len(), needed });
        }
        let (gradient, rest) = workspace.split_at_mut(plan.shape().parameters());
        let (other, scratch) = rest.split_at_mut(plan.shape().parameters());
        Ok(Self { gradient, other, scratch })
    }

    /// Differentiates an objective, and hands the gradient over once it is known to be finite.
    pub(crate) fn gradient_to(
        self,
        plan: &Plan,
        theta: &[T],
        batch: &Batch<'_, T>,
        objective: Objective,
        output: &mut [T],
    ) -> Result<Differentiated> {
        check_length(plan.shape(), output, "gradient")?;
        let done = T::differentiate(plan, theta, batch, objective, self.gradient, self.scratch)?;
        hand_over(self.gradient, output, "gradient")?;
        Ok(done)
    }

    /// The same by sampling.
    pub(crate) fn sampled_gradient_to(
        self,
        plan: &Plan,
        theta: &[T],
        batch: &Batch<'_, T>,
        draw: Draw,
        aim: Aim,
        output: &mut [T],
    ) -> Result<(f64, Estimate)> {
        check_length(plan.shape(), output, "gradient")?;
        let done = T::differentiate_sampled(plan, theta, batch, draw, aim, self.gradient, self.scratch)?;
        hand_over(self.gradient, output, "gradient")?;
        Ok(done)
    }
}

/// Copies a result, unless it overflowed.
fn hand_over<T: Real>(from: &[T], to: &mut [T], quantity: &'static str) -> Result<()> {
    if first_not_finite(InstructionSet::current(), from).is_some() {
        return Err(Error::Overflow { quantity });
    }
    to.copy_from_slice(from);
    Ok(())
}

fn check_length<T>(shape: Shape, values: &[T], argument: &'static str) -> Result<()> {
    let (given, expected) = (values.len(), shape.parameters());
    if given == expected { Ok(()) } else { Err(Error::Length { argument, given, expected }) }
}

/// Arguments checked, scratch of the workers cut.
pub(crate) struct Run<'a, T> {
    pub isa: InstructionSet,
    shape: Shape,
    theta: Parameters<'a, T>,
    pub arena: Arena<'a, T>,
    pub workers: Workers<'a, T>,
}

impl<'a, T: Real> Run<'a, T> {
    pub(crate) fn new(
        plan: &Plan,
        theta: &'a [T],
        batch: &Batch<'_, T>,
        scratch: &'a mut [T],
        of_a_worker: u64,
        threads: Threads<'a>,
    ) -> Result<Self> {
        let shape = plan.shape();
        let [inputs, classes] = batch.widths();
        if [inputs, classes] != [shape.inputs(), shape.classes()] {
            let planned = [shape.inputs(), shape.hidden(), shape.classes()];
            return Err(Error::Shape { planned, given: [inputs, classes] });
        }
        if batch.samples() > plan.samples() {
            return Err(Error::Samples { given: batch.samples(), planned: plan.samples() });
        }
        let theta = finite_parameters(shape, theta, "theta")?;
        let mut arena = Arena::new(scratch);
        let workers = Workers::new(threads, arena.take(of_a_worker as usize * plan.threads()));
        Ok(Self { isa: InstructionSet::current(), shape, theta, arena, workers })
    }

    /// Everything that concerns the loss alone.
    fn first_order(
        plan: &Plan,
        theta: &'a [T],
        batch: &Batch<'_, T>,
        scratch: &'a mut [T],
        threads: Threads<'a>,
    ) -> Result<Self> {
        Self::new(plan, theta, batch, scratch, first_order_packing(plan.shape(), plan.samples()), threads)
    }

    /// Everything that concerns the Hessian.
    fn second_order(
        plan: &Plan,
        theta: &'a [T],
        batch: &Batch<'_, T>,
        scratch: &'a mut [T],
        threads: Threads<'a>,
    ) -> Result<Self> {
        Self::new(plan, theta, batch, scratch, worker_elements(plan), threads)
    }

    /// The forward pass; an error where the loss overflows.
    pub(crate) fn forward(
        &mut self,
        plan: &Plan,
        batch: &Batch<'a, T>,
        derivatives: Derivatives,
    ) -> Result<Samples<'a, T>> {
        let (isa, theta, workers) = (self.isa, self.theta, self.workers.reborrow());
        let samples = Samples::forward(isa, plan.network(), theta, batch, derivatives, &mut self.arena, workers);
        finite(samples.loss, "loss")?;
        Ok(samples)
    }

    /// Both traces, and the derivatives of tr H² if there are hats to add them to.
    fn traces(
        &mut self,
        plan: &Plan,
        samples: &Samples<'a, T>,
        factors: &Factors<'a, T>,
        hats: Option<&mut Hats<'a, T>>,
    ) -> Result<Traces> {
        let weights = plan.pair_weights().of(samples.n)?;
        let [output, hidden] = trace::trace(self.isa, samples, factors, self.workers.reborrow());
        let sigma = factors.sigma;
        let (isa, arena, workers) = (self.isa, self.arena.scope(), self.workers.reborrow());
        let squares = match plan.route() {
            Route::Pairs => {
                let (all, form) = (0..samples.n, plan.form());
                pairs::add(isa, samples, all, weights, form, factors, hats.map(Hats::reborrow), arena, workers)
            }
            Route::Blocks => blocks::add(isa, samples, weights, factors, hats, arena, workers),
        };
        let traces = Traces {
            output,
            hidden,
            output_square: sigma * sigma * squares.output,
            cross_square: sigma * sigma * squares.cross,
            hidden_square: sigma * sigma * squares.hidden,
        };
        finite(traces.trace(), "tr H")?;
        finite(traces.trace_of_square(), "tr H²")?;
        Ok(traces)
    }
}

/// See [`crate::loss`].
pub(crate) fn loss<'a, T: Real>(
    plan: &Plan,
    theta: &'a [T],
    batch: &Batch<'a, T>,
    scratch: &'a mut [T],
) -> Result<Evaluation> {
    workers::awake(plan.threads(), plan.flops().gradient, |threads| {
        let mut run = Run::first_order(plan, theta, batch, scratch, threads)?;
        let samples = run.forward(plan, batch, Derivatives::Value)?;
        Ok(Evaluation { loss: samples.loss, accuracy: accuracy(samples.p, batch.targets(), plan.shape().classes()) })
    })
}

/// See [`crate::curvature`].
pub(crate) fn curvature<'a, T: Real>(
    plan: &Plan,
    theta: &'a [T],
    batch: &Batch<'a, T>,
    scratch: &'a mut [T],
) -> Result<Curvature> {
    workers::awake(plan.threads(), plan.cost(), |threads| {
        let mut run = Run::second_order(plan, theta, batch, scratch, threads)?;
        let samples = run.forward(plan, batch, Derivatives::Third)?;
        let factors = Factors::new(run.isa, &samples, &mut run.arena, run.workers.scratch());
        let traces = run.traces(plan, &samples, &factors, None)?;
        Ok(Differentiated { loss: samples.loss, traces }.curvature(plan))
    })
}

/// Writes the gradient of an objective. Nothing is written unless the values are finite; the gradient may not be.
pub(crate) fn differentiate<'a, T: Real>(
    plan: &Plan,
    theta: &'a [T],
    batch: &Batch<'a, T>,
    objective: Objective,
    gradient: &mut [T],
    scratch: &'a mut [T],
) -> Result<Differentiated> {
    let penalty = if objective == Objective::Loss { 0 } else { plan.cost() };
    let cost = plan.flops().gradient.saturating_add(penalty);
    workers::awake(plan.threads(), cost, |threads| {
        let gradient = ParametersMut::new(plan.shape(), gradient)?;
        if objective == Objective::Loss {
            let mut run = Run::first_order(plan, theta, batch, scratch, threads)?;
            let samples = run.forward(plan, batch, Derivatives::First)?;
            let adjoints = Adjoints::of_loss(run.shape, samples.n, &mut run.arena);
            sweep::sweep(run.isa, &samples, 1.0, adjoints, gradient, run.workers);
            return Ok(Differentiated { loss: samples.loss, ..Differentiated::default() });
        }

        let mut run = Run::second_order(plan, theta, batch, scratch, threads)?;
        let samples = run.forward(plan, batch, Derivatives::Third)?;
        let factors = Factors::new(run.isa, &samples, &mut run.arena, run.workers.scratch());
        let mut hats = Hats::zeroed(run.shape, samples.n, &mut run.arena);
        let traces = if objective == Objective::Trace {
            let [output, hidden] = trace::trace(run.isa, &samples, &factors, run.workers.reborrow());
            finite(output + hidden, "tr H")?;
            Traces { output, hidden, ..Traces::default() }
        } else {
            run.traces(plan, &samples, &factors, Some(&mut hats))?
        };

        let slopes = BoundSlopes::new(traces.trace(), traces.trace_of_square(), plan.shape().parameters());
        let [loss_weight, trace_weight, square_weight] = objective.weights(slopes);
        // The hats belong to the divided factors: see `factors`.
        let sigma = factors.sigma;
        let (scale, weight) = (square_weight * sigma * sigma, trace_weight * sigma);
        if trace_weight == 0.0 {
            hats.scale(run.isa, T::from_f64(scale));
        } else {
            let (arena, workers) = (run.arena.scope(), run.workers.reborrow());
            trace::add(run.isa, &samples, [scale, weight], &factors, hats.reborrow(), arena, workers);
        }
        let adjoints = factors.into_adjoints(run.isa, &samples, hats, &mut run.arena, run.workers.reborrow());
        sweep::sweep(run.isa, &samples, loss_weight, adjoints, gradient, run.workers);
        Ok(Differentiated { loss: samples.loss, traces })
    })
}

/// What a ρ asks for.
pub(crate) fn hsr_objective(rho: f64) -> Result<Objective> {
    check_not_negative("rho", rho)?;
    Ok(if rho == 0.0 { Objective::Loss } else { Objective::Hsr { rho } })
}

/// See [`crate::hessian_vector_product`].
pub(crate) fn hessian_vector_product<T: Real>(
    plan: &Plan,
    theta: &[T],
    batch: &Batch<'_, T>,
    vector: &[T],
    product: &mut [T],
    memory: Memory<'_, T>,
) -> Result<()> {
    let direction = finite_parameters(plan.shape(), vector, "vector")?;
    check_length(plan.shape(), product, "product")?;
    let Memory { gradient, scratch, .. } = memory;
    workers::awake(plan.threads(), plan.flops().gradient, |threads| {
        let mut run = Run::second_order(plan, theta, batch, scratch, threads)?;
        let samples = run.forward(plan, batch, Derivatives::Third)?;
        let result = ParametersMut::new(plan.shape(), &mut *gradient)?;
        product::multiply(run.isa, &samples, direction, result, run.arena, run.workers.scratch());
        Ok(())
    })?;
    hand_over(gradient, product, "product")
}

/// See [`crate::dense_hessian`].
pub(crate) fn dense_hessian<'a, T: Real>(
    plan: &Plan,
    theta: &'a [T],
    batch: &Batch<'a, T>,
    hessian: &mut [T],
    scratch: &'a mut [T],
) -> Result<()> {
    let size = plan.shape().parameters();
    let expected = size.checked_mul(size).ok_or(Error::TooLarge { quantity: "hessian" })?;
    if hessian.len() != expected {
        return Err(Error::Length { argument: "hessian", given: hessian.len(), expected });
    }
    let mut run = Run::second_order(plan, theta, batch, scratch, Threads::one())?;
    let samples = run.forward(plan, batch, Derivatives::Third)?;
    dense::write(run.isa, &samples, hessian, run.arena, run.workers.scratch());
    match first_not_finite(run.isa, hessian) {
        Some(_) => Err(Error::Overflow { quantity: "hessian" }),
        None => Ok(()),
    }
}

/// θ or a direction, finite and of the right length.
fn finite_parameters<'a, T: Real>(shape: Shape, values: &'a [T], argument: &'static str) -> Result<Parameters<'a, T>> {
    check_length(shape, values, argument)?;
    let parameters = Parameters::new(shape, values)?;
    match first_not_finite(InstructionSet::current(), values) {
        Some(index) => Err(Error::NotFinite { argument, index }),
        None => Ok(parameters),
    }
}

pub(crate) fn finite(value: f64, quantity: &'static str) -> Result<f64> {
    if value.is_finite() { Ok(value) } else { Err(Error::Overflow { quantity }) }
}

/// The share of rows whose most probable class is the target's.
fn accuracy<T: Real>(p: &[T], targets: Targets<'_, T>, classes: usize) -> f64 {
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

/// The index of the largest entry; the first one, among equals.
pub(crate) fn first_largest<T: Real>(row: &[T]) -> usize {
    let mut best = 0;
    for index in 1..row.len() {
        if row[index] > row[best] {
            best = index;
        }
    }
    best
}
