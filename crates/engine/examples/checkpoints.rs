//! What checkpoints cost a writer: its rate and the latencies of its commits while one checkpoint follows the other, against
//! the same work without any. The example does the background work itself, so that there are none beside its own.
//!
//! ```text
//! cargo run --release -p aquifer --example checkpoints -- DIRECTORY [RECORDS] [BUDGET_MIB] [SECONDS]
//! ```

use aquifer::{Database, Durability, Table, TableOptions, WriteBatch};
use aquifer_sync::atomic::{AtomicBool, Ordering};
use aquifer_sync::thread;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let directory = words.next().ok_or("name a new directory")?;
    let mut number = |default: u64| words.next().map_or(Ok(default), |word| word.parse::<u64>());
    let (records, budget_mib, seconds) = (number(1_000_000)?, number(1024)?, number(5)?);
    let db = Database::options()
        .memory_budget((budget_mib as usize) << 20)
        .background(false)
        .log_bytes_max(64 << 30)
        .create(directory)?;
    let table = db.create_table("t", TableOptions::default())?.with_durability(Durability::Eventual);
    load(&db, &table, records)?;
    db.checkpoint()?;
    for round in 1..=3 {
        let without = overwrite(&db, &table, records, seconds, false)?;
        let during = overwrite(&db, &table, records, seconds, true)?;
        println!(
            "round {round}: without {without}\n         during  {during}\n         {:.2} of the rate",
            during.rate / without.rate
        );
    }
    let pager = db.stats().pager;
    println!(
        "{} checkpoints; the gate was closed for {} us at most, {:.0} us on average",
        pager.checkpoints,
        pager.pause_max_us,
        pager.pause_total_us as f64 / pager.checkpoints as f64
    );
    Ok(())
}

fn load(db: &Database, table: &Table, records: u64) -> Result<(), Failure> {
    let mut batch = WriteBatch::new();
    for n in 0..records {
        batch.put(table, &key(n), &[n as u8; 100]);
        if batch.len() == 1000 || n + 1 == records {
            db.write(&mut batch, Durability::Eventual)?;
        }
    }
    Ok(())
}

/// What a writer saw.
struct Seen {
    rate: f64,
    checkpoints: u64,
    latencies_ns: Vec<u32>,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |share: f64| {
            self.latencies_ns[((self.latencies_ns.len() - 1) as f64 * share) as usize] as f64 / 1e3
        };
        write!(
            f,
            "{:>9.0} commits/s, p50 {:.1} us, p99 {:.1} us, p99.9 {:.1} us, longest {:.0} us, {} checkpoints",
            self.rate,
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0),
            self.checkpoints
        )
    }
}

/// Overwrites random records on one thread while another takes checkpoints, or does not.
fn overwrite(
    db: &Database,
    table: &Table,
    records: u64,
    seconds: u64,
    checkpoints: bool,
) -> Result<Seen, Failure> {
    db.sync()?;
    let before = db.stats().pager.checkpoints;
    let stop = AtomicBool::new(false);
    let mut latencies_ns = Vec::new();
    let begun = Instant::now();
    thread::scope(|scope| {
        let flusher = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                db.sync()?;
                thread::sleep(Duration::from_millis(8));
            }
            Ok::<(), aquifer::Error>(())
        });
        let checkpointer = scope.spawn(|| {
            while checkpoints && !stop.load(Ordering::Relaxed) {
                db.checkpoint()?;
            }
            Ok::<(), aquifer::Error>(())
        });
        let written = write_until(begun + Duration::from_secs(seconds), table, records, &mut latencies_ns);
        stop.store(true, Ordering::Relaxed);
        flusher.join().expect("it does not panic")?;
        checkpointer.join().expect("it does not panic")?;
        written
    })?;
    let rate = latencies_ns.len() as f64 / begun.elapsed().as_secs_f64();
    latencies_ns.sort_unstable();
    Ok(Seen { rate, checkpoints: db.stats().pager.checkpoints - before, latencies_ns })
}

fn write_until(
    end: Instant,
    table: &Table,
    records: u64,
    latencies_ns: &mut Vec<u32>,
) -> Result<(), aquifer::Error> {
    let mut n = 1u64;
    let mut now = Instant::now();
    while now < end {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        table.put(&key((n >> 33) % records), &[n as u8; 100])?;
        let after = Instant::now();
        latencies_ns.push((after - now).as_nanos().min(u128::from(u32::MAX)) as u32);
        now = after;
    }
    Ok(())
}

fn key(n: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    key[8..].copy_from_slice(&n.to_be_bytes());
    key
}
