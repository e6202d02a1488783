//! Rules about a file as a whole: its name, its head, its length.

use super::Finding;
use crate::tree;
use std::path::Path;

/// Lines of a file that is not of tests.
const LINES_MAX: usize = 600;

/// Names that say nothing about what is inside.
const NAMES: [&str; 7] = ["utils", "util", "common", "helpers", "helper", "misc", "stuff"];

/// Checks one Rust file.
pub fn check_source(path: &Path, source: &str, findings: &mut Vec<Finding>) {
    let parts = path.components().filter_map(|c| c.as_os_str().to_str());
    for part in parts {
        let stem = part.strip_suffix(".rs").unwrap_or(part);
        if NAMES.contains(&stem) {
            let what = format!("`{stem}` names nothing; call the module after the thing that it holds");
            findings.push(Finding::new(path, 0, "name", what));
        }
    }
    let head = source.lines().next().unwrap_or_default();
    if !head.starts_with("//! ") {
        let what = "begins without `//! `; say the file's role, protocol and invariants there";
        findings.push(Finding::new(path, 1, "head", what));
    }
    let length = source.lines().count();
    if length > LINES_MAX && !tree::is_test(path) {
        let what = format!("{length} lines, {LINES_MAX} are the most; split it along its parts");
        findings.push(Finding::new(path, length, "length", what));
    }
}

#[cfg(test)]
mod tests;
