//! Many threads on one index: nobody's records are lost, torn or doubled, and the index stays whole.

use super::super::test_index::TestIndex;
use crate::PointReads;
use crate::btree::test_tree::{Scramble, change};
use aquifer_sync::Arc;
use aquifer_sync::atomic::{AtomicBool, Ordering};
use aquifer_sync::thread;
use std::collections::{BTreeMap, BTreeSet};

/// A value that shows whether it is whole: a number repeated.
fn whole(number: u64, words: usize) -> Vec<u8> {
    number.to_le_bytes().repeat(words.max(1))
}

fn assert_whole(value: &[u8]) {
    assert!(value.len().is_multiple_of(8) && value.chunks(8).all(|word| word == &value[..8]), "a torn value");
}

fn own_key(thread: u64, n: u64) -> Vec<u8> {
    [&(n * 8 + thread).to_be_bytes()[..], b"own"].concat()
}

fn shared_key(n: u64) -> Vec<u8> {
    [&(n * 8 + 7).to_be_bytes()[..], b"shared"].concat()
}

/// Changes own and shared records at random, growing for a while and then shrinking, again and again; own ones must always
/// be as this thread left them.
fn work(index: &TestIndex, thread: u64, steps: u64) -> BTreeMap<u64, Vec<u8>> {
    let mut scramble = Scramble(thread);
    let mut own = BTreeMap::new();
    for step in 0..steps {
        let grows = step / 1500 % 2 == 0;
        let n = scramble.below(1500);
        let key = own_key(thread, n);
        match scramble.below(10) {
            0..6 if grows => {
                let value = whole(thread << 32 | step, scramble.below(40) as usize);
                index.put(&key, &value);
                own.insert(n, value);
            }
            0..7 => assert_eq!(index.remove(&key), own.remove(&n)),
            7 => index.put(&shared_key(n), &whole(step, scramble.below(40) as usize)),
            8 => {
                let mut out = Vec::new();
                if index.index.get_into(&index.pager, &shared_key(n), &mut out).unwrap() {
                    assert_whole(&out);
                }
            }
            _ => {
                change(&index.pager, |m| {
                    let place = index.index.place_existing(m, &index.pager, &shared_key(n))?;
                    place.into_iter().for_each(|place| place.remove(step));
                    Ok(())
                });
            }
        }
        assert_eq!(index.get(&key).as_ref(), own.get(&n));
    }
    own
}

/// Scans until told to stop: no key twice, values whole, and records that nobody removes always there.
fn scan(index: &TestIndex, stop: &AtomicBool, fixed: u64) -> u64 {
    let mut scans = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut cursor = index.index.cursor(&index.pager);
        let (mut seen, mut fixed_seen) = (BTreeSet::new(), 0);
        while let Some((key, value)) = cursor.next().unwrap() {
            assert_whole(value);
            fixed_seen += u64::from(key.ends_with(b"fixed"));
            assert!(seen.insert(key.to_vec()), "a key came twice");
        }
        assert_eq!(fixed_seen, fixed, "a record that was there throughout was skipped");
        scans += 1;
    }
    scans
}

/// Reads the records that nobody changes.
fn read(index: &TestIndex, stop: &AtomicBool, fixed: u64) {
    let mut scramble = Scramble(99);
    while !stop.load(Ordering::Relaxed) {
        let n = scramble.below(fixed);
        assert_eq!(index.get(&fixed_key(n)), Some(whole(n, 2)));
        assert_eq!(index.get(&fixed_key(n + fixed)), None);
    }
}

fn fixed_key(n: u64) -> Vec<u8> {
    [&(n * 32).to_be_bytes()[..], b"fixed"].concat()
}

fn run(page_bytes: usize, mask: u64, steps: u64) {
    const FIXED: u64 = 300;
    let index = Arc::new(TestIndex::with_mask(page_bytes, mask));
    (0..FIXED).for_each(|n| index.put(&fixed_key(n), &whole(n, 2)));
    let stop = Arc::new(AtomicBool::new(false));
    let scanner = {
        let (index, stop) = (index.clone(), stop.clone());
        thread::spawn(move || scan(&index, &stop, FIXED))
    };
    let reader = {
        let (index, stop) = (index.clone(), stop.clone());
        thread::spawn(move || read(&index, &stop, FIXED))
    };
    let workers: Vec<_> = (0..4)
        .map(|number| {
            let index = index.clone();
            thread::spawn(move || work(&index, number, steps))
        })
        .collect();
    let mut expected = FIXED;
    for (number, worker) in workers.into_iter().enumerate() {
        let own = worker.join().unwrap();
        expected += own.len() as u64;
        for (n, value) in own {
            assert_eq!(index.get(&own_key(number as u64, n)), Some(value));
        }
    }
    stop.store(true, Ordering::Relaxed);
    assert!(scanner.join().unwrap() > 0);
    reader.join().unwrap();
    let shared = (0..1500).filter(|&n| index.get(&shared_key(n)).is_some()).count() as u64;
    let report = index.check();
    assert_eq!(report.records, expected + shared);
    assert_eq!(report.pages.len() as u64, index.pager.stats().pages, "no page is lost");
}

#[test]
fn four_writers_a_reader_and_a_scanner_on_small_pages() {
    run(4096, u64::MAX, 12_000);
}

#[test]
fn four_writers_a_reader_and_a_scanner_on_large_pages() {
    run(65536, u64::MAX, 6_000);
}

/// Few hashes: chains are made, used by all threads, and freed.
#[test]
fn four_writers_a_reader_and_a_scanner_on_chains() {
    run(4096, !0 << 61, 4_000);
}

/// A directory that becomes deep and shallow again.
#[test]
fn four_writers_a_reader_and_a_scanner_where_hashes_differ_late() {
    run(4096, 0x3FF, 6_000);
}
