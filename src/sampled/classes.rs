//! Inner products, over the classes, of `[ξ̃ | ξ | r]` of all pairs of kept samples, and the way back from their coefficients.
//!
//! ```text
//! ξξ = ξᵀξ    ξr = ξᵀr    rξ = rᵀξ    rr = rᵀr        ξ̂ = ξ (ξξ)^ + r (rξ)^ + ξ̃∘own        r̂ = ξ (ξr)^ + r (rr)^        (ξ̃)^ = ξ∘own
//! ```
//!
//! with the coefficients under a hat; `own` is that between the two vectors of a sample.
//!
//! **Loop order.** Registers along the samples; some rows of the result; the sum. **Cost**, multiply–adds a pair with one vector a sample: 4K
//! each way.

use core::ops::Range;

use crate::kernels::vector::map_registers;
use crate::sampled::features::Sizes;
use crate::sampled::sketch::{get, put, registers};
use crate::simd::{Element, Kernel, Lanes, Simd};

/// Writes the inner products.
pub(super) struct ClassProducts<'a, T> {
    pub sizes: Sizes,
    /// [ξ̃ | ξ | r], K×`width`.
    pub xi_r: &'a [T],
    /// ξξ, `vectors`×`vectors`.
    pub xi_xi: &'a mut [T],
    /// ξr and rξ: for each vector of a sample, J×J.
    pub mixed: [&'a mut [T]; 2],
    /// rr, J×J.
    pub rr: &'a mut [T],
    /// ξ·ξ̃ of each sample.
    pub own: &'a mut [T],
}

impl<T: Element> Kernel for ClassProducts<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let Sizes { n, second, .. } = self.sizes;
        for j in registers::<T, S>(n) {
            for pair in 0..n / 2 {
                self.rows::<S, 2>(simd, 2 * pair, j.clone());
            }
            if n % 2 == 1 {
                self.rows::<S, 1>(simd, n - 1, j.clone());
            }
            if second {
                let mut sum = T::Lanes::<S>::zero(simd);
                for class in self.xi_r.chunks_exact(self.sizes.width()) {
                    let xi: T::Lanes<S> = get(simd, &class[n..2 * n][j.clone()]);
                    sum = xi.mul_add(get(simd, &class[j.clone()]), sum);
                }
                put(sum, &mut self.own[j]);
            }
        }
    }
}

impl<T: Element> ClassProducts<'_, T> {
    /// The products of `R` samples from `first` on with a register of samples.
    #[inline(always)]
    fn rows<S: Simd, const R: usize>(&mut self, simd: S, first: usize, j: Range<usize>) {
        let Sizes { n, l, .. } = self.sizes;
        let (vectors, width) = (self.sizes.vectors(), self.sizes.width());
        let (seconds, sketches) = (self.sizes.seconds(), self.sizes.sketches());
        let zero = T::Lanes::<S>::zero(simd);
        for li in 0..l {
            let own = seconds + li * n;
            let [mut xi_r, mut r_xi, mut rr] = [[zero; R]; 3];
            for class in self.xi_r.chunks_exact(width) {
                let (own_xi, own_r) = (&class[own..][..n], &class[sketches..][..n]);
                let xi: T::Lanes<S> = get(simd, &own_xi[j.clone()]);
                let r: T::Lanes<S> = get(simd, &own_r[j.clone()]);
                let (own_xi, own_r) = (&own_xi[first..][..R], &own_r[first..][..R]);
                for at in 0..R {
                    let (own_xi, own_r) =
                        (T::Lanes::<S>::splat(simd, own_xi[at]), T::Lanes::<S>::splat(simd, own_r[at]));
                    xi_r[at] = own_xi.mul_add(r, xi_r[at]);
                    r_xi[at] = own_r.mul_add(xi, r_xi[at]);
                    rr[at] = own_r.mul_add(r, rr[at]);
                }
            }
            for at in 0..R {
                let (i, block) = (first + at, li * n * n);
                put(xi_r[at], &mut self.mixed[0][block + i * n..][j.clone()]);
                put(r_xi[at], &mut self.mixed[1][block + i * n..][j.clone()]);
                put(rr[at], &mut self.rr[i * n..][j.clone()]);
            }
            for lj in 0..l {
                let mut xi_xi = [zero; R];
                for class in self.xi_r.chunks_exact(width) {
                    let xi: T::Lanes<S> = get(simd, &class[seconds + lj * n..][j.clone()]);
                    let own_xi = &class[own + first..][..R];
                    for at in 0..R {
                        xi_xi[at] = T::Lanes::<S>::splat(simd, own_xi[at]).mul_add(xi, xi_xi[at]);
                    }
                }
                for at in 0..R {
                    put(xi_xi[at], &mut self.xi_xi[(li * n + first + at) * vectors + lj * n..][j.clone()]);
                }
            }
        }
    }
}

