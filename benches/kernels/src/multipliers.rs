//! Who multiplies matrices: flatmin first. Each gets all memory that its interface takes from the caller.

use std::time::Duration;

use anyhow::Result;
use flatmin::Real;
use flatmin::gemm::{Matrix, MatrixMut, matrix_product, workspace_len};

use crate::contest::{self, Budget, Contender, Outcome};
use crate::numbers;
use crate::openblas::{Blas, OpenBlas};
use crate::products::Product;

/// A number type that all contenders multiply.
pub trait Number: Real + Blas + faer::traits::ComplexField {
    const NAME: &'static str;

    /// C ← A·B by `matrixmultiply`.
    fn matrixmultiply(product: Product, a: &[Self], b: &[Self], c: &mut [Self]);
}

macro_rules! number {
    ($number:ident, $gemm:path) => {
        impl Number for $number {
            const NAME: &'static str = stringify!($number);

            fn matrixmultiply(product: Product, a: &[Self], b: &[Self], c: &mut [Self]) {
                let Product { m, k, n, .. } = product;
                let ([rsa, csa], [rsb, csb]) = (product.a_strides().map(signed), product.b_strides().map(signed));
                check(product, a, b, c);
                let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
                // SAFETY: operands of these dimensions and strides.
                unsafe { $gemm(m, k, n, 1.0, a, rsa, csa, b, rsb, csb, 0.0, c, signed(n), 1) }
            }
        }
    };
}

number!(f32, matrixmultiply::sgemm);
number!(f64, matrixmultiply::dgemm);

fn signed(stride: usize) -> isize {
    stride as isize
}

fn check<T>(Product { m, k, n, .. }: Product, a: &[T], b: &[T], c: &[T]) {
    assert!(a.len() == m * k && b.len() == k * n && c.len() == m * n, "operands as long as the product says");
}

/// C ← A·B by flatmin.
pub fn flatmin<T: Number>(product: Product, a: &[T], b: &[T], c: &mut [T], workspace: &mut [T]) {
    let Product { m, k, n, .. } = product;
    let mut multiply = || -> Result<(), flatmin::Error> {
        let ([a_row, a_col], [b_row, b_col]) = (product.a_strides(), product.b_strides());
        let (a, b) = (Matrix::strided(a, m, k, a_row, a_col)?, Matrix::strided(b, k, n, b_row, b_col)?);
        matrix_product(T::ONE, a, b, T::ZERO, MatrixMut::new(c, m, n)?, workspace)
    };
    multiply().expect("operands as long as the product says");
}

/// C ← A·B by `gemm`.
pub fn gemm<T: Number>(product: Product, a: &[T], b: &[T], c: &mut [T]) {
    let Product { m, k, n, .. } = product;
    let ([a_row, a_col], [b_row, b_col]) = (product.a_strides().map(signed), product.b_strides().map(signed));
    check(product, a, b, c);
    let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
    let (zero, one, serial) = (T::ZERO, T::ONE, gemm::Parallelism::None);
    // SAFETY: operands of these dimensions and strides; C is not read.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c,
            1,
            signed(n),
            false,
            a,
            a_col,
            a_row,
            b,
            b_col,
            b_row,
            zero,
            one,
            false,
            false,
            false,
            serial,
        );
    }
}

/// C ← A·B by `faer`.
pub fn faer<T: Number>(product: Product, a: &[T], b: &[T], c: &mut [T]) {
    use faer::linalg::matmul::matmul;
    use faer::{Accum, MatMut, MatRef, Par};

    let Product { m, k, n, .. } = product;
    let view = |data, rows, cols, transposed| match transposed {
        true => MatRef::from_column_major_slice(data, rows, cols),
        false => MatRef::from_row_major_slice(data, rows, cols),
    };
    let (a, b) = (view(a, m, k, product.a_transposed), view(b, k, n, product.b_transposed));
    matmul(MatMut::from_row_major_slice_mut(c, m, n), Accum::Replace, a, b, T::ONE, Par::Seq);
}

/// A product's operands and result, and the workspace of flatmin.
pub struct Operands<T> {
    pub product: Product,
    pub a: Vec<T>,
    pub b: Vec<T>,
    pub c: Vec<T>,
    pub workspace: Vec<T>,
}

impl<T: Number> Operands<T> {
    pub fn new(product: Product) -> Self {
        let Product { m, k, n, .. } = product;
        Self {
            product,
            a: numbers(m * k, 1),
            b: numbers(k * n, 2),
            c: vec![T::ZERO; m * n],
            workspace: vec![T::ZERO; workspace_len(m, k, n)],
        }
    }

    /// Multiplies.
    pub fn run(&mut self, multiplier: Multiplier) {
        let Self { product, a, b, c, workspace } = self;
        match multiplier {
            Multiplier::Flatmin => flatmin(*product, a, b, c, workspace),
            Multiplier::Gemm => gemm(*product, a, b, c),
            Multiplier::Faer => faer(*product, a, b, c),
            Multiplier::Matrixmultiply => T::matrixmultiply(*product, a, b, c),
            Multiplier::OpenBlas(library) => T::blas(library, *product, a, b, c),
        }
    }
}

/// The contenders.
#[derive(Clone, Copy)]
pub enum Multiplier {
    Flatmin,
    Gemm,
    Faer,
    Matrixmultiply,
    OpenBlas(OpenBlas),
}

impl Multiplier {
    /// Those that the build brings along.
    pub const BUILT: [Self; 4] = [Self::Flatmin, Self::Gemm, Self::Faer, Self::Matrixmultiply];

    pub fn name(self) -> &'static str {
        match self {
            Self::Flatmin => "flatmin",
            Self::Gemm => "gemm",
            Self::Faer => "faer",
            Self::Matrixmultiply => "matrixmultiply",
            Self::OpenBlas(_) => "openblas",
        }
    }
}

/// All contenders on one product, flatmin first.
pub fn contest<T: Number>(product: Product, openblas: Option<OpenBlas>, budget: Duration) -> Vec<Outcome> {
    let operands = std::cell::RefCell::new(Operands::<T>::new(product));
    let operands = &operands;
    let contender = |multiplier: Multiplier| -> Contender {
        (multiplier.name(), Box::new(move || operands.borrow_mut().run(std::hint::black_box(multiplier))))
    };
    let mut contenders: Vec<Contender> =
        Multiplier::BUILT.into_iter().chain(openblas.map(Multiplier::OpenBlas)).map(contender).collect();
    contest::run(&mut contenders, Budget(budget))
}
