//! Reading everything while buckets are divided and merged.

use super::super::test_index::TestIndex;
use std::collections::BTreeSet;

fn key(n: u64) -> [u8; 8] {
    n.to_be_bytes()
}

#[test]
fn records_come_in_the_order_of_their_buckets_and_once() {
    let index = TestIndex::in_memory(4096);
    (0..5000).for_each(|n| index.put(&key(n), &[n as u8; 30]));
    let all = index.all();
    assert_eq!(all.len(), 5000);
    let keys: BTreeSet<_> = all.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(keys.len(), 5000);
    assert!(all.iter().all(|(key, value)| value[..] == [key[7]; 30]));
    assert!(TestIndex::in_memory(4096).all().is_empty());
}

/// Every key that is there throughout comes once, and no key twice, whatever happens between the calls.
#[test]
fn a_scan_during_growth_and_shrinking_returns_what_stays() {
    for mask in [u64::MAX, !0 << 58, 0xFFFF] {
        let index = TestIndex::with_mask(4096, mask);
        (0..3000).for_each(|n| index.put(&key(n), &[1; 40]));
        let mut cursor = index.index.cursor(&index.pager);
        let mut seen = Vec::new();
        let (mut added, mut removed) = (3000, 1500);
        while let Some((key, _)) = cursor.next().unwrap() {
            seen.push(u64::from_be_bytes(key.try_into().unwrap()));
            // Growth for the first half of the way, then everything but the first 1500 goes.
            for _ in 0..4 {
                if added < 6000 {
                    index.put(&super::tests::key(added), &[2; 40]);
                    added += 1;
                } else if removed < 6000 {
                    index.remove(&super::tests::key(removed));
                    removed += 1;
                }
            }
        }
        let unique: BTreeSet<u64> = seen.iter().copied().collect();
        assert_eq!(unique.len(), seen.len(), "a key came twice");
        assert!((0..1500).all(|n| unique.contains(&n)), "a key that stayed was left out");
        index.check();
    }
}
