//! Quotes that hold, and quotes that do not.

use super::check;
use std::path::Path;

const SOURCE: &str = "//! A page.\n//!\n//! | offset | field |\n//! |---|---|\n//! | 0 | magic |\n\nuse x;\n";

const NONE: [usize; 0] = [];

#[track_caller]
fn findings(document: &str) -> Vec<usize> {
    let mut findings = Vec::new();
    let read = |path: &Path| {
        anyhow::ensure!(path == Path::new("page.rs"), "absent");
        Ok(SOURCE.to_string())
    };
    check(Path::new("docs/a.md"), document, read, &mut findings).expect("no error of its own");
    findings.iter().map(|f| f.line).collect()
}

fn quote(file: &str, lines: &str) -> String {
    format!("# Format\n\n<!-- quote {file} -->\n{lines}<!-- end of quote -->\nMore.\n")
}

#[test]
fn a_quote_that_holds_passes() {
    assert_eq!(findings(&quote("page.rs", "| offset | field |\n|---|---|\n| 0 | magic |\n")), NONE);
    assert_eq!(findings(&quote("page.rs", "A page.\n\n| offset | field |\n")), NONE);
}

#[test]
fn a_changed_quote_is_found() {
    assert_eq!(findings(&quote("page.rs", "| offset | field |\n| 0 | magic |\n")), [3]);
    assert_eq!(findings(&quote("page.rs", "use x;\n")), [3]);
    assert_eq!(findings(&quote("page.rs", "")), [3]);
    assert_eq!(findings(&quote("absent.rs", "A page.\n")), [3]);
    assert_eq!(findings("<!-- quote page.rs -->\nA page.\n"), [1]);
}
