//! The terms in S, B and A through the tangent kernel of each pair.
//!
//! Let `W = V diag(f∘f') Vᵀ` (K×K, symmetric) and `Θ = Gg I + Ga W`, the pair's block of the neural tangent kernel. All that S alone
//! brings into κ is one trace, and what is left of A is its diagonal:
//!
//! ```text
//! ⟨S,S'⟩ Gg² + 2 Ga Gg ⟨B,B'⟩ + Ga² ⟨A,A'⟩ = tr(S Θ S' Θ) + Ga² ( o·d' + d·o' + d·d' )        o_j = (CᵀSC)_jj
//! ```
//!
//! **The trace in K² operations.** S is the covariance of a class drawn from p. So, with Θ centred by p over its rows and by p' over its
//! columns,
//!
//! ```text
//! Θ̃_kl = Θ_kl − Σ_j p'_j Θ_kj − Σ_i p_i Θ_il + Σ_ij p_i p'_j Θ_ij
//! tr(SΘS'Θ) = Σ_kl p_k p'_l Θ̃_kl²      (SΘS')_kl = p_k p'_l Θ̃_kl = X_kl      p̂_k = Σ_l p'_l Θ̃_kl²      p̂'_l = Σ_k p_k Θ̃_kl²
//! ```
//!
//! where p̂ may be shifted by a constant, which S, on its way to the logits, takes away. Products of R×R matrices would take about `4R³`.
//! To the same end V may be shifted: `U_k = V_k − V_R` for the R classes but the last stands for V, and W has `R₂ = R(R+1)/2` entries.
//!
//! **Accuracy.** Near certainty Θ̃ is a small difference of large numbers where p is near 1. Before Θ is centred, the row of the row
//! sample's most probable class is subtracted from all rows, and the column of the column sample's from all columns; after that, whatever
//! is multiplied with a p near 1 is exactly zero. And p is kept divided by σ (see [`factors`](crate::hessian::factors)): q = p/σ.
//!
//! **Loop order.** For each of the R₂ entries of W, the entry over a tile of pairs is a Gram matrix of the rows f, weighted by `U_k∘U_l`.
//! Then, for each row of the tile and as many columns at once as a register has lanes, X, q̂ and q̂'; and each entry of
//! `Ŵ = Ga (X + Xᵀ)`, times the rows f, gives back f̂ and V̂.
//!
//! Multiply–adds a pair: `R₂M/2` for the Gram matrices, `R₂M + 2M` for the hats, about `10K²` operations for each pair of a tile.

use core::ops::Range;

use crate::gemm::{self, Matrix, MatrixMut, gemm};
use crate::hessian::contrasts::triangle;
use crate::hessian::evaluation::{Squares, first_largest};
use crate::hessian::factors::{Factors, Hats, HiddenHat};
use crate::hessian::pairs::common::Common;
use crate::hessian::pairs::{Features, Sum, Tile, tile_len};
use crate::network::Shape;
use crate::plan::{product, sum};
use crate::real::Real;
use crate::simd::{InstructionSet, Kernel, Lanes, MAX_LANES, Simd};
use crate::vector::{add_scaled, dot};
use crate::workspace::{Arena, row, row_mut};

/// Entries of W whose Gram matrices are formed by one product.
const GROUP: usize = 4;

/// Feature rows of the samples, and the entries of W of a tile.
#[derive(Debug)]
pub(super) struct Tangent<'w, T> {
    /// U, R×M, and Û.
    u: &'w mut [T],
    u_hat: &'w mut [T],
    /// U_k∘U_l for k ≤ l, R₂×M.
    uu: &'w mut [T],
    /// q, K×N: one row a class, so that lanes are samples.
    q: &'w mut [T],
    /// 1 at each sample's most probable class, K×N.
    leads: &'w mut [T],
    /// q̂ of the columns, from tiles above the diagonal, K×N.
    q_hat: &'w mut [T],
    /// o, N×M.
    o: &'w mut [T],
    o_hat: &'w mut [T],
    /// d and o + d, N×M.
    d: &'w mut [T],
    od: &'w mut [T],
    d_hat: &'w mut [T],
    /// ⟨S,S'⟩ of a tile.
    ss: &'w mut [T],
    /// Entries of W, R₂ times rows × columns; then of 2w Ŵ.
    w: &'w mut [T],
    /// Rows f of a tile times something, `GROUP` times T×M.
    scaled: &'w mut [T],
    /// M numbers; K×M and R×M numbers.
    sums: &'w mut [T],
    full_u_hat: &'w mut [T],
    /// Θ of a register of pairs, and four rows of K registers.
    registers: &'w mut [T],
}

