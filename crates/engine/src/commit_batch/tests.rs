//! Tests of `commit_batch`.

use super::*;
use crate::{Database, Options, TableOptions};
use aquifer_buffer::{PageId, Pin};
use aquifer_io::Buffer;
use aquifer_sync::{Arc, thread};

#[test]
fn old_values_are_kept_in_order() {
    let mut undo = UndoList { bytes_max: 6, ..UndoList::default() };
    undo.push(Some(LeafValue::inline(b"one")));
    undo.push(None);
    undo.push(Some(LeafValue::inline(b"")));
    undo.push(Some(LeafValue::large(b"two")));
    assert_eq!(undo.get(0), Some(LeafValue::inline(b"one")));
    assert_eq!(undo.get(1), None);
    assert_eq!(undo.get(2), Some(LeafValue::inline(b"")));
    assert_eq!(undo.get(3), Some(LeafValue::large(b"two")));
    assert!(!undo.lost);
    undo.push(Some(LeafValue::inline(b"x")));
    assert!(undo.lost, "beyond its bytes");
}

#[test]
fn memory_is_bounded_and_comes_back() {
    let db = Database::in_memory(4 << 20).unwrap();
    let engine = Arc::clone(db.engine());
    let memory = Arc::new(CommitMemory::new(100, 200 << 10));
    let too_much = memory.take(&engine, 300 << 10).map(drop);
    assert!(matches!(too_much, Err(Error::TransactionTooLarge { bytes: 307_200, bytes_max: 204_800 })));
    let first = memory.take(&engine, 60).unwrap();
    let waiter = thread::spawn({
        let (memory, engine) = (Arc::clone(&memory), Arc::clone(&engine));
        move || memory.take(&engine, 60).map(|share| share.bytes).unwrap()
    });
    drop(first);
    assert_eq!(waiter.join().unwrap(), 60);
    assert_eq!(*memory.free.lock(), 100);
    // A long one takes from the frames what it needs, waits for nobody, and gives it back.
    let used = engine.budget.used();
    let long = memory.take(&engine, 100 << 10).unwrap();
    assert!(engine.budget.used() >= used + (100 << 10) && *memory.free.lock() == 100);
    drop(long);
    assert_eq!(engine.budget.used(), used);
}

/// A batch that fails at its second entry, when a reader that has pinned may have found what the first one put.
fn fail_half_way(db: &Database, undoable: bool) {
    let table = db.create_table("t", TableOptions::default()).unwrap();
    let large = |byte: u8| vec![byte; 100_000];
    table.put(b"b", &large(1)).unwrap();
    let engine = db.engine();
    let mut batch = WriteBatch::new();
    batch.put(&table, b"a", &large(2));
    batch.put(&table, b"b", &large(3));
    let order = batch.in_order();
    let written = write_large(engine, &batch, &order).unwrap();
    let pages: Vec<PageId> = written[&order[0]].pages.iter().flat_map(|run| run.ids()).collect();
    let read = || {
        let mut buffers: Vec<Buffer> =
            pages.iter().map(|_| Buffer::zeroed(engine.pager.page_bytes())).collect();
        engine.pager.read_direct(&pages, &mut buffers).unwrap();
        let bytes: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect();
        assert!(bytes[..100_000] == large(2), "the reader got another value's bytes");
    };
    let pin = Pin::everything(&engine.pager);
    {
        let (known, small_bytes) = (BTreeMap::new(), small_bytes(&batch));
        let run = Batch {
            engine,
            batch: &batch,
            order: &order,
            terms: &Terms::default(),
            small_bytes,
            written,
            merged: BTreeMap::new(),
            results: None,
            known,
            loose: Cell::default(),
            kept_bytes: Cell::default(),
            covered: RefCell::new(Charge::new(&engine.txns.long_commits, "long commits")),
        };
        let m = engine.pager.enter();
        // The old value of the second key is not known: it cannot be replaced (LV3).
        let undo = match undoable {
            true => run.undo_list(false),
            false => UndoList { lost: true, ..UndoList::default() },
        };
        let (_m, failed) = run.apply_all(m, engine.log.reserved().0, undo, false);
        let Err(Failure::Undone(error) | Failure::Lost(error)) = failed else {
            panic!("the second entry fails")
        };
        assert_eq!(matches!(error, Error::Poisoned { .. }), !undoable, "{error}");
    }
    read();
    // As writers do before they find out that the log has failed, and those of a healthy database.
    let others: Vec<Written> =
        (4..12).map(|byte| write_whole(engine, &large(byte), Logging::Later).unwrap()).collect();
    read();
    drop(others);
    if !undoable {
        drop(pin);
        assert!(table.put(b"c", b"1").is_err());
        assert!(table.get(b"a").unwrap() == Some(large(2)), "what could not be undone is whole");
        return;
    }
    for byte in 4..12 {
        table.put(b"c", &large(byte)).unwrap();
        db.checkpoint().unwrap();
        read();
    }
    let used = || (engine.pager.stats().pages, engine.pager.stats().pages_waiting);
    let pinned = used();
    drop(pin);
    db.checkpoint().unwrap();
    assert!(used().0 < pinned.0, "the pages are free when the reader is gone");
    assert_eq!(table.get(b"a").unwrap(), None);
    assert!(table.get(b"b").unwrap() == Some(large(1)));
    assert!(db.verify(|_| ()).unwrap().faults.is_empty());
}

#[test]
fn pages_of_a_failed_batch_stay_as_long_as_they_may_be_read() {
    for undoable in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        fail_half_way(&Options::default().open_or_create(directory.path()).unwrap(), undoable);
        fail_half_way(&Options::default().in_memory().unwrap(), undoable);
    }
}
