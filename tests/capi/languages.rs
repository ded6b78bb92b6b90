//! What the C header, the Fortran module and the Python module say of codes, statuses and functions, against the crate, both ways.

use std::collections::BTreeMap;
use std::ffi::CStr;

use flatmin::capi::*;
use flatmin::{Activation, Form, Initialization, InstructionSet, Route};

const HEADER: &str = include_str!("../../include/flatmin.h");
const FORTRAN: &str = include_str!("../../include/flatmin.f90");
const PYTHON: &str = include_str!("../ffi/python/interface.py");

/// Names in C, and codes.
type Codes = Vec<(String, u32)>;

/// The codes of an optimizer, by field, with their names in C. A test in `src/capi/codes.rs` fails where there are more.
macro_rules! own {
    ($($name:ident),*) => {
        vec![$((stringify!($name).into(), $name)),*]
    };
}

/// The codes of names in order.
fn named<const N: usize>(names: [&str; N]) -> Codes {
    names.iter().map(|name| format!("FLATMIN_{}", name.to_uppercase())).zip(0..).collect()
}

/// The structure and field that hold a code, and the codes.
fn codes() -> [(&'static str, &'static str, Codes); 7] {
    [
        ("flatmin_plan", "activation", named(Activation::ALL.map(Activation::name))),
        ("flatmin_plan", "route", named(Route::ALL.map(Route::name))),
        ("flatmin_plan", "form", named(Form::ALL.map(Form::name))),
        ("flatmin_optimizer", "method", own!(FLATMIN_PLAIN, FLATMIN_SAM, FLATMIN_HSR)),
        ("flatmin_optimizer", "update", own!(FLATMIN_SGD, FLATMIN_NESTEROV, FLATMIN_ADAM, FLATMIN_ADAMW)),
        ("flatmin_optimizer", "direction", own!(FLATMIN_GRADIENT, FLATMIN_UNIT)),
        ("flatmin_optimizer", "penalty", own!(FLATMIN_EXACT, FLATMIN_SAMPLED)),
    ]
}

/// The codes that a function takes, not a structure.
fn initializations() -> Codes {
    named(Initialization::ALL.map(Initialization::name))
}

/// The messages of all statuses, in order.
fn messages() -> Vec<&'static str> {
    // SAFETY: a C string that lives for ever.
    let message = |code| unsafe { CStr::from_ptr(flatmin_status_message(code)) }.to_str().unwrap();
    (0..).map(message).take_while(|message| *message != "not a status of flatmin").collect()
}

/// Names and numbers in lines of this form.
fn constants(text: &str, prefix: &str, between: &str, suffix: &str) -> BTreeMap<String, u32> {
    let constant = |line: &str| {
        let (name, code) = line.trim_start().strip_prefix(prefix)?.split_once(between)?;
        Some((name.to_uppercase(), code.strip_suffix(suffix)?.parse().ok()?))
    };
    text.lines().filter_map(constant).collect()
}

#[test]
fn constants_are_those_of_the_crate_in_every_language() {
    let statuses = constants(HEADER, "", " = ", ",");
    assert_eq!(statuses.values().copied().max(), Some(messages().len() as u32 - 1), "a status that is missing");
    assert_eq!(statuses.len(), messages().len());
    assert_eq!(statuses.get("FLATMIN_STATUS_OK"), Some(&(Status::Ok as u32)));
    assert_eq!(statuses.get("FLATMIN_STATUS_INTERNAL"), Some(&(Status::Internal as u32)));
    for (code, message) in (0u32..).zip(messages()) {
        let name = statuses.iter().find(|(_, found)| **found == code).expect("a status").0;
        let expected = format!("    // {message}\n    {name} = {code},\n");
        assert!(HEADER.contains(&expected), "the header lacks {expected}");
    }

    let expected: BTreeMap<String, u32> =
        codes().into_iter().flat_map(|(_, _, codes)| codes).chain(initializations()).collect();
    assert_eq!(constants(HEADER, "#define ", " ", ""), expected);
    let all: BTreeMap<String, u32> = expected.into_iter().chain(statuses).collect();
    assert_eq!(constants(FORTRAN, "integer(c_int32_t), parameter :: ", " = ", ""), all);
    let without_prefix = |(name, code): (&String, &u32)| (name.trim_start_matches("FLATMIN_").to_owned(), *code);
    assert_eq!(constants(PYTHON, "", " = ", ""), all.iter().map(without_prefix).collect());

    let (_, dictionary) = PYTHON.split_once("ACTIVATIONS = {\n").expect("a dictionary");
    let expected = Activation::ALL.map(|each| format!("    \"{each}\": {},\n", each.name().to_uppercase())).concat();
    assert!(dictionary.starts_with(&(expected + "}\n")), "names of activations in Python");
    let (_, dictionary) = PYTHON.split_once("INITIALIZATIONS = {\n").expect("a dictionary");
    let expected =
        Initialization::ALL.map(|each| format!("    \"{each}\": {},\n", each.name().to_uppercase())).concat();
    assert!(dictionary.starts_with(&(expected + "}\n")), "names of initializations in Python");
}

/// The comment above the line of the header that `declares` finds, behind `start`.
fn comment(start: &str, declares: impl Fn(&str) -> bool) -> String {
    let lines: Vec<&str> = HEADER[HEADER.find(start).expect("a start")..].lines().collect();
    let end = lines.iter().position(|line| declares(line)).expect("a declaration");
    let from = lines[..end].iter().rposition(|line| !line.trim_start().starts_with("//")).map_or(0, |line| line + 1);
    lines[from..end].join("\n")
}

#[test]
fn comments_name_every_code() {
    for (structure, field, codes) in codes() {
        let text =
            comment(&format!("typedef struct {structure} {{"), |line| line.trim() == format!("uint32_t {field};"));
        for (name, _) in codes {
            assert!(text.contains(&format!("`{name}`")), "{structure}.{field}: {text}");
        }
    }
    for function in ["flatmin_initialize_f32(", "flatmin_initialize_f64("] {
        let text = comment("extern \"C\"", |line| line.contains(function));
        for (name, _) in initializations() {
            assert!(text.contains(&format!("`{name}`")), "{function}: {text}");
        }
    }
    let text = comment("extern \"C\"", |line| line.contains("flatmin_instruction_set(void)"));
    for set in InstructionSet::ALL {
        assert!(text.contains(&format!("`\"{set}\"`")), "flatmin_instruction_set: {text}");
    }
    assert!(HEADER.is_ascii() && FORTRAN.is_ascii());
}

#[test]
fn every_function_is_there_in_every_language() {
    let name = |line: &str| {
        let (head, _) = line.split_once('(')?;
        let start = head.rfind("flatmin_")?;
        (!line.starts_with("static inline") && !line.starts_with([' ', '/'])).then(|| head[start..].to_owned())
    };
    let functions: Vec<String> = HEADER.lines().filter_map(name).collect();
    assert!(functions.len() > 30, "{functions:?}");
    for function in &functions {
        let bound =
            FORTRAN.contains(&format!("function {function}(")) || FORTRAN.contains(&format!("name=\"{function}\""));
        assert!(bound && PYTHON.contains(&format!("    \"{function}\": (")), "{function}");
    }
    assert_eq!(FORTRAN.matches("bind(C").count() - FORTRAN.matches("type, bind(C)").count(), functions.len());
    assert_eq!(PYTHON.lines().filter(|line| line.starts_with("    \"flatmin_")).count(), functions.len());
}
