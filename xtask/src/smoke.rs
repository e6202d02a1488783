//! The README's main job on a small input: a catalogue of files goes in through the command line, and is
//! found again.
//!
//! The input is this project's own tree and the toolchain's folder, listed by `find` as in the README, so the
//! command that users are told is the command that is run.

use crate::steps;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Lines of input at most.
const LINES_MAX: usize = 20_000;

/// Loads, counts, looks up, verifies.
///
/// # Errors
///
/// If a command fails or what comes out is not what went in.
pub fn run(root: &Path) -> Result<()> {
    let scratch = std::env::temp_dir().join(format!("aquifer-smoke-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let result = job(root, &scratch);
    fs::remove_dir_all(&scratch)?;
    result
}

fn job(root: &Path, scratch: &Path) -> Result<()> {
    let list = scratch.join("files.tsv");
    let listed = catalogue(&list)?;
    let database = scratch.join("files.aq");
    let database = database.to_str().context("the folder for temporary files is not UTF-8")?;
    let aquifer = |arguments: &[&str]| {
        let mut command = steps::cargo(root, &["run", "--release", "--quiet", "--"]);
        command.args(arguments);
        command
    };
    steps::run(aquifer(&["load", database, "files"]).stdin(fs::File::open(&list)?))?;

    let scanned = steps::output(&mut aquifer(&["scan", database, "files"]))?;
    let mut expected: Vec<&str> = listed.lines().collect();
    expected.sort_unstable_by_key(|line| line.split('\t').next());
    let seen: Vec<&str> = scanned.lines().collect();
    anyhow::ensure!(
        seen == expected,
        "{} lines went in, {} other lines came out",
        expected.len(),
        seen.len()
    );

    let prefix = "/usr/bin/";
    let found = steps::output(&mut aquifer(&["scan", database, "files", "--prefix", prefix]))?;
    let expected: Vec<&str> = expected.into_iter().filter(|line| line.starts_with(prefix)).collect();
    anyhow::ensure!(!expected.is_empty(), "nothing below {prefix} to look for");
    anyhow::ensure!(found.lines().eq(expected.iter().copied()), "the scan of {prefix} found something else");
    steps::run(&mut aquifer(&["verify", database]))?;
    println!("smoke: {} lines loaded, {} found below {prefix}", seen.len(), expected.len());
    Ok(())
}

/// Writes the machine's catalogue of files to `list`, as the README does, and returns it.
fn catalogue(list: &Path) -> Result<String> {
    let output = Command::new("find")
        .args(["/usr/bin", "/usr/lib", "-printf", "%p\\t%s\\t%m\\t%T@\\n"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run find")?;
    let all = String::from_utf8(output.stdout).context("a name of a file is not UTF-8")?;
    let lines: Vec<&str> = all.lines().take(LINES_MAX).collect();
    anyhow::ensure!(!lines.is_empty(), "find listed nothing");
    let text = lines.join("\n") + "\n";
    fs::write(list, &text)?;
    Ok(text)
}
