//! Changes of a dense leaf, and the runs that they leave.

use super::super::dense::Dense;
use super::super::leaf::Leaf;
use super::super::test_tree::{LONE_PAGE, assert_page_is_whole, put_on, records_on, remove_from};
use super::super::{Builder, Plan};
use super::*;

/// A dense leaf with values of eight bytes of these numbers.
fn leaf(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut page = Builder::new(4096, &Plan::root(1, LONE_PAGE, 0)).unwrap().finish();
    (1000..1200).for_each(|n| assert!(put(&mut page, n)));
    (1200..1250).for_each(|n| assert!(put(&mut page, n)));
    assert!(Node::new(page.as_slice()).is_dense());
    (1000..1250u64).for_each(|n| assert!(remove_from(&mut page, &n.to_be_bytes())));
    numbers.into_iter().for_each(|n| assert!(put(&mut page, n)));
    page
}

fn put(page: &mut Vec<u8>, n: u64) -> bool {
    put_on(page, &n.to_be_bytes(), &n.to_le_bytes())
}

fn run(page: &[u8]) -> (i8, usize) {
    let node = Node::new(page);
    (node.summary().run(), Leaf::of(node).run_position())
}

#[test]
fn insertions_in_a_row_make_a_run_with_or_without_gaps() {
    assert_eq!(run(&leaf([1010, 1011, 1012])), (2, 3));
    assert_eq!(run(&leaf([1010, 1015, 1099])), (2, 3));
    assert_eq!(run(&leaf([1050, 1049, 1040, 1030])), (-4, 1));
    assert_eq!(run(&leaf([1010, 1050, 1020])).0, -1);
    assert_eq!(run(&leaf([1010, 1050, 1060, 1020])).0, 0);
    let mut page = leaf([1010, 1011, 1012]);
    assert!(remove_from(&mut page, &1011u64.to_be_bytes()));
    assert_eq!(run(&page).0, 0);
}

#[test]
fn a_value_is_replaced_where_it_is_and_its_hole_is_filled_again() {
    let mut page = leaf([1001, 1100]);
    let before = page.clone();
    assert!(put_on(&mut page, &1100u64.to_be_bytes(), b"replaced"));
    assert_eq!(page.iter().zip(&before).filter(|(a, b)| a != b).count(), 8, "nothing but the value changes");
    assert!(!remove_from(&mut page, &1002u64.to_be_bytes()));
    assert!(remove_from(&mut page, &1001u64.to_be_bytes()));
    assert_eq!(records_on(&page), [(1100u64.to_be_bytes().to_vec(), b"replaced".to_vec())]);
    assert!(put(&mut page, 1001));
    assert_page_is_whole(&page);
    assert_eq!(Node::new(page.as_slice()).count(), 2);
    assert!(Dense::of(Node::new(page.as_slice())).is_sane(Node::new(page.as_slice())));
}
