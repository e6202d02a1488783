//! The list of targets. A target is a function of bytes that panics if its property does not hold; every property includes:
//!
//! - no panic and no overflow in the engine;
//! - an end: steps are counted where a target drives a loop, operations by the disk (FD1), and a campaign's watch stops
//!   what takes longer than it may;
//! - bounded memory: inputs are short, databases have a budget of a few MiB, and a campaign looks at the process's peak;
//! - what comes back as data is right, or it is an error: each target says how it knows.

pub mod backup;
pub mod catalog_row;
pub mod cli_import;
pub mod cli_text;
pub mod directory;
pub mod dump;
pub mod hash_page;
pub mod index_pages;
pub mod key_codec;
pub mod key_group;
pub mod log_record;
pub mod log_segments;
pub mod page_map;
pub mod pages;
pub mod replay;
pub mod samples;
pub mod superblock;
pub mod tree_page;
pub mod value_codec;

/// Names and bytes of inputs.
pub type Seeds = Vec<(String, Vec<u8>)>;

/// A function of bytes, and what it is fed with.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, also that of its corpus.
    pub name: &'static str,
    /// Runs one input.
    pub run: fn(&[u8]),
    /// Longest input worth trying.
    pub input_bytes_max: usize,
    /// Makes the first inputs from valid bytes.
    pub seeds: fn() -> Seeds,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    superblock::TARGET,
    page_map::TARGET,
    tree_page::TARGET,
    hash_page::TARGET,
    log_segments::TARGET,
    log_record::TARGET,
    replay::TARGET,
    key_group::TARGET,
    catalog_row::TARGET,
    key_codec::TARGET,
    value_codec::TARGET,
    cli_import::TARGET,
    cli_text::TARGET,
    directory::TARGET,
    dump::TARGET,
    backup::TARGET,
];

/// The target of that name.
pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
