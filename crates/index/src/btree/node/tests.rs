//! Random bytes as a page: reading it never panics, loops or allocates without bound.

use super::super::anew::rebuild_leaf;
use super::super::dense_edit::DenseMut;
use super::super::edit::NodeMut;
use super::super::leaf::Leaf;
use super::super::page_check::{Expected, check_page};
use super::super::split::{Incoming, split};
use super::super::test_tree::hard_key;
use super::*;
use crate::words::tests::OnlyWords;
use proptest::collection::vec;
use proptest::prelude::*;

/// Bytes that get past the first checks more often than random ones do.
fn nearly_a_page() -> impl Strategy<Value = Vec<u8>> {
    let header = (
        prop_oneof![0u8..3, Just(KIND_DENSE), Just(KIND_FINGERPRINTS)],
        0u8..4,
        0u8..3,
        0u16..120,
        0u16..40,
        0u16..4000,
        0u16..4000,
        0u16..300,
    );
    (header, vec(any::<u8>(), 4096)).prop_map(|(header, mut page)| {
        let (kind, flags, level, count, prefix_len, heap_bytes, live_bytes, fence_len) = header;
        page[KIND] = kind;
        page[FLAGS] = flags;
        page[LEVEL] = level;
        let sizes = [
            (COUNT, count),
            (PREFIX_LEN, prefix_len),
            (HEAP_BYTES, heap_bytes.max(live_bytes)),
            (LIVE_BYTES, heap_bytes.min(live_bytes)),
            (LOWER_LEN, fence_len),
            (UPPER_LEN, fence_len / 2),
        ];
        for (offset, size) in sizes {
            page[offset..offset + 2].copy_from_slice(&size.to_le_bytes());
        }
        if kind == KIND_FINGERPRINTS {
            // Places that can be.
            page[36..38]
                .copy_from_slice(&(count.next_multiple_of(16) + heap_bytes % 3 / 2 * 5).to_le_bytes());
        }
        if kind == KIND_DENSE {
            // Places and lengths that can be.
            page[HEAP_BYTES..HEAP_BYTES + 2].copy_from_slice(&(heap_bytes % 600 + 1).to_le_bytes());
            page[LIVE_BYTES..LIVE_BYTES + 2].copy_from_slice(&(live_bytes % 10).to_le_bytes());
            page[36..38].copy_from_slice(&(prefix_len % 20).to_le_bytes());
            page[LEFTMOST + 5..LEFTMOST + 8].fill(0);
        }
        page
    })
}

fn read_everything<W: Words>(node: Node<W>, key: &[u8]) {
    let mut out = Vec::new();
    let leaf = Leaf::of(node);
    for spot in leaf.all_spots() {
        leaf.key_to(spot, &mut out);
        assert!(out.len() <= 4096 + 65536);
        leaf.slotted_bytes(spot);
        leaf.value_at(spot);
    }
    assert!(leaf.value_of(key).is_some() || leaf.find_record(key).is_none());
    leaf.run_position();
    leaf.form();
    node.longest(0..node.count());
    for index in 0..node.slot_count() {
        let slot = node.slot(index);
        node.key_to(slot, &mut out);
        assert!(out.len() <= 4096 + 65536);
        node.entry_len(slot);
        node.value_range(slot);
        node.child(index);
        node.compare_rest(slot, entry_head_bytes(node.level()), Suffix::of(key, node.prefix_len()));
    }
    node.lower_to(&mut out);
    node.upper_to(&mut out);
    node.prefix_to(&mut out);
    node.covers(key);
    node.find(key);
    node.position(key, true);
    node.child_index(key);
    node.child_index_before(key);
    assert!(node.gap_bytes() <= 4096 && node.heap_start() <= 4096);
    assert!(!node.is_sane() || node.free_bytes() <= 4096);
}

fn read_and_change(page: &[u8], key: &[u8]) {
    let node = Node::new(page);
    read_everything(node, key);
    read_everything(Node::new(OnlyWords(page)), key);
    Leaf::of(node)
        .all_spots()
        .for_each(|spot| assert!(Leaf::of(node).value(spot).is_none_or(|it| it.bytes.len() < 4096)));
    (0..node.slot_count())
        .for_each(|index| assert!(node.rest(node.slot(index)).is_none_or(|rest| rest.len() <= 4096)));
    if !node.is_sane() {
        return;
    }
    check_page(node, &Expected { id: node.own_id(), lower: Some(b""), upper: Some(None) });
    let exists = Leaf::of(node).find(key).exists();
    for value_len in [0, 8, 1024] {
        let (index, kind) = (node.position(key, false), ValueKind::Inline);
        if let Ok(halves) = split(page, &Incoming { key, value_len, kind, index, exists }) {
            assert_eq!((halves.left.len(), halves.right.len()), (page.len(), page.len()));
        }
    }
    if node.is_dense() {
        let _ = rebuild_leaf(node, None);
        let places = Dense::of(node).shape().places;
        let mut copy = page.to_vec();
        DenseMut::new(&mut copy).put(places - 1, &vec![1; Dense::of(node).shape().form.value_len]);
        DenseMut::new(&mut copy).remove(places - 1);
        return;
    }
    let mut copy = page.to_vec();
    if NodeMut::new(&mut copy).compact(None).is_err() {
        assert_eq!(copy, page, "ED2");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_are_no_danger(page in vec(any::<u8>(), 4096), key in hard_key(512)) {
        read_and_change(&page, &key);
    }

    #[test]
    fn nearly_right_headers_are_no_danger(page in nearly_a_page(), key in hard_key(512)) {
        read_and_change(&page, &key);
    }
}
