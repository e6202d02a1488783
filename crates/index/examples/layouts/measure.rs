//! Trees measured beside each other, and the table.

use crate::inputs::{Input, Keys};
use aquifer_sync::thread::yield_now;
use std::hint::black_box;
use std::ops::Range;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// A tree to be measured.
pub(crate) trait Store {
    fn new(budget_bytes: usize) -> Self;

    fn insert(&mut self, key: &[u8], value: &[u8]);

    /// Makes `out` the value; says whether there is one.
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool;

    /// Gives all records in order.
    fn scan(&self, visit: impl FnMut(&[u8], &[u8]));

    /// Leaves and inner pages.
    fn pages(&self) -> usize;
}

/// Makes `value` the one of a key.
fn set_value(value: &mut [u8], key: &[u8]) {
    value[..8].copy_from_slice(&xxh3_64(key).to_le_bytes());
}

/// Time that this thread has had a processor: what others do meanwhile is not counted, but for the cache that they take.
#[derive(Debug, Clone, Copy)]
struct Busy(Duration);

impl Busy {
    fn now() -> Self {
        yield_now(); // so that the kernel brings its count up to date
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux, with /proc");
        let nanoseconds = text.split_whitespace().next().and_then(|number| number.parse().ok());
        Self(Duration::from_nanos(nanoseconds.expect("the first number")))
    }

    fn elapsed(self) -> Duration {
        Self::now().0 - self.0
    }
}

/// Operations of a turn.
const TURN: usize = 50_000;
/// Scans of a round, each a turn.
const SCANS: usize = 8;

/// A tree in a round.
pub(crate) trait Contestant {
    fn insert(&mut self, input: &Input, numbers: Range<usize>, value: &mut [u8]);

    /// How many of these keys there are.
    fn count(&self, keys: &Keys, numbers: Range<usize>, value_bytes: usize) -> usize;

    /// Reads everything; says how many bytes it was.
    fn scan_all(&self) -> usize;

    /// AB3, but for the absent keys, which are counted anyway.
    fn check(&self, input: &Input, value: &mut [u8]);

    fn count_pages(&self) -> usize;
}

impl<S: Store> Contestant for S {
    fn insert(&mut self, input: &Input, numbers: Range<usize>, value: &mut [u8]) {
        for key in input.inserted.range(numbers) {
            set_value(value, key);
            Store::insert(self, key, value);
        }
    }

    fn count(&self, keys: &Keys, numbers: Range<usize>, value_bytes: usize) -> usize {
        let mut out = Vec::new();
        let mut is_there = |key: &&[u8]| self.get(key, &mut out) && black_box(&out).len() == value_bytes;
        keys.range(numbers).filter(|key| is_there(key)).count()
    }

    fn scan_all(&self) -> usize {
        let mut bytes = 0;
        self.scan(|key, value| bytes += black_box(key).len() + black_box(value).len());
        bytes
    }

    fn check(&self, input: &Input, value: &mut [u8]) {
        check(self, input, value);
    }

    fn count_pages(&self) -> usize {
        self.pages()
    }
}

/// Makes an empty tree, given how many bytes it may take.
pub(crate) type Entry = fn(usize) -> Box<dyn Contestant>;

pub(crate) fn entry<S: Store + 'static>(budget_bytes: usize) -> Box<dyn Contestant> {
    Box::new(S::new(budget_bytes))
}

/// What is measured of each tree.
const COLUMNS: [&str; 5] =
    ["get, M/s", "get of absent, M/s", "insert, M/s", "scan, M records/s", "pages, thousands"];
const GET: usize = 0;
const GET_ABSENT: usize = 1;
const INSERT: usize = 2;
const SCAN: usize = 3;
const PAGES: usize = 4;

/// One input with values of one length.
pub(crate) struct Section<'i> {
    input: &'i Input,
    value_bytes: usize,
    layouts: &'i [(&'static str, Entry)],
    /// Of each layout, for each column, one for each turn.
    figures: Vec<[Vec<f64>; COLUMNS.len()]>,
}

