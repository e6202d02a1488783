//! Both ways to the kernel conform, on a disk and in memory.

use super::*;
use crate::{Backend, open_disk};
use std::io::ErrorKind;
use std::path::Path;

/// Whether a machine has what the test needs; says so where it has not.
fn lacking(what: &str) -> bool {
    println!("not tested: this machine has no {what}");
    true
}

/// Runs the suite in a directory below `parent`.
fn conforms(backend: Backend, parent: &Path) {
    if !parent.is_dir() && lacking("such directory") {
        return;
    }
    let dir = tempfile::tempdir_in(parent).expect("a directory");
    match open_disk(dir.path(), backend, false) {
        Err(error) if backend == Backend::Uring && is_refusal(error.kind) && lacking("io_uring") => return,
        result => result.expect("opens"),
    };
    check_all(&|name| open_disk(&dir.path().join(name), backend, true).expect("opens"));
}

fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::PermissionDenied | ErrorKind::Unsupported)
}

#[test]
fn posix_conforms_on_disk() {
    conforms(Backend::Posix, &std::env::temp_dir());
}

#[test]
fn uring_conforms_on_disk() {
    conforms(Backend::Uring, &std::env::temp_dir());
}

#[test]
fn posix_conforms_in_memory() {
    conforms(Backend::Posix, Path::new("/dev/shm"));
}

#[test]
fn uring_conforms_in_memory() {
    conforms(Backend::Uring, Path::new("/dev/shm"));
}

#[test]
fn auto_conforms() {
    conforms(Backend::Auto, &std::env::temp_dir());
}
