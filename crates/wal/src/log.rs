//! The log that is written: reserve, fill, wait.
//!
//! ```text
//!   reserve(len) -> Reserved     fixes the place in the commit order; never waits; Full if there is no room
//!   Reserved::fill(record)       copies and publishes; never waits, but for a record larger than the ring has room
//!   wait_durable(lsn)            leads a flush or follows one
//! ```
//!
//! # Invariants
//!
//! - **LO1** Every reservation is filled, or the log is poisoned: a hole would stop everything behind it.
//! - **LO2** LSNs count record bytes (length field and payload) and nothing else; a record's LSN is its end. So one record begins where
//!   the one before it ends.
//! - **LO3** What happened before a reservation, or before [`Log::reserved_in_order`], is seen after every later one.

use crate::archive::Archive;
use crate::chain::Chain;
use crate::flush::Flusher;
use crate::format::{LSN_MAX, RECORD_BYTES_MAX};
use crate::health::Health;
use crate::progress::Goal;
use crate::tail::Identity;
use crate::{Error, Lsn, Result};
use aquifer_codec::varint;
use aquifer_io::Disk;
use aquifer_sync::Arc;
use aquifer_sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How to make a log.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// Largest segment file; segments of a new log start small and double up to this. At least 64 KiB are used.
    pub segment_bytes_max: u64,
    /// Memory for records on their way to the disk; a power of two, at least 4096. See
    /// [`memory_bytes`](Self::memory_bytes) for all memory that a log takes.
    pub ring_bytes: usize,
    /// Identity of the database, in every segment header.
    pub database_id: [u8; 16],
    /// Incarnation, in every segment and batch header.
    pub incarnation: u64,
}

impl LogOptions {
    /// Upper bound of the memory that a log with these options takes: the ring, its marks (an eighth), two batches
    /// under way and spare buffers (a quarter of the ring each), and while a segment is made, the zeros for it.
    pub fn memory_bytes(&self) -> usize {
        self.ring_bytes * 2 + (512 << 10)
    }
}

/// The ring lacks room, or the log was poisoned or closed: leave the gate, call
/// [`wait_for_room`](Log::wait_for_room), which says which, and try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// A place in the log, reserved and not yet filled. Must be filled: dropping it unfilled poisons the log.
#[derive(Debug)]
#[must_use]
pub struct Reserved<'l> {
    log: &'l Log,
    start: u64,
    /// Length of the payload.
    len: usize,
    filled: bool,
}

/// Counters of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Record bytes appended since opening, record lengths included.
    pub record_bytes: u64,
    /// Bytes written to segment files, headers and padding included. The zeros that new files are filled with are not.
    pub written_bytes: u64,
    /// Of these, headers of batches and segments.
    pub header_bytes: u64,
    /// Of these, padding to the block.
    pub padding_bytes: u64,
    /// Flushes (batches written).
    pub flushes: u64,
    /// Syncs: batches written durably, and data syncs of a segment.
    pub syncs: u64,
    /// Segment files kept, live and spare.
    pub segments: u64,
    /// Bytes of all segment files.
    pub file_bytes: u64,
    /// Zeros written to new segment files.
    pub zeroed_bytes: u64,
    /// Segments copied to the archive since opening.
    pub archived: u64,
    /// Segments that are full and not yet copied there; 0 without an archive.
    pub unarchived: u64,
}

/// The write-ahead log of one database.
///
/// All methods may be called from any thread. None may be called with a lock of rank `Log` or later held; only
/// [`reserve`](Self::reserve), [`Reserved::fill`] of a small record and the readers of positions may be called inside
/// the gate.
#[derive(Debug)]
pub struct Log {
    start: u64,
    backing: Backing,
}

#[derive(Debug)]
enum Backing {
    Volatile(Counter),
    Disk(Box<Flusher>),
}

/// A log that is only a position.
#[derive(Debug, Default)]
struct Counter {
    next: AtomicU64,
    health: Health,
}

