//! Loops 5 to 1 of the product, and the packing between them.

use super::blocks::{Blocks, SHORT, WIDE_ROWS, aliased, near, panel_cols, place, tile_rows};
use super::dot::{self, Dots};
use super::matrix::{Addend, Matrix, MatrixMut};
use super::micro::{self, strip_product};
use super::pack::{self, Source};
use crate::simd::Element;
use crate::simd::{Kernel, Lanes, Simd};

/// The most columns of a product that is computed as its transpose.
const NARROW: usize = 8;
/// Rows of a narrow product that are computed at a time: with `NARROW` columns, 2 or 4 KiB on the stack.
const STRIP_ROWS: usize = 64;

/// A product, ready to run: C ← α·A·diag(w)·B + addend. Operands are references: copying views that were just made would wait for their
/// stores, which takes longer than a tiny product.
pub(super) struct Product<'a, 'c, T> {
    pub alpha: T,
    pub a: &'a Matrix<'a, T>,
    pub b: &'a Matrix<'a, T>,
    /// w, one weight for each step of k; all 1 if absent.
    pub weights: Option<&'a [T]>,
    pub addend: &'a Addend<'a, T>,
    pub c: &'a mut MatrixMut<'c, T>,
    /// Whether tiles wholly above the diagonal of C are left out.
    pub lower: bool,
    /// Rows of the whole product, if this is a part of it. The method is chosen by these, so that parts have the bits of the whole.
    pub rows: usize,
    pub workspace: &'a mut [T],
}

/// By reference: a large kernel passed by value would be copied at every call.
impl<T: Element> Kernel for &mut Product<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (m, k, n) = (self.a.rows(), self.a.cols(), self.b.cols());
        // All that the pointers below rely on.
        assert!(self.b.rows() == k && self.c.rows() == m && self.c.cols() == n, "dimensions of a product");
        assert!(self.weights.is_none_or(|weights| weights.len() == k), "a weight for each step");
        if m == 0 || n == 0 {
            return;
        }
        let lanes = T::Lanes::<S>::LANES;
        if lanes == 1 {
            return self.one_by_one();
        }
        let contiguous = self.a.col_stride() == 1 && self.b.row_stride() == 1;
        if contiguous && self.weights.is_none() && dot::pays::<S, T>(self.rows, k, n) {
            return self.dots(simd);
        }
        let narrow = self.a.row_stride() == 1 && 2 * n <= lanes && n <= NARROW && self.rows >= lanes && k >= 32;
        if narrow && self.weights.is_none() && !self.lower {
            return self.transposed(simd);
        }
        if let Some((rows, columns, packed)) = self.tiny::<S>() {
            let panel = packed.then(|| {
                let width = n.next_multiple_of(lanes);
                let panel = place(self.workspace, k * width);
                let b = Source { data: self.b.as_ptr(), row: self.b.row_stride(), col: self.b.col_stride() };
                // SAFETY: the panel is all of B; its place in the workspace is as large.
                unsafe { pack::Panel { b, k, cols: n, weights: None, panel, width }.pack(simd) };
                panel.cast_const()
            });
            // SAFETY: rows and columns are those of the product, which the operands have, as asserted; a panel is all of B.
            return unsafe { self.tiles(simd, rows, (0, k), columns, None, panel) };
        }
        let blocks = Blocks::new::<S, T>(self.a, self.b, self.c.row_stride(), self.weights.is_some());
        if blocks.one { self.in_place(simd, &blocks) } else { self.blocked(simd, &blocks) }
    }
}

impl<T: Element> Product<'_, '_, T> {
    /// The rows and columns of a product that one tile covers, or two of equal height, and whether B, a single panel then, is packed.
    /// Further decisions would take longer than such a product.
    #[inline(always)]
    fn tiny<S: Simd>(&self) -> Option<(Group, Columns, bool)> {
        let (m, k, n) = (self.a.rows(), self.a.cols(), self.b.cols());
        let (max, width) = (tile_rows::<S>(), panel_cols::<S, T>());
        if m > 2 * max || self.weights.is_some() || self.lower {
            return None;
        }
        let short = k <= SHORT && !aliased::<T>(self.c.row_stride());
        let tiles = if m <= max { 1 } else { 2 };
        let covered = tiles == 1 || (short && m.is_multiple_of(2));
        let whole = T::Lanes::<S>::MASKED_LOADS || n.is_multiple_of(T::Lanes::<S>::LANES);
        let packed = k > 0 && (self.b.col_stride() != 1 || !whole);
        let columns = match () {
            _ if n <= width && (short || !packed) => Columns::panel(0, n),
            _ if n.is_multiple_of(width) && m > WIDE_ROWS && short && !packed && k * n <= near::<T>() => {
                Columns { first: 0, len: width, panels: n / width }
            }
            _ => return None,
        };
        covered.then_some((Group { row: 0, rows: m / tiles, tiles }, columns, packed))
    }

