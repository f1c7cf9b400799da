//! The osapi program.
fn main() {}
