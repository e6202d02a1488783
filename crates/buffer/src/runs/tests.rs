//! Sets of runs against sets of numbers.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn numbers(set: &RunSet) -> BTreeSet<u32> {
    set.iter().flat_map(|(start, end)| start..end).collect()
}

proptest! {
    #[test]
    fn runs_are_the_set_of_their_numbers(
        steps in prop::collection::vec((any::<bool>(), 0u32..60, 0u32..12), 1..60),
        other in prop::collection::vec((0u32..60, 0u32..12), 0..8),
    ) {
        let (mut set, mut model) = (RunSet::new(), BTreeSet::new());
        for (insert, start, len) in steps {
            if insert {
                set.insert(start, start + len);
                model.extend(start..start + len);
            } else {
                set.remove(start, start + len);
                model.retain(|&number| number < start || number >= start + len);
            }
            prop_assert_eq!(numbers(&set), model.clone());
            prop_assert_eq!(set.count(), model.len() as u64);
            let runs: Vec<_> = set.iter().collect();
            prop_assert!(runs.windows(2).all(|pair| pair[0].1 < pair[1].0), "RN1");
            let range = start..start + len;
            prop_assert_eq!(set.intersects(range.start, range.end), range.clone().any(|n| model.contains(&n)));
            prop_assert_eq!(set.covers(range.start, range.end), range.clone().all(|n| model.contains(&n)));
            prop_assert_eq!(set.contains(start), model.contains(&start));
        }
        let mut second = RunSet::new();
        other.iter().for_each(|&(start, len)| second.insert(start, start + len));
        let difference = PageRun::difference(set.pages(), second.pages());
        let rest: Vec<u32> = difference.iter().flat_map(PageRun::ids).map(|page| page.0).collect();
        prop_assert_eq!(rest, model.difference(&numbers(&second)).copied().collect::<Vec<_>>());
        let both: BTreeSet<u32> = model.intersection(&numbers(&second)).copied().collect();
        prop_assert_eq!(numbers(&set.intersection(&second)), both);
    }
}
