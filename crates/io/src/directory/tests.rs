//! The lock between processes, and what is on the disk for others to see.

use crate::{Backend, OpenMode, open_disk};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Set in the child: the directory that it locks.
const CHILD_DIRECTORY: &str = "AQUIFER_IO_TEST_LOCK_DIRECTORY";

/// In the child: holds the lock until its standard input ends.
fn hold_lock(root: &Path) {
    let disk = open_disk(root, Backend::Posix, false).expect("opens");
    let _lock = disk.lock("LOCK").expect("free");
    println!("\nlocked");
    std::io::stdin().read_to_end(&mut Vec::new()).expect("read");
}

#[test]
fn lock_is_refused_to_another_process() {
    if let Some(root) = std::env::var_os(CHILD_DIRECTORY) {
        return hold_lock(Path::new(&root));
    }
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "directory::tests::lock_is_refused_to_another_process", "--nocapture"])
        .env(CHILD_DIRECTORY, dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut lines = lines.map(|line| line.expect("a line"));
    lines.find(|line| line == "locked").expect("the child has the lock");

    let disk = open_disk(dir.path(), Backend::Posix, false).expect("opens");
    let error = disk.lock("LOCK").expect_err("held");
    assert_eq!(error.kind, ErrorKind::WouldBlock);
    assert!(error.message.contains(&format!("pid {};", child.id())), "{error}");

    drop(child.stdin.take());
    assert!(child.wait().expect("ends").success());
    let _lock = disk.lock("LOCK").expect("free again");
    let holder = std::fs::read_to_string(dir.path().join("LOCK")).expect("read");
    assert_eq!(holder, format!("{}\n", std::process::id()));
}

#[test]
fn lock_of_a_dead_process_is_free() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("LOCK"), "123456789 left by someone with a longer id\n").expect("written");
    let disk = open_disk(dir.path(), Backend::Posix, false).expect("opens");
    let _lock = disk.lock("LOCK").expect("free");
    let holder = std::fs::read_to_string(dir.path().join("LOCK")).expect("read");
    assert_eq!(holder, format!("{}\n", std::process::id()));
}

#[test]
fn files_are_for_their_owner_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("root");
    let disk = open_disk(&root, Backend::Posix, true).expect("made");
    disk.create_directory("log").expect("made");
    disk.open("log/1", OpenMode::CreateNew).expect("made");
    let _lock = disk.lock("LOCK").expect("free");
    for (name, permissions) in [("", 0o700), ("log", 0o700), ("log/1", 0o600), ("LOCK", 0o600)] {
        let mode = std::fs::metadata(root.join(name)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, permissions, "{name:?}");
    }
}
