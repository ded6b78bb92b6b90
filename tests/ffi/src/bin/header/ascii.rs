//! Formulas in ASCII: a header has to be readable in any encoding.

use anyhow::{Result, bail};

/// What stands for a character. A word is set apart from letters and digits beside it.
const WORDS: [(char, &str); 18] = [
    ('α', "alpha"),
    ('β', "beta"),
    ('γ', "gamma"),
    ('η', "eta"),
    ('θ', "theta"),
    ('λ', "lambda"),
    ('μ', "mu"),
    ('ρ', "rho"),
    ('σ', "sigma"),
    ('φ', "phi"),
    ('ν', "nu"),
    ('Λ', "Lambda"),
    ('Φ', "Phi"),
    ('π', "pi"),
    ('Σ', "sum"),
    ('∇', "grad"),
    ('×', "x"),
    ('←', "<-"),
];

const SIGNS: [(char, &str); 9] = [
    ('−', "-"),
    ('–', "-"),
    ('·', "*"),
    ('≥', ">="),
    ('≤', "<="),
    ('‖', "|"),
    ('…', "..."),
    ('√', "sqrt "),
    ('±', "+-"),
];

/// Superscripts, which follow one `^`.
const RAISED: [(char, char); 13] = [
    ('⁰', '0'),
    ('¹', '1'),
    ('²', '2'),
    ('³', '3'),
    ('⁴', '4'),
    ('⁵', '5'),
    ('⁶', '6'),
    ('⁷', '7'),
    ('⁸', '8'),
    ('⁹', '9'),
    ('⁻', '-'),
    ('ᵘ', 'u'),
    ('ᵗ', 't'),
];

/// Subscripts, which follow the symbol at once.
const LOWERED: [(char, char); 2] = [('₁', '1'), ('₂', '2')];

/// The text in ASCII, or an error for a character that has nothing to stand for it.
pub fn ascii(text: &str) -> Result<String> {
    let (mut out, mut raised, mut after_word) = (String::with_capacity(text.len()), false, false);
    for c in text.chars() {
        if let Some((_, digit)) = RAISED.iter().find(|(from, _)| *from == c) {
            if !raised {
                out.push('^');
            }
            out.push(*digit);
            (raised, after_word) = (true, false);
            continue;
        }
        if let Some((_, digit)) = LOWERED.iter().find(|(from, _)| *from == c) {
            out.push(*digit);
            (raised, after_word) = (false, false);
            continue;
        }
        let word = WORDS.iter().find(|(from, _)| *from == c).map(|(_, word)| *word);
        let apart =
            if word.is_some() { out.ends_with(char::is_alphanumeric) } else { after_word && c.is_alphanumeric() };
        if apart {
            out.push(' ');
        }
        match (word, SIGNS.iter().find(|(from, _)| *from == c)) {
            (Some(word), _) => out.push_str(word),
            (_, Some((_, sign))) => out.push_str(sign),
            _ if c.is_ascii() => out.push(c),
            _ => bail!("nothing stands for {c:?} in ASCII: see {}", file!()),
        }
        (raised, after_word) = (false, word.is_some());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_readable() {
        for (formula, expected) in [
            ("v ← μv + d + νθ, θ ← θ − ηv", "v <- mu v + d + nu theta, theta <- theta - eta v"),
            ("HSR takes ∇L + ρ∇Λ/‖∇Λ‖", "HSR takes grad L + rho grad Lambda/|grad Lambda|"),
            ("α, in [2⁻²⁰, 1]; N×D; Λ ≥ λ_max; tr H²", "alpha, in [2^-20, 1]; N x D; Lambda >= lambda_max; tr H^2"),
            ("β₂ second + (1 − β₁ᵗ) g²", "beta2 second + (1 - beta1^t) g^2"),
            ("L = −(1/N) Σ Σ y log p", "L = -(1/N) sum sum y log p"),
        ] {
            assert_eq!(ascii(formula).unwrap(), expected);
        }
        assert!(ascii("ß").is_err());
    }
}
