//! Matrix products of any strides, scalings and sizes against naive sums in `f64`: within the bound for any order of summation, nothing
//! written outside of C, and nothing at all after an error.
#![no_main]

mod input;

use arbitrary::{Result, Unstructured};
use flatmin::gemm::{Matrix, MatrixMut, workspace_len};
use flatmin::{Kernels, Real};
use input::{assert_sum, in_either_type, instruction_set, len, moderate, repeated, same};
use libfuzzer_sys::fuzz_target;

/// A dimension: about the edges of tiles and registers, now and then beyond a block.
fn dimension(bytes: &mut Unstructured<'_>) -> Result<usize> {
    Ok(match bytes.arbitrary::<u8>()? {
        small @ 0..250 => usize::from(small % 35),
        _ => usize::from(bytes.arbitrary::<u16>()?) % 300,
    })
}

/// How a matrix lies in memory: its data, with NaN in the gaps, and its strides.
struct Stored<T> {
    data: Vec<T>,
    row_stride: usize,
    col_stride: usize,
}

impl<T: Real> Stored<T> {
    fn new(bytes: &mut Unstructured<'_>, rows: usize, cols: usize) -> Result<Self> {
        let gap = usize::from(bytes.arbitrary::<u8>()? % 4);
        let (row_stride, col_stride) = match bytes.arbitrary::<u8>()? % 6 {
            0 => (cols, 1),
            1 => (1, rows),
            2 => (cols + gap, 1),
            3 => (1, rows + gap),
            4 => ((1 + gap) * cols + gap, 1 + gap),
            // One row, or one column, again and again.
            _ => ([0, 1][gap % 2], [1, 0][gap % 2]),
        };
        let extent = if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row_stride + (cols - 1) * col_stride + 1 };
        let mut data = vec![T::NAN; extent];
        let entries: Vec<T> = repeated(bytes, rows * cols, moderate)?;
        for (index, entry) in entries.into_iter().enumerate() {
            data[index / cols * row_stride + index % cols * col_stride] = entry;
        }
        Ok(Self { data, row_stride, col_stride })
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        self.data[i * self.row_stride + j * self.col_stride].to_f64()
    }
}

fn run<T: Real>(bytes: &mut Unstructured<'_>) -> Result<()> {
    let set = instruction_set(bytes)?;
    let kernels = Kernels::new(set).expect("a supported set");
    let (m, k, n) = (dimension(bytes)?, dimension(bytes)?, dimension(bytes)?);
    let (a, b) = (Stored::<T>::new(bytes, m, k)?, Stored::<T>::new(bytes, k, n)?);
    let scaling = |bytes: &mut Unstructured<'_>| -> Result<T> {
        Ok(T::from_f64([0.0, 1.0, -1.0, moderate(bytes)?][usize::from(bytes.arbitrary::<u8>()? % 4)]))
    };
    let (alpha, beta) = (scaling(bytes)?, scaling(bytes)?);

    // C with a gap after every row, and memory before and behind.
    let (before, row) = (usize::from(bytes.arbitrary::<u8>()? % 9), n + usize::from(bytes.arbitrary::<u8>()? % 4));
    let extent = if m == 0 || n == 0 { 0 } else { (m - 1) * row + n };
    let mut memory: Vec<T> = repeated(bytes, before + extent + 9, moderate)?;
    if beta == T::ZERO {
        memory.fill(T::NAN);
    }
    let old = memory.clone();
    let columns = len(bytes, n)?.min(row.max(1));
    let mut workspace = vec![T::NAN; len(bytes, workspace_len(m, k, n))?];

    let view = Matrix::strided(&a.data, m, k, a.row_stride, a.col_stride).expect("all of A");
    // B is given as the transpose of its transpose.
    let turned = Matrix::strided(&b.data, n, k, b.col_stride, b.row_stride).expect("all of B");
    let Ok(c) = MatrixMut::strided(&mut memory[before..], m, columns, row) else { return Ok(()) };
    if kernels.matrix_product(alpha, view, turned.t(), beta, c, &mut workspace).is_err() {
        assert!(columns != n || workspace.len() < workspace_len(m, k, n), "{set}: refused {m}×{k}×{n}");
        assert!(same(&memory, &old), "{set}: wrote in spite of an error");
        return Ok(());
    }
    assert_eq!(columns, n);
    let (alpha, beta) = (alpha.to_f64(), beta.to_f64());
    for (index, (&new, &old)) in memory.iter().zip(&old).enumerate() {
        let inside = (before..before + extent).contains(&index) && (index - before) % row < n;
        if !inside {
            assert!(same(&[new], &[old]), "{set}: wrote outside of C");
            continue;
        }
        let (i, j) = ((index - before) / row, (index - before) % row);
        let old = if beta == 0.0 { 0.0 } else { beta * old.to_f64() };
        let terms = (0..k).map(|p| alpha * a.at(i, p) * b.at(p, j));
        assert_sum(new, old, terms, k + 4, format_args!("{set} {m}×{k}×{n} ({i}, {j})"));
    }
    Ok(())
}

fuzz_target!(|bytes: &[u8]| in_either_type(bytes, run::<f64>, run::<f32>));
