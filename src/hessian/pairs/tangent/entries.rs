//! The entries of `Ψ = U diag(f∘f') Uᵀ` over a part of a tile, and what their derivatives give.
//!
//! An entry k ≤ l of Ψ over a part is a product of the rows f, weighted by `U_k∘U_l`, with those of the columns, which are transposed
//! once. Entries are formed row by row, all R₂ of a sample together, so that some rows of the part are a contiguous piece of memory. On
//! the diagonal they are formed up to the diagonal and then mirrored.
//!
//! For the derivatives, an entry of `2 w_nn' Ψ̂`, times the rows f, gives f̂ and Û: the products of a [`GROUP`] of entries are folded
//! into both at once.

use core::ops::Range;

use crate::hessian::contrasts::{products_of_rows, triangle, upper};
use crate::hessian::pairs::parts::{GROUP, panel, scaled_rows};
use crate::hessian::pairs::scratch::WorkerScratch;
use crate::hessian::pairs::sum::PairSum;
use crate::hessian::pairs::tangent::read::Tangent;
use crate::hessian::pairs::tile::{SampleRows, Side, Tile};
use crate::kernels::gemm::{self, Half, Matrix, MatrixMut, mirror};
use crate::network::Shape;
use crate::simd::Element;
use crate::simd::{InstructionSet, Kernel, Lanes, Simd};
use crate::workspace::{PerSample, pieces, row, row_mut};

/// Rows that are folded at once.
const FOLDED: usize = 4;

/// Bytes apart at which numbers share a set of the L1 cache.
const ALIASED: usize = 4096;

/// Rows that the entries of Ψ of a sample take: one more than there are entries where samples would share cache sets.
const fn rows_of_psi(shape: Shape, width: usize, bytes: usize) -> usize {
    let r2 = triangle(shape.classes() - 1);
    if (r2 * width * bytes).is_multiple_of(ALIASED) { r2 + 1 } else { r2 }
}

/// Numbers from the entries of a sample to those of the next, for `width` columns.
pub(super) const fn line<T>(shape: Shape, width: usize) -> usize {
    rows_of_psi(shape, width, size_of::<T>()) * width
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, part: usize) -> u64 {
    gemm::largest_workspace(&[[scaled_rows(shape, part), shape.hidden(), panel::<f32>()], [part, part, shape.hidden()]])
}

/// U, R×M, and U_k∘U_l for k ≤ l, R₂×M, given V, K×M.
pub(super) fn write_differences<T: Element>(shape: Shape, v: &[T], u: &mut [T], uu: &mut [T]) {
    let (m, r) = (shape.hidden(), shape.classes() - 1);
    let last = row(v, m, r);
    for (u, v) in u.chunks_exact_mut(m).zip(v.chunks_exact(m)) {
        for ((u, &v), &last) in u.iter_mut().zip(v).zip(last) {
            *u = v - last;
        }
    }
    products_of_rows(u, m, |_, _| T::ONE, uu);
}

/// The entries of Ψ over a part on the diagonal, which are symmetric.
pub(super) fn form_diagonal<T: Element>(
    tangent: &Tangent<'_, T>,
    sum: &PairSum<'_, '_, T>,
    part: &Tile,
    psi: &mut [T],
    scratch: &mut WorkerScratch<'_, T>,
) {
    let isa = scratch.context.isa;
    let (len, step) = (part.rows.len(), panel::<T>() / 2);
    let line = line::<T>(sum.forward.shape, len);
    transpose(isa, sum, &part.columns, scratch.transposed);
    for (rows, psi) in pieces(part.rows.clone(), step).zip(psi.chunks_mut(step * line)) {
        form_rows(tangent, sum, &rows, (rows.end - part.rows.start, len), psi, scratch);
    }
    if len > step {
        for e in 0..triangle(sum.forward.shape.classes() - 1) {
            mirror(isa, MatrixMut::row_major_strided(&mut psi[e * len..], len, len, line), Half::Lower);
        }
    }
}

