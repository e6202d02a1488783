//! What the tests of this folder share: a tree in memory, hard keys, and plain helpers.

use super::anew::rebuild_leaf;
use super::dense_edit::DenseMut;
use super::edit::NodeMut;
use super::fingerprint;
use super::layout::Suffix;
use super::leaf::{Leaf, Sought, Spot};
use super::page_check::{Expected, check_page};
use super::place::{Fit, Wanted, fit};
use super::search::Found;
use super::{BTree, CheckReport, Node};
use crate::PointReads;
use crate::{LeafValue, ValueKind};
use aquifer_buffer::{Mutation, PageId, Pager, PagerOptions, Retry};
use aquifer_pools::Budget;
use aquifer_sync::Arc;
use proptest::collection::vec;
use proptest::prelude::*;

/// A tree and its pager.
pub(crate) struct TestTree {
    pub(crate) pager: Arc<Pager>,
    pub(crate) tree: BTree,
}

pub(crate) const TABLE: u32 = 7;

/// Runs `attempt` inside the gate until it succeeds.
pub(crate) fn change<R>(pager: &Pager, attempt: impl Fn(&Mutation<'_>) -> Result<R, Retry>) -> R {
    loop {
        let result = attempt(&pager.enter());
        match result {
            Ok(done) => return done,
            Err(retry) => pager.resolve(retry).unwrap(),
        }
    }
}

impl TestTree {
    pub(crate) fn in_memory(page_bytes: usize) -> Self {
        let budget = Budget::new(64 << 20);
        Self::on(Pager::in_memory(PagerOptions { page_bytes, budget }).unwrap())
    }

    pub(crate) fn on(pager: Arc<Pager>) -> Self {
        let tree = change(&pager, |m| BTree::create(m, TABLE));
        Self { pager, tree }
    }

    pub(crate) fn put(&self, key: &[u8], value: &[u8]) {
        change(&self.pager, |m| {
            self.tree.place(m, &self.pager, key, value.len()).map(|place| place.put(value, 1))
        });
    }

    /// Removes a record; says what its value was.
    pub(crate) fn remove(&self, key: &[u8]) -> Option<Vec<u8>> {
        let (old, lean) = change(&self.pager, |m| {
            let Some(place) = self.tree.place_existing(m, &self.pager, key)? else {
                return Ok((None, false));
            };
            let old = place.old().map(|value| value.bytes.to_vec());
            Ok((old, place.remove(1)))
        });
        if lean {
            self.tree.rebalance(&self.pager, key);
        }
        old
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut out = b"what was there before".to_vec();
        self.tree.get_into(&self.pager, key, &mut out).unwrap().then_some(out)
    }

    /// The last child of an inner page.
    pub(crate) fn last_child(&self, page: PageId) -> PageId {
        let latched = self.pager.shared(page).unwrap();
        let node = Node::new(latched.bytes());
        node.child(node.count())
    }

    /// Checks the whole tree.
    pub(crate) fn check(&self) -> CheckReport {
        let report = self.tree.check(&self.pager, &mut |_| ()).unwrap();
        assert_eq!(report.faults, []);
        report
    }
}

/// How many leaves of a tree are of this kind.
pub(crate) fn leaves_of_kind(tree: &TestTree, kind: u8) -> u64 {
    let pages = tree.check().pages;
    pages.iter().filter(|&&page| tree.pager.shared(page).unwrap().bytes()[0] == kind).count() as u64
}

/// Checks a page by itself.
pub(crate) fn assert_page_is_whole(page: &[u8]) {
    let node = Node::new(page);
    assert!(node.is_sane());
    let (lower, upper) = (node.lower().unwrap(), node.upper().unwrap());
    let expected = Expected { id: node.own_id(), lower: Some(lower), upper: Some(upper) };
    assert_eq!(check_page(node, &expected).faults, Vec::<String>::new());
}

/// Puts a record on a leaf by itself, as `Place` does; `false` if it must be split.
pub(crate) fn put_on(page: &mut Vec<u8>, key: &[u8], value: &[u8]) -> bool {
    let wanted = Wanted { key, value_len: value.len(), kind: ValueKind::Inline };
    let find = |page: &[u8]| Leaf::of(Node::new(page)).find(key);
    let sought = find(page);
    match fit(Node::new(page.as_slice()), &wanted, sought).unwrap() {
        Fit::Split => return false,
        Fit::Compact => {
            let last = if let Sought::Slot(found) = sought { found.slot.map(|_| found.index) } else { None };
            NodeMut::new(page).compact(last).unwrap();
        }
        Fit::Anew(shape) => *page = rebuild_leaf(Node::new(page.as_slice()), shape).unwrap(),
        Fit::Fits => {}
    }
    let (node, sought) = (Node::new(page.as_slice()), find(page));
    assert_eq!(fit(node, &wanted, sought).unwrap(), Fit::Fits, "PL4");
    let suffix = Suffix::of(key, node.prefix_len());
    match sought {
        Sought::Slot(Found { index, slot: Some(slot) }) => {
            let entry_len = node.entry_len(slot).unwrap();
            NodeMut::new(page).replace(index, slot, entry_len, LeafValue::inline(value));
        }
        Sought::Slot(Found { index, slot: None }) => {
            let mut node = NodeMut::new(page);
            node.stash(suffix.rest);
            let fingerprint = fingerprint::of(key);
            node.insert_stashed(index, suffix.head, suffix.len, fingerprint, LeafValue::inline(value));
        }
        Sought::Place(place, _) => DenseMut::new(page).put(place, value),
        Sought::Nowhere => unreachable!("it fits"),
    }
    true
}

/// Removes a record from a leaf by itself; whether it was there.
pub(crate) fn remove_from(page: &mut [u8], key: &[u8]) -> bool {
    let node = Node::new(&*page);
    match Leaf::of(node).find(key) {
        Sought::Slot(Found { index, slot: Some(slot) }) => {
            let entry_len = node.entry_len(slot).unwrap();
            NodeMut::new(page).remove(index, entry_len);
            true
        }
        Sought::Place(place, true) => {
            DenseMut::new(page).remove(place);
            true
        }
        _ => false,
    }
}

/// The records of a leaf by itself.
pub(crate) fn records_on(page: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let leaf = Leaf::of(Node::new(page));
    let record = |spot: Spot| {
        let mut key = Vec::new();
        leaf.key_to(spot, &mut key);
        (key, leaf.value(spot).unwrap().bytes.to_vec())
    };
    leaf.all_spots().map(record).collect()
}

/// Keys and lengths of values of which leaves become dense, with some that turn them back into slots: two stems, two lengths
/// of keys, mostly one length of values.
pub(crate) fn number_record() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let wide = (0u64..700).prop_map(|n| (0xFFF0_FF00 + n).to_be_bytes().to_vec());
    let stemmed = (0u64..700).prop_map(|n| [&b"a stem/"[..], &n.to_be_bytes()].concat());
    let short = (0u16..700).prop_map(|n| n.to_be_bytes().to_vec());
    let key = prop_oneof![20 => wide, 8 => stemmed, 4 => short];
    (key, prop_oneof![60 => Just(8usize), 1 => 0usize..40])
}

