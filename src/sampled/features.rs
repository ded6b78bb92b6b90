//! The features of the kept samples, from which pairs are formed.
//!
//! J samples are kept. Each has one random vector ξ, or K − 1 fixed ones (see [`sketch`](super::sketch)); the l-th vector of sample i is
//! column `l J + i`. Where ξ is random there is a second, independent one, ξ̃. Quantities of classes are class-major, side by side:
//! `[ξ̃ | ξ | r]`, K rows of [`width`](Sizes::width) columns.
//!
//! ```text
//! [Vᵀξ̃; Vᵀξ; q] = [ξ̃ | ξ | r]ᵀ V        ζ = f∘Vᵀξ        π = ζ∘h        d = e∘q        Δ = Σ ζ² + d/2
//! ```
//!
//! What pairs are formed of lies together: for a register's worth of units, and each sample, a record of the registers
//! `h, f, d, Δ, ζ, π`, and `ζ, π` for each further vector. Units that fill up the last register are 0.

use crate::activation::Activation;
use crate::count::{product, sum};
use crate::hessian::forward::Forward;
use crate::kernels::context::Context;
use crate::kernels::elementwise;
use crate::kernels::gemm::{self, Matrix, MatrixMut};
use crate::network::Shape;
use crate::random::Random;
use crate::sampled::sketch::{self, Roots, Signs, get, put, registers, write};
use crate::simd::{Element, Kernel, Lanes, MAX_LANES, Simd};
use crate::workspace::{Arena, buffers, row, row_mut};

/// Sizes of all quantities of the kept samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// J, the number of kept samples.
    pub n: usize,
    /// Vectors ξ of a sample.
    pub l: usize,
    /// Whether there is a second, independent vector.
    pub second: bool,
    pub shape: Shape,
}

impl Sizes {
    /// The sizes for `n` kept samples. With two classes one vector is enough: only its sign is random, and the sign does not matter.
    pub(super) const fn new(shape: Shape, n: usize, sketch: bool) -> Self {
        let others = shape.classes() - 1;
        Self { n, l: if sketch { 1 } else { others }, second: sketch && others > 1, shape }
    }

    /// Number of vectors ξ.
    pub(super) const fn vectors(self) -> usize {
        self.n.saturating_mul(self.l)
    }

    /// Columns of `ξ̃`.
    pub(super) const fn seconds(self) -> usize {
        if self.second { self.n } else { 0 }
    }

    /// Columns of `[ξ̃ | ξ]`.
    pub(super) const fn sketches(self) -> usize {
        self.vectors().saturating_add(self.seconds())
    }

    /// Vectors of a sample in `[ξ̃ | ξ]`.
    pub(super) const fn draws(self) -> usize {
        self.l.saturating_add(self.second as usize)
    }

    /// Columns of `[ξ̃ | ξ | r]`.
    pub(super) const fn width(self) -> usize {
        self.sketches().saturating_add(self.n)
    }

    /// Columns of `[ξ | r]`.
    pub(super) const fn paired(self) -> usize {
        self.vectors().saturating_add(self.n)
    }

    /// Registers of a record.
    pub(super) const fn record(self) -> usize {
        self.l.saturating_mul(2).saturating_add(4)
    }

    /// Flops of features and their derivatives, without elementwise work.
    pub(super) const fn feature_flops(self) -> u64 {
        product(&[6, self.width(), self.shape.classes(), self.shape.hidden()])
    }

    /// Elements that [`KeptFeatures::new`] takes.
    pub(super) const fn feature_elements(self) -> u64 {
        sum(&[Buffers::elements(self), sketch::elements(self.n, self.draws(), self.shape.classes())])
    }

    /// Elements of packing space that the product needs.
    pub(super) const fn feature_packing(self) -> u64 {
        gemm::largest_workspace(&[[self.width(), self.shape.classes(), self.shape.hidden()]])
    }
}

buffers! {
    /// Quantities of the kept samples.
    pub(super) struct Buffers(sizes: Sizes) where {
        let (n, d, m, k) = (sizes.n, sizes.shape.inputs(), sizes.shape.hidden(), sizes.shape.classes());
        let padded = m.div_ceil(MAX_LANES).saturating_mul(MAX_LANES);
    } {
        /// Inputs, J×D.
        x: [n, d],
        /// [ξ̃ | ξ | r], K×`width`.
        xi_r: [k, sizes.width()],
        /// [Vᵀξ̃; Vᵀξ; q], `width`×M; later their derivatives.
        vq: [sizes.width(), m],
        /// h, J×M, as are the next three.
        h: [n, m],
        f: [n, m],
        e: [n, m],
        t: [n, m],
        /// The records: for each register of units, those of all samples.
        records: [padded, sizes.record(), n],
        /// Σ d of each sample, over its units.
        own_d: [n],
        /// Σ ζ², over units and vectors.
        own_zeta: [n],
        /// Σ ζζ̃.
        zeta_second: [n],
    }
}

