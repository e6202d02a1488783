//! Descriptors that no commit has made: what they name is neither read nor freed.

use super::*;
use crate::{Database, Durability, Options, TableOptions};
use aquifer_buffer::PageId;

/// Puts a descriptor into a leaf, past everything that would look at it.
fn forge(db: &Database, key: &[u8], extents: Vec<PageRun>) {
    let pages: u64 = extents.iter().map(|run| u64::from(run.pages)).sum();
    let descriptor = Descriptor { len: pages * 4096, extents: Extents::Inline(extents) }.encode();
    let table = db.any_table("t").unwrap().sorted().unwrap();
    let (core, pager) = (table.core(), &db.engine().pager);
    loop {
        let m = pager.enter();
        let placed = core.index.note_large(&m).and_then(|()| {
            let place = core.index.place(&m, pager, key, LeafValue::large(&descriptor))?;
            place.put_value(LeafValue::large(&descriptor), db.engine().log.reserved().0);
            Ok(())
        });
        drop(m);
        match placed {
            Ok(()) => return,
            Err(retry) => pager.resolve(retry).unwrap(),
        }
    }
}

#[test]
fn a_forged_descriptor_frees_nothing_that_is_not_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options::default().page_size(4096).background(false);
    let db = options().open_or_create(directory.path()).unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    let run = |first: u32, pages: u32| PageRun { first: PageId(first), pages };
    table.put(b"whole", &[7; 40_000]).unwrap();
    table.put(b"gone", &[7; 40_000]).unwrap();
    let pager = &db.engine().pager;
    let extents_of = |key: &[u8]| {
        let found = table.core().find(key).unwrap().unwrap();
        Known::load(pager, &found.bytes).unwrap().value.pages()
    };
    let (whole, gone) = (extents_of(b"whole"), extents_of(b"gone"));
    table.delete(b"gone").unwrap();
    let twice = [whole.clone(), whole.clone()].concat();
    let reserved = write_whole(db.engine(), &[8; 20_000], Logging::None).unwrap();
    let cases: [(&str, Vec<PageRun>); 5] = [
        ("beyond all pages", vec![run(4_000_000_000, 10)]),
        ("a page of a tree", vec![run(1, 1)]),
        ("a page twice", twice),
        ("pages that are detached", gone),
        ("pages that are not attached yet", reserved.pages.clone()),
    ];
    for (name, extents) in &cases {
        let key = name.as_bytes();
        forge(&db, key, extents.clone());
        table.delete(key).unwrap();
        assert_eq!(table.get(key).unwrap(), None, "{name}");
        forge(&db, key, extents.clone());
        table.put(key, b"other").unwrap();
        assert_eq!(table.get(key).unwrap().as_deref(), Some(&b"other"[..]), "{name}");
        forge(&db, key, extents.clone());
        let mut batch = crate::WriteBatch::new();
        batch.delete(&table, key);
        db.write(&mut batch, Durability::Power).unwrap();
        assert_eq!(table.get(key).unwrap(), None, "{name}");
    }
    drop(reserved);
    db.checkpoint().unwrap();
    table.put(b"later", &[9; 40_000]).unwrap();
    db.checkpoint().unwrap();
    drop((table, db));

    let db = options().open_or_create(directory.path()).unwrap();
    let table = db.any_table("t").unwrap().sorted().unwrap();
    assert!(table.get(b"whole").unwrap().unwrap() == [7; 40_000]);
    assert!(table.get(b"later").unwrap().unwrap() == [9; 40_000]);
    assert_eq!(db.verify(|_| ()).unwrap().faults, []);
}
