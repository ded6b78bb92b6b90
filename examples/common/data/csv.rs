//! The CSV files of the embedded data sets: numbers, the class last.

use std::io::Read;

use ::csv::{ReaderBuilder, StringRecord};
use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;

use super::Samples;

/// What a file's first line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Already data.
    None,
    /// Number of samples, number of inputs, names of the classes.
    Counts,
}

pub fn read_gzip(bytes: &[u8], head: Head) -> Result<Samples> {
    read(GzDecoder::new(bytes), head)
}

/// Reads all rows; checks them against the head, if there is one, and against each other.
pub fn read(bytes: impl Read, head: Head) -> Result<Samples> {
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut records = reader.records();
    let counts = match head {
        Head::None => None,
        Head::Counts => {
            let record = records.next().context("no first line")?.context("first line")?;
            Some([number::<usize>(&record, 0)?, number(&record, 1)?])
        }
    };
    let mut samples = Samples::default();
    let mut width = counts.map(|[_, inputs]| inputs);
    for record in records {
        let record = record?;
        let inputs = record.len() - 1;
        let expected = *width.get_or_insert(inputs);
        ensure!(inputs == expected && inputs > 0, "{}: {inputs} inputs, expected {expected}", place(&record));
        let row = (0..inputs).map(|column| number(&record, column)).collect::<Result<Vec<f64>>>()?;
        // Some files write the class as a floating-point number.
        let class: f64 = number(&record, inputs)?;
        if class.fract() != 0.0 || !(0.0..f64::from(u16::MAX)).contains(&class) {
            bail!("{}: class {class} is no small whole number", place(&record));
        }
        samples.push(&row, class as u32);
    }
    let expected = counts.map_or(samples.len(), |[samples, _]| samples);
    ensure!(samples.len() == expected && expected > 0, "{} samples, expected {expected}", samples.len());
    Ok(samples)
}

fn number<T: std::str::FromStr>(record: &StringRecord, column: usize) -> Result<T> {
    let text = record.get(column).with_context(|| format!("{}: no column {}", place(record), column + 1))?;
    match text.trim().parse() {
        Ok(number) => Ok(number),
        Err(_) => bail!("{}, column {}: {text:?} is no number", place(record), column + 1),
    }
}

fn place(record: &StringRecord) -> String {
    record.position().map_or_else(|| "some line".into(), |position| format!("line {}", position.line()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str, head: Head) -> String {
        format!("{:#}", read(text.as_bytes(), head).unwrap_err())
    }

    #[test]
    fn rows_are_read_with_and_without_a_head() {
        let expected = Samples { inputs: vec![1.5, -2.0, 0.0, 4e-3], classes: vec![1, 0] };
        assert_eq!(read("2,2,no,yes\n1.5,-2,1\n0,4e-3,0\n".as_bytes(), Head::Counts).unwrap(), expected);
        assert_eq!(read("1.5,-2,1\n0,4e-3,0.0e+00\n".as_bytes(), Head::None).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(message("3,2,no,yes\n1,2,1\n", Head::Counts), "1 samples, expected 3");
        assert_eq!(message("1,2,1\n1,2,3,1\n", Head::None), "line 2: 3 inputs, expected 2");
        assert_eq!(message("1,two,1\n", Head::None), "line 1, column 2: \"two\" is no number");
        assert_eq!(message("1,2,0.5\n", Head::None), "line 1: class 0.5 is no small whole number");
        assert_eq!(message("", Head::Counts), "no first line");
    }
}