/// Writes the derivatives with respect to [ξ̃ | ξ | r]: the way back from the coefficients.
pub(super) struct ClassesBack<'a, T> {
    pub sizes: Sizes,
    /// [ξ̃ | ξ | r], K×`width`.
    pub xi_r: &'a [T],
    /// The coefficients, laid out as the inner products are.
    pub xi_xi: &'a [T],
    pub mixed: [&'a [T]; 2],
    pub rr: &'a [T],
    pub own: &'a [T],
    /// The derivatives, K×`width`.
    pub out: &'a mut [T],
}

impl<T: Element> Kernel for ClassesBack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let Sizes { n, shape, second, .. } = self.sizes;
        let (classes, width) = (shape.classes(), self.sizes.width());
        for j in registers::<T, S>(n) {
            for four in 0..classes / 4 {
                self.rows::<S, 4>(simd, 4 * four, j.clone());
            }
            for class in classes / 4 * 4..classes {
                self.rows::<S, 1>(simd, class, j.clone());
            }
        }
        if second {
            for (class, out) in self.xi_r.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
                let (xi_second, xi) = (&class[..n], &class[n..2 * n]);
                let (second_hat, xi_hat) = out[..2 * n].split_at_mut(n);
                let out = [xi_hat, second_hat];
                map_registers!(T, S, simd, [xi, xi_second, own] = [xi, xi_second, self.own], [xi_hat, _x0] = out => {
                    [own.mul_add(xi_second, xi_hat), own * xi]
                });
            }
        }
    }
}

impl<T: Element> ClassesBack<'_, T> {
    /// The derivatives of `R` classes from `first` on and a register of samples.
    #[inline(always)]
    fn rows<S: Simd, const R: usize>(&mut self, simd: S, first: usize, j: Range<usize>) {
        let Sizes { n, l, .. } = self.sizes;
        let (vectors, width) = (self.sizes.vectors(), self.sizes.width());
        let (seconds, sketches) = (self.sizes.seconds(), self.sizes.sketches());
        let mut classes = [self.xi_r; R];
        for (at, class) in classes.iter_mut().enumerate() {
            *class = &class[(first + at) * width..][..width];
        }
        let zero = T::Lanes::<S>::zero(simd);
        let mut r_hat = [zero; R];
        for lj in 0..l {
            let mut xi_hat = [zero; R];
            for i in 0..n {
                let row = (lj * n + i) * n;
                let xi_r: T::Lanes<S> = get(simd, &self.mixed[0][row..][j.clone()]);
                let r_xi: T::Lanes<S> = get(simd, &self.mixed[1][row..][j.clone()]);
                let rr = if lj == 0 { get(simd, &self.rr[i * n..][j.clone()]) } else { zero };
                for at in 0..R {
                    let r = T::Lanes::<S>::splat(simd, classes[at][sketches + i]);
                    let xi = T::Lanes::<S>::splat(simd, classes[at][seconds + lj * n + i]);
                    xi_hat[at] = r.mul_add(r_xi, xi_hat[at]);
                    r_hat[at] = xi.mul_add(xi_r, r.mul_add(rr, r_hat[at]));
                }
                for own in (0..l).map(|l| l * n + i) {
                    let xi_xi: T::Lanes<S> = get(simd, &self.xi_xi[own * vectors + lj * n..][j.clone()]);
                    for at in 0..R {
                        let xi = T::Lanes::<S>::splat(simd, classes[at][seconds + own]);
                        xi_hat[at] = xi.mul_add(xi_xi, xi_hat[at]);
                    }
                }
            }
            for at in 0..R {
                put(xi_hat[at], &mut self.out[(first + at) * width + seconds + lj * n..][j.clone()]);
            }
        }
        for at in 0..R {
            put(r_hat[at], &mut self.out[(first + at) * width + sketches..][j.clone()]);
        }
    }
}
