//! Who wants to know what is committed, told in the order of commits.
//!
//! ```text
//!  commit --push, before it is visible--> queue (by LSN) --when it is visible--> Watcher
//!                                           '- full: what is left out is told as a range of LSNs
//! ```
//!
//! # Invariants
//!
//! - **WT1** A watcher begins at a place in the order: it counts itself, then makes a read-modify-write of the word that places are reserved
//!   with. Commits behind that place see it (LO3 of the log) and push; those before it are left out. They look after they have reserved their place.
//! - **WT2** A commit pushes after it is applied and before it is completed. So when its place is visible, all its changes are in the queue, and all
//!   those before it: what is taken then is taken in the order of commits, each once.
//! - **WT3** A queue holds at most its share of bytes. What does not fit is left out, with all that comes after it until the watcher has
//!   taken what is there and been told; so what it is told has no hole of which it is not told.

mod queue;

use crate::database::Handle;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::kind::Kind;
use crate::long_key;
use crate::range::{Bounds, ByteOrdered, KeyRange, encoded, prefix_bounds};
use crate::snapshot::decode_value;
use crate::table::Table;
use crate::table_core::TableCore;
use crate::transactions::Charge;
use aquifer_codec::{Key, Value};
use aquifer_index::LeafValue;
use aquifer_sync::atomic::{AtomicUsize, Ordering};
use aquifer_sync::{Arc, Mutex, Rank};
use aquifer_wal::Lsn;
use queue::{Queue, What};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Bound;
use std::time::{Duration, Instant};

/// Bytes of a queue, at most.
const QUEUE_BYTES_MAX: usize = 1 << 20;

/// All watchers of a database.
#[derive(Debug)]
pub(crate) struct Watchers {
    count: AtomicUsize,
    queues: Mutex<Vec<Arc<Queue>>>,
}

/// Tells what is committed to a range of keys of a table, in the order of commits ([`Table::watch`]). What was committed before it was made, it
/// does not tell.
pub struct Watcher<K: ?Sized = [u8], V: ?Sized = [u8]> {
    handle: Arc<Handle>,
    table: Arc<TableCore>,
    queue: Arc<Queue>,
    _memory: Charge,
    types: PhantomData<fn(&K, &V)>,
}

/// What was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<K, V> {
    /// A key got a value.
    Put {
        /// The commit.
        lsn: Lsn,
        /// The key.
        key: K,
        /// Its value; nothing if that has pages of its own, and is to be read.
        value: Option<V>,
    },
    /// A key was deleted.
    Deleted {
        /// The commit.
        lsn: Lsn,
        /// The key.
        key: K,
    },
    /// Keys of an eighth of a page or more that begin with these bytes have changed, one or more: they are to be read.
    LongKeys {
        /// The commit.
        lsn: Lsn,
        /// What they begin with.
        prefix: Vec<u8>,
    },
    /// A range of keys was deleted at once, which has keys in common with that of the watcher.
    RangeDeleted {
        /// The commit.
        lsn: Lsn,
        /// Its bounds, as encoded keys.
        bounds: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    },
    /// The table, which was empty, was loaded in bulk.
    Loaded {
        /// The commit.
        lsn: Lsn,
    },
    /// The watcher was too slow: what was committed from the first LSN to the second is not told.
    Missed {
        /// The first commit that is left out.
        from: Lsn,
        /// The last one.
        to: Lsn,
    },
}

impl Default for Watchers {
    fn default() -> Self {
        Watchers { count: AtomicUsize::new(0), queues: Mutex::new(Rank::Leaf, Vec::new()) }
    }
}

impl Watchers {
    /// Does anybody watch? To be asked after the place is reserved (WT1).
    #[inline]
    pub(crate) fn any(&self) -> bool {
        // Relaxed: the reservation has acquired every watcher that matters.
        self.count.load(Ordering::Relaxed) != 0
    }

