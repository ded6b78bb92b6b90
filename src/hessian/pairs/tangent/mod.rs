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
//! **Loop order.** A tile is cut into parts, whose R₂ entries of W fit into the L2 cache ([`part_len`]); of a tile on the diagonal those
//! on or above the diagonal. Of a part first the [entries] of W are formed; then, for each row of the part and as many columns at once as
//! a register has lanes, X, q̂ and q̂' ([`centring`]); then the entries of `Ŵ = Ga (X + Xᵀ)` give back f̂ and V̂. What a part adds to: f̂
//! of its rows and of its columns, p̂ of its rows, q̂ of its columns, and Û, which is everyone's.
//!
//! Multiply–adds a pair: `R₂M/2` for the Gram matrices, `R₂M + 2M` for the hats, about `10K²` operations for each pair of a tile.

mod centring;
mod entries;

use core::ops::Range;

use crate::gemm;
use crate::hessian::contrasts::triangle;
use crate::hessian::evaluation::{Squares, first_largest};
use crate::hessian::factors::{Factors, Hats, HiddenHat};
use crate::hessian::pairs::common::Common;
use crate::hessian::pairs::{Features, Sum, Tile, tile_len};
use crate::network::Shape;
use crate::plan::{Work, largest, product, sum};
use crate::real::Real;
use crate::simd::{InstructionSet, MAX_LANES};
use crate::vector::{add_scaled, dot};
use crate::workspace::{Arena, row, row_mut};
use centring::Row;
use entries::Entries;

/// Bytes that the entries of W over a part of a tile may take: the L2 cache of a server's core, which is 1 MiB or more.
const PART_BYTES: u64 = 1 << 20;

/// Samples on a side of a part of a tile, for numbers of `bytes`: W is formed, used and dropped part by part.
const fn part_len(shape: Shape, n: usize, bytes: usize) -> usize {
    let part = tile_len(n);
    let all = product(&[bytes, triangle(shape.classes() - 1), part, part]);
    if part > 32 && all > PART_BYTES { 32 } else { part }
}

/// The largest part of any type: that of the smallest numbers.
const fn largest_part(shape: Shape, n: usize) -> usize {
    part_len(shape, n, size_of::<f32>())
}

/// Feature rows of the samples, and the entries of W of a tile.
#[derive(Debug)]
pub(super) struct Tangent<'w, T> {
    entries: Entries<'w, T>,
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
    /// K×M numbers, and M.
    full_u_hat: &'w mut [T],
    row: &'w mut [T],
    /// Θ of a register of pairs, and seven rows of K registers.
    registers: &'w mut [T],
}

/// Gram matrices, hats and traces of `n` samples.
pub(super) const fn work(shape: Shape, n: usize) -> Work {
    let (m, k) = (shape.hidden(), shape.classes());
    let products = sum(&[product(&[3, triangle(k - 1), m]), product(&[4, m]), product(&[3, triangle(k - 1)]) / 3]);
    // Tiles on the diagonal are visited whole, the others once for two.
    let visited = product(&[n, n]).saturating_add(product(&[n, tile_len(n)])) / 2;
    let centring = visited.saturating_mul(product(&[15, k, k]));
    Work::sum(&[Work::new(product(&[n, n]).saturating_mul(products), 1), Work::new(centring, 9)])
}

/// Lengths of the slices of [`Tangent`], in their order.
const fn lengths(shape: Shape, n: usize) -> [u64; 12] {
    let (m, k, tile) = (shape.hidden(), shape.classes(), tile_len(n));
    let (of_classes, of_units) = (product(&[k, n]), product(&[n, m]));
    [
        of_classes,
        of_classes,
        of_classes,
        of_units,
        of_units,
        of_units,
        of_units,
        of_units,
        product(&[tile, tile]),
        product(&[k, m]),
        m as u64,
        product(&[k.saturating_add(7), k, MAX_LANES]),
    ]
}

/// Elements that [`Tangent::new`] takes.
pub(super) const fn elements(shape: Shape, n: usize) -> u64 {
    sum(&[entries::elements(shape, largest_part(shape, n)), sum(&lengths(shape, n))])
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (m, r, t) = (shape.hidden(), shape.classes() - 1, tile_len(n));
    let tiles = gemm::largest_workspace(&[[t, t, m], [t, triangle(r), t]]);
    let parts = entries::packing_elements(shape, largest_part(shape, n));
    // A smaller part of wider numbers may be packed otherwise.
    let wide = entries::packing_elements(shape, part_len(shape, n, size_of::<f64>()));
    largest(&[parts, wide, tiles])
}

impl<'w, T: Real> Tangent<'w, T> {
    pub(super) fn new(sum: &Sum<'_, '_, T>, factors: &Factors<'_, T>, arena: &mut Arena<'w, T>) -> Self {
        let (shape, n) = (sum.samples.shape, sum.range.len());
        let k = shape.classes();
        let entries = Entries::new(shape, largest_part(shape, n), sum.samples.v, arena);
        let [q, leads, q_hat, o, o_hat, d, od, d_hat, ss, full_u_hat, a_row, registers] =
            arena.take_all(lengths(shape, n));
        for hat in [&mut *q_hat, o_hat, d_hat] {
            hat.fill(T::ZERO);
        }
        let scale = T::from_f64(1.0 / factors.sigma);
        for (i, p) in sum.samples.p.chunks_exact(k).skip(sum.range.start).take(n).enumerate() {
            let lead = first_largest(p);
            for (class, &p) in p.iter().enumerate() {
                q[class * n + i] = scale * p;
                leads[class * n + i] = if class == lead { T::ONE } else { T::ZERO };
            }
        }
        Self { entries, q, leads, q_hat, o, o_hat, d, od, d_hat, ss, full_u_hat, row: a_row, registers }
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
        for part in tile.parts(part_len(shape, n, size_of::<T>())) {
            self.entries.form(sum, &part, packing);
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
                    w: &mut self.entries.w[i * part.columns.len()..],
                    stride: entries::stride(&part),
                    registers: self.registers,
                    q_hat: hats.as_deref_mut().map(|hats| row_mut(hats.p, k, sum.range.start + sample)),
                });
                for (total, share) in total.iter_mut().zip(shares) {
                    *total += part.count() * share.to_f64();
                }
            }
            if let Some(hats) = hats.as_deref_mut() {
                self.entries.spread(sum, &part, hats, packing);
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

    /// Σ' w Ga² (o·d' + d·o' + d·d') of all samples.
    pub(super) fn value_of_diagonals(&self, isa: InstructionSet) -> f64 {
        0.5 * (dot(isa, self.o, self.o_hat) + dot(isa, self.d, self.d_hat))
    }

    /// Hands over what is not a sample's own: Û, and q̂ of the columns.
    pub(super) fn finish(&mut self, sum: &Sum<'_, '_, T>, factors: &Factors<'_, T>, hats: &mut Hats<'_, T>) {
        let (m, k, n) = (sum.samples.shape.hidden(), sum.samples.shape.classes(), sum.range.len());
        let (others, last) = self.full_u_hat.split_at_mut((k - 1) * m);
        others.copy_from_slice(self.entries.u_hat);
        last.fill(T::ZERO);
        for u_hat in others.chunks_exact(m) {
            add_scaled(sum.isa, last, -T::ONE, u_hat);
        }
        let u_hat = &mut *self.entries.u_hat;
        factors.reduce_rows(m, self.full_u_hat, u_hat, self.row);
        add_scaled(sum.isa, hats.v, T::ONE, u_hat);
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
