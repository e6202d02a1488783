//! Random work with losses of power, against a model: after every crash the state is a prefix of the commits that holds
//! every acknowledged one (P1), batches whole (P2).

use crate::model::{Model, act, read_state};
use crate::{assert_clean, small};
use aquifer::{Durability, ErrorKind, Options, TableOptions};
use aquifer_sim::{Call, Fault, Random, SimDisk};

pub fn on(disk: &SimDisk) -> Options {
    small().log_bytes_max(1 << 20).segment_bytes_max(128 << 10).disk(disk.disk())
}

/// One life after the other: recover (perhaps dying in it), check, work, die. Of the deaths, `kills_percent` are of the
/// process alone: what it wrote is there, and as little durable as before.
fn live_and_die(seed: u64, lives: u64, kills_percent: u64) {
    let mut random = Random(seed);
    let mut disk = SimDisk::new();
    let mut model = Model::default();
    let die = |disk: &SimDisk, random: &mut Random| match random.chance(kills_percent) {
        true => disk.after_kill(),
        false => disk.after_power_loss(random.draw()),
    };
    for life in 0..lives {
        let context = format!("seed {seed}, life {life}");
        while random.chance(30) {
            disk.heal();
            disk.inject(Fault::power_loss().nth(1 + random.below(40)));
            if let Err(error) = on(&disk).open_or_create("") {
                let kind = error.kind();
                assert!(matches!(kind, ErrorKind::Io | ErrorKind::Poisoned), "{context}: recovery: {error}");
            }
            if disk.has_struck() {
                disk = die(&disk, &mut random);
            }
        }
        disk.heal();
        let db = on(&disk).open_or_create("").unwrap_or_else(|error| panic!("{context}: {error}"));
        model.check_after_crash(&db, &context);
        assert_clean(&db);
        let fault = random.chance(60);
        if fault {
            disk.inject(Fault::power_loss().nth(1 + random.below(400)));
        }
        for _ in 0..1 + random.below(if fault { 2000 } else { 300 }) {
            if let Err(error) = act(&db, &mut model, &mut random) {
                assert!(disk.has_struck(), "{context}: {error}");
                break;
            }
        }
        if random.chance(10) && !disk.has_struck() {
            disk.heal();
            db.close().unwrap();
            model.all_durable();
        }
        let after = die(&disk, &mut random);
        // What the old handle still does on its way out goes to the old disk.
        drop(db);
        disk = after;
    }
}

#[test]
fn after_losing_power_the_state_is_a_prefix_with_all_that_was_acknowledged() {
    let number = |name, default| std::env::var(name).map_or(default, |seed| seed.parse().unwrap());
    let first: u64 = number("AQUIFER_CRASH_SEED", 1);
    for seed in first..first + number("AQUIFER_CRASH_SEEDS", 30) {
        live_and_die(seed, 6, 0);
    }
}

#[test]
fn power_may_be_lost_after_a_kill() {
    for seed in 0..20 {
        live_and_die(seed, 6, 50);
    }
}

/// The process dies while it writes a superblock, which is there and not durable. The next one finds it, and power is
/// lost while it opens: whatever it has overwritten by then, a whole checkpoint must be in the file.
#[test]
fn power_may_be_lost_while_opening_after_a_kill_in_a_checkpoint() {
    let number = |name, default| std::env::var(name).map_or(default, |seed| seed.parse().unwrap());
    let first: u64 = number("AQUIFER_CRASH_SEED", 500);
    for seed in first..first + number("AQUIFER_CRASH_SEEDS", 40) {
        let mut random = Random(seed);
        let mut disk = SimDisk::with_seed(seed);
        let mut model = Model::default();
        for life in 0..4 {
            let context = format!("seed {seed}, life {life}");
            let db = on(&disk).open_or_create("").unwrap_or_else(|error| panic!("{context}: {error}"));
            model.check_after_crash(&db, &context);
            assert_clean(&db);
            disk.inject(Fault::power_loss().on(Call::WriteDurable).file("data").nth(1 + random.below(3)));
            for _ in 0..400 {
                if act(&db, &mut model, &mut random).is_err() {
                    break;
                }
            }
            let killed = disk.after_kill();
            drop(db);
            killed.inject(Fault::power_loss().nth(1 + random.below(40)));
            drop(on(&killed).open_or_create(""));
            disk = killed.after_power_loss(random.draw());
        }
    }
}

