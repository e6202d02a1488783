//! An index from its first record to its last page: growth, load, limits, estimate, dismantling.

use super::super::test_index::{TABLE, TestIndex};
use super::super::{CheckReport, HashIndex};
use crate::PointReads;
use crate::btree::test_tree::{Scramble, change};
use aquifer_buffer::PageId;

fn key(n: u64) -> [u8; 16] {
    let mut key = [0x5A; 16];
    key[..8].copy_from_slice(&n.to_be_bytes());
    key
}

fn load(report: &CheckReport) -> f64 {
    report.leaf_bytes_used as f64 / (report.leaves * 4096) as f64
}

#[test]
fn buckets_are_four_fifths_full_on_average_while_an_index_grows() {
    let index = TestIndex::in_memory(4096);
    let (mut loads, mut next) = (Vec::new(), 2_000);
    for n in 0..60_000 {
        index.put(&key(n), &[1; 100]);
        if n == next {
            loads.push(load(&index.check()));
            next += next / 20;
        }
    }
    let average = loads.iter().sum::<f64>() / loads.len() as f64;
    let least = loads.iter().copied().fold(1.0, f64::min);
    assert!(loads.len() > 60);
    assert!(average >= 0.8, "{average}");
    assert!(least >= 0.76, "{least}");
}

#[test]
fn space_comes_back_after_deletes() {
    let index = TestIndex::in_memory(4096);
    (0..40_000).for_each(|n| index.put(&key(n), &[3; 100]));
    let full = index.check();
    assert_eq!(full.depth, 3);
    (0..20_000).for_each(|n| assert!(index.remove(&key(n * 2)).is_some()));
    let half = index.check();
    assert!(load(&half) > 0.66, "{} of {} pages", half.pages.len(), full.pages.len());
    (0..20_000).filter(|n| n % 100 != 0).for_each(|n| assert!(index.remove(&key(n * 2 + 1)).is_some()));
    let few = index.check();
    assert_eq!(few.records, 200);
    assert!(few.pages.len() * 20 < full.pages.len(), "{} of {}", few.pages.len(), full.pages.len());
    (0..200).for_each(|n| assert!(index.remove(&key(n * 200 + 1)).is_some()));
    let none = index.check();
    assert_eq!((none.records, none.depth), (0, 2));
    assert!(none.pages.len() <= 8, "{}", none.pages.len());
    assert_eq!(index.pager.stats().pages, none.pages.len() as u64);
}

#[test]
fn a_new_index_is_empty() {
    let index = TestIndex::in_memory(4096);
    assert_eq!(index.get(b""), None);
    assert_eq!(index.get(b"key"), None);
    assert_eq!(index.remove(b"key"), None);
    assert_eq!(index.index.len_estimate(&index.pager).unwrap(), 0);
    let report = index.check();
    assert_eq!((report.records, report.depth, report.pages.len()), (0, 2, 2));
    assert!(index.index.cursor(&index.pager).next().unwrap().is_none());
}

#[test]
fn the_empty_key_and_the_empty_value_are_a_record() {
    let index = TestIndex::in_memory(4096);
    index.put(b"", b"");
    assert_eq!(index.get(b""), Some(Vec::new()));
    assert_eq!(index.remove(b""), Some(Vec::new()));
    assert_eq!(index.get(b""), None);
}

#[test]
fn the_longest_keys_and_values_fit_in_every_page_size() {
    for page_bytes in [4096, 8192, 16384, 32768, 65536] {
        let index = TestIndex::in_memory(page_bytes);
        let (key_max, value_max) = HashIndex::limits(page_bytes);
        let key = |n: u8| {
            let mut key = vec![0xAB; key_max];
            key[key_max - 1] = n;
            key
        };
        (0..40u8).for_each(|n| index.put(&key(n), &vec![n; value_max]));
        assert_eq!(index.check().records, 40);
        (0..40u8).for_each(|n| assert_eq!(index.get(&key(n)), Some(vec![n; value_max])));
    }
}

#[test]
#[should_panic(expected = "a key of 513 bytes; 512 is the most")]
fn a_key_beyond_the_limit_is_refused() {
    TestIndex::in_memory(4096).put(&[0; 513], b"");
}

#[test]
#[should_panic(expected = "a value of 1025 bytes; 1024 is the most")]
fn a_value_beyond_the_limit_is_refused() {
    TestIndex::in_memory(4096).put(b"key", &[0; 1025]);
}

