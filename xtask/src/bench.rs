//! `cargo xtask bench`: the same workloads on Aquifer and on other engines, one table, and one JSON object a line.
//!
//! Every engine runs every workload in a process of its own, one after the other: Aquifer through its own command line
//! (`aquifer bench`), the others through `benches/peers`, which takes the same arguments and prints the same objects.
//! So there is one list of workloads, one generator, one way to measure. Aquifer runs twice, with a sorted and with a hashed
//! table, where the workload needs no order, and again with serializable transactions where the workload has transactions.
//!
//! An engine keeps its directory over the workloads that begin with records in place, and begins with an empty one for those
//! that fill it themselves.

pub mod engine;
pub mod library;

use crate::steps;
use anyhow::{Context, Result, bail};
use aquifer_workload::{Durability, Report, Workload};
use clap::ValueEnum;
use engine::{Engine, PEERS};
use std::path::{Path, PathBuf};

/// How much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scale {
    /// Minutes; shows whether something is broken.
    Small,
    /// What figures are quoted from.
    Full,
}

/// What to compare.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Other engines, with commas between them.
    #[arg(long, value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(PEERS))]
    peers: Vec<String>,
    /// Workloads, with commas between them; `all` for the whole list.
    #[arg(long, value_delimiter = ',', default_value = "load,get,scan100,fillrandom,ycsb-a,fillsync")]
    workloads: Vec<String>,
    /// How much to do: sets records, operations, budget and runs, each of which can be set by itself too.
    #[arg(long, value_enum, default_value_t = Scale::Small)]
    scale: Scale,
    /// Threads, with commas between them.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<u32>,
    /// Runs of each, of which the median counts.
    #[arg(long)]
    runs: Option<usize>,
    /// Records in place.
    #[arg(long)]
    records: Option<u64>,
    /// Operations; the workload's own number unless given.
    #[arg(long)]
    ops: Option<u64>,
    /// Bytes of a value; the workload's own unless given.
    #[arg(long)]
    value: Option<usize>,
    /// Memory for caching in MiB.
    #[arg(long)]
    budget: Option<u64>,
    /// Threads that write beside the readers, in the workloads that have such; the workload's own number unless given.
    #[arg(long)]
    writers: Option<usize>,
    /// Warehouses of tpcc-kv.
    #[arg(long)]
    warehouses: Option<u32>,
    /// Seconds that tpcc-kv runs.
    #[arg(long)]
    seconds: Option<u64>,
    /// Durability of writes: power, process or eventual; the workload's own unless given.
    #[arg(long)]
    durability: Option<Durability>,
    /// Where the databases lie; a temporary folder unless given. What is made there is removed.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Prints one JSON object for each engine, workload and number of threads.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn pick<T>(&self, set: Option<T>, small: T, full: T) -> T {
        set.unwrap_or(if self.scale == Scale::Small { small } else { full })
    }

    /// The arguments that every engine gets, the directory apart. What is not said here the workload itself knows.
    fn of(&self, workload: Workload, threads: u32) -> Vec<String> {
        let mut arguments: Vec<String> =
            ["--workload", workload.name(), "--json", "--warm"].map(String::from).to_vec();
        let mut say = |name: &str, value: Option<String>| {
            arguments.extend(value.into_iter().flat_map(|value| [name.to_string(), value]));
        };
        say("--records", Some(self.pick(self.records, 200_000, 10_000_000).to_string()));
        say("--ops", self.ops.map(|ops| ops.to_string()));
        say("--threads", Some(threads.to_string()));
        say("--value", self.value.map(|bytes| bytes.to_string()));
        say("--budget", Some(self.pick(self.budget, 256, 4096).to_string()));
        say(
            "--writers",
            self.writers.filter(|_| workload.default_writers() > 0).map(|count| count.to_string()),
        );
        if workload == Workload::TpccKv {
            say("--warehouses", Some(self.pick(self.warehouses, 1, 10).to_string()));
            say("--seconds", Some(self.pick(self.seconds, 10, 60).to_string()));
        }
        // A workload that is about durability keeps its own.
        let durability = self.durability.filter(|_| workload != Workload::FillSync);
        say("--durability", durability.map(|durability| durability.to_string()));
        arguments
    }

    /// Where an engine keeps its records for a workload. Values of another size are other records.
    fn directory(&self, base: &Path, engine: &Engine, workload: Workload) -> PathBuf {
        let value_bytes = self.value.unwrap_or(workload.default_value_bytes());
        base.join(format!("{}-{value_bytes}", engine.folder()))
    }
}

/// Does the workload leave other records than it found? Then the next one begins anew.
fn grows(workload: Workload) -> bool {
    !workload.needs_records() || matches!(workload, Workload::YcsbD | Workload::YcsbE)
}

/// Builds, runs, prints.
///
/// # Errors
///
/// If a name is unknown, or something does not build or run.
pub fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let workloads = workloads(&arguments.workloads)?;
    library::provide(&arguments.peers)?;
    let engines = Engine::all(&arguments.peers);
    let programs = build(root, &arguments.peers)?;
    let base = arguments.dir.clone().unwrap_or_else(std::env::temp_dir);
    let base = base.join(format!("aquifer-bench-{}", std::process::id()));
    std::fs::create_dir_all(&base)?;
    let result = measure(arguments, &workloads, &engines, &programs, &base);
    std::fs::remove_dir_all(&base)?;
    let rows = result?;
    if arguments.json {
        rows.iter().for_each(|row| println!("{}", row.to_json()));
        eprint!("{}", table(&rows));
    } else {
        print!("{}", table(&rows));
    }
    Ok(())
}

