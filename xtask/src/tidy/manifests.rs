//! Rules about the crates: which may use which, and what each brings along.
//!
//! - **M1** Dependencies go strictly downward: a crate may use only crates of a lower layer. Dependencies for
//!   tests and builds are free of it, because they are in nobody's program.
//! - **M2** Every dependency from outside has its line in `docs/dependencies.md`, and no line is left over.
//! - **M3** Every crate has a `README.md`, which a library includes as its documentation, so that the example in it is compiled.

use super::Finding;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The layer of each crate, lowest first. Equal layers never see each other.
pub const LAYERS: &[(&str, u32)] = &[
    ("aquifer-sync", 0),
    ("aquifer-pools", 1),
    ("aquifer-codec", 1),
    ("aquifer-history", 1),
    ("aquifer-io", 2),
    ("aquifer-wal", 3),
    ("aquifer-buffer", 3),
    ("aquifer-sim", 3),
    ("aquifer-index", 4),
    ("aquifer-txn", 4),
    ("aquifer", 5),
    ("aquifer-workload", 6),
    ("aquifer-tpcc", 6),
    ("aquifer-simulation", 6),
    ("aquifer-cli", 7),
    ("aquifer-fuzz", 8),
    ("aquifer-peers", 8),
    ("xtask", 8),
    ("aquifer-cargo-fuzz", 9),
];

/// Where each dependency is accounted for.
const DEPENDENCIES: &str = "docs/dependencies.md";

/// Workspaces of the tree.
const WORKSPACES: [&str; 3] = ["Cargo.toml", "benches/peers/Cargo.toml", "fuzz/cargo-fuzz/Cargo.toml"];

/// One package, as far as the rules go.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its manifest, relative to the root.
    pub manifest: PathBuf,
    /// The manifest's text.
    pub text: String,
    /// What it depends on.
    pub dependencies: Vec<Dependency>,
}

/// One dependency of a package.
#[derive(Debug, Clone)]
pub struct Dependency {
    /// Name of the package that is used.
    pub name: String,
    /// Is it compiled into what users get (neither for tests nor for builds)?
    pub shipped: bool,
    /// Does it lie in this tree?
    pub ours: bool,
}

/// Checks every package of the tree.
///
/// # Errors
///
/// If cargo cannot read the manifests.
pub fn check(root: &Path, findings: &mut Vec<Finding>) -> Result<()> {
    let mut packages = Vec::new();
    for workspace in WORKSPACES.iter().filter(|w| root.join(w).exists()) {
        packages.extend(packages_of(root, workspace)?);
    }
    check_layers(&packages, findings);
    let listed = std::fs::read_to_string(root.join(DEPENDENCIES)).unwrap_or_default();
    check_listed(&packages, &listed, findings);
    for package in &packages {
        check_readme(root, package, findings)?;
    }
    Ok(())
}

fn packages_of(root: &Path, workspace: &str) -> Result<Vec<Package>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(root.join(workspace))
        .output()
        .context("cannot run cargo metadata")?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "cargo metadata of {workspace}: {said}");
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let mut packages = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let manifest = PathBuf::from(text(&package["manifest_path"]));
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        packages.push(Package {
            name: text(&package["name"]),
            text: std::fs::read_to_string(&manifest)?,
            manifest: manifest.strip_prefix(root).unwrap_or(&manifest).to_path_buf(),
            dependencies: dependencies
                .map(|d| Dependency {
                    name: text(&d["name"]),
                    shipped: d["kind"].is_null(),
                    ours: !d["path"].is_null(),
                })
                .collect(),
        });
    }
    Ok(packages)
}

/// M1.
pub fn check_layers(packages: &[Package], findings: &mut Vec<Finding>) {
    let layer = |name: &str| LAYERS.iter().find(|(n, _)| *n == name).map(|(_, layer)| *layer);
    for package in packages {
        let Some(own) = layer(&package.name) else {
            let what = format!("`{}` has no layer; give it one in xtask/src/tidy/manifests.rs", package.name);
            findings.push(Finding::new(&package.manifest, 0, "layers", what));
            continue;
        };
        for used in package.dependencies.iter().filter(|d| d.ours && d.shipped) {
            let Some(below) = layer(&used.name) else { continue }; // found as a package itself
            if below >= own {
                let what = format!(
                    "`{}` (layer {own}) uses `{}` (layer {below}); only lower layers may be used",
                    package.name, used.name
                );
                findings.push(Finding::new(
                    &package.manifest,
                    line_of(&package.text, &used.name),
                    "layers",
                    what,
                ));
            }
        }
    }
}

/// M2.
pub fn check_listed(packages: &[Package], listed: &str, findings: &mut Vec<Finding>) {
    let mut used = BTreeSet::new();
    for package in packages {
        for outside in package.dependencies.iter().filter(|d| !d.ours) {
            used.insert(outside.name.clone());
            if !listed.contains(&format!("| `{}` |", outside.name)) {
                let what = format!(
                    "`{}` has no line in {DEPENDENCIES}; say there what for and what it replaces",
                    outside.name
                );
                let line = line_of(&package.text, &outside.name);
                findings.push(Finding::new(&package.manifest, line, "dependencies", what));
            }
        }
    }
    for (index, line) in listed.lines().enumerate() {
        let name = line.strip_prefix("| `").and_then(|rest| rest.split_once("` |")).map(|(name, _)| name);
        if let Some(name) = name.filter(|name| !used.contains(*name)) {
            let what = format!("nothing depends on `{name}` any more; remove its line");
            findings.push(Finding::new(Path::new(DEPENDENCIES), index + 1, "dependencies", what));
        }
    }
}

/// M3.
fn check_readme(root: &Path, package: &Package, findings: &mut Vec<Finding>) -> Result<()> {
    let folder = package.manifest.parent().unwrap_or(Path::new(""));
    if !root.join(folder).join("README.md").exists() {
        let what = format!(
            "`{}` has no README.md; say what it hides, show an example, number its rules",
            package.name
        );
        findings.push(Finding::new(&package.manifest, 0, "readme", what));
    }
    let library = folder.join("src/lib.rs");
    if root.join(&library).exists() {
        let source = std::fs::read_to_string(root.join(&library))?;
        if !source.contains("include_str!(\"../README.md\")") {
            let what =
                "the README is not part of the documentation; add `#![doc = include_str!(\"../README.md\")]`";
            findings.push(Finding::new(&library, 1, "readme", what));
        }
    }
    Ok(())
}

/// The line of a manifest that names a dependency, or 0.
fn line_of(manifest: &str, name: &str) -> usize {
    let names = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '.', '=']));
    manifest.lines().position(names).map_or(0, |index| index + 1)
}

#[cfg(test)]
mod tests;
