//! Backups: what they hold, under writers and under faults of either disk; and the way back, to any commit since.

use crate::power_loss::on;
use crate::{assert_clean, contents, key, rows, small, table};
use aquifer::{Backup, Database, Durability, Error, ErrorKind, Options, TableOptions, WriteBatch};
use aquifer_sim::{Call, Fault, Random, SimDisk};
use aquifer_sync::atomic::{AtomicBool, AtomicU64, Ordering};
use aquifer_sync::thread;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// The sorted table, and a hashed one if there is one.
fn state(db: &Database) -> State {
    let mut state: State = contents(&table(db)).into_iter().collect();
    if let Ok(hashed) = db.any_table("hashed") {
        state.extend(rows(&hashed).into_iter().map(|(key, value)| ([b"hashed ", &key[..]].concat(), value)));
    }
    state
}

fn restored(backup: &Backup) -> aquifer::Result<(State, aquifer::RestoreReport)> {
    let disk = SimDisk::new();
    let (db, report) = backup.restore(on(&disk), "", |_| {})?;
    assert_clean(&db);
    let found = state(&db);
    // It is a database like any other.
    table(&db).put(b"again", b"and again").unwrap();
    db.close().unwrap();
    let db = on(&disk).open("").unwrap();
    assert_eq!(state(&db).len(), found.len() + usize::from(!found.contains_key(&b"again"[..])));
    Ok((found, report))
}

/// Some commits, each with its place in the log, after which the state is noted.
fn work(db: &Database, random: &mut Random, count: u64, history: &mut Vec<(u64, State)>) {
    let table = table(db);
    let mut now = history.last().map_or_else(State::new, |(_, state)| state.clone());
    for _ in 0..count {
        let mut batch = WriteBatch::new();
        for _ in 0..1 + random.below(4) {
            let key = key(random.below(60)).to_vec();
            if random.chance(25) {
                batch.delete(&table, &key);
                now.remove(&key);
            } else {
                let value = vec![random.draw() as u8; random.below(600) as usize];
                batch.put(&table, &key, &value);
                now.insert(key, value);
            }
        }
        let ticket = db.submit(&mut batch, Durability::Power).unwrap();
        ticket.wait().unwrap();
        if let Some(lsn) = ticket.lsn() {
            history.push((lsn.0, now.clone()));
        }
        if random.chance(2) {
            db.checkpoint().unwrap();
        }
        while random.chance(20) {
            db.step().unwrap();
        }
    }
}

/// Lives that end in a loss of power, a kill or a clean close, with backups in between; then backups brought forward to any commit.
#[test]
fn a_backup_is_brought_forward_to_any_commit_over_any_number_of_lives() {
    for seed in 0..6 {
        let mut random = Random(seed);
        let (mut disk, archive) = (SimDisk::new(), SimDisk::new());
        let mut backups: Vec<(SimDisk, u64)> = Vec::new();
        let mut history: Vec<(u64, State)> = Vec::new();
        let backup_disk = SimDisk::new();
        for life in 0..8 {
            let db = on(&disk).archive_on(archive.disk()).open_or_create("").unwrap();
            if let Some((_, last)) = history.last() {
                assert_eq!(state(&db), *last, "seed {seed}, life {life}");
            }
            work(&db, &mut random, 150, &mut history);
            if random.chance(60) {
                db.backup_on(backup_disk.disk(), |_| {}).unwrap();
                let copy = SimDisk::with_contents(&backup_disk.contents());
                let at = Backup::on(copy.disk()).info().unwrap().lsn;
                backups.push((copy, at));
            }
            work(&db, &mut random, 150, &mut history);
            match random.below(3) {
                0 => db.close().unwrap(),
                1 => {
                    let after = disk.after_power_loss(random.draw());
                    drop(db);
                    disk = after;
                }
                _ => {
                    let after = disk.after_kill();
                    drop(db);
                    disk = after;
                }
            }
        }
        assert!(!backups.is_empty());
        let first = history[0].0;
        for (disk_of_backup, at) in &backups {
            let plain = Backup::on(disk_of_backup.disk());
            let expected = |lsn: u64| {
                let index = history.partition_point(|(end, _)| *end <= lsn);
                if index == 0 { State::new() } else { history[index - 1].1.clone() }
            };
            assert_eq!(restored(&plain).unwrap().0, expected(*at), "BK1: seed {seed}");
            let forward = plain.clone().archive_on(archive.disk()).log_on(disk.disk());
            let (found, report) = restored(&forward).unwrap();
            assert_eq!(found, history.last().unwrap().1, "seed {seed}");
            assert_eq!(report.backup_lsn, *at);
            for _ in 0..4 {
                let (lsn, _) = history[random.below(history.len() as u64) as usize];
                let target = forward.clone().until_lsn(lsn);
                match restored(&target) {
                    Ok((found, _)) => assert_eq!(found, expected(lsn), "seed {seed}, to {lsn}"),
                    Err(error) => assert!(lsn < *at, "seed {seed}, to {lsn} from {at}: {error}"),
                }
            }
            assert!(*at >= first);
        }
    }
}

