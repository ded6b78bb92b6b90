//! The micro-kernel, loops 1 and 0 of the product: tiles of C that stay in registers while k runs.
//!
//! Contract. A *panel* of B has `k` rows of up to `VECTORS` registers, `b_row` apart; a *strip* of A is a number of tiles
//! of `ROWS` rows. For each tile
//!
//! ```text
//! C ← α·A·B + β·D        (ROWS × columns)
//! ```
//!
//! with `ROWS·VECTORS` accumulators: per step of k, `VECTORS` loads of B and, row by row, one number of A broadcast to
//! `VECTORS` multiply–adds. The sum over k runs in order, in one chain per element of C. β = 0 never reads D, which is C
//! itself or, with a row stride of 0, a row to be added to all. A tile costs `2·k·ROWS·VECTORS·LANES` flops.
//!
//! The last register of a panel may be cut: `last` columns of it are written. Its rows in B are full registers, whose
//! other lanes may hold anything (packed panels), or `MASKED`: just `last` numbers are read (B used in place).

use super::blocks::tile_rows;
use crate::Real;
use crate::simd::{Kernel, Lanes, Simd};

/// Operands of the micro-kernel. Strides are in elements.
#[derive(Clone, Copy)]
pub(super) struct Strip<T> {
    /// Length of the sums.
    pub k: usize,
    /// First element of A, and the distance of its rows, of its columns, and of tiles.
    pub a: *const T,
    pub a_row: usize,
    pub a_col: usize,
    pub a_tile: usize,
    /// First element of the panel of B, and the distance of its rows.
    pub b: *const T,
    pub b_row: usize,
    /// First element of C, and the distance of its rows.
    pub c: *mut T,
    pub c_row: usize,
    /// First element of the addend, and the distance of its rows.
    pub d: *const T,
    pub d_row: usize,
    /// Columns of the last register, at least 1.
    pub last: usize,
    pub alpha: T,
    pub beta: T,
}

/// Computes `tiles` tiles of a strip, one below the other.
struct Tiles<'a, T, const ROWS: usize, const VECTORS: usize, const MASKED: bool> {
    strip: &'a Strip<T>,
    tiles: usize,
}

impl<T: Real, const ROWS: usize, const VECTORS: usize, const MASKED: bool> Kernel
    for Tiles<'_, T, ROWS, VECTORS, MASKED>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let &Strip { mut a, mut c, mut d, a_tile, c_row, d_row, .. } = self.strip;
        for _ in 0..self.tiles {
            // SAFETY: by the contract of `strip_product`.
            unsafe { tile::<S, T, ROWS, VECTORS, MASKED>(simd, self.strip, a, c, d) };
            a = a.wrapping_add(a_tile);
            c = c.wrapping_add(ROWS * c_row);
            d = d.wrapping_add(ROWS * d_row);
        }
    }
}

/// One tile, at `a`, `c` and `d`: the accumulators live in registers from the first step of k to the store.
///
/// # Safety
/// As [`strip_product`], for one tile.
#[inline(always)]
unsafe fn tile<S: Simd, T: Real, const ROWS: usize, const VECTORS: usize, const MASKED: bool>(
    simd: S,
    strip: &Strip<T>,
    mut a: *const T,
    c: *mut T,
    d: *const T,
) {
    let lanes = T::Lanes::<S>::LANES;
    let &Strip { k, a_row, a_col, mut b, b_row, c_row, d_row, last, alpha, beta, .. } = strip;
    let mut sums = [[T::Lanes::<S>::zero(simd); VECTORS]; ROWS];
    // SAFETY: the caller vouches for `ROWS`×k elements of A and k rows of B, of `VECTORS` registers, the last of them cut
    // to `last` if `MASKED`. Pointers beyond the last step are made, never read.
    unsafe {
        for _ in 0..k {
            let mut row = [T::Lanes::<S>::zero(simd); VECTORS];
            for (v, register) in row.iter_mut().enumerate() {
                *register = if MASKED && v + 1 == VECTORS {
                    T::Lanes::<S>::load_partial_ptr(simd, b.add(v * lanes), last)
                } else {
                    T::Lanes::<S>::load_ptr(simd, b.add(v * lanes))
                };
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let x = T::Lanes::<S>::splat(simd, *a.add(i * a_row));
                for (sum, &row) in sums.iter_mut().zip(&row) {
                    *sum = x.mul_add(row, *sum);
                }
            }
            a = a.wrapping_add(a_col);
            b = b.wrapping_add(b_row);
        }
    }

    let alpha = T::Lanes::<S>::splat(simd, alpha);
    for (i, sums) in sums.iter().enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            let cut = v + 1 == VECTORS && last < lanes;
            let mut sum = alpha * sum;
            // SAFETY: the caller vouches for `ROWS` rows of C, and of D unless β = 0, with `last` columns in the last register.
            unsafe {
                let c = c.add(i * c_row + v * lanes);
                if beta != T::ZERO {
                    let d = d.add(i * d_row + v * lanes);
                    let addend = match cut {
                        true => T::Lanes::<S>::load_partial_ptr(simd, d, last),
                        false => T::Lanes::<S>::load_ptr(simd, d),
                    };
                    sum = T::Lanes::<S>::splat(simd, beta).mul_add(addend, sum);
                }
                match cut {
                    true => sum.store_partial_ptr(c, last),
                    false => sum.store_ptr(c),
                }
            }
        }
    }
}

/// Multiplies `tiles` tiles of `rows` rows each by a panel of `vectors` registers.
///
/// # Safety
/// `rows <= tile_rows::<S>()` and `vectors <= 2`, both positive. `strip` describes memory that is valid, as the module's
/// contract says: `tiles·rows` rows of A (tile t begins at `t·a_tile`), of C and, unless `β = 0`, of D. C overlaps
/// neither A nor B; D is C or does not overlap it.
#[inline(always)]
pub(super) unsafe fn strip_product<S: Simd, T: Real>(
    simd: S,
    strip: &Strip<T>,
    tiles: usize,
    rows: usize,
    vectors: usize,
    masked: bool,
) {
    debug_assert!(rows <= tile_rows::<S>() && strip.last >= 1 && strip.last <= T::Lanes::<S>::LANES);
    macro_rules! kernel {
        ($rows:literal) => {
            match (vectors, masked && T::Lanes::<S>::MASKED_LOADS) {
                (1, false) => simd.run(Tiles::<T, $rows, 1, false> { strip, tiles }),
                (1, true) => simd.run(Tiles::<T, $rows, 1, true> { strip, tiles }),
                (_, false) => simd.run(Tiles::<T, $rows, 2, false> { strip, tiles }),
                (_, true) => simd.run(Tiles::<T, $rows, 2, true> { strip, tiles }),
            }
        };
    }
    match rows {
        1 => kernel!(1),
        2 => kernel!(2),
        3 => kernel!(3),
        4 => kernel!(4),
        5 if tile_rows::<S>() >= 5 => kernel!(5),
        6 if tile_rows::<S>() >= 6 => kernel!(6),
        7 if tile_rows::<S>() >= 7 => kernel!(7),
        8 if tile_rows::<S>() >= 8 => kernel!(8),
        9 if tile_rows::<S>() >= 9 => kernel!(9),
        10 if tile_rows::<S>() >= 10 => kernel!(10),
        11 if tile_rows::<S>() >= 11 => kernel!(11),
        12 if tile_rows::<S>() >= 12 => kernel!(12),
        _ => debug_assert!(false, "a tile of {rows} rows"),
    }
}
