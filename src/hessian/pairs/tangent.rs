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

/// Entries of W whose Gram matrices are formed by one product, and whose products are folded at once.
const GROUP: usize = 4;

/// Numbers that the entries of W over a part of a tile may take: a share of the L2 cache.
const PART_LEN: usize = 1 << 18;

/// Samples on a side of a part of a tile: W is formed, used and dropped part by part.
const fn part_len(shape: Shape, n: usize) -> usize {
    let mut part = tile_len(n);
    while part > 32 && (triangle(shape.classes() - 1)).saturating_mul(part * part) > PART_LEN {
        part = 32;
    }
    part
}

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
    /// Entries of W of a part of a tile, R₂ times rows × columns; then of 2w Ŵ.
    w: &'w mut [T],
    /// Rows f of a part times something, for a group of entries.
    scaled: &'w mut [T],
    /// `GROUP` rows of M numbers; K×M numbers.
    sums: &'w mut [T],
    full_u_hat: &'w mut [T],
    /// Θ of a register of pairs, and seven rows of K registers.
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
    let (m, k, tile, part) = (shape.hidden(), shape.classes(), tile_len(n), part_len(shape, n));
    let (r, r2) = (k - 1, triangle(k - 1));
    sum(&[
        product(&[2, r, m]),
        product(&[r2, m]),
        product(&[3, k, n]),
        product(&[5, n, m]),
        product(&[tile, tile]),
        product(&[r2, part, part]),
        product(&[GROUP, part, m]),
        product(&[k + GROUP, m]),
        product(&[k.saturating_add(7), k, MAX_LANES]),
    ])
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (m, r, t, p) = (shape.hidden(), shape.classes() - 1, tile_len(n), part_len(shape, n));
    gemm::largest_workspace(&[[GROUP * p, m, p], [p, p, m], [t, t, m], [t, triangle(r), t]])
}

