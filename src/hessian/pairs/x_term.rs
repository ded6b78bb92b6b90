//! The term χ: of the terms that both forms share it has by far the longest inner products.
//!
//! ```text
//! cross block:  2 w_nn' Ga ( χ + χᵀ )                                  χ = ⟨B∘h, (r⊗f)'⟩
//! ```
//!
//! The coefficient of χ does not depend on the parameters. So χ needs no Gram matrix: `(B∘h)^ = Σ' 4 w_nn' Ga (r⊗f)'` also gives the
//! value of the term, `⟨B∘h, (B∘h)^⟩`.
//!
//! **Class by class.** The rows r⊗f and their derivatives, RM numbers a sample, are never written. Class k of (B∘h)^ is a product of the
//! coefficients, weighted by `r'_k`, with the rows f', which stay in a cache for all classes. Classes of `(r⊗f)^ = Σ' 4 w_nn' Ga (B∘h)'`
//! are formed a [`GROUP`] at a time and folded into f̂ and r̂ at once.
//!
//! **Linear.** As Ga has rank D + 1, `Σ' Ga (r⊗f)'` is also `a·Σ' (a⊗r⊗f)'`, which is linear in the samples. This is done where 2(D + 1)
//! < N, and takes rows r⊗f.
//!
//! Multiply–adds: `2RM` a pair, or `4(D + 1)RM` a sample.

use core::ops::Range;

use crate::count::product;
use crate::hessian::factors::FactorGradients;
use crate::hessian::factors::chunk::ChunkFactors;
use crate::hessian::pairs::features::{FeatureGradients, Features, SampleGradients};
use crate::hessian::pairs::scratch::WorkerScratch;
use crate::hessian::pairs::sum::PairSum;
use crate::hessian::pairs::tile::{SampleRows, Side, Tile};
use crate::hessian::pairs::tile::{TILE, tile_len};
use crate::hessian::pairs::x_lengths::{GROUP, group_len, is_linear};
use crate::kernels::context::Context;
use crate::kernels::gemm::{Addend, Matrix, MatrixMut};
use crate::kernels::vector::{add_scaled, dot, dot_inline, scale, sum_rows};
use crate::network::Shape;
use crate::simd::Element;
use crate::simd::{InstructionSet, Kernel, Lanes, Simd};
use crate::workspace::{PerSample, pieces, row};

/// Flops for `n` samples.
pub(super) const fn flops(shape: Shape, n: usize) -> u64 {
    let (d, m, r) = (shape.inputs(), shape.hidden(), shape.classes() - 1);
    // Two flops each.
    if is_linear(shape, n) { product(&[8, n, d + 1, r, m]) } else { product(&[4, n, n, r, m]) }
}

/// Products that need packing space.
pub(super) const fn products(shape: Shape, n: usize) -> [[usize; 3]; 2] {
    let (d, m, t) = (shape.inputs(), shape.hidden(), tile_len(n));
    let rm = m.saturating_mul(shape.classes() - 1);
    if is_linear(shape, n) { [[d, n, rm], [n, d, rm]] } else { [[t, t, m]; 2] }
}

/// Elements for the sum over inputs where χ is linear, (D+1)×RM: Σ a ⊗ features. None elsewhere.
pub(super) const fn elements(shape: Shape, n: usize) -> u64 {
    if is_linear(shape, n) { product(&[shape.inputs() + 1, shape.classes() - 1, shape.hidden()]) } else { 0 }
}

