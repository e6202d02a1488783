//! Pages of a tree, any bytes each, read and changed. Inputs are those of `index_pages`; kind 2 of operation looks for the first
//! record from the key on.

use super::index_pages::{self, IndexPages, Records, STEPS_MAX, TABLE, some};
use super::{Seeds, Target};
use aquifer_buffer::{Mutation, PageId, Pager, Result, Retry};
use aquifer_index::btree::BTree;
use std::ops::Bound;

/// Reading, scanning, checking, changing and dismantling end, with an answer or an error. Where the check finds nothing
/// wrong, the tree is a map: both directions of a scan agree with each other, with the count of the check and
/// with every get, and it stays so under changes.
pub const TARGET: Target =
    Target { name: "tree_page", run: index_pages::run::<BTree>, input_bytes_max: 16 << 10, seeds };

impl IndexPages for BTree {
    const KINDS: usize = 4;

    fn at_first() -> BTree {
        BTree::at(PageId::FIRST, TABLE)
    }

    fn limits(page_bytes: usize) -> (usize, usize) {
        BTree::limits(page_bytes)
    }

    fn check(&self, pager: &Pager) -> Option<Records> {
        let report = self.check(pager, &mut |_| ()).expect("nothing but damage goes wrong in memory");
        if !report.faults.is_empty() {
            return None;
        }
        let records = scan(self, pager, true).expect("a whole tree");
        assert_eq!(records.len() as u64, report.records);
        assert_eq!(scan(self, pager, false).expect("a whole tree"), records);
        Some(records)
    }

    fn read_all(&self, pager: &Pager) -> Option<Records> {
        let found = scan(self, pager, true);
        let _ = scan(self, pager, false);
        found
    }

    fn put(
        &self,
        m: &Mutation<'_>,
        pager: &Pager,
        key: &[u8],
        value: &[u8],
    ) -> std::result::Result<(), Retry> {
        let place = self.place(m, pager, key, value.len())?;
        let _ = (place.old(), place.changed_at());
        place.put(value, 1);
        Ok(())
    }

    fn remove(&self, m: &Mutation<'_>, pager: &Pager, key: &[u8]) -> std::result::Result<(), Retry> {
        if let Some(place) = self.place_existing(m, pager, key)? {
            place.remove(1);
        }
        Ok(())
    }

    fn len_estimate(&self, pager: &Pager) -> Result<u64> {
        self.len_estimate(pager)
    }

    fn load(&self, pager: &Pager, keys: &[&[u8]]) -> Result<()> {
        self.load_leaves(pager, keys)
    }

    fn dismantle(&self, m: &Mutation<'_>, pager: &Pager) -> std::result::Result<bool, Retry> {
        self.dismantle(m, pager)
    }

    fn operate(&self, pager: &Pager, key: &[u8], whole: Option<&Records>) -> Result<()> {
        let mut cursor = self.cursor(pager, Bound::Included(key), Bound::Unbounded);
        let first = cursor.next().map(|record| record.map(|(key, _)| key.to_vec()));
        if let Some(model) = whole {
            let expected = model.range(key.to_vec()..).next().map(|(key, _)| key);
            assert_eq!(first.as_ref().ok().map(Option::as_ref), Some(expected));
        }
        first.map(|_| ())
    }
}

/// All records, if none of them is an error; keys must come in order.
fn scan(tree: &BTree, pager: &Pager, forward: bool) -> Option<Records> {
    let mut cursor = tree.cursor(pager, Bound::Unbounded, Bound::Unbounded);
    let mut records = Records::new();
    let mut last: Option<Vec<u8>> = None;
    let mut ordered = true;
    for _ in 0..STEPS_MAX {
        match if forward { cursor.next() } else { cursor.next_back() } {
            Err(_) => return None,
            Ok(None) => return ordered.then_some(records),
            Ok(Some((key, value))) => {
                ordered &= last.as_deref().is_none_or(|last| (last < key) == forward && last != key);
                last = Some(key.to_vec());
                records.insert(key.to_vec(), value.to_vec());
            }
        }
    }
    panic!("CR4: {STEPS_MAX} records, and no end");
}

