//! Pages by themselves: whole ones say what they hold, and any bytes give an error or something that can be read.

use super::super::layout::{KIND_DENSE, KIND_FINGERPRINTS, KIND_LEAF};
use super::super::test_tree::{TABLE, TestTree};
use super::*;
use aquifer_buffer::PageId;
use proptest::prelude::*;

/// Pages of a tree whose leaves are of this kind, but for the last.
fn pages(records: u64, kind: u8) -> Vec<Vec<u8>> {
    let tree = TestTree::in_memory(4096);
    for n in 0..records {
        let len = if kind == KIND_DENSE { 8 } else { 8 - n as usize % 2 };
        let key = match kind {
            KIND_FINGERPRINTS => format!("{:05}/page-{:02}", n / 50, n % 50).into_bytes(),
            _ => [&b"key"[..], &n.to_be_bytes()].concat(),
        };
        tree.put(&key, &n.to_le_bytes()[..len]);
    }
    let pages = tree.check().pages;
    let kinds: Vec<u8> = pages.iter().map(|&page| tree.pager.shared(page).unwrap().bytes()[0]).collect();
    assert!(pages.len() < 4 || kinds[2] == kind, "{kinds:?}");
    pages.iter().map(|&page| tree.pager.shared(page).unwrap().bytes().to_vec()).collect()
}

#[test]
fn the_pages_of_a_tree_say_what_they_hold() {
    [KIND_LEAF, KIND_DENSE, KIND_FINGERPRINTS].into_iter().for_each(say_what_they_hold);
}

fn say_what_they_hold(kind: u8) {
    let pages = pages(2000, kind);
    let pages: Vec<LoosePage<'_>> = pages.iter().map(|bytes| LoosePage::new(bytes).unwrap()).collect();
    let mut records = Vec::new();
    let mut leaves = Vec::new();
    for page in pages.iter().filter(|page| page.level() == 0) {
        page.records(|key, value| records.push((key.to_vec(), value.bytes.to_vec())));
        leaves.push((page.id(), page.lower().to_vec(), page.upper().map(<[u8]>::to_vec)));
        page.children(|_, _, _| panic!("a leaf has no children"));
    }
    assert_eq!(records.len(), 2000);
    assert!(records.is_sorted());
    assert_eq!(records[8].1, 8u64.to_le_bytes());
    let root = pages.iter().find(|page| page.level() == 1).unwrap();
    assert_eq!((root.table(), root.changed_at() <= 1, root.is_dismantled()), (TABLE, true, false));
    let mut children = Vec::new();
    root.children(|child, lower, upper| children.push((child, lower.to_vec(), upper.map(<[u8]>::to_vec))));
    assert_eq!(children, leaves);
    root.records(|_, _| panic!("an inner page has no records"));
    assert!(!root.is_empty());
}

#[test]
fn what_is_no_page_is_refused() {
    let pages = pages(10, KIND_LEAF);
    let whole = &pages[0];
    assert!(LoosePage::new(whole).is_ok());
    assert!(LoosePage::new(&[0xA5; 4096]).is_err());
    assert!(LoosePage::new(&[]).is_err());
    let mut nameless = whole.clone();
    nameless[24..28].fill(0);
    assert!(LoosePage::new(&nameless).is_err());
    let mut twice = whole.clone();
    twice.extend_from_slice(whole);
    assert!(LoosePage::new(&twice).is_err(), "of another page size");
}

proptest! {
    #[test]
    fn damaged_pages_are_refused_or_read(
        flips in proptest::collection::vec((0usize..4096, 1u8..), 1..6),
        inner in any::<bool>(),
        kind in prop_oneof![Just(KIND_LEAF), Just(KIND_DENSE), Just(KIND_FINGERPRINTS)],
    ) {
        let pages = pages(800, kind);
        let wanted = u8::from(inner);
        let mut bytes = pages.into_iter().find(|bytes| bytes[2] == wanted).unwrap();
        for (at, flip) in flips {
            bytes[at] ^= flip;
        }
        if let Ok(page) = LoosePage::new(&bytes) {
            let mut last: Option<Vec<u8>> = None;
            page.records(|key, _| {
                assert!(key >= page.lower() && page.upper().is_none_or(|upper| key < upper));
                assert!(last.as_deref().is_none_or(|last| last < key));
                last = Some(key.to_vec());
            });
            let mut children = 0;
            page.children(|child, _, _| children += usize::from(child != PageId::NONE));
            prop_assert!(children <= 4096);
        }
    }
}
