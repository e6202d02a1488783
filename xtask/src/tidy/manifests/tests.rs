//! Layers and listed dependencies, on made-up packages.

use super::{Dependency, Finding, LAYERS, Package, check_layers, check_listed};
use std::path::PathBuf;

fn package(name: &str, dependencies: &[(&str, bool, bool)]) -> Package {
    Package {
        name: name.to_string(),
        manifest: PathBuf::from("Cargo.toml"),
        text: "[dependencies]\naquifer-wal.workspace = true\nlibc = \"1\"\n".to_string(),
        dependencies: dependencies
            .iter()
            .map(|(name, shipped, ours)| Dependency {
                name: (*name).to_string(),
                shipped: *shipped,
                ours: *ours,
            })
            .collect(),
    }
}

fn lines(findings: &[Finding]) -> Vec<(usize, &str)> {
    findings.iter().map(|f| (f.line, f.rule)).collect()
}

#[track_caller]
fn check(name: &str, dependency: (&str, bool, bool), expected: &[(usize, &str)]) {
    let mut findings = Vec::new();
    check_layers(&[package(name, &[dependency])], &mut findings);
    assert_eq!(lines(&findings), expected, "{name} uses {}", dependency.0);
}

#[test]
fn only_lower_layers_may_be_used() {
    check("aquifer-index", ("aquifer-wal", true, true), &[]);
    check("aquifer-buffer", ("aquifer-wal", true, true), &[(2, "layers")]);
    check("aquifer-sync", ("aquifer-wal", true, true), &[(2, "layers")]);
    check("aquifer-sync", ("aquifer-wal", false, true), &[]);
    check("aquifer-sync", ("libc", true, false), &[]);
}

#[test]
fn a_crate_without_a_layer_is_found() {
    check("aquifer-new", ("libc", true, false), &[(0, "layers")]);
}

#[test]
fn layers_are_listed_once_and_upward() {
    assert!(LAYERS.windows(2).all(|pair| pair[0].1 <= pair[1].1));
    let mut names: Vec<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), LAYERS.len());
}

#[test]
fn dependencies_and_their_list_agree() {
    let packages = [package("aquifer-sync", &[("libc", true, false), ("aquifer-wal", true, true)])];
    let mut findings = Vec::new();
    check_listed(&packages, "| `libc` | system calls |\n", &mut findings);
    assert_eq!(lines(&findings), []);
    check_listed(&packages, "| `other` | nothing |\n", &mut findings);
    assert_eq!(lines(&findings), [(3, "dependencies"), (1, "dependencies")]);
}
