//! docs/architecture.md states the order of the modules: each imports only from those before it. This reads the order and the source.

mod house;
mod imports;
mod order;
mod tokens;

use std::fs;
use std::path::Path;

use house::House;
use order::Order;

fn source() -> House {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    House::read(|file| fs::read_to_string(src.join(file)).ok())
}

fn document() -> Order {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    Order::read(&fs::read_to_string(file).expect("docs/architecture.md").replace('\r', ""))
}

/// The circle's imports, one a line.
fn describe(house: &House, circle: &[house::Import]) -> String {
    let line = |import: &house::Import| {
        format!("src/{}:{}: {}", house.modules[&import.from].file, import.line, import.written)
    };
    circle.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_floors_name_every_module() {
    let found = document().mismatches(&source());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_module_imports_from_one_after_it() {
    let (house, order) = (source(), document());
    let imports = house.imports();
    assert!(imports.len() > 500, "the scanner finds {} imports only", imports.len());
    let found: Vec<_> = imports.iter().filter_map(|import| order.objection(&house, import)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let house = source();
    if let Some(circle) = house.circle() {
        panic!("a circle:\n{}", describe(&house, &circle));
    }
}

/// A house of small files.
fn house(files: &[(&str, &str)]) -> House {
    House::read(|file| files.iter().find(|(name, _)| *name == file).map(|(_, text)| (*text).to_owned()))
}

const FLOORS: &str = "Text.\n```floors\na  b/\n    d  e\nc\n```\n";

/// What the order above objects to in a crate of modules a, b with d and e, and c.
fn objections(a: &str, d: &str, e: &str, c: &str) -> Vec<String> {
    let b = "mod d;\nmod e;";
    let house = house(&[
        ("lib.rs", "mod a; mod b; mod c; pub use c::C;"),
        ("a.rs", a),
        ("b/mod.rs", b),
        ("b/d.rs", d),
        ("b/e.rs", e),
        ("c.rs", c),
    ]);
    let order = Order::read(FLOORS);
    assert_eq!(order.mismatches(&house), <[String; 0]>::default());
    house.imports().iter().filter_map(|import| order.objection(&house, import)).collect()
}

#[test]
fn an_import_from_a_module_after_it_is_found() {
    assert_eq!(objections("", "use crate::a::A;", "use super::d::D;", "use crate::{a::A, b::e::E};"), [""; 0]);
    assert_eq!(
        objections("\nfn f() { crate::c::g() }", "", "", ""),
        ["src/a.rs:2: `crate::c::g`: a (floor `a  b/`) imports from c (floor `c`), which stands after it"]
    );
    // Within one line, and within one module.
    assert_eq!(objections("use crate::b::B;", "", "", "").len(), 1);
    assert_eq!(objections("", "use super::e::{E, F};", "", "").len(), 2);
    // Out of a module by `super`, from a macro, and by way of the root.
    assert_eq!(objections("", "use super::super::c::C;", "macro_rules! m { () => { $crate::c::C } }", "").len(), 2);
    assert_eq!(
        objections("", "", "", "use crate::C;"),
        ["src/c.rs:1: `crate::C` is imported from the root: name its module"]
    );
}

#[test]
fn an_import_of_tests_is_allowed() {
    assert_eq!(objections("#[cfg(test)]\nmod tests {\n    use crate::c::C;\n}", "", "", ""), [""; 0]);
    assert_eq!(objections("#[cfg(test)]\nmod tests;", "", "", ""), [""; 0]);
}

#[test]
fn a_name_without_module_and_a_module_without_name_are_found() {
    let house = house(&[("lib.rs", "mod a; mod b; mod f;"), ("a.rs", ""), ("b.rs", ""), ("f.rs", "")]);
    assert_eq!(
        Order::read("```floors\na  b/\nc  a\n```").mismatches(&house),
        [
            "b of crate::: a slash stands behind modules with modules in them",
            "the floors name c, which is no module of crate::",
            "the floors name a of crate:: twice",
            "the floors do not name the module f of crate::",
        ]
    );
}

#[test]
fn a_circle_is_found() {
    let files = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "use crate::b::c::C;"),
        ("b/mod.rs", "mod c; mod d;\nfn f() { d::g() }"),
        ("b/c.rs", "use super::d::D;"),
        ("b/d.rs", "mod e { use super::*; }\n#[cfg(test)] mod tests { use crate::a; }"),
    ];
    assert!(house(&files).circle().is_none());
    let mut circular = files;
    circular[4].1 = "\nuse super::B;";
    let house = house(&circular);
    let circle = house.circle().expect("b drives d, which uses an item of b");
    assert_eq!(describe(&house, &circle), "src/b/mod.rs:2: d::g\nsrc/b/d.rs:2: super::B");
}
