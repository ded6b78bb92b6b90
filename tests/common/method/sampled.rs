//! The sampled penalty of `flatmin::sampled`, with S taken exactly: estimates, and their gradient by the kept samples' contributions.

use super::{Batch, Theta, adjoints, cut, dot, flat, kappa, kappa_hats, sum, sweep, tr, trace_hats, zero};

/// The kept samples, their weights w, and how many samples the batch had, whose weights of pairs `kept` has.
pub struct Kept {
    pub kept: Batch,
    pub w: Vec<f64>,
    pub N: usize,
}

/// The part of the gradient that one kept sample adds.
pub struct Contribution {
    pub gradient: Vec<f64>,
    /// √(‖û‖² Ga + ‖ẑ‖² Gg)
    pub size: f64,
}

impl Kept {
    fn pair(&self, n: usize, other: usize) -> f64 {
        let Self { kept: Batch { pair_weights: (own, cross), .. }, w, .. } = self;
        if n == other { own * w[n] } else { cross * w[n] * w[other] }
    }

    /// E1 and E2.
    pub fn estimates(&self) -> [f64; 2] {
        let Self { kept: Batch { factors, .. }, w, N } = self;
        let J = factors.len();
        let trace = |n: usize| {
            let one = &factors[n];
            tr(&one.S) * dot(&one.g, &one.g) + tr(&one.A) * dot(&one.a, &one.a)
        };
        let pairs = |n| sum(J, |other| self.pair(n, other) * kappa(&factors[n], &factors[other]).iter().sum::<f64>());
        [sum(J, |n| w[n] * trace(n)) / *N as f64, sum(J, pairs)]
    }

    /// The contributions to the gradient of `trace` times E1 plus `square` times E2.
    pub fn contributions(&self, [trace, square]: [f64; 2]) -> Vec<Contribution> {
        let Self { kept: Batch { theta, forward, factors, .. }, w, N } = self;
        let Theta { W, b, V, .. } = theta;
        let (D, M, K, J) = (W[0].len(), b.len(), V.len(), factors.len());
        let contribution = |n: usize| {
            let (one, sample) = (&factors[n], &forward[n]);
            let mut hat = zero(one);
            trace_hats(one, trace * w[n] / *N as f64, &mut hat);
            for other in 0..J {
                kappa_hats(one, &factors[other], 2.0 * square * self.pair(n, other), &mut hat);
            }
            let hat = adjoints(V, sample, one, &hat);
            let z = |k: usize| sum(K, |l| one.S[k][l] * hat.p[l]);
            let u = |j: usize| hat.g[j] * sample.f[j] + hat.f[j] * sample.e[j] + hat.e[j] * sample.t[j];
            let of_units = sum(M, |j| u(j) * u(j)) * dot(&one.a, &one.a);
            let of_logits = sum(K, |k| z(k) * z(k)) * dot(&one.g, &one.g);
            let mut gradient = cut(&vec![0.0; flat(theta).len()], [D, M, K]);
            sweep(V, sample, &one.S, &hat, 0.0, &mut gradient);
            Contribution { gradient: flat(&gradient), size: (of_units + of_logits).sqrt() }
        };
        (0..J).map(contribution).collect()
    }
}