impl Log {
    /// Starts a log in `directory` whose next record begins at `start`. Segments of earlier incarnations that are there
    /// stay until [`retire`](Self::retire) makes them spare: nothing is ever appended to them.
    ///
    /// When it returns, the incarnation's first segment is durable with its header: a database whose superblock
    /// names this incarnation always finds it.
    ///
    /// # Errors
    ///
    /// `Io`: the disk refused, or is full. `Format`: `start` is no possible position.
    ///
    /// # Panics
    ///
    /// If `ring_bytes` is not a power of two of at least 4096.
    pub fn start(disk: Arc<dyn Disk>, directory: &str, options: LogOptions, start: Lsn) -> Result<Arc<Log>> {
        let LogOptions { segment_bytes_max, ring_bytes, database_id, incarnation } = options;
        assert!(ring_bytes.is_power_of_two() && ring_bytes >= 4096, "{ring_bytes} is no size for a ring");
        if start.0 >= LSN_MAX {
            let what = format!("a log cannot begin at position {}", start.0);
            return Err(Error::Format { file: directory.to_owned(), what });
        }
        let chain = Chain::start(disk, directory, segment_bytes_max)?;
        let flusher = Flusher::start(chain, Identity { database_id, incarnation }, ring_bytes, start.0)?;
        Ok(Arc::new(Log { start: start.0, backing: Backing::Disk(Box::new(flusher)) }))
    }

    /// A log that keeps nothing: positions only. Everything is durable at once. For memory-only databases.
    pub fn volatile() -> Arc<Log> {
        Arc::new(Log { start: 0, backing: Backing::Volatile(Counter::default()) })
    }