#[test]
fn the_root_keeps_its_page_while_the_directory_grows_and_shrinks() {
    let index = TestIndex::in_memory(4096);
    let root = index.index.root();
    (0..25_000).for_each(|n| index.put(&key(n), &[0; 100]));
    let report = index.check();
    assert!(report.depth >= 3, "{}", report.depth);
    assert_eq!(report.pages[0], root);
    assert!(index.index.contains(&index.pager, &key(24_999)).unwrap());
    (0..25_000).for_each(|n| assert!(index.remove(&key(n)).is_some()));
    let report = index.check();
    assert_eq!((report.depth, report.pages[0]), (2, root));
}

#[test]
fn the_estimate_is_near_the_number_of_records() {
    for (records, exact) in [(0u64, true), (20, true), (150, true), (20_000, false)] {
        let index = TestIndex::in_memory(4096);
        (0..records).for_each(|n| index.put(&key(n), &[0; 100]));
        let estimate = index.index.len_estimate(&index.pager).unwrap();
        let near = estimate.abs_diff(records) <= if exact { 0 } else { records / 5 };
        assert!(near, "{estimate} for {records}");
    }
}

#[test]
fn a_dismantled_index_shrinks_to_nothing_and_is_whole_in_between() {
    for (records, mask) in
        [(0, u64::MAX), (10, u64::MAX), (30_000, u64::MAX), (3_000, !0 << 62), (3_000, 0xFF)]
    {
        let index = TestIndex::with_mask(4096, mask);
        (0..records).for_each(|n| index.put(&key(n), &[3; 60]));
        let mut pages = index.check().pages.len();
        loop {
            let done = change(&index.pager, |m| index.index.dismantle(m, &index.pager));
            if done {
                break;
            }
            let left = index.check().pages.len();
            assert!(left < pages, "every passage frees something");
            assert_eq!(index.pager.stats().pages, left as u64, "what is not reachable is free");
            pages = left;
        }
        assert_eq!(index.pager.stats().pages, 0);
    }
}

#[test]
fn room_that_is_not_used_does_no_harm() {
    let index = TestIndex::in_memory(4096);
    for n in 0..500u64 {
        change(&index.pager, |m| index.index.place(m, &index.pager, &key(n), 1024).map(drop));
        assert_eq!(index.get(&key(n)), None);
        index.put(&key(n), b"small");
    }
    assert_eq!(index.check().records, 500);
}

#[test]
fn a_place_says_when_its_bucket_changed() {
    let index = TestIndex::in_memory(4096);
    let put = |key: &[u8], lsn| {
        change(&index.pager, |m| {
            let place = index.index.place(m, &index.pager, key, 1)?;
            let before = place.changed_at();
            place.put(b"v", lsn);
            Ok(before)
        })
    };
    assert_eq!(put(b"a", 70), 0);
    assert_eq!(put(b"b", 60), 70);
    assert_eq!(put(b"c", 80), 70);
    assert_eq!(put(b"c", 81), 80);
}

#[test]
fn pages_of_another_table_or_seed_are_not_read() {
    let index = TestIndex::in_memory(4096);
    index.put(b"key", b"value");
    let seed = index.index.seed();
    let stranger = HashIndex::at(index.index.root(), 8, seed);
    let error = stranger.contains(&index.pager, b"key").unwrap_err().to_string();
    assert!(error.contains("root"), "{error}");
    assert!(HashIndex::at(PageId(77), TABLE, seed).contains(&index.pager, b"key").is_err());
    let other_seed = HashIndex::at(index.index.root(), TABLE, seed + 1);
    assert!(!other_seed.check(&index.pager, &mut |_| ()).unwrap().faults.is_empty());
}

/// Prints the load of buckets while an index grows: docs/decisions/0005-hashed-buckets-share.md has the figures.
#[test]
#[ignore = "prints figures"]
fn load_curve() {
    for (key_len, value_len) in [(16, 100), (8, 8), (16, 500)] {
        let index = TestIndex::in_memory(4096);
        let mut scramble = Scramble(1);
        let (mut next, mut loads) = (1000, Vec::new());
        for n in 0..400_000u64 {
            if n * (key_len + value_len) as u64 > 40 << 20 {
                break;
            }
            let mut key = vec![0; key_len];
            key[..8].copy_from_slice(&scramble.below(u64::MAX).to_be_bytes());
            index.put(&key, &vec![0; value_len]);
            if n == next {
                let report = index.check();
                loads.push(load(&report));
                let all = report.record_bytes as f64 / (report.pages.len() * 4096) as f64;
                println!(
                    "{key_len}+{value_len}: {n:>7} records, {:>6} buckets {:.3} full, keys and values in all pages {all:.3}",
                    report.leaves,
                    load(&report)
                );
                next += next / 8;
            }
        }
        let average = loads.iter().sum::<f64>() / loads.len() as f64;
        println!("{key_len}+{value_len}: average {average:.3}");
    }
}
