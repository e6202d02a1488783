//! A directory that grows: pages are split in the middle of their prefix, and the root moves down.
//!
//! # Invariants
//!
//! - **GD1** Latch order: parent, page, new page (HE5). What the parent lacks is provided first, with all latches let go.
//! - **GD2** Everything that can fail is done before the first change (E2).
//! - **GD3** The root keeps its page id: its content moves down into a new page.
//! - **GD4** A page is split where an entry begins. If none begins in the middle, the page below that lies across it is cut
//!   there first: a bucket anywhere, a directory page in its own middle, for then it has the same prefix.

use super::HashIndex;
use super::directory::{Directory, DirectoryMut, Plan, build};
use super::layout::*;
use crate::fault::Attempt;
use aquifer_buffer::{ExclusivePage, Mutation, PageId, Pager, Retry};

/// For what a directory page is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Room for entries.
    Room,
    /// A prefix of so many bits, to tell hashes apart that differ late.
    Bits(u32),
}

/// What a step came to.
enum Step {
    Done,
    /// The page above must get this first.
    Above(Need),
}

impl HashIndex {
    /// Splits one directory page, such that the one of `level` that covers `hash` comes nearer to what it needs.
    pub(crate) fn split_directory(
        &self,
        m: &Mutation<'_>,
        pager: &Pager,
        hash: u64,
        level: u8,
        mut need: Need,
    ) -> Attempt<()> {
        for level in level..=LEVEL_MAX {
            match self.split_directory_at(m, pager, hash, level, need)? {
                Step::Done => return Ok(()),
                Step::Above(next) => need = next,
            }
        }
        Err(Retry::Damaged(self.root, "its directory is too high"))
    }

    fn split_directory_at(
        &self,
        m: &Mutation<'_>,
        pager: &Pager,
        hash: u64,
        level: u8,
        need: Need,
    ) -> Attempt<Step> {
        let root_level = self.root_level(pager)?;
        if root_level <= level {
            return self.push_down(m, pager, level, need).map(|()| Step::Done);
        }
        let mut parent = m.upgrade(self.directory_at(pager, hash, level + 1)?)?;
        let above = Directory::new(parent.bytes());
        let index = above.find(hash);
        let child = above.child(index);
        if !above.is_sane() || child.page == parent.id() {
            return Err(Retry::Damaged(parent.id(), super::place::INSANE));
        }
        let mut page = self.latch_child(m, pager, child, level)?;
        let directory = Directory::new(page.bytes());
        if is_met(directory, need) {
            return Ok(Step::Done);
        }
        let (bits, middle) = (directory.prefix_bits(), directory.middle());
        if bits >= PREFIX_BITS_MAX {
            return Err(Retry::Damaged(page.id(), "it covers two hashes, and is full"));
        }
        if !above.has_room(1) {
            return Ok(Step::Above(Need::Room));
        }
        if !above.can_begin(middle) {
            return Ok(Step::Above(Need::Bits((bits + 1).saturating_sub(32))));
        }
        let cut = directory.find(middle);
        if directory.first_of(cut) != middle {
            drop(page);
            drop(parent);
            if level == 1 {
                self.cut_bucket_at(m, pager, middle)?;
                return Ok(Step::Done);
            }
            return self.split_directory_at(m, pager, middle, level - 1, Need::Bits(bits + 1)); // GD4
        }
        let entries = entries(directory);
        parent.make_dirty()?;
        page.make_dirty()?;
        let mut new = m.allocate()?;
        let plan = Plan { prefix_bits: bits + 1, ..self.plan_of(&page) };
        let upper = Plan { id: new.id(), prefix: middle, ..plan };
        let page_bytes = page.bytes().len();
        let (lower_image, upper_image) =
            (build(page_bytes, &plan, &entries[..cut]), build(page_bytes, &upper, &entries[cut..]));
        page.bytes_mut().copy_from_slice(&lower_image);
        new.bytes_mut().copy_from_slice(&upper_image);
        let mut above = DirectoryMut::new(parent.bytes_mut());
        above.replace(index, 1, &[(child.first, child.page), (middle, new.id())]);
        above.raise_changed_at(plan.changed_at);
        Ok(Step::Done)
    }

    /// GD3.
    fn push_down(&self, m: &Mutation<'_>, pager: &Pager, level: u8, need: Need) -> Attempt<()> {
        let root = pager.read(self.root)?;
        let mut root = m.upgrade(root)?;
        let directory = Directory::new(root.bytes());
        if directory.level() != level || (need == Need::Room && is_met(directory, need)) {
            return Ok(());
        }
        if level >= LEVEL_MAX || !directory.is_sane() {
            return Err(Retry::Damaged(self.root, "its directory is too high, or its header makes no sense"));
        }
        let entries = entries(directory);
        let flags = directory.summary().flags() & FLAG_LARGE; // HL1
        root.make_dirty()?;
        let mut new = m.allocate()?;
        let plan = Plan { id: new.id(), flags: 0, ..self.plan_of(&root) };
        let page_bytes = root.bytes().len();
        new.bytes_mut().copy_from_slice(&build(page_bytes, &plan, &entries));
        let plan = Plan { id: root.id(), level: level + 1, flags, ..plan };
        root.bytes_mut().copy_from_slice(&build(page_bytes, &plan, &[(0, new.id())]));
        Ok(())
    }

    /// What a directory page's header says.
    pub(crate) fn plan_of(&self, page: &ExclusivePage<'_>) -> Plan {
        let directory = Directory::new(page.bytes());
        Plan {
            level: directory.level(),
            flags: directory.summary().flags(),
            owner: self.table,
            id: page.id(),
            changed_at: directory.changed_at(),
            prefix: directory.prefix(),
            prefix_bits: directory.prefix_bits(),
            seed: self.hasher.seed,
        }
    }
}

fn is_met(directory: Directory<&[u8]>, need: Need) -> bool {
    match need {
        Need::Room => directory.has_room(2),
        Need::Bits(bits) => directory.prefix_bits() >= bits,
    }
}

/// The entries of a directory page, by the first hashes of their ranges.
pub(crate) fn entries(directory: Directory<&[u8]>) -> Vec<(u64, PageId)> {
    (0..directory.count()).map(|index| (directory.first_of(index), directory.page(index))).collect()
}
