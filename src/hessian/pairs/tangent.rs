//! The terms in S, B and A through the tangent kernel of each pair.
//!
//! Let `W = V diag(f∘f') Vᵀ` (R×R, symmetric) and `Θ = Gg I + Ga W`, the pair's block of the neural tangent kernel. All that S alone
//! brings into κ is one trace, and what is left of A is its diagonal:
//!
//! ```text
//! ⟨S,S'⟩ Gg² + 2 Ga Gg ⟨B,B'⟩ + Ga² ⟨A,A'⟩ = tr(S Θ S' Θ) + Ga² ( o·d' + d·o' + d·d' )        o_j = (CᵀSC)_jj
//! ```
//!
//! For each of the `R₂ = R(R+1)/2` entries of W, the entry over a tile of pairs is a Gram matrix of the rows f, weighted by `V_k∘V_l`.
//! Then, for each row of the tile and as many columns at once as a register has lanes, with `X = SΘ`, `Y = S'Θ`:
//!
//! ```text
//! tr(SΘS'Θ) = ⟨S,S'⟩ Gg² + 2 Ga Gg tr(SWS') + Ga² tr(SWS'W)
//! Θ̂ = XS' + (XS')ᵀ      Ŝ = ΘY      Ŝ' = ΘX
//! ```
//!
//! and each entry of Ŵ = Ga Θ̂, times the rows f, gives back f̂ and V̂.
//!
//! Multiply–adds a pair: `R₂M/2` for the Gram matrices, `R₂M + 2M` for the hats, about `4R³` between them for each pair of a tile.

use core::f64::consts::SQRT_2;

use crate::gemm::{self, Matrix, MatrixMut, gemm};
use crate::hessian::contrasts::{triangle, unfold};
use crate::hessian::evaluation::Squares;
use crate::hessian::factors::{Factors, Hats, HiddenHat};
use crate::hessian::pairs::common::Common;
use crate::hessian::pairs::{Features, Sum, Tile, tile_len};
use crate::network::Shape;
use crate::plan::{product, sum};
use crate::real::Real;
use crate::simd::{InstructionSet, Kernel, Lanes, MAX_LANES, Simd};
use crate::vector::{add_scaled, dot};
use crate::workspace::{Arena, row, row_mut};

/// Feature rows of the samples, and the entries of W of a tile.
#[derive(Debug)]
pub(super) struct Tangent<'w, T> {
    /// V_k∘V_l for k ≤ l, R₂×M.
    vv: &'w mut [T],
    /// Entries of S, R₂×N: one row an entry, so that lanes are samples.
    s: &'w mut [T],
    /// Entries of Ŝ that come from tiles above the diagonal, R₂×N.
    s_hat: &'w mut [T],
    /// o, N×M.
    o: &'w mut [T],
    o_hat: &'w mut [T],
    /// d and o + d, N×M.
    d: &'w mut [T],
    od: &'w mut [T],
    d_hat: &'w mut [T],
    /// Entries of W, R₂ times rows × columns; then of 2w Ŵ.
    w: &'w mut [T],
    /// Rows f of a tile times something, T×M.
    scaled: &'w mut [T],
    /// S of one sample, R×R.
    full_s: &'w mut [T],
    /// M numbers.
    sums: &'w mut [T],
    /// Three R×R matrices and one triangle of registers.
    registers: &'w mut [T],
}

/// Flops of Gram matrices, hats and traces for `n` samples.
pub(super) const fn flops(shape: Shape, n: usize) -> u64 {
    let (m, r) = (shape.hidden(), shape.classes() - 1);
    let products = product(&[n, n]).saturating_mul(sum(&[product(&[3, triangle(r), m]), product(&[4, m])]));
    // Tiles on the diagonal are visited whole, the others once for two.
    let visited = product(&[n, n]).saturating_add(product(&[n, tile_len(n)])) / 2;
    sum(&[products, visited.saturating_mul(product(&[8, r, r, r]))])
}

