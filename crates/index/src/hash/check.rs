//! Checking a whole index.
//!
//! # Invariants
//!
//! - **CH1** A page's bytes are not trusted: whatever they are, the check ends, visits each page at most once, goes one level
//!   down at each step, and answers with faults.
//! - **CH2** A page must cover just the range that its parent's entry says, and the entries of a page cover all of it. So all
//!   hashes are covered once.

use super::bucket::Bucket;
use super::directory::{Child, Directory};
use super::layout::*;
use super::page_check::{check_bucket, check_directory};
use super::{CheckReport, HashIndex};
use crate::LeafValue;
use crate::load::copy_page;
use aquifer_buffer::{Error, PageId, Pager, Result};
use std::collections::HashSet;

struct Walk<'p> {
    index: HashIndex,
    pager: &'p Pager,
    report: CheckReport,
    seen: HashSet<PageId>,
    dismantled: bool,
    /// The root says that there may be large values.
    large: bool,
}

/// A page to visit, what its parent says of it, and its level but for the root.
struct Visit {
    child: Child,
    level: Option<u8>,
    /// An overflow page.
    is_link: bool,
}

impl HashIndex {
    /// Walks everything and checks ranges, prefixes, levels, owners, own ids, and of every record its hash, sub-bucket and
    /// fingerprint; `progress` gets the number of pages done. For indexes that nobody changes meanwhile. Damaged pages are
    /// faults. In the report, leaves are buckets and their overflow pages.
    ///
    /// # Errors
    ///
    /// What loading a page gives, but for damage.
    pub fn check(&self, pager: &Pager, progress: &mut dyn FnMut(u64)) -> Result<CheckReport> {
        let mut walk = Walk {
            index: *self,
            pager,
            report: CheckReport::default(),
            seen: HashSet::new(),
            dismantled: false,
            large: false,
        };
        let mut page = Vec::new();
        let whole = Child { page: self.root(), first: 0, last: u64::MAX };
        let mut stack = vec![Visit { child: whole, level: None, is_link: false }];
        while let Some(visit) = stack.pop() {
            walk.visit(&visit, &mut page, &mut stack)?;
            progress(walk.report.pages.len() as u64);
        }
        Ok(walk.report)
    }
}

impl Walk<'_> {
    fn visit(&mut self, visit: &Visit, page: &mut Vec<u8>, stack: &mut Vec<Visit>) -> Result<()> {
        let id = visit.child.page;
        if !self.seen.insert(id) {
            self.fault(id, "it is reached twice".into());
            return Ok(()); // CH1
        }
        self.report.pages.push(id);
        match copy_page(self.pager, id, page) {
            Ok(()) => {}
            Err(Error::Corrupt { what, .. }) => {
                self.fault(id, what);
                return Ok(());
            }
            Err(other) => return Err(other),
        }
        let page = page.as_slice();
        let level = visit.level.unwrap_or(Summary::of(page).level().clamp(1, LEVEL_MAX));
        if visit.level.is_none() {
            self.report.depth = u32::from(level) + 1;
            self.dismantled = Summary::of(page).flags() & FLAG_DISMANTLED != 0;
            self.large = Summary::of(page).flags() & FLAG_LARGE != 0;
        }
        if level == 0 {
            self.visit_bucket(visit, page, stack);
        } else {
            self.visit_directory(visit, level, page, stack);
        }
        Ok(())
    }

    fn visit_directory(&mut self, visit: &Visit, level: u8, page: &[u8], stack: &mut Vec<Visit>) {
        let id = visit.child.page;
        let directory = Directory::new(page);
        let covers = directory.prefix() == visit.child.first && directory.last() == visit.child.last;
        if !self.index.is_own(page, level) || directory.own_id() != id || !directory.is_sane() {
            return self.fault(id, "kind, level, owner, own id, seed or sizes make no sense".into());
        }
        if !covers {
            return self.fault(id, "its prefix is not what its parent says (HB4)".into());
        }
        let found = check_directory(directory, self.dismantled);
        self.report.faults.extend(found.faults.into_iter().map(|what| (id, what)));
        let children = (0..directory.count()).map(|index| directory.child(index));
        let children = children.filter(|child| child.page != PageId::NONE && child.first <= child.last);
        stack.extend(children.map(|child| Visit { child, level: Some(level - 1), is_link: false }));
    }

    fn visit_bucket(&mut self, visit: &Visit, page: &[u8], stack: &mut Vec<Visit>) {
        let Child { page: id, first, last } = visit.child;
        let bucket = Bucket::new(page);
        let index = self.index;
        let is_it = if visit.is_link {
            index.is_overflow(page, id, first)
        } else {
            index.is_own(page, 0) && bucket.own_id() == id
        };
        if !is_it || !bucket.is_sane() {
            return self.fault(id, "kind, level, owner, own id, seed or sizes make no sense".into());
        }
        if bucket.first() != first || bucket.last() != last {
            self.fault(id, "its range is not what its parent says (HB4)".into());
        }
        let found = check_bucket(bucket, index.hasher);
        self.report.faults.extend(found.faults.into_iter().map(|what| (id, what)));
        self.report.records += bucket.count() as u64;
        let key_len_max = key_bytes_max(bucket.page_bytes());
        let records = bucket.records().flatten();
        self.report.longest += records.filter(|(_, _, record)| record.key_len == key_len_max).count() as u64;
        self.report.record_bytes += found.record_bytes;
        self.report.leaves += 1;
        self.report.leaf_bytes_used += (bucket.page_bytes() - bucket.free_bytes()) as u64;
        self.note_large(id, bucket);
        let next = bucket.next();
        if next != PageId::NONE {
            if !bucket.is_single() {
                self.fault(id, "it has overflow pages, and more than one hash (HB3)".into());
            }
            stack.push(Visit { child: Child { page: next, first, last }, level: Some(0), is_link: true });
        }
    }

    fn note_large(&mut self, id: PageId, bucket: Bucket<&[u8]>) {
        let values = bucket.records().flatten().map(|(_, _, found)| bucket.value(found));
        for value in values.filter(LeafValue::is_large) {
            self.report.large.push((id, value.bytes.to_vec()));
        }
        if !self.report.large.is_empty() && !self.large {
            self.fault(
                id,
                "it holds a large value, and the root does not say that there are any (LV2)".into(),
            );
        }
    }

    fn fault(&mut self, page: PageId, what: String) {
        self.report.faults.push((page, what));
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
