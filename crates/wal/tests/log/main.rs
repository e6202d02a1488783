//! Tests of the whole log, on a disk that loses power.

mod append;
mod crash;
mod damage;
mod disk;
mod faults;
mod incarnations;
mod large;
mod remains;
mod scenario;

use aquifer_sync::{Mutex, Rank};
use std::collections::BTreeMap;

/// What the log never does: this disk need not refuse it politely.
const MISUSE: [&str; 6] = [
    "unaligned ranges are refused",
    "unaligned offset is refused",
    "bad names are refused",
    "missing things are not found",
    "lock is exclusive",
    "errors say where",
];

#[test]
fn the_disk_of_these_tests_is_a_disk() {
    let disks = Mutex::new(Rank::Maintenance, BTreeMap::new());
    let checks = aquifer_io::conformance::CHECKS.iter().copied().flatten();
    let mut done = 0;
    for (name, check) in checks.filter(|(name, _)| !MISUSE.contains(name)) {
        println!("checking: {name}");
        check(&|name: &str| disks.lock().entry(name.to_owned()).or_insert_with(disk::TornDisk::new).disk());
        done += 1;
    }
    assert!(done > 10, "{done} checks");
}