    /// A change of a record of the index (WT2).
    #[cold]
    pub(crate) fn push_record(&self, table: &TableCore, key: &[u8], value: Option<LeafValue<'_>>, lsn: Lsn) {
        let what = || match value {
            _ if table.is_long(key) => What::LongKeys,
            Some(value) if value.is_large() => What::PutLarge,
            Some(value) => What::Put(value.bytes.into()),
            None => What::Deleted,
        };
        self.each(table, |queue| {
            let tells = if table.is_long(key) {
                queue.may_hold_prefix(&key[..key.len() - 1])
            } else {
                queue.holds(key)
            };
            if tells {
                queue.push(lsn, key.into(), what());
            }
        });
    }

    /// A change of many records at once.
    #[cold]
    pub(crate) fn push_range(&self, table: &TableCore, bounds: Option<Bounds>, lsn: Lsn) {
        self.each(table, |queue| match &bounds {
            Some(bounds) if !queue.overlaps(bounds) => {}
            Some(bounds) => queue.push(lsn, Box::default(), What::RangeDeleted(Box::new(bounds.clone()))),
            None => queue.push(lsn, Box::default(), What::Loaded),
        });
    }

    /// Everything up to a commit is visible, or a table is not what it was.
    #[cold]
    pub(crate) fn wake(&self) {
        let queues = self.queues.lock().clone();
        queues.iter().for_each(|queue| queue.wake());
    }

    fn each(&self, table: &TableCore, mut tell: impl FnMut(&Queue)) {
        let queues = self.queues.lock().clone(); // two leaves are not locked at once
        queues.iter().filter(|queue| queue.table == table.id).for_each(|queue| tell(queue));
    }

    fn add(&self, queue: &Arc<Queue>) {
        self.queues.lock().push(Arc::clone(queue));
        self.count.fetch_add(1, Ordering::Relaxed); // before the read-modify-write (WT1)
    }