impl<'i> Section<'i> {
    pub(crate) fn new(input: &'i Input, value_bytes: usize, layouts: &'i [(&'static str, Entry)]) -> Self {
        Self { input, value_bytes, layouts, figures: vec![Default::default(); layouts.len()] }
    }

    /// Measures each layout once.
    pub(crate) fn measure(&mut self, checked: bool) {
        let (input, records, value_bytes) = (self.input, self.input.len(), self.value_bytes);
        let budget_bytes = (64 << 20) + records * 2 * (input.key_bytes as usize + value_bytes + 64);
        let mut trees: Vec<_> = self.layouts.iter().map(|(_, entry)| entry(budget_bytes)).collect();
        let mut value = vec![0x5A; value_bytes];
        let turns = || (0..records).step_by(TURN).map(|from| from..(from + TURN).min(records));
        for numbers in turns() {
            let operations = numbers.len();
            self.turn(INSERT, operations, &mut trees, |tree| tree.insert(input, numbers.clone(), &mut value));
        }
        if checked {
            trees.iter().for_each(|tree| tree.check(input, &mut value));
        }
        for numbers in turns() {
            self.turn(GET, numbers.len(), &mut trees, |tree| {
                assert_eq!(tree.count(&input.looked_up, numbers.clone(), value_bytes), numbers.len());
            });
        }
        for numbers in turns() {
            self.turn(GET_ABSENT, numbers.len(), &mut trees, |tree| {
                assert_eq!(tree.count(&input.absent, numbers.clone(), value_bytes), 0);
            });
        }
        let bytes = (input.key_bytes * records as f64).round() as usize + value_bytes * records;
        for _ in 0..SCANS {
            self.turn(SCAN, records, &mut trees, |tree| assert_eq!(tree.scan_all(), bytes));
        }
        for (figures, tree) in self.figures.iter_mut().zip(&trees) {
            figures[PAGES].push(tree.count_pages() as f64 / 1e3);
        }
    }

    /// Lets each tree do the same, and notes at which rate, in millions a second.
    fn turn(
        &mut self,
        column: usize,
        operations: usize,
        trees: &mut [Box<dyn Contestant>],
        mut work: impl FnMut(&mut dyn Contestant),
    ) {
        for (figures, tree) in self.figures.iter_mut().zip(trees) {
            let begun = Busy::now();
            work(tree.as_mut());
            figures[column].push(operations as f64 / begun.elapsed().as_secs_f64() / 1e6);
        }
    }

    /// Prints medians, and in brackets medians of the ratios to the layout called `reference`.
    pub(crate) fn print(&self, reference: &str) {
        let reference = self.layouts.iter().position(|(name, _)| *name == reference).expect("one of them");
        let title = format!("{} ({:.0}) + {}", self.input.name, self.input.key_bytes, self.value_bytes);
        for ((name, _), figures) in self.layouts.iter().zip(&self.figures) {
            let cells: Vec<String> = figures
                .iter()
                .zip(&self.figures[reference])
                .map(|(ours, theirs)| {
                    let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs);
                    format!("{:.2} ({:.2})", median(ours.iter().copied()), median(ratios))
                })
                .collect();
            println!("| {title} | {name} | {} |", cells.join(" | "));
        }
    }
}

/// Prints the first rows of the table.
pub(crate) fn print_head() {
    println!("| keys (bytes) + bytes of values | leaves | {} |", COLUMNS.join(" | "));
    println!("|---|---|{}", "---|".repeat(COLUMNS.len()));
}

fn check<S: Store>(store: &S, input: &Input, value: &mut [u8]) {
    let mut out = Vec::new();
    for key in input.inserted.range(0..input.len()) {
        set_value(value, key);
        assert!(store.get(key, &mut out) && out == value, "{key:02x?} has another value");
    }
    let mut previous: Option<Vec<u8>> = None;
    let mut count = 0;
    store.scan(|key, found| {
        assert!(previous.as_deref().is_none_or(|previous| previous < key), "{key:02x?} is out of order");
        set_value(value, key);
        assert_eq!(found, &*value, "of {key:02x?}");
        let previous = previous.get_or_insert_default();
        previous.clear();
        previous.extend_from_slice(key);
        count += 1;
    });
    assert_eq!(count, input.len());
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
