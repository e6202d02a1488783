//! The figures of a run: one line of JSON for programs, a few lines of text for people.
//!
//! 1. The names and the order of the JSON fields up to `resident_bytes` are part of the command line's interface; new ones
//!    come after them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::memory::Resident;
use crate::store::{Counters, Description};
use crate::{Durability, Error, Isolation, Spec, Workload};

/// The figures of a run.
///
/// ```
/// # use aquifer_workload::{Report, Spec, Workload, store::{Counters, Description}};
/// # use std::time::Duration;
/// # let description = Description {
/// #     engine: "aquifer".into(), version: "0.1.0".into(), kind: "sorted".into(), backend: "posix".into(),
/// # };
/// # let spec = Spec::new(Workload::Reopen);
/// # let report = Report::of_reopen(&spec, description, 1000, Duration::from_millis(2), Counters::default())?;
/// let line = report.to_json();
/// assert!(line.starts_with(r#"{"engine":"aquifer","version":"0.1.0","workload":"reopen","kind":"sorted","#));
/// assert_eq!(Report::from_json(&line)?, report);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The engine's name.
    pub engine: String,
    /// Its version.
    pub version: String,
    /// What was done.
    pub workload: Workload,
    /// The kind of table.
    pub kind: String,
    /// Records of the data set.
    pub records: u64,
    /// Operations that were done, by all threads together; see [`Workload::description`] for what one is.
    pub ops: u64,
    /// Threads.
    pub threads: usize,
    /// Bytes of a value; a key has 16.
    pub value_bytes: usize,
    /// The memory that the engine was given, in MiB.
    pub budget_mib: u64,
    /// What the run's commits waited for.
    pub durability: Durability,
    /// How the engine reached the disk.
    pub backend: String,
    /// Operations a second.
    pub ops_per_s: f64,
    /// Half of all steps took at most so many microseconds.
    pub p50_us: f64,
    /// 99 of 100 steps.
    pub p99_us: f64,
    /// 999 of 1,000 steps.
    pub p999_us: f64,
    /// Bytes of keys and values that the engine was asked to write; of a changed field, the key and the field.
    pub user_bytes: u64,
    /// Bytes of records that it wrote to its log meanwhile.
    pub log_bytes: u64,
    /// Bytes that it wrote to its log to fill up blocks.
    pub log_padding_bytes: u64,
    /// Bytes that it wrote to its data file meanwhile.
    pub data_bytes: u64,
    /// Bytes of its files at the end.
    pub file_bytes: u64,
    /// Resident memory of the process at the end, in bytes.
    pub resident_bytes: u64,
    /// The most that it ever was, loading included.
    pub resident_peak_bytes: u64,
    /// Seconds from the first step to the last.
    pub elapsed_s: f64,
    /// Records of a batch; 1 where there are no batches.
    pub batch: usize,
    /// Where the randomness came from.
    pub seed: u64,
    /// What transactions were protected from, in a workload that has them.
    #[serde(default)]
    pub isolation: Option<Isolation>,
    /// How often transactions were begun again because others had committed first.
    #[serde(default)]
    pub retries: u64,
    /// Threads that wrote beside those that were measured.
    #[serde(default)]
    pub writers: usize,
    /// Commits a second of those.
    #[serde(default)]
    pub writes_per_s: f64,
    /// Operations by kind, where a workload mixes several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// The operations of one kind, of a workload that mixes several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The kind.
    pub name: String,
    /// Operations that were done.
    pub ops: u64,
    /// Of them, rolled back, as they were meant to be.
    pub rolled_back: u64,
    /// How often they were begun again because others had committed first.
    pub retries: u64,
    /// Operations a second.
    pub ops_per_s: f64,
    /// Half of them took at most so many microseconds.
    pub p50_us: f64,
    /// 99 of 100.
    pub p99_us: f64,
    /// 999 of 1,000.
    pub p999_us: f64,
}

/// What a run finds out by itself.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) ops: u64,
    pub(crate) elapsed: Duration,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) user_bytes: u64,
    pub(crate) retries: u64,
    pub(crate) writes_per_s: f64,
    pub(crate) written: Counters,
}

impl Counters {
    /// What was written since `before`. What the files take is what they take now.
    pub fn since(self, before: Counters) -> Counters {
        Counters {
            log_bytes: self.log_bytes.saturating_sub(before.log_bytes),
            log_padding_bytes: self.log_padding_bytes.saturating_sub(before.log_padding_bytes),
            data_bytes: self.data_bytes.saturating_sub(before.data_bytes),
            file_bytes: self.file_bytes,
        }
    }
}

impl Report {
    /// The figures of a [`Workload::Reopen`] that the caller has timed: opening took `elapsed` and brought back `records`
    /// records. `written` is what opening itself wrote, since a freshly opened engine counts from 0.
    ///
    /// Every latency is the one there is.
    ///
    /// # Errors
    /// [`Error::Memory`] when the process's memory cannot be read.
    pub fn of_reopen(
        spec: &Spec,
        description: Description,
        records: u64,
        elapsed: Duration,
        written: Counters,
    ) -> Result<Report, Error> {
        let latency_us = elapsed.as_secs_f64() * 1e6;
        let measured = Measured {
            ops: records,
            elapsed,
            p50_us: latency_us,
            p99_us: latency_us,
            p999_us: latency_us,
            user_bytes: 0,
            retries: 0,
            writes_per_s: 0.0,
            written,
        };
        Report::new(spec, description, measured)
    }