/// Keys like addresses, whose leaves get fingerprints; some are whole numbers instead.
pub(crate) fn path_key() -> impl Strategy<Value = Vec<u8>> {
    let path = (0..6000u32).prop_map(path);
    let number = (0u64..700).prop_map(|n| (0xFFF0_FF00 + n).to_be_bytes().to_vec());
    prop_oneof![9 => path, 1 => number]
}

/// An address: the four hosts have eight of each section's numbers, so most neighbours' heads are equal.
pub(crate) fn path(n: u32) -> Vec<u8> {
    format!("https://host-{}.example/section-{}/article-{n}", n % 4, n / 32).into_bytes()
}

/// Keys that are hard on a tree: long common prefixes, prefixes of each other, runs of 0x00 and 0xFF,
/// the empty key, and ordinary ones; up to the longest.
pub(crate) fn hard_key(key_max: usize) -> impl Strategy<Value = Vec<u8>> {
    let short = vec(any::<u8>(), 0..20);
    let dense = vec(0u8..3, 0..6);
    let run = (prop_oneof![Just(0u8), Just(0xFF), Just(b'a')], 0..=key_max).prop_map(|(b, n)| vec![b; n]);
    let prefixed = (0..key_max - 4, vec(any::<u8>(), 0..4)).prop_map(|(n, tail)| {
        let mut key = vec![b'p'; n];
        key.extend(tail);
        key
    });
    let long = vec(any::<u8>(), key_max - 8..=key_max);
    let tails =
        (0u32..4000).prop_map(|n| format!("a/rather/long/path/that/all/keys/share/{n:05}").into_bytes());
    let number = (0u64..2000).prop_map(|n| n.to_be_bytes().to_vec());
    prop_oneof![2 => short, 2 => dense, 1 => run, 2 => prefixed, 1 => long, 2 => tails, 2 => number]
}

/// Lengths of values: mostly small, sometimes the longest.
pub(crate) fn value_len(value_max: usize) -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0usize..40, 1 => 0..=value_max, 1 => Just(value_max)]
}

/// A value of a length, told apart by `seed`.
pub(crate) fn value(seed: u64, len: usize) -> Vec<u8> {
    (0..len).map(|at| (seed.wrapping_mul(31).wrapping_add(at as u64)) as u8).collect()
}

/// Numbers that look random, from a seed.
pub(crate) struct Scramble(pub(crate) u64);

impl Scramble {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // splitmix64, Steele et al., "Fast splittable pseudorandom number generators" (2014)
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }
}

/// Every id below this is free or was never used, for pages made without a pager.
pub(crate) const LONE_PAGE: PageId = PageId(5);