#[test]
fn a_backup_under_writers_is_one_moment_of_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let (source, copy) = (dir.path().join("source"), dir.path().join("copy"));
    let db = Database::options().memory_budget(4 << 20).open_or_create(&source).unwrap();
    let tables = ["left", "right"].map(|name| db.create_table(name, TableOptions::default()).unwrap());
    /// Of each writer; then it only counts on.
    const RECORDS_MAX: u64 = 5000;
    let stop = AtomicBool::new(false);
    let acknowledged = [AtomicU64::new(0), AtomicU64::new(0)];
    thread::scope(|scope| {
        for writer in 0..2u64 {
            let (db, tables, stop, acknowledged) = (&db, &tables, &stop, &acknowledged[writer as usize]);
            scope.spawn(move || {
                for number in 1.. {
                    let mut batch = WriteBatch::new();
                    let value = [number as u8; 500];
                    for table in tables {
                        if number <= RECORDS_MAX {
                            batch.put(table, &key(writer << 32 | number)[..], &value[..]);
                        }
                        batch.put(table, &key(writer << 32)[..], &key(number)[..]);
                    }
                    db.write(&mut batch, Durability::Eventual).unwrap();
                    acknowledged.store(number, Ordering::SeqCst);
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                }
            });
        }
        for round in 0..6 {
            thread::sleep(Duration::from_millis(50));
            let before = [0, 1].map(|writer: usize| acknowledged[writer].load(Ordering::SeqCst));
            let report = db.backup(&copy, |_| {}).unwrap();
            assert_eq!(report.incremental, round > 0);
            let target = dir.path().join(format!("restored{round}"));
            let (restored, _) = Backup::at(&copy).restore(small(), &target, |_| {}).unwrap();
            assert_clean(&restored);
            let [left, right] = ["left", "right"].map(|name| restored.table(name).unwrap());
            assert!(contents(&left) == contents(&right), "P2");
            for writer in 0..2u64 {
                let last = left
                    .get(&key(writer << 32)[..])
                    .unwrap()
                    .map_or(0, |value| u64::from_be_bytes(value.as_slice().try_into().unwrap()));
                assert!(last >= before[writer as usize], "BK1: {last} of {before:?}");
                let count = left.range(&key(writer << 32 | 1)[..]..&key((writer + 1) << 32)[..]).count();
                assert_eq!(count as u64, last.min(RECORDS_MAX), "a prefix");
            }
        }
        stop.store(true, Ordering::SeqCst);
    });
    assert_clean(&db);
    db.close().unwrap();
}

fn filled(disk: &SimDisk, records: u64) -> Database {
    let db = on(disk).open_or_create("").unwrap();
    let table = table(&db);
    for n in 0..records {
        let _ = table.put_with(&key(n)[..], &[n as u8; 300][..], Durability::Eventual).unwrap();
    }
    db
}

