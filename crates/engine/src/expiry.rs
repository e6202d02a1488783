//! Records that expire.
//!
//! ```text
//!  stored value, in a table whose records may expire:    expiry u64, little-endian | the user's value      FROZEN
//!                                                        '- milliseconds since 1970, 0 never
//!  put --stamp--> stored --> index, log, versions, backup: bytes like any others --> stored --is it alive?--> get
//!                                ^-- removal: found expired, deleted by a commit that finds it unchanged
//! ```
//!
//! | module | its secret |
//! |---|---|
//! | `access` | what tables, snapshots, batches and transactions say of expiry |
//! | `due` | from when on there may be something to remove |
//! | `removal` | walking a table, and removing what has expired |
//!
//! # Invariants
//!
//! - **EX1** In a table whose records may expire every stored value begins with a stamp, wherever it is: in leaves, as the first bytes of a large value's
//!   pages, in members of groups, write sets, older values and the log. Stamps are put on and taken off between users' handles and the
//!   index. Nobody below knows of them; a table whose records do not expire has none.
//! - **EX2** A record is there at every moment before its stamp, and not at it nor after. A call reads the clock once: as it reads the value,
//!   and after the commit for the old value that a commit gives. A cursor has the time of its making, snapshots and transactions that of theirs.
//! - **EX3** Replay, restoring and salvage read no clock: that a record has expired changes nothing of what is stored. A removal is a logged
//!   delete like any other.
//! - **EX4** A removal finds, under the stripe of its key, the very value that was read, or it does not happen. The stamp is part of that, so
//!   a record that was put again stays, unless it has expired as well.
//! - **EX5** No record whose commit has returned has a stamp below the table's `due`, but those that a walk under way has yet to pass.

mod access;
mod due;
mod removal;

pub(crate) use due::{Expiring, Lifetime, Noted};
pub(crate) use removal::{Removal, remove_some, start};

use crate::clock::Moment;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::large::{self, LargeReader};
use crate::table_core::{Found, TableCore};
use std::time::{Duration, SystemTime};

/// When a record expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expiry {
    /// It does not.
    Never,
    /// At this time, in whole milliseconds: before it the record is there, from it on it is not.
    At(SystemTime),
}

impl From<SystemTime> for Expiry {
    fn from(time: SystemTime) -> Expiry {
        Expiry::At(time)
    }
}

/// What a stamp takes. FROZEN.
pub(crate) const STAMP_BYTES: usize = 8;

/// When a record expires, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

impl Stamp {
    /// FROZEN.
    pub(crate) const NEVER: Stamp = Stamp(0);

    fn at(moment: Moment) -> Stamp {
        Stamp(moment.0.max(1))
    }

    fn of(expiry: Expiry) -> Stamp {
        match expiry {
            Expiry::Never => Stamp::NEVER,
            Expiry::At(time) => Stamp::at(Moment::not_before(time)),
        }
    }

    fn after(now: Moment, time: Duration) -> Stamp {
        Stamp::at(now.after(time))
    }

    /// EX2.
    fn is_alive(self, now: Moment) -> bool {
        self == Stamp::NEVER || now.0 < self.0
    }

    fn expiry(self) -> Expiry {
        match self {
            Stamp::NEVER => Expiry::Never,
            Stamp(at) => Expiry::At(Moment(at).time()),
        }
    }

    /// The moment from which on it is not there, in milliseconds.
    fn ends(self) -> u64 {
        if self == Stamp::NEVER { u64::MAX } else { self.0 }
    }

    fn bytes(self) -> [u8; STAMP_BYTES] {
        self.0.to_le_bytes()
    }
}

/// Begins a stored value with its stamp, if it has one.
pub(crate) fn begin_value(stamp: Option<Stamp>, stored: &mut Vec<u8>) {
    if let Some(stamp) = stamp {
        stored.extend_from_slice(&stamp.bytes());
    }
}

