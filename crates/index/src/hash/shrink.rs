//! Giving space back: sparse buckets are merged, then sparse directory pages, and at last the root comes down.
//!
//! Two neighbours become one, or where no two fit in one, three become two. So of three in a row with a sparse one among them, the records take
//! more than nine tenths of two pages.
//!
//! Merging is a favour: what is not in memory, or busy, is left as it is, and the next removal comes by again.
//!
//! # Invariants
//!
//! - **SK1** Latch order: directory page, then neighbours from left to right (HE5).
//! - **SK2** A page is freed as the last step that can fail; then those to its left take over its range.
//! - **SK3** A merged bucket is at most nine tenths full, so that it does not have to be divided at once.

use super::HashIndex;
use super::bucket::Bucket;
use super::cut::Weights;
use super::directory::{self, Directory, DirectoryMut, Plan, can_begin};
use super::grow::entries;
use super::layout::*;
use super::share::install;
use crate::fault::Attempt;
use crate::words::Words;
use aquifer_buffer::{Mutation, PageId, Pager, Retry};
use std::ops::Range;

/// Directory pages with less than this part of their entries are merged.
const SPARSE_DIRECTORY_PART: usize = 4;

/// Is a bucket sparse enough to look for others to merge it with?
fn is_sparse(used_bytes: usize, page_bytes: usize) -> bool {
    used_bytes < record_room(page_bytes) / 3 * 2
}

/// SK3.
fn merged_bytes_max(page_bytes: usize) -> usize {
    record_room(page_bytes) / 10 * 9
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
        let Some(row) = self.mergeable(pager, above, above.find(hash)) else { return Ok(false) };
        let directory = m.upgrade(optimistic)?;
        let above = Directory::new(directory.bytes());
        if !above.is_sane() || row.end > above.count() {
            return Err(Retry::Damaged(directory.id(), super::place::INSANE));
        }
        let bits = above.prefix_bits();
        let mut adjacent = self.latch_adjacent(m, pager, directory, row.start, row.end - 1)?;
        if adjacent.buckets().any(|bucket| bucket.next() != PageId::NONE) {
            return Ok(false);
        }
        let mut items = Vec::new();
        self.gather_sorted(&adjacent.pages, &mut items)?;
        let fewer = row.len() - 1;
        let cuts = Weights::of(&items, None).divide(fewer, bits, merged_bytes_max(pager.page_bytes()));
        let Some(cuts) = cuts else { return Ok(false) };
        let images = self.images(&adjacent, 0..row.len(), &items, &cuts)?;
        drop(items);
        install(m, &mut adjacent, &cuts, images)?;
        Ok(true)
    }

    /// Entries in a row, one of them `index`, of which the buckets look as if one fewer could hold their records: two, or else three.
    fn mergeable(&self, pager: &Pager, above: Directory<impl Words>, index: usize) -> Option<Range<usize>> {
        let used_bytes = |index: usize| {
            let page = pager.read(above.page(index)).ok()?;
            let bucket = Bucket::new(page.words());
            (bucket.next() == PageId::NONE).then_some(bucket.used_bytes())
        };
        let bytes_max = merged_bytes_max(pager.page_bytes());
        let near = index.saturating_sub(2)..(index + 3).min(above.count());
        let used: Vec<Option<usize>> = near.clone().map(used_bytes).collect();
        let rows = [2, 3].into_iter().flat_map(|len| {
            let of_len = (near.start..near.end).map(move |start| start..start + len);
            of_len.filter(|row| row.contains(&index) && row.end <= near.end)
        });
        let sum = |row: &Range<usize>| -> Option<usize> {
            used[row.start - near.start..row.end - near.start].iter().copied().sum()
        };
        rows.filter(|row| sum(row).is_some_and(|sum| sum <= (row.len() - 1) * bytes_max))
            .min_by_key(|row| (row.len(), sum(row)))
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
