//! Models of the latch. The words beside it hold the version's number, so that a reader can tell not only a
//! torn pair but a stale one. Each model fails if one of the orderings that it is about is weakened.
//!
//! A change stores without loading, and readers have threads of their own: see `model.rs` for why.

use super::*;
use crate::Arc;
use crate::model::{Plain, explore};
use loom::thread;

/// What pages are to the engine: words that optimistic readers may load at any time.
struct Page {
    latch: Latch,
    words: [AtomicU64; 2],
}

impl Page {
    fn new() -> Arc<Page> {
        Arc::new(Page { latch: Latch::new(), words: [AtomicU64::new(0), AtomicU64::new(0)] })
    }

    /// To be called by the exclusive holder.
    fn change(&self) {
        let number = (self.latch.version().0 >> 16) + 1;
        for word in &self.words {
            word.store(number, Ordering::Relaxed);
        }
    }

    fn lock_and_change(&self) {
        self.latch.lock_exclusive();
        self.change();
        self.latch.unlock_exclusive();
    }

    /// LA3: neither torn nor stale. The number of the version read, or `None` to begin again.
    fn read(&self) -> Option<u64> {
        let version = self.latch.optimistic().ok()?;
        let values = self.values();
        self.latch.validate(version).ok()?;
        Self::check(version, values)
    }

    /// As `read`, and then changes what it has read.
    fn read_and_change(&self) -> Option<u64> {
        let version = self.latch.optimistic().ok()?;
        let values = self.values();
        self.latch.upgrade(version).ok()?;
        let read = Self::check(version, values);
        self.change();
        self.latch.unlock_exclusive();
        read
    }

    fn values(&self) -> [u64; 2] {
        [self.words[0].load(Ordering::Relaxed), self.words[1].load(Ordering::Relaxed)]
    }

    fn check(version: Version, values: [u64; 2]) -> Option<u64> {
        let number = version.0 >> 16;
        assert_eq!(values, [number, number], "LA3");
        Some(number)
    }
}

fn in_thread<T: 'static>(page: &Arc<Page>, act: impl FnOnce(&Page) -> T + 'static) -> thread::JoinHandle<T> {
    let page = Arc::clone(page);
    thread::spawn(move || act(&page))
}

/// LA1, LA2: no change is lost, and the versions count them. LA3: a valid read is a whole one.
#[test]
fn two_writers_and_an_optimistic_reader() {
    explore(&[None, Some(0), Some(1), Some(2)], || {
        let page = Page::new();
        let writer = in_thread(&page, Page::lock_and_change);
        let reader = in_thread(&page, Page::read);
        page.lock_and_change();
        let read = reader.join().unwrap();
        writer.join().unwrap();
        assert_eq!(page.read(), Some(2), "LA1, LA2");
        read
    });
}

/// LA3 within a writer's next change, and LA2: who reads twice reads no older version the second time.
#[test]
fn writer_that_changes_twice_and_a_reader_that_reads_twice() {
    // Not (None, Some(0)): what restarted the first read was a change.
    let expected = [
        (None, None),
        (None, Some(1)),
        (None, Some(2)),
        (Some(0), None),
        (Some(0), Some(0)),
        (Some(0), Some(1)),
        (Some(0), Some(2)),
        (Some(1), None),
        (Some(1), Some(1)),
        (Some(1), Some(2)),
        (Some(2), Some(2)),
    ];
    explore(&expected, || {
        let page = Page::new();
        let reader = in_thread(&page, |page| (page.read(), page.read()));
        page.lock_and_change();
        page.lock_and_change();
        reader.join().unwrap()
    });
}

/// Upgrading is validating and latching in one: what was read before it is what the new holder finds.
#[test]
fn two_upgrades_after_optimistic_reads_and_a_writer() {
    let expected = [
        (None, None),
        (None, Some(0)),
        (None, Some(1)),
        (Some(0), None),
        (Some(0), Some(1)),
        (Some(0), Some(2)),
        (Some(1), None),
        (Some(1), Some(0)),
        (Some(1), Some(2)),
        (Some(2), Some(0)),
        (Some(2), Some(1)),
    ];
    explore(&expected, || {
        let page = Page::new();
        let other = in_thread(&page, Page::read_and_change);
        let one = in_thread(&page, Page::read_and_change);
        page.lock_and_change();
        let read = (one.join().unwrap(), other.join().unwrap());
        let upgrades = u64::from(read.0.is_some()) + u64::from(read.1.is_some());
        assert_eq!(page.read(), Some(1 + upgrades), "LA1, LA2");
        read
    });
}

