//! Trees many times larger than memory: pages come and go under every operation.

use super::super::BTree;
use super::super::test_tree::{Scramble, TABLE, TestTree, change};
use aquifer_buffer::{Pager, PagerOptions};
use aquifer_io::{Backend, open_disk};
use aquifer_pools::Budget;
use aquifer_sync::Arc;
use aquifer_sync::atomic::{AtomicBool, Ordering};
use aquifer_sync::thread;
use std::ops::Bound;

fn key(n: u64) -> Vec<u8> {
    [&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[..], &[1; 8]].concat()
}

fn tree_on_disk(directory: &tempfile::TempDir, budget_bytes: usize) -> TestTree {
    let disk = open_disk(directory.path(), Backend::Posix, true).unwrap();
    let options = PagerOptions { page_bytes: 4096, budget: Budget::new(budget_bytes) };
    TestTree::on(Pager::create(disk, options, *b"a test database!").unwrap())
}

#[test]
fn a_tree_larger_than_its_memory_is_whole() {
    const RECORDS: u64 = 40_000;
    let directory = tempfile::tempdir().unwrap();
    let tree = tree_on_disk(&directory, 2 << 20);
    (0..RECORDS).for_each(|n| tree.put(&key(n), &[n as u8; 100]));
    assert!(tree.pager.stats().evictions > 500, "the tree does not fit");

    let mut scramble = Scramble(2);
    for _ in 0..3_000 {
        let n = scramble.below(RECORDS + 100);
        let expected = (n < RECORDS).then(|| vec![n as u8; 100]);
        assert_eq!(tree.get(&key(n)), expected);
    }
    let mut keys: Vec<_> = (0..RECORDS).map(key).collect();
    keys.sort();
    let mut cursor = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
    for key in &keys {
        assert_eq!(cursor.next().unwrap().map(|(key, _)| key), Some(key.as_slice()));
    }
    assert_eq!(cursor.next().unwrap(), None);
    let mut cursor = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
    for key in keys.iter().rev() {
        assert_eq!(cursor.next_back().unwrap().map(|(key, _)| key), Some(key.as_slice()));
    }
    assert_eq!(tree.check().records, RECORDS);

    (0..RECORDS).filter(|n| n % 2 == 0).for_each(|n| assert!(tree.remove(&key(n)).is_some()));
    assert_eq!(tree.check().records, RECORDS / 2);
    while !change(&tree.pager, |m| tree.tree.dismantle(m, &tree.pager)) {}
    assert_eq!(tree.pager.stats().pages, 0);
}

#[test]
fn leaves_are_loaded_in_batches() {
    let directory = tempfile::tempdir().unwrap();
    let tree = tree_on_disk(&directory, 2 << 20);
    (0..30_000).for_each(|n| tree.put(&key(n), &[n as u8; 100]));
    let keys: Vec<_> = (0..40u64).map(|n| key(n * 700)).collect();
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    tree.tree.load_leaves(&tree.pager, &keys).unwrap();
    let loads = tree.pager.stats().loads;
    keys.iter().for_each(|key| assert!(tree.get(key).is_some()));
    assert_eq!(tree.pager.stats().loads, loads, "everything was there");
}

/// Takes checkpoints one after the other until told to stop; says how many.
fn checkpoints(tree: &TestTree, stop: &AtomicBool) -> u64 {
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut flip = tree.pager.flip(|| done + 1);
        tree.pager.write_checkpoint(&mut flip).unwrap();
        tree.pager.install(&mut flip, 1).unwrap();
        tree.pager.release(flip).unwrap();
        done += 1;
    }
    done
}