/// Elements that [`Tangent::new`] takes.
pub(super) const fn elements(shape: Shape, n: usize) -> u64 {
    let (m, r, tile) = (shape.hidden(), shape.classes() - 1, tile_len(n));
    let r2 = triangle(r);
    sum(&[
        product(&[r2, m]),
        product(&[2, r2, n]),
        product(&[5, n, m]),
        product(&[r2, tile, tile]),
        product(&[tile, m]),
        product(&[r, r]),
        product(&[m]),
        product(&[registers(r), MAX_LANES]),
    ])
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (m, t) = (shape.hidden(), tile_len(n));
    gemm::largest_workspace(&[[t, m, t], [t, t, m]])
}

/// Registers of scratch: Θ, X, Y, and a triangle of sums.
const fn registers(r: usize) -> usize {
    r.saturating_mul(r).saturating_mul(3).saturating_add(triangle(r))
}

impl<'w, T: Real> Tangent<'w, T> {
    pub(super) fn new(sum: &Sum<'_, '_, T>, factors: &Factors<'_, T>, arena: &mut Arena<'w, T>) -> Self {
        let (shape, n) = (sum.samples.shape, sum.range.len());
        let (m, r, tile) = (shape.hidden(), shape.classes() - 1, tile_len(n));
        let r2 = triangle(r);
        let all = Self {
            vv: arena.take(r2 * m),
            s: arena.take(r2 * n),
            s_hat: arena.take(r2 * n),
            o: arena.take(n * m),
            o_hat: arena.take(n * m),
            d: arena.take(n * m),
            od: arena.take(n * m),
            d_hat: arena.take(n * m),
            w: arena.take(r2 * tile * tile),
            scaled: arena.take(tile * m),
            full_s: arena.take(r * r),
            sums: arena.take(m),
            registers: arena.take(registers(r) * MAX_LANES),
        };
        for hat in [&mut *all.s_hat, all.o_hat, all.d_hat] {
            hat.fill(T::ZERO);
        }
        for ((k, l), vv) in entries(r).zip(all.vv.chunks_exact_mut(m)) {
            for ((vv, &vk), &vl) in vv.iter_mut().zip(row(factors.v, m, k)).zip(row(factors.v, m, l)) {
                *vv = vk * vl;
            }
        }
        all
    }

    /// Computes the features of sample `i` of the range, which `factors` has loaded.
    pub(super) fn fill(&mut self, sum: &Sum<'_, '_, T>, factors: &Factors<'_, T>, common: &Common<'_, T>, i: usize) {
        let (m, r, n) = (sum.samples.shape.hidden(), sum.samples.shape.classes() - 1, sum.range.len());
        let o = row_mut(self.o, m, i);
        o.fill(T::ZERO);
        for (c, b) in factors.c.chunks_exact(m).zip(row(common.b, r * m, i).chunks_exact(m)) {
            for ((o, &c), &b) in o.iter_mut().zip(c).zip(b) {
                *o += c * b;
            }
        }
        let d = row(factors.d, m, sum.range.start + i);
        row_mut(self.d, m, i).copy_from_slice(d);
        for ((od, &o), &d) in row_mut(self.od, m, i).iter_mut().zip(&*o).zip(d) {
            *od = o + d;
        }
        for ((k, l), entries) in entries(r).zip(self.s.chunks_exact_mut(n)) {
            entries[i] = factors.full_s[k * r + l];
        }
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
        let (m, r) = (shape.hidden(), shape.classes() - 1);
        let f = Features::of_batch(sum.samples.f, m, &sum.range);
        let (height, width) = (tile.rows.len(), tile.columns.len());

        for (vv, w) in self.vv.chunks_exact(m).zip(self.w.chunks_exact_mut(tile.len())) {
            let w = MatrixMut::row_major(w, height, width);
            if tile.is_diagonal() {
                gemm::gram(isa, T::ONE, f.rows(&tile.rows), Some(vv), T::ZERO, w, gemm::Triangle::Both, packing);
            } else {
                let rows = f.data[tile.rows.start * m..tile.rows.end * m].chunks_exact(m);
                for (scaled, f) in self.scaled.chunks_exact_mut(m).zip(rows) {
                    for ((scaled, &f), &vv) in scaled.iter_mut().zip(f).zip(vv) {
                        *scaled = f * vv;
                    }
                }
                let scaled = Matrix::row_major(&self.scaled[..height * m], height, m);
                gemm(isa, T::ONE, scaled, f.rows(&tile.columns).t(), T::ZERO, w, packing);
            }
        }

        let mut total = [0.0; 3];
        let mut hats = hats;
        for i in 0..height {
            let sample = tile.rows.start + i;
            unfold(isa, row(factors.s, triangle(r), sum.range.start + sample), self.full_s, r);
            let shares = isa.run(Row {
                r,
                s: self.full_s,
                column_s: self.s,
                column_s_hat: if tile.is_diagonal() { None } else { Some(&mut *self.s_hat) },
                n,
                columns: tile.columns.start..tile.columns.end,
                weights: row(common.weights, width, i),
                ga: row(common.ga, width, i),
                gg: row_mut(common.gg, width, i),
                w: &mut self.w[i * width..],
                stride: tile.len(),
                registers: self.registers,
                s_hat: hats.as_deref_mut().map(|hats| row_mut(hats.s, triangle(r), sum.range.start + sample)),
            });
            for (total, share) in total.iter_mut().zip(shares) {
                *total += share.to_f64();
            }
        }

        Features::new(self.d, m).spread(isa, common.aa, tile, self.o_hat, packing);
        Features::new(self.od, m).spread(isa, common.aa, tile, self.d_hat, packing);
        if let Some(hats) = hats {
            self.spread_w(sum, factors, tile, hats, packing);
        }
        let [output, cross, hidden] = total.map(|share| share * tile.count());
        Squares { output, cross, hidden }
    }

