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
//! `VECTORS` multiply–adds. The sum over k runs in order, in one chain per element of C, or in two, of even and of odd steps,
//! where accumulators are few. β = 0 never reads D, which is C itself or, with a row stride of 0, a row to be added to all.
//! A tile costs `2·k·ROWS·VECTORS·LANES` flops.
//!
//! The last register of a panel may be cut: `last` columns of it are written. Its rows in B are full registers, whose
//! other lanes may hold anything (packed panels), or `MASKED`: just `last` numbers are read (B used in place).

use super::blocks::{MAX_ROWS, WIDE_ROWS, tile_rows};
use super::vouched::Vouched;
use crate::simd::Element;
use crate::simd::{Kernel, Lanes, Simd};
use core::marker::PhantomData;

/// This many accumulators are too few to hide the latency of multiply–add (4 steps of 2 on most cores): then each is two, one for even
/// and one for odd steps.
const FEW: usize = 4;

/// Operands of the micro-kernel. Strides are in elements. α and β are kept apart: if they were neighbours, just written one by one, the
/// compiler would read them as a pair, which waits until both have reached the cache, longer than a tiny product takes.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Strip<T> {
    pub alpha: T,
    /// Length of the sums.
    pub k: usize,
    /// First element of A, and the distance of its rows, of every fourth row, of its columns, and of tiles.
    pub a: *const T,
    pub a_row: usize,
    pub a_row4: usize,
    pub a_col: usize,
    pub a_tile: usize,
    /// First element of the panel of B, and the distance of its rows.
    pub b: *const T,
    pub b_row: usize,
    /// Panels side by side, all of them full if there are several.
    pub panels: usize,
    /// First element of C, and the distance of its rows.
    pub c: *mut T,
    pub c_row: usize,
    /// First element of the addend, and the distance of its rows.
    pub d: *const T,
    pub d_row: usize,
    /// Columns of the last register, at least 1.
    pub last: usize,
    pub beta: T,
}

/// Computes `tiles` tiles of a strip, one below the other: what [`strip_product`] needs, with `ROWS` rows and `VECTORS` registers.
struct Tiles<'a, T, const ROWS: usize, const VECTORS: usize, const MASKED: bool> {
    strip: &'a Strip<T>,
    tiles: usize,
}

impl<T: Element, const ROWS: usize, const VECTORS: usize, const MASKED: bool> Kernel
    for Vouched<Tiles<'_, T, ROWS, VECTORS, MASKED>>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Tiles { strip, tiles } = self.operands();
        let &Strip { panels, mut a, a_tile, c_row, d_row, .. } = strip;
        let width = VECTORS * T::Lanes::<S>::LANES;
        for row in (0..tiles).map(|tile| tile * ROWS) {
            for column in (0..panels).map(|panel| panel * width) {
                let b = strip.b.wrapping_add(column);
                let c = strip.c.wrapping_add(row * c_row + column);
                let d = strip.d.wrapping_add(row * d_row + column);
                // SAFETY: by the contract of `strip_product`, which was vouched for.
                unsafe { tile::<S, T, ROWS, VECTORS, MASKED>(simd, strip, a, b, c, d) };
            }
            a = a.wrapping_add(a_tile);
        }
    }
}

