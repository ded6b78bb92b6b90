//! The terms in S, B and A through the tangent kernel of each pair.
//!
//! Let `Ψ = V diag(f∘f') Vᵀ` (K×K, symmetric) and `Θ = Gg I + Ga Ψ`, the pair's block of the neural tangent kernel. All of κ that depends
//! on S alone is one trace, and what remains of A is its diagonal:
//!
//! ```text
//! ⟨S,S'⟩ Gg² + 2 Ga Gg ⟨B,B'⟩ + Ga² ⟨A,A'⟩ = tr(S Θ S' Θ) + Ga² ( o·d' + d·o' + d·d' )        o_j = (CᵀSC)_jj
//! ```
//!
//! **The trace in K² operations.** S is the covariance of a class drawn from p. So, with Θ centred by p over its rows and by p' over its
//! columns,
//!
//! ```text
//! Θ̃_kl = Θ_kl − Σ_j p'_j Θ_kj − Σ_i p_i Θ_il + Σ_ij p_i p'_j Θ_ij
//! tr(SΘS'Θ) = Σ_kl p_k p'_l Θ̃_kl²      Ξ_kl = (SΘS')_kl = p_k p'_l Θ̃_kl      p̂_k = Σ_l p'_l Θ̃_kl²      p̂'_l = Σ_k p_k Θ̃_kl²
//! ```
//!
//! A constant may be added to p̂: S, on its way to the logits, removes it. Products of R×R matrices would take about `4R³`. For the same
//! reason V may be shifted: the R rows `U_k = V_k − V_K` stand for V, and Ψ has `R₂` entries.
//!
//! **Accuracy.** Near certainty Θ̃ is a small difference of large numbers where p is near 1. So, before Θ is centred, the row of the row
//! sample's most probable class is subtracted from all rows, and the column of the column sample's from all columns. After that, whatever
//! is multiplied with a p near 1 is exactly zero. And p is stored divided by `scale` (see [`factors`](crate::hessian::factors)), as p̄.
//!
//! **Loop order.** A tile is cut into parts whose R₂ entries of Ψ fit into the L2 cache ([`part_len`]); of a tile on the diagonal only
//! the parts on or above the diagonal. For each part, first the [entries] of Ψ are formed. Then, for each row of the part and a register
//! of columns at a time, Ξ and the derivatives with respect to p̄ and p̄' follow ([`centring`]). Last, the entries of `Ψ̂ = Ga (Ξ + Ξᵀ)`
//! give f̂ and V̂.
//!
//! A part adds to f̂ of its rows and of its columns, to the derivatives with respect to p̄ of its rows and of its columns, and to Û of
//! the block of its rows. Two workers share a part off the diagonal: each takes half of the rows and has its own buffer for the
//! derivatives of the columns; afterwards one adds to the rows, the other to the columns.
//!
//! Multiply–adds a pair: `R₂M/2` for the Gram matrices, `R₂M + 2M` for the gradients, and about `10K²` operations for each pair of a
//! tile.

mod centring;
mod entries;
mod read;

use core::ops::Range;

use crate::bounds::Squares;
use crate::count::{Work, largest, product, sum};
use crate::hessian::contrasts::triangle;
use crate::hessian::factors::chunk::ChunkFactors;
use crate::hessian::factors::{FactorGradients, HiddenGradient};
use crate::hessian::pairs::features::{FeatureGradients, Features, SampleGradients, TileGradients};
use crate::hessian::pairs::form::PairForm;
use crate::hessian::pairs::parts::{largest_part, part_len};
use crate::hessian::pairs::scratch::{Grams, TileScratch, TileWorkers, WorkerScratch};
use crate::hessian::pairs::sum::PairSum;
use crate::hessian::pairs::tile::{SampleRows, Side, Tile};
use crate::hessian::pairs::tile::{TILE, tile_len};
use crate::kernels::context::Context;
use crate::kernels::gemm;
use crate::kernels::vector::{add_scaled, dot, first_largest};
use crate::network::Shape;
use crate::plan::Form;
use crate::simd::{Element, InstructionSet};
use crate::workspace::{Arena, PerSample, pieces, row};
use centring::Row;
pub(super) use read::Tangent;

/// Gram matrices, gradients and traces of `n` samples.
pub(super) const fn work(shape: Shape, n: usize) -> Work {
    let (m, k) = (shape.hidden(), shape.classes());
    let products = sum(&[product(&[3, triangle(k - 1), m]), product(&[4, m]), product(&[3, triangle(k - 1)]) / 3]);
    // Tiles on the diagonal are visited whole; of two mirrored tiles only one is visited.
    let visited = product(&[n, n]).saturating_add(product(&[n, tile_len(n)])) / 2;
    let centring = visited.saturating_mul(product(&[15, k, k]));
    // Two classes are centred in closed form.
    let slowness = if k == 2 { 2 } else { 8 };
    Work::sum(&[Work::new(product(&[n, n]).saturating_mul(products), 1), Work::new(centring, slowness)])
}

