//! Rates of a hashed index in memory, beside those of a sorted one in the same run: insertion, get with 1 and 2 threads, misses,
//! everything read, removal; and how full buckets are while it grows.
//!
//! `cargo run --release -p aquifer-index --example hash -- [RECORDS] [PAGE_BYTES]`

use aquifer_buffer::{Mutation, Pager, PagerOptions, Retry};
use aquifer_index::PointReads;
use aquifer_index::btree::BTree;
use aquifer_index::hash::HashIndex;
use aquifer_pools::Budget;
use aquifer_sync::{Arc, thread};
use std::time::Instant;

const VALUE_BYTES: usize = 100;
const GETS: u64 = 2_000_000;

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

/// Either index.
#[derive(Debug, Clone, Copy)]
enum Index {
    Sorted(BTree),
    Hashed(HashIndex),
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

fn put(pager: &Pager, index: Index, key: &[u8], value: &[u8]) {
    change(pager, |m| match index {
        Index::Sorted(tree) => tree.place(m, pager, key, value.len()).map(|place| place.put(value, 1)),
        Index::Hashed(hash) => hash.place(m, pager, key, value.len()).map(|place| place.put(value, 1)),
    });
}

fn remove(pager: &Pager, index: Index, key: &[u8]) {
    change(pager, |m| {
        match index {
            Index::Sorted(tree) => {
                tree.place_existing(m, pager, key)?.into_iter().for_each(|place| {
                    place.remove(1);
                });
            }
            Index::Hashed(hash) => {
                hash.place_existing(m, pager, key)?.into_iter().for_each(|place| {
                    place.remove(1);
                });
            }
        }
        Ok(())
    });
}

fn report(what: &str, operations: u64, begun: Instant) -> f64 {
    let seconds = begun.elapsed().as_secs_f64();
    let rate = operations as f64 / seconds / 1e6;
    println!("{what:<28} {rate:>10.3} M/s {seconds:>10.3} s");
    rate
}

fn get_some(pager: &Pager, index: Index, records: u64, from: u64, seed: u64) {
    let (mut out, mut state) = (Vec::new(), seed);
    for _ in 0..GETS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = key(from + ((u128::from(state >> 11) * u128::from(records)) >> 53) as u64);
        let found = match index {
            Index::Sorted(tree) => tree.get_into(pager, &key, &mut out),
            Index::Hashed(hash) => hash.get_into(pager, &key, &mut out),
        };
        assert_eq!(
            (found.expect("in memory"), out.len()),
            (from == 0, if from == 0 { VALUE_BYTES } else { 0 })
        );
    }
}

fn gets(what: &str, pager: &Arc<Pager>, index: Index, records: u64, from: u64, threads: u64) -> f64 {
    let begun = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|number| {
            let pager = pager.clone();
            thread::spawn(move || get_some(&pager, index, records, from, number + 1))
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
    report(what, GETS * threads, begun)
}

fn insert(what: &str, pager: &Pager, index: Index, records: u64) {
    let begun = Instant::now();
    (0..records).for_each(|n| put(pager, index, &key(n), &[n as u8; VALUE_BYTES]));
    report(&format!("{what} insert"), records, begun);
}

fn load_while_growing(page_bytes: usize, records: u64) {
    let budget = Budget::new((records as usize * 400).max(64 << 20));
    let pager = Pager::in_memory(PagerOptions { page_bytes, budget }).expect("a pager");
    let hash = change(&pager, |m| HashIndex::create(m, 1, 0x5EED));
    let (mut next, mut sum, mut count) = (1000, 0.0, 0);
    for n in 0..records {
        put(&pager, Index::Hashed(hash), &key(n), &[n as u8; VALUE_BYTES]);
        if n == next {
            let found = hash.check(&pager, &mut |_| ()).expect("in memory");
            let load = found.leaf_bytes_used as f64 / (found.leaves * page_bytes as u64) as f64;
            println!("{n:>10} records {:>8} buckets {:>5.1} % full", found.leaves, load * 100.0);
            (sum, count) = (sum + load, count + 1);
            next += next / 10;
        }
    }
    println!("buckets on average          {:.1} % full", sum / f64::from(count) * 100.0);
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let records: u64 = arguments.next().unwrap_or(1_000_000);
    let page_bytes = arguments.next().unwrap_or(4096) as usize;
    let budget = Budget::new((records as usize * 600).max(64 << 20));
    let pager = Pager::in_memory(PagerOptions { page_bytes, budget }).expect("a pager");
    println!("{records} records of 16 + {VALUE_BYTES} bytes, pages of {page_bytes} bytes");
    let tree = change(&pager, |m| BTree::create(m, 1));
    let hash = change(&pager, |m| HashIndex::create(m, 2, 0x5EED));
    insert("sorted", &pager, Index::Sorted(tree), records);
    insert("hashed", &pager, Index::Hashed(hash), records);
    for (what, from, threads) in
        [("get, 1 thread", 0, 1), ("get, 2 threads", 0, 2), ("get a miss, 1 thread", records, 1)]
    {
        let mut ratios: Vec<f64> = (0..3)
            .map(|_| {
                let sorted =
                    gets(&format!("sorted {what}"), &pager, Index::Sorted(tree), records, from, threads);
                let hashed =
                    gets(&format!("hashed {what}"), &pager, Index::Hashed(hash), records, from, threads);
                hashed / sorted
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        println!("{what}: hashed / sorted = {:.2} (median of 3)", ratios[1]);
    }
    let begun = Instant::now();
    let mut cursor = hash.cursor(&pager);
    let mut count = 0;
    while cursor.next().expect("in memory").is_some() {
        count += 1;
    }
    assert_eq!(count, records);
    report("hashed everything", records, begun);
    let found = hash.check(&pager, &mut |_| ()).expect("in memory");
    assert_eq!(found.faults, []);
    let load = found.leaf_bytes_used as f64 / (found.leaves * page_bytes as u64) as f64;
    let directory_pages = found.pages.len() as u64 - found.leaves;
    println!(
        "hashed: {} levels, {} buckets {:.1} % full, {directory_pages} directory pages",
        found.depth,
        found.leaves,
        load * 100.0
    );
    for (what, index) in [("sorted", Index::Sorted(tree)), ("hashed", Index::Hashed(hash))] {
        let begun = Instant::now();
        (0..records).filter(|n| n % 2 == 0).for_each(|n| remove(&pager, index, &key(n)));
        report(&format!("{what} remove half"), records / 2, begun);
    }
    let left = hash.check(&pager, &mut |_| ()).expect("in memory");
    println!("hashed: {} buckets are left for half of the records", left.leaves);
    load_while_growing(page_bytes, records.min(1_000_000));
}
