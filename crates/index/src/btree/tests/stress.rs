//! Many threads on one tree: nobody's records are lost, torn or doubled, and the tree stays whole.

use super::super::test_tree::{Scramble, TestTree};
use crate::PointReads;
use aquifer_sync::Arc;
use aquifer_sync::atomic::{AtomicBool, Ordering};
use aquifer_sync::thread;
use std::collections::BTreeMap;
use std::ops::Bound;

/// A value that shows whether it is whole: a number repeated.
fn whole(number: u64, words: usize) -> Vec<u8> {
    number.to_le_bytes().repeat(words.max(1))
}

fn assert_whole(value: &[u8]) {
    assert!(value.len().is_multiple_of(8) && value.chunks(8).all(|word| word == &value[..8]), "a torn value");
}

/// Keys of all threads are mixed on every leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// Of several lengths, with values of several.
    Mixed,
    /// Numbers, mostly with values of eight bytes: leaves become dense and have slots again.
    Numbers,
    /// With long beginnings that many share: leaves get fingerprints.
    Paths,
}
use Keys::{Mixed, Numbers, Paths};

impl Keys {
    fn number(self, number: u64, name: &[u8]) -> Vec<u8> {
        match self {
            Mixed => [&number.to_be_bytes()[..], name].concat(),
            Numbers => number.to_be_bytes().to_vec(),
            Paths => {
                [format!("a/path/{:03}/that/some/share/{number:06}-", number / 40).as_bytes(), name].concat()
            }
        }
    }

    fn own(self, thread: u64, n: u64) -> Vec<u8> {
        self.number(n * 8 + thread, b"own")
    }

    fn shared(self, n: u64) -> Vec<u8> {
        self.number(n * 8 + 7, b"shared")
    }

    fn fixed(self, n: u64) -> Vec<u8> {
        self.number(n * 32 + 6, b"fixed")
    }

    fn is_fixed(self, key: &[u8]) -> bool {
        if self == Numbers { key[7] % 8 == 6 } else { key.ends_with(b"fixed") }
    }

    /// Words of a value.
    fn words(self, scramble: &mut Scramble) -> usize {
        match self {
            Numbers if scramble.below(200) > 0 => 1,
            Paths => scramble.below(6) as usize,
            _ => scramble.below(40) as usize,
        }
    }
}

/// Changes own and shared records at random; own ones must always be as this thread left them.
fn work(tree: &TestTree, keys: Keys, thread: u64, steps: u64) -> BTreeMap<u64, Vec<u8>> {
    let mut scramble = Scramble(thread);
    let mut own = BTreeMap::new();
    for step in 0..steps {
        let n = scramble.below(600);
        let key = keys.own(thread, n);
        match scramble.below(10) {
            0..5 => {
                let value = whole(thread << 32 | step, keys.words(&mut scramble));
                tree.put(&key, &value);
                own.insert(n, value);
            }
            5..7 => assert_eq!(tree.remove(&key), own.remove(&n)),
            7 => tree.put(&keys.shared(n), &whole(step, keys.words(&mut scramble))),
            8 => {
                let mut out = Vec::new();
                if tree.tree.get_into(&tree.pager, &keys.shared(n), &mut out).unwrap() {
                    assert_whole(&out);
                }
            }
            _ => {
                tree.remove(&keys.shared(n));
            }
        }
        assert_eq!(tree.get(&key).as_ref(), own.get(&n));
    }
    own
}

/// Scans until told to stop: keys in order, values whole, and records that nobody removes always there.
fn scan(tree: &TestTree, keys: Keys, stop: &AtomicBool, forward: bool, fixed: u64) {
    while !stop.load(Ordering::Relaxed) {
        let mut cursor = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
        let (mut previous, mut fixed_seen) = (None::<Vec<u8>>, 0);
        while let Some((key, value)) = (if forward { cursor.next() } else { cursor.next_back() }).unwrap() {
            assert_whole(value);
            let in_order = previous.as_ref().is_none_or(|previous| (previous.as_slice() < key) == forward);
            assert!(in_order && previous.as_deref() != Some(key), "keys out of order");
            fixed_seen += u64::from(keys.is_fixed(key));
            previous = Some(key.to_vec());
        }
        assert_eq!(fixed_seen, fixed, "a record that was there throughout was skipped");
    }
}

