//! Derivatives with respect to the factors. Every term of an objective adds to them.

use crate::count::{product, sum};
use crate::hessian::contrasts::triangle;
use crate::hessian::factors::cuts::CHUNK;
use crate::kernels::vector::scale;
use crate::network::Shape;
use crate::simd::{Element, InstructionSet};
use crate::workspace::{Arena, rows};

rows! {
    /// Derivatives of an objective with respect to the factors of H.
    pub(crate) struct FactorGradients(shape: Shape) where {
        let (m, r) = (shape.hidden(), shape.classes() - 1);
    } {
        /// Ŝ flat, R₂ numbers.
        s: [triangle(r)],
        /// r̂, R numbers.
        r: [r],
        /// d̂, M numbers.
        d: [m],
        /// f̂, M numbers.
        f: [m],
        /// ĝ without its last entry, M numbers.
        g: [m],
        /// V̂, R×M for each chunk: the derivative with respect to V, except through q and z. The chunks are added up at the end.
        v: [r.saturating_mul(m); CHUNK],
        /// The derivative with respect to p̄ = p/scale, except through S and r, K numbers.
        p: [shape.classes()],
    }
}

/// Derivative of an objective with respect to A, for one sample after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HiddenGradient<'a, T> {
    /// Nothing.
    Zero,
    /// Diagonal matrices, M numbers each, which act on CᵀSC only: the derivative with respect to d is kept elsewhere.
    Diagonal(&'a [T]),
    /// Flat, like A itself, M₂ numbers each.
    Flat(&'a [T]),
}

/// Elements that [`FactorGradients::zeroed`] and [`Factors::into_adjoints`](super::Factors::into_adjoints) take.
pub(crate) const fn gradient_elements(shape: Shape, n: usize) -> u64 {
    sum(&[FactorGradients::elements(shape, n), product(&[shape.classes(), shape.hidden()])])
}

impl<'w, T: Element> FactorGradients<'w, T> {
    /// Gradients of `n` samples, all zero.
    pub(crate) fn zeroed(shape: Shape, n: usize, arena: &mut Arena<'w, T>) -> Self {
        let mut new = Self::cut(shape, &(0..n), arena);
        new.for_each(|all| all.fill(T::ZERO));
        new
    }

    /// Multiplies everything by a number.
    pub(crate) fn scale(&mut self, isa: InstructionSet, factor: T) {
        self.for_each(|all| scale(isa, all, factor));
    }
}
