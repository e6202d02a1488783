//! One engine on one workload.
//!
//! The store is loaded first where the workload needs records and there are none, as `aquifer bench` does it.

use aquifer_workload::{BoxError, Durability, Report, Spec, Store, Workload};
use std::path::PathBuf;

/// The engines of this build.
pub const ENGINES: &[&str] = &[
    #[cfg(feature = "lmdb")]
    "lmdb",
    #[cfg(feature = "redb")]
    "redb",
    #[cfg(feature = "rocksdb")]
    "rocksdb",
];

/// What to run: the arguments of `aquifer bench`, and the engine.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The engine; which there are depends on the features of the build.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(ENGINES))]
    engine: String,
    /// Where its files lie; made if absent.
    directory: PathBuf,
    /// The workload.
    #[arg(long)]
    workload: Workload,
    /// Records that the store holds, or will hold when it is loaded.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Operations over all threads; the workload's own number unless given.
    #[arg(long)]
    ops: Option<u64>,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Bytes of a value; the workload's own number unless given.
    #[arg(long)]
    value: Option<usize>,
    /// Memory for caching in MiB, for an engine with a cache of its own.
    #[arg(long, default_value_t = 64)]
    budget: u64,
    /// What a commit waits for: power, process or eventual; the workload's own unless given.
    #[arg(long)]
    durability: Option<Durability>,
    /// Threads that write beside the readers, in the workloads that have such; the workload's own number unless given.
    #[arg(long)]
    writers: Option<usize>,
    /// Reads everything once before the clock starts, where there are records.
    #[arg(long)]
    warm: bool,
    /// Prints a line of JSON.
    #[arg(long)]
    pub json: bool,
}

impl Arguments {
    fn spec(&self) -> Spec {
        let usual = Spec::new(self.workload);
        Spec {
            records: self.records,
            ops: self.ops,
            threads: self.threads,
            value_bytes: self.value.unwrap_or(usual.value_bytes),
            budget_mib: self.budget,
            durability: self.durability.unwrap_or(usual.durability),
            warm: self.warm,
            writers: self.writers.unwrap_or(usual.writers),
            ..usual
        }
    }
}

/// Opens the engine, loads it if needed, runs the workload.
///
/// # Errors
///
/// Whatever the engine or the workload says.
pub fn run(arguments: &Arguments) -> Result<Report, BoxError> {
    let spec = arguments.spec();
    spec.check()?;
    match arguments.engine.as_str() {
        #[cfg(feature = "lmdb")]
        "lmdb" => measure(&crate::engines::lmdb::Lmdb::open(&arguments.directory)?, &spec),
        #[cfg(feature = "redb")]
        "redb" => measure(&crate::engines::redb::Redb::open(&arguments.directory, arguments.budget)?, &spec),
        #[cfg(feature = "rocksdb")]
        "rocksdb" => {
            let (directory, transactional) = (&arguments.directory, spec.workload.is_transactional());
            let store = crate::engines::rocksdb::Rocksdb::open(directory, arguments.budget, transactional)?;
            measure(&store, &spec)
        }
        other => Err(format!("{other} is not in this build; build with --features {other}").into()),
    }
}

/// Loads if needed, and runs.
///
/// # Errors
///
/// Whatever the store or the workload says.
pub fn measure<S: Store>(store: &S, spec: &Spec) -> Result<Report, BoxError> {
    if spec.workload.needs_records() && aquifer_workload::run::is_empty(store)? {
        aquifer_workload::load(store, spec, &|_, _| {})?;
    }
    Ok(aquifer_workload::run(store, spec, &|_, _| {})?)
}
