//! What counting costs: a merge, against a get and a put (which lose counts), `compare_and_swap` until it succeeds, and transactions that read and put or
//! merge; on one key and on many, by one and by two threads.
//!
//! `cargo run --release -p aquifer --example merges -- DIR [milliseconds of each]`; `DIR` must not be there.

use aquifer::{Database, Durability, Error, MergeOperator, Table, TableDef, TxOptions};
use aquifer_sync::atomic::{AtomicU64, Ordering};
use aquifer_sync::thread;
use std::time::{Duration, Instant};

const COUNTERS: TableDef<u64, u64> = TableDef::new("counters").merging(MergeOperator::add);

type Counters = Table<u64, u64>;
type Way = (&'static str, bool, fn(&Database, &Counters, u64) -> Result<(), Error>);

/// Name, whether no count is lost, and how one counts.
const WAYS: [Way; 5] = [
    ("merge", true, |_, counters, key| counters.merge(&key, &1)),
    ("get and put", false, |_, counters, key| {
        let count = counters.get(&key)?.unwrap_or(0);
        counters.put(&key, &(count + 1))
    }),
    ("compare_and_swap", true, |_, counters, key| {
        loop {
            let count = counters.get(&key)?;
            if counters.compare_and_swap(&key, count.as_ref(), Some(&(count.unwrap_or(0) + 1)))? {
                return Ok(());
            }
        }
    }),
    ("transaction, get and put", true, |db, counters, key| {
        db.transact_with(TxOptions::new(), Durability::Eventual, |tx| {
            let count = tx.get(counters, &key)?.unwrap_or(0);
            tx.put(counters, &key, &(count + 1))
        })
    }),
    ("transaction, merge", true, |db, counters, key| {
        db.transact_with(TxOptions::new(), Durability::Eventual, |tx| tx.merge(counters, &key, &1))
    }),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("a directory that is not there is needed")?;
    let time = Duration::from_millis(arguments.next().map_or(Ok(1500), |text| text.parse())?);
    let db = Database::options().memory_budget(256 << 20).create(&dir)?;
    let counters = COUNTERS.open_or_create(&db)?.with_durability(Durability::Eventual);
    for keys in [1, 100_000] {
        for threads in [1, 2] {
            for (name, is_exact, count) in WAYS {
                counters.range_delete(..)?;
                for key in 0..keys {
                    counters.put(&key, &0)?;
                }
                let conflicts = db.stats().transactions.conflicts;
                let counted = AtomicU64::new(0);
                let begun = Instant::now();
                thread::scope(|scope| {
                    let work = |seed: u64| {
                        let (db, counters, counted) = (&db, &counters, &counted);
                        move || -> Result<(), Error> {
                            let mut key = seed;
                            while begun.elapsed() < time {
                                for _ in 0..64 {
                                    key = key.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                                    count(db, counters, (key >> 33) % keys)?;
                                }
                                counted.fetch_add(64, Ordering::Relaxed);
                            }
                            Ok(())
                        }
                    };
                    let workers: Vec<_> = (0..threads).map(|seed| scope.spawn(work(seed))).collect();
                    workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
                })?;
                let rate = counted.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
                let sum: u64 = (0..keys).map(|key| counters.get(&key).ok().flatten().unwrap_or(0)).sum();
                let lost = counted.into_inner() - sum;
                assert!(!is_exact || lost == 0, "{name} has lost {lost} counts");
                let conflicts = db.stats().transactions.conflicts - conflicts;
                println!(
                    "{keys} keys, {threads} threads, {name}: {:.0} k/s, {lost} lost, {conflicts} conflicts",
                    rate / 1e3
                );
            }
        }
    }
    Ok(())
}
