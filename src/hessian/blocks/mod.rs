//! tr H² by the explicit blocks of H, linear in the number of samples.
//!
//! In the basis of contrasts (see [`factors`](super::factors)) each block is a sum over samples; kl is an entry of a flat symmetric
//! matrix:
//!
//! | block | formed as | multiply–adds a sample, value and derivatives |
//! |---|---|---|
//! | [output–output](output) | for each entry of S: `H_kl = Σ S_kl h hᵀ` and `Σ S_kl h`, `Σ S_kl` | `1.5 R₂M²` |
//! | [output–hidden](cross) | `H_oh = Σ (a⊗h) Bᵀ`, one product; `Σ a Bᵀ` and, on the diagonals, `Σ a (r⊗f)ᵀ` | `3 R(D+1)M²` |
//! | [hidden–hidden](hidden) | `H_hh = Σ (aaᵀ) Aᵀ`, both flat, one product | `2 D₂M₂`, and A itself, `R(M₂ + M²)` |
//! | [all](whole), K = 2, D ≤ 4 | H itself, one symmetric product | `1.5 (D+2)²M²` |
//!
//! The value of a block is its squared norm. The derivative with respect to a factor is the block times the other factor. Of the M²
//! entries that a sample adds to a block, only those of A are written. A and the rows a⊗h are formed in tiles of samples, twice.
//!
//! **Self pairs.** The square of the sum weighs all pairs alike. Where w_self differs from w_cross, [`pairs`] adds the difference sample
//! by sample, each sample as a batch of its own.
//!
//! **Memory**: one block at a time, a tile of rows, and N numbers.

mod cross;
mod hidden;
mod output;
mod sum;
mod whole;

use crate::bounds::Squares;
use crate::count::{Work, largest};
use crate::hessian::factors::{self, FactorGradients, Factors};
use crate::hessian::forward::Forward;
use crate::hessian::pairs::{self, Region};
use crate::kernels::context::Context;
use crate::network::Shape;
use crate::plan::Form;
use crate::simd::Element;
use crate::workspace::Arena;
use sum::BlockSum;

/// Work for value and derivatives of `n` samples, all pairs weighing alike.
pub(crate) const fn work(shape: Shape, n: usize) -> Work {
    let sample = if whole::applies(shape) {
        whole::work(shape)
    } else {
        Work::sum(&[output::work(shape), cross::work(shape), hidden::work(shape), factors::work(shape)])
    };
    sample.times(n)
}

/// Elements that [`add`] cuts off a workspace.
pub(crate) const fn elements(shape: Shape, n: usize) -> u64 {
    let blocks = if whole::applies(shape) {
        whole::elements(shape, n)
    } else {
        largest(&[output::elements(shape, n), cross::elements(shape, n), hidden::elements(shape, n)])
    };
    // The correction for self pairs comes after the blocks and uses the same memory.
    largest(&[blocks, pairs::elements(shape, 1, Form::Flat)])
}

/// Elements of packing space that the products need.
pub(crate) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let blocks = if whole::applies(shape) {
        whole::packing_elements(shape, n)
    } else {
        let [output, cross] = [output::packing_elements(shape, n), cross::packing_elements(shape, n)];
        largest(&[output, cross, hidden::packing_elements(shape, n)])
    };
    largest(&[blocks, pairs::packing_elements(shape, 1, Form::Flat)])
}

/// Elements of a worker's scratch, besides packing space.
pub(crate) const fn worker_elements(shape: Shape, n: usize) -> u64 {
    largest(&[factors::chunk::chunk_elements(shape, n), pairs::worker_elements(shape, 1, Form::Flat)])
}

/// Sums over all pairs of samples. Adds the derivatives to the gradients, if any are given.
pub(crate) fn add<T: Element>(
    forward: &Forward<'_, T>,
    (self_weight, cross_weight): (f64, f64),
    factors: &Factors<'_, T>,
    mut gradients: Option<&mut FactorGradients<'_, T>>,
    mut arena: Arena<'_, T>,
    mut context: Context<'_, T>,
) -> Squares {
    let sum = BlockSum { forward, weight: cross_weight };
    let mut squares = if whole::applies(forward.shape) {
        sum.whole(factors, gradients.as_deref_mut(), arena.scope(), &mut context)
    } else {
        Squares {
            output: sum.output(factors, gradients.as_deref_mut(), arena.scope(), &mut context),
            cross: sum.cross(factors, gradients.as_deref_mut(), arena.scope(), &mut context),
            hidden: sum.hidden(factors, gradients.as_deref_mut(), arena.scope(), &mut context),
        }
    };
    if self_weight != cross_weight {
        let difference = (self_weight - cross_weight, 0.0);
        for n in 0..forward.n {
            let gradients = gradients.as_deref_mut().map(FactorGradients::reborrow);
            let (one, arena, context) = (Region::Within(n..n + 1), arena.scope(), context.reborrow());
            squares += pairs::add(forward, one, difference, Form::Flat, factors, gradients, arena, context);
        }
    }
    squares
}
