//! Kernels on slices: vectors, updates, matrix products, elementwise functions. Each is written once, over the registers of [`simd`](crate::simd).

pub(crate) mod context;
pub(crate) mod elementwise;
pub(crate) mod gemm;
pub(crate) mod update;
pub(crate) mod vector;