/// Computes the feature rows of the samples `chunk`, given their factors.
pub(super) fn fill<T: Element>(
    isa: InstructionSet,
    sum: &PairSum<'_, '_, T>,
    factors: &ChunkFactors<'_, T>,
    chunk: &Range<usize>,
    features: &mut Features<'_, T>,
) {
    let (forward, m, r) = (sum.forward, sum.forward.shape.hidden(), sum.forward.shape.classes() - 1);
    isa.vectorize(|| {
        for (i, n) in chunk.clone().enumerate() {
            let (h, f) = (row(forward.h, m, n), row(forward.f, m, n));
            let of_b = factors.sv(i).chunks_exact(m).zip(features.bh.row_mut(n).chunks_exact_mut(m));
            for (sv, bh) in of_b {
                for ((bh, &sv), (&f, &h)) in bh.iter_mut().zip(sv).zip(f.iter().zip(h)) {
                    *bh = (sv * f) * h;
                }
            }
            features.bh.row_mut(n)[r * m..].fill(T::ZERO);
            if features.rf.width() == 0 {
                continue;
            }
            let of_r = features.rf.row_mut(n).chunks_exact_mut(m).zip(row(sum.factors.r, r, n));
            for (rf, &r) in of_r {
                for (rf, &f) in rf.iter_mut().zip(f) {
                    *rf = r * f;
                }
            }
        }
    });
}

/// Adds the derivatives of χ to the gradients of one side, where it is summed by pairs; `ga` holds the coefficients.
pub(super) fn spread<T: Element>(
    sum: &PairSum<'_, '_, T>,
    features: &Features<'_, T>,
    part: (&Tile, Side),
    ga: &[T],
    to: &mut SampleGradients<'_, T>,
    scratch: &mut WorkerScratch<'_, T>,
) {
    if is_linear(sum.forward.shape, sum.range.len()) {
        return;
    }
    spread_to_bh(sum, part, ga, &mut to.features.bh, scratch);
    if let Some(gradients) = &mut to.factors {
        spread_to_rf(sum, &features.bh, part, ga, gradients, scratch);
    }
}

/// (B∘h)^ of one side, class by class.
fn spread_to_bh<T: Element>(
    sum: &PairSum<'_, '_, T>,
    (tile, side): (&Tile, Side),
    ga: &[T],
    bh_hat: &mut PerSample<'_, T>,
    scratch: &mut WorkerScratch<'_, T>,
) {
    let (m, r, columns) = (sum.forward.shape.hidden(), sum.forward.shape.classes() - 1, tile.columns.len());
    let (ga, weighted, context) = (&ga[..tile.len()], &mut scratch.scaled[..tile.len()], &mut scratch.context);
    let [to, from] = side.of(tile);
    let f = SampleRows::of_batch(sum.forward.f, m).rows(from);
    let (line, bh_hat) = (bh_hat.width(), bh_hat.rows_mut(to));
    let mut weights = [T::ZERO; TILE];
    for class in 0..r {
        for (weight, r) in weights.iter_mut().zip(SampleRows::of_batch(sum.factors.r, r).of(from).chunks_exact(r)) {
            *weight = r[class];
        }
        context.isa.vectorize(|| {
            for (i, (weighted, ga)) in weighted.chunks_exact_mut(columns).zip(ga.chunks_exact(columns)).enumerate() {
                match side {
                    Side::Rows => {
                        for ((weighted, &ga), &weight) in weighted.iter_mut().zip(ga).zip(&weights) {
                            *weighted = ga * weight;
                        }
                    }
                    Side::Columns => {
                        for (weighted, &ga) in weighted.iter_mut().zip(ga) {
                            *weighted = ga * weights[i];
                        }
                    }
                }
            }
        });
        let out = MatrixMut::row_major_strided(&mut bh_hat[class * m..], to.len(), m, line);
        context.add(out, side.coefficients(weighted, tile), f);
    }
}