impl<'w, T: Real> Tangent<'w, T> {
    pub(super) fn new(sum: &Sum<'_, '_, T>, factors: &Factors<'_, T>, arena: &mut Arena<'w, T>) -> Self {
        let (shape, n) = (sum.samples.shape, sum.range.len());
        let (m, k, tile, part) = (shape.hidden(), shape.classes(), tile_len(n), part_len(shape, n));
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
            w: arena.take(r2 * part * part),
            scaled: arena.take(GROUP * part * m),
            sums: arena.take(GROUP * m),
            full_u_hat: arena.take(k * m),
            registers: arena.take((k + 7) * k * MAX_LANES),
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
        let (m, k, width) = (shape.hidden(), shape.classes(), tile.columns.len());
        Features::of_batch(factors.s, triangle(k - 1), &sum.range).gram(isa, tile, self.ss, packing);

        let mut total = [0.0; 3];
        let mut hats = hats;
        for part in tile.parts(part_len(shape, n)) {
            self.form_w(sum, &part, packing);
            let from = part.columns.start - tile.columns.start;
            let columns = from..from + part.columns.len();
            for i in 0..part.rows.len() {
                let sample = part.rows.start + i;
                let in_tile = sample - tile.rows.start;
                let shares = isa.run(Row {
                    classes: k,
                    sigma: T::from_f64(factors.sigma),
                    lead: first_largest(row(sum.samples.p, k, sum.range.start + sample)),
                    sample,
                    q: self.q,
                    leads: self.leads,
                    column_q_hat: if part.is_diagonal() { None } else { Some(&mut *self.q_hat) },
                    n,
                    columns: part.columns.clone(),
                    weights: &row(common.weights, width, in_tile)[columns.clone()],
                    ga: &row(common.ga, width, in_tile)[columns.clone()],
                    gg: &mut row_mut(common.gg, width, in_tile)[columns.clone()],
                    ss: &row(self.ss, width, in_tile)[columns.clone()],
                    w: &mut self.w[i * part.columns.len()..],
                    stride: part.len(),
                    registers: self.registers,
                    q_hat: hats.as_deref_mut().map(|hats| row_mut(hats.p, k, sum.range.start + sample)),
                });
                for (total, share) in total.iter_mut().zip(shares) {
                    *total += part.count() * share.to_f64();
                }
            }
            if let Some(hats) = hats.as_deref_mut() {
                self.spread_w(sum, &part, hats, packing);
            }
            if tile.is_diagonal() && !part.is_diagonal() {
                for i in part.rows.clone().map(|row| row - tile.rows.start) {
                    for j in columns.clone() {
                        common.gg[j * width + i] = common.gg[i * width + j];
                    }
                }
            }
        }

        Features::new(self.d, m).spread(isa, common.aa, tile, self.o_hat, packing);
        Features::new(self.od, m).spread(isa, common.aa, tile, self.d_hat, packing);
        let [output, cross, hidden] = total;
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
        let count = T::from_f64(tile.count());
        let mut index = entries(r);
        for (w, uu) in self.w.chunks(GROUP * tile.len()).zip(self.uu.chunks(GROUP * m)) {
            let group: [_; GROUP] = core::array::from_fn(|_| index.next());
            // An entry off the diagonal stands for two.
            let twice = group.map(|entry| if entry.is_some_and(|(k, l)| k == l) { T::ONE } else { T::TWO });
            let mut side = |from: &Range<usize>, to: &Range<usize>, sums: Option<&mut [T]>| {
                let products = &mut self.scaled[..uu.len() * to.len()];
                for (w, products) in w.chunks_exact(tile.len()).zip(products.chunks_exact_mut(to.len() * m)) {
                    let w = Matrix::row_major(w, tile.rows.len(), tile.columns.len());
                    let w = if *to == tile.rows { w } else { w.t() };
                    gemm(
                        isa,
                        T::ONE,
                        w,
                        all_f.rows(from),
                        T::ZERO,
                        MatrixMut::row_major(products, to.len(), m),
                        packing,
                    );
                }
                let f_hat = &mut hats.f[(start + to.start) * m..(start + to.end) * m];
                let f = &all_f.data[to.start * m..to.end * m];
                isa.run(Fold { m, products, twice, uu, f, f_hat, sums });
            };
            side(&tile.columns, &tile.rows, Some(&mut *self.sums));
            if !tile.is_diagonal() {
                side(&tile.rows, &tile.columns, None);
            }
            // Σ f f' Ŵ is the same from both sides.
            for ((k, l), sums) in group.into_iter().flatten().zip(self.sums.chunks_exact(m)) {
                for (from, to) in [(l, k), (k, l)] {
                    let entries = row_mut(self.u_hat, m, to).iter_mut().zip(row(self.u, m, from)).zip(sums);
                    for ((u_hat, &u), &sum) in entries {
                        *u_hat += count * u * sum;
                    }
                    if k == l {
                        break;
                    }
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
        factors.reduce_rows(m, self.full_u_hat, self.u_hat, &mut self.sums[..m]);
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

/// Products of a group of entries of Ŵ with rows f, folded: into f̂, weighted by `U_k∘U_l`, and into sums over the rows, weighted by f.
struct Fold<'a, T> {
    m: usize,
    /// One matrix of rows an entry.
    products: &'a [T],
    twice: [T; GROUP],
    uu: &'a [T],
    f: &'a [T],
    f_hat: &'a mut [T],
    /// One row an entry.
    sums: Option<&'a mut [T]>,
}

impl<T: Real> Kernel for Fold<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let lanes = <T::Lanes<S> as Lanes>::LANES;
        for start in (0..self.m).step_by(lanes) {
            let len = lanes.min(self.m - start);
            match self.uu.len() / self.m {
                1 => self.columns::<S, 1>(simd, start, len),
                2 => self.columns::<S, 2>(simd, start, len),
                3 => self.columns::<S, 3>(simd, start, len),
                _ => self.columns::<S, GROUP>(simd, start, len),
            }
        }
    }
}

impl<T: Real> Fold<'_, T> {
    /// The columns of a register, all rows.
    #[inline(always)]
    fn columns<S: Simd, const ENTRIES: usize>(&mut self, simd: S, start: usize, len: usize) {
        let (m, matrix) = (self.m, self.f.len());
        let read = |from: &[T]| T::Lanes::<S>::load_partial(simd, &from[..len]);
        let mut sums = [T::Lanes::<S>::zero(simd); ENTRIES];
        let mut uu = sums;
        for (e, uu) in uu.iter_mut().enumerate() {
            *uu = T::Lanes::<S>::splat(simd, self.twice[e]) * read(&self.uu[e * m + start..]);
        }
        for at in (start..matrix).step_by(m) {
            let (f, mut f_hat) = (read(&self.f[at..]), read(&self.f_hat[at..]));
            for e in 0..ENTRIES {
                let product = read(&self.products[e * matrix + at..]);
                f_hat = uu[e].mul_add(product, f_hat);
                sums[e] = f.mul_add(product, sums[e]);
            }
            f_hat.store_partial(&mut self.f_hat[at..at + len]);
        }
        if let Some(all) = &mut self.sums {
            for (e, sum) in sums.into_iter().enumerate() {
                sum.store_partial(&mut all[e * m + start..][..len]);
            }
        }
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
        self.registers[..k * lanes].fill(T::ZERO);
        for start in (0..width).step_by(lanes) {
            let len = lanes.min(width - start);
            for (total, share) in totals.iter_mut().zip(self.columns::<S>(simd, start, len)) {
                *total = *total + share;
            }
        }
        if let Some(q_hat) = self.q_hat {
            for (q_hat, sum) in q_hat.iter_mut().zip(self.registers.chunks_exact(lanes)) {
                *q_hat += T::Lanes::<S>::load(simd, sum).reduce_sum();
            }
        }
        let [output, cross, hidden] = totals;
        [output.reduce_sum(), cross.reduce_sum(), hidden.reduce_sum()]
    }
}

impl<T: Real> Row<'_, T> {
    /// The pairs with `len` columns from `start`, at most a register's lanes.
    #[inline(always)]
    fn columns<S: Simd>(&mut self, simd: S, start: usize, len: usize) -> [T::Lanes<S>; 3] {
        let (k, r, n, lead, lanes) = (self.classes, self.classes - 1, self.n, self.lead, <T::Lanes<S> as Lanes>::LANES);
        let zero = T::Lanes::<S>::zero(simd);
        let splat = |x: T| T::Lanes::<S>::splat(simd, x);
        let read = |from: &[T]| first::<T::Lanes<S>>(simd, from, len);
        let register = |from: &[T]| T::Lanes::<S>::load(simd, from);
        let (weight, ga, gg) = (read(&self.weights[start..]), read(&self.ga[start..]), read(&self.gg[start..]));
        let at = self.columns.start + start;
        let own_q = |class: usize| splat(self.q[class * n + self.sample]);

        let line = k * lanes;
        let (own_hat, rest) = self.registers.split_at_mut(line);
        let (theta, rest) = rest[..(k + 6) * line].split_at_mut(k * line);
        let (alpha, rest) = rest.split_at_mut(line);
        let (beta, rest) = rest.split_at_mut(line);
        let (other_hat, rest) = rest.split_at_mut(line);
        let (lead_row, rest) = rest.split_at_mut(line);
        let (other_q, other_lead) = rest.split_at_mut(line);
        for class in 0..k {
            read(&self.q[class * n + at..]).store(&mut other_q[class * lanes..]);
            read(&self.leads[class * n + at..]).store(&mut other_lead[class * lanes..]);
        }
        let mut entry = self.w.get(start..).unwrap_or_default().chunks(self.stride);
        for i in 0..r {
            for l in i..r {
                let w = read(entry.next().unwrap_or_default());
                let entry = ga.mul_add(w, if i == l { gg } else { zero });
                entry.store(&mut theta[i * line + l * lanes..]);
                entry.store(&mut theta[l * line + i * lanes..]);
            }
            zero.store(&mut theta[i * line + r * lanes..]);
            zero.store(&mut theta[r * line + i * lanes..]);
        }
        gg.store(&mut theta[r * line + r * lanes..]);

        // The leads' row and columns become zero. α: means of rows; β: of columns; γ: of both, each divided by σ once a mean.
        beta.fill(T::ZERO);
        lead_row.copy_from_slice(&theta[lead * line..][..line]);
        let mut gamma = zero;
        for (i, (row, alpha)) in theta.chunks_exact_mut(line).zip(alpha.chunks_exact_mut(lanes)).enumerate() {
            let (q, mut shift, mut mean) = (own_q(i), zero, zero);
            let entries = row.chunks_exact_mut(lanes).zip(lead_row.chunks_exact(lanes));
            for ((entry, lead), other_lead) in entries.zip(other_lead.chunks_exact(lanes)) {
                let shifted = register(entry) - register(lead);
                shifted.store(entry);
                shift = register(other_lead).mul_add(shifted, shift);
            }
            let entries = row.chunks_exact_mut(lanes).zip(beta.chunks_exact_mut(lanes));
            for ((entry, beta), other_q) in entries.zip(other_q.chunks_exact(lanes)) {
                let shifted = register(entry) - shift;
                shifted.store(entry);
                mean = register(other_q).mul_add(shifted, mean);
                q.mul_add(shifted, register(beta)).store(beta);
            }
            mean.store(alpha);
            gamma = q.mul_add(mean, gamma);
        }

        let sigma = splat(self.sigma);
        let gamma = sigma * gamma;
        for beta in beta.chunks_exact_mut(lanes) {
            (sigma * (register(beta) - gamma)).store(beta);
        }
        let twice = splat(T::TWO) * weight;
        let (mut total, mut trace) = (zero, zero);
        other_hat.fill(T::ZERO);
        let rows = theta.chunks_exact_mut(line).zip(alpha.chunks_exact(lanes)).zip(own_hat.chunks_exact_mut(lanes));
        for (i, ((row, alpha), own_hat)) in rows.enumerate() {
            let (q, mean, mut hat) = (own_q(i), sigma * register(alpha), zero);
            let entries = row.chunks_exact_mut(lanes).zip(beta.chunks_exact(lanes));
            let others = other_q.chunks_exact(lanes).zip(other_hat.chunks_exact_mut(lanes));
            for ((entry, beta), (other_q, other_hat)) in entries.zip(others) {
                let centred = register(entry) - (mean + register(beta));
                let (left, other_q) = (q * centred, register(other_q));
                hat = (other_q * centred).mul_add(centred, hat);
                left.mul_add(centred, register(other_hat)).store(other_hat);
                (left * other_q).store(entry);
            }
            total = q.mul_add(hat, total);
            trace = trace + register(&row[i * lanes..]);
            twice.mul_add(hat, register(own_hat)).store(own_hat);
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
        let mut entry = self.w.get_mut(start..).unwrap_or_default().chunks_mut(self.stride);
        for i in 0..r {
            for l in i..r {
                let sum = register(&theta[i * line + l * lanes..]) + register(&theta[l * line + i * lanes..]);
                let place = entry.next().unwrap_or_default();
                if len == lanes {
                    (weighted * sum).store(place)
                } else {
                    (weighted * sum).store_partial(&mut place[..len])
                }
            }
        }
        if let Some(column_q_hat) = &mut self.column_q_hat {
            for (class, other_hat) in other_hat.chunks_exact(lanes).enumerate() {
                let place = &mut column_q_hat[class * n + at..][..len];
                twice.mul_add(register(other_hat), read(place)).store_partial(place);
            }
        }
        shares
    }
}

/// The first `len` numbers in a register, 0 in its other lanes.
#[inline(always)]
fn first<V: Lanes>(simd: V::Simd, from: &[V::Scalar], len: usize) -> V {
    if len == V::LANES { V::load(simd, from) } else { V::load_partial(simd, &from[..len]) }
}
