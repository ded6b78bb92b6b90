//! Products where a register holds one number: no panels, no copies, and code as short as a loop.
//!
//! Tiles of 2×2 accumulators run over k; a last odd row or column is computed twice and stored once. Operands are read with any strides.

use super::loops::Product;
use super::{Addend, Matrix};
use crate::simd::Element;

/// Rows and columns of a tile.
const SIDE: usize = 2;

impl<T: Element> Product<'_, '_, T> {
    /// The whole product, whose dimensions go together.
    pub(super) fn one_by_one(&mut self) {
        let (m, n) = (self.a.rows(), self.b.cols());
        for i in (0..m).step_by(SIDE) {
            for j in (0..n).step_by(SIDE) {
                // A tile wholly above the diagonal has its last row above its first column.
                if self.lower && i + 1 < j {
                    continue;
                }
                let rows = [i, (i + 1).min(m - 1)];
                let columns = [j, (j + 1).min(n - 1)];
                let sums = self.sums(rows, columns);
                for (row, sums) in rows.into_iter().zip(sums).take(m - i) {
                    for (column, sum) in columns.into_iter().zip(sums).take(n - j) {
                        self.store(row, column, self.alpha * sum);
                    }
                }
            }
        }
    }

    /// Σ a w b of a tile.
    #[inline(always)]
    fn sums(&self, rows: [usize; SIDE], columns: [usize; SIDE]) -> [[T; SIDE]; SIDE] {
        let at = |matrix: &Matrix<'_, T>, i: usize, j: usize| {
            // SAFETY: the matrix has row i and column j: `rows` and `columns` are the product's, steps are below k, and `Product::run`
            // has asserted that the operands have its dimensions.
            unsafe { *matrix.as_ptr().add(i * matrix.row_stride() + j * matrix.col_stride()) }
        };
        let mut sums = [[T::ZERO; SIDE]; SIDE];
        for p in 0..self.a.cols() {
            let weight = self.weights.map_or(T::ONE, |weights| weights[p]);
            let b = columns.map(|column| weight * at(self.b, p, column));
            for (sums, row) in sums.iter_mut().zip(rows) {
                let a = at(self.a, row, p);
                for (sum, &b) in sums.iter_mut().zip(&b) {
                    *sum += a * b;
                }
            }
        }
        sums
    }

    #[inline(always)]
    fn store(&mut self, i: usize, j: usize, product: T) {
        let addend = *self.addend;
        let c = &mut self.c.row(i)[j];
        *c = match addend {
            Addend::Zero => product,
            Addend::Output(beta) => product + beta * *c,
            Addend::Row(row) => product + row[j],
        };
    }
}
