//! The trace of a row of pairs, and its derivatives. Θ is centred in registers whose lanes are pairs.
//!
//! See the [form](super) for the formulas. About `10K²` operations a pair.
//!
//! **Two classes.** A centred 2×2 matrix is a multiple of an outer product. With `ϑ = Θ_11 − Θ_12 − Θ_21 + Θ_22 = Ga Ψ + 2 Gg`
//!
//! ```text
//! Θ̃ = ϑ [p_2; −p_1] [p'_2, −p'_1]      tr(SΘS'Θ) = (p_1 p_2) (p'_1 p'_2) ϑ²
//! Ξ_11 = Ξ_22 = (p_1 p_2) (p'_1 p'_2) ϑ      p̂ = p'_1 p'_2 ϑ² [p_2²; p_1²]
//! ```
//!
//! in which nothing cancels: about 30 operations.

use crate::simd::Element;
use crate::simd::{Kernel, Lanes, Simd};

/// Runs over the classes in blocks of four, then one by one. In a block, sums over the other sample's classes are four independent
/// chains, and what all four rows read is read once.
macro_rules! by_blocks {
    ($classes:expr, $class:ident, $rows:ident => $work:block) => {{
        let mut $class = 0;
        while $class + 4 <= $classes {
            const $rows: usize = 4;
            $work
            $class += $rows;
        }
        while $class < $classes {
            const $rows: usize = 1;
            $work
            $class += $rows;
        }
    }};
}

/// One row of a tile: a sample against all columns.
pub(super) struct Row<'a, T> {
    pub classes: usize,
    pub scale: T,
    /// The row sample's most probable class, and the sample's index.
    pub lead: usize,
    pub sample: usize,
    /// p̄, and 1 at the most probable class, of all samples, K×N.
    pub p: &'a [T],
    pub leads: &'a [T],
    /// The derivatives with respect to p̄ of the columns, one row a class, and the distance of their rows; `None` where the columns are
    /// among the rows of the same tile.
    pub column_p_hat: Option<(&'a mut [T], usize)>,
    pub n: usize,
    /// Index of the first column's sample.
    pub first_column: usize,
    pub weights: &'a [T],
    pub ga: &'a [T],
    /// Gg; becomes the coefficient of ĝ.
    pub gg: &'a mut [T],
    pub ss: &'a [T],
    /// Entries of Ψ, one row an entry; become 2 w_nn' Ψ̂.
    pub psi: &'a mut [T],
    pub registers: &'a mut [T],
    /// The derivatives with respect to p̄ of the row's sample; if `None`, only the value is computed.
    pub p_hat: Option<&'a mut [T]>,
}

impl<T: Element> Kernel for Row<'_, T> {
    /// Parts of the output, the cross and the hidden block.
    type Output = [T; 3];

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) -> [T; 3] {
        let lanes = <T::Lanes<S> as Lanes>::LANES;
        let (k, width) = (self.classes, self.weights.len());
        if k == 2 {
            return self.two_classes::<S>(simd);
        }
        let mut totals = [T::Lanes::<S>::zero(simd); 3];
        self.registers[..k * lanes].fill(T::ZERO);
        for start in (0..width).step_by(lanes) {
            let len = lanes.min(width - start);
            for (total, share) in totals.iter_mut().zip(self.columns::<S>(simd, start, len)) {
                *total = *total + share;
            }
        }
        if let Some(p_hat) = self.p_hat {
            for (p_hat, sum) in p_hat.iter_mut().zip(self.registers.chunks_exact(lanes)) {
                *p_hat += T::Lanes::<S>::load(simd, sum).reduce_sum();
            }
        }
        let [output, cross, hidden] = totals;
        [output.reduce_sum(), cross.reduce_sum(), hidden.reduce_sum()]
    }
}