#[test]
fn after_a_kill_everything_written_is_there() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let disk = SimDisk::new();
        let db = on(&disk).create("").unwrap();
        let table = db.create_table("t", TableOptions::default()).unwrap();
        let count = 50 + random.below(200);
        for n in 0..count {
            table.put_with(&n.to_be_bytes(), b"value", Durability::Eventual).unwrap().lsn();
        }
        table.put_with(b"last", b"", Durability::Process).unwrap().wait().unwrap();
        let killed = disk.after_kill();
        drop((table, db));
        let db = on(&killed).open("").unwrap();
        assert_eq!(db.table("t").unwrap().iter().count() as u64, count + 1, "seed {seed}");
        assert!(!db.recovery_report().clean);
        assert_eq!(db.recovery_report().records, count + 2, "the table's creation is one");
    }
}

#[test]
fn an_unlogged_table_returns_to_the_last_checkpoint() {
    let disk = SimDisk::new();
    let db = on(&disk).create("").unwrap();
    let logged = db.create_table("logged", TableOptions::default()).unwrap();
    let unlogged = db.create_table("unlogged", TableOptions::unlogged()).unwrap();
    unlogged.put(b"before", b"1").unwrap();
    db.checkpoint().unwrap();
    unlogged.put(b"after", b"2").unwrap();
    logged.put(b"key", b"3").unwrap();
    let after = disk.after_power_loss(7);
    drop((logged, unlogged, db));
    let state = read_state(&on(&after).open("").unwrap());
    assert_eq!(state["unlogged"].keys().collect::<Vec<_>>(), [b"before"]);
    assert_eq!(state["logged"].keys().collect::<Vec<_>>(), [b"key"]);
}

#[test]
fn waiting_for_a_commit_to_an_unlogged_table_takes_a_checkpoint() {
    let disk = SimDisk::new();
    let db = on(&disk).create("").unwrap();
    let table = db.create_table("t", TableOptions::unlogged()).unwrap();
    let ticket = table.put_with(b"k", b"v", Durability::Power).unwrap();
    assert_eq!(ticket.lsn(), None);
    let before = db.stats().pager.checkpoints;
    ticket.wait().unwrap();
    ticket.wait().unwrap();
    assert_eq!(db.stats().pager.checkpoints, before + 1);
    let after = disk.after_power_loss(3);
    drop((table, ticket, db));
    let value = on(&after).open("").unwrap().table("t").unwrap().get(b"k").unwrap();
    assert_eq!(value, Some(b"v".to_vec()));
}

#[test]
fn a_dropped_table_leaves_no_page_behind_wherever_power_is_lost() {
    for operations in 1..60 {
        let disk = SimDisk::new();
        let db = on(&disk).create("").unwrap();
        let table = db.create_table("t", TableOptions::default()).unwrap();
        for n in 0u32..3000 {
            table.put_with(&n.to_be_bytes(), &[1; 200], Durability::Eventual).unwrap().lsn();
        }
        db.checkpoint().unwrap();
        let pages = db.stats().pager.pages;
        drop(table);
        disk.inject(Fault::power_loss().nth(operations));
        let mut dropped = db.drop_table("t").is_ok();
        while dropped && db.step().is_ok_and(|worked| worked) {}
        dropped &= db.checkpoint().is_ok();
        let after = disk.after_power_loss(operations);
        drop(db);
        let db = on(&after).open("").unwrap();
        if db.tables().is_empty() {
            assert_eq!(db.stats().pager.pages, 1, "{operations}: the catalog alone");
        } else {
            assert!(!dropped, "{operations}: the drop was acknowledged");
            assert_eq!(db.stats().pager.pages, pages);
        }
        assert_clean(&db);
    }
}
