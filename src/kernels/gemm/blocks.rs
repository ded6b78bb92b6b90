//! Block sizes, and what is packed.

use super::matrix::Matrix;
use crate::simd::Element;
use crate::simd::{Lanes, MAX_LANES, Simd};

/// Loop 4. A panel of B, two registers wide, is 64 KiB with 512-bit registers and moves from the L2 cache through L1: 128 bytes for the
/// 24 multiply–adds of a step, a fraction of L2's bandwidth. In return C, which comes from an outer cache, is read and written once in
/// 512 steps.
const K_BLOCK: usize = 512;
/// Loop 3. 144 rows of 512 steps are 288 KiB in f32 and 576 KiB in f64, and share the L2 cache with a panel. 144 is a multiple of the
/// rows of all tiles, and a little more than 128, a common size of products.
const M_BLOCK: usize = 144;
/// Loop 5. 512 columns of 512 steps are 1 MiB in f32 and 2 MiB in f64, for L2 and L3. Smaller blocks would read A more often, which cost
/// as much as they saved.
const N_BLOCK: usize = 512;
/// Widest panel of any instruction set and type: two registers of 512 or of 128 bits.
const MAX_PANEL: usize = if cfg!(target_arch = "x86_64") { 32 } else { 8 };
/// Packed data begins at a cache line: up to this many elements are skipped.
const ALIGNMENT: usize = 64;
/// Addresses this many bytes apart share a set of the L1 cache.
const ALIASED: usize = 4096;
/// This many rows of A or of C that share a set stay in an L1 cache of 8 ways, beside B and C. Divides the rows of all tiles.
const ALIASED_ROWS: usize = 6;

/// Sums this short: C is most of what a product reads and writes.
pub(super) const SHORT: usize = 64;

/// Whether rows that begin `stride` elements apart share sets of the L1 cache.
#[inline(always)]
pub(super) const fn aliased<T>(stride: usize) -> bool {
    (stride * size_of::<T>()).is_multiple_of(ALIASED)
}

/// The most rows of a tile of any instruction set.
pub(super) const MAX_ROWS: usize = 12;

/// Rows of a tile: with two registers a row, as many accumulators as leave room for B and the broadcast A.
#[inline(always)]
pub(super) const fn tile_rows<S: Simd>() -> usize {
    if S::REGISTERS >= 32 { MAX_ROWS } else { 6 }
}

/// With at most this many rows, panels are twice as wide: there would be too few accumulators.
pub(super) const WIDE_ROWS: usize = 3;

/// Elements of B that stay in half of the L1 cache, beside a tile's rows of A and of C.
#[inline(always)]
pub(super) const fn near<T>() -> usize {
    24 * 1024 / size_of::<T>()
}

/// Columns of a panel: two registers.
#[inline(always)]
pub(super) const fn panel_cols<S: Simd, T: Element>() -> usize {
    2 * <T::Lanes<S> as Lanes>::LANES
}

/// Cuts `len` evenly into blocks of at most `max`, rounded up to `multiple`, which divides `max`.
#[inline(always)]
pub(super) const fn even(len: usize, max: usize, multiple: usize) -> usize {
    if len <= max { len } else { len.div_ceil(len.div_ceil(max)).next_multiple_of(multiple) }
}

const fn min(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}

/// Elements of the workspace that a product m×k by k×n needs, whatever the instruction set (of the target), the type and
/// the strides.
pub const fn workspace_len(m: usize, k: usize, n: usize) -> usize {
    if m == 0 || k == 0 || n == 0 {
        return 0;
    }
    let k = min(k, K_BLOCK);
    let panels = if m <= M_BLOCK { MAX_PANEL } else { min(n, N_BLOCK).next_multiple_of(MAX_PANEL) };
    k * (panels + min(m, M_BLOCK)) + 3 * ALIGNMENT / size_of::<f32>()
}

