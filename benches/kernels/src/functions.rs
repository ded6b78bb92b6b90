//! Elementwise functions: flatmin's, and the same by `libm` (number by number) and `wide` (registers), where it has what it takes.
//!
//! flatmin overwrites its argument, so its time includes a copy of it; the others read one slice and write another.

use std::hint::black_box;
use std::time::Duration;

use flatmin::elementwise::{activation, activation_with_derivatives, activation_with_slope, exp, ln, softmax};
use flatmin::{Activation, Real};

use crate::contest::{self, Budget, Contender, Outcome};
use crate::numbers;

/// Numbers of a slice: all slices of a function stay in the L1 cache, or nearly.
const LEN: usize = 2048;

/// What is computed of every number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Exp,
    Ln,
    /// φ
    Value(Activation),
    /// φ and φ'
    Slope(Activation),
    /// φ, φ', φ'' and φ'''
    Derivatives(Activation),
    /// Softmax and log-sum-exp of rows of so many classes.
    Softmax(usize),
}

impl std::fmt::Display for Function {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.pad(&match self {
            Self::Exp => "exp".into(),
            Self::Ln => "ln".into(),
            Self::Value(activation) => activation.name().into(),
            Self::Slope(activation) => format!("{}-slope", activation.name()),
            Self::Derivatives(activation) => format!("{}-derivatives", activation.name()),
            Self::Softmax(classes) => format!("softmax-{classes}"),
        })
    }
}

/// All functions. The identity is a copy and left out.
pub fn all() -> Vec<Function> {
    let activations = || Activation::ALL.into_iter().filter(|&activation| activation != Activation::Identity);
    [Function::Exp, Function::Ln]
        .into_iter()
        .chain(activations().map(Function::Value))
        .chain(activations().map(Function::Slope))
        .chain(activations().map(Function::Derivatives))
        .chain([2, 10, 100].map(Function::Softmax))
        .collect()
}

/// A number type with the functions of `libm` and `wide`.
pub trait Number: Real {
    const NAME: &'static str;

    fn libm_exp(self) -> Self;
    fn libm_ln(self) -> Self;
    fn libm_tanh(self) -> Self;
    fn libm_erf(self) -> Self;
    fn libm_ln_1p(self) -> Self;

    /// The function by `wide`, if it can: exp, ln, tanh and what follows from them.
    fn wide(function: Function, x: &[Self], y: &mut [Self]) -> bool;
}

macro_rules! number {
    ($number:ident, $register:ident, $lanes:literal, $exp:ident, $ln:ident, $tanh:ident, $erf:ident, $ln_1p:ident) => {
        impl Number for $number {
            const NAME: &'static str = stringify!($number);

            #[inline(always)]
            fn libm_exp(self) -> Self {
                libm::$exp(self)
            }
            #[inline(always)]
            fn libm_ln(self) -> Self {
                libm::$ln(self)
            }
            #[inline(always)]
            fn libm_tanh(self) -> Self {
                libm::$tanh(self)
            }
            #[inline(always)]
            fn libm_erf(self) -> Self {
                libm::$erf(self)
            }
            #[inline(always)]
            fn libm_ln_1p(self) -> Self {
                libm::$ln_1p(self)
            }

            fn wide(function: Function, x: &[Self], y: &mut [Self]) -> bool {
                type Register = wide::$register;
                fn map(x: &[$number], y: &mut [$number], f: impl Fn(Register) -> Register) {
                    let (x, _) = x.as_chunks::<$lanes>();
                    let (y, _) = y.as_chunks_mut::<$lanes>();
                    for (&x, y) in x.iter().zip(y) {
                        *y = f(Register::from(x)).to_array();
                    }
                }
                let one = Register::splat(1.0);
                let sigmoid = |u: Register| one / (one + (-u).exp());
                match function {
                    Function::Exp => map(x, y, |u| u.exp()),
                    Function::Ln => map(x, y, |u| u.ln()),
                    Function::Value(Activation::Tanh) => map(x, y, |u| u.tanh()),
                    Function::Value(Activation::Sigmoid) => map(x, y, sigmoid),
                    Function::Value(Activation::Softplus) => map(x, y, |u| u.exp().ln_1p()),
                    Function::Value(Activation::Silu) => map(x, y, |u| u * sigmoid(u)),
                    _ => return false,
                }
                true
            }
        }
    };
}

