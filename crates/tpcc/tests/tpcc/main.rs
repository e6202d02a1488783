//! The transactions of TPC-C under threads, under crashes, and when somebody breaks the rules.
//!
//! | module | checks |
//! |---|---|
//! | `runs` | that the conditions hold after runs of several threads, at each level, and what the figures say |
//! | `crash` | that they hold of what a loss of power leaves, and that it goes on |
//! | `broken` | that each condition is found to be broken when it is, a lost update made by hand among them |

mod broken;
mod crash;
mod runs;

use aquifer::{Database, Durability, Isolation};
use aquifer_tpcc::{Plan, Scale, Tables, check, populate};
use std::time::Duration;

/// A small population in memory.
fn populated(scale: Scale) -> Tables {
    let db = Database::in_memory(32 << 20).unwrap();
    let tables = Tables::open(&db).unwrap();
    populate(&tables, scale, 1, &|_| {}).unwrap();
    tables
}

/// So many transactions by each of some threads.
fn plan(scale: Scale, threads: usize, transactions: u64, seed: u64) -> Plan {
    Plan {
        scale,
        threads,
        time: Duration::from_secs(3600),
        transactions: Some(transactions),
        isolation: Isolation::Serializable,
        durability: Durability::Eventual,
        seed,
    }
}

#[track_caller]
fn assert_consistent(tables: &Tables, scale: Scale, context: &str) {
    let violations = check(tables, scale).unwrap();
    let texts: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(texts.is_empty(), "{context}: {}", texts.join("\n"));
}
