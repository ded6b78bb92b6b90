//! Tests of the elementwise kernels, each for every instruction set and both number types.

mod activations;
mod reference;
mod rows;
mod slices;

use std::vec::Vec;

use crate::real::Real;
use crate::simd::InstructionSet;

/// The instruction sets of this CPU.
fn instruction_sets() -> impl Iterator<Item = InstructionSet> {
    InstructionSet::ALL.into_iter().filter(|isa| isa.is_supported())
}

/// Numbers in (0, 1), the same in every run (Knuth's linear congruential generator).
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    fn vec<T: Real>(&mut self, len: usize, low: f64, high: f64) -> Vec<T> {
        (0..len).map(|_| T::from_f64(self.within(low, high))).collect()
    }
}

/// Instantiates generic tests for both number types.
macro_rules! for_both_types {
    ($($test:ident),* $(,)?) => {
        mod f32 {
            $(#[test] fn $test() { super::$test::<f32>(); })*
        }
        mod f64 {
            $(#[test] fn $test() { super::$test::<f64>(); })*
        }
    };
}
use for_both_types;