/// A holder that changed nothing restarts nobody who reads before and after.
#[test]
fn release_without_change_and_an_optimistic_reader() {
    explore(&[None, Some(0)], || {
        let page = Page::new();
        let reader = in_thread(&page, Page::read);
        page.latch.lock_exclusive();
        page.latch.unlock_unchanged();
        reader.join().unwrap()
    });
}

/// A version that was noted without an optimistic read serves as the beginning of one.
#[test]
fn noted_version_and_a_writer() {
    explore(&[None, Some(0), Some(1)], || {
        let page = Page::new();
        let reader = in_thread(&page, |page| {
            let version = page.latch.version();
            let values = page.values();
            page.latch.validate(version).ok()?;
            Page::check(version, values)
        });
        page.lock_and_change();
        reader.join().unwrap()
    });
}

/// A latch and plain memory that it protects.
type Protected = Arc<(Latch, Plain)>;

fn holder<T: 'static>(
    protected: &Protected,
    act: impl FnOnce(&Latch, &Plain) -> T + 'static,
) -> thread::JoinHandle<T> {
    let protected = Arc::clone(protected);
    thread::spawn(move || act(&protected.0, &protected.1))
}

fn lock_and_increase(latch: &Latch, word: &Plain) {
    latch.lock_exclusive();
    word.write(word.read() + 1);
    latch.unlock_exclusive();
}

fn lock_shared_and_read(latch: &Latch, word: &Plain) -> u64 {
    latch.lock_shared();
    let value = word.read();
    assert_eq!(word.read(), value, "LA1");
    latch.unlock_shared();
    value
}

/// LA1 with plain memory: accesses of shared and of exclusive holders never overlap, both ways round.
#[test]
fn shared_holder_and_a_writer() {
    explore(&[0, 1], || {
        let protected: Protected = Arc::new((Latch::new(), Plain::new(0)));
        let reader = holder(&protected, lock_shared_and_read);
        lock_and_increase(&protected.0, &protected.1);
        reader.join().unwrap()
    });
}

/// The same with two shared holders: the writer comes after both have gone.
#[test]
fn two_shared_holders_and_a_writer() {
    let mut expected = Vec::new();
    for one in [None, Some(0), Some(1)] {
        expected.extend([(one, None), (one, Some(0)), (one, Some(1))]);
    }
    explore(&expected, || {
        let protected: Protected = Arc::new((Latch::new(), Plain::new(0)));
        let readers = [(); 2].map(|()| {
            holder(&protected, |latch, word| {
                latch.try_lock_shared().then(|| {
                    let value = word.read();
                    assert_eq!(word.read(), value, "LA1");
                    latch.unlock_shared();
                    value
                })
            })
        });
        lock_and_increase(&protected.0, &protected.1);
        let [one, other] = readers.map(|reader| reader.join().unwrap());
        (one, other)
    });
}

/// LA1 with plain memory for holders that got the latch by waiting, by trying and by upgrading, and for both
/// ways of letting it go.
#[test]
fn exclusive_holders_follow_each_other() {
    explore(&[(false, false), (false, true), (true, false), (true, true)], || {
        let protected: Protected = Arc::new((Latch::new(), Plain::new(0)));
        let trying = holder(&protected, |latch, word| {
            let held = latch.try_lock_exclusive();
            if held {
                // Optimistic readers know nothing of this word: for them nothing has changed.
                word.write(word.read() + 1);
                latch.unlock_unchanged();
            }
            held
        });
        let upgrading = holder(&protected, |latch, word| {
            let held = latch.upgrade(latch.version()).is_ok();
            if held {
                word.write(word.read() + 1);
                latch.unlock_exclusive();
            }
            held
        });
        lock_and_increase(&protected.0, &protected.1);
        let held = (trying.join().unwrap(), upgrading.join().unwrap());
        let value = lock_shared_and_read(&protected.0, &protected.1);
        assert_eq!(value, 1 + u64::from(held.0) + u64::from(held.1), "LA1");
        held
    });
}