    /// Reserves room for a record of `len` bytes; never waits. The reservation fixes the record's place in the commit order.
    /// A record larger than a quarter of the ring is accepted if the disk has room for it, even where the ring has
    /// not; see [`Reserved::fill`].
    ///
    /// # Errors
    ///
    /// [`Full`]; also for a record longer than the limit, and when the log was poisoned or closed.
    #[inline]
    pub fn reserve(&self, len: usize) -> std::result::Result<Reserved<'_>, Full> {
        if len > RECORD_BYTES_MAX {
            return Err(Full);
        }
        let total = framed_bytes(len);
        let start = match &self.backing {
            Backing::Disk(flusher) => {
                if flusher.ring.is_large(total) && !flusher.has_room(total) {
                    return Err(Full);
                }
                flusher.ring.reserve(total).ok_or(Full)?
            }
            Backing::Volatile(counter) => {
                counter.health.check().map_err(|_| Full)?;
                // AcqRel: as in the ring (LO3).
                counter.next.fetch_add(total, Ordering::AcqRel)
            }
        };
        Ok(Reserved { log: self, start, len, filled: false })
    }

    /// Waits, outside the gate and without latches, until a record of `len` bytes would find room; writes to the disk
    /// to make some. For a record larger than a quarter of the ring it also prepares segments to hold it, so that a
    /// full disk is reported before the record has a place in the order.
    ///
    /// # Errors
    ///
    /// `TooLarge`; `Poisoned`; `Io` of kind `StorageFull` when no segment could be made for as long as the
    /// [patience](Self::set_patience) lasts: nothing is lost, try again later.
    pub fn wait_for_room(&self, len: usize) -> Result<()> {
        if len > RECORD_BYTES_MAX {
            return Err(Error::TooLarge { len, max: RECORD_BYTES_MAX });
        }
        match &self.backing {
            Backing::Disk(flusher) => flusher.wait_for_room(framed_bytes(len)),
            Backing::Volatile(counter) => counter.health.check(),
        }
    }

    /// The end of the last reservation: where the next record begins.
    #[inline]
    pub fn reserved(&self) -> Lsn {
        match &self.backing {
            Backing::Disk(flusher) => Lsn(flusher.ring.next()),
            Backing::Volatile(counter) => Lsn(counter.next.load(Ordering::Relaxed)),
        }
    }

    /// As [`reserved`](Self::reserved), in one order with all reservations: one that is made later sees what happened before this call,
    /// and this call sees what happened before those that it counts (LO3). It writes a word that all appenders write.
    pub fn reserved_in_order(&self) -> Lsn {
        match &self.backing {
            Backing::Disk(flusher) => Lsn(flusher.ring.next_in_order()),
            Backing::Volatile(counter) => Lsn(counter.next.fetch_add(0, Ordering::AcqRel)),
        }
    }

    /// Everything before it is on stable storage.
    #[inline]
    pub fn durable(&self) -> Lsn {
        match &self.backing {
            Backing::Disk(flusher) => Lsn(flusher.durable()),
            Backing::Volatile(_) => self.reserved(),
        }
    }

    /// Waits until everything before `lsn` is on stable storage; leads a flush if none is under way.
    ///
    /// # Errors
    ///
    /// `Poisoned`, if it was not durable before: whether it is on the disk is then unknown until the database is
    /// reopened. `Io` of kind `StorageFull` when no segment could be made for as long as the
    /// [patience](Self::set_patience) lasts: the records keep their place, and become durable when a later call finds
    /// space; only a crash before that loses them.
    ///
    /// # Panics
    ///
    /// If nothing was reserved up to `lsn`: it would wait for ever.
    pub fn wait_durable(&self, lsn: Lsn) -> Result<()> {
        match &self.backing {
            Backing::Disk(flusher) if flusher.durable() >= lsn.0 => Ok(()),
            Backing::Disk(flusher) => {
                assert!(lsn <= self.reserved(), "{lsn:?} was not reserved");
                flusher.reach(Goal::Durable(lsn.0))
            }
            Backing::Volatile(counter) => counter.health.check(),
        }
    }

    /// Waits until everything before `lsn` has been handed to the kernel.
    ///
    /// # Errors
    ///
    /// As [`wait_durable`](Self::wait_durable).
    ///
    /// # Panics
    ///
    /// As [`wait_durable`](Self::wait_durable).
    pub fn wait_written(&self, lsn: Lsn) -> Result<()> {
        match &self.backing {
            Backing::Disk(flusher) if flusher.written() >= lsn.0 => Ok(()),
            Backing::Disk(flusher) => {
                assert!(lsn <= self.reserved(), "{lsn:?} was not reserved");
                flusher.reach(Goal::Written(lsn.0))
            }
            Backing::Volatile(counter) => counter.health.check(),
        }
    }

    /// Makes everything reserved so far durable and then states so in the log, so that damage to it is told
    /// from a torn tail. Costs one more write, unless the last batch states it already.
    ///
    /// # Errors
    ///
    /// As [`wait_durable`](Self::wait_durable).
    pub fn confirm(&self) -> Result<()> {
        match &self.backing {
            Backing::Disk(flusher) => flusher.confirm(),
            Backing::Volatile(counter) => counter.health.check(),
        }
    }

    /// [`confirm`](Self::confirm), and notes in the log that it ends there: recovery then looks no further. Nothing
    /// can be appended afterwards, also if it fails.
    ///
    /// Every reservation must have been filled, or be about to be.
    ///
    /// # Errors
    ///
    /// As [`wait_durable`](Self::wait_durable); also if the log was closed before.
    pub fn close(&self) -> Result<()> {
        match &self.backing {
            Backing::Disk(flusher) => flusher.close(),
            Backing::Volatile(counter) => {
                counter.health.check()?;
                counter.health.fail("the log was closed");
                Ok(())
            }
        }
    }

    /// Gives segments that hold only durable records before `lsn`, and all of earlier incarnations, back for reuse (a
    /// bounded number is kept spare, the rest removed). Called when a durable checkpoint covers them. The last of them stays
    /// until something behind it is durable.
    ///
    /// # Errors
    ///
    /// `Io`: a file could not be renamed or removed; the log works on, and the next call tries again. `Poisoned`: a
    /// directory could not be synced.
    pub fn retire(&self, lsn: Lsn) -> Result<()> {
        match &self.backing {
            Backing::Disk(flusher) => flusher.retire(lsn.0),
            Backing::Volatile(counter) => counter.health.check(),
        }
    }

    /// Work for a background thread: makes the next segment ahead of need. Returns whether anything was done.
    ///
    /// # Errors
    ///
    /// `Io` of kind `StorageFull`: nothing is lost, the log works on while the present segment lasts. `Poisoned`.
    pub fn housekeep(&self) -> Result<bool> {
        match &self.backing {
            Backing::Disk(flusher) => flusher.housekeep(),
            Backing::Volatile(_) => Ok(false),
        }
    }

    /// From now on no segment is given back for reuse before it has been copied to the archive. To be called before the first
    /// [`retire`](Self::retire), and before a checkpoint covers what earlier incarnations left: that is made durable here.
    ///
    /// # Errors
    ///
    /// `Io`: the log that is there could not be synced.
    pub fn archive_to(&self, archive: Archive) -> Result<()> {
        match &self.backing {
            Backing::Disk(flusher) => Ok(flusher.chain.archive_to(archive)?),
            Backing::Volatile(_) => Ok(()),
        }
    }

    /// Work for a background thread: copies a segment that is full to the archive, if there is one. Returns whether it did.
    ///
    /// # Errors
    ///
    /// `Io`: nothing is lost, segments stay until they are copied. `Poisoned`.
    pub fn archive_one(&self) -> Result<bool> {
        match &self.backing {
            Backing::Disk(flusher) => flusher.archive_one(),
            Backing::Volatile(_) => Ok(false),
        }
    }

    /// How long calls that need a new segment put up with a full disk before they return the error; one second by default.
    pub fn set_patience(&self, patience: Duration) {
        if let Backing::Disk(flusher) = &self.backing {
            flusher.set_patience(patience);
        }
    }

    /// Stops the log for good: waiters and later calls get `Poisoned` with this cause.
    pub fn poison(&self, cause: &str) {
        match &self.backing {
            Backing::Disk(flusher) => flusher.poison(cause),
            Backing::Volatile(counter) => counter.health.fail(cause),
        }
    }

    /// As [`poison`](Self::poison), and waits until no thread touches the log's files any more: somebody else may have them.
    pub fn stop(&self, cause: &str) {
        match &self.backing {
            Backing::Disk(flusher) => flusher.stop(cause),
            Backing::Volatile(counter) => counter.health.fail(cause),
        }
    }

    /// The cause, if poisoned.
    pub fn poisoned(&self) -> Option<String> {
        match &self.backing {
            Backing::Disk(flusher) => flusher.health.cause(),
            Backing::Volatile(counter) => counter.health.cause(),
        }
    }

    /// Counters.
    pub fn stats(&self) -> LogStats {
        let mut stats = LogStats { record_bytes: self.reserved().0 - self.start, ..LogStats::default() };
        if let Backing::Disk(flusher) = &self.backing {
            flusher.counters.read_into(&mut stats);
            flusher.chain.read_into(&mut stats);
        }
        stats
    }
}

