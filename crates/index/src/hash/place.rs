//! A bucket latched for one change, and finding it room.
//!
//! ```text
//! descend --> find the key --> upgrade the bucket --> room? --yes--> Place
//!    ^                                                  |
//!    |                                            after compaction? --yes--> compact --> Place
//!    |                                                  | no
//!    '------- share, split, or deepen the directory ----'
//! ```
//!
//! # Invariants
//!
//! - **PC1** A [`Place`] is on a page that is dirty and whose header is sane; if it was asked for with room, a record of the
//!   length asked for fits between runs and heap, the bytes of the record that it replaces counted if they lie first in
//!   the heap.
//! - **PC2** Nothing that a reader sees has changed when an attempt ends without a `Place`, but for complete rearrangements.
//! - **PC3** A new record's key lies in the gap, where [`BucketMut::stash`] put it.
//! - **PC4** A change in an overflow page raises the version of its bucket as well, which is latched and dirty.

use super::HashIndex;
use super::bucket::{Bucket, Find, Found};
use super::bucket_edit::BucketMut;
use super::cut::Incoming;
use super::layout::*;
use crate::LeafValue;
use crate::fault::Attempt;
use aquifer_buffer::{ExclusivePage, Mutation, PageId, Pager, Retry};

/// Attempts after which a contended bucket is given up for this passage of the gate.
const ATTEMPTS: usize = 4;

/// A bucket latched exclusively, dirty, with room: the change itself cannot fail.
#[derive(Debug)]
#[must_use]
pub struct Place<'m> {
    /// The bucket, if the record lies in an overflow page of it.
    head: Option<ExclusivePage<'m>>,
    page: ExclusivePage<'m>,
    hash: u64,
    existing: Option<Found>,
    key_len: usize,
    value_len_max: usize,
}

/// What a record needs of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Fits,
    Compact,
    Full,
}

/// Whether a page has room for a record, in place of the one that is there.
pub(crate) fn fit(bucket: Bucket<&[u8]>, key_len: usize, value_len: usize, existing: Option<Found>) -> Fit {
    let entry_len = LENGTHS_BYTES + key_len + value_len;
    let (needed, reclaimed, first_in_heap) = match existing {
        Some(old) if entry_len <= old.entry_len() => return Fit::Fits,
        Some(old) => (entry_len, old.entry_len(), old.entry == bucket.heap_start()),
        None => (SLOT_BYTES + entry_len, 0, false),
    };
    if needed <= bucket.gap_bytes() + if first_in_heap { reclaimed } else { 0 } {
        Fit::Fits
    } else if needed <= bucket.free_bytes() + reclaimed {
        Fit::Compact
    } else {
        Fit::Full
    }
}

