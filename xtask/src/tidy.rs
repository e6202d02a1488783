//! `cargo xtask tidy`: the rules of the project that a machine can check.
//!
//! | module | rules |
//! |---|---|
//! | [`manifests`] | layers, dependencies listed, crates with a README |
//! | [`files`] | heads, lengths, names |
//! | [`code`] | threads and locks, `unsafe`, function lengths, frozen numbers, words |
//! | [`quotes`] | documents that quote a format from the source |
//!
//! Each finding names the file, the line, the rule and what to do. The tables that a change may have to touch
//! are [`manifests::LAYERS`] and [`code::UNSAFE`].

pub mod code;
pub mod files;
pub mod lexer;
pub mod manifests;
pub mod quotes;

use crate::tree;
use anyhow::{Context, Result};
use std::fmt;
use std::path::{Path, PathBuf};

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// File, relative to the root.
    pub file: PathBuf,
    /// Line, from 1; 0 where the whole file is meant.
    pub line: usize,
    /// The rule's name.
    pub rule: &'static str,
    /// What is wrong, and what to do.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: [{}] {}", self.file.display(), self.line.max(1), self.rule, self.what)
    }
}

impl Finding {
    /// A finding.
    pub fn new(file: &Path, line: usize, rule: &'static str, what: impl Into<String>) -> Finding {
        Finding { file: file.to_path_buf(), line, rule, what: what.into() }
    }
}

/// Checks every rule on the tree at `root`.
///
/// # Errors
///
/// If the tree cannot be read. Broken rules are not errors but findings.
pub fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut with_unsafe = Vec::new();
    for path in tree::files(root, "rs")? {
        let source = read(root, &path)?;
        files::check_source(&path, &source, &mut findings);
        if code::check_source(&path, &source, &mut findings) {
            with_unsafe.push(path);
        }
    }
    for path in tree::files(root, "md")? {
        let text = read(root, &path)?;
        code::check_text(&path, &text, &mut findings);
        quotes::check(&path, &text, |source| read(root, source), &mut findings)?;
    }
    code::check_unsafe_table(root, &with_unsafe, &mut findings)?;
    manifests::check(root, &mut findings)?;
    findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    Ok(findings)
}

/// Prints the findings and fails if there are any.
///
/// # Errors
///
/// If a rule is broken or the tree cannot be read.
pub fn run(root: &Path) -> Result<()> {
    let findings = check(root)?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    anyhow::ensure!(findings.is_empty(), "tidy: {} findings", findings.len());
    println!("tidy: nothing to find");
    Ok(())
}

fn read(root: &Path, path: &Path) -> Result<String> {
    std::fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {}", path.display()))
}
