//! Generates `include/flatmin.h`. With `--check`, fails where the one checked in is not the one generated.
//!
//! cbindgen reads functions, not macros, so the compiler expands the crate for it first.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use cbindgen::{Builder, Config, DocumentationLength, DocumentationStyle, Language, Style};

const TITLE: &str = "\
/* flatmin: training a three-layer network toward flat minima, in closed form.
 *
 * Parameters lie in memory as [W | b | V | c], row-major: W is M x D, b has M numbers, V is K x M, c has K numbers.
 * Structures and arrays are the caller's; arrays are passed with their length in elements. Nothing is allocated.
 * Every function returns a status, 0 on success, and only then has written to outputs, parameters or state; a workspace
 * may hold anything before and after. An array that is written to may overlap no other array of the same call.
 * Threads may call at once, on arrays of their own.
 *
 * Generated from src/capi by `cargo run --manifest-path tests/ffi/Cargo.toml --bin header`; do not edit. */";

/// Types of the interface, and the name of each in C.
const TYPES: [(&str, &str); 16] = [
    ("Status", "flatmin_status"),
    ("CPlan", "flatmin_plan"),
    ("CBatch_f32", "flatmin_batch_f32"),
    ("CBatch_f64", "flatmin_batch_f64"),
    ("CState_f32", "flatmin_state_f32"),
    ("CState_f64", "flatmin_state_f64"),
    ("CEvaluation", "flatmin_evaluation"),
    ("CBounds", "flatmin_bounds"),
    ("CCurvature", "flatmin_curvature"),
    ("CStep", "flatmin_step"),
    ("CSgd", "flatmin_sgd"),
    ("CSam", "flatmin_sam"),
    ("CHsr", "flatmin_hsr"),
    ("CSampling", "flatmin_sampling"),
    ("CAverages", "flatmin_averages"),
    ("CEstimate", "flatmin_estimate"),
];

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the project's folder")?;
    let place = root.join("include/flatmin.h");
    let header = generate(root)?;
    match env::args().nth(1).as_deref() {
        None => fs::write(&place, header).with_context(|| place.display().to_string()),
        Some("--check") => {
            let checked_in = fs::read_to_string(&place).with_context(|| place.display().to_string())?;
            ensure!(header == checked_in, "include/flatmin.h is stale: run this program without --check");
            Ok(())
        }
        Some(other) => bail!("{other}: unknown argument, expected --check or none"),
    }
}

fn generate(root: &Path) -> Result<String> {
    let expanded = root.join("target/ffi/expanded.rs");
    fs::create_dir_all(root.join("target/ffi"))?;
    let output = Command::new(env!("CARGO"))
        .args(["rustc", "--quiet", "--lib", "--features", "capi", "--", "-Zunpretty=expanded"])
        .current_dir(root)
        .env("RUSTC_BOOTSTRAP", "1")
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::write(&expanded, interface(&String::from_utf8(output.stdout)?)?)?;

    let mut config = Config {
        language: Language::C,
        header: Some(TITLE.into()),
        include_guard: Some("FLATMIN_H".into()),
        cpp_compat: true,
        no_includes: true,
        sys_includes: ["stdbool.h", "stddef.h", "stdint.h"].map(String::from).into(),
        documentation_style: DocumentationStyle::C99,
        documentation_length: DocumentationLength::Full,
        usize_is_size_t: true,
        style: Style::Both,
        line_length: 120,
        tab_width: 4,
        ..Config::default()
    };
    config.enumeration.prefix_with_name = true;
    config.enumeration.rename_variants = cbindgen::RenameRule::ScreamingSnakeCase;
    config.export.rename = TYPES.iter().map(|&(own, name)| (own.into(), name.into())).collect();
    let bindings = Builder::new().with_config(config).with_src(&expanded).generate()?;
    let mut header = Vec::new();
    bindings.write(&mut header);
    Ok(String::from_utf8(header)?)
}

/// The module `capi` of the expanded crate, without what is promised of pointers: the header says it once.
fn interface(expanded: &str) -> Result<String> {
    let mut lines = expanded.lines().skip_while(|line| *line != "pub mod capi {");
    ensure!(lines.next().is_some(), "no module capi in the expanded crate");
    let (mut kept, mut safety) = (Vec::new(), false);
    for line in lines.take_while(|line| *line != "}") {
        let doc = line.trim_start().strip_prefix("///");
        if doc == Some(" # Safety") {
            safety = true;
            kept.pop_if(|before: &mut &str| before.trim_start() == "///");
        }
        safety &= doc.is_some();
        if !safety {
            kept.push(line);
        }
    }
    Ok(kept.join("\n"))
}
