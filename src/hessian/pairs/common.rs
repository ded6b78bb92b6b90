//! What both forms of the sum over pairs share: Ga and Gg, and the terms in x and r.
//!
//! ```text
//! cross block:  2 w Ga ( x + xᵀ + (r·r')(f·f') )                       x = ⟨B∘h, (r⊗f)'⟩
//! ```
//!
//! The coefficient of x holds no parameter, so x needs no Gram matrix: `B̂h = Σ' 4w Ga (r⊗f)'` gives its value `⟨B∘h, B̂h⟩` too.
//!
//! Multiply–adds a pair: `(D + 2M + R)/2` for the Gram matrices, `2M + R` and `2RM` for the hats.

use crate::gemm;
use crate::hessian::evaluation::Squares;
use crate::hessian::factors::{Factors, Hats};
use crate::hessian::pairs::{Features, Sum, Tile, tile_len};
use crate::network::Shape;
use crate::plan::{product, sum};
use crate::real::Real;
use crate::simd::InstructionSet;
use crate::vector::{LaneSums, add_scaled, dot};
use crate::workspace::{Arena, row, row_mut};

/// Feature rows of the samples, and the Gram matrices of a tile.
#[derive(Debug)]
pub(super) struct Common<'w, T> {
    /// B, N×RM.
    pub b: &'w mut [T],
    /// The part of B̂ that comes from x, of one sample, RM.
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
}

/// Flops of Gram matrices and hats for `n` samples.
pub(super) const fn flops(shape: Shape, n: usize) -> u64 {
    let (d, m, r) = (shape.inputs(), shape.hidden(), shape.classes() - 1);
    let (grams, hats) = (
        sum(&[product(&[d]), product(&[2, m]), product(&[r])]),
        sum(&[product(&[2, m]), product(&[r]), product(&[2, r, m])]),
    );
    product(&[n, n]).saturating_mul(sum(&[grams, hats, hats]))
}

/// Elements that [`Common::new`] takes.
pub(super) const fn elements(shape: Shape, n: usize) -> u64 {
    let (m, r, tile) = (shape.hidden(), shape.classes() - 1, tile_len(n));
    sum(&[product(&[5, n, r, m]), product(&[r, m]), product(&[6, tile, tile])])
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (d, m, r, t) = (shape.inputs(), shape.hidden(), shape.classes() - 1, tile_len(n));
    let rm = r.saturating_mul(m);
    gemm::largest_workspace(&[[r, r, m], [t, d, t], [t, m, t], [t, r, t], [t, t, m], [t, t, r], [t, t, rm]])
}

impl<'w, T: Real> Common<'w, T> {
    pub(super) fn new(shape: Shape, n: usize, arena: &mut Arena<'w, T>) -> Self {
        let (rm, tile) = ((shape.classes() - 1) * shape.hidden(), tile_len(n));
        let b_hat = arena.take(rm);
        let mut rows = || arena.take(n * rm);
        let (b, bh, bh_hat, rf, rf_hat) = (rows(), rows(), rows(), rows(), rows());
        bh_hat.fill(T::ZERO);
        rf_hat.fill(T::ZERO);
        let mut gram = || arena.take(tile * tile);
        let (weights, ga, gg, aa, rr, ff) = (gram(), gram(), gram(), gram(), gram(), gram());
        Self { b, b_hat, bh, bh_hat, rf, rf_hat, weights, ga, gg, aa, rr, ff }
    }

    /// Computes the feature rows of sample `i` of the range, which `factors` has loaded.
    pub(super) fn fill(&mut self, sum: &Sum<'_, '_, T>, factors: &Factors<'_, T>, i: usize, packing: &mut [T]) {
        let (m, r, n) = (sum.samples.shape.hidden(), sum.samples.shape.classes() - 1, sum.range.start + i);
        let (h, f) = (row(sum.samples.h, m, n), row(sum.samples.f, m, n));
        let b = row_mut(self.b, r * m, i);
        factors.write_b(sum.isa, b, packing);
        let (bh, rf) = (row_mut(self.bh, r * m, i), row_mut(self.rf, r * m, i));
        sum.isa.vectorize(|| {
            for (b, bh) in b.chunks_exact(m).zip(bh.chunks_exact_mut(m)) {
                for ((bh, &b), &h) in bh.iter_mut().zip(b).zip(h) {
                    *bh = b * h;
                }
            }
            for (rf, &r) in rf.chunks_exact_mut(m).zip(row(factors.r, r, n)) {
                for (rf, &f) in rf.iter_mut().zip(f) {
                    *rf = r * f;
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
        Features::new(self.rf, r * m).spread(sum.isa, self.ga, tile, self.bh_hat, packing);
        if let Some(hats) = hats {
            let (isa, range, samples) = (sum.isa, &sum.range, sum.samples);
            let of_range = |width: usize| range.start * width..range.end * width;
            Features::new(self.bh, r * m).spread(isa, self.ga, tile, self.rf_hat, packing);
            let features = Features::of_batch(factors.r, r, range);
            features.spread(isa, self.ff, tile, &mut hats.r[of_range(r)], packing);
            let features = Features::of_batch(samples.f, m, range);
            features.spread(isa, self.rr, tile, &mut hats.f[of_range(m)], packing);
            let features = Features::of_batch(samples.h, m, range);
            features.spread(isa, self.gg, tile, &mut hats.g[of_range(m)], packing);
        }
        Squares { cross: tile.count() * cross, ..Squares::default() }
    }

    /// 4 Σ' w Ga x of sample `i`.
    pub(super) fn value_of_x(&self, isa: InstructionSet, i: usize) -> f64 {
        let rm = self.b_hat.len();
        dot(isa, row(self.bh, rm, i), row(self.bh_hat, rm, i))
    }

    /// The way back from the features of x of sample `i`; leaves its part of B̂ in `b_hat`.
    pub(super) fn back(&mut self, sum: &Sum<'_, '_, T>, factors: &Factors<'_, T>, i: usize, hats: &mut Hats<'_, T>) {
        let (m, r, n) = (sum.samples.shape.hidden(), sum.samples.shape.classes() - 1, sum.range.start + i);
        let (h, f) = (row(sum.samples.h, m, n), row(sum.samples.f, m, n));
        let (g_hat, f_hat) = (row_mut(hats.g, m, n), row_mut(hats.f, m, n));
        for l in 0..r {
            let (b, bh_hat) = (row(self.b, m, i * r + l), row(self.bh_hat, m, i * r + l));
            let rf_hat = row(self.rf_hat, m, i * r + l);
            let rows = row_mut(self.b_hat, m, l).iter_mut().zip(&mut *g_hat).zip(bh_hat).zip(b.iter().zip(h));
            for (((b_hat, g_hat), &bh_hat), (&b, &h)) in rows {
                *b_hat = bh_hat * h;
                *g_hat += bh_hat * b;
            }
            add_scaled(sum.isa, f_hat, factors.r[n * r + l], rf_hat);
            hats.r[n * r + l] += T::from_f64(dot(sum.isa, rf_hat, f));
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
