//! What both forms of the sum over pairs share: Ga and Gg, and the terms in x and r.
//!
//! ```text
//! cross block:  2 w Ga ( x + xᵀ + (r·r')(f·f') )                       x = ⟨B∘h, (r⊗f)'⟩
//! ```
//!
//! The coefficient of x holds no parameter, so x needs no Gram matrix: `B̂h = Σ' 4w Ga (r⊗f)'` gives its value `⟨B∘h, B̂h⟩` too.
//!
//! **Linear x.** As Ga has rank D + 1, `Σ' Ga (r⊗f)'` is also `a·Σ' (a⊗r⊗f)'`, linear in the samples: taken where 2(D + 1) < N.
//!
//! Multiply–adds a pair: `(D + 2M + R)/2` for the Gram matrices, `2M + R` and `2RM` for the hats; a sample, in place of the last,
//! `4(D + 1)RM` where x is linear.

use core::ops::Range;

use crate::gemm::{self, Addend, Matrix, MatrixMut, gemm, gemm_with};
use crate::hessian::evaluation::Squares;
use crate::hessian::factors::{CHUNK, Factors, Hats};
use crate::hessian::pairs::{Features, Sum, Tile, tile_len};
use crate::network::Shape;
use crate::plan::{Work, product, sum};
use crate::real::Real;
use crate::simd::{InstructionSet, Kernel, Simd};
use crate::vector::{LaneSums, add_scaled, dot, dot_inline, scale, sum_rows};
use crate::workspace::{Arena, row, row_mut};

/// Feature rows of the samples, and the Gram matrices of a tile.
#[derive(Debug)]
pub(super) struct Common<'w, T> {
    rm: usize,
    /// B, N×RM.
    pub b: &'w mut [T],
    /// The part of B̂ that comes from x, of a chunk of samples, RM each.
    pub b_hat: &'w mut [T],
    bh: &'w mut [T],
    bh_hat: &'w mut [T],
    rf: &'w mut [T],
    rf_hat: &'w mut [T],
    /// w of every pair of the tile.
    pub weights: &'w mut [T],
    /// Ga.
    pub ga: &'w mut [T],
    /// Gg; a form's visit leaves the coefficients of ĝ in its place.
    pub gg: &'w mut [T],
    /// Coefficients of Â: 2w Ga².
    pub aa: &'w mut [T],
    rr: &'w mut [T],
    ff: &'w mut [T],
    /// Where x is linear: Σ a ⊗ features, (D+1)×RM; else empty.
    inputs: &'w mut [T],
}

/// Gram matrices and hats of `n` samples.
pub(super) const fn work(shape: Shape, n: usize) -> Work {
    let (d, m, r) = (shape.inputs(), shape.hidden(), shape.classes() - 1);
    let (grams, hats) =
        (sum(&[product(&[d]), product(&[2, m]), product(&[r])]), sum(&[product(&[2, m]), product(&[r])]));
    // Twice the products, and two flops each.
    let x = if x_is_linear(shape, n) { product(&[8, n, d + 1, r, m]) } else { product(&[4, n, n, r, m]) };
    Work::new(product(&[n, n]).saturating_mul(sum(&[grams, hats, hats])).saturating_add(x), 2)
}

/// Whether x is summed by way of the inputs, rather than by pairs.
const fn x_is_linear(shape: Shape, n: usize) -> bool {
    2 * (shape.inputs() as u64 + 1) < n as u64
}

/// Lengths of the slices of [`Common`], in their order.
const fn lengths(shape: Shape, n: usize) -> [u64; 13] {
    let (m, r, tile) = (shape.hidden(), shape.classes() - 1, tile_len(n));
    let (rows, gram) = (product(&[n, r, m]), product(&[tile, tile]));
    let chunk = product(&[if n < CHUNK { n } else { CHUNK }, r, m]);
    let inputs = if x_is_linear(shape, n) { product(&[shape.inputs() + 1, r, m]) } else { 0 };
    [rows, chunk, rows, rows, rows, rows, gram, gram, gram, gram, gram, gram, inputs]
}

