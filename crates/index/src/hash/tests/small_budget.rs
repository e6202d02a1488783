//! Indexes many times larger than memory: pages come and go under every operation.

use super::super::HashIndex;
use super::super::test_index::{SEED, TABLE, TestIndex};
use crate::btree::test_tree::{Scramble, change};
use aquifer_buffer::{Pager, PagerOptions};
use aquifer_io::{Backend, open_disk};
use aquifer_pools::Budget;
use aquifer_sync::Arc;
use aquifer_sync::atomic::{AtomicBool, Ordering};
use aquifer_sync::thread;

fn key(n: u64) -> [u8; 16] {
    let mut key = [1; 16];
    key[..8].copy_from_slice(&n.to_be_bytes());
    key
}

fn index_on_disk(directory: &tempfile::TempDir, budget_bytes: usize) -> TestIndex {
    let disk = open_disk(directory.path(), Backend::Posix, true).unwrap();
    let options = PagerOptions { page_bytes: 4096, budget: Budget::new(budget_bytes) };
    TestIndex::on(Pager::create(disk, options, *b"a test database!").unwrap(), u64::MAX)
}

#[test]
fn an_index_larger_than_its_memory_is_whole() {
    const RECORDS: u64 = 30_000;
    let directory = tempfile::tempdir().unwrap();
    let index = index_on_disk(&directory, 2 << 20);
    (0..RECORDS).for_each(|n| index.put(&key(n), &[n as u8; 100]));
    assert!(index.pager.stats().evictions > 500, "the index does not fit");
    let mut scramble = Scramble(2);
    for _ in 0..3_000 {
        let n = scramble.below(RECORDS + 100);
        assert_eq!(index.get(&key(n)), (n < RECORDS).then(|| vec![n as u8; 100]));
    }
    assert_eq!(index.all().len() as u64, RECORDS);
    let report = index.check();
    assert_eq!(report.records, RECORDS);
    let load = report.leaf_bytes_used as f64 / (report.leaves * 4096) as f64;
    assert!(load > 0.75, "{load}");
    (0..RECORDS).filter(|n| n % 8 != 0).for_each(|n| assert!(index.remove(&key(n)).is_some()));
    assert_eq!(index.check().records, RECORDS / 8);
    while !change(&index.pager, |m| index.index.dismantle(m, &index.pager)) {}
    assert_eq!(index.pager.stats().pages, 0);
}

#[test]
fn buckets_are_loaded_in_batches() {
    let directory = tempfile::tempdir().unwrap();
    let index = index_on_disk(&directory, 2 << 20);
    (0..25_000).for_each(|n| index.put(&key(n), &[n as u8; 100]));
    let keys: Vec<_> = (0..40u64).map(|n| key(n * 600)).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    index.index.load_buckets(&index.pager, &keys).unwrap();
    let loads = index.pager.stats().loads;
    keys.iter().for_each(|key| assert!(index.get(key).is_some()));
    assert_eq!(index.pager.stats().loads, loads, "everything was there");
}

/// Takes checkpoints one after the other until told to stop; says how many.
fn checkpoints(index: &TestIndex, stop: &AtomicBool) -> u64 {
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut flip = index.pager.flip(|| done + 1);
        index.pager.write_checkpoint(&mut flip).unwrap();
        index.pager.install(&mut flip, 1).unwrap();
        index.pager.release(flip).unwrap();
        done += 1;
    }
    done
}

#[test]
fn threads_and_checkpoints_on_an_index_larger_than_its_memory() {
    const OWN: u64 = 6_000;
    let directory = tempfile::tempdir().unwrap();
    let index = Arc::new(index_on_disk(&directory, 2 << 20));
    let stop = Arc::new(AtomicBool::new(false));
    let checkpointer = {
        let (index, stop) = (index.clone(), stop.clone());
        thread::spawn(move || checkpoints(&index, &stop))
    };
    let writers: Vec<_> = (0..3u64)
        .map(|thread| {
            let index = index.clone();
            thread::spawn(move || {
                let mut scramble = Scramble(thread);
                let mut gone = 0;
                for n in 0..OWN {
                    index.put(&key(n * 3 + thread), &[n as u8; 250]);
                    let seen = scramble.below(n + 1);
                    let expected = (seen >= gone).then(|| vec![seen as u8; 250]);
                    assert_eq!(index.get(&key(seen * 3 + thread)), expected);
                    if n % 1000 > 800 {
                        // Two go for each that comes: buckets are merged while others are divided.
                        for _ in 0..2 {
                            assert!(index.remove(&key(gone * 3 + thread)).is_some());
                            gone += 1;
                        }
                    }
                }
                OWN - gone
            })
        })
        .collect();
    let left: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
    stop.store(true, Ordering::Relaxed);
    assert!(checkpointer.join().unwrap() > 1);
    assert!(index.pager.stats().evictions > 0);
    let report = index.check();
    assert_eq!(report.records, left);
    assert_eq!(report.pages.len() as u64, index.pager.stats().pages, "no page is lost");
}

#[test]
fn a_checkpoint_holds_the_index_as_of_its_flip() {
    let directory = tempfile::tempdir().unwrap();
    // Memory for a copy of every page: nobody takes them while this thread makes changes.
    let index = index_on_disk(&directory, 64 << 20);
    (0..10_000).for_each(|n| index.put(&key(n), &[1; 60]));
    let mut flip = index.pager.flip(|| 1);
    // Divisions, merges and changes after the flip are not part of the checkpoint.
    (10_000..12_000).for_each(|n| index.put(&key(n), &[2; 60]));
    (0..8_000).for_each(|n| drop(index.remove(&key(n))));
    index.pager.write_checkpoint(&mut flip).unwrap();
    index.pager.install(&mut flip, 1).unwrap();
    index.pager.release(flip).unwrap();
    let root = index.index.root();
    drop(index);

    let disk = open_disk(directory.path(), Backend::Posix, false).unwrap();
    let options = PagerOptions { page_bytes: 4096, budget: Budget::new(2 << 20) };
    let (pager, _) = Pager::open(disk, options).unwrap();
    let index = TestIndex { pager, index: HashIndex::at(root, TABLE, SEED) };
    assert_eq!(index.check().records, 10_000);
    (0..10_000).for_each(|n| assert_eq!(index.get(&key(n)), Some(vec![1; 60])));
}
