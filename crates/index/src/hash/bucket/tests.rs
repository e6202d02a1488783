//! Finding records in a page, through slices and through words alone.

use super::super::bucket_edit::{BucketMut, Item, Plan, build};
use super::super::key_hash::KeyHash;
use super::*;
use crate::words::tests::OnlyWords;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

fn plan() -> Plan {
    Plan {
        kind: KIND_BUCKET,
        owner: 7,
        id: PageId(5),
        next: PageId::NONE,
        changed_at: 0,
        first: 0,
        last: u64::MAX,
        seed: 1,
    }
}

fn page(records: &[(Vec<u8>, Vec<u8>)], mask: u64) -> Vec<u8> {
    let hasher = KeyHash { seed: 1, mask };
    let items: Vec<Item<'_>> = records
        .iter()
        .map(|(key, value)| Item { hash: hasher.of(key), key, value: LeafValue::inline(value) })
        .collect();
    build(4096, &plan(), &items).unwrap()
}

#[test]
fn zero_bytes_are_found_exactly() {
    assert_eq!(zero_bytes(0), 0x8080_8080_8080_8080);
    assert_eq!(zero_bytes(0x0100_8000_FF00_017F), 0x0080_0080_0080_0000);
    assert_eq!(zero_bytes(0x0101_0101_0101_0101), 0);
}

proptest! {
    #[test]
    fn a_page_finds_what_it_holds_and_nothing_else(
        records in btree_map(vec(any::<u8>(), 0..6), vec(any::<u8>(), 0..20), 0..120),
        others in vec(vec(any::<u8>(), 0..6), 0..40),
        // All bits, one sub-bucket, one fingerprint, all alike.
        mask in prop_oneof![Just(u64::MAX), Just(!0xF), Just(!0xFF00), Just(0)],
    ) {
        let hasher = KeyHash { seed: 1, mask };
        let all: Vec<_> = records.clone().into_iter().collect();
        let bytes = page(&all, mask);
        let bucket = Bucket::new(&bytes[..]);
        prop_assert!(bucket.is_sane());
        prop_assert_eq!(bucket.count(), all.len());
        for (key, value) in &records {
            let Find::Found(found) = bucket.find(hasher.of(key), key) else {
                return Err(TestCaseError::fail("not found"));
            };
            prop_assert_eq!((bucket.key(found), bucket.value(found)), (&key[..], LeafValue::inline(value)));
            prop_assert_eq!(Bucket::new(OnlyWords(&bytes)).find(hasher.of(key), key), Find::Found(found));
        }
        for key in others.iter().filter(|key| !records.contains_key(*key)) {
            prop_assert_eq!(bucket.find(hasher.of(key), key), Find::Absent);
        }
    }

    #[test]
    fn changes_in_place_leave_what_a_map_holds(
        changes in vec((vec(any::<u8>(), 0..3), prop_oneof![Just(None), (0usize..60).prop_map(Some)]), 0..150),
        mask in prop_oneof![Just(u64::MAX), Just(!0xF)],
    ) {
        let hasher = KeyHash { seed: 1, mask };
        let mut bytes = page(&[], mask);
        let mut model = std::collections::BTreeMap::new();
        for (number, (key, value_len)) in changes.into_iter().enumerate() {
            let hash = hasher.of(&key);
            let found = match Bucket::new(&bytes[..]).find(hash, &key) {
                Find::Found(found) => Some(found),
                Find::Absent => None,
                Find::Nonsense => return Err(TestCaseError::fail("nonsense")),
            };
            prop_assert_eq!(found.is_some(), model.contains_key(&key));
            match (found, value_len.map(|len| vec![number as u8; len])) {
                (Some(found), None) => {
                    BucketMut::new(&mut bytes).remove(hash, found);
                    model.remove(&key);
                }
                (None, None) => {}
                (found, Some(value)) => {
                    let mut found = found;
                    if Bucket::new(&bytes[..]).gap_bytes() < 70 {
                        BucketMut::new(&mut bytes).compact(None).unwrap();
                        if let Find::Found(moved) = Bucket::new(&bytes[..]).find(hash, &key) {
                            found = Some(moved);
                        }
                        if Bucket::new(&bytes[..]).gap_bytes() < 70 {
                            continue;
                        }
                    }
                    match found {
                        Some(found) => BucketMut::new(&mut bytes).replace(hash, found, LeafValue::inline(&value)),
                        None => BucketMut::new(&mut bytes).insert(hash, &key, LeafValue::inline(&value)),
                    }
                    model.insert(key, value);
                }
            }
            let found = super::super::page_check::check_bucket(Bucket::new(&bytes[..]), hasher);
            prop_assert_eq!(found.faults, Vec::<String>::new());
        }
        for (key, value) in &model {
            let Find::Found(found) = Bucket::new(&bytes[..]).find(hasher.of(key), key) else {
                return Err(TestCaseError::fail("not found"));
            };
            prop_assert_eq!(Bucket::new(&bytes[..]).value(found), LeafValue::inline(value));
        }
        prop_assert_eq!(Bucket::new(&bytes[..]).count(), model.len());
    }

    #[test]
    fn any_bytes_can_be_searched(bytes in vec(any::<u8>(), 200), at in 0usize..3800, hash in any::<u64>()) {
        let records: Vec<_> = (0..30u8).map(|n| (vec![n], vec![n; 50])).collect();
        let mut page = page(&records, u64::MAX);
        page[at..at + 200].copy_from_slice(&bytes);
        let bucket = Bucket::new(&page[..]);
        let _ = (bucket.find(hash, b"key"), bucket.is_sane(), bucket.free_bytes(), bucket.gap_bytes());
        prop_assert!(bucket.records().count() <= 16 * 4096);
    }
}
