//! A range that is cut out is gone, all else is there, both trees are whole, and no page is lost.

use super::super::test_tree::{Scramble, TestTree, change, hard_key, value, value_len};
use super::*;
use aquifer_sync::atomic::{AtomicBool, Ordering};
use aquifer_sync::{Arc, thread};
use proptest::collection::btree_map;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Cuts a range out, checks both trees, frees what was detached, and gives space back.
fn delete(tree: &TestTree, from: Bound<&[u8]>, to: Bound<&[u8]>) {
    let detached = change(&tree.pager, |m| {
        let cut = tree.tree.cut(m, &tree.pager, from, to)?;
        let detached = cut.detached();
        cut.carry_out(9);
        Ok(detached)
    });
    let pages = tree.check().pages.len() as u64;
    if let Some(detached) = detached {
        let report = detached.check(&tree.pager, &mut |_| ()).unwrap();
        assert_eq!(report.faults, []);
        assert_eq!(tree.pager.stats().pages, pages + report.pages.len() as u64);
        while !change(&tree.pager, |m| detached.dismantle(m, &tree.pager)) {}
    }
    assert_eq!(tree.pager.stats().pages, pages, "what is not reachable is free");
    for bound in [from, to] {
        if let Bound::Included(key) | Bound::Excluded(key) = bound {
            tree.tree.rebalance_path(&tree.pager, key);
        }
    }
    assert_eq!(tree.check().pages.len() as u64, tree.pager.stats().pages);
}

fn records(tree: &TestTree) -> Records {
    let mut found = Records::new();
    let mut cursor = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
    while let Some((key, value)) = cursor.next().unwrap() {
        assert!(found.insert(key.to_vec(), value.to_vec()).is_none());
    }
    let mut cursor = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
    let mut backwards = 0;
    while cursor.next_back().unwrap().is_some() {
        backwards += 1;
    }
    assert_eq!(backwards, found.len());
    found
}

fn bound(kind: u8, key: &[u8]) -> Bound<&[u8]> {
    match kind {
        0 => Bound::Unbounded,
        1 => Bound::Included(key),
        _ => Bound::Excluded(key),
    }
}

fn is_within(key: &[u8], from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    let above = match from {
        Bound::Unbounded => true,
        Bound::Included(from) => key >= from,
        Bound::Excluded(from) => key > from,
    };
    above
        && match to {
            Bound::Unbounded => true,
            Bound::Included(to) => key <= to,
            Bound::Excluded(to) => key < to,
        }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_in_the_range_is_gone_and_all_else_is_there(
        all in btree_map(hard_key(512), value_len(1024).prop_map(|len| value(5, len)), 0..250),
        ranges in proptest::collection::vec((hard_key(512), hard_key(512), 0u8..3, 0u8..3), 1..5),
    ) {
        let tree = TestTree::in_memory(4096);
        all.iter().for_each(|(key, value)| tree.put(key, value));
        let mut left = all.clone();
        for (a, b, from, to) in &ranges {
            // Often a key that is there, and mostly in order.
            let (a, b) = (a.min(b), a.max(b));
            let a = all.range(a.clone()..).next().map_or(a, |(key, _)| key);
            let (from, to) = (bound(*from, a), bound(*to, b));
            delete(&tree, from, to);
            left.retain(|key, _| !is_within(key, from, to));
            prop_assert_eq!(&records(&tree), &left);
        }
        all.iter().for_each(|(key, value)| tree.put(key, value));
        prop_assert_eq!(records(&tree), all);
    }
}

fn key(n: u64) -> Vec<u8> {
    [&n.to_be_bytes()[..], &[0x5A; 8]].concat()
}

fn large_tree() -> TestTree {
    let tree = TestTree::in_memory(4096);
    (0..50_000).for_each(|n| tree.put(&key(n), &[n as u8; 60]));
    assert!(tree.check().depth >= 3);
    tree
}

#[test]
fn a_large_range_goes_by_whole_subtrees() {
    for (from, to) in
        [(20_000, 30_000), (0, 49_000), (17, 40), (300, 50_000), (49_990, 70_000), (25_000, 25_200)]
    {
        let tree = large_tree();
        let (low, high) = (key(from), key(to));
        delete(&tree, Bound::Included(&low), Bound::Excluded(&high));
        let left = 50_000 - (to.min(50_000) - from);
        let report = tree.check();
        assert_eq!(report.records, left);
        assert_eq!(tree.get(&low), None);
        assert_eq!(tree.get(&key(from.wrapping_sub(1))).is_some(), from > 0);
        assert_eq!(tree.get(&high).is_some(), to < 50_000);
        let space = report.pages.len() as f64 * 4096.0 / (report.record_bytes as f64 + 8192.0);
        assert!(space <= 1.4, "{space} bytes for each that is left after {from}..{to}");
    }
}

#[test]
fn everything_goes_at_once() {
    let tree = large_tree();
    delete(&tree, Bound::Unbounded, Bound::Unbounded);
    assert_eq!(tree.pager.stats().pages, 1);
    assert_eq!(records(&tree), Records::new());
    tree.put(b"key", b"value");
    delete(&tree, Bound::Unbounded, Bound::Unbounded);
    assert_eq!(tree.get(b"key"), None);
}

