//! Polynomials and constants of the elementary functions, per number type.
//!
//! The polynomials are minimax fits by Remez' exchange in 60-digit arithmetic, with their coefficients rounded to the type
//! (where possible one by one, refitting the others). Intervals, weights and errors are noted with each.

/// What the elementary functions need to know of a number type.
pub trait Coefficients: Sized + 'static {
    /// In `z = r²`: `(cosh r − 1 − z/2)/z²` for `|r| <= ln 2 / 2`.
    const EXP_EVEN: &'static [Self];
    /// In `z = r²`: `(sinh r / r − 1)/z` for `|r| <= ln 2 / 2`.
    const EXP_ODD: &'static [Self];
    /// In `z = s²`: `(2 artanh s / s − 2)/z` for `|s| <= (√2 − 1)/(√2 + 1)`.
    const LN: &'static [Self];
    /// In `t = 2q − 1`: `ln(1 + q)/q` for `0 <= q <= 1`.
    const LN_1P: &'static [Self];
    /// In `t = (a − c)/(a + c)`, c being [`MILLS_CENTER`](Self::MILLS_CENTER): `(a + c) e^(a²/2) (1 − Φ(a))`, for `a >= 0` as far as the
    /// exponential is not 0.
    const MILLS: &'static [Self];
    /// Where the variable of that polynomial is 0: a compromise of fast convergence (large) and good conditioning (small).
    const MILLS_CENTER: Self;
    /// ln 2, to so few bits that its product with an exponent is exact.
    const LN_2_HIGH: Self;
    /// ln 2 less that.
    const LN_2_LOW: Self;
    /// 1/√2π, rounded.
    const FRAC_1_SQRT_2PI_HIGH: Self;
    /// 1/√2π less that.
    const FRAC_1_SQRT_2PI_LOW: Self;
    /// One more than the power of two that splits a product with it in halves (Veltkamp; Dekker 1971).
    const SPLIT: Self;
    /// From here down `eˣ` is taken as 0: x/ln 2 rounds to the exponent below that of the smallest normal number.
    const EXP_ZERO: Self;
    /// From here up the density of the normal distribution is 0: `−a²/2 < EXP_ZERO`.
    const DENSITY_ZERO: Self;
}

#[allow(clippy::excessive_precision)]
impl Coefficients for f32 {
    // Error 3.9e-10 relative to r.
    const EXP_EVEN: &'static [Self] = &[0.04166648, 0.0013933347];
    // Error 5.3e-11 relative to r.
    const EXP_ODD: &'static [Self] = &[0.16666667, 0.008333191, 0.00019959324];
    // Error 1.6e-9 relative to s.
    const LN: &'static [Self] = &[0.66666776, 0.3997758, 0.2987093];
    // Relative error 2.9e-8 (4.7e-9 before rounding).
    const LN_1P: &'static [Self] = &[
        0.8109302,
        -0.14426355,
        0.03315262,
        -0.008461044,
        0.0022883762,
        -0.0006424948,
        0.00018267284,
        -5.319405e-05,
        1.9720304e-05,
        -6.1243345e-06,
    ];
    // Relative error 3.3e-8 (2.0e-8 before rounding), a <= 13.3.
    const MILLS: &'static [Self] = &[
        0.672408,
        -0.33140454,
        0.028798556,
        0.03672085,
        -0.00048422138,
        -0.006746497,
        -0.0018866998,
        0.00087155716,
        0.0007150204,
        4.1321284e-05,
        -6.79646e-05,
    ];
    const MILLS_CENTER: Self = 2.0;
    const LN_2_HIGH: Self = 0.693_359_375;
    const LN_2_LOW: Self = -2.121_944_400_546_905_7e-4;
    const FRAC_1_SQRT_2PI_HIGH: Self = 0.398_942_3;
    const FRAC_1_SQRT_2PI_LOW: Self = -1.133_517e-8;
    const SPLIT: Self = 4097.0;
    const EXP_ZERO: Self = -88.0;
    const DENSITY_ZERO: Self = 14.0;
}

#[allow(clippy::excessive_precision)]
impl Coefficients for f64 {
    // Error 2.4e-17 relative to r.
    const EXP_EVEN: &'static [Self] =
        &[0.041666666666619695, 0.0013888888920634331, 2.4801516183430128e-05, 2.7622293947483554e-07];
    // Error 2.7e-19 relative to r.
    const EXP_ODD: &'static [Self] = &[
        0.16666666666666677,
        0.008333333333321452,
        0.00019841269886523188,
        2.7557243849991716e-06,
        2.5109151353917896e-08,
    ];
    // Error 2.5e-18 relative to s.
    const LN: &'static [Self] = &[
        0.6666666666666734,
        0.3999999999941653,
        0.2857142874207724,
        0.22222198597737283,
        0.18183563339633257,
        0.15314069808338232,
        0.14795807316599718,
    ];
    // Relative error 6.7e-17 (5.5e-17 before rounding).
    const LN_1P: &'static [Self] = &[
        0.8109302162163288,
        -0.14426354954966197,
        0.0331524384385568,
        -0.008461080413868931,
        0.002288240907450393,
        -0.0006421503725015126,
        0.0001849030051305767,
        -5.426089800672333e-05,
        1.615692655567813e-05,
        -4.866878363412803e-06,
        1.4799546368320966e-06,
        -4.535410261477052e-07,
        1.3970369183674998e-07,
        -4.3317130900682656e-08,
        1.378507712468648e-08,
        -4.332799641930136e-09,
        1.1188515189873914e-09,
        -3.4389476779151554e-10,
        2.2369307360088772e-10,
        -7.27733240279137e-11,
    ];
    // Relative error 1.1e-16 (5.4e-17 before rounding), a <= 37.8.
    const MILLS: &'static [Self] = &[
        0.7066566569028765,
        -0.43369214184698246,
        0.13198727850249609,
        0.009239174616204751,
        -0.016390025391648744,
        -0.0016250100045054324,
        0.002538158555013056,
        0.0007592016854342385,
        -0.00032422361823343293,
        -0.0002625427399551942,
        -1.82372454072351e-05,
        5.64145676580099e-05,
        2.946958539129714e-05,
        -8.392250187803444e-07,
        -8.516309884821213e-06,
        -4.433842539870528e-06,
        -6.294439345819339e-08,
        1.3672815658076474e-06,
        8.979855745254687e-07,
        6.728751705969344e-08,
        -2.7395299101204765e-07,
        -1.4857430115202132e-07,
        1.0826704591991944e-08,
        3.099951910737636e-08,
        7.309098670074719e-09,
    ];
    const MILLS_CENTER: Self = 2.5;
    const LN_2_HIGH: Self = 6.931_471_803_691_238_164_90e-01;
    const LN_2_LOW: Self = 1.908_214_929_270_587_7e-10;
    const FRAC_1_SQRT_2PI_HIGH: Self = 0.398_942_280_401_432_7;
    const FRAC_1_SQRT_2PI_LOW: Self = -2.492_327_202_277_73e-17;
    const SPLIT: Self = 134_217_729.0;
    const EXP_ZERO: Self = -709.0;
    const DENSITY_ZERO: Self = 39.0;
}