/// Elements that [`Common::new`] takes.
pub(super) const fn elements(shape: Shape, n: usize) -> u64 {
    sum(&lengths(shape, n))
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (d, m, r, t) = (shape.inputs(), shape.hidden(), shape.classes() - 1, tile_len(n));
    let rm = r.saturating_mul(m);
    let x = if x_is_linear(shape, n) { [[d, n, rm], [n, d, rm]] } else { [[t, t, rm]; 2] };
    gemm::largest_workspace(&[[t, d, t], [t, m, t], [t, r, t], [t, t, m], [t, t, r], x[0], x[1]])
}

impl<'w, T: Real> Common<'w, T> {
    pub(super) fn new(shape: Shape, n: usize, arena: &mut Arena<'w, T>) -> Self {
        let [b, b_hat, bh, bh_hat, rf, rf_hat, weights, ga, gg, aa, rr, ff, inputs] = arena.take_all(lengths(shape, n));
        bh_hat.fill(T::ZERO);
        rf_hat.fill(T::ZERO);
        let rm = (shape.classes() - 1) * shape.hidden();
        Self { rm, b, b_hat, bh, bh_hat, rf, rf_hat, weights, ga, gg, aa, rr, ff, inputs }
    }

    /// Computes the feature rows of the samples `chunk`, which `factors` has loaded.
    pub(super) fn fill(&mut self, sum: &Sum<'_, '_, T>, factors: &Factors<'_, T>, chunk: &Range<usize>) {
        let (m, r) = (sum.samples.shape.hidden(), sum.samples.shape.classes() - 1);
        let rm = r * m;
        let first = chunk.start - sum.range.start;
        factors.write_b(sum.isa, sum.samples, chunk, &mut self.b[first * rm..]);
        sum.isa.vectorize(|| {
            for (i, n) in (first..).zip(chunk.clone()) {
                let (h, f) = (row(sum.samples.h, m, n), row(sum.samples.f, m, n));
                let rows = row(self.b, rm, i).chunks_exact(m).zip(row_mut(self.bh, rm, i).chunks_exact_mut(m));
                for (b, bh) in rows {
                    for ((bh, &b), &h) in bh.iter_mut().zip(b).zip(h) {
                        *bh = b * h;
                    }
                }
                let rows = row_mut(self.rf, rm, i).chunks_exact_mut(m).zip(row(factors.r, r, n));
                for (rf, &r) in rows {
                    for (rf, &f) in rf.iter_mut().zip(f) {
                        *rf = r * f;
                    }
                }
            }
        });
    }

    /// Forms weights and Gram matrices of a tile.
    pub(super) fn form(&mut self, sum: &Sum<'_, '_, T>, factors: &Factors<'_, T>, tile: &Tile, packing: &mut [T]) {
        let (shape, samples, range) = (sum.samples.shape, sum.samples, &sum.range);
        let (d, m, r) = (shape.inputs(), shape.hidden(), shape.classes() - 1);
        Features::of_batch(samples.x, d, range).gram(sum.isa, tile, self.ga, packing);
        Features::of_batch(samples.h, m, range).gram(sum.isa, tile, self.gg, packing);
        Features::of_batch(samples.f, m, range).gram(sum.isa, tile, self.ff, packing);
        Features::of_batch(factors.r, r, range).gram(sum.isa, tile, self.rr, packing);
        self.weights[..tile.len()].fill(sum.cross_weight);
        if tile.is_diagonal() {
            for weight in self.weights[..tile.len()].iter_mut().step_by(tile.columns.len() + 1) {
                *weight = sum.self_weight;
            }
        }
        let (weights, ga, gg, aa) = (&self.weights[..tile.len()], &mut *self.ga, &mut *self.gg, &mut *self.aa);
        sum.isa.vectorize(|| {
            for (((&w, ga), gg), aa) in weights.iter().zip(ga).zip(gg).zip(aa) {
                *ga += T::ONE;
                *gg += T::ONE;
                *aa = T::TWO * w * (*ga * *ga);
            }
        });
    }