/// Flops of Gram matrices, hats and traces for `n` samples.
pub(super) const fn flops(shape: Shape, n: usize) -> u64 {
    let (m, k) = (shape.hidden(), shape.classes());
    let products = sum(&[product(&[3, triangle(k - 1), m]), product(&[4, m]), product(&[3, triangle(k - 1)]) / 3]);
    // Tiles on the diagonal are visited whole, the others once for two.
    let visited = product(&[n, n]).saturating_add(product(&[n, tile_len(n)])) / 2;
    sum(&[product(&[n, n]).saturating_mul(products), visited.saturating_mul(product(&[15, k, k]))])
}

/// Elements that [`Tangent::new`] takes.
pub(super) const fn elements(shape: Shape, n: usize) -> u64 {
    let (m, k, tile) = (shape.hidden(), shape.classes(), tile_len(n));
    let (r, r2) = (k - 1, triangle(k - 1));
    sum(&[
        product(&[2, r, m]),
        product(&[r2, m]),
        product(&[3, k, n]),
        product(&[5, n, m]),
        product(&[r2.saturating_add(1), tile, tile]),
        product(&[GROUP, tile, m]),
        product(&[k + 1, m]),
        product(&[k.saturating_add(4), k, MAX_LANES]),
    ])
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (m, r, t) = (shape.hidden(), shape.classes() - 1, tile_len(n));
    gemm::largest_workspace(&[[GROUP * t, m, t], [t, t, m], [t, triangle(r), t]])
}

impl<'w, T: Real> Tangent<'w, T> {
    pub(super) fn new(sum: &Sum<'_, '_, T>, factors: &Factors<'_, T>, arena: &mut Arena<'w, T>) -> Self {
        let (shape, n) = (sum.samples.shape, sum.range.len());
        let (m, k, tile) = (shape.hidden(), shape.classes(), tile_len(n));
        let (r, r2) = (k - 1, triangle(k - 1));
        let all = Self {
            u: arena.take(r * m),
            u_hat: arena.take(r * m),
            uu: arena.take(r2 * m),
            q: arena.take(k * n),
            leads: arena.take(k * n),
            q_hat: arena.take(k * n),
            o: arena.take(n * m),
            o_hat: arena.take(n * m),
            d: arena.take(n * m),
            od: arena.take(n * m),
            d_hat: arena.take(n * m),
            ss: arena.take(tile * tile),
            w: arena.take(r2 * tile * tile),
            scaled: arena.take(GROUP * tile * m),
            sums: arena.take(m),
            full_u_hat: arena.take(k * m),
            registers: arena.take((k + 4) * k * MAX_LANES),
        };
        for hat in [&mut *all.u_hat, all.q_hat, all.o_hat, all.d_hat] {
            hat.fill(T::ZERO);
        }
        let last = row(sum.samples.v, m, r);
        for (u, v) in all.u.chunks_exact_mut(m).zip(sum.samples.v.chunks_exact(m)) {
            for ((u, &v), &last) in u.iter_mut().zip(v).zip(last) {
                *u = v - last;
            }
        }
        for ((k, l), uu) in entries(r).zip(all.uu.chunks_exact_mut(m)) {
            for ((uu, &uk), &ul) in uu.iter_mut().zip(row(all.u, m, k)).zip(row(all.u, m, l)) {
                *uu = uk * ul;
            }
        }
        let scale = T::from_f64(1.0 / factors.sigma);
        for (i, p) in sum.samples.p.chunks_exact(k).skip(sum.range.start).take(n).enumerate() {
            let lead = first_largest(p);
            for (class, &p) in p.iter().enumerate() {
                all.q[class * n + i] = scale * p;
                all.leads[class * n + i] = if class == lead { T::ONE } else { T::ZERO };
            }
        }
        all
    }

