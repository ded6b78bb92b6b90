//! Random numbers by counter: a pure function of seed, counter, stream and index, the same on every platform.
//!
//! Word i of a stream is `mix(key + (i + 1) GAMMA)`, which is output i of the generator SplitMix64 started at `key` (Steele, Lea, Flood,
//! *Fast Splittable Pseudorandom Number Generators*, OOPSLA 2014); `key` is itself a chain of two such words, of seed and counter. So
//! there is no state but the counter, no order of drawing, and any number can be drawn again.

use crate::number::Number;

/// 2⁶⁴ over the golden ratio, odd.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// Uses of random words, each with a stream of its own, independent of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// The choice of the kept samples.
    Subset = 1,
    /// The signs of the sketches.
    Signs = 2,
    /// The parameters that training sets out from.
    Parameters = 3,
    /// The order of the samples in an epoch.
    #[cfg(feature = "alloc")]
    Order = 4,
}

/// One stream of words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random {
    key: u64,
}

impl Random {
    pub(crate) const fn new(seed: u64, counter: u64, stream: Stream) -> Self {
        Self { key: word(word(seed, stream as u64), counter) }
    }

    /// The word at `index`: 64 random bits.
    #[inline(always)]
    pub(crate) const fn word(self, index: u64) -> u64 {
        word(self.key, index)
    }

    /// The two numbers at `index`, uniform in (0, 1]: multiples of 2⁻³², rounded to the type.
    #[inline(always)]
    pub(crate) fn units<T: Number>(self, index: u64) -> [T; 2] {
        let word = self.word(index);
        [(word >> 32) as u32, word as u32].map(unit)
    }
}

/// `(bits + 1) 2⁻³²`. Its halves of 16 bits are exact in both types, so their sum is rounded once. All instruction sets convert them many at
/// a time, which not all do with 32 bits and no sign.
#[inline(always)]
fn unit<T: Number>(bits: u32) -> T {
    const HALF: f64 = 1.0 / 65536.0;
    let [high, low] = [(bits >> 16) as u16, bits as u16].map(|half| T::from_usize(half.into()));
    high * T::from_f64(HALF) + (low + T::ONE) * T::from_f64(HALF * HALF)
}

#[inline(always)]
const fn word(key: u64, index: u64) -> u64 {
    let state = key.wrapping_add(GAMMA.wrapping_mul(index.wrapping_add(1)));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of SplitMix64 from the states 0 and 1234567, as its authors' program prints them.
    #[test]
    fn words_are_those_of_splitmix64() {
        assert_eq!([0, 1].map(|index| word(0, index)), [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4]);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([0, 1, 2].map(|index| word(1_234_567, index)), expected);
    }

    #[test]
    fn seeds_counters_streams_and_indices_are_independent() {
        // Every bit is set half of the time, and neighbours in any of the four agree in half of the bits.
        const COUNT: u64 = 4096;
        let mut ones = [0u32; 64];
        let mut agree = [0u32; 4];
        for i in 0..COUNT {
            let at = |seed, counter, stream, index| Random::new(seed, counter, stream).word(index);
            let here = at(i, i / 3, Stream::Subset, i % 7);
            for (bit, ones) in ones.iter_mut().enumerate() {
                *ones += (here >> bit & 1) as u32;
            }
            let others = [
                at(i + 1, i / 3, Stream::Subset, i % 7),
                at(i, i / 3 + 1, Stream::Subset, i % 7),
                at(i, i / 3, Stream::Signs, i % 7),
                at(i, i / 3, Stream::Subset, i % 7 + 1),
            ];
            for (agree, other) in agree.iter_mut().zip(others) {
                *agree += (here ^ other).count_zeros();
            }
        }
        // Six standard deviations of a fair coin.
        for ones in ones {
            assert!((f64::from(ones) - 2048.0).abs() <= 6.0 * 32.0, "{ones}");
        }
        for agree in agree {
            let (expected, deviation) = (32.0 * COUNT as f64, 4.0 * (COUNT as f64).sqrt());
            assert!((f64::from(agree) - expected).abs() <= 6.0 * deviation, "{agree}");
        }
    }

    #[test]
    fn units_are_in_their_interval_and_uniform() {
        let random = Random::new(7, 3, Stream::Subset);
        let units: std::vec::Vec<f64> = (0..5_000).flat_map(|index| random.units(index)).collect();
        assert!(units.iter().all(|&unit| 0.0 < unit && unit <= 1.0));
        let mean = units.iter().sum::<f64>() / units.len() as f64;
        // Six standard deviations of 1/√12 over 100.
        assert!((mean - 0.5).abs() <= 6.0 * 0.2887 / 100.0, "{mean}");
    }

    #[test]
    fn units_are_rounded_once() {
        // Ties of f32, and their neighbours, at every magnitude.
        let words = (0..32).flat_map(|shift| {
            [0, 0x80, 0x180, 0x7FFF_FF80, u32::MAX]
                .into_iter()
                .flat_map(move |bits| [-2i32, -1, 0, 1].map(|step| (bits >> shift).wrapping_add_signed(step)))
        });
        for bits in words.chain((0..10_000).map(|index| word(5, index) as u32)) {
            let exact = (f64::from(bits) + 1.0) / 4_294_967_296.0;
            assert_eq!((unit::<f64>(bits), unit::<f32>(bits)), (exact, exact as f32), "{bits:x}");
        }
    }
}