/// Elements of [`Tangent`].
pub(super) const fn elements(shape: Shape, n: usize) -> u64 {
    Tangent::elements(shape, n)
}

/// Elements of packing space that the products need.
pub(super) const fn packing_elements(shape: Shape, n: usize) -> u64 {
    let (m, r, t) = (shape.hidden(), shape.classes() - 1, tile_len(n));
    let tiles = gemm::largest_workspace(&[[t, t, m], [t, triangle(r), t]]);
    let parts = entries::packing_elements(shape, largest_part(shape, n));
    // A smaller part of wider numbers may be packed in another way.
    let wide = entries::packing_elements(shape, part_len(shape, n, size_of::<f64>()));
    largest(&[parts, wide, tiles])
}

impl<'w, T: Element> PairForm<'w, T> for Tangent<'w, T> {
    const FORM: Form = Form::Tangent;

    fn new(sum: &PairSum<'_, '_, T>, arena: &mut Arena<'w, T>) -> Self {
        let (shape, n) = (sum.forward.shape, sum.range.len());
        let new = Self::cut(shape, n, arena);
        entries::write_differences(shape, sum.forward.v, new.u, new.uu);
        let (k, factor) = (shape.classes(), T::from_f64(1.0 / sum.factors.scale));
        for (i, p) in sum.forward.p.chunks_exact(k).skip(sum.range.start).take(n).enumerate() {
            let lead = first_largest(p);
            for (class, &p) in p.iter().enumerate() {
                new.p[class * n + i] = factor * p;
                new.leads[class * n + i] = if class == lead { T::ONE } else { T::ZERO };
            }
        }
        new
    }

    /// Writes o, d and o + d.
    fn fill(
        sum: &PairSum<'_, '_, T>,
        factors: &mut ChunkFactors<'_, T>,
        chunk: &Range<usize>,
        features: &mut Features<'_, T>,
    ) {
        let m = sum.forward.shape.hidden();
        factors.isa().vectorize(|| {
            for (i, n) in chunk.clone().enumerate() {
                let (f, o, d) = (row(sum.forward.f, m, n), features.o.row_mut(n), row(sum.factors.d, m, n));
                o.fill(T::ZERO);
                for (v, sv) in sum.factors.v.chunks_exact(m).zip(factors.sv(i).chunks_exact(m)) {
                    for ((o, (&v, &f)), &sv) in o.iter_mut().zip(v.iter().zip(f)).zip(sv) {
                        *o += v * f * (sv * f);
                    }
                }
                features.d.row_mut(n).copy_from_slice(d);
                for ((od, &o), &d) in features.od.row_mut(n).iter_mut().zip(&*o).zip(d) {
                    *od = o + d;
                }
            }
        });
    }

    fn form(_: &Features<'_, T>, _: &Tile, _: &mut Grams<'_, T>, _: &mut Context<'_, T>) {}

    /// Adds the trace, and at once its derivatives, part by part.
    fn combine(
        &self,
        sum: &PairSum<'_, '_, T>,
        tile: &Tile,
        scratch: &mut TileScratch<'_, T>,
        gradients: &mut TileGradients<'_, T>,
        workers: &mut TileWorkers<'_, T>,
    ) -> Squares {
        let width = tile.columns.len();
        let mut total = [0.0; 3];
        for part in tile.parts(part_len(sum.forward.shape, sum.range.len(), size_of::<T>())) {
            let shares = self.centre(sum, tile, &part, scratch, gradients, workers);
            for (total, share) in total.iter_mut().zip(shares) {
                *total += part.count() * share;
            }
            self.spread_part(sum, &part, scratch.psi, gradients, workers);
            if tile.is_diagonal() && !part.is_diagonal() {
                let gg = &mut *scratch.grams.gg;
                for i in part.rows.clone().map(|row| row - tile.rows.start) {
                    for j in part.columns.clone().map(|column| column - tile.columns.start) {
                        gg[j * width + i] = gg[i * width + j];
                    }
                }
            }
        }
        let [output, cross, hidden] = total;
        Squares { output, cross, hidden }
    }

    /// The terms in o and d.
    fn spread(
        _: &PairSum<'_, '_, T>,
        features: &Features<'_, T>,
        part: (&Tile, Side),
        grams: &Grams<'_, T>,
        to: &mut SampleGradients<'_, T>,
        scratch: &mut WorkerScratch<'_, T>,
    ) {
        SampleRows::new(&features.d).spread(grams.aa, part, &mut to.features.o, &mut scratch.context);
        SampleRows::new(&features.od).spread(grams.aa, part, &mut to.features.d, &mut scratch.context);
    }

    fn hidden_value(
        isa: InstructionSet,
        range: &Range<usize>,
        features: &Features<'_, T>,
        gradients: &FeatureGradients<'_, T>,
    ) -> f64 {
        dot(isa, features.o.rows(range), gradients.o.rows(range))
            + dot(isa, features.d.rows(range), gradients.d.rows(range))
    }

    /// Adds Û to V̂, and the derivatives with respect to p̄ of the columns to the gradients.
    fn finish(
        &mut self,
        isa: InstructionSet,
        sum: &PairSum<'_, '_, T>,
        own: &mut FeatureGradients<'_, T>,
        gradients: &mut FactorGradients<'_, T>,
    ) {
        let (m, k) = (sum.forward.shape.hidden(), sum.forward.shape.classes());
        let (u_hat, blocks) = own.u.all_mut().split_at_mut((k - 1) * m);
        for block in blocks.chunks_exact(u_hat.len()) {
            add_scaled(isa, u_hat, T::ONE, block);
        }
        let (others, last) = self.full_u_hat.split_at_mut((k - 1) * m);
        others.copy_from_slice(u_hat);
        last.fill(T::ZERO);
        for u_hat in others.chunks_exact(m) {
            add_scaled(isa, last, -T::ONE, u_hat);
        }
        sum.factors.reduce_rows(m, self.full_u_hat, u_hat, self.row);
        add_scaled(isa, gradients.v.row_mut(sum.range.start), T::ONE, u_hat);
        for block in pieces(sum.range.clone(), TILE) {
            let columns = own.p.rows(&block);
            for (i, n) in block.clone().enumerate() {
                for (p_hat, of_class) in gradients.p.row_mut(n).iter_mut().zip(columns.chunks_exact(block.len())) {
                    *p_hat += of_class[i];
                }
            }
        }
    }

    fn back<'g>(
        isa: InstructionSet,
        chunk: &Range<usize>,
        own: &'g FeatureGradients<'_, T>,
        _: &mut [T],
        gradients: &mut FactorGradients<'_, T>,
    ) -> HiddenGradient<'g, T> {
        add_scaled(isa, gradients.d.rows_mut(chunk), T::ONE, own.d.rows(chunk));
        HiddenGradient::Diagonal(own.o.rows(chunk))
    }
}

