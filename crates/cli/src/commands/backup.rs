//! `backup`, and the ways of `restore` and `verify` that concern one.

use crate::exit::Failure;
use crate::opening::OpeningArgs;
use crate::output::{Output, grouped, size};
use crate::progress::Progress;
use aquifer::{Backup, CopyProgress};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Help after the options of `backup`.
pub const HELP: &str = "\
DEST is absent, empty, or holds an earlier backup of the same database: then only what has changed since
is copied, and until that is complete the earlier one stays. A backup is not opened: `aquifer verify DEST`
checks it, `aquifer restore NEW DEST` makes a database of it. With an archived log (--archive), it can be
brought forward to any moment since.

Examples:
  aquifer backup shop.aq /mnt/backup/shop
  aquifer checkpoint shop.aq --archive /mnt/backup/log    (remembered from now on)
  aquifer restore again.aq /mnt/backup/shop --log /mnt/backup/log --until-time 2026-02-14T09:30:00Z";

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// The database's directory
    dir: PathBuf,
    /// The backup's directory
    dest: PathBuf,
    /// Print the summary as an object
    #[arg(long)]
    json: bool,
}

/// What `restore` takes for backups alone.
#[derive(Debug, clap::Args)]
pub struct ForwardArgs {
    /// Of a backup: bring it forward by the log in this folder, an archive or the directory `log` of a database that nobody has open;
    /// may be given several times
    #[arg(long, value_name = "FOLDER")]
    log: Vec<PathBuf>,
    /// Of a backup: up to this log position
    #[arg(long, value_name = "LSN", requires = "log", conflicts_with = "until_time")]
    until_lsn: Option<u64>,
    /// Of a backup: up to this time, such as 2026-02-14T09:30:00Z, or seconds since 1970
    #[arg(long, value_name = "TIME", requires = "log", value_parser = time)]
    until_time: Option<SystemTime>,
}

impl ForwardArgs {
    /// Was any of it given?
    pub fn is_some(&self) -> bool {
        !self.log.is_empty()
    }
}

fn time(text: &str) -> Result<SystemTime, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        let since = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
        return UNIX_EPOCH.checked_add(since).ok_or_else(|| "too far in the future".to_owned());
    }
    humantime::parse_rfc3339_weak(text).map_err(|error| format!("{error}; write 2026-02-14T09:30:00Z"))
}

/// Makes a backup, and prints a summary.
pub fn run(args: &BackupArgs, opening: &OpeningArgs, out: &mut Output) -> Result<(), Failure> {
    let begun = Instant::now();
    let db = opening.open(&args.dir)?;
    let report = with_progress(|progress| db.backup(&args.dest, progress))?;
    let seconds = begun.elapsed().as_secs_f64();
    if args.json {
        out.json(&json!({
            "lsn": report.flip_lsn,
            "pages": report.pages,
            "pages_copied": report.pages_copied,
            "written_bytes": report.written_bytes,
            "incremental": report.incremental,
            "seconds": seconds,
        }))?;
    } else {
        let (copied, pages) = (grouped(report.pages_copied), grouped(report.pages));
        let (written, dest, lsn) = (size(report.written_bytes), args.dest.display(), report.flip_lsn);
        out.line(&format!(
            "backed up {copied} of {pages} pages ({written} written) to {dest}, log position {lsn}, in {seconds:.2} s"
        ))?;
    }
    out.flush()?;
    Ok(db.close()?)
}

/// Makes a database of a backup, and prints a summary.
pub fn restore(
    backup: &Path,
    forward: &ForwardArgs,
    dir: &Path,
    opening: &OpeningArgs,
    as_json: bool,
    out: &mut Output,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut backup = forward.log.iter().fold(Backup::at(backup), Backup::log);
    if let Some(lsn) = forward.until_lsn {
        backup = backup.until_lsn(lsn);
    }
    if let Some(time) = forward.until_time {
        backup = backup.until_time(time);
    }
    let (db, report) = with_progress(|progress| backup.restore(opening.options(), dir, progress))?;
    db.close()?;
    let seconds = begun.elapsed().as_secs_f64();
    let last = report.last_commit.map(|time| humantime::format_rfc3339_micros(time).to_string());
    if as_json {
        out.json(&json!({
            "backup_lsn": report.backup_lsn,
            "lsn": report.lsn,
            "last_commit": last,
            "commits": report.commits,
            "seconds": seconds,
        }))?;
    } else {
        let (dir, commits) = (dir.display(), grouped(report.commits));
        let last = last.map_or_else(String::new, |time| format!(", the last written at {time}"));
        out.line(&format!(
            "restored to {dir} up to log position {}: the backup and {commits} commits from the log{last}, in {seconds:.2} s",
            report.lsn
        ))?;
    }
    out.flush()
}

/// Is this the directory of a backup?
pub fn is_backup(dir: &Path) -> bool {
    dir.join("data").is_file() && Backup::at(dir).info().is_ok()
}

/// Checks a backup.
pub fn verify(dir: &Path, as_json: bool, out: &mut Output) -> Result<(), Failure> {
    let backup = Backup::at(dir);
    let lsn = backup.info()?.lsn;
    let mut faults = Vec::new();
    let pages = backup.verify(|error| faults.push(error.to_string()))?;
    if as_json {
        out.json(&json!({ "backup": true, "clean": faults.is_empty(), "lsn": lsn, "pages": pages, "faults": faults }))?;
    } else {
        let state = if faults.is_empty() { "no damage" } else { "damaged" };
        out.line(&format!("a backup up to log position {lsn}: {} pages: {state}", grouped(pages)))?;
        for fault in &faults {
            out.line(&format!("damage: {fault}"))?;
        }
    }
    out.flush()?;
    match faults.len() {
        0 => Ok(()),
        faults => Err(Failure::Corrupt(format!("{faults} damaged pages were found in {}", dir.display()))),
    }
}

fn with_progress<R>(
    run: impl FnOnce(&mut dyn FnMut(CopyProgress)) -> aquifer::Result<R>,
) -> aquifer::Result<R> {
    let progress = Progress::of_things(0, "pages");
    run(&mut |at| progress.things(at.pages, at.pages_max))
}
