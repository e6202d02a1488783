//! What is left of the data file when half of the records are deleted, one by one at random places or a stretch of them, and what lookups
//! of the others cost then; of both kinds of table.
//!
//! ```text
//! cargo run --release -p aquifer --example delete_half -- DIRECTORY [RECORDS]
//! ```

use aquifer::{AnyTable, Database, Durability, TableOptions, WriteBatch};
use aquifer_sync::thread;
use std::path::Path;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

const VALUE_BYTES: usize = 100;
const BATCH: u64 = 1000;
const GETS: u64 = 500_000;
/// The file has its length when it has not changed for so long.
const QUIET: Duration = Duration::from_secs(3);

/// Key `n` of 16 bytes: consecutive numbers are far apart, unless they are to be neighbours.
fn key(n: u64, scattered: bool) -> [u8; 16] {
    let place = if scattered { n.wrapping_mul(0x9E37_79B9_7F4A_7C15) } else { n };
    let mut key = [0; 16];
    key[..8].copy_from_slice(&place.to_be_bytes());
    key[8..].copy_from_slice(&n.to_be_bytes());
    key
}

/// Thousands of lookups a second of records whose numbers are odd, or in the second half.
fn get_rate(table: &AnyTable, records: u64, scattered: bool) -> Result<f64, Failure> {
    let begun = Instant::now();
    for n in 0..GETS {
        let drawn = n.wrapping_mul(0xD6E8_FEB8_6659_FD93) % (records / 2);
        let number = if scattered { 2 * drawn + 1 } else { records / 2 + drawn };
        table.get(&key(number, scattered))?.ok_or("a record is missing")?;
    }
    Ok(GETS as f64 / begun.elapsed().as_secs_f64() / 1e3)
}

/// The file's length in MiB once nothing changes any more.
fn settled_mib(db: &Database) -> Result<f64, Failure> {
    db.checkpoint()?;
    let (mut bytes, mut since) = (0, Instant::now());
    loop {
        let now = db.stats().pager.file_bytes;
        if now != bytes {
            (bytes, since) = (now, Instant::now());
        } else if since.elapsed() >= QUIET {
            return Ok(bytes as f64 / f64::from(1 << 20));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn measure(directory: &Path, records: u64, hashed: bool, scattered: bool) -> Result<(), Failure> {
    let db = Database::options().memory_budget(1 << 30).create(directory)?;
    match hashed {
        true => drop(db.create_table("t", TableOptions::hashed())?),
        false => drop(db.create_table("t", TableOptions::default())?),
    }
    let table = db.any_table("t")?;
    let numbers: Vec<u64> = (0..records).collect();
    let mut batch = WriteBatch::new();
    for numbers in numbers.chunks(BATCH as usize) {
        numbers.iter().for_each(|&n| batch.put(&table, &key(n, scattered), &[n as u8; VALUE_BYTES]));
        db.write(&mut batch, Durability::Eventual)?;
    }
    let before = (settled_mib(&db)?, get_rate(&table, records, scattered)?);
    let gone = numbers.iter().filter(|&&n| if scattered { n % 2 == 0 } else { n < records / 2 });
    for numbers in gone.copied().collect::<Vec<_>>().chunks(BATCH as usize) {
        numbers.iter().for_each(|&n| batch.delete(&table, &key(n, scattered)));
        db.write(&mut batch, Durability::Eventual)?;
    }
    let after = (settled_mib(&db)?, get_rate(&table, records, scattered)?);
    let kind = if hashed { "hashed" } else { "sorted" };
    let what = if scattered { "every second" } else { "a stretch" };
    println!(
        "{kind:<8}{what:<14}{:>8.1} MiB -> {:>6.1} MiB ({:.0} %){:>8.0} k/s -> {:>5.0} k/s",
        before.0,
        after.0,
        100.0 * after.0 / before.0,
        before.1,
        after.1
    );
    Ok(())
}

fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let directory = words.next().ok_or("name a new directory")?;
    let records: u64 = words.next().map_or(Ok(1_000_000), |records| records.parse())?;
    for (hashed, scattered) in [(false, true), (false, false), (true, true)] {
        let directory = Path::new(&directory).join(format!("{hashed}-{scattered}"));
        measure(&directory, records, hashed, scattered)?;
        std::fs::remove_dir_all(&directory)?;
    }
    Ok(())
}
