//! Who answers for which key, against a plain search.

use super::*;
use proptest::prelude::*;

fn leaf(lower: u8, upper: Option<u8>, changed_at: u64, preferred: bool) -> Leaf {
    Leaf {
        seed: None,
        is_overflow: false,
        page: PageId(1),
        slot: 0,
        checksum: 0,
        checked: preferred,
        preferred,
        changed_at,
        lower: if lower == 0 { Vec::new() } else { vec![lower] },
        upper: upper.map(|upper| vec![upper]),
    }
}

#[test]
fn a_missing_leaf_leaves_a_gap_between_its_neighbours() {
    let coverage = Coverage::of(&[leaf(0, Some(10), 1, true), leaf(20, None, 1, true)]);
    assert_eq!(coverage.gaps, [KeyGap { from: vec![10], to: Some(vec![20]) }]);
    assert_eq!(coverage.pieces.len(), 2);
    let coverage = Coverage::of(&[leaf(0, Some(10), 1, true)]);
    assert_eq!(coverage.gaps, [KeyGap { from: vec![10], to: None }]);
    assert_eq!(Coverage::of(&[]).gaps, [KeyGap { from: vec![], to: None }]);
    assert_eq!(Coverage::of(&[leaf(0, None, 1, true)]).gaps, []);
}

#[test]
fn the_older_version_fills_only_what_the_newer_leaves() {
    let coverage = Coverage::of(&[leaf(0, None, 5, false), leaf(10, Some(20), 9, false)]);
    let ends: Vec<_> = coverage.pieces.iter().map(|piece| (piece.from.clone(), piece.leaf)).collect();
    assert_eq!(ends, [(vec![], 0), (vec![10], 1), (vec![20], 0)]);
    assert_eq!((coverage.changed_at(&[9, 9]), coverage.changed_at(&[10])), (Some(5), Some(9)));
    // What a map vouches for counts before what is newer.
    let coverage = Coverage::of(&[leaf(0, None, 5, true), leaf(10, Some(20), 9, false)]);
    assert_eq!(coverage.pieces.len(), 1);
}

proptest! {
    #[test]
    fn each_key_is_answered_for_by_the_leaf_of_highest_standing(
        given in proptest::collection::vec((0u8..30, proptest::option::of(1u8..30), 0u64..4, any::<bool>()), 0..12)
    ) {
        let leaves: Vec<Leaf> = given
            .into_iter()
            .filter(|(lower, upper, ..)| upper.is_none_or(|upper| *lower < upper))
            .map(|(lower, upper, at, preferred)| leaf(lower, upper, at, preferred))
            .collect();
        let coverage = Coverage::of(&leaves);
        for pair in coverage.pieces.windows(2) {
            prop_assert!(pair[0].to.as_ref().is_some_and(|to| *to <= pair[1].from), "CV1");
        }
        for key in 0u8..40 {
            let key = [key];
            let covers = |from: &[u8], to: &Option<Vec<u8>>| from <= &key[..] && to.as_ref().is_none_or(|to| &key[..] < to.as_slice());
            let standing = |leaf: &Leaf| (leaf.preferred, leaf.changed_at);
            let best = leaves.iter().filter(|leaf| covers(&leaf.lower, &leaf.upper)).map(standing).max();
            let pieces: Vec<_> = coverage.pieces.iter().filter(|piece| covers(&piece.from, &piece.to)).collect();
            prop_assert_eq!(pieces.len(), usize::from(best.is_some()));
            let answers = pieces.first().map(|piece| standing(&leaves[piece.leaf]));
            prop_assert_eq!(answers, best);
            prop_assert_eq!(coverage.changed_at(&key), best.map(|(_, at)| at));
            let gap = coverage.gaps.iter().any(|gap| covers(&gap.from, &gap.to));
            prop_assert_eq!(gap, best.is_none());
        }
    }
}
