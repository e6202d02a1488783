//! `load`: records from text into a table.
//!
//! # Rules
//!
//! - **LO1** Records are committed in the order of the input, in batches that are there whole or not at all; of two
//!   with the same key the later counts.
//! - **LO2** A load that stops says up to which line everything is committed, and how to go on from there. What it
//!   says is committed has the durability that was asked for.
//! - **LO3** While one batch becomes durable the next is read and applied; never more than one is under way.

mod sorted;

use super::TableArgs;
use super::source::Source;
use crate::exit::Failure;
use crate::input::{self, Fault, Format, InputError, Record, Records, Shape};
use crate::kind::KindArg;
use crate::opening::{OpenTable, OpeningArgs};
use crate::output::{self, Output, grouped, size};
use crate::progress::Progress;
use crate::typed::{Role, Type};
use aquifer::{CommitTicket, Database, Durability, TableOptions, WriteBatch};
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

const FORMATS: &str = "\
Formats:
  tsv    KEY<TAB>VALUE: the key is the first column, the value the rest of the line. Bytes are taken
         as they are. --key N makes another column the key.
  csv    The first line names the columns. The key is the first column, or the one that --key names or
         numbers. The value is the rest of the record, as csv again.
  jsonl  One JSON object a line. The key is the field that --key names, a string or a number. The value
         is the whole object as written.

Of two records with the same key the later counts. Empty lines are passed over, and lines may end in
CR LF. A bad line ends the load with exit code 3; what comes before it is committed, and the report says
how to go on. A table that was made with types of its own takes text that fits them.

Examples:
  find /usr -printf '%p\\t%s\\t%m\\t%T@\\n' | aquifer load files.aq files
  aquifer load shop.aq users users.csv --format csv --key email
  aquifer scan old.aq t | aquifer load new.aq t --hex --sorted";

/// What a record of a batch takes besides its key and value, in bytes; on the safe side.
const RECORD_OVERHEAD_BYTES: usize = 32;
/// A batch is committed when it reaches this size, however few records it has.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// ... or this share of the memory budget: the engine allows an eighth of it, for two copies of the batch.
const BATCH_BUDGET_SHARE: u64 = 32;
/// Bad lines that --skip-bad reports one by one.
const BAD_LINES_TOLD: u64 = 10;

/// Arguments of `load`.
#[derive(Debug, clap::Args)]
#[command(after_help = FORMATS)]
pub struct LoadArgs {
    #[command(flatten)]
    place: TableArgs,
    /// The file to read; - or nothing for standard input
    file: Option<PathBuf>,
    /// What the input is
    #[arg(long, value_enum, default_value_t = Format::Tsv)]
    format: Format,
    /// The key: a column's name or number (tsv: number, from 1) or a field's name
    #[arg(long, value_name = "COLUMN")]
    key: Option<String>,
    /// tsv: each line is a key; the values are empty
    #[arg(long)]
    keys_only: bool,
    /// tsv: lines end with a zero byte, as from find -print0
    #[arg(long)]
    null: bool,
    /// Keys and values that begin with 0x are bytes, as scan prints them
    #[arg(long)]
    hex: bool,
    /// Begin at this line of the input, where an earlier load stopped
    #[arg(long, value_name = "LINE", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    from_line: u64,
    /// The input is sorted by key (as stored), each key once, and the table is empty: load it in bulk, everything or
    /// nothing
    #[arg(long, conflicts_with = "from_line")]
    sorted: bool,
    /// Pass over bad lines instead of stopping, and say how many there were
    #[arg(long)]
    skip_bad: bool,
    /// Records of a commit, at most; a small memory budget makes it fewer
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// What each commit survives: power, process or eventual
    #[arg(long, value_name = "LEVEL", default_value_t = Durability::Power)]
    durability: Durability,
    /// Make a new table without a log: after a crash it is as of the last checkpoint
    #[arg(long)]
    unlogged: bool,
    /// What a new table is: sorted, or hashed, which is faster and has no ranges
    #[arg(long, value_enum)]
    kind: Option<KindArg>,
    /// Size of the pages of a new database, in KiB: 4, 8, 16, 32 or 64; a key has an eighth of it at most
    #[arg(long, value_name = "KIB")]
    page_kib: Option<u32>,
    /// Print the summary as an object
    #[arg(long)]
    json: bool,
}

