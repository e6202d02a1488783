//! The database as its users see it.
//!
//! | module | checks |
//! |---|---|
//! | `api`, `reads`, `writes`, `typed`, `batches` | what each call does |
//! | `ranges` | deleting ranges, loading in bulk, counting, space that comes back |
//! | `lifecycle`, `files` | opening, closing, tables that come and go, a second opener |
//! | `memory` | databases in memory, small budgets, data larger than memory |
//! | `large`, `large_crash` | values with pages of their own: what they do, and what a crash leaves of them |
//! | `long_keys` | keys beyond what a page takes |
//! | `expiry` | records that expire, and their removal |
//! | `threads` | many threads at once, also while power is lost |
//! | `crash`, `power_loss` | random work with crashes, against a model |
//! | `faults` | failing and full disks |
//! | `damage`, `rot` | files that are not what was written: cases, and every byte |
//! | `dumps` | dump and restore |
//! | `backups` | hot backup, archived log, the way back |
//! | `salvage` | what comes back of a damaged database |
//! | `log_reader` | looking at a log |
//! | `log_volume` | how much is logged |
//! | `model` | the means, with the simulated disk of `aquifer-sim` |

mod api;
mod backups;
mod batches;
mod crash;
mod damage;
mod dumps;
mod expiry;
mod faults;
mod files;
mod hashed;
mod large;
mod large_crash;
mod lifecycle;
mod log_reader;
mod log_volume;
mod long_keys;
mod memory;
mod model;
mod power_loss;
mod ranges;
mod reads;
mod rot;
mod salvage;
mod threads;
mod typed;
mod writes;

use aquifer::{AnyTable, Database, Options, Table, TableKind, TableOptions};
use std::collections::BTreeMap;
use std::path::Path;

/// A database whose background work is done by nobody, in two mebibytes.
fn small() -> Options {
    Database::options().memory_budget(2 << 20).background(false)
}

/// The table `t`, made at first use.
fn table(db: &Database) -> Table {
    db.table("t").or_else(|_| db.create_table("t", TableOptions::default())).unwrap()
}

fn open(dir: &Path) -> Database {
    small().open_or_create(dir).unwrap()
}

fn key(n: u64) -> [u8; 8] {
    n.to_be_bytes()
}

/// Everything in the table, by the front and by the back, which must agree.
fn contents(table: &Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let forward: Vec<_> = table.iter().map(|record| record.unwrap()).collect();
    let mut backward: Vec<_> = table.iter().rev().map(|record| record.unwrap()).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    forward
}

/// Everything in a table of either kind. No key comes twice.
fn rows(table: &AnyTable) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    let mut records = table.records();
    while let Some((key, value)) = records.next().unwrap_or_else(|error| panic!("{}: {error}", table.name()))
    {
        assert_eq!(rows.insert(key.to_vec(), value.to_vec()), None);
    }
    rows
}

/// The table `t`, of either kind.
fn any_table(db: &Database, kind: TableKind) -> AnyTable {
    if db.tables().iter().all(|table| table.name != "t") {
        match kind {
            TableKind::Hashed => drop(db.create_table("t", TableOptions::hashed()).unwrap()),
            _ => drop(db.create_table("t", TableOptions::default()).unwrap()),
        }
    }
    db.any_table("t").unwrap()
}

const KINDS: [TableKind; 2] = [TableKind::Sorted, TableKind::Hashed];

fn assert_clean(db: &Database) {
    let report = db.verify(|_| {}).unwrap();
    assert!(report.is_clean(), "{:?}", report.faults);
}
