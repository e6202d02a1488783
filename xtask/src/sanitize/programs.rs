//! The test programs of the packages, built with a sanitizer, as cargo names them.

use super::probe::Ability;
use crate::steps;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A program of tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its package.
    pub package: String,
    /// The library, binary or file of tests, with its kind: a library and a binary may have one name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// The package's folder, where its tests expect to run.
    pub folder: PathBuf,
}

/// Builds the tests of these packages.
///
/// # Errors
///
/// If they cannot be built, or there are none.
pub fn build(root: &Path, ability: &Ability, packages: &[&str], folder: &Path) -> Result<Vec<Program>> {
    let Ability { flags, build_std, host } = ability;
    let mut command = steps::cargo(root, &["test", "--tests", "--no-run", "--target", host]);
    command.arg("--message-format=json-render-diagnostics");
    if *build_std {
        command.arg("-Zbuild-std");
    }
    for package in packages {
        command.args(["--package", package]);
    }
    command
        .env("CARGO_TARGET_DIR", folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        // The flags are for nightly compilers; a stable one is told that it may.
        .env("RUSTC_BOOTSTRAP", "1");
    let messages = steps::output(&mut command)?;
    let mut programs = Vec::new();
    for line in messages.lines().filter(|line| line.starts_with('{')) {
        let message: Value = serde_json::from_str(line).context("a message of cargo")?;
        programs.extend(program(&message));
    }
    anyhow::ensure!(!programs.is_empty(), "there are no tests in {}", packages.join(", "));
    Ok(programs)
}

/// The program of tests that a message of cargo is about, if it is about one.
fn program(message: &Value) -> Option<Program> {
    let built = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
    let path = message["executable"].as_str().filter(|_| built)?;
    let target = &message["target"];
    let (name, kind) = (target["name"].as_str()?, target["kind"][0].as_str()?);
    Some(Program {
        package: package(message["package_id"].as_str()?)?.to_owned(),
        name: format!("{kind}-{name}"),
        path: path.into(),
        folder: Path::new(message["manifest_path"].as_str()?).parent()?.to_path_buf(),
    })
}

/// The name in a package id: `path+file:///a/crates/engine#aquifer@0.1.0`, or `…/aquifer#0.1.0` where the folder has it.
fn package(id: &str) -> Option<&str> {
    let (place, rest) = id.rsplit_once('#')?;
    match rest.split_once('@') {
        Some((name, _)) => Some(name),
        None => place.rsplit('/').next(),
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
