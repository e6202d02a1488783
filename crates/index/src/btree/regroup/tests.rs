//! Neighbours put together anew hold what they held, whatever the keys.

use super::super::layout::KIND_LEAF;
use super::super::split::{Incoming, split};
use super::super::test_tree::{LONE_PAGE, assert_page_is_whole, hard_key, records_on, value, value_len};
use super::*;
use proptest::collection::btree_map;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

fn leaf(id: u32, records: &Records, lower: &[u8], upper: Option<&[u8]>) -> Option<Vec<u8>> {
    let plan = Plan { lower, upper, right: PageId(id + 1), ..Plan::root(7, PageId(id), 0) };
    let mut builder = Builder::new(4096, &plan).ok()?;
    records.iter().try_for_each(|(key, value)| builder.push_record(key, LeafValue::inline(value))).ok()?;
    Some(builder.finish())
}

/// Records on neighbouring leaves, cut where `cuts` say.
fn leaves(records: &Records, cuts: &[usize]) -> Option<Vec<Vec<u8>>> {
    let all: Vec<_> = records.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut pages = Vec::new();
    let (mut start, mut lower) = (0, Vec::new());
    for at in 0..=cuts.len() {
        let end = cuts.get(at).map_or(all.len(), |cut| (*cut).min(all.len()).max(start));
        let upper = (at < cuts.len()).then(|| match (end.checked_sub(1), all.get(end)) {
            (Some(before), Some(next)) => separator(&all[before].0, &next.0).to_vec(),
            (None, Some(next)) => next.0.clone(),
            _ => [all.last().map_or(&[][..], |last| &last.0), &[at as u8]].concat(),
        });
        if upper.as_ref().is_some_and(|upper| *upper <= lower) {
            return None;
        }
        let part = all[start..end].iter().cloned().collect();
        pages.push(leaf(LONE_PAGE.0 + at as u32, &part, &lower, upper.as_deref())?);
        (start, lower) = (end, upper.unwrap_or_default());
    }
    Some(pages)
}

fn records_of(pages: &[Vec<u8>]) -> Records {
    let mut found = Records::new();
    for page in pages {
        for (key, value) in records_on(page) {
            assert!(found.insert(key, value).is_none());
        }
    }
    found
}

proptest! {
    #[test]
    fn leaves_hold_what_they_held(
        records in btree_map(hard_key(200), value_len(200).prop_map(|len| value(3, len)), 0..40),
        cuts in (0..40usize, 0..40usize),
        into in 1..3usize,
    ) {
        let cuts = [cuts.0.min(cuts.1), cuts.0.max(cuts.1)];
        let Some(pages) = leaves(&records, &cuts[..into]) else { return Ok(()) };
        let nodes: Vec<_> = pages.iter().map(|page| Node::new(page.as_slice())).collect();
        let Some(regrouped) = regroup(&nodes, into, 4096).unwrap() else { return Ok(()) };
        prop_assert_eq!(regrouped.pages.len(), into);
        regrouped.pages.iter().for_each(|page| assert_page_is_whole(page));
        prop_assert_eq!(records_of(&regrouped.pages), records);
        let (first, last) = (Node::new(regrouped.pages[0].as_slice()), Node::new(regrouped.pages[into - 1].as_slice()));
        prop_assert_eq!(first.lower(), Some(&[][..]));
        prop_assert_eq!(last.upper(), Some(None));
        prop_assert_eq!(last.right(), nodes[into].right());
        if into == 2 {
            prop_assert_eq!(first.upper().unwrap(), last.lower());
            prop_assert_eq!(first.right(), last.own_id());
        }
    }
}

#[test]
fn what_was_split_fits_together_again() {
    let records: Records = (0..30u8).map(|n| (vec![b'k', n], vec![n; 100 + usize::from(n % 2)])).collect();
    let page = leaf(LONE_PAGE.0, &records, b"", None).unwrap();
    let incoming = Incoming { key: b"kz", value_len: 900, kind: ValueKind::Inline, index: 30, exists: false };
    let halves = split(&page, &incoming).unwrap();
    let mut right = halves.right.clone();
    right[24..28].copy_from_slice(&9u32.to_le_bytes());
    let nodes = [Node::new(halves.left.as_slice()), Node::new(right.as_slice())];
    let one = regroup(&nodes, 1, 4096).unwrap().unwrap();
    assert_eq!(one.pages[0][0], KIND_LEAF);
    assert_eq!(records_of(&one.pages), records);
    assert!(regroup(&nodes, 1, 2000).unwrap().is_none(), "more in use than wanted");
}

#[test]
fn neighbours_that_are_dense_together_become_dense() {
    let records = |range: std::ops::Range<u64>| -> Records {
        range.map(|n| (n.to_be_bytes().to_vec(), vec![n as u8; 8])).collect()
    };
    let (border, all) = (250u64.to_be_bytes(), records(100..400));
    let left = leaf(5, &records(100..250), b"", Some(&border)).unwrap();
    let right = leaf(6, &records(250..400), &border, None).unwrap();
    let nodes = [Node::new(left.as_slice()), Node::new(right.as_slice())];
    for into in [1, 2] {
        let regrouped = regroup(&nodes, into, 4096).unwrap().unwrap();
        assert_eq!(records_of(&regrouped.pages), all);
        assert!(regrouped.pages.iter().all(|page| Node::new(page.as_slice()).is_dense()));
        regrouped.pages.iter().for_each(|page| assert_page_is_whole(page));
    }
}

#[test]
fn pages_that_are_no_neighbours_are_refused() {
    let left = leaf(5, &Records::new(), b"a", Some(b"b")).unwrap();
    let right = leaf(6, &Records::new(), b"c", Some(b"d")).unwrap();
    let nodes = [Node::new(left.as_slice()), Node::new(right.as_slice())];
    assert_eq!(regroup(&nodes, 1, 4096).unwrap_err(), APART);
}

#[test]
fn inner_pages_keep_every_child_and_the_separator_between_them() {
    let inner = |id: u32, lower: &[u8], upper: Option<&[u8]>, leftmost: u32, keys: &[&[u8]]| {
        let plan = Plan {
            lower,
            upper,
            leftmost: PageId(leftmost),
            changed_at: u64::from(id),
            ..Plan::root(7, PageId(id), 1)
        };
        let mut builder = Builder::new(4096, &plan).unwrap();
        for (at, key) in keys.iter().enumerate() {
            builder.push_child(key, PageId(leftmost + 1 + at as u32)).unwrap();
        }
        builder.finish()
    };
    let left = inner(5, b"", Some(b"m"), 10, &[b"c", b"f"]);
    let right = inner(6, b"m", None, 13, &[b"p"]);
    let nodes = [Node::new(left.as_slice()), Node::new(right.as_slice())];
    for into in [1, 2] {
        let regrouped = regroup(&nodes, into, 4096).unwrap().unwrap();
        regrouped.pages.iter().for_each(|page| assert_page_is_whole(page));
        let nodes: Vec<_> = regrouped.pages.iter().map(|page| Node::new(page.as_slice())).collect();
        let children = nodes.iter().flat_map(|node| (0..=node.count()).map(|at| node.child(at).0));
        assert_eq!(children.collect::<Vec<_>>(), [10, 11, 12, 13, 14]);
        assert!(nodes.iter().all(|node| node.changed_at() == 6), "RG4");
    }
}
