//! tr H, which is linear in the samples, and the derivatives of its factors.
//!
//! ```text
//! tr H = (1/N) Σ_n [ tr(S) ‖g‖² + ‖a‖² tr(A) ]        tr(A) = Σ_j ( f_j² ω_j + e_j q_j )
//! ```
//!
//! with `ω_j = (VᵀSV)_jj`. The first term is the trace of the output block, the second that of the hidden block. Cost: `O(N (D + K²M))`.

use core::ops::Range;

use crate::hessian::contrasts::triangle;
use crate::hessian::factors::{CHUNK, Factors, Hats, HiddenHat, chunks};
use crate::hessian::samples::Samples;
use crate::real::Real;
use crate::simd::{InstructionSet, Kernel, Lanes, Simd};
use crate::vector::{BLOCK, add_scaled};
use crate::workspace::{row, row_mut};

/// tr H by block: output parameters, hidden parameters.
pub(crate) fn trace<T: Real>(
    isa: InstructionSet,
    samples: &Samples<'_, T>,
    factors: &mut Factors<'_, T>,
    packing: &mut [T],
) -> [f64; 2] {
    let (d, m) = (samples.shape.inputs(), samples.shape.hidden());
    let (mut output, mut hidden) = (0.0, 0.0);
    for chunk in chunks(0..samples.n) {
        factors.load(isa, &chunk, packing);
        let (of_g, of_a) = (squared_norms(isa, samples.h, m, &chunk), squared_norms(isa, samples.x, d, &chunk));
        for (i, n) in chunk.enumerate() {
            output += factors.trace_of_s(n).to_f64() * of_g[i];
            hidden += factors.trace_of_a(isa, samples, i, n).to_f64() * of_a[i];
        }
    }
    let mean = factors.sigma / samples.n as f64;
    [output * mean, hidden * mean]
}

/// Adds the derivatives of `weight · (tr H)'`, that of the divided factors, to the hats.
pub(crate) fn add<T: Real>(
    isa: InstructionSet,
    samples: &Samples<'_, T>,
    weight: f64,
    factors: &mut Factors<'_, T>,
    hats: &mut Hats<'_, T>,
    packing: &mut [T],
) {
    let (d, m, r) = (samples.shape.inputs(), samples.shape.hidden(), samples.shape.classes() - 1);
    let weight = weight / samples.n as f64;
    for chunk in chunks(0..samples.n) {
        let (of_g, of_a) = (squared_norms(isa, samples.h, m, &chunk), squared_norms(isa, samples.x, d, &chunk));
        let multiples = of_a.map(|norm| T::from_f64(weight * norm));
        for (n, norm) in chunk.clone().zip(of_g) {
            let on_diagonal = T::from_f64(weight * norm);
            let mut rest = row_mut(hats.s, triangle(r), n);
            for k in 0..r {
                rest[0] += on_diagonal;
                rest = &mut rest[r - k..];
            }
            let of_h = T::from_f64(2.0 * weight * factors.trace_of_s(n).to_f64());
            add_scaled(isa, row_mut(hats.g, m, n), of_h, row(samples.h, m, n));
        }
        factors.load(isa, &chunk, packing);
        factors.back(isa, samples, &chunk, None, HiddenHat::Multiples(&multiples), hats, packing);
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
        let lanes = <T::Lanes<S> as Lanes>::LANES;
        let mut norms = [0.0; CHUNK];
        for (norm, row) in norms.iter_mut().zip(self.rows.chunks_exact(self.width)) {
            *norm = 1.0;
            for block in row.chunks(BLOCK) {
                let mut sum = T::Lanes::<S>::zero(simd);
                for start in (0..block.len()).step_by(lanes) {
                    let x = T::Lanes::<S>::load_first(simd, &block[start..], lanes.min(block.len() - start));
                    sum = x.mul_add(x, sum);
                }
                *norm += sum.reduce_sum().to_f64();
            }
        }
        norms
    }
}
