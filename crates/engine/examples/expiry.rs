//! What records that expire cost: gets, puts and scans beside those of a table whose records do not; and how fast they are looked at and removed.
//!
//! `cargo run --release -p aquifer --example expiry -- [records]`, in memory, by one thread and a clock set by hand.

use aquifer::{AnyTable, Clock, Database, Durability, TableOptions};
use std::time::{Duration, Instant, SystemTime};

type Failure = Box<dyn std::error::Error>;

const LIFETIME: Duration = Duration::from_secs(3600);

fn main() -> Result<(), Failure> {
    let records: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let clock = Clock::by_hand(SystemTime::now());
    // The system's clock for the gets, which read it.
    for by_hand in [false, true] {
        let options = Database::options().memory_budget(2 << 30).background(false);
        let db = if by_hand { options.clock(clock.clone()) } else { options }.in_memory()?;
        db.create_table("plain", TableOptions::default())?;
        db.create_table("expiring", TableOptions::default().time_to_live(LIFETIME))?;
        db.create_table("hashed plain", TableOptions::hashed())?;
        db.create_table("hashed expiring", TableOptions::hashed().time_to_live(LIFETIME))?;
        for info in db.tables() {
            let table = db.any_table(&info.name)?.with_durability(Durability::Eventual);
            if by_hand {
                if info.expires {
                    removal(&db, &table, &clock, records)?;
                }
            } else {
                reads(&table, records)?;
            }
        }
    }
    Ok(())
}

fn key(n: u64, records: u64) -> [u8; 8] {
    (n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23) % (4 * records)).to_be_bytes()
}

fn each(begun: Instant, count: u64) -> String {
    format!("{:.0} ns", begun.elapsed().as_nanos() as f64 / count as f64)
}

fn fill(table: &AnyTable, records: u64) -> Result<String, aquifer::Error> {
    let begun = Instant::now();
    (0..records).try_for_each(|n| table.put(&key(n, records), &[n as u8; 100]))?;
    Ok(each(begun, records))
}

fn reads(table: &AnyTable, records: u64) -> Result<(), Failure> {
    let put = fill(table, records)?;
    let mut best = Duration::MAX;
    let mut value = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        for n in 0..records {
            assert!(table.get_into(&key(n, records), &mut value)?);
        }
        best = best.min(begun.elapsed());
    }
    let begun = Instant::now();
    let (mut scan, mut count) = (table.records(), 0);
    while scan.next()?.is_some() {
        count += 1;
    }
    let get = best.as_nanos() as f64 / records as f64;
    println!("{}: put {put}, get {get:.0} ns, scan {} each", table.name(), each(begun, count));
    Ok(())
}

fn removal(db: &Database, table: &AnyTable, clock: &Clock, records: u64) -> Result<(), Failure> {
    fill(table, records)?;
    let before = db.stats().expired_removed;
    // One record expires earlier: the walk looks at all.
    table.put_for(b"early", b"v", Duration::from_secs(1))?;
    clock.advance(Duration::from_secs(2));
    let begun = Instant::now();
    while db.step()? {}
    println!("{}: looked at {records} records, {} each", table.name(), each(begun, records));
    clock.advance(2 * LIFETIME);
    let begun = Instant::now();
    let (mut steps, mut longest) = (0, Duration::ZERO);
    loop {
        let step = Instant::now();
        if !db.step()? {
            break;
        }
        longest = longest.max(step.elapsed());
        steps += 1;
    }
    let removed = db.stats().expired_removed - before;
    let time = each(begun, removed);
    println!(
        "{}: removed {removed} in {steps} steps, {time} each, {longest:?} the longest step",
        table.name()
    );
    Ok(())
}
