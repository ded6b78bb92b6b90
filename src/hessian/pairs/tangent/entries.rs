//! The entries of `W = U diag(f∘f') Uᵀ` over a part of a tile, and the way back from their derivatives.
//!
//! For each of the R₂ entries k ≤ l of W, the entry over a part is a Gram matrix of the rows f, weighted by `U_k∘U_l`. On the way back
//! the entry of `2w Ŵ`, times the rows f, gives f̂ and Û: products of a [`GROUP`] of entries are folded into both at once.

use core::ops::Range;

use crate::gemm::{self, Matrix, MatrixMut, gemm};
use crate::hessian::contrasts::triangle;
use crate::hessian::factors::Hats;
use crate::hessian::pairs::{Features, Sum, Tile};
use crate::network::Shape;
use crate::plan::{product, sum};
use crate::real::Real;
use crate::simd::{Kernel, Lanes, Simd};
use crate::workspace::{Arena, row, row_mut};

/// Entries of W whose Gram matrices are formed by one product, and whose products are folded at once.
const GROUP: usize = 4;

/// Numbers from one entry of W over a tile to the next: a row more than the entry has. A pair's entries are read together, and at a
/// distance of a power of two all of them would fall into one set of the L1 cache.
pub(super) fn stride(tile: &Tile) -> usize {
    (tile.rows.len() + 1) * tile.columns.len()
}

/// U, and the entries of W of a part of a tile.
#[derive(Debug)]
pub(super) struct Entries<'w, T> {
    /// U, R×M, and Û.
    u: &'w mut [T],
    pub u_hat: &'w mut [T],
    /// U_k∘U_l for k ≤ l, R₂×M.
    uu: &'w mut [T],
    /// Entries of W, a [`stride`] apart, each rows × columns; then of 2w Ŵ.
    pub w: &'w mut [T],
    /// Rows f of a part times something, for a group of entries.
    scaled: &'w mut [T],
    /// `GROUP` rows of M numbers.
    sums: &'w mut [T],
}

/// Lengths of the fields of [`Entries`], in their order, for parts of up to `part` samples a side.
const fn lengths(shape: Shape, part: usize) -> [u64; 6] {
    let (m, r) = (shape.hidden(), shape.classes() - 1);
    let r2 = triangle(r);
    [
        product(&[r, m]),
        product(&[r, m]),
        product(&[r2, m]),
        product(&[r2, part + 1, part]),
        product(&[GROUP, part + 1, m]),
        product(&[GROUP, m]),
    ]
}

/// Elements that [`Entries::new`] takes.
pub(super) const fn elements(shape: Shape, part: usize) -> u64 {
    sum(&lengths(shape, part))
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, part: usize) -> u64 {
    let m = shape.hidden();
    gemm::largest_workspace(&[[GROUP * (part + 1), m, part], [part, part, m]])
}

impl<'w, T: Real> Entries<'w, T> {
    /// For the network's V, K×M.
    pub(super) fn new(shape: Shape, part: usize, v: &[T], arena: &mut Arena<'w, T>) -> Self {
        let (m, r) = (shape.hidden(), shape.classes() - 1);
        let [u, u_hat, uu, w, scaled, sums] = arena.take_all(lengths(shape, part));
        u_hat.fill(T::ZERO);
        let last = row(v, m, r);
        for (u, v) in u.chunks_exact_mut(m).zip(v.chunks_exact(m)) {
            for ((u, &v), &last) in u.iter_mut().zip(v).zip(last) {
                *u = v - last;
            }
        }
        for ((k, l), uu) in entries(r).zip(uu.chunks_exact_mut(m)) {
            for ((uu, &uk), &ul) in uu.iter_mut().zip(row(u, m, k)).zip(row(u, m, l)) {
                *uu = uk * ul;
            }
        }
        Self { u, u_hat, uu, w, scaled, sums }
    }

    /// The entries of W over a tile.
    pub(super) fn form(&mut self, sum: &Sum<'_, '_, T>, tile: &Tile, packing: &mut [T]) {
        let (isa, m) = (sum.isa, sum.samples.shape.hidden());
        let f = Features::of_batch(sum.samples.f, m, &sum.range);
        let (height, width) = (tile.rows.len(), tile.columns.len());
        if tile.is_diagonal() {
            for (uu, w) in self.uu.chunks_exact(m).zip(self.w.chunks_exact_mut(stride(tile))) {
                let w = MatrixMut::row_major(&mut w[..tile.len()], height, width);
                gemm::gram(isa, T::ONE, f.rows(&tile.rows), Some(uu), T::ZERO, w, gemm::Triangle::Both, packing);
            }
            return;
        }
        let rows = &f.data[tile.rows.start * m..tile.rows.end * m];
        let w = &mut self.w[..self.uu.len() / m * stride(tile)];
        for (uu, w) in self.uu.chunks(GROUP * m).zip(w.chunks_mut(GROUP * stride(tile))) {
            // As many rows as from one entry to the next, the last one empty.
            let scaled = &mut self.scaled[..uu.len() * (height + 1)];
            isa.vectorize(|| {
                for (uu, scaled) in uu.chunks_exact(m).zip(scaled.chunks_exact_mut((height + 1) * m)) {
                    scaled[height * m..].fill(T::ZERO);
                    for (scaled, f) in scaled.chunks_exact_mut(m).zip(rows.chunks_exact(m)) {
                        for ((scaled, &f), &uu) in scaled.iter_mut().zip(f).zip(uu) {
                            *scaled = f * uu;
                        }
                    }
                }
            });
            let stacked = uu.len() / m * (height + 1);
            let (scaled, w) = (Matrix::row_major(scaled, stacked, m), MatrixMut::row_major(w, stacked, width));
            gemm(isa, T::ONE, scaled, f.rows(&tile.columns).t(), T::ZERO, w, packing);
        }
    }

    /// f̂ and Û from the entries of 2w Ŵ.
    pub(super) fn spread(&mut self, sum: &Sum<'_, '_, T>, tile: &Tile, hats: &mut Hats<'_, T>, packing: &mut [T]) {
        let (isa, shape, start) = (sum.isa, sum.samples.shape, sum.range.start);
        let (m, r) = (shape.hidden(), shape.classes() - 1);
        let all_f = Features::of_batch(sum.samples.f, m, &sum.range);
        let count = T::from_f64(tile.count());
        let mut index = entries(r);
        for (w, uu) in self.w.chunks(GROUP * stride(tile)).zip(self.uu.chunks(GROUP * m)) {
            let group: [_; GROUP] = core::array::from_fn(|_| index.next());
            // An entry off the diagonal stands for two.
            let twice = group.map(|entry| if entry.is_some_and(|(k, l)| k == l) { T::ONE } else { T::TWO });
            let mut side = |from: &Range<usize>, to: &Range<usize>, sums: Option<&mut [T]>| {
                let products = &mut self.scaled[..uu.len() * to.len()];
                for (w, products) in w.chunks_exact(stride(tile)).zip(products.chunks_exact_mut(to.len() * m)) {
                    let w = Matrix::row_major(&w[..tile.len()], tile.rows.len(), tile.columns.len());
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
