//! The products that are compared.

use std::fmt;

/// C ← A·B with A m×k and B k×n, each stored as it is or transposed, C row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    pub group: Group,
    pub m: usize,
    pub k: usize,
    pub n: usize,
    /// Whether Aᵀ is what lies in memory row by row.
    pub a_transposed: bool,
    pub b_transposed: bool,
}

/// What a product is an example of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Squares and other large products, 64 and more.
    Large,
    /// Squares below 64, and products with a dimension below 64.
    Small,
    /// The products of a gradient, forward and backward, of the shapes of the step benchmark.
    Step,
}

impl Group {
    pub const ALL: [Self; 3] = [Self::Large, Self::Small, Self::Step];
}

impl fmt::Display for Group {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Large => "large",
            Self::Small => "small",
            Self::Step => "step",
        })
    }
}

impl fmt::Display for Product {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |transposed| if transposed { 't' } else { 'n' };
        let Self { m, k, n, .. } = self;
        out.pad(&format!("{m}x{k}x{n}-{}{}", letter(self.a_transposed), letter(self.b_transposed)))
    }
}

impl Product {
    pub fn flops(&self) -> f64 {
        2.0 * self.m as f64 * self.k as f64 * self.n as f64
    }

    /// Distances of rows and of columns of A.
    pub fn a_strides(&self) -> [usize; 2] {
        if self.a_transposed { [1, self.m] } else { [self.k, 1] }
    }

    /// Distances of rows and of columns of B.
    pub fn b_strides(&self) -> [usize; 2] {
        if self.b_transposed { [1, self.k] } else { [self.n, 1] }
    }
}

const SQUARES: [usize; 9] = [4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// m×k×n that are no squares.
const OBLONG: [[usize; 3]; 6] =
    [[128, 784, 128], [32, 784, 128], [128, 128, 10], [105, 4, 16], [64, 64, 32], [128, 128, 528]];

/// Squares that are also compared with either operand transposed.
const TRANSPOSED: [usize; 3] = [16, 64, 256];

/// N, D, M, K: samples, inputs, hidden units and classes of the step benchmark.
const STEPS: [[usize; 4]; 9] = [
    [105, 4, 16, 3],
    [64, 64, 32, 10],
    [256, 64, 32, 10],
    [32, 784, 128, 10],
    [128, 784, 128, 10],
    [128, 784, 256, 10],
    [256, 30, 64, 2],
    [32, 3072, 512, 10],
    [4096, 2, 32, 2],
];

/// All products, group by group.
pub fn all() -> Vec<Product> {
    let product = |group, [m, k, n]: [usize; 3], [a_transposed, b_transposed]: [bool; 2]| Product {
        group,
        m,
        k,
        n,
        a_transposed,
        b_transposed,
    };
    let sized = |size: [usize; 3], transposed| {
        let group = if size.into_iter().min() < Some(64) { Group::Small } else { Group::Large };
        product(group, size, transposed)
    };
    let squares = SQUARES.into_iter().map(|size| sized([size; 3], [false, false]));
    let oblong = OBLONG.into_iter().map(|size| sized(size, [false, false]));
    let transposed = TRANSPOSED
        .into_iter()
        .flat_map(|size| [[false, true], [true, false], [true, true]].map(|transposed| sized([size; 3], transposed)));
    // U = X·Wᵀ, Z = H·Vᵀ, ∂W = ∂Uᵀ·X, ∂V = ∂Zᵀ·H, ∂H = ∂Z·V.
    let steps = STEPS.into_iter().flat_map(|[n, d, m, k]| {
        [
            product(Group::Step, [n, d, m], [false, true]),
            product(Group::Step, [n, m, k], [false, true]),
            product(Group::Step, [m, n, d], [true, false]),
            product(Group::Step, [k, n, m], [true, false]),
            product(Group::Step, [n, k, m], [false, false]),
        ]
    });
    let mut all: Vec<Product> = squares.chain(oblong).chain(transposed).chain(steps).collect();
    all.sort_by_key(|product| Group::ALL.iter().position(|&group| group == product.group));
    all
}