    /// Returns the tile's share of the term in r·r'; spreads the terms in x and r, and ĝ, over the hats. To be called after the form's.
    pub(super) fn visit(
        &mut self,
        sum: &Sum<'_, '_, T>,
        factors: &Factors<'_, T>,
        tile: &Tile,
        hats: Option<&mut Hats<'_, T>>,
        packing: &mut [T],
    ) -> Squares {
        let (m, r) = (sum.samples.shape.hidden(), sum.samples.shape.classes() - 1);
        let (weights, ga) = (&self.weights[..tile.len()], &mut self.ga[..tile.len()]);
        let (rr, ff) = (&mut self.rr[..tile.len()], &mut self.ff[..tile.len()]);
        let cross = sum.isa.vectorize(|| combine(tile.columns.len(), weights, ga, rr, ff));
        let by_pairs = self.inputs.is_empty();
        if by_pairs {
            Features::new(self.rf, r * m).spread(sum.isa, self.ga, tile, self.bh_hat, packing);
        }
        if let Some(hats) = hats {
            let (isa, range, samples) = (sum.isa, &sum.range, sum.samples);
            let of_range = |width: usize| range.start * width..range.end * width;
            if by_pairs {
                Features::new(self.bh, r * m).spread(isa, self.ga, tile, self.rf_hat, packing);
            }
            let features = Features::of_batch(factors.r, r, range);
            features.spread(isa, self.ff, tile, &mut hats.r[of_range(r)], packing);
            let features = Features::of_batch(samples.f, m, range);
            features.spread(isa, self.rr, tile, &mut hats.f[of_range(m)], packing);
            let features = Features::of_batch(samples.h, m, range);
            features.spread(isa, self.gg, tile, &mut hats.g[of_range(m)], packing);
        }
        Squares { cross: tile.count() * cross, ..Squares::default() }
    }

    /// B̂h and (r⊗f)^ where x is linear: `4 Σ' w Ga features'`, of which only the weight of self pairs takes Ga itself.
    pub(super) fn spread_by_inputs(&mut self, sum: &Sum<'_, '_, T>, packing: &mut [T]) {
        if self.inputs.is_empty() {
            return;
        }
        let (isa, n, rm, d) = (sum.isa, sum.range.len(), self.rm, sum.samples.shape.inputs());
        let x = Matrix::row_major(&sum.samples.x[sum.range.start * d..sum.range.end * d], n, d);
        let four = T::TWO + T::TWO;
        let (cross, own) = (four * sum.cross_weight, four * (sum.self_weight - sum.cross_weight));
        for (features, hats) in [(&*self.rf, &mut *self.bh_hat), (&*self.bh, &mut *self.rf_hat)] {
            let (products, ones) = self.inputs.split_at_mut(d * rm);
            let rows = Matrix::row_major(features, n, rm);
            gemm(isa, cross, x.t(), rows, T::ZERO, MatrixMut::row_major(products, d, rm), packing);
            sum_rows(isa, features, ones);
            scale(isa, ones, cross);
            let hats_out = MatrixMut::row_major(hats, n, rm);
            let products = Matrix::row_major(products, d, rm);
            gemm_with(isa, T::ONE, x, products, Addend::Row(ones), hats_out, packing);
            if own != T::ZERO {
                for (i, hats) in hats.chunks_exact_mut(rm).enumerate() {
                    let x = row(sum.samples.x, d, sum.range.start + i);
                    let ga = T::from_f64(dot(isa, x, x) + 1.0);
                    add_scaled(isa, hats, own * ga, row(features, rm, i));
                }
            }
        }
    }

