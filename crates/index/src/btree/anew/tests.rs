//! Which kind of leaf records get, and where their places begin.

use super::super::test_tree::{LONE_PAGE, assert_page_is_whole, records_on};
use super::*;
use crate::LeafValue;

fn plan<'k>(lower: &'k [u8], upper: Option<&'k [u8]>, run: i8) -> Plan<'k> {
    Plan { lower, upper, run, ..Plan::root(1, LONE_PAGE, 0) }
}

fn shape(plan: &Plan<'_>, numbers: &[u64], value_len: usize) -> Option<Shape> {
    let keys: Vec<_> = numbers.iter().map(|n| n.to_be_bytes()).collect();
    let (first, last) = (keys[0].as_slice(), keys[keys.len() - 1].as_slice());
    Outline { count: keys.len(), first, last, value_len }.shape(4096, plan)
}

#[test]
fn a_leaf_is_dense_if_that_takes_no_more_room() {
    let wide = plan(&[], None, 0);
    let spread = |count: u64, step: u64| -> Vec<u64> { (0..count).map(|n| 5000 + n * step).collect() };
    assert!(shape(&wide, &spread(100, 1), 8).is_some());
    assert!(shape(&wide, &spread(100, 2), 8).is_some());
    assert!(shape(&wide, &spread(100, 4), 8).is_none());
    assert!(shape(&wide, &spread(30, 1), 100).is_some());
    assert!(shape(&wide, &spread(20, 2), 100).is_none());
    assert!(shape(&wide, &spread(500, 1), 8).is_none(), "they do not fit");
    assert!(shape(&wide, &[5], 8).is_some());
    assert!(shape(&wide, &[5, u64::MAX], 8).is_none());
}

#[test]
fn places_are_where_records_are_expected() {
    let (lower, upper) = (2000u64.to_be_bytes(), 9000u64.to_be_bytes());
    let check = |run: i8, numbers: &[u64], first: u64| {
        let shape = shape(&plan(&lower, Some(&upper), run), numbers, 8).unwrap();
        assert_eq!(shape.base, first);
        assert!(shape.places >= 490 && shape.base + shape.places as u64 <= 9000);
        assert!(numbers.iter().all(|n| shape.place(&n.to_be_bytes()).is_some()));
        shape.places as u64
    };
    check(9, &[5000, 5001], 5000);
    let places = check(-9, &[5000, 5001], 5002 - 496);
    assert_eq!(places, 496);
    check(0, &[5000, 5001], 5000 - (places - 2) / 2);
    check(-9, &[2003, 2004], 2000);
    check(9, &[8990, 8999], 9000 - places);
    let narrow = 2010u64.to_be_bytes();
    let shape = shape(&plan(&lower, Some(&narrow), 0), &[2004], 8).unwrap();
    assert_eq!((shape.base, shape.places), (2000, 10));
}

#[test]
fn a_stem_beyond_the_prefix_forbids_places() {
    let key = |n: u8| [&b"stem"[..], &[0, 0, 0, 0, 0, 0, 0, n]].concat();
    let (first, last) = (key(1), key(2));
    let outline = Outline { count: 2, first: &first, last: &last, value_len: 8 };
    assert!(outline.shape(4096, &plan(&[], None, 0)).is_none());
    assert!(outline.shape(4096, &plan(b"stem", Some(b"stem\xFF"), 0)).is_some());
    assert!(outline.shape(4096, &plan(b"ste", Some(b"stf"), 0)).is_none());
}

#[test]
fn records_that_turn_out_to_differ_get_slots() {
    let keys: Vec<Vec<u8>> = (0..100u64).map(|n| n.to_be_bytes().to_vec()).collect();
    let large =
        |at: usize| if at == 50 { LeafValue::large(b"12345678") } else { LeafValue::inline(b"12345678") };
    let longer = |at: usize| LeafValue::inline(if at == 50 { b"123456789" } else { b"12345678" });
    let same = |_| LeafValue::inline(b"12345678");
    let build = |value: &dyn Fn(usize) -> LeafValue<'static>| {
        let outline = Outline { count: 100, first: &keys[0], last: &keys[99], value_len: 8 };
        let page = build_leaf(4096, &plan(&[], None, 0), Some(outline), |builder| {
            keys.iter().enumerate().try_for_each(|(at, key)| builder.push_record(key, value(at)))
        });
        let page = page.unwrap();
        assert_page_is_whole(&page);
        assert_eq!(records_on(&page).len(), 100);
        Node::new(page.as_slice()).is_dense()
    };
    assert_eq!([build(&same), build(&large), build(&longer)], [true, false, false]);
}

#[test]
fn a_count_that_would_lose_records_is_refused() {
    let keys: Vec<Vec<u8>> = (0..100u64).map(|n| n.to_be_bytes().to_vec()).collect();
    let outline = Outline { count: 100, first: &keys[0], last: &keys[99], value_len: 8 };
    let page = build_leaf(4096, &plan(&[], None, 0), Some(outline), |builder| {
        keys.iter().try_for_each(|key| builder.push_record(key, LeafValue::inline(b"12345678")))
    });
    let mut page = page.unwrap();
    assert!(rebuild_leaf(Node::new(page.as_slice()), None).is_ok());
    page[4] -= 1;
    let node = Node::new(page.as_slice());
    assert!(rebuild_leaf(node, None).is_err());
    assert!(build_leaf_of(node, &plan(&[], None, 0), [0..50, 0..0]).is_err());
}