/// One tile, at `a`, `b`, `c` and `d`: the accumulators live in registers from the first step of k to the store.
///
/// # Safety
/// As [`strip_product`], for one tile.
#[inline(always)]
unsafe fn tile<S: Simd, T: Element, const ROWS: usize, const VECTORS: usize, const MASKED: bool>(
    simd: S,
    strip: &Strip<T>,
    mut a: *const T,
    mut b: *const T,
    c: *mut T,
    d: *const T,
) {
    let lanes = T::Lanes::<S>::LANES;
    let &Strip { k, a_row, a_row4, a_col, b_row, c_row, d_row, last, alpha, beta, .. } = strip;
    // The rows of A by fours, at a distance that the compiler does not know to be four rows. Otherwise it would go from row to row by
    // additions, each of which waits for the one before; these take longer than the multiply–adds.
    let step = |a: *const T, b: *const T, sums: &mut [[T::Lanes<S>; VECTORS]; ROWS]| {
        let row: [_; VECTORS] = core::array::from_fn(|v| {
            let cut = MASKED && v + 1 == VECTORS;
            // SAFETY: the caller vouches for k rows of B, of `VECTORS` registers, the last of them cut to `last` if `MASKED`.
            unsafe {
                match cut {
                    true => T::Lanes::<S>::load_partial_ptr(simd, b.add(v * lanes), last),
                    false => T::Lanes::<S>::load_ptr(simd, b.add(v * lanes)),
                }
            }
        });
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: the caller vouches for `ROWS`×k elements of A.
            let x = T::Lanes::<S>::splat(simd, unsafe { *a.add(i / 4 * a_row4 + i % 4 * a_row) });
            for (sum, &row) in sums.iter_mut().zip(&row) {
                *sum = x.mul_add(row, *sum);
            }
        }
    };
    let mut sums = [[T::Lanes::<S>::zero(simd); VECTORS]; ROWS];
    let mut left = k;
    // Pointers beyond the last step are computed but never read.
    if ROWS * VECTORS <= FEW {
        let mut odd = sums;
        while left >= 2 {
            step(a, b, &mut sums);
            step(a.wrapping_add(a_col), b.wrapping_add(b_row), &mut odd);
            (a, b) = (a.wrapping_add(2 * a_col), b.wrapping_add(2 * b_row));
            left -= 2;
        }
        for (sum, &odd) in sums.as_flattened_mut().iter_mut().zip(odd.as_flattened()) {
            *sum = *sum + odd;
        }
    }
    for _ in 0..left {
        step(a, b, &mut sums);
        (a, b) = (a.wrapping_add(a_col), b.wrapping_add(b_row));
    }

    if alpha != T::ONE {
        let alpha = T::Lanes::<S>::splat(simd, alpha);
        for sum in sums.as_flattened_mut() {
            *sum = alpha * *sum;
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        for (v, &(mut sum)) in sums.iter().enumerate() {
            let cut = v + 1 == VECTORS && last < lanes;
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
/// `rows <= tile_rows::<S>()` and `vectors <= 2`, both positive, or `rows <= WIDE_ROWS` and four whole `vectors`. `strip`
/// describes memory that is valid, as the module's contract says: `tiles·rows` rows of A (tile t begins at `t·a_tile`), of C and, unless `β = 0`, of D. C overlaps
/// neither A nor B; D is C or does not overlap it.
#[inline(always)]
pub(super) unsafe fn strip_product<S: Simd, T: Element>(
    simd: S,
    strip: &Strip<T>,
    tiles: usize,
    rows: usize,
    vectors: usize,
    masked: bool,
) {
    debug_assert!(rows <= tile_rows::<S>() && strip.last >= 1 && strip.last <= T::Lanes::<S>::LANES);
    debug_assert!(vectors <= 2 || (vectors == 4 && rows <= WIDE_ROWS && strip.last == T::Lanes::<S>::LANES));
    let masked = T::Lanes::<S>::FREE_MASKS || (masked && T::Lanes::<S>::MASKED_LOADS);
    let shape = match (vectors, masked) {
        (1, false) => 0,
        (1, true) => 1,
        (2, false) => 2,
        (2, true) => 3,
        _ => 4,
    };
    if let Some(kernel) = Table::<S, T>::KERNELS[rows - 1][shape] {
        // SAFETY: by this function's contract; the kernel is that of these rows and registers.
        unsafe { kernel(simd, strip, tiles) };
    }
}

/// A micro-kernel: computes a number of tiles of a strip.
type MicroKernel<S, T> = unsafe fn(S, &Strip<T>, usize);

/// The micro-kernels of an instruction set and a type. This is a table because a `match` would be compiled with arms for heights that the
/// set does not have.
struct Table<S, T>(PhantomData<(S, T)>);

impl<S: Simd, T: Element> Table<S, T> {
    /// Indexed by rows minus one: for one register, whole and masked; for two likewise; and for four.
    const KERNELS: [[Option<MicroKernel<S, T>>; 5]; MAX_ROWS] = [
        Self::of_height::<1>(),
        Self::of_height::<2>(),
        Self::of_height::<3>(),
        Self::of_height::<4>(),
        Self::of_height::<5>(),
        Self::of_height::<6>(),
        Self::of_height::<7>(),
        Self::of_height::<8>(),
        Self::of_height::<9>(),
        Self::of_height::<10>(),
        Self::of_height::<11>(),
        Self::of_height::<12>(),
    ];

    const fn of_height<const ROWS: usize>() -> [Option<MicroKernel<S, T>>; 5] {
        let mut kernels: [Option<MicroKernel<S, T>>; 5] = [None; 5];
        if ROWS <= tile_rows::<S>() {
            if !<T::Lanes<S> as Lanes>::FREE_MASKS {
                kernels[0] = Some(kernel::<S, T, ROWS, 1, false>);
                kernels[2] = Some(kernel::<S, T, ROWS, 2, false>);
            }
            if <T::Lanes<S> as Lanes>::MASKED_LOADS {
                kernels[1] = Some(kernel::<S, T, ROWS, 1, true>);
                kernels[3] = Some(kernel::<S, T, ROWS, 2, true>);
            }
            if ROWS <= WIDE_ROWS {
                kernels[4] = Some(kernel::<S, T, ROWS, 4, false>);
            }
        }
        kernels
    }
}

/// # Safety
/// As for [`strip_product`], with `ROWS` rows and `VECTORS` registers.
unsafe fn kernel<S: Simd, T: Element, const ROWS: usize, const VECTORS: usize, const MASKED: bool>(
    simd: S,
    strip: &Strip<T>,
    tiles: usize,
) {
    // SAFETY: by this function's contract.
    simd.run(unsafe { Vouched::new(Tiles::<T, ROWS, VECTORS, MASKED> { strip, tiles }) });
}
