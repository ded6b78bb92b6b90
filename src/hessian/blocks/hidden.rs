//! The hidden–hidden block: `H_hh = Σ (aaᵀ) Aᵀ`, both flat.

use core::ops::Range;

use crate::count::{Work, product};
use crate::hessian::blocks::sum::{BlockSum, tile_len, tiles};
use crate::hessian::contrasts::triangle;
use crate::hessian::factors::chunk::ChunkFactors;
use crate::hessian::factors::{self, FactorGradients, Factors, HiddenGradient, chunks};
use crate::kernels::context::Context;
use crate::kernels::gemm::{self, Addend, Matrix, MatrixMut};
use crate::kernels::vector::{dot, scale};
use crate::network::Shape;
use crate::simd::{Element, InstructionSet};
use crate::workspace::{Arena, buffers, row, row_mut};

/// Work for value and derivatives of a sample.
pub(super) const fn work(shape: Shape) -> Work {
    let products = product(&[4, triangle(shape.inputs() + 1), triangle(shape.hidden())]);
    Work::sum(&[Work::new(products, 2), factors::work_of_a(shape)])
}

buffers! {
    /// The block, with the rows of a tile of samples.
    pub(super) struct Buffers(shape: Shape, n: usize) where {
        let (m, r, tile) = (shape.hidden(), shape.classes() - 1, tile_len(n));
        let (m2, d2) = (triangle(m), triangle(shape.inputs() + 1));
    } {
        block: [d2, m2],
        a: [tile, m2],
        a_hat: [tile, m2],
        aa: [tile, d2],
        b: [tile, r, m],
    }
}

/// Elements that the block takes.
pub(super) const fn elements(shape: Shape, n: usize) -> u64 {
    Buffers::elements(shape, n)
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (m2, d2, tile) = (triangle(shape.hidden()), triangle(shape.inputs() + 1), tile_len(n));
    gemm::largest_workspace(&[[d2, tile, m2], [m2, tile, d2], [tile, d2, m2]])
}

/// Whether A, the wider of the two factors, gives the columns of the product; else aaᵀ does.
const fn is_wide(shape: Shape) -> bool {
    triangle(shape.hidden()) >= triangle(shape.inputs() + 1)
}

impl<T: Element> Buffers<'_, T> {
    /// The squared norm of the block, once all samples are in it.
    pub(super) fn square(&self, isa: InstructionSet) -> f64 {
        dot(isa, self.block, self.block)
    }

    /// Multiplies the block with a number.
    pub(super) fn scale(&mut self, isa: InstructionSet, factor: T) {
        scale(isa, self.block, factor);
    }
}

impl<T: Element> BlockSum<'_, '_, T> {
    /// The hidden–hidden block.
    pub(super) fn hidden(
        &self,
        factors: &Factors<'_, T>,
        gradients: Option<&mut FactorGradients<'_, T>>,
        mut arena: Arena<'_, T>,
        context: &mut Context<'_, T>,
    ) -> f64 {
        let (isa, forward, shape) = (context.isa, self.forward, self.forward.shape);
        let (m2, d2) = (triangle(shape.hidden()), triangle(shape.inputs() + 1));
        let mut buffers = Buffers::cut(shape, forward.n, &mut arena);
        self.add_hidden(factors, &mut buffers, true, context);
        let square = self.weight * buffers.square(isa);

        let Some(gradients) = gradients else { return square };
        let Buffers { block, a_hat, aa, .. } = buffers;
        let factor = T::from_f64(2.0 * self.weight);
        let block =
            if is_wide(shape) { Matrix::row_major(block, d2, m2) } else { Matrix::row_major(block, m2, d2).t() };
        for rows in tiles(forward.n) {
            self.write_inputs(isa, &rows, aa);
            let aa = Matrix::row_major(aa, rows.len(), d2);
            let out = MatrixMut::row_major(a_hat, rows.len(), m2);
            context.product(out, factor, aa, block, Addend::Zero);
            for chunk in chunks(rows.clone()) {
                let mut chunk_factors = ChunkFactors::new(shape, forward.n, context);
                chunk_factors.load(factors, &chunk);
                let a_hat = HiddenGradient::Flat(&a_hat[(chunk.start - rows.start) * m2..]);
                chunk_factors.back(forward, factors, &chunk, None, a_hat, gradients);
            }
        }
        square
    }

    /// Adds the samples to the block; the first to be added set it.
    pub(super) fn add_hidden(
        &self,
        factors: &Factors<'_, T>,
        buffers: &mut Buffers<'_, T>,
        first: bool,
        context: &mut Context<'_, T>,
    ) {
        let (isa, forward, shape) = (context.isa, self.forward, self.forward.shape);
        let (d, m) = (shape.inputs(), shape.hidden());
        let (rm, m2, d2) = ((shape.classes() - 1) * m, triangle(m), triangle(d + 1));
        let Buffers { block, a, aa, b, .. } = buffers;
        for rows in tiles(forward.n) {
            let (beta, height) = (if first && rows.start == 0 { T::ZERO } else { T::ONE }, rows.len());
            for chunk in chunks(rows.clone()) {
                let mut chunk_factors = ChunkFactors::new(shape, forward.n, context);
                chunk_factors.load(factors, &chunk);
                chunk_factors.write_b(forward, &chunk, b);
                for (b, n) in b.chunks_exact(rm).zip(chunk) {
                    chunk_factors.write_a(forward, factors, n, b, row_mut(a, m2, n - rows.start));
                }
            }
            self.write_inputs(isa, &rows, aa);
            let a = Matrix::row_major(a, height, m2);
            let aa = Matrix::row_major(aa, height, d2);
            if is_wide(shape) {
                context.product(MatrixMut::row_major(block, d2, m2), T::ONE, aa.t(), a, Addend::scaled(beta));
            } else {
                context.product(MatrixMut::row_major(block, m2, d2), T::ONE, a.t(), aa, Addend::scaled(beta));
            }
        }
    }

    /// aaᵀ of a tile of samples, flat.
    fn write_inputs(&self, isa: InstructionSet, rows: &Range<usize>, aa: &mut [T]) {
        let d = self.forward.shape.inputs();
        isa.vectorize(|| {
            for (n, aa) in rows.clone().zip(aa.chunks_exact_mut(triangle(d + 1))) {
                write_outer_with_one(row(self.forward.x, d, n), aa);
            }
        });
    }
}

/// The outer product of `[x; 1]` with itself, flat.
pub(super) fn write_outer_with_one<T: Element>(x: &[T], flat: &mut [T]) {
    let root2 = T::from_f64(core::f64::consts::SQRT_2);
    let mut rest = flat;
    for (i, &xi) in x.iter().enumerate() {
        let (entries, below) = rest.split_at_mut(x.len() + 1 - i);
        entries[0] = xi * xi;
        for (entry, &xl) in entries[1..].iter_mut().zip(&x[i + 1..]) {
            *entry = root2 * xi * xl;
        }
        entries[x.len() - i] = root2 * xi;
        rest = below;
    }
    rest[0] = T::ONE;
}
