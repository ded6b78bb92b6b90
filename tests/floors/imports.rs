//! What a source file declares and which paths it names, outside of test code.

use crate::tokens::{Token, tokens};

/// Of one file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Modules in files of their own, `mod name;`, and whether they are for tests only.
    pub modules: Vec<(String, bool)>,
    pub paths: Vec<Named>,
}

/// A path of two segments or more, `$crate` written as `crate`, `*` for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub segments: Vec<String>,
    pub line: usize,
    /// In how many `mod name { }` within the file it stands.
    pub depth: usize,
}

/// Reads a source text.
pub fn read(text: &str) -> Source {
    let mut reader = Reader { tokens: tokens(text), at: 0, source: Source::default() };
    reader.items();
    reader.source
}

struct Reader<'t> {
    tokens: Vec<Token<'t>>,
    at: usize,
    source: Source,
}

impl<'t> Reader<'t> {
    fn text(&self, ahead: usize) -> &'t str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text)
    }

    fn starts_with(&self, texts: &[&str]) -> bool {
        texts.iter().enumerate().all(|(ahead, text)| self.text(ahead) == *text)
    }

    /// All of the file.
    fn items(&mut self) {
        // The depth of braces, and that of each module that is open.
        let (mut braces, mut modules) = (0, Vec::new());
        // Of the next item.
        let mut test_only = false;
        while self.at < self.tokens.len() {
            if self.starts_with(&["#", "["]) || self.starts_with(&["#", "!", "["]) {
                test_only |= self.attribute();
                continue;
            }
            if self.text(0) == "pub" {
                self.visibility();
                continue;
            }
            if self.text(0) == "mod" && self.text(1) != "::" {
                self.at += if self.text(1) == "$" { 2 } else { 1 };
                let name = self.text(0);
                self.at += 1;
                if self.text(0) == ";" {
                    self.source.modules.push((name.to_owned(), test_only));
                    test_only = false;
                    continue;
                }
                if !test_only && self.text(0) == "{" {
                    modules.push(braces);
                }
            }
            if test_only {
                self.skip_item();
                test_only = false;
                continue;
            }
            match self.text(0) {
                "{" => braces += 1,
                "}" => {
                    braces -= 1;
                    if modules.last() == Some(&braces) {
                        modules.pop();
                    }
                }
                // `use<'a>` says what a type captures.
                "use" if self.text(1) != "<" => {
                    self.at += 1;
                    self.use_tree(&[], modules.len());
                    continue;
                }
                _ => {
                    self.path(modules.len());
                    continue;
                }
            }
            self.at += 1;
        }
    }

    /// Passes over an attribute; whether it compiles what follows for tests only.
    fn attribute(&mut self) -> bool {
        let test_only = self.starts_with(&["#", "[", "cfg", "(", "test", ")"])
            || self.starts_with(&["#", "[", "cfg", "(", "all", "(", "test"]);
        while self.text(0) != "[" {
            self.at += 1;
        }
        self.skip_brackets();
        test_only
    }

    /// Passes over `pub`, and the path that it may be limited to, which is no import.
    fn visibility(&mut self) {
        self.at += 1;
        if self.text(0) == "(" && ["crate", "super", "self", "in"].contains(&self.text(1)) {
            self.skip_brackets();
        }
    }

    /// Passes over brackets of any kind, and all between them.
    fn skip_brackets(&mut self) {
        let mut open = 0;
        while self.at < self.tokens.len() {
            match self.text(0) {
                "(" | "[" | "{" => open += 1,
                ")" | "]" | "}" => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return;
            }
        }
    }

    /// Passes over the rest of an item: up to its semicolon or body.
    fn skip_item(&mut self) {
        while self.at < self.tokens.len() {
            match self.text(0) {
                ";" => {
                    self.at += 1;
                    return;
                }
                "{" => return self.skip_brackets(),
                "(" | "[" => self.skip_brackets(),
                _ => self.at += 1,
            }
        }
    }

    /// What follows `use`, or a comma within its braces, behind the segments `prefix`.
    fn use_tree(&mut self, prefix: &[String], depth: usize) {
        let mut segments = prefix.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        loop {
            match self.text(0) {
                "$" | "::" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while !["}", ";", ""].contains(&self.text(0)) {
                        self.use_tree(&segments, depth);
                        if self.text(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "as" => self.at += 2,
                "" | "," | "}" | ";" => break,
                segment => {
                    if segment != "self" || segments.is_empty() {
                        segments.push(segment.to_owned());
                    }
                    self.at += 1;
                }
            }
        }
        self.named(segments, line, depth);
    }

    /// A path within code, or any other token.
    fn path(&mut self, depth: usize) {
        let first = self.tokens[self.at];
        self.at += 1;
        if !first.is_word() {
            // What follows is a segment that a type stands before, or a method.
            if ["::", "."].contains(&first.text) && self.tokens.get(self.at).is_some_and(Token::is_word) {
                self.at += 1;
            }
            return;
        }
        let mut segments = vec![first.text.to_owned()];
        while self.text(0) == "::" && self.tokens.get(self.at + 1).is_some_and(Token::is_word) {
            segments.push(self.text(1).to_owned());
            self.at += 2;
        }
        self.named(segments, first.line, depth);
    }

    fn named(&mut self, segments: Vec<String>, line: usize, depth: usize) {
        if segments.len() > 1 {
            self.source.paths.push(Named { segments, line, depth });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<(String, usize, usize)> {
        read(text).paths.into_iter().map(|path| (path.segments.join("::"), path.line, path.depth)).collect()
    }

    #[test]
    fn trees_are_spread_out() {
        let found = paths("pub(crate) use crate::a::{self, b::{c, d as e}, f::*};\nuse super::g;");
        let expected =
            ["crate::a", "crate::a::b::c", "crate::a::b::d", "crate::a::f::*"].map(|path| (path.into(), 1, 0));
        assert_eq!(found[..4], expected);
        assert_eq!(found[4..], [("super::g".into(), 2, 0)]);
    }

    #[test]
    fn paths_in_code_and_macros_are_found_and_visibilities_are_not() {
        let found = paths(
            "pub(in crate::a::b) fn c() -> d::E { x.f::<G>(); <T as $crate::h::I>::J }\n// crate::k::l\nmod $m { super::n!(\"crate::o::p\") }",
        );
        let expected = [("d::E", 1, 0), ("crate::h::I", 1, 0), ("super::n", 3, 1)];
        assert_eq!(found, expected.map(|(path, line, depth)| (path.into(), line, depth)));
    }

    #[test]
    fn test_code_is_passed_over() {
        let text = "#[cfg(test)]\n#[allow(x)]\nmod tests { use crate::a::b; }\n#[cfg(all(test, unix))] fn c() { crate::d::e() }
            #[cfg(test)] use crate::f::g;\n#[cfg(any(feature = \"std\", test))] use crate::h::i;\n#[cfg(test)] mod j;\nmod k;";
        assert_eq!(paths(text), [("crate::h::i".into(), 6, 0)]);
        assert_eq!(read(text).modules, [("j".into(), true), ("k".into(), false)]);
    }
}
