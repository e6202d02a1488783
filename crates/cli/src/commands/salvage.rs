//! `salvage`: what is left of a damaged database, and what is not.

use crate::exit::Failure;
use crate::opening::OpeningArgs;
use crate::output::{Output, grouped, size};
use crate::progress::Progress;
use crate::text::Form;
use aquifer::{Database, KeyGap, LostKind, LostPage, LostValue, SalvageReport, SalvageStage, SalvagedLog};
use serde_json::{Value as Json, json};
use std::path::PathBuf;

/// Help after the options.
pub const HELP: &str = "\
Nothing is written to the damaged database; it is locked meanwhile. The report names every page that is
lost, and for each table the keys that its pages held: from the first that may be lost to the first that
is not. Keys are printed as their stored bytes.

Exit codes: 0 everything came over; 5 something is lost or in doubt (the new database is there all the
same); others as for every command, and then there is no new database.";

/// The kinds, with their names in reports.
const KINDS: [(LostKind, &str, &str); 5] = [
    (LostKind::Leaf, "leaf", "leaves"),
    (LostKind::Inner, "inner page", "inner pages"),
    (LostKind::LargeValue, "page of a large value", "pages of large values"),
    (LostKind::MapNode, "node of the page map", "nodes of the page map"),
    (LostKind::Unknown, "page of unknown kind", "pages of unknown kind"),
];

/// Arguments of `salvage`.
#[derive(Debug, clap::Args)]
pub struct SalvageArgs {
    /// The damaged database's directory
    dir: PathBuf,
    /// The directory of the new database; empty or absent
    dest: PathBuf,
    /// Print the report as an object
    #[arg(long)]
    json: bool,
}

/// Salvages, and prints the report.
pub fn run(args: &SalvageArgs, opening: &OpeningArgs, out: &mut Output) -> Result<(), Failure> {
    let report = {
        let progress = Progress::of_things(0, "pages  ");
        Database::salvage(opening.options(), &args.dir, &args.dest, |at| {
            progress.name(match at.stage {
                SalvageStage::Pages => "pages  ",
                SalvageStage::Records => "records",
                SalvageStage::Log => "log    ",
            });
            progress.things(at.done, at.total);
        })?
    };
    if args.json {
        out.json(&as_json(&report))?;
    } else {
        print(&report, out)?;
    }
    out.flush()?;
    if report.is_complete() {
        return Ok(());
    }
    let (dir, dest) = (args.dir.display(), args.dest.display());
    Err(Failure::Corrupt(format!(
        "not everything in {dir} came over, or it is in doubt; what did is in {dest}, and the report says what is missing"
    )))
}

fn print(report: &SalvageReport, out: &mut Output) -> Result<(), Failure> {
    let mut rows = vec![["table", "records", "leaves", "lost ranges"].map(str::to_owned)];
    for table in &report.tables {
        let (records, leaves) = (grouped(table.records), grouped(table.leaves));
        rows.push([table.name.clone(), records, leaves, grouped(table.lost.len() as u64)]);
    }
    out.table(&rows)?;
    let records = format!("{} records, {}", grouped(report.records), size(report.record_bytes));
    out.line(&format!("{records}, from {} leaves; {}", grouped(report.leaves), log_text(&report.log)))?;
    for table in report.tables.iter().filter(|table| !table.named) {
        out.line(&format!("unnamed: {}: its own name, types and options are lost", table.name))?;
    }
    for table in &report.tables {
        for gap in &table.lost {
            out.line(&format!("lost: table {}: {}", table.name, gap_text(gap)))?;
        }
        for value in &table.lost_values {
            let key = Form::Key.print(&value.key);
            out.line(&format!("lost: table {}: the large value of {key}: {}", table.name, value.what))?;
        }
    }
    for page in &report.lost_pages {
        out.line(&format!("lost: {}", page_text(page)))?;
    }
    for (kind, one, many) in KINDS {
        match report.lost(kind) {
            0 => {}
            1 => out.line(&format!("lost in all: 1 {one}"))?,
            count => out.line(&format!("lost in all: {} {many}", grouped(count as u64)))?,
        }
    }
    if let Some(damage) = &report.log.damage {
        out.line(&format!("lost: the rest of the log: {damage}"))?;
    }
    for doubt in &report.doubts {
        out.line(&format!("in doubt: {doubt}"))?;
    }
    for note in &report.notes {
        out.line(&format!("note: {note}"))?;
    }
    Ok(())
}

