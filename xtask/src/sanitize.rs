//! `cargo xtask sanitize`: the test suite under the address and the thread sanitizer, with one table for each.
//!
//! The tests are built once for all packages, in a target folder of their own, and each test program is then run by itself,
//! with its sanitizer told to write what it finds to files. So a report is counted whoever made it, also a process that a
//! test started; the test runner's own lines are shown as they come. Documentation tests are not run.
//!
//! # Rules
//!
//! - **SZ1** What the compiler can do is tried, not assumed ([`probe`]); what it cannot do is an error of its own,
//!   [`Unsupported`], so that nobody takes it for a clean run.
//! - **SZ2** Build scripts and macros are not instrumented: a target is named, even though it is the host's.
//! - **SZ3** A program that ended without saying how its tests went has failed, whatever it returned.

pub mod outcome;
pub mod probe;
pub mod programs;

use crate::steps;
use anyhow::{Context, Result, bail};
use outcome::{Outcome, Row};
use probe::Ability;
use programs::Program;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// The crates with `unsafe` or with threads, and those that are made of them.
pub const PACKAGES: [&str; 9] = [
    "aquifer-sync",
    "aquifer-pools",
    "aquifer-io",
    "aquifer-codec",
    "aquifer-wal",
    "aquifer-buffer",
    "aquifer-index",
    "aquifer",
    "aquifer-cli",
];

/// What the process returns if the compiler cannot do it; 1 is a report or a test that failed, 2 a wrong argument.
pub const EXIT_UNSUPPORTED: u8 = 3;

/// The folder of the lists of reports that are known to be harmless, each with the invariant that says so.
const SUPPRESSIONS: &str = "xtask/sanitize";

/// Tests that a sanitizer cannot run.
const SKIPPED: &[(Sanitizer, &str)] = &[
    // It reserves 8 TiB of addresses; the sanitizer leaves a program between one and two.
    (Sanitizer::Thread, "arena::tests::drop_unmaps"),
];

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sanitizer {
    /// Reads and writes beyond or after an allocation, and leaks.
    Address,
    /// Data races, and locks taken in two orders.
    Thread,
}

impl Sanitizer {
    /// As the compiler calls it.
    pub fn name(self) -> &'static str {
        match self {
            Sanitizer::Address => "address",
            Sanitizer::Thread => "thread",
        }
    }
}

/// One sanitizer, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// The address sanitizer, with leaks.
    Address,
    /// The thread sanitizer.
    Thread,
    /// One after the other.
    All,
}

impl Kind {
    fn sanitizers(self) -> &'static [Sanitizer] {
        match self {
            Kind::Address => &[Sanitizer::Address],
            Kind::Thread => &[Sanitizer::Thread],
            Kind::All => &[Sanitizer::Address, Sanitizer::Thread],
        }
    }
}

/// What to run.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Which sanitizer.
    #[arg(long, value_enum, default_value = "all")]
    pub kind: Kind,
    /// A package; may be given again. All with unsafe code or threads unless given.
    #[arg(long = "package", short, value_name = "NAME")]
    pub packages: Vec<String>,
    /// For the test programs: a filter, `--skip NAME`, `--test-threads N`.
    #[arg(last = true)]
    pub tests: Vec<String>,
}

/// The compiler, or what it needs, is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// What is missing, and how to get it.
    pub what: String,
}

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Unsupported {}

/// What the process returns for an error of [`run`].
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let unsupported = error.chain().any(|cause| cause.is::<Unsupported>());
    if unsupported { ExitCode::from(EXIT_UNSUPPORTED) } else { ExitCode::FAILURE }
}

