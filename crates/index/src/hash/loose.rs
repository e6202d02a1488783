//! A page taken by itself, without its index: for salvage. What it says is checked as far as a page alone can be.
//!
//! # Invariants
//!
//! - **LG1** A page is read only after every check of [`page_check`](super::page_check): sizes, ranges, and of every record its
//!   hash, which only this table's seed gives. What passes can be read without a panic (BK1).

use super::bucket::Bucket;
use super::directory::Directory;
use super::key_hash::KeyHash;
use super::layout::*;
use super::page_check::{check_bucket, check_directory};
use crate::LeafValue;
use aquifer_buffer::PageId;

/// A page of a hashed index that was found somewhere.
#[derive(Debug, Clone, Copy)]
pub struct LoosePage<'b> {
    bytes: &'b [u8],
    range: (u64, u64),
}

impl<'b> LoosePage<'b> {
    /// Takes bytes for a page (LG1). O(page).
    ///
    /// # Errors
    ///
    /// What is wrong, if they are none.
    ///
    /// ```
    /// use aquifer_index::hash::LoosePage;
    ///
    /// assert!(LoosePage::new(&[0; 4096]).is_err());
    /// ```
    pub fn new(bytes: &'b [u8]) -> Result<LoosePage<'b>, String> {
        let summary = Summary::of(bytes);
        let nonsense = || Err("kind, level, id or the sizes in its header make no sense".into());
        let is_page = bytes.len().is_power_of_two() && (4096..=65536).contains(&bytes.len());
        if !is_page || own_id(bytes) == PageId::NONE.0 {
            return nonsense();
        }
        let (found, range) = match summary.kind() {
            KIND_BUCKET | KIND_OVERFLOW => {
                let bucket = Bucket::new(bytes);
                let is_alone = bucket.next() == PageId::NONE && summary.kind() == KIND_BUCKET;
                if summary.level() != 0 || !bucket.is_sane() || !(is_alone || bucket.is_single()) {
                    return nonsense();
                }
                (check_bucket(bucket, KeyHash::new(bucket.seed())), (bucket.first(), bucket.last()))
            }
            KIND_DIRECTORY => {
                let directory = Directory::new(bytes);
                if !directory.is_sane() {
                    return nonsense();
                }
                let dismantled = summary.flags() & FLAG_DISMANTLED != 0;
                (check_directory(directory, dismantled), (directory.prefix(), directory.last()))
            }
            _ => return nonsense(),
        };
        match found.faults.into_iter().next() {
            Some(fault) => Err(fault),
            None => Ok(LoosePage { bytes, range }),
        }
    }

    /// The page's own id.
    pub fn id(&self) -> PageId {
        PageId(own_id(self.bytes))
    }

    /// The table that owns it.
    pub fn table(&self) -> u32 {
        owner(self.bytes)
    }

    /// 0: a bucket, or an overflow page of one, with records.
    pub fn level(&self) -> u8 {
        Summary::of(self.bytes).level()
    }

    /// LSN of the newest change in it.
    pub fn changed_at(&self) -> u64 {
        changed_at(self.bytes)
    }

    /// Seed of the table's hash function.
    pub fn seed(&self) -> u64 {
        seed(self.bytes)
    }

    /// A directory page of an index that is being dismantled: its table was dropped.
    pub fn is_dismantled(&self) -> bool {
        Summary::of(self.bytes).flags() & FLAG_DISMANTLED != 0
    }

    /// One of several pages for the same hash, beside the bucket.
    pub fn is_overflow(&self) -> bool {
        Summary::of(self.bytes).kind() == KIND_OVERFLOW
    }

    /// The first and the last hash that it is for.
    pub fn range(&self) -> (u64, u64) {
        self.range
    }

    /// Has it neither records nor entries?
    pub fn is_empty(&self) -> bool {
        Summary::of(self.bytes).count() == 0
    }

    /// Gives the records of a bucket to `visit`: hash of the key, key and value. A directory page has none.
    pub fn records(&self, mut visit: impl FnMut(u64, &[u8], LeafValue<'_>)) {
        if self.level() > 0 {
            return;
        }
        let bucket = Bucket::new(self.bytes);
        let hasher = KeyHash::new(bucket.seed());
        for (_, _, found) in bucket.records().flatten() {
            let key = bucket.key(found);
            visit(hasher.of(key), key, bucket.value(found));
        }
    }

    /// Gives the children of a directory page to `visit`, in order, each with the first and last hash that it is for. A bucket has
    /// none.
    pub fn children(&self, mut visit: impl FnMut(PageId, u64, u64)) {
        if self.level() == 0 {
            return;
        }
        let directory = Directory::new(self.bytes);
        for index in 0..directory.count() {
            let child = directory.child(index);
            visit(child.page, child.first, child.last);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
