//! `tables`, `stats`, `checkpoint`: what a database is made of.

use crate::exit::Failure;
use crate::opening::OpeningArgs;
use crate::output::{Output, grouped, size};
use aquifer::{RecoveryReport, Stats};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Arguments of a command about a whole database.
#[derive(Debug, clap::Args)]
pub struct DirArgs {
    /// The database's directory
    pub dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Lists the tables, one JSON object a line with `--json`.
pub fn tables(args: &DirArgs, opening: &OpeningArgs, out: &mut Output) -> Result<(), Failure> {
    let db = opening.open(&args.dir)?;
    let mut rows =
        vec![["table", "kind", "key", "value", "logged", "expires", "records (about)"].map(str::to_owned)];
    for info in db.tables() {
        let records = db.any_table(&info.name)?.len_estimate()?;
        if args.json {
            out.json(&json!({
                "name": info.name,
                "kind": info.kind.to_string(),
                "key_type": info.key_type,
                "value_type": info.value_type,
                "logged": info.logged,
                "expires": info.expires,
                "time_to_live_seconds": info.time_to_live.map(|time| time.as_secs_f64()),
                "records_estimate": records,
            }))?;
        } else {
            let logged = if info.logged { "yes" } else { "no" };
            let kind = info.kind.to_string();
            let expires = match info.time_to_live {
                Some(time) => format!("after {time:?}"),
                None if info.expires => "if told".to_owned(),
                None => "no".to_owned(),
            };
            let types = (info.key_type, info.value_type);
            rows.push([info.name, kind, types.0, types.1, logged.to_owned(), expires, grouped(records)]);
        }
    }
    if !args.json {
        out.table(&rows)?;
    }
    out.flush()?;
    Ok(db.close()?)
}

/// Prints the figures of the database as it was just opened.
pub fn stats(args: &DirArgs, opening: &OpeningArgs, out: &mut Output) -> Result<(), Failure> {
    let db = opening.open(&args.dir)?;
    let stats = db.stats();
    if args.json {
        out.json(&stats_json(&stats, db.page_size()))?;
    } else {
        out.table(&stats_rows(&stats, db.page_size()))?;
    }
    out.flush()?;
    Ok(db.close()?)
}

/// Writes a checkpoint and says what it took.
pub fn checkpoint(args: &DirArgs, opening: &OpeningArgs, out: &mut Output) -> Result<(), Failure> {
    let db = opening.open(&args.dir)?;
    let before = db.stats();
    let begun = Instant::now();
    db.checkpoint()?;
    let seconds = begun.elapsed().as_secs_f64();
    let after = db.stats();
    let written = after.pager.written_bytes - before.pager.written_bytes;
    if args.json {
        out.json(&json!({
            "written_bytes": written,
            "seconds": seconds,
            "log_bytes_since_checkpoint": after.log_bytes_since_checkpoint,
            "replayed_records": after.recovery.records,
        }))?;
    } else {
        out.line(&format!("checkpoint: {} written in {seconds:.3} s", size(written)))?;
    }
    out.flush()?;
    Ok(db.close()?)
}

fn stats_rows(stats: &Stats, page_bytes: usize) -> Vec<[String; 2]> {
    let mut rows = vec![
        row("backend", stats.backend.clone()),
        row("tables", grouped(stats.tables)),
        row("page size", size(page_bytes as u64)),
        row("pages", format!("{} ({})", grouped(stats.pager.pages), size(stats.pager.used_bytes))),
        row("data file", size(stats.pager.file_bytes)),
        row(
            "log files",
            format!("{} in {} segments", size(stats.log.file_bytes), grouped(stats.log.segments)),
        ),
        row("log to replay", size(stats.log_bytes_since_checkpoint)),
        row("memory", format!("{} of {}", size(stats.memory_used), size(stats.memory_budget))),
    ];
    for account in &stats.memory {
        rows.push(row(&format!("  {}", account.name), size(account.bytes)));
    }
    rows.push(row("opening", opening_text(&stats.recovery)));
    if let Some(error) = &stats.checkpoint_error {
        rows.push(row("checkpoint failed", error.clone()));
    }
    rows
}

fn row(name: &str, value: String) -> [String; 2] {
    [name.to_owned(), value]
}

fn opening_text(report: &RecoveryReport) -> String {
    let state = if report.clean {
        "it had been closed".to_owned()
    } else {
        format!(
            "replayed {} commits, {} changes, {} of log; cut {} bytes off its end",
            grouped(report.records),
            grouped(report.entries),
            size(report.log_bytes),
            grouped(report.tail_cut_bytes),
        )
    };
    format!("number {}, {:.1} ms; {state}", report.incarnation, millis(report.duration))
}

fn stats_json(stats: &Stats, page_bytes: usize) -> Json {
    let (pager, log) = (&stats.pager, &stats.log);
    let accounts = stats.memory.iter().map(
        |account| json!({"name": account.name, "bytes": account.bytes, "peak_bytes": account.peak_bytes}),
    );
    json!({
        "backend": stats.backend,
        "tables": stats.tables,
        "commits": stats.commits,
        "page_bytes": page_bytes,
        "memory_budget_bytes": stats.memory_budget,
        "memory_used_bytes": stats.memory_used,
        "memory": accounts.collect::<Vec<_>>(),
        "pager": {
            "pages": pager.pages,
            "used_bytes": pager.used_bytes,
            "file_bytes": pager.file_bytes,
            "frames": pager.frames,
            "frames_free": pager.frames_free,
            "loads": pager.loads,
            "evictions": pager.evictions,
            "eviction_writes": pager.eviction_writes,
            "checkpoints": pager.checkpoints,
            "checkpoint_writes": pager.checkpoint_writes,
            "written_bytes": pager.written_bytes,
            "page_copies": pager.page_copies,
            "pause_max_us": pager.pause_max_us,
            "pause_total_us": pager.pause_total_us,
        },
        "log": {
            "record_bytes": log.record_bytes,
            "header_bytes": log.header_bytes,
            "padding_bytes": log.padding_bytes,
            "written_bytes": log.written_bytes,
            "flushes": log.flushes,
            "syncs": log.syncs,
            "segments": log.segments,
            "file_bytes": log.file_bytes,
        },
        "log_bytes_since_checkpoint": stats.log_bytes_since_checkpoint,
        "expired_removed": stats.expired_removed,
        "checkpoint_failures": stats.checkpoint_failures,
        "checkpoint_error": stats.checkpoint_error,
        "writers_slowed_us": stats.writers_slowed_us,
        "recovery": recovery_json(&stats.recovery),
    })
}

fn recovery_json(report: &RecoveryReport) -> Json {
    json!({
        "clean": report.clean,
        "records": report.records,
        "entries": report.entries,
        "log_bytes": report.log_bytes,
        "tail_cut_bytes": report.tail_cut_bytes,
        "tables_dropped": report.tables_dropped,
        "incarnation": report.incarnation,
        "generation": report.generation,
        "milliseconds": millis(report.duration),
    })
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