/// Loads, and prints a summary.
pub fn run(args: &LoadArgs, opening: &OpeningArgs, out: &mut Output) -> Result<(), Failure> {
    let begun = Instant::now();
    // The input comes first: a file that is not there should not leave a database behind.
    let source = Source::open(args.file.as_deref())?;
    if source.is_terminal() {
        output::message("reading from the terminal; Ctrl-D ends the input");
    }
    let shape = Shape {
        format: args.format,
        key: args.key.clone(),
        null_terminated: args.null,
        keys_only: args.keys_only,
        from_line: args.from_line,
    };
    let (reader, position) = source.into_reader();
    let mut records = input::records(reader, &shape).map_err(Failure::Usage)?;
    let db = opening.open_or_create(&args.place.dir, args.page_kib)?;
    let table = &args.place.table;
    let open = match args.kind {
        Some(KindArg::Hashed) => {
            OpenTable::open_or_create(&db, table, TableOptions::hashed().logged(!args.unlogged))?
        }
        _ => OpenTable::open_or_create(&db, table, TableOptions::default().logged(!args.unlogged))?,
    };
    let is = open.table.info().kind;
    if let Some(kind) = args.kind.filter(|kind| kind.kind() != is) {
        return Err(Failure::Usage(format!(
            "--kind {}: table `{table}` is {is}; that is fixed when it is made",
            kind.kind()
        )));
    }
    if args.unlogged && open.table.info().logged {
        return Err(Failure::Usage(format!(
            "--unlogged: table `{table}` has a log; that is fixed when it is made"
        )));
    }
    let mut loader = Loader::new(args, &db, open);
    let ended = {
        let mut progress = Progress::of_bytes(position.total);
        let tell = |records| progress.records(position.bytes(), records);
        if args.sorted { loader.load_sorted(&mut *records, tell) } else { loader.load(&mut *records, tell) }
    };
    // What was committed stays committed; a failure to close is told if nothing worse happened.
    let ended = ended.and_then(|()| db.close().map_err(|error| loader.interrupted(error)));
    let seconds = begun.elapsed().as_secs_f64();
    if args.json {
        out.json(&loader.summary_json(seconds, ended.as_ref().err()))?;
    } else if ended.is_ok() {
        out.line(&loader.summary(seconds))?;
    }
    ended
}

/// A load under way.
struct Loader<'a> {
    args: &'a LoadArgs,
    db: &'a Database,
    open: OpenTable,
    batch: WriteBatch,
    batch_bytes_max: usize,
    /// The batch that is applied but perhaps not durable yet, and the line that its successor begins with (LO3).
    under_way: Option<(CommitTicket, Progressed)>,
    /// What has been read into batches.
    read: Progressed,
    /// What is committed.
    committed: Progressed,
    skipped: u64,
}

/// How far something has come.
#[derive(Debug, Clone, Copy)]
struct Progressed {
    /// Everything before this line is done.
    line: u64,
    records: u64,
    bytes: u64,
}

impl<'a> Loader<'a> {
    fn new(args: &'a LoadArgs, db: &'a Database, open: OpenTable) -> Self {
        let start = Progressed { line: args.from_line, records: 0, bytes: 0 };
        let share = db.stats().memory_budget / BATCH_BUDGET_SHARE;
        Loader {
            args,
            db,
            open,
            batch: WriteBatch::new(),
            batch_bytes_max: BATCH_BYTES_MAX.min(share as usize),
            under_way: None,
            read: start,
            committed: start,
            skipped: 0,
        }
    }

    fn load(&mut self, records: &mut dyn Records, mut progress: impl FnMut(u64)) -> Result<(), Failure> {
        let mut record = Record::default();
        loop {
            let added = match records.next(&mut record) {
                Ok(true) => self.add(&record).map_err(|fault| InputError { line: record.line, fault }),
                Ok(false) => break,
                Err(error) => Err(error),
            };
            if let Err(error) = added {
                self.bad(error)?;
            }
            if self.is_full() {
                self.commit()?;
                progress(self.read.records);
            }
        }
        self.commit()?;
        self.wait()
    }

    fn is_full(&self) -> bool {
        let bytes = self.batch.bytes() + RECORD_OVERHEAD_BYTES * self.batch.len();
        self.batch.len() >= self.args.batch as usize || bytes >= self.batch_bytes_max
    }

    /// Adds a record to the batch.
    fn add(&mut self, record: &Record) -> Result<(), Fault> {
        let key = encode(&self.open.key, Role::Key, &record.key, self.args.hex)?;
        let value = encode(&self.open.value, Role::Value, &record.value, self.args.hex)?;
        fits("key", key.len(), self.db.key_len_max())?;
        fits("value", value.len(), VALUE_BYTES_MAX)?;
        self.batch.put(&self.open.table, &key[..], &value[..]);
        let bytes = key.len() + value.len();
        self.read.line = record.line + 1;
        self.read.records += 1;
        self.read.bytes += bytes as u64;
        Ok(())
    }

