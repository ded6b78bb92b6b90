//! docs/unsafe.md lists every unsafe block and function of the crate.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(directory: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(path);
        }
    }
}

/// The source without what follows `//`, as far as it is not within a string; so much is enough for this crate.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// Unsafe blocks and unsafe functions.
fn count(text: &str) -> [usize; 2] {
    let code = code(text);
    let mut words = code.split_whitespace().peekable();
    let (mut blocks, mut functions) = (0, 0);
    while let Some(word) = words.next() {
        // `unsafe { x }` may stand behind an opening parenthesis, or follow the bar of a closure.
        let Some(before) = word.strip_suffix("unsafe") else { continue };
        if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        match words.peek().copied().unwrap_or("") {
            next if next.starts_with('{') => blocks += 1,
            "extern" | "fn" => functions += 1,
            // The type of a function: whoever calls it has a block.
            next if next.starts_with("fn(") => {}
            next => panic!("`unsafe {next}` is neither a block nor a function: the inventory has no column for it"),
        }
    }
    [blocks, functions]
}

#[test]
fn blocks_and_functions_are_told_apart() {
    let text = "
        pub unsafe fn one() { unsafe { two() } } // unsafe { comment }
        unsafe extern \"C\" fn three() { call(unsafe { four() }); guard(|| unsafe { five() }) }
        #[unsafe(no_mangle)] fn six() {}
        type Seven = unsafe fn(usize) -> usize;";
    assert_eq!(count(text), [3, 2]);
}

#[test]
fn the_inventory_is_true() {
    let mut all = Vec::new();
    sources(&root().join("src"), &mut all);
    let found: BTreeMap<String, [usize; 2]> = all
        .iter()
        .map(|path| {
            let name = path.strip_prefix(root()).expect("below the root").to_str().expect("a name").replace('\\', "/");
            (name, count(&fs::read_to_string(path).expect("a source")))
        })
        .filter(|(_, counts)| *counts != [0, 0])
        .collect();
    let table = fs::read_to_string(root().join("docs/unsafe.md")).expect("the inventory");
    let listed: BTreeMap<String, [usize; 2]> = table
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix("| src/")?.split('|').map(str::trim).collect();
            let [file, blocks, functions, argument, ""] = cells[..] else { panic!("{line:?} has not four cells") };
            assert!(!argument.is_empty(), "{file} has no argument");
            let numbers = [blocks, functions].map(|cell| cell.parse().expect("a number"));
            Some((format!("src/{file}"), numbers))
        })
        .collect();
    for (file, counts) in &found {
        let listed = listed.get(file).copied().unwrap_or_default();
        assert_eq!(listed, *counts, "docs/unsafe.md on {file}: [blocks, functions] listed, and found");
    }
    for file in listed.keys() {
        assert!(found.contains_key(file), "docs/unsafe.md lists {file}, which has no unsafe code");
    }
}
