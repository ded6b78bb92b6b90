//! What the pairs of kept samples are made of.
//!
//! n kept samples with L vectors z each (see [`sketch`](super::sketch)), in columns `ln + i`; of single random vectors there is a second,
//! independent one, z̃. Class-long quantities are class-major, side by side: `[z | z̃ | r]`, K rows of `W = nL + ñ + n` columns. Unit-long
//! ones are sample-major.
//!
//! ```text
//! [v; ṽ; q] = [z | z̃ | r]ᵀ V        ζ = f∘v        π = ζ∘h        d = e∘q        μ = Σ_l ζ² + d/2
//! ```

use crate::activation::Activation;
use crate::elementwise;
use crate::gemm::{self, Matrix, MatrixMut, gemm};
use crate::hessian::sampled::sketch::{self, Roots, Signs, get, put, registers};
use crate::hessian::samples::Samples;
use crate::network::Shape;
use crate::plan::{product, sum};
use crate::random::Random;
use crate::real::Real;
use crate::simd::{InstructionSet, Kernel, Lanes, Simd};
use crate::workspace::{Arena, row, row_mut};

/// Sizes of everything about the kept samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Number of samples.
    pub n: usize,
    /// Vectors a sample.
    pub l: usize,
    /// Whether there is a second, independent vector.
    pub second: bool,
    pub shape: Shape,
}

impl Sizes {
    /// Of `n` samples. With two classes one vector is all there is: nothing is random but its sign, which does not matter.
    pub(super) const fn new(shape: Shape, n: usize, sketch: bool) -> Self {
        let others = shape.classes() - 1;
        Self { n, l: if sketch { 1 } else { others }, second: sketch && others > 1, shape }
    }

    /// Number of vectors z.
    pub(super) const fn vectors(self) -> usize {
        self.n.saturating_mul(self.l)
    }

    /// Columns of `[z | z̃]`.
    pub(super) const fn sketches(self) -> usize {
        if self.second { self.vectors().saturating_add(self.n) } else { self.vectors() }
    }

    /// Columns of `[z | z̃ | r]`.
    pub(super) const fn width(self) -> usize {
        self.sketches().saturating_add(self.n)
    }

    /// Rows of `[π; f]`.
    pub(super) const fn paired(self) -> usize {
        self.vectors().saturating_add(self.n)
    }

    /// Flops of features and their way back, but for what each unit has of its own.
    pub(super) const fn feature_flops(self) -> u64 {
        product(&[6, self.width(), self.shape.classes(), self.shape.hidden()])
    }

    /// Elements that [`Features::new`] takes.
    pub(super) const fn feature_elements(self) -> u64 {
        let (d, m, k) = (self.shape.inputs(), self.shape.hidden(), self.shape.classes());
        sum(&[
            product(&[self.n, d]),
            product(&[self.width(), m]),
            product(&[5, self.n, m]),
            product(&[self.sketches(), m]),
            product(&[self.paired(), m]),
            product(&[self.width(), k]),
            sketch::elements(self.sketches(), k),
        ])
    }

    /// Elements of packing space that the product needs.
    pub(super) const fn feature_packing(self) -> u64 {
        gemm::largest_workspace(&[[self.width(), self.shape.classes(), self.shape.hidden()]])
    }
}

/// Quantities of the kept samples.
#[derive(Debug)]
pub(super) struct Features<'w, T> {
    pub sizes: Sizes,
    /// Inputs, n×D.
    pub x: &'w mut [T],
    /// [z | z̃ | r], K×W.
    pub zr: &'w mut [T],
    /// [v; ṽ; q], W×M; on the way back their hats.
    pub vq: &'w mut [T],
    /// h, n×M, as are the next two.
    pub h: &'w mut [T],
    pub e: &'w mut [T],
    pub t: &'w mut [T],
    /// [ζ; ζ̃], (nL + ñ)×M.
    pub zeta: &'w mut [T],
    /// [π; f], (nL + n)×M.
    pub pi_f: &'w mut [T],
    /// d, n×M.
    pub d: &'w mut [T],
    /// μ, n×M.
    pub mu: &'w mut [T],
    pub roots: Roots<'w, T>,
}