impl<T: Element> Row<'_, T> {
    /// The whole row, for two classes.
    #[inline(always)]
    fn two_classes<S: Simd>(self, simd: S) -> [T; 3] {
        let (n, width, lanes) = (self.n, self.weights.len(), <T::Lanes<S> as Lanes>::LANES);
        let splat = |x: T| T::Lanes::<S>::splat(simd, x);
        let (scale, two) = (splat(self.scale), splat(T::TWO));
        let p_bar = [self.p[self.sample], self.p[n + self.sample]];
        // p_1 p_2, an entry of S, is stored divided by scale.
        let variance = splat(p_bar[0] * (self.scale * p_bar[1]));
        let mut totals = [T::Lanes::<S>::zero(simd); 3];
        let mut own_hat = T::Lanes::<S>::zero(simd);
        let mut column_p_hat = self.column_p_hat;
        for start in (0..width).step_by(lanes) {
            let len = lanes.min(width - start);
            // Not in a closure: it would not be inlined.
            let weight = T::Lanes::<S>::load_at(simd, self.weights, start, len);
            let ga = T::Lanes::<S>::load_at(simd, self.ga, start, len);
            let gg = T::Lanes::<S>::load_at(simd, self.gg, start, len);
            let ss = T::Lanes::<S>::load_at(simd, self.ss, start, len);
            let psi = T::Lanes::<S>::load_at(simd, self.psi, start, len);
            let column = self.first_column + start;
            let other_p_bar_1 = T::Lanes::<S>::load_at(simd, self.p, column, len);
            let other_p_2 = scale * T::Lanes::<S>::load_at(simd, self.p, n + column, len);
            let other_variance = other_p_bar_1 * other_p_2;

            let vartheta = ga.mul_add(psi, two * gg);
            let x = variance * other_variance * vartheta;
            let (total, trace, twice) = (x * vartheta, two * x, two * weight);
            let output = gg * ss;
            let cross = trace - output;
            let shares = [weight * (gg * output), twice * (gg * cross), weight * (total - gg * (trace + cross))];
            for (total, share) in totals.iter_mut().zip(shares) {
                *total = *total + share;
            }
            if self.p_hat.is_none() {
                continue;
            }
            (two * twice * trace).store_at(self.gg, start, len);
            (twice * ga * trace).store_at(self.psi, start, len);
            let square = twice * vartheta * vartheta;
            own_hat = square.mul_add(other_variance, own_hat);
            if let Some((p_hat, stride)) = &mut column_p_hat {
                let other_p_1 = scale * other_p_bar_1;
                for (class, other_p) in [other_p_2, other_p_1].into_iter().enumerate() {
                    let place = &mut p_hat[class * *stride + start..][..len];
                    let sum =
                        (square * variance * other_p).mul_add(other_p, T::Lanes::<S>::load_first(simd, place, len));
                    sum.store_first(place, len);
                }
            }
        }
        if let Some(p_hat) = self.p_hat {
            let sum = own_hat.reduce_sum();
            for (p_hat, other) in p_hat.iter_mut().zip([p_bar[1], p_bar[0]]) {
                let p = self.scale * other;
                *p_hat += sum * p * p;
            }
        }
        let [output, cross, hidden] = totals;
        [output.reduce_sum(), cross.reduce_sum(), hidden.reduce_sum()]
    }

    /// The pairs with `len` columns from `start`, at most a register's lanes.
    #[inline(always)]
    fn columns<S: Simd>(&mut self, simd: S, start: usize, len: usize) -> [T::Lanes<S>; 3] {
        let (k, r, n, lead, lanes) = (self.classes, self.classes - 1, self.n, self.lead, <T::Lanes<S> as Lanes>::LANES);
        let zero = T::Lanes::<S>::zero(simd);
        let splat = |x: T| T::Lanes::<S>::splat(simd, x);
        let read = |from: &[T]| T::Lanes::<S>::load_first(simd, from, len);
        let register = |from: &[T]| T::Lanes::<S>::load(simd, from);
        let (weight, ga, gg) = (read(&self.weights[start..]), read(&self.ga[start..]), read(&self.gg[start..]));
        let at = self.first_column + start;
        let own_p_bar = |class: usize| splat(self.p[class * n + self.sample]);

        let line = k * lanes;
        let (own_hat, rest) = self.registers.split_at_mut(line);
        let (theta, rest) = rest[..(k + 6) * line].split_at_mut(k * line);
        let (row_means, rest) = rest.split_at_mut(line);
        let (column_means, rest) = rest.split_at_mut(line);
        let (other_hat, rest) = rest.split_at_mut(line);
        let (lead_row, rest) = rest.split_at_mut(line);
        let (other_p_bar, other_lead) = rest.split_at_mut(line);
        for class in 0..k {
            read(&self.p[class * n + at..]).store(&mut other_p_bar[class * lanes..]);
            read(&self.leads[class * n + at..]).store(&mut other_lead[class * lanes..]);
        }
        let mut entry = self.psi.get(start..).unwrap_or_default().chunks(self.weights.len());
        for i in 0..r {
            for l in i..r {
                let psi = read(entry.next().unwrap_or_default());
                let entry = ga.mul_add(psi, if i == l { gg } else { zero });
                entry.store(&mut theta[i * line + l * lanes..]);
                entry.store(&mut theta[l * line + i * lanes..]);
            }
            zero.store(&mut theta[i * line + r * lanes..]);
            zero.store(&mut theta[r * line + i * lanes..]);
        }
        gg.store(&mut theta[r * line + r * lanes..]);

        column_means.fill(T::ZERO);
        lead_row.copy_from_slice(&theta[lead * line..][..line]);
        let mut block =
            Block { line, theta, own_hat, row_means, column_means, other_hat, lead_row, other_p_bar, other_lead };
        let mut grand_mean = zero;
        by_blocks!(k, class, ROWS => {
            let p_bar = core::array::from_fn::<_, ROWS, _>(|i| own_p_bar(class + i));
            grand_mean = block.subtract_means(simd, class, p_bar, grand_mean);
        });
        let (scale, twice) = (splat(self.scale), splat(T::TWO) * weight);
        let grand_mean = scale * grand_mean;
        for column_means in block.column_means.chunks_exact_mut(lanes) {
            (scale * (register(column_means) - grand_mean)).store(column_means);
        }
        let (mut total, mut trace) = (zero, zero);
        block.other_hat.fill(T::ZERO);
        by_blocks!(k, class, ROWS => {
            let p_bar = core::array::from_fn::<_, ROWS, _>(|i| own_p_bar(class + i));
            (total, trace) = block.square(simd, class, p_bar, scale, twice, (total, trace));
        });
        let Block { theta, other_hat, .. } = block;

        let ss = read(&self.ss[start..]);
        let output = gg * ss;
        let cross = trace - output;
        let shares = [weight * (gg * output), twice * (gg * cross), weight * (total - gg * (trace + cross))];
        if self.p_hat.is_none() {
            return shares;
        }
        (splat(T::TWO) * twice * trace).store_at(self.gg, start, len);
        let weighted = twice * ga;
        let mut entry = self.psi.get_mut(start..).unwrap_or_default().chunks_mut(self.weights.len());
        for i in 0..r {
            for l in i..r {
                let sum = register(&theta[i * line + l * lanes..]) + register(&theta[l * line + i * lanes..]);
                let place = entry.next().unwrap_or_default();
                (weighted * sum).store_first(place, len);
            }
        }
        if let Some((column_p_hat, stride)) = &mut self.column_p_hat {
            for (class, other_hat) in other_hat.chunks_exact(lanes).enumerate() {
                let place = &mut column_p_hat[class * *stride + start..][..len];
                twice.mul_add(register(other_hat), read(place)).store_first(place, len);
            }
        }
        shares
    }
}