fn workloads(names: &[String]) -> Result<Vec<Workload>> {
    if names.iter().any(|name| name == "all") {
        return Ok(Workload::ALL.to_vec());
    }
    names.iter().map(|name| Ok(name.parse()?)).collect()
}

/// The programs to run.
#[derive(Debug)]
pub struct Programs {
    /// Aquifer's command line.
    pub ours: PathBuf,
    /// The peers' runner.
    pub peers: PathBuf,
}

fn build(root: &Path, peers: &[String]) -> Result<Programs> {
    steps::run(&mut steps::cargo(root, &["build", "--release", "--quiet", "--package", "aquifer-cli"]))?;
    let folder = root.join("benches/peers");
    let target = std::env::var_os("CARGO_TARGET_DIR").map(|t| PathBuf::from(t).join("peers"));
    let target = target.unwrap_or_else(|| folder.join("target"));
    if !peers.is_empty() {
        let features = peers.join(",");
        let mut command = steps::cargo(&folder, &["build", "--release", "--quiet", "--features", &features]);
        steps::run(command.env("CARGO_TARGET_DIR", &target))?;
    }
    Ok(Programs {
        ours: steps::target(root).join("release/aquifer"),
        peers: target.join("release/aquifer-peers"),
    })
}

fn measure(
    arguments: &Arguments,
    workloads: &[Workload],
    engines: &[Engine],
    programs: &Programs,
    base: &Path,
) -> Result<Vec<Report>> {
    let runs = arguments.pick(arguments.runs, 1, 3).max(1);
    let mut rows = Vec::new();
    for workload in workloads {
        for &threads in &arguments.threads {
            let engines: Vec<&Engine> = engines.iter().filter(|engine| engine.runs(*workload)).collect();
            // Runs alternate between the engines, so that a slow moment of the machine hits all of them.
            let mut measured: Vec<Vec<Report>> = vec![Vec::new(); engines.len()];
            for run in 1..=runs {
                for (&engine, measured) in engines.iter().zip(&mut measured) {
                    eprintln!("{workload} with {threads} threads on {engine}, run {run} of {runs}");
                    let directory = arguments.directory(base, engine, *workload);
                    if !workload.needs_records() {
                        remove(&directory)?;
                    }
                    measured.push(one(programs, engine, &directory, &arguments.of(*workload, threads))?);
                    if grows(*workload) {
                        remove(&directory)?;
                    }
                }
            }
            rows.extend(measured.into_iter().map(median));
        }
    }
    Ok(rows)
}

fn remove(directory: &Path) -> Result<()> {
    if directory.exists() {
        std::fs::remove_dir_all(directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    Ok(())
}

/// One engine on one workload, in a process of its own.
fn one(programs: &Programs, engine: &Engine, directory: &Path, arguments: &[String]) -> Result<Report> {
    let printed = steps::output(engine.command(programs, directory).args(arguments))?;
    let Some(line) = printed.lines().rfind(|line| line.starts_with('{')) else {
        bail!("{engine} printed no object: {printed}");
    };
    Report::from_json(line).with_context(|| format!("{engine} printed {line}"))
}

/// The run of the median throughput.
fn median(mut runs: Vec<Report>) -> Report {
    runs.sort_by(|a, b| a.ops_per_s.total_cmp(&b.ops_per_s));
    runs.swap_remove(runs.len() / 2)
}

/// All rows as text, each with its ratio to ours with a sorted table.
pub fn table(rows: &[Report]) -> String {
    let head = [
        "workload",
        "threads",
        "engine",
        "durability",
        "kops/s",
        "ours ÷",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "retries",
        "file MB",
        "mem MB",
    ];
    let mut lines = vec![head.map(String::from).to_vec()];
    for row in rows {
        let same = |other: &&Report| (other.workload, other.threads) == (row.workload, row.threads);
        let ours = rows.iter().filter(same).find(|other| Engine::of(other) == Engine::Sorted);
        lines.push(vec![
            row.workload.to_string(),
            row.threads.to_string(),
            Engine::of(row).to_string(),
            row.durability.to_string(),
            format!("{:.1}", row.ops_per_s / 1e3),
            ours.map_or_else(String::new, |ours| format!("{:.2}", ours.ops_per_s / row.ops_per_s)),
            format!("{:.1}", row.p50_us),
            format!("{:.1}", row.p99_us),
            format!("{:.1}", row.p999_us),
            // A commit's share of them.
            row.isolation
                .map_or_else(String::new, |_| format!("{:.3}", row.retries as f64 / row.ops.max(1) as f64)),
            format!("{:.0}", row.file_bytes as f64 / 1e6),
            format!("{:.0}", row.resident_peak_bytes as f64 / 1e6),
        ]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // Words to the left, numbers to the right.
            let cell = if matches!(column, 0 | 2 | 3) {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            };
            out.push_str(if column == 0 { "" } else { "  " });
            out.push_str(&cell);
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests;