    fn remove(&self, queue: &Arc<Queue>) {
        self.queues.lock().retain(|other| !Arc::ptr_eq(other, queue));
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized, O: Kind> Table<K, V, O> {
    /// Watches what is committed to keys in `range` from now on.
    ///
    /// What is committed waits for the watcher in memory, up to a mebibyte (less where the memory budget is small); one that is slower is told
    /// what it has missed. Commits never wait for it. Of a record that expires the removal is told, as a delete, when it comes: some time after nobody
    /// sees the record any more.
    ///
    /// # Errors
    ///
    /// [`Error::BudgetExhausted`]; a table that is dropped or closed; [`Error::Poisoned`].
    ///
    /// ```
    /// use aquifer::{Event, TableDef};
    /// # let db = aquifer::Database::in_memory(4 << 20)?;
    /// const JOBS: TableDef<str, u32> = TableDef::new("jobs");
    /// let jobs = JOBS.open_or_create(&db)?;
    /// let mut watcher = jobs.watch(..)?;
    /// jobs.put("paint", &1)?;
    /// jobs.delete("paint")?;
    /// assert!(matches!(watcher.recv()?, Event::Put { key, value: Some(1), .. } if key == "paint"));
    /// assert!(matches!(watcher.recv()?, Event::Deleted { key, .. } if key == "paint"));
    /// assert!(watcher.try_recv()?.is_none());
    /// # Ok::<(), aquifer::Error>(())
    /// ```
    pub fn watch(&self, range: impl KeyRange<K>) -> Result<Watcher<K, V>> {
        Watcher::new(self, encoded(&range))
    }

    /// Watches what is committed to keys that begin with these bytes, as [`watch`](Self::watch).
    ///
    /// # Errors
    ///
    /// As [`watch`](Self::watch).
    pub fn watch_prefix<P: AsRef<[u8]> + ?Sized>(&self, prefix: &P) -> Result<Watcher<K, V>>
    where
        K: ByteOrdered,
    {
        Watcher::new(self, prefix_bounds(prefix.as_ref()))
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Watcher<K, V> {
    fn new<O: Kind>(table: &Table<K, V, O>, bounds: Bounds) -> Result<Self> {
        let (engine, core) = (table.engine(), table.core());
        core.check_usable()?;
        let bytes_max = QUEUE_BYTES_MAX.min(engine.limits.memory_budget_bytes / 64);
        let mut memory = Charge::new(&engine.txns.memory, "watchers");
        memory.cover(engine, bytes_max)?;
        let queue = Arc::new(Queue::new(core.id, bounds, bytes_max));
        engine.watchers.add(&queue);
        let watcher = Watcher {
            handle: Arc::clone(table.handle()),
            table: Arc::clone(core),
            queue,
            _memory: memory,
            types: PhantomData,
        };
        let from = engine.log.reserved_in_order();
        watcher.queue.begin(from); // WT1
        engine.order.wait(from)?;
        Ok(watcher)
    }

    /// The next event. Waits until there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] for a record that is not of the table's types, which is passed over; a table that is dropped or closed.
    pub fn recv(&mut self) -> Result<Event<K::Owned, V::Owned>> {
        loop {
            if let Some(event) = self.recv_until(None)? {
                return Ok(event);
            }
        }
    }

    /// The next event, if there is one within this time.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Event<K::Owned, V::Owned>>> {
        self.recv_until(Some(Instant::now() + timeout))
    }

    /// The next event, if there is one now.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Option<Event<K::Owned, V::Owned>>> {
        self.recv_until(Some(Instant::now()))
    }

    fn recv_until(&mut self, end: Option<Instant>) -> Result<Option<Event<K::Owned, V::Owned>>> {
        let order = &self.handle.engine.order;
        let is_over = || self.table.check_usable().is_err();
        match self.queue.take(|| Lsn(order.visible().get().0), is_over, end) {
            Some((lsn, key, what)) => self.event(lsn, &key, what).map(Some),
            None => self.table.check_usable().map(|()| None),
        }
    }

    fn event(&self, lsn: Lsn, key: &[u8], what: What) -> Result<Event<K::Owned, V::Owned>> {
        let table = &*self.table;
        let decoded = || K::decode(key).map_err(|error| Error::Decode { table: table.name.clone(), error });
        Ok(match what {
            What::Put(value) => {
                let value = decode_value::<V>(table, table.users_part(&value)?)?;
                Event::Put { lsn, key: decoded()?, value: Some(value) }
            }
            What::PutLarge => Event::Put { lsn, key: decoded()?, value: None },
            What::Deleted => Event::Deleted { lsn, key: decoded()? },
            What::LongKeys => Event::LongKeys { lsn, prefix: key[..key.len() - 1].to_vec() },
            What::RangeDeleted(bounds) => Event::RangeDeleted { lsn, bounds: *bounds },
            What::Loaded => Event::Loaded { lsn },
            What::Missed(to) => Event::Missed { from: lsn, to },
        })
    }
}

impl<K: ?Sized, V: ?Sized> fmt::Debug for Watcher<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("table", &self.table.name).finish_non_exhaustive()
    }
}

impl<K: ?Sized, V: ?Sized> Drop for Watcher<K, V> {
    fn drop(&mut self) {
        self.handle.engine.watchers.remove(&self.queue);
    }
}

impl Engine {
    /// Tells watchers of a change of a record of the index (WT2).
    #[inline]
    pub(crate) fn tell(&self, table: &TableCore, key: &[u8], value: Option<LeafValue<'_>>, lsn: Lsn) {
        if self.watchers.any() {
            self.watchers.push_record(table, key, value, lsn);
        }
    }

    /// Tells them of a range that was deleted, or of a load.
    pub(crate) fn tell_range(&self, table: &TableCore, bounds: Option<Bounds>, lsn: Lsn) {
        if self.watchers.any() {
            self.watchers.push_range(table, bounds, lsn);
        }
    }
}

const _: () = assert!(long_key::KEY_BYTES_MAX < QUEUE_BYTES_MAX);
