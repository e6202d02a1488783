//! Disks that fail or fill up.

use crate::model::{Model, act, read_state};
use aquifer::{Database, Durability, Error, ErrorKind, Options, Table, TableOptions, WriteBatch};
use aquifer_sim::{Call, Fault, Random, SimDisk};

fn options(disk: &SimDisk) -> Options {
    Database::options()
        .memory_budget(2 << 20)
        .background(false)
        .log_bytes_max(1 << 20)
        .segment_bytes_max(128 << 10)
        .disk(disk.disk())
}

#[test]
fn after_a_failed_log_write_no_commit_succeeds_and_reads_go_on() {
    let disk = SimDisk::new();
    let db = options(&disk).create("").unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    table.put(b"before", b"1").unwrap();
    disk.inject(Fault::error());
    assert_eq!(table.put(b"doubtful", b"2").unwrap_err().kind(), ErrorKind::Poisoned);
    for durability in [Durability::Power, Durability::Process, Durability::Eventual] {
        let error = table.put_with(b"after", b"3", durability).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
    }
    let mut batch = WriteBatch::new();
    batch.put(&table, b"after", b"3");
    assert_eq!(db.write(&mut batch, Durability::Eventual).unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(db.create_table("u", TableOptions::default()).unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(db.checkpoint().unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(table.get(b"before").unwrap(), Some(b"1".to_vec()));
    assert!(table.iter().count() >= 1);
    assert_eq!(db.close().unwrap_err().kind(), ErrorKind::Poisoned);
    drop((table, batch, db));
    let db = options(&disk).open("").unwrap();
    let table = db.table("t").unwrap();
    assert_eq!(table.get(b"before").unwrap(), Some(b"1".to_vec()));
    assert_eq!(table.get(b"after").unwrap(), None);
    table.put(b"after", b"4").unwrap();
}

#[test]
fn a_failed_data_write_is_reported_and_tried_again() {
    let disk = SimDisk::new();
    let db = options(&disk).create("").unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    for n in 0u32..100 {
        table.put(&n.to_be_bytes(), &[1; 500]).unwrap();
    }
    disk.inject(Fault::error());
    let error = db.checkpoint().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    let stats = db.stats();
    assert_eq!((stats.checkpoint_failures, stats.checkpoint_error), (1, Some(error.to_string())));
    table.put(b"goes on", b"1").unwrap();
    db.checkpoint().unwrap();
    assert_eq!(db.stats().checkpoint_error, None);
    assert!(db.verify(|_| {}).unwrap().is_clean());
    let after = disk.after_power_loss(1);
    drop((table, db));
    assert_eq!(options(&after).open("").unwrap().table("t").unwrap().iter().count(), 101);
}

/// Fails the k-th operation of a checkpoint, for every k: what was acknowledged is there afterwards, and the database
/// either goes on or says that it does not.
#[test]
fn whatever_fails_in_a_checkpoint_nothing_is_lost() {
    for fault in [Fault::error(), Fault::error().for_good()] {
        let mut outcomes = [0; 3];
        for at in 1.. {
            let disk = SimDisk::new();
            let db = options(&disk).create("").unwrap();
            let table = db.create_table("t", TableOptions::default()).unwrap();
            for n in 0u32..200 {
                table.put(&n.to_be_bytes(), &[1; 300]).unwrap();
            }
            disk.inject(fault.clone().nth(at));
            let checkpoint = db.checkpoint();
            if !disk.has_struck() {
                checkpoint.unwrap();
                assert!(at > 5, "a checkpoint has several operations");
                break;
            }
            disk.heal();
            let put = table.put(b"later", b"");
            match (&checkpoint, &put) {
                (Ok(()), Ok(())) => outcomes[0] += 1,
                (Err(error), Ok(())) => {
                    assert_eq!(error.kind(), ErrorKind::Io, "operation {at}");
                    outcomes[1] += 1;
                    db.checkpoint().unwrap();
                }
                (Err(first), Err(second)) => {
                    assert_eq!(second.kind(), ErrorKind::Poisoned, "operation {at}: {first}, {second}");
                    outcomes[2] += 1;
                }
                (Ok(()), Err(error)) => panic!("operation {at}: {error} after a good checkpoint"),
            }
            let after = disk.after_power_loss(at);
            drop((table, db));
            let db = options(&after).open("").unwrap_or_else(|error| panic!("operation {at}: {error}"));
            let count = db.table("t").unwrap().iter().count();
            assert_eq!(count, 200 + usize::from(put.is_ok()), "operation {at}");
            assert!(db.verify(|_| {}).unwrap().is_clean());
        }
        assert!(outcomes[1] > 0 && outcomes[2] > 0, "both happen: {outcomes:?}");
    }
}

/// Fails the k-th operation of an opening, for every k, with work to recover: the next opening succeeds with everything.
#[test]
fn whatever_fails_in_an_opening_the_next_one_succeeds() {
    let worked = SimDisk::new();
    let db = options(&worked).create("").unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    db.create_table("gone", TableOptions::default()).unwrap();
    for n in 0u32..300 {
        table.put(&n.to_be_bytes(), &[1; 300]).unwrap();
    }
    db.drop_table("gone").unwrap();
    let crashed = worked.after_kill();
    drop((table, db));
    let expected = read_state(&options(&crashed.after_kill()).open("").unwrap());
    for (power_loss, fault) in [(false, Fault::error()), (true, Fault::power_loss())] {
        for at in 1.. {
            let disk = crashed.after_kill();
            disk.inject(fault.clone().nth(at));
            let opened = options(&disk).open("");
            let struck = disk.has_struck();
            disk.heal();
            if let Ok(db) = opened {
                if !power_loss {
                    assert_eq!(read_state(&db), expected, "{fault:?} at {at}");
                }
                if !struck {
                    assert!(at > 10, "an opening has many operations");
                    break;
                }
            }
            let disk = if power_loss { disk.after_power_loss(at) } else { disk };
            let db = options(&disk).open("").unwrap_or_else(|error| panic!("{fault:?} at {at}: {error}"));
            assert_eq!(read_state(&db), expected, "{fault:?} at {at}");
            assert!(db.verify(|_| {}).unwrap().is_clean());
        }
    }
}

/// The same for the creation of a database.
#[test]
fn whatever_fails_in_a_creation_the_next_one_succeeds() {
    for (power_loss, fault) in [(false, Fault::error()), (true, Fault::power_loss())] {
        for at in 1.. {
            let disk = SimDisk::new();
            disk.inject(fault.clone().nth(at));
            let created = options(&disk).open_or_create("").map(drop);
            let struck = disk.has_struck();
            disk.heal();
            if !struck {
                created.unwrap();
                assert!(at > 5, "a creation has many operations");
                break;
            }
            let disk = if power_loss { disk.after_power_loss(at) } else { disk };
            let db = options(&disk).open_or_create("").unwrap_or_else(|e| panic!("{fault:?} at {at}: {e}"));
            db.create_table("t", TableOptions::default()).unwrap().put(b"k", b"v").unwrap();
        }
    }
}

#[test]
fn random_work_survives_random_errors() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let disk = SimDisk::new();
        let mut model = Model::default();
        for life in 0..4 {
            let context = format!("seed {seed}, life {life}");
            let db = options(&disk).open_or_create("").unwrap_or_else(|error| panic!("{context}: {error}"));
            model.check_after_crash(&db, &context);
            disk.inject(Fault::error().nth(1 + random.below(300)));
            for _ in 0..400 {
                match act(&db, &mut model, &mut random) {
                    Err(error) if error.kind() == ErrorKind::Poisoned => break,
                    Err(error) => assert!(disk.has_struck(), "{context}: {error}"),
                    Ok(()) => {}
                }
            }
            disk.heal();
            drop(db);
        }
    }
}

#[test]
fn a_full_disk_is_reported_and_the_database_goes_on_when_there_is_space() {
    let disk = SimDisk::new();
    let db = options(&disk).create("").unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    disk.set_free(Some(1 << 20));
    let mut n = 0u32;
    let mut acknowledged = 0;
    let error = loop {
        match table.put_with(&n.to_be_bytes(), &[1; 500], Durability::Eventual) {
            Ok(ticket) => {
                n += 1;
                if n.is_multiple_of(100) {
                    match ticket.wait().and_then(|()| db.sync()) {
                        Ok(()) => acknowledged = n,
                        Err(error) => break error,
                    }
                }
            }
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::DiskFull, "{error}");
    assert!(acknowledged > 100);
    assert_eq!(db.checkpoint().unwrap_err().kind(), ErrorKind::DiskFull);
    assert_eq!(table.get(&0u32.to_be_bytes()).unwrap(), Some(vec![1; 500]));
    disk.set_free(None);
    table.put(b"again", b"").unwrap();
    db.checkpoint().unwrap();
    let after = disk.after_power_loss(9);
    drop((table, db));
    let db = options(&after).open("").unwrap();
    assert!(db.table("t").unwrap().iter().count() as u32 > acknowledged);
    assert!(db.verify(|_| {}).unwrap().is_clean());
}

#[test]
fn a_batch_that_meets_a_full_disk_changes_nothing() {
    let disk = SimDisk::new();
    let db = options(&disk).log_bytes_max(64 << 20).create("").unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    let mut random = Random(3);
    let mut batch = WriteBatch::new();
    let put = |batch: &mut WriteBatch, random: &mut Random, byte: u8| {
        for _ in 0..150 {
            batch.put(&table, &random.draw().to_be_bytes(), &[byte; 500]);
        }
    };
    for _ in 0..20 {
        put(&mut batch, &mut random, 0);
        db.write(&mut batch, Durability::Power).unwrap();
    }
    disk.set_free(Some(256 << 10));
    let mut written = 20;
    let error = loop {
        put(&mut batch, &mut random, 1);
        match db.write(&mut batch, Durability::Eventual) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::DiskFull, "{error}");
    disk.set_free(None);
    db.sync().unwrap();
    assert_eq!(table.iter().count(), written * 150);
    assert!(!batch.is_empty(), "it is kept");
    db.write(&mut batch, Durability::Power).unwrap();
    assert!(db.verify(|_| {}).unwrap().is_clean());
}

#[test]
fn a_page_that_cannot_be_read_fails_its_reader_alone() {
    let disk = SimDisk::new();
    let db = options(&disk).create("").unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap().with_durability(Durability::Eventual);
    for n in 0u32..20_000 {
        table.put(&n.to_be_bytes(), &[1; 200]).unwrap();
    }
    drop((table, db));
    let db = options(&disk).open("").unwrap();
    let table = db.table("t").unwrap().with_durability(Durability::Eventual);
    disk.inject(Fault::error().on(Call::Read).file("data").for_good());
    let failed = (0u32..20_000).filter(|n| table.get(&n.to_be_bytes()).is_err()).count();
    assert!(failed > 0);
    let error = (0u32..20_000).find_map(|n| table.put(&n.to_be_bytes(), b"x").err()).unwrap();
    assert!(matches!(error, Error::Io(_)), "{error}");
    disk.heal();
    assert!((0u32..20_000).all(|n| table.get(&n.to_be_bytes()).unwrap().is_some()));
    assert!(db.verify(|_| {}).unwrap().is_clean());
}

/// Fills the log's files and memory, of a disk without space, until nothing more is taken.
fn fill_up(disk: &SimDisk, table: &Table) {
    disk.set_free(Some(0));
    for len in [1000, 300, 30, 0] {
        let mut n = 0u32;
        let error = loop {
            match table.put_with(&n.to_be_bytes(), &vec![2; len], Durability::Eventual) {
                Ok(_) => n += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::DiskFull, "{error}");
    }
}

fn with_long_log(disk: &SimDisk) -> Options {
    options(disk).log_bytes_max(64 << 20).segment_bytes_max(128 << 10)
}

#[test]
fn a_table_that_a_full_disk_refused_can_be_made_later_and_stays() {
    let disk = SimDisk::new();
    let db = with_long_log(&disk).create("").unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    fill_up(&disk, &table);
    let error = db.create_table("u", TableOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DiskFull, "{error}");
    disk.set_free(None);
    db.sync().unwrap();
    db.checkpoint().unwrap();
    db.create_table("u", TableOptions::default()).unwrap().put(b"k", b"v").unwrap();
    let db = with_long_log(&disk.after_kill()).open("").unwrap();
    assert_eq!(db.table("u").unwrap().get(b"k").unwrap(), Some(b"v".to_vec()));
}

#[test]
fn a_commit_that_a_full_disk_keeps_from_being_durable_says_that_it_is_done() {
    let disk = SimDisk::new();
    let db = with_long_log(&disk).create("").unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    disk.set_free(Some(0));
    let mut n = 0u32;
    let error = loop {
        match table.put(&n.to_be_bytes(), &[1; 1000]) {
            Ok(()) => n += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Pending, "{error}");
    assert!(table.contains(&n.to_be_bytes()).unwrap());
    let mut batch = WriteBatch::new();
    batch.put(&table, b"batch", b"1");
    assert_eq!(db.write(&mut batch, Durability::Power).unwrap_err().kind(), ErrorKind::Pending);
    assert!(batch.is_empty());
    let ticket = table.put_with(b"ticket", b"1", Durability::Power).unwrap();
    assert_eq!(ticket.wait().unwrap_err().kind(), ErrorKind::Pending);
    disk.set_free(None);
    ticket.wait().unwrap();
    let db = with_long_log(&disk.after_power_loss(1)).open("").unwrap();
    let table = db.table("t").unwrap();
    for key in [&n.to_be_bytes()[..], b"batch", b"ticket"] {
        assert!(table.contains(key).unwrap());
    }
}

#[test]
fn a_database_that_failed_to_close_leaves_the_files_to_the_next() {
    let disk = SimDisk::new();
    let db = with_long_log(&disk).create("").unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    disk.set_free(Some(0));
    let mut n = 0u32;
    while table.put(&n.to_be_bytes(), &[1; 1000]).is_ok() {
        n += 1;
    }
    let ticket = table.put_with(b"late", b"x", Durability::Power).unwrap();
    assert_eq!(db.close().unwrap_err().kind(), ErrorKind::DiskFull);
    disk.set_free(None);
    let next = with_long_log(&disk).open("").unwrap();
    let there = next.table("t").unwrap();
    (0..20u32).for_each(|n| there.put(&[&b"next"[..], &n.to_be_bytes()].concat(), b"acknowledged").unwrap());
    assert_eq!(ticket.wait().unwrap_err().kind(), ErrorKind::Poisoned);
    assert!(db.sync().is_err());
    assert!(!db.step().unwrap());
    (20..40u32).for_each(|n| there.put(&[&b"next"[..], &n.to_be_bytes()].concat(), b"acknowledged").unwrap());
    let db = with_long_log(&disk.after_kill()).open("").unwrap();
    assert_eq!(db.table("t").unwrap().prefix(b"next").count(), 40);
    assert!(!db.table("t").unwrap().contains(b"late").unwrap());
}

#[test]
fn a_failed_database_writes_no_pages_after_it_was_closed() {
    let disk = SimDisk::new();
    let db = options(&disk).create("").unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap().with_durability(Durability::Eventual);
    (0u32..20_000).for_each(|n| table.put(&n.to_be_bytes(), &[1; 200]).unwrap());
    db.checkpoint().unwrap();
    (0u32..20_000).step_by(7).for_each(|n| table.put(&n.to_be_bytes(), &[2; 200]).unwrap());
    disk.inject(Fault::error());
    assert_eq!(db.sync().unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(db.close().unwrap_err().kind(), ErrorKind::Poisoned);
    disk.heal();
    let next = options(&disk).open("").unwrap();
    let written = db.stats().pager.written_bytes;
    for _ in 0..50 {
        assert!(!db.step().unwrap());
        let _ = table.get(b"k");
    }
    assert_eq!(db.stats().pager.written_bytes, written);
    assert!(next.verify(|_| {}).unwrap().is_clean());
}

#[test]
fn log_that_changed_no_page_is_checkpointed_away() {
    let disk = SimDisk::new();
    let db = options(&disk).log_bytes_max(1 << 20).create("").unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    db.checkpoint().unwrap();
    let mut batch = WriteBatch::new();
    for round in 0..100u32 {
        for n in 0..500u32 {
            batch.delete(&table, &[&round.to_be_bytes()[..], &n.to_be_bytes()[..], &[7; 20]].concat());
        }
        db.write(&mut batch, Durability::Eventual).unwrap();
        let steps = (0..20).take_while(|_| db.step().unwrap()).count();
        assert!(steps < 20, "work without end");
    }
    assert!(db.stats().log_bytes_since_checkpoint < 2 << 20);
}

#[test]
fn a_log_that_is_full_between_superblock_and_its_record_costs_nothing() {
    for commits in 0..60u32 {
        let disk = SimDisk::new();
        let db = with_long_log(&disk).create("").unwrap();
        let table = db.create_table("t", TableOptions::default()).unwrap();
        (0..commits).for_each(|n| table.put(&n.to_be_bytes(), b"x").unwrap());
        disk.set_free(Some(0));
        if let Err(error) = db.checkpoint() {
            assert_eq!(error.kind(), ErrorKind::DiskFull, "{error}");
        }
        let killed = disk.after_kill();
        disk.set_free(None);
        table.put(b"later", b"").unwrap();
        db.checkpoint().unwrap();
        assert!(db.verify(|_| {}).unwrap().is_clean());
        killed.set_free(None);
        for disk in [killed, disk.after_power_loss(u64::from(commits))] {
            let db = with_long_log(&disk).open("").unwrap();
            assert!(db.table("t").unwrap().iter().count() as u32 >= commits);
        }
    }
}
