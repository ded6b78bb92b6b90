//! The trace of a row of pairs, and its derivatives: Θ is centred, in registers whose lanes are pairs.
//!
//! See the [form](super) for the formulas. About `10K²` operations a pair.

use core::ops::Range;

use crate::real::Real;
use crate::simd::{Kernel, Lanes, Simd};

/// One row of a tile: a sample against all columns.
pub(super) struct Row<'a, T> {
    pub classes: usize,
    pub sigma: T,
    /// The row sample's most probable class, and its number.
    pub lead: usize,
    pub sample: usize,
    /// q and the leads of all samples, K×N.
    pub q: &'a [T],
    pub leads: &'a [T],
    /// q̂ of all samples, K×N, where the columns are not the rows of the same tile.
    pub column_q_hat: Option<&'a mut [T]>,
    pub n: usize,
    pub columns: Range<usize>,
    pub weights: &'a [T],
    pub ga: &'a [T],
    /// Gg; becomes the coefficient of ĝ.
    pub gg: &'a mut [T],
    pub ss: &'a [T],
    /// Entry e of W at `e * stride`; becomes 2w Ŵ.
    pub w: &'a mut [T],
    pub stride: usize,
    pub registers: &'a mut [T],
    /// q̂ of the row's sample; without it only the value is computed.
    pub q_hat: Option<&'a mut [T]>,
}

impl<T: Real> Kernel for Row<'_, T> {
    /// Shares of the output, the cross and the hidden block.
    type Output = [T; 3];

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) -> [T; 3] {
        let lanes = <T::Lanes<S> as Lanes>::LANES;
        let (k, width) = (self.classes, self.weights.len());
        let mut totals = [T::Lanes::<S>::zero(simd); 3];
        self.registers[..k * lanes].fill(T::ZERO);
        for start in (0..width).step_by(lanes) {
            let len = lanes.min(width - start);
            for (total, share) in totals.iter_mut().zip(self.columns::<S>(simd, start, len)) {
                *total = *total + share;
            }
        }
        if let Some(q_hat) = self.q_hat {
            for (q_hat, sum) in q_hat.iter_mut().zip(self.registers.chunks_exact(lanes)) {
                *q_hat += T::Lanes::<S>::load(simd, sum).reduce_sum();
            }
        }
        let [output, cross, hidden] = totals;
        [output.reduce_sum(), cross.reduce_sum(), hidden.reduce_sum()]
    }
}

