//! Products against naive sums in f64, for every instruction set, type and transposition.
//!
//! An element is right if its error is below `(k + 4)·ε·(|α|·|A|·|B| + |β·C|)`, the bound for any order of summation.
//! The workspace is as long as promised and holds NaN, and so does C where β = 0.

use super::*;
use crate::error::Error;
use crate::gemm::matrix_product;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::vec::Vec;

/// Numbers in (−1, 1), each with its own bits.
fn random<T: Element>(len: usize, seed: u64) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9e3779b97f4a7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        T::from_f64((state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0)
    };
    (0..len).map(|_| next()).collect()
}

/// How an operand lies in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    RowMajor,
    ColMajor,
    /// Row-major with a gap after every row.
    Padded,
    /// Neither stride is 1.
    Scattered,
}

const LAYOUTS: [Layout; 4] = [Layout::RowMajor, Layout::ColMajor, Layout::Padded, Layout::Scattered];

impl Layout {
    fn strides(self, rows: usize, cols: usize) -> (usize, usize) {
        match self {
            Self::RowMajor => (cols, 1),
            Self::ColMajor => (1, rows),
            Self::Padded => (cols + 3, 1),
            Self::Scattered => (2 * cols + 1, 2),
        }
    }

    /// A matrix in a vector that is exactly as long as it must be, with NaN in the gaps.
    fn store<T: Element>(self, rows: usize, cols: usize, seed: u64) -> Vec<T> {
        let (row_stride, col_stride) = self.strides(rows, cols);
        if rows == 0 || cols == 0 {
            return Vec::new();
        }
        let mut data = std::vec![T::NAN; (rows - 1) * row_stride + (cols - 1) * col_stride + 1];
        for (index, x) in random(rows * cols, seed).into_iter().enumerate() {
            data[index / cols * row_stride + index % cols * col_stride] = x;
        }
        data
    }

    fn view<T>(self, data: &[T], rows: usize, cols: usize) -> Matrix<'_, T> {
        let (row_stride, col_stride) = self.strides(rows, cols);
        Matrix::strided(data, rows, cols, row_stride, col_stride).unwrap()
    }
}

fn at<T: Element>(a: &Matrix<T>, i: usize, j: usize) -> f64 {
    // SAFETY: the tests ask for elements of the matrix.
    unsafe { *a.as_ptr().add(i * a.row_stride() + j * a.col_stride()) }.to_f64()
}

/// The sum Σ a(i, p)·w(p)·b(p, j), and that of the magnitudes.
fn sums<T: Element>(a: &Matrix<T>, weights: Option<&[T]>, b: &Matrix<T>, i: usize, j: usize) -> (f64, f64) {
    (0..a.cols()).fold((0.0, 0.0), |(sum, magnitude), p| {
        let term = at(a, i, p) * weights.map_or(1.0, |w| w[p].to_f64()) * at(b, p, j);
        (sum + term, magnitude + term.abs())
    })
}

#[derive(Clone, Copy, Debug)]
struct Case {
    m: usize,
    k: usize,
    n: usize,
    a: Layout,
    b: Layout,
    alpha: f64,
    beta: f64,
}

/// One product, compared, and repeated for the same bits.
fn check_product<T: Element>(isa: InstructionSet, case: Case) {
    let Case { m, k, n, alpha, beta, .. } = case;
    let (a, b) = (case.a.store::<T>(m, k, 1), case.b.store::<T>(k, n, 2));
    let (a, b) = (case.a.view(&a, m, k), case.b.view(&b, k, n));
    let c_row = n + 2;
    let len = if m == 0 || n == 0 { 0 } else { (m - 1) * c_row + n };
    let before: Vec<T> = if beta == 0.0 { std::vec![T::NAN; len] } else { random(len, 3) };
    let run = || {
        let mut c = before.clone();
        let mut workspace = std::vec![T::NAN; workspace_len(m, k, n)];
        let view = MatrixMut::strided(&mut c, m, n, c_row).unwrap();
        let addend = Addend::scaled(T::from_f64(beta));
        Context::alone(isa, &mut workspace).product(view, T::from_f64(alpha), a, b, addend);
        c
    };
    let c = run();
    for (index, (&x, &old)) in c.iter().zip(&before).enumerate() {
        let (i, j) = (index / c_row, index % c_row);
        if j >= n {
            assert!(x.to_f64().to_bits() == old.to_f64().to_bits(), "{isa} {case:?} wrote between rows");
            continue;
        }
        let (sum, magnitude) = sums(&a, None, &b, i, j);
        let old = if beta == 0.0 { 0.0 } else { beta * old.to_f64() };
        let bound = (k + 4) as f64 * T::EPSILON.to_f64() * (alpha.abs() * magnitude + old.abs());
        let error = (x.to_f64() - (alpha * sum + old)).abs();
        assert!(error <= bound, "{isa} {case:?} ({i}, {j}): error {error:e}, bound {bound:e}");
    }
    let same = c.iter().zip(&run()).all(|(x, y)| bytemuck::bytes_of(x) == bytemuck::bytes_of(y));
    assert!(same, "{isa} {case:?}: other bits the second time");
}

