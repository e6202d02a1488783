//! Each rule finds what it is for, and only that.

use super::{check_source, check_text};
use std::path::Path;

#[track_caller]
fn check_at(path: &str, source: &str, expected: &[(usize, &str)]) {
    let mut findings = Vec::new();
    check_source(Path::new(path), source, &mut findings);
    let seen: Vec<(usize, &str)> = findings.iter().map(|f| (f.line, f.rule)).collect();
    assert_eq!(seen, expected, "{path}: {source}");
}

#[track_caller]
fn check(source: &str, expected: &[(usize, &str)]) {
    check_at("crates/x/src/frame.rs", source, expected);
}

#[test]
fn threads_come_from_the_facade() {
    check("use std::sync::Arc;", &[(1, "threads")]);
    check("fn f() {\n    std::thread::yield_now();\n}", &[(2, "threads")]);
    check("use core::sync::atomic;", &[(1, "threads")]);
    check("use std::{fmt, sync::Arc};", &[(1, "threads")]);
    check("use std::{\n    fmt::{Debug, Display},\n    thread,\n};", &[(1, "threads")]);
    check("use std::{fmt, io::{sync}};", &[]);
    check("use std::thread::LocalKey;", &[]);
    check("// std::sync is refused\nconst A: &str = \"std::sync\";", &[]);
    check_at("crates/sync/src/lock.rs", "use std::sync::Arc;", &[]);
    check_at("crates/synchro/src/lock.rs", "use std::sync::Arc;", &[(1, "threads")]);
}

#[test]
fn unfinished_work_is_refused() {
    check("fn f() { todo!() }", &[(1, "unfinished")]);
    check("// TODO later", &[(1, "unfinished")]);
    check("// TODOS are words too", &[]);
    check("const A: &str = \"TODO\";", &[]);
}

#[test]
fn places_outside_the_project_are_refused() {
    check("// see /home/someone/x", &[(1, "path")]);
    check("// as in #12", &[(1, "issue")]);
    check("// as Issue 12 says", &[(1, "issue")]);
    check("// page#1, #[derive] and colour #a0", &[]);
}

#[test]
fn texts_are_checked_too() {
    let mut findings = Vec::new();
    check_text(Path::new("README.md"), "Fine.\nFIXME\n", &mut findings);
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].line, findings[0].rule), (2, "unfinished"));
}

#[test]
fn long_functions_are_refused() {
    let body = "    x();\n";
    let fits = format!("pub fn f(a: [u8; 4]) {{\n{}}}\n", body.repeat(68));
    check(&fits, &[]);
    let long = format!("impl X {{\n    fn f() where A: B {{\n{}    }}\n}}\n", body.repeat(69));
    check(&long, &[(2, "function")]);
    check_at("crates/x/src/frame/tests.rs", &long, &[]);
    check("trait T {\n    fn f();\n}\ntype F = fn(u8) -> u8;", &[]);
}

#[test]
fn braces_in_literals_do_not_count() {
    let source = format!("fn f() {{\n    g('{{', \"{{{{\");\n}}\n{}", "const A: u8 = 1;\n".repeat(100));
    check(&source, &[]);
}

#[test]
fn tests_inside_the_file_are_refused() {
    check("#[cfg(test)]\nmod tests {\n}", &[(2, "tests")]);
    check("#[cfg(test)]\nmod tests;", &[]);
}

#[test]
fn numbers_on_disk_say_that_they_are_frozen() {
    check("/// Magic.\nconst MAGIC: u64 = 1;", &[(2, "frozen")]);
    check("/// Magic. FROZEN: every file begins with it.\n#[rustfmt::skip]\nconst A: u64 = 1;", &[]);
    check("/// FROZEN: every file begins with it.\npub const LOG_MAGIC: u64 = 1;", &[]);
    check("pub const FORMAT_VERSION: u32 = 1; // FROZEN", &[]);
    check("//! A format, FROZEN.\n\nconst MAGIC: u64 = 1;", &[]);
}

#[test]
fn unsafe_is_noticed() {
    let mut none = Vec::new();
    assert!(check_source(Path::new("a.rs"), "fn f() { unsafe { g() } }", &mut none));
    assert!(!check_source(Path::new("a.rs"), "// unsafe\n#![forbid(unsafe_code)]", &mut none));
    assert_eq!(none, []);
}
