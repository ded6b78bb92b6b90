//! What all tiles of the tangent form read.

use crate::hessian::contrasts::triangle;
use crate::network::Shape;
use crate::workspace::buffers;

buffers! {
    /// The tangent form: what all tiles read, besides feature rows.
    pub(in crate::hessian::pairs) struct Tangent(shape: Shape, n: usize) where {
        let (m, k) = (shape.hidden(), shape.classes());
    } {
        /// U, R×M.
        u: [k - 1, m],
        /// U_k∘U_l for k ≤ l, R₂×M.
        uu: [triangle(k - 1), m],
        /// p̄, K×N: one row a class, so that lanes are samples.
        p: [k, n],
        /// 1 at each sample's most probable class, K×N.
        leads: [k, n],
        /// Scratch for Û by class: K×M numbers.
        full_u_hat: [k, m],
        /// Scratch: a row.
        row: [m],
    }
}
