//! What the check finds: each kind of damage, one at a time.

use super::super::edit::NodeMut;
use super::super::layout::*;
use super::super::test_tree::{TestTree, change};

/// With leaves that have slots, or dense ones.
fn tree_of(is_dense: bool) -> TestTree {
    let tree = TestTree::in_memory(4096);
    for n in 0..4000u64 {
        let len = if is_dense { 4 } else { 3 + n as usize % 2 * 2 };
        tree.put(&[&b"key"[..], &n.to_be_bytes()].concat(), &vec![n as u8; len]);
    }
    tree
}

fn tree() -> TestTree {
    tree_of(false)
}

fn check(damage: impl Fn(&mut [u8]), expected: &str) {
    check_of(tree(), damage, expected);
}

/// Damages the second leaf and expects a fault that says so.
fn check_of(tree: TestTree, damage: impl Fn(&mut [u8]), expected: &str) {
    let report = tree.check();
    assert_eq!((report.records, report.depth), (4000, 2));
    assert_eq!(report.record_bytes, 4000 * 15);
    let page = report.pages[2];
    change(&tree.pager, |m| {
        let mut page = m.exclusive(page)?;
        page.make_dirty()?;
        damage(page.bytes_mut());
        Ok(())
    });
    let report = tree.tree.check(&tree.pager, &mut |_| ()).unwrap();
    let found = report.faults.iter().any(|(at, what)| *at == page && what.contains(expected));
    assert!(found, "{expected}: {:?}", report.faults);
}

#[test]
fn each_kind_of_damage_is_a_fault() {
    check(|page| page[OWN_ID] ^= 1, "its own id");
    check(|page| page[OWNER] ^= 1, "owner");
    check(|page| page[KIND] = 9, "kind");
    check(|page| page[LEVEL] = 1, "level");
    check(|page| page[COUNT + 1] = 0xFF, "sizes");
    check(|page| page[HEAP_BYTES + 1] = 0xFF, "sizes");
    check(|page| page[LIVE_BYTES] -= 1, "live bytes");
    check(|page| page[PREFIX_LEN] -= 1, "prefix");
    check(|page| page[HINTS] ^= 1, "hint");
    check(|page| page[SLOTS + 7] ^= 0x80, "(BT");
    check(|page| page[SLOTS..SLOTS + 16].rotate_left(8), "(BT2)");
    check(|page| page[SLOTS + 3] = 0xFF, "beyond the page");
    check(|page| page[SLOTS + 2] = page[SLOTS + 10], "overlap");
    check(|page| *page.last_mut().unwrap() ^= 1, "lower fence");
    check(|page| NodeMut::new(page).set_right(aquifer_buffer::PageId(1)), "right neighbour");
}

#[test]
fn each_kind_of_damage_of_a_dense_leaf_is_a_fault() {
    let check = |damage: &dyn Fn(&mut [u8]), expected| check_of(tree_of(true), damage, expected);
    check(&|page| assert_eq!(std::mem::replace(&mut page[KIND], 1), KIND_DENSE), "make no sense");
    check(&|page| page[OWN_ID] ^= 1, "its own id");
    check(&|page| page[OWNER] ^= 1, "owner");
    check(&|page| page[LEVEL] = 1, "level");
    check(&|page| page[COUNT] -= 1, "(DN2)");
    check(&|page| page[COUNT + 1] = 0xFF, "sizes");
    check(&|page| page[HEAP_BYTES + 1] = 0xFF, "sizes");
    check(&|page| page[LIVE_BYTES] = 0xFF, "sizes");
    check(&|page| page[36] = 0, "sizes");
    check(&|page| page[36] += 9, "sizes");
    check(&|page| page[LEFTMOST + 2] ^= 1, "between the fences (BT1)");
    check(&|page| page[LEFTMOST..LEFTMOST + 8].fill(0xFF), "sizes");
    check(&|page| page[HEADER_BYTES] ^= 1, "(DN2)");
    check(&|page| page[PREFIX_LEN] -= 1, "prefix");
    check(&|page| *page.last_mut().unwrap() ^= 1, "lower fence");
    let places = |page: &[u8]| usize::from(u16::from_le_bytes([page[8], page[9]]));
    check(&|page| page[HEADER_BYTES + places(page) / 8] |= 0x80, "does not have (DN2)");
}

/// Keys of which a hundred have the same head each.
fn tree_of_paths() -> TestTree {
    let tree = TestTree::in_memory(4096);
    for n in 0..4000usize {
        tree.put(format!("k{:02}/{n:07}", n / 100).as_bytes(), &vec![n as u8; 3 + n % 2 * 2]);
    }
    tree
}

#[test]
fn each_kind_of_damage_of_a_leaf_with_fingerprints_is_a_fault() {
    let check = |damage: &dyn Fn(&mut [u8]), expected| check_of(tree_of_paths(), damage, expected);
    check(&|page| assert_eq!(std::mem::replace(&mut page[KIND], 1), KIND_FINGERPRINTS), "beyond the page");
    check(&|page| page[KIND] = KIND_DENSE, "make no sense");
    check(&|page| page[LEVEL] = 1, "level");
    check(&|page| page[COUNT + 1] = 0xFF, "sizes");
    check(&|page| page[COUNT] -= 1, "live bytes");
    check(&|page| page[36] = 0, "sizes");
    check(&|page| page[36] += 8, "sizes");
    check(&|page| page[36] += 16, "(FP1)");
    check(&|page| page[37] = 0xFF, "sizes");
    check(&|page| page[FINGERPRINTS] ^= 1, "the fingerprint of slot 0 is not its key's (FP1)");
    check(&|page| page[FINGERPRINTS + 130] ^= 0x80, "the fingerprint of slot 130 is not its key's (FP1)");
    check(&|page| page[FINGERPRINTS..FINGERPRINTS + 5].rotate_left(1), "(FP1)");
    let slots = |page: &mut [u8], damage: &dyn Fn(&mut [u8])| {
        let places = usize::from(u16::from_le_bytes([page[36], page[37]]));
        damage(&mut page[HEADER_BYTES + places..]);
    };
    check(&|page| slots(page, &|slots| slots[7] ^= 0x80), "(BT");
    check(&|page| slots(page, &|slots| slots[..16].rotate_left(8)), "(BT2)");
    check(&|page| slots(page, &|slots| slots[2] = slots[10]), "overlap");
    check(&|page| page[PREFIX_LEN] -= 1, "prefix");
}

#[test]
fn a_page_that_is_reached_twice_is_visited_once() {
    let tree = tree();
    change(&tree.pager, |m| {
        let mut root = m.exclusive(tree.tree.root())?;
        root.make_dirty()?;
        let own = tree.tree.root();
        NodeMut::new(root.bytes_mut()).set_leftmost(own);
        Ok(())
    });
    let report = tree.tree.check(&tree.pager, &mut |_| ()).unwrap();
    assert!(report.faults.iter().any(|(page, what)| *page == tree.tree.root() && what.contains("twice")));
    let mut pages = report.pages.clone();
    pages.sort();
    pages.dedup();
    assert_eq!(pages.len(), report.pages.len());
}

#[test]
fn progress_counts_pages() {
    let tree = tree();
    let mut seen = Vec::new();
    let report = tree.tree.check(&tree.pager, &mut |pages| seen.push(pages)).unwrap();
    assert_eq!(seen, (1..=report.pages.len() as u64).collect::<Vec<_>>());
}