    /// f̂ and V̂ from the entries of 2w Ŵ.
    fn spread_w(
        &mut self,
        sum: &Sum<'_, '_, T>,
        factors: &Factors<'_, T>,
        tile: &Tile,
        hats: &mut Hats<'_, T>,
        packing: &mut [T],
    ) {
        let (isa, shape, start) = (sum.isa, sum.samples.shape, sum.range.start);
        let (m, r) = (shape.hidden(), shape.classes() - 1);
        let f = Features::of_batch(sum.samples.f, m, &sum.range);
        let all_f = f.data;
        let rows = self.w.chunks_exact(tile.len()).zip(self.vv.chunks_exact(m));
        for ((k, l), (w, vv)) in entries(r).zip(rows) {
            // An entry off the diagonal stands for two.
            let twice = if k == l { T::ONE } else { T::TWO };
            let w = Matrix::row_major(w, tile.rows.len(), tile.columns.len());
            self.sums.fill(T::ZERO);
            let mut side = |w: Matrix<'_, T>, from: &core::ops::Range<usize>, to: &core::ops::Range<usize>| {
                let out = MatrixMut::row_major(&mut self.scaled[..to.len() * m], to.len(), m);
                gemm(isa, T::ONE, w, f.rows(from), T::ZERO, out, packing);
                let hats = &mut hats.f[(start + to.start) * m..(start + to.end) * m];
                let f = &all_f[to.start * m..to.end * m];
                let rows = hats.chunks_exact_mut(m).zip(self.scaled.chunks_exact(m)).zip(f.chunks_exact(m));
                for ((f_hat, product), f) in rows {
                    let entries = f_hat.iter_mut().zip(&mut *self.sums).zip(product.iter().zip(f).zip(vv));
                    for ((f_hat, sum), ((&product, &f), &vv)) in entries {
                        *f_hat += twice * (vv * product);
                        *sum += f * product;
                    }
                }
            };
            side(w, &tile.columns, &tile.rows);
            if !tile.is_diagonal() {
                side(w.t(), &tile.rows, &tile.columns);
            }
            for (from, to) in [(l, k), (k, l)] {
                let entries = row_mut(hats.v, m, to).iter_mut().zip(row(factors.v, m, from)).zip(&*self.sums);
                for ((v_hat, &v), &sum) in entries {
                    *v_hat += v * sum;
                }
                if k == l {
                    break;
                }
            }
        }
    }

    /// Σ' w Ga² (o·d' + d·o' + d·d') of sample `i`.
    pub(super) fn value_of_diagonals(&self, isa: InstructionSet, i: usize) -> f64 {
        let m = self.sums.len();
        0.5 * (dot(isa, row(self.o, m, i), row(self.o_hat, m, i)) + dot(isa, row(self.d, m, i), row(self.d_hat, m, i)))
    }

    /// The way back of sample `i`, which `factors` has loaded, together with the part of B̂ in `common`.
    pub(super) fn back(
        &mut self,
        sum: &Sum<'_, '_, T>,
        factors: &mut Factors<'_, T>,
        common: &Common<'_, T>,
        i: usize,
        hats: &mut Hats<'_, T>,
        packing: &mut [T],
    ) {
        let (m, r, n) = (sum.samples.shape.hidden(), sum.samples.shape.classes() - 1, sum.range.start + i);
        add_scaled(sum.isa, row_mut(hats.d, m, n), T::ONE, row(self.d_hat, m, i));
        let flat = row_mut(hats.s, triangle(r), n);
        for (((k, l), flat), s_hat) in entries(r).zip(flat).zip(self.s_hat.chunks_exact(sum.range.len())) {
            *flat += flat_scale::<T>(k, l) * s_hat[i];
        }
        let o_hat = HiddenHat::Omega(row(self.o_hat, m, i));
        factors.back(sum.isa, sum.samples, n, Some(common.b_hat), o_hat, hats, packing);
    }
}

