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
//! of its rows and of its columns, p̂ of its rows, q̂ of its columns, and Û of the block of its rows. Either half of the rows of a part off
//! the diagonal is a worker's, with a q̂ of the columns of its own; then rows are one worker's and columns the other's.
//!
//! Multiply–adds a pair: `R₂M/2` for the Gram matrices, `R₂M + 2M` for the hats, about `10K²` operations for each pair of a tile.

mod centring;
mod entries;

use core::ops::Range;

use crate::gemm;
use crate::hessian::contrasts::triangle;
use crate::hessian::evaluation::{Squares, first_largest};
use crate::hessian::factors::{CHUNK, Hats, Loaded};
use crate::hessian::pairs::desk::{Grams, Local, Space, Team};
use crate::hessian::pairs::rows::{End, RowHats, Rows};
use crate::hessian::pairs::tile::{Features, Side, Tile};
use crate::hessian::pairs::{Ends, Sum, TILE, tile_len};
use crate::network::Shape;
use crate::plan::{Work, largest, product, sum};
use crate::real::Real;
use crate::simd::MAX_LANES;
use crate::vector::add_scaled;
use crate::workspace::{Arena, PerSample, pieces, row};
use centring::Row;

/// Bytes that the entries of W over a part of a tile may take: the L2 cache of a server's core, which is 1 MiB or more.
const PART_BYTES: u64 = 1 << 20;

/// Samples on a side of a part of a tile, for numbers of `bytes`: W is formed, used and dropped part by part. Never more than for a
/// larger batch, whose workspace a smaller one may have.
const fn part_len(shape: Shape, n: usize, bytes: usize) -> usize {
    let part = tile_len(n);
    let all = product(&[bytes, triangle(shape.classes() - 1), TILE, TILE]);
    if part > 32 && all > PART_BYTES { 32 } else { part }
}

/// The largest part of any type: that of the smallest numbers.
const fn largest_part(shape: Shape, n: usize) -> usize {
    part_len(shape, n, size_of::<f32>())
}

/// What all tiles read, besides feature rows.
#[derive(Debug)]
pub(super) struct Network<'w, T> {
    /// U, R×M.
    u: &'w mut [T],
    /// U_k∘U_l for k ≤ l, R₂×M.
    uu: &'w mut [T],
    /// q, K×N: one row a class, so that lanes are samples.
    q: &'w mut [T],
    /// 1 at each sample's most probable class, K×N.
    leads: &'w mut [T],
    /// Scratch for the way back of Û: K×M numbers, and M.
    full_u_hat: &'w mut [T],
    row: &'w mut [T],
}

/// Gram matrices, hats and traces of `n` samples.
pub(super) const fn work(shape: Shape, n: usize) -> Work {
    let (m, k) = (shape.hidden(), shape.classes());
    let products = sum(&[product(&[3, triangle(k - 1), m]), product(&[4, m]), product(&[3, triangle(k - 1)]) / 3]);
    // Tiles on the diagonal are visited whole, the others once for two.
    let visited = product(&[n, n]).saturating_add(product(&[n, tile_len(n)])) / 2;
    let centring = visited.saturating_mul(product(&[15, k, k]));
    // Two classes are centred in closed form.
    let slowness = if k == 2 { 2 } else { 8 };
    Work::sum(&[Work::new(product(&[n, n]).saturating_mul(products), 1), Work::new(centring, slowness)])
}

/// Lengths of the slices of [`Network`], in their order.
const fn network_lengths(shape: Shape, n: usize) -> [u64; 6] {
    let (m, k) = (shape.hidden(), shape.classes());
    let of_classes = product(&[k, n]);
    [product(&[k - 1, m]), product(&[triangle(k - 1), m]), of_classes, of_classes, product(&[k, m]), m as u64]
}

/// Elements that [`Network::new`] takes.
pub(super) const fn elements(shape: Shape, n: usize) -> u64 {
    sum(&network_lengths(shape, n))
}

