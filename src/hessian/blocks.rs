//! tr H² by the explicit blocks of H, linear in the number of samples.
//!
//! Each block is a sum over samples of outer products of two flat feature rows (see [`factors`](super::factors)):
//!
//! | block | left row | right row | times in ‖H‖² |
//! |---|---|---|---|
//! | output–output | S, `R₂` | g gᵀ, `(M+1)(M+2)/2` | 1 |
//! | output–hidden | `B_kj g_j̃ + r_k f_j δ_j̃j`, `R(M+1)M` | a, `D+1` | 2 |
//! | hidden–hidden | A, `M₂` | a aᵀ, `(D+1)(D+2)/2` | 1 |
//!
//! For each block: `C = Σ_n left_n right_nᵀ` over tiles of samples, its Frobenius norm, and then, again over tiles,
//! `l̂eft = 2w C right` and (for g gᵀ, the only right row with parameters in it) `r̂ight = 2w Cᵀ left`.
//!
//! **Self pairs.** Squaring the sum weighs all pairs alike. Where self pairs weigh differently, the difference is added sample by
//! sample by [`pairs`], each sample being a batch of its own.
//!
//! **Cost**, multiply–adds a sample: three products of the output block's size, two of each other block's. Memory: one block at a time.

use crate::gemm::{self, Matrix, MatrixMut, gemm};
use crate::hessian::contrasts::triangle;
use crate::hessian::evaluation::Squares;
use crate::hessian::factors::{self, Factors, Hats, HiddenHat};
use crate::hessian::pairs;
use crate::hessian::samples::Samples;
use crate::network::Shape;
use crate::plan::{Form, product, sum};
use crate::real::Real;
use crate::simd::InstructionSet;
use crate::vector::{add_scaled, dot};
use crate::workspace::{Arena, row, row_mut};

/// Samples a tile.
const TILE: usize = 64;

/// A block of H.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    OutputOutput,
    OutputHidden,
    HiddenHidden,
}

impl Block {
    const ALL: [Self; 3] = [Self::OutputOutput, Self::OutputHidden, Self::HiddenHidden];

    /// Lengths of the left and the right row. They saturate, so that a plan can count before the sizes are known to be addressable.
    const fn widths(self, shape: Shape) -> [usize; 2] {
        let (d, m, r) = (shape.inputs(), shape.hidden(), shape.classes() - 1);
        match self {
            Self::OutputOutput => [triangle(r), triangle(m + 1)],
            Self::OutputHidden => [r.saturating_mul(m + 1).saturating_mul(m), d + 1],
            Self::HiddenHidden => [triangle(m), triangle(d + 1)],
        }
    }

    /// How often the block stands in H.
    const fn multiplicity(self) -> f64 {
        match self {
            Self::OutputOutput | Self::HiddenHidden => 1.0,
            Self::OutputHidden => 2.0,
        }
    }

    /// Whether the right row depends on parameters.
    const fn right_varies(self) -> bool {
        matches!(self, Self::OutputOutput)
    }

    /// Computes the rows of sample `n`, which `factors` has loaded. `b` holds R×M numbers of scratch.
    #[allow(clippy::too_many_arguments, reason = "what one sample's rows are made of, and where they go")]
    fn write<T: Real>(
        self,
        isa: InstructionSet,
        samples: &Samples<'_, T>,
        n: usize,
        factors: &Factors<'_, T>,
        b: &mut [T],
        left: &mut [T],
        right: &mut [T],
        packing: &mut [T],
    ) {
        let (d, m, r) = (samples.shape.inputs(), samples.shape.hidden(), samples.shape.classes() - 1);
        let (x, h, f) = (row(samples.x, d, n), row(samples.h, m, n), row(samples.f, m, n));
        if self != Self::OutputOutput {
            factors.write_b(isa, b, packing);
        }
        match self {
            Self::OutputOutput => {
                left.copy_from_slice(row(factors.s, triangle(r), n));
                write_outer_with_one(h, right);
            }
            Self::OutputHidden => {
                let classes = left.chunks_exact_mut((m + 1) * m).zip(b.chunks_exact(m));
                for ((left, b), &r) in classes.zip(row(factors.r, r, n)) {
                    let g = h.iter().copied().chain([T::ONE]);
                    for ((j, left), g) in left.chunks_exact_mut(m).enumerate().zip(g) {
                        for (left, &b) in left.iter_mut().zip(b) {
                            *left = b * g;
                        }
                        if j < m {
                            left[j] += r * f[j];
                        }
                    }
                }
                right[..d].copy_from_slice(x);
                right[d] = T::ONE;
            }
            Self::HiddenHidden => {
                factors.write_a(isa, n, b, left);
                write_outer_with_one(x, right);
            }
        }
    }

