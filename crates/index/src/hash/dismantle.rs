//! Freeing an index, some pages at a time.
//!
//! The first passage marks the root. Each one then goes down the right edge to the last directory page that names buckets, or
//! nothing, frees its buckets from the right, and at last the page itself. The root is the last to go.
//!
//! # Invariants
//!
//! - **DN1** After every passage, and so in every checkpoint, what is reachable from the root exists and what was freed is not
//!   reachable: a child is freed and its entry removed under the latch of its parent.
//! - **DN2** An entry whose page was freed stays and names no page, so that the others keep their ranges; its directory page is
//!   marked as well. Nobody reads a marked index any more.
//! - **DN3** Of a damaged index no page is latched that this thread holds already.
//! - **DN4** A bucket is freed without being loaded, unless its range is a single hash: only then can it have overflow pages (HB3).

use super::HashIndex;
use super::bucket::Bucket;
use super::bucket_edit::BucketMut;
use super::chain::CHAIN_PAGES_MAX;
use super::descent::missing;
use super::directory::{Child, Directory, DirectoryMut};
use super::layout::*;
use crate::fault::Attempt;
use aquifer_buffer::{ExclusivePage, Mutation, PageId, Pager, Retry};

/// Most buckets that one passage of the gate frees.
const FREED_MAX: usize = 256;

impl HashIndex {
    /// Frees some of the pages of an index that nobody uses any more, leaving a smaller one; `true` when all, the root
    /// included, are freed. Buckets need not be in memory.
    ///
    /// # Errors
    ///
    /// What has to happen before it goes on; what was freed until then stays freed.
    pub fn dismantle(&self, m: &Mutation<'_>, pager: &Pager) -> Result<bool, Retry> {
        let mut page = self.latch(m, pager, self.root, None)?;
        if Summary::of(page.bytes()).flags() & FLAG_DISMANTLED == 0 {
            page.make_dirty()?;
            DirectoryMut::new(page.bytes_mut()).add_flags(FLAG_DISMANTLED);
        }
        let mut parent: Option<ExclusivePage<'_>> = None;
        loop {
            let directory = Directory::new(page.bytes());
            let (level, Some(child)) = (directory.level(), last_child(directory)) else { break };
            if level <= 1 {
                break;
            }
            check_unheld(child.page, &page, parent.as_ref())?;
            let below = self.latch(m, pager, child.page, Some(level - 1))?;
            parent = Some(std::mem::replace(&mut page, below));
        }
        if !self.free_buckets(m, pager, &mut page, parent.as_ref())? {
            return Ok(false);
        }
        match parent {
            None => {
                m.free(page)?;
                Ok(true)
            }
            Some(mut parent) => {
                parent.make_dirty()?;
                m.free(page)?;
                remove_last_child(&mut parent); // DN1
                Ok(false)
            }
        }
    }

    /// Latches a directory page of this index exclusively and checks that it is one.
    fn latch<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &Pager,
        id: PageId,
        level: Option<u8>,
    ) -> Attempt<ExclusivePage<'m>> {
        let page = m.exclusive(id).map_err(|retry| missing(pager, id, retry, || Ok(())))?;
        let directory = Directory::new(page.bytes());
        let level = level.unwrap_or(directory.level().clamp(1, LEVEL_MAX));
        if self.is_own(page.bytes(), level) && directory.own_id() == id && directory.is_sane() {
            return Ok(page);
        }
        Err(Retry::Damaged(id, "it is not the page of this index that it should be"))
    }

    /// Frees the buckets below a page of level 1, from the right. Whether none is left.
    fn free_buckets(
        &self,
        m: &Mutation<'_>,
        pager: &Pager,
        page: &mut ExclusivePage<'_>,
        parent: Option<&ExclusivePage<'_>>,
    ) -> Attempt<bool> {
        for _ in 0..FREED_MAX {
            let Some(child) = last_child(Directory::new(page.bytes())) else { return Ok(true) };
            check_unheld(child.page, page, parent)?;
            page.make_dirty()?;
            if child.first == child.last && !self.free_chain(m, pager, child)? {
                return Ok(false);
            }
            m.free_id(child.page)?;
            remove_last_child(page); // DN1
        }
        Ok(last_child(Directory::new(page.bytes())).is_none())
    }

    /// DN4. Whether no overflow page is left.
    fn free_chain(&self, m: &Mutation<'_>, pager: &Pager, child: Child) -> Attempt<bool> {
        let mut head =
            m.exclusive(child.page).map_err(|retry| missing(pager, child.page, retry, || Ok(())))?;
        if !self.is_own(head.bytes(), 0) {
            return Ok(true); // no bucket: there is nothing to follow
        }
        for _ in 0..FREED_MAX.min(CHAIN_PAGES_MAX) {
            let next = Bucket::new(head.bytes()).next();
            if next == PageId::NONE {
                return Ok(true);
            }
            if next == child.page {
                return Err(Retry::Damaged(child.page, "it is behind itself"));
            }
            let link = m.exclusive(next).map_err(|retry| missing(pager, next, retry, || Ok(())))?;
            if !self.is_overflow(link.bytes(), next, child.first) {
                return Err(Retry::Damaged(next, "it is not the overflow page that it should be"));
            }
            let behind = Bucket::new(link.bytes()).next();
            head.make_dirty()?;
            m.free(link)?;
            BucketMut::new(head.bytes_mut()).set_next(behind);
        }
        Ok(false)
    }
}

/// The last child, if there is one (DN2).
fn last_child(directory: Directory<&[u8]>) -> Option<Child> {
    let last = (0..directory.count()).rev().find(|&index| directory.page(index) != PageId::NONE)?;
    Some(directory.child(last))
}

/// DN3: a damaged index may name a page below itself.
fn check_unheld(child: PageId, page: &ExclusivePage<'_>, parent: Option<&ExclusivePage<'_>>) -> Attempt<()> {
    if child == page.id() || parent.is_some_and(|parent| parent.id() == child) {
        return Err(Retry::Damaged(child, "it is below itself"));
    }
    Ok(())
}

fn remove_last_child(page: &mut ExclusivePage<'_>) {
    let directory = Directory::new(page.bytes());
    let last = (0..directory.count()).rev().find(|&index| directory.page(index) != PageId::NONE);
    let mut directory = DirectoryMut::new(page.bytes_mut());
    directory.add_flags(FLAG_DISMANTLED);
    if let Some(last) = last {
        directory.forget(last);
    }
}
