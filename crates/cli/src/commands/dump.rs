//! `dump` and `restore`: a whole database as a portable stream.
//!
//! # Rules
//!
//! - **DU1** A dump to a file is written beside it and takes its name when it is complete and on stable storage: a file of that
//!   name is whole, whatever happened.
//! - **DU2** A restore that fails leaves no database, and can be repeated.

use super::backup::{self, ForwardArgs};
use super::source::Source;
use crate::exit::Failure;
use crate::opening::OpeningArgs;
use crate::output::{self, Output, grouped, size};
use crate::progress::Progress;
use aquifer::{Database, DumpProgress, DumpSummary};
use serde_json::json;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Help after the options of `dump`.
pub const DUMP_HELP: &str = "\
The dump holds the tables with their names, types and options, and their records in the order of their
keys, with checksums. Its format does not depend on the version, the machine or the page size
(docs/dump-format.md).

Examples:
  aquifer dump shop.aq shop.dump
  aquifer dump shop.aq | zstd > shop.dump.zst
  aquifer dump old.aq | aquifer restore new.aq";

/// Help after the options of `restore`.
pub const RESTORE_HELP: &str = "\
DIR must be empty or absent. If the dump is damaged or shortened, the message says where, the exit code
is 5, and no database is there afterwards.

A backup can be brought forward by the log since, to its end, a log position or a time.

Examples:
  aquifer restore shop.aq /mnt/backup/shop
  aquifer restore shop.aq /mnt/backup/shop --log /mnt/backup/log --until-time 2026-02-14T09:30:00Z
  aquifer restore shop.aq shop.dump
  zstd -dc shop.dump.zst | aquifer restore shop.aq";

/// Arguments of `dump`.
#[derive(Debug, clap::Args)]
pub struct DumpArgs {
    /// The database's directory
    dir: PathBuf,
    /// The file to write; - or nothing for standard output
    file: Option<PathBuf>,
    /// Print the summary as an object (on standard error if the dump goes to standard output)
    #[arg(long)]
    json: bool,
}

/// Arguments of `restore`.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// The directory of the new database
    dir: PathBuf,
    /// The dump to read, - or nothing for standard input; or the directory of a backup
    file: Option<PathBuf>,
    #[command(flatten)]
    forward: ForwardArgs,
    /// Size of the pages, in KiB: 4, 8, 16, 32 or 64 [default: as in the database that was dumped]
    #[arg(long, value_name = "KIB")]
    page_kib: Option<u32>,
    /// Print the summary as an object
    #[arg(long)]
    json: bool,
}

/// Dumps, and prints a summary.
pub fn dump(args: &DumpArgs, opening: &OpeningArgs, out: &mut Output) -> Result<(), Failure> {
    let begun = Instant::now();
    let file = args.file.as_deref().filter(|path| path.as_os_str() != "-");
    if file.is_none() && io::stdout().is_terminal() {
        return Err(Failure::Usage("a dump is bytes, not text: name a file, or send it to a program".into()));
    }
    let db = opening.open(&args.dir)?;
    let summary = match file {
        Some(path) => dump_to_file(&db, path)?,
        None => {
            let dumped = with_progress(|progress| db.dump(out.writer(), progress));
            dumped.map_err(|error| match error {
                aquifer::Error::Io(error) if error.kind == io::ErrorKind::BrokenPipe => Failure::OutputClosed,
                other => other.into(),
            })?
        }
    };
    out.flush()?;
    let seconds = begun.elapsed().as_secs_f64();
    match (file, args.json) {
        (Some(_), true) => out.json(&summary_json(&summary, seconds))?,
        (Some(path), false) => {
            let path = path.display();
            out.line(&format!("dumped {} to {path} in {seconds:.2} s", summary_text(&summary)))?;
        }
        (None, true) => output::line(&summary_json(&summary, seconds).to_string()),
        (None, false) => {}
    }
    out.flush()?;
    Ok(db.close()?)
}

/// Restores, and prints a summary.
pub fn restore(args: &RestoreArgs, opening: &OpeningArgs, out: &mut Output) -> Result<(), Failure> {
    let begun = Instant::now();
    if let Some(backup) = args.file.as_deref().filter(|path| path.is_dir()) {
        if args.page_kib.is_some() {
            return Err(Failure::Usage(
                "--page-kib: a backup keeps its page size; a dump can have another".into(),
            ));
        }
        return backup::restore(backup, &args.forward, &args.dir, opening, args.json, out);
    }
    if args.forward.is_some() {
        return Err(Failure::Usage("--log is for backups: name the directory of one".into()));
    }
    let source = Source::open(args.file.as_deref())?;
    if source.is_terminal() {
        return Err(Failure::Usage(
            "a dump is bytes, not text: name a file, or let a program send it".into(),
        ));
    }
    let (reader, _) = source.into_reader();
    let mut options = opening.options();
    if let Some(kib) = args.page_kib {
        options = options.page_size(kib as usize * 1024);
    }
    let restored = with_progress(|progress| Database::restore(options, &args.dir, reader, progress));
    let (db, summary) = restored?;
    db.close()?;
    let seconds = begun.elapsed().as_secs_f64();
    if args.json {
        out.json(&summary_json(&summary, seconds))?;
    } else {
        let (text, dir) = (summary_text(&summary), args.dir.display());
        let rate = grouped((summary.records as f64 / seconds) as u64);
        out.line(&format!("restored {text} into {dir} in {seconds:.2} s: {rate} records/s"))?;
    }
    out.flush()
}

/// DU1. What is no file (a pipe, a device) is written as it is.
fn dump_to_file(db: &Database, path: &Path) -> Result<DumpSummary, Failure> {
    let failed = |what: &str, path: &Path| {
        let what = format!("cannot {what} {}", path.display());
        move |source| Failure::Io { what, source }
    };
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        let file = File::options().write(true).open(path).map_err(failed("write", path))?;
        return Ok(with_progress(|progress| db.dump(BufWriter::new(file), progress))?);
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let file = File::create(&part).map_err(failed("write", &part))?;
    let written = with_progress(|progress| db.dump(BufWriter::new(&file), progress)).map_err(Failure::from);
    let named = written.and_then(|summary| {
        file.sync_all().map_err(failed("sync", &part))?;
        fs::rename(&part, path).map_err(failed("rename to", path))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))?;
        Ok(summary)
    });
    if named.is_err() {
        let _ = fs::remove_file(&part); // the failure itself is the news
    }
    named
}

fn with_progress<R>(
    run: impl FnOnce(&mut dyn FnMut(DumpProgress)) -> aquifer::Result<R>,
) -> aquifer::Result<R> {
    let progress = Progress::of_things(0, "records");
    run(&mut |at| progress.things(at.records, at.records_estimate.max(at.records)))
}

fn summary_text(summary: &DumpSummary) -> String {
    let DumpSummary { tables, records, record_bytes, bytes } = *summary;
    format!(
        "{} tables, {} records, {} ({} as a dump)",
        grouped(tables),
        grouped(records),
        size(record_bytes),
        size(bytes)
    )
}

fn summary_json(summary: &DumpSummary, seconds: f64) -> serde_json::Value {
    json!({
        "tables": summary.tables,
        "records": summary.records,
        "record_bytes": summary.record_bytes,
        "dump_bytes": summary.bytes,
        "seconds": seconds,
    })
}
