//! `log`: the records of the log, one line a change.

use crate::exit::Failure;
use crate::opening::OpeningArgs;
use crate::output::{Output, grouped};
use crate::text::Form;
use aquifer::{LogChange, LogEnd, LogOperation, LogReader, LogRecord, LogRecordKind, TableKind};
use serde_json::{Value as Json, json};
use std::path::PathBuf;

/// Help after the options.
pub const HELP: &str = "\
One line a change: LSN, bytes of the record in the log, table, operation, key, value. The changes of one
record, which happen together, have one LSN: where the record ends. Keys and values are printed as their
stored bytes, long ones cut. The last line says where the log ends, and why.

The log begins where its oldest segment does; what comes before `checkpoint at` is in the data file
already. Nothing is written, but the database is locked meanwhile.";

/// Characters of a key or value that are printed.
const SHOWN_MAX: usize = 40;

/// Arguments of `log`.
#[derive(Debug, clap::Args)]
pub struct LogArgs {
    /// The database's directory
    dir: PathBuf,
    /// Only records from this LSN on
    #[arg(long, value_name = "LSN", default_value_t = 0)]
    from: u64,
    /// At most so many records
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Print one object a record, with whole keys and values, and one about the end
    #[arg(long)]
    json: bool,
}

/// Prints the records that are asked for, and the end.
pub fn run(args: &LogArgs, opening: &OpeningArgs, out: &mut Output) -> Result<(), Failure> {
    let mut log = LogReader::open(&opening.options(), &args.dir)?;
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(record) = log.next()? else { break };
        if record.lsn.0 < args.from {
            continue;
        }
        left -= 1;
        if args.json {
            out.json(&record_json(&record))?;
        } else {
            print(&record, out)?;
        }
    }
    let end = log.end();
    if args.json {
        let checkpoint = log.flip_lsn().0;
        out.json(&json!({
            "end": end_json(end),
            "start": log.start().0,
            "checkpoint": checkpoint,
            "incarnation": log.incarnation(),
        }))?;
    } else {
        let (incarnation, checkpoint) = (log.incarnation(), log.flip_lsn().0);
        out.line(&format!("opening {incarnation}, checkpoint at {checkpoint}; {}", end_text(end)))?;
    }
    out.flush()?;
    match &end.damage {
        None => Ok(()),
        Some(damage) => {
            Err(Failure::Corrupt(format!("the log in {} is damaged: {damage}", args.dir.display())))
        }
    }
}

fn print(record: &LogRecord, out: &mut Output) -> Result<(), Failure> {
    let start = format!("{}\t{}", record.lsn.0, record.bytes);
    match &record.kind {
        LogRecordKind::Checkpoint { generation } => out.line(&format!("{start}\t\tcheckpoint\t{generation}")),
        LogRecordKind::Aborted => out.line(&format!("{start}\t\taborted")),
        LogRecordKind::Commit(changes) => {
            changes.iter().try_for_each(|change| out.line(&format!("{start}\t{}", change_text(change))))
        }
    }
}

fn change_text(change: &LogChange) -> String {
    let table = change.table_name.clone().unwrap_or_else(|| format!("table-{}", change.table));
    let key = shown(&change.key);
    match &change.operation {
        LogOperation::Put(value) => format!("{table}\tput\t{key}\t{}", shown(value)),
        LogOperation::Patch(ranges) => {
            let ranges: Vec<String> =
                ranges.iter().map(|(start, bytes)| format!("{start}:{}", shown(bytes))).collect();
            format!("{table}\tpatch\t{key}\t{}", ranges.join(" "))
        }
        LogOperation::Attach { len, .. } => {
            format!("{table}\tattach\t{key}\t({} bytes in pages of their own)", grouped(*len))
        }
        LogOperation::Delete => format!("{table}\tdelete\t{key}"),
        LogOperation::CreateTable { kind, logged, key_type, value_type, expires } => {
            let log = if *logged { "" } else { ", without a log" };
            let expiry = if *expires { ", expiring" } else { "" };
            let kind = if *kind == TableKind::Sorted { String::new() } else { format!(", {kind}") };
            format!("{table}\tcreate table\t\t{key_type} to {value_type}{kind}{log}{expiry}")
        }
        LogOperation::DropTable => format!("{table}\tdrop table"),
        LogOperation::RangeDelete { end } => {
            let end = end.as_deref().map_or_else(|| "the end".into(), shown);
            format!("{table}\tdelete range\t{key}\tto {end}")
        }
        LogOperation::BulkLoad => format!("{table}\tbulk load"),
    }
}