/// The entries of Ψ over some rows of a part off the diagonal.
pub(super) fn form<T: Element>(
    tangent: &Tangent<'_, T>,
    sum: &PairSum<'_, '_, T>,
    part: &Tile,
    psi: &mut [T],
    scratch: &mut WorkerScratch<'_, T>,
) {
    // The second half of a single row.
    if part.rows.is_empty() {
        return;
    }
    let width = part.columns.len();
    transpose(scratch.context.isa, sum, &part.columns, scratch.transposed);
    form_rows(tangent, sum, &part.rows, (width, width), psi, scratch);
}

/// The rows f of some columns, transposed: panels of M rows, one after the other.
fn transpose<T: Element>(isa: InstructionSet, sum: &PairSum<'_, '_, T>, columns: &Range<usize>, panels: &mut [T]) {
    let m = sum.forward.shape.hidden();
    let f = SampleRows::of_batch(sum.forward.f, m);
    for (columns, to) in pieces(columns.clone(), panel::<T>()).zip(panels.chunks_exact_mut(panel::<T>() * m)) {
        gemm::transpose(isa, f.rows(&columns), to, panel::<T>());
    }
}

/// The entries of Ψ over some rows and the first `width` of the transposed columns.
fn form_rows<T: Element>(
    tangent: &Tangent<'_, T>,
    sum: &PairSum<'_, '_, T>,
    rows: &Range<usize>,
    (columns, width): (usize, usize),
    psi: &mut [T],
    scratch: &mut WorkerScratch<'_, T>,
) {
    let (shape, WorkerScratch { scaled: all_scaled, transposed, context, .. }) = (sum.forward.shape, scratch);
    let m = shape.hidden();
    let rows_of_psi = rows_of_psi(shape, width, size_of::<T>());
    let most = (all_scaled.len() / (rows_of_psi * m)).max(1);
    let group = rows.len().div_ceil(rows.len().div_ceil(most));
    let psi = &mut psi[..rows.len() * rows_of_psi * width];
    let f = SampleRows::of_batch(sum.forward.f, m).of(rows);
    for (f, psi) in f.chunks(group * m).zip(psi.chunks_mut(group * rows_of_psi * width)) {
        let stacked = f.len() / m * rows_of_psi;
        let scaled = &mut all_scaled[..stacked * m];
        context.isa.vectorize(|| {
            for (f, scaled) in f.chunks_exact(m).zip(scaled.chunks_exact_mut(rows_of_psi * m)) {
                // The padding row between samples has no entry.
                scaled[tangent.uu.len()..].fill(T::ZERO);
                for (scaled, uu) in scaled.chunks_exact_mut(m).zip(tangent.uu.chunks_exact(m)) {
                    for ((scaled, &f), &uu) in scaled.iter_mut().zip(f).zip(uu) {
                        *scaled = f * uu;
                    }
                }
            }
        });
        let scaled = Matrix::row_major(scaled, stacked, m);
        for columns in pieces(0..columns, panel::<T>()) {
            let f = Matrix::row_major_strided(&transposed[columns.start * m..], m, columns.len(), panel::<T>());
            let psi = MatrixMut::row_major_strided(&mut psi[columns.start..], stacked, columns.len(), width);
            context.set(psi, scaled, f);
        }
    }
}

