//! What the documents quote from the source must be there still: a format has one source, the head of the file that
//! implements it, and `docs/` shows it without a chance to differ.
//!
//! ```text
//! <!-- quote crates/buffer/src/superblock.rs -->
//! lines that follow each other in the head of that file
//! <!-- end of quote -->
//! ```

use super::Finding;
use anyhow::Result;
use std::path::Path;

const BEGIN: &str = "<!-- quote ";
const END: &str = "<!-- end of quote -->";

/// Checks the quotes of one document; `read` gives the text of a file of the tree.
///
/// # Errors
///
/// None of its own; a source that cannot be read is a finding.
pub fn check(
    path: &Path,
    text: &str,
    read: impl Fn(&Path) -> Result<String>,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let lines: Vec<&str> = text.lines().collect();
    for (begin, line) in lines.iter().enumerate() {
        let Some(source) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        let mut found = |what: String| findings.push(Finding::new(path, begin + 1, "quote", what));
        let Some(length) = lines[begin + 1..].iter().position(|line| *line == END) else {
            found(format!("the quote does not end; close it with `{END}`"));
            continue;
        };
        let quoted: Vec<&str> =
            lines[begin + 1..begin + 1 + length].iter().map(|line| line.trim_end()).collect();
        let Ok(code) = read(Path::new(source)) else {
            found(format!("{source} cannot be read; name the file that the quote comes from"));
            continue;
        };
        let head: Vec<&str> = code
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end())
            .collect();
        if quoted.is_empty() || !head.windows(quoted.len()).any(|window| window == quoted) {
            found(format!("{source} does not say that (any more); copy the lines from its head again"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
