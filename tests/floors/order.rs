//! The floors as docs/architecture.md states them: which module may import which.

use std::collections::BTreeMap;

use crate::house::{House, Import, Path, child};

/// A module's place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    name: String,
    /// Written with a slash: a module with modules in it.
    directory: bool,
    /// The line of the block that it stands on.
    floor: String,
}

/// The modules within each module whose order is stated, from the first.
#[derive(Debug)]
pub struct Order {
    within: BTreeMap<Path, Vec<Place>>,
}

impl Order {
    /// From the block of a document that begins with ```` ```floors ````: a line a floor, the order within a module on lines that stand four
    /// spaces deeper, behind the line that ends with it.
    pub fn read(document: &str) -> Self {
        let mut lines = document.lines().skip_while(|line| *line != "```floors");
        lines.next().expect("a code block `floors`");
        let mut within = BTreeMap::<Path, Vec<Place>>::new();
        // The last module of the latest line of each depth.
        let mut last: Vec<String> = Vec::new();
        for line in lines.take_while(|line| *line != "```").filter(|line| !line.trim().is_empty()) {
            let depth = (line.len() - line.trim_start().len()) / 4;
            assert!(depth <= last.len(), "{line:?} stands too deep");
            last.truncate(depth);
            let places = within.entry(last.clone()).or_default();
            for name in line.split_whitespace() {
                let directory = name.ends_with('/');
                let name = name.trim_end_matches('/').to_owned();
                places.push(Place { name, directory, floor: line.trim().to_owned() });
            }
            last.push(places.last().expect("a name").name.clone());
        }
        Self { within }
    }

    /// Where the block names what is no module, or does not name what is one.
    pub fn mismatches(&self, house: &House) -> Vec<String> {
        let mut found = Vec::new();
        for (parent, places) in &self.within {
            let (children, inside) = (house.children(parent), format!("crate::{}", parent.join("::")));
            for (at, place) in places.iter().enumerate() {
                let Place { name, directory, .. } = place;
                if places[..at].iter().any(|earlier| earlier.name == *name) {
                    found.push(format!("the floors name {name} of {inside} twice"));
                } else if !children.contains(&name.as_str()) {
                    found.push(format!("the floors name {name}, which is no module of {inside}"));
                } else if *directory == house.children(&child(parent, name)).is_empty() {
                    found.push(format!("{name} of {inside}: a slash stands behind modules with modules in them"));
                }
            }
            let named = |child: &&&str| places.iter().any(|place| place.name == **child);
            let missing = children.iter().filter(|child| !named(child));
            found.extend(missing.map(|child| format!("the floors do not name the module {child} of {inside}")));
        }
        found
    }

    /// What is wrong with an import, if anything is.
    pub fn objection(&self, house: &House, import: &Import) -> Option<String> {
        let Import { from, to, line, written } = import;
        if from.is_empty() {
            return None;
        }
        let file = &house.modules[from].file;
        if to.is_empty() {
            return Some(format!("src/{file}:{line}: `{written}` is imported from the root: name its module"));
        }
        let shared = from.iter().zip(to).take_while(|(from, to)| from == to).count();
        let places = self.within.get(&from[..shared])?;
        let place = |path: &Path| places.iter().position(|place| path.get(shared) == Some(&place.name));
        let (upper, lower) = (place(from)?, place(to)?);
        (upper < lower).then(|| {
            let [own, other] = [upper, lower].map(|at| format!("{} (floor `{}`)", places[at].name, places[at].floor));
            format!("src/{file}:{line}: `{written}`: {own} imports from {other}, which stands after it")
        })
    }
}
