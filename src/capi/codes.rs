//! The codes of activations, routes, forms, methods, updates, directions, penalties and initializations.

use super::status::Failure;
use crate::activation::Activation;
use crate::initialization::Initialization;
use crate::optimizer::Direction;
use crate::plan::{Form, Route};

/// Declares the codes of an enum, and both ways between them: a variant without a code does not compile.
macro_rules! codes {
    ($type:ident, $encode:ident, $decode:ident, $argument:literal:
        $($(#[$doc:meta])* $name:ident = $code:literal => $variant:ident,)*) => {
        $($(#[$doc])* pub const $name: u32 = $code;)*

        pub(super) const fn $encode(of: $type) -> u32 {
            match of {
                $($type::$variant => $name,)*
            }
        }

        pub(super) const fn $decode(code: u32) -> Result<$type, Failure> {
            match code {
                $($name => Ok($type::$variant),)*
                given => Err(Failure::UnknownCode { argument: $argument, given }),
            }
        }

        // Also of an enum whose codes are only read.
        const _: fn($type) -> u32 = $encode;
    };
}

codes! { Activation, activation_code, activation, "activation":
    /// tanh u
    FLATMIN_TANH = 0 => Tanh,
    /// The logistic function σ(u).
    FLATMIN_SIGMOID = 1 => Sigmoid,
    /// ln(1 + eᵘ)
    FLATMIN_SOFTPLUS = 2 => Softplus,
    /// u Φ(u), by the error function.
    FLATMIN_GELU = 3 => Gelu,
    /// u σ(u)
    FLATMIN_SILU = 4 => Silu,
    /// u: a linear network.
    FLATMIN_IDENTITY = 5 => Identity,
}

codes! { Route, route_code, route, "route":
    /// tr H² by pairs of samples.
    FLATMIN_PAIRS = 0 => Pairs,
    /// tr H² by the explicit blocks of H.
    FLATMIN_BLOCKS = 1 => Blocks,
}

codes! { Form, form_code, form, "form":
    /// Pairs by inner products of flat rows.
    FLATMIN_FLAT = 0 => Flat,
    /// Pairs by blocks of the tangent kernel.
    FLATMIN_TANGENT = 1 => Tangent,
}

/// The gradient that an optimizer takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Method {
    Plain,
    Sam,
    Hsr,
}

codes! { Method, method_code, method, "method":
    /// The gradient is ∇L.
    FLATMIN_PLAIN = 0 => Plain,
    /// Sharpness-Aware Minimization: ∇L at the point nearby where the loss is greatest, to first order.
    FLATMIN_SAM = 1 => Sam,
    /// Hessian Spectral Range regularization: ∇L + ρ∇Λ.
    FLATMIN_HSR = 2 => Hsr,
}

/// What an optimizer makes of a gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Update {
    Sgd,
    Nesterov,
    Adam,
    AdamW,
}

codes! { Update, update_code, update, "update":
    /// Gradient descent with momentum.
    FLATMIN_SGD = 0 => Sgd,
    /// Gradient descent with Nesterov's momentum.
    FLATMIN_NESTEROV = 1 => Nesterov,
    /// Adam: weight decay is added to the gradient.
    FLATMIN_ADAM = 2 => Adam,
    /// AdamW: weight decay acts on θ itself.
    FLATMIN_ADAMW = 3 => AdamW,
}

codes! { Direction, direction_code, direction, "direction":
    /// HSR descends L + ρΛ.
    FLATMIN_GRADIENT = 0 => Gradient,
    /// HSR takes ∇L + ρ∇Λ/‖∇Λ‖: a step of constant length toward flatness.
    FLATMIN_UNIT = 1 => Unit,
}

/// A penalty without what is drawn for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum PenaltyKind {
    Exact,
    Sampled,
}

codes! { PenaltyKind, penalty_code, penalty, "penalty":
    /// The penalty is the batch's own, exactly.
    FLATMIN_EXACT = 0 => Exact,
    /// The penalty is estimated from a few samples, at about the price of SGD.
    FLATMIN_SAMPLED = 1 => Sampled,
}

codes! { Initialization, initialization_code, initialization, "initialization":
    /// Weights and biases uniform within ±1/√fan-in, as PyTorch's `nn.Linear` begins. A layer's fan-in is D or M, its fan-out M or K.
    FLATMIN_FAN_IN = 0 => FanIn,
    /// Weights uniform within ±√(6/(fan-in + fan-out)), biases zero.
    FLATMIN_GLOROT = 1 => Glorot,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_leads_to_its_variant() {
        for all in
            [Activation::ALL.map(activation_code).as_slice(), &Route::ALL.map(route_code), &Form::ALL.map(form_code)]
        {
            assert!(all.iter().copied().eq(0..all.len() as u32), "in order, and nothing left out: {all:?}");
        }
        for (code, expected) in (0..).zip(Activation::ALL) {
            assert_eq!(activation(code).ok(), Some(expected));
        }
        assert!(activation(Activation::ALL.len() as u32).is_err(), "an activation that is not in ALL");
        for (code, expected) in (0..).zip(Route::ALL) {
            assert_eq!(route(code).ok(), Some(expected));
        }
        assert!(route(Route::ALL.len() as u32).is_err(), "a route that is not in ALL");
        for (code, expected) in (0..).zip(Form::ALL) {
            assert_eq!(form(code).ok(), Some(expected));
        }
        assert!(form(Form::ALL.len() as u32).is_err(), "a form that is not in ALL");
        for code in [FLATMIN_PLAIN, FLATMIN_SAM, FLATMIN_HSR] {
            assert_eq!(method(code).map(method_code).ok(), Some(code));
        }
        assert!(
            method(3).is_err(),
            "a method that is not named here, nor in tests/capi/languages.rs and the fuzz target"
        );
        for code in [FLATMIN_SGD, FLATMIN_NESTEROV, FLATMIN_ADAM, FLATMIN_ADAMW] {
            assert_eq!(update(code).map(update_code).ok(), Some(code));
        }
        assert!(
            update(4).is_err(),
            "an update that is not named here, nor in tests/capi/languages.rs and the fuzz target"
        );
        for (code, expected) in (0..).zip(Initialization::ALL) {
            assert_eq!((initialization(code).ok(), initialization_code(expected)), (Some(expected), code));
        }
        assert!(initialization(Initialization::ALL.len() as u32).is_err(), "an initialization that is not in ALL");
        for code in [FLATMIN_GRADIENT, FLATMIN_UNIT] {
            assert_eq!(direction(code).map(direction_code).ok(), Some(code));
        }
        assert!(
            direction(2).is_err(),
            "a direction that is not named here, nor in tests/capi/languages.rs and the fuzz target"
        );
        for code in [FLATMIN_EXACT, FLATMIN_SAMPLED] {
            assert_eq!(penalty(code).map(penalty_code).ok(), Some(code));
        }
        assert!(
            penalty(2).is_err(),
            "a penalty that is not named here, nor in tests/capi/languages.rs and the fuzz target"
        );
    }
}