fn log_text(log: &SalvagedLog) -> String {
    let applied = format!("{} commits of the log, {} changes", grouped(log.records), grouped(log.entries));
    match log.lost_entries {
        0 => applied,
        lost => format!("{applied}, of which {} found nothing to change", grouped(lost)),
    }
}

fn gap_text(gap: &KeyGap) -> String {
    let key = |key: &[u8]| Form::Key.print(key);
    match (gap.from.as_slice(), &gap.to) {
        (b"", None) => "every key".into(),
        (b"", Some(to)) => format!("keys before {}", key(to)),
        (from, None) => format!("keys from {} on", key(from)),
        (from, Some(to)) => format!("keys from {} to before {}", key(from), key(to)),
    }
}

fn kind_text(kind: LostKind) -> &'static str {
    KINDS.iter().find(|(known, ..)| *known == kind).map_or("page", |(_, name, _)| name)
}

fn page_text(page: &LostPage) -> String {
    let mut text = kind_text(page.kind).to_owned();
    if let Some(id) = page.page {
        text.push_str(&format!(", page {id}"));
    }
    if let Some(table) = &page.table {
        text.push_str(&format!(" of table {table}"));
    }
    format!("{text}, at byte {} of data: {}", page.offset, page.what)
}

fn as_json(report: &SalvageReport) -> Json {
    let key = |key: &[u8]| Form::Whole.print(key);
    let tables = report.tables.iter().map(|table| {
        let gap = |gap: &KeyGap| json!({"from": key(&gap.from), "to": gap.to.as_deref().map(key)});
        let lost_value = |value: &LostValue| json!({"key": key(&value.key), "what": value.what});
        json!({
            "name": table.name,
            "id": table.id,
            "named": table.named,
            "records": table.records,
            "leaves": table.leaves,
            "lost": table.lost.iter().map(gap).collect::<Vec<_>>(),
            "lost_values": table.lost_values.iter().map(lost_value).collect::<Vec<_>>(),
        })
    });
    let pages = report.lost_pages.iter().map(|page| {
        json!({
            "page": page.page.map(|page| page.0),
            "offset": page.offset,
            "kind": kind_text(page.kind),
            "table": page.table,
            "what": page.what,
        })
    });
    let log = &report.log;
    json!({
        "complete": report.is_complete(),
        "page_bytes": report.page_bytes,
        "generation": report.generation,
        "records": report.records,
        "record_bytes": report.record_bytes,
        "leaves": report.leaves,
        "unchecked_leaves": report.unchecked_leaves,
        "catalog_damaged": report.catalog_damaged,
        "tables": tables.collect::<Vec<_>>(),
        "lost_pages": pages.collect::<Vec<_>>(),
        "lost_leaves": report.lost(LostKind::Leaf),
        "lost_inner_pages": report.lost(LostKind::Inner),
        "lost_large_value_pages": report.lost(LostKind::LargeValue),
        "lost_map_nodes": report.lost(LostKind::MapNode),
        "lost_unknown_pages": report.lost(LostKind::Unknown),
        "log": {
            "records": log.records,
            "entries": log.entries,
            "lost_entries": log.lost_entries,
            "end": log.end.as_ref().map(super::log::end_json),
            "damage": log.damage,
        },
        "doubts": report.doubts,
        "notes": report.notes,
    })
}
