//! Polynomials and constants of the elementary functions, per number type.
//!
//! The polynomials are minimax fits by Remez' exchange in 60-digit arithmetic, with their coefficients rounded to the type (where
//! possible one by one, with the others fitted again). Where the last digit depends on the constant term, it is kept in two parts.
//! Intervals, weights and errors stand beside each.

/// What the elementary functions take from a number type.
pub trait Coefficients: Sized + 'static {
    /// In `z = r²`: `(cosh r − 1 − z/2)/z²` for `|r| <= ln 2 / 2`.
    const EXP_EVEN: &'static [Self];
    /// In `z = r²`: `(sinh r / r − 1)/z` for `|r| <= ln 2 / 2`.
    const EXP_ODD: &'static [Self];
    /// In `z = s²`: `(2 artanh s / s − 2)/z` for `|s| <= (√2 − 1)/(√2 + 1)`.
    const LN: &'static [Self];
    /// In `t = 2q − 1`: `ln(1 + q)/q` for `0 <= q <= 1`.
    const LN_1P: &'static [Self];
    /// The rounding error of the constant term of that polynomial.
    const LN_1P_LOW: Self;
    /// In `t = (a − c)/(a + c)`, c being [`MILLS_CENTER`](Self::MILLS_CENTER): `(a + c) e^(a²/2) (1 − Φ(a))`, for `a >= 0` up to where
    /// the exponential is 0.
    const MILLS: &'static [Self];
    /// The rounding error of the constant term of that polynomial.
    const MILLS_LOW: Self;
    /// The number at which the variable of that polynomial is 0: a compromise of fast convergence (large) and good conditioning (small).
    const MILLS_CENTER: Self;
    /// ln 2, rounded to few enough bits that its product with an exponent is exact.
    const LN_2_HIGH: Self;
    /// The rest of ln 2.
    const LN_2_LOW: Self;
    /// The density of the normal distribution at 0, rounded.
    const FRAC_1_SQRT_2PI_HIGH: Self;
    /// The rest of that.
    const FRAC_1_SQRT_2PI_LOW: Self;
    /// One more than the power of two by which Veltkamp's method splits a number in halves (Dekker 1971).
    const SPLIT: Self;
    /// For this x and all smaller ones `eˣ` is taken as 0: x/ln 2 rounds to the exponent below that of the smallest normal number.
    const EXP_ZERO: Self;
    /// For this a and all larger ones the density of the normal distribution is 0: `−a²/2 < EXP_ZERO`.
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
    // Relative error 4.9e-9.
    const LN_1P: &'static [Self] = &[
        0.8109302,
        -0.14426355,
        0.03315226,
        -0.008460996,
        0.0022896733,
        -0.00064273836,
        0.00018094324,
        -5.2820415e-05,
        2.0489713e-05,
        -6.303811e-06,
    ];
    const LN_1P_LOW: Self = 2.7536917e-08;
    // Relative error 3.8e-9, a <= 13.3.
    const MILLS: &'static [Self] = &[
        0.672408,
        -0.33140448,
        0.028797386,
        0.036719464,
        -0.00046997942,
        -0.0067349775,
        -0.001950417,
        0.0008250779,
        0.00083428866,
        0.00013063446,
        -0.00014761489,
        -6.405413e-05,
    ];
    const MILLS_LOW: Self = 2.0024876e-08;
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
    // Relative error 5.8e-17.
    const LN_1P: &'static [Self] = &[
        0.8109302162163288,
        -0.14426354954966197,
        0.033152438438559834,
        -0.00846108041386981,
        0.0022882409073966777,
        -0.0006421503724809119,
        0.00018490300556258255,
        -5.426089818533373e-05,
        1.6156924674751813e-05,
        -4.866877575620024e-06,
        1.479959446025296e-06,
        -4.535430181248885e-07,
        1.396962615254256e-07,
        -4.3314117382561445e-08,
        1.3791898284940551e-08,
        -4.335498080998803e-09,
        1.1154276229098122e-09,
        -3.425749052714552e-10,
        2.2441658607306636e-10,
        -7.304519423509493e-11,
    ];
    const LN_1P_LOW: Self = -5.01659380611027e-17;
    // Relative error 5.8e-17, a <= 37.8.
    const MILLS: &'static [Self] = &[
        0.7066566569028765,
        -0.43369214184698257,
        0.13198727850249056,
        0.009239174616212384,
        -0.016390025391466057,
        -0.0016250100046895511,
        0.0025381585522182945,
        0.0007592016876412144,
        -0.00032422359430596306,
        -0.0002625427551987451,
        -1.8237372045748716e-05,
        5.6414633135562545e-05,
        2.947002325704631e-05,
        -8.394068964878036e-07,
        -8.517327087866532e-06,
        -4.43351147886313e-06,
        -6.13456659835138e-08,
        1.3668910175819522e-06,
        8.963104139287345e-07,
        6.75734983155911e-08,
        -2.728340637812156e-07,
        -1.4869153128478355e-07,
        1.0396844925525999e-08,
        3.1019849855217175e-08,
        7.381111452040385e-09,
    ];
    const MILLS_LOW: Self = 4.9117190777136495e-17;
    const MILLS_CENTER: Self = 2.5;
    const LN_2_HIGH: Self = 6.931_471_803_691_238_164_90e-01;
    const LN_2_LOW: Self = 1.908_214_929_270_587_7e-10;
    const FRAC_1_SQRT_2PI_HIGH: Self = 0.398_942_280_401_432_7;
    const FRAC_1_SQRT_2PI_LOW: Self = -2.492_327_202_277_73e-17;
    const SPLIT: Self = 134_217_729.0;
    const EXP_ZERO: Self = -709.0;
    const DENSITY_ZERO: Self = 39.0;
}
