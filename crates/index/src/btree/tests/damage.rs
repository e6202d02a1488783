//! Pages with the right checksum and the wrong bytes: errors and faults, never a panic or an endless loop.

use super::super::layout::KIND_FINGERPRINTS;
use super::super::test_tree::{Scramble, TestTree, change};
use crate::PointReads;
use aquifer_buffer::{Error, PageId, Retry};
use std::ops::Bound;

fn tree() -> TestTree {
    let tree = TestTree::in_memory(4096);
    for n in 0..3000u64 {
        tree.put(&(n * 5).to_be_bytes(), &[n as u8; 40]);
    }
    tree
}

/// Dense leaves, but for the one at the edge.
fn dense_tree() -> TestTree {
    let tree = TestTree::in_memory(4096);
    for n in 0..4000u64 {
        tree.put(&(n * 3).to_be_bytes(), &(n as u32).to_be_bytes());
    }
    tree
}

/// The key that does the same on each of the trees.
fn key_of(seed: u64, n: u64) -> Vec<u8> {
    if seed.is_multiple_of(2) { n.to_be_bytes().to_vec() } else { path(n) }
}

fn path(n: u64) -> Vec<u8> {
    format!("a/path/{:03}/that/some/share/{n:06}", n / 200).into_bytes()
}

/// Leaves with fingerprints.
fn path_tree() -> TestTree {
    let tree = TestTree::in_memory(4096);
    for n in 0..3000u64 {
        tree.put(&path(n * 5), &[n as u8; 12]);
    }
    let pages = tree.check().pages;
    let kinds = pages.iter().map(|&page| tree.pager.shared(page).unwrap().bytes()[0]);
    assert!(kinds.filter(|&kind| kind == KIND_FINGERPRINTS).count() * 10 > pages.len() * 8);
    tree
}

fn overwrite(tree: &TestTree, page: PageId, change_bytes: impl Fn(&mut [u8])) {
    change(&tree.pager, |m| {
        let mut page = m.exclusive(page)?;
        page.make_dirty()?;
        change_bytes(page.bytes_mut());
        Ok(())
    });
}

/// Does everything once; whatever comes of it, it must come.
fn use_it(tree: &TestTree, seed: u64) {
    let mut scramble = Scramble(seed);
    let mut out = Vec::new();
    for _ in 0..40 {
        let key = key_of(scramble.below(2), scramble.below(15_500));
        let _ = tree.tree.get_into(&tree.pager, &key, &mut out);
        for len in [0, 4, 40, 900] {
            let m = tree.pager.enter();
            if let Ok(place) = tree.tree.place(&m, &tree.pager, &key, len) {
                let _ = place.old();
                place.put(&vec![1; len], 1);
            }
        }
        let m = tree.pager.enter();
        if let Ok(Some(place)) = tree.tree.place_existing(&m, &tree.pager, &key) {
            place.remove(1);
        }
        drop(m);
        tree.tree.rebalance(&tree.pager, &key);
    }
    for forward in [true, false] {
        let mut cursor = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
        let mut steps = 0;
        while let Ok(Some(_)) = if forward { cursor.next() } else { cursor.next_back() } {
            steps += 1;
            assert!(steps < 1_000_000, "CR4");
        }
    }
    let _ = tree.tree.len_estimate(&tree.pager);
    let _ = tree.tree.count(&tree.pager, Bound::Unbounded, Bound::Unbounded);
    let (low, high) = (scramble.below(15_500).to_be_bytes(), scramble.below(15_500).to_be_bytes());
    let m = tree.pager.enter();
    if let Ok(cut) = tree.tree.cut(&m, &tree.pager, Bound::Included(&low), Bound::Excluded(&high)) {
        cut.carry_out(1);
    }
    drop(m);
    tree.tree.rebalance_path(&tree.pager, &low);
    let _ = tree.tree.load_leaves(&tree.pager, &[&[1; 8][..], &[0; 8][..]]);
}

