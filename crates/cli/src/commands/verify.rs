//! `verify`: walks through everything.

use super::backup;
use super::inspect::DirArgs;
use crate::exit::Failure;
use crate::opening::OpeningArgs;
use crate::output::{Output, grouped, size};
use crate::progress::Progress;
use aquifer::{VerifyReport, VerifyStage};
use serde_json::json;

/// Reads every page and every record, and says what is damaged.
pub fn run(args: &DirArgs, opening: &OpeningArgs, out: &mut Output) -> Result<(), Failure> {
    if backup::is_backup(&args.dir) {
        return backup::verify(&args.dir, args.json, out);
    }
    let db = opening.open(&args.dir)?;
    let report = {
        let progress = Progress::of_things(0, "tables");
        db.verify(|at| {
            progress.name(match at.stage {
                VerifyStage::Tables => "tables",
                VerifyStage::Pages => "pages ",
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
    if !report.is_clean() {
        // The damage is the news, not what closing may say because of it.
        let faults = report.faults.len();
        let (noun, verb) = if faults == 1 { ("fault", "was") } else { ("faults", "were") };
        return Err(Failure::Corrupt(format!("{faults} {noun} {verb} found in {}", args.dir.display())));
    }
    Ok(db.close()?)
}

fn print(report: &VerifyReport, out: &mut Output) -> Result<(), Failure> {
    let mut rows = vec![["table", "records", "bytes", "pages", "depth"].map(str::to_owned)];
    for table in &report.tables {
        rows.push([
            table.name.clone(),
            grouped(table.records),
            size(table.record_bytes),
            grouped(table.pages),
            table.depth.to_string(),
        ]);
    }
    out.table(&rows)?;
    let state = if report.is_clean() { "no damage" } else { "damaged" };
    out.line(&format!("{} pages, {} records: {state}", grouped(report.pages), grouped(report.records)))?;
    for fault in &report.faults {
        out.line(&format!("damage: {fault}"))?;
    }
    Ok(())
}

fn as_json(report: &VerifyReport) -> serde_json::Value {
    let tables = report.tables.iter().map(|table| {
        json!({
            "name": table.name,
            "records": table.records,
            "record_bytes": table.record_bytes,
            "pages": table.pages,
            "depth": table.depth,
        })
    });
    let faults = report.faults.iter().map(|fault| {
        json!({
            "page": fault.page.map(|page| page.0),
            "owner": fault.owner,
            "what": fault.what,
        })
    });
    json!({
        "clean": report.is_clean(),
        "pages": report.pages,
        "records": report.records,
        "tables": tables.collect::<Vec<_>>(),
        "faults": faults.collect::<Vec<_>>(),
    })
}