/// A stored value.
pub(crate) fn stamped(stamp: Option<Stamp>, value: Vec<u8>) -> Vec<u8> {
    if stamp.is_none() {
        return value;
    }
    let mut stored = Vec::with_capacity(STAMP_BYTES + value.len());
    begin_value(stamp, &mut stored);
    stored.extend_from_slice(&value);
    stored
}

impl TableCore {
    /// May its records expire?
    #[inline]
    pub(crate) fn expires(&self) -> bool {
        self.expiring.is_some()
    }

    /// The time, for a table to which it matters.
    #[inline]
    pub(crate) fn now(&self, engine: &Engine) -> Moment {
        if self.expires() { engine.clock.now() } else { Moment::default() }
    }

    /// What a value that is put begins with, unless its user says otherwise.
    #[inline]
    pub(crate) fn stamp(&self, engine: &Engine) -> Option<Stamp> {
        self.stamp_at(self.now(engine))
    }

    /// As [`stamp`](Self::stamp), of what is put at this time.
    #[inline]
    pub(crate) fn stamp_at(&self, now: Moment) -> Option<Stamp> {
        self.expiring.as_ref().map(|expiring| expiring.lifetime.stamp(now))
    }

    /// Bytes of a stored value that come before the user's.
    pub(crate) fn stamp_bytes(&self) -> usize {
        if self.expires() { STAMP_BYTES } else { 0 }
    }

    /// The stamp of a stored value; of a table whose records may expire.
    pub(crate) fn stamp_of(&self, stored: &[u8]) -> Result<Stamp> {
        match stored.first_chunk() {
            Some(stamp) => Ok(Stamp(u64::from_le_bytes(*stamp))),
            None => Err(Error::corrupt(format!(
                "table {}: a value of {} bytes is too short for the time at which it expires; restore a backup or use salvage",
                self.name,
                stored.len()
            ))),
        }
    }

    /// Is a stored value there at this moment (EX2)?
    #[inline]
    pub(crate) fn is_there(&self, now: Moment, stored: &[u8]) -> Result<bool> {
        if !self.expires() {
            return Ok(true);
        }
        Ok(self.stamp_of(stored)?.is_alive(now))
    }

    /// Makes of a stored value, which is there if `found`, the user's; whether that is there.
    #[inline]
    pub(crate) fn show(&self, now: Moment, found: bool, value: &mut Vec<u8>) -> Result<bool> {
        if !found || !self.expires() {
            return Ok(found);
        }
        let alive = self.stamp_of(value)?.is_alive(now);
        match alive {
            true => drop(value.drain(..STAMP_BYTES)),
            false => value.clear(),
        }
        Ok(alive)
    }

    /// The user's part of a stored value.
    pub(crate) fn users_part<'v>(&self, stored: &'v [u8]) -> Result<&'v [u8]> {
        if self.expires() {
            self.stamp_of(stored)?;
        }
        Ok(&stored[self.stamp_bytes()..])
    }

    /// The stamp of what was found, of which a large value is pinned. Of one, its first page is read.
    fn stamp_of_found(&self, found: &Found) -> Result<Stamp> {
        match found.is_large() {
            true => self.stamp_of(&large::first_bytes(self, &found.bytes, STAMP_BYTES)?),
            false => self.stamp_of(&found.bytes),
        }
    }

    /// Is what was found there at this moment?
    pub(crate) fn is_found_there(&self, now: Moment, found: &Found) -> Result<bool> {
        if !self.expires() {
            return Ok(true);
        }
        Ok(self.stamp_of_found(found)?.is_alive(now))
    }

    /// A reader of the user's part of what this one reads, if that is there.
    pub(crate) fn reader_of_users_part(
        &self,
        now: Moment,
        mut reader: LargeReader,
    ) -> Result<Option<LargeReader>> {
        if !self.expires() {
            return Ok(Some(reader));
        }
        let mut stamp = [0; STAMP_BYTES];
        let read = reader.read_at(0, &mut stamp)?;
        let alive = self.stamp_of(&stamp[..read])?.is_alive(now);
        reader.begin_at(STAMP_BYTES as u64);
        Ok(alive.then_some(reader))
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
