//! All records, bucket by bucket in the order of their hashes.
//!
//! # Invariants
//!
//! - **CS1** No latch is held between calls, nor while a page is loaded.
//! - **CS2** A bucket is copied under its shared latch, with its overflow pages: what its range holds at that moment. The next
//!   one covers the hash behind its range, and of its records those count whose hash is not below that. So a key is returned
//!   at most once, and a key that is there throughout is returned, however ranges are divided and merged in between.
//! - **CS3** The position only rises, so that a cursor ends even on a damaged index.

use super::HashIndex;
use super::ahead::AHEAD_MAX;
use super::bucket::{Bucket, Found};
use super::chain::CHAIN_PAGES_MAX;
use super::descent::missing;
use super::place::INSANE;
use crate::LeafValue;
use crate::fault::{Attempt, damaged};
use aquifer_buffer::{PageId, Pager, Result, Retry};

/// Reads all records, by the hashes of their keys: in no order that means anything. Holds no latch between calls; reads what is
/// committed bucket by bucket.
#[derive(Debug)]
pub struct Cursor<'p> {
    index: HashIndex,
    pager: &'p Pager,
    /// The first hash that has not been read; nothing at the end.
    position: Option<u64>,
    /// Pages of the bucket being read, one after the other.
    pages: Vec<u8>,
    /// Where its records lie: page, and place in it.
    records: Vec<(usize, Found)>,
    next: usize,
    /// Buckets read.
    buckets: usize,
}

impl<'p> Cursor<'p> {
    pub(crate) fn new(index: HashIndex, pager: &'p Pager, from: u64) -> Self {
        let (pages, records) = (Vec::new(), Vec::new());
        Self { index, pager, position: Some(from), pages, records, next: 0, buckets: 0 }
    }

    /// The next record, key and value; valid until the next call.
    ///
    /// # Errors
    ///
    /// What loading a page gives; a damaged page.
    #[inline]
    pub fn next_value(&mut self) -> Result<Option<(&[u8], LeafValue<'_>)>> {
        while self.next == self.records.len() {
            let Some(position) = self.position else { return Ok(None) };
            self.enter(position)?;
        }
        self.next += 1;
        Ok(self.last_value())
    }

    /// As [`next_value`](Self::next_value), of the value or its descriptor the bytes alone.
    ///
    /// # Errors
    ///
    /// As [`next_value`](Self::next_value).
    // Not an iterator's: records are lent.
    #[allow(clippy::should_implement_trait)]
    #[inline]
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        Ok(self.next_value()?.map(|(key, value)| (key, value.bytes)))
    }

    /// The record that was returned last.
    #[inline]
    pub fn last_value(&self) -> Option<(&[u8], LeafValue<'_>)> {
        let (page, found) = *self.records.get(self.next.checked_sub(1)?)?;
        let page_bytes = self.pager.page_bytes();
        let bucket = Bucket::new(&self.pages[page * page_bytes..][..page_bytes]);
        Some((bucket.key(found), bucket.value(found)))
    }

    /// No change after this LSN was on the bucket of the record that was returned last.
    pub fn changed_at(&self) -> u64 {
        let head = self.pages.get(..self.pager.page_bytes());
        head.map_or(u64::MAX, |head| Bucket::new(head).changed_at()) // CN2 of `chain`
    }

    /// Have all records of a bucket been returned, so that the next one, if there is one, has a greater hash than all before?
    pub fn is_between_buckets(&self) -> bool {
        self.next == self.records.len()
    }

    /// Where a cursor goes on, when all records of a bucket have been returned: the first hash that has not been read. Nothing
    /// within a bucket, whose records are in no order, and at the end.
    pub fn resume_at(&self) -> Option<u64> {
        self.position.filter(|_| self.next == self.records.len())
    }

    /// Copies the bucket that covers `position`.
    fn enter(&mut self, position: u64) -> Result<()> {
        (self.next, self.buckets) = (0, self.buckets + 1);
        self.records.clear();
        let id = loop {
            match self.try_copy(position) {
                Ok(id) => break id,
                Err(stop) => {
                    let ahead = self.ahead();
                    if ahead > 0 && matches!(stop, Retry::Missing(_) | Retry::Evicted(_)) {
                        self.index.load_ahead(self.pager, position, ahead)?;
                    }
                    self.pager.resolve(stop)?;
                }
            }
        };
        let mut last = None;
        for (number, page) in self.pages.chunks_exact(self.pager.page_bytes()).enumerate() {
            let bucket = Bucket::new(page);
            if !bucket.is_sane() || !bucket.covers(position) {
                return Err(damaged(id, INSANE));
            }
            last = last.or(Some(bucket.last()));
            // Its range may begin before the position, if buckets were merged or have shared since (CS2).
            let all_new = bucket.first() == position;
            for record in bucket.records() {
                let (_, _, found) = record.ok_or_else(|| damaged(id, INSANE))?;
                if all_new || self.index.hasher.of(bucket.key(found)) >= position {
                    self.records.push((number, found));
                }
            }
        }
        self.position = last.and_then(|last| last.checked_add(1)); // CS3
        Ok(())
    }

    fn try_copy(&mut self, position: u64) -> Attempt<PageId> {
        let bucket = self.index.bucket(self.pager, position)?;
        let head = self.pager.shared(bucket.id())?;
        bucket.validate()?;
        self.pages.clear();
        self.pages.extend_from_slice(head.bytes());
        let mut next = Bucket::new(head.bytes()).next();
        for _ in 0..CHAIN_PAGES_MAX {
            if next == PageId::NONE {
                return Ok(head.id());
            }
            // Under the bucket's latch the chain stays as it is.
            if next == head.id() {
                break;
            }
            let link = self.pager.shared(next);
            let link = link.map_err(|retry| missing(self.pager, next, retry, || Ok(())))?;
            if !self.index.is_overflow(link.bytes(), next, position) {
                return Err(Retry::Damaged(next, INSANE));
            }
            self.pages.extend_from_slice(link.bytes());
            next = Bucket::new(link.bytes()).next();
        }
        Err(Retry::Damaged(head.id(), "its chain of overflow pages is too long, or a circle"))
    }

    /// How many buckets to load together, if the next one is missing: more the longer the scan is.
    fn ahead(&self) -> usize {
        if self.buckets < 3 { 0 } else { (2 << self.buckets.min(8)).min(AHEAD_MAX) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
