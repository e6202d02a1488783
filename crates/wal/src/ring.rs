//! The ring: log memory that many threads fill and one collector empties.
//!
//! Positions are LSNs; position `p` lies at byte `p % bytes` of the ring. Each position goes through
//!
//! ```text
//!  free --reserve--> owned by its appender --publish--> owned by the collector --take--> free (one lap later)
//! ```
//!
//! ```text
//!   freed <= collected <= frontier <= next        next <= freed + bytes, but for a large record
//!   |  taken, being freed |  published  |  reserved, partly written  |
//! ```
//!
//! A published record is known by the mark (one bit for each ring byte) of its first byte. From the mark of its first
//! byte and its length the collector finds the next one, so the published prefix is exact: a record is never held
//! back by reservations behind it, and nobody but the collector waits for a gap.
//! (InnoDB's `Link_buf`, with the link derived from the record's own length.)
//!
//! Bytes are moved in relaxed 64-bit atomics. Neighbouring records may share a word, so words at the edges of a
//! record are or-ed in; for this, free words are zero.
//!
//! # Invariants
//!
//! - **RI1** Reserved ranges are disjoint and leave no hole: `next` moves by compare-and-swap only.
//! - **RI2** An appender writes a position only while it is below `freed + bytes`; so no two positions that share
//!   a ring byte are ever owned at once.
//! - **RI3** Every bit of `words` and `marks` that belongs to a free position is zero.
//! - **RI4** The mark of a position is set only after the whole record that starts there is written, and read with
//!   Acquire before the record is.
//! - **RI5** One thread at a time is the collector; `freed` and `frontier` are moved by it alone. (A large record's
//!   appender is the collector while it moves the frontier over its own pieces.)
//! - **RI6** After [`Ring::seal`] nothing is reserved: the seal is a bit of `next`, so no reservation overtakes it.
//! - **RI7** Reservations are read-modify-writes of `next` that acquire and release, and so is [`Ring::next_in_order`]: what happened
//!   before one of them is seen after every later one.

use aquifer_codec::varint;
use aquifer_sync::atomic::{AtomicU64, Ordering};

/// Set in `next` when the ring is sealed (RI6); no position comes near it.
const SEALED: u64 = 1 << 63;

/// A value on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Padded<T>(T);

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Ring {
    bytes: u64,
    words: Box<[AtomicU64]>,
    marks: Box<[AtomicU64]>,
    /// Moved by appenders.
    next: Padded<AtomicU64>,
    /// Moved by the collector (RI5).
    freed: Padded<AtomicU64>,
}

impl Ring {
    /// An empty ring of `bytes` bytes whose first position is `start`.
    ///
    /// # Panics
    ///
    /// If `bytes` is not a power of two of at least 64.
    pub(crate) fn new(bytes: usize, start: u64) -> Ring {
        assert!(bytes.is_power_of_two() && bytes >= 64, "a ring has a power of two of bytes, not {bytes}");
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        Ring {
            bytes: bytes as u64,
            words: zeros(bytes / 8),
            marks: zeros(bytes / 64),
            next: Padded(AtomicU64::new(start)),
            freed: Padded(AtomicU64::new(start)),
        }
    }

    /// Size of the ring.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The end of the last reservation.
    pub(crate) fn next(&self) -> u64 {
        self.next.0.load(Ordering::Acquire) & !SEALED
    }

    /// The same, by a read-modify-write: in one order with all reservations (RI7).
    pub(crate) fn next_in_order(&self) -> u64 {
        self.next.0.fetch_add(0, Ordering::AcqRel) & !SEALED
    }

    /// Refuses all further reservations (RI6).
    pub(crate) fn seal(&self) {
        // Release: pairs with the Acquire in `next`, as the reservation before it would.
        self.next.0.fetch_or(SEALED, Ordering::Release);
    }

    /// Whether [`seal`](Self::seal) was called.
    pub(crate) fn is_sealed(&self) -> bool {
        self.next.0.load(Ordering::Relaxed) & SEALED != 0
    }

    /// The position that may not be written yet: one lap above what is free.
    pub(crate) fn limit(&self) -> u64 {
        // Acquire: pairs with the Release in `take`, so that a writer finds the words cleared (RI3).
        self.freed.0.load(Ordering::Acquire) + self.bytes
    }

    /// A record that may be longer than the room there is, and is then written piece by piece.
    pub(crate) fn is_large(&self, len: u64) -> bool {
        len > self.bytes / 4
    }

    /// Whether [`reserve`](Self::reserve) would find room now.
    pub(crate) fn has_room(&self, len: u64) -> bool {
        self.admits(self.next.0.load(Ordering::Relaxed), len)
    }

    /// A sealed `start` is above every limit.
    fn admits(&self, start: u64, len: u64) -> bool {
        if self.is_large(len) { start < self.limit() } else { start + len <= self.limit() }
    }

    /// Reserves `len` positions (RI1). Lock-free; `None` when there is no room.
    #[inline]
    pub(crate) fn reserve(&self, len: u64) -> Option<u64> {
        // Relaxed: a stale value makes the exchange fail, or the answer a needless `None`.
        let mut start = self.next.0.load(Ordering::Relaxed);
        loop {
            if !self.admits(start, len) {
                return None;
            }
            // AcqRel: pairs with the Acquire in `next`, and with every reservation before and after it: what its maker saw, those
            // after it see (RI7). The words need no order from here: `admits` saw them freed.
            let exchange =
                self.next.0.compare_exchange_weak(start, start + len, Ordering::AcqRel, Ordering::Relaxed);
            match exchange {
                Ok(_) => return Some(start),
                Err(current) => start = current,
            }
        }
    }

