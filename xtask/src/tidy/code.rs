//! Rules about what stands in the code and in its comments.

use super::Finding;
use super::lexer::{self, Line, has_word};
use crate::tree;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// The files that may hold `unsafe`, each with what it buys. A file that no longer needs it must leave the table.
#[rustfmt::skip]
pub const UNSAFE: &[(&str, &str)] = &[
    ("benches/peers/src/engines/lmdb.rs", "LMDB maps its file, and heed passes that risk on"),
    ("benches/peers/src/engines/rocksdb/library.rs", "RocksDB is a library of C functions"),
    ("benches/peers/src/engines/rocksdb/library/transactions.rs", "RocksDB's transactions are C functions"),
    ("crates/buffer/src/checkpoint.rs", "pages go to the disk from their frames, without a copy"),
    ("crates/buffer/src/evict.rs", "pages are copied out of their frames"),
    ("crates/buffer/src/frame.rs", "frames are slices of one mapping that never moves"),
    ("crates/buffer/src/load.rs", "the disk reads into frames, without a copy"),
    ("crates/buffer/src/page.rs", "a latched frame is a plain slice"),
    ("crates/buffer/src/translation.rs", "the translation array is a mapping that grows without moving"),
    ("crates/buffer/src/words.rs", "optimistic readers load words that may change"),
    ("crates/io/src/buffer.rs", "aligned memory that the kernel reads and writes"),
    ("crates/io/src/conformance/transfers.rs", "a check of transfers into foreign memory"),
    ("crates/io/src/open/refusal.rs", "a test forbids io_uring to a thread of its own"),
    ("crates/io/src/ring.rs", "entries of a submission queue hold addresses"),
    ("crates/io/src/sys.rs", "system calls"),
    ("crates/pools/src/arena.rs", "mappings of memory"),
    ("crates/sync/src/model.rs", "models of memory without protection, under loom only"),
];

/// Folders that may name the standard library's threads and locks: the facade itself, and programs that are
/// never model-checked.
const THREADS_ALLOWED: [&str; 5] = ["crates/sync", "crates/cli", "crates/workload", "xtask", "benches"];

/// Lines of a function that is not of tests.
const FUNCTION_LINES_MAX: usize = 70;

/// Constants whose values lie on disk carry one of these in their names.
const FROZEN_NAMES: [&str; 2] = ["MAGIC", "FORMAT_VERSION"];

/// Words that belong into an issue, a commit or a person's notes, never into the tree.
const WORDS: [&str; 3] = ["TODO", "FIXME", "XXX"];

/// Beginnings of paths that exist on one machine only.
const PATHS: [&str; 3] = ["/work/", "/root/", "/home/"];

/// Checks one Rust file; tells whether it holds `unsafe`.
pub fn check_source(path: &Path, source: &str, findings: &mut Vec<Finding>) -> bool {
    let lines = lexer::lines(source);
    let mut holds_unsafe = false;
    for (index, line) in lines.iter().enumerate() {
        let number = index + 1;
        check_words(path, number, &line.comment, findings);
        for word in ["todo!", "unimplemented!"] {
            if line.code.contains(word) {
                findings.push(Finding::new(path, number, "unfinished", format!("`{word}`: finish it")));
            }
        }
        holds_unsafe |= has_word(&line.code, "unsafe");
    }
    if !THREADS_ALLOWED.iter().any(|folder| path.starts_with(folder)) {
        check_threads(path, &lines, findings);
    }
    if !tree::is_test(path) {
        check_functions(path, &lines, findings);
        check_test_modules(path, &lines, findings);
    }
    check_frozen(path, &lines, findings);
    holds_unsafe
}

/// Checks a text that is not code.
pub fn check_text(path: &Path, text: &str, findings: &mut Vec<Finding>) {
    for (index, line) in text.lines().enumerate() {
        check_words(path, index + 1, line, findings);
    }
}

/// Every file with `unsafe` (tests apart) is in the table, every file in the table has some, and every crate without any
/// forbids it.
pub fn check_unsafe_table(root: &Path, with_unsafe: &[PathBuf], findings: &mut Vec<Finding>) -> Result<()> {
    for path in with_unsafe.iter().filter(|path| !tree::is_test(path)) {
        if !UNSAFE.iter().any(|(allowed, _)| Path::new(allowed) == path) {
            let what = "`unsafe` outside the allowed files; do without, or add the file to \
                        xtask/src/tidy/code.rs with what it buys";
            findings.push(Finding::new(path, 0, "unsafe", what));
        }
    }
    for (allowed, _) in UNSAFE {
        if !with_unsafe.iter().any(|path| path == Path::new(allowed)) {
            let what = "holds no `unsafe`; remove it from the table in xtask/src/tidy/code.rs";
            findings.push(Finding::new(Path::new(allowed), 0, "unsafe", what));
        }
    }
    for path in tree::files(root, "rs")? {
        let is_root = path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
        let package = path.parent().and_then(Path::parent).unwrap_or(Path::new(""));
        if !is_root || with_unsafe.iter().any(|p| p.starts_with(package.join("src"))) {
            continue;
        }
        if !std::fs::read_to_string(root.join(&path))?.contains("#![forbid(unsafe_code)]") {
            let what = "a crate without `unsafe` says `#![forbid(unsafe_code)]`";
            findings.push(Finding::new(&path, 1, "unsafe", what));
        }
    }
    Ok(())
}

