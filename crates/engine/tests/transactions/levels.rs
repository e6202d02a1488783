//! Invariants that threads keep at each level, looked at by snapshots meanwhile: sums, on-call lists, bounds of predicates, orders of writes.

use crate::{LEVELS, any_table, sorted};
use aquifer::{
    AnyTable, Database, Durability, Error, HashTable, Isolation, Table, TableKind, TableOptions, Transaction,
    TxOptions, WriteBatch,
};
use aquifer_sim::Random;
use aquifer_sync::atomic::{AtomicBool, AtomicU64, Ordering};
use aquifer_sync::thread;

const THREADS: u64 = 4;

/// Runs `work` on threads, by their numbers, and `look` on this one time and again until they are done; twice at least.
fn beside(work: impl Fn(u64) + Sync, mut look: impl FnMut()) {
    let left = AtomicU64::new(THREADS);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (work, left) = (&work, &left);
            scope.spawn(move || {
                work(number);
                left.fetch_sub(1, Ordering::SeqCst);
            });
        }
        while left.load(Ordering::SeqCst) > 0 {
            look();
            thread::yield_now();
        }
        look();
    });
}

/// A transaction that begins again until it is through.
fn transact<R>(db: &Database, level: Isolation, work: impl FnMut(&mut Transaction) -> Result<R, Error>) -> R {
    let options = TxOptions::new().isolation(level).retries_max(100_000);
    db.transact_with(options, Durability::Eventual, work).unwrap()
}

fn number(bytes: Option<Vec<u8>>) -> u64 {
    bytes.map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()))
}

/// Accounts with even numbers are in a sorted table, those with odd ones in a hashed one.
struct Bank {
    db: Database,
    sorted: Table,
    hashed: HashTable,
    either: [AnyTable; 2],
    attempts: AtomicU64,
}

const ACCOUNTS: u64 = 16;
const DEPOSIT: u64 = 100;

impl Bank {
    fn new() -> Bank {
        let db = Database::in_memory(8 << 20).unwrap();
        let (sorted, hashed) = (sorted(&db, "even"), db.create_table("odd", TableOptions::hashed()).unwrap());
        let either = [db.any_table("even").unwrap(), db.any_table("odd").unwrap()];
        let bank = Bank { db, sorted, hashed, either, attempts: AtomicU64::new(0) };
        for account in 0..ACCOUNTS {
            bank.table(account).put(&account.to_be_bytes(), &DEPOSIT.to_le_bytes()).unwrap();
        }
        bank
    }

    fn table(&self, account: u64) -> &AnyTable {
        &self.either[(account % 2) as usize]
    }

    fn transfer(&self, level: Isolation, random: &mut Random) {
        let (from, to, amount) = (random.below(ACCOUNTS), random.below(ACCOUNTS), random.below(DEPOSIT));
        let locks = random.chance(10);
        transact(&self.db, level, |tx| {
            self.attempts.fetch_add(1, Ordering::Relaxed);
            if from == to {
                return Ok(());
            }
            let balance = match locks {
                true => tx.get_for_update(self.table(from), &from.to_be_bytes())?,
                false => tx.get(self.table(from), &from.to_be_bytes())?,
            };
            let balance = number(balance);
            if balance < amount {
                return Ok(());
            }
            thread::yield_now();
            let other = number(tx.get(self.table(to), &to.to_be_bytes())?);
            tx.put(self.table(from), &from.to_be_bytes(), &(balance - amount).to_le_bytes())?;
            tx.put(self.table(to), &to.to_be_bytes(), &(other + amount).to_le_bytes())
        });
    }
}

#[test]
fn money_is_neither_made_nor_lost() {
    for level in LEVELS {
        let bank = Bank::new();
        let total = || -> u64 {
            let snapshot = bank.db.snapshot().unwrap();
            let even = snapshot.range(&bank.sorted, ..).map(|record| number(Some(record.unwrap().1)));
            let odd = snapshot.iter(&bank.hashed).map(|record| number(Some(record.unwrap().1)));
            even.sum::<u64>() + odd.sum::<u64>()
        };
        let work = |thread| {
            let mut random = Random(thread);
            for _ in 0..1_500 {
                bank.transfer(level, &mut random);
                let account = random.below(ACCOUNTS);
                let balance = number(bank.table(account).get(&account.to_be_bytes()).unwrap());
                assert!(balance <= ACCOUNTS * DEPOSIT);
            }
        };
        beside(work, || assert_eq!(total(), ACCOUNTS * DEPOSIT));
        assert!(bank.attempts.into_inner() > THREADS * 1_500, "transfers have met");
    }
}