#[test]
fn threads_and_checkpoints_on_a_tree_larger_than_its_memory() {
    const OWN: u64 = 8_000;
    let directory = tempfile::tempdir().unwrap();
    let tree = Arc::new(tree_on_disk(&directory, 2 << 20));
    let stop = Arc::new(AtomicBool::new(false));
    let checkpointer = {
        let (tree, stop) = (tree.clone(), stop.clone());
        thread::spawn(move || checkpoints(&tree, &stop))
    };
    let writers: Vec<_> = (0..3u64)
        .map(|thread| {
            let tree = tree.clone();
            thread::spawn(move || {
                let mut scramble = Scramble(thread);
                for n in 0..OWN {
                    tree.put(&key(n * 3 + thread), &[n as u8; 120]);
                    let seen = scramble.below(n + 1);
                    assert_eq!(tree.get(&key(seen * 3 + thread)), Some(vec![seen as u8; 120]));
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    stop.store(true, Ordering::Relaxed);
    assert!(checkpointer.join().unwrap() > 1);
    assert!(tree.pager.stats().evictions > 0);
    assert_eq!(tree.check().records, 3 * OWN);
}

#[test]
fn a_checkpoint_holds_the_tree_as_of_its_flip() {
    let directory = tempfile::tempdir().unwrap();
    // Memory for a copy of every page: nobody takes them while this thread makes changes.
    let tree = tree_on_disk(&directory, 64 << 20);
    (0..10_000).for_each(|n| tree.put(&key(n), &[1; 60]));
    let mut flip = tree.pager.flip(|| 1);
    // Splits and changes after the flip are not part of the checkpoint.
    (10_000..12_000).for_each(|n| tree.put(&key(n), &[2; 60]));
    (0..2_000).for_each(|n| tree.put(&key(n), &[2; 60]));
    tree.pager.write_checkpoint(&mut flip).unwrap();
    tree.pager.install(&mut flip, 1).unwrap();
    tree.pager.release(flip).unwrap();
    let root = tree.tree.root();
    drop(tree);

    let disk = open_disk(directory.path(), Backend::Posix, false).unwrap();
    let options = PagerOptions { page_bytes: 4096, budget: Budget::new(2 << 20) };
    let (pager, _) = Pager::open(disk, options).unwrap();
    let tree = TestTree { pager, tree: BTree::at(root, TABLE) };
    assert_eq!(tree.check().records, 10_000);
    (0..10_000).for_each(|n| assert_eq!(tree.get(&key(n)), Some(vec![1; 60])));
}

#[test]
fn a_root_that_finds_room_for_one_half_alone_is_an_error() {
    let pager = Pager::in_memory(PagerOptions { page_bytes: 4096, budget: Budget::new(2 << 20) }).unwrap();
    let tree = TestTree::on(pager);
    // Two pages' worth of records to come, and room for one page.
    (0..30).for_each(|n| tree.put(&key(n), &[1; 100]));
    let mut others = Vec::new();
    loop {
        let m = tree.pager.enter();
        let Ok(page) = m.allocate() else { break };
        others.push(page.id());
    }
    change(&tree.pager, |m| m.free_id(*others.last().unwrap()));
    let put = |n: u64| loop {
        let attempt = {
            let m = tree.pager.enter();
            tree.tree.place(&m, &tree.pager, &key(n), 100).map(|place| place.put(&[1; 100], 1))
        };
        match attempt {
            Ok(()) => return Ok(()),
            Err(retry) => tree.pager.resolve(retry)?,
        }
    };
    let error = (30..100).find_map(|n| put(n).err());
    assert!(matches!(error, Some(aquifer_buffer::Error::Budget(_))), "{error:?}");
    (0..30).for_each(|n| assert_eq!(tree.get(&key(n)), Some(vec![1; 100])));
}

/// Neighbours are mostly on disk: those of nearly empty leaves are brought, outside the gate.
#[test]
fn space_comes_back_from_a_tree_larger_than_its_memory() {
    const RECORDS: u64 = 40_000;
    let directory = tempfile::tempdir().unwrap();
    let tree = tree_on_disk(&directory, 2 << 20);
    (0..RECORDS).for_each(|n| tree.put(&key(n), &[n as u8; 100]));
    let pages = tree.pager.stats().pages;
    assert!(pages * 4096 > 2 * (2 << 20), "the tree does not fit");
    let is_left = |n: u64| n % 10 == 3;
    (0..RECORDS).filter(|&n| !is_left(n)).for_each(|n| assert!(tree.remove(&key(n)).is_some()));
    let report = tree.check();
    assert_eq!(report.records, RECORDS / 10);
    assert_eq!(tree.pager.stats().pages, report.pages.len() as u64);
    let space = (report.pages.len() * 4096) as f64 / report.record_bytes as f64;
    assert!(space <= 2.2, "{space} bytes for each that is left");
    (0..RECORDS).for_each(|n| assert_eq!(tree.get(&key(n)).is_some(), is_left(n)));
}

#[test]
fn threads_remove_and_merge_while_checkpoints_are_taken() {
    const OWN: u64 = 5_000;
    let directory = tempfile::tempdir().unwrap();
    let tree = Arc::new(tree_on_disk(&directory, 2 << 20));
    let stop = Arc::new(AtomicBool::new(false));
    let checkpointer = {
        let (tree, stop) = (tree.clone(), stop.clone());
        thread::spawn(move || checkpoints(&tree, &stop))
    };
    let writers: Vec<_> = (0..3u64)
        .map(|thread| {
            let tree = tree.clone();
            thread::spawn(move || {
                for round in 0..2 {
                    (0..OWN).for_each(|n| tree.put(&key(n * 3 + thread), &[n as u8; 120]));
                    for n in (0..OWN).filter(|n| n % 50 != round) {
                        assert_eq!(tree.remove(&key(n * 3 + thread)), Some(vec![n as u8; 120]));
                    }
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    stop.store(true, Ordering::Relaxed);
    assert!(checkpointer.join().unwrap() > 1);
    assert_eq!(tree.check().records, 3 * OWN / 50);
}
