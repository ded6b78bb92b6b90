//! Derivatives with respect to the factors, collected by every term of an objective.

use crate::hessian::contrasts::triangle;
use crate::hessian::factors::CHUNK;
use crate::network::Shape;
use crate::plan::{product, sum};
use crate::real::Real;
use crate::simd::InstructionSet;
use crate::vector::scale;
use crate::workspace::{Arena, PerSample};

/// Derivatives of an objective with respect to what H is made of, one row a sample.
#[derive(Debug)]
pub(crate) struct Hats<'w, T> {
    /// Ŝ flat, N×R₂.
    pub s: PerSample<'w, T>,
    /// r̂, N×R.
    pub r: PerSample<'w, T>,
    /// d̂, N×M.
    pub d: PerSample<'w, T>,
    /// f̂, N×M.
    pub f: PerSample<'w, T>,
    /// ĝ without its last entry, N×M.
    pub g: PerSample<'w, T>,
    /// V̂, what depends on V other than through q and z: R×M each, to be added up, a matrix for every [`CHUNK`] of samples.
    pub v: PerSample<'w, T>,
    /// The derivative with respect to p/σ, N×K, of what depends on p other than through S and r.
    pub p: PerSample<'w, T>,
}

/// Derivative of an objective with respect to A, of one sample after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HiddenHat<'a, T> {
    /// Nothing.
    Zero,
    /// Diagonal matrices, M numbers each, for CᵀSC alone: d has its derivative elsewhere.
    Omega(&'a [T]),
    /// Flat, like A itself, M₂ numbers each.
    Flat(&'a [T]),
}

/// Elements that [`Hats::zeroed`] takes, and [`Factors::into_adjoints`](super::Factors::into_adjoints) after it.
pub(crate) const fn hat_elements(shape: Shape, n: usize) -> u64 {
    let (m, k) = (shape.hidden(), shape.classes());
    let r = k - 1;
    let v_hats = product(&[n.div_ceil(CHUNK), r, m]);
    let hats = sum(&[product(&[n, triangle(r)]), product(&[n, r]), product(&[3, n, m]), v_hats]);
    sum(&[hats, product(&[n, k]), product(&[k, m])])
}

impl<'w, T: Real> Hats<'w, T> {
    /// All zero.
    pub(crate) fn zeroed(shape: Shape, n: usize, arena: &mut Arena<'w, T>) -> Self {
        let (m, r) = (shape.hidden(), shape.classes() - 1);
        let mut zeroed = |rows: usize, width: usize| {
            let piece = arena.take(rows * width);
            piece.fill(T::ZERO);
            PerSample::new(piece, width, 0)
        };
        Self {
            s: zeroed(n, triangle(r)),
            r: zeroed(n, r),
            d: zeroed(n, m),
            f: zeroed(n, m),
            g: zeroed(n, m),
            v: zeroed(n.div_ceil(CHUNK), r * m),
            p: zeroed(n, shape.classes()),
        }
    }

    /// Those of the samples before `at`, the first of a [`CHUNK`], and of the others.
    pub(crate) fn split_at(self, at: usize) -> (Self, Self) {
        let Self { s, r, d, f, g, v, p } = self;
        let (v, other_v) = v.split_at(at / CHUNK);
        let [(s, other_s), (r, other_r), (d, other_d), (f, other_f), (g, other_g), (p, other_p)] =
            [s, r, d, f, g, p].map(|rows| rows.split_at(at));
        let others = Self { s: other_s, r: other_r, d: other_d, f: other_f, g: other_g, v: other_v, p: other_p };
        (Self { s, r, d, f, g, v, p }, others)
    }

    /// The same, borrowed for a shorter time.
    pub(crate) fn reborrow(&mut self) -> Hats<'_, T> {
        Hats {
            s: self.s.reborrow(),
            r: self.r.reborrow(),
            d: self.d.reborrow(),
            f: self.f.reborrow(),
            g: self.g.reborrow(),
            v: self.v.reborrow(),
            p: self.p.reborrow(),
        }
    }

    /// Multiplies everything by a number.
    pub(crate) fn scale(&mut self, isa: InstructionSet, factor: T) {
        for piece in [&mut self.s, &mut self.r, &mut self.d, &mut self.f, &mut self.g, &mut self.v, &mut self.p] {
            scale(isa, piece.all_mut(), factor);
        }
    }
}
