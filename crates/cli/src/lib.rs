//! The command line of Aquifer as a library, which the program `aquifer` and the fuzz targets call.
//!
//! | module | holds |
//! |---|---|
//! | `commands` | the commands, their arguments and help |
//! | `input` | records out of tsv, csv and JSON lines |
//! | `text` | the text form of bytes: text, or `0x` and digits |
//! | `typed` | tables with types of their own: the catalog's type names, walked at run time |
//! | `opening` | opening a database as the global options say |
//! | `output`, `progress` | standard output and standard error |
//! | `exit` | failures and exit codes |
//! | `fuzzing` | entry points for the fuzz targets, with the feature of that name |
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod commands;
mod exit;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod input;
mod kind;
mod opening;
mod output;
mod progress;
mod text;
mod typed;

use clap::Parser as _;
use std::process::ExitCode;

/// Does what the process's arguments say; returns its exit code.
pub fn run() -> ExitCode {
    let cli = commands::Cli::parse();
    let mut out = output::Output::new();
    let done = cli.run(&mut out).and_then(|()| out.flush());
    match done {
        Ok(()) | Err(exit::Failure::OutputClosed) => ExitCode::from(exit::Exit::Ok as u8),
        Err(failure) => {
            // What was printed before the failure still counts; that it cannot be printed is then the lesser one.
            let _ = out.flush();
            output::message(&failure.to_string());
            ExitCode::from(failure.exit() as u8)
        }
    }
}