    /// Loop 2 of a product that is one block and needs no packing. Loops 2 and 1 change places where B stays in the L1 cache or is used
    /// by a single tile: then C is written row by row.
    #[inline(always)]
    fn in_place<S: Simd>(&mut self, simd: S, blocks: &Blocks) {
        let (m, k, n) = (self.a.rows(), self.a.cols(), self.b.cols());
        let (rows, width) = (TileRows::new(0, m, blocks.tile), panel_cols::<S, T>());
        let mut first = 0;
        for (len, pays) in [(2 * width, m <= WIDE_ROWS), (width, m <= blocks.tile || k * n <= near::<T>())] {
            if pays && !self.lower && n - first >= len {
                let panels = (n - first) / len;
                // SAFETY: all rows, all steps, and columns below n.
                unsafe { self.panels(simd, rows, (0, k), Columns { first, len, panels }, None, None) };
                first += panels * len;
            }
        }
        for first in (first..n).step_by(width) {
            // SAFETY: all rows, all steps, and columns below n.
            unsafe { self.panels(simd, rows, (0, k), Columns::panel(first, width.min(n - first)), None, None) };
        }
    }

    /// Loops 5 to 2, with packing.
    fn blocked<S: Simd>(&mut self, simd: S, blocks: &Blocks) {
        let (m, k, n) = (self.a.rows(), self.a.cols(), self.b.cols());
        let width = panel_cols::<S, T>();
        let (packed_b, packed_a) = blocks.split(self.workspace, width);
        let a = Source { data: self.a.as_ptr(), row: self.a.row_stride(), col: self.a.col_stride() };
        let b = Source { data: self.b.as_ptr(), row: self.b.row_stride(), col: self.b.col_stride() };

        // Loop 5: columns of C whose part of B, once packed, stays in the outer caches.
        for jc in (0..n).step_by(blocks.n) {
            let end = n.min(jc + blocks.n);
            // Loop 4: steps of k; the first adds the addend, the others add to C. Runs once if k = 0.
            for pc in (0..k.max(1)).step_by(blocks.k.max(1)) {
                let kc = blocks.k.min(k - pc);
                // Loop 3: rows whose part of A stays in the L2 cache.
                for ic in (0..m).step_by(blocks.m) {
                    let mc = blocks.m.min(m - ic);
                    let rows = TileRows::new(ic, mc, blocks.tile);
                    if blocks.pack_a {
                        for Group { row, rows, tiles } in rows.groups() {
                            let strip = packed_a.wrapping_add((row - ic) * kc);
                            // SAFETY: the tiles lie in A; their place in the workspace is as large.
                            unsafe { pack::Strip { a: a.at(row, pc), rows, tiles, k: kc, strip }.pack(simd) };
                        }
                    }
                    let strip = blocks.pack_a.then_some(packed_a.cast_const());
                    // Loop 2: panels of B, which stay in the L1 cache while loop 1 runs over the tiles.
                    for column in (jc..end).step_by(width) {
                        if self.lower && ic + mc <= column {
                            continue;
                        }
                        let cols = width.min(n - column);
                        if !blocks.pack_b {
                            // SAFETY: rows, steps and columns of the product; the strip holds A of these rows and steps, if there is one.
                            unsafe { self.panels(simd, rows, (pc, kc), Columns::panel(column, cols), strip, None) };
                            continue;
                        }
                        let panel = packed_b.wrapping_add(if blocks.keep_b { (column - jc) * kc } else { 0 });
                        let used_first = ic == 0 || (self.lower && ic <= column);
                        if used_first || !blocks.keep_b {
                            let weights = self.weights.map(|weights| &weights[pc..pc + kc]);
                            let (b, width) = (b.at(pc, column), cols.next_multiple_of(T::Lanes::<S>::LANES));
                            // SAFETY: the panel lies in B; its place in the workspace is as large.
                            unsafe { pack::Panel { b, k: kc, cols, weights, panel, width }.pack(simd) };
                        }
                        let panel = Some(panel.cast_const());
                        // SAFETY: as above; the panel holds B of these steps and columns.
                        unsafe { self.panels(simd, rows, (pc, kc), Columns::panel(column, cols), strip, panel) };
                    }
                }
            }
        }
    }

