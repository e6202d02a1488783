//! One thread, many open transactions and snapshots: every operation against plain maps, and every commit against what the maps foretell.
//!
//! `roomy` runs in ample memory: whoever is refused must have been foretold to be. `cramped` runs in two mebibytes, where snapshots grow too old
//! and transactions too large at any time: then nothing wrong is read, and nothing is refused for another reason.

use crate::plain::{Maps, Merging, Part, Past, Plain, Writes};
use crate::{LEVELS, assert_clean, sorted};
use aquifer::{
    AnyTable, Database, Durability, Error, ErrorKind, HashTable, Isolation, MergeOperator, Savepoint,
    Snapshot, Table, TableOptions, Transaction, TxOptions,
};
use aquifer_sim::{Random, SimDisk};

mod reading;
mod writing;

/// An open transaction.
struct Open {
    tx: Transaction,
    level: Isolation,
    past: Past,
    /// What it sees.
    view: Maps,
    writes: Writes,
    reads: Vec<Part>,
    /// It does nothing but merge.
    only_merges: bool,
    /// It was refused a read, and may depend on what it did not get.
    was_refused: bool,
    savepoints: Vec<(Savepoint, Maps, Writes)>,
}

#[derive(Debug, Default)]
struct Counts {
    committed: u64,
    /// Keys that transactions have merged into.
    merged: u64,
    /// Of these, those that others had merged into since.
    spared: u64,
    conflicts: u64,
    too_old: u64,
    too_large: u64,
    reads: u64,
}

struct World {
    db: Database,
    tables: [AnyTable; 2],
    sorted: Table,
    hashed: HashTable,
    plain: Plain,
    open: Vec<Open>,
    snapshots: Vec<(Snapshot, Past)>,
    random: Random,
    /// How each table merges.
    merging: [Merging; 2],
    /// Memory is short.
    cramped: bool,
    /// When something was last refused for want of memory.
    failed_at: Option<u64>,
    counts: Counts,
}

impl World {
    fn new(db: Database, seed: u64, cramped: bool) -> World {
        let sorted = sorted(&db, "sorted");
        let hashed = db.create_table("hashed", TableOptions::hashed()).unwrap();
        let merging = [Merging::Xor, if seed % 3 == 2 { Merging::Append } else { Merging::Xor }];
        World {
            tables: merging_tables(&db, merging),
            merging,
            db,
            sorted,
            hashed,
            plain: Plain::default(),
            open: Vec::new(),
            snapshots: Vec::new(),
            random: Random(seed),
            cramped,
            failed_at: None,
            counts: Counts::default(),
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..6 if self.open.len() < 6 => self.begin(),
            6..8 if self.snapshots.len() < 3 => {
                self.snapshots.push((self.db.snapshot().unwrap(), self.plain.past()));
            }
            8 if !self.snapshots.is_empty() => {
                let at = self.random.below(self.snapshots.len() as u64) as usize;
                drop(self.snapshots.swap_remove(at));
            }
            9..16 => self.end(),
            16..30 => self.autocommit(),
            30..33 => self.batch(),
            33 if self.random.chance(30) => self.range_delete(),
            34 => drop(self.db.step().unwrap()),
            35 if self.random.chance(20) => self.db.checkpoint().unwrap(),
            36..45 => self.read_of_snapshot(),
            _ => self.operate(),
        }
        let open = self.open.iter().map(|open| open.past.at);
        let oldest = open.chain(self.snapshots.iter().map(|(_, past)| past.at)).min();
        self.plain.forget(oldest.unwrap_or(self.plain.now));
    }

    fn begin(&mut self) {
        let level = LEVELS[self.random.below(2) as usize];
        let tx = self.db.begin_with(TxOptions::new().isolation(level)).unwrap();
        let past = self.plain.past();
        let view = past.maps.clone();
        let (writes, reads, savepoints) = (Writes::default(), Vec::new(), Vec::new());
        let only_merges = self.random.chance(30);
        self.open.push(Open {
            tx,
            level,
            past,
            view,
            writes,
            reads,
            only_merges,
            was_refused: false,
            savepoints,
        });
    }

