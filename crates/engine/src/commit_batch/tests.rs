//! Tests of `commit_batch`.

use super::*;
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
    let memory = Arc::new(CommitMemory::new(100));
    assert!(matches!(memory.take(101), Err(Error::TransactionTooLarge { bytes: 101, bytes_max: 100 })));
    let first = memory.take(60).unwrap();
    let waiter = thread::spawn({
        let memory = Arc::clone(&memory);
        move || memory.take(60).map(|share| share.bytes).unwrap()
    });
    drop(first);
    assert_eq!(waiter.join().unwrap(), 60);
    assert_eq!(*memory.free.lock(), 100);
}