    /// Adds the way back from the rows' derivatives to the hats. `b` and `b_hat` hold R×M numbers of scratch.
    #[allow(clippy::too_many_arguments, reason = "the state of one sample's way back, by name")]
    fn back<T: Real>(
        self,
        isa: InstructionSet,
        samples: &Samples<'_, T>,
        n: usize,
        factors: &mut Factors<'_, T>,
        [b, b_hat]: [&mut [T]; 2],
        left_hat: &[T],
        right_hat: &[T],
        hats: &mut Hats<'_, T>,
        packing: &mut [T],
    ) {
        let (m, r) = (samples.shape.hidden(), samples.shape.classes() - 1);
        let (h, f) = (row(samples.h, m, n), row(samples.f, m, n));
        match self {
            Self::OutputOutput => {
                add_scaled(isa, row_mut(hats.s, triangle(r), n), T::ONE, left_hat);
                outer_with_one_back(h, right_hat, row_mut(hats.g, m, n));
            }
            Self::OutputHidden => {
                factors.write_b(isa, b, packing);
                b_hat.fill(T::ZERO);
                for l in 0..r {
                    let (b, b_hat) = (row(b, m, l), row_mut(b_hat, m, l));
                    let (residual, left_hat) = (factors.r[n * r + l], row(left_hat, (m + 1) * m, l));
                    for j in 0..m {
                        let left_hat = row(left_hat, m, j);
                        add_scaled(isa, b_hat, h[j], left_hat);
                        hats.g[n * m + j] += T::from_f64(dot(isa, left_hat, b));
                        hats.r[n * r + l] += left_hat[j] * f[j];
                        hats.f[n * m + j] += left_hat[j] * residual;
                    }
                    add_scaled(isa, b_hat, T::ONE, row(left_hat, m, m));
                }
                factors.back(isa, samples, n, Some(b_hat), HiddenHat::Zero, hats, packing);
            }
            Self::HiddenHidden => {
                factors.back(isa, samples, n, None, HiddenHat::Flat(left_hat), hats, packing);
            }
        }
    }
}

/// Flops of value and adjoints for `n` samples, all pairs weighing alike.
pub(crate) const fn flops(shape: Shape, n: usize) -> u64 {
    let mut total = product(&[n]).saturating_mul(factors::flops(shape));
    let mut index = 0;
    while index < Block::ALL.len() {
        let block = Block::ALL[index];
        let [left, right] = block.widths(shape);
        let products = if block.right_varies() { 3 } else { 2 };
        total = total.saturating_add(product(&[2, products, n, left, right]));
        index += 1;
    }
    total
}

/// Elements that [`add`] cuts off a workspace.
pub(crate) const fn elements(shape: Shape, n: usize) -> u64 {
    let tile = if n < TILE { n } else { TILE };
    let mut most = 0;
    let mut index = 0;
    while index < Block::ALL.len() {
        let [left, right] = Block::ALL[index].widths(shape);
        let needed = sum(&[product(&[left, right]), product(&[2, tile, left]), product(&[2, tile, right])]);
        most = if needed > most { needed } else { most };
        index += 1;
    }
    let blocks = sum(&[most, product(&[2, shape.classes() - 1, shape.hidden()])]);
    // The correction for self pairs comes after the blocks, in the same memory.
    let correction = pairs::elements(shape, 1, Form::Flat);
    if blocks > correction { blocks } else { correction }
}

/// Elements of packing space that the products need.
pub(crate) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let tile = if n < TILE { n } else { TILE };
    let mut most = pairs::packing_elements(shape, 1, Form::Flat);
    let mut index = 0;
    while index < Block::ALL.len() {
        let [left, right] = Block::ALL[index].widths(shape);
        let needed = gemm::largest_workspace(&[[left, tile, right], [tile, right, left], [tile, left, right]]);
        most = if needed > most { needed } else { most };
        index += 1;
    }
    most
}