/// Adds to f̂ of one side, given the entries of 2 w_nn' Ψ̂; and to Û if it is given (both sides would give the same).
pub(super) fn spread<T: Element>(
    tangent: &Tangent<'_, T>,
    sum: &PairSum<'_, '_, T>,
    (part, side): (&Tile, Side),
    psi: &[T],
    f_hat: &mut PerSample<'_, T>,
    mut u_hat: Option<&mut [T]>,
    scratch: &mut WorkerScratch<'_, T>,
) {
    let (shape, WorkerScratch { scaled, sums: all_sums, context, .. }) = (sum.forward.shape, scratch);
    let (m, r, width) = (shape.hidden(), shape.classes() - 1, part.columns.len());
    let line = line::<T>(shape, width);
    let all_f = SampleRows::of_batch(sum.forward.f, m);
    let count = T::from_f64(part.count());
    let [to, from] = side.of(part);
    let f_hat = f_hat.rows_mut(to);
    let mut index = upper(r);
    for (first, uu) in (0..).step_by(GROUP).zip(tangent.uu.chunks(GROUP * m)) {
        let group: [_; GROUP] = core::array::from_fn(|_| index.next());
        // An entry off the diagonal stands for two.
        let twice = group.map(|entry| if entry.is_some_and(|(k, l)| k == l) { T::ONE } else { T::TWO });
        let products = &mut scaled[..uu.len() * to.len()];
        for (e, products) in (first..).zip(products.chunks_exact_mut(to.len() * m)) {
            let psi = Matrix::row_major_strided(&psi[e * width..], part.rows.len(), width, line);
            let psi = if side == Side::Rows { psi } else { psi.t() };
            let products = MatrixMut::row_major(products, to.len(), m);
            context.set(products, psi, all_f.rows(from));
        }
        let sums = u_hat.is_some().then_some(&mut **all_sums);
        context.isa.run(Fold { m, products, twice, uu, f: all_f.of(to), f_hat, sums });
        let Some(u_hat) = &mut u_hat else { continue };
        for ((k, l), sums) in group.into_iter().flatten().zip(all_sums.chunks_exact(m)) {
            for (from, to) in [(l, k), (k, l)] {
                let entries = row_mut(u_hat, m, to).iter_mut().zip(row(tangent.u, m, from)).zip(sums);
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

/// Folds the products of a group of entries of Ψ̂ with rows f: into f̂, weighted by `U_k∘U_l`, and into sums over the rows, weighted by
/// f.
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

impl<T: Element> Kernel for Fold<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        match self.uu.len() / self.m {
            1 => self.entries::<S, 1>(simd),
            2 => self.entries::<S, 2>(simd),
            3 => self.entries::<S, 3>(simd),
            _ => self.entries::<S, GROUP>(simd),
        }
    }
}

impl<T: Element> Fold<'_, T> {
    #[inline(always)]
    fn entries<S: Simd, const ENTRIES: usize>(&mut self, simd: S) {
        if let Some(sums) = &mut self.sums {
            sums.fill(T::ZERO);
        }
        for rows in pieces(0..self.f.len() / self.m, FOLDED) {
            self.rows::<S, ENTRIES>(simd, rows);
        }
    }

    /// Folds some rows, register by register: rows are read in the order of memory.
    #[inline(always)]
    fn rows<S: Simd, const ENTRIES: usize>(&mut self, simd: S, rows: Range<usize>) {
        let (m, matrix, lanes) = (self.m, self.f.len(), <T::Lanes<S> as Lanes>::LANES);
        let twice = self.twice.map(|twice| T::Lanes::<S>::splat(simd, twice));
        for start in (0..m).step_by(lanes) {
            let len = lanes.min(m - start);
            let mut sums = [T::Lanes::<S>::zero(simd); ENTRIES];
            let mut uu = sums;
            for e in 0..ENTRIES {
                uu[e] = twice[e] * T::Lanes::<S>::load_at(simd, self.uu, e * m + start, len);
                if let Some(all) = &self.sums {
                    sums[e] = T::Lanes::<S>::load_at(simd, all, e * m + start, len);
                }
            }
            for row in rows.clone() {
                let at = row * m + start;
                let f = T::Lanes::<S>::load_at(simd, self.f, at, len);
                let mut f_hat = T::Lanes::<S>::load_at(simd, self.f_hat, at, len);
                for e in 0..ENTRIES {
                    let product = T::Lanes::<S>::load_at(simd, self.products, e * matrix + at, len);
                    f_hat = uu[e].mul_add(product, f_hat);
                    sums[e] = f.mul_add(product, sums[e]);
                }
                f_hat.store_at(self.f_hat, at, len);
            }
            if let Some(all) = &mut self.sums {
                for (e, sum) in sums.into_iter().enumerate() {
                    sum.store_at(all, e * m + start, len);
                }
            }
        }
    }
}
