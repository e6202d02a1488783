//! Standard output: buffered lines, JSON lines, aligned tables, and figures that people can read.
//!
//! # Rules
//!
//! - **OU1** Data goes to standard output and nothing else does; progress and messages go to standard error.
//! - **OU2** Every write can fail, and a closed pipe ends the command quietly ([`Failure::of_output`]); nothing
//!   here panics as `println!` does.

use crate::exit::Failure;
use std::io::{self, BufWriter, StdoutLock, Write};

/// Standard output.
pub struct Output {
    out: BufWriter<StdoutLock<'static>>,
}

impl Output {
    /// Takes standard output for the rest of the command.
    pub fn new() -> Self {
        Self { out: BufWriter::with_capacity(64 << 10, io::stdout().lock()) }
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(Failure::of_output)
    }

    /// For what writes a stream of its own.
    pub fn writer(&mut self) -> &mut impl Write {
        &mut self.out
    }

    /// Writes a text and a line end.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Writes JSON as one line.
    pub fn json(&mut self, value: &serde_json::Value) -> Result<(), Failure> {
        self.line(&value.to_string())
    }

    /// Writes rows with their columns aligned, the first row being the heads.
    pub fn table<const N: usize>(&mut self, rows: &[[String; N]]) -> Result<(), Failure> {
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; N] = std::array::from_fn(width);
        for row in rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    /// Hands everything to the reader.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(Failure::of_output)
    }
}

/// Says something on standard error. That it cannot be said is no reason to stop.
pub fn message(text: &str) {
    let _ = writeln!(io::stderr(), "aquifer: {text}");
}

/// A line of data on standard error, where standard output holds something else.
pub fn line(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

/// Bytes in the unit that reads best.
pub fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