/// Features of the kept samples.
#[derive(Debug)]
pub(super) struct KeptFeatures<'w, T> {
    pub sizes: Sizes,
    pub buffers: Buffers<'w, T>,
    pub roots: Roots<'w, T>,
}

impl<'w, T: Element> KeptFeatures<'w, T> {
    /// Computes the features of the samples in the rows `rows` of the batch.
    pub(super) fn new(
        sizes: Sizes,
        activation: Activation,
        forward: &Forward<'_, T>,
        rows: &[u32],
        random: Random,
        arena: &mut Arena<'w, T>,
        context: &mut Context<'_, T>,
    ) -> Self {
        let (m, k, width, isa) = (sizes.shape.hidden(), sizes.shape.classes(), sizes.width(), context.isa);
        debug_assert_eq!(forward.u.is_empty(), !elementwise::higher_read_input(activation));
        let buffers = Buffers::cut(sizes, arena);
        let mut new = Self { sizes, buffers, roots: Roots::new(sizes.n, sizes.draws(), k, arena) };
        let isa_of_samples = isa.for_rows::<T>(sizes.n);
        isa_of_samples.run(Classes { features: &mut new, forward, rows });
        isa.run(Gather { buffers: &mut new.buffers, shape: sizes.shape, forward, rows });
        let Buffers { h, f, e, t, .. } = &mut new.buffers;
        elementwise::higher_derivatives(isa, activation, h, f, e, t);
        isa_of_samples.run(Sketch { features: &mut new, random });

        let (xi_r, v) = (Matrix::row_major(&*new.buffers.xi_r, k, width), Matrix::row_major(forward.v, k, m));
        context.set(MatrixMut::row_major(new.buffers.vq, width, m), xi_r.t(), v);
        isa.run(Combine { features: &mut new });
        new
    }

    /// Computes the records and the sums from Vᵀξ, Vᵀξ̃, q and the activation's derivatives.
    #[inline(always)]
    fn combine<S: Simd>(&mut self, simd: S) {
        let Sizes { n, second, shape, .. } = self.sizes;
        let (m, lanes) = (shape.hidden(), T::Lanes::<S>::LANES);
        let (seconds, sketches, record) = (self.sizes.seconds(), self.sizes.sketches(), self.sizes.record() * lanes);
        let (half, zero) = (T::Lanes::<S>::splat(simd, T::HALF), T::Lanes::<S>::zero(simd));
        let Buffers { vq, h, f, e, records, own_d, own_zeta, zeta_second, .. } = &mut self.buffers;
        let (v_second, vq) = vq.split_at(seconds * m);
        let (v, q) = vq.split_at((sketches - seconds) * m);
        for i in 0..n {
            let [mut sum, mut squares, mut products] = [zero; 3];
            let [h, f, e, q] = [row(h, m, i), row(f, m, i), row(e, m, i), row(q, m, i)];
            for (block, units) in registers::<T, S>(m).enumerate() {
                let h: T::Lanes<S> = get(simd, &h[units.clone()]);
                let f: T::Lanes<S> = get(simd, &f[units.clone()]);
                let e: T::Lanes<S> = get(simd, &e[units.clone()]);
                let d = e * get(simd, &q[units.clone()]);
                let (out, vectors) = row_mut(records, record, block * n + i).split_at_mut(4 * lanes);
                let mut delta = half * d;
                for (li, out) in vectors.chunks_exact_mut(2 * lanes).enumerate() {
                    let zeta = f * get(simd, &row(v, m, li * n + i)[units.clone()]);
                    (delta, squares) = (zeta.mul_add(zeta, delta), zeta.mul_add(zeta, squares));
                    if second {
                        products = zeta.mul_add(f * get(simd, &row(v_second, m, i)[units.clone()]), products);
                    }
                    write(out, [zeta, zeta * h]);
                }
                write(out, [h, f, d, delta]);
                sum = sum + d;
            }
            let sums = T::Lanes::<S>::reduce_sums([sum, squares, products, zero]);
            [own_d[i], own_zeta[i], zeta_second[i], _] = sums;
        }
    }
}

