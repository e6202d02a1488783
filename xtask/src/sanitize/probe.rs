//! Whether the compiler can do it: a tiny program with the error in question is built and run, and the sanitizer must find it.
//!
//! A stable compiler brings the sanitizers' runtimes for the usual targets, and accepts the flags if `RUSTC_BOOTSTRAP` says
//! so. The thread sanitizer must see the standard library's atomics as well, so that is built anew, from its source.

use super::{Sanitizer, Unsupported, options};
use crate::steps;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// How the tests are built with a sanitizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ability {
    /// For the compiler.
    pub flags: Vec<String>,
    /// The standard library is built as well.
    pub build_std: bool,
    /// The target.
    pub host: String,
}

/// Two threads write without a lock, in a function whose name must be in the report: suppressions go by names. Both run
/// before either writes, which is often enough for a race that is not noticed every time.
const RACE: &str = "
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
static RUNNING: AtomicU64 = AtomicU64::new(0);
static mut COUNT: u64 = 0;
#[inline(never)]
fn guilty_function() {
    RUNNING.fetch_add(1, Relaxed);
    while RUNNING.load(Relaxed) < 2 { std::hint::spin_loop() }
    for _ in 0..1_000 { unsafe { *(&raw mut COUNT) += 1 }; std::thread::yield_now() }
}
fn main() {
    let other = std::thread::spawn(guilty_function);
    guilty_function();
    other.join().unwrap();
}";

/// A byte behind a heap allocation is read.
const OVERRUN: &str = "
#[inline(never)]
fn guilty_function(bytes: *const u8, at: usize) -> u8 { unsafe { bytes.add(at).read_volatile() } }
fn main() {
    let bytes = vec![1_u8; 16];
    println!(\"{}\", guilty_function(bytes.as_ptr(), 15 + std::env::args().count()));
}";

/// Says that the runtime itself could not start.
const MAPPING: &str = "unexpected memory mapping";

/// Tries it out, in `folder`.
///
/// # Errors
///
/// If there is no compiler at all, or the folder cannot be written.
pub fn ability(sanitizer: Sanitizer, folder: &Path) -> Result<Result<Ability, Unsupported>> {
    let version = steps::output(Command::new(rustc()).arg("-vV"))?;
    let host = host(&version).context("rustc names no host")?.to_owned();
    let scratch = folder.join("probe");
    fs::create_dir_all(&scratch)?;
    let source = scratch.join("probe.rs");
    fs::write(&source, if sanitizer == Sanitizer::Thread { RACE } else { OVERRUN })?;
    let mut refused = String::new();
    // The second for compilers that want to hear that the standard library of the probe is not instrumented.
    for more in [&[][..], &["-Cunsafe-allow-abi-mismatch=sanitizer"][..]] {
        let program = scratch.join("probe");
        let built = Command::new(rustc())
            .args(flags(sanitizer))
            .args(more)
            .args(["--edition=2021", "-g", "--target", &host, "-o"])
            .args([&program, &source])
            .env("RUSTC_BOOTSTRAP", "1")
            .output()
            .context("cannot run rustc")?;
        if !built.status.success() {
            refused = first_error(&String::from_utf8_lossy(&built.stderr));
            continue;
        }
        return found(sanitizer, &program, &scratch).map(|found| {
            found.and_then(|()| {
                let build_std = sanitizer == Sanitizer::Thread;
                if build_std {
                    has_source()?;
                }
                Ok(Ability { flags: flags(sanitizer), build_std, host })
            })
        });
    }
    let name = sanitizer.name();
    Ok(Err(Unsupported {
        what: format!(
            "rustc cannot build with the {name} sanitizer for {host} ({refused}); try `rustup toolchain install nightly` \
             and `cargo +nightly xtask sanitize`"
        ),
    }))
}

fn rustc() -> std::ffi::OsString {
    std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

fn flags(sanitizer: Sanitizer) -> Vec<String> {
    let mut flags = vec![format!("-Zsanitizer={}", sanitizer.name())];
    if sanitizer == Sanitizer::Address {
        // Else the first report ends the process.
        flags.push("-Zsanitizer-recover=address".into());
    }
    flags
}

/// Runs the faulty program: is the fault found, and named?
fn found(sanitizer: Sanitizer, program: &Path, scratch: &Path) -> Result<Result<(), Unsupported>> {
    let log = scratch.join("report");
    for entry in fs::read_dir(scratch)? {
        let path = entry?.path();
        if path.extension().is_some() && path.file_stem() == log.file_name() {
            fs::remove_file(path)?;
        }
    }
    for list in ["leak.suppressions", "thread.suppressions"] {
        fs::write(scratch.join(list), "")?;
    }
    let output = Command::new(program)
        .envs(options(sanitizer, &log, scratch))
        .output()
        .context("cannot run the probe")?;
    let mut report = String::new();
    for entry in fs::read_dir(scratch)? {
        let path = entry?.path();
        if path.extension().is_some() && path.file_stem() == log.file_name() {
            report += &String::from_utf8_lossy(&fs::read(path)?);
        }
    }
    Ok(judge(sanitizer, &report, &output))
}

/// What the probe's report and output say about what can be done here.
fn judge(sanitizer: Sanitizer, report: &str, output: &Output) -> Result<(), Unsupported> {
    let name = sanitizer.name();
    let said = format!("{report}{}", String::from_utf8_lossy(&output.stderr));
    let what = if said.contains(MAPPING) {
        format!(
            "the {name} sanitizer cannot place its memory; run it without address randomisation: `setarch -R …`"
        )
    } else if !report.contains("data race") && !report.contains("heap-buffer-overflow") {
        format!(
            "the {name} sanitizer did not find the error of a program that has one ({}): {}",
            output.status,
            said.lines().next().unwrap_or("it said nothing")
        )
    } else if !report.contains("guilty_function") {
        format!("the {name} sanitizer cannot name functions; install llvm-symbolizer (package `llvm`)")
    } else {
        return Ok(());
    };
    Err(Unsupported { what })
}

/// The standard library's source.
fn has_source() -> Result<(), Unsupported> {
    let missing = |why: String| Unsupported {
        what: format!(
            "the thread sanitizer needs a standard library that it sees into, and {why}: `rustup component add rust-src`"
        ),
    };
    let sysroot = steps::output(Command::new(rustc()).args(["--print", "sysroot"]))
        .map_err(|error| missing(format!("{error:#}")))?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std/Cargo.toml");
    if library.exists() { Ok(()) } else { Err(missing(format!("{} is not there", library.display()))) }
}

/// The host in what `rustc -vV` prints.
fn host(version: &str) -> Option<&str> {
    version.lines().find_map(|line| line.strip_prefix("host: "))
}

/// The first error in what a compiler printed.
fn first_error(said: &str) -> String {
    said.lines().find(|line| line.starts_with("error")).unwrap_or("no reason given").to_owned()
}

#[cfg(all(test, not(loom)))]
mod tests;
