//! A leaf of either kind says the same of the same records.

use super::super::anew::rebuild_leaf;
use super::super::test_tree::{LONE_PAGE, put_on, records_on};
use super::super::{Builder, Plan};
use super::*;

/// The same records on a dense leaf and on one with slots.
fn both() -> (Vec<u8>, Vec<u8>) {
    let (lower, upper) = ([&b"stem"[..], &[0; 6]].concat(), [&b"stem"[..], &[0, 0, 0, 0, 0, 1]].concat());
    let plan = Plan { lower: &lower, upper: Some(&upper), ..Plan::root(1, LONE_PAGE, 0) };
    let mut page = Builder::new(4096, &plan).unwrap().finish();
    let key = |n: u64| [&b"stem"[..], &n.to_be_bytes()].concat();
    for n in (0..260u64).filter(|n| n % 7 != 3) {
        assert!(put_on(&mut page, &key(n), &n.to_be_bytes()));
    }
    assert!(Node::new(page.as_slice()).is_dense());
    for n in (0..260u64).filter(|n| n % 3 == 1) {
        super::super::test_tree::remove_from(&mut page, &key(n));
    }
    let slotted = rebuild_leaf(Node::new(page.as_slice()), None).unwrap();
    assert!(!Node::new(slotted.as_slice()).is_dense());
    (page, slotted)
}

#[test]
fn both_kinds_say_the_same_of_the_same_records() {
    let (dense, slotted) = both();
    assert_eq!(records_on(&dense), records_on(&slotted));
    let leaves = [&dense, &slotted].map(|page| Leaf::of(Node::new(page.as_slice())));
    let said = leaves.map(|leaf| {
        let spots: Vec<Spot> = leaf.all_spots().collect();
        let bytes: Vec<_> = spots.iter().map(|&spot| leaf.slotted_bytes(spot).unwrap()).collect();
        let part: Vec<Spot> = leaf.spots(20..40).collect();
        assert_eq!(part, spots[20..40]);
        assert!((0..spots.len()).all(|index| leaf.spot(index) == spots[index]));
        let values: Vec<_> = (0..300u64)
            .map(|n| {
                let key = [&b"stem"[..], &n.to_be_bytes()].concat();
                let at = leaf.value_of(&key);
                assert_eq!(at.is_some(), leaf.find(&key).exists());
                assert_eq!(leaf.find_record(&key).and_then(Sought::spot), leaf.find(&key).spot());
                at.map(|at| at.map(|at| (at.len, at.kind)))
            })
            .collect();
        (leaf.form(), bytes, values, leaf.node().longest(0..10))
    });
    assert_eq!(said[0], said[1]);
    assert_eq!(said[0].0, Some(Form { key_len: 12, value_len: 8 }));
}

#[test]
fn records_of_several_lengths_have_no_form() {
    let mut page = Builder::new(4096, &Plan::root(1, LONE_PAGE, 0)).unwrap().finish();
    assert_eq!(Leaf::of(Node::new(page.as_slice())).form(), None);
    put_on(&mut page, b"key 1", b"value");
    put_on(&mut page, b"key 2", b"value");
    assert_eq!(Leaf::of(Node::new(page.as_slice())).form(), Some(Form { key_len: 5, value_len: 5 }));
    put_on(&mut page, b"key 3", b"values");
    assert_eq!(Leaf::of(Node::new(page.as_slice())).form(), None);
}