/// Writes p and r of the kept samples, class-major.
struct Classes<'a, 'f, 'w, T> {
    features: &'a mut KeptFeatures<'w, T>,
    forward: &'a Forward<'f, T>,
    rows: &'a [u32],
}

impl<T: Element> Kernel for Classes<'_, '_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { features: KeptFeatures { sizes, buffers, roots }, forward, rows } = self;
        let (n, k, width, sketches) = (sizes.n, sizes.shape.classes(), sizes.width(), sizes.sketches());
        let (lanes, record) = (T::Lanes::<S>::LANES, roots.record::<S>());
        if n % lanes > 0 {
            for record in roots.records::<S>(n / lanes).chunks_mut(record) {
                record[..lanes].fill(T::ZERO);
            }
        }
        // Four samples at a time, where they are in the same register.
        let (fours, rest) = rows.as_chunks::<4>();
        let (fours, rest) = if lanes >= 4 { (fours, rest) } else { (&[][..], rows) };
        for (four, &samples) in fours.iter().enumerate() {
            let i = 4 * four;
            transpose(forward.p, k, samples, &mut roots.records::<S>(i / lanes)[i % lanes..], record);
            transpose(forward.r, k, samples, &mut buffers.xi_r[sketches + i..], width);
        }
        for (i, &sample) in (4 * fours.len()..).zip(rest) {
            transpose(forward.p, k, [sample], &mut roots.records::<S>(i / lanes)[i % lanes..], record);
            transpose(forward.r, k, [sample], &mut buffers.xi_r[sketches + i..], width);
        }
    }
}

/// Copies `R` rows, of `k` numbers each, to as many columns.
#[inline(always)]
fn transpose<T: Copy, const R: usize>(matrix: &[T], k: usize, rows: [u32; R], columns: &mut [T], stride: usize) {
    let mut own = [matrix; R];
    for (own, sample) in own.iter_mut().zip(rows) {
        *own = row(matrix, k, sample as usize);
    }
    for class in 0..k {
        let columns = &mut columns[class * stride..][..R];
        for at in 0..R {
            columns[at] = own[at][class];
        }
    }
}

/// Copies x, h and f of the kept samples; and u, where the forward pass has it, to the place of e.
struct Gather<'a, 'f, 'w, T> {
    buffers: &'a mut Buffers<'w, T>,
    shape: Shape,
    forward: &'a Forward<'f, T>,
    rows: &'a [u32],
}

impl<T: Element> Kernel for Gather<'_, '_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { buffers: Buffers { x, h, f, e, .. }, shape, forward, rows } = self;
        let (d, m) = (shape.inputs(), shape.hidden());
        copy::<T, S>(simd, forward.x, d, rows, x);
        copy::<T, S>(simd, forward.h, m, rows, h);
        copy::<T, S>(simd, forward.f, m, rows, f);
        if !forward.u.is_empty() {
            copy::<T, S>(simd, forward.u, m, rows, e);
        }
    }
}

/// Copies rows of `width`. (Where they are as short as here, the library's copy takes longer to be called than to copy.)
#[inline(always)]
fn copy<T: Element, S: Simd>(simd: S, from: &[T], width: usize, rows: &[u32], to: &mut [T]) {
    for (&sample, to) in rows.iter().zip(to.chunks_mut(width)) {
        let from = row(from, width, sample as usize).chunks_exact(T::Lanes::<S>::LANES);
        let (mut to, rest) = (to.chunks_exact_mut(T::Lanes::<S>::LANES), from.remainder());
        for (from, to) in from.zip(&mut to) {
            T::Lanes::<S>::load(simd, from).store(to);
        }
        put(get::<T::Lanes<S>>(simd, rest), to.into_remainder());
    }
}

/// Writes ξ̃ and ξ.
struct Sketch<'a, 'w, T> {
    features: &'a mut KeptFeatures<'w, T>,
    random: Random,
}

impl<T: Element> Kernel for Sketch<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let KeptFeatures { sizes, buffers, roots } = self.features;
        // With two classes the only vector is that of the other class, up to a sign that does not matter.
        let signs = if sizes.second { Signs::Random(self.random) } else { Signs::Units };
        roots.prepare(simd, signs);
        roots.write(simd, buffers.xi_r, sizes.width());
    }
}

struct Combine<'a, 'w, T> {
    features: &'a mut KeptFeatures<'w, T>,
}

impl<T: Element> Kernel for Combine<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.features.combine(simd);
    }
}
