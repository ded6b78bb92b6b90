//! Turns Iris into arrays for flash, standardized and mixed; on the target, passes the memory map to the linker.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    let here = env::var("CARGO_MANIFEST_DIR").unwrap();
    let out = env::var("OUT_DIR").unwrap();
    let table = Path::new(&here).join("../../data/iris.csv");
    println!("cargo::rerun-if-changed={}", table.display());
    println!("cargo::rerun-if-changed=memory.x");
    fs::write(Path::new(&out).join("iris.rs"), arrays(&fs::read_to_string(table).unwrap())).unwrap();

    if env::var("CARGO_CFG_TARGET_OS").unwrap() == "none" {
        fs::copy(Path::new(&here).join("memory.x"), Path::new(&out).join("memory.x")).unwrap();
        println!("cargo::rustc-link-search={out}");
        println!("cargo::rustc-link-arg=-Tlink.x");
    }
}

fn arrays(table: &str) -> String {
    let rows: Vec<Vec<f64>> =
        table.lines().skip(1).map(|line| line.split(',').map(|entry| entry.parse().unwrap()).collect()).collect();
    // In an order that mixes the classes: 37 and 150 have no common divisor.
    let rows: Vec<Vec<f64>> = (0..rows.len()).map(|i| rows[37 * i % rows.len()].clone()).collect();
    let (n, d) = (rows.len() as f64, rows[0].len() - 1);
    let mean: Vec<f64> = (0..d).map(|j| rows.iter().map(|row| row[j]).sum::<f64>() / n).collect();
    let deviation = |j: usize| (rows.iter().map(|row| (row[j] - mean[j]).powi(2)).sum::<f64>() / n).sqrt();
    let deviation: Vec<f64> = (0..d).map(deviation).collect();
    let mut text = format!("pub static INPUTS: [f32; {}] = [\n", rows.len() * d);
    for row in &rows {
        for j in 0..d {
            writeln!(text, "    {:?},", ((row[j] - mean[j]) / deviation[j]) as f32).unwrap();
        }
    }
    writeln!(text, "];\npub static CLASSES: [u32; {}] = [", rows.len()).unwrap();
    for row in &rows {
        writeln!(text, "    {},", row[d] as u32).unwrap();
    }
    text + "];\n"
}
