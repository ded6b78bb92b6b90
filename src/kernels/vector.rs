//! Vectors: inner products with a controlled rounding error, norms, updates.
//!
//! Sums run in the type itself over blocks of [`BLOCK`] terms, and in f64 over the blocks. So the error of an inner product of f32 is at
//! most about `BLOCK/LANES · ε Σ|x_i y_i|`, whatever its length.

use crate::number::{power_of_two_near, sqrt};
use crate::simd::Element;
use crate::simd::InstructionSet;

/// Terms that are summed in the type itself.
pub(crate) const BLOCK: usize = 256;

/// Independent partial sums, so that the compiler can keep them in vector registers.
const LANES: usize = 16;

/// A sum in independent parts, which the compiler can keep in one vector register.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneSums<T>([T; LANES]);

impl<T: Element> LaneSums<T> {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self([T::ZERO; LANES])
    }

    /// Adds the `index`-th term.
    #[inline(always)]
    pub(crate) fn add(&mut self, index: usize, term: T) {
        self.0[index % LANES] += term;
    }

    #[inline(always)]
    pub(crate) fn total(self) -> f64 {
        // Halves are added to halves: adding one by one, each addition would wait for the one before.
        let mut parts = [0.0; LANES];
        for (part, lane) in parts.iter_mut().zip(self.0) {
            *part = lane.to_f64();
        }
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                parts[lane] += parts[lane + width];
            }
            width /= 2;
        }
        parts[0]
    }
}

/// Σ x_i y_i.
pub(crate) fn dot<T: Element>(isa: InstructionSet, x: &[T], y: &[T]) -> f64 {
    debug_assert_eq!(x.len(), y.len());
    isa.vectorize(|| dot_inline(x, y))
}

/// [`dot`], to be called in a kernel.
#[inline(always)]
pub(crate) fn dot_inline<T: Element>(x: &[T], y: &[T]) -> f64 {
    let mut total = 0.0;
    for (x, y) in x.chunks(BLOCK).zip(y.chunks(BLOCK)) {
        let mut sums = LaneSums::new();
        let (x, x_rest) = x.as_chunks::<LANES>();
        let (y, y_rest) = y.as_chunks::<LANES>();
        for (x, y) in x.iter().zip(y) {
            for lane in 0..LANES {
                sums.add(lane, x[lane] * y[lane]);
            }
        }
        for (lane, (&x, &y)) in x_rest.iter().zip(y_rest).enumerate() {
            sums.add(lane, x * y);
        }
        total += sums.total();
    }
    total
}

/// The largest |x_i|; 0 if there is none. NaN is ignored.
pub(crate) fn largest_magnitude<T: Element>(isa: InstructionSet, x: &[T]) -> f64 {
    let larger = |a: T, b: T| if a > b { a } else { b };
    isa.vectorize(|| {
        let (blocks, rest) = x.as_chunks::<LANES>();
        let mut largest = [T::ZERO; LANES];
        for block in blocks {
            for (largest, x) in largest.iter_mut().zip(block) {
                *largest = larger(x.abs(), *largest);
            }
        }
        largest.into_iter().chain(rest.iter().map(|x| x.abs())).fold(T::ZERO, |a, b| larger(b, a)).to_f64()
    })
}

/// y ← y + α x/‖x‖, whatever the magnitude of x; y is unchanged for x = 0.
pub(crate) fn add_unit<T: Element>(isa: InstructionSet, y: &mut [T], alpha: f64, x: &[T]) {
    debug_assert_eq!(x.len(), y.len());
    let inverse = inverse_scale(isa, x);
    isa.vectorize(|| {
        let norm = scaled_norm(x, inverse);
        if norm != 0.0 {
            add_unit_inline(y, alpha / norm, x, inverse);
        }
    });
}

/// Shortens x to the length `most` if it is longer, whatever its magnitude. A vector that is not finite stays so.
pub(crate) fn limit_norm<T: Element>(isa: InstructionSet, x: &mut [T], most: f64) {
    let inverse = inverse_scale(isa, x);
    isa.vectorize(|| {
        let norm = scaled_norm(x, inverse);
        if norm > most * inverse {
            scale_inline(x, most / norm, inverse);
        }
    });
}

/// What entries of x are multiplied by before they are squared, so that no square overflows in f64, and none that matters underflows: for
/// f64 the inverse of a power of two near its largest entry; squares of f32 are within the range of f64.
fn inverse_scale<T: Element>(isa: InstructionSet, x: &[T]) -> f64 {
    let narrow = size_of::<T>() < size_of::<f64>();
    let near = if narrow { 1.0 } else { power_of_two_near(largest_magnitude(isa, x)) };
    1.0 / near.max(f64::MIN_POSITIVE)
}

/// ‖inverse x‖, in f64.
#[inline(always)]
fn scaled_norm<T: Element>(x: &[T], inverse: f64) -> f64 {
    let scaled = |x: T| x.to_f64() * inverse;
    let (blocks, rest) = x.as_chunks::<LANES>();
    let mut squares = LaneSums::<f64>::new();
    for block in blocks {
        for (lane, &x) in block.iter().enumerate() {
            squares.add(lane, scaled(x) * scaled(x));
        }
    }
    for (lane, &x) in rest.iter().enumerate() {
        squares.add(lane, scaled(x) * scaled(x));
    }
    sqrt(squares.total())
}

/// Takes its arguments by value: what a closure captures would be loaded again for every entry.
#[inline(always)]
fn add_unit_inline<T: Element>(y: &mut [T], factor: f64, x: &[T], inverse: f64) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += T::from_f64(x.to_f64() * inverse * factor);
    }
}

#[inline(always)]
fn scale_inline<T: Element>(x: &mut [T], factor: f64, inverse: f64) {
    for x in x {
        *x = T::from_f64(x.to_f64() * inverse * factor);
    }
}

