//! `cargo xtask ci`: everything that a change must pass, in one command, with nothing but Rust installed.
//!
//! The order is from what fails fast to what takes long. The first failure ends it.

use crate::{fuzz, loom, smoke, steps, tidy};
use anyhow::Result;
use std::path::Path;

/// Rounds of the kill loop; `cargo xtask crash` by hand runs more.
const CRASH_ROUNDS: &str = "20";

/// Time for fresh seeds of the simulation; fixed ones are among the tests.
const SIM_SECONDS: &str = "120";

/// Time for fresh inputs over all fuzz targets; fixed ones are among the tests.
const FUZZ_SECONDS: u64 = 60;

/// Runs all steps.
///
/// # Errors
///
/// The first step that fails.
pub fn run(root: &Path) -> Result<()> {
    let mut steps = steps::Steps::default();
    let cargo = |arguments: &[&str]| steps::run(&mut steps::cargo(root, arguments));
    steps.step("format", || cargo(&["fmt", "--all", "--check"]))?;
    steps.step("tidy", || tidy::run(root))?;
    steps.step("clippy", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    steps.step("test", || cargo(&["test", "--workspace", "--no-fail-fast"]))?;
    steps.step("loom", || loom::run(root, loom::PREEMPTIONS_MAX))?;
    steps.step("smoke", || smoke::run(root))?;
    // Through cargo: the steps above may have built this very program anew, so its own file may be gone.
    steps.step("crash", || {
        cargo(&["run", "--quiet", "--package", "xtask", "--", "crash", "--rounds", CRASH_ROUNDS])
    })?;
    steps.step("sim", || {
        cargo(&["run", "--quiet", "--package", "xtask", "--", "sim", "--seconds", SIM_SECONDS])
    })?;
    steps.step("fuzz", || fuzz::run(root, &fuzz::Arguments::all(FUZZ_SECONDS)))?;
    steps.summary();
    Ok(())
}
