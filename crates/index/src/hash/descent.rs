//! The way from the root to a bucket, without a latch.
//!
//! The short way believes every page that it comes by, and looks only at what it finds: HE3 makes that enough. If it finds
//! anything else, the careful way goes again, and says what is wrong.
//!
//! # Invariants
//!
//! - **L1** On the careful way a parent is validated after its child's version is known, so what the parent says of the child
//!   held at that moment. A mismatch between pages that both validate is damage, not a race.
//! - **L2** The buffer manager checks that a frame holds the page asked for; everything else is checked here.
//! - **DS1** A descent visits at most [`LEVEL_MAX`] directory pages; on the careful way each is one level lower.
//! - **DS2** A page is named as evicted only if it was there while its parent named it. Whoever then loads it may find it
//!   freed, which is no damage.

use super::HashIndex;
use super::bucket::Bucket;
use super::directory::{Child, Directory};
use super::layout::*;
use crate::fault::Attempt;
use crate::words::Words;
use aquifer_buffer::{ExclusivePage, Mutation, Optimistic, PageId, Pager, Retry};

/// What a lookup reads of a bucket before it knows where the record lies: header, bounds and, of records that are not tiny, runs.
const PROBE_BYTES: usize = 192;

impl HashIndex {
    /// The bucket that covers a hash: what it says of itself holds if it validates.
    #[inline(always)]
    pub(crate) fn bucket<'p>(&self, pager: &'p Pager, hash: u64) -> Attempt<Optimistic<'p>> {
        match self.bucket_by_guess(pager, hash) {
            Some(bucket) => Ok(bucket),
            None => self.bucket_carefully(pager, hash),
        }
    }

    #[inline(always)]
    fn bucket_by_guess<'p>(&self, pager: &'p Pager, hash: u64) -> Option<Optimistic<'p>> {
        let mut page = pager.read(self.root).ok()?;
        for _ in 0..LEVEL_MAX {
            let directory = Directory::new(page.words());
            let summary = directory.summary();
            if summary.kind() != KIND_DIRECTORY {
                return None;
            }
            let child = directory.page(directory.find(hash));
            if summary.level() <= 1 {
                pager.prefetch(child, PROBE_BYTES);
            }
            page = pager.read(child).ok()?;
            if summary.level() <= 1 {
                let bucket = Bucket::new(page.words());
                let is_it = bucket.summary().kind() == KIND_BUCKET
                    && owner(page.words()) == self.table
                    && bucket.covers(hash);
                return is_it.then_some(page);
            }
        }
        None
    }

    #[cold]
    pub(crate) fn bucket_carefully<'p>(&self, pager: &'p Pager, hash: u64) -> Attempt<Optimistic<'p>> {
        self.descend(pager, hash, 0)
    }

    /// The directory page of `level` that covers a hash. [`Retry::Changed`] if the root has become lower.
    pub(crate) fn directory_at<'p>(&self, pager: &'p Pager, hash: u64, level: u8) -> Attempt<Optimistic<'p>> {
        self.descend(pager, hash, level)
    }

    fn descend<'p>(&self, pager: &'p Pager, hash: u64, goal_level: u8) -> Attempt<Optimistic<'p>> {
        let mut page = pager.read(self.root)?;
        let mut level = Directory::new(page.words()).level().min(LEVEL_MAX);
        let whole = Child { page: self.root, first: 0, last: u64::MAX };
        if level == 0 || !self.is_child(page.words(), whole, level) {
            page.validate()?;
            return Err(Retry::Damaged(self.root, NO_ROOT));
        }
        if level < goal_level {
            return Err(Retry::Changed);
        }
        while level > goal_level {
            let directory = Directory::new(page.words());
            let child = directory.child(directory.find(hash));
            let next = match pager.read(child.page) {
                Ok(next) => next,
                Err(retry) => return Err(missing(pager, child.page, retry, || page.validate())),
            };
            page.validate()?; // L1
            level -= 1;
            if !self.is_child(next.words(), child, level) {
                next.validate()?;
                return Err(Retry::Damaged(child.page, NOT_AS_NAMED));
            }
            page = next;
        }
        Ok(page)
    }

    /// The level of the root now.
    pub(crate) fn root_level(&self, pager: &Pager) -> Attempt<u8> {
        let root = pager.read(self.root)?;
        let level = Directory::new(root.words()).level();
        root.validate()?;
        Ok(level)
    }

    /// Is the page what its parent says?
    pub(crate) fn is_child(&self, words: impl Words, child: Child, level: u8) -> bool {
        if !self.is_own(words, level) || own_id(words) != child.page.0 {
            return false;
        }
        if level == 0 {
            let bucket = Bucket::new(words);
            return bucket.first() == child.first && bucket.last() == child.last;
        }
        let directory = Directory::new(words);
        directory.prefix() == child.first && directory.last() == child.last && directory.count() > 0
    }

    /// Is it a page of this index, of this level?
    pub(crate) fn is_own(&self, words: impl Words, level: u8) -> bool {
        let summary = Summary::of(words);
        let kind = if level == 0 { KIND_BUCKET } else { KIND_DIRECTORY };
        summary.kind() == kind
            && summary.level() == level
            && owner(words) == self.table
            && seed(words) == self.hasher.seed
    }

    /// Latches a page exclusively that a latched page names, and checks that it is what it should be.
    pub(crate) fn latch_child<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &Pager,
        child: Child,
        level: u8,
    ) -> Attempt<ExclusivePage<'m>> {
        let page = m.exclusive(child.page).map_err(|retry| missing(pager, child.page, retry, || Ok(())))?;
        let sane = self.is_child(page.bytes(), child, level)
            && if level == 0 {
                Bucket::new(page.bytes()).is_sane()
            } else {
                Directory::new(page.bytes()).is_sane()
            };
        if sane { Ok(page) } else { Err(Retry::Damaged(child.page, NOT_AS_NAMED)) }
    }
}

/// What to do about a page that could not be had (DS2). `still_named` fails if what named it has changed.
#[cold]
pub(crate) fn missing(
    pager: &Pager,
    page: PageId,
    retry: Retry,
    still_named: impl FnOnce() -> Attempt<()>,
) -> Retry {
    let Retry::Missing(_) = retry else { return retry };
    let exists = page != PageId::NONE && pager.page_exists(page);
    match still_named() {
        Ok(()) if exists => Retry::Evicted(page),
        Ok(()) => Retry::Damaged(page, "something refers to it, but it does not exist"),
        Err(changed) => changed,
    }
}

const NO_ROOT: &str = "it is not the root of this hashed index";
pub(crate) const NOT_AS_NAMED: &str =
    "kind, level, owner, own id, range or sizes are not what its parent says";
