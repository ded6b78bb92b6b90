//! The Fortran module.

use crate::interface::{Function, Interface, Named, Structure, Type, generic};

const HEAD: &str = "\
! flatmin for Fortran 2018: the C interface of flatmin.h, whose comments are its manual. Compile this file with your program.
!
! Arrays are the caller's, contiguous, and passed with their length. Row-major N x D in C is (D, N) in Fortran: inputs(D, N),
! distributions(K, N); theta = [W(D, M), b(M), V(M, K), c(K)]. Class indices count from 0. Functions return a status, 0 on success.
! Their generic names (flatmin_loss and so on) take real(c_float) or real(c_double), in arrays of rank 1; rows(1:size(inputs)) => inputs
! makes one of inputs(D, N) without a copy.
!
! Every structure is initialised when it is declared: its size, that of systems with addresses of 64 bits, and zeros. The pointers of
! a batch and of a state are c_loc of arrays of the caller's, or stay c_null_ptr.
!
! Generated with flatmin.h by `cargo run --manifest-path tests/ffi/Cargo.toml --bin header`; do not edit.

module flatmin
  use, intrinsic :: iso_c_binding, only: c_char, c_double, c_f_pointer, c_float, c_int32_t, c_int64_t, c_null_ptr, c_ptr, c_size_t
  implicit none
  private :: c_char, c_double, c_f_pointer, c_float, c_int32_t, c_int64_t, c_null_ptr, c_ptr, c_size_t
  private :: text_of
  public
";

const LAST_ERROR: &str = "
  ! The message of this thread's last error.
  function flatmin_last_error() result(message)
    character(:), allocatable :: message
    character(kind=c_char) :: buffer(256)
    integer :: index, length
    length = int(min(flatmin_last_error_c(buffer, int(256, c_size_t)), int(255, c_size_t)))
    message = \"\"
    do index = 1, length
      message = message // buffer(index)
    end do
  end function

  ! A string of C.
  function text_of(pointer) result(text)
    type(c_ptr), intent(in) :: pointer
    character(:), allocatable :: text
    character(kind=c_char), pointer :: characters(:)
    integer :: index
    call c_f_pointer(pointer, characters, [256])
    text = \"\"
    do index = 1, size(characters)
      if (characters(index) == char(0)) exit
      text = text // characters(index)
    end do
  end function

end module flatmin
";

pub fn module(from: &Interface) -> String {
    let mut out = HEAD.to_owned() + "\n";
    for (name, code) in &from.constants {
        out += &format!("  integer(c_int32_t), parameter :: {} = {code}\n", name.to_lowercase());
    }
    for structure in &from.structures {
        // The pointers of both number types are the same in Fortran.
        if !structure.name.ends_with("_f64") {
            out += &derived_type(structure);
        }
    }
    let (typed, plain): (Vec<_>, Vec<_>) = from.functions.iter().partition(|function| generic(&function.name).1);
    out += "\n  interface\n";
    out += &plain.iter().map(|function| interface(function)).collect::<Vec<_>>().join("\n");
    out += "  end interface\n";
    for function in typed.iter().filter(|function| function.name.ends_with("_f32")) {
        let (stem, _) = generic(&function.name);
        out += &format!("\n  interface {stem}\n");
        for one in typed.iter().filter(|one| generic(&one.name).0 == stem) {
            out += &interface(one);
        }
        out += "  end interface\n";
    }
    out += "\ncontains\n";
    for function in plain.iter().filter(|function| is_text(function)) {
        out += &wrapper(function);
    }
    out + LAST_ERROR
}

fn derived_type(structure: &Structure) -> String {
    let mut out = format!("\n  type, bind(C) :: {}\n", generic(&structure.name).0);
    for Named { name, of } in &structure.fields {
        let value = match (of, name.as_str()) {
            (Type::Pointer { .. }, _) => "c_null_ptr".to_owned(),
            (_, "size") => structure.bytes().to_string(),
            _ => "0".to_owned(),
        };
        out += &format!("    {} :: {name} = {value}\n", simple(of));
    }
    out + "  end type\n"
}

fn simple(of: &Type) -> String {
    match of {
        Type::Size => "integer(c_size_t)".into(),
        Type::U32 | Type::I32 => "integer(c_int32_t)".into(),
        Type::U64 => "integer(c_int64_t)".into(),
        Type::F32 => "real(c_float)".into(),
        Type::F64 => "real(c_double)".into(),
        Type::Char => "character(kind=c_char)".into(),
        Type::Structure(name) => format!("type({})", generic(name).0),
        Type::Pointer { .. } => "type(c_ptr)".into(),
    }
}

fn is_text(function: &Function) -> bool {
    matches!(&function.result, Type::Pointer { to, .. } if **to == Type::Char)
}

/// Functions that return or fill a string have one of Fortran's around them.
fn is_wrapped(function: &Function) -> bool {
    is_text(function) || function.name == "flatmin_last_error"
}

/// `prefix(one, two, …) suffix`, broken where a line would be too long.
fn call(prefix: &str, names: &[&str], suffix: &str) -> String {
    let (mut out, mut start) = (format!("{prefix}("), 0);
    for (index, name) in names.iter().enumerate() {
        if out.len() - start + name.len() > 110 {
            start = out.len();
            out += "&\n        ";
        }
        out += name;
        if index + 1 < names.len() {
            out += ", ";
        }
    }
    out + ") &\n        " + suffix + "\n"
}

fn names(function: &Function) -> Vec<&str> {
    function.arguments.iter().map(|argument| argument.name.as_str()).collect()
}

fn argument(function: &Function, index: usize) -> String {
    let Named { name, of } = &function.arguments[index];
    match of {
        Type::Pointer { to, constant } => {
            let intent = if *constant { "in" } else { "inout" };
            let dimension = if function.is_array(index) { "(*)" } else { "" };
            format!("      {}, intent({intent}) :: {name}{dimension}\n", simple(to))
        }
        value => format!("      {}, value :: {name}\n", simple(value)),
    }
}

fn interface(function: &Function) -> String {
    let (name, bind) = if is_wrapped(function) {
        (format!("{}_c", function.name), format!("bind(C, name=\"{}\")", function.name))
    } else {
        (function.name.clone(), "bind(C)".to_owned())
    };
    let mut out = call(&format!("    function {name}"), &names(function), &format!("{bind} result(returned)"));
    out += "      import\n";
    for index in 0..function.arguments.len() {
        out += &argument(function, index);
    }
    out + &format!("      {} :: returned\n    end function\n", simple(&function.result))
}

fn wrapper(function: &Function) -> String {
    let Function { name, .. } = function;
    let names = names(function);
    let mut out = format!("\n  function {name}({}) result(text)\n", names.join(", "));
    for Named { name, of } in &function.arguments {
        out += &format!("    {}, intent(in) :: {name}\n", simple(of));
    }
    out += "    character(:), allocatable :: text\n";
    out + &format!("    text = text_of({name}_c({}))\n  end function\n", names.join(", "))
}
