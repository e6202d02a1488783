//! The tail of the log: where the next batch goes, and how it is built.
//!
//! # Invariants
//!
//! - **TA1** `collected <= frontier`; what lies between is published and still in the ring.
//! - **TA2** `offset` is the first block of the segment that was never written in its present life; it only rises, by
//!   whole batches, up to exactly the capacity. No block is written twice.
//! - **TA3** A segment is left only when it is full to its capacity; then the next one begins at `collected`.
//! - **TA4** Nothing is taken from the ring before it has a place in a segment.

use crate::chain::{Chain, Failure, Segment};
use crate::format::{BATCH_FILE_BYTES_MAX, BATCH_HEADER_BYTES, BatchHeader, BatchPlace, SegmentHeader};
use crate::ring::Ring;
use aquifer_io::{BLOCK_BYTES, Buffer};
use std::time::{SystemTime, UNIX_EPOCH};

/// Whose log it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) database_id: [u8; 16],
    pub(crate) incarnation: u64,
}

/// What a batch is to hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    /// What the batch states as durable.
    pub(crate) durable: u64,
    /// Flags of the batch.
    pub(crate) flags: u32,
    /// Build a batch even if nothing is published.
    pub(crate) even_empty: bool,
    /// Leave the last part of a block for a later batch if there is much to write: saves padding.
    pub(crate) whole_blocks: bool,
}

/// A batch on its way to the disk.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) segment: Segment,
    pub(crate) offset: u64,
    pub(crate) buffer: Buffer,
    /// LSN after its last record byte.
    pub(crate) end: u64,
    /// Record bytes in it.
    pub(crate) record_bytes: u64,
    /// Header bytes of batch and segment.
    pub(crate) header_bytes: u64,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Tail {
    identity: Identity,
    frontier: u64,
    collected: u64,
    segment: Segment,
    offset: u64,
    previous_crc: u32,
    batch_bytes_max: u64,
    /// `durable` as stated by the last batch.
    stated: u64,
}

impl Tail {
    /// A tail at the beginning of a segment. A batch takes at most a quarter of the ring.
    pub(crate) fn new(identity: Identity, segment: Segment, start: u64, ring_bytes: usize) -> Tail {
        let batch_bytes_max = (ring_bytes / 4).clamp(BLOCK_BYTES, BATCH_FILE_BYTES_MAX);
        Tail {
            identity,
            frontier: start,
            collected: start,
            segment,
            offset: 0,
            previous_crc: 0,
            batch_bytes_max: (batch_bytes_max / BLOCK_BYTES * BLOCK_BYTES) as u64,
            stated: start,
        }
    }

    /// Moves the frontier over what has been published, and returns it.
    pub(crate) fn advance(&mut self, ring: &Ring) -> u64 {
        self.frontier = ring.scan(self.frontier);
        self.frontier
    }

    /// Moves the frontier over a piece of a large record, which its appender has written at the frontier.
    pub(crate) fn advance_over(&mut self, piece_bytes: u64) {
        self.frontier += piece_bytes;
    }

    /// Whether the last batch stated that everything collected is durable.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.stated == self.collected
    }

    /// Whether half of the active segment is used up: time to prepare the next.
    pub(crate) fn is_half_full(&self) -> bool {
        self.offset >= self.segment.capacity / 2
    }

    /// Builds the next batch from what has been published, and takes that from the ring. `None` if there is nothing.
    /// `spare` may hold buffers to use.
    pub(crate) fn build(
        &mut self,
        ring: &Ring,
        chain: &Chain,
        order: Order,
        spare: &mut Vec<Buffer>,
    ) -> Result<Option<Batch>, Failure> {
        let pending = self.advance(ring) - self.collected;
        if pending == 0 && !order.even_empty {
            return Ok(None);
        }
        if self.offset == self.segment.capacity {
            // TA3, TA4.
            self.segment = chain.begin(self.collected)?;
            self.offset = 0;
        }
        let begins = self.offset == 0;
        let preamble = if begins { BLOCK_BYTES } else { 0 };
        let offset = self.offset;
        let batch_offset = offset + preamble as u64;
        let len = self.batch_len(pending, self.segment.capacity - batch_offset, order.whole_blocks);

        let file_bytes = (BATCH_HEADER_BYTES + len).next_multiple_of(BLOCK_BYTES);
        if batch_offset + file_bytes as u64 == self.segment.capacity {
            chain.ensure_next()?; // CH6
        }
        let mut buffer = buffer_of(preamble + file_bytes, spare);
        if begins {
            buffer[..BLOCK_BYTES].fill(0);
            self.segment_header().encode(&mut buffer[..BLOCK_BYTES]);
        }
        let bytes = &mut buffer[preamble..];
        ring.take(self.collected, &mut bytes[BATCH_HEADER_BYTES..BATCH_HEADER_BYTES + len]);
        bytes[BATCH_HEADER_BYTES + len..].fill(0);
        let header = BatchHeader {
            len: len as u32,
            flags: order.flags,
            first_lsn: self.collected,
            incarnation: self.identity.incarnation,
            durable: order.durable,
            time_us: now_us(),
            previous_crc: self.previous_crc,
        };
        let place = BatchPlace {
            database_id: self.identity.database_id,
            segment: self.segment.number,
            offset: batch_offset,
        };
        self.previous_crc = header.encode(&place, bytes);
        self.stated = order.durable;
        self.collected += len as u64;
        self.offset = batch_offset + file_bytes as u64; // TA2
        Ok(Some(Batch {
            segment: self.segment.clone(),
            offset,
            buffer,
            end: self.collected,
            record_bytes: len as u64,
            header_bytes: (BATCH_HEADER_BYTES + preamble) as u64,
        }))
    }

    /// How many of the pending record bytes go into a batch, where `room` bytes are left in the segment.
    fn batch_len(&self, pending: u64, room: u64, whole_blocks: bool) -> usize {
        let header = BATCH_HEADER_BYTES as u64;
        let len = pending.min(self.batch_bytes_max.min(room) - header);
        let blocks = (header + len) / BLOCK_BYTES as u64;
        let len = if whole_blocks && blocks > 0 { blocks * BLOCK_BYTES as u64 - header } else { len };
        len as usize
    }

    fn segment_header(&self) -> SegmentHeader {
        SegmentHeader {
            database_id: self.identity.database_id,
            incarnation: self.identity.incarnation,
            number: self.segment.number,
            first_lsn: self.collected,
            capacity: self.segment.capacity,
        }
    }
}

/// A spare buffer of exactly this size, or a new one.
fn buffer_of(bytes: usize, spare: &mut Vec<Buffer>) -> Buffer {
    match spare.iter().position(|buffer| buffer.len() == bytes) {
        Some(index) => spare.swap_remove(index),
        None => Buffer::zeroed(bytes),
    }
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_micros() as u64)
}
