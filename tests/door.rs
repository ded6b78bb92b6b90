//! What other crates can reach without `unsafe`: operands that do not go together are refused, and nothing is written, least of all beside
//! the operands. And nothing can be reached that is not documented.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

use flatmin::elementwise::{
    activation, activation_with_derivatives, activation_with_slope, exp, ln, softmax, softmax_jacobian_product,
};
use flatmin::gemm::{Matrix, MatrixMut, Triangle, matrix_product, symmetric_product, workspace_len};
use flatmin::{Activation, Error, InstructionSet, Kernels, Real, Result};

/// Sizes of operands: none, a few, and more than a tile or a register has.
const SIZES: [usize; 5] = [0, 1, 2, 3, 17];
const MOST: usize = 17 * 17;

/// Elements on either side of an operand, more than a register of any instruction set has.
const BESIDE: usize = 40;

/// The functions of the crate's modules, and the methods of all instruction sets.
fn ways() -> impl Iterator<Item = Option<Kernels>> {
    let sets = InstructionSet::all_supported().map(|set| Some(Kernels::new(set).expect("a supported set")));
    [None].into_iter().chain(sets)
}

/// What lies in memory that nobody should write to.
fn untouched<T: Real>(i: usize) -> T {
    T::from_f64(0.25 + i as f64)
}

/// Operands of these lengths in one array, each between others' memory.
struct Memory<T, const N: usize> {
    all: Vec<T>,
    lens: [usize; N],
}

impl<T: Real, const N: usize> Memory<T, N> {
    fn new(lens: [usize; N]) -> Self {
        let len = BESIDE + lens.iter().map(|len| len + BESIDE).sum::<usize>();
        Self { all: (0..len).map(untouched).collect(), lens }
    }

    fn operands(&mut self) -> [&mut [T]; N] {
        let mut rest = &mut self.all[..];
        self.lens.map(|len| {
            let (operand, others) = std::mem::take(&mut rest)[BESIDE..].split_at_mut(len);
            rest = others;
            operand
        })
    }

    /// Fails if anything was written beside the operands, or, of a refused call, to them.
    #[track_caller]
    fn check(mut self, refused: bool) {
        if !refused {
            let mut end = 0;
            for len in self.lens {
                let start = end + BESIDE;
                end = start + len;
                (start..end).for_each(|i| self.all[i] = untouched(i));
            }
        }
        for (i, found) in self.all.iter().enumerate() {
            assert_eq!(found.to_f64(), untouched::<T>(i).to_f64(), "element {i}, operands of {:?}", self.lens);
        }
    }
}

/// All choices of so many sizes.
fn sizes<const N: usize>() -> impl Iterator<Item = [usize; N]> {
    (0..SIZES.len().pow(N as u32)).map(|mut choice| {
        [(); N].map(|()| {
            let size = SIZES[choice % SIZES.len()];
            choice /= SIZES.len();
            size
        })
    })
}

/// A product whose C has a single row must not write a second one into what lies behind it.
#[test]
fn a_product_stays_within_its_output() -> Result<()> {
    let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
    let mut all = [0.5; 6];
    let (c, rest) = all.split_at_mut(2);
    let mut workspace = vec![0.0; workspace_len(2, 2, 2)];
    let c = MatrixMut::new(&mut c[..2], 1, 2)?;
    let refused = matrix_product(1.0, Matrix::new(&a, 2, 2)?, Matrix::new(&b, 2, 2)?, 0.0, c, &mut workspace);
    assert_eq!(refused, Err(Error::Dimensions { argument: "C", given: [1, 2], expected: [2, 2] }));
    assert_eq!(rest, [0.5; 4]);
    assert_eq!(all, [0.5; 6]);
    Ok(())
}

fn products<T: Real>() -> Result<()> {
    let data = vec![T::ONE; MOST];
    for way in ways() {
        for [m, k, rows, n, c_rows, c_cols] in sizes() {
            let fits = rows == k && [c_rows, c_cols] == [m, n];
            let needed = workspace_len(m, k, n);
            // One element less of workspace, where any is needed.
            for given in [needed, needed.saturating_sub(1)] {
                let mut memory = Memory::<T, 2>::new([c_rows * c_cols, given]);
                let [c, workspace] = memory.operands();
                let (a, b, c) =
                    (Matrix::new(&data, m, k)?, Matrix::new(&data, rows, n)?, MatrixMut::new(c, c_rows, c_cols)?);
                let done = match way {
                    None => matrix_product(T::ONE, a, b, T::ZERO, c, workspace),
                    Some(kernels) => kernels.matrix_product(T::ONE, a, b, T::ZERO, c, workspace),
                };
                assert_eq!(
                    done.is_ok(),
                    fits && given == needed,
                    "{m}×{k} by {rows}×{n} into {c_rows}×{c_cols}: {done:?}"
                );
                memory.check(done.is_err());
            }
        }
    }
    Ok(())
}

