//! Giving space back: sparse buckets are merged, then sparse directory pages, and at last the root comes down.
//!
//! Merging is a favour: what is not in memory, or busy, is left as it is, and the next removal comes by again.
//!
//! # Invariants
//!
//! - **SK1** Latch order: directory page, then two neighbours from left to right (HE5).
//! - **SK2** The right page is freed as the last step that can fail; then the left one takes over both ranges.
//! - **SK3** A merged bucket is at most nine tenths full, so that it does not have to be divided at once.

use super::HashIndex;
use super::bucket::Bucket;
use super::bucket_edit::build;
use super::directory::{self, Directory, DirectoryMut, Plan, can_begin};
use super::grow::entries;
use super::layout::*;
use crate::fault::Attempt;
use crate::words::Words;
use aquifer_buffer::{Mutation, PageId, Pager, Retry};

/// Directory pages with less than this part of their entries are merged.
const SPARSE_DIRECTORY_PART: usize = 4;

/// Is a bucket, or are two together, sparse enough?
fn is_sparse(used_bytes: usize, page_bytes: usize) -> bool {
    used_bytes < record_room(page_bytes) / 2
}

fn fits_together(used_bytes: usize, page_bytes: usize) -> bool {
    used_bytes <= record_room(page_bytes) / 10 * 9 // SK3
}

impl HashIndex {
    /// Is it worth while to look at the neighbours? At every fourth removal, so that a bucket whose neighbours are full does
    /// not look each time; and at the last few, for long records are no more than that.
    pub(crate) fn may_merge(bucket: Bucket<&[u8]>) -> bool {
        let count = bucket.count();
        is_sparse(bucket.used_bytes(), bucket.page_bytes()) && (count < 4 || count.is_multiple_of(4))
    }

    /// Merges the bucket that covers `hash` with a neighbour, if both fit in one, and directory pages above them.
    pub(crate) fn shrink(&self, m: &Mutation<'_>, pager: &Pager, hash: u64) -> Attempt<()> {
        let merged = match self.merge_buckets(m, pager, hash) {
            Ok(merged) => merged,
            Err(Retry::Damaged(page, what)) => return Err(Retry::Damaged(page, what)),
            Err(_) => return Ok(()),
        };
        if merged {
            for level in 1..LEVEL_MAX {
                match self.merge_directories(m, pager, hash, level) {
                    Ok(true) => {}
                    Err(Retry::Damaged(page, what)) => return Err(Retry::Damaged(page, what)),
                    Ok(false) | Err(_) => break,
                }
            }
            if let Err(damaged @ Retry::Damaged(..)) = self.pull_up(m, pager) {
                return Err(damaged);
            }
        }
        Ok(())
    }

    fn merge_buckets(&self, m: &Mutation<'_>, pager: &Pager, hash: u64) -> Attempt<bool> {
        let optimistic = self.directory_at(pager, hash, 1)?;
        let above = Directory::new(optimistic.words());
        let index = above.find(hash);
        let Some(left) = self.mergeable_with(pager, above, index) else { return Ok(false) };
        let mut directory = m.upgrade(optimistic)?;
        let above = Directory::new(directory.bytes());
        let (a, b) = (above.child(left), above.child(left + 1));
        if !above.is_sane() || a.page == b.page || a.page == directory.id() || b.page == directory.id() {
            return Err(Retry::Damaged(directory.id(), "it names a page twice"));
        }
        let mut pages = vec![self.latch_child(m, pager, a, 0)?, self.latch_child(m, pager, b, 0)?];
        let buckets = || pages.iter().map(|page| Bucket::new(page.bytes()));
        let used_bytes = buckets().map(Bucket::used_bytes).sum();
        if !fits_together(used_bytes, pager.page_bytes()) || buckets().any(|it| it.next() != PageId::NONE) {
            return Ok(false);
        }
        let changed_at = buckets().map(Bucket::changed_at).max().unwrap_or(0);
        let mut items = Vec::new();
        self.gather_sorted(&pages, &mut items)?;
        let plan = self.bucket_plan(a.page, changed_at, a.first, b.last);
        let image = build(pager.page_bytes(), &plan, &items).map_err(|nonsense| nonsense.on(a.page))?;
        drop(items);
        directory.make_dirty()?;
        pages[0].make_dirty()?;
        m.free(pages.pop().expect("two were latched"))?; // SK2
        pages[0].bytes_mut().copy_from_slice(&image);
        let mut above = DirectoryMut::new(directory.bytes_mut());
        above.replace(left, 2, &[(a.first, a.page)]);
        above.raise_changed_at(changed_at);
        Ok(true)
    }

