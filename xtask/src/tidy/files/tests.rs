//! Names, heads, lengths.

use super::check_source;
use std::path::Path;

#[track_caller]
fn check(path: &str, source: &str, rules: &[&str]) {
    let mut findings = Vec::new();
    check_source(Path::new(path), source, &mut findings);
    let seen: Vec<&str> = findings.iter().map(|f| f.rule).collect();
    assert_eq!(seen, rules, "{path}");
}

#[test]
fn a_good_file_passes() {
    check("crates/x/src/frame.rs", "//! Frames.\nfn f() {}\n", &[]);
}

#[test]
fn a_head_is_asked_for() {
    check("crates/x/src/frame.rs", "use x;\n//! Frames.\n", &["head"]);
    check("crates/x/src/frame.rs", "", &["head"]);
}

#[test]
fn empty_names_are_refused_for_files_and_folders() {
    check("crates/x/src/utils.rs", "//! U.\n", &["name"]);
    check("crates/x/src/common/frame.rs", "//! U.\n", &["name"]);
}

#[test]
fn long_files_are_refused_unless_of_tests() {
    let long = format!("//! Long.\n{}", "\n".repeat(600));
    check("crates/x/src/frame.rs", &long, &["length"]);
    check("crates/x/src/frame/tests.rs", &long, &[]);
    check("crates/x/tests/frame.rs", &long, &[]);
}