/// Each of a shift leaves if somebody else stays: at snapshot isolation two may leave at once.
#[test]
fn somebody_stays_on_call() {
    const DOCTORS: u64 = 3;
    for kind in crate::KINDS {
        let db = Database::in_memory(8 << 20).unwrap();
        let table = any_table(&db, "on call", kind);
        for doctor in 0..DOCTORS {
            table.put(&[doctor as u8], b"on").unwrap();
        }
        let on_call = |snapshot: &aquifer::Snapshot| -> Result<u64, Error> {
            let mut on = 0;
            let mut records = snapshot.records(&table);
            while let Some((_, state)) = records.next()? {
                on += u64::from(state == b"on");
            }
            Ok(on)
        };
        let left = AtomicU64::new(0);
        let work = |thread| {
            let mut random = Random(thread);
            for _ in 0..400 {
                let doctor = [random.below(DOCTORS) as u8];
                let leaves = random.chance(60);
                let went = transact(&db, Isolation::Serializable, |tx| {
                    if !leaves {
                        return tx.put(&table, &doctor, b"on").map(|()| false);
                    }
                    let others = on_call(tx)? > 1;
                    thread::yield_now();
                    if others && tx.get(&table, &doctor)?.as_deref() == Some(b"on") {
                        tx.put(&table, &doctor, b"off")?;
                        return Ok(true);
                    }
                    Ok(false)
                });
                left.fetch_add(u64::from(went), Ordering::Relaxed);
            }
        };
        beside(work, || assert!(on_call(&db.snapshot().unwrap()).unwrap() >= 1));
        assert!(left.into_inner() > 50);
    }
}

/// A room takes so many guests; who books counts those that are there. Guests have keys of their own, so nobody writes what another one does.
#[test]
fn no_phantom_overbooks_a_room() {
    const ROOMS: u64 = 3;
    const GUESTS_MAX: u64 = 5;
    let db = Database::in_memory(8 << 20).unwrap();
    let table = sorted(&db, "guests");
    let room = |room: u64| [room as u8].to_vec()..[room as u8 + 1].to_vec();
    let attempts = AtomicU64::new(0);
    let work = |thread: u64| {
        let mut random = Random(thread);
        for n in 0..500_u64 {
            let number = random.below(ROOMS);
            let key = [&[number as u8][..], &random.draw().to_be_bytes(), &n.to_be_bytes()].concat();
            let backward = random.chance(50);
            transact(&db, Isolation::Serializable, |tx| {
                attempts.fetch_add(1, Ordering::Relaxed);
                let guests = tx.range(&table, room(number));
                let guests: Vec<_> = match backward {
                    true => guests.rev().collect::<Result<_, _>>()?,
                    false => guests.collect::<Result<_, _>>()?,
                };
                thread::yield_now();
                match guests.len() as u64 {
                    // One of the others goes, and one of the others comes.
                    GUESTS_MAX => tx.delete(&table, &guests[n as usize % guests.len()].0),
                    _ => tx.put(&table, &key, b""),
                }
            });
        }
    };
    beside(work, || {
        let snapshot = db.snapshot().unwrap();
        for number in 0..ROOMS {
            assert!(snapshot.count(&table, room(number)).unwrap() <= GUESTS_MAX);
        }
    });
    assert!(attempts.into_inner() > THREADS * 500, "guests have met");
}

#[test]
fn no_update_is_lost() {
    const COUNTERS: u64 = 3;
    const ROUNDS: u64 = 1_500;
    for (level, kind) in LEVELS.into_iter().zip(crate::KINDS) {
        let db = Database::in_memory(8 << 20).unwrap();
        let table = any_table(&db, "counters", kind);
        let seen = AtomicU64::new(0);
        let sum = |snapshot: &aquifer::Snapshot| -> Result<u64, Error> {
            (0..COUNTERS).map(|counter| Ok(number(snapshot.get(&table, &counter.to_be_bytes())?))).sum()
        };
        let work = |thread| {
            let mut random = Random(thread);
            for _ in 0..ROUNDS {
                let counter = random.below(COUNTERS).to_be_bytes();
                let new = transact(&db, level, |tx| {
                    let count = number(tx.get(&table, &counter)?) + 1;
                    tx.put(&table, &counter, &count.to_le_bytes())?;
                    Ok(count)
                });
                assert!(number(table.get(&counter).unwrap()) >= new, "own commits are read (T1)");
            }
        };
        beside(work, || {
            let sum = sum(&db.snapshot().unwrap()).unwrap();
            assert!(seen.swap(sum, Ordering::Relaxed) <= sum, "later snapshots see no less");
        });
        assert_eq!(seen.into_inner(), THREADS * ROUNDS);
    }
}