/// Whatever happens at whichever call to a backup, the directory holds the one before or the one after.
#[test]
fn a_backup_that_is_cut_off_leaves_the_one_before() {
    let disk = SimDisk::new();
    let db = filled(&disk, 300);
    let first = SimDisk::new();
    db.backup_on(first.disk(), |_| {}).unwrap();
    let before = state(&db);
    for n in 0..300 {
        let _ = table(&db).put_with(&key(n * 2)[..], b"changed", Durability::Eventual).unwrap();
    }
    let after = state(&db);
    let mut cut = [0; 2];
    for nth in 1.. {
        let mut ended = true;
        for (kind, fault) in [Fault::power_loss(), Fault::error(), Fault::full()].into_iter().enumerate() {
            let backup = SimDisk::with_contents(&first.contents());
            let seed = nth * 3 + kind as u64;
            backup.inject(fault.nth(nth));
            let result = db.backup_on(backup.disk(), |_| {});
            ended &= !backup.has_struck();
            backup.heal();
            let backup = backup.after_power_loss(seed);
            let (found, _) = restored(&Backup::on(backup.disk())).unwrap();
            assert!(found == before || found == after, "BK2: call {nth}, {kind}");
            assert!(
                result.is_err() || found == after,
                "BK2: call {nth}, {kind}: it was reported to be there"
            );
            cut[usize::from(found == after)] += 1;
            let report = db.backup_on(backup.disk(), |_| {}).unwrap();
            assert_eq!(report.flip_lsn, Backup::on(backup.disk()).info().unwrap().lsn);
            assert!(restored(&Backup::on(backup.disk())).unwrap().0 == after, "call {nth}, {kind}");
        }
        if ended {
            break;
        }
    }
    assert!(cut.iter().all(|&count| count > 3), "{cut:?}");
}

#[test]
fn a_first_backup_that_is_cut_off_is_none_and_can_be_repeated() {
    let disk = SimDisk::new();
    let db = filled(&disk, 300);
    let expected = state(&db);
    for nth in 1.. {
        let backup = SimDisk::new();
        backup.inject(Fault::power_loss().nth(nth));
        let result = db.backup_on(backup.disk(), |_| {});
        let ended = !backup.has_struck();
        let backup = backup.after_power_loss(nth);
        match restored(&Backup::on(backup.disk())) {
            Ok((found, _)) => assert!(found == expected, "call {nth}"),
            Err(error) => {
                assert!(result.is_err() && matches!(error, Error::NotFound { .. }), "{nth}: {error}")
            }
        }
        db.backup_on(backup.disk(), |_| {}).unwrap();
        assert!(restored(&Backup::on(backup.disk())).unwrap().0 == expected, "call {nth}");
        if ended {
            break;
        }
    }
}

#[test]
fn a_restoration_that_is_cut_off_leaves_no_database_and_can_be_repeated() {
    let (disk, archive, backup) = (SimDisk::new(), SimDisk::new(), SimDisk::new());
    let db = on(&disk).archive_on(archive.disk()).open_or_create("").unwrap();
    let mut history = Vec::new();
    let mut random = Random(5);
    work(&db, &mut random, 100, &mut history);
    db.backup_on(backup.disk(), |_| {}).unwrap();
    work(&db, &mut random, 300, &mut history);
    db.close().unwrap();
    let forward = Backup::on(backup.disk()).archive_on(archive.disk());
    let mut none = 0;
    for nth in (1..).step_by(3) {
        let target = SimDisk::new();
        target.inject(Fault::power_loss().nth(nth));
        let result = forward.restore(on(&target), "", |_| {});
        let ended = !target.has_struck();
        drop(result);
        let target = target.after_power_loss(nth);
        match on(&target).open("") {
            Ok(db) => assert_eq!(state(&db), history.last().unwrap().1, "BK4: call {nth}"),
            Err(error) => {
                assert!(matches!(error, Error::NotFound { .. }), "BK4: call {nth}: {error}");
                none += 1;
                let (db, _) = forward.restore(on(&target), "", |_| {}).unwrap();
                assert_eq!(state(&db), history.last().unwrap().1, "call {nth}");
            }
        }
        if ended {
            break;
        }
    }
    assert!(none > 10, "{none}");
}

#[test]
fn errors_of_the_source_end_a_backup_and_nothing_else() {
    let disk = SimDisk::new();
    let db = filled(&disk, 400);
    let backup = SimDisk::new();
    for nth in 1..40 {
        disk.inject(Fault::error().on(Call::Read).file("data").nth(nth));
        let result = db.backup_on(backup.disk(), |_| {});
        if disk.has_struck() {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Io, "call {nth}");
        }
        disk.heal();
        table(&db).put(&key(nth)[..], b"goes on").unwrap();
    }
    db.backup_on(backup.disk(), |_| {}).unwrap();
    assert_eq!(restored(&Backup::on(backup.disk())).unwrap().0, state(&db));
}