/// Bytes as text, cut where they are long.
fn shown(bytes: &[u8]) -> String {
    let text = Form::Key.print(bytes);
    match text.char_indices().nth(SHOWN_MAX) {
        None => text,
        Some((cut, _)) => format!("{}… ({} bytes)", &text[..cut], grouped(bytes.len() as u64)),
    }
}

fn end_text(end: &LogEnd) -> String {
    let place = match &end.file {
        Some(file) => format!("the log ends at {} ({file}, byte {})", end.lsn.0, end.offset),
        None => format!("the log ends at {}", end.lsn.0),
    };
    let why = match (&end.damage, end.closed) {
        (Some(damage), _) => format!("damaged: {damage}"),
        (None, true) => "it was closed".into(),
        (None, false) if end.cut_bytes > 0 => {
            format!(
                "nothing confirmed is behind it; {} bytes of unconfirmed work are",
                grouped(end.cut_bytes)
            )
        }
        (None, false) => "it was not closed, and nothing is behind it".into(),
    };
    format!("{place}: {why}")
}

/// The end of a log, as JSON.
pub fn end_json(end: &LogEnd) -> Json {
    json!({
        "lsn": end.lsn.0,
        "file": end.file,
        "offset": end.offset,
        "closed": end.closed,
        "damage": end.damage,
        "cut_bytes": end.cut_bytes,
    })
}

fn record_json(record: &LogRecord) -> Json {
    let mut object = json!({"lsn": record.lsn.0, "bytes": record.bytes});
    match &record.kind {
        LogRecordKind::Checkpoint { generation } => object["checkpoint"] = json!(generation),
        LogRecordKind::Aborted => object["aborted"] = json!(true),
        LogRecordKind::Commit(changes) => {
            object["changes"] = changes.iter().map(change_json).collect::<Vec<_>>().into();
        }
    }
    object
}

fn change_json(change: &LogChange) -> Json {
    let text = |bytes: &[u8]| Form::Whole.print(bytes);
    let mut object = json!({"table": change.table_name, "table_id": change.table});
    match &change.operation {
        LogOperation::Put(value) => {
            object["operation"] = "put".into();
            object["key"] = text(&change.key).into();
            object["value"] = text(value).into();
        }
        LogOperation::Patch(ranges) => {
            let range = |(start, bytes): &(usize, Vec<u8>)| json!({"start": start, "bytes": text(bytes)});
            object["operation"] = "patch".into();
            object["key"] = text(&change.key).into();
            object["ranges"] = ranges.iter().map(range).collect::<Vec<_>>().into();
        }
        LogOperation::Attach { len, manifest_bytes } => {
            object["operation"] = "attach".into();
            object["key"] = text(&change.key).into();
            object["value_bytes"] = json!(len);
            object["manifest_bytes"] = json!(manifest_bytes);
        }
        LogOperation::Delete => {
            object["operation"] = "delete".into();
            object["key"] = text(&change.key).into();
        }
        LogOperation::CreateTable { kind, logged, key_type, value_type, expires } => {
            object["operation"] = "create table".into();
            object["kind"] = json!(kind.to_string());
            object["logged"] = json!(logged);
            object["expires"] = json!(expires);
            object["key_type"] = json!(key_type);
            object["value_type"] = json!(value_type);
        }
        LogOperation::DropTable => object["operation"] = "drop table".into(),
        LogOperation::RangeDelete { end } => {
            object["operation"] = "delete range".into();
            object["key"] = text(&change.key).into();
            object["end"] = end.as_deref().map(text).into();
        }
        LogOperation::BulkLoad => object["operation"] = "bulk load".into(),
    }
    object
}
