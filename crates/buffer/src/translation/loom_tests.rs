//! The hand-over of a frame from one page to another, with a reader that may be anywhere in between.
//!
//! Run by `cargo xtask loom`.

use super::{Entry, FrameId, Residence};
use aquifer_sync::atomic::{AtomicU32, AtomicU64, Ordering};
use aquifer_sync::{Arc, Latch, thread};

/// One frame and two pages that compete for it. The frame's bytes are one word: the id of the page they belong to.
struct World {
    entries: [Entry; 2],
    latch: Latch,
    page: AtomicU32,
    bytes: AtomicU64,
}

const NOBODY: u32 = u32::MAX;

impl World {
    /// Page 0 is in the frame.
    fn new() -> Self {
        let world = Self {
            entries: [Entry::absent(), Entry::absent()],
            latch: Latch::new(),
            page: AtomicU32::new(0),
            bytes: AtomicU64::new(0),
        };
        world.entries[0].publish(FrameId(0));
        world
    }

    /// As eviction does: out of the frame, under the latch.
    fn evict(&self, page: u32) -> bool {
        if !self.latch.try_lock_exclusive() {
            return false;
        }
        if self.page.load(Ordering::Relaxed) != page {
            self.latch.unlock_unchanged();
            return false;
        }
        self.entries[page as usize].evict();
        self.page.store(NOBODY, Ordering::Relaxed);
        self.latch.unlock_exclusive();
        true
    }

    /// As loading does: into the frame, under the latch. The caller owns the free frame.
    fn load(&self, page: u32) {
        if !self.entries[page as usize].begin_load() {
            return;
        }
        self.latch.lock_exclusive();
        self.bytes.store(u64::from(page), Ordering::Relaxed);
        self.page.store(page, Ordering::Relaxed);
        self.entries[page as usize].publish(FrameId(0));
        self.latch.unlock_exclusive();
    }

    /// As an optimistic reader does. What it saw, if valid.
    fn read(&self, page: u32) -> Option<u64> {
        let Residence::Present(_) = self.entries[page as usize].get() else { return None };
        let version = self.latch.optimistic().ok()?;
        if self.page.load(Ordering::Relaxed) != page {
            return None;
        }
        let seen = self.bytes.load(Ordering::Relaxed);
        self.latch.validate(version).ok()?;
        Some(seen)
    }
}

#[test]
fn a_reader_never_takes_another_pages_bytes_for_its_own() {
    loom::model(|| {
        let world = Arc::new(World::new());
        let mover = {
            let world = world.clone();
            thread::spawn(move || {
                if world.evict(0) {
                    world.load(1);
                }
            })
        };
        for page in [0, 1] {
            if let Some(seen) = world.read(page) {
                assert_eq!(seen, u64::from(page), "L2");
            }
        }
        mover.join().unwrap();
        assert_eq!(world.read(1), Some(1));
    });
}

#[test]
fn only_one_thread_wins_a_load() {
    loom::model(|| {
        let entry = Arc::new(Entry::absent());
        let other = {
            let entry = entry.clone();
            thread::spawn(move || entry.begin_load())
        };
        let mine = entry.begin_load();
        let theirs = other.join().unwrap();
        assert!(mine != theirs, "TR1");
        assert_eq!(entry.get(), Residence::Loading);
    });
}