/// Sizes around the edges of tiles and registers, in all layouts.
fn small_products<T: Element>(isa: InstructionSet) {
    let mut count = 0;
    for m in [0, 1, 2, 3, 5, 6, 7, 8, 9, 13, 17, 25] {
        for n in [0, 1, 2, 4, 7, 8, 10, 15, 16, 17, 31, 32, 33, 49, 66] {
            for k in [0, 1, 2, 5, 16, 35] {
                for a in LAYOUTS {
                    for b in LAYOUTS {
                        count += 1;
                        // Four scalings, in turn.
                        let (alpha, beta) = [(1.0, 0.0), (1.0, 1.0), (-0.5, 0.0), (1.5, -0.75)][count % 4];
                        check_product::<T>(isa, Case { m, k, n, a, b, alpha, beta });
                    }
                }
            }
        }
    }
}

/// Sizes around the edges of blocks.
fn blocked_products<T: Element>(isa: InstructionSet) {
    let sizes = [
        (143, 19, 40),
        (144, 255, 33),
        (145, 257, 31),
        (150, 10, 515),
        (290, 3, 1030),
        (7, 513, 70),
        (130, 300, 97),
        (1, 700, 300),
        (300, 700, 1),
        (2, 300, 600),
        (129, 784, 10),
        (10, 128, 128),
    ];
    for (m, k, n) in sizes {
        for a in [Layout::RowMajor, Layout::ColMajor] {
            for b in [Layout::Padded, Layout::ColMajor] {
                check_product::<T>(isa, Case { m, k, n, a, b, alpha: 1.0, beta: 0.0 });
                check_product::<T>(isa, Case { m, k, n, a, b, alpha: -1.5, beta: 0.5 });
            }
        }
    }
}

fn symmetric_products<T: Element>(isa: InstructionSet) {
    for n in [1, 2, 5, 8, 9, 16, 17, 33, 64, 70, 150, 300] {
        for k in [0, 1, 7, 40, 300] {
            for layout in LAYOUTS {
                for weighted in [false, true] {
                    for beta in [0.0, -0.75] {
                        check_symmetric::<T>(isa, n, k, layout, weighted, beta);
                    }
                }
            }
        }
    }
}

fn check_symmetric<T: Element>(isa: InstructionSet, n: usize, k: usize, layout: Layout, weighted: bool, beta: f64) {
    let case = (n, k, layout, weighted, beta);
    let a = layout.store::<T>(n, k, 4);
    let a = layout.view(&a, n, k);
    let weights: Vec<T> = random(k, 5);
    let weights = weighted.then_some(&weights[..]);
    let c_row = n + 1;
    let mut before: Vec<T> = random(n * c_row, 6);
    for (index, x) in before.iter_mut().enumerate() {
        if beta == 0.0 || index % c_row > index / c_row {
            *x = T::NAN;
        }
    }
    for triangle in [Triangle::Both, Triangle::Lower] {
        let mut c = before.clone();
        let mut workspace = std::vec![T::NAN; workspace_len(n, k, n)];
        let view = MatrixMut::strided(&mut c, n, n, c_row).unwrap();
        let mut context = Context::alone(isa, &mut workspace);
        context.gram(view, T::from_f64(1.5), a, weights, T::from_f64(beta), triangle);
        for i in 0..n {
            for j in 0..=i {
                let (sum, magnitude) = sums(&a, weights, &a.t(), i, j);
                let old = if beta == 0.0 { 0.0 } else { beta * before[i * c_row + j].to_f64() };
                let bound = (k + 5) as f64 * T::EPSILON.to_f64() * (1.5 * magnitude + old.abs());
                let error = (c[i * c_row + j].to_f64() - (1.5 * sum + old)).abs();
                assert!(error <= bound, "{isa} {case:?} ({i}, {j}): error {error:e}, bound {bound:e}");
                if triangle == Triangle::Both {
                    assert!(c[i * c_row + j] == c[j * c_row + i], "{isa} {case:?} ({i}, {j}): not symmetric");
                }
            }
        }
    }
}

