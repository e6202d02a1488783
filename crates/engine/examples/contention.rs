//! What two writers on one leaf cost each other: rates of two threads that each overwrite a record, in one leaf or in two, and
//! that each insert behind a key of their own, which begin in one leaf or in two.
//!
//! `cargo run --release -p aquifer --example contention -- [ROUNDS]`

use aquifer::{Database, Durability, Table, TableOptions};
use aquifer_sync::thread;
use std::time::Instant;

const RECORDS: u64 = 200_000;
const UPDATES: u64 = 500_000;
const INSERTS: u64 = 100_000;
const VALUE: [u8; 100] = [7; 100];

/// Each of two threads calls `write` so many times with its own number; millions a second.
fn rate(count: u64, write: impl Fn(u64, u64) + Sync) -> f64 {
    let begun = Instant::now();
    thread::scope(|scope| {
        for thread in 0..2 {
            let write = &write;
            scope.spawn(move || (0..count).for_each(|n| write(thread, n)));
        }
    });
    2.0 * count as f64 / begun.elapsed().as_secs_f64() / 1e6
}

/// Rates of updates and of inserts, with the threads' keys so many records apart.
fn rates(table: &Table, first: u64, distance: u64) -> (f64, f64) {
    let key = |thread: u64| first + thread * distance;
    let updates = rate(UPDATES, |thread, n| {
        let value = [n as u8; 100];
        let _ticket =
            table.put_with(&key(thread).to_be_bytes(), &value, Durability::Eventual).expect("there is room");
    });
    let inserts = rate(INSERTS, |thread, n| {
        let behind = [key(thread).to_be_bytes(), n.to_be_bytes()].concat();
        let _ticket = table.put_with(&behind, &VALUE, Durability::Eventual).expect("there is room");
    });
    (updates, inserts)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds: u64 = std::env::args().nth(1).map_or(Ok(5), |rounds| rounds.parse())?;
    let db = Database::in_memory(2 << 30)?;
    let table = db.create_table("t", TableOptions::default())?;
    let records = (0..RECORDS).map(|n| (n.to_be_bytes().to_vec(), VALUE.to_vec()));
    table.bulk_load(records)?;
    println!("{:<12}{:>16}{:>16}", "M/s", "updates", "inserts");
    for round in 0..rounds {
        for (what, distance) in [("one leaf", 1), ("two leaves", RECORDS / 2)] {
            let (updates, inserts) = rates(&table, 1000 * (round + 1) + distance % 7, distance);
            println!("{what:<12}{updates:>16.2}{inserts:>16.2}");
        }
    }
    Ok(())
}
