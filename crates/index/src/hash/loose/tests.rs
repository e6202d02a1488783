//! Pages by themselves: whole ones say what they hold, and any bytes give an error or something that can be read.

use super::super::test_index::{SEED, TABLE, TestIndex};
use super::*;
use proptest::prelude::*;

fn pages(records: u64) -> Vec<Vec<u8>> {
    let index = TestIndex::in_memory(4096);
    (0..records).for_each(|n| index.put(&n.to_be_bytes(), &n.to_le_bytes()));
    let report = index.check();
    report.pages.iter().map(|&page| index.pager.shared(page).unwrap().bytes().to_vec()).collect()
}

#[test]
fn the_pages_of_an_index_say_what_they_hold() {
    let pages = pages(3000);
    let pages: Vec<LoosePage<'_>> = pages.iter().map(|bytes| LoosePage::new(bytes).unwrap()).collect();
    let (mut records, mut buckets) = (Vec::new(), Vec::new());
    for page in pages.iter().filter(|page| page.level() == 0) {
        let (first, last) = page.range();
        page.records(|hash, key, value| {
            assert!(first <= hash && hash <= last);
            assert_eq!(key.iter().rev().copied().collect::<Vec<_>>(), value.bytes);
            records.push(key.to_vec());
        });
        buckets.push((page.id(), first, last));
        page.children(|_, _, _| panic!("a bucket has no children"));
    }
    assert_eq!(records.len(), 3000);
    let root = pages.iter().find(|page| page.level() == 1).unwrap();
    assert_eq!((root.table(), root.seed(), root.is_dismantled()), (TABLE, SEED, false));
    assert_eq!((root.range(), root.is_empty(), root.is_overflow()), ((0, u64::MAX), false, false));
    let mut children = Vec::new();
    root.children(|child, first, last| children.push((child, first, last)));
    buckets.sort_by_key(|&(_, first, _)| first);
    assert_eq!(children, buckets);
    root.records(|_, _, _| panic!("a directory page has no records"));
}

#[test]
fn what_is_no_page_is_refused() {
    let pages = pages(10);
    assert!(LoosePage::new(&pages[0]).is_ok());
    assert!(LoosePage::new(&[0xA5; 4096]).is_err());
    assert!(LoosePage::new(&[]).is_err());
    assert!(LoosePage::new(&pages[0][..100]).is_err());
    for page in &pages {
        let mut nameless = page.clone();
        nameless[24..28].fill(0);
        assert!(LoosePage::new(&nameless).is_err());
    }
}

proptest! {
    #[test]
    fn changed_bytes_are_refused_or_can_be_read(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((0usize..4096, any::<u8>()), 1..12),
        in_header in any::<bool>(),
    ) {
        let pages = pages(200);
        let mut page = pages[which.index(pages.len())].clone();
        for (at, byte) in changes {
            page[if in_header { at % 120 } else { at }] = byte;
        }
        if let Ok(page) = LoosePage::new(&page) {
            page.records(|_, key, value| assert!(key.len() + value.bytes.len() < 4096));
            page.children(|_, _, _| ());
        }
    }
}