impl<T: Element> Tangent<'_, T> {
    /// Forms the entries of Ψ of a part, and turns them into those of 2 w_nn' Ψ̂; adds to the derivatives with respect to p̄ of rows and
    /// columns. Returns parts of the trace.
    fn centre(
        &self,
        sum: &PairSum<'_, '_, T>,
        tile: &Tile,
        part: &Tile,
        scratch: &mut TileScratch<'_, T>,
        gradients: &mut TileGradients<'_, T>,
        workers: &mut TileWorkers<'_, T>,
    ) -> [f64; 3] {
        let (width, height) = (tile.columns.len(), part.columns.len());
        let Grams { weights, ga, gg, ss, .. } = &mut scratch.grams;
        let from = part.columns.start - tile.columns.start;
        let (grams, first_row) = ([&**weights, &**ga, &**ss], (part.rows.start - tile.rows.start) * width);
        let TileGradients { rows: SampleGradients { features: own, factors }, columns } = gradients;
        if part.is_diagonal() {
            entries::form_diagonal(self, sum, part, scratch.psi, &mut workers.first);
            let p_hat = factors.as_mut().map(|factors| factors.p.reborrow());
            let half =
                Half { tile, part, grams, gg: &mut gg[first_row..], psi: scratch.psi, p_hat, column_p_hat: None };
            return self.rows(sum, half, &mut workers.first);
        }

        let own = columns.as_mut().map_or(own, |columns| &mut columns.features);
        let column_p_hat = &mut own.p.rows_mut(&tile.columns)[from..];
        let [above, below] = part.halves();
        let line = entries::line::<T>(sum.forward.shape, height);
        let (psi, other_psi) = scratch.psi.split_at_mut(above.rows.len() * line);
        let (gg, other_gg) = gg[first_row..].split_at_mut(above.rows.len() * width);
        let (p_hat, other_p_hat) =
            factors.as_mut().map(|factors| factors.p.reborrow().split_at(below.rows.start)).unzip();
        let other_column_p = &mut scratch.column_p[..sum.forward.shape.classes() * height];
        other_column_p.fill(T::ZERO);
        let first = Half { tile, part: &above, grams, gg, psi, p_hat, column_p_hat: Some((column_p_hat, width)) };
        let second = Half {
            tile,
            part: &below,
            grams,
            gg: other_gg,
            psi: other_psi,
            p_hat: other_p_hat,
            column_p_hat: Some((other_column_p, height)),
        };
        let both = workers.both(
            |own| {
                entries::form(self, sum, first.part, first.psi, own);
                self.rows(sum, first, own)
            },
            |own| {
                entries::form(self, sum, second.part, second.psi, own);
                self.rows(sum, second, own)
            },
        );
        let column_p_hat = &mut own.p.rows_mut(&tile.columns)[from..];
        for (p_hat, other) in column_p_hat.chunks_mut(width).zip(scratch.column_p.chunks_exact(height)) {
            for (p_hat, &other) in p_hat.iter_mut().zip(other) {
                *p_hat += other;
            }
        }
        core::array::from_fn(|share| both.0[share] + both.1[share])
    }

    /// The rows of a half, one after the other.
    fn rows(&self, sum: &PairSum<'_, '_, T>, half: Half<'_, T>, scratch: &mut WorkerScratch<'_, T>) -> [f64; 3] {
        let Half { tile, part, grams: [weights, ga, ss], gg, psi, mut p_hat, mut column_p_hat } = half;
        let (k, width, line) = (
            sum.forward.shape.classes(),
            tile.columns.len(),
            entries::line::<T>(sum.forward.shape, part.columns.len()),
        );
        let from = part.columns.start - tile.columns.start;
        let columns = from..from + part.columns.len();
        let mut total = [0.0; 3];
        for (i, sample) in part.rows.clone().enumerate() {
            let in_tile = sample - tile.rows.start;
            let shares = scratch.context.isa.run(Row {
                classes: k,
                scale: T::from_f64(sum.factors.scale),
                lead: first_largest(row(sum.forward.p, k, sample)),
                sample: sample - sum.range.start,
                p: self.p,
                leads: self.leads,
                column_p_hat: column_p_hat.as_mut().map(|(p_hat, stride)| (&mut **p_hat, *stride)),
                n: sum.range.len(),
                first_column: part.columns.start - sum.range.start,
                weights: &row(weights, width, in_tile)[columns.clone()],
                ga: &row(ga, width, in_tile)[columns.clone()],
                gg: &mut gg[i * width..][columns.clone()],
                ss: &row(ss, width, in_tile)[columns.clone()],
                psi: &mut psi[i * line..][..line],
                registers: scratch.registers,
                p_hat: p_hat.as_mut().map(|p_hat| p_hat.row_mut(sample)),
            });
            for (total, share) in total.iter_mut().zip(shares) {
                *total += share.to_f64();
            }
        }
        total
    }

    /// Adds to f̂ and Û, given the entries of 2 w_nn' Ψ̂ of a part.
    fn spread_part(
        &self,
        sum: &PairSum<'_, '_, T>,
        part: &Tile,
        psi: &[T],
        gradients: &mut TileGradients<'_, T>,
        workers: &mut TileWorkers<'_, T>,
    ) {
        let spread = |side, f_hat: &mut PerSample<'_, T>, u_hat: Option<&mut [T]>, own: &mut WorkerScratch<'_, T>| {
            entries::spread(self, sum, (part, side), psi, f_hat, u_hat, own);
        };
        let TileGradients { rows: SampleGradients { features: own, factors }, columns } = gradients;
        let Some(factors) = factors else { return };
        let u_hat = Some(own.u.row_mut(part.rows.start));
        match columns.as_mut().and_then(|columns| columns.factors.as_mut()) {
            Some(others) => {
                workers.both(
                    |own| spread(Side::Rows, &mut factors.f, u_hat, own),
                    |own| spread(Side::Columns, &mut others.f, None, own),
                );
            }
            None => {
                spread(Side::Rows, &mut factors.f, u_hat, &mut workers.first);
                if !part.is_diagonal() {
                    spread(Side::Columns, &mut factors.f, None, &mut workers.first);
                }
            }
        }
    }
}

/// Half of the rows of a part, and the buffers for them.
struct Half<'a, T> {
    tile: &'a Tile,
    part: &'a Tile,
    /// w_nn', Ga and ⟨S,S'⟩ of the tile.
    grams: [&'a [T]; 3],
    /// Gg of the tile, from the first row of this half on.
    gg: &'a mut [T],
    psi: &'a mut [T],
    /// The derivatives with respect to p̄ of the rows.
    p_hat: Option<PerSample<'a, T>>,
    /// The derivatives with respect to p̄ of the columns, and the distance of its rows; `None` on the diagonal, where the columns are the
    /// rows.
    column_p_hat: Option<(&'a mut [T], usize)>,
}