    /// Loop 1: the tiles of a panel, or of several that are not packed, in the steps `(pc, kc)`. A and B are read in place where they
    /// are not packed.
    ///
    /// # Safety
    /// The product has these rows, columns and steps, its operands have its dimensions. `packed_a` holds A of the rows and steps as
    /// [`pack::Strip`] packs it, `packed_b` B of the steps and columns as [`pack::Panel`] does, in rows of whole registers.
    unsafe fn panels<S: Simd>(
        &mut self,
        simd: S,
        rows: TileRows,
        (pc, kc): (usize, usize),
        columns: Columns,
        packed_a: Option<*const T>,
        packed_b: Option<*const T>,
    ) {
        for Group { row, rows: height, tiles } in rows.groups() {
            let skipped = if self.lower { (columns.first.saturating_sub(row) / height.max(1)).min(tiles) } else { 0 };
            if skipped == tiles {
                continue;
            }
            let group = Group { row: row + skipped * height, rows: height, tiles: tiles - skipped };
            let strip = packed_a.map(|strip| strip.wrapping_add((group.row - rows.first) * kc));
            // SAFETY: by this function's contract; the group is some of the rows.
            unsafe { self.tiles(simd, group, (pc, kc), columns, strip, packed_b) };
        }
    }

    /// The tiles of a group in some panels, in the steps `(pc, kc)`, of A packed from the group's first row on.
    ///
    /// # Safety
    /// As for [`panels`](Self::panels), with the group's rows, at most [`tile_rows`] of a tile.
    #[inline(always)]
    unsafe fn tiles<S: Simd>(
        &mut self,
        simd: S,
        Group { row, rows: height, tiles }: Group,
        (pc, kc): (usize, usize),
        Columns { first: column, len: cols, panels }: Columns,
        packed_a: Option<*const T>,
        packed_b: Option<*const T>,
    ) {
        let lanes = T::Lanes::<S>::LANES;
        let vectors = cols.div_ceil(lanes);
        let last = cols - (vectors - 1) * lanes;
        let (b, b_row) = match packed_b {
            Some(panel) => (panel, vectors * lanes),
            None => (self.b.as_ptr().wrapping_add(pc * self.b.row_stride() + column), self.b.row_stride()),
        };
        let (a, a_row, a_col, a_tile) = match packed_a {
            Some(strip) => (strip, 1, height, height * kc),
            None => {
                let (a_row, a_col) = (self.a.row_stride(), self.a.col_stride());
                (self.a.as_ptr().wrapping_add(row * a_row + pc * a_col), a_row, a_col, height * a_row)
            }
        };
        let c_row = self.c.row_stride();
        let c = self.c.as_mut_ptr().wrapping_add(column);
        let (beta, d, d_row) = match pc {
            0 => self.addend(column, panels * cols),
            _ => (T::ONE, c.cast_const(), c_row),
        };
        let strip = micro::Strip {
            k: kc,
            a,
            a_row,
            a_row4: 4 * a_row,
            a_col,
            a_tile,
            b,
            b_row,
            panels,
            c: c.wrapping_add(row * c_row),
            c_row,
            d: d.wrapping_add(row * d_row),
            d_row,
            last,
            alpha: self.alpha,
            beta,
        };
        // SAFETY: A, B (or their packed copies), C and the addend hold these rows and columns, by this function's contract; C is
        // borrowed mutably and so overlaps none of them.
        unsafe { strip_product(simd, &strip, tiles, height, vectors, packed_b.is_none() && last < lanes) };
    }

