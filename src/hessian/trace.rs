//! tr H, which is linear in the samples, and the derivatives of its factors.
//!
//! ```text
//! tr H = (1/N) Σ_n [ tr(S) ‖g‖² + ‖a‖² tr(A) ]        tr(A) = Σ_j ( f_j² ω_j + e_j q_j )
//! ```
//!
//! with `ω_j = (VᵀSV)_jj`. The first term is the trace of the output block, the second that of the hidden block. Cost: `O(N (D + K²M))`.

use core::ops::Range;

use crate::hessian::factors::{self, CHUNK, Factors, Hats, HiddenHat, Loaded, chunks, middle};
use crate::hessian::samples::Samples;
use crate::real::Real;
use crate::simd::{InstructionSet, Kernel, Lanes, Simd};
use crate::vector::{BLOCK, add_scaled, sum_registers};
use crate::workers::Workers;
use crate::workspace::{Arena, row};

/// What all chunks of samples read.
struct Sum<'a, 'w, T> {
    isa: InstructionSet,
    samples: &'a Samples<'w, T>,
    factors: &'a Factors<'w, T>,
}

/// tr H by block: output parameters, hidden parameters.
pub(crate) fn trace<T: Real>(
    isa: InstructionSet,
    samples: &Samples<'_, T>,
    factors: &Factors<'_, T>,
    workers: Workers<'_, T>,
) -> [f64; 2] {
    let sum = Sum { isa, samples, factors };
    sum.value(0..samples.n, workers).map(|total| total * (factors.sigma / samples.n as f64))
}

/// Multiplies the hats by `scale`, and adds the derivatives of `weight · (tr H)'`, that of the divided factors.
pub(crate) fn add<T: Real>(
    isa: InstructionSet,
    samples: &Samples<'_, T>,
    [scale, weight]: [f64; 2],
    factors: &Factors<'_, T>,
    hats: Hats<'_, T>,
    workers: Workers<'_, T>,
) {
    let sum = Sum { isa, samples, factors };
    sum.back([scale, weight / samples.n as f64], 0..samples.n, hats, workers);
}

impl<T: Real> Sum<'_, '_, T> {
    /// Of some samples. Chunks are halves of halves of the batch, which workers may split: sums are added up in that order.
    fn value(&self, range: Range<usize>, workers: Workers<'_, T>) -> [f64; 2] {
        let mut workers = workers.for_cost(|| factors::work(self.samples.shape).times(range.len()).cost);
        if let Some(middle) = middle(&range, CHUNK) {
            let ([output, hidden], [other_output, other_hidden]) = workers.join(
                |workers| self.value(range.start..middle, workers),
                |workers| self.value(middle..range.end, workers),
            );
            return [output + other_output, hidden + other_hidden];
        }
        let Self { isa, samples, factors } = *self;
        let (d, m) = (samples.shape.inputs(), samples.shape.hidden());
        let mut loaded = Loaded::new(samples.shape, samples.n, Arena::new(workers.scratch()));
        loaded.load(isa, factors, &range);
        let (of_g, of_a) = (squared_norms(isa, samples.h, m, &range), squared_norms(isa, samples.x, d, &range));
        let (mut output, mut hidden) = (0.0, 0.0);
        for (i, n) in range.enumerate() {
            output += factors.trace_of_s(n).to_f64() * of_g[i];
            hidden += loaded.trace_of_a(isa, samples, factors, i, n).to_f64() * of_a[i];
        }
        [output, hidden]
    }

    /// Of some samples, which workers split.
    fn back(&self, weights: [f64; 2], range: Range<usize>, mut hats: Hats<'_, T>, mut workers: Workers<'_, T>) {
        let Self { isa, samples, factors } = *self;
        if let Some(at) = workers.cut(range.len(), || factors::work(samples.shape).times(range.len()).cost) {
            let middle = range.start + at;
            let (before, after) = hats.split_at(middle);
            workers.join(
                |workers| self.back(weights, range.start..middle, before, workers),
                |workers| self.back(weights, middle..range.end, after, workers),
            );
            return;
        }
        let (d, m, r) = (samples.shape.inputs(), samples.shape.hidden(), samples.shape.classes() - 1);
        let [scale, weight] = weights;
        hats.scale(isa, T::from_f64(scale));
        let mut loaded = Loaded::new(samples.shape, samples.n, Arena::new(workers.scratch()));
        for chunk in chunks(range) {
            let (of_g, of_a) = (squared_norms(isa, samples.h, m, &chunk), squared_norms(isa, samples.x, d, &chunk));
            let multiples = of_a.map(|norm| T::from_f64(weight * norm));
            for (n, norm) in chunk.clone().zip(of_g) {
                let on_diagonal = T::from_f64(weight * norm);
                let mut rest = hats.s.row_mut(n);
                for k in 0..r {
                    rest[0] += on_diagonal;
                    rest = &mut rest[r - k..];
                }
                let of_h = T::from_f64(2.0 * weight * factors.trace_of_s(n).to_f64());
                add_scaled(isa, hats.g.row_mut(n), of_h, row(samples.h, m, n));
            }
            loaded.load(isa, factors, &chunk);
            loaded.back(isa, samples, factors, &chunk, None, HiddenHat::Multiples(&multiples), &mut hats);
        }
    }
}

/// ‖\[row; 1\]‖² of each sample of a chunk.
fn squared_norms<T: Real>(isa: InstructionSet, rows: &[T], width: usize, chunk: &Range<usize>) -> [f64; CHUNK] {
    isa.run(SquaredNorms { rows: &rows[chunk.start * width..chunk.end * width], width })
}

struct SquaredNorms<'a, T> {
    rows: &'a [T],
    width: usize,
}

impl<T: Real> Kernel for SquaredNorms<'_, T> {
    type Output = [f64; CHUNK];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [f64; CHUNK] {
        let mut norms = [0.0; CHUNK];
        for (norm, row) in norms.iter_mut().zip(self.rows.chunks_exact(self.width)) {
            *norm = 1.0;
            for block in row.chunks(BLOCK) {
                *norm += sum_registers!(T, S, simd, [x] = [block] => x * x).reduce_sum().to_f64();
            }
        }
        norms
    }
}