impl HashIndex {
    /// Latches the bucket of `key`, with room for the record, rearranging pages as needed. That stays even if the place is
    /// not used.
    ///
    /// # Errors
    ///
    /// What has to happen before it can be tried again; no record has changed.
    ///
    /// # Panics
    ///
    /// If `key` or `value_len` is beyond [`limits`](HashIndex::limits).
    pub fn place<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &'m Pager,
        key: &[u8],
        value_len: usize,
    ) -> Result<Place<'m>, Retry> {
        let (key_max, value_max) = HashIndex::limits(pager.page_bytes());
        assert!(key.len() <= key_max, "a key of {} bytes; {key_max} is the most", key.len());
        assert!(value_len <= value_max, "a value of {value_len} bytes; {value_max} is the most");
        let incoming = Incoming { hash: self.hasher.of(key), key, value_len };
        let mut contended = 0;
        loop {
            match self.try_place(m, pager, &incoming) {
                Ok(Some(place)) => return Ok(place),
                Ok(None) => {} // records were divided, or the directory has become finer: both end
                Err(Retry::Changed) if contended < ATTEMPTS => contended += 1,
                Err(retry) => return Err(retry),
            }
        }
    }

    /// Latches the bucket of `key` if there is a record, to remove or patch it, or to put a value that is not longer.
    /// Touches no record if there is none. A bucket that has become sparse may be merged with its neighbour on the way.
    ///
    /// # Errors
    ///
    /// As [`place`](HashIndex::place).
    pub fn place_existing<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &'m Pager,
        key: &[u8],
    ) -> Result<Option<Place<'m>>, Retry> {
        let hash = self.hasher.of(key);
        let mut contended = 0;
        let mut may_shrink = true;
        loop {
            match self.try_place_existing(m, pager, hash, key, may_shrink) {
                Ok(Existing::Place(place)) => return Ok(Some(place)),
                Ok(Existing::None) => return Ok(None),
                Ok(Existing::Sparse) => {
                    may_shrink = false;
                    self.shrink(m, pager, hash)?;
                }
                Err(Retry::Changed) if contended < ATTEMPTS => contended += 1,
                Err(retry) => return Err(retry),
            }
        }
    }

    fn try_place<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &'m Pager,
        incoming: &Incoming<'_>,
    ) -> Attempt<Option<Place<'m>>> {
        let bucket = self.bucket(pager, incoming.hash)?;
        // Before the latch, whose atomic operation would make the search wait for its own cache misses.
        let found = Bucket::new(bucket.words()).find(incoming.hash, incoming.key);
        let page = m.upgrade(bucket)?; // nothing has changed since `find`
        let bucket = Bucket::new(page.bytes());
        if !bucket.is_sane() {
            return Err(Retry::Damaged(page.id(), INSANE));
        }
        let existing = match found {
            Find::Found(found) => Some(found),
            Find::Absent => None,
            Find::Nonsense => return Err(Retry::Damaged(page.id(), INSANE)),
        };
        if bucket.next() != PageId::NONE {
            return self.place_in_chain(m, pager, page, incoming);
        }
        let Incoming { key, value_len, .. } = *incoming;
        if fit(bucket, key.len(), value_len, existing) == Fit::Full {
            if bucket.is_single() {
                self.extend_chain(m, page)?;
            } else {
                drop(page);
                self.make_room(m, pager, incoming)?;
            }
            return Ok(None);
        }
        Place::with_room(None, page, incoming, existing).map(Some)
    }

    fn try_place_existing<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &'m Pager,
        hash: u64,
        key: &[u8],
        may_shrink: bool,
    ) -> Attempt<Existing<'m>> {
        let optimistic = self.bucket(pager, hash)?;
        let bucket = Bucket::new(optimistic.words());
        let existing = match bucket.find(hash, key) {
            Find::Found(found) => Some(found),
            Find::Absent if bucket.next() == PageId::NONE => {
                optimistic.validate()?;
                return Ok(Existing::None);
            }
            Find::Absent => None,
            Find::Nonsense => {
                optimistic.validate()?;
                return Err(Retry::Damaged(optimistic.id(), INSANE));
            }
        };
        let mut page = m.upgrade(optimistic)?; // nothing has changed since `find`
        let bucket = Bucket::new(page.bytes());
        if !bucket.is_sane() {
            return Err(Retry::Damaged(page.id(), INSANE));
        }
        let Some(found) = existing else {
            let place = self.place_existing_in_chain(m, pager, page, hash, key)?;
            return Ok(place.map_or(Existing::None, Existing::Place));
        };
        if may_shrink && HashIndex::may_merge(bucket) {
            return Ok(Existing::Sparse);
        }
        page.make_dirty()?;
        Ok(Existing::Place(Place::of_existing(None, page, hash, found)))
    }
}

/// What looking for a record to change comes to.
enum Existing<'m> {
    Place(Place<'m>),
    None,
    /// There may be one, and its bucket should be merged first.
    Sparse,
}

pub(crate) const INSANE: &str = "its header's sizes do not fit each other, or a record lies beyond the page";