/// f̂ and r̂ of one side through (r⊗f)^, a group of classes at a time.
fn spread_to_rf<T: Element>(
    sum: &PairSum<'_, '_, T>,
    bh: &PerSample<'_, T>,
    (tile, side): (&Tile, Side),
    ga: &[T],
    gradients: &mut FactorGradients<'_, T>,
    scratch: &mut WorkerScratch<'_, T>,
) {
    let (m, r) = (sum.forward.shape.hidden(), sum.forward.shape.classes() - 1);
    let WorkerScratch { scaled, context, .. } = scratch;
    let ga = side.coefficients(&ga[..tile.len()], tile);
    let [to, from] = side.of(tile);
    let (line, bh) = (bh.width(), bh.rows(from));
    for classes in pieces(0..r, group_len(r)) {
        let products = &mut scaled[..classes.len() * to.len() * m];
        for (class, products) in classes.clone().zip(products.chunks_exact_mut(to.len() * m)) {
            let bh = Matrix::row_major_strided(&bh[class * m..], from.len(), m, line);
            context.set(MatrixMut::row_major(products, to.len(), m), ga, bh);
        }
        context.isa.run(FoldOfX {
            m,
            products,
            f: SampleRows::of_batch(sum.forward.f, m).of(to),
            f_hat: gradients.f.rows_mut(to),
            classes: r,
            r: &SampleRows::of_batch(sum.factors.r, r).of(to)[classes.start..],
            r_hat: &mut gradients.r.rows_mut(to)[classes.start..],
        });
    }
}

/// Folds some classes of (r⊗f)^ of some samples: into f̂, weighted by r, and into r̂, by inner products with f.
struct FoldOfX<'a, T> {
    m: usize,
    /// One matrix of rows a class.
    products: &'a [T],
    f: &'a [T],
    f_hat: &'a mut [T],
    /// R: numbers from a sample's r to the next one's.
    classes: usize,
    r: &'a [T],
    r_hat: &'a mut [T],
}

impl<T: Element> Kernel for FoldOfX<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.products.len() / self.f.len() {
            1 => self.fold::<S, 1>(simd),
            2 => self.fold::<S, 2>(simd),
            _ => self.fold::<S, GROUP>(simd),
        }
    }
}

impl<T: Element> FoldOfX<'_, T> {
    #[inline(always)]
    fn fold<S: Simd, const CLASSES: usize>(self, simd: S) {
        let (m, matrix, lanes) = (self.m, self.f.len(), <T::Lanes<S> as Lanes>::LANES);
        let rows = self.f.chunks_exact(m).zip(self.f_hat.chunks_exact_mut(m));
        let of_r = self.r.chunks(self.classes).zip(self.r_hat.chunks_mut(self.classes));
        for (i, ((f, f_hat), (r, r_hat))) in rows.zip(of_r).enumerate() {
            let mut sums = [T::Lanes::<S>::zero(simd); CLASSES];
            let mut weights = sums;
            for (weight, &r) in weights.iter_mut().zip(r) {
                *weight = T::Lanes::<S>::splat(simd, r);
            }
            for start in (0..m).step_by(lanes) {
                let len = lanes.min(m - start);
                let own = T::Lanes::<S>::load_at(simd, f, start, len);
                let mut hat = T::Lanes::<S>::load_at(simd, f_hat, start, len);
                for class in 0..CLASSES {
                    let place = &self.products[class * matrix + i * m + start..];
                    let product = T::Lanes::<S>::load_first(simd, place, len);
                    hat = weights[class].mul_add(product, hat);
                    sums[class] = own.mul_add(product, sums[class]);
                }
                hat.store_at(f_hat, start, len);
            }
            for (r_hat, sum) in r_hat.iter_mut().zip(sums) {
                *r_hat += sum.reduce_sum();
            }
        }
    }
}

