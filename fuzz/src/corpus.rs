//! The checked-in inputs: `fuzz/corpus/<target>/<name>`, and the databases in `fuzz/base/`.

use crate::targets::{TARGETS, Target};
use crate::{image, recipe};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The folder of this crate.
fn home() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of a target's inputs.
pub fn folder(target: &Target) -> PathBuf {
    home().join("corpus").join(target.name)
}

/// Names and bytes of the inputs in a folder, by name.
///
/// # Errors
///
/// If it cannot be read.
pub fn read(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut inputs = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        inputs.push((name, std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?));
    }
    inputs.sort();
    Ok(inputs)
}

/// Makes the inputs that are made from valid bytes anew; others, such as those that once failed, stay. With `bases`, makes
/// the databases anew first and nothing else: they are compiled in, so the inputs are made by the next run.
///
/// # Errors
///
/// If a file cannot be written.
pub fn seed(bases: bool) -> Result<()> {
    let put = |folder: &Path, name: &str, bytes: &[u8]| -> Result<()> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    if bases {
        for (name, closed) in [("closed.bin", true), ("killed.bin", false)] {
            put(&home().join("base"), name, &image::write(&recipe::make(closed)?))?;
        }
        return Ok(());
    }
    for target in TARGETS {
        for (name, bytes) in (target.seeds)() {
            put(&folder(target), &format!("seed-{name}"), &bytes)?;
        }
    }
    Ok(())
}