/// Two keys are written by autocommits of different threads: all who read see these in one order.
#[test]
fn nobody_sees_a_fork() {
    let db = Database::in_memory(8 << 20).unwrap();
    let tables = [any_table(&db, "one", TableKind::Sorted), any_table(&db, "two", TableKind::Hashed)];
    let stop = AtomicBool::new(false);
    let pairs = thread::scope(|scope| {
        for table in &tables {
            let stop = &stop;
            scope.spawn(move || {
                for n in 1.. {
                    table.put_with(b"k", &u64::to_le_bytes(n), Durability::Eventual).unwrap().lsn();
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        let readers: Vec<_> = (0..2)
            .map(|reader| {
                let (db, tables) = (&db, &tables);
                scope.spawn(move || {
                    let mut pairs = Vec::new();
                    for turn in 0..300 {
                        thread::yield_now();
                        let of = |table: usize, snapshot: &aquifer::Snapshot| {
                            number(snapshot.get(&tables[table], b"k").unwrap())
                        };
                        let first = number(tables[turn % 2].get(b"k").unwrap());
                        let snapshot = db.snapshot().unwrap();
                        let pair = match reader {
                            0 => (of(0, &snapshot), of(1, &snapshot)),
                            _ => {
                                let second = of(1, &snapshot);
                                (of(0, &snapshot), second)
                            }
                        };
                        let again = if turn % 2 == 0 { pair.0 } else { pair.1 };
                        assert!(again >= first, "what was seen once stays to be seen (T2)");
                        pairs.push(pair);
                    }
                    pairs
                })
            })
            .collect();
        let pairs = readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect::<Vec<_>>();
        stop.store(true, Ordering::Relaxed);
        pairs
    });
    let mut pairs = pairs;
    pairs.sort_unstable();
    assert!(pairs.windows(2).all(|pair| pair[0].1 <= pair[1].1), "one of two comes first");
    pairs.dedup();
    assert!(pairs.len() > 1);
}

/// Large batches take a while to be applied: what is told of meanwhile is seen by whoever looks afterwards, and nothing else of them is.
#[test]
fn beside_large_batches_who_was_told_sees_it() {
    const KEYS: u64 = 600;
    let db = Database::in_memory(32 << 20).unwrap();
    let (large, small) = (sorted(&db, "large"), sorted(&db, "small").with_durability(Durability::Eventual));
    // As versions are kept, nobody who takes a snapshot waits for what is under way.
    let _open = db.snapshot().unwrap();
    let get = |key: u64| number(large.get(&key.to_be_bytes()).unwrap());
    let work = |thread: u64| {
        let mut random = Random(thread);
        for round in 1..400 {
            if thread == 0 {
                let mut batch = WriteBatch::new();
                let keys = 0..KEYS;
                keys.for_each(|key| batch.put(&large, &key.to_be_bytes(), &u64::to_le_bytes(round)));
                db.write(&mut batch, Durability::Eventual).unwrap();
                continue;
            }
            // T1
            let (key, value) = (thread.to_be_bytes(), u64::to_le_bytes(round));
            small.put(&key, &value).unwrap();
            assert_eq!(
                number(db.snapshot().unwrap().get(&small, &key).unwrap()),
                round,
                "own commits are seen"
            );
            // T2
            let seen = get(random.below(KEYS));
            let snapshot = db.snapshot().unwrap();
            let later = number(snapshot.get(&large, &random.below(KEYS).to_be_bytes()).unwrap());
            assert!(seen <= later, "half a batch was seen: {seen}, and then {later}");
            assert!(later <= get(random.below(KEYS)));
        }
    };
    beside(work, || {
        let (first, last) = (get(0), get(KEYS - 1));
        assert!(first <= last, "{first} {last}");
    });
}

#[test]
fn a_snapshot_stays_as_it_is_under_writers_of_everything() {
    let db = Database::in_memory(32 << 20).unwrap();
    let tables = crate::KINDS.map(|kind| any_table(&db, &format!("{kind:?}"), kind));
    let key = |n: u64| match n % 50 {
        7 | 8 => [&[b'l'; 600][..], &n.to_be_bytes()].concat(),
        _ => n.to_be_bytes().to_vec(),
    };
    let value = |n: u64, round: u64| vec![round as u8; if n.is_multiple_of(40) { 6_000 } else { 30 }];
    for n in 0..400 {
        tables.iter().for_each(|table| table.put(&key(n), &value(n, 0)).unwrap());
    }
    let snapshot = db.snapshot().unwrap();
    let sorted = tables[0].sorted().unwrap();
    let work = |thread: u64| {
        let mut random = Random(thread);
        for round in 1..2_000 {
            let table = &tables[random.below(2) as usize];
            let n = random.below(400);
            match random.below(3) {
                0 => table.delete_with(&key(n), Durability::Eventual).map(drop),
                _ => table.put_with(&key(n), &value(n, round), Durability::Eventual).map(drop),
            }
            .unwrap();
        }
    };
    let check = || {
        let mut expected: Vec<_> = (0..400).map(|n| (key(n), value(n, 0))).collect();
        expected.sort_unstable();
        let forward: Vec<_> = snapshot.range(&sorted, ..).map(Result::unwrap).collect();
        assert!(forward == expected);
        expected.reverse();
        let backward: Vec<_> = snapshot.range(&sorted, ..).rev().map(Result::unwrap).collect();
        assert!(backward == expected);
        let hashed = tables[1].hashed().unwrap();
        let mut hashed: Vec<_> = snapshot.iter(&hashed).map(Result::unwrap).collect();
        hashed.sort_unstable_by(|a, b| b.cmp(a));
        assert!(hashed == expected);
    };
    beside(work, check);
    assert!(
        sorted.get(&key(0)).unwrap() != Some(value(0, 0))
            || sorted.get(&key(1)).unwrap() != Some(value(1, 0))
    );
}