    /// The addend of `cols` columns from `column` on, as β·D: β, the first element of D, and the distance of its rows.
    #[inline(always)]
    fn addend(&mut self, column: usize, cols: usize) -> (T, *const T, usize) {
        let output = (self.c.as_mut_ptr().wrapping_add(column).cast_const(), self.c.row_stride());
        match *self.addend {
            Addend::Zero => (T::ZERO, output.0, output.1),
            Addend::Output(beta) => (beta, output.0, output.1),
            Addend::Row(row) => (T::ONE, row[column..column + cols].as_ptr(), 0),
        }
    }

    /// A product with few columns, of A whose columns are contiguous, as Cᵀ ← Bᵀ·Aᵀ: the lanes run along the rows of C, as most lanes of
    /// a register of B would be idle.
    fn transposed<S: Simd>(&mut self, simd: S) {
        let (m, n) = (self.a.rows(), self.b.cols());
        let mut buffer = [T::ZERO; NARROW * STRIP_ROWS];
        for first in (0..m).step_by(STRIP_ROWS) {
            let rows = first..m.min(first + STRIP_ROWS);
            let height = rows.len();
            let (a, b) = (self.b.t(), self.a.rows_range(rows).t());
            // It has at most `NARROW` rows, fewer than lanes, and so is not transposed again.
            simd.run(&mut Product {
                alpha: self.alpha,
                a: &a,
                b: &b,
                weights: None,
                addend: &Addend::Zero,
                c: &mut MatrixMut::row_major(&mut buffer, n, height),
                lower: false,
                rows: n,
                workspace: &mut *self.workspace,
            });
            for i in 0..height {
                for (j, c) in self.c.row(first + i).iter_mut().enumerate() {
                    let product = buffer[j * height + i];
                    *c = match *self.addend {
                        Addend::Zero => product,
                        Addend::Output(beta) => product + beta * *c,
                        Addend::Row(row) => product + row[j],
                    };
                }
            }
        }
    }

    /// The whole product as dot products.
    fn dots<S: Simd>(&mut self, simd: S) {
        let (c, c_row) = (self.c.as_mut_ptr(), self.c.row_stride());
        let (beta, d, d_row) = self.addend(0, self.c.cols());
        let dots = Dots {
            m: self.a.rows(),
            k: self.a.cols(),
            n: self.b.cols(),
            a: self.a.as_ptr(),
            a_row: self.a.row_stride(),
            b: self.b.as_ptr(),
            b_col: self.b.col_stride(),
            c,
            c_row,
            d,
            d_row,
            alpha: self.alpha,
            beta,
        };
        // SAFETY: the operands have the product's dimensions, as `run` has asserted; C is borrowed mutably and so overlaps none of them.
        unsafe { dots.product(simd) };
    }
}

/// Panels side by side, of `len` columns each; all of whole registers if there are several.
#[derive(Clone, Copy)]
struct Columns {
    first: usize,
    len: usize,
    panels: usize,
}

impl Columns {
    #[inline(always)]
    fn panel(first: usize, len: usize) -> Self {
        Self { first, len, panels: 1 }
    }
}

/// Tiles of equal height, one below the other.
struct Group {
    row: usize,
    rows: usize,
    tiles: usize,
}

/// The rows of a product, cut into tiles whose heights differ by one at most. If all tiles but the last were full, the last might have
/// too few accumulators to hide the latency of multiply–add.
#[derive(Clone, Copy)]
struct TileRows {
    first: usize,
    /// Height of the taller tiles, and their number; the others have one row less.
    height: usize,
    tall: usize,
    short: usize,
}

impl TileRows {
    /// Cuts `len` rows from `first` on into tiles of at most `max`.
    #[inline(always)]
    fn new(first: usize, len: usize, max: usize) -> Self {
        if len <= max {
            return Self { first, height: len, tall: 1, short: 0 };
        }
        // Two tiles need no division, which would take as long as a tile of a few steps.
        let (tiles, height) = match len <= 2 * max {
            true => (2, len.div_ceil(2)),
            false => (len.div_ceil(max), len.div_ceil(len.div_ceil(max))),
        };
        let short = height * tiles - len;
        Self { first, height, tall: tiles - short, short }
    }

    #[inline(always)]
    fn groups(self) -> [Group; 2] {
        let short = self.first + self.tall * self.height;
        [
            Group { row: self.first, rows: self.height, tiles: self.tall },
            Group { row: short, rows: self.height - 1, tiles: self.short },
        ]
    }
}
