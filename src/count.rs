//! Counts of flops and of elements. They saturate, so that sizes beyond all memory are found to be too large.

/// The product of sizes, as a count; `u64::MAX` if it overflows.
pub(crate) const fn product(sizes: &[usize]) -> u64 {
    let mut all = 1u64;
    let mut index = 0;
    while index < sizes.len() {
        all = all.saturating_mul(sizes[index] as u64);
        index += 1;
    }
    all
}

/// The sum of counts; `u64::MAX` if it overflows.
pub(crate) const fn sum(counts: &[u64]) -> u64 {
    let mut all = 0u64;
    let mut index = 0;
    while index < counts.len() {
        all = all.saturating_add(counts[index]);
        index += 1;
    }
    all
}

/// The largest of some counts.
pub(crate) const fn largest(counts: &[u64]) -> u64 {
    let mut most = 0;
    let mut index = 0;
    while index < counts.len() {
        most = if counts[index] > most { counts[index] } else { most };
        index += 1;
    }
    most
}

/// Flops of some work, and its cost: the flops of a large matrix product that takes the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub flops: u64,
    pub cost: u64,
}

impl Work {
    /// Work that runs at the rate of a large product divided by `slowness`.
    pub(crate) const fn new(flops: u64, slowness: u64) -> Self {
        Self { flops, cost: flops.saturating_mul(slowness) }
    }

    /// Work that takes time without a number of flops worth counting.
    pub(crate) const fn overhead(cost: u64) -> Self {
        Self { flops: 0, cost }
    }

    /// The same work `n` times.
    pub(crate) const fn times(self, n: usize) -> Self {
        Self { flops: self.flops.saturating_mul(n as u64), cost: self.cost.saturating_mul(n as u64) }
    }

    /// The sum of several.
    pub(crate) const fn sum(parts: &[Self]) -> Self {
        let (mut total, mut at) = (Self::overhead(0), 0);
        while at < parts.len() {
            total.flops = total.flops.saturating_add(parts[at].flops);
            total.cost = total.cost.saturating_add(parts[at].cost);
            at += 1;
        }
        total
    }
}
