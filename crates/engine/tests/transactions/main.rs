//! Transactions and snapshots as users have them.
//!
//! | module | checks |
//! |---|---|
//! | `hermitage` | which interleavings of two transactions each level refuses |
//! | `model` | every operation of interleaved transactions and snapshots, against plain maps |
//! | `plain` | the means of `model`: maps, and what they foretell |
//! | `levels` | invariants that many threads keep, or break, at each level |
//! | `ranges` | ranges that are deleted and loaded as one, beside transactions |
//! | `limits` | too old, too large, locked, dropped, closed, poisoned, full |
//! | `checkpoint_snapshots` | what snapshots of checkpoints see and cost, whatever changes and goes |
//! | `edges` | where several mechanisms meet |
//! | `long_keys` | writes of long keys that change nothing |
//! | `merges` | operators: who conflicts over them, and what becomes of their results |
//! | `merges_crash` | sums that threads add to, at the end and after a loss of power |
//! | `taken_back` | long commits that are refused half-way |
//! | `crash` | what a loss of power leaves of transactions |

mod checkpoint_snapshots;
mod crash;
mod edges;
mod hermitage;
mod levels;
mod limits;
mod long_keys;
mod merges;
mod merges_crash;
mod model;
mod plain;
mod ranges;
mod taken_back;

use aquifer::{
    AnyTable, Database, Isolation, Options, Table, TableKind, TableOptions, Transaction, TxOptions,
};

const LEVELS: [Isolation; 2] = [Isolation::Snapshot, Isolation::Serializable];

const KINDS: [TableKind; 2] = [TableKind::Sorted, TableKind::Hashed];

/// A database whose background work is done by nobody, in two mebibytes.
fn small() -> Options {
    Database::options().memory_budget(2 << 20).background(false)
}

fn begin(db: &Database, level: Isolation) -> Transaction {
    db.begin_with(TxOptions::new().isolation(level)).unwrap()
}

/// A new sorted table.
fn sorted(db: &Database, name: &str) -> Table {
    db.create_table(name, TableOptions::default()).unwrap()
}

/// A new table of either kind.
fn any_table(db: &Database, name: &str, kind: TableKind) -> AnyTable {
    match kind {
        TableKind::Hashed => drop(db.create_table(name, TableOptions::hashed()).unwrap()),
        _ => drop(sorted(db, name)),
    }
    db.any_table(name).unwrap()
}

fn assert_clean(db: &Database) {
    let report = db.verify(|_| {}).unwrap();
    assert!(report.is_clean(), "{:?}", report.faults);
}