    /// The figures of a [`Workload::TpccKv`] that the caller has measured: `parts` are its kinds of transactions, `all` is what they are together,
    /// which took `elapsed`, on a population of `records` records of many sizes. What the user asked to write is not counted.
    ///
    /// # Errors
    /// [`Error::Memory`] when the process's memory cannot be read.
    pub fn of_parts(
        spec: &Spec,
        description: Description,
        records: u64,
        (all, parts): (Part, Vec<Part>),
        elapsed: Duration,
        written: Counters,
    ) -> Result<Report, Error> {
        let measured = Measured {
            ops: all.ops,
            elapsed,
            p50_us: all.p50_us,
            p99_us: all.p99_us,
            p999_us: all.p999_us,
            user_bytes: 0,
            retries: all.retries,
            writes_per_s: 0.0,
            written,
        };
        let report = Report::new(spec, description, measured)?;
        Ok(Report { records, value_bytes: 0, parts, ..report })
    }

    pub(crate) fn new(spec: &Spec, description: Description, measured: Measured) -> Result<Report, Error> {
        let resident = Resident::read()?;
        // A clock that has not moved must not make a number that JSON lacks.
        let elapsed_s = measured.elapsed.as_secs_f64().max(1e-9);
        Ok(Report {
            engine: description.engine,
            version: description.version,
            workload: spec.workload,
            kind: description.kind,
            records: spec.records,
            ops: measured.ops,
            threads: spec.threads,
            value_bytes: spec.value_bytes,
            budget_mib: spec.budget_mib,
            durability: spec.durability,
            backend: description.backend,
            ops_per_s: measured.ops as f64 / elapsed_s,
            p50_us: measured.p50_us,
            p99_us: measured.p99_us,
            p999_us: measured.p999_us,
            user_bytes: measured.user_bytes,
            log_bytes: measured.written.log_bytes,
            log_padding_bytes: measured.written.log_padding_bytes,
            data_bytes: measured.written.data_bytes,
            file_bytes: measured.written.file_bytes,
            resident_bytes: resident.now_bytes,
            resident_peak_bytes: resident.peak_bytes,
            elapsed_s,
            batch: spec.batch,
            seed: spec.seed,
            isolation: spec.workload.is_transactional().then_some(spec.isolation),
            retries: measured.retries,
            writers: spec.writers,
            writes_per_s: measured.writes_per_s,
            parts: Vec::new(),
        })
    }

    /// One line of JSON, without a line break.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names and finite numbers are JSON")
    }

    /// Reads a line that [`to_json`](Report::to_json) wrote; unknown fields are skipped.
    ///
    /// # Errors
    /// What serde_json says.
    pub fn from_json(line: &str) -> Result<Report, serde_json::Error> {
        serde_json::from_str(line)
    }
}

/// A few lines for people, the last without a line break.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { workload, engine, version, kind, backend, durability, budget_mib, .. } = self;
        writeln!(f, "{workload}: {engine} {version}, {kind}, {backend}, {durability}, {budget_mib} MiB")?;
        let (records, ops) = (grouped(self.records), grouped(self.ops));
        let threads = match self.threads {
            1 => "1 thread".to_owned(),
            several => format!("{several} threads"),
        };
        let sizes = match self.value_bytes {
            0 => String::new(),
            value_bytes => format!(" of 16 + {value_bytes} bytes"),
        };
        writeln!(f, "  work        {ops} operations, {threads}, {records} records{sizes}")?;
        let rate = grouped(self.ops_per_s.round() as u64);
        writeln!(f, "  throughput  {rate}/s, {:.3} s", self.elapsed_s)?;
        self.write_transactions(f)?;
        let [p50, p99, p999] = [self.p50_us, self.p99_us, self.p999_us].map(duration);
        writeln!(f, "  latency     p50 {p50}, p99 {p99}, p99.9 {p999}")?;
        let [user, log, padding, data] =
            [self.user_bytes, self.log_bytes, self.log_padding_bytes, self.data_bytes].map(size);
        writeln!(f, "  written     user {user}, log {log} and {padding} padding, data {data}")?;
        writeln!(f, "  files       {}", size(self.file_bytes))?;
        let [now, peak] = [self.resident_bytes, self.resident_peak_bytes].map(size);
        write!(f, "  memory      {now} resident, {peak} at most")
    }
}

impl Report {
    /// What is to be said of transactions, and of writers beside.
    fn write_transactions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(isolation) = self.isolation {
            let each = self.retries as f64 / self.ops.max(1) as f64;
            writeln!(f, "  isolation   {isolation}; {} retries, {each:.4} each", grouped(self.retries))?;
        }
        if self.writers > 0 {
            let rate = grouped(self.writes_per_s.round() as u64);
            writeln!(f, "  beside      {} threads that write, {rate}/s", self.writers)?;
        }
        for part in &self.parts {
            let [p50, p99, p999] = [part.p50_us, part.p99_us, part.p999_us].map(duration);
            let (rate, retries) = (grouped(part.ops_per_s.round() as u64), grouped(part.retries));
            let Part { name, rolled_back, .. } = part;
            writeln!(
                f,
                "  {name:<13} {rate}/s, p50 {p50}, p99 {p99}, p99.9 {p999}; {retries} retries, {rolled_back} rolled back"
            )?;
        }
        Ok(())
    }
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Microseconds in the unit that reads best.
fn duration(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{us:.2} µs"),
        us if us < 1e6 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

/// Bytes in the unit that reads best.
fn size(bytes: u64) -> String {
    match bytes as f64 {
        _ if bytes < 1 << 10 => format!("{bytes} B"),
        amount if bytes < 1 << 20 => format!("{:.1} KiB", amount / 1024.0),
        amount if bytes < 1 << 30 => format!("{:.1} MiB", amount / f64::from(1 << 20)),
        amount => format!("{:.2} GiB", amount / f64::from(1 << 30)),
    }
}

#[cfg(test)]
mod tests;