#[test]
fn a_cut_that_is_not_carried_out_changes_nothing() {
    let tree = large_tree();
    let before = tree.check();
    for (from, to) in
        [(Bound::Unbounded, Bound::Unbounded), (Bound::Included(key(700)), Bound::Excluded(key(44_000)))]
    {
        let (from, to) = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
        change(&tree.pager, |m| {
            let cut = tree.tree.cut(m, &tree.pager, from, to)?;
            assert!(cut.detached().is_some() && !cut.is_nothing());
            Ok(())
        });
        assert_eq!(tree.pager.stats().pages, before.pages.len() as u64);
    }
    assert_eq!(tree.check(), before);
    let m = tree.pager.enter();
    assert!(
        tree.tree.cut(&m, &tree.pager, Bound::Included(b"b"), Bound::Excluded(b"b")).unwrap().is_nothing()
    );
}

/// Its neighbour is detached and not changed: the cursor must not believe it.
#[test]
fn a_cursor_on_a_leaf_that_is_detached_reads_nothing_that_is_gone() {
    let tree = large_tree();
    for forward in [true, false] {
        let mut cursor = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
        let mut step = |steps: usize| {
            let mut last = Vec::new();
            for _ in 0..steps {
                let next = if forward { cursor.next() } else { cursor.next_back() };
                last = next.unwrap().unwrap().0.to_vec();
            }
            last
        };
        let at = u64::from_be_bytes(step(10_000)[..8].try_into().unwrap());
        let (low, high) = (key(at - 5000), key(at + 5000));
        // Not freed yet: what is detached still looks as it did.
        change(&tree.pager, |m| {
            tree.tree.cut(m, &tree.pager, Bound::Included(&low), Bound::Excluded(&high))?.carry_out(9);
            Ok(())
        });
        // The rest of its copy of the leaf, at most, was read before.
        let next = u64::from_be_bytes(step(100)[..8].try_into().unwrap());
        assert!(if forward { next >= at + 5000 } else { next < at - 5000 }, "{next} after {at}");
    }
}

#[test]
fn pages_that_have_no_room_for_their_new_fences_are_split_first() {
    // Long common prefixes that the border does not share: what is left of the range grows.
    let mut scramble = Scramble(8);
    for round in 0..30u64 {
        let tree = TestTree::in_memory(4096);
        let key = |group: u64, n: u64| {
            let mut key = vec![b'a' + group as u8; 300 + 10 * group as usize];
            key.extend(n.to_be_bytes());
            key
        };
        let mut all = Records::new();
        for n in 0..2000 {
            let (key, value) = (key(n % 6, n), vec![n as u8; 8]);
            tree.put(&key, &value);
            all.insert(key, value);
        }
        let ends = [key(round % 6, scramble.below(2000)), key(scramble.below(6), scramble.below(2000))];
        let (low, high) = (ends.iter().min().unwrap(), ends.iter().max().unwrap());
        delete(&tree, Bound::Excluded(low), Bound::Included(high));
        all.retain(|key, _| key <= low || key > high);
        assert_eq!(records(&tree), all);
    }
}

/// One thread cuts out and puts back; the others read all the time.
#[test]
fn readers_go_on_while_ranges_are_cut_out_and_freed() {
    const FIXED: u64 = 400;
    let is_fixed = |n: u64| !(FIXED / 2..3000).contains(&n);
    let tree = Arc::new(TestTree::in_memory(4096));
    (0..FIXED / 2).chain(3000..3000 + FIXED / 2).for_each(|n| tree.put(&key(n), &[7; 60]));
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|kind| {
            let (tree, stop) = (tree.clone(), stop.clone());
            thread::spawn(move || {
                let mut scramble = Scramble(kind);
                while !stop.load(Ordering::Relaxed) {
                    if kind == 2 {
                        let n = scramble.below(3000 + FIXED / 2);
                        let found = tree.get(&key(n));
                        assert!(found.as_deref().map_or(!is_fixed(n), |value| value == [7; 60]), "{n}");
                        continue;
                    }
                    let mut cursor = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
                    let (mut previous, mut fixed) = (None::<u64>, 0);
                    while let Some((found, _)) =
                        (if kind == 0 { cursor.next() } else { cursor.next_back() }).unwrap()
                    {
                        let n = u64::from_be_bytes(found[..8].try_into().unwrap());
                        assert!(
                            previous.is_none_or(|previous| (previous < n) == (kind == 0) && previous != n)
                        );
                        fixed += u64::from(is_fixed(n));
                        previous = Some(n);
                    }
                    assert_eq!(fixed, FIXED);
                }
            })
        })
        .collect();
    for round in 0..25 {
        (FIXED / 2..3000).for_each(|n| tree.put(&key(n), &[7; 60]));
        let (low, high) = (key(FIXED / 2 + round), key(3000 - round));
        for (low, high) in [(&low, &high), (&key(FIXED / 2), &key(3000))] {
            let detached = change(&tree.pager, |m| {
                let cut = tree.tree.cut(m, &tree.pager, Bound::Included(low), Bound::Excluded(high))?;
                let detached = cut.detached();
                cut.carry_out(9);
                Ok(detached)
            });
            if let Some(detached) = detached {
                while !change(&tree.pager, |m| detached.dismantle(m, &tree.pager)) {}
            }
            tree.tree.rebalance_path(&tree.pager, low);
            tree.tree.rebalance_path(&tree.pager, high);
        }
    }
    stop.store(true, Ordering::Relaxed);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    let report = tree.check();
    assert_eq!((report.records, report.pages.len() as u64), (FIXED, tree.pager.stats().pages));
}
