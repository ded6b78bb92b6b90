//! Contests between the kernels of flatmin and those of others: same operands, same warm caches, one thread, interleaved rounds.
//!
//! | module | what is in it |
//! |---|---|
//! | [`contest`] | rounds, medians, ratios |
//! | [`products`] | which matrix products are compared |
//! | [`multipliers`] | who multiplies |
//! | [`functions`] | which elementwise functions are compared, and with what |
//! | [`openblas`] | OpenBLAS, loaded at run time |
//! | [`peak`] | the multiply–adds that the core can do at most |

pub mod contest;
pub mod functions;
pub mod multipliers;
pub mod openblas;
pub mod products;

#[path = "../../step/peak.rs"]
pub mod peak;

/// Numbers in [−1, 1), by a fixed generator.
pub fn numbers<T: flatmin::Real>(len: usize, seed: u64) -> Vec<T> {
    let mut state = seed;
    let mut number = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        T::from_f64((state >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
    };
    (0..len).map(|_| number()).collect()
}
