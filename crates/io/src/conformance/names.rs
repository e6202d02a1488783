//! Opening, renaming, listing, directories and the lock.

use super::{Check, Opener, assert_pattern, block, write_pattern};
use crate::{Disk, OpenMode, Result};
use std::fmt::Debug;
use std::io::ErrorKind;

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("creation modes", creation_modes),
    ("missing things are not found", missing_things_are_not_found),
    ("bad names are refused", bad_names_are_refused),
    ("rename replaces", rename_replaces),
    ("list is sorted", list_is_sorted),
    ("directories", directories),
    ("removed file is gone", removed_file_is_gone),
    ("lock is exclusive", lock_is_exclusive),
];

#[track_caller]
fn assert_kind<T: Debug>(result: Result<T>, kind: ErrorKind, file: &str) {
    let error = result.expect_err("it fails");
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.file.ends_with(file), "{:?} is not named in {error}", file);
}

fn make(disk: &dyn Disk, name: &str) {
    disk.open(name, OpenMode::CreateNew).expect("made");
}

fn creation_modes(open: Opener<'_>) {
    let disk = open("modes");
    assert_kind(disk.open("file", OpenMode::Existing), ErrorKind::NotFound, "file");
    let file = disk.open("file", OpenMode::CreateNew).expect("made");
    assert_eq!(file.len().expect("a length"), 0);
    write_pattern(&*file, 1, 1);
    assert_kind(disk.open("file", OpenMode::CreateNew), ErrorKind::AlreadyExists, "file");
    let file = disk.open("file", OpenMode::Existing).expect("opened");
    assert_pattern(&block(&*file, 0), 0, 1);
}

fn missing_things_are_not_found(open: Opener<'_>) {
    let disk = open("missing");
    assert_kind(disk.open("no/file", OpenMode::CreateNew), ErrorKind::NotFound, "no/file");
    assert_kind(disk.open("no/file", OpenMode::Existing), ErrorKind::NotFound, "no/file");
    assert_kind(disk.remove("file"), ErrorKind::NotFound, "file");
    assert_kind(disk.rename("file", "other"), ErrorKind::NotFound, "file");
    assert_kind(disk.list("no"), ErrorKind::NotFound, "no");
    assert_kind(disk.sync_directory("no"), ErrorKind::NotFound, "no");
    assert_kind(disk.create_directory("no/directory"), ErrorKind::NotFound, "no/directory");
    assert!(disk.list("").expect("the root is there").is_empty());
}

fn bad_names_are_refused(open: Opener<'_>) {
    let disk = open("names");
    make(&*disk, "good");
    for bad in ["/etc/passwd", "../x", "a/../b", ".", "..", "a//b", "a/", "./a", "a\0b"] {
        assert_kind(disk.open(bad, OpenMode::CreateNew), ErrorKind::InvalidInput, bad);
        assert_kind(disk.open(bad, OpenMode::Existing), ErrorKind::InvalidInput, bad);
        assert_kind(disk.remove(bad), ErrorKind::InvalidInput, bad);
        assert_kind(disk.rename(bad, "x"), ErrorKind::InvalidInput, bad);
        assert_kind(disk.rename("good", bad), ErrorKind::InvalidInput, bad);
        assert_kind(disk.list(bad), ErrorKind::InvalidInput, bad);
        assert_kind(disk.create_directory(bad), ErrorKind::InvalidInput, bad);
        assert_kind(disk.sync_directory(bad), ErrorKind::InvalidInput, bad);
        assert_kind(disk.lock(bad), ErrorKind::InvalidInput, bad);
    }
    assert_kind(disk.open("", OpenMode::CreateNew), ErrorKind::InvalidInput, "");
    assert_kind(disk.remove(""), ErrorKind::InvalidInput, "");
    assert_eq!(disk.list("").expect("listed"), ["good"]);
}

fn rename_replaces(open: Opener<'_>) {
    let disk = open("rename");
    for (name, version) in [("old", 1), ("new", 2)] {
        write_pattern(&*disk.open(name, OpenMode::CreateNew).expect("made"), 1, version);
    }
    disk.rename("new", "old").expect("renamed");
    assert_eq!(disk.list("").expect("listed"), ["old"]);
    let file = disk.open("old", OpenMode::Existing).expect("opened");
    assert_pattern(&block(&*file, 0), 0, 2);
    disk.create_directory("sub").expect("made");
    disk.rename("old", "sub/moved").expect("renamed");
    assert_eq!(disk.list("").expect("listed"), ["sub"]);
    assert_eq!(disk.list("sub").expect("listed"), ["moved"]);
    assert_pattern(&block(&*file, 0), 0, 2);
}

fn list_is_sorted(open: Opener<'_>) {
    let disk = open("list");
    for name in ["b", "10", "a", "9", "ab", "Z"] {
        make(&*disk, name);
    }
    disk.create_directory("aa").expect("made");
    assert_eq!(disk.list("").expect("listed"), ["10", "9", "Z", "a", "aa", "ab", "b"]);
}

fn directories(open: Opener<'_>) {
    let disk = open("directories");
    disk.create_directory("").expect("the root is there");
    disk.create_directory("log").expect("made");
    disk.create_directory("log").expect("is there already");
    disk.create_directory("log/old").expect("made");
    make(&*disk, "log/0002");
    make(&*disk, "log/0001");
    make(&*disk, "log/old/0000");
    for directory in ["", "log", "log/old"] {
        disk.sync_directory(directory).expect("synced");
    }
    assert_eq!(disk.list("").expect("listed"), ["log"]);
    assert_eq!(disk.list("log").expect("listed"), ["0001", "0002", "old"]);
    assert_eq!(disk.list("log/old").expect("listed"), ["0000"]);
    assert_kind(disk.create_directory("log/0001"), ErrorKind::AlreadyExists, "log/0001");
}

fn removed_file_is_gone(open: Opener<'_>) {
    let disk = open("remove");
    make(&*disk, "one");
    make(&*disk, "two");
    disk.remove("one").expect("removed");
    assert_eq!(disk.list("").expect("listed"), ["two"]);
    assert_kind(disk.open("one", OpenMode::Existing), ErrorKind::NotFound, "one");
    assert_kind(disk.remove("one"), ErrorKind::NotFound, "one");
}

fn lock_is_exclusive(open: Opener<'_>) {
    let disk = open("lock");
    let again = open("lock");
    let lock = disk.lock("LOCK").expect("free");
    let holder = std::process::id().to_string();
    for refused in [disk.lock("LOCK"), again.lock("LOCK")] {
        let error = refused.expect_err("held");
        assert_eq!(error.kind, ErrorKind::WouldBlock);
        assert!(error.message.contains(&holder), "{error}");
    }
    again.lock("OTHER").expect("another lock");
    drop(lock);
    let lock = again.lock("LOCK").expect("free again");
    assert_kind(disk.lock("LOCK"), ErrorKind::WouldBlock, "LOCK");
    drop(lock);
    assert_eq!(disk.list("").expect("listed"), ["LOCK", "OTHER"]);
}
