//! Rates of a sorted index in memory: random insertion, get with 1 and 2 threads, scans, removal of a half, loading in bulk.
//!
//! `cargo run --release -p aquifer-index --example tree -- [RECORDS] [PAGE_BYTES]`

use aquifer_buffer::{Mutation, Pager, PagerOptions, Retry};
use aquifer_index::btree::{BTree, BulkLoader};
use aquifer_index::{LeafValue, PointReads};
use aquifer_pools::Budget;
use aquifer_sync::{Arc, thread};
use std::ops::Bound;
use std::time::Instant;

const VALUE_BYTES: usize = 100;

/// Key `n` of 16 bytes; consecutive numbers are far apart.
fn key(n: u64) -> [u8; 16] {
    let mut z = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    z ^= z >> 32;
    let mut key = [0; 16];
    key[..8].copy_from_slice(&z.to_be_bytes());
    key[8..].copy_from_slice(&n.to_be_bytes());
    key
}

fn change<R>(pager: &Pager, attempt: impl Fn(&Mutation<'_>) -> Result<R, Retry>) -> R {
    loop {
        let result = attempt(&pager.enter());
        match result {
            Ok(done) => return done,
            Err(retry) => pager.resolve(retry).expect("the budget suffices"),
        }
    }
}

fn put(pager: &Pager, tree: BTree, key: &[u8], value: &[u8]) {
    change(pager, |m| tree.place(m, pager, key, value.len()).map(|place| place.put(value, 1)));
}

fn report(what: &str, operations: u64, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    println!("{what:<24} {:>12.3} M/s {seconds:>10.3} s", operations as f64 / seconds / 1e6);
}

fn get(pager: &Pager, tree: BTree, records: u64, gets: u64, seed: u64) {
    let (mut out, mut state) = (Vec::new(), seed);
    for _ in 0..gets {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let n = ((u128::from(state >> 11) * u128::from(records)) >> 53) as u64;
        let found = tree.get_into(pager, &key(n), &mut out).expect("in memory");
        assert!(found && out.len() == VALUE_BYTES);
    }
}

fn insert(pager: &Arc<Pager>, records: u64, threads: u64) -> BTree {
    let tree = change(pager, |m| BTree::create(m, 1));
    let begun = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|number| {
            let pager = pager.clone();
            thread::spawn(move || {
                for n in (0..records).filter(|n| n % threads == number) {
                    put(&pager, tree, &key(n), &[n as u8; VALUE_BYTES]);
                }
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
    report(&format!("insert, {threads} thread(s)"), records, begun);
    tree
}

/// Removes a random half, with what merging costs, and says what space is left.
fn remove_half(pager: &Pager, tree: BTree, records: u64, page_bytes: usize) {
    let goes = |n: &u64| n.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 63 == 0;
    let (begun, mut removed) = (Instant::now(), 0);
    for n in (0..records).filter(goes) {
        let loose = change(pager, |m| {
            let place = tree.place_existing(m, pager, &key(n))?;
            Ok(place.is_some_and(|place| place.remove(1)))
        });
        if loose {
            tree.rebalance(pager, &key(n));
        }
        removed += 1;
    }
    report("remove half", removed, begun);
    let found = tree.check(pager, &mut |_| ()).expect("in memory");
    assert_eq!(found.faults, []);
    let fill = found.leaf_bytes_used as f64 / (found.leaves * page_bytes as u64) as f64;
    let space = (found.pages.len() * page_bytes) as f64 / found.record_bytes as f64;
    println!(
        "{} leaves, {:.1} % full, {space:.2} bytes of pages for each of records",
        found.leaves,
        fill * 100.0
    );
}

/// Loads sorted records into a tree of its own.
fn load_in_bulk(records: u64, page_bytes: usize) {
    let budget = Budget::new((records as usize * 400).max(64 << 20));
    let pager = Pager::in_memory(PagerOptions { page_bytes, budget }).expect("a pager");
    let tree = change(&pager, |m| BTree::create_detached(m, 1));
    let begun = Instant::now();
    let mut loader = BulkLoader::new(tree, page_bytes, 100, 1);
    for n in 0..records {
        let key = [n.to_be_bytes(), [0x5A; 8]].concat();
        let value = [n as u8; VALUE_BYTES];
        let pushed = loader.push(&pager, &key, LeafValue::inline(&value), &mut |_, _| ());
        pushed.expect("in order, and the budget suffices");
    }
    loader.finish(&pager, &mut |_, _| ()).expect("the budget suffices");
    report("bulk load", records, begun);
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let records: u64 = arguments.next().unwrap_or(1_000_000);
    let page_bytes = arguments.next().unwrap_or(4096) as usize;
    let budget = Budget::new((records as usize * 400).max(64 << 20));
    let pager = Pager::in_memory(PagerOptions { page_bytes, budget }).expect("a pager");
    println!("{records} records of 16 + {VALUE_BYTES} bytes, pages of {page_bytes} bytes");

    let tree = insert(&pager, records, 1);
    for threads in [1, 2] {
        let gets = 2_000_000;
        let begun = Instant::now();
        let workers: Vec<_> = (0..threads)
            .map(|number| {
                let pager = pager.clone();
                thread::spawn(move || get(&pager, tree, records, gets, number + 1))
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
        report(&format!("get, {threads} thread(s)"), gets * threads, begun);
    }
    let begun = Instant::now();
    for n in 0..records {
        put(&pager, tree, &key(n), &[!n as u8; VALUE_BYTES]);
    }
    report("overwrite", records, begun);
    for forward in [true, false] {
        let begun = Instant::now();
        let mut cursor = tree.cursor(&pager, Bound::Unbounded, Bound::Unbounded);
        let mut count = 0;
        while let Some((key, value)) =
            (if forward { cursor.next() } else { cursor.next_back() }).expect("in memory")
        {
            assert!(key.len() + value.len() == 16 + VALUE_BYTES);
            count += 1;
        }
        assert_eq!(count, records);
        report(if forward { "scan" } else { "scan backwards" }, records, begun);
    }
    let begun = Instant::now();
    let scans = 100_000;
    for n in 0..scans {
        let mut cursor = tree.cursor(&pager, Bound::Included(&key(n * 7 % records)), Bound::Unbounded);
        for _ in 0..100 {
            if cursor.next().expect("in memory").is_none() {
                break;
            }
        }
    }
    report("scans of 100 records", scans, begun);
    let begun = Instant::now();
    let found = tree.check(&pager, &mut |_| ()).expect("in memory");
    assert_eq!(found.faults, []);
    report("check", records, begun);
    let fill = found.leaf_bytes_used as f64 / (found.leaves * page_bytes as u64) as f64;
    println!("{} levels, {} leaves, {:.1} % full", found.depth, found.leaves, fill * 100.0);

    let begun = Instant::now();
    let counted = tree.count(&pager, Bound::Unbounded, Bound::Unbounded).expect("in memory");
    assert_eq!(counted, records);
    report("count", records, begun);
    remove_half(&pager, tree, records, page_bytes);
    load_in_bulk(records, page_bytes);

    let pager_two = Pager::in_memory(PagerOptions {
        page_bytes,
        budget: Budget::new((records as usize * 400).max(64 << 20)),
    });
    insert(&pager_two.expect("a pager"), records, 2);
}