fn check_words(path: &Path, number: usize, text: &str, findings: &mut Vec<Finding>) {
    for word in WORDS {
        if has_word(text, word) {
            let what = format!("`{word}`: do it, or file an issue and say nothing here");
            findings.push(Finding::new(path, number, "unfinished", what));
        }
    }
    for start in PATHS {
        if text.contains(start) {
            let what = format!("`{start}…` exists on one machine only; write a path that holds anywhere");
            findings.push(Finding::new(path, number, "path", what));
        }
    }
    if issue_number(text) {
        let what = "a number of an issue means nothing to a reader; say the reason itself";
        findings.push(Finding::new(path, number, "issue", what));
    }
}

/// A hash sign or the word, with a number behind it.
fn issue_number(text: &str) -> bool {
    let digit = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    let hash = text.match_indices('#').any(|(at, _)| {
        digit(&text[at + 1..]) && !text[..at].ends_with(|c: char| !c.is_whitespace() && c != '(')
    });
    let lower = text.to_lowercase();
    hash || lower.match_indices("issue ").any(|(at, word)| digit(&lower[at + word.len()..]))
}

/// Threads, locks and atomics come from the facade.
fn check_threads(path: &Path, lines: &[Line], findings: &mut Vec<Finding>) {
    for (index, line) in lines.iter().enumerate() {
        // A thread's own data is no protocol between threads.
        let code = line.code.replace("std::thread::LocalKey", "");
        let named =
            ["std::sync", "core::sync", "std::thread", "core::thread"].iter().find(|n| code.contains(**n));
        let grouped = || {
            let at = line.code.find("std::{").or_else(|| line.code.find("core::{"))?;
            let text: String = lines[index..].iter().map(|l| l.code.as_str()).collect::<Vec<_>>().join(" ");
            let open = at + text[at..].find('{')?;
            group(&text[open..]).into_iter().find(|part| {
                let first = part.split("::").next().unwrap_or_default().trim();
                matches!(first, "sync" | "thread")
            })
        };
        if let Some(name) = named.map(|n| (*n).to_string()).or_else(grouped) {
            let what = format!(
                "`{name}`: threads, locks and atomics come from `aquifer_sync`, so that loom sees them"
            );
            findings.push(Finding::new(path, index + 1, "threads", what));
        }
    }
}

/// The parts between the braces that `text` begins with, split at its own commas.
fn group(text: &str) -> Vec<String> {
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => parts.push(String::new()),
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if !(depth == 1 && matches!(c, '{' | ',')) {
            parts.last_mut().expect("never empty").push(c);
        }
    }
    parts
}

/// Functions fit on a screen. Counted from the line of `fn` to that of the closing brace.
fn check_functions(path: &Path, lines: &[Line], findings: &mut Vec<Finding>) {
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = function_name(&line.code) else { continue };
        let mut depth = 0;
        let mut nested = 0;
        'body: for (end, body) in lines.iter().enumerate().skip(index) {
            for c in body.code.chars() {
                match c {
                    '(' | '[' => nested += 1,
                    ')' | ']' => nested -= 1,
                    ';' if depth == 0 && nested == 0 => break 'body,
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => continue,
                }
                if c == '}' && depth == 0 {
                    let length = end - index + 1;
                    if length > FUNCTION_LINES_MAX {
                        let what = format!(
                            "`{name}` is {length} lines long, {FUNCTION_LINES_MAX} are the most; give its parts names"
                        );
                        findings.push(Finding::new(path, index + 1, "function", what));
                    }
                    break 'body;
                }
            }
        }
    }
}

/// The name of the function that this line begins, if it begins one.
fn function_name(code: &str) -> Option<&str> {
    let (before, rest) = code.split_once("fn ")?;
    let begins = before.trim_end().is_empty() || before.ends_with(' ');
    let name = rest.trim_start();
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    (begins && end > 0).then(|| &name[..end])
}

/// Tests lie beside the code, not in it.
fn check_test_modules(path: &Path, lines: &[Line], findings: &mut Vec<Finding>) {
    for (index, line) in lines.iter().enumerate() {
        let code = line.code.trim();
        if code.ends_with('{') && (code.starts_with("mod tests") || code.starts_with("mod loom_tests")) {
            let what = "tests inside the file; move them to a sibling `tests.rs` or `loom_tests.rs`";
            findings.push(Finding::new(path, index + 1, "tests", what));
        }
    }
}

/// A number that lies in files says that it is frozen, or the head of its file says it of all.
fn check_frozen(path: &Path, lines: &[Line], findings: &mut Vec<Finding>) {
    let head = lines.iter().take_while(|line| line.comment.starts_with("//!"));
    if head.into_iter().any(|line| line.comment.contains("FROZEN")) {
        return;
    }
    for (index, line) in lines.iter().enumerate() {
        let Some((_, rest)) = line.code.split_once("const ") else { continue };
        let name = rest.split(':').next().unwrap_or_default().trim();
        if !FROZEN_NAMES.iter().any(|part| name.contains(part)) || tree::is_test(path) {
            continue;
        }
        let above =
            lines[..index].iter().rev().take_while(|l| l.code.trim().is_empty() && !l.comment.is_empty());
        let said = above.chain([line]).any(|l| l.comment.contains("FROZEN"));
        if !said {
            let what = format!("`{name}` lies on disk; its comment says FROZEN and what depends on it");
            findings.push(Finding::new(path, index + 1, "frozen", what));
        }
    }
}

#[cfg(test)]
mod tests;
