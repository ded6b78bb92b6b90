//! Derivatives with respect to the factors, to which every term of an objective adds.

use crate::count::{product, sum};
use crate::hessian::contrasts::triangle;
use crate::hessian::factors::cuts::CHUNK;
use crate::kernels::vector::scale;
use crate::network::Shape;
use crate::simd::{Element, InstructionSet};
use crate::workspace::{Arena, rows};

rows! {
    /// Derivatives of an objective with respect to what H is made of.
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
        /// V̂, what depends on V other than through q and z: R×M each, to be added up.
        v: [r.saturating_mul(m); CHUNK],
        /// The derivative with respect to p/scale of what depends on p other than through S and r, K numbers.
        p: [shape.classes()],
    }
}

/// Derivative of an objective with respect to A, of one sample after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HiddenGradient<'a, T> {
    /// Nothing.
    Zero,
    /// Diagonal matrices, M numbers each, for CᵀSC alone: d has its derivative elsewhere.
    Diagonal(&'a [T]),
    /// Flat, like A itself, M₂ numbers each.
    Flat(&'a [T]),
}

/// Elements that [`FactorGradients::zeroed`] takes, and [`Factors::into_adjoints`](super::Factors::into_adjoints) after it.
pub(crate) const fn gradient_elements(shape: Shape, n: usize) -> u64 {
    sum(&[FactorGradients::elements(shape, n), product(&[shape.classes(), shape.hidden()])])
}

impl<'w, T: Element> FactorGradients<'w, T> {
    /// All zero, of `n` samples.
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