/// Lengths of a worker's scratch: entries of W, q̂ of columns, transposed rows, scaled rows, sums of a group, registers.
pub(super) const fn lengths(shape: Shape, n: usize) -> [u64; 6] {
    let (k, part) = (shape.classes(), largest_part(shape, n));
    let [w, transposed, scaled, sums] = entries::lengths(shape, part);
    [w, product(&[k, part]), transposed, scaled, sums, product(&[k.saturating_add(7), k, MAX_LANES])]
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

impl<'w, T: Real> Network<'w, T> {
    /// Without anything in it where the form is another.
    pub(super) fn new<const TANGENT: bool>(sum: &Sum<'_, '_, T, TANGENT>, arena: &mut Arena<'w, T>) -> Self {
        let (shape, n) = (sum.samples.shape, sum.range.len());
        let lengths = if TANGENT { network_lengths(shape, n) } else { [0; 6] };
        let [u, uu, q, leads, full_u_hat, row] = arena.take_all(lengths);
        if TANGENT {
            entries::write_network(shape, sum.samples.v, u, uu);
            let (k, scale) = (shape.classes(), T::from_f64(1.0 / sum.factors.sigma));
            for (i, p) in sum.samples.p.chunks_exact(k).skip(sum.range.start).take(n).enumerate() {
                let lead = first_largest(p);
                for (class, &p) in p.iter().enumerate() {
                    q[class * n + i] = scale * p;
                    leads[class * n + i] = if class == lead { T::ONE } else { T::ZERO };
                }
            }
        }
        Self { u, uu, q, leads, full_u_hat, row }
    }

    /// Returns the tile's share of the trace, spreads it over the hats, and leaves the coefficients of ĝ.
    pub(super) fn visit<const TANGENT: bool>(
        &self,
        sum: &Sum<'_, '_, T, TANGENT>,
        tile: &Tile,
        space: &mut Space<'_, T>,
        ends: &mut Ends<'_, T>,
        team: &mut Team<'_, T>,
    ) -> Squares {
        let width = tile.columns.len();
        let mut total = [0.0; 3];
        for part in tile.parts(part_len(sum.samples.shape, sum.range.len(), size_of::<T>())) {
            let shares = self.centre(sum, tile, &part, space, ends, team);
            for (total, share) in total.iter_mut().zip(shares) {
                *total += part.count() * share;
            }
            self.spread(sum, &part, space.w, ends, team);
            if tile.is_diagonal() && !part.is_diagonal() {
                let gg = &mut *space.grams.gg;
                for i in part.rows.clone().map(|row| row - tile.rows.start) {
                    for j in part.columns.clone().map(|column| column - tile.columns.start) {
                        gg[j * width + i] = gg[i * width + j];
                    }
                }
            }
        }
        let [output, cross, hidden] = total;
        Squares { output, cross, hidden }
    }

    /// Forms the entries of W of a part, and turns them into those of 2w Ŵ; adds to q̂ and p̂. Returns shares of the trace.
    fn centre<const TANGENT: bool>(
        &self,
        sum: &Sum<'_, '_, T, TANGENT>,
        tile: &Tile,
        part: &Tile,
        space: &mut Space<'_, T>,
        ends: &mut Ends<'_, T>,
        team: &mut Team<'_, T>,
    ) -> [f64; 3] {
        let (width, height) = (tile.columns.len(), part.columns.len());
        let Grams { weights, ga, gg, ss, .. } = &mut space.grams;
        let from = part.columns.start - tile.columns.start;
        let (grams, first_row) = ([&**weights, &**ga, &**ss], (part.rows.start - tile.rows.start) * width);
        let Ends { rows: End { own, hats }, columns } = ends;
        if part.is_diagonal() {
            entries::form_diagonal(self, sum, part, space.w, &mut team.one);
            let p_hat = hats.as_mut().map(|hats| hats.p.reborrow());
            let half = Half { tile, part, grams, gg: &mut gg[first_row..], w: space.w, p_hat, column_q_hat: None };
            return self.rows(sum, half, team.one.registers);
        }

        let own = columns.as_mut().map_or(own, |columns| &mut columns.own);
        let q_hat = &mut own.q.rows_mut(&tile.columns)[from..];
        let [above, below] = part.halves();
        let line = entries::line::<T>(sum.samples.shape, height);
        let (w, other_w) = space.w.split_at_mut(above.rows.len() * line);
        let (gg, other_gg) = gg[first_row..].split_at_mut(above.rows.len() * width);
        let (p_hat, other_p_hat) = hats.as_mut().map(|hats| hats.p.reborrow().split_at(below.rows.start)).unzip();
        let other_q_hat = &mut space.q_hat[..sum.samples.shape.classes() * height];
        other_q_hat.fill(T::ZERO);
        let first = Half { tile, part: &above, grams, gg, w, p_hat, column_q_hat: Some((q_hat, width)) };
        let second = Half {
            tile,
            part: &below,
            grams,
            gg: other_gg,
            w: other_w,
            p_hat: other_p_hat,
            column_q_hat: Some((other_q_hat, height)),
        };
        let both = team.both(
            |local| {
                entries::form(self, sum, first.part, first.w, local);
                self.rows(sum, first, local.registers)
            },
            |local| {
                entries::form(self, sum, second.part, second.w, local);
                self.rows(sum, second, local.registers)
            },
        );
        let q_hat = &mut own.q.rows_mut(&tile.columns)[from..];
        for (q_hat, other) in q_hat.chunks_mut(width).zip(space.q_hat.chunks_exact(height)) {
            for (q_hat, &other) in q_hat.iter_mut().zip(other) {
                *q_hat += other;
            }
        }
        core::array::from_fn(|share| both.0[share] + both.1[share])
    }

    /// The rows of a half, one after the other.
    fn rows<const TANGENT: bool>(
        &self,
        sum: &Sum<'_, '_, T, TANGENT>,
        half: Half<'_, T>,
        registers: &mut [T],
    ) -> [f64; 3] {
        let Half { tile, part, grams: [weights, ga, ss], gg, w, mut p_hat, mut column_q_hat } = half;
        let (k, width, line) = (
            sum.samples.shape.classes(),
            tile.columns.len(),
            entries::line::<T>(sum.samples.shape, part.columns.len()),
        );
        let from = part.columns.start - tile.columns.start;
        let columns = from..from + part.columns.len();
        let mut total = [0.0; 3];
        for (i, sample) in part.rows.clone().enumerate() {
            let in_tile = sample - tile.rows.start;
            let shares = sum.isa.run(Row {
                classes: k,
                sigma: T::from_f64(sum.factors.sigma),
                lead: first_largest(row(sum.samples.p, k, sample)),
                sample: sample - sum.range.start,
                q: self.q,
                leads: self.leads,
                column_q_hat: column_q_hat.as_mut().map(|(q_hat, stride)| (&mut **q_hat, *stride)),
                n: sum.range.len(),
                first_column: part.columns.start - sum.range.start,
                weights: &row(weights, width, in_tile)[columns.clone()],
                ga: &row(ga, width, in_tile)[columns.clone()],
                gg: &mut gg[i * width..][columns.clone()],
                ss: &row(ss, width, in_tile)[columns.clone()],
                w: &mut w[i * line..][..line],
                registers,
                q_hat: p_hat.as_mut().map(|p_hat| p_hat.row_mut(sample)),
            });
            for (total, share) in total.iter_mut().zip(shares) {
                *total += share.to_f64();
            }
        }
        total
    }

    /// f̂ and Û from the entries of 2w Ŵ of a part.
    fn spread<const TANGENT: bool>(
        &self,
        sum: &Sum<'_, '_, T, TANGENT>,
        part: &Tile,
        w: &[T],
        ends: &mut Ends<'_, T>,
        team: &mut Team<'_, T>,
    ) {
        let spread = |side, f_hat: &mut PerSample<'_, T>, u_hat: Option<&mut [T]>, local: &mut Local<'_, T>| {
            entries::spread(self, sum, (part, side), w, f_hat, u_hat, local);
        };
        let Ends { rows: End { own, hats }, columns } = ends;
        let Some(hats) = hats else { return };
        let u_hat = Some(own.u_of(part.rows.start));
        match columns.as_mut().and_then(|columns| columns.hats.as_mut()) {
            Some(others) => {
                team.both(
                    |local| spread(Side::Rows, &mut hats.f, u_hat, local),
                    |local| spread(Side::Columns, &mut others.f, None, local),
                );
            }
            None => {
                spread(Side::Rows, &mut hats.f, u_hat, &mut team.one);
                if !part.is_diagonal() {
                    spread(Side::Columns, &mut hats.f, None, &mut team.one);
                }
            }
        }
    }

    /// Hands over what is not a sample's own: Û, and q̂ of the columns.
    pub(super) fn finish<const TANGENT: bool>(
        &mut self,
        sum: &Sum<'_, '_, T, TANGENT>,
        own: &mut RowHats<'_, T>,
        hats: &mut Hats<'_, T>,
    ) {
        let (m, k) = (sum.samples.shape.hidden(), sum.samples.shape.classes());
        let (u_hat, blocks) = own.u.all_mut().split_at_mut((k - 1) * m);
        for block in blocks.chunks_exact(u_hat.len()) {
            add_scaled(sum.isa, u_hat, T::ONE, block);
        }
        let (others, last) = self.full_u_hat.split_at_mut((k - 1) * m);
        others.copy_from_slice(u_hat);
        last.fill(T::ZERO);
        for u_hat in others.chunks_exact(m) {
            add_scaled(sum.isa, last, -T::ONE, u_hat);
        }
        sum.factors.reduce_rows(m, self.full_u_hat, u_hat, self.row);
        add_scaled(sum.isa, hats.v.row_mut(sum.range.start / CHUNK), T::ONE, u_hat);
        for block in pieces(sum.range.clone(), TILE) {
            let q_hat = own.q.rows(&block);
            for (i, n) in block.clone().enumerate() {
                for (p_hat, q_hat) in hats.p.row_mut(n).iter_mut().zip(q_hat.chunks_exact(block.len())) {
                    *p_hat += q_hat[i];
                }
            }
        }
    }
}

/// Some rows of a part of a tile, and what is theirs.
struct Half<'a, T> {
    tile: &'a Tile,
    part: &'a Tile,
    /// w, Ga and ⟨S,S'⟩ of the tile.
    grams: [&'a [T]; 3],
    /// Gg of rows of the tile, from the rows of this half on.
    gg: &'a mut [T],
    w: &'a mut [T],
    /// q̂ of the rows.
    p_hat: Option<PerSample<'a, T>>,
    /// q̂ of the columns, and the distance of its rows; absent on the diagonal, where they are the rows.
    column_q_hat: Option<(&'a mut [T], usize)>,
}

/// Computes o, d and o + d of the samples `chunk`, which are loaded.
pub(super) fn fill<T: Real, const TANGENT: bool>(
    sum: &Sum<'_, '_, T, TANGENT>,
    loaded: &Loaded<'_, T>,
    chunk: &Range<usize>,
    rows: &mut Rows<'_, T>,
) {
    let m = sum.samples.shape.hidden();
    sum.isa.vectorize(|| {
        for (i, n) in chunk.clone().enumerate() {
            let (f, o, d) = (row(sum.samples.f, m, n), rows.o.row_mut(n), row(sum.factors.d, m, n));
            o.fill(T::ZERO);
            for (v, sv) in sum.factors.v.chunks_exact(m).zip(loaded.sv(i).chunks_exact(m)) {
                for ((o, (&v, &f)), &sv) in o.iter_mut().zip(v.iter().zip(f)).zip(sv) {
                    *o += v * f * (sv * f);
                }
            }
            rows.d.row_mut(n).copy_from_slice(d);
            for ((od, &o), &d) in rows.od.row_mut(n).iter_mut().zip(&*o).zip(d) {
                *od = o + d;
            }
        }
    });
}

/// Spreads the terms in o and d over the hats of one side.
pub(super) fn spread<T: Real, const TANGENT: bool>(
    sum: &Sum<'_, '_, T, TANGENT>,
    rows: &Rows<'_, T>,
    part: (&Tile, Side),
    grams: &Grams<'_, T>,
    end: &mut End<'_, T>,
    packing: &mut [T],
) {
    Features::new(&rows.d).spread(sum.isa, grams.aa, part, &mut end.own.o, packing);
    Features::new(&rows.od).spread(sum.isa, grams.aa, part, &mut end.own.d, packing);
}
