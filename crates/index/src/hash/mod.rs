//! The hashed index: extendible hashing on pages.
//!
//! A tree of directory pages over the high bits of the hash leads to buckets; every directory page covers a prefix, and is
//! split when it is full, by one bit more. Within a directory page a bucket's range may begin and end anywhere, so that a full
//! bucket can share with its neighbour before two are made three (see `share`).
//!
//! | module | its secret |
//! |---|---|
//! | `layout`, `key_hash` | the bytes of a page; the hash function |
//! | `bucket`, `bucket_edit` | reading, changing and making a bucket |
//! | `directory` | the same for a directory page |
//! | `descent` | from the root to a bucket without a latch |
//! | `place`, `chain` | a bucket latched for a change; buckets whose keys cannot be told apart |
//! | `cut`, `share`, `grow`, `shrink` | where records are divided; making room; a directory that grows; giving space back |
//! | `cursor` | all records |
//! | `ahead` | loading buckets before they are needed |
//! | `check`, `page_check`, `dismantle`, `estimate` | the whole index |
//! | `large` | whether there may be large values |
//! | `loose` | a page without its index, for salvage |
//!
//! # Invariants
//!
//! - **HB** of the layout: what a page looks like.
//! - **HE1** The root is a directory page and keeps its page id for the life of the index.
//! - **HE2** Of all pages there ever is exactly one bucket of this table whose range holds a given hash. Ranges change only
//!   while their buckets and the directory page above them are latched exclusively; a bucket that is freed is no page any more.
//! - **HE3** So a bucket that covers the hash is the right one, however it was found: a reader believes no directory page,
//!   validates the bucket alone, and comes back carefully if it was led astray.
//! - **HE4** Readers write nothing shared, but for the shared latch that a bucket gets after two restarts or from a cursor.
//! - **HE5** Latches are taken from the top down, and in a level and along a chain from left to right.

mod ahead;
mod bucket;
mod bucket_edit;
mod chain;
mod check;
mod cursor;
mod cut;
mod descent;
mod directory;
mod dismantle;
mod estimate;
mod grow;
mod key_hash;
mod large;
mod layout;
mod loose;
mod page_check;
mod place;
mod share;
mod shrink;

pub use crate::btree::CheckReport;
pub use cursor::Cursor;
pub use loose::LoosePage;
pub use place::Place;

use crate::fault::Attempt;
use crate::point_read::{Seen, TryRead};
use aquifer_buffer::{Mutation, Optimistic, PageId, Pager, Retry};
use bucket::{Bucket, Find, Found};
use key_hash::KeyHash;
use layout::KIND_BUCKET;

/// A hashed index: its root page, which never changes, the table that owns its pages, and the seed of its hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashIndex {
    root: PageId,
    table: u32,
    hasher: KeyHash,
}

impl HashIndex {
    /// A new, empty index. The seed should be drawn at random, so that nobody can choose keys whose hashes meet.
    ///
    /// # Errors
    ///
    /// [`Retry::Frames`] if there are no frames for its first two pages.
    pub fn create(m: &Mutation<'_>, table: u32, seed: u64) -> std::result::Result<HashIndex, Retry> {
        let mut root = m.allocate()?;
        let mut bucket = match m.allocate() {
            Ok(bucket) => bucket,
            Err(retry) => {
                m.free(root)?; // nothing refers to it yet
                return Err(retry);
            }
        };
        let index = HashIndex::at(root.id(), table, seed);
        let page_bytes = root.bytes().len();
        let whole = bucket_edit::Plan {
            kind: KIND_BUCKET,
            owner: table,
            id: bucket.id(),
            next: PageId::NONE,
            changed_at: 0,
            first: 0,
            last: u64::MAX,
            seed,
        };
        let empty = bucket_edit::build(page_bytes, &whole, &[]).expect("no records fit");
        bucket.bytes_mut().copy_from_slice(&empty);
        let plan = directory::Plan {
            level: 1,
            flags: 0,
            owner: table,
            id: root.id(),
            changed_at: 0,
            prefix: 0,
            prefix_bits: 0,
            seed,
        };
        root.bytes_mut().copy_from_slice(&directory::build(page_bytes, &plan, &[(0, bucket.id())]));
        Ok(index)
    }

    /// The index at this root. Nothing is read: a page that is no such root gives an error when it is used.
    pub fn at(root: PageId, table: u32, seed: u64) -> HashIndex {
        HashIndex { root, table, hasher: KeyHash::new(seed) }
    }

    /// Its root.
    #[inline]
    pub fn root(&self) -> PageId {
        self.root
    }

    /// The seed of its hash function.
    pub fn seed(&self) -> u64 {
        self.hasher.seed
    }

    /// Longest key in bytes (1/8 page), and longest value (1/4 page).
    pub fn limits(page_bytes: usize) -> (usize, usize) {
        (layout::key_bytes_max(page_bytes), layout::value_bytes_max(page_bytes))
    }

    /// The hash of a key: what [`LoosePage::range`] is about.
    pub fn hash_of(&self, key: &[u8]) -> u64 {
        self.hasher.of(key)
    }

    /// A cursor over all records.
    pub fn cursor<'p>(&self, pager: &'p Pager) -> Cursor<'p> {
        self.cursor_from(pager, 0)
    }

    /// A cursor over the records whose hashes are not below this one: see [`Cursor::resume_at`].
    pub fn cursor_from<'p>(&self, pager: &'p Pager, from: u64) -> Cursor<'p> {
        Cursor::new(*self, pager, from)
    }
}

impl TryRead for HashIndex {
    #[inline(always)]
    fn try_read(
        &self,
        pager: &Pager,
        key: &[u8],
        latched: bool,
        take: &mut impl FnMut(Option<Seen<'_>>),
    ) -> Attempt<u64> {
        let hash = self.hasher.of(key);
        let page = self.bucket(pager, hash)?;
        // It must still be what the descent found, which is looked at in the end.
        let _latch = if latched { Some(pager.shared(page.id())?) } else { None };
        let bucket = Bucket::new(page.words());
        let changed_at = bucket.changed_at();
        match bucket.find(hash, key) {
            Find::Found(found) => {
                take(Some(seen(page, found)));
                page.validate()?;
                Ok(changed_at)
            }
            Find::Absent if bucket.next() == PageId::NONE => {
                take(None);
                page.validate()?;
                Ok(changed_at)
            }
            Find::Absent => self.read_chain(pager, page, hash, key, take).map(|()| changed_at), // CN2
            Find::Nonsense => {
                page.validate()?;
                Err(bucket_edit::BEYOND.on(page.id()))
            }
        }
    }
}

#[inline(always)]
fn seen(page: Optimistic<'_>, found: Found) -> Seen<'_> {
    Seen { page, offset: found.value_at(), len: found.value_len, kind: found.kind }
}

#[cfg(all(test, not(loom)))]
pub(crate) mod test_index;
#[cfg(all(test, not(loom)))]
mod tests;
