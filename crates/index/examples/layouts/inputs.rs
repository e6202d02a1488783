//! Keys, made from seeds: which are put and in which order, which are looked up, and which are absent.

use std::ops::Range;

/// The inputs.
pub(crate) const NAMES: [&str; 8] = [
    "integers, ascending",
    "integers, dense",
    "integers, sparse",
    "random 16 bytes",
    "an eighth of heads equal",
    "a quarter of heads equal",
    "half of heads equal",
    "URLs",
];

/// Keys one after the other, so that going through them in order costs next to nothing.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Keys {
    fn of<'k>(keys: impl IntoIterator<Item = &'k Vec<u8>>) -> Self {
        let mut all = Self::default();
        for key in keys {
            all.bytes.extend_from_slice(key);
            all.ends.push(all.bytes.len());
        }
        all
    }

    /// Those with these numbers.
    pub(crate) fn range(&self, numbers: Range<usize>) -> impl Iterator<Item = &[u8]> {
        let mut start = numbers.start.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.ends[numbers].iter().map(move |&end| {
            let key = &self.bytes[start..end];
            start = end;
            key
        })
    }
}

/// One input.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) name: &'static str,
    /// Average length of a key.
    pub(crate) key_bytes: f64,
    /// In the order of insertion, each once.
    pub(crate) inserted: Keys,
    /// The same in another order.
    pub(crate) looked_up: Keys,
    /// As many that are not among them, drawn alike.
    pub(crate) absent: Keys,
}

impl Input {
    pub(crate) fn new(name: &'static str, records: usize) -> Self {
        let mut random = Random(0xA9);
        let (mut present, mut absent) = match name {
            "integers, ascending" | "integers, dense" => dense_integers(records),
            "integers, sparse" => halves(records, |n| scatter(n).to_be_bytes().to_vec()),
            "random 16 bytes" => {
                halves(records, |n| [scatter(2 * n).to_be_bytes(), scatter(2 * n + 1).to_be_bytes()].concat())
            }
            "an eighth of heads equal" => groups(records, 8, &mut random),
            "a quarter of heads equal" => groups(records, 4, &mut random),
            "half of heads equal" => groups(records, 2, &mut random),
            _ => urls(records, &mut random),
        };
        if name != "integers, ascending" {
            random.shuffle(&mut present);
        }
        let inserted = Keys::of(&present);
        random.shuffle(&mut present);
        random.shuffle(&mut absent);
        let key_bytes = inserted.bytes.len() as f64 / records as f64;
        Self { name, key_bytes, inserted, looked_up: Keys::of(&present), absent: Keys::of(&absent) }
    }

    pub(crate) fn len(&self) -> usize {
        self.inserted.ends.len()
    }
}

/// Whole numbers from 0 on, of which one in sixteen is absent.
fn dense_integers(records: usize) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let key = |n: u64| n.to_be_bytes().to_vec();
    let present: Vec<_> = (0..).filter(|n| n % 16 != 15).take(records).map(key).collect();
    let gaps = (records as u64 / 15).max(1);
    (present, (0..records as u64).map(|n| key(n % gaps * 16 + 15)).collect())
}

fn halves(records: usize, key: impl Fn(u64) -> Vec<u8>) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let records = records as u64;
    ((0..records).map(&key).collect(), (records..2 * records).map(&key).collect())
}

/// Sixteen bytes, of which each key has the first eight of the one before in one case of so many. Absent keys differ in the last eight.
fn groups(records: usize, one_in: u64, random: &mut Random) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut group = 0;
    let groups = (0..records).map(|_| {
        group += u64::from(random.below(one_in) > 0);
        group
    });
    let groups: Vec<u64> = groups.collect();
    let key =
        |at: usize, n: usize| [scatter(groups[at]).to_be_bytes(), scatter(n as u64).to_be_bytes()].concat();
    ((0..records).map(|at| key(at, at)).collect(), (0..records).map(|at| key(at, at + records)).collect())
}

const SYLLABLES: [&str; 16] =
    ["ba", "con", "der", "fil", "ga", "hol", "in", "ka", "lo", "mer", "no", "per", "ri", "sta", "ton", "ve"];
const ENDS: [&str; 4] = [".html", "", "/", ".php"];
const DOMAINS: [&str; 4] = ["com", "org", "net", "co.uk"];

/// Addresses of pages: few hosts have most of them, each host has words of its own for its folders.
fn urls(records: usize, random: &mut Random) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut all = Vec::with_capacity(2 * records);
    while all.len() < 2 * records {
        while all.len() < 2 * records + records / 16 {
            all.push(url(random).into_bytes());
        }
        all.sort_unstable();
        all.dedup();
    }
    random.shuffle(&mut all);
    all.truncate(2 * records);
    let absent = all.split_off(records);
    (all, absent)
}

fn url(random: &mut Random) -> String {
    let host = random.below(1000) * random.below(1000) / 1000;
    let domain = DOMAINS[scatter(host) as usize % 4];
    let mut url = format!("https://www.{}{}.{domain}", word(host), word(scatter(host) % 997));
    for _ in 0..1 + random.below(3) {
        url = format!("{url}/{}", word(scatter(host * 31 + random.below(24)) % 4096));
    }
    let (name, number) = (word(random.below(4096)), random.below(1_000_000));
    format!("{url}/{name}-{number}{}", ENDS[random.below(4) as usize])
}

/// Word `n` of 4096.
fn word(n: u64) -> String {
    [n % 16, n / 16 % 16, n / 256 % 16].iter().map(|&syllable| SYLLABLES[syllable as usize]).collect()
}

/// A number for each number, each once: splitmix64, Steele et al., "Fast splittable pseudorandom number generators" (2014).
fn scatter(n: u64) -> u64 {
    let z = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Numbers that look random, from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        ((u128::from(scatter(self.0 ^ 0x5EED << 40)) * u128::from(limit)) >> 64) as u64
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            let other = self.below(at as u64 + 1) as usize;
            items.swap(at, other);
        }
    }
}
