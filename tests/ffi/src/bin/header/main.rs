//! Generates `include/flatmin.h` from `src/capi`, and from that the Fortran module `include/flatmin.f90` and the Python module
//! `tests/ffi/python/interface.py`. With `--check`, fails where one checked in is not the one generated.
//!
//! cbindgen reads functions, not macros, so the compiler expands the crate for it first.

mod ascii;
mod fortran;
mod interface;
mod python;

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
 * Every function that can fail returns a status, 0 on success, and only then has written to outputs, parameters or state;
 * flatmin_dense_hessian_f32 and _f64 also where they overflow. A workspace may hold anything before and after. Memory that
 * is written to may overlap no other memory of the same call. Threads may call at once, on arrays of their own.
 *
 * Every structure begins with its size: flatmin_plan_init() and so on make one with its size, and zeros in all other
 * fields. Later versions add fields at the end of structures, whose zero means what was before; programs and libraries of
 * different versions go together where no unknown field is set.
 *
 * Generated from src/capi by `cargo run --manifest-path tests/ffi/Cargo.toml --bin header`; do not edit. */";

/// Types of the interface, and the name of each in C.
const TYPES: [(&str, &str); 11] = [
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
    ("COptimizer", "flatmin_optimizer"),
];

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the project's folder")?;
    let header = generate(root)?;
    let interface = interface::Interface::parse(&header)?;
    let files = [
        ("include/flatmin.h", with_initialisers(&header, &interface)?),
        ("include/flatmin.f90", fortran::module(&interface)),
        ("tests/ffi/python/interface.py", python::module(&interface)),
    ];
    let check = match env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => bail!("{other}: unknown argument, expected --check or none"),
    };
    for (name, text) in files {
        let place = root.join(name);
        if check {
            let checked_in = fs::read_to_string(&place).with_context(|| name.to_owned())?;
            ensure!(text == checked_in, "{name} is stale: run this program without --check");
        } else {
            fs::write(&place, text).with_context(|| name.to_owned())?;
        }
    }
    Ok(())
}

/// The header with a function for every structure that makes one. Those are the program's, not the library's: its header knows the size.
fn with_initialisers(header: &str, interface: &interface::Interface) -> Result<String> {
    let mut functions = "// One of each structure with its size, and zeros in all other fields.\n\n".to_owned();
    for structure in &interface.structures {
        let name = &structure.name;
        functions += &format!(
            "static inline struct {name} {name}_init(void) {{\n    struct {name} made;\n    memset(&made, 0, sizeof made);\n    \
             made.size = sizeof made;\n    return made;\n}}\n\n"
        );
    }
    let start = header.find("#ifdef __cplusplus\nextern").context("no functions in the header")?;
    Ok(header[..start].to_owned() + &functions + &header[start..])
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
        sys_includes: ["stddef.h", "stdint.h", "string.h"].map(String::from).into(),
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
    ascii::ascii(&String::from_utf8(header)?)
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