number!(f32, f32x8, 8, expf, logf, tanhf, erff, log1pf);
number!(f64, f64x4, 4, exp, log, tanh, erf, log1p);

/// The function by `libm`, as one writes it: every derivative by its formula. `y` has room for four slices.
pub fn by_libm<T: Number>(function: Function, x: &[T], y: &mut [T]) {
    let one = T::ONE;
    let sigmoid = |u: T| one / (one + (-u).libm_exp());
    match function {
        Function::Exp => each(x, y, |u| [u.libm_exp()]),
        Function::Ln => each(x, y, |u| [u.libm_ln()]),
        Function::Value(activation) => match activation {
            Activation::Tanh => each(x, y, |u| [u.libm_tanh()]),
            Activation::Sigmoid => each(x, y, |u| [sigmoid(u)]),
            Activation::Softplus => each(x, y, |u| [u.libm_exp().libm_ln_1p()]),
            Activation::Gelu => each(x, y, |u| [gelu(u)[0]]),
            Activation::Silu => each(x, y, |u| [u * sigmoid(u)]),
            Activation::Identity => each(x, y, |u| [u]),
            // One that the library has got since: its formula is to be added here.
            other => unimplemented!("{other} by libm"),
        },
        Function::Slope(activation) => each(x, y, |u| {
            let [h, f, ..] = derivatives(activation, u);
            [h, f]
        }),
        Function::Derivatives(activation) => each(x, y, |u| derivatives(activation, u)),
        Function::Softmax(classes) => {
            for (x, y) in x.chunks_exact(classes).zip(y.chunks_exact_mut(classes)) {
                let largest = x.iter().fold(-T::INFINITY, |largest, &x| if x > largest { x } else { largest });
                let mut sum = T::ZERO;
                for (&x, y) in x.iter().zip(&mut *y) {
                    *y = (x - largest).libm_exp();
                    sum += *y;
                }
                let inverse = one / sum;
                y.iter_mut().for_each(|y| *y *= inverse);
                black_box(largest + sum.libm_ln());
            }
        }
    }
}

/// Writes the results of `f` to as many slices of `y`.
#[inline(always)]
fn each<T: Number, const RESULTS: usize>(x: &[T], y: &mut [T], f: impl Fn(T) -> [T; RESULTS]) {
    let len = x.len();
    assert!(y.len() >= RESULTS * len);
    for (i, &u) in x.iter().enumerate() {
        for (j, value) in f(u).into_iter().enumerate() {
            y[j * len + i] = value;
        }
    }
}

#[inline(always)]
fn derivatives<T: Number>(activation: Activation, u: T) -> [T; 4] {
    let (one, two, three, six) = (T::ONE, T::TWO, T::from_f64(3.0), T::from_f64(6.0));
    let sigmoid = |u: T| one / (one + (-u).libm_exp());
    let logistic = |s: T| {
        let f = s * (one - s);
        [s, f, f * (one - two * s), f * (one - six * f)]
    };
    match activation {
        Activation::Tanh => {
            let h = u.libm_tanh();
            let f = one - h * h;
            [h, f, -two * h * f, f * (six * h * h - two)]
        }
        Activation::Sigmoid => logistic(sigmoid(u)),
        Activation::Softplus => {
            let [s, f, e, _] = logistic(sigmoid(u));
            [u.libm_exp().libm_ln_1p(), s, f, e]
        }
        Activation::Gelu => gelu(u),
        Activation::Silu => {
            let [s, f, e, t] = logistic(sigmoid(u));
            [u * s, s + u * f, two * f + u * e, three * e + u * t]
        }
        Activation::Identity => [u, one, T::ZERO, T::ZERO],
        // As above.
        other => unimplemented!("{other} by libm"),
    }
}

