//! The FMA peak of this core: independent multiply–adds on registers, in the widest instruction set that the crate chooses.

use std::hint::black_box;
use std::time::Instant;

use flatmin::simd::{Kernel, Lanes, Simd};
use flatmin::{InstructionSet, Real};

/// Chains of multiply–adds: more than latency times throughput, fewer than registers of any set but the scalar one.
const CHAINS: usize = 12;

/// Multiply–adds of a chain between two looks at the clock.
const STEPS: usize = 20_000;

/// Flops a second, the best of several measurements of some 50 µs.
pub fn peak<T: Real>() -> f64 {
    let lanes = InstructionSet::current().run(Width::<T>(core::marker::PhantomData));
    let flops = (2 * CHAINS * STEPS * lanes) as f64;
    let measure = |_| {
        let start = Instant::now();
        black_box(InstructionSet::current().run(Chains(black_box(T::from_f64(0.999)))));
        flops / start.elapsed().as_secs_f64()
    };
    (0..50).map(measure).fold(0.0, f64::max)
}

struct Width<T>(core::marker::PhantomData<T>);

impl<T: Real> Kernel for Width<T> {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        <T::Lanes<S> as Lanes>::LANES
    }
}

struct Chains<T>(T);

impl<T: Real> Kernel for Chains<T> {
    type Output = T;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> T {
        let factor = T::Lanes::<S>::splat(simd, self.0);
        let mut chains = [factor; CHAINS];
        for _ in 0..STEPS {
            for chain in &mut chains {
                *chain = chain.mul_add(factor, factor);
            }
        }
        chains.into_iter().fold(factor, |sum, chain| sum + chain).reduce_sum()
    }
}
