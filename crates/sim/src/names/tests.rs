//! Names: which become durable by which sync, and what is left after a crash.

use super::*;

fn name(text: &str) -> Arc<str> {
    text.into()
}

fn shown(tree: &Tree) -> Vec<String> {
    tree.keys().map(|name| name.to_string()).collect()
}

/// The root with directories `a` and `b`, all durable.
fn two_directories() -> Names {
    let mut names = Names::default();
    names.enter(&name("a"), Entry::Directory);
    names.enter(&name("b"), Entry::Directory);
    names.sync("");
    names
}

/// All possible names after a crash, as the numbers of changes kept grow.
fn after_crashes(names: &Names) -> Vec<String> {
    (0..=names.undurable()).map(|kept| shown(&names.after_crash(kept)).join(" ")).collect()
}

#[test]
fn any_prefix_may_survive() {
    let mut names = two_directories();
    names.enter(&name("new"), Entry::File(0));
    names.rename(&name("new"), &name("data"));
    names.enter(&name("a/log"), Entry::File(1));
    names.remove(&name("data"));
    assert_eq!(after_crashes(&names), ["a b", "a b new", "a b data", "a a/log b data", "a a/log b"]);
}

#[test]
fn a_sync_is_for_its_directory() {
    let mut names = two_directories();
    names.enter(&name("x"), Entry::File(0));
    names.enter(&name("a/x"), Entry::File(1));
    names.enter(&name("b/x"), Entry::File(2));
    names.sync("a");
    assert_eq!(after_crashes(&names), ["a a/x b", "a a/x b x", "a a/x b b/x x"]);
    names.sync("");
    names.sync("b");
    assert_eq!(after_crashes(&names), ["a a/x b b/x x"]);
}

#[test]
fn a_rename_between_directories_needs_both_syncs() {
    for order in [["a", "b"], ["b", "a"]] {
        let mut names = two_directories();
        names.enter(&name("a/x"), Entry::File(0));
        names.sync("a");
        names.rename(&name("a/x"), &name("b/y"));
        names.enter(&name("a/z"), Entry::File(1));
        names.sync(order[0]);
        assert!(after_crashes(&names)[0].contains("a/x"), "one sync is not enough");
        names.sync(order[1]);
        assert_eq!(after_crashes(&names), ["a a/z b b/y"]);
    }
}

#[test]
fn what_shares_a_name_with_a_durable_change_is_durable_before_it() {
    let mut names = two_directories();
    names.enter(&name("a/x"), Entry::File(0));
    names.rename(&name("a/x"), &name("b/y"));
    names.rename(&name("b/y"), &name("b/z"));
    names.sync("b");
    // The last rename is due, and takes along what its name comes from.
    assert_eq!(after_crashes(&names), ["a b b/z"]);
}

#[test]
fn what_lies_in_a_lost_directory_is_lost() {
    let mut names = Names::default();
    names.enter(&name("log"), Entry::Directory);
    names.enter(&name("log/old"), Entry::Directory);
    names.enter(&name("log/old/1"), Entry::File(0));
    names.sync("log/old");
    names.sync("log");
    assert_eq!(after_crashes(&names), ["", "log log/old log/old/1"]);
    names.sync("");
    assert_eq!(after_crashes(&names), ["log log/old log/old/1"]);
}

#[test]
fn a_list_has_the_entries_of_one_directory() {
    let mut names = two_directories();
    for file in ["a/2", "a/1", "a-", "c", "a/sub"] {
        names.enter(&name(file), Entry::File(0));
    }
    names.enter(&name("a/sub/3"), Entry::File(0));
    assert_eq!(names.list(""), ["a", "a-", "b", "c"]);
    assert_eq!(names.list("a"), ["1", "2", "sub"]);
    assert!(names.list("b").is_empty());
}

#[test]
fn files_are_known_as_long_as_they_may_come_back() {
    let mut names = two_directories();
    names.enter(&name("x"), Entry::File(5));
    names.remove(&name("x"));
    assert!(names.files().any(|id| id == 5), "a crash may keep the first change only");
    names.sync("");
    assert!(!names.files().any(|id| id == 5));
}
