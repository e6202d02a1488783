//! What transactions cost: read-modify-writes by threads with little and much contention, and reads while others write. What a snapshot costs that is held is in
//! `held_snapshot.rs`; the comparison with other engines is `cargo xtask bench --workloads rmw,rmw-zipf,rmw-hot,get-while-writing`.
//!
//! `cargo run --release -p aquifer --example transactions -- DIR [records [seconds [MiB of memory]]]`; `DIR` must not be there.

use aquifer::{Database, Durability, Error, Table, TableOptions, TxOptions};
use aquifer_sync::atomic::{AtomicBool, AtomicU64, Ordering};
use aquifer_sync::thread;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("a directory that is not there is needed")?;
    let mut number = |usual: u64| arguments.next().map_or(Ok(usual), |text| text.parse());
    let (records, seconds, budget) = (number(1_000_000)?, number(5)?, number(512)?);
    let db = Database::options().memory_budget((budget as usize) << 20).create(&dir)?;
    let table = db.create_table("t", TableOptions::default())?;
    table.bulk_load((0..records).map(|n| (n.to_be_bytes().to_vec(), vec![7; 100])))?;
    let time = Duration::from_secs(seconds);

    println!("single writes: {:.0} k/s", single_writes(&table, records, time)? / 1e3);
    for (name, keys) in [("little", records), ("much", 16)] {
        for threads in [1, 2, 8] {
            let (rate, retries) = read_modify_writes(&db, &table, keys, threads, time)?;
            println!(
                "{threads} threads, {name} contention: {:.1} k/s, {retries:.3} retries each",
                rate / 1e3
            );
        }
    }
    for snapshots in [false, true] {
        let (median, p999) = reads_while_others_write(&db, &table, records, snapshots, time)?;
        let how = if snapshots { "in a snapshot each" } else { "single" };
        println!("gets while another writes, {how}: median {median:.1} us, 99.9th percentile {p999:.1} us");
    }
    Ok(())
}

/// A generator that needs no crate: xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn single_writes(table: &Table, records: u64, time: Duration) -> Result<f64, Error> {
    let table = table.clone().with_durability(Durability::Eventual);
    let (mut random, mut count, begun) = (Random(1), 0_u64, Instant::now());
    while begun.elapsed() < time {
        for _ in 0..256 {
            table.put(&random.below(records).to_be_bytes(), &[count as u8; 100])?;
            count += 1;
        }
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// Transactions a second that read two keys and write both, and how often one was begun again.
fn read_modify_writes(
    db: &Database,
    table: &Table,
    keys: u64,
    threads: u64,
    time: Duration,
) -> Result<(f64, f64), Error> {
    let before = db.stats().transactions.retries;
    let (begun, done) = (Instant::now(), AtomicU64::new(0));
    thread::scope(|scope| {
        let work = |seed: u64| {
            let (mut random, begun, done) = (Random(seed * 77 + 1), &begun, &done);
            move || -> Result<(), Error> {
                while begun.elapsed() < time {
                    let (a, b) = (random.below(keys).to_be_bytes(), random.below(keys).to_be_bytes());
                    db.transact_with(TxOptions::new(), Durability::Eventual, |tx| {
                        for key in [a, b] {
                            let mut value = tx.get(table, &key)?.unwrap_or_default();
                            value[0] = value[0].wrapping_add(1);
                            tx.put(table, &key, &value)?;
                        }
                        Ok::<(), Error>(())
                    })?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }
        };
        let workers: Vec<_> = (0..threads).map(|seed| scope.spawn(work(seed))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
    })?;
    let done = done.into_inner() as f64;
    let retries = db.stats().transactions.retries - before;
    Ok((done / begun.elapsed().as_secs_f64(), retries as f64 / done))
}

/// Median and 99.9th percentile in microseconds.
fn reads_while_others_write(
    db: &Database,
    table: &Table,
    records: u64,
    snapshots: bool,
    time: Duration,
) -> Result<(f64, f64), Error> {
    let ended = AtomicBool::new(false);
    let mut waits = thread::scope(|scope| {
        let writer = scope.spawn(|| -> Result<(), Error> {
            let table = table.clone().with_durability(Durability::Eventual);
            let mut random = Random(3);
            while !ended.load(Ordering::Relaxed) {
                table.put(&random.below(records).to_be_bytes(), &[5; 100])?;
            }
            Ok(())
        });
        let read = || -> Result<Vec<Duration>, Error> {
            let (mut random, mut waits, begun) = (Random(4), Vec::new(), Instant::now());
            while begun.elapsed() < time {
                let key = random.below(records).to_be_bytes();
                let begun = Instant::now();
                match snapshots {
                    true => drop(db.snapshot()?.get(table, &key)?),
                    false => drop(table.get(&key)?),
                }
                waits.push(begun.elapsed());
            }
            Ok(waits)
        };
        let waits = read();
        ended.store(true, Ordering::Relaxed);
        writer.join().expect("the writer does not panic").and(waits)
    })?;
    waits.sort_unstable();
    let at = |part: f64| waits[(waits.len() as f64 * part) as usize].as_secs_f64() * 1e6;
    Ok((at(0.5), at(0.999)))
}