impl<'m> Place<'m> {
    /// On a page that has room, after compaction at most. A head is dirty already.
    pub(crate) fn with_room(
        head: Option<ExclusivePage<'m>>,
        mut page: ExclusivePage<'m>,
        incoming: &Incoming<'_>,
        mut existing: Option<Found>,
    ) -> Attempt<Self> {
        let id = page.id();
        let Incoming { hash, key, value_len } = *incoming;
        page.make_dirty()?;
        if fit(Bucket::new(page.bytes()), key.len(), value_len, existing) == Fit::Compact {
            let last = existing.map(|found| found.index);
            BucketMut::new(page.bytes_mut()).compact(last).map_err(|nonsense| nonsense.on(id))?;
            let bucket = Bucket::new(page.bytes());
            if let Some(found) = &mut existing {
                found.entry = bucket.heap_start(); // `compact` put it there
            }
            if fit(bucket, key.len(), value_len, existing) != Fit::Fits {
                return Err(Retry::Damaged(id, "its free bytes are not where its header says"));
            }
        }
        if existing.is_none() {
            BucketMut::new(page.bytes_mut()).stash(key); // PC3
        }
        Ok(Self { head, page, hash, existing, key_len: key.len(), value_len_max: value_len })
    }

    /// On a record that is there. The pages are dirty already.
    pub(crate) fn of_existing(
        head: Option<ExclusivePage<'m>>,
        page: ExclusivePage<'m>,
        hash: u64,
        found: Found,
    ) -> Self {
        let Found { key_len, value_len, .. } = found;
        Self { head, page, hash, existing: Some(found), key_len, value_len_max: value_len }
    }

    /// The value now.
    pub fn old(&self) -> Option<LeafValue<'_>> {
        self.existing.map(|found| Bucket::new(self.page.bytes()).value(found))
    }

    /// The LSN of the newest change of any record of this bucket.
    pub fn changed_at(&self) -> u64 {
        Bucket::new(self.head.as_ref().unwrap_or(&self.page).bytes()).changed_at()
    }

    /// Puts an inline value. As [`put_value`](Self::put_value).
    pub fn put(self, value: &[u8], lsn: u64) {
        self.put_value(LeafValue::inline(value), lsn);
    }

    /// Puts the value (of at most the length asked for); `lsn` raises the page's `changed_at`.
    ///
    /// # Panics
    ///
    /// If `value` is longer than what the place was asked for, or than the old value.
    pub fn put_value(mut self, value: LeafValue<'_>, lsn: u64) {
        let (existing, hash, key_len) = (self.existing, self.hash, self.key_len);
        let value_len_max = self.value_len_max;
        assert!(value.bytes.len() <= value_len_max, "PC1: the place has room for {value_len_max} bytes");
        let mut bucket = self.change(lsn);
        match existing {
            Some(found) => bucket.replace(hash, found, value),
            None => bucket.insert_stashed(hash, key_len, value),
        }
    }

    /// Overwrites part of the value that is there.
    ///
    /// # Panics
    ///
    /// If there is no record, or the range does not lie within its value.
    pub fn patch(mut self, offset: usize, bytes: &[u8], lsn: u64) {
        let found = self.existing.expect("a patch needs a record");
        assert!(
            offset <= found.value_len && bytes.len() <= found.value_len - offset,
            "a patch of {} bytes at {offset} of a value of {}",
            bytes.len(),
            found.value_len
        );
        self.change(lsn).patch(found.value_at() + offset, bytes);
    }

    /// Removes the record, if there is one.
    pub fn remove(mut self, lsn: u64) {
        if let (Some(found), hash) = (self.existing, self.hash) {
            self.change(lsn).remove(hash, found);
        }
    }

    /// The page to change, with the change noted (PC4).
    fn change(&mut self, lsn: u64) -> BucketMut<'_> {
        if let Some(head) = &mut self.head {
            BucketMut::new(head.bytes_mut()).raise_changed_at(lsn);
        }
        let mut bucket = BucketMut::new(self.page.bytes_mut());
        bucket.raise_changed_at(lsn);
        bucket
    }
}