impl Reserved<'_> {
    /// Where the record begins: the end of the one before it.
    #[inline]
    pub fn start(&self) -> Lsn {
        Lsn(self.start)
    }

    /// The record's end: the commit's LSN.
    #[inline]
    pub fn lsn(&self) -> Lsn {
        Lsn(self.start + framed_bytes(self.len))
    }

    /// Copies the record in and publishes it. `record` has the reserved length. Never waits for a record of at most a
    /// quarter of the ring; a larger one is copied piecewise as the flusher frees room, so call this outside the gate then.
    ///
    /// It returns nothing, for there is nothing to be done: if the log fails meanwhile, it is poisoned, and who waits
    /// for the record learns of it.
    ///
    /// # Panics
    ///
    /// If `record` has another length than was reserved; the log is poisoned then.
    #[inline]
    pub fn fill(mut self, record: &[u8]) {
        assert_eq!(record.len(), self.len, "LO1: the record has the length that was reserved");
        if let Backing::Disk(flusher) = &self.log.backing {
            let (length, length_bytes) = length_field(self.len);
            let length = &length[..length_bytes];
            let total = (length_bytes + record.len()) as u64;
            if flusher.ring.is_large(total) && self.start + total > flusher.ring.limit() {
                flusher.stream(self.start, [length, record]);
            } else {
                flusher.ring.write(self.start, length);
                flusher.ring.write(self.start + length_bytes as u64, record);
                flusher.ring.publish(self.start);
            }
        }
        self.filled = true;
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if !self.filled {
            self.log.poison("a reserved place in the log was not filled"); // LO1
        }
    }
}

/// The length field of a record, and how many bytes of the array it takes.
#[inline]
fn length_field(len: usize) -> ([u8; varint::LEN_MAX], usize) {
    let mut field = [0; varint::LEN_MAX];
    let count = varint::len(len as u64);
    let mut rest = len as u64;
    for byte in &mut field[..count - 1] {
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    field[count - 1] = rest as u8;
    (field, count)
}

/// Record bytes of a payload of `len` bytes (LO2).
#[inline]
fn framed_bytes(len: usize) -> u64 {
    (varint::len(len as u64) + len) as u64
}

#[cfg(all(test, not(loom)))]
mod tests;