impl<'w, T: Real> Features<'w, T> {
    /// Features of the samples that stand at `rows` in the batch.
    #[allow(clippy::too_many_arguments, reason = "one stage of an evaluation: what it reads, and scratch")]
    pub(super) fn new(
        isa: InstructionSet,
        sizes: Sizes,
        activation: Activation,
        samples: &Samples<'_, T>,
        rows: &[u32],
        random: Random,
        arena: &mut Arena<'w, T>,
        packing: &mut [T],
    ) -> Self {
        let Sizes { n, shape, .. } = sizes;
        let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
        let (width, sketches) = (sizes.width(), sizes.sketches());
        let mut take = |len| arena.take(len);
        let mut new = Self {
            sizes,
            x: take(n * d),
            zr: take(k * width),
            vq: take(width * m),
            h: take(n * m),
            e: take(n * m),
            t: take(n * m),
            zeta: take(sketches * m),
            pi_f: take(sizes.paired() * m),
            d: take(n * m),
            mu: take(n * m),
            roots: Roots::new(sketches, k, arena),
        };
        new.gather(samples, rows);
        let f = &mut new.pi_f[sizes.vectors() * m..];
        elementwise::activate_with_derivatives(isa, activation, new.h, f, new.e, new.t);
        isa.run(Sketch { features: &mut new, random });

        let (zr, v) = (Matrix::row_major(&*new.zr, k, width), Matrix::row_major(samples.v, k, m));
        gemm(isa, T::ONE, zr.t(), v, T::ZERO, MatrixMut::row_major(new.vq, width, m), packing);
        isa.run(Combine { features: &mut new });
        new
    }

    /// Copies x, u (where h will be), p and r of the kept samples.
    fn gather(&mut self, samples: &Samples<'_, T>, rows: &[u32]) {
        let Sizes { n, shape, .. } = self.sizes;
        let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
        let (width, sketches) = (self.sizes.width(), self.sizes.sketches());
        for (i, &sample) in rows.iter().enumerate() {
            let sample = sample as usize;
            row_mut(self.x, d, i).copy_from_slice(row(samples.x, d, sample));
            row_mut(self.h, m, i).copy_from_slice(row(samples.u, m, sample));
            let classes = row(samples.p, k, sample).iter().zip(row(samples.r, k, sample));
            let rows = self.roots.p.chunks_exact_mut(sketches).zip(self.zr.chunks_exact_mut(width));
            for ((roots, zr), (&p, &r)) in rows.zip(classes) {
                roots[i..].iter_mut().step_by(n).for_each(|root| *root = p);
                zr[sketches + i] = r;
            }
        }
    }

    /// ζ, ζ̃, π, d and μ from v, ṽ, q and the activation's derivatives.
    #[inline(always)]
    fn combine<S: Simd>(&mut self, simd: S) {
        let Sizes { n, l, second, shape } = self.sizes;
        let m = shape.hidden();
        let (vectors, sketches) = (self.sizes.vectors(), self.sizes.sketches());
        let half = T::Lanes::<S>::splat(simd, T::HALF);
        let (pi, f) = self.pi_f.split_at_mut(vectors * m);
        for i in 0..n {
            for units in registers::<T, S>(m) {
                let at = |i: usize| i * m + units.start..i * m + units.end;
                let h: T::Lanes<S> = get(simd, &self.h[at(i)]);
                let f: T::Lanes<S> = get(simd, &f[at(i)]);
                let e: T::Lanes<S> = get(simd, &self.e[at(i)]);
                let d = e * get(simd, &self.vq[at(sketches + i)]);
                let mut mu = half * d;
                for li in (0..l).map(|l| l * n + i) {
                    let zeta = f * get(simd, &self.vq[at(li)]);
                    mu = zeta.mul_add(zeta, mu);
                    put(zeta, &mut self.zeta[at(li)]);
                    put(zeta * h, &mut pi[at(li)]);
                }
                if second {
                    put(f * get(simd, &self.vq[at(n + i)]), &mut self.zeta[at(n + i)]);
                }
                put(d, &mut self.d[at(i)]);
                put(mu, &mut self.mu[at(i)]);
            }
        }
    }
}

/// The stages that run on registers.
struct Sketch<'a, 'w, T> {
    features: &'a mut Features<'w, T>,
    random: Random,
}

impl<T: Real> Kernel for Sketch<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Features { sizes, zr, roots, .. } = self.features;
        // With two classes the only vector is the unit vector's, up to a sign that does not matter.
        let signs = if sizes.second { Signs::Random(self.random) } else { Signs::Units { samples: sizes.n } };
        roots.prepare(simd, signs);
        roots.write(simd, zr, sizes.width());
    }
}

struct Combine<'a, 'w, T> {
    features: &'a mut Features<'w, T>,
}

impl<T: Real> Kernel for Combine<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.features.combine(simd);
    }
}