#[test]
fn a_moment_divides_what_was_committed_before_it_from_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let [source, copy, log] = ["source", "copy", "log"].map(|name| dir.path().join(name));
    let open = |options: Options| options.open(&source).unwrap();
    let db = small().archive(&log).open_or_create(&source).unwrap();
    table(&db).put(b"early", b"1").unwrap();
    db.backup(&copy, |_| {}).unwrap();
    table(&db).put(b"middle", b"2").unwrap();
    let moment = SystemTime::now();
    thread::sleep(Duration::from_millis(5));
    db.close().unwrap();
    // The choice is remembered (AC1).
    let db = open(small());
    table(&db).put(b"late", b"3").unwrap();
    db.close().unwrap();
    let mut number = 0;
    let mut restore = |backup: Backup| {
        number += 1;
        let (db, report) = backup.restore(small(), dir.path().join(number.to_string()), |_| {}).unwrap();
        let keys: Vec<String> =
            contents(&table(&db)).into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect();
        (keys.join(" "), report)
    };
    assert_eq!(restore(Backup::at(&copy)).0, "early");
    assert_eq!(restore(Backup::at(&copy).log(&log)).0, "early late middle");
    let (keys, report) = restore(Backup::at(&copy).log(&log).until_time(moment));
    assert_eq!(keys, "early middle");
    // A backup is not taken back.
    let past = Backup::at(&copy).log(&log).until_time(moment - Duration::from_secs(3600));
    let error = past.restore(small(), dir.path().join("past"), |_| {}).unwrap_err().to_string();
    assert!(error.contains("begin with an earlier backup"), "{error}");
    assert!(report.last_commit.unwrap() <= moment && report.commits == 1, "{report:?}");
    // The log itself goes on where the archive ends, and does not have what came before.
    assert_eq!(restore(Backup::at(&copy).log(&log).log(source.join("log"))).0, "early late middle");
    let alone = Backup::at(&copy).log(source.join("log"));
    let error = alone.restore(small(), dir.path().join("none"), |_| {}).unwrap_err().to_string();
    assert!(error.contains("missing or damaged from position") && error.contains("source/log"), "{error}");
}

#[test]
fn the_choice_of_an_archive_is_followed_or_the_opening_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let [source, log] = ["source", "log"].map(|name| dir.path().join(name));
    let refused = |what: &str| {
        let error = small().open(&source).unwrap_err();
        assert!(error.to_string().contains(what), "AC2: {error}");
    };
    small().archive(&log).open_or_create(&source).unwrap().close().unwrap();
    std::fs::rename(&log, dir.path().join("elsewhere")).unwrap();
    refused("cannot be used");
    small().archive(dir.path().join("elsewhere")).open(&source).unwrap().close().unwrap();
    let choice = source.join("archive");
    let sound = std::fs::read(&choice).unwrap();
    assert!(sound.starts_with(dir.path().to_str().unwrap().as_bytes()));
    for byte in [0, 5, 200, 4094] {
        let mut bytes = sound.clone();
        bytes[byte] ^= 1;
        std::fs::write(&choice, bytes).unwrap();
        refused("is damaged");
    }
    std::fs::write(&choice, &sound[..100]).unwrap();
    refused("is damaged");
    // Another choice mends it, and one that cannot be followed changes nothing (AC3).
    small().archive(dir.path().join("elsewhere")).open(&source).unwrap().close().unwrap();
    assert_eq!(std::fs::read(&choice).unwrap(), sound);
    std::fs::write(dir.path().join("file"), b"no folder").unwrap();
    for wrong in [dir.path().join("file"), choice.clone()] {
        let error = small().archive(&wrong).open(&source).unwrap_err().to_string();
        assert!(error.contains("cannot be used"), "{error}");
        assert_eq!(std::fs::read(&choice).unwrap(), sound, "AC3");
    }
    small().open(&source).unwrap().close().unwrap();
    // An empty folder of that name, as where a disk is not mounted.
    std::fs::rename(dir.path().join("elsewhere"), dir.path().join("mounted")).unwrap();
    std::fs::create_dir(dir.path().join("elsewhere")).unwrap();
    refused("cannot be used");
    small().no_archive().open(&source).unwrap().close().unwrap();
    assert!(!choice.exists());
    // What a creation that was cut off had chosen is no choice of the next.
    let next = dir.path().join("next");
    std::fs::create_dir(&next).unwrap();
    std::fs::write(next.join("archive"), &sound).unwrap();
    small().open_or_create(&next).unwrap().close().unwrap();
    assert!(!next.join("archive").exists());
    small().open(&source).unwrap();
}

