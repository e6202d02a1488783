//! Running inputs: one after the other, each bounded in time, the process bounded in memory.
//!
//! Input number n of a target under a seed is always the same, so a failure is named by three words. A campaign keeps the
//! input that runs in a file besides, `<target>.running`: it is there even if the process is killed.
//!
//! # Invariants
//!
//! - **CA1** A panic of a target is caught and reported with its input.
//! - **CA2** An input that takes longer than [`INPUT_TIME_MAX`] ends the process, with the input in its file.
//! - **CA3** The process's memory stays below [`MEMORY_BYTES_MAX`] at its peak: nothing that was read decides how much
//!   is allocated.

use crate::mutate;
use crate::targets::Target;
use anyhow::{Context, Result};
use aquifer_codec::checksum::crc32c;
use aquifer_sim::Random;
use aquifer_sync::{Arc, Condvar, Mutex, Rank, thread};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest that one input may take; most take less than a millisecond (CA2).
pub const INPUT_TIME_MAX: Duration = Duration::from_secs(20);
/// The most memory that the process may ever have had, in bytes (CA3).
pub const MEMORY_BYTES_MAX: u64 = 512 << 20;
/// Inputs between two looks at the memory.
const MEMORY_STEP: u64 = 256;

/// An input that broke its target's property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The input.
    pub input: Vec<u8>,
    /// What the panic said.
    pub said: String,
}

/// Runs one input (CA1).
///
/// # Errors
///
/// The failure, if the target panics.
pub fn run_input(target: &Target, input: &[u8]) -> std::result::Result<(), Failure> {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let said = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Failure { input: input.to_vec(), said: said.unwrap_or_else(|| "a panic without words".to_owned()) }
    })
}

/// Input number `number` of a target under `seed`.
pub fn input(target: &Target, corpus: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
    let mut random = Random(seed ^ number.wrapping_mul(0xA076_1D64_78BD_642F));
    mutate::input(&mut random, corpus, target.input_bytes_max)
}

/// How long a campaign runs.
#[derive(Debug, Clone, Copy)]
pub enum Length {
    /// So many random inputs.
    Inputs(u64),
    /// For this time.
    Time(Duration),
}

/// Runs all of `corpus`, then random inputs from `seed`; returns how many random ones.
///
/// `folder`, where given, is where the running input is kept, and a failing one stays.
///
/// # Errors
///
/// The first failure, with how to run it again.
pub fn run(
    target: &Target,
    corpus: &[Vec<u8>],
    seed: u64,
    length: Length,
    folder: Option<&Path>,
) -> Result<u64> {
    let watch = Watch::start();
    let kept = folder.map(|folder| Kept::new(folder, target)).transpose()?;
    let run = |what: &str, input: &[u8]| -> Result<()> {
        if let Some(kept) = &kept {
            kept.put(input)?;
        }
        watch.begin();
        let ran = run_input(target, input);
        watch.end();
        ran.map_err(|failure| explain(target, what, &failure, kept.as_ref()))
    };
    for (number, input) in corpus.iter().enumerate() {
        run(&format!("input {number} of the corpus"), input)?;
    }
    let begun = Instant::now();
    let mut number = 0;
    while match length {
        Length::Inputs(count) => number < count,
        Length::Time(time) => begun.elapsed() < time,
    } {
        run(&format!("seed {seed}, input {number}"), &input(target, corpus, seed, number))?;
        number += 1;
        if number % MEMORY_STEP == 0 {
            check_memory(target)?;
        }
    }
    check_memory(target)?;
    if let Some(kept) = kept {
        kept.remove()?;
    }
    Ok(number)
}

fn explain(target: &Target, what: &str, failure: &Failure, kept: Option<&Kept>) -> anyhow::Error {
    let name = target.name;
    let again = match kept {
        Some(kept) => {
            let path = kept.path.with_file_name(format!("{name}-{:08x}.input", crc32c(0, &failure.input)));
            // If it cannot be renamed, it is where it was.
            let path = if std::fs::rename(&kept.path, &path).is_ok() { &path } else { &kept.path };
            let path = path.display();
            format!(
                "the input is in {path}; run it again with\n  cargo xtask fuzz --target {name} --input {path}"
            )
        }
        None => format!("the input is {:02x?}", failure.input),
    };
    anyhow::anyhow!("{name}, {what}: {}\n{again}", failure.said)
}

/// CA3.
fn check_memory(target: &Target) -> Result<()> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read this process's status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let peak: u64 = peak.context("the status names no peak")?.trim().parse()?;
    let bytes = peak << 10;
    anyhow::ensure!(
        bytes <= MEMORY_BYTES_MAX,
        "{}: the process has had {bytes} bytes of memory",
        target.name
    );
    Ok(())
}

/// The file with the input that runs. It is open throughout: some file systems write a file out when one that was emptied
/// is closed.
struct Kept {
    path: PathBuf,
    file: File,
}

impl Kept {
    fn new(folder: &Path, target: &Target) -> Result<Kept> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join(format!("{}.running", target.name));
        let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Kept { path, file })
    }

    fn put(&self, input: &[u8]) -> Result<()> {
        let written = self.file.write_all_at(input, 0).and_then(|()| self.file.set_len(input.len() as u64));
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn remove(&self) -> Result<()> {
        std::fs::remove_file(&self.path).with_context(|| format!("cannot remove {}", self.path.display()))
    }
}

/// Ends the process if an input takes too long (CA2).
struct Watch {
    shared: Arc<(Mutex<Watched>, Condvar)>,
}

#[derive(Debug, Default)]
struct Watched {
    since: Option<Instant>,
    ended: bool,
}

impl Watch {
    fn start() -> Watch {
        let shared = Arc::new((Mutex::new(Rank::Leaf, Watched::default()), Condvar::new()));
        let theirs = Arc::clone(&shared);
        // Not joined: it notices the end within a second.
        drop(thread::spawn(move || {
            let (watched, changed) = &*theirs;
            let mut now = watched.lock();
            while !now.ended {
                if now.since.is_some_and(|since| since.elapsed() > INPUT_TIME_MAX) {
                    eprintln!("CA2: an input took longer than {INPUT_TIME_MAX:?}");
                    std::process::exit(3);
                }
                now = changed.wait_timeout(now, Duration::from_secs(1));
            }
        }));
        Watch { shared }
    }

    fn begin(&self) {
        self.shared.0.lock().since = Some(Instant::now());
    }

    fn end(&self) {
        self.shared.0.lock().since = None;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.0.lock().ended = true;
        self.shared.1.notify_all();
    }
}
