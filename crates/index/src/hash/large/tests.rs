//! The mark of large values in buckets: it stays with its record, and the root says that there may be any.

use super::super::directory::Directory;
use super::super::test_index::TestIndex;
use super::*;
use crate::PointReads;
use crate::btree::test_tree::change;
use crate::{LeafValue, ValueKind};
use aquifer_buffer::PageId;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn put(index: &TestIndex, key: &[u8], value: LeafValue<'_>) {
    change(&index.pager, |m| {
        if value.is_large() {
            index.index.note_large(m)?;
        }
        let place = index.index.place(m, &index.pager, key, value.bytes.len())?;
        place.put_value(value, 1);
        Ok(())
    });
}

fn found(index: &TestIndex, key: &[u8]) -> Option<(ValueKind, Vec<u8>)> {
    let mut out = Vec::new();
    let kind = index.index.look_up(&index.pager, key, &mut out).unwrap().kind;
    kind.map(|kind| (kind, out))
}

fn depth(index: &TestIndex) -> u8 {
    Directory::new(index.pager.shared(index.index.root()).unwrap().bytes()).level()
}

#[test]
fn the_longest_values_have_no_mark() {
    for page_bytes in [4096, 16384, 65536] {
        let longest = vec![7; HashIndex::limits(page_bytes).1];
        let index = TestIndex::in_memory(page_bytes);
        put(&index, b"inline", LeafValue::inline(&longest));
        assert!(!index.index.may_hold_large(&index.pager).unwrap());
        put(&index, b"large", LeafValue::large(&longest));
        assert!(index.index.may_hold_large(&index.pager).unwrap());
        assert_eq!(found(&index, b"inline"), Some((ValueKind::Inline, longest.clone())));
        assert_eq!(found(&index, b"large"), Some((ValueKind::Large, longest.clone())));
        let large = index.check().large;
        assert_eq!(large.iter().map(|(_, bytes)| bytes).collect::<Vec<_>>(), [&longest]);
    }
}

#[test]
fn a_large_value_without_the_roots_note_is_a_fault() {
    let index = TestIndex::in_memory(4096);
    change(&index.pager, |m| {
        let place = index.index.place(m, &index.pager, b"k", 3)?;
        place.put_value(LeafValue::large(b"abc"), 1);
        Ok(())
    });
    let report = index.index.check(&index.pager, &mut |_| ()).unwrap();
    assert!(report.faults.iter().any(|(_, what)| what.contains("LV2")), "{report:?}");
}

#[test]
fn the_roots_note_stays_when_the_directory_grows_and_shrinks() {
    let index = TestIndex::in_memory(4096);
    put(&index, &7u32.to_be_bytes(), LeafValue::large(b"descriptor"));
    assert_eq!(depth(&index), 1);
    let mut count = 0u32;
    while depth(&index) == 1 {
        put(&index, &(1000 + count).to_be_bytes(), LeafValue::inline(&[1; 1000]));
        count += 1;
    }
    assert_eq!(index.check().large.len(), 1);
    (0..count).for_each(|n| drop(index.remove(&(1000 + n).to_be_bytes())));
    assert_eq!((depth(&index), index.check().large.len()), (1, 1));
    assert!(index.index.may_hold_large(&index.pager).unwrap());
    assert_eq!(found(&index, &7u32.to_be_bytes()), Some((ValueKind::Large, b"descriptor".to_vec())));
}

#[test]
fn an_index_that_is_being_dismantled_has_none_any_more() {
    let index = TestIndex::in_memory(4096);
    (0..2000u32).for_each(|n| put(&index, &n.to_be_bytes(), LeafValue::inline(&[1; 900])));
    put(&index, b"k", LeafValue::large(b"descriptor"));
    index.remove(b"k");
    assert!(index.index.may_hold_large(&index.pager).unwrap(), "it may have the note without a value");
    assert!(!change(&index.pager, |m| index.index.dismantle(m, &index.pager)));
    assert!(!index.index.may_hold_large(&index.pager).unwrap());
}

#[test]
fn what_is_no_root_is_not_marked() {
    let index = TestIndex::in_memory(4096);
    put(&index, b"k", LeafValue::inline(b"v"));
    let bucket: PageId = index.check().pages[1];
    let wrong = HashIndex::at(bucket, 7, index.index.seed());
    let m = index.pager.enter();
    assert!(matches!(wrong.note_large(&m), Err(Retry::Damaged(page, _)) if page == bucket));
}

#[test]
fn a_cursor_goes_on_between_buckets() {
    let index = TestIndex::in_memory(4096);
    (0..500u32).for_each(|n| put(&index, &n.to_be_bytes(), LeafValue::inline(&[1; 100])));
    put(&index, b"large", LeafValue::large(b"descriptor"));
    let (mut position, mut seen, mut rounds) = (Some(0), BTreeMap::new(), 0);
    while let Some(from) = position.take() {
        rounds += 1;
        let mut cursor = index.index.cursor_from(&index.pager, from);
        while let Some((key, value)) = cursor.next_value().unwrap() {
            assert_eq!(seen.insert(key.to_vec(), value.kind), None, "each once");
            if let Some(next) = cursor.resume_at() {
                position = Some(next);
                break;
            }
        }
    }
    assert_eq!((seen.len(), rounds > 10), (501, true));
    assert_eq!(seen.values().filter(|&&kind| kind == ValueKind::Large).count(), 1);
    assert_eq!(seen.get(&b"large"[..]), Some(&ValueKind::Large));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_moves_records_keeps_the_mark_with_them(
        steps in prop::collection::vec((0u16..400, 0usize..900, 0u8..6), 1..500),
        // All bits, few of them, and none: all records in one chain.
        mask in prop_oneof![Just(u64::MAX), Just(0xF000_0000_0000_0001), Just(0)],
    ) {
        let index = TestIndex::with_mask(4096, mask);
        let mut model: BTreeMap<Vec<u8>, (ValueKind, Vec<u8>)> = BTreeMap::new();
        for (number, len, what) in steps {
            let (key, bytes) = (number.to_be_bytes().to_vec(), vec![what; len]);
            if what < 2 {
                index.remove(&key);
                model.remove(&key);
                continue;
            }
            let kind = if what < 4 { ValueKind::Large } else { ValueKind::Inline };
            put(&index, &key, LeafValue { kind, bytes: &bytes });
            model.insert(key, (kind, bytes));
        }
        let large = model.values().filter(|(kind, _)| *kind == ValueKind::Large).count();
        prop_assert_eq!(index.check().large.len(), large);
        for (key, expected) in &model {
            let found = found(&index, key);
            prop_assert_eq!(found.as_ref(), Some(expected));
        }
        let mut cursor = index.index.cursor(&index.pager);
        while let Some((key, value)) = cursor.next_value().unwrap() {
            prop_assert_eq!(model.remove(key), Some((value.kind, value.bytes.to_vec())));
        }
        prop_assert!(model.is_empty());
    }
}