/// Rows of all operands that begin a multiple of 4096 bytes apart, and so share cache sets: they are read, packed and cut otherwise.
fn aliased_rows<T: Element>(isa: InstructionSet) {
    const STRIDE: usize = 1024;
    for (m, k, n) in [(30, 10, 70), (60, 70, 40), (60, 70, 150), (150, 20, 150)] {
        let (a, b): (Vec<T>, Vec<T>) = (random(m * STRIDE, 12), random(k * STRIDE, 13));
        let a = Matrix::strided(&a, m, k, STRIDE, 1).unwrap();
        let b = Matrix::strided(&b, k, n, STRIDE, 1).unwrap();
        let mut c = std::vec![T::NAN; m * STRIDE];
        let mut workspace = std::vec![T::NAN; workspace_len(m, k, n)];
        let view = MatrixMut::strided(&mut c, m, n, STRIDE).unwrap();
        Context::alone(isa, &mut workspace).set(view, a, b);
        for (index, x) in c.iter().enumerate() {
            let (i, j) = (index / STRIDE, index % STRIDE);
            if j >= n {
                assert!(x.to_f64().is_nan(), "{isa} {m}x{k}x{n} wrote between rows");
                continue;
            }
            let (sum, magnitude) = sums(&a, None, &b, i, j);
            let error = (x.to_f64() - sum).abs();
            let bound = (k + 4) as f64 * T::EPSILON.to_f64() * magnitude;
            assert!(error <= bound, "{isa} {m}x{k}x{n} ({i}, {j}): error {error:e}, bound {bound:e}");
        }
    }
}

/// A row that is added to all: a bias.
fn bias<T: Element>(isa: InstructionSet) {
    for (m, k, n) in
        [(1, 1, 1), (3, 0, 5), (4, 300, 2), (10, 33, 40), (150, 40, 2), (300, 20, 70), (5, 600, 530), (150, 2, 600)]
    {
        for layout in [Layout::RowMajor, Layout::ColMajor] {
            let (a, b) = (layout.store::<T>(m, k, 7), layout.store::<T>(k, n, 8));
            let (a, b) = (layout.view(&a, m, k), layout.view(&b, k, n));
            let bias: Vec<T> = random(n, 9);
            let mut c = std::vec![T::NAN; m * n];
            let mut workspace = std::vec![T::NAN; workspace_len(m, k, n)];
            let view = MatrixMut::new(&mut c, m, n).unwrap();
            Context::alone(isa, &mut workspace).product(view, T::ONE, a, b, Addend::Row(&bias));
            for (index, x) in c.iter().enumerate() {
                let (sum, magnitude) = sums(&a, None, &b, index / n, index % n);
                let bias = bias[index % n].to_f64();
                let bound = (k + 4) as f64 * T::EPSILON.to_f64() * (magnitude + bias.abs());
                let error = (x.to_f64() - (sum + bias)).abs();
                assert!(error <= bound, "{isa} {m}x{k}x{n}: error {error:e}, bound {bound:e}");
            }
        }
    }
}

