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
//!
//! **Chunks.** H is a sum over the samples. So that of a data set is formed chunk by chunk ([`DataSetBlocks`]), with all blocks at once in
//! memory; the last chunk is followed by their squared norms.

mod cross;
mod hidden;
mod output;
mod sum;
mod whole;

use crate::bounds::Squares;
use crate::count::{Work, largest, sum};
use crate::hessian::factors::{self, FactorGradients, Factors};
use crate::hessian::forward::Forward;
use crate::hessian::pairs;
use crate::kernels::context::Context;
use crate::network::Shape;
use crate::plan::Form;
use crate::simd::{Element, InstructionSet};
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
            let (one, arena, context) = (n..n + 1, arena.scope(), context.reborrow());
            squares += pairs::within(forward, one, difference, Form::Flat, factors, gradients, arena, context);
        }
    }
    squares
}

/// The blocks of H of a data set, to which one chunk after the other is added.
pub(crate) struct DataSetBlocks<'w, T> {
    blocks: AllBlocks<'w, T>,
    /// What all factors that were added are divided by; see [`factors`].
    scale: Option<f64>,
}

enum AllBlocks<'w, T> {
    Whole { buffers: whole::Buffers<'w, T>, total: f64 },
    Apart { output: output::Sums<'w, T>, cross: cross::Buffers<'w, T>, hidden: hidden::Buffers<'w, T> },
}

impl DataSetBlocks<'_, ()> {
    /// Elements that [`cut`](DataSetBlocks::cut) takes.
    pub(crate) const fn elements(shape: Shape, n: usize) -> u64 {
        if whole::applies(shape) {
            whole::elements(shape, n)
        } else {
            sum(&[output::Sums::elements(shape, n), cross::elements(shape, n), hidden::elements(shape, n)])
        }
    }
}

impl<'w, T: Element> DataSetBlocks<'w, T> {
    /// Blocks for chunks of up to `n` samples.
    pub(crate) fn cut(shape: Shape, n: usize, arena: &mut Arena<'w, T>) -> Self {
        let blocks = if whole::applies(shape) {
            AllBlocks::Whole { buffers: whole::Buffers::cut(shape, n, arena), total: 0.0 }
        } else {
            let output = output::Sums::cut(shape, n, arena);
            let cross = cross::Buffers::cut(shape, n, arena);
            AllBlocks::Apart { output, cross, hidden: hidden::Buffers::cut(shape, n, arena) }
        };
        Self { blocks, scale: None }
    }

    /// Adds a chunk. Of its scale and that of the chunks before, the larger becomes that of all.
    pub(crate) fn add(&mut self, forward: &Forward<'_, T>, factors: &mut Factors<'_, T>, context: &mut Context<'_, T>) {
        let isa = context.isa;
        let (first, before) = (self.scale.is_none(), self.scale.unwrap_or(factors.scale));
        let common = before.max(factors.scale);
        if common > before {
            self.blocks.scale(isa, before / common);
        }
        factors.divide_by(isa, common);
        self.scale = Some(common);
        let sum = BlockSum { forward, weight: 1.0 };
        match &mut self.blocks {
            AllBlocks::Whole { buffers, total } => *total += sum.add_whole(factors, buffers, first, context),
            AllBlocks::Apart { output, cross, hidden } => {
                sum.add_output(factors, output, first, context);
                sum.add_cross(factors, cross, first, context);
                sum.add_hidden(factors, hidden, first, context);
            }
        }
    }

    /// tr H² by block, times `weight`, and the scale: its square is a factor of the true values.
    pub(crate) fn squares(self, isa: InstructionSet, shape: Shape, weight: f64) -> (Squares, f64) {
        let squares = match self.blocks {
            AllBlocks::Whole { mut buffers, total } => buffers.squares(isa, shape, weight, total),
            AllBlocks::Apart { output, mut cross, hidden } => Squares {
                output: weight * output.square(isa),
                cross: weight * cross.square(isa, shape),
                hidden: weight * hidden.square(isa),
            },
        };
        (squares, self.scale.unwrap_or(1.0))
    }
}

impl<T: Element> AllBlocks<'_, T> {
    /// Multiplies all blocks with a power of two.
    fn scale(&mut self, isa: InstructionSet, factor: f64) {
        let by = T::from_f64(factor);
        match self {
            Self::Whole { buffers, total } => {
                buffers.scale(isa, by);
                *total *= factor;
            }
            Self::Apart { output, cross, hidden } => {
                output.scale(isa, by);
                cross.scale(isa, by);
                hidden.scale(isa, by);
            }
        }
    }
}
