//! What a crash leaves of transactions: each whole or not at all, those acknowledged as durable as was asked, and of the others a prefix.
//!
//! Each transaction counts up its thread's counter in three tables, one of them hashed, with the same value; some of them also take the next
//! number of a common journal, where the order of all is seen. Values are short and long, and so are keys.

use crate::{any_table, assert_clean};
use aquifer::{AnyTable, Database, Durability, Error, ErrorKind, Isolation, Result, Transaction, TxOptions};
use aquifer_sim::{Call, Fault, Random, SimDisk};
use aquifer_sync::atomic::{AtomicBool, AtomicU64, Ordering};
use aquifer_sync::thread;

const THREADS: u64 = 4;

const TABLES: [(&str, aquifer::TableKind); 4] = [
    ("one", aquifer::TableKind::Sorted),
    ("two", aquifer::TableKind::Hashed),
    ("three", aquifer::TableKind::Sorted),
    ("journal", aquifer::TableKind::Sorted),
];

fn options(disk: &SimDisk) -> aquifer::Options {
    let options = Database::options().memory_budget(4 << 20).log_bytes_max(1 << 20);
    options.segment_bytes_max(128 << 10).disk(disk.disk())
}

fn tables(db: &Database) -> [AnyTable; 4] {
    TABLES.map(|(name, kind)| db.any_table(name).unwrap_or_else(|_| any_table(db, name, kind)))
}

/// Of a thread's counter; of one thread it is a long key.
fn key(thread: u64) -> Vec<u8> {
    let prefix = if thread == 1 { vec![b'l'; 600] } else { Vec::new() };
    [&prefix[..], &thread.to_be_bytes()].concat()
}

/// What a counter has: the number, and something that follows from it.
fn value(n: u64) -> Vec<u8> {
    let rest = [0, 30, 900, 6_000][(n % 4) as usize];
    [&n.to_be_bytes()[..], &vec![n as u8; rest]].concat()
}

fn count(value: Option<Vec<u8>>) -> u64 {
    let Some(bytes) = value else { return 0 };
    let n = u64::from_be_bytes(*bytes.first_chunk().unwrap());
    assert_eq!(bytes, self::value(n));
    n
}

/// Counts up; with a journal, also writes who did it.
fn count_up(tx: &mut Transaction, tables: &[AnyTable; 4], thread: u64, journal: bool) -> Result<u64> {
    let [one, two, three, all] = tables;
    let n = count(tx.get(one, &key(thread))?) + 1;
    [one, two, three].into_iter().try_for_each(|table| tx.put(table, &key(thread), &value(n)))?;
    if journal {
        let last = tx.get(all, b"last")?.map_or(0, |last| u64::from_be_bytes(last.try_into().unwrap()));
        tx.put(all, &(last + 1).to_be_bytes(), &[thread.to_be_bytes(), n.to_be_bytes()].concat())?;
        tx.put(all, b"last", &(last + 1).to_be_bytes())?;
    }
    Ok(n)
}

/// What was acknowledged of each thread, by durability.
#[derive(Default)]
struct Acknowledged([AtomicU64; 2]);

impl Acknowledged {
    fn tell(&self, n: u64, durability: Durability) {
        if durability >= Durability::Process {
            self.0[0].fetch_max(n, Ordering::SeqCst);
        }
        if durability >= Durability::Power {
            self.0[1].fetch_max(n, Ordering::SeqCst);
        }
    }

    fn floor(&self, power: bool) -> u64 {
        self.0[usize::from(power)].load(Ordering::SeqCst)
    }
}

