//! Sorted or hashed, on the command line.

use aquifer::TableKind;

/// How a table finds its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum KindArg {
    /// In the order of their keys
    Sorted,
    /// By the hashes of their keys: faster, and without ranges
    Hashed,
}

impl KindArg {
    /// As the engine calls it.
    pub fn kind(self) -> TableKind {
        match self {
            KindArg::Sorted => TableKind::Sorted,
            KindArg::Hashed => TableKind::Hashed,
        }
    }
}