#[test]
fn what_is_in_the_way_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let [source, copy] = ["source", "copy"].map(|name| dir.path().join(name));
    let db = small().open_or_create(&source).unwrap();
    table(&db).put(b"k", b"v").unwrap();
    let told = |result: aquifer::Result<_>, what: &str| {
        let error: Error = result.map(|_: ()| ()).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    };
    let backup = |to: &Path| db.backup(to, |_| {}).map(|_| ());
    told(backup(&source), "holds \"log\"");
    let memory = Database::in_memory(4 << 20).unwrap();
    told(memory.backup(&copy, |_| {}).map(|_| ()), "in memory");
    backup(&copy).unwrap();
    told(small().open(&copy).map(|_| ()), "it is a backup");
    told(Backup::at(&source).info().map(|_| ()), "it is a database");
    let restore = |from: Backup, to: &Path| from.restore(small(), to, |_| {}).map(|_| ());
    told(restore(Backup::at(&copy), &source), "not empty");
    told(restore(Backup::at(&copy), &copy), "not empty");
    told(restore(Backup::at(dir.path().join("nowhere")), &dir.path().join("new")), "nowhere");
    told(restore(Backup::at(&copy).until_lsn(7), &dir.path().join("new")), "name the archive");
    let other = small().open_or_create(dir.path().join("other")).unwrap();
    told(other.backup(&copy, |_| {}).map(|_| ()), "another database");
    other.close().unwrap();
    let foreign = Backup::at(&copy).log(dir.path().join("other/log"));
    told(restore(foreign, &dir.path().join("new")), "no segment of this database");
    db.close().unwrap();
    told(backup(&copy), "closed");
    let pages = Backup::at(&copy).verify(|error| panic!("{error}")).unwrap();
    assert!(pages > 1);
    // Damage in a backup is named.
    let path = copy.join("data");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[130 << 10] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut found = Vec::new();
    match Backup::at(&copy).verify(|error| found.push(error.to_string())) {
        Ok(_) => assert!(found.len() == 1 && found[0].contains("is damaged"), "{found:?}"),
        Err(error) => assert!(matches!(error, Error::Corrupt { .. }), "{error}"),
    }
}

#[test]
fn a_backup_that_outlives_its_database_keeps_it_from_being_opened() {
    let disk = SimDisk::new();
    let db = filled(&disk, 400);
    let expected = state(&db);
    let backup = SimDisk::new();
    let mut refused = false;
    db.backup_on(backup.disk(), |_| {
        if db.close().is_ok() && !refused {
            let other = on(&disk).open("").map(|other| {
                for n in 0..400 {
                    table(&other).put(&key(n)[..], b"something else").unwrap();
                }
                other.checkpoint().unwrap();
            });
            refused = matches!(other, Err(Error::Locked { .. }));
        }
    })
    .unwrap();
    assert!(refused, "BK5");
    assert!(restored(&Backup::on(backup.disk())).unwrap().0 == expected);
    assert_eq!(state(&on(&disk).open("").unwrap()), expected);
}