/// Counts up until told to stop, or until the disk fails.
fn work(db: &Database, thread: u64, seed: u64, acknowledged: &Acknowledged, stop: &AtomicBool) {
    let mut random = Random(seed * 100 + thread);
    let tables = tables(db);
    while !stop.load(Ordering::Relaxed) {
        let level = crate::LEVELS[random.below(2) as usize];
        let durability = match random.below(10) {
            0 | 1 => Durability::Power,
            2 | 3 => Durability::Process,
            _ => Durability::Eventual,
        };
        let journal = random.chance(30);
        let options = TxOptions::new().isolation(level).retries_max(10_000);
        let counted = db.transact_with(options, durability, |tx| {
            if random.chance(20) {
                let savepoint = tx.savepoint();
                count_up(tx, &tables, thread, true)?;
                tx.rollback_to(savepoint);
            }
            count_up(tx, &tables, thread, journal)
        });
        match counted {
            Ok(n) => acknowledged.tell(n, durability),
            Err(error) if [ErrorKind::Io, ErrorKind::Poisoned].contains(&Error::kind(&error)) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// What must hold of what is there after a crash.
fn check(disk: &SimDisk, floors: &[u64], context: &str) {
    let db = options(disk).open("").unwrap_or_else(|error| panic!("{context}: {error}"));
    let tables = tables(&db);
    let [one, two, three, journal] = &tables;
    let mut counts = Vec::new();
    for (thread, &floor) in floors.iter().enumerate() {
        let found = [one, two, three].map(|table| count(table.get(&key(thread as u64)).unwrap()));
        assert!(found.iter().all(|&n| n == found[0]), "{context}: half a transaction: {found:?}");
        assert!(found[0] >= floor, "{context}: thread {thread}: {} of {floor} acknowledged", found[0]);
        counts.push(found[0]);
    }
    let last = journal.get(b"last").unwrap().map_or(0, |last| u64::from_be_bytes(last.try_into().unwrap()));
    let mut seen = vec![0; floors.len()];
    for number in 1..=last {
        let entry = journal.get(&number.to_be_bytes()).unwrap();
        let entry = entry.unwrap_or_else(|| panic!("{context}: {number} of {last} is missing"));
        let (thread, n) = entry.split_at(8);
        let [thread, n] = [thread, n].map(|bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
        assert!(n > seen[thread as usize], "{context}: thread {thread} counts up");
        seen[thread as usize] = n;
    }
    assert_eq!(journal.get(&(last + 1).to_be_bytes()).unwrap(), None, "{context}");
    assert!(seen.iter().zip(&counts).all(|(seen, count)| seen <= count), "{context}: {seen:?} {counts:?}");
    assert_clean(&db);
    // And it goes on.
    let n = db.transact(|tx| count_up(tx, &tables, 0, true)).unwrap();
    assert_eq!(n, counts[0] + 1, "{context}");
}

/// Runs threads until a number of images of crashes were taken, or the fault has struck; then checks them.
fn crash(seed: u64, fault: Option<Fault>) {
    let disk = SimDisk::with_seed(seed);
    let db = options(&disk).create("").unwrap();
    tables(&db);
    let acknowledged: [Acknowledged; THREADS as usize] = Default::default();
    let stop = AtomicBool::new(false);
    let mut random = Random(seed);
    let floors = |power| -> Vec<u64> { acknowledged.iter().map(|thread| thread.floor(power)).collect() };
    let mut images = Vec::new();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (db, acknowledged, stop) = (&db, &acknowledged[thread as usize], &stop);
                scope.spawn(move || work(db, thread, seed, acknowledged, stop))
            })
            .collect();
        // A snapshot is open, so that versions are kept.
        let _snapshot = db.snapshot().unwrap();
        let progress = || acknowledged.iter().map(|thread| thread.floor(false)).sum::<u64>();
        for image in 1..=6 {
            while progress() < image * 20 && !threads.iter().any(|thread| thread.is_finished()) {
                thread::yield_now();
            }
            let power = random.chance(60);
            let floors = floors(power);
            images
                .push((floors, if power { disk.after_power_loss(random.draw()) } else { disk.after_kill() }));
        }
        match fault {
            None => stop.store(true, Ordering::Relaxed),
            Some(fault) => disk.inject(fault),
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    images.push((floors(true), disk.after_power_loss(seed)));
    drop(db);
    for (index, (floors, disk)) in images.into_iter().enumerate() {
        check(&disk, &floors, &format!("seed {seed}, image {index}"));
    }
}

/// So many seeds from that on; `AQUIFER_CRASH_SEED` and `AQUIFER_CRASH_SEEDS` say others.
fn seeds(first: u64, count: u64) -> std::ops::Range<u64> {
    let number = |name, default| std::env::var(name).map_or(default, |number| number.parse().unwrap());
    let first = number("AQUIFER_CRASH_SEED", first);
    first..first + number("AQUIFER_CRASH_SEEDS", count)
}

#[test]
fn transactions_are_there_whole_or_not_at_all_wherever_power_is_lost() {
    seeds(0, 20).for_each(|seed| crash(seed, None));
}

#[test]
fn so_they_are_when_the_disk_fails_under_them() {
    for seed in seeds(100, 20) {
        let fault = match seed % 3 {
            0 => Fault::power_loss(),
            1 => Fault::error().for_good(),
            _ => Fault::error().on(Call::WriteDurable | Call::Sync),
        };
        crash(seed, Some(fault.nth(1 + Random(seed).below(40))));
    }
}

/// Every call of a transaction's commit fails in its turn: it is done, or it is not, and what it says is true.
#[test]
fn whatever_fails_in_a_commit_nothing_is_half_done() {
    for (fault, level) in [
        (Fault::full(), Isolation::Snapshot),
        (Fault::error(), Isolation::Serializable),
        (Fault::power_loss(), Isolation::Snapshot),
    ] {
        for at in 1.. {
            let disk = SimDisk::new();
            let db = options(&disk).background(false).create("").unwrap();
            let tables = tables(&db);
            let before = db.transact(|tx| count_up(tx, &tables, 0, true)).unwrap();
            let mut tx = db.begin_with(TxOptions::new().isolation(level)).unwrap();
            count_up(&mut tx, &tables, 0, true).unwrap();
            count_up(&mut tx, &tables, 1, true).unwrap();
            tx.put(&tables[0], b"large", &[7; 30_000]).unwrap();
            disk.inject(fault.clone().nth(at));
            let committed = tx.commit();
            let struck = disk.has_struck();
            disk.heal();
            let found = tables[0].get(&key(0)).map(count);
            if !struck {
                committed.unwrap();
                assert!(at > 3, "{fault:?}: a commit has several calls");
                break;
            }
            let context = format!("{fault:?} at {at}: {committed:?}");
            let applied = found.is_ok_and(|n| n == before + 1);
            let floor = match committed.as_ref().map_err(Error::kind) {
                Ok(()) => before + 1,
                Err(ErrorKind::DiskFull) => {
                    assert!(!applied, "{context}");
                    db.transact(|tx| count_up(tx, &tables, 2, true)).unwrap();
                    before
                }
                Err(ErrorKind::Pending) => {
                    assert!(applied, "{context}");
                    db.sync().unwrap();
                    before + 1
                }
                Err(ErrorKind::Io | ErrorKind::Poisoned) => before,
                Err(other) => panic!("{other:?}: {context}"),
            };
            let after = disk.after_power_loss(at);
            drop((tables, db));
            check(&after, &[floor, 0, 0, 0], &context);
        }
    }
}
