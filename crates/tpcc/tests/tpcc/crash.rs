//! What a loss of power leaves of a run: a state in which the conditions hold, with all that was acknowledged, and that goes on.

use crate::{assert_consistent, plan};
use aquifer::{Database, Durability, Isolation};
use aquifer_sim::SimDisk;
use aquifer_sync::atomic::{AtomicU64, Ordering};
use aquifer_sync::thread;
use aquifer_tpcc::{Kind, Plan, Scale, Tables, populate, run};

fn options(disk: &SimDisk) -> aquifer::Options {
    let options = Database::options().memory_budget(8 << 20).log_bytes_max(2 << 20);
    options.segment_bytes_max(256 << 10).disk(disk.disk())
}

/// Runs threads, loses power in their midst, and goes on with what is left.
fn crash(seed: u64, isolation: Isolation, durability: Durability) {
    let scale = Scale::small(2);
    let disk = SimDisk::with_seed(seed);
    let db = options(&disk).create("").unwrap();
    let tables = Tables::open(&db).unwrap();
    populate(&tables, scale, seed, &|_| {}).unwrap();
    let acknowledged = AtomicU64::new(0);
    let count = |kind| {
        acknowledged.fetch_add(u64::from(kind == Kind::NewOrder), Ordering::SeqCst);
    };
    let plan = Plan { isolation, durability, ..plan(scale, 3, 150, seed) };
    let (image, floor) = thread::scope(|scope| {
        let running = scope.spawn(|| run(&tables, &plan, &count).map(drop));
        while acknowledged.load(Ordering::SeqCst) < 60 && !running.is_finished() {
            thread::yield_now();
        }
        let floor = acknowledged.load(Ordering::SeqCst);
        let image = disk.after_power_loss(seed);
        running.join().unwrap().unwrap();
        (image, floor)
    });
    drop((tables, db));

    let context = format!("seed {seed}, {isolation:?}, {durability:?}");
    let db = options(&image).open("").unwrap();
    let tables = Tables::open(&db).unwrap();
    assert_consistent(&tables, scale, &context);
    let orders = |tables: &Tables| tables.db.snapshot().unwrap().count(&tables.orders, ..).unwrap() - 600;
    let found = orders(&tables);
    if durability == Durability::Power {
        assert!(found >= floor, "{context}: {found} of {floor} acknowledged orders");
    }
    let outcome = run(&tables, &Plan { seed: seed + 1, ..plan }, &|_| {}).unwrap();
    assert_consistent(&tables, scale, &format!("{context}, gone on"));
    assert_eq!(orders(&tables), found + outcome.of(Kind::NewOrder).committed, "{context}");
    let report = db.verify(|_| {}).unwrap();
    assert!(report.is_clean(), "{context}: {:?}", report.faults);
}

#[test]
fn conditions_hold_of_what_a_loss_of_power_leaves() {
    crash(1, Isolation::Serializable, Durability::Power);
    crash(2, Isolation::Snapshot, Durability::Power);
    crash(3, Isolation::Serializable, Durability::Eventual);
    crash(4, Isolation::Snapshot, Durability::Eventual);
}
