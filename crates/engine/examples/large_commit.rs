//! A transaction of many random writes to a table that is larger than memory, while others write single keys: how long it takes, and how
//! long the others wait.
//!
//! `cargo run --release -p aquifer --example large_commit -- DIR [records [writes [MiB of memory]]]`; `DIR` must not be there.

use aquifer::{Database, Durability, TableOptions};
use aquifer_sync::atomic::{AtomicBool, Ordering};
use aquifer_sync::thread;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("a directory that is not there is needed")?;
    let mut number = |usual: u64| arguments.next().map_or(Ok(usual), |text| text.parse());
    let (records, writes, budget) = (number(5_000_000)?, number(100_000)?, number(256)?);
    let db = Database::options().memory_budget((budget as usize) << 20).create(&dir)?;
    let table = db.create_table("t", TableOptions::default())?;
    let others = db.create_table("others", TableOptions::default())?.with_durability(Durability::Eventual);
    let begun = Instant::now();
    table.bulk_load((0..records).map(|n| (n.to_be_bytes().to_vec(), vec![n as u8; 100])))?;
    let file = db.stats().pager.file_bytes >> 20;
    println!("{records} records, {file} MiB of file, loaded in {:.1} s", begun.elapsed().as_secs_f64());

    let random = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23) % records;
    let mut tx = db.begin()?;
    let begun = Instant::now();
    for n in 0..writes {
        tx.put(&table, &random(n).to_be_bytes(), &n.to_be_bytes().repeat(13))?;
    }
    println!("{writes} writes taken in {:.2} s", begun.elapsed().as_secs_f64());

    let ended = AtomicBool::new(false);
    let waits = thread::scope(|scope| {
        let waits = scope.spawn(|| -> Result<Vec<Duration>, aquifer::Error> {
            let mut waits = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                let begun = Instant::now();
                others.put(b"k", &(waits.len() as u64).to_be_bytes())?;
                waits.push(begun.elapsed());
            }
            Ok(waits)
        });
        let committed = {
            thread::sleep(Duration::from_millis(200));
            let begun = Instant::now();
            let committed = tx.commit();
            println!("committed in {:.2} s", begun.elapsed().as_secs_f64());
            thread::sleep(Duration::from_millis(200));
            committed
        };
        ended.store(true, Ordering::Relaxed);
        let waits = waits.join().expect("the writer does not panic");
        committed.and(waits)
    })?;
    let longest = waits.iter().max().copied().unwrap_or_default();
    println!("meanwhile {} single writes, the longest {:.0} ms", waits.len(), longest.as_secs_f64() * 1e3);
    let mut wrong = 0;
    for n in 0..writes {
        let value = table.get(&random(n).to_be_bytes())?;
        wrong += u64::from(value.is_none_or(|value| value.len() != 104));
    }
    let report = db.verify(|_| ())?;
    println!("{wrong} of them wrong, {} faults", report.faults.len());
    let stats = db.stats();
    println!(
        "peak memory: {} of {} MiB",
        stats.memory.iter().map(|account| account.peak_bytes).sum::<u64>() >> 20,
        budget
    );
    Ok(())
}