/// The entries (k, l) of the upper triangle, by rows.
fn entries(r: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..r).flat_map(move |k| (k..r).map(move |l| (k, l)))
}

/// From a derivative with respect to an entry of a symmetric matrix, each triangle for itself, to that of its flat row.
fn flat_scale<T: Real>(k: usize, l: usize) -> T {
    if k == l { T::ONE } else { T::from_f64(SQRT_2) }
}

/// One row of a tile: a sample against all columns.
struct Row<'a, T> {
    r: usize,
    /// S of the row's sample, R×R.
    s: &'a [T],
    /// S of all samples, R₂×N.
    column_s: &'a [T],
    /// Ŝ of all samples, R₂×N, where the columns are not the rows of the same tile.
    column_s_hat: Option<&'a mut [T]>,
    n: usize,
    columns: core::ops::Range<usize>,
    weights: &'a [T],
    ga: &'a [T],
    /// Gg; becomes the coefficient of ĝ.
    gg: &'a mut [T],
    /// Entry e of W at `e * stride`; becomes 2w Ŵ.
    w: &'a mut [T],
    stride: usize,
    registers: &'a mut [T],
    /// Ŝ of the row's sample, flat; without it only the value is computed.
    s_hat: Option<&'a mut [T]>,
}

impl<T: Real> Kernel for Row<'_, T> {
    /// Shares of the output, the cross and the hidden block.
    type Output = [T; 3];

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) -> [T; 3] {
        let lanes = <T::Lanes<S> as Lanes>::LANES;
        let zero = T::Lanes::<S>::zero(simd);
        let mut totals = [zero; 3];
        let sums = 3 * self.r * self.r * lanes;
        self.registers[sums..sums + triangle(self.r) * lanes].fill(T::ZERO);
        let width = self.weights.len();
        for start in (0..width).step_by(lanes) {
            let len = lanes.min(width - start);
            for (total, share) in totals.iter_mut().zip(self.columns::<S>(simd, start, len)) {
                *total = *total + share;
            }
        }
        if let Some(s_hat) = self.s_hat {
            for (((k, l), s_hat), sum) in entries(self.r).zip(s_hat).zip(self.registers[sums..].chunks_exact(lanes)) {
                *s_hat += flat_scale::<T>(k, l) * T::Lanes::<S>::load(simd, sum).reduce_sum();
            }
        }
        totals.map(Lanes::reduce_sum)
    }
}