fn run(page_bytes: usize, keys: Keys, steps: u64) {
    const FIXED: u64 = 150;
    let tree = Arc::new(TestTree::in_memory(page_bytes));
    for n in 0..FIXED {
        tree.put(&keys.fixed(n), &whole(n, if keys == Numbers { 1 } else { 2 }));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let scanners: Vec<_> = [true, false]
        .map(|forward| {
            let (tree, stop) = (tree.clone(), stop.clone());
            thread::spawn(move || scan(&tree, keys, &stop, forward, FIXED))
        })
        .into();
    let workers: Vec<_> = (0..4)
        .map(|number| {
            let tree = tree.clone();
            thread::spawn(move || work(&tree, keys, number, steps))
        })
        .collect();
    let mut expected = FIXED;
    for (number, worker) in workers.into_iter().enumerate() {
        let own = worker.join().unwrap();
        expected += own.len() as u64;
        for (n, value) in own {
            assert_eq!(tree.get(&keys.own(number as u64, n)), Some(value));
        }
    }
    stop.store(true, Ordering::Relaxed);
    scanners.into_iter().for_each(|scanner| scanner.join().unwrap());
    let shared = (0..600).filter(|&n| tree.get(&keys.shared(n)).is_some()).count() as u64;
    assert_eq!(tree.check().records, expected + shared);
}

#[test]
fn four_writers_and_two_scanners_on_small_pages() {
    run(4096, Mixed, 8_000);
}

#[test]
fn four_writers_and_two_scanners_on_large_pages() {
    run(65536, Mixed, 4_000);
}

#[test]
fn four_writers_and_two_scanners_on_dense_leaves() {
    run(4096, Numbers, 15_000);
}

#[test]
fn four_writers_and_two_scanners_on_leaves_with_fingerprints() {
    run(4096, Paths, 12_000);
}

#[test]
fn threads_that_append_to_one_place_lose_nothing() {
    let tree = Arc::new(TestTree::in_memory(4096));
    let writers: Vec<_> = (0..4u64)
        .map(|number| {
            let tree = tree.clone();
            thread::spawn(move || {
                for n in 0..5_000u64 {
                    tree.put(&[n.to_be_bytes(), number.to_be_bytes()].concat(), &whole(n, 3));
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(tree.check().records, 20_000);
}

/// Fills and empties stretches of its own keys, in one direction or the other: pages come and go all the time, up to the root.
fn fill_and_empty(tree: &TestTree, keys: Keys, thread: u64, rounds: u64) {
    let mut scramble = Scramble(thread ^ 0x77);
    for round in 0..rounds {
        let (start, len) = (scramble.below(300), 100 + scramble.below(300));
        let mut stretch: Vec<u64> = (start..start + len).collect();
        if round % 2 == 1 {
            stretch.reverse();
        }
        let words = if keys == Numbers { 1 } else { 12 };
        for &n in &stretch {
            tree.put(&keys.own(thread, n), &whole(thread << 32 | round, words));
        }
        if round % 3 == 0 {
            stretch.reverse();
        }
        for &n in &stretch {
            assert_eq!(tree.remove(&keys.own(thread, n)), Some(whole(thread << 32 | round, words)));
            assert_eq!(tree.get(&keys.own(thread, n)), None);
        }
    }
}

#[test]
fn writers_that_fill_and_empty_stretches_under_scans_lose_nothing() {
    for (fixed, keys) in [(0u64, Mixed), (40, Mixed), (0, Numbers), (40, Numbers), (0, Paths), (40, Paths)] {
        let tree = Arc::new(TestTree::in_memory(4096));
        for n in 0..fixed {
            tree.put(&keys.fixed(n * 4), &whole(n, 2));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let scanners: Vec<_> = [true, false]
            .map(|forward| {
                let (tree, stop) = (tree.clone(), stop.clone());
                thread::spawn(move || scan(&tree, keys, &stop, forward, fixed))
            })
            .into();
        let counter = {
            let (tree, stop) = (tree.clone(), stop.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let counted = tree.tree.count(&tree.pager, Bound::Unbounded, Bound::Unbounded).unwrap();
                    assert!((fixed..=fixed + 3 * 400).contains(&counted), "{counted}");
                    let _ = tree.tree.len_estimate(&tree.pager).unwrap();
                }
            })
        };
        let workers: Vec<_> = (0..3)
            .map(|number| {
                let tree = tree.clone();
                thread::spawn(move || fill_and_empty(&tree, keys, number, 30))
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        stop.store(true, Ordering::Relaxed);
        scanners.into_iter().for_each(|scanner| scanner.join().unwrap());
        counter.join().unwrap();
        let report = tree.check();
        assert_eq!(report.records, fixed);
        assert!(report.pages.len() <= 4, "{} pages are left", report.pages.len());
        assert_eq!(tree.pager.stats().pages, report.pages.len() as u64);
    }
}
