//! `cargo xtask fuzz`: random inputs over the fuzz targets, for a time; or one input over one target.
//!
//! The targets are in the package `aquifer-fuzz`, which is built for it with optimisation and with every assertion (profile
//! `fuzz`). An input that fails, or during which the process died, is left in a file.

use crate::steps;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// What to run.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// For how long, over all targets evenly.
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// One target instead of all.
    #[arg(long)]
    pub target: Option<String>,
    /// Runs this input alone.
    #[arg(long, requires = "target")]
    pub input: Option<PathBuf>,
    /// Which inputs; others each time unless given.
    #[arg(long)]
    pub seed: Option<u64>,
}

impl Arguments {
    /// Fresh inputs over all targets.
    pub fn all(seconds: u64) -> Arguments {
        Arguments { seconds, target: None, input: None, seed: None }
    }
}

/// Builds the targets and runs them.
///
/// # Errors
///
/// If a property does not hold, or the targets cannot be built.
pub fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let Arguments { seconds, target, input, seed } = arguments;
    let failures = steps::target(root).join("fuzz-failures");
    let build = ["run", "--quiet", "--profile", "fuzz", "--package", "aquifer-fuzz", "--", "run"];
    let mut command = steps::cargo(root, &build);
    command.args(["--seconds", &seconds.to_string(), "--out"]).arg(&failures);
    if let Some(target) = target {
        command.args(["--target", target]);
    }
    if let Some(input) = input {
        command.arg("--input").arg(std::path::absolute(input).context("a path of an input")?);
    }
    if let Some(seed) = seed {
        command.args(["--seed", &seed.to_string()]);
    }
    steps::run(&mut command)
        .with_context(|| format!("fuzz: an input that did not end well is in {}", failures.display()))
}