/// Some rows of a product, 32 at least, computed by themselves, have the bits of the whole: by tiles, dot products and transposed.
fn parts<T: Element>(isa: InstructionSet) {
    let sizes = [(64, 70, 50), (67, 40, 3), (70, 300, 5), (83, 20, 10), (150, 600, 40), (130, 256, 10), (97, 33, 530)];
    for (m, k, n) in sizes {
        for (left, right) in LAYOUTS.into_iter().flat_map(|left| LAYOUTS.map(|right| (left, right))) {
            let (a, b) = (left.store::<T>(m, k, 14), right.store::<T>(k, n, 15));
            let (a, b) = (left.view(&a, m, k), right.view(&b, k, n));
            let before: Vec<T> = random(m * n, 16);
            let mut workspace = std::vec![T::NAN; workspace_len(m, k, n)];
            let addend = Addend::Output(T::from_f64(-0.75));
            let mut whole = before.clone();
            let view = MatrixMut::row_major(&mut whole, m, n);
            Context::alone(isa, &mut workspace).product(view, T::ONE, a, b, addend);
            for at in (32..=m - 32).step_by(16) {
                let mut cut = before.clone();
                let (above, below) = MatrixMut::row_major(&mut cut, m, n).split_rows(at);
                for (rows, c) in [(0..at, above), (at..m, below)] {
                    let context = Context::alone(isa, &mut workspace);
                    context.rows_of_product(c, T::ONE, a.rows_range(rows), b, addend, m);
                }
                assert!(whole == cut, "{isa} {m}x{k}x{n} {left:?} {right:?}, cut at {at}");
            }
        }
    }
}

/// Either triangle, of sizes around those of blocks.
fn mirrored<T: Element>(isa: InstructionSet) {
    for n in [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 37, 48, 70] {
        for half in [Half::Lower, Half::Upper] {
            let stride = n + 3;
            let before: Vec<T> = random(n * stride, 11);
            let mut c = before.clone();
            mirror(isa, MatrixMut::strided(&mut c, n, n, stride).unwrap(), half);
            for (index, (&after, &before_here)) in c.iter().zip(&before).enumerate() {
                let (i, j) = (index / stride, index % stride);
                let copied = j < n && if half == Half::Lower { j > i } else { j < i };
                let expected = if copied { before[j * stride + i] } else { before_here };
                assert!(after == expected, "{isa} {n} {half:?} ({i}, {j})");
            }
        }
    }
}