    /// Computes the features of the samples `chunk`.
    pub(super) fn fill(
        &mut self,
        sum: &Sum<'_, '_, T>,
        factors: &Factors<'_, T>,
        common: &Common<'_, T>,
        chunk: &Range<usize>,
    ) {
        let (m, rm) = (sum.samples.shape.hidden(), common.rm());
        sum.isa.vectorize(|| {
            for n in chunk.clone() {
                let i = n - sum.range.start;
                let (f, o, d) = (row(sum.samples.f, m, n), row_mut(self.o, m, i), row(factors.d, m, n));
                o.fill(T::ZERO);
                for (v, b) in factors.v.chunks_exact(m).zip(row(common.b, rm, i).chunks_exact(m)) {
                    for ((o, (&v, &f)), &b) in o.iter_mut().zip(v.iter().zip(f)).zip(b) {
                        *o += v * f * b;
                    }
                }
                row_mut(self.d, m, i).copy_from_slice(d);
                for ((od, &o), &d) in row_mut(self.od, m, i).iter_mut().zip(&*o).zip(d) {
                    *od = o + d;
                }
            }
        });
    }

    /// Returns the tile's share of the trace, spreads everything over the hats, and leaves the coefficients of ĝ.
    pub(super) fn visit(
        &mut self,
        sum: &Sum<'_, '_, T>,
        factors: &Factors<'_, T>,
        common: &mut Common<'_, T>,
        tile: &Tile,
        hats: Option<&mut Hats<'_, T>>,
        packing: &mut [T],
    ) -> Squares {
        let (isa, shape, n) = (sum.isa, sum.samples.shape, sum.range.len());
        let (m, k) = (shape.hidden(), shape.classes());
        let (height, width) = (tile.rows.len(), tile.columns.len());
        Features::of_batch(factors.s, triangle(k - 1), &sum.range).gram(isa, tile, self.ss, packing);
        self.form_w(sum, tile, packing);

        let mut total = [0.0; 3];
        let mut hats = hats;
        for i in 0..height {
            let sample = tile.rows.start + i;
            let p = row(sum.samples.p, k, sum.range.start + sample);
            let shares = isa.run(Row {
                classes: k,
                sigma: T::from_f64(factors.sigma),
                lead: first_largest(p),
                sample,
                q: self.q,
                leads: self.leads,
                column_q_hat: if tile.is_diagonal() { None } else { Some(&mut *self.q_hat) },
                n,
                columns: tile.columns.clone(),
                weights: row(common.weights, width, i),
                ga: row(common.ga, width, i),
                gg: row_mut(common.gg, width, i),
                ss: row(self.ss, width, i),
                w: &mut self.w[i * width..],
                stride: tile.len(),
                registers: self.registers,
                q_hat: hats.as_deref_mut().map(|hats| row_mut(hats.p, k, sum.range.start + sample)),
            });
            for (total, share) in total.iter_mut().zip(shares) {
                *total += share.to_f64();
            }
        }

        Features::new(self.d, m).spread(isa, common.aa, tile, self.o_hat, packing);
        Features::new(self.od, m).spread(isa, common.aa, tile, self.d_hat, packing);
        if let Some(hats) = hats {
            self.spread_w(sum, tile, hats, packing);
        }
        let [output, cross, hidden] = total.map(|share| share * tile.count());
        Squares { output, cross, hidden }
    }

    /// The entries of W over a tile.
    fn form_w(&mut self, sum: &Sum<'_, '_, T>, tile: &Tile, packing: &mut [T]) {
        let (isa, m) = (sum.isa, sum.samples.shape.hidden());
        let f = Features::of_batch(sum.samples.f, m, &sum.range);
        let (height, width) = (tile.rows.len(), tile.columns.len());
        if tile.is_diagonal() {
            for (uu, w) in self.uu.chunks_exact(m).zip(self.w.chunks_exact_mut(tile.len())) {
                let w = MatrixMut::row_major(w, height, width);
                gemm::gram(isa, T::ONE, f.rows(&tile.rows), Some(uu), T::ZERO, w, gemm::Triangle::Both, packing);
            }
            return;
        }
        let rows = &f.data[tile.rows.start * m..tile.rows.end * m];
        let w = &mut self.w[..self.uu.len() / m * tile.len()];
        for (uu, w) in self.uu.chunks(GROUP * m).zip(w.chunks_mut(GROUP * tile.len())) {
            let scaled = &mut self.scaled[..uu.len() * height];
            isa.vectorize(|| {
                for (uu, scaled) in uu.chunks_exact(m).zip(scaled.chunks_exact_mut(height * m)) {
                    for (scaled, f) in scaled.chunks_exact_mut(m).zip(rows.chunks_exact(m)) {
                        for ((scaled, &f), &uu) in scaled.iter_mut().zip(f).zip(uu) {
                            *scaled = f * uu;
                        }
                    }
                }
            });
            let stacked = uu.len() / m * height;
            let (scaled, w) = (Matrix::row_major(scaled, stacked, m), MatrixMut::row_major(w, stacked, width));
            gemm(isa, T::ONE, scaled, f.rows(&tile.columns).t(), T::ZERO, w, packing);
        }
    }