    /// RM, the length of a row of B.
    pub(super) fn rm(&self) -> usize {
        self.rm
    }

    /// 4 Σ' w Ga x of all samples.
    pub(super) fn value_of_x(&self, isa: InstructionSet) -> f64 {
        dot(isa, self.bh, self.bh_hat)
    }

    /// The way back from the features of x of the samples `chunk`; leaves their part of B̂ in `b_hat`.
    pub(super) fn back(
        &mut self,
        sum: &Sum<'_, '_, T>,
        factors: &Factors<'_, T>,
        chunk: &Range<usize>,
        hats: &mut Hats<'_, T>,
    ) {
        let (m, rm) = (sum.samples.shape.hidden(), self.rm);
        for (n, b_hat) in chunk.clone().zip(self.b_hat.chunks_exact_mut(rm)) {
            let i = n - sum.range.start;
            sum.isa.run(BackOfX {
                h: row(sum.samples.h, m, n),
                f: row(sum.samples.f, m, n),
                r: row(factors.r, rm / m, n),
                b: row(self.b, rm, i),
                bh_hat: row(self.bh_hat, rm, i),
                rf_hat: row(self.rf_hat, rm, i),
                b_hat,
                g_hat: row_mut(hats.g, m, n),
                f_hat: row_mut(hats.f, m, n),
                r_hat: row_mut(hats.r, rm / m, n),
            });
        }
    }
}

/// The way back of a sample from `bh = b∘h` and `rf = r⊗f`.
struct BackOfX<'a, T> {
    h: &'a [T],
    f: &'a [T],
    r: &'a [T],
    b: &'a [T],
    bh_hat: &'a [T],
    rf_hat: &'a [T],
    b_hat: &'a mut [T],
    g_hat: &'a mut [T],
    f_hat: &'a mut [T],
    r_hat: &'a mut [T],
}

impl<T: Real> Kernel for BackOfX<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let m = self.h.len();
        let of_b = self.b_hat.chunks_exact_mut(m).zip(self.b.chunks_exact(m)).zip(self.bh_hat.chunks_exact(m));
        for ((b_hat, b), bh_hat) in of_b {
            for (((b_hat, g_hat), &bh_hat), (&b, &h)) in
                b_hat.iter_mut().zip(&mut *self.g_hat).zip(bh_hat).zip(b.iter().zip(self.h))
            {
                *b_hat = bh_hat * h;
                *g_hat += bh_hat * b;
            }
        }
        for ((r_hat, &r), rf_hat) in self.r_hat.iter_mut().zip(self.r).zip(self.rf_hat.chunks_exact(m)) {
            for (f_hat, &rf_hat) in self.f_hat.iter_mut().zip(rf_hat) {
                *f_hat += r * rf_hat;
            }
            *r_hat += T::from_f64(dot_inline(rf_hat, self.f));
        }
    }
}

/// Turns the Gram matrices of a tile into coefficients, row by row; returns the share of the term in r·r'.
#[inline(always)]
fn combine<T: Real>(width: usize, weights: &[T], ga: &mut [T], rr: &mut [T], ff: &mut [T]) -> f64 {
    let mut total = 0.0;
    let rows = weights.chunks_exact(width).zip(ga.chunks_exact_mut(width));
    for ((weights, ga), (rr, ff)) in rows.zip(rr.chunks_exact_mut(width).zip(ff.chunks_exact_mut(width))) {
        let mut row = LaneSums::new();
        for i in 0..width {
            let weighted = T::TWO * (weights[i] * ga[i]);
            let product = weighted * (rr[i] * ff[i]);
            row.add(i, product);
            let coefficient = T::TWO * weighted;
            ga[i] = coefficient;
            rr[i] *= coefficient;
            ff[i] *= coefficient;
        }
        total += row.total();
    }
    total
}
