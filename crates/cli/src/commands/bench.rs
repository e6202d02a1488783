//! `bench`: the workloads of `aquifer_workload` on a table of this program's own.
//!
//! # Rules
//!
//! - **BE1** There is one list of workloads, that of `aquifer_workload`; here they are only run.
//! - **BE2** The records are in table [`TABLE`]; what they are is noted in table [`NOTES`], and nothing else in the
//!   database is touched; tpcc-kv has tables of its own, whose names begin so.
//! - **BE3** A workload that needs records gets them loaded first unless the note says that just these are there;
//!   one that makes its own begins with an empty table.
//! - **BE4** The note is taken away before the records change and written after they have, so an interrupted run
//!   leaves records without a note, which the next run makes anew.

use crate::exit::Failure;
use crate::kind::KindArg;
use crate::opening::OpeningArgs;
use crate::output::Output;
use crate::progress::Progress;
use aquifer::{Database, TableKind};
use aquifer_workload::{Durability, Isolation, Report, Spec, Workload};
use std::path::PathBuf;

mod note;
mod reopen;
mod store;
mod tpcc;

pub use reopen::{LoadUntilKilledArgs, load_until_killed};
pub use store::AquiferStore;

/// The table of the records.
pub const TABLE: &str = "bench";
/// The table that says which records those are.
pub const NOTES: &str = "bench-notes";

/// Memory when nobody says, in MiB: the same on every machine, so that figures can be compared.
const BUDGET_MIB: u64 = 64;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = workloads_help())]
pub struct BenchArgs {
    /// The database's directory; made if it is not there
    dir: PathBuf,
    /// What to do, one after the other: names with commas, or `all`
    #[arg(long, value_name = "NAME", value_delimiter = ',', required = true, value_parser = parse_workloads)]
    workload: Vec<Workloads>,
    #[command(flatten)]
    numbers: Numbers,
    /// Print one object a line
    #[arg(long)]
    json: bool,
}

/// The numbers of a run.
#[derive(Debug, Clone, clap::Args)]
pub struct Numbers {
    /// Records in the table
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    records: u64,
    /// Operations, over all threads [default: the workload's own]
    #[arg(long, value_name = "N")]
    ops: Option<u64>,
    /// Threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Bytes of a value [default: 100; update-field 1000]
    #[arg(long, value_name = "BYTES")]
    value: Option<usize>,
    /// What a commit survives: power, process or eventual [default: eventual; fillsync power]
    #[arg(long, value_name = "LEVEL")]
    durability: Option<Durability>,
    /// Where the randomness comes from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Records of a batch, in workloads that have batches [default: load 1000, multiget 32, snapshot-while-writing 100]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// What transactions are protected from, in workloads that have them: snapshot or serializable [default: snapshot; tpcc-kv serializable]
    #[arg(long, value_name = "LEVEL")]
    isolation: Option<Isolation>,
    /// Threads that overwrite records beside the readers [default: 1 in get-while-writing and snapshot-while-writing]
    #[arg(long, value_name = "N")]
    writers: Option<usize>,
    /// Warehouses of tpcc-kv
    #[arg(long, value_name = "N", default_value_t = 1)]
    warehouses: u32,
    /// Items of tpcc-kv; with another number it is not the specification's work
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    items: u32,
    /// Customers of a district of tpcc-kv; likewise
    #[arg(long, value_name = "N", default_value_t = 3_000)]
    customers: u32,
    /// Seconds that tpcc-kv runs
    #[arg(long, value_name = "N", default_value_t = 10)]
    seconds: u64,
    /// Read everything once before the clock starts, where there are records
    #[arg(long)]
    warm: bool,
    /// The table's kind; a hashed one has no order to scan
    #[arg(long, value_enum, default_value_t = KindArg::Sorted)]
    kind: KindArg,
}

/// What one name on the command line stands for.
#[derive(Debug, Clone)]
struct Workloads(Vec<Workload>);

fn parse_workloads(name: &str) -> Result<Workloads, aquifer_workload::Error> {
    match name {
        "all" => Ok(Workloads(Workload::ALL.to_vec())),
        _ => Ok(Workloads(vec![name.parse()?])),
    }
}

fn workloads_help() -> String {
    let lines = Workload::ALL.map(|workload| format!("  {:<23}{}", workload.name(), workload.description()));
    format!(
        "Workloads:\n{}\n\n\
         Keys have 16 bytes. The records are in a table of their own, `bench`. A workload that reads gets them\n\
         loaded first unless just these records are there; load, the fill… workloads and reopen begin with an\n\
         empty table, and tpcc-kv with a population of its own. For file sizes and bytes written without what came before, name a new directory.",
        lines.join("\n")
    )
}