    /// f̂ and Û from the entries of 2w Ŵ.
    fn spread_w(&mut self, sum: &Sum<'_, '_, T>, tile: &Tile, hats: &mut Hats<'_, T>, packing: &mut [T]) {
        let (isa, shape, start) = (sum.isa, sum.samples.shape, sum.range.start);
        let (m, r) = (shape.hidden(), shape.classes() - 1);
        let all_f = Features::of_batch(sum.samples.f, m, &sum.range);
        let rows = self.w.chunks_exact(tile.len()).zip(self.uu.chunks_exact(m));
        for ((k, l), (w, uu)) in entries(r).zip(rows) {
            // An entry off the diagonal stands for two.
            let twice = if k == l { T::ONE } else { T::TWO };
            let w = Matrix::row_major(w, tile.rows.len(), tile.columns.len());

            let products = &mut self.scaled[..tile.rows.len() * m];
            let out = MatrixMut::row_major(products, tile.rows.len(), m);
            gemm(isa, T::ONE, w, all_f.rows(&tile.columns), T::ZERO, out, packing);
            let f_hat = &mut hats.f[(start + tile.rows.start) * m..];
            let f = &all_f.data[tile.rows.start * m..];
            self.sums.fill(T::ZERO);
            isa.vectorize(|| {
                let rows = products.chunks_exact(m).zip(f_hat.chunks_exact_mut(m)).zip(f.chunks_exact(m));
                for ((products, f_hat), f) in rows {
                    let entries = products.iter().zip(f_hat).zip(f).zip(self.sums.iter_mut().zip(uu));
                    for (((&product, f_hat), &f), (sum, &uu)) in entries {
                        *f_hat += twice * uu * product;
                        *sum += f * product;
                    }
                }
            });
            if !tile.is_diagonal() {
                let products = &mut self.scaled[..tile.columns.len() * m];
                let out = MatrixMut::row_major(products, tile.columns.len(), m);
                gemm(isa, T::ONE, w.t(), all_f.rows(&tile.rows), T::ZERO, out, packing);
                let f_hat = &mut hats.f[(start + tile.columns.start) * m..];
                isa.vectorize(|| {
                    for (products, f_hat) in products.chunks_exact(m).zip(f_hat.chunks_exact_mut(m)) {
                        for ((&product, f_hat), &uu) in products.iter().zip(f_hat).zip(uu) {
                            *f_hat += twice * uu * product;
                        }
                    }
                });
            }
            // Σ f f' Ŵ is the same from both sides.
            let count = T::from_f64(tile.count());
            for (from, to) in [(l, k), (k, l)] {
                let entries = row_mut(self.u_hat, m, to).iter_mut().zip(row(self.u, m, from)).zip(&*self.sums);
                for ((u_hat, &u), &sum) in entries {
                    *u_hat += count * u * sum;
                }
                if k == l {
                    break;
                }
            }
        }
    }

    /// Σ' w Ga² (o·d' + d·o' + d·d') of all samples.
    pub(super) fn value_of_diagonals(&self, isa: InstructionSet) -> f64 {
        0.5 * (dot(isa, self.o, self.o_hat) + dot(isa, self.d, self.d_hat))
    }

    /// Hands over what is not a sample's own: Û, and q̂ of the columns.
    pub(super) fn finish(&mut self, sum: &Sum<'_, '_, T>, factors: &Factors<'_, T>, hats: &mut Hats<'_, T>) {
        let (m, k, n) = (sum.samples.shape.hidden(), sum.samples.shape.classes(), sum.range.len());
        let (others, last) = self.full_u_hat.split_at_mut((k - 1) * m);
        others.copy_from_slice(self.u_hat);
        last.fill(T::ZERO);
        for u_hat in others.chunks_exact(m) {
            add_scaled(sum.isa, last, -T::ONE, u_hat);
        }
        factors.reduce_rows(m, self.full_u_hat, self.u_hat, self.sums);
        add_scaled(sum.isa, hats.v, T::ONE, self.u_hat);
        for (i, p_hat) in hats.p.chunks_exact_mut(k).skip(sum.range.start).take(n).enumerate() {
            for (class, p_hat) in p_hat.iter_mut().enumerate() {
                *p_hat += self.q_hat[class * n + i];
            }
        }
    }

