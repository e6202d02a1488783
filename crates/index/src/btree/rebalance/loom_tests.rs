//! A merge in miniature, with a reader, a cursor or a writer that may be anywhere in between, over the latch of `aquifer_sync`.
//!
//! Three pages: a parent, and two leaves beside each other, each in a frame of its own. The merge moves the record of the right
//! leaf to the left one, frees the right one, and then its id and its frame are given to a page of other keys.
//!
//! Run by `cargo xtask loom`.

use aquifer_sync::atomic::{AtomicU32, AtomicU64, Ordering};
use aquifer_sync::{Arc, Latch, Version, thread};

const PARENT: u32 = 0;
const LEFT: u32 = 1;
const RIGHT: u32 = 2;
const NOBODY: u32 = u32::MAX;

/// The key at which the right leaf begins; its record has this key.
const FENCE: u64 = 2;
const VALUE: u64 = 33;
const OTHER_FENCE: u64 = 9;
const OTHER_VALUE: u64 = 99;

struct Frame {
    latch: Latch,
    page: AtomicU32,
    /// Of the parent: children. Of a leaf: lower fence, and above it the right neighbour's id.
    head: AtomicU64,
    /// Of a leaf: the value of its record, 0 if there is none.
    value: AtomicU64,
}

impl Frame {
    fn new(page: u32, head: u64, value: u64) -> Self {
        Self {
            latch: Latch::new(),
            page: AtomicU32::new(page),
            head: AtomicU64::new(head),
            value: AtomicU64::new(value),
        }
    }

    fn head(&self) -> u64 {
        self.head.load(Ordering::Relaxed)
    }
}

/// Pages by id; page `n` is in frame `n` while it is there.
struct World {
    frames: [Frame; 3],
    right_is_there: AtomicU32,
}

/// A page read without a latch.
#[derive(Clone, Copy)]
struct Seen<'w> {
    frame: &'w Frame,
    version: Version,
}

impl Seen<'_> {
    fn validate(self) -> Option<()> {
        self.frame.latch.validate(self.version).ok()
    }
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            frames: [
                Frame::new(PARENT, 2, 0),
                Frame::new(LEFT, u64::from(RIGHT) << 32, 0),
                Frame::new(RIGHT, FENCE, VALUE),
            ],
            right_is_there: AtomicU32::new(1),
        })
    }

    fn frame_of(&self, page: u32) -> Option<&Frame> {
        // Acquire: pairs with the Releases in `merge` and `reuse`, as the translation table's do.
        let there = page != RIGHT || self.right_is_there.load(Ordering::Acquire) == 1;
        there.then(|| &self.frames[page as usize])
    }

    fn read(&self, page: u32) -> Option<Seen<'_>> {
        let frame = self.frame_of(page)?;
        let version = frame.latch.optimistic().ok()?;
        (frame.page.load(Ordering::Relaxed) == page).then_some(Seen { frame, version }) // L2
    }

    /// The leaf that covers the record's key, as a descent finds it (L1); nothing: begin again.
    fn descend(&self) -> Option<Seen<'_>> {
        let parent = self.read(PARENT)?;
        let child = if parent.frame.head() == 2 { RIGHT } else { LEFT };
        parent.validate()?;
        let leaf = self.read(child);
        parent.validate()?;
        Some(leaf.expect("L8: a child that its parent names, and the parent is what it was"))
    }

    fn get(&self) -> Option<u64> {
        let leaf = self.descend()?;
        let value = leaf.frame.value.load(Ordering::Relaxed);
        leaf.validate()?;
        Some(value)
    }

    /// Whether it was put.
    fn put(&self, value: u64) -> bool {
        let Some(leaf) = self.descend() else { return false };
        if leaf.frame.latch.upgrade(leaf.version).is_err() {
            return false;
        }
        leaf.frame.value.store(value, Ordering::Relaxed);
        leaf.frame.latch.unlock_exclusive();
        true
    }

    /// As `rebalance` does (RB1, RB3).
    fn merge(&self) {
        let [parent, left, right] = &self.frames;
        parent.latch.lock_exclusive();
        left.latch.lock_exclusive();
        right.latch.lock_exclusive();
        left.value.store(right.value.load(Ordering::Relaxed), Ordering::Relaxed);
        left.head.store(0, Ordering::Relaxed);
        parent.head.store(1, Ordering::Relaxed);
        right.page.store(NOBODY, Ordering::Relaxed);
        self.right_is_there.store(0, Ordering::Release);
        right.latch.unlock_exclusive();
        left.latch.unlock_exclusive();
        parent.latch.unlock_exclusive();
    }

    /// The freed id and frame become another page.
    fn reuse(&self) {
        let frame = &self.frames[RIGHT as usize];
        frame.latch.lock_exclusive();
        frame.page.store(RIGHT, Ordering::Relaxed);
        self.right_is_there.store(1, Ordering::Release);
        frame.head.store(OTHER_FENCE, Ordering::Relaxed);
        frame.value.store(OTHER_VALUE, Ordering::Relaxed);
        frame.latch.unlock_exclusive();
    }

    /// What a cursor that has copied the left leaf finds to the right of it (CR3). Nothing: it must begin again.
    fn follow(&self) -> Option<u64> {
        let left = self.frame_of(LEFT)?;
        left.latch.lock_shared();
        let (right, own) = ((left.head() >> 32) as u32, left.value.load(Ordering::Relaxed));
        left.latch.unlock_shared();
        if right == 0 {
            return Some(own); // merged already
        }
        let Some(frame) = self.frame_of(right) else { return self.get() };
        if !frame.latch.try_lock_shared() {
            return None;
        }
        let is_right = frame.page.load(Ordering::Relaxed) == right && frame.head() & 0xFFFF == FENCE;
        let value = frame.value.load(Ordering::Relaxed);
        frame.latch.unlock_shared();
        if is_right { Some(value) } else { self.get() }
    }
}

fn with_a_merge<T: Send + 'static>(
    other: impl Fn(&World) -> T + Send + Sync + 'static,
    check: fn(&World, T),
) {
    loom::model(move || {
        let world = World::new();
        let merger = {
            let world = world.clone();
            thread::spawn(move || {
                world.merge();
                world.reuse();
            })
        };
        let found = other(&world);
        merger.join().unwrap();
        check(&world, found);
    });
}

#[test]
fn a_reader_finds_the_record_before_and_after() {
    with_a_merge(World::get, |world, found| {
        assert!(found.is_none_or(|value| value == VALUE), "{found:?}");
        assert_eq!(world.get(), Some(VALUE));
    });
}

#[test]
fn a_cursor_finds_the_record_and_no_other_page_s() {
    with_a_merge(World::follow, |_, found| assert!(found.is_none_or(|value| value == VALUE), "{found:?}"));
}

#[test]
fn what_is_written_meanwhile_is_not_lost() {
    with_a_merge(
        |world| world.put(34),
        |world, put| assert_eq!(world.get(), Some(if put { 34 } else { VALUE })),
    );
}
