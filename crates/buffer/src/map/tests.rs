//! The durable map against a plain one, through growth in height and emptying.

use super::*;
use aquifer_io::{Backend, open_disk};
use aquifer_sync::Rank;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn read_back(file: &DataFile, root: MapRoot, slots: u32) -> BTreeMap<u32, Location> {
    let mut found = BTreeMap::new();
    let mut space = Space::new(file.reserved_slots(), slots);
    read_map(file, root, Some(&mut space), &mut |page, location| {
        assert!(found.insert(page.0, location).is_none());
        Ok(())
    })
    .unwrap();
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn it_holds_what_the_records_say(
        rounds in prop::collection::vec(
            prop::collection::btree_map(prop_oneof![1u32..900, 1u32..300_000], any::<bool>(), 0..80), 1..8)
    ) {
        let directory = tempfile::tempdir().unwrap();
        let disk = open_disk(directory.path(), Backend::Posix, true).unwrap();
        let file = DataFile::create(disk, 4096).unwrap();
        let space = Mutex::new(Rank::Space, Space::new(file.reserved_slots(), 0));
        let mut root = MapRoot::default();
        let mut model = BTreeMap::new();
        for round in rounds {
            let mut records = Vec::new();
            for (page, there) in round {
                if there {
                    let slot = space.lock().allocate(1, &file).unwrap().start;
                    records.push((PageId(page), Location { slot, checksum: page ^ slot }));
                } else {
                    records.push((PageId(page), Location::NONE));
                }
            }
            let mut writer = MapWriter::new(&file, &space);
            root = writer.apply(root, &records).unwrap();
            for (page, location) in records {
                if location.slot == 0 { model.remove(&page.0) } else { model.insert(page.0, location) };
            }
            // What was superseded is free from now on: nothing else may be lost by reusing it.
            for slot in std::mem::take(&mut writer.superseded) {
                space.lock().free(slot);
            }
            let slots = space.lock().slots();
            prop_assert_eq!(&read_back(&file, root, slots), &model);
        }
        // Nothing leaks: the slots in use are those of the pages and of the nodes that reach them.
        let mut derived = Space::new(file.reserved_slots(), space.lock().slots());
        read_map(&file, root, Some(&mut derived), &mut |_, _| Ok(())).unwrap();
        prop_assert_eq!(derived.used(), space.lock().used());
    }
}

#[test]
fn a_damaged_node_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open_disk(directory.path(), Backend::Posix, true).unwrap();
    let file = DataFile::create(disk, 4096).unwrap();
    let space = Mutex::new(Rank::Space, Space::new(file.reserved_slots(), 0));
    let slot = space.lock().allocate(1, &file).unwrap().start;
    let mut writer = MapWriter::new(&file, &space);
    let root = writer.apply(MapRoot::default(), &[(PageId(1), Location { slot, checksum: 1 })]).unwrap();
    let mut garbage = Buffer::zeroed(4096);
    garbage[100] = 1;
    file.write(vec![(file.offset(root.root.slot), garbage)]).remove(0).1.unwrap();
    let mut again = Space::new(file.reserved_slots(), space.lock().slots());
    let error = read_map(&file, root, Some(&mut again), &mut |_, _| Ok(())).unwrap_err();
    assert!(error.to_string().contains("a node of the page map"), "{error}");
}
