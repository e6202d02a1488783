//! `cargo xtask loom`: model-checks the protocols between threads.
//!
//! The crates are found by asking the tree: those with a file `loom_tests.rs`. They are built with `--cfg loom`
//! in a target folder of their own, so that switching back and forth rebuilds nothing.

use crate::{steps, tree};
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::Path;

/// Schedules in which a thread is interrupted more often than this are not tried.
pub const PREEMPTIONS_MAX: usize = 2;

/// The folders of the crates that have loom tests, relative to the root.
///
/// # Errors
///
/// If the tree cannot be read.
pub fn crates(root: &Path) -> Result<BTreeSet<String>> {
    let files = tree::files(root, "rs")?;
    let with_tests =
        files.iter().filter(|path| path.ends_with("loom_tests.rs") && path.starts_with("crates"));
    Ok(with_tests
        .filter_map(|path| path.components().nth(1)?.as_os_str().to_str().map(String::from))
        .collect())
}

/// Runs the loom tests of every crate that has some.
///
/// # Errors
///
/// If a test fails, or nothing is found to test.
pub fn run(root: &Path, preemptions_max: usize) -> Result<()> {
    let crates = crates(root)?;
    anyhow::ensure!(!crates.is_empty(), "no crate has a file loom_tests.rs");
    for name in crates {
        let package = format!("aquifer-{name}");
        let mut test = steps::cargo(root, &["test", "--lib", "--package", &package, "loom_tests"]);
        test.env("CARGO_TARGET_DIR", steps::target(root).join("loom"))
            .env("RUSTFLAGS", "--cfg loom")
            // A model is run hundreds of thousands of times: building it well pays.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "3")
            .env("LOOM_MAX_PREEMPTIONS", preemptions_max.to_string());
        steps::run(&mut test)?;
    }
    Ok(())
}