    /// The way back of the samples `chunk`, which `factors` has loaded, together with the part of B̂ in `common`.
    pub(super) fn back(
        &mut self,
        sum: &Sum<'_, '_, T>,
        factors: &mut Factors<'_, T>,
        common: &Common<'_, T>,
        chunk: &Range<usize>,
        hats: &mut Hats<'_, T>,
        packing: &mut [T],
    ) {
        let m = sum.samples.shape.hidden();
        let own = (chunk.start - sum.range.start) * m..(chunk.end - sum.range.start) * m;
        add_scaled(sum.isa, &mut hats.d[chunk.start * m..chunk.end * m], T::ONE, &self.d_hat[own.clone()]);
        let o_hat = HiddenHat::Omega(&self.o_hat[own]);
        factors.back(sum.isa, sum.samples, chunk, Some(common.b_hat), o_hat, hats, packing);
    }
}

/// The entries (k, l) of the upper triangle, by rows.
#[inline(always)]
fn entries(r: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..r).flat_map(move |k| (k..r).map(move |l| (k, l)))
}

/// One row of a tile: a sample against all columns.
struct Row<'a, T> {
    classes: usize,
    sigma: T,
    /// The row sample's most probable class, and its number.
    lead: usize,
    sample: usize,
    /// q and the leads of all samples, K×N.
    q: &'a [T],
    leads: &'a [T],
    /// q̂ of all samples, K×N, where the columns are not the rows of the same tile.
    column_q_hat: Option<&'a mut [T]>,
    n: usize,
    columns: Range<usize>,
    weights: &'a [T],
    ga: &'a [T],
    /// Gg; becomes the coefficient of ĝ.
    gg: &'a mut [T],
    ss: &'a [T],
    /// Entry e of W at `e * stride`; becomes 2w Ŵ.
    w: &'a mut [T],
    stride: usize,
    registers: &'a mut [T],
    /// q̂ of the row's sample; without it only the value is computed.
    q_hat: Option<&'a mut [T]>,
}

impl<T: Real> Kernel for Row<'_, T> {
    /// Shares of the output, the cross and the hidden block.
    type Output = [T; 3];

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) -> [T; 3] {
        let lanes = <T::Lanes<S> as Lanes>::LANES;
        let (k, width) = (self.classes, self.weights.len());
        let mut totals = [T::Lanes::<S>::zero(simd); 3];
        let sums = (k + 3) * k * lanes;
        self.registers[sums..][..k * lanes].fill(T::ZERO);
        for start in (0..width).step_by(lanes) {
            let len = lanes.min(width - start);
            for (total, share) in totals.iter_mut().zip(self.columns::<S>(simd, start, len)) {
                *total = *total + share;
            }
        }
        if let Some(q_hat) = self.q_hat {
            for (q_hat, sum) in q_hat.iter_mut().zip(self.registers[sums..].chunks_exact(lanes)) {
                *q_hat += T::Lanes::<S>::load(simd, sum).reduce_sum();
            }
        }
        totals.map(Lanes::reduce_sum)
    }
}

