//! Tests of the merged scan, against a model, with changes made between its steps.

use super::*;
use crate::snapshots::Snapshots;
use crate::versions::{Before, Change, VersionsOptions};
use crate::visible::Visible;
use aquifer_pools::Budget;
use aquifer_sync::Arc;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

struct World {
    visible: Arc<Visible>,
    snapshots: Arc<Snapshots>,
    versions: Versions,
    store: RefCell<Map>,
}

impl World {
    fn new() -> World {
        let visible = Arc::new(Visible::new(CommitLsn(0)));
        let snapshots = Arc::new(Snapshots::new(visible.clone()));
        let account = Budget::new(1 << 30).account("versions");
        let versions = Versions::new(VersionsOptions::default(), snapshots.clone(), account);
        World { visible, snapshots, versions, store: RefCell::new(Map::new()) }
    }

    fn commit(&self, key: u8, value: Option<&[u8]>) {
        let (start, end) = (self.visible.get(), CommitLsn(self.visible.get().0 + 10));
        let mut store = self.store.borrow_mut();
        let key = vec![key];
        let before = store.get(&key).map_or(Before::Absent, |old| Before::Value(old.as_slice().into()));
        self.versions.push(1, &key, Change { lsn: end, before, deletes: value.is_none(), merges: false });
        match value {
            Some(value) => store.insert(key, value.to_vec()),
            None => store.remove(&key),
        };
        self.visible.complete(start, end);
    }
}

/// Reads the store one record at a time.
struct Cursor<'w> {
    world: &'w World,
    ahead: KeyRange,
    direction: Direction,
}

impl StoreCursor for Cursor<'_> {
    type Error = Error;

    fn next(&mut self) -> Result<Option<Item>, Error> {
        let store = self.world.store.borrow();
        let mut inside = store.range::<[u8], _>(self.ahead.bounds());
        let next = match self.direction {
            Direction::Forward => inside.next(),
            Direction::Backward => inside.next_back(),
        };
        let Some((key, value)) = next else { return Ok(None) };
        self.ahead = self.ahead.ahead_of(key, self.direction);
        let changed_at = CommitLsn(u64::MAX >> 2); // not known
        Ok(Some(Item { key: key.clone(), value: value.clone(), changed_at }))
    }

    fn resolve(&self, _: &[u8], write: &Write, stored: Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> {
        Ok(write.resolve(stored, concatenate))
    }
}

fn concatenate(value: Option<Vec<u8>>, operand: &[u8]) -> Option<Vec<u8>> {
    Some([value.unwrap_or_default(), operand.to_vec()].concat())
}

#[derive(Debug, Clone)]
struct Plan {
    before: Vec<(u8, Option<u8>)>,
    /// The commits made after each step of the scan.
    during: Vec<Vec<(u8, Option<u8>)>>,
    own: Vec<(u8, Own)>,
    range: (u8, u8),
    forward: bool,
}

#[derive(Debug, Clone)]
enum Own {
    Put(u8),
    Delete,
    Merge(u8),
    DeleteRange(u8),
}

fn plan() -> impl Strategy<Value = Plan> {
    let commit = || (0_u8..16, proptest::option::weighted(0.5, any::<u8>()));
    let own = prop_oneof![
        any::<u8>().prop_map(Own::Put),
        Just(Own::Delete),
        any::<u8>().prop_map(Own::Merge),
        (0_u8..16).prop_map(Own::DeleteRange),
    ];
    let before = proptest::collection::vec((0_u8..16, proptest::option::weighted(0.9, any::<u8>())), 0..20);
    let during = proptest::collection::vec(proptest::collection::vec(commit(), 0..4), 0..12);
    (before, during, proptest::collection::vec((0_u8..16, own), 0..4), (0_u8..16, 0_u8..17), any::<bool>())
        .prop_map(|(before, during, own, range, forward)| Plan { before, during, own, range, forward })
}

proptest! {
    #[test]
    fn a_scan_sees_its_snapshot_and_its_own_writes(plan in plan()) {
        let world = World::new();
        for (key, value) in plan.before {
            world.commit(key, value.map(|value| vec![value]).as_deref());
        }
        let snapshot = world.snapshots.take().unwrap();
        let mut expected = world.store.borrow().clone();
        let mut writes = WriteSet::new(1 << 20);
        for (key, own) in plan.own {
            let name = vec![key];
            match own {
                Own::Put(value) => {
                    writes.put(1, &name, &[value]).unwrap();
                    expected.insert(name, vec![value]);
                }
                Own::Delete => {
                    writes.delete(1, &name).unwrap();
                    expected.remove(&name);
                }
                Own::Merge(operand) => {
                    writes.merge(1, &name, &[operand]).unwrap();
                    expected.entry(name).or_default().push(operand);
                }
                Own::DeleteRange(to) => {
                    let range = KeyRange::new(Bound::Included(&name), Bound::Excluded(&[to]));
                    expected.retain(|key, _| !range.contains(key));
                    writes.delete_range(1, range).unwrap();
                }
            }
        }
        let range = KeyRange::new(Bound::Included(&[plan.range.0]), Bound::Excluded(&[plan.range.1]));
        let direction = if plan.forward { Direction::Forward } else { Direction::Backward };
        let cursor = Cursor { world: &world, ahead: range.clone(), direction };
        let view = View {
            table: 1,
            versions: &world.versions,
            snapshot: &snapshot,
            writes: Some(&writes),
        };
        let mut scan = Scan::new(cursor, view, range.clone(), direction);
        let mut seen = Vec::new();
        let mut during = plan.during.into_iter();
        while let Some(pair) = scan.next().unwrap() {
            seen.push(pair);
            for (key, value) in during.next().unwrap_or_default() {
                world.commit(key, value.map(|value| vec![value]).as_deref());
            }
            world.versions.tidy();
        }
        let mut expected: Vec<_> = expected.into_iter().filter(|(key, _)| range.contains(key)).collect();
        if !plan.forward {
            expected.reverse();
        }
        prop_assert_eq!(seen, expected);
    }
}
