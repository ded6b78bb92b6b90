//! How bytes become sizes, numbers and memory: mostly reasonable, sometimes anything.
#![allow(dead_code, reason = "each target uses its own part")]

use std::fmt::Arguments;

use arbitrary::{Result, Unstructured};
use flatmin::{InstructionSet, Real};

/// One of the CPU's instruction sets.
pub fn instruction_set(bytes: &mut Unstructured<'_>) -> Result<InstructionSet> {
    let all: Vec<InstructionSet> = InstructionSet::all_supported().collect();
    Ok(*bytes.choose(&all)?)
}

/// A size: mostly small, sometimes anything.
pub fn size(bytes: &mut Unstructured<'_>) -> Result<usize> {
    Ok(match bytes.arbitrary::<u8>()? {
        small @ 0..240 => usize::from(small % 12),
        240..250 => bytes.arbitrary::<u16>()?.into(),
        _ => bytes.arbitrary()?,
    })
}

/// A number: mostly small, sometimes any bits at all.
pub fn number(bytes: &mut Unstructured<'_>) -> Result<f64> {
    const SPECIAL: [f64; 16] = [
        0.0,
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        f32::MAX as f64,
        f32::MIN_POSITIVE as f64,
        1e-45,
        1e30,
        -1e30,
        1e160,
        1.0,
    ];
    Ok(match bytes.arbitrary::<u8>()? {
        0..200 => f64::from(bytes.arbitrary::<i8>()?) / 32.0,
        200..230 => 2f64.powi(bytes.arbitrary::<i8>()?.into()),
        230..250 => *bytes.choose(&SPECIAL)?,
        _ => f64::from_bits(bytes.arbitrary()?),
    })
}

/// A number of moderate size, with a sign: products of three of them neither overflow nor underflow in `f32`.
pub fn moderate(bytes: &mut Unstructured<'_>) -> Result<f64> {
    let [fraction, exponent] = bytes.arbitrary::<[i8; 2]>()?;
    Ok(f64::from(fraction) / 128.0 * 2f64.powi(i32::from(exponent) / 8))
}

/// A length: mostly what it should be.
pub fn len(bytes: &mut Unstructured<'_>, right: usize) -> Result<usize> {
    Ok(match bytes.arbitrary::<u8>()? {
        0..245 => right,
        245..250 => right + 1,
        _ => right.saturating_sub(1),
    })
}

/// So many numbers, which repeat from a short list, so that few bytes fill a long slice.
pub fn repeated<T: Real>(
    bytes: &mut Unstructured<'_>,
    count: usize,
    one: impl Fn(&mut Unstructured<'_>) -> Result<f64>,
) -> Result<Vec<T>> {
    let list: Vec<f64> =
        (0..1 + usize::from(bytes.arbitrary::<u8>()? % 16)).map(|_| one(bytes)).collect::<Result<_>>()?;
    Ok((0..count).map(|i| T::from_f64(list[(i + i / 7) % list.len()])).collect())
}

/// The same of [any kind](number).
pub fn numbers<T: Real>(bytes: &mut Unstructured<'_>, count: usize) -> Result<Vec<T>> {
    repeated(bytes, count, number)
}

/// Runs a target for one of both types.
pub fn in_either_type(
    bytes: &[u8],
    double: fn(&mut Unstructured<'_>) -> Result<()>,
    single: fn(&mut Unstructured<'_>) -> Result<()>,
) {
    let mut bytes = Unstructured::new(bytes);
    // Bytes that end too early are no input.
    let _ = match bytes.arbitrary::<bool>() {
        Ok(true) => double(&mut bytes),
        _ => single(&mut bytes),
    };
}

/// That an entry of a product is the sum of `old` and of `terms`, as far as so many roundings of each allow. The naive sum is rounded, too.
pub fn assert_sum<T: Real>(
    found: T,
    old: f64,
    terms: impl Iterator<Item = f64>,
    roundings: usize,
    place: Arguments<'_>,
) {
    let (sum, magnitude) = terms.fold((old, old.abs()), |(sum, magnitude), term| (sum + term, magnitude + term.abs()));
    let bound = 2.0 * roundings as f64 * T::EPSILON.to_f64() * magnitude + T::MIN_POSITIVE.to_f64();
    let error = (found.to_f64() - sum).abs();
    assert!(error <= bound, "{place}: {found} given, {sum} expected, {bound:e} allowed");
}

/// The same bits.
pub fn same<T: Real>(one: &[T], other: &[T]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(x, y)| x.to_f64().to_bits() == y.to_f64().to_bits())
}