#[test]
fn products_of_operands_that_do_not_go_together_are_refused() -> Result<()> {
    products::<f32>()?;
    products::<f64>()
}

fn symmetric_products<T: Real>() -> Result<()> {
    let data = vec![T::ONE; MOST];
    for way in ways() {
        for [n, k, c_rows, c_cols, weights] in sizes() {
            for (weights, triangle) in [(None, Triangle::Lower), (Some(&data[..weights]), Triangle::Both)] {
                let fits = [c_rows, c_cols] == [n, n] && weights.is_none_or(|weights| weights.len() == k);
                let needed = workspace_len(n, k, n);
                for given in [needed, needed.saturating_sub(1)] {
                    let mut memory = Memory::<T, 2>::new([c_rows * c_cols, given]);
                    let [c, workspace] = memory.operands();
                    let (a, c) = (Matrix::new(&data, n, k)?, MatrixMut::new(c, c_rows, c_cols)?);
                    let done = match way {
                        None => symmetric_product(T::ONE, a, weights, T::ZERO, c, triangle, workspace),
                        Some(kernels) => kernels.symmetric_product(T::ONE, a, weights, T::ZERO, c, triangle, workspace),
                    };
                    assert_eq!(done.is_ok(), fits && given == needed, "{n}×{k} into {c_rows}×{c_cols}: {done:?}");
                    memory.check(done.is_err());
                }
            }
        }
    }
    Ok(())
}

#[test]
fn symmetric_products_of_operands_that_do_not_go_together_are_refused() -> Result<()> {
    symmetric_products::<f32>()?;
    symmetric_products::<f64>()
}

/// Views reach no further than their slice.
#[test]
fn views_beyond_their_slice_are_refused() {
    let mut data = [0.0; 6];
    for [rows, cols, row_stride, col_stride] in sizes() {
        // The place of the last element.
        let last = if rows * cols == 0 { 0 } else { (rows - 1) * row_stride + (cols - 1) * col_stride + 1 };
        let view = Matrix::strided(&data, rows, cols, row_stride, col_stride);
        assert_eq!(view.is_ok(), last <= data.len(), "{rows}×{cols} at distances {row_stride}, {col_stride}");
        if col_stride == 1 {
            let apart = rows <= 1 || row_stride >= cols;
            let view = MatrixMut::strided(&mut data, rows, cols, row_stride);
            assert_eq!(view.is_ok(), apart && last <= 6, "{rows}×{cols} at distance {row_stride}");
        }
    }
    assert!(Matrix::new(&data, usize::MAX, 2).is_err() && MatrixMut::new(&mut data, 2, usize::MAX).is_err());
}

fn elementwise<T: Real>() {
    for way in ways() {
        for [len] in sizes() {
            for function in 0..3 {
                let mut memory = Memory::<T, 1>::new([len]);
                let [x] = memory.operands();
                match (function, way) {
                    (0, None) => exp(x),
                    (0, Some(kernels)) => kernels.exp(x),
                    (1, None) => ln(x),
                    (1, Some(kernels)) => kernels.ln(x),
                    (_, None) => activation(Activation::Tanh, x),
                    (_, Some(kernels)) => kernels.activation(Activation::Tanh, x),
                }
                memory.check(false);
            }
        }
        for lens in sizes::<2>() {
            let mut memory = Memory::<T, 2>::new(lens);
            let [u, f] = memory.operands();
            let done = match way {
                None => activation_with_slope(Activation::Gelu, u, f),
                Some(kernels) => kernels.activation_with_slope(Activation::Gelu, u, f),
            };
            assert_eq!(done.is_ok(), lens[0] == lens[1], "{lens:?}: {done:?}");
            memory.check(done.is_err());
        }
        for lens in sizes::<4>() {
            let mut memory = Memory::<T, 4>::new(lens);
            let [u, f, e, t] = memory.operands();
            let done = match way {
                None => activation_with_derivatives(Activation::Silu, u, f, e, t),
                Some(kernels) => kernels.activation_with_derivatives(Activation::Silu, u, f, e, t),
            };
            assert_eq!(done.is_ok(), lens == [lens[0]; 4], "{lens:?}: {done:?}");
            memory.check(done.is_err());
        }
    }
}