#[inline(always)]
fn gelu<T: Number>(u: T) -> [T; 4] {
    let constant = T::from_f64;
    let below = T::HALF * (T::ONE + (u * constant(std::f64::consts::FRAC_1_SQRT_2)).libm_erf());
    let density = constant(0.398_942_280_401_432_7) * (-T::HALF * u * u).libm_exp();
    let square = u * u;
    [u * below, below + u * density, density * (T::TWO - square), density * u * (square - constant(4.0))]
}

/// An argument, and room for four results.
pub struct Slices<T> {
    x: Vec<T>,
    y: Vec<T>,
    log_sum_exp: Vec<T>,
}

impl<T: Number> Slices<T> {
    pub fn new(function: Function) -> Self {
        let len = match function {
            Function::Softmax(classes) => LEN / classes * classes,
            _ => LEN,
        };
        // Activations of a network: some in the tails. Logarithms of positive numbers.
        let scale = T::from_f64(8.0);
        let x = numbers::<T>(len, 3)
            .into_iter()
            .map(|x| if function == Function::Ln { (x * x + T::HALF) * scale } else { x * scale });
        let rows = if let Function::Softmax(classes) = function { len / classes } else { 0 };
        Self { x: x.collect(), y: vec![T::ZERO; 4 * len], log_sum_exp: vec![T::ZERO; rows] }
    }

    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.x.len()
    }

    /// The last results.
    pub fn results(&self) -> &[T] {
        &self.y
    }

    /// Computes, if the way can.
    pub fn run(&mut self, function: Function, way: Way) -> bool {
        let Self { x, y, log_sum_exp } = self;
        match way {
            Way::Flatmin => flatmin(function, x, y, log_sum_exp).expect("slices of one length"),
            Way::Libm => by_libm(function, x, y),
            Way::Wide => return T::wide(function, x, y),
        }
        true
    }
}

fn flatmin<T: Number>(function: Function, x: &[T], y: &mut [T], log_sum_exp: &mut [T]) -> flatmin::Result<()> {
    let (h, rest) = y.split_at_mut(x.len());
    let (f, rest) = rest.split_at_mut(x.len());
    let (e, t) = rest.split_at_mut(x.len());
    h.copy_from_slice(x);
    match function {
        Function::Exp => exp(h),
        Function::Ln => ln(h),
        Function::Value(phi) => activation(phi, h),
        Function::Slope(phi) => activation_with_slope(phi, h, f)?,
        Function::Derivatives(phi) => activation_with_derivatives(phi, h, f, e, t)?,
        Function::Softmax(classes) => softmax(classes, h, log_sum_exp)?,
    }
    Ok(())
}

/// The contenders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Flatmin,
    Libm,
    Wide,
}

impl Way {
    pub const ALL: [Self; 3] = [Self::Flatmin, Self::Libm, Self::Wide];

    pub fn name(self) -> &'static str {
        match self {
            Self::Flatmin => "flatmin",
            Self::Libm => "libm",
            Self::Wide => "wide",
        }
    }
}

/// All contenders on one function, flatmin first, in seconds a number.
pub fn contest<T: Number>(function: Function, budget: Duration) -> Vec<Outcome> {
    let slices = std::cell::RefCell::new(Slices::<T>::new(function));
    let len = slices.borrow().len();
    let able = |way: &Way| slices.borrow_mut().run(function, *way);
    let contender = |way: Way| -> Contender {
        let slices = &slices;
        (
            way.name(),
            Box::new(move || {
                black_box(slices.borrow_mut().run(function, black_box(way)));
            }),
        )
    };
    let mut contenders: Vec<Contender> = Way::ALL.into_iter().filter(able).map(contender).collect();
    let outcomes = contest::run(&mut contenders, Budget(budget));
    outcomes.into_iter().map(|outcome| Outcome { seconds: outcome.seconds / len as f64, ..outcome }).collect()
}
