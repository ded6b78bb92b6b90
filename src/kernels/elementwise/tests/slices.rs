//! The public functions refuse slices whose lengths do not fit together, and then write nothing.

use super::for_both_types;
use crate::activation::Activation;
use crate::elementwise::{activation_with_derivatives, activation_with_slope, exp, softmax, softmax_jacobian_product};
use crate::error::Error;
use crate::real::Real;

for_both_types! {
    lengths_that_differ,
    rows_that_are_not_whole,
    no_elements,
}

fn lengths_that_differ<T: Real>() {
    let (three, mut two) = (|| [T::HALF; 3], [T::TWO; 2]);
    let wrong = |argument| Err(Error::Length { argument, given: 2, expected: 3 });
    let (mut u, mut f, mut e) = (three(), three(), three());
    assert_eq!(activation_with_slope(Activation::Silu, &mut u, &mut two), wrong("f"));
    assert_eq!(activation_with_derivatives(Activation::Silu, &mut u, &mut f, &mut e, &mut two), wrong("t"));
    assert_eq!(activation_with_derivatives(Activation::Silu, &mut u, &mut f, &mut two, &mut e), wrong("e"));
    assert_eq!(activation_with_derivatives(Activation::Silu, &mut u, &mut two, &mut f, &mut e), wrong("f"));
    assert_eq!(softmax_jacobian_product(3, &u, &mut two), wrong("x"));
    assert_eq!([u, f, e], [three(); 3]);
    assert_eq!(two, [T::TWO; 2]);
}

fn rows_that_are_not_whole<T: Real>() {
    let (mut z, mut sums) = ([T::HALF; 5], [T::ONE; 2]);
    let wrong = |argument, expected| Err(Error::Length { argument, given: 5, expected });
    assert_eq!(softmax(2, &mut z, &mut sums), wrong("logits", 4));
    assert_eq!(softmax_jacobian_product(2, &[T::ONE; 5], &mut z), wrong("probabilities", 4));
    let none = Err(Error::TooSmall { argument: "classes", given: 0, least: 1 });
    assert_eq!([softmax(0, &mut z, &mut sums), softmax_jacobian_product(0, &sums, &mut z)], [none, none]);
    assert_eq!(softmax(usize::MAX, &mut z, &mut sums), Err(Error::TooLarge { quantity: "logits" }));
    assert_eq!((z, sums), ([T::HALF; 5], [T::ONE; 2]));
}

fn no_elements<T: Real>() {
    exp::<T>(&mut []);
    assert_eq!(softmax::<T>(3, &mut [], &mut []), Ok(()));
    assert_eq!(softmax_jacobian_product::<T>(3, &[], &mut []), Ok(()));
    assert_eq!(activation_with_slope::<T>(Activation::Gelu, &mut [], &mut []), Ok(()));
}