/// Θ of a register of pairs, and what is made of it. Each class of either sample has a register; a row of classes takes `line` numbers.
struct Block<'a, T> {
    line: usize,
    /// Θ, K rows; becomes Θ with the rows and columns of the most probable classes subtracted, then Ξ.
    theta: &'a mut [T],
    own_hat: &'a mut [T],
    /// Means of rows, and of columns.
    row_means: &'a mut [T],
    column_means: &'a mut [T],
    other_hat: &'a mut [T],
    /// The row of Θ at the row sample's most probable class.
    lead_row: &'a [T],
    other_p_bar: &'a [T],
    other_lead: &'a [T],
}

impl<T: Element> Block<'_, T> {
    /// In the rows from `class` on, whose p̄ is given: subtracts the row and the column of the most probable classes, and adds to the
    /// means of rows and columns and to the mean of all. Each mean is divided by `scale` once for each sum over classes.
    #[inline(always)]
    fn subtract_means<S: Simd, const ROWS: usize>(
        &mut self,
        simd: S,
        class: usize,
        p_bar: [T::Lanes<S>; ROWS],
        mut grand_mean: T::Lanes<S>,
    ) -> T::Lanes<S> {
        let (line, lanes) = (self.line, <T::Lanes<S> as Lanes>::LANES);
        let theta = &mut self.theta[class * line..][..ROWS * line];
        let mut shift = [T::Lanes::<S>::zero(simd); ROWS];
        let mut mean = shift;
        for at in (0..line).step_by(lanes) {
            let other_lead = T::Lanes::<S>::load(simd, &self.other_lead[at..]);
            let lead = T::Lanes::<S>::load(simd, &self.lead_row[at..]);
            for i in 0..ROWS {
                let entry = T::Lanes::<S>::load(simd, &theta[i * line + at..]);
                shift[i] = other_lead.mul_add(entry - lead, shift[i]);
            }
        }
        for at in (0..line).step_by(lanes) {
            let other_p_bar = T::Lanes::<S>::load(simd, &self.other_p_bar[at..]);
            let lead = T::Lanes::<S>::load(simd, &self.lead_row[at..]);
            let mut column_means = T::Lanes::<S>::load(simd, &self.column_means[at..]);
            for i in 0..ROWS {
                let entry = &mut theta[i * line + at..][..lanes];
                let shifted = (T::Lanes::<S>::load(simd, entry) - lead) - shift[i];
                shifted.store(entry);
                mean[i] = other_p_bar.mul_add(shifted, mean[i]);
                column_means = p_bar[i].mul_add(shifted, column_means);
            }
            column_means.store(&mut self.column_means[at..]);
        }
        for i in 0..ROWS {
            mean[i].store(&mut self.row_means[(class + i) * lanes..]);
            grand_mean = p_bar[i].mul_add(mean[i], grand_mean);
        }
        grand_mean
    }

    /// Centres the rows from `class` on, and turns them into Ξ. Adds to the derivatives with respect to p̄ and p̄', to the trace of ΘΞ
    /// and to that of Ξ.
    #[inline(always)]
    fn square<S: Simd, const ROWS: usize>(
        &mut self,
        simd: S,
        class: usize,
        p_bar: [T::Lanes<S>; ROWS],
        scale: T::Lanes<S>,
        twice: T::Lanes<S>,
        (mut total, mut trace): (T::Lanes<S>, T::Lanes<S>),
    ) -> (T::Lanes<S>, T::Lanes<S>) {
        let (line, lanes) = (self.line, <T::Lanes<S> as Lanes>::LANES);
        let theta = &mut self.theta[class * line..][..ROWS * line];
        let mut hat = [T::Lanes::<S>::zero(simd); ROWS];
        let mut mean = hat;
        for (i, mean) in mean.iter_mut().enumerate() {
            *mean = scale * T::Lanes::<S>::load(simd, &self.row_means[(class + i) * lanes..]);
        }
        for at in (0..line).step_by(lanes) {
            let other_p_bar = T::Lanes::<S>::load(simd, &self.other_p_bar[at..]);
            let column_means = T::Lanes::<S>::load(simd, &self.column_means[at..]);
            let mut other_hat = T::Lanes::<S>::load(simd, &self.other_hat[at..]);
            for i in 0..ROWS {
                let entry = &mut theta[i * line + at..][..lanes];
                let centred = T::Lanes::<S>::load(simd, entry) - (mean[i] + column_means);
                let left = p_bar[i] * centred;
                hat[i] = (other_p_bar * centred).mul_add(centred, hat[i]);
                other_hat = left.mul_add(centred, other_hat);
                (left * other_p_bar).store(entry);
            }
            other_hat.store(&mut self.other_hat[at..]);
        }
        for i in 0..ROWS {
            total = p_bar[i].mul_add(hat[i], total);
            trace = trace + T::Lanes::<S>::load(simd, &theta[i * line + (class + i) * lanes..]);
            let own_hat = &mut self.own_hat[(class + i) * lanes..][..lanes];
            twice.mul_add(hat[i], T::Lanes::<S>::load(simd, own_hat)).store(own_hat);
        }
        (total, trace)
    }
}
