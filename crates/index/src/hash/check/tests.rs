//! What the check finds: each kind of damage, one at a time.

use super::super::test_index::TestIndex;
use super::*;
use crate::btree::test_tree::change;

fn index() -> TestIndex {
    let index = TestIndex::in_memory(4096);
    (0..2000u64).for_each(|n| index.put(&n.to_be_bytes(), &[n as u8; 40]));
    index
}

/// Damages the root, or the last bucket, and expects a fault that says so.
fn check(of_root: bool, damage: impl Fn(&mut [u8]), expected: &str) {
    let index = index();
    let report = index.check();
    assert_eq!((report.records, report.depth, report.record_bytes), (2000, 2, 2000 * 48));
    let page = if of_root { report.pages[0] } else { report.pages[report.pages.len() - 1] };
    change(&index.pager, |m| {
        let mut page = m.exclusive(page)?;
        page.make_dirty()?;
        damage(page.bytes_mut());
        Ok(())
    });
    let report = index.index.check(&index.pager, &mut |_| ()).unwrap();
    let found = report.faults.iter().any(|(_, what)| what.contains(expected));
    assert!(found, "{expected}: {:?}", report.faults);
}

#[test]
fn each_kind_of_damage_is_a_fault() {
    check(false, |page| page[OWN_ID] ^= 1, "own id");
    check(false, |page| page[OWNER] ^= 1, "owner");
    check(false, |page| page[KIND] = 9, "kind");
    check(false, |page| page[LEVEL] = 1, "level");
    check(false, |page| page[SEED] ^= 1, "seed");
    check(false, |page| page[COUNT + 1] = 0xFF, "sizes");
    check(false, |page| page[HEAP_BYTES + 1] = 0xFF, "sizes");
    check(false, |page| page[BOUNDS + 2] ^= 1, "sub-bucket");
    check(false, |page| page[LIVE_BYTES] -= 1, "live bytes");
    check(false, |page| page[FIRST] += 1, "its range");
    check(false, |page| page[LAST + 7] ^= 0x80, "range");
    check(false, |page| page[runs_at(4096)] ^= 1, "fingerprint");
    check(false, |page| page[4095 - 47] ^= 1, "");
    check(false, |page| page[NEXT] = 1, "HB3");
    check(true, |page| page[PREFIX_BITS] = 1, "prefix");
    check(true, |page| page[ENTRIES + 4] = 1, "HB4");
    check(true, |page| page.copy_within(ENTRIES + 8..ENTRIES + 16, ENTRIES + 16), "HB4");
    check(true, |page| page[COUNT] -= 1, "range");
    check(true, |page| page[ENTRIES..ENTRIES + 4].fill(0), "names no page");
    check(true, |page| page.copy_within(ENTRIES..ENTRIES + 4, ENTRIES + 8), "reached twice");
}