    fn end(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let at = self.random.below(self.open.len() as u64) as usize;
        let Open { tx, level, past, view, writes, reads, was_refused, .. } = self.open.swap_remove(at);
        match self.random.below(10) {
            0 => return tx.rollback(),
            1 => return drop(tx),
            _ => {}
        }
        let verdict = self.plain.verdict(past.at, &writes, &reads, level == Isolation::Serializable);
        let durability = [Durability::Eventual, Durability::Power][self.random.below(2) as usize];
        let committed = match self.random.chance(20) {
            true => tx.submit(durability).and_then(|ticket| ticket.wait()),
            false => tx.commit_with(durability),
        };
        let told = committed.as_ref().map_err(Error::kind);
        match told {
            Ok(()) => {
                assert!(verdict.ok, "{verdict:?}: began at {} {level:?} {writes:?} {reads:?}", past.at);
                self.counts.committed += 1;
                if !writes.places.is_empty() {
                    self.counts.merged += writes.merged.len() as u64;
                    let spared = writes.merged.keys().filter(|place| self.plain.is_changed(place, past.at));
                    self.counts.spared += spared.count() as u64;
                    let maps = self.with_merges(view, &writes);
                    self.plain.commit(&writes.places, &maps, |place| writes.merged.contains_key(place));
                }
            }
            Err(ErrorKind::Conflict) => {
                // What was begun and taken back for want of memory may have left a trace.
                let allowed =
                    verdict.conflict || was_refused || self.failed_at.is_some_and(|failed| failed >= past.at);
                assert!(allowed, "{verdict:?}: {}, since {} {reads:?}", committed.unwrap_err(), past.at);
                self.counts.conflicts += 1;
            }
            Err(ErrorKind::SnapshotTooOld) => {
                assert!(verdict.too_old || self.cramped, "{verdict:?}");
                self.counts.too_old += 1;
            }
            Err(_) => self.too_large(&committed.unwrap_err()),
        }
    }

    /// What a transaction sees, but for what it merges into what is there now.
    fn with_merges(&self, mut maps: Maps, writes: &Writes) -> Maps {
        for ((of, key), operands) in &writes.merged {
            let mut value = self.plain.maps[*of].get(key).map(|value| value.to_vec());
            for operand in operands {
                value = self.merging[*of].merged(value.as_deref(), operand);
            }
            match value {
                Some(value) => maps[*of].insert(key.clone(), value.into()),
                None => maps[*of].remove(key),
            };
        }
        maps
    }

    /// The error is one of little memory.
    fn too_large(&mut self, error: &Error) {
        let kinds = [ErrorKind::TransactionTooLarge, ErrorKind::BudgetExhausted];
        assert!(self.cramped && kinds.contains(&error.kind()), "{error}");
        self.counts.too_large += 1;
        self.failed_at = Some(self.plain.now);
    }

    /// Something that a transaction does.
    fn operate(&mut self) {
        if self.open.is_empty() {
            return self.begin();
        }
        let at = self.random.below(self.open.len() as u64) as usize;
        let mut open = self.open.swap_remove(at);
        let alive = match self.random.below(10) {
            0..5 if !open.only_merges => {
                let blurred = [0, 1].map(|of| self.plain.is_blurred(of, open.past.at));
                let read = self.read(&open.tx, &open.view, blurred);
                let alive = read.is_some();
                open.was_refused |= read.as_ref().is_some_and(Vec::is_empty);
                open.reads.extend(read.into_iter().flatten());
                alive
            }
            5 => {
                self.savepoints(&mut open);
                true
            }
            6 if !open.only_merges && self.random.chance(20) => self.range_delete_in(&mut open),
            _ => self.write_in(&mut open),
        };
        if alive {
            self.open.push(open);
        }
    }