impl<T: Real> Row<'_, T> {
    /// The pairs with `len` columns from `start`, at most a register's lanes.
    #[inline(always)]
    fn columns<S: Simd>(&mut self, simd: S, start: usize, len: usize) -> [T::Lanes<S>; 3] {
        let (k, r, n, lead, lanes) = (self.classes, self.classes - 1, self.n, self.lead, <T::Lanes<S> as Lanes>::LANES);
        let zero = T::Lanes::<S>::zero(simd);
        let splat = |x: T| T::Lanes::<S>::splat(simd, x);
        let read = |from: &[T]| first::<T::Lanes<S>>(simd, from, len);
        let register = |from: &[T]| T::Lanes::<S>::load(simd, from);
        let (weight, ga, gg) = (read(&self.weights[start..]), read(&self.ga[start..]), read(&self.gg[start..]));
        let at = self.columns.start + start;
        let own_q = |class: usize| splat(self.q[class * n + self.sample]);

        let line = k * lanes;
        let (own_hat, rest) = self.registers.split_at_mut(line);
        let (theta, rest) = rest[..(k + 6) * line].split_at_mut(k * line);
        let (alpha, rest) = rest.split_at_mut(line);
        let (beta, rest) = rest.split_at_mut(line);
        let (other_hat, rest) = rest.split_at_mut(line);
        let (lead_row, rest) = rest.split_at_mut(line);
        let (other_q, other_lead) = rest.split_at_mut(line);
        for class in 0..k {
            read(&self.q[class * n + at..]).store(&mut other_q[class * lanes..]);
            read(&self.leads[class * n + at..]).store(&mut other_lead[class * lanes..]);
        }
        let mut entry = self.w.get(start..).unwrap_or_default().chunks(self.stride);
        for i in 0..r {
            for l in i..r {
                let w = read(entry.next().unwrap_or_default());
                let entry = ga.mul_add(w, if i == l { gg } else { zero });
                entry.store(&mut theta[i * line + l * lanes..]);
                entry.store(&mut theta[l * line + i * lanes..]);
            }
            zero.store(&mut theta[i * line + r * lanes..]);
            zero.store(&mut theta[r * line + i * lanes..]);
        }
        gg.store(&mut theta[r * line + r * lanes..]);

        // The leads' row and columns become zero. α: means of rows; β: of columns; γ: of both, each divided by σ once a mean.
        beta.fill(T::ZERO);
        lead_row.copy_from_slice(&theta[lead * line..][..line]);
        let mut gamma = zero;
        for (i, (row, alpha)) in theta.chunks_exact_mut(line).zip(alpha.chunks_exact_mut(lanes)).enumerate() {
            let (q, mut shift, mut mean) = (own_q(i), zero, zero);
            let entries = row.chunks_exact_mut(lanes).zip(lead_row.chunks_exact(lanes));
            for ((entry, lead), other_lead) in entries.zip(other_lead.chunks_exact(lanes)) {
                let shifted = register(entry) - register(lead);
                shifted.store(entry);
                shift = register(other_lead).mul_add(shifted, shift);
            }
            let entries = row.chunks_exact_mut(lanes).zip(beta.chunks_exact_mut(lanes));
            for ((entry, beta), other_q) in entries.zip(other_q.chunks_exact(lanes)) {
                let shifted = register(entry) - shift;
                shifted.store(entry);
                mean = register(other_q).mul_add(shifted, mean);
                q.mul_add(shifted, register(beta)).store(beta);
            }
            mean.store(alpha);
            gamma = q.mul_add(mean, gamma);
        }

        let sigma = splat(self.sigma);
        let gamma = sigma * gamma;
        for beta in beta.chunks_exact_mut(lanes) {
            (sigma * (register(beta) - gamma)).store(beta);
        }
        let twice = splat(T::TWO) * weight;
        let (mut total, mut trace) = (zero, zero);
        other_hat.fill(T::ZERO);
        let rows = theta.chunks_exact_mut(line).zip(alpha.chunks_exact(lanes)).zip(own_hat.chunks_exact_mut(lanes));
        for (i, ((row, alpha), own_hat)) in rows.enumerate() {
            let (q, mean, mut hat) = (own_q(i), sigma * register(alpha), zero);
            let entries = row.chunks_exact_mut(lanes).zip(beta.chunks_exact(lanes));
            let others = other_q.chunks_exact(lanes).zip(other_hat.chunks_exact_mut(lanes));
            for ((entry, beta), (other_q, other_hat)) in entries.zip(others) {
                let centred = register(entry) - (mean + register(beta));
                let (left, other_q) = (q * centred, register(other_q));
                hat = (other_q * centred).mul_add(centred, hat);
                left.mul_add(centred, register(other_hat)).store(other_hat);
                (left * other_q).store(entry);
            }
            total = q.mul_add(hat, total);
            trace = trace + register(&row[i * lanes..]);
            twice.mul_add(hat, register(own_hat)).store(own_hat);
        }

        let ss = read(&self.ss[start..]);
        let output = gg * ss;
        let cross = trace - output;
        let shares = [weight * (gg * output), twice * (gg * cross), weight * (total - gg * (trace + cross))];
        if self.q_hat.is_none() {
            return shares;
        }
        (splat(T::TWO) * twice * trace).store_partial(&mut self.gg[start..start + len]);
        let weighted = twice * ga;
        let mut entry = self.w.get_mut(start..).unwrap_or_default().chunks_mut(self.stride);
        for i in 0..r {
            for l in i..r {
                let sum = register(&theta[i * line + l * lanes..]) + register(&theta[l * line + i * lanes..]);
                let place = entry.next().unwrap_or_default();
                if len == lanes {
                    (weighted * sum).store(place)
                } else {
                    (weighted * sum).store_partial(&mut place[..len])
                }
            }
        }
        if let Some(column_q_hat) = &mut self.column_q_hat {
            for (class, other_hat) in other_hat.chunks_exact(lanes).enumerate() {
                let place = &mut column_q_hat[class * n + at..][..len];
                twice.mul_add(register(other_hat), read(place)).store_partial(place);
            }
        }
        shares
    }
}

/// The first `len` numbers in a register, 0 in its other lanes.
#[inline(always)]
fn first<V: Lanes>(simd: V::Simd, from: &[V::Scalar], len: usize) -> V {
    if len == V::LANES { V::load(simd, from) } else { V::load_partial(simd, &from[..len]) }
}
