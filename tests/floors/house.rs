//! All modules of the crate, and which of them import which.

use std::collections::BTreeMap;

use crate::imports::{self, Named, Source};

/// A module by its path from the root, which is empty.
pub type Path = Vec<String>;

/// A module in a file of its own.
#[derive(Debug)]
pub struct Module {
    pub file: String,
    source: Source,
}

/// A module that names another, or what is in it.
#[derive(Clone, Debug)]
pub struct Import {
    pub from: Path,
    pub to: Path,
    pub line: usize,
    /// As it is written.
    pub written: String,
}

#[derive(Debug)]
pub struct House {
    pub modules: BTreeMap<Path, Module>,
}

impl House {
    /// From the texts of files, `lib.rs` first, by their names below `src/`. Modules for tests only are left out.
    pub fn read(text: impl Fn(&str) -> Option<String>) -> Self {
        let mut house = Self { modules: BTreeMap::new() };
        let mut open = vec![(Path::new(), "lib.rs".to_owned(), String::new())];
        while let Some((path, file, directory)) = open.pop() {
            let source = imports::read(&text(&file).unwrap_or_else(|| panic!("no file {file}")));
            for (name, _) in source.modules.iter().filter(|(_, test_only)| !test_only) {
                let inside = format!("{directory}{name}/");
                let files = [format!("{directory}{name}.rs"), format!("{inside}mod.rs")];
                let file = files.into_iter().find(|file| text(file).is_some());
                let file = file.unwrap_or_else(|| panic!("no file of the module {inside}"));
                open.push((child(&path, name), file, inside));
            }
            house.modules.insert(path, Module { file, source });
        }
        house
    }

    /// The modules declared by a module, by name.
    pub fn children(&self, parent: &[String]) -> Vec<&str> {
        let inside = |path: &&Path| path.len() == parent.len() + 1 && path.starts_with(parent);
        self.modules.keys().filter(inside).map(|path| path[parent.len()].as_str()).collect()
    }

    /// All imports of one module from another, in the order of files.
    pub fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (from, module) in &self.modules {
            for named in &module.source.paths {
                if let Some(to) = self.target(from, named).filter(|to| to != from) {
                    let written = named.segments.join("::");
                    imports.push(Import { from: from.clone(), to, line: named.line, written });
                }
            }
        }
        imports
    }

    /// The module that a path leads to, or whose item it names; nothing for a path into another crate, or to the file's own items.
    fn target(&self, from: &[String], named: &Named) -> Option<Path> {
        let segments = &named.segments;
        let up = segments.iter().take_while(|segment| *segment == "super").count();
        let (mut to, rest) = match segments[0].as_str() {
            "crate" => (Path::new(), &segments[1..]),
            "super" if up < named.depth => return None,
            "super" => (from[..from.len() - (up - named.depth)].to_vec(), &segments[up..]),
            "self" if named.depth > 0 => return None,
            "self" => (from.to_vec(), &segments[1..]),
            first if self.modules.contains_key(&child(from, first)) => (from.to_vec(), &segments[..]),
            _ => return None,
        };
        for segment in rest {
            let inside = child(&to, segment);
            if !self.modules.contains_key(&inside) {
                break;
            }
            to = inside;
        }
        Some(to)
    }

    /// Files that import each other in a circle, each with the import that leads to the next; nothing, if there is no circle.
    pub fn circle(&self) -> Option<Vec<Import>> {
        let mut edges = BTreeMap::<Path, BTreeMap<Path, Import>>::new();
        for import in self.imports() {
            edges.entry(import.from.clone()).or_default().entry(import.to.clone()).or_insert(import);
        }
        // What imports nothing that is left is in no circle.
        loop {
            let left: Vec<Path> = edges.keys().cloned().collect();
            edges.values_mut().for_each(|to| to.retain(|to, _| left.contains(to)));
            edges.retain(|_, to| !to.is_empty());
            if edges.len() == left.len() {
                break;
            }
        }
        // The shortest one.
        edges.keys().filter_map(|start| shortest_way_back(&edges, start)).min_by_key(Vec::len)
    }
}

/// The shortest way from a module back to itself.
fn shortest_way_back(edges: &BTreeMap<Path, BTreeMap<Path, Import>>, start: &Path) -> Option<Vec<Import>> {
    let mut reached = BTreeMap::<&Path, &Import>::new();
    let mut open = vec![start];
    while !open.is_empty() && !reached.contains_key(start) {
        let mut next = Vec::new();
        for (to, import) in open.into_iter().filter_map(|from| edges.get(from)).flatten() {
            if !reached.contains_key(to) {
                reached.insert(to, import);
                next.push(to);
            }
        }
        open = next;
    }
    let mut way = vec![(*reached.get(start)?).clone()];
    while way[0].from != *start {
        way.insert(0, reached[&way[0].from].clone());
    }
    Some(way)
}

/// The path of a module within another.
pub fn child(parent: &[String], name: &str) -> Path {
    parent.iter().cloned().chain([name.to_owned()]).collect()
}
