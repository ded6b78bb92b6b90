//! OpenBLAS, from a shared library that is there at run time: NumPy brings one along.
//!
//! Names of functions carry a prefix and a suffix in NumPy's builds, whose integers have 64 bits; distributions' builds have neither.

use std::ffi::{c_int, c_void};
use std::path::Path;

use anyhow::{Context, Result};
use libloading::Library;

use crate::products::Product;

/// Functions of the library. Its addresses stay valid: the library is never unloaded.
#[derive(Clone, Copy)]
pub struct OpenBlas {
    sgemm: *const c_void,
    dgemm: *const c_void,
    wide_integers: bool,
}

/// `cblas_?gemm` for integers of the type `$integer`.
macro_rules! signature {
    ($integer:ty, $number:ty) => {
        unsafe extern "C" fn(
            c_int, c_int, c_int, $integer, $integer, $integer, $number, *const $number, $integer, *const $number,
            $integer, $number, *mut $number, $integer,
        )
    };
}

impl OpenBlas {
    /// Loads the library and limits it to one thread.
    ///
    /// # Safety
    /// `path` is an OpenBLAS.
    pub unsafe fn load(path: &Path) -> Result<Self> {
        // SAFETY: the caller vouches for the library.
        let library = Box::leak(Box::new(unsafe { Library::new(path.as_os_str()) }?));
        let symbol = |name: &str| {
            // SAFETY: an address, which is only used as what OpenBLAS says it is.
            unsafe { library.get::<*const c_void>(name.as_bytes()) }.ok().map(|symbol| *symbol)
        };
        let wide_integers = symbol("scipy_cblas_sgemm64_").is_some();
        let find = |name: &str| {
            let names = [format!("scipy_{name}64_"), format!("scipy_{name}"), name.to_string()];
            names.iter().find_map(|name| symbol(name)).with_context(|| format!("no {name} in the library"))
        };
        let set_threads = find("openblas_set_num_threads")?;
        // SAFETY: `void openblas_set_num_threads(int)`.
        unsafe { std::mem::transmute::<*const c_void, unsafe extern "C" fn(c_int)>(set_threads)(1) };
        Ok(Self { sgemm: find("cblas_sgemm")?, dgemm: find("cblas_dgemm")?, wide_integers })
    }
}

/// Number types that OpenBLAS multiplies.
pub trait Blas: Sized {
    /// C ← A·B.
    fn blas(library: OpenBlas, product: Product, a: &[Self], b: &[Self], c: &mut [Self]);
}

macro_rules! blas {
    ($number:ty, $gemm:ident) => {
        impl Blas for $number {
            fn blas(library: OpenBlas, product: Product, a: &[Self], b: &[Self], c: &mut [Self]) {
                const ROW_MAJOR: c_int = 101;
                let Product { m, k, n, a_transposed, b_transposed, .. } = product;
                assert!(a.len() >= m * k && b.len() >= k * n && c.len() >= m * n);
                let transposed = |transposed| if transposed { 112 } else { 111 };
                let (ta, tb) = (transposed(a_transposed), transposed(b_transposed));
                let (lda, ldb) = (if a_transposed { m } else { k }, if b_transposed { k } else { n });
                let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
                macro_rules! call {
                    ($integer:ty) => {{
                        let int = |x: usize| <$integer>::try_from(x).expect("dimensions that fit into the integer");
                        // SAFETY: the address is that of the function of this signature; the operands have these dimensions.
                        unsafe {
                            let gemm = std::mem::transmute::<*const c_void, signature!($integer, $number)>(library.$gemm);
                            gemm(ROW_MAJOR, ta, tb, int(m), int(n), int(k), 1.0, a, int(lda), b, int(ldb), 0.0, c, int(n));
                        }
                    }};
                }
                if library.wide_integers { call!(i64) } else { call!(i32) }
            }
        }
    };
}

blas!(f32, sgemm);
blas!(f64, dgemm);