/// (B∘h)^ and (r⊗f)^ where χ is linear: `4 Σ' w_nn' Ga features'`. Only the difference w_self − w_cross takes Ga itself. `inputs` has
/// [`elements`].
pub(super) fn spread_by_inputs<T: Element>(
    sum: &PairSum<'_, '_, T>,
    features: &Features<'_, T>,
    gradients: &mut FeatureGradients<'_, T>,
    inputs: &mut [T],
    mut context: Context<'_, T>,
) {
    if inputs.is_empty() {
        return;
    }
    let (isa, rm, d) = (context.isa, features.bh.width(), sum.forward.shape.inputs());
    let x = SampleRows::of_batch(sum.forward.x, d);
    let four = T::TWO + T::TWO;
    let (cross, own) = (four * sum.weights.1, four * (sum.weights.0 - sum.weights.1));
    let [first, second] = sum.sides();
    // Within some samples both sides are the same.
    let sides = [(&first, &second), (&second, &first)];
    let sides = if sum.across.is_none() { &sides[..1] } else { &sides };
    for (features, gradients) in [(&features.rf, &mut gradients.bh), (&features.bh, &mut gradients.rf)] {
        let (products, ones) = inputs.split_at_mut(d * rm);
        for &(to, from) in sides {
            let rows = features.rows(from);
            let out = MatrixMut::row_major(&mut *products, d, rm);
            context.product(out, cross, x.rows(from).t(), Matrix::row_major(rows, from.len(), rm), Addend::Zero);
            sum_rows(isa, rows, ones);
            scale(isa, ones, cross);
            let products = Matrix::row_major(&*products, d, rm);
            let out = MatrixMut::row_major(gradients.rows_mut(to), to.len(), rm);
            context.product(out, T::ONE, x.rows(to), products, Addend::Row(&*ones));
        }
        if own != T::ZERO {
            for n in sum.range.clone() {
                let x = row(sum.forward.x, d, n);
                let ga = T::from_f64(dot(isa, x, x) + 1.0);
                add_scaled(isa, gradients.row_mut(n), own * ga, features.row(n));
            }
        }
    }
}

/// Turns the derivatives with respect to the features of χ into those with respect to the factors, for the samples `chunk`, whose factors
/// are given. Writes their part of B̂.
pub(super) fn back<T: Element>(
    isa: InstructionSet,
    sum: &PairSum<'_, '_, T>,
    factors: &ChunkFactors<'_, T>,
    own: &FeatureGradients<'_, T>,
    chunk: &Range<usize>,
    b_hat: &mut [T],
    gradients: &mut FactorGradients<'_, T>,
) {
    let (m, r) = (sum.forward.shape.hidden(), sum.forward.shape.classes() - 1);
    for (i, (n, b_hat)) in chunk.clone().zip(b_hat.chunks_exact_mut(r * m)).enumerate() {
        isa.run(BackOfX {
            h: row(sum.forward.h, m, n),
            f: row(sum.forward.f, m, n),
            r: row(sum.factors.r, r, n),
            sv: factors.sv(i),
            bh_hat: own.bh.row(n),
            rf_hat: own.rf.row(n),
            b_hat,
            g_hat: gradients.g.row_mut(n),
            f_hat: gradients.f.row_mut(n),
            r_hat: gradients.r.row_mut(n),
        });
    }
}

/// The derivatives of one sample from those of `bh = B∘h`, where `B = SV diag(f)`, and of `rf = r⊗f`, if there are any.
struct BackOfX<'a, T> {
    h: &'a [T],
    f: &'a [T],
    r: &'a [T],
    sv: &'a [T],
    bh_hat: &'a [T],
    rf_hat: &'a [T],
    b_hat: &'a mut [T],
    g_hat: &'a mut [T],
    f_hat: &'a mut [T],
    r_hat: &'a mut [T],
}

impl<T: Element> Kernel for BackOfX<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let m = self.h.len();
        let of_b = self.b_hat.chunks_exact_mut(m).zip(self.sv.chunks_exact(m)).zip(self.bh_hat.chunks_exact(m));
        for ((b_hat, sv), bh_hat) in of_b {
            let derivatives = b_hat.iter_mut().zip(&mut *self.g_hat).zip(bh_hat);
            for (((b_hat, g_hat), &bh_hat), ((&sv, &f), &h)) in derivatives.zip(sv.iter().zip(self.f).zip(self.h)) {
                *b_hat = bh_hat * h;
                *g_hat += bh_hat * (sv * f);
            }
        }
        for ((r_hat, &r), rf_hat) in self.r_hat.iter_mut().zip(self.r).zip(self.rf_hat.chunks_exact(m)) {
            for (f_hat, &rf_hat) in self.f_hat.iter_mut().zip(rf_hat) {
                *f_hat += r * rf_hat;
            }
            *r_hat += T::from_f64(dot_inline(rf_hat, self.f));
        }
    }
}
