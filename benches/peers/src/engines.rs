//! The engines: each a [`Store`](aquifer_workload::Store), each behind a feature of its own name.

#[cfg(feature = "lmdb")]
pub mod lmdb;
#[cfg(feature = "redb")]
pub mod redb;
#[cfg(feature = "rocksdb")]
pub mod rocksdb;

/// What the files of a directory take on disk, in bytes; holes take nothing.
#[cfg(any(feature = "lmdb", feature = "redb", feature = "rocksdb"))]
fn directory_bytes(directory: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.blocks() * 512).sum()
}

/// The version of a dependency, as `Cargo.lock` has it, for engines that do not tell theirs.
#[cfg(feature = "redb")]
fn locked_version(name: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let package =
        lock.split("[[package]]").find(|package| package.contains(&format!("\nname = \"{name}\"\n")));
    let line = package.and_then(|package| package.lines().find_map(|line| line.strip_prefix("version = ")));
    line.map_or("unknown", |version| version.trim_matches('"'))
}