/// The most elements of workspace that one of several products `[m, k, n]` needs.
pub(crate) const fn largest_workspace(products: &[[usize; 3]]) -> u64 {
    let mut most = 0;
    let mut index = 0;
    while index < products.len() {
        let [m, k, n] = products[index];
        let needed = workspace_len(m, k, n) as u64;
        most = if needed > most { needed } else { most };
        index += 1;
    }
    most
}

/// Decisions for one product.
pub(super) struct Blocks {
    /// Block sizes of loops 3, 4 and 5.
    pub m: usize,
    pub k: usize,
    pub n: usize,
    pub pack_a: bool,
    pub pack_b: bool,
    /// Rows of a tile, at most.
    pub tile: usize,
    /// Whether the product is a single block, read in place.
    pub one: bool,
    /// Whether packed panels are used by several row blocks, and so kept until loop 4 moves on.
    pub keep_b: bool,
}

impl Blocks {
    #[inline(always)]
    pub(super) fn new<S: Simd, T: Element>(a: &Matrix<T>, b: &Matrix<T>, c_row: usize, weighted: bool) -> Self {
        let (m, k, n) = (a.rows(), a.cols(), b.cols());
        let (rows, cols) = (tile_rows::<S>(), panel_cols::<S, T>());
        // A is read in place where its rows are contiguous: each row is then a stream. A copy pays where several panels read a column of
        // A, one cache line a step, or where all rows fall on the same few cache sets.
        let columns = a.col_stride() != 1;
        let a_aliased = k > SHORT && aliased::<T>(a.row_stride());
        let pack_a = (columns && n > 4 * cols) || (a_aliased && m > 4 * rows && n > 4 * cols);
        // B is read in place where its rows are contiguous, unless they fall on the same few cache sets; a copy of a panel costs about as
        // much as two rows of its product. Where the last register is cut, B is read in place only if masked loads are cheap.
        let cut = n % cols != 0 && !<T::Lanes<S> as Lanes>::MASKED_LOADS;
        let b_aliased = k > 16 && aliased::<T>(b.row_stride());
        let pack_b = weighted || b.col_stride() != 1 || cut || (b_aliased && m > 2 * rows);
        let c_aliased = k <= SHORT && aliased::<T>(c_row);
        let (pack_a, pack_b) = (pack_a && k > 0, pack_b && k > 0);
        // A single tile of rows reads B once, so B need not stay in a cache.
        let few = m <= rows;
        Self {
            m: even(m, M_BLOCK, rows),
            k: even(k, K_BLOCK, 1),
            n: even(n, N_BLOCK, cols),
            tile: if (a_aliased && !pack_a) || c_aliased { ALIASED_ROWS } else { rows },
            pack_a,
            pack_b,
            one: !pack_a && !pack_b && (few || (m <= M_BLOCK && k <= K_BLOCK && n <= N_BLOCK)),
            keep_b: m > M_BLOCK,
        }
    }

    /// The places in the workspace of packed B and of packed A, each at the beginning of a cache line.
    ///
    /// Panics if the workspace is too short for what will be packed.
    #[inline(always)]
    pub(super) fn split<T>(&self, workspace: &mut [T], width: usize) -> (*mut T, *mut T) {
        let len_b = match (self.pack_b, self.keep_b) {
            (true, true) => self.k * self.n.next_multiple_of(width),
            (true, false) => self.k * width,
            (false, _) => 0,
        };
        let len_a = if self.pack_a { self.m * self.k + MAX_LANES } else { 0 };
        let line = ALIGNMENT / size_of::<T>();
        if len_a + len_b == 0 {
            return (workspace.as_mut_ptr(), workspace.as_mut_ptr());
        }
        let len_b = len_b.next_multiple_of(line);
        let packed_b = place(workspace, len_b + len_a);
        (packed_b, packed_b.wrapping_add(len_b))
    }
}

/// The place in the workspace of `len` packed elements, at the beginning of a cache line. Panics if the workspace is too short.
#[inline(always)]
pub(super) fn place<T>(workspace: &mut [T], len: usize) -> *mut T {
    let skip = workspace.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT / size_of::<T>());
    assert!(skip + len <= workspace.len(), "workspace of a product too short");
    workspace[skip..].as_mut_ptr()
}