impl<T: Real> Row<'_, T> {
    /// The pairs with `len` columns from `start`, at most a register's lanes.
    #[inline(always)]
    fn columns<S: Simd>(&mut self, simd: S, start: usize, len: usize) -> [T::Lanes<S>; 3] {
        let (k, r, n, lead, lanes) = (self.classes, self.classes - 1, self.n, self.lead, <T::Lanes<S> as Lanes>::LANES);
        let zero = T::Lanes::<S>::zero(simd);
        let splat = |x: T| T::Lanes::<S>::splat(simd, x);
        let read = |from: &[T]| T::Lanes::<S>::load_partial(simd, &from[..len]);
        let register = |from: &[T], index: usize| T::Lanes::<S>::load(simd, &from[index * lanes..]);
        let (weight, ga, gg) = (read(&self.weights[start..]), read(&self.ga[start..]), read(&self.gg[start..]));
        let at = self.columns.start + start;
        let own_q = |class: usize| splat(self.q[class * n + self.sample]);
        let other_q = |class: usize| read(&self.q[class * n + at..]);
        let other_lead = |class: usize| read(&self.leads[class * n + at..]);

        let (theta, rest) = self.registers.split_at_mut(k * k * lanes);
        let (alpha, rest) = rest.split_at_mut(k * lanes);
        let (beta, rest) = rest.split_at_mut(k * lanes);
        let (other_hat, own_hat) = rest.split_at_mut(k * lanes);
        let mut index = 0;
        for i in 0..r {
            for l in i..r {
                let w = read(&self.w[index * self.stride + start..]);
                let entry = ga.mul_add(w, if i == l { gg } else { zero });
                entry.store(&mut theta[(i * k + l) * lanes..]);
                entry.store(&mut theta[(l * k + i) * lanes..]);
                index += 1;
            }
            zero.store(&mut theta[(i * k + r) * lanes..]);
            zero.store(&mut theta[(r * k + i) * lanes..]);
        }
        gg.store(&mut theta[(r * k + r) * lanes..]);

        // The leads' row and columns become zero. α: means of rows; β: of columns; γ: of both, each divided by σ once a mean.
        beta.fill(T::ZERO);
        let mut gamma = zero;
        for i in (0..k).filter(|&i| i != lead) {
            let (q, mut shift, mut mean) = (own_q(i), zero, zero);
            for l in 0..k {
                let entry = register(theta, i * k + l) - register(theta, lead * k + l);
                entry.store(&mut theta[(i * k + l) * lanes..]);
                shift = other_lead(l).mul_add(entry, shift);
            }
            for l in 0..k {
                let entry = register(theta, i * k + l) - shift;
                entry.store(&mut theta[(i * k + l) * lanes..]);
                mean = other_q(l).mul_add(entry, mean);
                q.mul_add(entry, register(beta, l)).store(&mut beta[l * lanes..]);
            }
            mean.store(&mut alpha[i * lanes..]);
            gamma = q.mul_add(mean, gamma);
        }
        zero.store(&mut alpha[lead * lanes..]);
        theta[lead * k * lanes..][..k * lanes].fill(T::ZERO);

        let sigma = splat(self.sigma);
        let gamma = sigma * gamma;
        for l in 0..k {
            (sigma * (register(beta, l) - gamma)).store(&mut beta[l * lanes..]);
        }
        let twice = splat(T::TWO) * weight;
        let (mut total, mut trace) = (zero, zero);
        other_hat.fill(T::ZERO);
        for i in 0..k {
            let (q, mean, mut hat) = (own_q(i), sigma * register(alpha, i), zero);
            for l in 0..k {
                let centred = register(theta, i * k + l) - (mean + register(beta, l));
                let (left, other_q) = (q * centred, other_q(l));
                hat = (other_q * centred).mul_add(centred, hat);
                left.mul_add(centred, register(other_hat, l)).store(&mut other_hat[l * lanes..]);
                (left * other_q).store(&mut theta[(i * k + l) * lanes..]);
            }
            total = q.mul_add(hat, total);
            trace = trace + register(theta, i * k + i);
            twice.mul_add(hat, register(own_hat, i)).store(&mut own_hat[i * lanes..]);
        }

        let ss = read(&self.ss[start..]);
        let output = gg * ss;
        let cross = trace - output;
        let shares = [weight * (gg * output), twice * (gg * cross), weight * (total - gg * (trace + cross))];
        if self.q_hat.is_none() {
            return shares;
        }
        (splat(T::TWO) * twice * trace).store_partial(&mut self.gg[start..start + len]);
        let weighted = twice * ga;
        let mut index = 0;
        for i in 0..r {
            for l in i..r {
                let entry = weighted * (register(theta, i * k + l) + register(theta, l * k + i));
                entry.store_partial(&mut self.w[index * self.stride + start..][..len]);
                index += 1;
            }
        }
        if let Some(column_q_hat) = &mut self.column_q_hat {
            for l in 0..k {
                let place = &mut column_q_hat[l * n + at..][..len];
                twice.mul_add(register(other_hat, l), read(place)).store_partial(place);
            }
        }
        shares
    }
}
