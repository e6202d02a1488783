//! Tests of the versions of one key.

use super::*;
use crate::snapshots::{Snapshot, Snapshots};
use crate::versions::InversePatch;
use crate::visible::Visible;
use aquifer_sync::Arc;
use proptest::prelude::*;

/// A registry with these snapshots open, and `visible` at 1000.
fn census_of(open: &[u64]) -> (Census, Vec<Snapshot>) {
    let visible = Arc::new(Visible::new(CommitLsn(0)));
    let snapshots = Snapshots::new(visible.clone());
    let raise = |to: u64| {
        if visible.get().0 < to {
            visible.complete(visible.get(), CommitLsn(to));
        }
    };
    let mut held = Vec::new();
    for &lsn in open {
        raise(lsn);
        held.push(snapshots.take().unwrap());
    }
    raise(1000);
    (snapshots.census(), held)
}

fn chain(changes: &[(u64, Option<&str>)]) -> Chain {
    let mut chain = Chain::new(1, b"k", 0);
    for &(lsn, before) in changes {
        let before = before.map_or(Before::Absent, |value| Before::Value(value.as_bytes().into()));
        chain.push(Change { lsn: CommitLsn(lsn), before, deletes: false, merges: false });
    }
    chain
}

fn value(text: &str) -> AsOf {
    AsOf::Value(text.as_bytes().to_vec())
}

#[test]
fn each_version_serves_its_interval() {
    let chain = chain(&[(100, Some("a")), (150, None), (180, Some("c"))]);
    let at = |lsn| chain.value_as_of(CommitLsn(lsn), Some(b"d"));
    assert_eq!([at(99), at(100), at(149)], [value("a"), AsOf::Absent, AsOf::Absent]);
    assert_eq!([at(150), at(179), at(180)], [value("c"), value("c"), AsOf::Current]);
}

#[test]
fn what_no_snapshot_needs_is_cut() {
    let mut chain = chain(&[(100, Some("a")), (150, None), (180, Some("c")), (1000, Some("d"))]);
    let (census, _held) = census_of(&[120]);
    assert!(chain.cut(&census));
    assert_eq!(chain.len(), 1);
    assert_eq!(chain.value_as_of(CommitLsn(120), Some(b"e")), AsOf::Absent);
    assert!(!chain.cut(&census), "nothing more");
}

#[test]
fn what_a_snapshot_to_come_may_need_stays() {
    let mut chain = chain(&[(100, Some("a")), (1001, Some("b"))]);
    let (census, _held) = census_of(&[]);
    assert!(chain.cut(&census));
    assert_eq!(chain.value_as_of(CommitLsn(1000), Some(b"c")), value("b"));
}

#[test]
#[should_panic(expected = "VE1")]
fn pushing_out_of_order_panics() {
    chain(&[(100, None), (90, None)]);
}

proptest! {
    /// Random states of one key, kept as whole images or as patches; whatever is cut, open snapshots see what was.
    #[test]
    fn open_snapshots_see_what_was(
        states in proptest::collection::vec(proptest::option::weighted(0.8, proptest::collection::vec(0_u8..3, 6)), 2..9),
        open in proptest::collection::btree_set(0_u64..90, 0..4),
        cut_after in proptest::collection::vec(any::<bool>(), 9),
    ) {
        let open: Vec<u64> = open.into_iter().collect();
        let (census, _held) = census_of(&open);
        let mut chain = Chain::new(1, b"k", 0);
        for (index, pair) in states.windows(2).enumerate() {
            let before = match (&pair[0], &pair[1]) {
                (None, _) => Before::Absent,
                (Some(old), Some(new)) => {
                    let differs = (0..old.len()).filter(|&at| old[at] != new[at]).map(|at| at..at + 1);
                    Before::Patch(InversePatch::new(old, differs).unwrap())
                }
                (Some(old), None) => Before::Value(old.as_slice().into()),
            };
            let lsn = CommitLsn(10 * (index as u64 + 1));
            chain.push(Change { lsn, before, deletes: pair[1].is_none(), merges: false });
            if cut_after[index] {
                chain.cut(&census);
            }
        }
        let current = states.last().unwrap().as_deref();
        for &snapshot in &open {
            let expected = states.get(snapshot as usize / 10).unwrap_or(states.last().unwrap());
            let found = match chain.value_as_of(CommitLsn(snapshot), current) {
                AsOf::Current => current.map(<[u8]>::to_vec),
                AsOf::Absent => None,
                AsOf::Value(value) => Some(value),
            };
            prop_assert_eq!(&found, expected, "at {}", snapshot);
        }
        chain.cut(&census);
        prop_assert!(chain.len() <= open.len(), "at most one version for each snapshot");
    }
}

proptest! {
    /// VE7: for every open snapshot it stays known whether anything but merges has changed the key, whatever is cut.
    #[test]
    fn what_is_cut_still_tells_merges_from_other_changes(
        changes in proptest::collection::vec(any::<bool>(), 1..20),
        cut_after in 0_usize..20,
        open in proptest::collection::btree_set(0_u64..210, 0..6),
    ) {
        let open: Vec<u64> = open.into_iter().collect();
        let (census, _held) = census_of(&open);
        let mut chain = Chain::new(1, b"k", 0);
        for (index, &merges) in changes.iter().enumerate() {
            let lsn = CommitLsn(10 * (index as u64 + 1));
            chain.push(Change { lsn, before: Before::Absent, deletes: false, merges });
            if index == cut_after {
                chain.cut(&census);
            }
        }
        chain.cut(&census);
        for &snapshot in &open {
            let later = changes.iter().enumerate().filter(|(index, _)| 10 * (*index as u64 + 1) > snapshot);
            let overwritten = later.clone().any(|(_, merges)| !merges);
            prop_assert_eq!(chain.is_overwritten_after(CommitLsn(snapshot)), overwritten, "at {}", snapshot);
            prop_assert_eq!(chain.newest() > CommitLsn(snapshot), later.count() > 0);
        }
    }
}
