//! The osapi program.

use std::process::ExitCode;

fn main() -> ExitCode {
    osapi::cli::main()
}