#[test]
fn slices_of_different_lengths_are_refused() {
    elementwise::<f32>();
    elementwise::<f64>();
}

fn rows<T: Real>() {
    for way in ways() {
        for [classes, rows, logits, others] in sizes() {
            for classes in [classes, usize::MAX] {
                // Whole rows, or as many elements as it comes.
                for logits in [classes.saturating_mul(rows).min(MOST), logits] {
                    let mut memory = Memory::<T, 2>::new([logits, rows]);
                    let [z, log_sum_exp] = memory.operands();
                    let done = match way {
                        None => softmax(classes, z, log_sum_exp),
                        Some(kernels) => kernels.softmax(classes, z, log_sum_exp),
                    };
                    let fits = classes > 0 && classes.checked_mul(rows) == Some(logits);
                    assert_eq!(done.is_ok(), fits, "{logits} logits, {rows} rows of {classes}: {done:?}");
                    memory.check(done.is_err());

                    for others in [logits, others] {
                        let mut memory = Memory::<T, 2>::new([logits, others]);
                        let [p, x] = memory.operands();
                        let done = match way {
                            None => softmax_jacobian_product(classes, p, x),
                            Some(kernels) => kernels.softmax_jacobian_product(classes, p, x),
                        };
                        let fits = classes > 0 && logits.is_multiple_of(classes) && others == logits;
                        assert_eq!(done.is_ok(), fits, "{logits} and {others} in rows of {classes}: {done:?}");
                        memory.check(done.is_err());
                    }
                }
            }
        }
    }
}

#[test]
fn parts_of_rows_are_refused() {
    rows::<f32>();
    rows::<f64>();
}

/// All source files below a directory.
fn sources(directory: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(path);
        }
    }
}

/// What is hidden or not documented among the items of public traits of a source text.
fn hidden(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    // The indentation of the trait, if within one; whether docs precede.
    let (mut within, mut documented) = (None, false);
    for line in text.lines() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        if code.contains("doc(hidden)") && !code.starts_with("//") {
            found.push(code.to_owned());
        }
        if code.starts_with("pub trait ") && !code.ends_with('}') {
            within = Some(indent);
        } else if within == Some(indent) && code.starts_with('}') {
            within = None;
        } else if within.is_some_and(|trait_indent| indent == trait_indent + 4) {
            if code.starts_with("///") {
                documented = true;
            } else if !code.starts_with('#') {
                let item = ["fn ", "unsafe fn ", "const ", "type "].iter().any(|item| code.starts_with(item));
                if item && !documented {
                    found.push(code.to_owned());
                }
                documented = false;
            }
        }
    }
    found
}

#[test]
fn hidden_items_are_found() {
    let text = "
pub trait One: Two {
    /// Documented.
    #[inline]
    const A: usize;

    unsafe fn b();
    #[doc(hidden)]
    fn c() {
        let d = 0;
    }
}
pub trait Sealed {}
trait Private {
    fn e();
}";
    assert_eq!(hidden(text), ["unsafe fn b();", "#[doc(hidden)]", "fn c() {"]);
}

#[test]
fn public_traits_hide_nothing() {
    let mut all = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    assert!(all.len() > 50, "{} files", all.len());
    for path in all {
        let found = hidden(&fs::read_to_string(&path).expect("a source"));
        assert!(found.is_empty(), "{}: hidden, or without documentation: {found:?}", path.display());
    }
}

/// The compiled functions of a number type check little: they are the crate's own.
#[test]
fn nobody_else_can_name_the_compiled_functions() {
    let source = include_str!("../src/real.rs");
    let (_, after) = source.split_once("pub struct Functions<T> {").expect("the structure");
    let (fields, _) = after.split_once("\n        }").expect("its end");
    assert!(fields.contains("$name: fn("), "{fields}");
    assert_eq!(fields.matches("pub").count(), fields.matches("pub(crate)").count(), "{fields}");
}
