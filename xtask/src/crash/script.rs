//! What each writer does: a function of (seed, writer, sequence number), so that the parent knows every commit
//! of the child without being told, and what the tables hold after any number of them.
//!
//! A writer has keys of its own. Its commit number `n` is a put or a delete of one *single* key of the table
//! `left`, or a batch over some *pairs*: keys that lie in both tables and always change together.
//!
//! - **S1** Every value begins with the number of the commit that wrote it.
//! - **S2** A pair is in both tables with the same number, or in neither.

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

/// A stream of numbers that looks random: SplitMix64 (Steele, Lea, Flood, 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

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
        let mut mix = Random::new(self.seed ^ (u64::from(self.writer) << 48) ^ (salt << 40));
        Random::new(mix.draw() ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93))
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
        Commit { changes, level, waits_later: random.once_in(4) }
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
        let of_commit = self.random(2, number).once_in(2);
        let mut random = self.random(3, place.index ^ if of_commit { number << 20 } else { 0 });
        let length = if random.once_in(8) { random.below(VALUE_BYTES_MAX) } else { random.below(160) };
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
    let count = if random.once_in(64) { 200 } else { 1 + random.below(20) };
    let first = random.below(PAIRS);
    let mut changes = Vec::new();
    for i in 0..count {
        let index = SINGLES + (first + i * 7) % PAIRS; // 7 and 500 have no common factor: all different
        let put = !random.once_in(5);
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
