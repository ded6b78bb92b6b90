//! Random parameters: the same bits everywhere, spread as promised, and nothing written where θ does not fit.

use flatmin::{Activation, Error, Initialization, Network, Real, Shape};

fn network(inputs: usize, hidden: usize, classes: usize) -> Network {
    Network::new(Shape::new(inputs, hidden, classes).expect("a shape"), Activation::Tanh)
}

fn drawn<T: Real>(network: Network, rule: Initialization, seed: u64) -> Vec<T> {
    let mut theta = vec![T::NAN; network.shape.parameters()];
    network.initialize_by(rule, &mut theta, seed).expect("a θ of its length");
    theta
}

/// The bits of all numbers in one: their FNV-1a hash.
fn hash(bits: impl Iterator<Item = u64>) -> u64 {
    bits.flat_map(u64::to_le_bytes)
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// Bits that must never change, on no platform; a program that shares nothing with the crate has computed them.
#[test]
fn golden_numbers() {
    let network = network(7, 5, 3);
    for (rule, first, all, all_of_f32) in [
        (
            Initialization::FanIn,
            [0xBFD6_D039_BA68_83C8, 0x3FBA_6A3A_62F9_BACB, 0xBFBE_3A5E_CA51_3D81],
            0x2D79_7E9C_7B9B_F643,
            0x48E0_3753_F283_AA36,
        ),
        (
            Initialization::Glorot,
            [0xBFE5_5707_DD58_3463, 0x3FC8_B57C_331B_E2E8, 0xBFCC_4695_23A0_FF41],
            0x3917_14DA_DC85_B9CE,
            0xEBC1_0AAD_B4FF_009D,
        ),
    ] {
        let wide = drawn::<f64>(network, rule, 42);
        let narrow = drawn::<f32>(network, rule, 42);
        let found = [0, 1, 2].map(|i| wide[i].to_bits());
        let hashes = (hash(wide.iter().map(|x| x.to_bits())), hash(narrow.iter().map(|x| x.to_bits().into())));
        assert_eq!((found, hashes), (first, (all, all_of_f32)), "{rule}: {found:#018x?} {hashes:#018x?}");
        // f32 has the numbers of f64, rounded.
        assert!(wide.iter().zip(&narrow).all(|(&wide, &narrow)| wide as f32 == narrow), "{rule}");
    }
}

/// The limits, from nothing of the crate's: `core` has no square root, which is why the crate has its own.
#[test]
fn limits_are_those_of_the_rule() {
    for [inputs, hidden, classes] in [[1, 1, 2], [2, 3, 5], [3, 7, 10], [784, 300, 10]] {
        let network = network(inputs, hidden, classes);
        let shape = network.shape;
        let blocks = [shape.hidden_weight(), shape.hidden_bias(), shape.output_weight(), shape.output_bias()];
        let [d, m, k] = [inputs, hidden, classes].map(|size| size as f64);
        for (rule, limits) in [
            (Initialization::FanIn, [1.0 / d.sqrt(), 1.0 / d.sqrt(), 1.0 / m.sqrt(), 1.0 / m.sqrt()]),
            (Initialization::Glorot, [(6.0 / (d + m)).sqrt(), 0.0, (6.0 / (m + k)).sqrt(), 0.0]),
        ] {
            // The largest and the smallest words.
            for (word, sign) in [(u64::MAX, 1.0), (0, -1.0)] {
                let mut theta = vec![f64::NAN; shape.parameters()];
                network.initialize_from(rule, &mut theta, || word).expect("a θ of its length");
                for (block, limit) in blocks.iter().zip(limits) {
                    let expected = sign * (limit * (1.0 - f64::EPSILON));
                    assert!(theta[block.clone()].iter().all(|&x| x == expected), "{rule} {block:?}");
                }
            }
        }
    }
}

/// Mean and variance within five standard errors: a uniform number x within ±l has variance l²/3, and x² has variance 4l⁴/45.
#[test]
fn numbers_are_uniform() {
    let network = network(50, 40, 30);
    let shape = network.shape;
    for rule in Initialization::ALL {
        for seed in [0, 1, u64::MAX] {
            let theta = drawn::<f64>(network, rule, seed);
            let weights = match rule {
                Initialization::Glorot => [(6.0f64 / 90.0).sqrt(), (6.0f64 / 70.0).sqrt()],
                _ => [1.0 / 50.0f64.sqrt(), 1.0 / 40.0f64.sqrt()],
            };
            for (block, limit) in [shape.hidden_weight(), shape.output_weight()].into_iter().zip(weights) {
                let numbers: Vec<f64> = theta[block].iter().map(|x| x / limit).collect();
                let count = numbers.len() as f64;
                let mean = numbers.iter().sum::<f64>() / count;
                let square = numbers.iter().map(|x| x * x).sum::<f64>() / count;
                assert!(mean.abs() <= 5.0 / (3.0 * count).sqrt(), "{rule}, seed {seed}: mean {mean}");
                assert!(
                    (square - 1.0 / 3.0).abs() <= 5.0 * (4.0 / 45.0 / count).sqrt(),
                    "{rule}, seed {seed}: {square}"
                );
                assert!(numbers.iter().all(|x| x.abs() < 1.0 && *x != 0.0));
                assert!(numbers.iter().any(|x| *x > 0.99) && numbers.iter().any(|x| *x < -0.99));
            }
            for block in [shape.hidden_bias(), shape.output_bias()] {
                let zeros = theta[block].iter().all(|x| x.to_bits() == 0);
                assert_eq!(zeros, rule == Initialization::Glorot, "biases of {rule}");
            }
        }
    }
}

#[test]
fn seeds_are_independent_and_repeatable() {
    let network = network(30, 20, 10);
    for rule in Initialization::ALL {
        let all: Vec<Vec<f64>> = (0..6).map(|seed| drawn(network, rule, seed)).collect();
        let weights = network.shape.hidden_weight();
        for (seed, one) in all.iter().enumerate() {
            assert_eq!(one, &drawn::<f64>(network, rule, seed as u64));
            for other in &all[..seed] {
                // Five standard deviations of a correlation of independent numbers.
                let product: f64 = weights.clone().map(|i| one[i] * other[i]).sum();
                let size: f64 = weights.clone().map(|i| one[i] * one[i]).sum();
                assert!((product / size).abs() <= 5.0 / (weights.len() as f64).sqrt(), "{rule}: {product} of {size}");
            }
        }
    }
    let mut theta = vec![0.0f32; network.shape.parameters()];
    network.initialize(&mut theta, 3).expect("a θ of its length");
    assert_eq!(theta, drawn::<f32>(network, Initialization::default(), 3));
    assert_eq!(theta, drawn::<f32>(network, Initialization::FanIn, 3));
}

/// A generator gives one word for each number that is drawn, in the order of θ.
#[test]
fn generators_are_asked_once_a_number() {
    let network = network(2, 3, 2);
    let shape = network.shape;
    for (rule, expected) in [(Initialization::FanIn, shape.parameters()), (Initialization::Glorot, 6 + 6)] {
        let mut words = 0u64;
        let mut theta = vec![f64::NAN; shape.parameters()];
        network
            .initialize_from(rule, &mut theta, || {
                words += 1;
                words << 57
            })
            .expect("a θ of its length");
        assert_eq!(words as usize, expected, "{rule}");
        // Words that increase give numbers that increase, in each block.
        for block in [shape.hidden_weight(), shape.output_weight()] {
            assert!(theta[block].is_sorted_by(|one, next| one < next), "{rule}: {theta:?}");
        }
    }
}

#[test]
fn a_theta_of_another_length_is_refused() {
    let network = network(2, 3, 2);
    for len in [0, 16, 18] {
        for rule in Initialization::ALL {
            let mut theta = vec![0.5f32; len];
            let expected = Err(Error::Length { argument: "theta", given: len, expected: 17 });
            assert_eq!(network.initialize_by(rule, &mut theta, 1), expected);
            assert_eq!(network.initialize(&mut theta, 1), expected);
            assert_eq!(network.initialize_from(rule, &mut theta, || panic!("a word was drawn")), expected);
            assert!(theta.iter().all(|&x| x == 0.5));
        }
    }
}

#[test]
fn rules_have_names() {
    for rule in Initialization::ALL {
        assert_eq!(rule.name().parse(), Ok(rule));
        assert_eq!(format!("{rule:>8}"), format!("{:>8}", rule.name()));
    }
    let error = "zero".parse::<Initialization>().expect_err("no such rule");
    assert_eq!(error.to_string(), "initialization: unknown name, expected fan_in or glorot");
}
