//! The command line of Aquifer: `aquifer --help` says what it does. All of it is in the library beside this file.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    aquifer_cli::run()
}