/// Builds and runs the tests under each sanitizer, and prints the tables.
///
/// # Errors
///
/// [`Unsupported`], if the compiler cannot do one of them; the others have been run then. Else if a sanitizer reports
/// something, or a test fails.
pub fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let packages: Vec<&str> = match &arguments.packages[..] {
        [] => PACKAGES.to_vec(),
        some => some.iter().map(String::as_str).collect(),
    };
    let (mut tables, mut unsupported, mut wrong) = (Vec::new(), None, Vec::new());
    for &sanitizer in arguments.kind.sanitizers() {
        let name = sanitizer.name();
        let folder = steps::target(root).join(format!("sanitize-{name}"));
        fs::create_dir_all(&folder)?;
        let folder = fs::canonicalize(folder)?;
        match probe::ability(sanitizer, &folder)? {
            Ok(ability) => {
                let rows = run_one(root, sanitizer, &ability, &packages, &arguments.tests, &folder)?;
                if !rows.iter().all(|row| row.outcome.is_clean()) {
                    wrong.push(name);
                }
                tables.push(format!("{name} sanitizer\n{}", outcome::table(&rows)));
            }
            Err(missing) => {
                tables.push(format!("{name} sanitizer\nnot run: {missing}\n"));
                unsupported.get_or_insert(missing);
            }
        }
    }
    for table in tables {
        println!("\n{table}");
    }
    if !wrong.is_empty() {
        bail!("not clean under: {}", wrong.join(", "));
    }
    unsupported.map_or(Ok(()), |missing| Err(missing.into()))
}

/// All packages under one sanitizer.
fn run_one(
    root: &Path,
    sanitizer: Sanitizer,
    ability: &Ability,
    packages: &[&str],
    tests: &[String],
    folder: &Path,
) -> Result<Vec<Row>> {
    let reports = folder.join("reports");
    if reports.exists() {
        fs::remove_dir_all(&reports).context("the reports of the last run")?;
    }
    fs::create_dir_all(&reports)?;
    let programs = programs::build(root, ability, packages, folder)?;
    let mut rows: Vec<Row> = packages.iter().map(|&package| Row::new(package)).collect();
    for program in &programs {
        let shown = format!("{} {} ({} sanitizer)", program.package, program.name, sanitizer.name());
        eprintln!("── {shown}");
        let begun = Instant::now();
        let outcome = run_program(root, sanitizer, program, tests, &reports)?;
        eprintln!("── {shown}: {outcome}, {:.1} s", begun.elapsed().as_secs_f64());
        let row = rows.iter_mut().find(|row| row.package == program.package);
        row.with_context(|| format!("{} was not asked for", program.package))?.outcome.add(outcome);
    }
    Ok(rows)
}

/// One test program: shows its lines, then what the sanitizer wrote.
fn run_program(
    root: &Path,
    sanitizer: Sanitizer,
    program: &Program,
    tests: &[String],
    reports: &Path,
) -> Result<Outcome> {
    let log = reports.join(format!("{}-{}", program.package, program.name));
    let mut command = Command::new(&program.path);
    command.args(tests).current_dir(&program.folder).env("CARGO_MANIFEST_DIR", &program.folder);
    for (_, test) in SKIPPED.iter().filter(|(by, _)| *by == sanitizer) {
        command.args(["--skip", test]);
    }
    command.envs(options(sanitizer, &log, &root.join(SUPPRESSIONS))).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {}", program.path.display()))?;
    let mut outcome = Outcome::default();
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        let line = line.context("what a test program prints")?;
        println!("{line}");
        outcome.hear(&line);
    }
    let status = child.wait()?;
    let name = log.file_name().expect("named above").to_string_lossy().into_owned();
    for entry in fs::read_dir(reports)? {
        let path = entry?.path();
        // The sanitizer adds a dot and the process's number.
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if file.strip_prefix(&name).is_some_and(|rest| rest.starts_with('.')) {
            let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
            eprintln!("{}:\n{text}", path.display());
            outcome.read_reports(&text);
        }
    }
    outcome.end(status.success());
    Ok(outcome)
}

/// The variables that tell the sanitizer what to do: write to files, go on after a report, and keep to itself what the lists
/// in the folder `suppressions` name.
pub(crate) fn options(sanitizer: Sanitizer, log: &Path, suppressions: &Path) -> Vec<(&'static str, String)> {
    let (log, suppressions) = (log.display(), suppressions.display());
    match sanitizer {
        Sanitizer::Address => vec![
            ("ASAN_OPTIONS", format!("halt_on_error=0:detect_leaks=1:log_path=\"{log}\"")),
            ("LSAN_OPTIONS", format!("suppressions=\"{suppressions}/leak.suppressions\"")),
        ],
        Sanitizer::Thread => vec![(
            "TSAN_OPTIONS",
            format!(
                "halt_on_error=0:second_deadlock_stack=1:print_suppressions=1:log_path=\"{log}\":suppressions=\"{suppressions}/thread.suppressions\""
            ),
        )],
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