#[test]
fn bytes_changed_at_random_do_no_worse_than_errors() {
    let mut scramble = Scramble(77);
    let mut faulty = 0;
    for round in 0..450 {
        let tree = [tree, dense_tree, path_tree][round / 150]();
        let pages = tree.check().pages;
        let page = pages[scramble.below(pages.len() as u64) as usize];
        let seed = scramble.below(u64::MAX);
        overwrite(&tree, page, |bytes| {
            let mut scramble = Scramble(seed);
            // Mostly the header, the slots, or the whole page.
            let end = [48, 400, 4096][round % 3];
            for _ in 0..1 + scramble.below(20) {
                bytes[scramble.below(end) as usize] = scramble.below(256) as u8;
            }
        });
        let report = tree.tree.check(&tree.pager, &mut |_| ()).unwrap();
        faulty += usize::from(!report.faults.is_empty());
        use_it(&tree, seed);
        let _ = tree.tree.check(&tree.pager, &mut |_| ()).unwrap();
        for _ in 0..1000 {
            let m = tree.pager.enter();
            match tree.tree.dismantle(&m, &tree.pager) {
                Ok(false) => {}
                Ok(true) | Err(_) => break,
            }
        }
    }
    assert!(faulty > 225, "the check found {faulty} of 450");
}

#[test]
fn a_page_of_zeros_is_an_error_that_names_it() {
    let tree = tree();
    let leaf = *tree.check().pages.last().unwrap();
    overwrite(&tree, leaf, |bytes| bytes.fill(0));
    let key = [0xFF; 8];
    let Err(Error::Corrupt { page, .. }) = tree.tree.contains(&tree.pager, &key) else {
        panic!("no error for a page of zeros");
    };
    assert_eq!(page, leaf);
    let retry = tree.tree.place(&tree.pager.enter(), &tree.pager, &key, 1).unwrap_err();
    assert!(matches!(retry, Retry::Damaged(page, _) if page == leaf), "{retry:?}");
    assert!(matches!(tree.pager.resolve(retry), Err(Error::Corrupt { page, .. }) if page == leaf));
    let report = tree.tree.check(&tree.pager, &mut |_| ()).unwrap();
    assert_eq!(report.faults.len(), 1);
    assert_eq!(report.faults[0].0, leaf);
    let mut cursor = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
    assert!(cursor.next_back().is_err());
}

/// It would wait for a latch of its own.
#[test]
fn dismantling_a_tree_whose_page_is_below_itself_is_an_error() {
    let set_last_child = |tree: &TestTree, page: PageId, child: PageId| {
        overwrite(tree, page, |bytes| {
            let count = usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
            let at = 112 + 8 * (count - 1);
            bytes[at..at + 4].copy_from_slice(&child.0.to_le_bytes());
        });
    };
    let dismantle = |tree: &TestTree| tree.tree.dismantle(&tree.pager.enter(), &tree.pager);
    let with = |records: u64| {
        let tree = TestTree::in_memory(4096);
        for n in 0..records {
            tree.put(&n.to_be_bytes(), &[7; 900]);
        }
        let depth = tree.check().depth;
        (tree, depth)
    };
    let (tree, depth) = with(40);
    assert_eq!(depth, 2);
    let root = tree.tree.root();
    set_last_child(&tree, root, root);
    assert_eq!(dismantle(&tree), Err(Retry::Damaged(root, "it is below itself")));

    let (tree, depth) = with(2000);
    assert_eq!(depth, 3);
    let root = tree.tree.root();
    let last_inner = tree.last_child(root);
    set_last_child(&tree, last_inner, root);
    assert_eq!(dismantle(&tree), Err(Retry::Damaged(root, "it is below itself")));
    set_last_child(&tree, last_inner, last_inner);
    assert_eq!(dismantle(&tree), Err(Retry::Damaged(last_inner, "it is below itself")));
}