/// Sums over all pairs of samples; adds the derivatives to the hats, if there are any.
pub(crate) fn add<T: Real>(
    isa: InstructionSet,
    samples: &Samples<'_, T>,
    (self_weight, cross_weight): (f64, f64),
    factors: &mut Factors<'_, T>,
    mut hats: Option<&mut Hats<'_, T>>,
    mut arena: Arena<'_, T>,
    packing: &mut [T],
) -> Squares {
    let (shape, total) = (samples.shape, samples.n);
    let tile = total.min(TILE);
    let mut squares = Squares::default();

    for block in Block::ALL {
        let mut arena = arena.scope();
        let [left_width, right_width] = block.widths(shape);
        let c = arena.take(left_width * right_width);
        let (left, left_hat) = (arena.take(tile * left_width), arena.take(tile * left_width));
        let (right, right_hat) = (arena.take(tile * right_width), arena.take(tile * right_width));
        let rm = (shape.classes() - 1) * shape.hidden();
        let (b, b_hat) = (arena.take(rm), arena.take(rm));
        let tiles = || (0..total).step_by(TILE).map(|start| start..(start + TILE).min(total));

        for rows in tiles() {
            let (beta, height) = (if rows.start == 0 { T::ZERO } else { T::ONE }, rows.len());
            for (i, n) in rows.enumerate() {
                factors.load(isa, samples, n);
                let (left, right) = (row_mut(left, left_width, i), row_mut(right, right_width, i));
                block.write(isa, samples, n, factors, b, left, right, packing);
            }
            let left = Matrix::row_major(&left[..height * left_width], height, left_width);
            let right = Matrix::row_major(&right[..height * right_width], height, right_width);
            gemm(isa, T::ONE, left.t(), right, beta, MatrixMut::row_major(c, left_width, right_width), packing);
        }
        let weight = cross_weight * block.multiplicity();
        let square = weight * dot(isa, c, c);
        match block {
            Block::OutputOutput => squares.output += square,
            Block::OutputHidden => squares.cross += square,
            Block::HiddenHidden => squares.hidden += square,
        }

        let Some(hats) = hats.as_deref_mut() else { continue };
        let (factor, c) = (T::from_f64(2.0 * weight), Matrix::row_major(c, left_width, right_width));
        for rows in tiles() {
            let height = rows.len();
            for (i, n) in rows.clone().enumerate() {
                factors.load(isa, samples, n);
                let (left, right) = (row_mut(left, left_width, i), row_mut(right, right_width, i));
                block.write(isa, samples, n, factors, b, left, right, packing);
            }
            let left = Matrix::row_major(&left[..height * left_width], height, left_width);
            let right = Matrix::row_major(&right[..height * right_width], height, right_width);
            let out = MatrixMut::row_major(&mut left_hat[..height * left_width], height, left_width);
            gemm(isa, factor, right, c.t(), T::ZERO, out, packing);
            if block.right_varies() {
                let out = MatrixMut::row_major(&mut right_hat[..height * right_width], height, right_width);
                gemm(isa, factor, left, c, T::ZERO, out, packing);
            }
            for (i, n) in rows.enumerate() {
                let (left_hat, right_hat) = (row(left_hat, left_width, i), row(right_hat, right_width, i));
                factors.load(isa, samples, n);
                block.back(isa, samples, n, factors, [&mut *b, &mut *b_hat], left_hat, right_hat, hats, packing);
            }
        }
    }

    if self_weight != cross_weight {
        let difference = (self_weight - cross_weight, 0.0);
        for n in 0..total {
            let hats = hats.as_deref_mut();
            let (one, arena) = (n..n + 1, arena.scope());
            squares += pairs::add(isa, samples, one, difference, Form::Flat, factors, hats, arena, packing);
        }
    }
    squares
}

/// The outer product of `[x; 1]` with itself, flat.
fn write_outer_with_one<T: Real>(x: &[T], flat: &mut [T]) {
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

/// x̂ += the way back from the flat outer product of `[x; 1]` with itself.
fn outer_with_one_back<T: Real>(x: &[T], flat_hat: &[T], x_hat: &mut [T]) {
    let (two, root2) = (T::from_f64(2.0), T::from_f64(core::f64::consts::SQRT_2));
    let mut rest = flat_hat;
    for i in 0..x.len() {
        let (entries, below) = rest.split_at(x.len() + 1 - i);
        let mut sum = two * entries[0] * x[i] + root2 * entries[x.len() - i];
        for ((&entry, &xl), x_hat) in entries[1..].iter().zip(&x[i + 1..]).zip(&mut x_hat[i + 1..]) {
            sum += root2 * entry * xl;
            *x_hat += root2 * entry * x[i];
        }
        x_hat[i] += sum;
        rest = below;
    }
}
