//! The C header, read back: what modules in other languages are generated from.

use anyhow::{Context, Result, bail, ensure};

/// A type that the interface uses.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    Size,
    U32,
    U64,
    I32,
    F32,
    F64,
    Char,
    Structure(String),
    Pointer { to: Box<Type>, constant: bool },
}

impl Type {
    fn parse(text: &str) -> Result<Self> {
        if let Some(to) = text.strip_suffix('*') {
            let (to, constant) = match to.trim().strip_prefix("const ") {
                Some(to) => (to, true),
                None => (to.trim(), false),
            };
            return Ok(Self::Pointer { to: Box::new(Self::parse(to)?), constant });
        }
        Ok(match text.trim() {
            "size_t" => Self::Size,
            "uint32_t" => Self::U32,
            "uint64_t" => Self::U64,
            "int32_t" | "flatmin_status" => Self::I32,
            "float" => Self::F32,
            "double" => Self::F64,
            "char" => Self::Char,
            other => match other.strip_prefix("struct ") {
                Some(name) => Self::Structure(name.into()),
                None => bail!("{other:?}: a type that no other language has a name for yet"),
            },
        })
    }

    /// Bytes, and alignment, where addresses have 64 bits.
    fn bytes(&self) -> usize {
        match self {
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::Char => 1,
            _ => 8,
        }
    }
}

/// A field or an argument.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    pub name: String,
    pub of: Type,
}

impl Named {
    /// From `const float *inputs`.
    fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let start = text.rfind(|c: char| !c.is_alphanumeric() && c != '_').context("a declaration of one word")? + 1;
        Ok(Self { name: text[start..].into(), of: Type::parse(&text[..start])? })
    }
}

pub struct Structure {
    pub name: String,
    pub fields: Vec<Named>,
}

impl Structure {
    /// Bytes, where addresses have 64 bits.
    pub fn bytes(&self) -> usize {
        let end = self.fields.iter().fold(0, |end: usize, field| {
            let bytes = field.of.bytes();
            end.next_multiple_of(bytes) + bytes
        });
        end.next_multiple_of(8)
    }
}

pub struct Function {
    pub name: String,
    pub result: Type,
    pub arguments: Vec<Named>,
}

impl Function {
    /// Whether the argument at this index is an array: one whose length follows.
    pub fn is_array(&self, index: usize) -> bool {
        let [one, next] = [index, index + 1].map(|index| self.arguments.get(index));
        match (one, next) {
            (Some(one), Some(next)) => next.name == format!("{}_len", one.name) || one.name == "buffer",
            _ => false,
        }
    }
}

/// All that the header declares, in its order.
pub struct Interface {
    /// Constants, statuses among them.
    pub constants: Vec<(String, u32)>,
    pub structures: Vec<Structure>,
    pub functions: Vec<Function>,
}

impl Interface {
    pub fn parse(header: &str) -> Result<Self> {
        let (mut constants, mut structures, mut functions) = (Vec::new(), Vec::new(), Vec::new());
        let code = header.lines().map(|line| line.split("//").next().unwrap_or("").trim_end());
        let mut lines = code.skip_while(|line| !line.starts_with("#include"));
        while let Some(line) = lines.next() {
            if let Some(constant) = line.strip_prefix("#define FLATMIN_") {
                let (name, code) = constant.split_once(' ').context("a constant without a code")?;
                constants.push((format!("FLATMIN_{name}"), code.parse()?));
            } else if let Some((name, code)) = line.trim().split_once(" = ")
                && name.starts_with("FLATMIN_STATUS_")
            {
                constants.push((name.into(), code.trim_end_matches(',').parse()?));
            } else if let Some(name) = line.strip_prefix("typedef struct ") {
                let name = name.trim_end_matches(" {").to_owned();
                let fields: Result<_> = lines
                    .by_ref()
                    .take_while(|line| !line.starts_with('}'))
                    .filter(|line| !line.is_empty())
                    .map(|line| Named::parse(line.trim_end_matches(';')))
                    .collect();
                structures.push(Structure { fields: fields.with_context(|| name.clone())?, name });
            } else if let Some((head, _)) = line.split_once('(')
                && head.contains("flatmin_")
            {
                let mut declaration = line.to_owned();
                while !declaration.ends_with(");") {
                    declaration += lines.next().context("a declaration without an end")?;
                }
                let (head, arguments) = declaration.split_once('(').context("no arguments")?;
                let Named { name, of: result } = Named::parse(head)?;
                let arguments = arguments.trim_end_matches(");").split(',').map(str::trim);
                let arguments =
                    arguments.filter(|argument| *argument != "void").map(Named::parse).collect::<Result<_>>();
                functions.push(Function { arguments: arguments.with_context(|| name.clone())?, name, result });
            }
        }
        ensure!(!(constants.is_empty() || structures.is_empty() || functions.is_empty()), "an empty interface");
        Ok(Self { constants, structures, functions })
    }
}

/// A name without the number type at its end, and whether it had one.
pub fn generic(name: &str) -> (&str, bool) {
    match name.strip_suffix("_f32").or(name.strip_suffix("_f64")) {
        Some(stem) => (stem, true),
        None => (name, false),
    }
}