/// All tests of an instruction set; one that the CPU lacks runs as `Portable` (see `promised_sets_are_there`).
macro_rules! suites {
    ($($(#[$cfg:meta])? $module:ident: $set:ident, $real:ident;)*) => {$(
        $(#[$cfg])?
        mod $module {
            use super::*;

            const SET: InstructionSet = InstructionSet::$set;

            #[test]
            fn small_products() {
                super::small_products::<$real>(SET);
            }

            #[test]
            fn blocked_products() {
                super::blocked_products::<$real>(SET);
            }

            #[test]
            fn symmetric_products() {
                super::symmetric_products::<$real>(SET);
            }

            #[test]
            fn aliased_rows() {
                super::aliased_rows::<$real>(SET);
            }

            #[test]
            fn mirrored() {
                super::mirrored::<$real>(SET);
            }

            #[test]
            fn parts() {
                super::parts::<$real>(SET);
            }

            #[test]
            fn bias() {
                super::bias::<$real>(SET);
            }
        }
    )*};
}

suites! {
    portable_f32: Portable, f32;
    portable_f64: Portable, f64;
    #[cfg(target_arch = "aarch64")]
    neon_f32: Neon, f32;
    #[cfg(target_arch = "aarch64")]
    neon_f64: Neon, f64;
    #[cfg(target_arch = "x86_64")]
    avx2_f32: Avx2, f32;
    #[cfg(target_arch = "x86_64")]
    avx2_f64: Avx2, f64;
    #[cfg(target_arch = "x86_64")]
    avx512_f32: Avx512, f32;
    #[cfg(target_arch = "x86_64")]
    avx512_f64: Avx512, f64;
}

#[test]
fn wrong_operands_are_errors() {
    let data = [1.0_f32; 12];
    let short = |least| Some(Error::TooSmall { argument: "length of a matrix's data", given: 12, least });
    assert_eq!(Matrix::new(&data, 3, 5).err(), short(15));
    assert_eq!(Matrix::strided(&data, 2, 2, 11, 1).err(), short(13));
    let large = Some(Error::TooLarge { quantity: "matrix" });
    assert_eq!(Matrix::strided(&data, usize::MAX, 2, usize::MAX, 1).err(), large);
    assert!(Matrix::strided(&data, 2, 2, 10, 1).is_ok());
    assert!(Matrix::strided(&data, usize::MAX, 1, 0, 1).is_ok());
    assert!(workspace_len(usize::MAX, usize::MAX, usize::MAX) < 1 << 20);
    let mut out = [0.0; 12];
    let overlapping = Some(Error::TooSmall { argument: "row stride", given: 3, least: 4 });
    assert_eq!(MatrixMut::strided(&mut out, 2, 4, 3).err(), overlapping);
    assert_eq!(MatrixMut::new(&mut out, 4, 4).err(), short(16));

    let (a, b) = (Matrix::new(&data, 3, 4).unwrap(), Matrix::new(&data, 4, 2).unwrap());
    let mut workspace = std::vec![0.0; workspace_len(3, 4, 2)];
    let mut product = |a, b, cols, missing| {
        let c = MatrixMut::new(&mut out[..3 * cols], 3, cols).unwrap();
        let len = workspace.len() - missing;
        matrix_product(1.0, a, b, 0.0, c, &mut workspace[..len])
    };
    assert_eq!(product(a, b, 2, 0), Ok(()));
    let needed = workspace_len(3, 4, 2);
    let mismatch = |argument, given, expected| Err(Error::Dimensions { argument, given, expected });
    assert_eq!(product(a, b, 2, 1), Err(Error::Workspace { given: needed - 1, needed }));
    assert_eq!(product(a, b, 3, 0), mismatch("C", [3, 3], [3, 2]));
    assert_eq!(product(a, b.t(), 2, 0), mismatch("B", [2, 4], [4, 4]));
    assert_eq!(out[..6], [4.0; 6]);
}

#[test]
fn views() {
    let data: Vec<f64> = (0..12).map(f64::from).collect();
    let a = Matrix::new(&data, 3, 4).unwrap();
    assert_eq!((at(&a, 2, 1), at(&a.t(), 1, 2)), (9.0, 9.0));
    let part = a.rows_range(1..3).cols_range(2..4);
    assert_eq!((part.rows(), part.cols(), at(&part, 0, 0), at(&part, 1, 1)), (2, 2, 6.0, 11.0));
    assert_eq!(a.rows_range(3..3).rows(), 0);
    let mut data = data.clone();
    let mut block = MatrixMut::new(&mut data, 3, 4).unwrap().block(1..3, 1..3);
    block.row(1)[0] = -1.0;
    assert_eq!((block.rows(), block.cols(), data[9]), (2, 2, -1.0));
}

/// The last line of defence: whoever calls a product inside the crate, operands that do not go together panic, and C is as it was.
#[test]
fn a_product_asserts_its_dimensions() {
    let run = |isa,
               [m, k]: [usize; 2],
               [b_rows, b_cols]: [usize; 2],
               [c_rows, c_cols]: [usize; 2],
               weights: Option<usize>| {
        let (a, b, w) = (random::<f32>(m * k, 1), random(b_rows * b_cols, 2), weights.map(|len| random(len, 3)));
        let (mut c, mut workspace) = (std::vec![7.0; 64], std::vec![0.0; workspace_len(8, 8, 8)]);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let (a, b) = (Matrix::row_major(&a, m, k), Matrix::row_major(&b, b_rows, b_cols));
            let mut c = MatrixMut::row_major(&mut c, c_rows, c_cols);
            let (c, weights, addend) = (&mut c, w.as_deref(), &Addend::Zero);
            let workspace = &mut workspace;
            super::run(
                isa,
                &mut Product { alpha: 1.0, a: &a, b: &b, weights, addend, c, lower: false, rows: m, workspace },
            );
        }));
        assert_eq!(outcome.is_err(), c.iter().all(|&x| x == 7.0), "refused, and written nothing, or done");
        outcome.is_err()
    };
    for isa in InstructionSet::all_supported() {
        assert!(!run(isa, [2, 3], [3, 4], [2, 4], Some(3)), "{isa}: goes together");
        for (b, c, weights) in [
            ([3, 2], [1, 2], None),
            ([3, 2], [2, 1], None),
            ([2, 2], [2, 2], None),
            ([3, 4], [2, 2], None),
            ([3, 2], [3, 2], None),
            ([3, 2], [2, 2], Some(2)),
        ] {
            assert!(run(isa, [2, 3], b, c, weights), "{isa}: B {b:?}, C {c:?}, {weights:?} weights");
        }
    }
}