/// The pages of a tree as an input has them.
fn input(page_bytes: usize, records: &[(Vec<u8>, usize)]) -> Vec<u8> {
    let operations: [(u8, &[u8], u16); 5] =
        [(0, b"key 3", 0), (3, b"key 35", 40), (1, b"key 5", 0), (2, b"k", 0), (3, b"", 900)];
    index_pages::input(page_bytes, |m| BTree::create(m, TABLE), records, &operations)
}

/// Pages with dense leaves, and operations on them: a record put, another of another length, one removed, one far away.
fn dense(page_bytes: usize, stem: &str, numbers: std::ops::Range<u64>, value_len: usize) -> Vec<u8> {
    let key = |n: u64| [stem.as_bytes(), &n.to_be_bytes()].concat();
    let records: Vec<_> = numbers.clone().map(|n| (key(n), value_len)).collect();
    let (inside, behind, far) = (key(numbers.start + 2), key(numbers.end + 1), key(1 << 40));
    let operations: [(u8, &[u8], u16); 7] = [
        (3, &behind, value_len as u16),
        (1, &inside, 0),
        (0, &inside, 0),
        (3, &inside, value_len as u16),
        (2, &behind, 0),
        (3, &inside, 30),
        (3, &far, value_len as u16),
    ];
    index_pages::input(page_bytes, |m| BTree::create(m, TABLE), &records, &operations)
}

/// Pages with leaves that have fingerprints, and operations on them: as many records put as there are places, one replaced, one removed.
fn paths(count: u32, value_len: usize) -> Vec<u8> {
    let key = |n: u32| format!("host/section-{:02}/article-{n:04}", n / 10).into_bytes();
    let records: Vec<_> = (0..count).map(|n| (key(n * 7 % count), value_len)).collect();
    let new: Vec<_> = (0..20).map(|n| [&key(3)[..], &[n]].concat()).collect();
    let (there, absent) = (key(5), key(count + 9));
    let mut operations: Vec<(u8, &[u8], u16)> = new.iter().map(|key| (3, key.as_slice(), 3)).collect();
    operations.extend([(0, &there[..], 0), (3, &there, 40), (1, &there, 0), (2, &there, 0), (0, &absent, 0)]);
    index_pages::input(4096, |m| BTree::create(m, TABLE), &records, &operations)
}

fn seeds() -> Seeds {
    let prefixed: Vec<_> =
        (0..12u32).map(|n| (format!("a/rather/long/path/that/all/share/{n}").into_bytes(), 20)).collect();
    let zeros: Vec<_> = (0..10).map(|n| (vec![0; n], 3)).collect();
    let ones: Vec<_> = (1..6u8).map(|n| (vec![0xFF; usize::from(n)], 3)).collect();
    vec![
        ("empty".into(), input(4096, &[])),
        ("one".into(), input(4096, &some(1, 5))),
        ("leaf".into(), input(4096, &some(20, 8))),
        ("hinted-leaf".into(), input(4096, &some(60, 2))),
        ("prefixed".into(), input(4096, &prefixed)),
        ("zeros".into(), input(4096, &zeros)),
        ("ones".into(), input(4096, &ones)),
        ("two-levels".into(), input(4096, &some(14, 500))),
        ("large-page".into(), input(65536, &some(30, 8))),
        ("empty-values".into(), input(4096, &some(25, 0))),
        ("dense-leaf".into(), dense(4096, "", 1000..1260, 8)),
        ("dense-long-values".into(), dense(4096, "", 0..38, 100)),
        ("dense-stem".into(), dense(4096, "a stem/", 0..520, 8)),
        ("dense-empty-values".into(), dense(4096, "", 7..500, 0)),
        ("fingerprints".into(), paths(120, 12)),
        ("fingerprints-long-values".into(), paths(40, 90)),
    ]
}