/// Overwrites slices of the same length by functions of themselves and others, a register at a time, the last one partial:
///
/// `map_registers!(T, S, simd, [a, b] = inputs, [x, y] = outputs => [new x, new y])`
///
/// with arrays of slices, and in the last expression registers under their names. (A macro, because a closure need not be inlined, and
/// would then lose the instruction set.)
macro_rules! map_registers {
    ($T:ty, $S:ty, $simd:expr, [$($input:ident),*] = $inputs:expr, [$($output:ident),+] = $outputs:expr => $values:expr) => {{
        type Register<T, S> = <T as $crate::simd::Element>::Lanes<S>;
        let (simd, lanes) = ($simd, <Register<$T, $S> as $crate::simd::Lanes>::LANES);
        let [$($output),+]: [&mut [$T]; _] = $outputs;
        let [$($input),*]: [&[$T]; _] = $inputs;
        let len = [$($output.len()),+][0];
        $(let $input = &$input[..len];)*
        $(let $output = &mut $output[..len];)+
        // Whole registers first, unless masked ones take no longer.
        let free = <Register<$T, $S> as $crate::simd::Lanes>::FREE_MASKS;
        let full = if free { 0 } else { len - len % lanes };
        let mut start = 0;
        while start < full {
            let values = {
                $(let $input = <Register<$T, $S> as $crate::simd::Lanes>::load(simd, &$input[start..]);)*
                $(let $output = <Register<$T, $S> as $crate::simd::Lanes>::load(simd, &$output[start..]);)+
                let _ = ($($output,)+);
                $values
            };
            let mut values = values.into_iter();
            $(if let Some(value) = values.next() {
                value.store(&mut $output[start..]);
            })+
            start += lanes;
        }
        while start < len {
            let part = lanes.min(len - start);
            let values = {
                $(let $input = <Register<$T, $S> as $crate::simd::Lanes>::load_at(simd, $input, start, part);)*
                $(let $output = <Register<$T, $S> as $crate::simd::Lanes>::load_at(simd, $output, start, part);)+
                let _ = ($($output,)+);
                $values
            };
            let mut values = values.into_iter();
            $(if let Some(value) = values.next() {
                value.store_at($output, start, part);
            })+
            start += lanes;
        }
    }};
}

/// The sum of a function over slices of the same length, as a register of partial sums. The function must be 0 where its arguments are:
///
/// `sum_registers!(T, S, simd, [a, b] = inputs => value)`
macro_rules! sum_registers {
    ($T:ty, $S:ty, $simd:expr, [$($input:ident),+] = $inputs:expr => $value:expr) => {{
        type Register<T, S> = <T as $crate::simd::Element>::Lanes<S>;
        let (simd, lanes) = ($simd, <Register<$T, $S> as $crate::simd::Lanes>::LANES);
        let [$($input),+]: [&[$T]; _] = $inputs;
        let len = [$($input.len()),+][0];
        $(let $input = &$input[..len];)+
        let free = <Register<$T, $S> as $crate::simd::Lanes>::FREE_MASKS;
        let full = if free { 0 } else { len - len % lanes };
        let mut sum = <Register<$T, $S> as $crate::simd::Lanes>::zero(simd);
        let mut start = 0;
        while start < full {
            $(let $input = <Register<$T, $S> as $crate::simd::Lanes>::load(simd, &$input[start..]);)+
            sum = sum + $value;
            start += lanes;
        }
        while start < len {
            let part = lanes.min(len - start);
            $(let $input = <Register<$T, $S> as $crate::simd::Lanes>::load_at(simd, $input, start, part);)+
            sum = sum + $value;
            start += lanes;
        }
        sum
    }};
}

pub(crate) use {map_registers, sum_registers};

/// y ← y + α x.
pub(crate) fn add_scaled<T: Element>(isa: InstructionSet, y: &mut [T], alpha: T, x: &[T]) {
    debug_assert_eq!(x.len(), y.len());
    isa.vectorize(|| add_scaled_inline(y, alpha, x));
}

/// x ← α x.
pub(crate) fn scale<T: Element>(isa: InstructionSet, x: &mut [T], alpha: T) {
    isa.vectorize(|| {
        for x in x {
            *x = alpha * *x;
        }
    });
}

/// Column sums of a row-major matrix: `sums[j] = Σ_i rows[i][j]`.
pub(crate) fn sum_rows<T: Element>(isa: InstructionSet, rows: &[T], sums: &mut [T]) {
    isa.vectorize(|| {
        sums.fill(T::ZERO);
        for row in rows.chunks_exact(sums.len()) {
            add_scaled_inline(sums, T::ONE, row);
        }
    });
}

#[inline(always)]
fn add_scaled_inline<T: Element>(y: &mut [T], alpha: T, x: &[T]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += alpha * x;
    }
}

/// The index of the first entry that is NaN or infinite.
pub(crate) fn first_not_finite<T: Element>(isa: InstructionSet, x: &[T]) -> Option<usize> {
    // Goes through whole blocks without a branch, so that the usual case is a vector comparison; it searches only the block with the
    // entry. The truth value is a result: a captured variable would be stored at every entry.
    let finite = isa
        .vectorize(|| x.chunks(BLOCK).all(|block| block.iter().fold(true, |finite, entry| finite & entry.is_finite())));
    if finite { None } else { x.iter().position(|entry| !entry.is_finite()) }
}

/// The index of the largest entry; the first one, among equals.
pub(crate) fn first_largest<T: Element>(row: &[T]) -> usize {
    let mut best = 0;
    for index in 1..row.len() {
        if row[index] > row[best] {
            best = index;
        }
    }
    best
}