    /// Commits the batch, once the one before it is durable (LO3).
    fn commit(&mut self) -> Result<(), Failure> {
        self.wait()?;
        if self.batch.is_empty() {
            return Ok(());
        }
        let ticket =
            self.db.submit(&mut self.batch, self.args.durability).map_err(|error| self.interrupted(error))?;
        self.batch.clear();
        self.under_way = Some((ticket, self.read));
        Ok(())
    }

    /// Waits for the batch that is under way.
    fn wait(&mut self) -> Result<(), Failure> {
        if let Some((ticket, read)) = self.under_way.take() {
            ticket.wait().map_err(|error| self.interrupted(error))?;
            self.committed = read;
        }
        Ok(())
    }

    /// Passes over a bad line if that is wished, and counts it.
    fn passes_over(&mut self, error: &InputError) -> bool {
        if !self.args.skip_bad || error.is_final() {
            return false;
        }
        self.skipped += 1;
        match self.skipped {
            1..=BAD_LINES_TOLD => output::message(&format!("passed over {error}")),
            n if n == BAD_LINES_TOLD + 1 => output::message("and more, which are only counted"),
            _ => {}
        }
        true
    }

    /// Passes over a bad line if that is wished, and stops otherwise, with everything before it committed (LO2).
    fn bad(&mut self, error: InputError) -> Result<(), Failure> {
        if self.passes_over(&error) {
            return Ok(());
        }
        self.commit()?;
        self.wait()?;
        self.committed.line = error.line;
        let mut report = format!("{error}\n{}", self.so_far());
        match error.fault {
            Fault::Read(source) => {
                return Err(Failure::Io { what: format!("{report}\nreading the input"), source });
            }
            Fault::NoColumn { .. } => {}
            _ => {
                let line = error.line;
                report.push_str(&format!("\ncorrect line {line} and go on with --from-line {line}"));
                if !matches!(error.fault, Fault::RecordTooLong) {
                    report.push_str(&format!(", or pass over it with --from-line {}", line + 1));
                    report.push_str(" (--skip-bad passes over all such lines)");
                }
            }
        }
        Err(Failure::BadInput(report))
    }

    /// A failure of the database, with how far the load got (LO2).
    fn interrupted(&self, source: aquifer::Error) -> Failure {
        let progress = format!("{}\ngo on with --from-line {}", self.so_far(), self.committed.line);
        Failure::Interrupted { source, progress }
    }

    fn so_far(&self) -> String {
        let records = grouped(self.committed.records);
        let (from, line) = (self.args.from_line, self.committed.line);
        match line - from {
            0 => "nothing is committed".to_owned(),
            1 => format!("line {from} is committed"),
            _ => format!("lines {from} to {} are committed: {records} records", line - 1),
        }
    }

    fn summary(&self, seconds: f64) -> String {
        let Progressed { records, bytes, .. } = self.committed;
        let per_second = |amount: u64| (amount as f64 / seconds) as u64;
        let mut text = format!(
            "loaded {} records, {}, into {} in {seconds:.2} s: {} records/s, {}/s",
            grouped(records),
            size(bytes),
            self.args.place.table,
            grouped(per_second(records)),
            size(per_second(bytes)),
        );
        if self.skipped > 0 {
            text.push_str(&format!("; passed over {} bad lines", grouped(self.skipped)));
        }
        text
    }

    fn summary_json(&self, seconds: f64, failure: Option<&Failure>) -> serde_json::Value {
        json!({
            "table": self.args.place.table,
            "records": self.committed.records,
            "bytes": self.committed.bytes,
            "seconds": seconds,
            "records_per_s": self.committed.records as f64 / seconds,
            "bytes_per_s": self.committed.bytes as f64 / seconds,
            "skipped_lines": self.skipped,
            "error": failure.map(Failure::to_string),
            "resume_from_line": failure.map(|_| self.committed.line),
        })
    }
}

/// The stored bytes of a field: its own, unless the table has a type or the field may be in `0x` form.
fn encode<'f>(
    ty: &Type,
    role: Role,
    field: &'f [u8],
    hex: bool,
) -> Result<std::borrow::Cow<'f, [u8]>, Fault> {
    if *ty == Type::Bytes {
        if hex && field.starts_with(b"0x") {
            return Ok(crate::text::parse(field)?.into());
        }
        return Ok(field.into());
    }
    ty.encode(role, field, !hex).map(Into::into).map_err(|misfit| Fault::Typed(misfit.to_string()))
}

/// What a value may have, in whatever database.
const VALUE_BYTES_MAX: usize = 1 << 32;

fn fits(what: &str, len: usize, len_max: usize) -> Result<(), Fault> {
    if len <= len_max {
        return Ok(());
    }
    Err(Fault::Refused(format!("the {what} has {len} bytes, and {len_max} is the most")))
}
