//! The tree obeys its own rules.

use xtask::{tidy, tree};

#[test]
fn the_tree_is_tidy() {
    let findings = tidy::check(&tree::root()).expect("the tree can be read");
    let list: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(list.is_empty(), "\n{}\n", list.join("\n"));
}
