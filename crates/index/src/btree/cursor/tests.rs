//! Cursors return what the same range of a map returns, from either end and from both.

use super::super::test_tree::{TestTree, hard_key, value};
use super::*;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        1 => Just(Bound::Unbounded),
        2 => hard_key(512).prop_map(Bound::Included),
        2 => hard_key(512).prop_map(Bound::Excluded),
    ]
}

fn filled(model: &Model) -> TestTree {
    let tree = TestTree::in_memory(4096);
    model.iter().for_each(|(key, value)| tree.put(key, value));
    tree
}

fn expected(model: &Model, from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let above = |key: &Vec<u8>| match from {
        Bound::Unbounded => true,
        Bound::Included(from) => key >= from,
        Bound::Excluded(from) => key > from,
    };
    let below = |key: &Vec<u8>| match to {
        Bound::Unbounded => true,
        Bound::Included(to) => key <= to,
        Bound::Excluded(to) => key < to,
    };
    let within = model.iter().filter(|(key, _)| above(key) && below(key));
    within.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Takes records from the front where the pattern says so, else from the back, until there are no more.
fn check(model: &Model, tree: &TestTree, from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>, pattern: &[bool]) {
    let mut left: std::collections::VecDeque<_> = expected(model, from, to).into();
    let (from, to) = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
    let mut cursor = tree.tree.cursor(&tree.pager, from, to);
    for &forward in pattern.iter().cycle() {
        let (found, record) = if forward {
            (cursor.next().unwrap(), left.pop_front())
        } else {
            (cursor.next_back().unwrap(), left.pop_back())
        };
        let record = record.as_ref().map(|(key, value)| (key.as_slice(), value.as_slice()));
        assert_eq!(found, record);
        if found.is_none() {
            break;
        }
    }
    assert_eq!(cursor.next().unwrap(), None);
    assert_eq!(cursor.next_back().unwrap(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_range_from_any_end(
        keys in btree_map(hard_key(512), 0usize..200, 0..300),
        ranges in vec((bound(), bound()), 8),
        pattern in vec(any::<bool>(), 1..9),
    ) {
        let model: Model = keys.into_iter().map(|(key, len)| (key, value(len as u64, len))).collect();
        let tree = filled(&model);
        for (from, to) in &ranges {
            for pattern in [&[true][..], &[false], &pattern] {
                check(&model, &tree, from, to, pattern);
            }
        }
    }
}

fn numbers(n: std::ops::Range<u64>) -> Model {
    n.map(|n| ((n * 2).to_be_bytes().to_vec(), vec![n as u8; 100])).collect()
}

#[test]
fn every_position_of_both_bounds_is_right() {
    let model = numbers(0..100); // four leaves
    let tree = filled(&model);
    for from in 0..201u64 {
        for to in [from, from + 1, from + 2, from + 61, 199] {
            let (low, high) = (from.to_be_bytes().to_vec(), to.to_be_bytes().to_vec());
            for pattern in [&[true][..], &[false], &[true, false, false]] {
                check(&model, &tree, &Bound::Included(low.clone()), &Bound::Excluded(high.clone()), pattern);
                check(&model, &tree, &Bound::Excluded(low.clone()), &Bound::Included(high.clone()), pattern);
            }
        }
    }
}

#[test]
fn records_put_in_behind_the_cursor_do_not_come_back() {
    let tree = filled(&numbers(0..200));
    let mut cursor = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
    let mut previous = None;
    let mut count = 0;
    while let Some((key, _)) = cursor.next().unwrap() {
        let key = key.to_vec();
        assert!(previous.as_ref() < Some(&key), "each key once and in order");
        let n = u64::from_be_bytes(key[..8].try_into().unwrap());
        if key.len() == 8 {
            count += 1;
            // Splits the leaf that is being read, and those around it.
            for extra in 0..5u8 {
                tree.put(&[&n.to_be_bytes()[..], &[extra]].concat(), &[0; 200]);
            }
        }
        previous = Some(key);
    }
    assert_eq!(count, 200, "none that was there throughout is skipped");
    tree.check();
}

#[test]
fn splits_between_backward_steps_skip_nothing() {
    let tree = filled(&numbers(0..200));
    let mut cursor = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
    let mut seen = Vec::new();
    while let Some((key, _)) = cursor.next_back().unwrap() {
        let key = key.to_vec();
        if key.len() == 8 {
            let n = u64::from_be_bytes(key[..].try_into().unwrap());
            seen.push(n / 2);
            for extra in 0..5u8 {
                tree.put(&[&n.saturating_sub(3).to_be_bytes()[..], &[extra]].concat(), &[0; 200]);
            }
        }
    }
    assert_eq!(seen, (0..200).rev().collect::<Vec<_>>());
}

#[test]
fn a_right_neighbour_that_is_another_page_is_not_believed() {
    let tree = filled(&numbers(0..300));
    let pages = tree.check().pages;
    // The first leaf now points at the last one.
    let (first, last) = (pages[1], pages[pages.len() - 1]);
    super::super::test_tree::change(&tree.pager, |m| {
        let mut page = m.exclusive(first)?;
        page.make_dirty()?;
        super::super::edit::NodeMut::new(page.bytes_mut()).set_right(last);
        Ok(())
    });
    check(&numbers(0..300), &tree, &Bound::Unbounded, &Bound::Unbounded, &[true]);
}
