//! Constants, structures and functions as a Python module for ctypes.

use flatmin::{Activation, Initialization};

use crate::interface::{Interface, Named, Type, generic};

const HEAD: &str = r#""""The C interface for ctypes: constants, structures, functions.

Generated with include/flatmin.h by `cargo run --manifest-path tests/ffi/Cargo.toml --bin header`; do not edit.
"""

import ctypes as c


class Structure(c.Structure):
    """Initialised with its size, and zeros for what is not given."""

    def __init__(self, **fields):
        super().__init__(size=c.sizeof(self), **fields)

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)}' for name, _ in self._fields_)})"

"#;

pub fn module(from: &Interface) -> String {
    let mut out = HEAD.to_owned() + "\n";
    for (name, code) in &from.constants {
        out += &format!("{} = {code}\n", short(name));
    }
    out += "\n# By the names that the library gives them.";
    for (dictionary, names) in [
        ("ACTIVATIONS", Activation::ALL.map(Activation::name).as_slice()),
        ("INITIALIZATIONS", &Initialization::ALL.map(Initialization::name)),
    ] {
        out += &format!("\n{dictionary} = {{\n");
        for name in names {
            out += &format!("    \"{name}\": {},\n", name.to_uppercase());
        }
        out += "}\n";
    }
    // The pointers of both number types are the same in Python.
    for structure in from.structures.iter().filter(|structure| !structure.name.ends_with("_f64")) {
        out += &format!("\n\nclass {}(Structure):\n    _fields_ = [\n", class(&structure.name));
        for Named { name, of } in &structure.fields {
            out += &format!("        (\"{name}\", {}),\n", simple(of));
        }
        out += "    ]\n";
    }
    out += "\n\n# Result, and arguments.\nFUNCTIONS = {\n";
    for function in &from.functions {
        out += &format!("    \"{}\": (\n        {},\n        [\n", function.name, simple(&function.result));
        for (index, Named { name, of }) in function.arguments.iter().enumerate() {
            let of = match of {
                Type::Pointer { to, .. } if !function.is_array(index) => format!("c.POINTER({})", simple(to)),
                other => simple(other),
            };
            out += &format!("            {of},  # {name}\n");
        }
        out += "        ],\n    ),\n";
    }
    out + "}\n"
}

fn short(constant: &str) -> &str {
    constant.trim_start_matches("FLATMIN_")
}

/// `flatmin_batch_f32` becomes `Batch`.
fn class(name: &str) -> String {
    let (stem, _) = generic(name);
    let word = stem.trim_start_matches("flatmin_");
    word[..1].to_uppercase() + &word[1..]
}

fn simple(of: &Type) -> String {
    match of {
        Type::Size => "c.c_size_t".into(),
        Type::U32 => "c.c_uint32".into(),
        Type::U64 => "c.c_uint64".into(),
        Type::I32 => "c.c_int32".into(),
        Type::F32 => "c.c_float".into(),
        Type::F64 => "c.c_double".into(),
        Type::Char => "c.c_char".into(),
        Type::Structure(name) => class(name),
        Type::Pointer { to, .. } if **to == Type::Char => "c.c_char_p".into(),
        Type::Pointer { .. } => "c.c_void_p".into(),
    }
}
