//! The source tree: where it is and which files are in it.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Folders that are never ours to read.
const SKIPPED: [&str; 2] = ["target", ".git"];

/// The root of the workspace, known from where this crate was built.
pub fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let xtask = manifest.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    // `cargo xtask` sets the variable to this crate; a test of another crate would not.
    let root = if xtask.ends_with("xtask") { xtask } else { PathBuf::from(env!("CARGO_MANIFEST_DIR")) };
    root.parent().expect("xtask lies in the workspace").to_path_buf()
}

/// Every file under `root` whose name ends in `.extension`, as a path relative to `root`, sorted.
pub fn files(root: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries =
            std::fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if path.is_symlink() || SKIPPED.contains(&name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path.strip_prefix(root).expect("found under root").to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Is this a file of tests, by its place? Tests lie in `tests.rs`, `loom_tests.rs`, or a folder `tests`.
pub fn is_test(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    matches!(name, "tests.rs" | "loom_tests.rs") || path.components().any(|c| c.as_os_str() == "tests")
}