impl Numbers {
    /// The run of one workload.
    fn spec(&self, workload: Workload, budget_mib: u64) -> Spec {
        let usual = Spec::new(workload);
        let value_bytes = self.value.unwrap_or(usual.value_bytes);
        Spec {
            records: self.records,
            ops: self.ops,
            threads: self.threads,
            value_bytes,
            budget_mib,
            durability: self.durability.unwrap_or(usual.durability),
            seed: self.seed,
            batch: self.batch.unwrap_or(usual.batch.min(batch_max(value_bytes, budget_mib))),
            warm: self.warm,
            isolation: self.isolation.unwrap_or(usual.isolation),
            writers: self.writers.unwrap_or(usual.writers),
            ..usual
        }
    }
}

/// The most records of such size that a batch may have, where nobody says: it is to need no more than half of what the
/// budget allows a batch, which is an eighth of it for two copies.
fn batch_max(value_bytes: usize, budget_mib: u64) -> usize {
    let record_bytes = (16 + value_bytes) as u64;
    ((budget_mib << 20) / 32 / record_bytes).max(1) as usize
}

/// The loading that comes before a run; never slower to be durable than it must, and synced at its end.
fn loading(spec: &Spec) -> Spec {
    let usual = Spec::new(Workload::Load);
    Spec {
        workload: Workload::Load,
        ops: None,
        durability: Durability::Eventual,
        batch: usual.batch.min(batch_max(spec.value_bytes, spec.budget_mib)),
        writers: 0,
        ..spec.clone()
    }
}

/// Runs the workloads and prints their figures.
pub fn run(args: &BenchArgs, opening: &OpeningArgs, out: &mut Output) -> Result<(), Failure> {
    let budget_mib = opening.budget.unwrap_or(BUDGET_MIB);
    let opening = OpeningArgs { budget: Some(budget_mib), ..opening.clone() };
    let workloads = args.workload.iter().flat_map(|named| &named.0);
    let specs: Vec<Spec> = workloads.map(|&workload| args.numbers.spec(workload, budget_mib)).collect();
    for spec in &specs {
        spec.check()?; // all of them before the first takes its time
        if args.numbers.kind == KindArg::Hashed && spec.workload == Workload::TpccKv {
            return Err(Failure::Usage("--kind hashed: the tables of tpcc-kv are sorted".to_owned()));
        }
        if args.numbers.kind == KindArg::Hashed && spec.workload.needs_order() {
            return Err(Failure::Usage(format!(
                "--kind hashed: {} needs keys in order, and a hashed table has none",
                spec.workload
            )));
        }
    }
    let mut db = None;
    for spec in &specs {
        let (report, remark) = if spec.workload == Workload::Reopen {
            if let Some(db) = db.take() {
                Database::close(&db)?; // the child opens it
            }
            reopen::measure(&args.dir, spec, args.numbers.kind, &opening)?
        } else {
            let db = match &db {
                Some(db) => db,
                None => db.insert(opening.open_or_create(&args.dir, None)?),
            };
            match spec.workload {
                Workload::TpccKv => tpcc::measure(db, spec, &args.numbers)?,
                _ => (measure(db, spec, args.numbers.kind.kind())?, String::new()),
            }
        };
        let remark = if remark.is_empty() { remark } else { format!("\n{remark}") };
        out.line(&if args.json { report.to_json() } else { format!("{report}{remark}") })?;
        // Each as soon as it is known: the next may take a while.
        out.flush()?;
    }
    match db {
        Some(db) => Ok(db.close()?),
        None => Ok(()),
    }
}

/// Runs one workload, on the records that it needs (BE3).
fn measure(db: &Database, spec: &Spec, kind: TableKind) -> Result<Report, Failure> {
    let notes = note::Notes::open(db)?;
    let note = notes.read()?.filter(|note| spec.workload.needs_records() && note.serves(spec));
    let there = note.is_some().then(|| AquiferStore::open(db)).transpose()?;
    let (store, note) = match there.filter(|store| store.kind() == kind) {
        Some(store) => (store, note),
        None => {
            notes.remove()?;
            (AquiferStore::emptied(db, kind)?, None)
        }
    };
    let note = match note {
        None if spec.workload.needs_records() => {
            let progress = Progress::of_things(spec.records, "loading");
            aquifer_workload::run(&store, &loading(spec), &|done, total| progress.things(done, total))?;
            Some(note::Note::loaded(spec))
        }
        note => note,
    };
    notes.remove()?;
    let progress = Progress::of_things(spec.ops(), spec.workload.name());
    let report = aquifer_workload::run(&store, spec, &|done, total| progress.things(done, total))?;
    if let Some(note) = note::after(note, spec) {
        notes.write(&note)?;
    }
    Ok(report)
}
