//! What a snapshot costs that is held under full load: the older values kept for it, over time, beside the keys that were changed meanwhile. A long reader
//! costs one older value for each key that has changed, however often it has, and for some of them the last one besides, until a sweep takes it away; where that is more
//! than its share of the budget, the snapshot becomes too old, and everybody else goes on.
//!
//! `cargo run --release -p aquifer --example held_snapshot -- DIR [--records N] [--budget MIB] [--seconds S] [--every S] [--threads N]`; `DIR`
//! must not be there. Prints a table, as Markdown has them.

use aquifer::{Database, Durability, Error, Snapshot, Table, TableOptions};
use aquifer_sync::atomic::{AtomicBool, AtomicU64, Ordering};
use aquifer_sync::thread;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

/// What every value is when the snapshot is taken.
const BEFORE: [u8; 100] = [7; 100];
/// Keys that are read from the snapshot for each row.
const LOOKED_AT: u64 = 1000;

/// What the command line asks for.
struct Arguments {
    dir: String,
    records: u64,
    budget_mib: u64,
    seconds: u64,
    every: u64,
    threads: u64,
}

impl Arguments {
    fn parse() -> Result<Arguments, Failure> {
        let mut words = std::env::args().skip(1);
        let dir = words.next().filter(|word| !word.starts_with("--"));
        let dir = dir.ok_or("a directory that is not there is needed")?;
        let mut arguments =
            Arguments { dir, records: 1_000_000, budget_mib: 512, seconds: 60, every: 5, threads: 1 };
        while let Some(flag) = words.next() {
            let number = words.next().ok_or(format!("{flag} needs a number"))?.parse()?;
            match flag.as_str() {
                "--records" => arguments.records = number,
                "--budget" => arguments.budget_mib = number,
                "--seconds" => arguments.seconds = number,
                "--every" => arguments.every = number,
                "--threads" => arguments.threads = number,
                _ => return Err(format!("there is no {flag}").into()),
            }
        }
        Ok(arguments)
    }
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse()?;
    let Arguments { records, budget_mib, seconds, every, threads, .. } = arguments;
    let db = Database::options().memory_budget((budget_mib as usize) << 20).create(&arguments.dir)?;
    let table = db.create_table("t", TableOptions::default())?;
    table.bulk_load((0..records).map(|n| (n.to_be_bytes().to_vec(), BEFORE.to_vec())))?;
    println!(
        "{records} records of 8 + 100 bytes, a budget of {budget_mib} MiB, {threads} writers at `Eventual`\n"
    );
    let load = Load {
        table: &table,
        changed: (0..records).map(|_| AtomicBool::new(false)).collect(),
        writes: AtomicU64::new(0),
        keys_changed: AtomicU64::new(0),
        ended: AtomicBool::new(false),
    };
    thread::scope(|scope| -> Result<(), Failure> {
        let load = &load;
        let writers: Vec<_> =
            (0..threads).map(|seed| scope.spawn(move || load.write(seed * 77 + 9))).collect();
        let watched = watch(&db, load, Duration::from_secs(seconds), Duration::from_secs(every.max(1)));
        load.ended.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().expect("no writer panics")?;
        }
        watched
    })
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

/// Writers that overwrite records as fast as they can.
struct Load<'t> {
    table: &'t Table,
    /// By key, since this was last forgotten.
    changed: Vec<AtomicBool>,
    keys_changed: AtomicU64,
    writes: AtomicU64,
    ended: AtomicBool,
}

impl Load<'_> {
    fn write(&self, seed: u64) -> Result<(), Error> {
        let table = self.table.clone().with_durability(Durability::Eventual);
        let mut random = Random(seed);
        while !self.ended.load(Ordering::Relaxed) {
            let key = random.below(self.changed.len() as u64);
            table.put(&key.to_be_bytes(), &[random.below(250) as u8; 100])?;
            if !self.changed[key as usize].swap(true, Ordering::Relaxed) {
                self.keys_changed.fetch_add(1, Ordering::Relaxed);
            }
            self.writes.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// From now on keys are counted anew.
    fn forget(&self) {
        self.changed.iter().for_each(|changed| changed.store(false, Ordering::Relaxed));
        self.keys_changed.store(0, Ordering::Relaxed);
    }
}

/// Holds a snapshot for so long, and prints what it costs.
fn watch(db: &Database, load: &Load<'_>, time: Duration, every: Duration) -> Result<(), Failure> {
    println!(
        "| s | k writes/s | keys changed | older values | for each key changed | MiB of them | bytes each | age of the snapshot, s | the snapshot |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut last = (Instant::now(), load.writes.load(Ordering::Relaxed));
    let begun = last.0;
    thread::sleep(every);
    row(db, load, begun, &mut last, "not taken yet");
    // What was changed before it is of no concern to it; a write that is counted on the wrong side is one of very many.
    load.forget();
    let original = Original::of(load, db.snapshot()?)?;
    while begun.elapsed() < time + every {
        thread::sleep(every);
        row(db, load, begun, &mut last, &original.look());
    }
    drop(original);
    for _ in 0..2 {
        thread::sleep(every);
        row(db, load, begun, &mut last, "dropped");
    }
    println!("\n{:?}", db.stats().transactions);
    Ok(())
}

fn row(db: &Database, load: &Load<'_>, begun: Instant, last: &mut (Instant, u64), snapshot: &str) {
    let stats = db.stats().transactions;
    let (now, writes) = (Instant::now(), load.writes.load(Ordering::Relaxed));
    let keys = load.keys_changed.load(Ordering::Relaxed);
    println!(
        "| {:.0} | {:.0} | {keys} | {} | {:.3} | {:.1} | {:.0} | {:.0} | {snapshot} |",
        begun.elapsed().as_secs_f64(),
        (writes - last.1) as f64 / (now - last.0).as_secs_f64() / 1e3,
        stats.versions,
        stats.versions as f64 / keys.max(1) as f64,
        stats.version_bytes as f64 / f64::from(1 << 20),
        stats.version_bytes as f64 / stats.versions.max(1) as f64,
        stats.oldest_snapshot_age.as_secs_f64(),
    );
    *last = (now, writes);
}

/// A snapshot, and what it read when it was taken.
struct Original<'t> {
    table: &'t Table,
    snapshot: Snapshot,
    values: Vec<(u64, Option<Vec<u8>>)>,
}

impl Original<'_> {
    fn of<'t>(load: &Load<'t>, snapshot: Snapshot) -> Result<Original<'t>, Error> {
        let (mut random, records, table) = (Random(4), load.changed.len() as u64, load.table);
        let keys = (0..LOOKED_AT).map(|_| random.below(records));
        let values = keys
            .map(|key| Ok((key, snapshot.get(table, &key.to_be_bytes())?)))
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(Original { table, snapshot, values })
    }

    /// Whether it still reads that.
    fn look(&self) -> String {
        for (key, value) in &self.values {
            match self.snapshot.get(self.table, &key.to_be_bytes()) {
                Ok(found) if found == *value => {}
                Ok(_) => return format!("WRONG: key {key}"),
                Err(error) => return format!("{:?}", error.kind()),
            }
        }
        "reads what it read".into()
    }
}