    /// Writes bytes to reserved positions below [`limit`](Self::limit).
    #[inline]
    pub(crate) fn write(&self, start: u64, bytes: &[u8]) {
        debug_assert!(start + bytes.len() as u64 <= self.limit(), "RI2");
        let skip = (start % 8) as usize;
        let (head, rest) = bytes.split_at(bytes.len().min((8 - skip) % 8));
        let mut position = start;
        if !head.is_empty() {
            self.merge(position, head);
            position += head.len() as u64;
        }
        let mut chunks = rest.chunks_exact(8);
        for chunk in &mut chunks {
            let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
            // Relaxed: ordered by the mark (RI4). The word is wholly ours (RI1).
            self.word(position).store(word, Ordering::Relaxed);
            position += 8;
        }
        if !chunks.remainder().is_empty() {
            self.merge(position, chunks.remainder());
        }
    }

    /// Writes a part of one word, beside what neighbours write into it.
    fn merge(&self, position: u64, part: &[u8]) {
        let skip = (position % 8) as usize;
        let mut word = [0; 8];
        word[skip..skip + part.len()].copy_from_slice(part);
        if cfg!(any(debug_assertions, loom)) {
            let found = self.word(position).load(Ordering::Relaxed).to_le_bytes();
            assert!(found[skip..skip + part.len()].iter().all(|&byte| byte == 0), "RI3");
        }
        // Relaxed: ordered by the mark (RI4). Our bytes of it are zero (RI3).
        self.word(position).fetch_or(u64::from_le_bytes(word), Ordering::Relaxed);
    }

    /// Hands the whole record that was written at `start` to the collector.
    #[inline]
    pub(crate) fn publish(&self, start: u64) {
        let (mark, bit) = self.mark(start);
        // Release: pairs with the Acquire in `scan` (RI4).
        mark.fetch_or(bit, Ordering::Release);
    }

    /// The end of the unbroken run of published records that begins at `frontier`. For the collector.
    pub(crate) fn scan(&self, mut frontier: u64) -> u64 {
        let limit = self.limit();
        // Above the limit a mark would be that of one lap before.
        while frontier < limit {
            let (mark, bit) = self.mark(frontier);
            // Acquire: pairs with the Release in `publish` (RI4).
            if mark.load(Ordering::Acquire) & bit == 0 {
                break;
            }
            frontier += self.record_len(frontier);
        }
        frontier
    }

    /// Length of the published record at `start`, its own length field included.
    fn record_len(&self, start: u64) -> u64 {
        let mut head = [0; varint::LEN_MAX];
        for (index, byte) in head.iter_mut().enumerate() {
            let position = start + index as u64;
            let word = self.word(position).load(Ordering::Relaxed);
            *byte = word.to_le_bytes()[(position % 8) as usize];
            if *byte < 0x80 {
                break;
            }
        }
        let (len, len_bytes) = varint::get(&head).expect("RI4: a published record begins with its length");
        len + len_bytes as u64
    }

    /// Copies `out.len()` published positions from `start` = `freed` on, and frees them. For the collector.
    pub(crate) fn take(&self, start: u64, out: &mut [u8]) {
        debug_assert_eq!(start + self.bytes, self.limit(), "RI5: freed in order");
        let end = start + out.len() as u64;
        let mut position = start;
        let mut rest = out;
        while position < end {
            let skip = (position % 8) as usize;
            let count = (8 - skip).min((end - position) as usize);
            let word = self.word(position);
            // Relaxed: `scan` acquired these bytes (RI4).
            let bytes = word.load(Ordering::Relaxed).to_le_bytes();
            let (part, after) = rest.split_at_mut(count);
            part.copy_from_slice(&bytes[skip..skip + count]);
            if count == 8 {
                word.store(0, Ordering::Relaxed);
            } else {
                let mut keep = [0xFF; 8];
                keep[skip..skip + count].fill(0);
                word.fetch_and(u64::from_le_bytes(keep), Ordering::Relaxed);
            }
            rest = after;
            position += count as u64;
        }
        self.clear_marks(start, end);
        // Release: pairs with the Acquire in `limit` (RI3).
        self.freed.0.store(end, Ordering::Release);
    }

    fn clear_marks(&self, start: u64, end: u64) {
        let mut position = start;
        while position < end {
            let (mark, first) = self.mark(position);
            let count = (64 - position % 64).min(end - position);
            let bits = if count == 64 { u64::MAX } else { (first << count).wrapping_sub(first) };
            // Relaxed: `scan` acquired those that are ours; others in the word may be set meanwhile.
            if mark.load(Ordering::Relaxed) & bits != 0 {
                mark.fetch_and(!bits, Ordering::Relaxed);
            }
            position += count;
        }
    }

    fn word(&self, position: u64) -> &AtomicU64 {
        &self.words[((position & (self.bytes - 1)) / 8) as usize]
    }

    fn mark(&self, position: u64) -> (&AtomicU64, u64) {
        (&self.marks[((position & (self.bytes - 1)) / 64) as usize], 1 << (position % 64))
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;