    /// Everything, as every snapshot, every transaction and everybody else sees it.
    fn check_all(&mut self) {
        let now = self.plain.past();
        let everybody = self.db.snapshot().unwrap();
        self.check_whole(&everybody, &now.maps, now.at);
        let open = std::mem::take(&mut self.open);
        open.iter().for_each(|open| self.check_whole(&open.tx, &open.view, open.past.at));
        // It was read whole.
        self.open = open;
        for open in &mut self.open {
            open.reads.extend([0, 1].map(|of| Part::Range(of, reading::ALL)));
        }
        let snapshots = std::mem::take(&mut self.snapshots);
        snapshots.iter().for_each(|(snapshot, past)| self.check_whole(snapshot, &past.maps, past.at));
        self.snapshots = snapshots;
    }
}

fn check(db: Database, seed: u64, cramped: bool, steps: u64) -> (World, Counts) {
    println!("seed {seed}"); // shown if it fails
    let mut world = World::new(db, seed, cramped);
    for step in 0..steps {
        world.step();
        if step % 300 == 299 {
            world.check_all();
        }
    }
    let counts = std::mem::take(&mut world.counts);
    (world, counts)
}

/// So many seeds from that on; `AQUIFER_MODEL_SEED` and `AQUIFER_MODEL_SEEDS` say others.
fn seeds(first: u64, count: u64) -> std::ops::Range<u64> {
    let number = |name, default| std::env::var(name).map_or(default, |number| number.parse().unwrap());
    let first = number("AQUIFER_MODEL_SEED", first);
    first..first + number("AQUIFER_MODEL_SEEDS", count)
}

fn options(cramped: bool) -> aquifer::Options {
    let options = Database::options().background(false).hash_seed(7);
    options.memory_budget(if cramped { 2 << 20 } else { 128 << 20 })
}

#[test]
fn in_ample_memory_every_commit_is_as_foretold() {
    for seed in seeds(0, 6) {
        let (_, counts) = check(options(false).in_memory().unwrap(), seed, false, 6_000);
        assert!(counts.committed > 100 && counts.conflicts > 50 && counts.reads > 500, "{seed}: {counts:?}");
        assert!(counts.merged > 20 && counts.spared > 0, "{seed}: {counts:?}");
    }
}

#[test]
fn on_disk_every_commit_is_as_foretold_and_is_there_afterwards() {
    for seed in seeds(100, 4) {
        let disk = SimDisk::new();
        let db = options(false).disk(disk.disk()).create("").unwrap();
        let (World { plain, db, .. }, _) = check(db, seed, false, 4_000);
        db.close().unwrap();
        drop(db);
        let mut again = options(true).disk(disk.disk()).open("").map(reopened).unwrap();
        again.plain = plain;
        again.check_all();
        assert_clean(&again.db);
    }
}

fn merging_tables(db: &Database, merging: [Merging; 2]) -> [AnyTable; 2] {
    [("sorted", merging[0]), ("hashed", merging[1])].map(|(name, merging)| {
        let merge = move |_: &[u8], value: Option<&[u8]>, operand: &[u8]| Ok(merging.merged(value, operand));
        let operator = MergeOperator::new(format!("{merging:?}"), merge);
        let operator = if merging == Merging::Xor { operator.commuting() } else { operator };
        db.any_table(name).unwrap().with_merge(operator).unwrap()
    })
}

fn reopened(db: Database) -> World {
    World {
        tables: [db.any_table("sorted").unwrap(), db.any_table("hashed").unwrap()],
        sorted: db.table("sorted").unwrap(),
        hashed: db.hash_table("hashed").unwrap(),
        db,
        plain: Plain::default(),
        open: Vec::new(),
        snapshots: Vec::new(),
        random: Random(0),
        merging: [Merging::Xor; 2],
        cramped: true,
        failed_at: None,
        counts: Counts::default(),
    }
}

#[test]
fn in_little_memory_nothing_wrong_is_read() {
    for seed in seeds(200, 6) {
        let db = match seed % 2 {
            0 => options(true).in_memory().unwrap(),
            _ => options(true).log_bytes_max(1 << 20).disk(SimDisk::new().disk()).create("").unwrap(),
        };
        let (world, counts) = check(db, seed, true, 5_000);
        assert!(counts.committed > 50 && counts.reads > 300, "{seed}: {counts:?}");
        assert_clean(&world.db);
    }
}
