//! Pages of a tree, any bytes each, read and changed.
//!
//! ```text
//! input:  flags u8: bit 0 pages of 64 KiB | pages u8 | page* | operation*
//! page:   first bytes | last bytes (pieces; zeros between them)
//! operation:  kind u8 | length of the key u8 | key | length of the value u16
//! ```
//!
//! Page n of the input is page n of the pager, page 1 is the root.

use super::{Seeds, Target, pages};
use crate::source::Source;
use aquifer_buffer::{PageId, Pager};
use aquifer_index::btree::BTree;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Reading, scanning, checking, changing and dismantling end, with an answer or an error. Where the check finds nothing
/// wrong, the tree is a map: both directions of a scan agree with each other, with the count of the check and
/// with every get, and it stays so under changes.
pub const TARGET: Target = Target { name: "tree_page", run, input_bytes_max: 16 << 10, seeds };

const TABLE: u32 = 7;
const PAGES_MAX: usize = 6;
const OPERATIONS_MAX: usize = 40;
/// More records than slots on all pages.
const STEPS_MAX: usize = 200_000;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

fn run(input: &[u8]) {
    let mut source = Source::new(input);
    let pager = pages::from_input(&mut source, PAGES_MAX);
    let tree = BTree::at(PageId::FIRST, TABLE);
    let mut model = check(&tree, &pager);
    read(&tree, &pager, model.as_ref());
    let mut operations = 0;
    while !source.is_empty() && operations < OPERATIONS_MAX {
        operate(&tree, &pager, &mut source, model.as_mut());
        operations += 1;
    }
    if model.is_some() {
        let after = check(&tree, &pager).expect("changes of a whole tree leave a whole tree");
        assert_eq!(Some(&after), model.as_ref());
        read(&tree, &pager, Some(&after));
    }
    for _ in 0..1000 {
        match tree.dismantle(&pager.enter(), &pager) {
            Ok(false) => {}
            Ok(true) | Err(_) => break,
        }
    }
}

/// The records, if the check finds nothing wrong.
fn check(tree: &BTree, pager: &Pager) -> Option<Records> {
    let report = tree.check(pager, &mut |_| ()).expect("nothing but damage goes wrong in memory");
    if !report.faults.is_empty() {
        return None;
    }
    let records = scan(tree, pager, true).expect("a whole tree");
    assert_eq!(records.len() as u64, report.records);
    assert_eq!(scan(tree, pager, false).expect("a whole tree"), records);
    Some(records)
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

fn read(tree: &BTree, pager: &Pager, model: Option<&Records>) {
    let mut out = Vec::new();
    let found = scan(tree, pager, true);
    let _ = scan(tree, pager, false);
    for (key, value) in found.iter().flatten().take(100) {
        let there = tree.get_into(pager, key, &mut out);
        if model.is_some() {
            assert!(there.expect("a whole tree") && out == *value, "{key:02x?}");
        }
    }
    let estimate = tree.len_estimate(pager);
    assert!(model.is_none() || estimate.is_ok());
    let keys: Vec<&[u8]> = found.iter().flatten().map(|(key, _)| key.as_slice()).take(20).collect();
    let _ = tree.load_leaves(pager, &keys);
}

fn operate(tree: &BTree, pager: &Pager, source: &mut Source<'_>, model: Option<&mut Records>) {
    let (key_max, value_max) = BTree::limits(pager.page_bytes());
    let kind = source.below(4);
    let len = usize::from(source.u8());
    let key = source.take(len.min(key_max));
    let value = vec![len as u8; usize::from(source.u16()) % (value_max + 1)];
    let whole = model.is_some();
    let mut nothing = Records::new();
    let model = model.unwrap_or(&mut nothing);
    let mut out = Vec::new();
    let done = match kind {
        0 => {
            let found = tree.get_into(pager, key, &mut out);
            if whole {
                assert_eq!(found.as_ref().ok(), Some(&model.contains_key(key)));
                assert!(model.get(key).is_none_or(|value| *value == out));
            }
            found.map(|_| ())
        }
        1 => pages::change(pager, |m| {
            if let Some(place) = tree.place_existing(m, pager, key)? {
                place.remove(1);
            }
            Ok(())
        })
        .inspect(|()| drop(model.remove(key))),
        2 => {
            let mut cursor = tree.cursor(pager, Bound::Included(key), Bound::Unbounded);
            let first = cursor.next().map(|record| record.map(|(key, _)| key.to_vec()));
            if whole {
                let expected = model.range(key.to_vec()..).next().map(|(key, _)| key);
                assert_eq!(first.as_ref().ok().map(Option::as_ref), Some(expected));
            }
            first.map(|_| ())
        }
        _ => pages::change(pager, |m| {
            let place = tree.place(m, pager, key, value.len())?;
            let _ = (place.old(), place.changed_at());
            place.put(&value, 1);
            Ok(())
        })
        .inspect(|()| drop(model.insert(key.to_vec(), value.clone()))),
    };
    assert!(!whole || done.is_ok(), "a whole tree: {done:?}");
}

/// The pages of a tree as an input has them.
fn input(page_bytes: usize, records: &[(Vec<u8>, usize)]) -> Vec<u8> {
    let pager = pages::in_memory(page_bytes);
    let tree = pages::change(&pager, |m| BTree::create(m, TABLE)).expect("memory for a page");
    for (key, len) in records {
        pages::change(&pager, |m| {
            tree.place(m, &pager, key, *len).map(|place| place.put(&vec![0xAB; *len], 1))
        })
        .expect("memory for some pages");
    }
    let mut input = pages::to_input(&pager);
    for (kind, key, len) in
        [(0, &b"key 3"[..], 0u16), (3, b"key 35", 40), (1, b"key 5", 0), (2, b"k", 0), (3, b"", 900)]
    {
        input.extend([kind, key.len() as u8]);
        input.extend_from_slice(key);
        input.extend_from_slice(&len.to_le_bytes());
    }
    input
}

fn seeds() -> Seeds {
    let some = |count: u32, len: usize| -> Vec<(Vec<u8>, usize)> {
        (0..count).map(|n| (format!("key {n}").into_bytes(), len)).collect()
    };
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
    ]
}
