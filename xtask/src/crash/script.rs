//! What each writer does: a function of (seed, writer, sequence number), so that the parent knows every commit
//! of the child without being told, and what the tables hold after any number of them.
//!
//! A writer has keys of its own. Its commit number `n` is a put or a delete of one *single* key of the table
//! `left`, or a batch over some *pairs*: keys that lie in both tables and always change together.
//!
//! - **S1** Every value begins with the number of the commit that wrote it.
//! - **S2** A pair is in both tables with the same number, or in neither.

use aquifer_sim::Random;
use std::collections::BTreeMap;

/// The tables, in the order of [`Place::table`].
pub const TABLES: [&str; 2] = ["left", "right"];

/// Single keys of a writer.
const SINGLES: u64 = 2_000;
/// Pairs of a writer; their indexes follow those of the single keys.
const PAIRS: u64 = 500;
/// Longest value in bytes: below a quarter of the smallest page.
const VALUE_BYTES_MAX: u64 = 900;
/// Bytes of a value that hold the commit's number.
const NUMBER_BYTES: usize = 8;

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A prefix of these is there.
    Eventual,
    /// Survives the death of the process.
    Process,
    /// Survives loss of power.
    Power,
}

/// Where a record of a writer lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index into [`TABLES`].
    pub table: usize,
    /// Index of the key among the writer's.
    pub index: u64,
}

/// One change: the place, and whether a value is put there or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub place: Place,
    /// Put, or else delete.
    pub put: bool,
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// All of them or none; a single one is made without a batch.
    pub changes: Vec<Change>,
    /// How durable it must be before it is acknowledged.
    pub level: Level,
    /// Does the writer go on before it waits for this one?
    pub waits_later: bool,
}

/// What the tables hold of one writer: the number of the commit that wrote each record.
pub type State = BTreeMap<Place, u64>;

/// The commits of one writer.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    seed: u64,
    writer: u16,
}

impl Script {
    /// The script of `writer` under `seed`.
    pub fn new(seed: u64, writer: u16) -> Script {
        Script { seed, writer }
    }

    fn random(self, salt: u64, number: u64) -> Random {
        let mut mix = Random(self.seed ^ (u64::from(self.writer) << 48) ^ (salt << 40));
        Random(mix.draw() ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    /// The writer's commit number `number`, counted from 1.
    pub fn commit(self, number: u64) -> Commit {
        let mut random = self.random(1, number);
        let changes = match random.below(10) {
            0..=5 => vec![Change { place: Place { table: 0, index: random.below(SINGLES) }, put: true }],
            6 => vec![Change { place: Place { table: 0, index: random.below(SINGLES) }, put: false }],
            _ => pairs(&mut random),
        };
        let level = match random.below(16) {
            0 => Level::Power,
            1..=3 => Level::Process,
            _ => Level::Eventual,
        };
        Commit { changes, level, waits_later: random.below(4) == 0 }
    }

    /// The key at `index`: the writer, the index, and a tail of changing length.
    pub fn key(self, index: u64) -> Vec<u8> {
        let mut key = self.writer.to_be_bytes().to_vec();
        key.extend(u32::try_from(index).expect("few keys").to_be_bytes());
        key.extend(std::iter::repeat_n(b'k', (index % 37) as usize));
        key
    }

    /// The writer and index of a key, if it is one of those that [`key`](Self::key) makes.
    pub fn owner(key: &[u8]) -> Option<(u16, u64)> {
        let writer = u16::from_be_bytes(key.get(..2)?.try_into().ok()?);
        let index = u64::from(u32::from_be_bytes(key.get(2..6)?.try_into().ok()?));
        let script = Script::new(0, writer);
        (index < SINGLES + PAIRS && script.key(index) == key).then_some((writer, index))
    }

    /// What commit `number` puts at `place`. Half of the commits keep the key's usual length and bytes and change
    /// the number only, so that the log has partial updates in it.
    pub fn value(self, place: Place, number: u64) -> Vec<u8> {
        let of_commit = self.random(2, number).below(2) == 0;
        let mut random = self.random(3, place.index ^ if of_commit { number << 20 } else { 0 });
        let length = if random.below(8) == 0 { random.below(VALUE_BYTES_MAX) } else { random.below(160) };
        let mut value = number.to_le_bytes().to_vec();
        while value.len() < NUMBER_BYTES + length as usize {
            value.extend(random.draw().to_le_bytes());
        }
        value.truncate(NUMBER_BYTES + length as usize);
        value
    }

    /// The number of the commit that wrote `value` at `place`, if it is what that commit writes there (S1).
    pub fn number(self, place: Place, value: &[u8]) -> Option<u64> {
        let number = u64::from_le_bytes(value.get(..NUMBER_BYTES)?.try_into().ok()?);
        (self.value(place, number) == value).then_some(number)
    }
}

/// A batch of one to twenty pairs, rarely of two hundred. Each pair is put or removed in both tables (S2).
fn pairs(random: &mut Random) -> Vec<Change> {
    let count = if random.below(64) == 0 { 200 } else { 1 + random.below(20) };
    let first = random.below(PAIRS);
    let mut changes = Vec::new();
    for i in 0..count {
        let index = SINGLES + (first + i * 7) % PAIRS; // 7 and 500 have no common factor: all different
        let put = random.below(5) != 0;
        changes.extend((0..TABLES.len()).map(|table| Change { place: Place { table, index }, put }));
    }
    changes
}

/// The pairs that break S2: batches of which a part is missing.
pub fn halves(state: &State) -> Vec<u64> {
    let at = |table, index| state.get(&Place { table, index });
    (SINGLES..SINGLES + PAIRS).filter(|&index| at(0, index) != at(1, index)).collect()
}

#[cfg(test)]
mod tests;