impl<T: Real> Row<'_, T> {
    /// The pairs with `len` columns from `start`, at most a register's lanes.
    #[inline(always)]
    fn columns<S: Simd>(&mut self, simd: S, start: usize, len: usize) -> [T::Lanes<S>; 3] {
        let (r, lanes, n) = (self.r, <T::Lanes<S> as Lanes>::LANES, self.n);
        let zero = T::Lanes::<S>::zero(simd);
        let splat = |x: T| T::Lanes::<S>::splat(simd, x);
        let read = |from: &[T]| T::Lanes::<S>::load_partial(simd, &from[..len]);
        let register = |from: &[T], index: usize| T::Lanes::<S>::load(simd, &from[index * lanes..]);
        let (w, ga, gg) = (read(&self.weights[start..]), read(&self.ga[start..]), read(&self.gg[start..]));
        let at = self.columns.start + start;

        let square = r * r * lanes;
        let (theta, rest) = self.registers.split_at_mut(square);
        let (x, rest) = rest.split_at_mut(square);
        let (y, sums) = rest.split_at_mut(square);
        for (index, (k, l)) in entries(r).enumerate() {
            let entry = read(&self.w[index * self.stride + start..]);
            entry.store(&mut theta[(k * r + l) * lanes..]);
            entry.store(&mut theta[(l * r + k) * lanes..]);
        }
        let column_s = |k: usize, l: usize| {
            let (k, l) = if k <= l { (k, l) } else { (l, k) };
            // The place of (k, l) in the upper triangle by rows.
            read(&self.column_s[(k * (2 * r - k + 1) / 2 + l - k) * n + at..])
        };

        // SW and S'W, and with them each block's share by itself.
        for k in 0..r {
            for l in 0..r {
                let (mut x_kl, mut y_kl) = (zero, zero);
                for i in 0..r {
                    let w = register(theta, i * r + l);
                    x_kl = splat(self.s[k * r + i]).mul_add(w, x_kl);
                    y_kl = column_s(k, i).mul_add(w, y_kl);
                }
                x_kl.store(&mut x[(k * r + l) * lanes..]);
                y_kl.store(&mut y[(k * r + l) * lanes..]);
            }
        }
        let (mut ss, mut sws, mut swsw) = (zero, zero, zero);
        for k in 0..r {
            for l in 0..r {
                let (x_kl, s) = (register(x, k * r + l), column_s(k, l));
                ss = splat(self.s[k * r + l]).mul_add(s, ss);
                sws = x_kl.mul_add(s, sws);
                swsw = x_kl.mul_add(register(y, l * r + k), swsw);
            }
        }
        let twice = splat(T::TWO) * w;
        let shares = [w * (ss * gg * gg), twice * (ga * gg * sws), w * (ga * ga * swsw)];
        let half_slope = gg * ss + ga * sws;
        (splat(T::TWO) * twice * half_slope).store_partial(&mut self.gg[start..start + len]);
        if self.s_hat.is_none() {
            return shares;
        }

        // Θ = Gg I + Ga W, X = SΘ, Y = S'Θ, in place.
        for k in 0..r {
            for l in 0..r {
                let at = (k * r + l) * lanes;
                let (w, own) = (register(theta, k * r + l), if k == l { gg } else { zero });
                ga.mul_add(w, own).store(&mut theta[at..]);
                ga.mul_add(register(x, k * r + l), gg * splat(self.s[k * r + l])).store(&mut x[at..]);
                ga.mul_add(register(y, k * r + l), gg * column_s(k, l)).store(&mut y[at..]);
            }
        }
        for (index, (k, l)) in entries(r).enumerate() {
            let (mut w_hat, mut s_hat, mut other) = (zero, zero, zero);
            for i in 0..r {
                let theta = register(theta, k * r + i);
                w_hat = register(x, k * r + i).mul_add(column_s(i, l), w_hat);
                w_hat = register(x, l * r + i).mul_add(column_s(i, k), w_hat);
                s_hat = theta.mul_add(register(y, i * r + l), s_hat);
                other = theta.mul_add(register(x, i * r + l), other);
            }
            (twice * ga * w_hat).store_partial(&mut self.w[index * self.stride + start..][..len]);
            let sum = register(sums, index) + twice * s_hat;
            sum.store(&mut sums[index * lanes..]);
            if let Some(column_s_hat) = &mut self.column_s_hat {
                let place = &mut column_s_hat[index * n + at..][..len];
                (read(place) + twice * other).store_partial(place);
            }
        }
        shares
    }
}