#[test]
fn large_values_are_in_backups_and_not_in_the_archive() {
    let (disk, archive, backup) = (SimDisk::new(), SimDisk::new(), SimDisk::new());
    let db = on(&disk).archive_on(archive.disk()).create("").unwrap();
    let t = table(&db);
    let large = |seed: u8, len: usize| -> Vec<u8> { (0..len).map(|at| seed ^ (at / 7) as u8).collect() };
    t.put(b"a", &large(1, 300_000)).unwrap();
    t.put(b"b", &large(2, 50_000)).unwrap();
    let hashed = db.create_table("hashed", TableOptions::hashed()).unwrap();
    hashed.put(b"h", &large(5, 20_000)).unwrap();
    hashed.put(b"i", &large(6, 20_000)).unwrap();
    let first = db.backup_on(backup.disk(), |_| {}).unwrap();
    assert!(!first.incremental && first.pages_copied > 85);
    assert_eq!(restored(&Backup::on(backup.disk())).unwrap().0, state(&db));
    // An incremental one: the value that stays is not copied again.
    t.put(b"b", &large(3, 40_000)).unwrap();
    t.append(b"b", b"more").unwrap();
    t.put(b"c", b"small").unwrap();
    let second = db.backup_on(backup.disk(), |_| {}).unwrap();
    assert!(second.incremental && second.pages_copied < 40, "{second:?}");
    assert_eq!(restored(&Backup::on(backup.disk())).unwrap().0, state(&db));
    // Large values of the backup go and change by the log alone; what comes is not in it.
    t.delete(b"b").unwrap();
    t.put(b"a", b"small now").unwrap();
    t.put(b"d", b"d").unwrap();
    hashed.delete(b"h").unwrap();
    let mut batch = WriteBatch::new();
    batch.put(&t, b"e", b"e");
    let ticket = db.submit(&mut batch, Durability::Power).unwrap();
    ticket.wait().unwrap();
    let reachable = ticket.lsn().unwrap().0;
    let expected = state(&db);
    t.put(b"large", &large(4, 70_000)).unwrap();
    t.put(b"f", b"f").unwrap();
    db.close().unwrap();
    let forward = || Backup::on(backup.disk()).archive_on(archive.disk()).log_on(disk.disk());
    let error = restored(&forward()).unwrap_err();
    let told = format!("restore up to position {reachable}");
    assert!(error.to_string().contains("a large value was put"), "{error}");
    assert!(error.to_string().contains(&told), "{error}");
    let (found, report) = restored(&forward().until_lsn(reachable)).unwrap();
    assert_eq!((found, report.lsn), (expected, reachable));
    // Nothing is left where it failed, and a backup that was made after it goes on from there.
    let db = on(&disk).archive_on(archive.disk()).open("").unwrap();
    db.backup_on(backup.disk(), |_| {}).unwrap();
    table(&db).range_delete(&b"e"[..]..).unwrap();
    db.close().unwrap();
    let (found, _) = restored(&forward()).unwrap();
    assert_eq!(found.keys().map(Vec::as_slice).collect::<Vec<_>>(), [&b"a"[..], b"c", b"d", b"hashed i"]);
}

/// Much more than fits is made and dropped again, and page ids are used up many times over.
#[test]
fn a_long_history_needs_no_more_space_than_its_database_did() {
    let (disk, archive, backup) = (SimDisk::new(), SimDisk::new(), SimDisk::new());
    let db = on(&disk).archive_on(archive.disk()).open_or_create("").unwrap();
    table(&db).put(b"stays", b"1").unwrap();
    db.backup_on(backup.disk(), |_| {}).unwrap();
    for round in 0..60u64 {
        let table = db.create_table("for a while", TableOptions::default()).unwrap();
        for n in 0..400 {
            let _ = table.put_with(&key(n)[..], &[round as u8; 1000][..], Durability::Eventual).unwrap();
            if n % 100 == 0 {
                while db.step().unwrap() {}
            }
        }
        drop(table);
        db.drop_table("for a while").unwrap();
        while db.step().unwrap() {}
    }
    table(&db).put(b"stays", b"2").unwrap();
    db.close().unwrap();
    let target = SimDisk::new();
    target.set_free(Some(12 << 20));
    let forward = Backup::on(backup.disk()).archive_on(archive.disk());
    let (restored, _) = forward.restore(on(&target), "", |_| {}).unwrap();
    assert_clean(&restored);
    assert_eq!(restored.tables().len(), 1);
    assert_eq!(table(&restored).get(b"stays").unwrap().as_deref(), Some(&b"2"[..]));
    restored.close().unwrap();
    assert_eq!(table(&on(&target).open("").unwrap()).get(b"stays").unwrap().as_deref(), Some(&b"2"[..]));
}
