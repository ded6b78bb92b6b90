//! tr H, which is linear in the samples, and the derivatives of its factors.
//!
//! ```text
//! tr H = (1/N) Σ_n [ tr(S) ‖g‖² + ‖a‖² tr(A) ]        tr(A) = Σ_j ( f_j² ω_j + e_j q_j )
//! ```
//!
//! with `ω_j = (VᵀSV)_jj`. The first term is the trace of the output block, the second that of the hidden block. Cost: `O(N (D + K²M))`.

use crate::hessian::contrasts::triangle;
use crate::hessian::factors::{CHUNK, Factors, Hats, HiddenHat, chunks};
use crate::hessian::samples::Samples;
use crate::real::Real;
use crate::simd::InstructionSet;
use crate::vector::{add_scaled, dot};
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
        for (i, n) in chunk.enumerate() {
            let (x, h) = (row(samples.x, d, n), row(samples.h, m, n));
            output += factors.trace_of_s(n).to_f64() * (dot(isa, h, h) + 1.0);
            hidden += factors.trace_of_a(isa, samples, i, n) * (dot(isa, x, x) + 1.0);
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
        let mut multiples = [T::ZERO; CHUNK];
        for (n, multiple) in chunk.clone().zip(&mut multiples) {
            let (x, h) = (row(samples.x, d, n), row(samples.h, m, n));
            let on_diagonal = T::from_f64(weight * (dot(isa, h, h) + 1.0));
            let mut rest = row_mut(hats.s, triangle(r), n);
            for k in 0..r {
                rest[0] += on_diagonal;
                rest = &mut rest[r - k..];
            }
            let of_h = T::from_f64(2.0 * weight * factors.trace_of_s(n).to_f64());
            add_scaled(isa, row_mut(hats.g, m, n), of_h, h);
            *multiple = T::from_f64(weight * (dot(isa, x, x) + 1.0));
        }
        factors.load(isa, &chunk, packing);
        factors.back(isa, samples, &chunk, None, HiddenHat::Multiples(&multiples), hats, packing);
    }
}