    /// The left one of two entries that look as if they could be merged, one of them `index`.
    fn mergeable_with(&self, pager: &Pager, above: Directory<impl Words>, index: usize) -> Option<usize> {
        let used_bytes = |index: usize| {
            let page = pager.read(above.page(index)).ok()?;
            let bucket = Bucket::new(page.words());
            (bucket.next() == PageId::NONE).then_some(bucket.used_bytes())
        };
        let own = used_bytes(index)?;
        let mut sides = [index.checked_sub(1), (index + 1 < above.count()).then_some(index + 1)];
        if sides[1].and_then(used_bytes) < sides[0].and_then(used_bytes) && sides[1].is_some() {
            sides.swap(0, 1);
        }
        let other = sides.into_iter().flatten().find(|&side| {
            used_bytes(side).is_some_and(|used| fits_together(own + used, pager.page_bytes()))
        })?;
        Some(index.min(other))
    }

    /// Merges the directory page of `level` that covers `hash` with the one whose prefix differs in the last bit, if both
    /// are sparse. Whether the level above may be sparse now.
    fn merge_directories(&self, m: &Mutation<'_>, pager: &Pager, hash: u64, level: u8) -> Attempt<bool> {
        if self.root_level(pager)? <= level {
            return Ok(false);
        }
        let mut parent = m.upgrade(self.directory_at(pager, hash, level + 1)?)?;
        let above = Directory::new(parent.bytes());
        let index = above.find(hash);
        let child = above.child(index);
        let span = child.last - child.first;
        // The other half of the prefix that is one bit shorter; spans are powers of two, less one.
        let is_upper = child.first & span.wrapping_add(1) != 0;
        let left = if is_upper { index.checked_sub(1) } else { Some(index) };
        let Some(left) = left.filter(|left| left + 1 < above.count()) else { return Ok(false) };
        let (a, b) = (above.child(left), above.child(left + 1));
        if a.last - a.first != span || b.last - b.first != span {
            return Ok(false);
        }
        let named_twice = a.page == b.page || a.page == parent.id() || b.page == parent.id();
        if !above.is_sane() || named_twice {
            return Err(Retry::Damaged(parent.id(), "it names a page twice"));
        }
        let mut page = self.latch_child(m, pager, a, level)?;
        let other = self.latch_child(m, pager, b, level)?;
        let (low, high) = (Directory::new(page.bytes()), Directory::new(other.bytes()));
        let few = entries_max(pager.page_bytes()) / SPARSE_DIRECTORY_PART;
        let bits = low.prefix_bits();
        if bits == 0 || low.count() > few || high.count() > few {
            return Ok(false);
        }
        let mut merged = entries(low);
        merged.extend(entries(high));
        if !merged.iter().all(|&(first, _)| can_begin(bits - 1, first)) {
            return Ok(false); // the shorter prefix cannot tell its ranges apart
        }
        let changed_at = low.changed_at().max(high.changed_at());
        let plan = Plan { prefix_bits: bits - 1, changed_at, ..self.plan_of(&page) };
        let image = directory::build(pager.page_bytes(), &plan, &merged);
        parent.make_dirty()?;
        page.make_dirty()?;
        m.free(other)?; // SK2
        page.bytes_mut().copy_from_slice(&image);
        let mut above = DirectoryMut::new(parent.bytes_mut());
        above.replace(left, 2, &[(a.first, a.page)]);
        above.raise_changed_at(changed_at);
        Ok(true)
    }

    /// A root with one directory page below it takes that one's place, as often as can be.
    fn pull_up(&self, m: &Mutation<'_>, pager: &Pager) -> Attempt<()> {
        loop {
            let optimistic = pager.read(self.root)?;
            let directory = Directory::new(optimistic.words());
            let (level, count) = (directory.level(), directory.count());
            if level < 2 || count != 1 {
                return optimistic.validate();
            }
            let mut root = m.upgrade(optimistic)?;
            let above = Directory::new(root.bytes());
            let child = above.child(0);
            if !above.is_sane() || child.page == root.id() {
                return Err(Retry::Damaged(root.id(), "it names itself"));
            }
            let page = self.latch_child(m, pager, child, level - 1)?;
            let flags = above.summary().flags() & FLAG_LARGE; // HL1
            let plan = Plan { id: root.id(), flags, ..self.plan_of(&page) };
            let image = directory::build(pager.page_bytes(), &plan, &entries(Directory::new(page.bytes())));
            root.make_dirty()?;
            m.free(page)?; // SK2
            root.bytes_mut().copy_from_slice(&image);
        }
    }
}
