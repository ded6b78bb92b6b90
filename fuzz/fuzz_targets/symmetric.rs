//! Symmetric products A·diag(w)·Aᵀ against naive sums in `f64`: within the bound, symmetric to the bit, nothing written outside of C.
#![no_main]

mod input;

use arbitrary::{Result, Unstructured};
use flatmin::gemm::{Matrix, MatrixMut, Triangle, workspace_len};
use flatmin::{Kernels, Real};
use input::{assert_sum, in_either_type, instruction_set, len, moderate, repeated, same};
use libfuzzer_sys::fuzz_target;

fn run<T: Real>(bytes: &mut Unstructured<'_>) -> Result<()> {
    let set = instruction_set(bytes)?;
    let kernels = Kernels::new(set).expect("a supported set");
    let [n, k] = bytes.arbitrary::<[u8; 2]>()?.map(|size| usize::from(size % 41));
    let gap = usize::from(bytes.arbitrary::<u8>()? % 3);
    let (row_stride, col_stride) = if bytes.arbitrary()? { (k + gap, 1) } else { (1, n + gap) };
    let extent = if n == 0 || k == 0 { 0 } else { (n - 1) * row_stride + (k - 1) * col_stride + 1 };
    let a: Vec<T> = repeated(bytes, extent, moderate)?;
    let at = |i: usize, p: usize| a[i * row_stride + p * col_stride].to_f64();
    let weights: Option<Vec<T>> = if bytes.arbitrary()? {
        let count = len(bytes, k)?;
        Some(repeated(bytes, count, moderate)?)
    } else {
        None
    };
    let (alpha, beta) = (T::from_f64(moderate(bytes)?), T::from_f64(if bytes.arbitrary()? { 0.0 } else { 0.5 }));
    let triangle = if bytes.arbitrary()? { Triangle::Both } else { Triangle::Lower };

    // C, which β takes to be symmetric, with a gap after every row.
    let row = n + gap;
    let entries: Vec<T> = repeated(bytes, 64, moderate)?;
    let mut c: Vec<T> = (0..n * row + 5)
        .map(|index| {
            let (i, j) = (index / row.max(1), index % row.max(1));
            if beta == T::ZERO || i >= n || j >= n { T::NAN } else { entries[(i.max(j) * 7 + i.min(j)) % 64] }
        })
        .collect();
    let old = c.clone();
    let mut workspace = vec![T::NAN; len(bytes, workspace_len(n, k, n))?];
    let view = Matrix::strided(&a, n, k, row_stride, col_stride).expect("all of A");
    let out = MatrixMut::strided(&mut c, n, n, row).expect("all of C");
    let done = kernels.symmetric_product(alpha, view, weights.as_deref(), beta, out, triangle, &mut workspace);
    let right = weights.as_ref().is_none_or(|weights| weights.len() == k);
    if done.is_err() {
        assert!(!right || workspace.len() < workspace_len(n, k, n), "{set}: refused {n}×{k}");
        assert!(same(&c, &old), "{set}: wrote in spite of an error");
        return Ok(());
    }
    assert!(right);
    let (alpha, beta) = (alpha.to_f64(), beta.to_f64());
    for (index, &new) in c.iter().enumerate() {
        let (i, j) = (index / row.max(1), index % row.max(1));
        if i >= n || j >= n {
            assert!(same(&[new], &[old[index]]), "{set}: wrote outside of C");
            continue;
        }
        if j > i {
            assert!(triangle == Triangle::Lower || same(&[new], &[c[j * row + i]]), "{set}: not symmetric");
            continue;
        }
        let old = if beta == 0.0 { 0.0 } else { beta * old[index].to_f64() };
        let weight = |p: usize| weights.as_ref().map_or(1.0, |weights| weights[p].to_f64());
        let terms = (0..k).map(|p| alpha * at(i, p) * weight(p) * at(j, p));
        assert_sum(new, old, terms, k + 5, format_args!("{set} {n}×{k} ({i}, {j})"));
    }
    Ok(())
}

fuzz_target!(|bytes: &[u8]| in_either_type(bytes, run::<f64>, run::<f32>));
