//! Errors collected, and the tables made of them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::{fs, io};

use crate::Measured;
use crate::common::double::Double;
use crate::common::number::{Number, Tracked};
use crate::problems::Family;
use flatmin::{InstructionSet, Real};

/// A type, an instruction set and a quantity.
type Place = (&'static str, &'static str, Measured);

/// All errors.
#[derive(Default)]
pub struct Report {
    /// In units of ε · (sum of absolute terms).
    errors: BTreeMap<Place, Vec<f64>>,
    /// The worst of them in each family.
    families: BTreeMap<(Place, Family), f64>,
    /// Relative to the value itself, in units of ε: the worst of each family.
    relative: BTreeMap<(Family, &'static str, Measured), f64>,
}

impl Report {
    pub fn note<T: Real>(
        &mut self,
        family: Family,
        set: InstructionSet,
        what: Measured,
        given: f64,
        expected: Tracked<Double>,
    ) {
        let (distance, epsilon) = (expected.value.distance(given), T::EPSILON.to_f64());
        // Products of several factors may underflow.
        let distance = if distance <= T::MIN_POSITIVE.to_f64() { 0.0 } else { distance };
        let kind = if T::EPSILON.to_f64() == f64::EPSILON { "f64" } else { "f32" };
        let error = if distance == 0.0 { 0.0 } else { distance / (epsilon * expected.scale) };
        let place = (kind, set.name(), what);
        self.errors.entry(place).or_default().push(error);
        let most = self.families.entry((place, family)).or_default();
        *most = worst(&[*most, error]);
        // Next to where numbers underflow, the value itself is no measure.
        if distance > 0.0 && expected.value.value().abs() > T::MIN_POSITIVE.to_f64().sqrt() {
            let relative = distance / (epsilon * expected.value.value().abs());
            let worst = self.relative.entry((family, kind, what)).or_default();
            *worst = worst.max(relative);
        }
    }

    /// What exceeds its bound.
    pub fn exceeded(&self) -> Vec<String> {
        // Written so that NaN exceeds every bound.
        let all = self.families.iter().filter(|&(&((.., what), _), &worst)| worst.is_nan() || worst > what.bound());
        all.map(|(&((kind, set, what), family), worst)| {
            format!("{kind}, {set}, {}, {}: {worst:.3} exceeds {}", family.name(), what.name(), what.bound())
        })
        .collect()
    }

    /// Both tables, in Markdown.
    pub fn tables(&self) -> String {
        let mut out = String::new();
        let sets: Vec<&str> = InstructionSet::all_supported().map(InstructionSet::name).collect();
        let line = |out: &mut String, cells: &[String]| writeln!(out, "| {} |", cells.join(" | ")).expect("memory");
        for kind in ["f32", "f64"] {
            let mut head = vec![format!("{kind}, worst / median")];
            head.extend(sets.iter().map(ToString::to_string));
            head.push("bound".into());
            line(&mut out, &head);
            line(&mut out, &vec!["---".into(); head.len()]);
            for what in Measured::ALL {
                let mut row = vec![what.name().to_string()];
                for set in &sets {
                    let errors = self.errors.get(&(kind, *set, what)).map_or(&[][..], Vec::as_slice);
                    row.push(format!("{:.2} / {:.0e}", worst(errors), median(errors)));
                }
                row.push(what.bound().to_string());
                line(&mut out, &row);
            }
            out.push('\n');
        }
        out.push_str("The worst error relative to the value itself, in units of ε:\n\n");
        let shown = [Measured::Loss, Measured::Trace, Measured::TraceOfSquare, Measured::Bounds];
        let mut head = vec!["family".to_string()];
        head.extend(["f32", "f64"].iter().flat_map(|kind| shown.map(|what| format!("{kind} {}", what.name()))));
        line(&mut out, &head);
        line(&mut out, &vec!["---".into(); head.len()]);
        for family in Family::ALL {
            let mut row = vec![family.name().to_string()];
            for kind in ["f32", "f64"] {
                row.extend(
                    shown.map(|what| {
                        self.relative.get(&(family, kind, what)).map_or("–".into(), |x| format!("{x:.1}"))
                    }),
                );
            }
            line(&mut out, &row);
        }
        out
    }
}

fn worst(errors: &[f64]) -> f64 {
    errors.iter().fold(0.0, |worst, &error| if error.is_nan() || error > worst { error } else { worst })
}

fn median(errors: &[f64]) -> f64 {
    let mut sorted = errors.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Puts the tables between the marks of a file.
pub fn write(path: &str, tables: &str) -> io::Result<()> {
    const BEGIN: &str = "<!-- tables: cargo run --release --example accuracy -- --write -->\n";
    const END: &str = "<!-- end of tables -->";
    let text = fs::read_to_string(path)?;
    let marks = text.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let (head, tail) = marks.ok_or_else(|| io::Error::other("the marks of the tables are missing"))?;
    fs::write(path, format!("{head}{BEGIN}\n{tables}\n{END}{tail}"))
}
